//! Contrast, computed from the colours of the style sheet, in both themes.

use std::collections::BTreeMap;

use handoffd::connectors;

const CSS: &str = include_str!("../../src/console/assets/console.css");

/// A colour's relative luminance. <https://www.w3.org/TR/WCAG22/#dfn-relative-luminance>
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let value = u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// The tokens of a theme: 0 light, 1 dark.
fn tokens(theme: usize) -> BTreeMap<&'static str, &'static str> {
    let lines = CSS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--"));
    let pairs = lines.filter_map(|line| line.split_once(": light-dark("));
    let found: BTreeMap<_, _> = pairs
        .filter_map(|(name, value)| {
            let colour = value.split([',', ')']).nth(theme)?.trim();
            colour.starts_with('#').then_some((name, colour))
        })
        .collect();
    assert!(found.len() > 20, "{found:?}");
    found
}

#[test]
fn texts_can_be_read_on_every_ground() {
    for theme in [0, 1] {
        let of = tokens(theme);
        let grounds = ["canvas", "surface", "sunk"];
        let mut pairs: Vec<(&str, &str, f64)> = Vec::new();
        let texts = [
            "text",
            "text-2",
            "text-3",
            "accent",
            "accent-hover",
            "ok",
            "wait",
            "warn",
            "bad",
            "unsure",
        ];
        for text in texts {
            pairs.extend(grounds.map(|ground| (text, ground, 4.5)));
        }
        for state in ["ok", "wait", "warn", "bad", "unsure"] {
            let soft = of
                .keys()
                .find(|name| **name == format!("{state}-soft"))
                .unwrap();
            pairs.extend([
                (state, *soft, 4.5),
                ("text", *soft, 4.5),
                ("text-2", *soft, 4.5),
            ]);
        }
        pairs.extend([
            ("on-accent", "accent", 4.5),
            ("on-accent", "accent-hover", 4.5),
            ("text", "accent-soft", 4.5),
            ("accent", "accent-soft", 4.5),
        ]);
        pairs.extend(grounds.map(|ground| ("edge", ground, 3.0)));
        for (text, ground, least) in pairs {
            let is = contrast(of[text], of[ground]);
            assert!(
                is >= least,
                "theme {theme}: {text} on {ground} is {is:.2}, less than {least}"
            );
        }
    }
}

#[test]
fn marks_can_be_read() {
    let mut letters = std::collections::BTreeSet::new();
    for (name, mark) in connectors::marks() {
        for (ground, text) in [mark.light, mark.dark] {
            let is = contrast(ground, text);
            assert!(is >= 6.0, "{name}: {text} on {ground} is {is:.2}");
        }
        assert!(
            letters.insert(mark.letters),
            "{name} has the mark of another"
        );
    }
}
