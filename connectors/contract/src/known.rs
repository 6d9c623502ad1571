//! Facts: what is known to be true on the other side.

use std::collections::BTreeMap;

use jiff::Timestamp;

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
}

/// Everything known about one lane, by the fact's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known(pub BTreeMap<String, Fact>);

impl Known {
    /// The value, if the fact is known.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Fact::Is(value)) => Some(value),
            _ => None,
        }
    }

    /// Whether the fact is known.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.get(name).is_some()
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

    /// Known facts whose name begins with `prefix`, as (rest of the name, value).
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.0
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .filter_map(move |(name, fact)| match fact {
                Fact::Is(value) => Some((&name[prefix.len()..], value.as_str())),
                Fact::Unsure { .. } => None,
            })
    }

    /// Makes a fact known.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), Fact::Is(value.into()));
    }
}
