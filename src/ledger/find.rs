//! Whose session an event is that names none, as both ledgers decide it: what was found becomes an
//! admission to a session, or nothing.

use std::collections::HashSet;

use handoffd_contract::event::{AttachmentKind, RepReply};
use handoffd_contract::{Attachment, Data, Event, Message, Source};

use super::conversation::PEOPLE;
use super::rows;
use super::{Admission, Admitted, Find, Result};

/// At most so many bytes of a conversation's messages become a transcript.
pub(super) const TRANSCRIPT_BYTES: usize = 1 << 20;
/// At most so many replies of reps are held against a copy.
pub(super) const REPLIES: i64 = 20;
/// A copy of a reply comes within this time, in microseconds.
pub(super) const COPIED_WITHIN: i64 = 10 * 60 * 1_000_000;

/// A session of the customer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its id.
    pub id: String,
    /// The word for who is in charge; absent while nobody was asked for help.
    pub controller: Option<String>,
    /// When its last event came, in microseconds.
    pub last: Option<i64>,
}

/// What became of the search for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// This one, in which people are in charge or not.
    In(String, bool),
    /// A new one.
    New,
    /// None.
    Nowhere,
}

/// Whether people are in charge, by the word for who is.
pub(super) fn is_people(controller: Option<&str>) -> bool {
    controller.is_some_and(|controller| PEOPLE.contains(&controller))
}

/// The session of the customer's in which an event belongs; `candidates` are their sessions, the one in
/// which they wrote last first.
pub(super) fn place(find: &Find, candidates: &[Candidate], now: i64) -> Place {
    let idle = i64::try_from(find.idle.as_micros()).unwrap_or(i64::MAX);
    let is_people = |one: &Candidate| is_people(one.controller.as_deref());
    let is_open = |one: &&Candidate| {
        let is_closed = one.controller.as_deref() == Some("closed");
        let is_over = one.last.is_none_or(|last| now.saturating_sub(last) > idle);
        is_people(one) || !is_closed && !is_over
    };
    let open = candidates.iter().find(is_open);
    // What tells of a conversation tells of it also when it is over.
    let any = candidates.first().filter(|_| !find.begins);
    match open.or(any) {
        Some(one) => Place::In(one.id.clone(), is_people(one)),
        None if find.begins => Place::New,
        None => Place::Nowhere,
    }
}

impl Find {
    /// Whether it is for somebody while people are in charge, or are not.
    pub(super) fn is_wanted(&self, is_people: bool) -> bool {
        if is_people {
            !self.unless_people
        } else {
            !self.only_people
        }
    }
}

/// Admissions whose sessions are found, and the place of each that is for nobody or was there already.
/// What was found and may decide where the next one belongs is stored before that is looked for.
#[derive(Default)]
pub(super) struct Found {
    /// To be stored, in order.
    pending: Vec<Admission>,
    /// Whether one of them named its session itself.
    is_named: bool,
    /// The customers of the others.
    customers: HashSet<String>,
    /// What became of each that came; `None` of one that is to be stored.
    told: Vec<Option<Admitted>>,
    /// The session of the last one, and whether people have it; `None` when that one is not stored anew.
    last: Option<(String, bool)>,
    /// New sessions by the first customer's key and number, so that what comes together stays together.
    begun: Vec<(Find, String)>,
}

impl Found {
    /// Stores one that names its session.
    pub fn named(&mut self, admission: Admission) {
        self.is_named = true;
        let session = admission.event.session.clone();
        self.admit(admission, &session, false);
    }

    /// Stores one in the session that was found for it.
    pub fn found(&mut self, admission: Admission, find: &Find, session: &str, is_people: bool) {
        self.customers.extend(find.customers.iter().cloned());
        self.admit(admission, session, is_people);
    }

    fn admit(&mut self, mut admission: Admission, session: &str, is_people: bool) {
        assign(&mut admission, session);
        self.last = Some((session.to_owned(), is_people));
        self.pending.push(admission);
        self.told.push(None);
    }

    /// Leaves one out.
    pub fn leave(&mut self, why: Admitted) {
        self.last = None;
        self.told.push(Some(why));
    }

    /// Whether what is to be stored may decide where this one belongs: it may be of the same customer. One
    /// that goes with the one before it needs no look.
    pub fn decides(&self, find: &Find) -> bool {
        let is_known = |customer: &String| self.customers.contains(customer);
        !find.follows && (self.is_named || find.customers.iter().any(is_known))
    }

    /// What is to be stored now.
    pub fn pending(&self) -> &[Admission] {
        &self.pending
    }

    /// It is stored: the ledger knows of the sessions that began.
    pub fn stored(&mut self, admitted: Vec<Admitted>) {
        let mut admitted = admitted.into_iter();
        for told in self.told.iter_mut().filter(|told| told.is_none()) {
            *told = Some(admitted.next().unwrap_or(Admitted::Duplicate));
        }
        self.pending.clear();
        self.customers.clear();
        self.begun.clear();
        self.is_named = false;
    }

