//! The names of the facts of a lane, and what they say.
//!
//! | fact | value |
//! | --- | --- |
//! | `subject` | the identity token's `sub`; fixed at the first conversation, since conversations belong to it |
//! | `conversation` | the conversation's id |
//! | `generation` | which conversation of this session it is: 0, and one more for each that became unusable |
//! | `used` | the generation in which something was said: its first message carries the routing attributes |
//! | `routing` | the routing attributes as JSON, for the first message of each later messaging session |
//! | `refused/<attribute>` | Salesforce did not take this routing attribute; the value holds its words |
//! | `session` | the messaging session's record id, as last heard |
//! | `begun` | when the latest messaging session was asked for, in our milliseconds |
//! | `ended/<key>` | that messaging session ended; the value is when, in Salesforce's milliseconds |
//! | `over/<key>` | that end is told to the gateway: the value is when it was heard, or [`ended_by_us`] when an answer told us |
//! | `live/<key>` | when it was last heard to be alive |
//! | `followed/<key>` | we began another one after that end |
//! | `swept/<key>` | the entries were read after that end; the value is that of `ended/<key>` |
//! | `part/<event or message>/<n>` | that text of it is shown; the value is the MIAW message id |
//! | `said/<message>` | the whole message is shown |
//! | `choice/<message>` | refused when Salesforce did not take the customer's choice as one; it is a text then |
//! | `file/<message>/<attachment>` | the file is shown; refused when a line says why it is not |
//! | `transcript/<event>` | refused when the transcript's file was refused and texts are sent instead |
//! | `told/<rep message>/<state>` | the rep was told what became of a reply |
//! | `answered/<key>` | an answer told us of that end; the value is the time of planning, in milliseconds |
//! | `kept/<message>` | it came after the end and is kept for the next handoff, as JSON, and refused where there is no more room; empty once that is completed |
//! | `waiting_for_next_handoff` | how many messages are kept and not shown |
//! | `limit` | the most UTF-16 units of a text, as Salesforce's refusals taught us |
//! | `split/<event or message>` | the limit by which it was split when its first part was shown |
//! | `cut/<part or file>` | that part was too long: split by this limit, or [`AS_FILE`] |
//! | `closed/<event>` | we ended the messaging session; the value is [`ended_by_us`], or `-` when it had ended already |
//! | `notice/<event>` | the rep was told this; the value is the MIAW message id |
//! | `elsewhere/<message>` | the event of a reply that a rep of another target wrote, as this message |
//! | `notice/lost/<message>` | the rep was told that such a reply has failed for good |
//! | `seen/<rep.activity>` | the gateway is told which message the rep has read |
//! | `heard` | when the newest relayed reply was written, in Salesforce's milliseconds |

use handoffd_contract::{Fact, Known, Work, ids};
use serde_json::{Map, Value};

use crate::routing;

/// A session's state in this target, as far as its facts tell.
#[derive(Debug, Clone)]
pub struct Lane<'a> {
    work: &'a Work,
    known: &'a Known,
    /// The identity token's `sub`.
    pub subject: String,
}

