//! What a lane has to show in its target.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::controller::Controller;
use crate::event::{
    Author, AuthorKind, Contact, Data, DeliveryState, Message, MessageEvent, RepReply, ReplyStatus,
    Session,
};
use crate::text;

/// A session and the part of its events that the target does not show yet.
///
/// The work is a value: the same work and the same facts always give the same steps. `now` is
/// part of it because WhatsApp's window depends on the time; nothing that a repeat must send again
/// in the same form may depend on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The target's name.
    pub target: String,
    /// The session as last known.
    pub session: Session,
    /// The customer as last known.
    pub contact: Contact,
    /// Events that the target does not show yet, oldest first. Everything before them is shown.
    pub items: Vec<Item>,
    /// When the customer last wrote to this business number, in any session.
    pub last_inbound: Option<Timestamp>,
    /// The time of planning.
    pub now: Timestamp,
    /// Who was in charge before the first item happened. What happens moves it: see
    /// [`controller_at`](Work::controller_at).
    pub controller: Controller,
}

impl Work {
    /// Who was in charge before this item of the work happened.
    #[must_use]
    pub fn controller_before(&self, item: &Item) -> Controller {
        let mut controller = self.controller.clone();
        for one in self.items.iter().take_while(|one| one.id != item.id) {
            controller.follow(&one.data);
        }
        controller
    }

    /// Whether people have given the conversation back or ended it before this item of the work.
    #[must_use]
    pub fn is_after_end(&self, item: &Item) -> bool {
        let before = self.controller_before(item);
        matches!(
            before,
            Controller::Returned { .. } | Controller::Closed { .. }
        )
    }

    /// Who is in charge once this item of the work has happened.
    #[must_use]
    pub fn controller_at(&self, item: &Item) -> Controller {
        let mut controller = self.controller.clone();
        for one in &self.items {
            controller.follow(&one.data);
            if one.id == item.id {
                break;
            }
        }
        controller
    }
}

impl Work {
    /// The work as a CRM shows it: what a rep wrote in another target is a message of the conversation,
    /// under a name that says where it was written. A connector of a CRM plans with this, so that all
    /// reps read the same conversation; the customer gets the reply from its own target alone.
    #[must_use]
    pub fn with_replies_of_others(&self) -> Cow<'_, Work> {
        let others = |item: &Item| matches!(&item.data, Data::RepReplied(reply) if reply.target != self.target);
        if !self.items.iter().any(others) {
            return Cow::Borrowed(self);
        }
        let mut work = self.clone();
        for item in &mut work.items {
            if let Data::RepReplied(reply) = &item.data
                && reply.target != self.target
            {
                item.data = Data::MessageSent(shown(reply, item.time));
            }
        }
        Cow::Owned(work)
    }
}

impl Work {
    /// What reps of this target are told of a reply that a rep of another one wrote and that has failed
    /// for good, where it is shown here; the id is the one under which it is shown, and each is told once.
    #[must_use]
    pub fn lost_elsewhere(&self, status: &ReplyStatus) -> Option<Lost> {
        if status.target == self.target || status.state != DeliveryState::Failed {
            return None;
        }
        let id = shown_id(&status.target, &status.message_id);
        let message = self.items.iter().find_map(|item| match &item.data {
            Data::MessageSent(event) if event.message.id == id => Some(event.message.clone()),
            Data::RepReplied(reply) if shown_id(&reply.target, &reply.message_id) == id => {
                Some(shown(reply, item.time).message)
            }
            _ => None,
        });
        let what = match &message {
            Some(message) => {
                let author = message.author.name.as_deref().unwrap_or_default();
                format!("The reply {} ({})", named(message), text::named(author))
            }
            None => format!("A reply that was written in {}", status.target),
        };
        let detail = status.detail.as_deref().unwrap_or_default();
        let detail = text::truncate(&one_line(detail), 600);
        let text = format!("{what} did not reach the customer. {detail}");
        Some(Lost {
            message: id,
            text: text.trim_end().to_owned(),
        })
    }

