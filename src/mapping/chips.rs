//! A template as chips that a person can press, and back: fixed text, sources, and what is done to them.
//!
//! ```text
//! WhatsApp: {{ handoff.topic | trim or handoff.reasons | first or 'handoff' }}
//! └ text ┘     └ the first of these that is not empty, each with its transforms ┘
//! ```
//!
//! What chips cannot say stays a template. Both ways give the same values for every event.

use serde::{Deserialize, Serialize};

/// One chip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "chip")]
pub enum Chip {
    /// Text as it is.
    Text {
        /// The text.
        text: String,
    },
    /// The first of these that is not empty.
    Value {
        /// The terms, in order.
        first_of: Vec<Term>,
    },
}

/// A source or a text, and what is done to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Term {
    /// The source's path; or a text in single quotes.
    pub source: String,
    /// What is done to it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<Transform>,
}

/// One thing that is done to a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Transform {
    /// The filter's name, such as `trim`.
    pub name: String,
    /// Its arguments as they are written: `'%d.%m.%Y'`, `tz='Europe/Berlin'`, `80`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
}

/// A transform that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Offered {
    /// The filter's name.
    pub name: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// Its arguments, written as they are offered.
    pub arguments: &'static [&'static str],
}

/// The transforms that are offered, the usual ones first.
pub const OFFERED: &[Offered] = &[
    offered("trim", "Trim", &[]),
    offered("truncate", "Shorten", &["100"]),
    offered("date", "Date", &["'%d.%m.%Y'", "tz='Europe/Berlin'"]),
    offered("phone", "E.164 digits", &[]),
    offered("first", "First of a list", &[]),
    offered("join", "Join a list", &["', '"]),
    offered("lower", "Lower case", &[]),
    offered("upper", "Upper case", &[]),
    offered("capitalize", "Capital first", &[]),
    offered("replace", "Replace", &["'_'", "' '"]),
    offered("digits", "Digits only", &[]),
    offered("round", "Round", &["2"]),
    offered("plain", "Plain text", &[]),
];

const fn offered(
    name: &'static str,
    label: &'static str,
    arguments: &'static [&'static str],
) -> Offered {
    Offered {
        name,
        label,
        arguments,
    }
}

/// The chips of a template; `None` where chips cannot say it.
#[must_use]
pub fn of_template(template: &str) -> Option<Vec<Chip>> {
    let mut chips = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let next = rest[at + 1..].chars().next();
        if next == Some('%') || next == Some('#') {
            return None;
        }
        if next != Some('{') {
            text(&mut chips, &rest[..=at]);
            rest = &rest[at + 1..];
            continue;
        }
        text(&mut chips, &rest[..at]);
        let (inside, after) = expression(&rest[at + 2..])?;
        chips.push(Chip::Value {
            first_of: terms(inside)?,
        });
        rest = after;
    }
    text(&mut chips, rest);
    Some(chips)
}

/// The template of chips.
///
/// # Errors
/// Which chip cannot be written.
pub fn to_template(chips: &[Chip]) -> Result<String, String> {
    let mut template = String::new();
    for chip in chips {
        match chip {
            Chip::Text { text }
                if text.contains("{{") || text.contains("{%") || text.contains("{#") =>
            {
                return Err("a text holds a template's signs; write it as a template".into());
            }
            Chip::Text { text } => template.push_str(text),
            Chip::Value { first_of } => {
                let terms = first_of.iter().map(term).collect::<Result<Vec<_>, _>>()?;
                if terms.is_empty() {
                    return Err("a value needs a source".into());
                }
                let is_one = terms.len() == 1;
                let terms: Vec<String> = terms
                    .into_iter()
                    .map(|(text, has_filters)| {
                        if has_filters && !is_one {
                            format!("({text})")
                        } else {
                            text
                        }
                    })
                    .collect();
                template.push_str(&format!("{{{{ {} }}}}", terms.join(" or ")));
            }
        }
    }
    match of_template(&template) {
        Some(back) if joined(&back) == joined(chips) => Ok(template),
        _ => Err("these chips cannot be written as a template".into()),
    }
}

