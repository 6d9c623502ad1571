//! Events out: what happened in a conversation, told to the platform and to flows beside the replies.
//!
//! A lane of its own per conversation, so that what cannot be told now holds no reply, and is told later
//! in its order. Two ways: an exchange of RabbitMQ, and an endpoint that takes signed webhooks.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `settings` | what can be set |
//! | `types` | the types of events that go out, and which of them are chosen |
//! | `told` | what an event of the session means for others |
//! | `plan` | what comes next for a lane: the first event that is not told yet |
//! | `facts` | names of the facts |
//! | `read` | what an answer of the broker or the endpoint proves |
//! | `sandbox` | a receiver that verifies signatures, and an exchange (feature `sandbox`) |

mod facts;
mod plan;
mod read;
#[cfg(feature = "sandbox")]
mod sandbox;
mod settings;
mod told;
mod types;

use handoffd_contract::{
    Connector, Controller, Credential, Data, Exchange, Known, Problem, Refusal, Reply, Step,
    Verdict, Work,
};

use settings::{Settings, Way};

/// The types that are told where the settings choose none.
pub use types::usual;

/// Whether a target with these settings tells of this type.
#[must_use]
pub fn tells(settings: &serde_json::Value, kind: &str) -> bool {
    Settings::read(settings).is_ok_and(|settings| settings.types.has(kind))
}

/// Reads the settings of a target for events.
///
/// # Errors
/// Every problem of the settings.
pub fn connector(
    name: &str,
    settings: &serde_json::Value,
) -> Result<Box<dyn Connector>, Vec<Problem>> {
    // The name is part of the engine's keys; nothing here depends on it.
    let _ = name;
    Ok(Box::new(Events {
        settings: Settings::read(settings)?,
    }))
}

/// A receiver of both kinds, with strict defaults. Its switches are listed in this crate's README.
#[cfg(feature = "sandbox")]
#[must_use]
pub fn sandbox() -> Box<dyn handoffd_contract::sandbox::Sandbox> {
    Box::new(sandbox::Receiver::default())
}

struct Events {
    settings: Settings,
}

impl Connector for Events {
    fn next(&self, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
        Ok(plan::next(&self.settings, work, known)
            .into_iter()
            .collect())
    }

    fn read(&self, step: &Step, reply: &Reply) -> Verdict {
        read::read(step, reply)
    }

    /// Beside every record that is opened, the router opens a lane here. By itself only what flows may
    /// begin with opens one.
    fn opens(&self, data: &Data) -> bool {
        matches!(data, Data::MessageReceived(_)) && self.settings.types.has_triggers()
    }

    /// Whoever is in charge, what happens is told.
    fn shows(&self, _: &Controller) -> bool {
        true
    }

    fn base(&self) -> &str {
        match &self.settings.way {
            Way::Endpoint { url, .. } => url,
            // Nothing is called.
            Way::Exchange { .. } => "http://127.0.0.1",
        }
    }

    fn credential(&self) -> Credential {
        match &self.settings.way {
            Way::Endpoint { secrets, .. } => Credential::StandardWebhooks {
                secrets: secrets.clone(),
            },
            Way::Exchange { .. } => Credential::None,
        }
    }

    fn exchanges(&self) -> Vec<Exchange> {
        match &self.settings.way {
            Way::Exchange { name, .. } => vec![Exchange {
                name: name.clone(),
                what: "session events",
                primary: true,
            }],
            Way::Endpoint { .. } => Vec::new(),
        }
    }
}
