//! Documented uncertainties and faults, each with its default.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the simulator can be told to do otherwise. Two more switches act at once and hold no value:
/// `cut` closes every open stream, `expire_tokens` makes every token given out until now invalid.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switches {
    /// Whether the channel has user verification on: the authenticated endpoint works and the
    /// unauthenticated one does not, or the reverse.
    pub user_verification: bool,
    /// A rejected identity token: `anon` (200 with an anonymous subject) or `refuse` (400).
    pub bad_identity: BadIdentity,
    /// Whether `context` is required in the token request.
    pub context_required: bool,
    /// How long an access token is valid, in minutes.
    pub token_minutes: i64,
    /// Whether creating a conversation starts its first messaging session.
    pub create_starts_session: bool,
    /// A message without `isNewMessagingSession` after the session's end.
    pub ended_session: EndedSession,
    /// What decides how much work a rep can take, and so who gets an inactive session that wakes.
    pub capacity: Capacity,
    /// What a waiting customer's client is told of the queue; a channel tells one of the two.
    pub queue: QueueTold,
    /// Whether `isNewMessagingSession` needs `routingAttributes` and `language` beside it.
    pub new_session_needs_attributes: bool,
    /// A message id that exists.
    pub message_repeat: MessageRepeat,
    /// Whether `entryPayload` in the entries list is an `object` or a `string`.
    pub entry_payload: EntryPayload,
    /// Whether the entries list comes newest first.
    pub entries_newest_first: bool,
    /// Entries of one conversation read again sooner than this many milliseconds: 429.
    pub entries_gap_ms: i64,
    /// The most characters of a routing attribute.
    pub attribute_limit: usize,
    /// The most characters of a text; none is documented.
    pub text_limit: Option<usize>,
    /// Whether the channel takes attachments.
    pub attachments: bool,
    /// Whether a choice is refused, which then has to come as a text.
    pub choices_refused: bool,
    /// Types of files that the channel takes: whole types, or beginnings that end with a slash.
    pub file_types: Vec<String>,
    /// Whether a stream without `Last-Event-Id` is refused.
    pub last_event_id_required: bool,
    /// What a stream that names its last event gets.
    pub replay: Replay,
    /// Whether events of types that nobody documents appear.
    pub unknown_events: bool,
    /// Seconds of silence after which a stream gets a ping.
    pub ping_seconds: i64,
    /// Whether streams are silent, without events and pings.
    pub silent: bool,
    /// Whether lines end with CR LF.
    pub crlf: bool,
    /// For whoever serves the streams: write them in pieces of so many bytes; 0 for no limit.
    pub chunk_bytes: usize,
    /// So many of the next events do not appear on any stream.
    pub gap: u32,
    /// So many of the next events appear twice.
    pub duplicate: u32,
    /// So many of the next events appear after the one that follows them.
    pub reorder: u32,
    /// Whether the organisation is within its business hours.
    pub business_hours: bool,
    /// The next requests fail.
    pub fail_next: Option<FailNext>,
    /// Under which address reps' files are linked, when not the one that requests come to.
    pub public_url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc = "A rejected identity token."]
pub enum BadIdentity {
    /// 200 with an anonymous subject.
    Anon,
    /// 400.
    Refuse,
}

/// A message without `isNewMessagingSession` after the session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedSession {
    /// 417, as with a pre-chat form for every session.
    #[serde(rename = "417")]
    ExpectationFailed,
    /// 403.
    #[serde(rename = "403")]
    Forbidden,
    /// A new session begins, without routing attributes.
    #[serde(rename = "new-session")]
    NewSession,
}

/// What decides how much work a rep can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// Open tabs: an inactive session that wakes waits and is routed again.
    Tab,
    /// The status of accepted work: it stays with its rep.
    Status,
}

/// What is told of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueTold {
    /// The estimated wait, with the routing result: two minutes for each place.
    Wait,
    /// The place, whenever it changes.
    Position,
    /// Nothing.
    Nothing,
}

/// A message id that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageRepeat {
    /// 409.
    #[serde(rename = "409")]
    Conflict,
    /// 202, and nothing happens.
    #[serde(rename = "202")]
    Accepted,
}

/// How the entries list writes payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryPayload {
    /// As an object.
    Object,
    /// As JSON inside a text.
    String,
}

/// What a stream that names its last event gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replay {
    /// What came after it.
    On,
    /// Only what comes from now on.
    Off,
    /// What came after it, and the three events before that once more.
    Duplicate,
}

/// Requests that fail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailNext {
    /// With this status.
    pub status: u16,
    /// So many of them.
    pub times: u32,
    /// Only those whose path holds this.
    #[serde(default)]
    pub path: String,
    /// After they had their effect.
    #[serde(default)]
    pub after: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Switches {
            user_verification: true,
            bad_identity: BadIdentity::Anon,
            context_required: true,
            token_minutes: 60,
            create_starts_session: true,
            ended_session: EndedSession::ExpectationFailed,
            capacity: Capacity::Tab,
            queue: QueueTold::Wait,
            new_session_needs_attributes: true,
            message_repeat: MessageRepeat::Conflict,
            entry_payload: EntryPayload::Object,
            entries_newest_first: true,
            entries_gap_ms: 1_500,
            attribute_limit: 255,
            text_limit: None,
            attachments: true,
            choices_refused: false,
            file_types: [
                "image/",
                "audio/",
                "video/",
                "text/plain",
                "text/csv",
                "application/pdf",
            ]
            .map(str::to_owned)
            .to_vec(),
            last_event_id_required: false,
            replay: Replay::On,
            unknown_events: true,
            ping_seconds: 20,
            silent: false,
            crlf: false,
            chunk_bytes: 0,
            gap: 0,
            duplicate: 0,
            reorder: 0,
            business_hours: true,
            fail_next: None,
            public_url: None,
        }
    }
}

impl Switches {
    pub(super) fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let mut all = serde_json::to_value(&*self).map_err(|error| error.to_string())?;
        let Some(fields) = all.as_object_mut() else {
            return Err("no switches".into());
        };
        if !fields.contains_key(name) {
            let names: Vec<&str> = fields
                .keys()
                .map(String::as_str)
                .chain(["cut", "expire_tokens"])
                .collect();
            return Err(format!(
                "no switch {name:?}; there are: {}",
                names.join(", ")
            ));
        }
        fields.insert(name.to_owned(), value.clone());
        *self = serde_json::from_value(all).map_err(|error| format!("{name}: {error}"))?;
        Ok(())
    }

    /// Whether a request to this path fails: with which status, and whether after its effect.
    pub(super) fn failure(&mut self, path: &str) -> Option<(u16, bool)> {
        let fail = self
            .fail_next
            .as_mut()
            .filter(|fail| fail.times > 0 && path.contains(&fail.path))?;
        fail.times -= 1;
        Some((fail.status, fail.after))
    }

    /// Uses up one of a counted switch.
    pub(super) fn use_one(counter: &mut u32) -> bool {
        let some = *counter > 0;
        *counter = counter.saturating_sub(1);
        some
    }
}
