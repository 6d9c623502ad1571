//! The filters and tests of templates: deterministic, without I/O, each bounded in what it makes.

mod whatsapp;

use std::cell::Cell;

use handoffd_contract::text;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, tests};

/// The longest text that a filter makes, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// How much text all filters of one template may work on, in bytes. Fuel counts steps, and a step
/// over a long text costs more than one over a short one.
const MAX_WORK: usize = 16 << 20;
/// The most items that a filter looks at.
const MAX_ITEMS: usize = 20_000;

thread_local! {
    /// What is left of the rendering template's [`MAX_WORK`].
    static LEFT: Cell<usize> = const { Cell::new(MAX_WORK) };
    /// Whether the rendering template takes what is not there for nothing, as it is with payloads whose
    /// shape is somebody else's.
    static IS_FOREIGN: Cell<bool> = const { Cell::new(false) };
}

/// The filters, by name.
#[rustfmt::skip]
pub(super) const FILTERS: &[&str] = &[
    "capitalize", "date", "default", "digits", "first", "float", "html", "int", "items", "join", "last", "length",
    "lid", "lower", "moment", "phone", "plain", "plus", "replace", "round", "split", "string", "times", "trim",
    "truncate", "upper",
];

/// The tests, by name.
#[rustfmt::skip]
pub(super) const TESTS: &[&str] = &[
    "endingwith", "eq", "in", "mapping", "ne", "none", "number", "sequence", "startingwith", "string",
];

/// Adds all of them, and the way in which values are written.
pub(super) fn add(env: &mut Environment<'static>) {
    env.set_formatter(|out, _, value| {
        // What an `if` without `else` leaves is undefined and means nothing.
        let text = if value.is_undefined() {
            String::new()
        } else {
            written(value)?
        };
        out.write_str(&text).map_err(Error::from)
    });
    env.add_filter("capitalize", |value: Value| on_text(&value, capitalize));
    env.add_filter("date", date);
    env.add_filter(
        "default",
        |value: Value, other: Value| if is_empty(&value) { other } else { value },
    );
    env.add_filter("digits", |value: Value| {
        on_text(&value, |text| {
            text.chars().filter(char::is_ascii_digit).collect()
        })
    });
    env.add_filter("first", |value: Value| {
        Ok::<_, Error>(items(&value)?.into_iter().next().unwrap_or_else(none))
    });
    env.add_filter("float", |value: Value| number(&value));
    env.add_filter("html", |value: Value| on_text(&value, text::html));
    env.add_filter("int", |value: Value| {
        Ok::<_, Error>(number(&value)?.trunc() as i64)
    });
    env.add_filter("items", |value: Value| minijinja::filters::items(&value));
    env.add_filter("join", join);
    env.add_filter("last", |value: Value| {
        Ok::<_, Error>(items(&value)?.pop().unwrap_or_else(none))
    });
    env.add_filter("length", |value: Value| {
        if value.is_none() || is_nothing(&value) {
            Ok(0)
        } else {
            minijinja::filters::length(&value)
        }
    });
    env.add_filter("lid", |value: Value| on_text(&value, whatsapp::lid));
    env.add_filter("lower", |value: Value| on_text(&value, str::to_lowercase));
    env.add_filter("moment", moment);
    env.add_filter("phone", |value: Value| on_text(&value, whatsapp::phone));
    env.add_filter("plain", |value: Value| on_text(&value, text::plain));
    env.add_filter("plus", |value: Value, by: Value| {
        Ok::<_, Error>(number(&value)? + number(&by)?)
    });
    env.add_filter("replace", replace);
    env.add_filter("round", |value: Value, places: Option<u32>| {
        let scale = 10_f64.powi(places.unwrap_or(0).min(12) as i32);
        let rounded = (number(&value)? * scale).round() / scale;
        Ok::<_, Error>(if places.unwrap_or(0) == 0 {
            Value::from(rounded as i64)
        } else {
            Value::from(rounded)
        })
    });
    env.add_filter("split", |value: Value, by: Option<String>| {
        let text = written(&value)?;
        let parts: Vec<Value> = match by.as_deref().filter(|by| !by.is_empty()) {
            Some(by) => text.split(by).take(MAX_ITEMS).map(Value::from).collect(),
            None => text
                .split_whitespace()
                .take(MAX_ITEMS)
                .map(Value::from)
                .collect(),
        };
        Ok::<_, Error>(Value::from(parts))
    });
    env.add_filter("string", |value: Value| on_text(&value, str::to_owned));
    env.add_filter("times", |value: Value, by: Value| {
        Ok::<_, Error>(number(&value)? * number(&by)?)
    });
    env.add_filter("trim", |value: Value| {
        on_text(&value, |text| text.trim().to_owned())
    });
    env.add_filter("truncate", |value: Value, max: usize| {
        on_text(&value, |text| text::truncate(text, max))
    });
    env.add_filter("upper", |value: Value| on_text(&value, str::to_uppercase));

    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("eq", tests::is_eq);
    env.add_test("in", tests::is_in);
    env.add_test("mapping", tests::is_mapping);
    env.add_test("ne", tests::is_ne);
    env.add_test("none", tests::is_none);
    env.add_test("number", tests::is_number);
    env.add_test("sequence", tests::is_sequence);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("string", tests::is_string);
}