/// Chips with neighbouring texts as one.
fn joined(chips: &[Chip]) -> Vec<Chip> {
    let mut all = Vec::new();
    for chip in chips {
        match chip {
            Chip::Text { text: more } => text(&mut all, more),
            value => all.push(value.clone()),
        }
    }
    all
}

fn text(chips: &mut Vec<Chip>, more: &str) {
    match chips.last_mut() {
        _ if more.is_empty() => {}
        Some(Chip::Text { text }) => text.push_str(more),
        _ => chips.push(Chip::Text { text: more.into() }),
    }
}

/// What stands up to the closing braces, and what comes after them.
fn expression(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match quote {
            Some(mark) if c == mark && before != '\\' => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if text[at..].starts_with("}}") => {
                let inside = &text[..at];
                let plain = !inside.starts_with(['-', '+']) && !inside.ends_with(['-', '+']);
                return plain.then(|| (inside, &text[at + 2..]));
            }
            None => {}
        }
        before = c;
    }
    None
}

fn terms(inside: &str) -> Option<Vec<Term>> {
    let mut reader = Reader {
        tokens: tokens(inside)?,
        at: 0,
    };
    let mut terms = vec![reader.term()?];
    while reader.take_word("or") {
        terms.push(reader.term()?);
    }
    (reader.at == reader.tokens.len()).then_some(terms)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Number(String),
    Sign(char),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '\'' | '"' => {
                // A backslash is nothing that chips write.
                let end = rest[1..].find(c)? + 2;
                let inner = &rest[1..end - 1];
                if inner.contains('\\') || inner.contains('\'') {
                    return None;
                }
                tokens.push(Token::Quoted(inner.to_owned()));
                end
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
            c if c.is_ascii_digit() => {
                let end = rest
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len());
                tokens.push(Token::Number(rest[..end].to_owned()));
                end
            }
            '|' | '(' | ')' | ',' | '=' => {
                tokens.push(Token::Sign(c));
                1
            }
            _ => return None,
        };
        rest = rest[end..].trim_start();
    }
    Some(tokens)
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take_sign(&mut self, sign: char) -> bool {
        let is = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(is);
        is
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.at += usize::from(is);
        is
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// A source or text with its filters, in parentheses or not.
    fn term(&mut self) -> Option<Term> {
        if self.take_sign('(') {
            let term = self.term()?;
            return (self.take_sign(')') && self.peek() != Some(&Token::Sign('|'))).then_some(term);
        }
        let source = match self.next()? {
            Token::Word(word) if is_path(&word) => word,
            Token::Quoted(text) => format!("'{text}'"),
            _ => return None,
        };
        let mut transforms = Vec::new();
        while self.take_sign('|') {
            transforms.push(self.transform()?);
        }
        Some(Term { source, transforms })
    }

    fn transform(&mut self) -> Option<Transform> {
        let Token::Word(name) = self.next()? else {
            return None;
        };
        if name.contains('.') || is_keyword(&name) {
            return None;
        }
        let mut arguments = Vec::new();
        if self.take_sign('(') && !self.take_sign(')') {
            loop {
                arguments.push(self.argument()?);
                if self.take_sign(')') {
                    break;
                }
                if !self.take_sign(',') {
                    return None;
                }
            }
        }
        Some(Transform { name, arguments })
    }

    fn argument(&mut self) -> Option<String> {
        match self.next()? {
            Token::Quoted(text) => Some(format!("'{text}'")),
            Token::Number(number) => Some(number),
            Token::Word(name) if !name.contains('.') && self.take_sign('=') => match self.next()? {
                Token::Quoted(text) => Some(format!("{name}='{text}'")),
                Token::Number(number) => Some(format!("{name}={number}")),
                _ => None,
            },
            _ => None,
        }
    }
}

fn is_keyword(word: &str) -> bool {
    [
        "or", "and", "not", "if", "else", "in", "is", "true", "false", "none",
    ]
    .contains(&word)
}

fn is_path(word: &str) -> bool {
    word.split('.').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !is_keyword(part)
    })
}

