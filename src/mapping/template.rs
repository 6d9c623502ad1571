//! All templates of one mapping, compiled once.

use std::collections::BTreeSet;
use std::io;

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use super::field::Lack;
use super::filters;
use super::lint::lint;
use super::names;

/// Steps that one template may take; a loop over 1,000 messages takes some 10,000.
const FUEL: u64 = 50_000;
/// The longest output of one template, in bytes.
const MAX_OUTPUT: usize = 1 << 20;

/// A template's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(usize);

/// The templates.
pub(super) struct Templates {
    env: Environment<'static>,
    count: usize,
    uses: BTreeSet<String>,
    /// Which templates use no name, and so are always the same.
    constant: BTreeSet<usize>,
    /// The names of a dialect, whose payloads have any shape; `None` where the names are an event's.
    foreign: Option<BTreeSet<String>>,
}

/// Why a template is wrong or failed: how many lines down (from 0), and what. Without values of
/// the event, because it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) message: String,
    /// In what way the value does not fit, where the mapping wants that to stop: its policy is to park.
    pub(super) lack: Option<Lack>,
}

impl Fault {
    /// Something is wrong with the mapping.
    pub(super) fn new(line: usize, message: impl Into<String>) -> Fault {
        Fault {
            line,
            message: message.into(),
            lack: None,
        }
    }
}

impl Templates {
    /// None yet.
    pub(super) fn new() -> Templates {
        let mut env = Environment::empty();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(64);
        env.set_debug(false);
        filters::add(&mut env);
        Templates {
            env,
            count: 0,
            uses: BTreeSet::new(),
            constant: BTreeSet::new(),
            foreign: None,
        }
    }

    /// None yet, over payloads of any shape: only the names at the top are known, and what a payload does
    /// not have is nothing.
    pub(super) fn over_payloads(names: BTreeSet<String>) -> Templates {
        let mut templates = Templates::new();
        templates
            .env
            .set_undefined_behavior(UndefinedBehavior::Chainable);
        templates.foreign = Some(names);
        templates
    }

    /// From now on a dialect's templates may use this name.
    pub(super) fn learn(&mut self, name: &str) {
        if let Some(names) = &mut self.foreign {
            names.insert(name.to_owned());
        }
    }

    /// What is wrong with a name such as `contact.nmae`, if anything is.
    pub(super) fn unknown(&self, path: &str) -> Option<String> {
        let Some(known) = &self.foreign else {
            return names::unknown(path);
        };
        let top = path.split('.').next().unwrap_or(path);
        let is_known = known.contains(top);
        (!is_known).then(|| names::unknown_name("", top, known.iter().map(String::as_str)))
    }

    /// Checks and compiles a template.
    pub(super) fn add(&mut self, source: &str) -> Result<Id, Vec<Fault>> {
        let mut faults: Vec<Fault> = lint(source)
            .into_iter()
            .map(|(line, message)| Fault::new(line, message))
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let name = self.count.to_string();
        self.env
            .add_template_owned(name.clone(), source.to_owned())
            .map_err(|error| vec![fault(&error)])?;
        let compiled = self
            .env
            .get_template(&name)
            .map_err(|error| vec![fault(&error)])?;
        let mut paths: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
        paths.sort();
        for path in &paths {
            if let Some(message) = self.unknown(path) {
                // The first line that has the word; names are not repeated in templates of a few lines.
                let word = path.rsplit('.').next().unwrap_or(path);
                let line = source
                    .lines()
                    .position(|line| line.contains(word))
                    .unwrap_or(0);
                faults.push(Fault::new(line, message));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        self.uses.extend(
            paths
                .iter()
                .map(|path| path.split('.').next().unwrap_or(path).to_owned()),
        );
        if paths.is_empty() {
            self.constant.insert(self.count);
        }
        self.count += 1;
        Ok(Id(self.count - 1))
    }

    /// Compiles a condition: an expression that holds or does not.
    pub(super) fn add_condition(&mut self, expression: &str) -> Result<Id, Vec<Fault>> {
        if expression.contains("%}") || expression.contains("{{") {
            let message =
                "write the condition without delimiters, such as handoff.sentiment == \"angry\"";
            return Err(vec![Fault::new(0, message)]);
        }
        self.add(&format!("{{% if {expression} %}}1{{% endif %}}"))
    }

    /// Whether this template uses any name; what uses none is always the same.
    pub(super) fn has_names(&self, id: Id) -> bool {
        !self.constant.contains(&id.0)
    }

    /// Whether any template uses a name.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.uses.contains(name)
    }

    /// Renders a template.
    pub(super) fn render(&self, id: Id, values: &Value) -> Result<String, Fault> {
        let template = self
            .env
            .get_template(&id.0.to_string())
            .map_err(|error| fault(&error))?;
        let mut out = Bounded(Vec::new());
        filters::metered(self.foreign.is_some(), || {
            template
                .render_captured_to(values.clone(), &mut out)
                .map(|_| ())
        })
        .map_err(|error| fault(&error))?;
        String::from_utf8(out.0).map_err(|_| Fault::new(0, "the output is not UTF-8"))
    }
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Templates")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// Output that ends at its limit.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fault(error: &Error) -> Fault {
    let detail = error.detail().unwrap_or_default();
    let message = match error.kind() {
        ErrorKind::OutOfFuel => format!("takes more than {FUEL} steps; loop over less"),
        ErrorKind::WriteFailure => "writes more than 1 MiB; write less".into(),
        ErrorKind::SyntaxError => format!("is not a template: {detail}"),
        ErrorKind::UndefinedError if detail.is_empty() => {
            "uses something that is not there; guard it, such as {% if handoff.topic %}…{% endif %}"
                .into()
        }
        // The engine's only message that repeats values.
        ErrorKind::InvalidOperation if detail.starts_with("unable to calculate") => {
            "a calculation is out of range".into()
        }
        kind if detail.is_empty() => kind.to_string(),
        _ => detail.to_owned(),
    };
    Fault::new(error.line().unwrap_or(1).saturating_sub(1), message)
}

#[cfg(test)]
mod tests {
    use handoffd_contract::{Data, Handoff};

