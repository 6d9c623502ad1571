//! What the pages of operators read: conversations listed and found, what happened in one of them, what
//! happens now, and how much of it.

use async_trait::async_trait;
use handoffd_contract::event::Session;
use handoffd_contract::{Contact, Data, Event, Reason, Stop};
use jiff::{SignedDuration, Timestamp};

use super::figures::{Figure, Span};
use super::{Attempt, ConversationRow, LaneState, Result};

/// Counts go no further than this: what is more is told as more.
pub const COUNTED_TO: i64 = 10_000;

/// So many events are passed over for one page of a list.
pub(super) const LOOKED_BACK: i64 = 40_000;

/// So many of them by one statement.
pub(super) const STRIDE: i64 = 4_000;

/// WhatsApp's window: so long after the customer's last message free text may be sent.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// A window that is open for no longer than this closes soon.
pub const CLOSES_SOON: SignedDuration = SignedDuration::from_hours(2);

/// How the lanes of a conversation stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// One is parked, for whatever reason.
    Parked,
    /// One is parked because nobody knows what became of a call.
    Unknown,
    /// A reply waits for the customer to write.
    Held,
    /// One failed and is tried again by itself.
    Trying,
    /// None stands still for a reason.
    Well,
}

impl Standing {
    /// Every one, with its word.
    pub const WORDS: [(&'static str, Standing); 5] = [
        ("parked", Standing::Parked),
        ("unknown", Standing::Unknown),
        ("held", Standing::Held),
        ("trying", Standing::Trying),
        ("well", Standing::Well),
    ];

    /// The one with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Standing> {
        let mut all = Standing::WORDS.into_iter();
        all.find_map(|(known, one)| (known == word).then_some(one))
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        let mut all = Standing::WORDS.into_iter();
        all.find_map(|(word, one)| (one == self).then_some(word))
            .unwrap_or("well")
    }

    /// The lane's state and reason by which it is found.
    pub(super) fn lane(self) -> Option<(LaneState, Option<Reason>)> {
        match self {
            Standing::Parked => Some((LaneState::Parked, None)),
            Standing::Unknown => Some((LaneState::Parked, Some(Reason::UnknownOutcome))),
            Standing::Held => Some((LaneState::Held, Some(Reason::WindowClosed))),
            Standing::Trying => Some((LaneState::Due, None)),
            Standing::Well => None,
        }
    }
}

/// How WhatsApp's window stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowState {
    /// Free text may be sent.
    Open,
    /// It closes within two hours, and people have the conversation.
    Closing,
    /// It is closed, or the customer has not written yet.
    Closed,
}

impl WindowState {
    /// The one with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<WindowState> {
        match word {
            "open" => Some(WindowState::Open),
            "closing" => Some(WindowState::Closing),
            "closed" => Some(WindowState::Closed),
            _ => None,
        }
    }

    /// From when, and until when without it, the customer wrote last, in microseconds.
    pub(super) fn wrote(self, now: Timestamp) -> (i64, i64) {
        let closed = (now - WINDOW).as_microsecond();
        let soon = (now - WINDOW + CLOSES_SOON).as_microsecond();
        match self {
            WindowState::Open => (closed + 1, i64::MAX),
            WindowState::Closing => (closed + 1, soon + 1),
            WindowState::Closed => (0, closed + 1),
        }
    }
}

/// Which conversations.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConversationFilter {
    /// Only these.
    pub sessions: Option<Vec<String>>,
    /// Of which this is in charge; see [`handoffd_contract::Controller::WORDS`].
    pub controller: Option<String>,
    /// Which this target has taken on.
    pub target: Option<String>,
    /// Whose lanes stand so; of the target, where one is given.
    pub state: Option<Standing>,
    /// Whose window stands so.
    pub window: Option<WindowState>,
    /// With this business number.
    pub number: Option<String>,
    /// In which something happened since then.
    pub since: Option<Timestamp>,
    /// Whose last event has a number below this one.
    pub before: Option<i64>,
    /// At most so many; 0 means 50.
    pub limit: usize,
}

