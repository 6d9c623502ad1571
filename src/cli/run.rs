//! `handoffd run`

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{self, App};
use crate::config;
use crate::log;
use crate::stdout::say;

pub(super) async fn run(path: Option<&Path>) -> anyhow::Result<u8> {
    let path = super::configured(path)?;
    let examined = match app::examine(&path, config::environment()) {
        Ok(examined) if examined.problems.is_empty() => examined,
        Ok(app::Examined { problems, .. }) | Err(problems) => {
            say(&config::tidy(&problems));
            return Ok(2);
        }
    };
    let config = examined.config;
    log::init(&config.log);
    for warning in config.warnings.iter().chain(&examined.doubts) {
        tracing::warn!("{warning}");
    }
    let app = App::new(&config).await?;
    let stop = CancellationToken::new();
    let targets: Vec<&str> = config
        .enabled()
        .map(|target| target.name.as_str())
        .collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        daemon = %config.daemon.name,
        address = %app.address,
        admin_address = %app.admin_address,
        targets = targets.join(","),
        "handoffd is ready"
    );
    notify(&[sd_notify::NotifyState::Ready]);
    tokio::spawn(stop_on_signal(stop.clone()));
    tokio::spawn(watchdog(app.ledger(), stop.clone()));
    let left = app.run(stop).await?;
    if left.unfinished == 0 {
        tracing::info!("stopped; nothing was under way any more");
    } else {
        tracing::warn!(
            unfinished = left.unfinished,
            "stopped while calls were under way; what they did is looked at before anything is repeated"
        );
    }
    Ok(0)
}

/// SIGHUP ends the daemon in order, too: a terminal or a session that goes away must not cut off
/// calls under way. Who starts it so that the signal is ignored (`nohup`) keeps it.
async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut term), Ok(mut int), Ok(hangup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        hangups(),
    ) else {
        tracing::error!(
            "signals cannot be waited for; stop the daemon with SIGKILL, nothing is lost"
        );
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = hangup => {}
    }
    tracing::info!("stopping: nothing new is taken in, calls under way may end");
    notify(&[sd_notify::NotifyState::Stopping]);
    stop.cancel();
}

/// Ends with the first SIGHUP, never when the process was started to ignore it.
fn hangups() -> std::io::Result<impl Future<Output = ()>> {
    let signal = if ignores_hangups() {
        None
    } else {
        Some(signal(SignalKind::hangup())?)
    };
    Ok(async move {
        match signal {
            Some(mut signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    })
}

/// Whether SIGHUP, signal 1, is among the ignored ones.
/// <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Tells systemd that we live, as long as the ledger answers.
async fn watchdog(ledger: std::sync::Arc<dyn crate::ledger::EventLedger>, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        if tokio::time::timeout(limit / 2, ledger.ping()).await.is_ok() {
            notify(&[sd_notify::NotifyState::Watchdog]);
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(limit / 3))
            .await
            .is_none()
        {
            return;
        }
    }
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(states);
}
