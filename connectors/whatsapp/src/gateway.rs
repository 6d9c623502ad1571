//! The exit to a gateway: CloudEvents on its exchange.
//!
//! Every message carries an id that is derived from what it says, as AMQP `message_id` and as
//! CloudEvents `id`; the gateway takes it as its idempotency key.

use handoffd_contract::event::{CustomerNotice, RepReply, ReplyStatus};
use handoffd_contract::{Data, Item, Publish, Reason, Repeat, Settled, Step, ids};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cloud;
use crate::facts::{self, Lane, NewsWaits, Window};
use crate::parts::{Content, Part};
use crate::recipient::Recipient;
use crate::settings::Notify;

/// Name of the step that publishes a message of a reply.
pub(crate) const PUBLISH: &str = "reply.publish";
/// Name of the step that publishes a session event.
pub(crate) const NOTIFY: &str = "event.publish";

const CLOUD_EVENT: &str = "application/cloudevents+json";

/// The step that asks the gateway to send one message of a reply.
pub(crate) fn send(
    lane: Lane<'_>,
    keys: (&str, &str),
    item: &Item,
    reply: &RepReply,
    part: &Part,
    to: &Recipient,
) -> Step {
    let about = [
        ("target", Some(reply.target.clone())),
        ("reply_message_id", Some(reply.message_id.clone())),
        ("author", reply.author.clone()),
    ];
    request(lane, keys, item, part, to, about)
}

/// The step that asks the gateway to tell the customer something of the conversation itself.
pub(crate) fn tell(
    lane: Lane<'_>,
    keys: (&str, &str),
    item: &Item,
    notice: &CustomerNotice,
    part: &Part,
    to: &Recipient,
) -> Step {
    let about = [
        ("notice", Some(notice.notice.word().to_owned())),
        ("target", notice.target.clone()),
    ];
    request(lane, keys, item, part, to, about)
}

fn request<const N: usize>(
    lane: Lane<'_>,
    (exchange, routing_key): (&str, &str),
    item: &Item,
    part: &Part,
    to: &Recipient,
    about: [(&str, Option<String>); N],
) -> Step {
    let reference = lane.reference(&item.id, &part.slot);
    let mut data = json!({
        "session": lane.work.session.id,
        "business_number": lane.work.session.business_number,
        "reference": reference,
        "message": message(part, lane.settings.preview_url),
    });
    if let Some(id) = &part.quotes {
        data["message"]["context"] = json!({"message_id": id});
    }
    let phone = match to {
        Recipient::Phone(phone) => Some(phone.clone()),
        _ => None,
    };
    let optional = [
        ("to", phone),
        ("user_id", lane.work.contact.user_id.clone()),
        ("window_expires_at", expires(lane.window())),
    ];
    for (name, value) in about.into_iter().chain(optional) {
        if let Some(value) = value {
            data[name] = value.into();
        }
    }
    let body = cloud_event(lane, &reference, "reply.requested", item.time, data);
    let publish = Publish {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        message_id: reference.clone(),
        content_type: CLOUD_EVENT,
        body,
    };
    let sent = facts::sent(&item.id, &part.slot);
    let context = json!({"fact": sent, "value": reference, "reference": reference, "at": lane.work.now.to_string()});
    Step::new(PUBLISH, Repeat::Keyed, publish)
        .claim_as(sent, reference)
        .context(context)
}

/// The events that an item means for the gateway, each of one type, in the order in which they go.
pub(crate) fn events(lane: Lane<'_>, item: &Item, notify: &Notify) -> Vec<(&'static str, Value)> {
    let session = &lane.work.session.id;
    let own = |value: Result<Value, serde_json::Error>| value.unwrap_or_default();
    match &item.data {
        Data::RepEnded(ended) => {
            let closed =
                json!({"session": session, "closed_by": ended.target, "reason": ended.status});
            vec![("session.closed", closed)]
        }
        // What a rule has closed, the platform does not know.
        Data::SessionClosed(closed) if closed.closed_by.as_deref() == Some("handoffd") => {
            let closed =
                json!({"session": session, "closed_by": closed.closed_by, "reason": closed.reason});
            vec![("session.closed", closed)]
        }
        Data::SessionHandback(back) if lane.settings.handback => {
            vec![("session.handback", of(session, back))]
        }
        Data::SessionState(state) if notify.state => vec![("session.state", of(session, state))],
        Data::SessionUnattended(unattended) if notify.unattended => {
            vec![("session.unattended", of(session, unattended))]
        }
        Data::SessionRated(rated) => vec![("session.rated", of(session, rated))],
        Data::SessionAssigned(assigned) => {
            vec![("session.assigned", own(serde_json::to_value(assigned)))]
        }
        Data::SessionRouting(routing) => {
            vec![("session.routing", own(serde_json::to_value(routing)))]
        }
        // What was read is told once it is known which message of the customer that is.
        Data::RepActivity(done) if done.record.is_none() || done.message_id.is_some() => {
            vec![("rep.activity", own(serde_json::to_value(done)))]
        }
        Data::SessionUpdated(updated) => {
            vec![("session.updated", own(serde_json::to_value(updated)))]
        }
        Data::HandoffCompleted(completed) => {
            vec![("handoff.completed", own(serde_json::to_value(completed)))]
        }
        Data::HandoffFailed(failed) => vec![("handoff.failed", own(serde_json::to_value(failed)))],
        Data::ReplyStatus(status) if notify.reply_status && is_news(status) => {
            vec![("reply.status", own(serde_json::to_value(status)))]
        }
        _ => Vec::new(),
    }
}

