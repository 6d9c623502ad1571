//! What CRMs and WhatsApp answer to the calls that connectors really make.

#![no_main]

use std::sync::LazyLock;

use handoffd_contract::{HttpReply, Reply};
use handoffd_fuzz::{Played, head, joined, judges, played, seed};
use libfuzzer_sys::fuzz_target;

static PLAYED: LazyLock<Vec<Played>> = LazyLock::new(played::all);

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (target, played) in PLAYED.iter().enumerate() {
        for (step, (_, reply)) in played.steps.iter().enumerate() {
            if let Reply::Http(reply) = reply {
                let [high, low] = reply.status.to_be_bytes();
                let mut bytes = vec![target as u8, step as u8, high, low];
                bytes.extend(joined(&reply.headers, &reply.body));
                seeds.push(bytes);
            }
        }
    }
    seeds
}

fuzz_target!(init: seed("replies", seeds()), |bytes: &[u8]| {
    let [target, step, high, low, rest @ ..] = bytes else {
        return;
    };
    let played = &PLAYED[usize::from(*target) % PLAYED.len()];
    let (step, _) = &played.steps[usize::from(*step) % played.steps.len()];
    let (headers, body) = head(rest);
    let reply = Reply::Http(HttpReply {
        status: u16::from_be_bytes([*high, *low]),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect(),
        body: body.to_vec(),
    });
    judges::reply(played, step, &reply);
});
