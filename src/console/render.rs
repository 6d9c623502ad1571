//! Templates, and the functions that they call.
//!
//! | function | what it gives |
//! | --- | --- |
//! | `t(key, …)` | a text, with named values or a map of them |
//! | `asset(name)` | an asset's address |
//! | `icon(name)` | an icon from the sprite |
//! | `when(time, shape)` | a time: `ago`, `moment`, `clock` or `day` |
//! | `since(time)` | how long ago a time is |
//! | `kind_letters(kind)` | the two letters of a target's mark |
//! | `num`, `bytes`, `span` (filters) | a number, a size, a duration in milliseconds |
//! | `segment` (filter) | a text as one segment of an address |

use std::sync::Arc;

use jiff::Timestamp;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, escape_formatter};

use super::assets::Assets;
use super::format::{self, Shape};
use super::texts::{self, Texts};
use crate::connectors;

/// Every template: its name and its source.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("layout.html", include_str!("templates/layout.html")),
    ("bare.html", include_str!("templates/bare.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("nav.html", include_str!("templates/nav.html")),
    ("nav_list.html", include_str!("templates/nav_list.html")),
    ("overview.html", include_str!("templates/overview.html")),
    (
        "conversations.html",
        include_str!("templates/conversations.html"),
    ),
    (
        "conversation.html",
        include_str!("templates/conversation.html"),
    ),
    ("tap.html", include_str!("templates/tap.html")),
    ("parked.html", include_str!("templates/parked.html")),
    (
        "parked_parts.html",
        include_str!("templates/parked_parts.html"),
    ),
    (
        "parked_group.html",
        include_str!("templates/parked_group.html"),
    ),
    ("letter.html", include_str!("templates/letter.html")),
    (
        "letter_drop.html",
        include_str!("templates/letter_drop.html"),
    ),
    ("reason.html", include_str!("templates/reason.html")),
    ("confirm.html", include_str!("templates/confirm.html")),
    ("target.html", include_str!("templates/target.html")),
    (
        "problem_parts.html",
        include_str!("templates/problem_parts.html"),
    ),
    ("audit.html", include_str!("templates/audit.html")),
    ("access.html", include_str!("templates/access.html")),
    (
        "token_revoke.html",
        include_str!("templates/token_revoke.html"),
    ),
    ("playground.html", include_str!("templates/playground.html")),
    ("mappings.html", include_str!("templates/mappings.html")),
    ("mapping.html", include_str!("templates/mapping.html")),
    (
        "mapping_parts.html",
        include_str!("templates/mapping_parts.html"),
    ),
    (
        "mapping_publish.html",
        include_str!("templates/mapping_publish.html"),
    ),
    (
        "mapping_conflict.html",
        include_str!("templates/mapping_conflict.html"),
    ),
    (
        "mapping_versions.html",
        include_str!("templates/mapping_versions.html"),
    ),
    ("dialects.html", include_str!("templates/dialects.html")),
    ("dialect.html", include_str!("templates/dialect.html")),
    ("error.html", include_str!("templates/error.html")),
    ("keys.html", include_str!("templates/keys.html")),
    ("sign_in.html", include_str!("templates/sign_in.html")),
];

/// The templates, compiled.
pub struct Renderer {
    env: Environment<'static>,
}

impl Renderer {
    /// Compiles every template.
    ///
    /// # Errors
    /// A template is not well formed, which a test of this module would have found.
    pub fn new(texts: Arc<Texts>, assets: Arc<Assets>) -> Result<Renderer, Error> {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_debug(false);
        env.set_recursion_limit(64);
        env.set_formatter(|out, state, value| match value.as_str() {
            Some(text) if !value.is_safe() => Ok(out.write_str(&format::escaped(text))?),
            _ => escape_formatter(out, state, value),
        });
        functions(&mut env, &texts, &assets);
        for (name, source) in TEMPLATES {
            env.add_template(name, source)?;
        }
        Ok(Renderer { env })
    }

    /// A page, or the block of it with the name `part_…` where a part is asked for and the page has it.
    ///
    /// # Errors
    /// The template names what its value does not have.
    pub fn render(
        &self,
        template: &str,
        value: &serde_json::Value,
        part: Option<&str>,
    ) -> Result<String, Error> {
        let template = self.env.get_template(template)?;
        let Some(part) = part else {
            return template.render(value_of(value));
        };
        let mut captured = template.render_captured(value_of(value))?;
        captured.with_state_mut(|state| state.render_block(&format!("part_{part}")))
    }
}

/// A JSON value as a template sees it.
fn value_of(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(is) => Value::from(*is),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(fraction)) => Value::from(fraction),
            (None, None) => Value::from(()),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(value_of).collect(),
        serde_json::Value::Object(members) => Value::from_pairs(
            members
                .iter()
                .map(|(name, value)| (name.as_str(), value_of(value))),
        ),
    }
}