impl ConversationFilter {
    pub(super) fn limit(&self) -> i64 {
        match self.limit {
            0 => 50,
            limit => i64::try_from(limit.min(200)).unwrap_or(50),
        }
    }

    /// Whether people's conversations alone are meant.
    pub(super) fn of_people(&self) -> bool {
        self.window == Some(WindowState::Closing)
    }
}

/// A lane of a listed conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneBrief {
    /// Its target.
    pub target: String,
    /// Its state.
    pub state: LaneState,
    /// When it is due.
    pub due_at: Option<Timestamp>,
    /// Why it waits or is parked.
    pub stop: Option<Stop>,
}

/// A conversation, as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// The session.
    pub session: String,
    /// The ledger's number of it.
    pub number: i64,
    /// The number of its last event.
    pub seq: i64,
    /// When that came in.
    pub last_at: Timestamp,
    /// The kind of the last message, and when it was said.
    pub said: Option<(String, Timestamp)>,
    /// The session's latest data.
    pub data: Option<Session>,
    /// The customer's latest data.
    pub contact: Option<Contact>,
    /// Who is in charge, and since when.
    pub state: ConversationRow,
    /// When the customer last wrote to this business number.
    pub last_inbound: Option<Timestamp>,
    /// Its lanes, by target.
    pub lanes: Vec<LaneBrief>,
}

impl Conversation {
    /// When WhatsApp's window closes or closed.
    #[must_use]
    pub fn window_closes_at(&self) -> Option<Timestamp> {
        self.last_inbound.map(|at| at + WINDOW)
    }
}

/// The kinds of event that somebody said something with.
pub(super) const SAID: [&str; 3] = ["message.received", "message.sent", "rep.replied"];

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// The conversations in which something happened last, the latest first.
    pub rows: Vec<Conversation>,
    /// Where the next page begins; `None` when there is no more.
    pub before: Option<i64>,
    /// Where the look ended before the page was full: the time of the oldest event looked at.
    pub looked_back_to: Option<Timestamp>,
}

/// How many conversations there are, each counted to [`COUNTED_TO`] but for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ViewCounts {
    /// All; about, since it is the last one's number.
    pub all: i64,
    /// With a parked lane.
    pub needs_person: i64,
    /// That wait for a rep.
    pub waiting: i64,
    /// Of people's, those whose window closes within two hours.
    pub closing: i64,
    /// In which a reply waits for the customer to write.
    pub held: i64,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its number.
    pub seq: i64,
    /// When it came in.
    pub received_at: Timestamp,
    /// The event.
    pub event: Event,
}

/// Which events of a session.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EventsWanted {
    /// Those after this number, the oldest first; or, where `newest` is set, those before it, the newest
    /// first. `None` means from that end on.
    pub from: Option<i64>,
    /// The newest first.
    pub newest: bool,
    /// Of this kind alone.
    pub kind: Option<&'static str>,
    /// At most so many.
    pub limit: usize,
    /// No more once so many bytes were read; one at least.
    pub bytes: usize,
}

/// A call, with its number.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAttempt {
    /// Its number.
    pub id: i64,
    /// The session.
    pub session: String,
    /// The target.
    pub target: String,
    /// The call.
    pub attempt: Attempt,
}

/// What happened since.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tail {
    /// Events, the oldest first.
    pub events: Vec<StoredEvent>,
    /// Calls, the oldest first.
    pub attempts: Vec<StoredAttempt>,
}

/// The newest number of everything that is numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Of events.
    pub event: i64,
    /// Of calls.
    pub attempt: i64,
    /// Of dead letters, and how many there are.
    pub dead_letter: (i64, i64),
    /// Parked lanes, counted to [`COUNTED_TO`].
    pub parked: i64,
}

