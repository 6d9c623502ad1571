//! Whether a dialect is the one that something came in.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use handoffd_contract::settings::printable;

use super::Payload;
use super::node::Renderer;
use super::path::Scope;
use crate::mapping::document::{Reading, by_line};
use crate::mapping::template::Id;

/// The conditions; all of them must hold.
#[derive(Debug, Default)]
pub(super) struct When {
    /// Content types without parameters; one of them.
    content_types: Vec<String>,
    /// Headers by name in lower case, with their value; `*` is any.
    headers: BTreeMap<String, String>,
    /// Patterns of routing keys; one of them. Over HTTP there is none, and nothing is asked.
    routing_keys: Vec<String>,
    /// Expressions over the body.
    holds: Vec<(String, (Id, usize))>,
}

/// How well a dialect fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// How many of its conditions hold.
    pub met: usize,
    /// How many there are.
    pub of: usize,
    /// The first one that does not hold, in the file's words; none where it fits.
    pub misses: Option<String>,
}

impl Reading<'_> {
    pub(super) fn when(&mut self, table: &DeTable<'_>) -> When {
        let mut when = When::default();
        for (key, value) in by_line(table) {
            let line = self.line(key.span().start);
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("content_type", _) => {
                    when.content_types = self.texts("when", "content_type", value)
                }
                ("routing_key", _) => when.routing_keys = self.texts("when", "routing_key", value),
                ("header", DeValue::Table(headers)) => {
                    for (name, value) in by_line(headers) {
                        let name = name.get_ref().to_ascii_lowercase();
                        let value = self.texts("when.header", &name, value);
                        when.headers
                            .extend(value.into_iter().next().map(|value| (name, value)));
                    }
                }
                ("holds", _) => {
                    for expression in self.texts("when", "holds", value) {
                        let added = self.templates.add_condition(&expression);
                        let added = self.taken("when.holds", value, added);
                        when.holds.extend(added.map(|added| (expression, added)));
                    }
                }
                ("header", _) => {
                    self.problem(line, "when", "`header` must be a table of names and values")
                }
                (other, _) => {
                    let words = format!(
                        "unknown key `{}`; known are: content_type, header, routing_key, holds",
                        printable(other)
                    );
                    self.problem(line, "when", words);
                }
            }
        }
        when
    }
}

impl When {
    /// The headers that are asked for.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        self.headers.keys().map(String::as_str)
    }

    /// How well it fits.
    pub(super) fn fit(
        &self,
        renderer: &Renderer<'_>,
        payload: &Payload<'_>,
        scope: &Scope<'_>,
    ) -> Fit {
        let mut fit = Fit {
            met: 0,
            of: 0,
            misses: None,
        };
        let mut count = |is_met: bool, words: &dyn Fn() -> String| {
            fit.of += 1;
            fit.met += usize::from(is_met);
            if !is_met && fit.misses.is_none() {
                fit.misses = Some(words());
            }
        };
        if !self.content_types.is_empty() {
            let is_one = |one: &String| one.eq_ignore_ascii_case(payload.media_type);
            count(self.content_types.iter().any(is_one), &|| {
                "content_type".to_owned()
            });
        }
        if let (Some(key), false) = (payload.routing_key, self.routing_keys.is_empty()) {
            let fits = self
                .routing_keys
                .iter()
                .any(|pattern| is_like(pattern, key));
            count(fits, &|| "routing_key".to_owned());
        }
        for (name, wanted) in &self.headers {
            let given = payload
                .headers
                .iter()
                .find(|(given, _)| given.eq_ignore_ascii_case(name));
            let fits =
                given.is_some_and(|(_, given)| wanted == "*" || wanted.eq_ignore_ascii_case(given));
            count(fits, &|| format!("header {name}"));
        }
        for (expression, condition) in &self.holds {
            let is_met = renderer.holds(Some(*condition), scope);
            count(is_met, &|| expression.clone());
        }
        fit
    }
}

/// Whether a routing key is like a pattern: `*` is one word, `#` any number of words.
/// <https://www.rabbitmq.com/tutorials/tutorial-five-python#topic-exchange>
fn is_like(pattern: &str, key: &str) -> bool {
    let words: Vec<&str> = key.split('.').collect();
    // Which numbers of words the pattern's beginning can stand for; no way is looked at twice.
    let mut ends = vec![false; words.len() + 1];
    ends[0] = true;
    for part in pattern.split('.') {
        let mut next = vec![false; words.len() + 1];
        for at in 0..=words.len() {
            match part {
                "#" => next[at] = ends[at] || (at > 0 && next[at - 1]),
                _ if at == 0 => {}
                "*" => next[at] = ends[at - 1],
                word => next[at] = ends[at - 1] && words[at - 1] == word,
            }
        }
        ends = next;
    }
    ends[words.len()]
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn routing_keys_are_like_patterns_as_in_the_broker() {
        for (pattern, key, fits) in [
            ("messages.*", "messages.upsert", true),
            ("messages.*", "messages", false),
            ("messages.*", "messages.upsert.x", false),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("a.#", "a", true),
            ("a.#.c", "a.b.b.c", true),
            ("a.#.c", "a.b", false),
            ("*.b.#", "a.b", true),
            ("typebot.change-status", "typebot.change-status", true),
            ("shop.messages.upsert", "messages.upsert", false),
        ] {
            assert_eq!(is_like(pattern, key), fits, "{pattern} {key}");
        }
    }
}
