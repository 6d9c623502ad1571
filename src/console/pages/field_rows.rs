//! The fields of a mapping as rows: state, label, chips, words; and the one that is open.

use serde_json::{Value, json};

/// A state's shape and tone.
fn look(state: &str) -> (&'static str, &'static str) {
    match state {
        "fine" => ("ok", "ok"),
        "empty" => ("off", "off"),
        "shortened" => ("scissors", "warn"),
        "read_only" => ("lock", "warn"),
        "too_long" => ("scissors", "bad"),
        "wrong_type" => ("not-equal", "bad"),
        "not_an_option" => ("not-in-list", "bad"),
        "unknown" => ("unsure", "unsure"),
        _ => ("refused", "bad"),
    }
}

/// The rows by section.
pub(super) fn rows(view: &Value, seen: &Value, open: &str) -> Vec<Value> {
    let mut sections: Vec<(String, Vec<Value>)> = Vec::new();
    for field in seen["fields"].as_array().into_iter().flatten() {
        let (section, name) = (text(&field["section"]), text(&field["name"]));
        let path = format!("{section}.{name}");
        let (icon, tone) = look(field["state"]["state"].as_str().unwrap_or_default());
        let row = json!({
            "path": path, "label": field["label"], "name": name, "icon": icon, "tone": tone, "words": field["words"],
            "why": field["why"], "chips": chips(view, &path), "is_open": path == open, "is_mapped": field["line"] != 0,
            "looks": tone != "ok" && tone != "off",
        });
        match sections.iter_mut().find(|(known, _)| known == section) {
            Some((_, list)) => list.push(row),
            None => sections.push((section.to_owned(), vec![row])),
        }
    }
    let shown = sections
        .into_iter()
        .map(|(name, rows)| json!({"name": name, "rows": rows}));
    shown.collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn mapped<'v>(view: &'v Value, path: &str) -> Option<&'v Value> {
    let mut fields = view["fields"].as_array()?.iter();
    fields.find(|field| field["field"] == path)
}

/// What a field is made of: sources, transforms, fixed text, a value map.
fn chips(view: &Value, path: &str) -> Vec<Value> {
    let Some(field) = mapped(view, path) else {
        return Vec::new();
    };
    let mut chips = Vec::new();
    let chip = |kind: &str, words: &str| json!({"kind": kind, "words": words});
    match field["chips"].as_array() {
        Some(list) => {
            for one in list {
                for (at, term) in one["first_of"].as_array().into_iter().flatten().enumerate() {
                    let source = text(&term["source"]);
                    let kind = if at == 0 { "source" } else { "or" };
                    chips.push(chip(kind, source));
                    for transform in term["transforms"].as_array().into_iter().flatten() {
                        chips.push(chip("transform", text(&transform["name"])));
                    }
                }
                if let Some(fixed) = one["text"]
                    .as_str()
                    .filter(|fixed| !fixed.trim().is_empty())
                {
                    chips.push(chip("text", fixed));
                }
            }
        }
        None => chips.push(chip("template", "")),
    }
    if let Some(map) = field["keys"]["map"].as_object() {
        chips.push(json!({"kind": "map", "count": map.len()}));
    }
    chips
}

/// The field that is open, with everything that its form holds.
pub(super) fn open_field(view: &Value, seen: &Value, schema: &Value, path: &str) -> Value {
    let Some(field) = mapped(view, path) else {
        return Value::Null;
    };
    let keys = &field["keys"];
    let (section, name) = path.split_once('.').unwrap_or((path, ""));
    let state = seen["fields"].as_array().into_iter().flatten();
    let state = state
        .into_iter()
        .find(|one| one["section"] == section && one["name"] == name);
    let of_crm = &schema["schema"]["sections"][section]["fields"][name];
    let options = match of_crm["lookup"].as_str() {
        Some(lookup) => &schema["schema"]["lookups"][lookup]["list"],
        None => &of_crm["options"]["list"],
    };
    let value = keys["value"].as_str();
    let source = field["chips"][0]["first_of"][0]["source"].as_str();
    let is_alone = field["chips"]
        .as_array()
        .is_some_and(|chips| chips.len() == 1);
    let map: Vec<Value> = keys["map"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(from, to)| json!({"from": from, "to": written(to)}))
        .collect();
    json!({
        "path": path, "name": name, "label": state.map_or(json!(name), |state| state["label"].clone()),
        "why": state.map_or(Value::Null, |state| state["why"].clone()), "shown": state.map_or(Value::Null, |state| state["shown"].clone()),
        "value": value, "is_plain": value.is_some(), "other": if value.is_some() { Value::Null } else { keys["value"].clone().to_string().into() },
        "map": map, "map_default": written(&keys["map_default"]), "when": written(&keys["when"]), "default": written(&keys["default"]),
        "type": written(&keys["type"]), "max": written(&keys["max"]), "too_long": written(&keys["too_long"]), "misfit": written(&keys["misfit"]),
        "required": keys["required"] == true, "options": options, "holds": of_crm["holds"],
        "source": source.filter(|_| is_alone), "values": Value::Null,
    })
}

fn written(value: &Value) -> Value {
    match value {
        Value::Null => "".into(),
        Value::String(text) => text.clone().into(),
        other => other.to_string().into(),
    }
}