    /// The session of the one before, if that is stored anew, and whether people have it.
    pub fn last(&self) -> Option<(String, bool)> {
        self.last.clone()
    }

    /// The session that began with an earlier one of the same customer's.
    pub fn begun(&self, find: &Find) -> Option<String> {
        let same = |(known, _): &&(Find, String)| {
            known
                .numbers
                .iter()
                .any(|number| find.numbers.contains(number))
                && known
                    .customers
                    .iter()
                    .any(|key| find.customers.contains(key))
        };
        self.begun
            .iter()
            .find(same)
            .map(|(_, session)| session.clone())
    }

    /// Remembers that a session begins.
    pub fn begin(&mut self, find: &Find, session: &str) {
        self.begun.push((find.clone(), session.to_owned()));
    }

    /// What became of each that came. Everything is stored.
    pub fn told(self) -> Vec<Admitted> {
        let told = self.told.into_iter();
        told.map(|told| told.unwrap_or(Admitted::Duplicate))
            .collect()
    }
}

/// Puts an event into a session.
fn assign(admission: &mut Admission, session: &str) {
    admission.find = None;
    admission.event.session = session.to_owned();
    if let Some(about) = &mut admission.session {
        about.id = session.to_owned();
    }
    match &mut admission.event.data {
        Data::HandoffRequested(handoff) => handoff.session.id = session.to_owned(),
        Data::MessageReceived(said) | Data::MessageSent(said) => {
            if let Some(about) = &mut said.session {
                about.id = session.to_owned();
            }
        }
        _ => {}
    }
}

/// Gives a handoff the messages of its conversation, oldest first, before those that it has.
pub(super) fn fill(admission: &mut Admission, bodies: &[String]) -> Result<()> {
    let Data::HandoffRequested(handoff) = &mut admission.event.data else {
        return Ok(());
    };
    let mut messages: Vec<Message> = Vec::new();
    for body in bodies {
        if let Data::MessageReceived(said) | Data::MessageSent(said) =
            rows::decode::<Event>(body)?.data
        {
            messages.push(said.message);
        }
    }
    messages.append(&mut handoff.transcript);
    let mut seen = HashSet::new();
    messages.retain(|message| seen.insert(message.id.clone()));
    handoff.transcript = messages;
    Ok(())
}

