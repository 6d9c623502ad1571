//! What of a rep's writing in a CRM is a reply to the customer: what begins with one word, or all of it.
//! The same settings, words and defaults for every CRM whose notes are otherwise internal. The default
//! protects: what a rep does not mark stays with the team.

use crate::settings::Table;

/// The word with which a reply begins where the settings name none.
pub const PREFIX: &str = "/wa";

/// What makes a rep's text a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// Everything that a rep writes where replies are written.
    All,
    /// What begins with this word.
    Prefix(String),
}

impl Marker {
    /// Reads `reply_marker` and `reply_prefix`.
    pub fn read(top: &mut Table<'_>) -> Marker {
        let words = [("prefix", true), ("all", false)];
        if !top.choice("reply_marker", &words, true) {
            if top.value("reply_prefix").is_some() {
                top.problem(
                    "reply_prefix",
                    "has no effect with reply_marker = \"all\"; leave one of the two out",
                );
            }
            return Marker::All;
        }
        let prefix = top.text_if(
            "reply_prefix",
            |prefix| !prefix.contains(char::is_whitespace) && !prefix.contains(['<', '>', '&']),
            "write one word without <, > or &, such as /wa",
        );
        Marker::Prefix(prefix.unwrap_or_else(|| PREFIX.to_owned()))
    }

    /// The word, where one is needed.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        match self {
            Marker::All => None,
            Marker::Prefix(prefix) => Some(prefix),
        }
    }

    /// The reply that a plain text is, without the word: `/wa Hello`, `/WA: Hello`. A longer word that
    /// begins alike is none.
    #[must_use]
    pub fn reply(&self, text: &str) -> Option<String> {
        let Marker::Prefix(prefix) = self else {
            return Some(begin(text).trim_end().to_owned());
        };
        let text = begin(text);
        let head = text.get(..prefix.len())?;
        let rest = &text[prefix.len()..];
        let apart = rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || c == ':');
        (head.eq_ignore_ascii_case(prefix) && apart)
            .then(|| rest.trim_start_matches(':').trim().to_owned())
    }

    /// Whether a plain text begins almost like a reply, so that its writer surely meant one: the word
    /// with a comma or the like behind it, with a space in it, or with a backslash.
    #[must_use]
    pub fn is_near_miss(&self, text: &str) -> bool {
        self.prefix()
            .is_some_and(|prefix| self.reply(text).is_none() && is_near_miss(prefix, text))
    }
}

/// A text without the white space, also of the invisible kind, that an editor puts before it.
fn begin(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}'))
}

fn is_near_miss(prefix: &str, text: &str) -> bool {
    let line: String = begin(text)
        .chars()
        .take(prefix.chars().count() + 4)
        .flat_map(char::to_lowercase)
        .collect();
    let prefix = prefix.to_lowercase();
    let mut rest = prefix.chars();
    let sign = rest.next().filter(|sign| !sign.is_alphanumeric());
    let word = rest.as_str();
    let begins = |head: &str| {
        let behind = line.strip_prefix(head)?.chars().next();
        Some(behind.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '/'))
    };
    let is_apart = || {
        let after = line.strip_prefix(sign?)?;
        let spaced = after.trim_start_matches([' ', '\u{a0}']);
        let behind = (spaced.len() < after.len()).then(|| spaced.strip_prefix(word))??;
        Some(behind.starts_with(|c: char| c.is_whitespace() || matches!(c, ':' | ',')))
    };
    let turned = (sign == Some('/')).then(|| format!("\\{word}"));
    begins(&prefix) == Some(true)
        || turned.is_some_and(|turned| begins(&turned) == Some(true))
        || is_apart() == Some(true)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;

    fn of(prefix: &str) -> Marker {
        Marker::Prefix(prefix.to_owned())
    }

    #[test]
    fn what_is_almost_a_reply_is_recognised_and_nothing_else() {
        for text in [
            "/wa,hello",
            "/WA, hello",
            "/ wa hello",
            "/\u{a0}wa: hello",
            "/wa. hello",
            "/wa-hello",
            "\\wa hello",
            "/wa!",
        ] {
            assert!(of("/wa").is_near_miss(text), "{text}");
            assert_eq!(of("/wa").reply(text), None, "{text}");
        }
        for text in [
            "/wait for me",
            "/want",
            "/ wait",
            "wa hello",
            "/warehouse/2",
            "/wa_x",
            "/wa/x",
            "call / wa",
            "",
            "/",
            "/ ",
            "/w a",
            "/wa hello",
            "/WA: hello",
        ] {
            assert!(!of("/wa").is_near_miss(text), "{text}");
            assert!(!Marker::All.is_near_miss(text), "{text}");
        }
        assert!(of("#antwort").is_near_miss("# Antwort, hallo"));
        assert!(!of("#antwort").is_near_miss("# antworten"));
        assert!(of("ß!").is_near_miss("ß!, x") && !of("an").is_near_miss("a n x"));
    }

    #[test]
    fn only_the_word_makes_a_reply() {
        let said = |text: &str| of("/wa").reply(text);
        for (text, reply) in [
            ("/wa Hi Ana,\non its way", "Hi Ana,\non its way"),
            ("/WA: hello", "hello"),
            ("\u{feff}\u{a0}/wa\u{a0}hello ", "hello"),
            ("/wa", ""),
        ] {
            assert_eq!(said(text).as_deref(), Some(reply), "{text}");
        }
        for internal in [
            "/want a refund",
            "note: /wa hello",
            "call her",
            "",
            "/w",
            "ﬀ/wa x",
        ] {
            assert_eq!(said(internal), None, "{internal}");
        }
        assert_eq!(Marker::All.reply(" call her ").as_deref(), Some("call her"));
    }

    #[test]
    fn the_default_protects_and_a_word_without_effect_is_told() {
        let read = |value: serde_json::Value| {
            let problems = RefCell::new(Vec::new());
            let mut top = Table::new("", &value, &problems).expect("a table");
            let marker = Marker::read(&mut top);
            top.finish();
            let told: Vec<String> = problems.into_inner().into_iter().map(|p| p.path).collect();
            (marker, told)
        };
        assert_eq!(read(json!({})), (of("/wa"), vec![]));
        assert_eq!(read(json!({"reply_prefix": "#r"})), (of("#r"), vec![]));
        assert_eq!(read(json!({"reply_marker": "all"})), (Marker::All, vec![]));
        let told = |value| read(value).1;
        let both = json!({"reply_marker": "all", "reply_prefix": "/wa"});
        assert_eq!(told(both), ["reply_prefix"]);
        assert_eq!(
            told(json!({"reply_prefix": "to customer"})),
            ["reply_prefix"]
        );
        assert_eq!(told(json!({"reply_marker": "every"})), ["reply_marker"]);
    }
}
