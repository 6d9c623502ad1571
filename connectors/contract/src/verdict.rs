//! What a reply proves, and every reason why something can stop.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::known::Settled;

/// What the target's reply to a step proves about the step's facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// These facts are settled. A claimed fact that is not among them stays unsure.
    Known(Vec<Learned>),
    /// None of the step's facts holds: nothing happened, or nothing was found.
    Absent,
    /// Try again.
    Later {
        /// What stood in the way.
        stop: Stop,
        /// Not before this time has passed; the engine's own backoff when `None`.
        after: Option<Duration>,
        /// Whether the call may have had an effect. When it cannot, the claimed facts are absent
        /// again; otherwise they stay unsure and `next` looks.
        effect: Effect,
    },
    /// It will not work without a person. The lane is parked.
    Never(Stop),
}

impl Verdict {
    /// One fact is settled.
    #[must_use]
    pub fn known(fact: impl Into<String>, value: impl Into<Settled>) -> Verdict {
        Verdict::Known(vec![Learned::is(fact, value)])
    }

    /// One fact is refused for good; the lane goes on without it.
    #[must_use]
    pub fn refused(fact: impl Into<String>, reason: Reason, message: impl AsRef<str>) -> Verdict {
        Verdict::Known(vec![Learned::refused(fact, reason, message)])
    }

    /// Try again after the engine's own backoff.
    #[must_use]
    pub fn later(stop: Stop, effect: Effect) -> Verdict {
        Verdict::Later {
            stop,
            after: None,
            effect,
        }
    }
}

/// One fact that a reply settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// The fact's name.
    pub fact: String,
    /// What settles it, or `None` when it is proven absent.
    pub value: Option<Settled>,
}

impl Learned {
    /// The fact is settled: it holds, where `value` is a text.
    #[must_use]
    pub fn is(fact: impl Into<String>, value: impl Into<Settled>) -> Learned {
        Learned {
            fact: fact.into(),
            value: Some(value.into()),
        }
    }

    /// The fact is refused for good.
    #[must_use]
    pub fn refused(fact: impl Into<String>, reason: Reason, message: impl AsRef<str>) -> Learned {
        Learned::is(fact, Settled::refused(reason, message))
    }

    /// The fact does not hold.
    #[must_use]
    pub fn absent(fact: impl Into<String>) -> Learned {
        Learned {
            fact: fact.into(),
            value: None,
        }
    }
}

/// Whether a call that did not succeed may have changed something all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It cannot.
    None,
    /// It may.
    Possible,
}

/// Why something stopped: a reason, and the other side's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The reason.
    pub reason: Reason,
    /// The other side's own words, short, without message texts or secrets.
    pub message: String,
}

impl Stop {
    /// At most this many characters of the other side's words are kept.
    pub const MAX_MESSAGE: usize = 400;

    /// A reason with words, cut to [`Stop::MAX_MESSAGE`] characters.
    #[must_use]
    pub fn new(reason: Reason, words: impl AsRef<str>) -> Stop {
        let words = words.as_ref().chars().take(Self::MAX_MESSAGE).collect();
        Stop {
            reason,
            message: words,
        }
    }
}

/// Why [`next`](crate::Connector::next) or [`hear`](crate::Connector::hear) cannot answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing can be done until something happens in the session, or until the time given.
    Hold {
        /// What it waits for.
        stop: Stop,
        /// When to look again even if nothing happens.
        until: Option<jiff::Timestamp>,
    },
    /// It needs a person.
    Park(Stop),
}

impl Refusal {
    /// A refusal that needs a person.
    #[must_use]
    pub fn park(reason: Reason, words: impl AsRef<str>) -> Refusal {
        Refusal::Park(Stop::new(reason, words))
    }
}

