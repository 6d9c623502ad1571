//! The log: text for people or JSON for machines, one wide line per attempt.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging for somebody who sits in front of it, where no configuration says otherwise.
pub fn for_people() {
    init(&LogConfig {
        format: LogFormat::Text,
        level: "info".into(),
    });
}

/// Starts logging to standard error. Only the first call counts.
pub fn init(config: &LogConfig) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second subscriber would be a defect of the caller, and harmless.
    let _ = match config.format {
        LogFormat::Text => builder.compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
