//! What becomes of what comes after the end of a conversation, in the same words for every target.

use serde_json::Value;

use super::Table;

/// What becomes of a later message, or of a second handoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterEnd {
    /// The record is opened again.
    Reopen,
    /// Another record is made.
    New,
    /// It is added to the record, which stays closed.
    Append,
    /// It stays out of the target until the next handoff, whose transcript holds it.
    Ignore,
}

impl AfterEnd {
    /// The word in the settings.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            AfterEnd::Reopen => "reopen",
            AfterEnd::New => "new",
            AfterEnd::Append => "append",
            AfterEnd::Ignore => "ignore",
        }
    }

    fn parse(word: &str) -> Option<AfterEnd> {
        [
            AfterEnd::Reopen,
            AfterEnd::New,
            AfterEnd::Append,
            AfterEnd::Ignore,
        ]
        .into_iter()
        .find(|one| one.word() == word)
    }
}

/// What a target can do, first what it does unless told otherwise, and why it cannot do the rest.
#[derive(Debug, Clone, Copy)]
pub struct Ways<'w> {
    /// The setting.
    pub key: &'static str,
    /// What can be chosen.
    pub can: &'w [AfterEnd],
    /// Words of older versions.
    pub older: &'w [(&'static str, AfterEnd)],
    /// Why the others cannot.
    pub cannot: &'static str,
}

/// Why a handoff can be neither appended nor ignored.
const HANDOFF_IS_WORK: &str = "a handoff always becomes work that a rep sees";

impl Ways<'static> {
    /// What can become of a message that comes after a record was closed, where a record can be opened
    /// again.
    pub const OF_MESSAGES: Ways<'static> = Ways {
        key: "after_end",
        can: &[
            AfterEnd::Reopen,
            AfterEnd::New,
            AfterEnd::Append,
            AfterEnd::Ignore,
        ],
        older: &[],
        cannot: "",
    };

    /// What can become of a second handoff there.
    pub const OF_HANDOFFS: Ways<'static> = Ways {
        key: "after_end_handoff",
        can: &[AfterEnd::Reopen, AfterEnd::New],
        older: &[],
        cannot: HANDOFF_IS_WORK,
    };
}

/// Reads the choice; `default` where there is none.
pub fn after_end(top: &mut Table<'_>, ways: Ways<'_>, default: AfterEnd) -> AfterEnd {
    let Ways {
        key,
        can,
        older,
        cannot,
    } = ways;
    let word = top.value(key).and_then(Value::as_str).map(str::trim);
    if let Some((_, known)) = older.iter().find(|(older, _)| word == Some(older)) {
        return *known;
    }
    if let Some(known) = word.and_then(AfterEnd::parse)
        && !can.contains(&known)
    {
        let names: Vec<&str> = can.iter().map(|one| one.word()).collect();
        let found = format!(
            "`{}` cannot be done here: {cannot}; write {}",
            known.word(),
            names.join(" or ")
        );
        top.problem(key, found);
        return default;
    }
    let words: Vec<(&str, AfterEnd)> = can.iter().map(|one| (one.word(), *one)).collect();
    top.choice(key, &words, default)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_target_cannot_do_is_refused_with_the_remedy() {
        let ways = Ways {
            key: "after_end",
            can: &[AfterEnd::New, AfterEnd::Ignore],
            older: &[("message", AfterEnd::New)],
            cannot: "it is over for good",
        };
        for (given, read, problem) in [
            (json!({}), AfterEnd::Ignore, None),
            (json!({"after_end": " new "}), AfterEnd::New, None),
            (json!({"after_end": "message"}), AfterEnd::New, None),
            (
                json!({"after_end": "reopen"}),
                AfterEnd::Ignore,
                Some("`reopen` cannot be done here: it is over for good; write new or ignore"),
            ),
            (
                json!({"after_end": "opne"}),
                AfterEnd::Ignore,
                Some("found a text of 4 characters; write one of new, ignore"),
            ),
            (
                json!({"after_end": true}),
                AfterEnd::Ignore,
                Some("found a boolean; write one of new, ignore"),
            ),
        ] {
            let problems = RefCell::new(Vec::new());
            let mut table = Table::new("", &given, &problems).expect("a table");
            assert_eq!(
                after_end(&mut table, ways, AfterEnd::Ignore),
                read,
                "{given}"
            );
            table.finish();
            let told: Vec<String> = problems
                .into_inner()
                .into_iter()
                .map(|p| p.message)
                .collect();
            assert_eq!(told, Vec::from_iter(problem.map(str::to_owned)), "{given}");
        }
    }
}