/// A payload with the session's id.
fn of(session: &str, payload: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(payload).unwrap_or_default();
    value["session"] = session.into();
    value
}

/// Whether an item says that people have the conversation no longer. It goes after the replies before it.
pub(crate) fn is_end(data: &Data) -> bool {
    match data {
        Data::RepEnded(_) | Data::SessionHandback(_) => true,
        Data::SessionState(state) => !state.controller.is_people(),
        _ => false,
    }
}

/// The first event of an item that the gateway does not have yet: its type, its payload.
fn missing(lane: Lane<'_>, item: &Item) -> Option<(&'static str, Value)> {
    let notify = lane.settings.notify.as_ref()?;
    events(lane, item, notify)
        .into_iter()
        .find(|(kind, _)| !lane.known.is(&facts::out(&item.id, kind)))
}

/// Whether the gateway does not have every event of an item yet.
pub(crate) fn lacks(lane: Lane<'_>, item: &Item) -> bool {
    missing(lane, item).is_some()
}

/// The step that publishes the first event of an item that the gateway does not have yet. When it
/// cannot be published, nothing else waits for that: news is tried again by itself.
pub(crate) fn notify(lane: Lane<'_>, item: &Item) -> Option<Step> {
    let notify = lane.settings.notify.as_ref()?;
    let (kind, data) = missing(lane, item)?;
    let id = ids::short(&[&lane.work.session.id, &item.id, kind]);
    let fact = facts::out(&item.id, kind);
    let publish = Publish {
        exchange: notify.exchange.clone(),
        routing_key: format!("{}{kind}", notify.prefix),
        message_id: id.clone(),
        content_type: CLOUD_EVENT,
        body: cloud_event(lane, &id, kind, item.time, data),
    };
    let failed = lane.news();
    let context =
        json!({"fact": fact, "value": id, "ends": failed.is_some().then_some(facts::NEWS)});
    let later = NewsWaits::after(failed.as_ref(), lane.work.now);
    Some(
        Step::new(NOTIFY, Repeat::Keyed, publish)
            .claim_as(fact, id)
            .aside(facts::NEWS, later)
            .context(context),
    )
}

/// Gives up the first event of an item that the gateway does not have.
pub(crate) fn give_up(lane: Lane<'_>, item: &Item) -> Option<Step> {
    let (kind, _) = missing(lane, item)?;
    let why = Settled::refused(Reason::LimitExceeded, "too many events came after it");
    let fact = (facts::out(&item.id, kind), why);
    Some(facts::record("event.drop", vec![fact], Vec::new()))
}

fn is_news(status: &ReplyStatus) -> bool {
    use handoffd_contract::event::DeliveryState::{Failed, Held};
    matches!(status.state, Held | Failed)
}

fn expires(window: Window) -> Option<String> {
    match window {
        Window::Open(until) => Some(until.to_string()),
        Window::Closed(end) => end.map(|end| end.to_string()),
    }
}

/// The message in the Cloud API's own form, except that a file comes with where its bytes are.
fn message(part: &Part, preview_url: bool) -> Value {
    if let Some(message) = cloud::plain(&part.content, preview_url) {
        return message;
    }
    let Content::File {
        file,
        kind,
        caption,
    } = &part.content
    else {
        return Value::Null;
    };
    let word = kind.map_or("document", crate::kinds::MediaKind::word);
    let mut object = json!({"attachment": file, "filename": file.file_name()});
    if let Some(caption) = caption {
        object["caption"] = caption.as_str().into();
    }
    if *kind == Some(crate::kinds::MediaKind::Voice) {
        object["voice"] = true.into();
    }
    cloud::typed(word, object)
}

fn cloud_event(lane: Lane<'_>, id: &str, kind: &str, time: Timestamp, data: Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": lane.settings.source,
        "type": kind,
        "subject": lane.work.session.id,
        "time": time.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    })
}
