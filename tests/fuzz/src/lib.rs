//! What the targets share: the judges and plays of the hostile tests, and seeds to begin with.

#[path = "../../hostile/judges.rs"]
pub mod judges;
#[path = "../../hostile/played.rs"]
pub mod played;

use std::path::Path;

use handoffd::config::Limits;
use handoffd::intake::{Incoming, Origin, decode};
use handoffd_contract::Event;
use jiff::Timestamp;

pub use played::Played;

/// The events that the tests use, as they come.
pub const EVENTS: [&str; 7] = [
    include_str!("../../events/handoff.requested.json"),
    include_str!("../../events/message.received.json"),
    include_str!("../../events/message.sent.json"),
    include_str!("../../events/message.status.json"),
    include_str!("../../events/session.closed.json"),
    include_str!("../../events/session.returned.json"),
    include_str!("../../events/contact.updated.json"),
];

/// The first of them.
pub fn handoff() -> Event {
    let incoming = Incoming {
        origin: Origin::Http,
        content_type: None,
        headers: Default::default(),
        body: EVENTS[0].into(),
    };
    decode(&incoming, &Limits::default(), Timestamp::now()).unwrap()
}

/// Puts seeds into a target's corpus, before the fuzzer reads it.
pub fn seed(target: &str, seeds: impl IntoIterator<Item = Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    std::fs::create_dir_all(&folder).unwrap();
    for (number, seed) in seeds.into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
    }
}

/// Splits what comes as lines `name: value`, an empty line, and a body.
pub fn head(bytes: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let mut headers = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]);
        rest = &rest[end + 1..];
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    (headers, rest)
}

/// The other way round.
pub fn joined(headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let lines = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"));
    let mut bytes = lines.collect::<String>().into_bytes();
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    bytes
}
