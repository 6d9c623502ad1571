//! Mapping files, applied to a rich handoff; files of dialects and exits.

#![no_main]

use std::sync::LazyLock;

use handoffd::connectors::KINDS;
use handoffd::mapping::dialect::shipped;
use handoffd::mapping::exit;
use handoffd_contract::Event;
use handoffd_fuzz::{handoff, judges, seed};
use libfuzzer_sys::fuzz_target;

static EVENTS: LazyLock<[Event; 1]> = LazyLock::new(|| [handoff()]);

/// Every file that is shipped.
fn files() -> Vec<Vec<u8>> {
    let mappings = KINDS.iter().map(|kind| kind.mapping);
    let others = shipped::FILES.iter().chain(exit::FILES);
    let all = mappings.chain(others.map(|(_, file)| *file));
    all.map(|file| file.as_bytes().to_vec()).collect()
}

fuzz_target!(init: seed("mappings", files()), |text: &str| {
    judges::mapping(text, &*EVENTS);
    let _ = judges::gateway_file(text);
});