fn functions(env: &mut Environment<'static>, texts: &Arc<Texts>, assets: &Arc<Assets>) {
    let said = Arc::clone(texts);
    env.add_function("t", move |key: &str, map: Option<Value>, kwargs: Kwargs| {
        let values = texts::named(map, &kwargs)?;
        let said = said.say(key, &|name| values.get(name).cloned())?;
        Ok::<_, Error>(Value::from_safe_string(said))
    });
    let all = Arc::clone(assets);
    env.add_function("asset", move |name: &str| {
        let address = all.address(name).map(str::to_owned);
        address.ok_or_else(|| wrong(format!("there is no asset {name}")))
    });
    let sprite = assets.address("icons.svg").unwrap_or_default().to_owned();
    env.add_function("icon", move |name: &str| {
        Value::from_safe_string(format!(
            "<svg class=\"i\" width=\"16\" height=\"16\" aria-hidden=\"true\"><use href=\"{sprite}#{}\"/></svg>",
            format::escaped(name)
        ))
    });
    let of_times = Arc::clone(texts);
    env.add_function("when", move |at: &str, shape: &str| {
        let at: Timestamp = at
            .parse()
            .map_err(|_| wrong("when wants a time".to_owned()))?;
        let shape = Shape::parse(shape).ok_or_else(|| wrong(format!("no shape {shape}")))?;
        Ok::<_, Error>(format::time(&of_times, at, Timestamp::now(), shape))
    });
    let of_since = Arc::clone(texts);
    env.add_function("since", move |at: &str| {
        let at: Timestamp = at
            .parse()
            .map_err(|_| wrong("since wants a time".to_owned()))?;
        Ok::<_, Error>(format::duration(&of_since, format::since(at)))
    });
    env.add_function("kind_letters", |kind: &str| {
        let found = connectors::marks().find(|(known, _)| *known == kind);
        found.map_or("", |(_, mark)| mark.letters)
    });
    env.add_filter("segment", |text: &str| {
        let coded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        coded.replace('+', "%20")
    });
    env.add_filter("num", |number: i64| format::number(number));
    let of_sizes = Arc::clone(texts);
    env.add_filter("bytes", move |size: i64| format::bytes(&of_sizes, size));
    let of_spans = Arc::clone(texts);
    env.add_filter("span", move |millis: i64| {
        format::duration(&of_spans, millis)
    });
    let script = serde_json::json!(texts.below("script."));
    env.add_global("script_texts", script.to_string());
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_well_formed_and_none_is_forgotten() {
        let texts = Arc::new(Texts::shipped().expect("well formed"));
        Renderer::new(texts, Arc::new(Assets::new())).expect("well formed");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/templates");
        for file in std::fs::read_dir(folder).expect("the folder is there") {
            let name = file.expect("it can be read").file_name();
            let name = name.to_string_lossy();
            assert!(TEMPLATES.iter().any(|(known, _)| *known == name), "{name}");
        }
    }
}
