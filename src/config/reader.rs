//! What the daemon's own sections hold beside what every table of settings does: durations, sizes,
//! factors and addresses. All else is [`Table`]'s.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use handoffd_contract::settings::Table;
use serde_json::Value;

use super::units;

/// Values of the daemon's own sections.
pub(super) trait Sections {
    /// Notes what is wrong with a key, and what to do.
    fn complain(&self, key: &str, found: &str, remedy: &str);

    /// A factor of at least 1.
    fn factor(&mut self, key: &'static str, max: f64, default: f64) -> f64;

    /// A duration inside a range.
    fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration;

    /// A size in bytes inside a range.
    fn size(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64;

    /// An address and port to listen on.
    fn address(&mut self, key: &'static str, default: SocketAddr) -> SocketAddr;
}

impl Sections for Table<'_> {
    fn complain(&self, key: &str, found: &str, remedy: &str) {
        self.problem(key, format!("{found}; {remedy}"));
    }

    fn factor(&mut self, key: &'static str, max: f64, default: f64) -> f64 {
        let read = |value: &Value| {
            let number = value.as_f64();
            number.or_else(|| value.as_str()?.trim().parse().ok())
        };
        let fits = |value: &Value| read(value).filter(|number| (1.0..=max).contains(number));
        let remedy = format!("write a number from 1 to {max}");
        self.parsed(key, fits, &remedy).unwrap_or(default)
    }

    fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let remedy = format!(
            "write a duration from {} to {}, such as \"30s\", \"5m\" or \"250ms\"",
            units::show_duration(*range.start()),
            units::show_duration(*range.end())
        );
        let read = |value: &Value| units::duration(value.as_str()?).filter(|d| range.contains(d));
        self.parsed(key, read, &remedy).unwrap_or(default)
    }

    fn size(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let remedy = format!(
            "write a size from {} to {}, such as \"8 MiB\"",
            units::show_size(*range.start()),
            units::show_size(*range.end())
        );
        let read = |value: &Value| {
            let size = value.as_u64().or_else(|| units::size(value.as_str()?));
            size.filter(|size| range.contains(size))
        };
        self.parsed(key, read, &remedy).unwrap_or(default)
    }

    fn address(&mut self, key: &'static str, default: SocketAddr) -> SocketAddr {
        let remedy = "write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"";
        let read = |value: &Value| value.as_str()?.trim().parse().ok();
        self.parsed(key, read, remedy).unwrap_or(default)
    }
}
