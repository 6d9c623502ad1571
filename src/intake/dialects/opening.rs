//! Handoffs that no gateway asks for: by a customer's message, and the rules for it.

use handoffd_contract::event::{MessageEvent, Reasoning, Session};
use handoffd_contract::{Data, Event, Handoff};
use jiff::Timestamp;
use serde_json::Value;

use super::TRANSCRIPT;
use crate::config::{On, Opening};
use crate::intake::{Gate, Judged};
use crate::ledger::{Admission, Find};
use crate::mapping::dialect::{Dialect, at};

impl Gate {
    /// The handoff that a customer's message asks for, if it does.
    pub(super) fn asked(
        &self,
        dialect: &Dialect,
        admission: &Admission,
        body: &Value,
        now: Timestamp,
    ) -> Option<Judged> {
        let Data::MessageReceived(said) = &admission.event.data else {
            return None;
        };
        if !said.message.asks() {
            return None;
        }
        let rules = self.dialects.open.iter();
        let mut rules = rules.filter(|rule| {
            rule.dialects.is_empty() || rule.dialects.iter().any(|name| name == dialect.name())
        });
        let rule = rules.find(|rule| asks(rule, said, body))?;
        let event = handoff(&admission.event, said, rule)?;
        let mut asked = self.router.admission(event, now);
        asked.inbound_at = admission.inbound_at;
        asked.find = admission.find.clone().map(|find| Find {
            follows: true,
            unless_people: true,
            ours: Vec::new(),
            transcript: TRANSCRIPT,
            ..find
        });
        Some(Judged {
            admission: asked,
            warnings: Vec::new(),
        })
    }
}

/// Whether a message asks for people.
fn asks(rule: &Opening, said: &MessageEvent, body: &Value) -> bool {
    match &rule.on {
        On::First => true,
        On::Words(words) => {
            let text = said
                .message
                .text
                .as_deref()
                .unwrap_or_default()
                .to_lowercase();
            words.iter().any(|word| has_word(&text, word))
        }
        On::Field(place, values) => at(body, place).is_some_and(|found| values.contains(&found)),
    }
}

/// Whether a word or phrase stands in a text by itself; in writings without spaces, anywhere.
fn has_word(text: &str, word: &str) -> bool {
    let is_inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && c < '\u{2e80}');
    !word.is_empty()
        && text.match_indices(word).any(|(at, found)| {
            !is_inside(text[..at].chars().next_back())
                && !is_inside(text[at + found.len()..].chars().next())
        })
}

/// The handoff that follows from a message.
fn handoff(event: &Event, said: &MessageEvent, rule: &Opening) -> Option<Event> {
    let session = said.session.clone().unwrap_or_else(|| Session {
        id: event.session.clone(),
        channel: "whatsapp".to_owned(),
        ..Session::default()
    });
    let data = Handoff {
        session,
        contact: said.contact.clone()?,
        handoff: Reasoning {
            reasons: vec![rule.reason.clone()],
            requested_at: Some(event.time),
            ..Reasoning::default()
        },
        transcript: vec![said.message.clone()],
        ..Handoff::default()
    };
    Some(Event {
        id: format!("{}/handoff", event.id),
        source: event.source.clone(),
        session: event.session.clone(),
        time: event.time,
        sequence: None,
        warnings: Vec::new(),
        data: Data::HandoffRequested(Box::new(data)),
    })
}

#[cfg(test)]
mod tests {
    use super::has_word;

    #[test]
    fn a_word_stands_by_itself_and_a_phrase_anywhere_in_writings_without_spaces() {
        for (text, word, stands) in [
            ("an agent, please", "agent", true),
            ("agents", "agent", false),
            ("reagent", "agent", false),
            ("agent", "agent", true),
            ("quiero una persona!", "una persona", true),
            ("我想找人工客服谢谢", "人工客服", true),
            ("anything", "", false),
        ] {
            assert_eq!(has_word(text, word), stands, "{text} {word}");
        }
    }
}