/// The ledger as the pages of operators read it. Every method is one transaction.
#[async_trait]
pub trait ViewLedger: Send + Sync {
    /// Conversations, those in which something happened last first. It looks back through a bounded number
    /// of events and says where it ended.
    async fn listing(&self, now: Timestamp, filter: ConversationFilter) -> Result<Listing>;

    /// How many conversations the usual lists hold.
    async fn view_counts(&self, now: Timestamp) -> Result<ViewCounts>;

    /// The session with this number.
    async fn session_numbered(&self, number: i64) -> Result<Option<String>>;

    /// The number of this session.
    async fn number_of(&self, session: &str) -> Result<Option<i64>>;

    /// Sessions that one of these words (see [`words`]) leads to, with what is known of the customer; at
    /// most `limit`, the newest first.
    async fn handled(
        &self,
        words: &[String],
        limit: usize,
    ) -> Result<Vec<(String, Option<Contact>)>>;

    /// The session of the newest lane with one of these facts.
    async fn session_with_fact(&self, facts: &[String]) -> Result<Option<String>>;

    /// Events of a session.
    async fn session_events(&self, session: &str, wanted: EventsWanted)
    -> Result<Vec<StoredEvent>>;

    /// What happened after these numbers, at most `limit` of each.
    async fn tail(&self, event: i64, attempt: i64, limit: usize) -> Result<Tail>;

    /// The newest numbers.
    async fn marks(&self) -> Result<Marks>;

    /// Counts what happened since it was last counted, but for the newest seconds; each thing once, however
    /// many daemons do this. Returns whether there is more to count.
    async fn count_figures(&self, now: Timestamp) -> Result<bool>;

    /// How much happened since then, in spans of this length, oldest first.
    async fn figures(&self, span: Span, since: Timestamp) -> Result<Vec<Figure>>;
}

/// The words by which a conversation is found.
pub mod words {
    use handoffd_contract::ids;

    use super::{Contact, Data};

    /// So many digits at the end of a telephone number lead to it.
    pub const DIGITS: usize = 7;

    /// The word of a telephone number's digits; `None` for fewer than [`DIGITS`].
    #[must_use]
    pub fn phone(digits: &str) -> Option<String> {
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        let start = digits.len().checked_sub(DIGITS)?;
        Some(format!("phone:{}", &digits[start..]))
    }

    /// The word of an e-mail address.
    #[must_use]
    pub fn email(address: &str) -> Option<String> {
        let address = address.trim().to_lowercase();
        (!address.is_empty()).then(|| format!("email:{address}"))
    }

    /// The word of a record in a CRM.
    #[must_use]
    pub fn record(id: &str) -> String {
        format!("record:{}", id.to_lowercase())
    }

    /// The word of a message, by its id on its own side. The id is not kept in it.
    #[must_use]
    pub fn message(id: &str) -> String {
        format!("message:{}", ids::short(&[id]))
    }

    /// The words of a customer.
    #[must_use]
    pub fn of_contact(contact: &Contact) -> Vec<String> {
        let numbers = [&contact.phone, &contact.wa_id];
        let numbers = numbers.into_iter().flatten();
        let mut found: Vec<String> = numbers.filter_map(|digits| phone(digits)).collect();
        found.extend(contact.email.as_deref().and_then(email));
        found.sort();
        found.dedup();
        found
    }

    /// The words that an event adds to its session.
    #[must_use]
    pub fn of_event(data: &Data) -> Vec<String> {
        match data {
            Data::HandoffCompleted(done) => {
                let ids = done.records.values().filter(|id| !id.is_empty());
                ids.map(|id| record(id)).collect()
            }
            Data::MessageReceived(said) | Data::MessageSent(said)
                if !said.message.id.is_empty() =>
            {
                vec![message(&said.message.id)]
            }
            _ => Vec::new(),
        }
    }

    /// The words of a customer that is stored.
    pub(in crate::ledger) fn of_stored(contact: Option<&str>) -> Vec<String> {
        let contact = contact.and_then(|json| serde_json::from_str::<Contact>(json).ok());
        contact.as_ref().map(of_contact).unwrap_or_default()
    }
}
