//! Times as producers write them.

use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use serde_json::Value;

/// A time that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// As it was written.
    Sure(Timestamp),
    /// Written without a zone; UTC is assumed.
    Assumed(Timestamp),
}

impl Moment {
    pub(super) fn at(self) -> Timestamp {
        match self {
            Moment::Sure(at) | Moment::Assumed(at) => at,
        }
    }
}

/// RFC 3339 and what else cannot be misread: seconds, milliseconds, microseconds or nanoseconds since
/// 1970, as number or text; the form of e-mails and HTTP; a date, with a time or without, in UTC.
pub(super) fn moment(value: &Value) -> Option<Moment> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .and_then(since_1970)
            .or_else(|| fraction(number.as_f64()?))
            .map(Moment::Sure),
        Value::String(text) => written(text.trim()),
        _ => None,
    }
}

fn written(text: &str) -> Option<Moment> {
    if text.len() > 60 {
        return None;
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(Moment::Sure(at));
    }
    if let Ok(number) = text.parse::<i64>() {
        return since_1970(number).map(Moment::Sure);
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return text.parse().ok().and_then(fraction).map(Moment::Sure);
    }
    if let Ok(at) = rfc2822::parse(text) {
        return Some(Moment::Sure(at.timestamp()));
    }
    // A zone that is written and not known must not be taken for UTC.
    let (date, time) = text.split_once(['T', ' ', 't']).unwrap_or((text, ""));
    let plain = |c: char| c.is_ascii_digit() || c == ':' || c == '.' || c == ',';
    if !time.chars().all(plain) {
        return None;
    }
    let civil = if time.is_empty() {
        date.parse::<civil::Date>()
            .ok()?
            .to_datetime(civil::Time::midnight())
    } else {
        text.parse::<civil::DateTime>().ok()?
    };
    let at = TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(Moment::Assumed(at))
}

/// Which unit it is follows from the size: each range lies between 2000 and 2286. Smaller numbers are
/// no times of messages.
fn since_1970(number: i64) -> Option<Timestamp> {
    match number {
        946_684_800..=9_999_999_999 => Timestamp::from_second(number).ok(),
        946_684_800_000..=9_999_999_999_999 => Timestamp::from_millisecond(number).ok(),
        946_684_800_000_000..=9_999_999_999_999_999 => Timestamp::from_microsecond(number).ok(),
        946_684_800_000_000_000..=i64::MAX => Timestamp::from_nanosecond(number.into()).ok(),
        _ => None,
    }
}

/// Seconds or milliseconds with a fraction.
fn fraction(number: f64) -> Option<Timestamp> {
    let millis = match number {
        946_684_800.0..=9_999_999_999.0 => number * 1_000.0,
        946_684_800_000.0..=9_999_999_999_999.0 => number,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range above is far inside of 64 bits; a fraction of a millisecond is let go"
    )]
    Timestamp::from_millisecond(millis.round() as i64).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_of_every_usual_form_are_the_same_time() {
        let at: Timestamp = "2026-03-02T09:20:00Z".parse().expect("a time");
        for value in [
            json!("2026-03-02T09:20:00Z"),
            json!(" 2026-03-02T10:20:00+01:00 "),
            json!("2026-03-02 09:20:00.000+00:00"),
            json!(1_772_443_200),
            json!("1772443200"),
            json!(1_772_443_200.0),
            json!("1772443200.000"),
            json!(1_772_443_200_000_i64),
            json!("1772443200000"),
            json!(1_772_443_200_000_000_i64),
            json!(1_772_443_200_000_000_000_i64),
            json!("Mon, 02 Mar 2026 09:20:00 +0000"),
            json!("Mon, 02 Mar 2026 10:20:00 +0100"),
        ] {
            assert_eq!(moment(&value), Some(Moment::Sure(at)), "{value}");
        }
        for value in [
            json!("2026-03-02T09:20:00"),
            json!("2026-03-02 09:20:00"),
            json!("2026-03-02T09:20"),
            json!("2026-03-02T09:20:00.000000"),
        ] {
            assert_eq!(moment(&value), Some(Moment::Assumed(at)), "{value}");
        }
        let midnight: Timestamp = "2026-03-02T00:00:00Z".parse().expect("a time");
        assert_eq!(
            moment(&json!("2026-03-02")),
            Some(Moment::Assumed(midnight))
        );
    }

    #[test]
    fn what_can_be_misread_is_no_time() {
        for value in [
            json!(null),
            json!(true),
            json!(0),
            json!(-1),
            json!(17),
            json!("yesterday"),
            json!("02/03/2026"),
            json!("2026-03-02T09:20:00 Somewhere"),
            json!("2026-03-02T09:20:00 CEST"),
            json!(""),
            json!("9".repeat(100)),
            json!(1e300),
            json!([1_772_443_200]),
        ] {
            assert_eq!(moment(&value), None, "{value}");
        }
    }
}
