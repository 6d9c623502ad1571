//! Texts and templates: every key that is used exists, every key is used, and no words stand in a template.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use handoffd::console::Texts;
use handoffd_contract::Reason;

fn files(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} in {folder}");
    found
}

/// What stands between quotation marks and looks like a key with this many parts or more.
fn literals(text: &str, quote: char) -> BTreeSet<String> {
    let is_key = |word: &&str| {
        word.contains('.')
            && !word.ends_with('_')
            && word.split('.').all(|part| {
                !part.is_empty()
                    && part
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
            })
    };
    let pieces = text.split(quote);
    pieces.filter(is_key).map(str::to_owned).collect()
}

/// Beginnings of keys that are put together with a code, such as a reason's label.
fn prefixes(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for quote in ['"', '\''] {
        for piece in text.split(quote) {
            let is_prefix = piece.len() > 2
                && piece.ends_with(['.', '_'])
                && piece
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || "._-".contains(c));
            if is_prefix && piece.contains('.') {
                found.insert(piece.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_key_that_is_used_exists_and_every_key_is_used() {
    let texts = Texts::shipped().unwrap();
    let keys: BTreeSet<&str> = texts.keys().collect();
    let tops: BTreeSet<&str> = keys
        .iter()
        .filter_map(|key| key.split('.').next())
        .collect();
    let (mut used, mut begun) = (BTreeSet::new(), BTreeSet::new());
    let sources = [("src/console", ".rs"), ("src/console/templates", ".html")];
    for (folder, ending) in sources {
        for (_, text) in files(folder, ending) {
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            for quote in ['"', '\''] {
                used.extend(literals(text, quote));
            }
            begun.extend(prefixes(text));
            // A key that is formatted: `format!("reason.{label}")`.
            begun.extend(text.match_indices("format!(\"").filter_map(|(at, _)| {
                let inside = text[at + 9..].split('"').next()?;
                let before = inside.split('{').next()?;
                (before.contains('.') && inside.contains('{')).then(|| before.to_owned())
            }));
        }
    }
    let mut scripts = BTreeSet::new();
    for (_, text) in files("src/console/assets", ".js") {
        scripts.extend(text.match_indices("say(").flat_map(|(at, _)| {
            let inside = text[at..].split(')').next().unwrap_or_default().to_owned();
            inside.split('\'').map(str::to_owned).collect::<Vec<_>>()
        }));
    }
    let missing: Vec<&String> = used
        .iter()
        .filter(|key| {
            let top = key.split('.').next().unwrap_or_default();
            tops.contains(top) && !keys.contains(key.as_str())
        })
        // Names of files and of macros' members are no keys.
        .filter(|key| !key.ends_with(".html") && !key.ends_with(".js"))
        .collect();
    assert!(
        missing.is_empty(),
        "these keys are used and do not exist: {missing:?}"
    );
    let is_used = |key: &&&str| {
        used.contains(**key)
            || begun.iter().any(|begin| key.starts_with(begin.as_str()))
            || key.starts_with("unit.")
            || key
                .strip_prefix("script.")
                .is_some_and(|name| scripts.contains(name))
    };
    let unused: Vec<&&str> = keys.iter().filter(|key| !is_used(key)).collect();
    assert!(unused.is_empty(), "these keys are used nowhere: {unused:?}");
}

#[test]
fn every_reason_has_a_sentence() {
    let texts = Texts::shipped().unwrap();
    let keys: BTreeSet<&str> = texts.keys().collect();
    for reason in Reason::ALL {
        let key = format!("reason.{}", reason.label());
        assert!(keys.contains(key.as_str()), "{key}");
    }
    let reasons = keys.iter().filter_map(|key| key.strip_prefix("reason."));
    for label in reasons {
        assert!(
            Reason::parse(label).is_some(),
            "reason.{label} is no reason"
        );
    }
}

/// A template without its expressions, statements and comments.
fn bare(template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let end = match after.get(..2) {
            Some("{{") => "}}",
            Some("{%") => "%}",
            Some("{#") => "#}",
            _ => {
                out.push('{');
                rest = &after[1..];
                continue;
            }
        };
        rest = after.find(end).map_or("", |end| &after[end + 2..]);
    }
    out.push_str(rest);
    out
}

#[test]
fn no_words_stand_in_a_template() {
    for (path, text) in files("src/console/templates", ".html") {
        // What stands on a key is no word.
        let text = text
            .split("<kbd")
            .map(|rest| rest.split_once("</kbd>").map_or(rest, |(_, after)| after));
        let bare = bare(&text.collect::<String>());
        let mut words = String::new();
        let mut inside = false;
        for c in bare.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                _ if !inside => words.push(c),
                _ => {}
            }
        }
        let words = words.trim();
        let is_wordy = words.chars().filter(|c| c.is_alphabetic()).count();
        assert_eq!(is_wordy, 0, "{}: {words}", path.display());
        for name in ["title", "placeholder", "aria-label", "alt"] {
            let before = format!(" {name}=\"");
            for (at, _) in bare.match_indices(&before) {
                let value = bare[at + before.len()..]
                    .split('"')
                    .next()
                    .unwrap_or_default();
                assert!(
                    !value.contains(char::is_alphabetic),
                    "{}: {name}=\"{value}\"",
                    path.display()
                );
            }
        }
    }
}
