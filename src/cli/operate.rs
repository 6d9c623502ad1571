//! `handoffd show | lanes | retry | skip | explain`

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;
use handoffd_contract::Reason;
use jiff::Timestamp;

use super::say;
use crate::config::{self, Config};
use crate::intake::Gate;
use crate::ledger::{self, LaneFilter, LaneState, Ledger};
use crate::{app, operate};

#[derive(Debug, Args)]
pub(super) struct LanesArgs {
    /// Only in this state: idle, due, held, parked
    #[arg(long)]
    state: Option<String>,
    /// Only of this target
    #[arg(long)]
    target: Option<String>,
    /// Only with this reason
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct WhichArgs {
    /// The session
    session: Option<String>,
    /// Only this target
    #[arg(long)]
    target: Option<String>,
    /// Every lane parked for this reason
    #[arg(long)]
    reason: Option<String>,
    /// Every parked lane
    #[arg(long)]
    all: bool,
    /// A kept event, by its number
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["session", "target", "reason", "all"])]
    event: Option<i64>,
    /// Every kept event
    #[arg(long, conflicts_with_all = ["session", "target", "reason", "all", "event"])]
    events: bool,
    /// Every parked webhook
    #[arg(long, conflicts_with_all = ["session", "target", "reason", "all", "event", "events"])]
    webhooks: bool,
    /// Only say which
    #[arg(long)]
    dry_run: bool,
}

/// The configuration.
pub(super) fn config(path: Option<&Path>) -> anyhow::Result<Config> {
    let path = super::configured(path)?;
    config::load(Some(&path), config::environment())
        .map_err(|problems| anyhow!("{}", config::tidy(&problems)))
}

/// The configuration and its ledger, which must be there already.
pub(super) async fn open(path: Option<&Path>) -> anyhow::Result<(Config, Arc<dyn Ledger>)> {
    let config = self::config(path)?;
    let ledger = ledger::open_existing(&config.ledger.url).await?;
    Ok((config, ledger))
}

pub(super) async fn show(path: Option<&Path>, session: &str, json: bool) -> anyhow::Result<u8> {
    let (config, ledger) = open(path).await?;
    let targets = config.presence();
    let shown = if json {
        operate::show_json(&*ledger, session, &targets)
            .await?
            .map(|story| format!("{story:#}"))
    } else {
        operate::show(&*ledger, session, &targets).await?
    };
    match shown {
        Some(text) => {
            say(&text);
            Ok(0)
        }
        None => {
            say(&format!("the ledger knows nothing of session {session}"));
            Ok(1)
        }
    }
}

pub(super) async fn lanes(path: Option<&Path>, args: LanesArgs) -> anyhow::Result<u8> {
    let (config, ledger) = open(path).await?;
    let state = match args.state.as_deref() {
        None => None,
        Some(word) => Some(
            LaneState::parse(word)
                .ok_or_else(|| anyhow!("--state is idle, due, held or parked"))?,
        ),
    };
    let filter = LaneFilter {
        target: args.target,
        state,
        reason: args.reason,
        ..LaneFilter::default()
    };
    say(&operate::lanes(&*ledger, filter, &config.presence()).await?);
    Ok(0)
}

pub(super) async fn retry(path: Option<&Path>, args: WhichArgs) -> anyhow::Result<u8> {
    let (config, ledger) = open(path).await?;
    if args.webhooks && args.dry_run {
        return webhooks_meant(&*ledger).await;
    }
    if args.webhooks {
        let count = ledger.inbox_settle(Timestamp::now(), None, true).await?;
        say(&format!("{count} webhooks are tried again"));
        return Ok(0);
    }
    if let Some(ids) = kept(&*ledger, &args).await? {
        let gate = gate(&config, &ledger)?;
        let mut failed = 0u8;
        for id in ids {
            match (args.dry_run, operate::readmit(&gate, id)) {
                (true, _) => say(&format!("event {id} would be judged again")),
                (false, judged) => match judged.await {
                    Ok(words) => say(&words),
                    Err(words) => {
                        failed = 1;
                        say(&words);
                    }
                },
            }
        }
        return Ok(failed);
    }
    let select = operate::select(args.session, args.target, args.reason, args.all)
        .map_err(|words| anyhow!(words))?;
    let lanes = ledger.retry(Timestamp::now(), select, args.dry_run).await?;
    say(&operate::done("tried again", &lanes, args.dry_run));
    Ok(0)
}

pub(super) async fn skip(path: Option<&Path>, args: WhichArgs) -> anyhow::Result<u8> {
    let (_, ledger) = open(path).await?;
    if args.webhooks && args.dry_run {
        return webhooks_meant(&*ledger).await;
    }
    if args.webhooks {
        let count = ledger.inbox_settle(Timestamp::now(), None, false).await?;
        say(&format!("{count} webhooks are given up"));
        return Ok(0);
    }
    if let Some(ids) = kept(&*ledger, &args).await? {
        for id in ids {
            let words = if args.dry_run {
                format!("event {id} would be given up")
            } else {
                operate::drop_poison(&*ledger, id)
                    .await
                    .map_err(|words| anyhow!(words))?
            };
            say(&words);
        }
        return Ok(0);
    }
    let select = operate::select(args.session, args.target, args.reason, args.all)
        .map_err(|words| anyhow!(words))?;
    let lanes = ledger.skip(Timestamp::now(), select, args.dry_run).await?;
    say(&operate::done("skipped", &lanes, args.dry_run));
    Ok(0)
}

/// Says which webhooks `--webhooks` means.
async fn webhooks_meant(ledger: &dyn Ledger) -> anyhow::Result<u8> {
    let parked = ledger.inbox_parked(1_000).await?;
    for (id, target, at, stop) in &parked {
        say(&format!(
            "webhook {id} for {target} of {at}: {}",
            stop.reason.label()
        ));
    }
    say(&format!("{} webhooks are meant", parked.len()));
    Ok(0)
}

/// The kept events that are meant, if any are.
async fn kept(ledger: &dyn Ledger, args: &WhichArgs) -> anyhow::Result<Option<Vec<i64>>> {
    if let Some(id) = args.event {
        return Ok(Some(vec![id]));
    }
    if !args.events {
        return Ok(None);
    }
    let mut ids: Vec<i64> = Vec::new();
    loop {
        let rows = ledger
            .poisoned(ids.last().copied().unwrap_or(0), 500)
            .await?;
        if rows.is_empty() {
            return Ok(Some(ids));
        }
        ids.extend(rows.iter().map(|row| row.id));
    }
}

fn gate(config: &Config, ledger: &Arc<dyn Ledger>) -> anyhow::Result<Gate> {
    let connected =
        app::connect(config).map_err(|problems| anyhow!("{}", config::tidy(&problems)))?;
    let router = Arc::new(app::router(config, &connected));
    Ok(Gate {
        ledger: Arc::clone(ledger),
        router,
        limits: config.intake.limits,
    })
}

pub(super) fn explain(label: Option<&str>) -> u8 {
    let Some(label) = label else {
        for reason in Reason::ALL {
            say(&format!("{:<18} {}", reason.label(), reason.title()));
        }
        return 0;
    };
    match Reason::parse(label) {
        Some(reason) => {
            say(&format!(
                "{} ({label})\n\n{}",
                reason.title(),
                reason.explain()
            ));
            0
        }
        None => {
            say(&format!(
                "no such reason: {label}. `handoffd explain` lists them all."
            ));
            1
        }
    }
}