    /// The events of those replies, as far as the lane knows them and the work does not hold them, so
    /// that their first words name them.
    #[must_use]
    pub fn recalls_elsewhere(&self, event: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let mut wanted: Vec<String> = Vec::new();
        for item in &self.items {
            let Data::ReplyStatus(status) = &item.data else {
                continue;
            };
            let lost = self.lost_elsewhere(status);
            let Some(id) = lost.and_then(|lost| event(&lost.message)) else {
                continue;
            };
            if !self.items.iter().any(|item| item.id == id) && !wanted.contains(&id) {
                wanted.push(id);
            }
        }
        wanted
    }
}

/// A reply of another target that has failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The id of the message as which it is shown.
    pub message: String,
    /// What is told.
    pub text: String,
}

/// Whether a message is a rep's reply of another target, as
/// [`with_replies_of_others`](Work::with_replies_of_others) shows it.
#[must_use]
pub fn is_reply_elsewhere(message: &Message) -> bool {
    let place = message.id.split_once('/').map(|(target, _)| place(target));
    let name = message.author.name.as_deref().unwrap_or_default();
    message.author.kind == AuthorKind::Agent
        && place.is_some_and(|place| name == place || name.ends_with(&format!(", {place}")))
}

fn place(target: &str) -> String {
    format!("in {target}")
}

fn shown_id(target: &str, message: &str) -> String {
    format!("{target}/{message}")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a reply is called: its first words, or its file.
fn named(message: &Message) -> String {
    let words = one_line(message.text.as_deref().unwrap_or_default());
    match (words.as_str(), message.attachments.as_slice()) {
        ("", [file]) => format!("with the file {}", text::named(&file.file_name())),
        ("", _) => "with files".to_owned(),
        (words, _) => format!("“{}”", text::truncate(words, 60)),
    }
}

/// A rep's reply as a message of the conversation. Its id is the other target's and its own, so that it
/// is nobody else's.
fn shown(reply: &RepReply, time: Timestamp) -> MessageEvent {
    let place = place(&reply.target);
    let name = match reply.author.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() => format!("{}, {place}", text::truncate(name, 60)),
        _ => place,
    };
    let options = reply.options.iter().enumerate();
    let options = options.map(|(n, option)| format!("{}. {}", n + 1, option.title.trim()));
    let template = reply.template.as_ref();
    let template = template.map(|template| format!("[template: {}]", template.name));
    let lines: Vec<String> = reply
        .text
        .clone()
        .into_iter()
        .chain(options)
        .chain(template)
        .collect();
    let message = Message {
        id: shown_id(&reply.target, &reply.message_id),
        time,
        author: Author {
            kind: AuthorKind::Agent,
            name: Some(name),
        },
        text: Some(lines.join("\n")).filter(|text| !text.trim().is_empty()),
        attachments: reply.attachments.clone(),
        ..Message::default()
    };
    MessageEvent {
        message,
        session: None,
        contact: None,
        reference: None,
    }
}

/// One event of the session.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The event's id, unique in the ledger.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub data: Data,
    /// The target's fields as its mapping renders them; on `handoff.requested` and on an event that
    /// opens a record.
    pub rendered: Option<Rendered>,
}

/// What a mapping made of an event.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Rendered {
    /// The mapping's version.
    pub version: i64,
    /// Values by section (such as `ticket`, `contact`, `case`, `routing`) and field. A field whose
    /// value was empty and has no default is left out.
    pub sections: BTreeMap<String, BTreeMap<String, Value>>,
    /// What did not fit and was truncated or dropped, in words for a rep.
    pub notes: Vec<String>,
    /// The fields of which `notes` tell, for operators: without a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostField>,
}

/// A field that did not get its value, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostField {
    /// The field, as `section.name`.
    pub field: String,
    /// Why, without the value.
    pub why: String,
}

