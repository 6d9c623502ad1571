//! What a lane has to show in its target.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::controller::Controller;
use crate::event::{Author, AuthorKind, Contact, Data, Message, MessageEvent, RepReply, Session};
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

/// A rep's reply as a message of the conversation. Its id is the other target's and its own, so that it
/// is nobody else's.
fn shown(reply: &RepReply, time: Timestamp) -> MessageEvent {
    let place = format!("in {}", reply.target);
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
        id: format!("{}/{}", reply.target, reply.message_id),
        time,
        author: Author {
            kind: AuthorKind::Agent,
            name: Some(name),
        },
        text: Some(lines.join("\n")).filter(|text| !text.trim().is_empty()),
        attachments: reply.attachments.clone(),
        location: None,
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
    fn the_targets_own_replies_stay_what_they_are() {
        let work = work("desk");
        assert!(matches!(work.with_replies_of_others(), Cow::Borrowed(same) if *same == work));
    }
}