impl<'a> Lane<'a> {
    /// The lane, or `None` when nothing identifies the customer.
    #[must_use]
    pub fn new(prefix: &str, work: &'a Work, known: &'a Known) -> Option<Lane<'a>> {
        let subject = known
            .get("subject")
            .map(str::to_owned)
            .or_else(|| work.contact.key().map(|key| format!("{prefix}{key}")))?;
        Some(Lane {
            work,
            known,
            subject,
        })
    }

    /// Whether there ever was a conversation.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.known.is("subject")
    }

    /// Which conversation of this session it is.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.known
            .get("generation")
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
    }

    /// The id that this generation's conversation has or will have.
    #[must_use]
    pub fn conversation(&self) -> String {
        self.known.get("conversation").map_or_else(
            || self.id("conversation", &self.generation().to_string()),
            str::to_owned,
        )
    }

    /// An id of our own choice for a thing of this lane.
    #[must_use]
    pub fn id(&self, kind: &str, name: &str) -> String {
        ids::uuid(&[
            "handoffd",
            "salesforce",
            kind,
            &self.work.target,
            &self.work.session.id,
            name,
        ])
    }

    /// Whether something was said in this generation.
    #[must_use]
    pub fn used(&self) -> bool {
        self.known.get("used") == Some(self.generation().to_string().as_str())
    }

    /// The messaging sessions that ended and that no other one follows yet, each as the fact that
    /// holds once one does. Events repeat and facts are replaced, so that nothing here may depend on
    /// an event being heard once: what is heard and what we did are different facts.
    #[must_use]
    pub fn ended(&self) -> Vec<(String, String)> {
        self.ends()
            .map(|(key, at)| (followed(key), at.to_owned()))
            .collect()
    }

    /// The ends among them after which the entries were not read yet, each as the fact that holds
    /// once they were: what a rep wrote last may not have been heard.
    #[must_use]
    pub fn unreconciled(&self) -> Vec<(String, String)> {
        self.ends()
            .map(|(key, at)| (swept(key), at.to_owned()))
            .filter(|(fact, at)| self.known.get(fact) != Some(at))
            .collect()
    }

    /// Whether only a handoff may go on: the messaging session has ended and none follows it, or the
    /// conversation itself is gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.begun() && (!self.known.is("conversation") || !self.ended().is_empty())
    }

    /// The ends that an answer told us of and that the gateway does not know of: their keys, and when
    /// we planned the call. What a newer session follows is history.
    #[must_use]
    pub fn untold(&self) -> Vec<(String, i64)> {
        self.known
            .under("answered/")
            .filter(|(key, _)| !self.known.is(&over(key)) && !self.known.is(&followed(key)))
            .map(|(key, at)| (key.to_owned(), time(Some(at))))
            .collect()
    }

    /// The message of the conversation that is shown by this entry.
    #[must_use]
    pub fn shown_by(&self, entry: &str) -> Option<&'a str> {
        shown_by(self.known, entry)
    }

    /// The time of planning, in milliseconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.work.now.as_millisecond()
    }

    /// Whether a call left whose outcome is not known.
    #[must_use]
    pub fn is_anything_unsure(&self) -> bool {
        let mut facts = self.known.0.values();
        facts.any(|fact| matches!(fact, Fact::Unsure { .. }))
    }

    /// Ends that nothing follows. While the messaging session that was last heard of lives, all others
    /// are history, also one whose end we hear of late. Of a sign of life and an end in the same
    /// millisecond, the end counts.
    fn ends(&self) -> impl Iterator<Item = (&str, &str)> {
        // What was closed for good lives no longer, whatever was heard of its session.
        let closed = self.known.get("conversation");
        let closed = closed.is_some_and(|id| self.known.is(&ended(id)));
        let lives = !closed && self.known.get("session").is_some_and(|id| self.lives(id));
        let ends = self.known.under("ended/");
        ends.filter(move |(key, at)| {
            let at = time(Some(at));
            let alive = time(self.known.get(&live(key)));
            !lives && at >= alive && at > time(self.known.get(&followed(key)))
        })
    }

    fn lives(&self, key: &str) -> bool {
        let heard = time(self.known.get(&live(key)));
        let over = time(self.known.get(&ended(key))).max(time(self.known.get(&followed(key))));
        self.known.is(&live(key)) && heard > over
    }

    /// Under which key to note that the current messaging session has ended: its record id when it
    /// is known and not followed, so that the event that says the same adds nothing.
    #[must_use]
    pub fn current(&self) -> String {
        let followed = |id: &str| time(self.known.get(&followed(id)));
        let current = |id: &&str| time(self.known.get(&live(id))) >= followed(id);
        match self.known.get("session").filter(current) {
            Some(id) => id.to_owned(),
            None => format!("unknown-{}", self.known.under("ended/unknown-").count()),
        }
    }

    /// Since when the current messaging session is there whose id nobody has told us, in our
    /// milliseconds.
    #[must_use]
    pub fn unnamed_since(&self) -> Option<i64> {
        let is_named = self.known.get("session") == Some(self.current().as_str());
        let begun = self.known.get(BEGUN).filter(|_| !is_named)?;
        begun.parse().ok()
    }

    /// The routing attributes of the latest handoff, without those that Salesforce refused since.
    #[must_use]
    pub fn routing(&self) -> Map<String, Value> {
        let mut attributes: Map<String, Value> = self
            .known
            .get("routing")
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        attributes.retain(|name, _| !self.known.is(&routing::refused(name)));
        attributes
    }
}

