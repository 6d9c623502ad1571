//! Numbers, sizes, durations and times as pages show them: one function per kind.
//!
//! A time is shown in UTC, and says so, until the page's script puts it into the browser's zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::Value;

use super::texts::Texts;

/// A whole number in groups of three: `21,408`.
#[must_use]
pub fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        out.push('\u{2212}');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A text as it stands in HTML, in an element or in an attribute between double quotation marks.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// What a unit's text says of a number.
fn unit(texts: &Texts, key: &str, number: &str) -> String {
    let value = Value::from(number);
    let said = texts.say(key, &|name| (name == "n").then(|| value.clone()));
    said.unwrap_or_else(|_| number.to_owned())
}

/// One decimal place, without it where it is zero or the number has two digits before it.
fn short(number: f64) -> String {
    if number >= 9.95 || (number.fract() < 0.05) {
        format!("{number:.0}")
    } else {
        format!("{number:.1}")
    }
}

/// A size in bytes: `612 B`, `4.1 KB`, `1.3 MB`.
#[must_use]
pub fn bytes(texts: &Texts, bytes: i64) -> String {
    let size = bytes as f64;
    match bytes {
        ..1_000 => unit(texts, "unit.bytes", &number(bytes)),
        1_000..1_000_000 => unit(texts, "unit.kilobytes", &short(size / 1e3)),
        _ => unit(texts, "unit.megabytes", &short(size / 1e6)),
    }
}

/// A duration in milliseconds: `96 ms`, `0.7 s`, `41 s`, `6 min`, `21 h 41 min`, `3 d`.
#[must_use]
pub fn duration(texts: &Texts, millis: i64) -> String {
    let seconds = millis / 1_000;
    match millis {
        ..500 => unit(texts, "unit.milliseconds", &number(millis.max(0))),
        500..10_000 => unit(texts, "unit.seconds", &short(millis as f64 / 1e3)),
        10_000..120_000 => unit(texts, "unit.seconds", &number(seconds)),
        120_000..3_600_000 => unit(texts, "unit.minutes", &number(seconds / 60)),
        3_600_000..172_800_000 => {
            let hours = unit(texts, "unit.hours", &number(seconds / 3_600));
            match seconds % 3_600 / 60 {
                0 => hours,
                minutes => format!("{hours} {}", unit(texts, "unit.minutes", &number(minutes))),
            }
        }
        _ => unit(texts, "unit.days", &number(seconds / 86_400)),
    }
}

/// How long ago a time is, in milliseconds, to the second.
#[must_use]
pub fn since(at: Timestamp) -> i64 {
    Timestamp::now()
        .duration_since(at)
        .as_secs()
        .max(1)
        .saturating_mul(1_000)
}

/// How a time is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `2 min ago` within the hour, else as `Moment`.
    Ago,
    /// `11:42` today, `28 Nov, 11:42` this year, else `28 Nov 2025`.
    Moment,
    /// With seconds: `11:42:07`.
    Clock,
    /// The day: `28 Nov 2026`.
    Day,
}

impl Shape {
    /// Its word in a template and in the page's script.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Shape::Ago => "ago",
            Shape::Moment => "moment",
            Shape::Clock => "clock",
            Shape::Day => "day",
        }
    }

    /// The shape with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Shape> {
        [Shape::Ago, Shape::Moment, Shape::Clock, Shape::Day]
            .into_iter()
            .find(|shape| shape.word() == word)
    }
}

/// A time as an element that a page's script can put into the browser's zone.
#[must_use]
pub fn time(texts: &Texts, at: Timestamp, now: Timestamp, shape: Shape) -> Value {
    let shown = match shape {
        Shape::Ago => ago(texts, at, now).unwrap_or_else(|| utc(texts, &moment(texts, at, now))),
        Shape::Moment => utc(texts, &moment(texts, at, now)),
        Shape::Day => utc(texts, &day(texts, at)),
        Shape::Clock => utc(
            texts,
            &at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string(),
        ),
    };
    let full = at
        .to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string();
    Value::from_safe_string(format!(
        "<time datetime=\"{at:.3}\" data-as=\"{}\" title=\"{}\">{}</time>",
        shape.word(),
        escaped(&full),
        escaped(&shown)
    ))
}

fn utc(texts: &Texts, clock: &str) -> String {
    unit(texts, "unit.utc", clock)
}

/// A time within the last hour.
fn ago(texts: &Texts, at: Timestamp, now: Timestamp) -> Option<String> {
    let seconds = now.duration_since(at).as_secs();
    match seconds {
        0..3_600 => Some(unit(
            texts,
            "unit.ago",
            &duration(texts, seconds.max(1) * 1_000),
        )),
        _ => None,
    }
}

fn day(texts: &Texts, at: Timestamp) -> String {
    let at = at.to_zoned(TimeZone::UTC);
    format!("{} {} {}", at.day(), month(texts, at.month()), at.year())
}

fn month(texts: &Texts, number: i8) -> String {
    let months = texts.plain("unit.months").unwrap_or_default();
    let at = usize::try_from(number - 1).unwrap_or_default();
    months.split(' ').nth(at).unwrap_or_default().to_owned()
}

fn moment(texts: &Texts, at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    if at.date() == now.date() {
        return at.strftime("%H:%M").to_string();
    }
    let month = month(texts, at.month());
    if at.year() == now.year() {
        format!("{} {month}, {}", at.day(), at.strftime("%H:%M"))
    } else {
        format!("{} {month} {}", at.day(), at.year())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sizes_and_durations() {
        let texts = Texts::shipped().expect("well formed");
        assert_eq!(number(1_284), "1,284");
        assert_eq!(number(-21_408_000), "\u{2212}21,408,000");
        assert_eq!(number(7), "7");
        for (millis, shown) in [
            (96, "96 ms"),
            (700, "0.7 s"),
            (2_900, "2.9 s"),
            (41_000, "41 s"),
            (360_000, "6 min"),
            (78_060_000, "21 h 41 min"),
            (7_200_000, "2 h"),
            (259_200_000, "3 d"),
        ] {
            assert_eq!(duration(&texts, millis), shown);
        }
        assert_eq!(bytes(&texts, 612), "612 B");
        assert_eq!(bytes(&texts, 4_100), "4.1 KB");
        assert_eq!(bytes(&texts, 1_300_000), "1.3 MB");
    }

    #[test]
    fn times_say_their_zone() {
        let texts = Texts::shipped().expect("well formed");
        let now: Timestamp = "2026-11-28T12:04:31Z".parse().expect("a time");
        let shown =
            |at: &str, shape| time(&texts, at.parse().expect("a time"), now, shape).to_string();
        assert!(shown("2026-11-28T12:02:00Z", Shape::Ago).contains(">2 min ago<"));
        assert!(shown("2026-11-28T09:30:00Z", Shape::Ago).contains(">09:30 UTC<"));
        assert!(shown("2026-11-27T18:12:00Z", Shape::Moment).contains(">27 Nov, 18:12 UTC<"));
        assert!(shown("2025-11-28T18:12:00Z", Shape::Moment).contains(">28 Nov 2025 UTC<"));
        assert!(shown("2026-11-28T12:02:00Z", Shape::Clock).contains(">12:02:00 UTC<"));
    }
}
