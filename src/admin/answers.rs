//! What the admin API answers, as the OpenAPI document has it: the shapes of the JSON that
//! [`operate`](crate::operate) makes for the API and for commands alike. A test compares them with
//! what is really answered.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Lanes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct LaneList {
    /// In the order of their numbers.
    lanes: Vec<Lane>,
}

/// A lane: a session at a target.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct Lane {
    /// Its number.
    id: i64,
    /// The session.
    session: String,
    /// The target.
    target: String,
    /// Its state.
    state: State,
    /// When it is tried next.
    due_at: Option<Timestamp>,
    /// Events that are not shown at the target yet.
    pending: i64,
    /// Failures since the last success.
    failures: i64,
    /// Why it waits or is parked; a label of `handoffd explain`.
    reason: Option<String>,
    /// The other side's own words.
    message: Option<String>,
    /// The daemon that works on it.
    leased_by: Option<String>,
    /// When it was last changed.
    updated_at: Timestamp,
    /// Why nobody works on it, if nobody does.
    nobody_works: Option<String>,
}

/// How a lane stands.
#[derive(Serialize, ToSchema)]
#[schema(as = LaneState)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) enum State {
    /// Nothing is to be done.
    Idle,
    /// Something is to be done, now or at a time.
    Due,
    /// It waits for something to happen.
    Held,
    /// It waits for a person.
    Parked,
}

/// Parked work.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct Parked {
    /// Parked lanes by target, reason and message.
    groups: Vec<Group>,
    /// The oldest 200 dead letters.
    dead_letters: Vec<Letter>,
    /// Webhooks that were not understood or are not taken, at most 200.
    webhooks: Vec<Webhook>,
}

/// Parked lanes with the same target, reason and message.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct Group {
    /// The target.
    target: String,
    /// The reason's label.
    reason: String,
    /// The other side's own words.
    message: String,
    /// How many.
    count: i64,
    /// Since when the oldest of them is so.
    oldest: Timestamp,
    /// The session of one of them.
    example: String,
}

/// A webhook that was not understood or is not taken.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct Webhook {
    /// Its number.
    id: i64,
    /// For which target it came.
    target: String,
    /// When.
    received_at: Timestamp,
    /// The reason's label.
    reason: String,
    /// What is wrong.
    message: String,
}

/// What happened to one conversation.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct Session {
    /// Its id.
    session: String,
    /// Where the gateway shows it.
    url: Option<String>,
    /// The business's number.
    business_number: Option<String>,
    /// When WhatsApp's window closes.
    window_closes_at: Option<Timestamp>,
    /// Who is in charge.
    conversation: Option<Value>,
    /// What came in.
    events: Vec<Value>,
    /// Events of it that could not be understood.
    dead_letters: Vec<Value>,
    /// Files that were to be fetched at once.
    files: Vec<Value>,
    /// Its lanes, with facts and the fields that lost something.
    lanes: Vec<Value>,
    /// The calls.
    attempts: Vec<Value>,
}

/// What was done to lanes, or would be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct LanesDone {
    /// Whether it is only said.
    dry_run: bool,
    /// How many lanes.
    count: usize,
    /// Which.
    lanes: Vec<LaneName>,
}

/// A lane by its name.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct LaneName {
    /// The session.
    session: String,
    /// The target.
    target: String,
}

/// Dead letters.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct LetterList {
    /// How many there are.
    count: i64,
    /// All of them by cause and source, at most 1,000 groups.
    groups: Vec<LetterGroup>,
    /// Oldest first, at most 200.
    dead_letters: Vec<Letter>,
}

/// Dead letters with the same cause and source.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct LetterGroup {
    /// By which way they came.
    origin: String,
    /// Whose they are, where it can be told.
    source: Option<String>,
    /// The reason's label.
    reason: String,
    /// What is wrong.
    message: String,
    /// How many.
    count: i64,
    /// When the oldest came.
    oldest: Timestamp,
    /// The oldest one's number.
    example: i64,
}

/// An event that could not be understood.
#[derive(Serialize, ToSchema)]
pub(super) struct Letter {
    /// Its number.
    id: i64,
    /// When it came.
    received_at: Timestamp,
    /// By which way.
    origin: String,
    /// The reason's label.
    reason: String,
    /// What is wrong.
    message: String,
    /// How long it is.
    bytes: usize,
    /// Its session, where it can be told.
    session: Option<String>,
    /// Its source, where it can be told.
    source: Option<String>,
    /// Its type, where it can be told.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Its subject, where it can be told.
    subject: Option<String>,
    /// The routing key by which it came.
    routing_key: Option<String>,
}

/// One event that could not be understood, with its body.
#[derive(Serialize, ToSchema)]
pub(super) struct WholeLetter {
    #[serde(flatten)]
    letter: Letter,
    /// What it said that it is.
    content_type: Option<String>,
    /// What came with it, without secrets.
    headers: BTreeMap<String, String>,
    /// `json`, `form` or `text`.
    body_form: String,
    /// The body, without secrets.
    body: String,
    /// Whether it is longer than is shown.
    body_is_cut: bool,
}

/// What was done, in words.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct InWords {
    /// What.
    done: String,
}

/// What was done with many dead letters, or would be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(super) struct LettersDone {
    /// Whether it is only said.
    dry_run: bool,
    /// What was done, in words.
    done: Vec<String>,
    /// What was not, in words.
    failed: Vec<String>,
    /// Whether some are left.
    more: bool,
}
