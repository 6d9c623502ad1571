//! Where a poll goes on: the newest row seen, the page within it, and what was seen of the last minutes.

/// How far back every poll looks again: clocks differ, and a row may become visible after a newer
/// one. What was heard twice has the same id.
const OVERLAP_MS: i64 = 120_000;
/// How many rows are remembered, the latest.
const SEEN: usize = 120;
/// What is remembered of a row's id.
const MARK: usize = 12;

/// What the last poll left, as text `<newest> <skip> <ahead> <seen>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The newest row of the last complete round, milliseconds since 1970; absent before the first.
    pub newest: Option<i64>,
    /// Rows of this round that earlier pages gave. Rows of the same moment can fill a page, so a
    /// round goes on by number and not by time.
    pub skip: usize,
    /// The newest row of this round's pages.
    pub ahead: Option<i64>,
    /// Rows that need no second look, by the ends of their ids.
    seen: Vec<String>,
}

impl Cursor {
    pub(super) fn parse(text: Option<&str>) -> Cursor {
        let mut parts = text.unwrap_or_default().split(' ');
        Cursor {
            newest: parts.next().and_then(|at| at.parse().ok()),
            skip: parts.next().and_then(|skip| skip.parse().ok()).unwrap_or(0),
            ahead: parts.next().and_then(|at| at.parse().ok()),
            seen: parts
                .next()
                .unwrap_or_default()
                .split(',')
                .filter(|mark| mark.len() == MARK)
                .map(str::to_owned)
                .collect(),
        }
    }

    pub(super) fn text(&self) -> String {
        let moment = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        format!(
            "{} {} {} {}",
            moment(self.newest),
            self.skip,
            moment(self.ahead),
            self.seen.join(",")
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

    /// Whether a row, as it is since `at`, is seen for the first time; it is remembered.
    pub(super) fn is_new(&mut self, id: &str, at: &str) -> bool {
        let mark = handoffd_contract::ids::short(&[id, at]);
        let mark: String = mark.chars().take(MARK).collect();
        if self.seen.contains(&mark) {
            return false;
        }
        self.seen.push(mark);
        let spare = self.seen.len().saturating_sub(SEEN);
        self.seen.drain(..spare);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_written() {
        for (newest, skip, ahead) in [(None, 0, None), (Some(1_000_000), 100, Some(2_000_000))] {
            for rows in [0, 1, 300] {
                let mut cursor = Cursor {
                    newest,
                    skip,
                    ahead,
                    seen: Vec::new(),
                };
                for row in 0..rows {
                    assert!(cursor.is_new(&row.to_string(), "now"));
                }
                let mut again = Cursor::parse(Some(&cursor.text()));
                assert_eq!(again, cursor);
                if rows > 0 {
                    assert!(!again.is_new(&(rows - 1).to_string(), "now"));
                    assert!(again.is_new(&(rows - 1).to_string(), "later"));
                }
            }
        }
        assert_eq!(Cursor::parse(Some("rubbish and more")).after(7), 7);
    }

    #[test]
    fn a_round_of_several_pages_keeps_its_beginning_until_it_is_complete() {
        let mut cursor = Cursor::parse(Some("1000000"));
        assert_eq!(cursor.after(0), 880_000);
        assert_eq!(cursor.after(950_000), 950_000);
        cursor.turn(100, 100, Some(1_500_000));
        assert_eq!((cursor.after(0), cursor.skip), (880_000, 100));
        cursor.turn(3, 100, Some(1_400_000));
        assert_eq!((cursor.after(0), cursor.skip), (1_380_000, 0));
    }
}