/// The fact that tells when the latest messaging session was asked for.
pub const BEGUN: &str = "begun";

/// The message of the conversation that is shown by this entry; a handoff's own texts are none.
#[must_use]
pub fn shown_by<'k>(known: &'k Known, entry: &str) -> Option<&'k str> {
    let find = |prefix: &'static str| {
        let mut facts = known.under(prefix);
        let (rest, _) = facts.find(|(_, value)| *value == entry)?;
        rest.rsplit_once('/').map(|(message, _)| message)
    };
    let message = find("part/").or_else(|| find("file/"))?;
    known.get(&said(message)).map(|_| message)
}

/// The value of `ended/<key>` when a call's answer told us: later than any sign of life until then.
pub const FOR_SURE: &str = "9223372036854775807";

/// A time in milliseconds; before all others when there is none.
fn time(value: Option<&str>) -> i64 {
    value.map_or(i64::MIN, |at| at.parse().unwrap_or(0))
}

/// The fact that a messaging session ended.
#[must_use]
pub fn ended(key: &str) -> String {
    format!("ended/{key}")
}

/// The fact that a messaging session was heard to be alive.
#[must_use]
pub fn live(key: &str) -> String {
    format!("live/{key}")
}

/// The fact that another messaging session follows one that ended.
#[must_use]
pub fn followed(key: &str) -> String {
    format!("followed/{key}")
}

/// The fact that the entries were read after a messaging session had ended.
#[must_use]
pub fn swept(key: &str) -> String {
    format!("swept/{key}")
}

/// The fact that a messaging session's end was told to the gateway, or heard and so is told.
#[must_use]
pub fn over(key: &str) -> String {
    format!("over/{key}")
}

/// The fact that an answer told us of a messaging session's end.
#[must_use]
pub fn answered(key: &str) -> String {
    format!("answered/{key}")
}

/// The fact that a message waits for the next handoff.
#[must_use]
pub fn kept(message: &str) -> String {
    format!("kept/{message}")
}

/// How many messages wait for the next handoff; a fact for operators.
pub const WAITING: &str = "waiting_for_next_handoff";

/// The most UTF-16 units of a text, as learned.
pub const LIMIT: &str = "limit";

/// The value of `cut/…` for a text that goes as a file.
pub const AS_FILE: &str = "file";

/// The fact that a part was too long.
#[must_use]
pub fn cut(part: &str) -> String {
    format!("cut/{part}")
}

/// The fact by which limit something was split.
#[must_use]
pub fn split(of: &str) -> String {
    format!("split/{of}")
}

/// How the end that we caused ourselves is recognised when the event stream tells of it.
#[must_use]
pub fn ended_by_us(session: &str) -> String {
    format!("end:{session}")
}

/// The event of a reply that a rep of another target wrote, as the message that shows it.
#[must_use]
pub fn elsewhere(message: &str) -> String {
    format!("elsewhere/{message}")
}

/// The fact that a message is shown.
#[must_use]
pub fn said(message: &str) -> String {
    format!("said/{message}")
}

/// The fact that a choice was not taken as one.
#[must_use]
pub fn choice(message: &str) -> String {
    format!("choice/{message}")
}

/// The fact that a file is shown.
#[must_use]
pub fn file(message: &str, attachment: &str) -> String {
    format!("file/{message}/{attachment}")
}

/// The fact that a text is shown.
#[must_use]
pub fn part(of: &str, name: &str) -> String {
    format!("part/{of}/{name}")
}

#[cfg(test)]
mod tests;
