//! `handoffd dead-letters list | show | edit | retry | drop`

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::operate::{gate, open};
use crate::config::Limits;
use crate::intake::Dialects;
use crate::ledger::Ledger;
use crate::operate::dead_letters;
use crate::stdout::say;

/// Dead letters listed at a time.
const PAGE: usize = 50;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Count all of them by cause and source, and list them, oldest first
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Everything about one, and its body without secrets
    Show {
        /// Its number
        number: i64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change one's body by a JSON merge patch (RFC 7386) and judge it again; it stays as it came while it is no event
    Edit {
        /// Its number
        number: i64,
        /// The file with the patch; - for standard input
        #[arg(long)]
        patch: PathBuf,
    },
    /// Judge them again, after a fix
    Retry(Which),
    /// Give them up
    Drop(Which),
}

#[derive(Debug, Args)]
#[group(required = true)]
pub(super) struct Which {
    /// One, by its number
    #[arg(conflicts_with = "all")]
    number: Option<i64>,
    /// Every one
    #[arg(long)]
    all: bool,
    /// Only say which
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(path: Option<&Path>, command: Command) -> anyhow::Result<u8> {
    let (config, ledger) = open(path).await?;
    match command {
        Command::List { json } => list(&*ledger, &config.intake.limits, json).await,
        Command::Show { number, json } => {
            let dialects = Dialects::new(&config.intake.gateways);
            let limits = &config.intake.limits;
            let shown = dead_letters::show(&*ledger, limits, &dialects, number).await?;
            let text = shown.as_ref().map(|shown| {
                if json {
                    format!("{:#}", shown.json())
                } else {
                    shown.text()
                }
            });
            say(&text.unwrap_or_else(|| dead_letters::none(number)));
            Ok(u8::from(shown.is_none()))
        }
        Command::Edit { number, patch } => {
            let patch = read(&patch, config.intake.limits.max_event_bytes)?;
            let gate = gate(&config, &ledger)?;
            let edited = dead_letters::edit(&gate, number, patch).await;
            let failed = u8::from(edited.is_err());
            say(&edited.unwrap_or_else(|words| words));
            Ok(failed)
        }
        Command::Retry(which) => {
            let gate = gate(&config, &ledger)?;
            let mut failed = 0;
            for id in meant(&*ledger, &which).await? {
                if which.dry_run {
                    say(&format!("dead letter {id} would be judged again"));
                    continue;
                }
                match dead_letters::readmit(&gate, id).await {
                    Ok(words) => say(&words),
                    Err(words) => {
                        failed = 1;
                        say(&words);
                    }
                }
            }
            Ok(failed)
        }
        Command::Drop(which) => {
            for id in meant(&*ledger, &which).await? {
                if which.dry_run {
                    say(&format!("dead letter {id} would be given up"));
                    continue;
                }
                let words = dead_letters::give_up(&*ledger, id).await;
                say(&words.map_err(|words| anyhow!(words))?);
            }
            Ok(0)
        }
    }
}

async fn list(ledger: &dyn Ledger, limits: &Limits, json: bool) -> anyhow::Result<u8> {
    if json {
        let listed = dead_letters::list_json(ledger, ledger, limits, 0, usize::MAX).await?;
        say(&format!("{listed:#}"));
        return Ok(0);
    }
    let summary = dead_letters::summary(ledger).await?;
    let mut last = 0;
    loop {
        let rows = dead_letters::page(ledger, limits, last, PAGE).await?;
        if last == 0 {
            say(if rows.is_empty() {
                "there is no dead letter"
            } else {
                &summary
            });
        }
        for row in &rows {
            last = row.id();
            say(&row.line());
        }
        if rows.len() < PAGE {
            return Ok(0);
        }
    }
}

/// The patch in a file, or on standard input.
fn read(file: &Path, limit: usize) -> anyhow::Result<Value> {
    let name = file.display();
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(file).map_err(|error| anyhow!("--patch {name}: {error}"))?)
    };
    let mut patch = Vec::new();
    source
        .take(limit as u64 + 1)
        .read_to_end(&mut patch)
        .map_err(|error| anyhow!("--patch {name}: {error}"))?;
    if patch.len() > limit {
        return Err(anyhow!(
            "--patch {name}: it is longer than an event may be ({limit} bytes); write only what changes"
        ));
    }
    serde_json::from_slice(&patch)
        .map_err(|error| anyhow!("--patch {name}: it is no JSON: {error}; write a merge patch"))
}

/// The numbers of the dead letters that are meant.
async fn meant(ledger: &dyn Ledger, which: &Which) -> anyhow::Result<Vec<i64>> {
    if let Some(number) = which.number {
        return Ok(vec![number]);
    }
    let mut ids: Vec<i64> = Vec::new();
    loop {
        let rows = ledger
            .dead_letters(ids.last().copied().unwrap_or(0), PAGE)
            .await?;
        if rows.is_empty() {
            return Ok(ids);
        }
        ids.extend(rows.iter().map(|row| row.id));
    }
}
