//! What answers mean: places in an answer, and the table of a gateway's errors.

use handoffd_contract::HttpReply;
use handoffd_contract::settings::Table;
use serde_json::Value;

use crate::errors::codes::Class;

/// The most rules of a gateway.
const MAX_RULES: usize = 100;

/// A place in an answer, as a JSON pointer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place(String);

impl Place {
    /// Reads a place such as `response.message[0].exists`; empty for the whole answer.
    pub(crate) fn parse(written: &str) -> Place {
        let mut pointer = String::new();
        for step in written.split('.').filter(|step| !step.is_empty()) {
            for part in step.split('[') {
                let part = part.trim_end_matches(']');
                if !part.is_empty() {
                    pointer.push('/');
                    pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
                }
            }
        }
        Place(pointer)
    }

    /// What is there.
    pub(crate) fn of<'a>(&self, answer: &'a Value) -> Option<&'a Value> {
        answer.pointer(&self.0).filter(|value| !value.is_null())
    }

    /// The text or number that is there, as a text.
    pub(crate) fn text(&self, answer: &Value) -> Option<String> {
        match self.of(answer)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }
}

/// One place or several, as they are written.
pub(crate) fn places(table: &mut Table<'_>, key: &'static str) -> Vec<Place> {
    match table.value(key) {
        Some(Value::String(one)) => vec![Place::parse(one)],
        Some(Value::Array(_)) => {
            let all = table.texts(key).unwrap_or_default();
            all.iter().map(|one| Place::parse(one)).collect()
        }
        Some(other) => {
            table.wrong(
                key,
                other,
                "write a place in the answer, such as \"key.id\"",
            );
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// What an answer means for which this holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    /// One of these statuses; any where there is none.
    status: Vec<u64>,
    /// Where to look.
    at: Option<Place>,
    /// One of these is there; anything where both are empty.
    is: Vec<String>,
    /// One of these, in small letters, stands in what is there.
    has: Vec<String>,
    pub(crate) means: Class,
    /// What a rep is told.
    pub(crate) tell: Option<String>,
}

impl Rule {
    /// Whether it is about this answer.
    pub(crate) fn holds(&self, reply: &HttpReply, answer: &Value) -> bool {
        if !self.status.is_empty() && !self.status.contains(&u64::from(reply.status)) {
            return false;
        }
        let Some(at) = &self.at else { return true };
        let Some(found) = at.of(answer) else {
            return false;
        };
        let text = at.text(answer).unwrap_or_else(|| found.to_string());
        let small = text.to_lowercase();
        (self.is.is_empty() && self.has.is_empty())
            || self.is.contains(&text)
            || self.has.iter().any(|part| small.contains(part))
    }
}

/// What a rule can mean, in the file's words.
const MEANINGS: [(&str, Class); 11] = [
    ("recipient", Class::Recipient),
    ("content", Class::Content),
    ("template", Class::Template),
    ("window", Class::Window),
    ("account", Class::Account),
    ("sign-in", Class::Auth),
    ("rate", Class::Number),
    ("customer-rate", Class::Pair),
    ("busy", Class::Busy),
    ("unclear", Class::Ambiguous),
    ("api-rate", Class::App),
];

/// The rules of a gateway's file, in its order.
pub(crate) fn rules(table: &mut Table<'_>) -> Vec<Rule> {
    let items: &[Value] = match table.value("error") {
        None => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(other) => {
            table.wrong("error", other, "begin each rule with [[error]]");
            return Vec::new();
        }
    };
    if items.len() > MAX_RULES {
        table.problem("error", format!("has more than {MAX_RULES} rules"));
    }
    let rules = items.iter().take(MAX_RULES).enumerate();
    let rules = rules.filter_map(|(n, item)| {
        let path = table.path_of(&format!("error[{n}]"));
        let mut rule = table.below(path, item)?;
        let status = match rule.value("status") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_u64).collect(),
            Some(one) => one.as_u64().into_iter().collect(),
            None => Vec::new(),
        };
        let at = places(&mut rule, "at").into_iter().next();
        let is = texts(&mut rule, "is");
        let has = texts(&mut rule, "has");
        let has = has.iter().map(|text| text.to_lowercase()).collect();
        rule.missing("means", "write such as recipient, content or account");
        let means = rule.choice("means", &MEANINGS, Class::Ambiguous);
        let tell = rule.text("tell");
        if status.is_empty() && at.is_none() {
            rule.problem(
                "status",
                "neither `status` nor `at` is there; such a rule holds always",
            );
        }
        rule.finish();
        Some(Rule {
            status,
            at,
            is,
            has,
            means,
            tell,
        })
    });
    rules.collect()
}

/// Texts, numbers and booleans, as texts.
fn texts(rule: &mut Table<'_>, key: &'static str) -> Vec<String> {
    let one = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match rule.value(key) {
        Some(Value::Array(all)) => all.iter().map(one).collect(),
        Some(value) => vec![one(value)],
        None => Vec::new(),
    }
}
