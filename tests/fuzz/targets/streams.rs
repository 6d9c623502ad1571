//! Event streams, cut anywhere.

#![no_main]

use handoffd_fuzz::{judges, played, seed};
use libfuzzer_sys::fuzz_target;

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        b"\x20\x03\xef\xbb\xbfdata: a\r\ndata: b\r\n\r\n".to_vec(),
        b"\x08\x01: note\nid: 7\nevent: X\nretry: 5\ndata\n\ndata: c\r\rrest".to_vec(),
    ];
    let frames = played::all().into_iter().flat_map(|played| played.frames);
    seeds.extend(frames.map(|frame| [b"\xff\x10", frame.as_bytes()].concat()));
    seeds
}

fuzz_target!(init: seed("streams", seeds()), |bytes: &[u8]| {
    let [max, size, stream @ ..] = bytes else {
        return;
    };
    judges::cut_stream(stream, stream.chunks(usize::from(*size).max(1)));
    judges::bounded_stream(stream, usize::from(*max).max(1));
});
