//! What a fault rule is: which occasions, how often, what goes wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A rule, as it is posted to the control API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The simulator's name, or `*` for all of them.
    pub target: String,
    /// Which requests, streams or deliveries of it.
    #[serde(default, rename = "match")]
    pub filter: Filter,
    /// How many matching occasions pass unharmed first.
    #[serde(default)]
    pub skip: u64,
    /// How often it strikes at most; without it, until it is deleted.
    #[serde(default)]
    pub times: Option<u64>,
    /// The share of the occasions that it strikes, from 0 to 1; without it, all of them.
    #[serde(default)]
    pub rate: Option<f64>,
    /// The seed of the choice that `rate` makes.
    #[serde(default)]
    pub seed: u64,
    /// What goes wrong.
    pub fault: Fault,
}

/// Which occasions a rule is about. An absent field matches everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The method. A frame has the method of its stream's request; a delivery is a POST.
    #[serde(default)]
    pub method: Option<String>,
    /// A part of the path and query, as sent; for a delivery, of its address.
    #[serde(default)]
    pub path_contains: Option<String>,
    /// A part of the body, of the frame, or of what is delivered.
    #[serde(default)]
    pub body_contains: Option<String>,
}

/// When, seen from the simulator's change of state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Before it; the client may be gone by the time it happens.
    #[default]
    Before,
    /// After it.
    After,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Answers this without doing anything.
    Status(Answer),
    /// Does what is asked, then answers this.
    After(Answer),
    /// Closes the connection: nothing done, nothing answered. `reset` sends an RST.
    DropBefore {
        /// Whether by a reset.
        #[serde(default)]
        reset: bool,
    },
    /// Does what is asked, then closes the connection without an answer.
    DropAfter {
        /// Whether by a reset.
        #[serde(default)]
        reset: bool,
    },
    /// Is slow. Slow before the effect, the effect happens even when the client has left.
    Delay {
        /// How long.
        ms: u64,
        /// Before or after the effect.
        #[serde(default)]
        when: When,
    },
    /// Never answers. The connection is closed after `ms`, if the client has not left before.
    Hang {
        /// Before the effect (there is none then) or after it.
        #[serde(default)]
        when: When,
        /// How long at most.
        #[serde(default = "ten_minutes")]
        ms: u64,
    },
    /// Does what is asked, announces the whole answer, and breaks off in the middle of its body.
    Truncate {
        /// After how many bytes; without it, after half.
        #[serde(default)]
        at: Option<usize>,
    },
    /// Does what is asked and answers with the right status and headers, but this body.
    Garbage {
        /// The body; without it, bytes that are neither JSON nor UTF-8.
        #[serde(default)]
        body: Option<String>,
    },
    /// Does what is asked and answers slowly, piece by piece.
    SlowBody {
        /// The size of a piece.
        bytes: usize,
        /// The pause between two pieces.
        every_ms: u64,
    },
    /// Sends the event stream that this request opens in pieces of so many bytes.
    ChunkBytes {
        /// The size of a piece.
        bytes: usize,
    },
    /// Breaks an event stream off at a frame, after `at` bytes of it.
    CutStreams {
        /// How many bytes of the frame are sent first.
        #[serde(default)]
        at: usize,
        /// Strikes every open stream that matches at once, and is not kept as a rule.
        #[serde(default)]
        now: bool,
    },
    /// Sends nothing on an event stream for so long, from a frame on; then goes on.
    SilenceStreams {
        /// How long.
        ms: u64,
        /// Strikes every open stream that matches at once, and is not kept as a rule.
        #[serde(default)]
        now: bool,
    },
    /// Sends a frame twice.
    Duplicate,
    /// Leaves a frame out.
    DropFrames,
    /// Sends a frame after the next one.
    Reorder,
    /// Delivers a webhook twice.
    WebhookDuplicate,
    /// Delivers a webhook later, so that others overtake it.
    WebhookDelay {
        /// How long.
        ms: u64,
    },
    /// Delivers a webhook, but the simulator learns of no answer (and delivers it again, if it does).
    WebhookLostAnswer,
    /// Does not deliver a webhook; the simulator learns of no answer.
    WebhookDrop,
}

/// An answer that is not the simulator's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body: a string as it is, anything else as JSON.
    #[serde(default)]
    pub body: Value,
}

fn ten_minutes() -> u64 {
    600_000
}

/// Where a rule can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Request,
    Stream,
    Frame,
    Delivery,
}

/// An occasion at which a rule can strike.
pub(super) struct Occasion<'a> {
    pub place: Place,
    pub target: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub body: &'a [u8],
}

impl Rule {
    /// Checks what its types leave open.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            return Err("rate: must be between 0 and 1".into());
        }
        match &self.fault {
            Fault::Status(answer) | Fault::After(answer)
                if !(200..600).contains(&answer.status) =>
            {
                Err("fault.status: must be between 200 and 599".into())
            }
            Fault::SlowBody { bytes: 0, .. } | Fault::ChunkBytes { bytes: 0 } => {
                Err("fault.bytes: must be at least 1".into())
            }
            _ => Ok(()),
        }
    }
}

impl Fault {
    pub(super) fn place(&self) -> Place {
        match self {
            Fault::ChunkBytes { .. } => Place::Stream,
            Fault::CutStreams { .. }
            | Fault::SilenceStreams { .. }
            | Fault::Duplicate
            | Fault::DropFrames
            | Fault::Reorder => Place::Frame,
            Fault::WebhookDuplicate
            | Fault::WebhookDelay { .. }
            | Fault::WebhookLostAnswer
            | Fault::WebhookDrop => Place::Delivery,
            _ => Place::Request,
        }
    }

    /// The fault's name, as in its `kind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Status(_) => "status",
            Fault::After(_) => "after",
            Fault::DropBefore { .. } => "drop_before",
            Fault::DropAfter { .. } => "drop_after",
            Fault::Delay { .. } => "delay",
            Fault::Hang { .. } => "hang",
            Fault::Truncate { .. } => "truncate",
            Fault::Garbage { .. } => "garbage",
            Fault::SlowBody { .. } => "slow_body",
            Fault::ChunkBytes { .. } => "chunk_bytes",
            Fault::CutStreams { .. } => "cut_streams",
            Fault::SilenceStreams { .. } => "silence_streams",
            Fault::Duplicate => "duplicate",
            Fault::DropFrames => "drop_frames",
            Fault::Reorder => "reorder",
            Fault::WebhookDuplicate => "webhook_duplicate",
            Fault::WebhookDelay { .. } => "webhook_delay",
            Fault::WebhookLostAnswer => "webhook_lost_answer",
            Fault::WebhookDrop => "webhook_drop",
        }
    }

    /// Whether it strikes at once instead of waiting for an occasion.
    pub(super) fn at_once(&self) -> bool {
        matches!(
            self,
            Fault::CutStreams { now: true, .. } | Fault::SilenceStreams { now: true, .. }
        )
    }
}

impl Filter {
    pub(super) fn admits(&self, method: &str, path: &str, body: &[u8]) -> bool {
        let contains = |needle: &Option<String>, hay: &[u8]| match needle.as_deref() {
            None | Some("") => true,
            Some(needle) => hay
                .windows(needle.len())
                .any(|window| window == needle.as_bytes()),
        };
        self.method
            .as_deref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && contains(&self.path_contains, path.as_bytes())
            && contains(&self.body_contains, body)
    }
}
