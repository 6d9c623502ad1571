//! The section `[conversation]`.

use std::time::Duration;

use handoffd_contract::settings::Table;
use jiff::SignedDuration;

use super::customer::customer;
use super::units;
use crate::conversation::{RepEnd, Rules, Unattended};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(super) fn conversation(mut section: Table<'_>) -> Rules {
    let usual = Rules::default();
    let second = Duration::from_secs(1);
    let rules = Rules {
        unattended_after: wait(
            &mut section,
            "unattended_after",
            second..=DAY,
            usual.unattended_after,
        ),
        unattended: section.choice(
            "unattended",
            &[("stay", Unattended::Stay), ("return", Unattended::Return)],
            usual.unattended,
        ),
        window_warning: wait(
            &mut section,
            "window_warning",
            MINUTE..=12 * HOUR,
            usual.window_warning,
        ),
        idle_after: wait(
            &mut section,
            "idle_after",
            MINUTE..=30 * DAY,
            usual.idle_after,
        ),
        rep_end: section.choice(
            "rep_end",
            &[("close", RepEnd::Close), ("return", RepEnd::Return)],
            usual.rep_end,
        ),
        customer: customer(&mut section),
        ..usual
    };
    section.finish();
    rules
}

/// A duration inside a range, or `off`.
fn wait(
    section: &mut Table<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<Duration>,
    default: Option<SignedDuration>,
) -> Option<SignedDuration> {
    let remedy = format!(
        "write \"off\", or a duration from {} to {}, such as \"10m\"",
        units::show_duration(*range.start()),
        units::show_duration(*range.end())
    );
    let read = |value: &serde_json::Value| {
        let text = value.as_str()?.trim();
        if text == "off" {
            return Some(None);
        }
        let duration = units::duration(text).filter(|duration| range.contains(duration))?;
        SignedDuration::try_from(duration).ok().map(Some)
    };
    section.parsed(key, read, &remedy).unwrap_or(default)
}
