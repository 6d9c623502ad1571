//! Where a poll goes on: the newest row seen, and whether the case was open then.

/// How far back every poll looks again: clocks differ, and a row may become visible after a newer
/// one. What was heard twice has the same id.
const OVERLAP_MS: i64 = 120_000;

/// Whether the case has ended, as the polls saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not ended yet.
    Open,
    /// It is resolved or closed.
    Ended,
    /// It had ended and is open again.
    Reopened,
}

impl Phase {
    /// The phase after the case was seen open.
    pub(super) fn reopened(self) -> Phase {
        match self {
            Phase::Open => Phase::Open,
            Phase::Ended | Phase::Reopened => Phase::Reopened,
        }
    }
}

/// What the last poll left, as text `<milliseconds> <phase> <full>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The newest row seen, milliseconds since 1970; absent before the first.
    pub newest: Option<i64>,
    /// The case's phase.
    pub phase: Phase,
    /// The last page was full: the next one begins where it ended, without overlap.
    pub full: bool,
}

impl Cursor {
    pub(super) fn parse(text: Option<&str>) -> Cursor {
        let mut parts = text.unwrap_or_default().split(' ');
        Cursor {
            newest: parts.next().and_then(|at| at.parse().ok()),
            phase: match parts.next() {
                Some("ended") => Phase::Ended,
                Some("reopened") => Phase::Reopened,
                _ => Phase::Open,
            },
            full: parts.next() == Some("full"),
        }
    }

    pub(super) fn text(&self) -> String {
        let newest = self.newest.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let phase = match self.phase {
            Phase::Open => "open",
            Phase::Ended => "ended",
            Phase::Reopened => "reopened",
        };
        format!("{newest} {phase}{}", if self.full { " full" } else { "" })
    }

    /// Rows after this time are wanted, milliseconds since 1970; never before `since`, where the
    /// session began on the case.
    pub(super) fn after(&self, since: i64) -> i64 {
        match self.newest {
            None => since,
            Some(newest) if self.full => newest.max(since),
            Some(newest) => (newest - OVERLAP_MS).max(since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_written_and_looks_back_only_when_it_may() {
        for phase in [Phase::Open, Phase::Ended, Phase::Reopened] {
            for (newest, full) in [(None, false), (Some(1_000_000), true), (Some(1_000_000), false)] {
                let cursor = Cursor { newest, phase, full };
                assert_eq!(Cursor::parse(Some(&cursor.text())), cursor);
            }
        }
        assert_eq!(Cursor::parse(Some("rubbish and more")).after(7), 7);
        let at = |full| Cursor { newest: Some(1_000_000), phase: Phase::Open, full };
        assert_eq!(at(false).after(0), 880_000);
        assert_eq!(at(true).after(0), 1_000_000);
        assert_eq!(at(false).after(950_000), 950_000);
    }
}
