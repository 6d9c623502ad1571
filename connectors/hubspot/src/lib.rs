//! HubSpot: a ticket with notes, and reps' replies out of it, as pure functions.
//!
//! ```text
//! contact by wa_id ─► ticket (created once, unique property) ─► note with reason and summary
//!  └ by phone, e-mail, or created      └ description + transcript   └ rest of the transcript, files
//! ```
//!
//! | module | what it decides |
//! | --- | --- |
//! | [`settings`] | what an operator may choose, and every way in which that can be wrong |
//! | [`paths`] | where an operation is in which API version |
//! | `whose` | whether a contact is the customer's |
//! | [`words`] | what reps read |
//! | `facts` | the names of the facts |
//! | `plan` | which calls can be made now |
//! | `errors`, `read` | what a reply proves; `errors` says what statuses and bodies mean |
//! | `hear` | what webhooks and polls tell |
//! | `checks` | what the portal must have |
//! | `schema` | the properties that there are |
//! | `trial` | a ticket that is made to hear the answer, and archived again |
//! | `sandbox` | the other side (feature `sandbox`) |
//!
//! Invariants: one ticket per session (and, where the settings say so, per end), by a unique property; a note is looked for by its printed
//! marker before it is repeated; only a note that begins with the reply prefix reaches a customer.

mod checks;
mod errors;
mod facts;
mod hear;
pub mod paths;
mod plan;
mod read;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod schema;
pub mod settings;
mod trial;
mod whose;
pub mod words;

use std::time::Duration;

use handoffd_contract::feed::Read;
use handoffd_contract::settings::AfterEnd;
use handoffd_contract::{
    Budget, Check, Connector, Controller, Credential, Data, Feed, Finding, Frame, FrameContent,
    HttpCall, HttpReply, Known, Problem, Refusal, Reply, Schema, SchemaRead, Step, Trial, Tried,
    Verdict, WebhookAuth, Work,
};
use serde_json::Value;

pub use settings::Settings;

/// The connector for these settings. Problems are told by their path inside the settings of target
/// `name`.
///
/// # Errors
/// Every problem of the settings.
pub fn connector(name: &str, settings: &Value) -> Result<Box<dyn Connector>, Vec<Problem>> {
    let _ = name;
    Ok(Box::new(HubSpot {
        settings: Settings::read(settings)?,
    }))
}

/// The simulator with everything as documented.
#[cfg(feature = "sandbox")]
#[must_use]
pub fn sandbox() -> Box<dyn handoffd_contract::sandbox::Sandbox> {
    Box::new(sandbox::Portal::new())
}

/// The connector.
struct HubSpot {
    settings: Settings,
}

impl Connector for HubSpot {
    fn next(&self, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
        plan::next(&self.settings, &work.with_replies_of_others(), known)
    }

    fn recall(&self, work: &Work, known: &Known) -> Vec<String> {
        plan::recalled(work, known)
    }

    fn read(&self, step: &Step, reply: &Reply) -> Verdict {
        read::read(&self.settings, step, reply)
    }

    fn feed(&self, work: &Work, known: &Known, cursor: Option<&str>) -> Option<Feed> {
        hear::feed(&self.settings, work, known, cursor)
    }

    fn catch_up(&self, work: &Work, known: &Known) -> Option<Read> {
        hear::catch_up(&self.settings, work, known)
    }

    fn hear(&self, frame: &Frame<'_>) -> Result<FrameContent, Refusal> {
        hear::hear(&self.settings, frame)
    }

    /// What became of a reply is told by the way back, as `reply.status`.
    fn acts_on(&self, data: &Data) -> bool {
        !matches!(data, Data::MessageStatus(_))
    }

    fn shows(&self, controller: &Controller) -> bool {
        let is_ignored = matches!(controller, Controller::Closed { .. })
            && self.settings.after_end == AfterEnd::Ignore;
        !controller.is_assistant() && !is_ignored
    }

    fn base(&self) -> &str {
        &self.settings.base
    }

    fn credential(&self) -> Credential {
        self.settings.credential.clone()
    }

    /// A bucket lets `burst` and `refill` through within one period; both together stay under the
    /// portal's limit. <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>
    fn budgets(&self) -> Vec<Budget> {
        let api = self.settings.api_per_10s;
        let search = self.settings.search_per_second;
        vec![
            Budget {
                name: "api",
                burst: (api / 9).max(1),
                refill: api,
                per: Duration::from_secs(10),
                shared: true,
            },
            Budget {
                name: "search",
                burst: 1,
                refill: search,
                per: Duration::from_secs(1),
                shared: true,
            },
        ]
    }

    fn webhook(&self) -> Option<WebhookAuth> {
        let webhook = self.settings.webhook.as_ref()?;
        Some(WebhookAuth::HubSpotV3 {
            secret: webhook.secret.clone(),
            public_url: webhook.public_url.clone(),
            token: webhook.token.clone(),
        })
    }

    fn schema_reads(&self, known: &Schema) -> Vec<SchemaRead> {
        schema::reads(&self.settings, known)
    }

    fn schema_told(
        &self,
        read: &SchemaRead,
        reply: &HttpReply,
        known: Schema,
    ) -> Result<Schema, String> {
        schema::told(read, reply, known)
    }

    fn lacks_field(&self, section: &str, field: &str) -> String {
        format!(
            "the {section} has no property {field}; add it under Settings > Properties, or take it out of the mapping"
        )
    }

    fn trial(&self, steps: &[Step], mark: &str) -> Option<Trial> {
        trial::trial(&self.settings, steps, mark)
    }

    fn tried(&self, trial: &Trial, reply: &HttpReply) -> Tried {
        trial::tried(trial, reply)
    }

    fn trial_undo(&self, id: &str) -> Option<HttpCall> {
        Some(trial::undo(&self.settings, id))
    }

    fn refused_field(&self, fact: &str) -> Option<String> {
        facts::dropped(fact)
    }

    fn file_hosts(&self) -> Vec<String> {
        // Where HubSpot's file manager serves from, per region.
        let own = [
            ".hubspot.com",
            ".hubapi.com",
            ".hubspot.net",
            ".hubspotusercontent00.net",
            ".hubspotusercontent-na1.net",
            ".hubspotusercontent-na2.net",
            ".hubspotusercontent-eu1.net",
            ".hubspotusercontent-ap1.net",
        ];
        own.iter()
            .map(|host| (*host).to_owned())
            .chain(self.settings.file_hosts.iter().cloned())
            .collect()
    }

    fn checks(&self) -> Vec<Check> {
        checks::checks(&self.settings)
    }

    fn checked(&self, check: &Check, reply: &HttpReply) -> Vec<Finding> {
        checks::checked(&self.settings, check, reply)
    }
}
