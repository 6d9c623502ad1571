//! Splitting, packing, escaping: nothing is lost, and the work is linear.

use std::time::{Duration, Instant};

use handoffd_contract::text::{html, pack, plain, split, truncate, utf16_len};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::cases::check;
use crate::mutated;

/// Bytes of a long text.
const SIZE: usize = 150_000;

/// Unoptimised, the work on a long text takes some ten milliseconds; quadratic work takes minutes.
const SOON: Duration = Duration::from_secs(2);

fn words() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => "[a-z]{0,12}",
        3 => proptest::sample::select(vec![" ", "\n", "\n\n", "\r\n", "\t", "\u{a0}", "\u{200d}", "\u{fe0f}", "👍🏽", "👨‍👩‍👧", "e\u{301}", "…"]).prop_map(str::to_owned),
        1 => mutated::text().prop_map(|text| text.chars().take(60).collect::<String>()),
    ];
    vec(part, 0..60).prop_map(|parts| parts.concat())
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn split_loses_nothing_but_white_space_and_keeps_the_limit() {
    check(150, &(words(), 0_usize..300), |(text, max)| {
        let pieces = split(&text, max);
        assert!(pieces.iter().all(|piece| utf16_len(piece) <= max.max(2)));
        assert_eq!(bare(&pieces.concat()), bare(&text));
        assert!(pieces.len() <= text.len().max(1));
    });
}

#[test]
fn pack_loses_nothing_but_white_space_and_keeps_the_limit() {
    check(150, &(vec(words(), 0..12), 2_usize..400), |(lines, max)| {
        let pieces = pack(&lines, "\n", max);
        assert!(pieces.iter().all(|piece| utf16_len(piece) <= max));
        // The further parts of a long line are set off.
        let shown = |text: &str| bare(text).replace('»', "");
        assert_eq!(shown(&pieces.concat()), shown(&lines.concat()));
    });
}

#[test]
fn escaped_text_is_no_markup_and_truncated_text_is_short() {
    check(
        150,
        &(words(), mutated::text(), 1_usize..90),
        |(words, nasty, max)| {
            let text = format!("{words}{nasty}");
            let escaped = html(&text);
            let rest = escaped.replace("<br>", "");
            assert!(!rest.contains(['<', '>', '"', '\'']), "{rest}");
            assert!(utf16_len(&truncate(&text, max)) <= max);
            let shown = |text: &str| -> String {
                text.chars()
                    .filter(|c| !c.is_control() && !c.is_whitespace())
                    .collect()
            };
            assert_eq!(
                shown(&plain(&escaped)),
                shown(&text),
                "it reads as it was written"
            );
        },
    );
}

#[test]
fn rich_text_never_becomes_much_longer() {
    let tag = proptest::sample::select(vec![
        "<",
        ">",
        "</",
        "<a href=\"https://x.test/?a=1&amp;b\">",
        "<a href='",
        "</a>",
        "<p>",
        "</p>",
        "<script>",
        "</script>",
        "<style/>",
        "<br/>",
        "<!--",
        "-->",
        "<li>",
        "&",
        "&amp",
        "&#x1F600;",
        "&#0;",
        "&nbsp;",
        "<ß>",
        "href=",
        "mailto:",
    ]);
    let piece = prop_oneof![3 => tag.prop_map(str::to_owned), 1 => words()];
    check(150, &vec(piece, 0..80), |pieces| {
        let rich = pieces.concat();
        assert!(plain(&rich).len() <= 8 * rich.len() + 8);
    });
}

/// Each of these was chosen against one loop.
#[test]
fn long_texts_are_linear_work() {
    let fill = |unit: &str| unit.repeat(SIZE / unit.len());
    let long: Vec<String> = ["x", "word ", "\n", " ", "e\u{301}", "\u{200d}", "👍🏽"]
        .map(fill)
        .into();
    for text in &long {
        for max in [2, 100, 4_096, 65_536, 10_000_000] {
            within(
                &format!("split at {max} of {:?}", text.chars().next()),
                || drop(split(text, max)),
            );
        }
    }
    for unit in ["a", "", "word and word"] {
        let lines = vec![unit.to_owned(); SIZE / (unit.len() + 1)];
        for max in [2, 4_096, 65_536, 10_000_000] {
            within(&format!("pack at {max} of {unit:?}"), || {
                drop(pack(&lines, "\n", max))
            });
        }
    }
    for unit in [
        "<",
        "< ",
        "&",
        "<a>",
        "<a ",
        "</a>",
        "<p",
        "<p>",
        "<script>",
        "&#",
        "<!",
        "<a href=",
        "<a href='x'>y</a>",
        "<b></b>",
        "<a></p>",
        "\n",
        " \n",
        "x",
    ] {
        for end in ["", ">", "</script>"] {
            let rich = fill(unit) + end;
            within(&format!("plain of many {unit:?} and {end:?}"), || {
                drop(plain(&rich))
            });
            within(&format!("html of many {unit:?}"), || drop(html(&rich)));
        }
    }
}

#[track_caller]
fn within(what: &str, work: impl FnOnce()) {
    let began = Instant::now();
    work();
    let took = began.elapsed();
    assert!(took < SOON, "{what} took {took:?}");
}
