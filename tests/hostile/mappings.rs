//! Mappings: files that are nearly right, applied to events that are nearly right.

use handoffd::config::Limits;
use handoffd::connectors::KINDS;
use handoffd::intake::{Incoming, Origin, decode};
use handoffd::mapping::dialect::shipped;
use handoffd::mapping::exit;
use handoffd_contract::Event;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::cases::check;
use crate::judges;
use crate::mutated::{self, mutated};

/// What is put into a file: pieces of TOML and of templates.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{% for x in range(100000) %}",
    "{% endfor %}",
    "{% for m in transcript %}{{ m.text }}{% endfor %}",
    "{{ handoff.summary * 1000 }}",
    "{{ 'x' | replace('x', 'xxxxxxxxxxxx') }}",
    "{{ transcript_text ~ transcript_text ~ transcript_text }}",
    "{{ contact }}",
    "{{ fields.__class__ }}",
    "{{ 1 / 0 }}",
    "{{ [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]] }}",
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{% include 'x' %}",
    "value = \"\"",
    "when = \"true\"",
    "map = { a = \"b\" }",
    "max = -1",
    "max = 99999999999999999999",
    "required = true",
    "[[test]]",
    "[ticket.subject]",
    "[a.b.c.d]",
    "kind = \"exit\"",
    "[[error]]",
    "at = \"a[0][0].b\"",
    "{id}{to}{",
    "list = [\"a in body\", \"b in a\"]",
    "\"\"\"",
    "'",
    "\n",
    "#",
    "=",
];

/// One of these files with a few edits.
fn edited(files: Vec<&'static str>) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        5 => select(PIECES).prop_map(str::to_owned),
        1 => mutated::text(),
    ];
    let edits = vec((any::<Index>(), 0_usize..60, piece), 0..5);
    (select(files), edits).prop_map(|(file, edits)| {
        let mut text: Vec<char> = file.chars().collect();
        for (at, gone, given) in edits {
            let at = at.index(text.len() + 1);
            let to = (at + gone).min(text.len());
            text.splice(at..to, given.chars());
        }
        text.into_iter().collect()
    })
}

fn event(value: &Value) -> Option<Event> {
    let incoming = Incoming {
        origin: Origin::Http,
        content_type: None,
        headers: Default::default(),
        body: value.to_string().into_bytes(),
    };
    decode(&incoming, &Limits::default(), Timestamp::now()).ok()
}

fn handoff() -> Value {
    serde_json::from_str(include_str!("../events/handoff.requested.json")).unwrap()
}

#[test]
fn no_mapping_panics_or_works_without_end() {
    let plain = [event(&handoff()).unwrap()];
    let files = KINDS.iter().map(|kind| kind.mapping).collect();
    check(300, &edited(files), |text| judges::mapping(&text, &plain));
}

#[test]
fn no_file_of_a_dialect_or_an_exit_panics_or_works_without_end() {
    let dialects = shipped::FILES.iter().map(|(_, file)| *file);
    let exits = exit::FILES.iter().map(|(_, file)| *file);
    let files: Vec<&str> = dialects.chain(exits).collect();
    for file in &files {
        assert_eq!(judges::gateway_file(file), Ok(()));
    }
    check(300, &edited(files), |text| {
        let _ = judges::gateway_file(&text);
    });
}

#[test]
fn no_event_breaks_a_mapping() {
    check(300, &mutated(handoff()), |value| {
        let Some(event) = event(&value) else { return };
        for kind in KINDS {
            judges::mapping(kind.mapping, std::slice::from_ref(&event));
        }
    });
}