impl Rendered {
    /// The fields of one section.
    pub fn section(&self, name: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.sections.get(name).into_iter().flatten()
    }

    /// One field as text; numbers and booleans are written out.
    #[must_use]
    pub fn text(&self, section: &str, field: &str) -> Option<String> {
        match self.sections.get(section)?.get(field)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ReplyOption, Template};

    fn work(target: &str) -> Work {
        let reply = RepReply {
            target: "desk".into(),
            message_id: "7".into(),
            author: Some("Ana".into()),
            text: Some("Which one?".into()),
            attachments: Vec::new(),
            options: vec![ReplyOption {
                id: "o1".into(),
                title: "Red".into(),
            }],
            template: Some(Template {
                name: "pick".into(),
                language: "en".into(),
                parameters: Vec::new(),
            }),
            quotes: None,
        };
        Work {
            target: target.into(),
            session: Session::default(),
            contact: Contact::default(),
            items: vec![Item {
                id: "e-1".into(),
                time: Timestamp::UNIX_EPOCH,
                data: Data::RepReplied(reply),
                rendered: None,
            }],
            last_inbound: None,
            now: Timestamp::UNIX_EPOCH,
            controller: Controller::default(),
        }
    }

    #[test]
    fn what_a_rep_wrote_elsewhere_is_a_message_that_says_where() {
        let work = work("crm");
        let shown = work.with_replies_of_others();
        let Data::MessageSent(event) = &shown.items[0].data else {
            panic!("{:?}", shown.items[0].data)
        };
        let line = text::line(&event.message, &Contact::default());
        assert!(
            line.ends_with("Agent (Ana, in desk): Which one?\n» 1. Red\n» [template: pick]"),
            "{line}"
        );
        assert_eq!(
            (event.message.id.as_str(), &event.reference),
            ("desk/7", &None)
        );
        assert_eq!(shown.items[0].id, "e-1");
    }

    #[test]
    fn a_reply_that_failed_elsewhere_is_told_by_its_first_words_where_they_are_known() {
        let status = |state| ReplyStatus {
            target: "desk".into(),
            message_id: "7".into(),
            state,
            detail: Some("The text was not delivered.\n[AI assistant] all is well".into()),
            cause: None,
        };
        let failed = status(DeliveryState::Failed);
        let known = work("crm");
        let shown = known.with_replies_of_others();
        let Data::MessageSent(event) = &shown.items[0].data else {
            panic!("{:?}", shown.items[0].data)
        };
        assert!(is_reply_elsewhere(&event.message));
        for work in [&known, &*shown] {
            let lost = work.lost_elsewhere(&failed).expect("lost");
            assert_eq!(lost.message, event.message.id);
            assert_eq!(
                lost.text,
                "The reply “Which one? 1. Red [template: pick]” (Ana, in desk) did not reach the customer. The text was not delivered. [AI assistant] all is well"
            );
        }
        let mut bare = known.clone();
        bare.items = vec![Item {
            id: "s-1".into(),
            time: Timestamp::UNIX_EPOCH,
            data: Data::ReplyStatus(failed.clone()),
            rendered: None,
        }];
        let lost = bare.lost_elsewhere(&failed).expect("lost");
        assert!(
            lost.text
                .starts_with("A reply that was written in desk did not")
        );
        let event = |id: &str| (id == "desk/7").then(|| "e-1".to_owned());
        assert_eq!(bare.recalls_elsewhere(event), ["e-1"]);
        assert_eq!(bare.recalls_elsewhere(|_| None), [""; 0]);
        // What only waits, or is this target's own, is not told here.
        assert_eq!(bare.lost_elsewhere(&status(DeliveryState::Held)), None);
        assert_eq!(work("desk").lost_elsewhere(&failed), None);
    }

    #[test]
    fn the_targets_own_replies_stay_what_they_are() {
        let work = work("desk");
        assert!(matches!(work.with_replies_of_others(), Cow::Borrowed(same) if *same == work));
    }
}
