//! Who may see names and texts of which conversation, for ten minutes after they said why.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// How long names and texts are shown.
pub const FOR: SignedDuration = SignedDuration::from_mins(10);

/// So many are remembered; beyond, the oldest are masked again.
const MOST: usize = 1_000;

/// The longest reason.
pub const MAX_REASON: usize = 500;

/// Who may see what, and until when; kept by each daemon for itself.
#[derive(Debug, Default)]
pub struct Unmasked(Mutex<BTreeMap<(String, String), Timestamp>>);

impl Unmasked {
    /// From now on this person sees this conversation. Returns until when.
    pub fn begin(&self, person: &str, session: &str, now: Timestamp) -> Timestamp {
        let until = now + FOR;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, until| *until > now);
        while all.len() >= MOST {
            let oldest = all.iter().min_by_key(|(_, until)| **until);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            all.remove(&oldest);
        }
        all.insert((person.to_owned(), session.to_owned()), until);
        until
    }

    /// This person does not see this conversation any more.
    pub fn end(&self, person: &str, session: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(person.to_owned(), session.to_owned()));
    }

    /// What this person sees.
    #[must_use]
    pub fn of(&self, person: &str) -> Shown {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = all.iter().filter(|((who, _), _)| who == person);
        Shown(
            theirs
                .map(|((_, session), until)| (session.clone(), *until))
                .collect(),
        )
    }
}

/// The conversations of which a person sees names and texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown(BTreeMap<String, Timestamp>);

impl Shown {
    /// Until when they see this one; `None` when they do not.
    #[must_use]
    pub fn until(&self, session: &str, now: Timestamp) -> Option<Timestamp> {
        self.0.get(session).copied().filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_for_one_person_one_conversation_and_ten_minutes() {
        let (all, now) = (Unmasked::default(), Timestamp::UNIX_EPOCH);
        let until = all.begin("mara", "s", now);
        assert_eq!(until, now + FOR);
        assert_eq!(all.of("mara").until("s", now), Some(until));
        assert_eq!(all.of("mara").until("t", now), None);
        assert_eq!(all.of("jonas").until("s", now), None);
        assert_eq!(all.of("mara").until("s", until), None);
        all.end("mara", "s");
        assert_eq!(all.of("mara").until("s", now), None);
        for n in 0..=MOST {
            all.begin(
                "mara",
                &format!("s{n}"),
                now + SignedDuration::from_secs(n as i64 / 100),
            );
        }
        assert_eq!(all.of("mara").0.len(), MOST);
    }
}
