//! Event streams: the same events however the bytes are cut, and never more memory than allowed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::cases::check;
use crate::judges;
use crate::mutated;

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => select(vec!["data: a", "data:b", "data", "event: X", "id: 7", "id: \0", "retry: 5", ": note", "Jwt is expired", "\u{feff}data: c", ":", "data: {\"a\":\"ü😀\"}"])
            .prop_map(|line| line.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 0..20),
        1 => mutated::text().prop_map(|text| text.chars().take(80).collect::<String>().into_bytes()),
    ];
    let end = select(vec![
        "\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\n\r", "",
    ]);
    vec((line, end), 0..30).prop_map(|lines| {
        let lines = lines.into_iter();
        lines
            .flat_map(|(line, end)| [line, end.as_bytes().to_vec()])
            .flatten()
            .collect()
    })
}

#[test]
fn cutting_a_stream_anywhere_changes_nothing() {
    check(
        400,
        &(stream(), vec(any::<Index>(), 0..6)),
        |(bytes, cuts)| {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let cut = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            judges::cut_stream(&bytes, cut);
        },
    );
}

#[test]
fn nothing_is_kept_beyond_the_limit() {
    check(400, &(stream(), 1_usize..60), |(bytes, max)| {
        judges::bounded_stream(&bytes, max);
    });
}
