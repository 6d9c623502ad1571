//! The log: text for people or JSON for machines, one wide line per attempt.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging for somebody who sits in front of it, where no configuration says otherwise.
#[cfg(feature = "simulators")]
pub fn for_people() {
    init(&LogConfig {
        format: LogFormat::Text,
        level: "info".into(),
    });
}

/// Logs only warnings, for a demo that prints what matters itself.
pub fn warnings_only() {
    init(&LogConfig {
        format: LogFormat::Text,
        level: "warn".into(),
    });
}

/// Starts logging to standard error. Only the first call counts.
pub fn init(config: &LogConfig) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&config.level))
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    // A second subscriber would be a defect of the caller, and harmless.
    let _ = match config.format {
        LogFormat::Text => builder.compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// What is logged. lapin writes out every message that comes back unrouted, at `warn`, and every
/// frame at `trace`. Both hold what people wrote, so only its errors are let through, whatever the
/// configuration says.
fn filter(level: &str) -> EnvFilter {
    let bare = level
        .split(',')
        .filter(|directive| !directive.trim_start().starts_with("lapin"))
        .collect::<Vec<_>>()
        .join(",");
    EnvFilter::try_new(format!("{bare},lapin=error"))
        .unwrap_or_else(|_| EnvFilter::new("info,lapin=error"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_library_that_writes_out_messages_is_not_heard() {
        for level in [
            "info",
            "trace",
            "info,lapin=trace",
            "lapin::returned_messages=warn,debug",
        ] {
            let kept = Kept::default();
            let writer = kept.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(filter(level))
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "lapin::returned_messages", "what somebody wrote");
                tracing::error!(target: "lapin::io_loop", "the connection broke");
                tracing::info!("an attempt");
            });
            let told = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
            assert!(!told.contains("what somebody wrote"), "{level}: {told}");
            assert!(told.contains("the connection broke"), "{level}: {told}");
            assert!(told.contains("an attempt"), "{level}: {told}");
        }
    }
}
