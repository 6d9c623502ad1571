//! WhatsApp: the customer's side of a conversation, written as pure functions.
//!
//! This is the same engine pointed the other way. Its lane gets every event of the session; a rep's
//! reply becomes messages to the customer, and a status becomes news for the rep. Three exits: the
//! gateway's exchange, the Cloud API, or the gateway's own API over HTTP, as a file describes it.
//!
//! ```text
//! rep.replied ─► parts ─► reply ─┬─► gateway: reply.requested, keyed by its message id
//!                                ├─► cloud: upload, then send; never repeated blindly
//!                                └─► http: send, by the gateway's file; never repeated blindly
//! customer.notice ─► notice ─► the same exits, or dropped
//! message.status ─► status ─► reply.status for the rep
//! rep.ended, session.handback, session.state ─► replies.done, behind the replies before it
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | `settings`, `exit` | what can be set |
//! | `plan` | what comes next for a lane: statuses, then replies in order, and the endings behind them |
//! | `facts` | names of the facts, and how the 24-hour window stands |
//! | `notice` | what the customer is told of the conversation itself |
//! | `reply` | one reply on its way, message by message |
//! | `parts` | what a reply becomes: files, text, buttons, list, template |
//! | `kinds` | the files that WhatsApp takes |
//! | `recipient` | whom it goes to |
//! | `cloud`, `gateway`, `http` | the exits |
//! | `status` | what became of messages, and what the rep is told |
//! | `changed` | what the rep is told of a reply that the customer gets in another form |
//! | `activity` | what a rep does that is no message, as the customer sees it |
//! | `waiting` | what the rep is told of a reply that does not go out |
//! | `unconfirmed` | what the rep is told of a reply of which WhatsApp has said nothing |
//! | `errors` | an answer that is not a success; WhatsApp's error codes |
//! | `read` | what a reply of the API or the broker proves |
//! | `hear` | Meta's status webhooks |
//! | `checks` | what `check --live` looks at |
//! | `sandbox` | a simulator of the Cloud API and of a gateway (feature `sandbox`) |

mod activity;
mod changed;
mod checks;
mod cloud;
mod errors;
mod exit;
mod facts;
mod gateway;
mod hear;
mod http;
mod kinds;
mod notice;
mod parts;
mod plan;
mod read;
mod recipient;
mod reply;
#[cfg(feature = "sandbox")]
mod sandbox;
mod settings;
mod status;
mod unconfirmed;
mod waiting;

use std::time::Duration;

use handoffd_contract::{
    Budget, Check, Connector, Controller, Credential, Data, Exchange, Finding, Frame, FrameContent,
    HttpReply, Known, MediaLookup, Problem, Refusal, Reply, Step, Stop, Verdict, Waiting,
    WebhookAuth, Work,
};

use exit::{Exit, Provider};
use facts::Lane;
use settings::Settings;

/// Reads the settings of a WhatsApp target.
///
/// # Errors
/// Every problem of the settings.
pub fn connector(
    name: &str,
    settings: &serde_json::Value,
) -> Result<Box<dyn Connector>, Vec<Problem>> {
    // The name is part of the engine's keys; nothing here depends on it.
    let _ = name;
    Ok(Box::new(WhatsApp {
        settings: Settings::read(settings)?,
    }))
}

/// A simulator of the Cloud API, and of a gateway that takes `reply.requested`, with strict
/// defaults. Its acts and switches are listed in this crate's README.
#[cfg(feature = "sandbox")]
#[must_use]
pub fn sandbox() -> Box<dyn handoffd_contract::sandbox::Sandbox> {
    Box::new(sandbox::Meta::default())
}

struct WhatsApp {
    settings: Settings,
}

impl Connector for WhatsApp {
    fn next(&self, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
        plan::next(&self.settings, work, known)
    }

    fn recall(&self, work: &Work, known: &Known) -> Vec<String> {
        let here = |id: &str| work.items.iter().any(|item| item.id == id);
        handoffd_contract::lane::again(known)
            .filter(|id| !here(id))
            .map(str::to_owned)
            .collect()
    }

    fn waiting(&self, work: &Work, known: &Known, stop: &Stop) -> Waiting {
        let lane = Lane {
            settings: &self.settings,
            work,
            known,
        };
        waiting::waiting(lane, stop)
    }

