//! The types of events that go out, and which of them are chosen.

/// A type, and whether it is told where the settings choose none.
struct Type {
    name: &'static str,
    usual: bool,
}

const fn usual_one(name: &'static str) -> Type {
    Type { name, usual: true }
}

const fn chosen_one(name: &'static str) -> Type {
    Type { name, usual: false }
}

const TYPES: &[Type] = &[
    usual_one("handoff.completed"),
    usual_one("handoff.failed"),
    usual_one("reply.status"),
    usual_one("session.assigned"),
    usual_one("session.routing"),
    usual_one("rep.activity"),
    usual_one("session.updated"),
    usual_one("session.closed"),
    usual_one("session.state"),
    usual_one("session.unattended"),
    usual_one("session.rated"),
    chosen_one("session.handback"),
    chosen_one("conversation.started"),
    chosen_one("message.received"),
];

/// Types with which a flow may begin before anybody has asked for people.
const TRIGGERS: [&str; 2] = ["conversation.started", "message.received"];

/// The types that are told where the settings choose none.
pub fn usual() -> impl Iterator<Item = &'static str> {
    TYPES.iter().filter(|one| one.usual).map(|one| one.name)
}

/// Every type, for people.
pub(crate) fn all() -> String {
    let names: Vec<&str> = TYPES.iter().map(|one| one.name).collect();
    names.join(", ")
}

/// Whether a pattern names a type: `session.closed`, `session.*` or `*`.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    TYPES.iter().any(|one| matches(pattern, one.name))
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(group) => group.ends_with('.') && name.starts_with(group),
        None => pattern == name,
    }
}

/// The types that are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Types(Vec<&'static str>);

impl Types {
    /// Those that these patterns name; the usual ones without any.
    pub(crate) fn of(patterns: Option<&[String]>) -> Types {
        Types(match patterns {
            None => usual().collect(),
            Some(patterns) => {
                let named = |one: &&Type| patterns.iter().any(|p| matches(p, one.name));
                TYPES.iter().filter(named).map(|one| one.name).collect()
            }
        })
    }

    /// Whether events of this type are told.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    /// Whether what customers write is told.
    pub(crate) fn has_triggers(&self) -> bool {
        TRIGGERS.iter().any(|name| self.has(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_types_and_groups_of_them() {
        let types = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|one| (*one).to_owned()).collect();
            Types::of(Some(&patterns))
        };
        let some = types(&["session.*", "handoff.failed"]);
        assert!(some.has("session.handback") && some.has("handoff.failed"));
        assert!(!some.has("handoff.completed") && !some.has_triggers());
        assert!(types(&["*"]).has_triggers());
        assert!(is_pattern("rep.*") && !is_pattern("rep*") && !is_pattern("session.ended"));
    }

    #[test]
    fn what_customers_write_is_told_only_where_it_is_chosen() {
        let types = Types::of(None);
        assert!(types.has("session.state") && types.has("reply.status"));
        assert!(!types.has("session.handback") && !types.has_triggers());
    }
}
