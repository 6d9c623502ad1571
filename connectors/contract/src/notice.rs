//! What the customer is told of the conversation itself, and how they rate it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that the customer may be told.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Notice {
    /// People were asked for; the customer waits.
    Queued,
    /// The place in the queue or the estimated wait has changed.
    Position,
    /// A rep has joined.
    Joined,
    /// It goes on with another rep, or waits for another team.
    Transferred,
    /// The rep has left; the customer waits for another one.
    Left,
    /// Nobody has joined in time, or nobody is there.
    Unattended,
    /// The customer has left the queue.
    Cancelled,
    /// The conversation with people has ended.
    Ended,
    /// How was it? The question after a rep's end.
    Csat,
}

impl Notice {
    /// All of them.
    pub const ALL: [Notice; 9] = [
        Notice::Queued,
        Notice::Position,
        Notice::Joined,
        Notice::Transferred,
        Notice::Left,
        Notice::Unattended,
        Notice::Cancelled,
        Notice::Ended,
        Notice::Csat,
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Notice::Queued => "queued",
            Notice::Position => "position",
            Notice::Joined => "joined",
            Notice::Transferred => "transferred",
            Notice::Left => "left",
            Notice::Unattended => "unattended",
            Notice::Cancelled => "cancelled",
            Notice::Ended => "ended",
            Notice::Csat => "csat",
        }
    }

    /// The notice with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Notice> {
        Notice::ALL.into_iter().find(|one| one.word() == word)
    }

    /// Whether it belongs to the end itself. Nothing else is said once a conversation is closed.
    #[must_use]
    pub fn is_of_the_end(self) -> bool {
        matches!(self, Notice::Ended | Notice::Csat)
    }
}

/// The payload of `customer.notice`. It holds no text: the mapping of the target that answers the
/// customer has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerNotice {
    /// What the customer is told.
    pub notice: Notice,
    /// The target that it is about, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The rep's name, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rep: Option<String>,
    /// The place in the queue; the first is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// The estimated wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u64>,
    /// Since when it is so.
    pub since: Timestamp,
}

impl CustomerNotice {
    /// A notice of which nothing more is known.
    #[must_use]
    pub fn new(notice: Notice, since: Timestamp) -> CustomerNotice {
        CustomerNotice {
            notice,
            target: None,
            rep: None,
            position: None,
            wait_seconds: None,
            since,
        }
    }

    /// The estimated wait in whole minutes, never less than one.
    #[must_use]
    pub fn wait_minutes(&self) -> Option<u64> {
        self.wait_seconds.map(minutes)
    }
}

/// A wait in whole minutes as people are told of it: rounded up, never less than one.
#[must_use]
pub fn minutes(seconds: u64) -> u64 {
    seconds.div_ceil(60).max(1)
}

/// The payload of `session.rated`: the customer has answered the question after a rep's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionRated {
    /// The score; the worst is 1.
    pub score: u32,
    /// The best score that could be given.
    pub of: u32,
    /// The target in which the rep ended it.
    pub target: String,
    /// The rep who was in charge last, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rep: Option<String>,
    /// The id of the `message.received` event that was the answer.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_is_found_by_its_word_and_written_so() {
        for notice in Notice::ALL {
            assert_eq!(Notice::parse(notice.word()), Some(notice));
            let json = serde_json::to_value(notice).unwrap();
            assert_eq!(json, notice.word());
        }
        assert_eq!(Notice::parse("Queued"), None);
    }

    #[test]
    fn a_wait_is_told_in_minutes() {
        assert_eq!([0, 59, 60, 61, 600].map(minutes), [1, 1, 1, 2, 10]);
    }
}
