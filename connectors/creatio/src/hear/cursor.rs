//! Where a poll goes on: the newest row seen, the page within it, and whether the case was open.

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

/// What the last poll left, as text `<newest> <phase> <skip> <ahead> <ended>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The newest row of the last complete round, milliseconds since 1970; absent before the first.
    pub newest: Option<i64>,
    /// The case's phase.
    pub phase: Phase,
    /// Rows of this round that earlier pages gave. Rows of the same moment can fill a page, so a
    /// round goes on by number and not by time.
    pub skip: usize,
    /// The newest row of this round's pages.
    pub ahead: Option<i64>,
    /// When the case ended, as far as it has.
    pub ended: Option<i64>,
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
            skip: parts.next().and_then(|skip| skip.parse().ok()).unwrap_or(0),
            ahead: parts.next().and_then(|at| at.parse().ok()),
            ended: parts.next().and_then(|at| at.parse().ok()),
        }
    }

    pub(super) fn text(&self) -> String {
        let moment = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let phase = match self.phase {
            Phase::Open => "open",
            Phase::Ended => "ended",
            Phase::Reopened => "reopened",
        };
        format!(
            "{} {phase} {} {} {}",
            moment(self.newest),
            self.skip,
            moment(self.ahead),
            moment(self.ended)
        )
    }

    /// Rows after this time are wanted, milliseconds since 1970; never before `since`, where the
    /// session began on the case.
    pub(super) fn after(&self, since: i64) -> i64 {
        self.newest
            .map_or(since, |newest| (newest - OVERLAP_MS).max(since))
    }

    /// Takes in a page of `found` rows of at most `page`, the newest of them at `newest`.
    pub(super) fn turn(&mut self, found: usize, page: usize, newest: Option<i64>) {
        self.ahead = self.ahead.max(newest);
        if found >= page {
            self.skip += found;
        } else {
            self.skip = 0;
            self.newest = self.newest.max(self.ahead.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_written() {
        for phase in [Phase::Open, Phase::Ended, Phase::Reopened] {
            for (newest, skip, ahead, ended) in [
                (None, 0, None, None),
                (Some(1_000_000), 100, Some(2_000_000), Some(3)),
            ] {
                let cursor = Cursor {
                    newest,
                    phase,
                    skip,
                    ahead,
                    ended,
                };
                assert_eq!(Cursor::parse(Some(&cursor.text())), cursor);
            }
        }
        assert_eq!(Cursor::parse(Some("rubbish and more")).after(7), 7);
    }

    #[test]
    fn a_round_of_several_pages_keeps_its_beginning_until_it_is_complete() {
        let mut cursor = Cursor::parse(Some("1000000 open"));
        assert_eq!(cursor.after(0), 880_000);
        assert_eq!(cursor.after(950_000), 950_000);
        cursor.turn(100, 100, Some(1_500_000));
        assert_eq!((cursor.after(0), cursor.skip), (880_000, 100));
        cursor.turn(3, 100, Some(1_400_000));
        assert_eq!((cursor.after(0), cursor.skip), (1_380_000, 0));
    }
}
