//! The keys of the section `[conversation]` by which the customer is told something and answers.

use std::collections::BTreeSet;
use std::time::Duration;

use handoffd_contract::settings::Table;
use jiff::SignedDuration;
use serde_json::Value;

use super::reader::Sections;
use crate::conversation::CustomerRules;
use crate::conversation::notices::{MAX_WORD, word};

/// The most words of one list.
const MAX_WORDS: usize = 50;
/// The most scores.
const MAX_SCORES: usize = 10;

const WORDS: &str = "write a list of words of up to 40 characters, or a table of such lists by language, such as \
                     { default = [\"/cancel\"], de = [\"/abbrechen\"] }; [] for none";
const SCALE: &str = "write 2 to 10 scores, the worst first, each a word or a list of words of up to 40 characters, \
                     none twice, such as [[\"1\", \"👎\"], [\"2\", \"👍\"]]";

pub(super) fn customer(section: &mut Table<'_>) -> CustomerRules {
    let usual = CustomerRules::default();
    let second = Duration::from_secs(1);
    let hour = 3_600 * second;
    let mut time = |key, range, default: SignedDuration| {
        let default = Duration::try_from(default).unwrap_or(hour);
        let read = section.duration(key, range, default);
        SignedDuration::try_from(read).unwrap_or(SignedDuration::from_hours(1))
    };
    let position_every = time("position_every", 10 * second..=hour, usual.position_every);
    let rating_within = time(
        "rating_within",
        60 * second..=24 * hour,
        usual.rating_within,
    );
    CustomerRules {
        position_every,
        rating_within,
        cancel_words: section
            .parsed("cancel_words", cancel_words, WORDS)
            .unwrap_or(usual.cancel_words),
        rating_scale: section
            .parsed("rating_scale", scale, SCALE)
            .unwrap_or(usual.rating_scale),
        notices: usual.notices,
    }
}

/// The words of every language: a customer may write any of them.
fn cancel_words(value: &Value) -> Option<BTreeSet<String>> {
    let Value::Object(languages) = value else {
        return words(value);
    };
    let mut all = BTreeSet::new();
    for list in languages.values() {
        all.extend(words(list)?);
    }
    (all.len() <= MAX_WORDS).then_some(all)
}

/// A list of words; or one text, in which commas part them, as an environment variable has it.
fn words(value: &Value) -> Option<BTreeSet<String>> {
    let list: Vec<&str> = match value {
        Value::String(text) => text.split(',').collect(),
        Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    let words: Option<BTreeSet<String>> = list.into_iter().map(one).collect();
    words.filter(|words| words.len() <= MAX_WORDS)
}

fn one(text: &str) -> Option<String> {
    let word = word(text);
    (!word.is_empty() && word.chars().count() <= MAX_WORD).then_some(word)
}

fn scale(value: &Value) -> Option<Vec<BTreeSet<String>>> {
    let scores: Option<Vec<BTreeSet<String>>> = value.as_array()?.iter().map(score).collect();
    let scores = scores.filter(|scores| (2..=MAX_SCORES).contains(&scores.len()))?;
    let count: usize = scores.iter().map(BTreeSet::len).sum();
    let all: BTreeSet<&String> = scores.iter().flatten().collect();
    (all.len() == count && scores.iter().all(|words| !words.is_empty())).then_some(scores)
}

fn score(value: &Value) -> Option<BTreeSet<String>> {
    match value {
        Value::Number(number) => Some(BTreeSet::from([number.to_string()])),
        Value::String(text) => Some(BTreeSet::from([one(text)?])),
        Value::Array(items) => {
            let texts = items.iter().map(|item| match item {
                Value::Number(number) => Some(number.to_string()),
                other => one(other.as_str()?),
            });
            let texts: Option<BTreeSet<String>> = texts.collect();
            texts.filter(|texts| texts.len() <= MAX_WORDS)
        }
        _ => None,
    }
}
