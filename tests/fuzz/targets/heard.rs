//! What CRMs and WhatsApp tell: webhooks, replies to polls, events of streams.

#![no_main]

use std::sync::LazyLock;

use handoffd_contract::{Frame, HttpReply};
use handoffd_fuzz::{Played, judges, played, seed};
use libfuzzer_sys::fuzz_target;

static PLAYED: LazyLock<Vec<Played>> = LazyLock::new(played::all);

const STATUSES: [u16; 6] = [200, 207, 400, 404, 410, 500];
const NAMES: [&str; 4] = [
    "CONVERSATION_MESSAGE",
    "CONVERSATION_CLOSE_CONVERSATION",
    "CONVERSATION_PARTICIPANT_CHANGED",
    "stray",
];

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (target, played) in PLAYED.iter().enumerate() {
        let mut add = |kind: u8, which: usize, body: &[u8]| {
            seeds.push([&[target as u8, kind, which as u8], body].concat());
        };
        for body in &played.webhooks {
            add(0, 0, body);
        }
        for (which, (_, reply)) in played.reads.iter().enumerate() {
            add(1, which, &reply.body);
        }
        for frame in &played.frames {
            for line in frame.lines().filter_map(|line| line.strip_prefix("data:")) {
                for which in 0..NAMES.len() {
                    add(2, which, line.trim().as_bytes());
                }
            }
        }
    }
    seeds
}

fuzz_target!(init: seed("heard", seeds()), |bytes: &[u8]| {
    let [target, kind, which, body @ ..] = bytes else {
        return;
    };
    let played = &PLAYED[usize::from(*target) % PLAYED.len()];
    let which = usize::from(*which);
    match kind % 3 {
        0 => judges::frame(played, &Frame::Webhook { headers: &[], body }),
        1 if !played.reads.is_empty() => {
            let (read, _) = &played.reads[which % played.reads.len()];
            let reply = HttpReply {
                status: STATUSES[usize::from(kind / 3) % STATUSES.len()],
                headers: Vec::new(),
                body: body.to_vec(),
            };
            judges::frame(played, &Frame::Reply { read, reply: &reply });
        }
        _ => {
            let data = String::from_utf8_lossy(body);
            let event = NAMES[which % NAMES.len()];
            judges::frame(played, &Frame::Event { key: "k", id: "7", event, data: &data });
        }
    }
});
