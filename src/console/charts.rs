//! Lines over time, drawn on the server: a sparkline's paths, and the numbers that a table holds for
//! those who do not see them.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// A sparkline's width and height, in its own units.
const WIDTH: f64 = 144.0;
const HEIGHT: f64 = 40.0;

/// The most rows of the table behind a line.
const MAX_ROWS: usize = 24;

/// A line over these values; those that are not known leave a gap. `top` is the largest of all lines that
/// are drawn together.
fn path(values: &[Option<f64>], top: f64) -> String {
    let mut path = String::new();
    let last = values.len().saturating_sub(1).max(1) as f64;
    let mut is_down = false;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else {
            is_down = false;
            continue;
        };
        let x = at as f64 / last * WIDTH;
        let y = HEIGHT - 1.0 - value / top * (HEIGHT - 3.0);
        let _ = write!(path, "{}{x:.1} {y:.1}", if is_down { "L" } else { "M" });
        is_down = true;
    }
    path
}

fn top<'a>(values: impl Iterator<Item = &'a Option<f64>>) -> f64 {
    values.flatten().fold(1.0, |top, value| value.max(top))
}

/// A sparkline of numbers with its ground.
pub(super) fn line(values: &[i64]) -> Value {
    let values: Vec<Option<f64>> = values.iter().map(|value| Some(*value as f64)).collect();
    let path = path(&values, top(values.iter()));
    let area = if path.is_empty() {
        String::new()
    } else {
        format!("{path}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z")
    };
    json!({"width": WIDTH, "height": HEIGHT, "path": path, "area": area, "second": null, "failed": null})
}

/// Two lines together, such as the middle and the slowest of times; what is not known is a gap.
pub(super) fn pair(first: &[Option<i64>], second: &[Option<i64>]) -> Value {
    let floats = |values: &[Option<i64>]| -> Vec<Option<f64>> {
        values
            .iter()
            .map(|value| value.map(|value| value as f64))
            .collect()
    };
    let (first, second) = (floats(first), floats(second));
    let top = top(first.iter().chain(&second));
    json!({"width": WIDTH, "height": HEIGHT, "path": path(&first, top), "area": "",
        "second": path(&second, top), "failed": null})
}

/// Calls and those that failed: where all of them failed there is a floor of its own.
pub(super) fn calls(calls: &[(i64, i64)]) -> Value {
    let all: Vec<i64> = calls.iter().map(|(all, _)| *all).collect();
    let mut drawn = line(&all);
    let last = calls.len().saturating_sub(1).max(1) as f64;
    let mut floor = String::new();
    for (at, (all, failed)) in calls.iter().enumerate() {
        if *all > 0 && failed >= all {
            let x = |at: f64| at / last * WIDTH;
            let from = x((at as f64 - 0.5).max(0.0));
            let to = x((at as f64 + 0.5).min(last));
            let _ = write!(floor, "M{from:.1} {y}L{to:.1} {y}", y = HEIGHT - 1.0);
        }
    }
    drawn["failed"] = (!floor.is_empty()).then_some(floor).into();
    drawn
}

/// The rows of the table behind a line: points gathered, so that there are no more than can be heard.
pub(super) fn rows<T>(points: &[T], gather: impl Fn(&[T]) -> Value) -> Vec<Value> {
    let each = points.len().div_ceil(MAX_ROWS).max(1);
    points.chunks(each).map(gather).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_within_its_box_and_gaps_are_gaps() {
        let drawn = line(&[0, 5, 10]);
        assert_eq!(drawn["path"], "M0.0 39.0L72.0 20.5L144.0 2.0");
        let drawn = pair(&[Some(1), None, Some(2)], &[Some(4), Some(4), Some(4)]);
        assert_eq!(
            drawn["path"].as_str().map(|path| path.matches('M').count()),
            Some(2)
        );
        assert_eq!(line(&[])["path"], "");
        assert_eq!(line(&[7])["path"], "M0.0 2.0");
    }

    #[test]
    fn where_every_call_failed_there_is_a_floor() {
        assert_eq!(calls(&[(3, 0), (4, 1)])["failed"], Value::Null);
        assert!(calls(&[(3, 0), (4, 4)])["failed"].is_string());
    }

    #[test]
    fn many_points_become_few_rows() {
        let points: Vec<i64> = (0..144).collect();
        let rows = rows(&points, |some| some.iter().sum::<i64>().into());
        assert_eq!(rows.len(), 24);
        assert_eq!(rows[0], 15);
    }
}
