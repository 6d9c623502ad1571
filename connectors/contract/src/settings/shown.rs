//! How values, keys and paths are told without being repeated.

use serde_json::Value;

/// What kind of value it is; never the value, which may be a secret in the wrong place.
#[must_use]
pub fn shape(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(_) => "a boolean".into(),
        Value::Number(_) => "a number".into(),
        Value::String(text) => match text.chars().count() {
            0 => "an empty text".into(),
            1 => "a text of 1 character".into(),
            many => format!("a text of {many} characters"),
        },
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "a table".into(),
    }
}

/// What is wrong with a key that nobody knows.
#[must_use]
pub fn unknown_key(key: &str, known: &[&str]) -> String {
    let hint = did_you_mean(key, known.iter().copied());
    let mut known = known.to_vec();
    known.sort_unstable();
    known.dedup();
    format!("unknown key{hint}; known here: {}", known.join(", "))
}

/// A key as it can be shown. One that looks like no identifier may be a pasted secret, of which only
/// the length is shown.
#[must_use]
pub fn printable(key: &str) -> String {
    if is_identifier(key) {
        key.to_owned()
    } else {
        format!("(a key of {} characters)", key.chars().count())
    }
}

/// A path as it can be shown: one of names that people give, with a folder or an ending.
#[must_use]
pub fn printable_path(path: &str) -> String {
    let is_path = path.len() <= 300
        && path.contains(['/', '.'])
        && path.split(['/', '-', '.', '_']).all(is_word);
    if is_path {
        path.to_owned()
    } else {
        format!("(a path of {} characters)", path.chars().count())
    }
}

/// Whether a text looks like an identifier that a person chose: words of letters, digits, or a number
/// before or behind letters such as `v3`, between underscores. Tokens and generated passwords do not.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    (1..=60).contains(&text.len()) && text.split('_').all(is_word)
}

/// Whether a text can be a secret's name: at most 60 of a-z, 0-9 and `_`. Lower case, because
/// environment overrides are. One that is no identifier is taken, but not shown.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=60).contains(&name.len()) && name.bytes().all(plain)
}

fn is_word(word: &str) -> bool {
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let turns = word
        .as_bytes()
        .windows(2)
        .filter(|pair| pair[0].is_ascii_uppercase() != pair[1].is_ascii_uppercase())
        .count();
    letters + digits == word.len()
        && letters <= 24
        && digits <= 8
        && turns <= 5
        // A mixture is short (`v3`, `k8s`), or words with one number in them (`hubspot2`, `UsrB2BLead`).
        && (digits == 0 || letters == 0 || word.len() <= 4 || (digits <= 4 && changes(word) <= 2))
}

/// How often letters and digits change over.
fn changes(word: &str) -> usize {
    word.as_bytes()
        .windows(2)
        .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
        .count()
}

/// What a type's own error says without the value that it repeats: what was expected, or what is missing.
#[must_use]
pub fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field ") {
        return text;
    }
    expected(&text).unwrap_or_else(|| "a value does not have its form".to_owned())
}

/// What is wrong with the form of a TOML text, without the value that the parser may repeat.
#[must_use]
pub fn not_toml(message: &str) -> String {
    let message = message.trim();
    let message = expected(message).unwrap_or_else(|| message.to_owned());
    format!("not TOML: {message}")
}

/// The end of a message that repeats a value: everything behind the last `, expected ` is the type's.
fn expected(message: &str) -> Option<String> {
    let repeats = [
        "invalid type: ",
        "invalid value: ",
        "unknown variant ",
        "unknown field ",
    ];
    let (_, expected) = repeats
        .iter()
        .any(|start| message.starts_with(start))
        .then(|| message.rsplit_once(", expected "))??;
    Some(format!("expected {expected}"))
}

/// ` (did you mean …?)` when one of the known words is close.
pub fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let word: String = word.chars().take(60).collect::<String>().to_lowercase();
    let allowed = 1 + word.chars().count() / 4;
    known
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < candidate.chars().count()
        })
        .min()
        .map(|(_, candidate)| format!(" (did you mean `{candidate}`?)"))
        .unwrap_or_default()
}

/// How many insertions, deletions, replacements and swaps of neighbours part two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (last[j - 1] + same).min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_people_write_are_shown_and_pasted_secrets_are_not() {
        for key in [
            "tokn",
            "api_per_10s",
            "Token",
            "clientSecret",
            "hubspot2",
            "api_version",
            "ACCESS_TOKEN",
            "token_2024",
            "UsrB2BLead",
        ] {
            assert_eq!(printable(key), key);
        }
        for secret in [
            "pat-eu1-SECRET",
            "pat-eu1-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d",
            "EAAGm0PX4ZCpsBAKZCx9dJ2",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c",
            "qVxBnRtKwPzLmSdFgHjYcXeQ",
            "p@ss word",
            "-----BEGIN PRIVATE KEY-----",
            "",
        ] {
            let shown = printable(secret);
            assert!(shown.starts_with("(a key of "), "{secret} is shown");
            assert!(
                printable_path(secret).starts_with("(a path of "),
                "{secret} is shown"
            );
        }
        for path in ["secrets/key.pem", "/etc/handoffd/key-2.pem", "../gone.toml"] {
            assert_eq!(printable_path(path), path);
        }
    }

    #[test]
    fn what_a_type_says_is_told_without_the_value() {
        let told = |text: &str| {
            let error = serde_json::from_value::<Problems>(serde_json::Value::String(text.into()));
            without_value(&error.expect_err("no such word"))
        };
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Problems {
            One,
            Two,
        }
        assert_eq!(told("s3cr3t, expected s3cr3t"), "expected `one` or `two`");
        let wrong = serde_json::from_value::<Vec<u8>>(json!(["s3cr3t"])).expect_err("no number");
        assert_eq!(without_value(&wrong), "expected u8");
        assert!(matches!(
            serde_json::from_value(json!("one")),
            Ok(Problems::One)
        ));
        assert!(matches!(
            serde_json::from_value(json!("two")),
            Ok(Problems::Two)
        ));
    }

    #[test]
    fn close_words_are_offered_and_far_ones_are_not() {
        let known = ["listen", "public_url", "max_body"];
        assert_eq!(
            did_you_mean("lisen", known.into_iter()),
            " (did you mean `listen`?)"
        );
        assert_eq!(
            did_you_mean("lsiten", known.into_iter()),
            " (did you mean `listen`?)"
        );
        assert_eq!(did_you_mean("colour", known.into_iter()), "");
        assert_eq!(did_you_mean("", known.into_iter()), "");
    }
}
