//! What became of a rep's reply: in the ticket's property for the last reply, and, once something is
//! wrong with a reply, in one note of its own that is brought up to date.

use handoffd_contract::event::{DeliveryState, MessageEvent, RepReply, ReplyStatus};
use handoffd_contract::text::{quoted, stamp, truncate};
use handoffd_contract::{Call, Data, Fact, HttpCall, Item, Method, Record, Repeat, Step, Work};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::Plan;
use super::notes::{self, Kind, Note};
use crate::facts;
use crate::settings::Field;
use crate::words::{self, Block};

/// How much of a reply names it.
const NAME: usize = 60;

/// The replies that the statuses of this work are about: those that were heard before it.
pub fn recalled(work: &Work, known: &handoffd_contract::Known) -> Vec<String> {
    // The note that shows a reply of another target is a fact of the reply's event.
    let mut wanted = work.recalls_elsewhere(|message| {
        let shown = known.get(&facts::said(message))?;
        let (note, _) = known.under("note/").find(|(_, value)| *value == shown)?;
        Some(note.rsplit_once('/')?.0.to_owned())
    });
    for item in &work.items {
        let Data::ReplyStatus(status) = &item.data else {
            continue;
        };
        let Some(heard) = known
            .get(&facts::reply(&status.message_id))
            .filter(|_| status.target == work.target)
        else {
            continue;
        };
        let is_here = work.items.iter().any(|item| item.id == heard);
        if !is_here && !wanted.iter().any(|id| id == heard) {
            wanted.push(heard.to_owned());
        }
    }
    wanted
}

/// A state in words: the property's word, and the note's label and sentence.
struct Words {
    word: &'static str,
    title: &'static str,
    default: &'static str,
    /// Whether the writer must be told where they look.
    is_trouble: bool,
}

fn words_for(status: &ReplyStatus) -> Words {
    let (word, title, default, is_trouble) = match status.state {
        DeliveryState::Held if status.may_have_arrived() => (
            "outcome unknown",
            "Not known whether it reached WhatsApp",
            "Somebody has to look before anything else is sent.",
            true,
        ),
        DeliveryState::Held => (
            "waiting",
            "Not delivered to WhatsApp yet",
            "The reply waits and goes out when it can.",
            true,
        ),
        DeliveryState::Failed => (
            "failed",
            "Not delivered to WhatsApp",
            "WhatsApp did not take the reply.",
            true,
        ),
        DeliveryState::Sent if status.is_unconfirmed() => (
            "unconfirmed",
            "Sent, not confirmed by WhatsApp",
            "WhatsApp has said nothing of the reply.",
            true,
        ),
        // What is said of a reply that went in another form than it was written must be read.
        DeliveryState::Sent => (
            "sent",
            "Sent to WhatsApp",
            "It has been sent.",
            status.settles(),
        ),
        DeliveryState::Delivered => (
            "delivered",
            "Delivered to WhatsApp",
            "The reply has reached the customer.",
            false,
        ),
        DeliveryState::Read => (
            "read",
            "Delivered to WhatsApp",
            "The customer has read the reply.",
            false,
        ),
    };
    Words {
        word,
        title,
        default,
        is_trouble,
    }
}

