//! The section `[conversation]`, and `[target.conversation]` over it.

use std::time::Duration;

use handoffd_contract::settings::Table;
use jiff::SignedDuration;

use super::units;
use crate::conversation::{RepEnd, Terms, Unattended, Unconfirmed};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What a section says; where it says nothing, the usual terms.
pub(super) fn terms(section: &mut Table<'_>, usual: &Terms) -> Terms {
    let second = Duration::from_secs(1);
    Terms {
        unattended_after: wait(
            section,
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
            section,
            "window_warning",
            MINUTE..=12 * HOUR,
            usual.window_warning,
        ),
        idle_after: wait(section, "idle_after", MINUTE..=30 * DAY, usual.idle_after),
        rep_end: section.choice(
            "rep_end",
            &[("close", RepEnd::Close), ("return", RepEnd::Return)],
            usual.rep_end,
        ),
        unconfirmed: unconfirmed(section, usual.unconfirmed),
    }
}

fn unconfirmed(section: &mut Table<'_>, usual: Unconfirmed) -> Unconfirmed {
    let range = Duration::from_secs(1)..=DAY;
    let remedy = format!(
        "write \"auto\", \"off\", or a duration from {} to {}, such as \"15m\"",
        units::show_duration(*range.start()),
        units::show_duration(*range.end())
    );
    let read = |value: &serde_json::Value| match value.as_str()?.trim() {
        "auto" => Some(Unconfirmed::Auto),
        "off" => Some(Unconfirmed::Off),
        text => {
            let duration = units::duration(text).filter(|duration| range.contains(duration))?;
            SignedDuration::try_from(duration)
                .ok()
                .map(Unconfirmed::After)
        }
    };
    section
        .parsed("unconfirmed_after", read, &remedy)
        .unwrap_or(usual)
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