/// Runs one template's rendering with a fresh allowance of work. Rendering stays on its thread. What
/// is not there is nothing in a template over foreign payloads, else a typing error.
pub(super) fn metered<T>(is_foreign: bool, run: impl FnOnce() -> T) -> T {
    LEFT.set(MAX_WORK);
    IS_FOREIGN.set(is_foreign);
    run()
}

fn is_nothing(value: &Value) -> bool {
    value.is_undefined() && IS_FOREIGN.get()
}

/// A value as it is written into a text: nothing for `none`, a list with commas.
///
/// # Errors
/// It is a table, or undefined.
pub(super) fn written(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::None => Ok(String::new()),
        ValueKind::Undefined if IS_FOREIGN.get() => Ok(String::new()),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Seq | ValueKind::Iterable => joined(value, ", "),
        ValueKind::Map | ValueKind::Plain => Err(wrong(
            "a table cannot be written as a text; write one of its entries",
        )),
        // As JSON and CRMs write it; the engine's own way is Python's.
        ValueKind::Bool => Ok(value.is_true().to_string()),
        _ => bounded(value.to_string()),
    }
}

fn on_text(value: &Value, change: impl Fn(&str) -> String) -> Result<String, Error> {
    bounded(change(&written(value)?))
}

fn joined(value: &Value, by: &str) -> Result<String, Error> {
    let mut out = String::new();
    for (at, item) in items(value)?.iter().enumerate() {
        if at > 0 {
            out.push_str(by);
        }
        // A list in a list is written as it is, so that writing ends.
        out.push_str(&if item.kind() == ValueKind::Seq {
            item.to_string()
        } else {
            written(item)?
        });
        if out.len() > MAX_TEXT {
            break;
        }
    }
    bounded(out)
}

fn join(value: Value, by: Option<String>, options: Kwargs) -> Result<String, Error> {
    options.assert_all_used()?;
    joined(&value, by.as_deref().unwrap_or(", "))
}

fn replace(value: Value, from: String, to: String) -> Result<String, Error> {
    let text = written(&value)?;
    if from.is_empty() {
        return Ok(text);
    }
    let more = text.matches(from.as_str()).count().saturating_mul(to.len());
    if text.len().saturating_add(more) > MAX_TEXT {
        return Err(too_long());
    }
    Ok(text.replace(&from, &to))
}

/// A time or date, as `strftime` writes it; in UTC unless `tz` names a zone.
fn date(value: Value, format: Option<String>, options: Kwargs) -> Result<String, Error> {
    let zone: Option<String> = options.get("tz")?;
    options.assert_all_used()?;
    let text = written(&value)?;
    if text.is_empty() {
        return Ok(text);
    }
    let zone = match zone.as_deref() {
        None => TimeZone::UTC,
        Some(name) => {
            TimeZone::get(name).map_err(|_| wrong("the time zone of `date` is unknown"))?
        }
    };
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(zone),
        Err(_) => text
            .parse::<civil::Date>()
            .ok()
            .and_then(|date| date.to_zoned(zone).ok())
            .ok_or_else(|| wrong("`date` is given neither a time nor a date"))?,
    };
    jiff::fmt::strtime::format(format.as_deref().unwrap_or("%Y-%m-%d"), &time)
        .map_err(|_| wrong("the format of `date` is not one that strftime knows"))
        .and_then(bounded)
}

/// A time without a zone, as it is written in `tz`; one that has a zone, or is a number, stays.
fn moment(value: Value, options: Kwargs) -> Result<String, Error> {
    let zone: Option<String> = options.get("tz")?;
    options.assert_all_used()?;
    let text = written(&value)?;
    let zone = match zone.as_deref().filter(|name| !name.is_empty()) {
        None => TimeZone::UTC,
        Some(name) => {
            TimeZone::get(name).map_err(|_| wrong("the time zone of `moment` is unknown"))?
        }
    };
    let has_zone = text.parse::<Timestamp>().is_ok();
    let civil = text.trim().parse::<civil::DateTime>().ok();
    let at = civil.filter(|_| !has_zone);
    let at = at.and_then(|civil| civil.to_zoned(zone).ok());
    Ok(at.map_or(text, |at| at.timestamp().to_string()))
}

fn number(value: &Value) -> Result<f64, Error> {
    let parsed = match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => written(value)?.trim().parse().ok(),
    };
    parsed
        .filter(|number| number.is_finite())
        .ok_or_else(|| wrong("a number is expected"))
}

/// The items of a list; a single value is a list of itself, and `none` has no items.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::None => Ok(Vec::new()),
        ValueKind::Undefined if IS_FOREIGN.get() => Ok(Vec::new()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.take(MAX_ITEMS + 1).collect();
            if items.len() > MAX_ITEMS {
                Err(too_long())
            } else {
                Ok(items)
            }
        }
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        _ => Ok(vec![value.clone()]),
    }
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

fn is_empty(value: &Value) -> bool {
    value.is_undefined()
        || value.is_none()
        || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn none() -> Value {
    Value::from(())
}

fn bounded(text: String) -> Result<String, Error> {
    let left = LEFT.get().checked_sub(text.len());
    LEFT.set(left.unwrap_or(0));
    match left {
        None => Err(wrong("more than 16 MiB of text worked on in one template")),
        Some(_) if text.len() > MAX_TEXT => Err(too_long()),
        Some(_) => Ok(text),
    }
}

fn too_long() -> Error {
    wrong("more than 1 MiB of text, or 20000 items, in one place")
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

#[cfg(test)]
mod unit;
