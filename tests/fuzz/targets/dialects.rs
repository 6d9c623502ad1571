//! What gateways send, in their own words, through every dialect that is shipped.

#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use handoffd::config::Limits;
use handoffd::intake::dialects::{Preview, preview};
use handoffd::intake::{Incoming, Origin};
use handoffd::mapping::dialect::{Dialect, shipped};
use handoffd_fuzz::{head, joined, seed};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

static DIALECTS: LazyLock<Vec<Dialect>> = LazyLock::new(|| {
    let all = shipped::names().map(|name| shipped::shipped(name).unwrap());
    all.collect()
});

/// The payloads of the dialects' own tests.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (_, file) in shipped::FILES {
        for test in file.split("json = '''").skip(1) {
            let payload = test.split("'''").next().unwrap_or_default();
            let mime = ("content-type".into(), "application/json".into());
            seeds.push(joined(&[mime], payload.as_bytes()));
        }
        for test in file.split("form = \"").skip(1) {
            let form = test.split('"').next().unwrap_or_default();
            let mime = (
                "content-type".into(),
                "application/x-www-form-urlencoded".into(),
            );
            seeds.push(joined(&[mime], form.as_bytes()));
        }
    }
    seeds
}

fuzz_target!(init: seed("dialects", seeds()), |bytes: &[u8]| {
    let (headers, body) = head(bytes);
    let mut headers: BTreeMap<String, String> = headers.into_iter().collect();
    let incoming = Incoming {
        origin: Origin::Http,
        content_type: headers.remove("content-type"),
        headers,
        body: body.to_vec(),
    };
    let limits = Limits::default();
    for dialect in DIALECTS.iter() {
        let options = BTreeMap::new();
        let made = preview(dialect, &options, &limits, &incoming, Timestamp::UNIX_EPOCH);
        let Preview::Made(events, made) = made else {
            continue;
        };
        assert!(events.len() <= handoffd::mapping::dialect::MAX_ITEMS);
        for (event, warnings) in events {
            // Each is an event, or nobody is named in it.
            let Ok(warnings) = warnings else { continue };
            assert!(warnings.len() <= 51, "{event}");
        }
        assert!(made.faults.len() <= 5);
    }
});
