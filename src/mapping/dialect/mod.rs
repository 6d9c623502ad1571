//! Dialects: what gateways send, as events.
//!
//! A dialect is a TOML file of `kind = "intake"`: when it applies, the lists that a payload carries, and
//! for each item the first rule that holds, which makes an event or says why none is made. What it makes
//! is a CloudEvent in the form that producers send, read by intake as tolerantly as one of theirs.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `reading` | the file |
//! | `when` | whether it applies |
//! | `path` | places and lists in a payload |
//! | `node` | the parts of an event |
//! | `secrets` | what of a payload nobody may keep |
//! | `cases` | the file's tests |
//! | `shipped` | the dialects that come with the daemon |

mod cases;
mod node;
mod path;
mod reading;
mod secrets;
pub mod shipped;
mod when;

use std::collections::BTreeMap;
use std::sync::Arc;

use handoffd_contract::ids;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::cases::Case;
use self::node::{Node, Renderer};
use self::path::{List, Path, Scope};
pub use self::when::Fit;
use self::when::When;
use super::document::Reading;
use super::field::Field;
use super::template::{Id, Templates};
use super::{MappingProblem, TestOutcome};

/// The most items of one payload.
pub const MAX_ITEMS: usize = 1_000;
/// The content type of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// A dialect in which every template is compiled. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dialect(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    when: When,
    /// Names of its own, in the file's order.
    names: Vec<(String, Computed)>,
    secrets: Vec<Path>,
    rules: Vec<Rule>,
    /// The lists that rules look at.
    lists: Vec<Vec<List>>,
    templates: Templates,
    cases: Vec<Case>,
}

/// A name of a file's own.
#[derive(Debug)]
enum Computed {
    /// A text.
    Text(Box<Field>),
    /// The first of these places at which something is.
    First(Vec<Path>),
}

#[derive(Debug)]
struct Rule {
    /// The number of its list.
    list: usize,
    when: Option<(Id, usize)>,
    what: What,
}

#[derive(Debug)]
enum What {
    Skip(String),
    Event {
        kind: &'static str,
        attributes: Vec<(String, Node)>,
        data: Vec<(String, Node)>,
    },
}

/// In a file's source: when it is fetched.
pub const FETCH: &str = "fetch";
/// The file's address lives for minutes: it is fetched at once and kept.
pub const AT_ONCE: &str = "at once";

/// What came in, for dialects.
#[derive(Clone, Copy)]
pub struct Payload<'a> {
    /// Its content type in lower case and without parameters.
    pub media_type: &'a str,
    /// Its headers.
    pub headers: &'a BTreeMap<String, String>,
    /// Its routing key; `None` over HTTP.
    pub routing_key: Option<&'a str>,
    /// The name of the way by which it came.
    pub source: &'a str,
    /// What the operator set for this dialect.
    pub options: &'a BTreeMap<String, String>,
    /// When it came.
    pub arrived: Timestamp,
    /// Its body.
    pub body: &'a Value,
}

/// What became of a payload.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Translation {
    /// Events, as producers send them. `subject` is missing where the payload names no session.
    pub events: Vec<Value>,
    /// How many items were left alone on purpose, by reason.
    pub skipped: BTreeMap<String, usize>,
    /// How many items no rule takes.
    pub untaken: usize,
    /// There are more than [`MAX_ITEMS`] items; the others were not looked at.
    pub is_cut: bool,
    /// What failed in the file's templates, by place, without values of the payload. What they stand for
    /// was left out.
    pub faults: Vec<String>,
}

