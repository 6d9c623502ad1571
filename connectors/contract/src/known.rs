//! Facts: what is known to be true on the other side.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::verdict::{Reason, Stop};

/// One fact of a lane. A fact that is absent from [`Known`] is not true, as far as we know, and
/// nothing was attempted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// We may have done it: a call left and its outcome is not known.
    Unsure {
        /// When the call left.
        since: Timestamp,
        /// The value that it will have if it happened, where we chose it.
        candidate: Option<String>,
    },
    /// It is so.
    Is(String),
    /// It was refused, or given up, and is not tried again: nothing holds in its place.
    Refused {
        /// Why.
        reason: Reason,
        /// The same in words, short, without message texts or secrets.
        message: String,
    },
}

/// What settles a fact: it is so, or it is refused for good. In a step's context it is a text, or an
/// object with `reason` and `message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Settled {
    /// It is so.
    Is(String),
    /// It is not tried again.
    Refused(Stop),
}

impl Settled {
    /// Refused for good.
    #[must_use]
    pub fn refused(reason: Reason, message: impl AsRef<str>) -> Settled {
        Settled::Refused(Stop::new(reason, message))
    }

    /// The value, if it is so.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        match self {
            Settled::Is(value) => Some(value),
            Settled::Refused(_) => None,
        }
    }
}

impl From<String> for Settled {
    fn from(value: String) -> Settled {
        Settled::Is(value)
    }
}

impl From<&String> for Settled {
    fn from(value: &String) -> Settled {
        Settled::Is(value.clone())
    }
}

impl From<&str> for Settled {
    fn from(value: &str) -> Settled {
        Settled::Is(value.to_owned())
    }
}

impl From<&Settled> for Settled {
    fn from(settled: &Settled) -> Settled {
        settled.clone()
    }
}

impl From<Stop> for Settled {
    fn from(stop: Stop) -> Settled {
        Settled::Refused(stop)
    }
}

impl From<Settled> for Fact {
    fn from(settled: Settled) -> Fact {
        match settled {
            Settled::Is(value) => Fact::Is(value),
            Settled::Refused(Stop { reason, message }) => Fact::Refused { reason, message },
        }
    }
}

/// Everything known about one lane, by the fact's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known(pub BTreeMap<String, Fact>);

impl Known {
    /// The value, if the fact is known and not refused.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Fact::Is(value)) => Some(value),
            _ => None,
        }
    }

    /// Whether the fact is settled: it holds, or it was refused and is not tried again.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Fact::Is(_) | Fact::Refused { .. }))
    }

    /// Why the fact was refused, if it was.
    #[must_use]
    pub fn refused(&self, name: &str) -> Option<(Reason, &str)> {
        match self.0.get(name) {
            Some(Fact::Refused { reason, message }) => Some((*reason, message)),
            _ => None,
        }
    }

    /// Whether a call that may have established the fact has an unknown outcome.
    #[must_use]
    pub fn unsure(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Fact::Unsure { .. }))
    }

    /// Since when the fact is unsure.
    #[must_use]
    pub fn unsure_since(&self, name: &str) -> Option<Timestamp> {
        match self.0.get(name) {
            Some(Fact::Unsure { since, .. }) => Some(*since),
            _ => None,
        }
    }

    /// Whether nothing at all is known or was tried.
    #[must_use]
    pub fn absent(&self, name: &str) -> bool {
        !self.0.contains_key(name)
    }

    /// Known facts whose name begins with `prefix`, as (rest of the name, value). Refused ones are
    /// not among them.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.named(prefix).filter_map(|(name, fact)| match fact {
            Fact::Is(value) => Some((name, value.as_str())),
            Fact::Unsure { .. } | Fact::Refused { .. } => None,
        })
    }

    /// Refused facts whose name begins with `prefix`, as (rest of the name, reason, message).
    pub fn refused_under<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, Reason, &'a str)> + 'a {
        self.named(prefix).filter_map(|(name, fact)| match fact {
            Fact::Refused { reason, message } => Some((name, *reason, message.as_str())),
            Fact::Is(_) | Fact::Unsure { .. } => None,
        })
    }

    fn named<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Fact)> + 'a {
        self.0
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(move |(name, fact)| (&name[prefix.len()..], fact))
    }

    /// Settles a fact.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Settled>) {
        self.0.insert(name.into(), value.into().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let mut known = Known::default();
        known.set("file/a", "7");
        known.set("file/b", Settled::refused(Reason::TooLarge, "6 MB"));
        known.0.insert(
            "file/c".into(),
            Fact::Unsure {
                since: Timestamp::UNIX_EPOCH,
                candidate: None,
            },
        );
        known
    }

    #[test]
    fn a_refused_fact_is_settled_and_has_no_value() {
        let known = known();
        assert!(known.is("file/b") && !known.absent("file/b") && !known.unsure("file/b"));
        assert_eq!(known.get("file/b"), None);
        assert_eq!(known.refused("file/b"), Some((Reason::TooLarge, "6 MB")));
        assert_eq!(known.refused("file/a"), None);
        assert_eq!(known.under("file/").collect::<Vec<_>>(), [("a", "7")]);
        let refused: Vec<_> = known.refused_under("file/").collect();
        assert_eq!(refused, [("b", Reason::TooLarge, "6 MB")]);
    }

    #[test]
    fn what_settles_a_fact_comes_back_from_a_context() {
        for (settled, json) in [
            (Settled::from("!7"), r#""!7""#),
            (
                Settled::refused(Reason::TooLarge, "6 MB"),
                r#"{"reason":"too-large","message":"6 MB"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&settled).unwrap(), json);
            assert_eq!(serde_json::from_str::<Settled>(json).unwrap(), settled);
        }
    }
}
