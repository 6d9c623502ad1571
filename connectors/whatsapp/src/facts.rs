//! What planning looks at: the settings, the work, the facts, and the names of the facts.

use std::collections::BTreeMap;

use handoffd_contract::event::{DeliveryState, RepReply, ReplyStatus};
use handoffd_contract::lane::{AGAIN, again_fact};
use handoffd_contract::{Call, Data, Item, Known, Record, Repeat, Settled, Step, Work, ids};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::parts::{self, Content, FALLBACK_SLOT, Part};
use crate::settings::{Fallback, Settings};

/// Fact: the newest message of the customer for which WhatsApp has said that the window is closed.
pub(crate) const CLOSED: &str = "closed";
/// Fact: the template that the handoff's mapping chose for texts outside the window, as JSON.
pub(crate) const TEMPLATE: &str = "template";
/// Fact: the last message that was accepted, `<reference> <when>`.
pub(crate) const LAST: &str = "last";
/// Fact: the customer's newest message, `<when> <id>`; kept where reps' activity is shown.
pub(crate) const INBOUND: &str = "inbound";

/// The id of one message of a reply on WhatsApp's side; refused when it will not be sent.
pub(crate) fn sent(item: &str, slot: &str) -> String {
    format!("sent/{item}/{slot}")
}

/// The event of the reply whose message this `sent/…` fact is.
pub(crate) fn item(sent: &str) -> &str {
    let rest = sent.strip_prefix("sent/").unwrap_or(sent);
    rest.rsplit_once('/').map_or(rest, |(item, _)| item)
}

/// WhatsApp's code for the refusal of the message with this `sent/…` fact.
pub(crate) fn code(sent: &str) -> String {
    format!("code/{}", sent.trim_start_matches("sent/"))
}

/// The media id of a file of a reply; refused when WhatsApp does not take the file.
pub(crate) fn media(item: &str, slot: &str) -> String {
    format!("media/{item}/{slot}")
}

/// The id that a message has before it is sent; refused where the gateway gives none.
pub(crate) fn known_id(item: &str, slot: &str) -> String {
    format!("id/{item}/{slot}")
}

/// What a reference of ours belongs to, a [`Sent`] as JSON.
pub(crate) fn reference(reference: &str) -> String {
    format!("ref/{reference}")
}

/// The reference that WhatsApp's id belongs to.
pub(crate) fn wamid(id: &str) -> String {
    format!("wamid/{id}")
}

/// How far the message with this reference has come.
pub(crate) fn state(reference: &str) -> String {
    format!("state/{reference}")
}

/// A reply whose messages have all been dealt with, a [`Done`] as JSON.
pub(crate) fn done(item: &str) -> String {
    format!("done/{item}")
}

/// The rep was told that the customer got the reply in another form.
pub(crate) fn changed(item: &str) -> String {
    format!("changed/{item}")
}

/// How far a whole reply has come, as the rep was told.
pub(crate) fn told(item: &str) -> String {
    format!("told/{item}")
}

/// A message that WhatsApp took and then failed because the window was closed: its code. The message is
/// sent once more, under the slot of [`resent`].
pub(crate) fn again(item: &str, slot: &str) -> String {
    format!("again/{item}/{slot}")
}

/// The slot of a message that is sent once more. It has its own reference and its own facts, so that
/// nothing that is said of the first one counts for it.
pub(crate) fn resent(slot: &str) -> String {
    format!("{slot}r")
}

/// A reply that was dealt with and has messages to be sent once more: [`AGAIN`], then `closed`.
pub(crate) fn reopened(item: &str) -> String {
    again_fact(item)
}

/// The rep was told that the reply waits.
pub(crate) fn held(item: &str) -> String {
    format!("held/{item}")
}

/// The rep was told that the reply waits, for this cause.
pub(crate) fn waits(item: &str, cause: &str) -> String {
    format!("waits/{item}/{cause}")
}

/// Since when the reply waits for something that passes by itself.
pub(crate) fn since(item: &str) -> String {
    format!("since/{item}")
}

/// By this event the rep was told that WhatsApp has said nothing of a reply.
pub(crate) fn unconfirmed(item: &str) -> String {
    format!("unconfirmed/{item}")
}

/// What a rep did is shown to the customer, or is not worth it any more.
pub(crate) fn activity(item: &str) -> String {
    format!("activity/{item}")
}

/// No reply stands before this ending any more, and that was said.
pub(crate) fn passed(item: &str) -> String {
    format!("passed/{item}")
}

/// What a reference belongs to: enough to tell the rep when the reply is long gone from the work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// The target whose rep wrote.
    pub(crate) target: String,
    /// The CRM's id of the reply.
    pub(crate) message: String,
    /// The reply's event.
    pub(crate) item: String,
    /// The part.
    pub(crate) slot: String,
    /// What the rep is told that it was.
    pub(crate) label: String,
    /// It is no reply but a notice of our own: no rep is told of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) notice: bool,
}