impl Dialect {
    /// Whether a file is a dialect's; what it is otherwise, its reader says.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        let kind = |table: toml::Table| table.get("kind")?.as_str().map(str::to_owned);
        text.parse().ok().and_then(kind).as_deref() == Some("intake")
    }

    /// Reads a dialect; `file` is only for messages.
    ///
    /// # Errors
    /// Every problem, in the file's order.
    pub fn parse(file: &str, text: &str) -> Result<Dialect, Vec<MappingProblem>> {
        let mut reading = Reading::new(file, text);
        let inner = reading::read(&mut reading);
        let mut problems = reading.problems;
        problems.sort_by_key(|problem| problem.line);
        match inner {
            Some(inner) if problems.is_empty() => Ok(Dialect(Arc::new(inner))),
            _ => Err(problems),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The headers that it looks at, in lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.0.when.headers()
    }

    /// Takes out of a body what is a secret in this dialect. Returns whether anything was.
    pub fn without_secrets(&self, body: &mut Value) -> bool {
        let secrets = self.0.secrets.iter();
        secrets.fold(false, |any, secret| secret.take_out(body) | any)
    }

    /// What becomes of something that came in.
    ///
    /// # Errors
    /// It came in another dialect: how well this one fits.
    pub fn translate(&self, payload: &Payload<'_>) -> Result<Translation, Fit> {
        let inner = &*self.0;
        let renderer = Renderer::new(&inner.templates);
        let mut made = Translation::default();
        let base = scope(payload);
        let fit = inner.when.fit(&renderer, payload, &base);
        if fit.misses.is_some() {
            return Err(fit);
        }
        let mut left = MAX_ITEMS;
        for (list, levels) in inner.lists.iter().enumerate() {
            let mut scopes = Vec::new();
            made.is_cut |= gather(&base, levels, &mut scopes, &mut left).is_err();
            for mut scope in scopes {
                for (name, computed) in &inner.names {
                    compute(&renderer, &mut scope, name, computed);
                }
                self.item(list, &renderer, &scope, &mut made);
            }
        }
        made.faults = renderer.faults();
        Ok(made)
    }

    /// Runs the tests that are saved with it.
    #[must_use]
    pub fn run_tests(&self) -> Vec<TestOutcome> {
        self.0.cases.iter().map(|case| case.run(self)).collect()
    }

    /// What becomes of one item: the first rule over its list that holds decides.
    fn item(
        &self,
        list: usize,
        renderer: &Renderer<'_>,
        scope: &Scope<'_>,
        made: &mut Translation,
    ) {
        let mut rules = self.0.rules.iter().filter(|rule| rule.list == list);
        match rules
            .find(|rule| renderer.holds(rule.when, scope))
            .map(|rule| &rule.what)
        {
            Some(What::Skip(why)) => *made.skipped.entry(why.clone()).or_default() += 1,
            Some(What::Event {
                kind,
                attributes,
                data,
            }) => made
                .events
                .push(self.event(kind, attributes, data, renderer, scope)),
            // What no rule over the whole payload takes may be taken by one over a list.
            None if self.0.lists[list].is_empty() => {}
            None => made.untaken += 1,
        }
    }

    fn event(
        &self,
        kind: &str,
        attributes: &[(String, Node)],
        data: &[(String, Node)],
        renderer: &Renderer<'_>,
        scope: &Scope<'_>,
    ) -> Value {
        let rendered = |parts: &[(String, Node)]| -> Map<String, Value> {
            let parts = parts.iter();
            parts
                .filter_map(|(name, node)| Some((name.clone(), renderer.node(node, scope)?)))
                .collect()
        };
        let mut event = rendered(attributes);
        let data = Value::Object(rendered(data));
        event.insert("specversion".into(), "1.0".into());
        event.insert("type".into(), kind.into());
        let source = || Value::from(format!("{}/{}", self.0.name, scope.source()));
        event.entry("source").or_insert_with(source);
        // The same again must be known as the same: the time of arrival is no part of it.
        let id = || json!(format!("no-id-{}", ids::short(&[kind, &scope.item()])));
        event.entry("id").or_insert_with(id);
        event.insert("data".into(), data);
        Value::Object(event)
    }
}

fn compute(renderer: &Renderer<'_>, scope: &mut Scope<'_>, name: &str, computed: &Computed) {
    match computed {
        Computed::Text(field) => match renderer.leaf(field, scope) {
            Some(Value::String(text)) => scope.say(name, &text),
            Some(other) => scope.say(name, &other.to_string()),
            None => scope.alias(name, None),
        },
        Computed::First(ways) => {
            let place = ways.iter().find_map(|way| scope.at(way));
            scope.alias(name, place);
        }
    }
}

/// The names that every template has.
fn scope<'v>(payload: &Payload<'v>) -> Scope<'v> {
    let mut scope = Scope::default();
    scope.enter("body", payload.body);
    scope.texts("header", payload.headers);
    scope.texts("option", payload.options);
    scope.say("routing_key", payload.routing_key.unwrap_or_default());
    scope.say("source", payload.source);
    scope.say("arrived", &payload.arrived.to_string());
    scope
}

/// A scope for every item of the lists in one another; one for the payload itself where there is none.
fn gather<'v>(
    scope: &Scope<'v>,
    levels: &[List],
    scopes: &mut Vec<Scope<'v>>,
    left: &mut usize,
) -> Result<(), ()> {
    let Some((list, deeper)) = levels.split_first() else {
        *left = left.checked_sub(1).ok_or(())?;
        scopes.push(scope.clone());
        return Ok(());
    };
    for item in list.items(scope) {
        let mut inner = scope.clone();
        inner.enter(&list.item, item);
        gather(&inner, deeper, scopes, left)?;
    }
    Ok(())
}

/// Masks in a body whatever is a secret by its name. Returns whether there was one.
pub fn mask(body: &mut Value) -> bool {
    secrets::mask(body)
}

/// A text in which every value is masked that a secret's name precedes.
#[must_use]
pub fn mask_text(text: &str) -> String {
    secrets::mask_text(text)
}

/// A form as an object; of parameters of the same name, the first one counts.
/// <https://url.spec.whatwg.org/#application/x-www-form-urlencoded>
#[must_use]
pub fn form(body: &[u8]) -> Value {
    let mut map = Map::new();
    for (name, value) in url::form_urlencoded::parse(body).take(MAX_ITEMS) {
        map.entry(name.into_owned())
            .or_insert_with(|| value.into_owned().into());
    }
    Value::Object(map)
}

/// Whether a text is the way to a place of a payload, such as `body.metadata.team`.
#[must_use]
pub fn is_way(text: &str) -> bool {
    Path::parse(text).is_ok_and(|path| path.name == "body")
}

/// The text, number or boolean at a place of a payload, as a text.
#[must_use]
pub fn at(body: &Value, way: &str) -> Option<String> {
    let path = Path::parse(way).ok()?;
    let mut scope = Scope::default();
    scope.bind("body", body);
    match scope.at(&path)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
