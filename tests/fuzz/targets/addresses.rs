//! Addresses that an event may name, and keys.

#![no_main]

use handoffd_fuzz::{judges, seed};
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 8] = [
    "https://files.example.test/a.jpg?sig=1#x",
    "http://user:pw@127.0.0.1:8080/",
    "https://[::ffff:7f00:1]/",
    "https://0x7f.1/",
    "https://017700000001/",
    "https://2130706433/",
    "https://①②⑦.0.0.1/",
    include_str!("../../../connectors/salesforce/src/sandbox/test_only_private_key.pem"),
];

fuzz_target!(init: seed("addresses", SEEDS.map(|seed| seed.as_bytes().to_vec())), |text: &str| {
    judges::address(text);
    if text.starts_with("-----") {
        judges::key(text);
    }
});
