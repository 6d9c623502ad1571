//! Who is in charge of a conversation: exactly one at any time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Data;
use crate::text::truncate;

/// Who is in charge of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "controller", rename_all = "lowercase")]
pub enum Controller {
    /// The assistant; nobody was asked for help yet.
    #[default]
    Assistant,
    /// People were asked for, and nobody has joined.
    Queued {
        /// The target at which it waits; absent where it waits at several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// The place in the queue, where the target tells it; the first is 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<u32>,
        /// The estimated wait, where the target tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait_seconds: Option<u64>,
    },
    /// A rep.
    Rep {
        /// The target in which the rep works.
        target: String,
        /// The rep's name, when known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// The assistant again, after people.
    Returned {
        /// Who gave it back: the platform's word, a target's name, or `handoffd` for a rule.
        by: String,
    },
    /// Nobody: the conversation was ended.
    Closed {
        /// Who ended it: the platform's word, a target's name, or `handoffd` for a rule.
        by: String,
        /// Whether the customer's matter is settled, when known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resolved: Option<bool>,
    },
}

impl Controller {
    /// Every word for a controller.
    pub const WORDS: [&'static str; 5] = ["assistant", "queued", "rep", "returned", "closed"];

    /// People were asked for at this target, and nothing more is known.
    #[must_use]
    pub fn queued(target: Option<String>) -> Controller {
        Controller::Queued {
            target,
            position: None,
            wait_seconds: None,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Controller::Assistant => "assistant",
            Controller::Queued { .. } => "queued",
            Controller::Rep { .. } => "rep",
            Controller::Returned { .. } => "returned",
            Controller::Closed { .. } => "closed",
        }
    }

    /// Whether the assistant has the conversation, so that what is said is no rep's business.
    #[must_use]
    pub fn is_assistant(&self) -> bool {
        matches!(self, Controller::Assistant | Controller::Returned { .. })
    }

    /// Whether people have it, or are asked to take it.
    #[must_use]
    pub fn is_people(&self) -> bool {
        matches!(self, Controller::Queued { .. } | Controller::Rep { .. })
    }

    /// The target at which it is, when it is at one.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Controller::Queued { target, .. } => target.as_deref(),
            Controller::Rep { target, .. } => Some(target),
            _ => None,
        }
    }

    /// Who is in charge in a line, as the reps of `target` read it: the word, the rep's name, and the
    /// target where it is another one.
    #[must_use]
    pub fn line(&self, target: &str) -> String {
        let name = match self {
            Controller::Rep { name, .. } => name.as_deref().map(str::trim),
            _ => None,
        };
        let name = name.filter(|name| !name.is_empty());
        let name = name.map(|name| truncate(name, 60));
        let place = self.target().filter(|of| *of != target);
        let place = place.map(|of| format!("in {of}"));
        let more: Vec<String> = name.into_iter().chain(place).collect();
        match more.is_empty() {
            true => self.word().to_owned(),
            false => format!("{} · {}", self.word(), more.join(", ")),
        }
    }

    /// Who is in charge once `data` has happened, as a lane reads its session's events. A handoff and a
    /// return count by themselves, also where the gateway's numbers put them before the event that
    /// says what they led to.
    pub fn follow(&mut self, data: &Data) {
        match data {
            Data::SessionState(state) => *self = state.controller.clone(),
            Data::HandoffRequested(_) if !self.is_people() => *self = Controller::queued(None),
            Data::SessionReturned(returned) if *self != Controller::Assistant => {
                *self = Controller::Returned {
                    by: returned.by().to_owned(),
                };
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_charge_is_a_word_with_what_a_rep_must_know() {
        let rep = |name: Option<&str>| Controller::Rep {
            target: "desk".into(),
            name: name.map(str::to_owned),
        };
        for (controller, here, elsewhere) in [
            (Controller::Assistant, "assistant", "assistant"),
            (Controller::queued(None), "queued", "queued"),
            (
                Controller::queued(Some("desk".into())),
                "queued",
                "queued · in desk",
            ),
            (rep(Some("Ana ")), "rep · Ana", "rep · Ana, in desk"),
            (rep(Some(" ")), "rep", "rep · in desk"),
            (rep(None), "rep", "rep · in desk"),
            (
                Controller::Returned { by: "desk".into() },
                "returned",
                "returned",
            ),
        ] {
            assert_eq!(controller.line("desk"), here);
            assert_eq!(controller.line("crm"), elsewhere);
        }
    }
}