fn term(term: &Term) -> Result<(String, bool), String> {
    let mut written = term.source.clone();
    for transform in &term.transforms {
        written.push_str(&format!(" | {}", transform.name));
        if !transform.arguments.is_empty() {
            written.push_str(&format!("({})", transform.arguments.join(", ")));
        }
    }
    if written.contains("}}") || written.contains("%}") {
        return Err("a source or transform holds a template's signs".into());
    }
    Ok((written, !term.transforms.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Mapping, bare, sample, with_input};

    fn value(template: &str) -> Vec<serde_json::Value> {
        let text = format!(
            "kind = \"hubspot\"\n[ticket.subject]\nvalue = {}\n",
            toml_edit::Value::from(template)
        );
        let mapping = Mapping::parse("m.toml", &text).expect("is right");
        [sample(), bare()]
            .iter()
            .map(|event| {
                let states = with_input(event, |input| mapping.states(input, None));
                states[0].value.clone().unwrap_or_default()
            })
            .collect()
    }

    #[test]
    fn a_template_of_sources_and_transforms_is_chips_and_back() {
        for template in [
            "plain text",
            "{{ fields.category }}",
            "{{ fields.category | trim | lower }}",
            "WhatsApp: {{ handoff.topic or (handoff.reasons | first | replace('_', ' ')) or 'handoff' }} ({{ contact.display_name }})",
            "{{ handoff.requested_at | date('%d.%m.%Y', tz='Europe/Berlin') }}",
            "{{ handoff.reasons | join(', ') }}",
            "{ {{ handoff.summary | truncate(20) }} }",
        ] {
            let chips = of_template(template).unwrap_or_else(|| panic!("{template}"));
            let back = to_template(&chips).unwrap_or_else(|words| panic!("{template}: {words}"));
            assert_eq!(value(&back), value(template), "{template} became {back}");
            assert_eq!(of_template(&back), Some(chips), "{template}");
        }
    }

    #[test]
    fn shipped_mappings_are_told_as_chips_or_left_as_they_are() {
        let mut told = 0;
        for kind in crate::connectors::KINDS {
            for (path, keys) in crate::mapping::edit::all_fields(kind.mapping).expect("fields") {
                let Some(template) = keys.0.get("value").and_then(|value| value.as_str()) else {
                    continue;
                };
                if let Some(chips) = of_template(template) {
                    told += 1;
                    let back =
                        to_template(&chips).unwrap_or_else(|words| panic!("{path}: {words}"));
                    assert_eq!(of_template(&back), Some(chips), "{path}");
                }
            }
        }
        assert!(told > 10, "{told} fields are chips");
    }

    #[test]
    fn what_chips_cannot_say_stays_a_template() {
        for template in [
            "{% if fields.vip %}VIP{% endif %}",
            "{{ fields.amount * 2 }}",
            "{{ 'VIP' if fields.vip }}",
            "{{ fields['order id'] }}",
            "{{ a or b and c }}",
            "{{ (fields.a or fields.b) | trim }}",
            "{{ fields.a",
            "{{- fields.a -}}",
            "{{ fields.a | default('it\\'s') }}",
            "{# note #}",
        ] {
            assert_eq!(of_template(template), None, "{template}");
        }
    }

    #[test]
    fn chips_that_are_no_template_are_refused() {
        let value = |source: &str| Chip::Value {
            first_of: vec![Term {
                source: source.into(),
                transforms: Vec::new(),
            }],
        };
        let text = |text: &str| Chip::Text { text: text.into() };
        for chips in [
            vec![text("{{ contact.phone }}")],
            vec![text("{"), text("{ contact.phone }}")],
            vec![value("contact.phone }} {{ contact.email")],
            vec![value("contact.phone or contact.email")],
            vec![Chip::Value {
                first_of: Vec::new(),
            }],
        ] {
            assert!(to_template(&chips).is_err(), "{chips:?}");
        }
        assert_eq!(to_template(&[text("a"), text("b")]).as_deref(), Ok("ab"));
    }
}
