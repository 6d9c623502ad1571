//! Figures over time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::Calls;
pub(super) use crate::ledger::figures::name::{CALL, CALL_FAILED, FAILED, HANDOFF, IN, REPLY};
use crate::ledger::figures::{Figure, Span, percentile};

/// Over which time figures are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Range {
    /// The last hour, by the minute.
    Hour,
    /// The last day, by ten minutes.
    #[default]
    Day,
    /// The last week, by the hour.
    Week,
}

impl Range {
    /// The range with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Range> {
        [Range::Hour, Range::Day, Range::Week]
            .into_iter()
            .find(|range| range.word() == word)
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Range::Hour => "1h",
            Range::Day => "24h",
            Range::Week => "7d",
        }
    }

    pub(super) fn span(self) -> Span {
        match self {
            Range::Hour => Span::Minute,
            Range::Day => Span::TenMinutes,
            Range::Week => Span::Hour,
        }
    }

    pub(super) fn long(self) -> SignedDuration {
        SignedDuration::from_hours(match self {
            Range::Hour => 1,
            Range::Day => 24,
            Range::Week => 7 * 24,
        })
    }
}

/// A figure over time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Flow {
    /// `events-in`, `replies-out`, `handoff-to-record` or `failed`.
    pub name: &'static str,
    /// How many over the whole time.
    pub total: i64,
    /// Of `handoff-to-record`: the time in milliseconds that half of them did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_millis: Option<i64>,
    /// Likewise all but one in a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_millis: Option<i64>,
    /// How long each point stands for, in seconds.
    pub step_seconds: i64,
    /// The points, oldest first, without gaps.
    pub points: Vec<Point>,
}

/// What happened in one step.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Point {
    /// When the step begins.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// How many.
    pub n: i64,
    /// Of `handoff-to-record`: the time in milliseconds that half of them did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_millis: Option<i64>,
    /// Likewise all but one in a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_millis: Option<i64>,
}

/// The four figures.
pub(super) fn of(figures: &[Figure], range: Range, now: Timestamp) -> Vec<Flow> {
    let named = [
        ("events-in", IN),
        ("replies-out", REPLY),
        ("handoff-to-record", HANDOFF),
        ("failed", FAILED),
    ];
    let each = named.into_iter();
    each.map(|(shown, name)| one(figures, shown, name, range, now))
        .collect()
}

fn one(figures: &[Figure], shown: &'static str, name: &str, range: Range, now: Timestamp) -> Flow {
    let step = range.span().seconds();
    let timed = name == HANDOFF;
    let mut points: BTreeMap<i64, BTreeMap<i64, i64>> = steps(now, step, range.long())
        .map(|at| (at, BTreeMap::new()))
        .collect();
    let mut all = BTreeMap::new();
    for figure in figures.iter().filter(|figure| figure.name == name) {
        if let Some(counts) = points.get_mut(&figure.at.as_second()) {
            *counts.entry(figure.bucket).or_default() += figure.n;
            *all.entry(figure.bucket).or_default() += figure.n;
        }
    }
    let time =
        |counts: &BTreeMap<i64, i64>, percent| timed.then(|| percentile(counts, percent)).flatten();
    Flow {
        name: shown,
        total: all.values().sum(),
        p50_millis: time(&all, 50),
        p99_millis: time(&all, 99),
        step_seconds: step,
        points: points
            .iter()
            .filter_map(|(at, counts)| {
                Some(Point {
                    at: Timestamp::from_second(*at).ok()?,
                    n: counts.values().sum(),
                    p50_millis: time(counts, 50),
                    p99_millis: time(counts, 99),
                })
            })
            .collect(),
    }
}

/// The beginnings of the steps of a time up to now, in seconds.
fn steps(now: Timestamp, step: i64, long: SignedDuration) -> impl Iterator<Item = i64> {
    let last = now.as_second() - now.as_second().rem_euclid(step);
    let count = long.as_secs() / step;
    (0..count).rev().map(move |n| last - n * step)
}

/// How many of a figure there are.
pub(super) fn sum(figures: &[Figure], name: &str) -> i64 {
    let named = figures.iter().filter(|figure| figure.name == name);
    named.map(|figure| figure.n).sum()
}

/// The times that half and all but one in a hundred did not exceed, of a target.
pub(super) fn percentiles(
    figures: &[Figure],
    name: &str,
    target: &str,
) -> (Option<i64>, Option<i64>) {
    let mut counts = BTreeMap::new();
    let of = |figure: &&Figure| figure.name == name && figure.target == target;
    for figure in figures.iter().filter(of) {
        *counts.entry(figure.bucket).or_default() += figure.n;
    }
    (percentile(&counts, 50), percentile(&counts, 99))
}

/// The calls of the last hour, by minute.
pub(super) fn calls(figures: &[Figure], target: &str, now: Timestamp) -> Vec<Calls> {
    let mut minutes: BTreeMap<i64, (i64, i64)> = steps(now, 60, SignedDuration::from_hours(1))
        .map(|at| (at, (0, 0)))
        .collect();
    for figure in figures.iter().filter(|figure| figure.target == target) {
        let Some((n, failed)) = minutes.get_mut(&figure.at.as_second()) else {
            continue;
        };
        match figure.name.as_str() {
            CALL => *n += figure.n,
            CALL_FAILED => *failed += figure.n,
            _ => {}
        }
    }
    let each = minutes.into_iter();
    each.filter_map(|(at, (n, failed))| {
        let at = Timestamp::from_second(at).ok()?;
        Some(Calls { at, n, failed })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_a_point_for_every_step() {
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let figure = |back: i64, name: &str, bucket, n| Figure {
            at: Timestamp::from_second(1_800_000_000 - back).expect("a time"),
            name: name.into(),
            target: "hub".into(),
            bucket,
            n,
        };
        let figures = [
            figure(0, IN, 0, 3),
            figure(600, IN, 0, 4),
            figure(600, HANDOFF, 500, 2),
            figure(0, CALL, 100, 9),
            figure(0, CALL_FAILED, 0, 1),
        ];
        let flow = of(&figures, Range::Day, now);
        assert_eq!((flow[0].total, flow[0].points.len()), (7, 144));
        assert_eq!(
            flow[0]
                .points
                .iter()
                .rev()
                .take(2)
                .map(|p| p.n)
                .collect::<Vec<_>>(),
            [3, 4]
        );
        assert!(flow[2].p50_millis.is_some_and(|at| at <= 500) && flow[0].p50_millis.is_none());
        let calls = calls(&figures, "hub", now);
        assert_eq!((calls.len(), calls[59].n, calls[59].failed), (60, 9, 1));
    }
}