/// Whether a message is what a rep wrote before, in the form in which it went out: the gateway's copy of
/// it, which may be faster than the answer that says under which id it was sent.
pub(super) fn is_copy(event: &Event, replies: &[String]) -> Result<bool> {
    let Data::MessageSent(said) = &event.data else {
        return Ok(false);
    };
    for body in replies {
        if let Data::RepReplied(reply) = rows::decode::<Event>(body)?.data
            && (is_text_of(&said.message, &reply) || is_file_of(&said.message, &reply))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A text that is shorter than this is no piece of a longer one.
const PIECE: usize = 200;

/// Whether a message is a reply's text: all of it, a piece, with its options, or the address of its file.
fn is_text_of(message: &Message, reply: &RepReply) -> bool {
    let text = message.text.as_deref().map(str::trim).unwrap_or_default();
    if text.is_empty() {
        return false;
    }
    let whole = reply.text.as_deref().map(str::trim).unwrap_or_default();
    let has_options = !reply.options.is_empty()
        && text.starts_with(whole)
        && reply
            .options
            .iter()
            .all(|option| text.contains(option.title.trim()));
    // Some tell a file by its caption alone.
    let has_caption = reply
        .attachments
        .iter()
        .any(|file| file.caption.as_deref().map(str::trim) == Some(text));
    let has_address = reply.attachments.iter().any(|file| match &file.source {
        Some(Source::Url { url }) => text.ends_with(url.as_str()),
        _ => false,
    });
    text == whole
        || text.len() >= PIECE && whole.contains(text)
        || has_options
        || has_caption
        || has_address
}

/// Whether a message is a reply's file, by what gateways tell of one: its caption, and its name, else its
/// kind.
fn is_file_of(message: &Message, reply: &RepReply) -> bool {
    let plain = |text: Option<&String>| text.map(|text| text.trim().to_owned()).unwrap_or_default();
    // Some tell the caption as the message's text.
    let caption = |file: &Attachment| match plain(file.caption.as_ref()) {
        caption if caption.is_empty() => plain(message.text.as_ref()),
        caption => caption,
    };
    let same = |sent: &Attachment, file: &Attachment| {
        let (name, other) = (plain(sent.name.as_ref()), plain(file.name.as_ref()));
        let is_it = match name.is_empty() || other.is_empty() {
            true => family(sent) == family(file),
            false => name == other,
        };
        is_it && caption(sent) == plain(file.caption.as_ref())
    };
    let sent = message.attachments.iter();
    let mut sent = sent.filter(|sent| reply.attachments.iter().any(|file| same(sent, file)));
    sent.next().is_some()
}

/// What a file is, as far as every gateway tells it.
fn family(file: &Attachment) -> &str {
    let mime = file.mime.as_deref().and_then(|mime| mime.split('/').next());
    match (mime, file.kind) {
        (Some("image"), _) | (_, AttachmentKind::Image | AttachmentKind::Sticker) => "image",
        (Some("video"), _) | (_, AttachmentKind::Video) => "video",
        (Some("audio"), _) | (_, AttachmentKind::Audio | AttachmentKind::Voice) => "audio",
        _ => "document",
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn find(begins: bool) -> Find {
        Find {
            named: false,
            numbers: vec!["+49".to_owned()],
            customers: vec!["491".to_owned()],
            begins,
            idle: SignedDuration::from_hours(24),
            follows: false,
            unless_people: false,
            only_people: false,
            ours: Vec::new(),
            transcript: 0,
        }
    }

    fn one(id: &str, controller: Option<&str>, hours: i64) -> Candidate {
        Candidate {
            id: id.to_owned(),
            controller: controller.map(str::to_owned),
            last: Some(-hours * 3_600_000_000),
        }
    }

    #[test]
    fn the_open_conversation_goes_on_else_a_new_one_begins() {
        let people = |id: &str| Place::In(id.to_owned(), true);
        let bot = |id: &str| Place::In(id.to_owned(), false);
        let at = |begins, of: &[Candidate]| place(&find(begins), of, 0);
        assert_eq!(at(true, &[]), Place::New);
        assert_eq!(at(true, &[one("a", None, 1)]), bot("a"));
        assert_eq!(
            at(true, &[one("a", None, 25)]),
            Place::New,
            "nothing was said for a day"
        );
        assert_eq!(
            at(true, &[one("a", Some("rep"), 900)]),
            people("a"),
            "people have it"
        );
        assert_eq!(at(true, &[one("a", Some("closed"), 1)]), Place::New);
        assert_eq!(at(true, &[one("a", Some("returned"), 1)]), bot("a"));
        assert_eq!(
            at(
                true,
                &[one("b", Some("closed"), 1), one("a", Some("queued"), 2)]
            ),
            people("a")
        );
        assert_eq!(at(false, &[]), Place::Nowhere);
        assert_eq!(
            at(false, &[one("a", Some("closed"), 900)]),
            bot("a"),
            "a late status"
        );
    }

    #[test]
    fn what_a_gateway_repeats_of_a_reply_is_a_copy_in_every_form() {
        let url = "https://files.example.com/label.pdf";
        let reply = serde_json::json!({"target": "crm", "message_id": "1", "text": "Which one?",
            "options": [{"id": "a", "title": "Red"}, {"id": "b", "title": "Blue"}],
            "attachments": [{"id": "f", "kind": "document", "mime": "application/pdf", "name": "label.pdf",
                "source": {"from": "url", "url": url}}, {"id": "p", "kind": "image", "caption": "look"}]});
        let reply: RepReply = serde_json::from_value(reply).expect("a reply");
        let message = |fields: serde_json::Value| {
            let mut message = serde_json::json!({"id": "m", "time": "2026-01-01T00:00:00Z", "author": {"kind": "assistant"}});
            for (name, value) in fields.as_object().expect("fields") {
                message[name] = value.clone();
            }
            serde_json::from_value::<Message>(message).expect("a message")
        };
        let file = |fields| message(serde_json::json!({"attachments": [fields]}));
        let is_copy =
            |message: &Message| is_text_of(message, &reply) || is_file_of(message, &reply);
        for copy in [
            message(serde_json::json!({"text": " Which one? "})),
            message(serde_json::json!({"text": "Which one?\n1. Red\n2. Blue"})),
            message(serde_json::json!({"text": format!("label.pdf: {url}")})),
            message(serde_json::json!({"text": "look"})),
            file(serde_json::json!({"id": "1", "kind": "document", "name": "label.pdf"})),
            file(serde_json::json!({"id": "1", "mime": "image/jpeg", "caption": "look"})),
            message(
                serde_json::json!({"text": "look", "attachments": [{"id": "1", "kind": "image"}]}),
            ),
        ] {
            assert!(is_copy(&copy), "{copy:?}");
        }
        for other in [
            message(serde_json::json!({"text": "Which one is it?"})),
            message(serde_json::json!({"text": "Which one?\n1. Red"})),
            message(serde_json::json!({"text": ""})),
            file(serde_json::json!({"id": "1", "kind": "document", "name": "other.pdf"})),
            file(serde_json::json!({"id": "1", "mime": "image/jpeg"})),
            file(serde_json::json!({"id": "1", "kind": "video", "caption": "look"})),
        ] {
            assert!(!is_copy(&other), "{other:?}");
        }
        let long = RepReply {
            text: Some("word ".repeat(1_000)),
            options: Vec::new(),
            ..reply
        };
        let piece = message(serde_json::json!({"text": "word ".repeat(300)}));
        assert!(is_text_of(&piece, &long));
        assert!(!is_text_of(
            &message(serde_json::json!({"text": "word"})),
            &long
        ));
    }
}
