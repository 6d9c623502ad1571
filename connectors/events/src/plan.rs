//! What comes next for a lane: the first event that is not told yet. One at a time, so that "assigned"
//! and "nobody is assigned any more" cannot pass each other.

use handoffd_contract::outgoing::{CLOUD_EVENT, cloud_event};
use handoffd_contract::{Auth, Call, HttpCall, Known, Publish, Repeat, Step, Work, ids};
use serde_json::json;

use crate::facts;
use crate::settings::{Settings, Way};
use crate::told::{Told, told};

/// Name of the step that publishes an event.
pub(crate) const PUBLISH: &str = "event.publish";
/// Name of the step that posts an event.
pub(crate) const POST: &str = "event.post";

/// The step that tells the first event that is not told yet.
pub(crate) fn next(settings: &Settings, work: &Work, known: &Known) -> Option<Step> {
    work.items.iter().find_map(|item| {
        let told = told(settings, work, item)?;
        let fact = facts::out(told.event, told.kind);
        (!known.is(&fact)).then(|| tell(settings, work, told, fact))
    })
}

/// The id depends on what happened alone: a repeat is the same event to whoever is told.
fn tell(settings: &Settings, work: &Work, told: Told<'_>, fact: String) -> Step {
    let session = &work.session.id;
    let id = ids::short(&[session, told.event, told.kind]);
    let body = cloud_event(
        &settings.source,
        session,
        (&id, told.kind),
        told.time,
        told.data,
    );
    let (name, call): (_, Call) = match &settings.way {
        Way::Exchange { name, prefix } => {
            let publish = Publish {
                exchange: name.clone(),
                routing_key: format!("{prefix}{}", told.kind),
                message_id: id.clone(),
                content_type: CLOUD_EVENT,
                body,
            };
            (PUBLISH, publish.into())
        }
        Way::Endpoint { url, .. } => {
            let call = HttpCall::post(url.as_str(), body)
                .header("content-type", CLOUD_EVENT)
                .auth(Auth::Signed { id: id.clone() });
            (POST, call.into())
        }
    };
    let context = json!({"fact": fact, "value": id});
    Step::new(name, Repeat::Keyed, call)
        .claim_as(fact, id)
        .context(context)
}
