//! Salesforce Messaging for In-App and Web (MIAW, "Enhanced Chat"), written as pure functions.
//!
//! The customer's side of a messaging conversation is played by us: one Salesforce end user per
//! WhatsApp customer (the *subject*), one conversation per session, and in it one messaging session
//! after another, each of which Omni-Channel routes to a rep.
//!
//! | module | what it decides |
//! | --- | --- |
//! | [`settings`] | what an administrator writes, and the type that cannot be wrong |
//! | [`facts`] | the names of the facts, and what they say: subject, generation, ended sessions |
//! | `routing` | the routing attributes of a handoff |
//! | `words` | what a rep reads: the head of a handoff, transcript lines, notes |
//! | `pieces` | a handoff or message as a row of texts and files, in order |
//! | `kept` | what came after the end of a messaging session |
//! | `parts` | how texts are split, and smaller where Salesforce refused one |
//! | `plan` | the next step for the first thing that is not shown yet |
//! | `told` | what the rep is told in the thread, and the gateway of the rep's desk |
//! | `send` | the calls that show something, and the look for one whose outcome is unknown |
//! | `read`, `errors` | what a reply proves; what a status means whatever was asked, and Salesforce's own words |
//! | `hear`, `entry`, `payload` | the event stream and the entries list; one entry; what a rep's message says |
//! | `pickers` | lists, carousels and times that a customer may choose from |
//! | `availability` | whether reps are there: the business hours |
//! | `checks` | what `handoffd check --live` reads |
//! | `schema` | the channel's parameters, as the settings list them |
//! | `sandbox` | a simulator of the documented API (feature `sandbox`) |
//!
//! Order of calls: event stream → conversation → transcript (texts, or one file with the handoff's
//! head as its caption) → attachments → later messages. Texts and files leave one at a time, since
//! the thread shows them in the order in which they arrive.

mod availability;
mod checks;
mod entry;
mod errors;
pub mod facts;
mod hear;
mod kept;
mod parts;
mod payload;
mod pickers;
mod pieces;
mod plan;
mod read;
mod routing;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod schema;
mod send;
pub mod settings;
mod told;
mod words;

use handoffd_contract::{
    Availability, Budget, Check, Connector, Credential, Data, Feed, Finding, Frame, FrameContent,
    HttpCall, HttpReply, Known, Problem, Refusal, Reply, Schema, Step, Verdict, Work,
};
use jiff::Timestamp;
use std::time::Duration;

pub use settings::Settings;

/// A Salesforce organisation's messaging channel as a target.
#[derive(Debug)]
pub struct Salesforce {
    settings: Settings,
}

/// The connector for the target `name` with these settings.
///
/// # Errors
/// Every problem of the settings, at once.
pub fn connector(
    name: &str,
    settings: &serde_json::Value,
) -> Result<Box<dyn Connector>, Vec<Problem>> {
    // Facts and ids name the target as the work does, so the connector itself has no use for it.
    let _ = name;
    let settings = Settings::read(settings)?;
    Ok(Box::new(Salesforce { settings }))
}

/// The simulator of the API, with strict defaults.
#[cfg(feature = "sandbox")]
#[must_use]
pub fn sandbox() -> Box<dyn handoffd_contract::sandbox::Sandbox> {
    Box::new(sandbox::Org::default())
}

impl Connector for Salesforce {
    fn next(&self, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
        self.plan(&work.with_replies_of_others(), known)
    }

    fn recall(&self, work: &Work, known: &Known) -> Vec<String> {
        work.recalls_elsewhere(|message| Some(known.get(&facts::elsewhere(message))?.to_owned()))
    }

    fn read(&self, step: &Step, reply: &Reply) -> Verdict {
        read::read(step, reply)
    }

    fn feed(&self, work: &Work, known: &Known, _cursor: Option<&str>) -> Option<Feed> {
        self.stream(work, known)
    }

    fn hear(&self, frame: &Frame<'_>) -> Result<FrameContent, Refusal> {
        hear::hear(&self.settings, frame)
    }

    fn quoted(&self, known: &Known, record: &str) -> Option<String> {
        facts::shown_by(known, record).map(str::to_owned)
    }

    /// What became of a reply is told by the way back, as `reply.status`.
    fn acts_on(&self, data: &Data) -> bool {
        !matches!(data, Data::MessageStatus(_))
    }

    fn base(&self) -> &str {
        &self.settings.base
    }

    fn credential(&self) -> Credential {
        let s = &self.settings;
        let authorization = format!("{}/iamessage/api/v2/authorization", s.base);
        Credential::Miaw {
            token_url: format!("{authorization}/authenticated/access-token"),
            continuation_url: format!("{authorization}/continuation-access-token"),
            org_id: s.org_id.clone(),
            es_developer_name: s.es_developer_name.clone(),
            capabilities_version: s.capabilities_version.clone(),
            key_id: s.key_id.clone(),
            issuer: s.issuer.clone(),
            audience: s.audience.clone(),
            private_key: s.private_key.clone(),
            lifetime: s.identity_lifetime,
            per_minute: s.tokens_per_minute,
        }
    }

    fn budgets(&self) -> Vec<Budget> {
        vec![
            // A production load test was held to 50 new sessions and 1,000 messages a second.
            Budget {
                name: "api",
                burst: 50,
                refill: 50,
                per: Duration::from_secs(1),
                shared: true,
            },
            // 22 messages in any minute and conversation, and a second for those that travel faster than
            // the ones before. <https://help.salesforce.com/s/articleView?id=service.miaw_rate_limits>
            Budget {
                name: send::PER_CONVERSATION,
                burst: 22,
                refill: 0,
                per: Duration::from_secs(61),
                shared: false,
            },
            // Clients that list the entries every second report 429; every two seconds is taken.
            Budget {
                name: hear::LIST,
                burst: 1,
                refill: 1,
                per: Duration::from_secs(2),
                shared: false,
            },
        ]
    }

    fn file_hosts(&self) -> Vec<String> {
        self.settings.file_hosts.clone()
    }

    fn availability(&self) -> Option<HttpCall> {
        Some(availability::hours(&self.settings))
    }

    fn available(&self, reply: &HttpReply, now: Timestamp) -> Availability {
        availability::read(reply, now)
    }

    fn schema(&self) -> Schema {
        schema::schema(&self.settings)
    }

    fn lacks_field(&self, section: &str, field: &str) -> String {
        format!(
            "{field} is none of the channel's `parameters` of the settings, so that Salesforce would drop it without a word; \
             add it under Setup → Messaging Settings → Custom Parameters and to `parameters`, or take it out of [{section}]"
        )
    }

    fn checks(&self) -> Vec<Check> {
        checks::checks(&self.settings)
    }

    fn checked(&self, check: &Check, reply: &HttpReply) -> Vec<Finding> {
        checks::checked(&self.settings, check, reply)
    }
}