    use super::*;
    use crate::mapping::{Input, sample};

    fn with(source: &str, change: impl Fn(&mut Handoff)) -> Result<String, Vec<Fault>> {
        let mut event = sample();
        let Data::HandoffRequested(handoff) = &mut event.data else {
            panic!("a handoff")
        };
        change(handoff);
        let (session, contact) = (handoff.session.clone(), handoff.contact.clone());
        let mut templates = Templates::new();
        let id = templates.add(source)?;
        let input = Input {
            event: &event,
            session: &session,
            contact: &contact,
            target: "t",
        };
        let values = names::values(&input, |name| templates.uses(name));
        templates.render(id, &values).map_err(|fault| vec![fault])
    }

    fn render(source: &str) -> Result<String, Vec<Fault>> {
        with(source, |_| {})
    }

    #[test]
    fn absent_values_are_written_as_nothing() {
        let none = |source| with(source, |handoff| handoff.handoff.topic = None);
        assert_eq!(none("[{{ handoff.topic }}]").as_deref(), Ok("[]"));
        assert_eq!(
            none("[{{ fields.nobody }}{{ contact.external_ids.nobody }}]").as_deref(),
            Ok("[]")
        );
        assert_eq!(
            none("{{ handoff.topic or (handoff.reasons | first) or 'x' }}").as_deref(),
            Ok("user_requested_human_assistance")
        );
        assert_eq!(none("[{{ 'x' if handoff.topic }}]").as_deref(), Ok("[]"));
    }

    #[test]
    fn wrong_names_are_found_before_and_while_rendering() {
        let faults = render("a\n{{ contact.nmae }}{{ contcat }}").expect_err("unknown names");
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[0].line, 1);
        assert!(
            faults[0]
                .message
                .starts_with("`contact.nmae` is unknown (did you mean `name`?)")
        );
        let faults = render("{% for m in transcript %}\n{{ m.txet }}{% endfor %}")
            .expect_err("an unknown attribute");
        assert_eq!(faults[0].line, 1);
        assert!(
            faults[0]
                .message
                .starts_with("`message.txet` is unknown (did you mean `text`?); known are:"),
            "{faults:?}"
        );
        let faults = render("{{ contact['nmae'] }}").expect_err("an unknown attribute");
        assert!(
            faults[0].message.contains("did you mean `name`?"),
            "{faults:?}"
        );
    }

    #[test]
    fn work_is_bounded() {
        let many = |handoff: &mut Handoff| {
            let said = handoff.transcript[0].clone();
            handoff.transcript = vec![said; 5_000];
        };
        let nested = "{% for a in transcript %}{% for b in transcript %}{% endfor %}{% endfor %}";
        let faults = with(nested, many).expect_err("too many steps");
        assert_eq!(
            faults[0].message,
            "takes more than 50000 steps; loop over less"
        );
        let long = |handoff: &mut Handoff| {
            many(handoff);
            handoff.handoff.summary = Some("x".repeat(60_000));
        };
        let faults = with(
            "{% for a in transcript %}{{ handoff.summary }}{% endfor %}",
            long,
        )
        .expect_err("too much output");
        assert_eq!(faults[0].message, "writes more than 1 MiB; write less");
        let faults = with(
            "{% for a in transcript %}{% if handoff.summary | html | length %}{% endif %}{% endfor %}",
            long,
        )
        .expect_err("too much work");
        assert_eq!(
            faults[0].message,
            "more than 16 MiB of text worked on in one template"
        );
        // One pass over as many messages as a template is given is within the bounds.
        assert!(
            with(
                "{% for m in transcript %}{{ m.id }} {{ m.author }};{% endfor %}",
                many
            )
            .is_ok()
        );
        let deep = format!("{{{{ {}1{} }}}}", "(".repeat(1_500), ")".repeat(1_500));
        assert!(render(&deep).is_err());
        let deep = "{% if 1 %}".repeat(150) + &"{% endif %}".repeat(150);
        let _ = render(&deep);
    }

    #[test]
    fn faults_repeat_no_value_of_the_event() {
        for source in [
            "{{ contact.name | int }}",
            "{{ contact.name | date }}",
            "{{ contact.name | plus(1) }}",
            "{{ contact.name.first.second }}",
            "{{ fields[contact.name][contact.name].x }}",
            "{{ fields.order_id % 0 }}",
            "{{ fields.order_id // 0 }}",
            "{{ contact.name[1:2:0] }}",
            "{{ contact | string }}",
            "{{ -contact.name }}",
            "{{ handoff.reasons | truncate(contact.name) }}",
            "{{ contact[contact.name] }}",
        ] {
            match render(source) {
                Ok(text) => panic!("{source} renders as {text}"),
                Err(faults) => {
                    assert!(
                        faults.iter().all(|fault| !fault.message.contains("Ana")
                            && !fault.message.contains("8812")),
                        "{source}: {faults:?}"
                    )
                }
            }
        }
    }

    #[test]
    fn conditions_are_expressions() {
        let mut templates = Templates::new();
        assert!(
            templates
                .add_condition("handoff.sentiment == 'angry' and not fields.vip")
                .is_ok()
        );
        assert!(templates.add_condition("1 %}{% set x = 1").is_err());
        assert!(templates.add_condition("{{ handoff.topic }}").is_err());
        assert!(templates.add_condition("").is_err());
    }
}
