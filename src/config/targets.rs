//! `[[target]]`: which CRMs there are. A connector's own settings are passed on as they are.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use handoffd_contract::settings::{printable, shape};
use serde_json::{Map, Value};

use super::conversation;
use super::notify;
use super::reader::Sections as _;
use super::secrets::{reason, shown_file};
use super::types::{StreamProtocol, TargetConfig, WhenDisabled};
use crate::connectors::{self, EVENTS};
use crate::conversation::Terms;
use crate::mapping::exit;
use handoffd_contract::Problem;
use handoffd_contract::settings::Table;

/// Reads every `[[target]]`.
pub(super) fn read(
    value: Option<&Value>,
    folder: &Path,
    usual: &Terms,
    problems: &RefCell<Vec<Problem>>,
) -> Vec<TargetConfig> {
    let items: &[Value] = match value {
        None => &[],
        Some(Value::Array(items)) => items,
        Some(other) => {
            let found = format!("found {}", shape(other));
            problems.borrow_mut().push(Problem::with_remedy(
                "target",
                found,
                "begin each target with [[target]]",
            ));
            &[]
        }
    };
    let mut targets: Vec<TargetConfig> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| target(index, item, folder, usual, problems))
        .collect();
    let beside = targets.iter_mut();
    let beside: Vec<_> = beside
        .filter_map(|target| notify::translated(target, problems))
        .collect();
    targets.extend(beside);
    let mut seen = BTreeSet::new();
    for target in targets.iter().filter(|target| !target.name.is_empty()) {
        if !seen.insert(&target.name) {
            let found = "two targets have this name";
            problems.borrow_mut().push(Problem::with_remedy(
                format!("target.{}.name", target.name),
                found,
                "rename one",
            ));
        }
    }
    problems.borrow_mut().extend(ambiguous(&targets));
    targets
}

fn target(
    index: usize,
    item: &Value,
    folder: &Path,
    usual: &Terms,
    problems: &RefCell<Vec<Problem>>,
) -> Option<TargetConfig> {
    let given = item
        .get("name")
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|name| is_name(name));
    let path = given.map_or_else(
        || format!("target[{index}]"),
        |name| format!("target.{name}"),
    );
    let given = given.map(str::to_owned);
    let mut section = Table::new(path, item, problems)?;
    let named = section.value("name");
    if given.is_none() {
        let found = named.map_or_else(
            || "not set".into(),
            |name| format!("found {}, which is no name", shape(name)),
        );
        section.complain("name", &found, "use 1 to 40 of a-z, 0-9 and -");
    }
    let kinds: Vec<&'static str> = connectors::names().chain([EVENTS.name]).collect();
    if !section.has("kind") {
        section.complain(
            "kind",
            "not set",
            &format!("write one of {}", kinds.join(", ")),
        );
    }
    let kind = section.choice(
        "kind",
        &kinds.iter().map(|kind| (*kind, *kind)).collect::<Vec<_>>(),
        "",
    );
    let settings = section.section("settings").all().cloned();
    let mut settings = Value::Object(settings.unwrap_or_default());
    if connectors::is_way_back(kind)
        && let Err(wrong) = exit::describe(&mut settings, folder)
    {
        section.complain(
            &format!("settings.{}", wrong.key),
            &wrong.found,
            &wrong.remedy,
        );
    }
    let mapping_name = section.text("mapping");
    let mapping = mapping_name.as_ref().map(|file| folder.join(file));
    if let Some(Err(error)) = mapping.as_ref().map(std::fs::File::open) {
        let found = format!(
            "{}: {}",
            shown_file(folder, mapping_name.as_deref().unwrap_or_default()),
            reason(&error)
        );
        section.complain(
            "mapping",
            &found,
            "name a readable mapping file, or remove the key",
        );
    }
    if mapping.is_some() && connectors::is_events(kind) {
        let found = "what is told of events has a form of its own";
        section.complain("mapping", found, "remove it");
    }
    let numbers = section.texts("numbers").unwrap_or_default();
    for (index, number) in numbers.iter().enumerate() {
        let digits = number.strip_prefix('+').unwrap_or(number);
        if !(5..=20).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            let found = format!(
                "item {index} is neither a number nor an id, but {}",
                shape(&Value::from(number.as_str()))
            );
            let remedy = "write it as events carry it: \"+4915112345678\", or the phone number id";
            section.complain("numbers", &found, remedy);
        }
    }
    let mut conversation = section.section("conversation");
    if conversation.all().is_some() && connectors::is_events(kind) {
        let found = "no rep works in a target that tells others of events";
        section.complain("conversation", found, "move it to the CRM's target");
    }
    if conversation.all().is_some() && connectors::is_way_back(kind) {
        let found = "no rep works in a target that answers the customer";
        section.complain("conversation", found, "move it to the CRM's target");
    }
    let terms = conversation::terms(&mut conversation, usual);
    conversation.finish();
    let second = Duration::from_secs(1);
    let target = TargetConfig {
        name: given.unwrap_or_default(),
        kind: kind.into(),
        settings,
        mapping,
        numbers,
        conversation: terms,
        concurrency: usize::try_from(section.number("concurrency", 1..=1_000, 32)).unwrap_or(32),
        timeout: section.duration("timeout", second..=second * 600, second * 30),
        connect_timeout: section.duration("connect_timeout", second / 10..=second * 60, second * 5),
        stream_protocol: section.choice(
            "stream_protocol",
            &[
                ("auto", StreamProtocol::Auto),
                ("http1", StreamProtocol::Http1),
                ("http2", StreamProtocol::Http2),
            ],
            StreamProtocol::Auto,
        ),
        streams_per_connection: usize::try_from(section.number(
            "streams_per_connection",
            1..=1_000,
            100,
        ))
        .unwrap_or(100),
        enabled: section.flag("enabled", true),
        when_disabled: section.choice(
            "when_disabled",
            &[("wait", WhenDisabled::Wait), ("drop", WhenDisabled::Drop)],
            WhenDisabled::Wait,
        ),
        beside: None,
    };
    section.finish();
    Some(target)
}

fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A reply goes out by exactly one WhatsApp target, so no two may serve the same number.
fn ambiguous(targets: &[TargetConfig]) -> Vec<Problem> {
    let exits: Vec<&TargetConfig> = targets
        .iter()
        .filter(|t| t.enabled && connectors::is_way_back(&t.kind))
        .collect();
    let mut problems = Vec::new();
    for (at, second) in exits.iter().enumerate() {
        for first in &exits[..at] {
            let shared = first.numbers.is_empty()
                || second.numbers.is_empty()
                || second.numbers.iter().any(|number| first.serves(number));
            if shared {
                let found = format!("`{}` serves the same business numbers", first.name);
                let remedy = "list different numbers, so that a reply has one way out";
                problems.push(Problem::with_remedy(
                    format!("target.{}.numbers", second.name),
                    found,
                    remedy,
                ));
            }
        }
    }
    problems
}

/// Puts `HANDOFFD__TARGET__<NAME>__<KEY>…` into the target of that name (`-` is written `_`). The
/// value takes the type of what the file says; without one it is a text.
pub(super) fn override_by_name(
    targets: Option<&mut Value>,
    overrides: &BTreeMap<String, String>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut empty = Vec::new();
    let list = match targets {
        Some(Value::Array(list)) => list,
        _ => &mut empty,
    };
    for (variable, value) in overrides {
        let lower = variable.to_lowercase();
        let mut keys = lower.split("__").skip(2);
        let name = keys.next().unwrap_or_default().replace('_', "-");
        let keys: Vec<&str> = keys.collect();
        let found = list
            .iter_mut()
            .find(|target| target.get("name").and_then(Value::as_str) == Some(&name));
        let (Some(mut place), false) = (found, keys.is_empty() || keys.contains(&"")) else {
            let remedy = "write HANDOFFD__TARGET__<NAME>__<KEY> for a target of the file";
            problems.push(Problem::with_remedy(
                printable(variable),
                "names no setting of a target",
                remedy,
            ));
            continue;
        };
        for key in keys {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = &mut place[key];
        }
        *place = match place {
            Value::Null | Value::String(_) => Value::String(value.clone()),
            _ => serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.clone())),
        };
    }
    problems
}