/// A reply that was dealt with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Done {
    /// The target whose rep wrote.
    pub(crate) target: String,
    /// The CRM's id of the reply.
    pub(crate) message: String,
    /// The references of its messages.
    pub(crate) refs: Vec<String>,
}

/// How WhatsApp's window stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Window {
    /// Free text may leave until then (the margin taken off).
    Open(Timestamp),
    /// It closed then; `None` when the customer has never written or WhatsApp says that it is closed.
    Closed(Option<Timestamp>),
}

impl Window {
    /// Until when free text may leave; `None` where it may not, and where no window closes.
    pub(crate) fn until(self) -> Option<Timestamp> {
        match self {
            Window::Open(until) if until < Timestamp::MAX => Some(until),
            Window::Open(_) | Window::Closed(_) => None,
        }
    }
}

/// The settings, the work and the facts of one lane.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) work: &'a Work,
    pub(crate) known: &'a Known,
}

impl<'a> Lane<'a> {
    /// How the window stands at the time of planning.
    pub(crate) fn window(&self) -> Window {
        if !self.settings.has_window() {
            return Window::Open(Timestamp::MAX);
        }
        let Some(last) = self.work.last_inbound else {
            return Window::Closed(None);
        };
        if self
            .known
            .get(CLOSED)
            .is_some_and(|said| said.parse::<Timestamp>().is_ok_and(|at| last <= at))
        {
            return Window::Closed(None);
        }
        let end = last
            .saturating_add(SignedDuration::from_hours(24))
            .unwrap_or(Timestamp::MAX);
        let until = end
            .saturating_sub(self.settings.window_margin)
            .unwrap_or(end);
        if self.work.now < until {
            Window::Open(until)
        } else {
            Window::Closed(Some(end))
        }
    }

    /// Whether a reply was dealt with, and nothing of it is to be sent once more.
    pub(crate) fn is_done(&self, item: &str) -> bool {
        self.known.is(&done(item)) && self.known.get(&reopened(item)) != Some(AGAIN)
    }

    /// Our own id of one message of a reply.
    pub(crate) fn reference(&self, item: &str, slot: &str) -> String {
        ids::short(&[&self.work.session.id, item, slot])
    }

    /// The messages of a reply, in the form in which they leave now.
    ///
    /// When the window is closed and a template can stand for the text, the text's parts give way to
    /// the template, unless one of them was tried. Once the template was tried it stays.
    pub(crate) fn parts(&self, item: &Item, reply: &RepReply, window: Window) -> Vec<Part> {
        let mut parts = parts::parts(reply, self.settings);
        for part in &mut parts {
            if self.known.is(&again(&item.id, &part.slot)) {
                part.slot = resent(&part.slot);
            }
        }
        let template_tried = !self.known.absent(&sent(&item.id, FALLBACK_SLOT));
        let is_text = |part: &Part| matches!(part.content, Content::Text(_) | Content::Choice(_));
        let text_tried = parts
            .iter()
            .any(|part| is_text(part) && !self.known.absent(&sent(&item.id, &part.slot)));
        let closed = matches!(window, Window::Closed(_)) && self.settings.use_template;
        if template_tried || (closed && !text_tried) {
            let language = self.work.session.language.as_deref();
            let template = self
                .fallback()
                .and_then(|template| parts::fallback(reply, &template, language));
            if let Some(template) = template {
                parts.retain(|part| !is_text(part));
                parts.push(template);
            }
        }
        parts
    }

    /// The template for texts outside the window: the mapping's, else the settings'.
    pub(crate) fn fallback(&self) -> Option<Fallback> {
        let mapped = self
            .known
            .get(TEMPLATE)
            .and_then(|json| serde_json::from_str::<Mapped>(json).ok());
        match mapped {
            Some(mapped) => Some(Fallback {
                name: mapped.name,
                language: mapped.language,
                languages: BTreeMap::new(),
                parameters: mapped.parameters,
            }),
            None => self.settings.fallback.clone(),
        }
    }
}

/// The mapping's section `template`, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mapped {
    /// The template's name.
    pub(crate) name: String,
    /// Its language.
    pub(crate) language: String,
    /// Its body parameters; `{reply}` stands for the rep's text.
    pub(crate) parameters: Vec<String>,
}

/// A step that only writes facts and events.
pub(crate) fn record(
    name: &'static str,
    facts: Vec<(String, Settled)>,
    events: Vec<(String, Data)>,
) -> Step {
    Step::new(name, Repeat::Keyed, Call::Record(Record { facts, events }))
}

/// The event that tells a rep how far a reply has come.
pub(crate) fn tell(
    target: &str,
    message: &str,
    state: DeliveryState,
    detail: Option<String>,
) -> Data {
    Data::ReplyStatus(ReplyStatus {
        target: target.to_owned(),
        message_id: message.to_owned(),
        state,
        detail,
        cause: None,
    })
}

/// A time for people.
pub(crate) fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M UTC")
        .to_string()
}

/// A value of ours as the text of a fact.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).unwrap_or_default().to_string()
}