    fn read(&self, step: &Step, reply: &Reply) -> Verdict {
        read::read(&self.settings, step, reply)
    }

    fn hear(&self, frame: &Frame<'_>) -> Result<FrameContent, Refusal> {
        hear::hear(&self.settings, frame)
    }

    fn sent_facts(&self, data: &Data) -> Vec<String> {
        let by_reference = |reference: &Option<String>| reference.as_deref().map(facts::reference);
        let by_id = |id: &str| Some(facts::wamid(id));
        let facts = match data {
            Data::MessageStatus(status) => [
                by_reference(&status.reference),
                status.message_id.as_deref().and_then(by_id),
            ],
            // One that names the reply that it carried out is news of that, not a copy.
            Data::MessageSent(said) if said.reference.is_none() => [by_id(&said.message.id), None],
            _ => [None, None],
        };
        facts.into_iter().flatten().collect()
    }

    fn opens(&self, data: &Data) -> bool {
        matches!(data, Data::HandoffRequested(_))
    }

    /// When the customer wrote last is the ledger's knowledge; which message it was is needed only to show
    /// a rep's activity.
    fn acts_on(&self, data: &Data) -> bool {
        match data {
            Data::MessageReceived(_) => self.settings.show_activity,
            Data::MessageSent(said) => said.reference.is_some(),
            _ => true,
        }
    }

    fn renders(&self, data: &Data) -> bool {
        matches!(data, Data::CustomerNotice(_))
    }

    /// What is said tells of statuses, whoever is in charge.
    fn shows(&self, _: &Controller) -> bool {
        true
    }

    fn base(&self) -> &str {
        &self.settings.base
    }

    fn credential(&self) -> Credential {
        if let Exit::Http(gateway) = &self.settings.exit {
            return gateway.credential.clone();
        }
        match &self.settings.token {
            Some(token) if self.settings.provider() == Provider::Dialog360 => Credential::Header {
                name: "d360-api-key".to_owned(),
                prefix: String::new(),
                key: token.clone(),
            },
            Some(token) => Credential::Bearer {
                token: token.clone(),
            },
            None => Credential::None,
        }
    }

    /// What WhatsApp allows: 80 messages per second from a number unless it was raised, and to one
    /// customer one message per 6 seconds with 45 ahead of time.
    /// <https://developers.facebook.com/documentation/business-messaging/whatsapp/throughput>
    fn budgets(&self) -> Vec<Budget> {
        if matches!(self.settings.exit, Exit::Gateway { .. }) {
            return Vec::new();
        }
        let second = self.settings.per_second;
        let number = Budget {
            name: "number",
            burst: second,
            refill: second,
            per: Duration::from_secs(1),
            shared: true,
        };
        let pair = Budget {
            name: "pair",
            burst: 45,
            refill: 1,
            per: Duration::from_secs(6),
            shared: false,
        };
        // What a gateway allows for one customer is its own affair.
        let pair = Some(pair).filter(|_| matches!(self.settings.exit, Exit::CloudApi { .. }));
        std::iter::once(number).chain(pair).collect()
    }

    fn exchanges(&self) -> Vec<Exchange> {
        match &self.settings.exit {
            Exit::Gateway { exchange, .. } => vec![Exchange {
                name: exchange.clone(),
                what: "replies",
                primary: true,
            }],
            Exit::CloudApi { .. } | Exit::Http(_) => Vec::new(),
        }
    }

    fn webhook(&self) -> Option<WebhookAuth> {
        let webhooks = self.settings.webhooks.as_ref()?;
        Some(WebhookAuth::MetaSha256 {
            secrets: webhooks.secrets.clone(),
            verify_token: webhooks.verify_token.clone(),
        })
    }

    fn file_hosts(&self) -> Vec<String> {
        vec![cloud::MEDIA_HOST.to_owned()]
    }

    fn media_lookup(&self, media_id: &str) -> Option<MediaLookup> {
        let is_cloud = !matches!(self.settings.exit, Exit::Http(_));
        let token = self.settings.token.as_ref().filter(|_| is_cloud);
        token.map(|_| cloud::lookup(&self.settings, media_id))
    }

    fn checks(&self) -> Vec<Check> {
        checks::checks(&self.settings)
    }

    fn checked(&self, check: &Check, reply: &HttpReply) -> Vec<Finding> {
        checks::checked(&self.settings, check, reply)
    }
}
