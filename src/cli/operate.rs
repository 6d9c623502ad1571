//! `handoffd show | lanes | retry | skip | explain`

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;
use handoffd_contract::Reason;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::access::{Audit, Person};
use crate::config::{self, Config};
use crate::intake::dialects::Versions;
use crate::intake::{Dialects, Gate};
use crate::ledger::{self, LaneFilter, LaneRef, LaneState, Ledger, WebhookLedger};
use crate::stdout::say;
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
    /// Every parked webhook
    #[arg(long, conflicts_with_all = ["session", "target", "reason", "all"])]
    webhooks: bool,
    /// Only say which
    #[arg(long)]
    dry_run: bool,
}

impl WhichArgs {
    /// What is meant, as the audit log has it.
    fn object(&self) -> String {
        operate::meant(
            self.session.as_deref(),
            self.target.as_deref(),
            self.reason.as_deref(),
            self.all,
        )
    }
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
    ledger.follow(app::rules(&config));
    Ok((config, ledger))
}

/// Notes in the audit log what a command has done: by whom of this machine.
pub(super) async fn noted(
    ledger: &Arc<dyn Ledger>,
    what: &str,
    object: &str,
    after: Option<Value>,
) -> anyhow::Result<()> {
    let user = std::env::var("USER").unwrap_or_default();
    let person = Person::of_command(&user);
    let audit = Audit::new(ledger.clone());
    audit.note(&person, what, object, None, after).await?;
    Ok(())
}

/// What a command did to lanes, as the audit log has it.
async fn lanes_noted(
    ledger: &Arc<dyn Ledger>,
    what: &str,
    object: &str,
    lanes: &[LaneRef],
) -> anyhow::Result<()> {
    let named = lanes.iter();
    let named = named.map(|lane| json!({"session": lane.session, "target": lane.target}));
    let after = json!({"count": lanes.len(), "lanes": named.collect::<Vec<_>>()});
    noted(ledger, what, object, Some(after)).await
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
    let (_, ledger) = open(path).await?;
    if args.webhooks && args.dry_run {
        return webhooks_meant(&*ledger).await;
    }
    if args.webhooks {
        let count = ledger.settle_webhooks(Timestamp::now(), None, true).await?;
        noted(&ledger, "retry", "webhooks", Some(json!({"count": count}))).await?;
        say(&format!("{count} webhooks are tried again"));
        return Ok(0);
    }
    let object = args.object();
    let select = operate::select(args.session, args.target, args.reason, args.all)
        .map_err(|words| anyhow!(words))?;
    let lanes = ledger.retry(Timestamp::now(), select, args.dry_run).await?;
    if !args.dry_run {
        lanes_noted(&ledger, "retry", &object, &lanes).await?;
    }
    say(&operate::done("tried again", &lanes, args.dry_run));
    Ok(0)
}

pub(super) async fn skip(path: Option<&Path>, args: WhichArgs) -> anyhow::Result<u8> {
    let (_, ledger) = open(path).await?;
    if args.webhooks && args.dry_run {
        return webhooks_meant(&*ledger).await;
    }
    if args.webhooks {
        let count = ledger
            .settle_webhooks(Timestamp::now(), None, false)
            .await?;
        noted(&ledger, "skip", "webhooks", Some(json!({"count": count}))).await?;
        say(&format!("{count} webhooks are given up"));
        return Ok(0);
    }
    let object = args.object();
    let select = operate::select(args.session, args.target, args.reason, args.all)
        .map_err(|words| anyhow!(words))?;
    let lanes = ledger.skip(Timestamp::now(), select, args.dry_run).await?;
    if !args.dry_run {
        lanes_noted(&ledger, "skip", &object, &lanes).await?;
    }
    say(&operate::done("skipped", &lanes, args.dry_run));
    Ok(0)
}

/// Says which webhooks `--webhooks` means.
async fn webhooks_meant(ledger: &dyn WebhookLedger) -> anyhow::Result<u8> {
    let parked = ledger.parked_webhooks(1_000).await?;
    for (id, target, at, stop) in &parked {
        say(&format!(
            "webhook {id} for {target} of {at}: {}",
            stop.reason.label()
        ));
    }
    say(&format!("{} webhooks are meant", parked.len()));
    Ok(0)
}

/// What judges a dead letter again, with the dialects in force.
pub(super) async fn gate(config: &Config, ledger: &Arc<dyn Ledger>) -> anyhow::Result<Gate> {
    let connected =
        app::connect(config).map_err(|problems| anyhow!("{}", config::tidy(&problems)))?;
    let router = Arc::new(app::router(config, &connected));
    Ok(Gate {
        ledger: ledger.clone(),
        router,
        dialects: dialects(config, ledger).await?,
        limits: config.intake.limits,
    })
}

/// The dialects in force.
pub(super) async fn dialects(
    config: &Config,
    ledger: &Arc<dyn Ledger>,
) -> anyhow::Result<Arc<Dialects>> {
    let dialects = Dialects::new(&config.intake.gateways).keeping(config.media.keep);
    let dialects = Arc::new(dialects);
    let mut versions = Versions::new(Arc::clone(ledger), Arc::clone(&dialects));
    versions.look().await?;
    Ok(dialects)
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
