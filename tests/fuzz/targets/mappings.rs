//! Mapping files, applied to a rich handoff.

#![no_main]

use std::sync::LazyLock;

use handoffd::connectors::KINDS;
use handoffd_contract::Event;
use handoffd_fuzz::{handoff, judges, seed};
use libfuzzer_sys::fuzz_target;

static EVENTS: LazyLock<[Event; 1]> = LazyLock::new(|| [handoff()]);

fuzz_target!(
    init: seed("mappings", KINDS.iter().map(|kind| kind.mapping.as_bytes().to_vec())),
    |text: &str| judges::mapping(text, &*EVENTS)
);