macro_rules! reasons {
    ($($variant:ident, $label:literal, $class:ident, $title:literal, $explain:literal;)*) => {
        /// Every reason why a lane, an event or a target can stop.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason {
            $(#[doc = $title] #[serde(rename = $label)] $variant,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];

            /// The label in tables, logs and metrics.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Reason::$variant => $label,)* }
            }

            /// One line for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Reason::$variant => $title,)* }
            }

            /// The page that `handoffd explain` prints: what it means and what to do.
            #[must_use]
            pub fn explain(self) -> &'static str {
                match self { $(Reason::$variant => $explain,)* }
            }

            /// Who can do something about it.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Reason::$variant => Class::$class,)* }
            }

            /// The reason with this label.
            #[must_use]
            pub fn parse(label: &str) -> Option<Reason> {
                match label { $($label => Some(Reason::$variant),)* _ => None }
            }
        }
    };
}

/// Who can do something about a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Time: it is tried again by itself.
    Time,
    /// The other side as a whole: its circuit opens and every lane of the target waits.
    Target,
    /// A person must change something; the lane is parked.
    Person,
    /// The customer or the rep must act; the lane holds.
    Conversation,
}

reasons! {
    Unreachable, "unreachable", Target, "The other side could not be reached",
    "No connection could be made, so nothing was sent. It is tried again by itself.\nLook at: the network, the address in the configuration, the other side's status page.";
    TimedOut, "timed-out", Target, "The other side did not answer in time",
    "The request left and no answer came. It may have had its effect, so handoffd looks before it repeats.\nLook at: the other side's status page. It is tried again by itself.";
    RateLimited, "rate-limited", Time, "The other side asks for fewer requests",
    "The target answered 429 or said that a limit is reached. handoffd waits as long as it was told to and goes on.\nIf it happens often, lower the target's rate settings (such as `api_per_10s`) or `concurrency`, or ask for a higher limit.";
    ConversationLimited, "conversation-limited", Time, "The other side asks for fewer requests of this conversation",
    "The target limits one conversation or customer, such as its messages per minute. Only this conversation waits, as long as it was told to; every other one goes on by itself.";
    ServerError, "server-error", Target, "The other side failed",
    "The target answered with a 5xx status. It may have had its effect, so handoffd looks before it repeats. It is tried again by itself.";
    Unauthorized, "unauthorized", Target, "The credential was rejected",
    "The target does not accept the token or key. Nothing is lost: every lane of this target waits.\nDo: run `handoffd check --live`, put the new secret in place, restart. The lanes go on by themselves.";
    IdentityRejected, "identity-rejected", Target, "Salesforce did not accept the identity token",
    "The identity JWT was refused, or answered with an anonymous identity.\nLook at: key id (`kid`), issuer, the uploaded key, user verification on the channel, the clock of this machine. See `handoffd check --live`.";
    Forbidden, "forbidden", Person, "The account may not do this",
    "The credential is valid but lacks a right or scope; the message names it.\nDo: grant it in the CRM, then `handoffd retry --reason forbidden`.";
    Invalid, "invalid", Person, "The other side refused a value",
    "The target answered that the request is not valid; the message names the field. A repeat would be refused again, so the lane is parked after one request.\nDo: mend the mapping or the CRM's field, then `handoffd retry`.";
    NotFound, "not-found", Person, "A record that should exist does not",
    "The record was deleted or merged in the CRM, or a configured id is wrong; the message names it.\nDo: restore the record or mend the id, then `handoffd retry`, or `handoffd skip`.";
    Conflict, "conflict", Time, "Something else holds the same key",
    "The target says that a record with our key exists. handoffd looks it up and adopts it.";
    SessionEnded, "session-ended", Time, "The messaging session had ended",
    "Salesforce ended the messaging session. handoffd begins a new one with the same routing attributes and repeats the message under the same id.";
    TooLarge, "too-large", Person, "Something is larger than the other side takes",
    "A text or record exceeds a limit that cannot be split. The message names it.\nDo: mend the mapping, then `handoffd retry`, or `handoffd skip`.";
    MediaUnavailable, "media-unavailable", Time, "A file's bytes could not be fetched",
    "The attachment's source did not answer. It is tried again by itself; after that the record gets a line that says so, and the handoff goes on.";
    Mapping, "mapping", Person, "The mapping could not be applied",
    "An expression of the mapping failed for this event; the message names file, field and line.\nDo: mend the mapping (`handoffd mapping preview`), apply it, then `handoffd retry --reason mapping`.";
    WindowClosed, "window-closed", Conversation, "The 24-hour window is closed",
    "WhatsApp takes free text only within 24 hours of the customer's last message. The reply is held, the rep was told, and it goes out when the customer writes again, or as the fallback template where one is configured.";
    Recipient, "recipient", Person, "The customer cannot be reached on WhatsApp",
    "WhatsApp says that this recipient cannot get the message; the message holds its code. The rep was told.";
    Content, "content", Person, "WhatsApp does not take this content",
    "WhatsApp refused the content or format; the message holds its code. The rep was told.";
    Template, "template", Person, "The template cannot be sent",
    "The template does not exist in this language, is not approved, or its parameters do not match; the message holds WhatsApp's code.\nDo: mend the template or the mapping, then `handoffd retry`.";
    Account, "account", Target, "The WhatsApp account is blocked",
    "WhatsApp says that the account or number may not send, and the message holds its code; or a gateway is not connected to WhatsApp or not there. Every reply waits, and the reps were told.\nDo: settle it with Meta, or connect the gateway (`handoffd check --live`); the lanes go on by themselves.";
    Unroutable, "unroutable", Time, "No queue takes the gateway's messages",
    "RabbitMQ returned the message: nothing is bound to the gateway's exchange with this key. Replies wait, and the reps were told; session events are put off and hold no reply.\nDo: bind the gateway's queue. The lanes go on by themselves.";
    WrongAddress, "wrong-address", Target, "The address takes no events",
    "The endpoint answered with a redirect, 404 or 405: what is configured is not where events are taken. Redirects are not followed. Every event of this target waits.\nDo: correct `url` and restart, or mend the receiver. The lanes go on by themselves.";
    EndpointGone, "endpoint-gone", Person, "The endpoint wants no more events",
    "The endpoint answered 410: its owner has given it up. Nothing more is sent to it, and its events are kept.\nDo: remove the target, or, once the endpoint takes events again, `handoffd retry --reason endpoint-gone`.";
    UnknownOutcome, "unknown-outcome", Person, "Whether the message was sent cannot be known",
    "A send to WhatsApp got no answer and no status came for it in time. WhatsApp has no idempotency key, so handoffd does not repeat it would_repeat_unsafely. The rep was told, and those whose replies wait behind it.\nDo: look at the customer's conversation. If it did not arrive: `handoffd retry <session>`. If it did: `handoffd skip <session>`.";
    Undecodable, "undecodable", Person, "An event could not be understood",
    "It is a dead letter: kept as it came, with the field that is wrong. Nothing else waits for it.\nDo: mend the producer, or the limits, then `handoffd dead-letters retry --all`.";
    Unmatched, "unmatched", Person, "A webhook names no record of ours",
    "A webhook came for a record that no session has. Usually another integration's record; then `handoffd skip` it.";
    Unsupported, "unsupported", Person, "Something came by a way that does not carry it",
    "A webhook holds something that is for us and that handoffd does not take from there; the message says what, and how it must come. What else the webhook held was taken.\nDo: let it come the way that the message names. What is kept is not taken later either: `handoffd skip --webhooks` drops it.";
    NoCustomer, "no-customer", Person, "Nothing identifies the customer",
    "Neither wa_id, user id nor phone is in the event, so no reply could go back and no contact can be found.\nDo: mend the producer.";
    LimitExceeded, "limit-exceeded", Person, "A configured bound was reached",
    "The conversation is larger than a limit of the configuration; the message names it.\nDo: raise the limit, then `handoffd retry`.";
    Bug, "bug", Person, "handoffd itself failed",
    "A defect of handoffd stopped this lane; the message says where. Other lanes go on.\nDo: report it with `handoffd show <session>`; `handoffd retry` tries again.";
    Waiting, "waiting", Time, "It waits for an answer that comes by itself",
    "A status from WhatsApp or a result from the CRM is expected. It goes on by itself.";
}

impl Reason {
    /// Whether the engine tries again by itself.
    #[must_use]
    pub fn retryable(self) -> bool {
        !matches!(self.class(), Class::Person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_by_its_label_and_explained() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.label()), Some(*reason));
            assert!(reason.explain().len() > 40, "{reason:?}");
        }
    }
}