impl Plan<'_> {
    /// A rep's reply was heard: its writer sees that, and later states find it.
    pub(super) fn replied(&self, item: &Item, reply: &RepReply) -> Vec<Step> {
        let Some(ticket) = self
            .known
            .get(facts::TICKET)
            .filter(|_| reply.target == self.work.target)
        else {
            return Vec::new();
        };
        let heard = facts::reply(&reply.message_id);
        let mut steps = Vec::new();
        if !self.known.is(&heard) {
            let facts = vec![
                (heard, item.id.clone().into()),
                (
                    facts::LAST_REPLY.to_owned(),
                    reply.message_id.clone().into(),
                ),
            ];
            let record = Record {
                facts,
                events: Vec::new(),
            };
            steps.push(Step::new(
                "reply.heard",
                Repeat::Keyed,
                Call::Record(record),
            ));
        }
        let value = format!("accepted · {}", named(item, reply, &self.settings.zone));
        steps.extend(self.touch(item, ticket, vec![(Field::ReplyState, value)]));
        steps
    }

    pub(super) fn reply_status(&self, item: &Item, status: &ReplyStatus) -> Vec<Step> {
        let Some(ticket) = self
            .known
            .get(facts::TICKET)
            .filter(|_| status.target == self.work.target)
        else {
            return Vec::new();
        };
        let words = words_for(status);
        let detail = status
            .detail
            .as_deref()
            .filter(|detail| !detail.trim().is_empty());
        let name = self.reply_name(&status.message_id);
        let mut steps = self.status_noted(item, status, ticket, &words, detail, name.as_deref());
        // Of a reply that cannot be sent, such as a picture alone, nothing was heard before.
        let last = self.known.get(facts::LAST_REPLY);
        let is_last = last == Some(status.message_id.as_str())
            || words.is_trouble && !self.known.is(&facts::reply(&status.message_id));
        if is_last && !steps.iter().any(|step| step.name == "ticket.check") {
            // Why stands in the note.
            let value = match name {
                Some(name) => format!("{} · {name}", words.word),
                None => words.word.to_owned(),
            };
            steps.extend(self.touch(item, ticket, vec![(Field::ReplyState, value)]));
        }
        steps
    }

    /// A reply that a rep of another target wrote, and that this ticket shows, has failed for good.
    pub(super) fn lost_elsewhere(&self, item: &Item, status: &ReplyStatus) -> Vec<Step> {
        let Some(lost) = self.work.lost_elsewhere(status) else {
            return Vec::new();
        };
        if !self.known.is(&facts::said(&lost.message)) {
            return Vec::new();
        }
        let fact = facts::lost(&lost.message);
        self.told_once(fact, item, "Not delivered to WhatsApp", &lost.text)
    }

    /// What the platform confirms is a reply that is shown already: no transcript shows it once more.
    pub(super) fn confirmed(&self, said: &MessageEvent) -> Option<Step> {
        self.known.get(facts::TICKET)?;
        let fact = facts::said(&said.message.id);
        (!self.known.is(&fact)).then(|| noted_down("reply.confirmed", vec![(fact, "-".to_owned())]))
    }

    /// The next step towards the note of a reply: made when something is wrong with the reply for the
    /// first time, and brought up to date from then on.
    fn status_noted(
        &self,
        item: &Item,
        status: &ReplyStatus,
        ticket: &str,
        words: &Words,
        detail: Option<&str>,
        name: Option<&str>,
    ) -> Vec<Step> {
        let told = facts::told(&status.message_id, &item.id);
        let noted = facts::status_note(&status.message_id);
        let record = self.fact(&noted);
        if self.known.is(&told) {
            return Vec::new();
        }
        // Settled before a later state makes the note, which must not be set back to this one.
        if record.is_none() && !words.is_trouble {
            return vec![noted_down("reply.well", vec![(told, "-".to_owned())])];
        }
        if let Some(step) = self.doubt(ticket, &[], Value::Null) {
            return vec![step];
        }
        let detail = truncate(detail.unwrap_or(words.default), 2_000);
        let mut blocks = Block::labelled(words.title, &detail);
        // What was wrong before stays to be read.
        let troubles = facts::trouble(&status.message_id);
        let own = format!("{:015}/{}", item.time.as_millisecond().max(0), item.id);
        let before = self.known.under(&troubles).filter(|(at, _)| *at != own);
        let before = before.last().map(|(_, before)| before);
        if let Some(before) = before.filter(|before| *before != detail) {
            blocks.extend(Block::labelled("Before", before));
        }
        let mut steps = Vec::new();
        let own = format!("{troubles}{own}");
        if words.is_trouble && !self.known.is(&own) {
            steps.push(noted_down("reply.trouble", vec![(own, detail)]));
        }
        if let Some(name) = name {
            blocks.extend(Block::labelled("Reply", name));
        }
        let clock = self.clock(item, item.time, 1);
        let id = match record {
            Some(Fact::Is(record)) => record.rsplit(':').next().unwrap_or_default(),
            _ => {
                let note = Note::new(noted, Kind::Note, "", blocks).settles(told);
                steps.extend(self.show(&[note], &clock, ticket));
                return steps;
            }
        };
        // Its date moves with it, so that the news stands where the rep looks.
        let body = words::note(None, &blocks, &self.marker(&noted));
        let properties = json!({"hs_note_body": body, "hs_timestamp": notes::iso(clock.base())});
        let call = HttpCall::new(Method::Patch, self.settings.paths.one("notes", id))
            .json(json!({"properties": properties}));
        let context = json!({"note": noted, "clock": clock.fact()});
        let update = Step::new("note.update", Repeat::Keyed, call)
            .claim_as(told, "done")
            .context(context);
        steps.push(update);
        steps
    }

    /// What a reply is called: its first words and its time.
    fn reply_name(&self, message: &str) -> Option<String> {
        self.work.items.iter().find_map(|item| match &item.data {
            Data::RepReplied(reply)
                if reply.message_id == message && reply.target == self.work.target =>
            {
                Some(named(item, reply, &self.settings.zone))
            }
            _ => None,
        })
    }
}

fn noted_down(name: &'static str, facts: Vec<(String, String)>) -> Step {
    let settled = facts.into_iter().map(|(name, value)| (name, value.into()));
    let record = Record {
        facts: settled.collect(),
        events: Vec::new(),
    };
    Step::new(name, Repeat::Keyed, Call::Record(record))
}

fn named(item: &Item, reply: &RepReply, zone: &TimeZone) -> String {
    let words = reply.text.as_deref().unwrap_or_default();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = match (words.as_str(), reply.attachments.as_slice()) {
        ("", [file]) => format!("the file {}", truncate(&file.file_name(), NAME)),
        ("", files) => format!("{} files", files.len()),
        (words, _) => format!("“{}”", truncate(words, NAME)),
    };
    let time = stamp(item.time, zone);
    quoted(&format!("{what} of {time}"))
}
