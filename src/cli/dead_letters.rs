//! `handoffd dead-letters list | show | edit | retry | drop`

mod editor;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::operate::{dialects, gate, noted, open};
use crate::config::Limits;
use crate::ledger::Ledger;
use crate::operate::dead_letters::{self, Mode};
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
    /// Change one's body in $VISUAL or $EDITOR and judge it again; it stays as it came while it is no event
    Edit {
        /// Its number
        number: i64,
        /// A file with a JSON merge patch (RFC 7386) in place of the editor; - for standard input
        #[arg(long)]
        patch: Option<PathBuf>,
        /// Only say what it would become
        #[arg(long)]
        dry_run: bool,
    },
    /// Judge them again, after a fix
    Retry(Which),
    /// Give them up
    Drop(Which),
}

#[derive(Debug, Args)]
#[group(required = true, args = ["number", "like", "all"])]
pub(super) struct Which {
    /// One, by its number
    number: Option<i64>,
    /// All with the cause and source of this one, oldest first
    #[arg(long, value_name = "NUMBER")]
    like: Option<i64>,
    /// Every one, oldest first
    #[arg(long)]
    all: bool,
    /// Only say what it would come to
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(path: Option<&Path>, command: Command) -> anyhow::Result<u8> {
    let (config, ledger) = open(path).await?;
    match command {
        Command::List { json } => list(&*ledger, &config.intake.limits, json).await,
        Command::Show { number, json } => {
            let dialects = dialects(&config, &ledger).await?;
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
        Command::Edit {
            number,
            patch,
            dry_run,
        } => {
            let limits = &config.intake.limits;
            let patch = match patch {
                Some(file) => Some(read(&file, limits.max_event_bytes)?),
                None => {
                    let dialects = dialects(&config, &ledger).await?;
                    editor::patch(&*ledger, limits, &dialects, number).await?
                }
            };
            let Some(patch) = patch else {
                say("nothing was changed");
                return Ok(0);
            };
            let gate = gate(&config, &ledger).await?;
            let edited = dead_letters::edit(&gate, number, patch, mode(dry_run)).await;
            let failed = u8::from(edited.is_err());
            if edited.is_ok() && !dry_run {
                noted(&ledger, "dead letter edit", &object(number), None).await?;
            }
            say(&edited.unwrap_or_else(|words| words));
            Ok(failed)
        }
        Command::Retry(which) => {
            let gate = gate(&config, &ledger).await?;
            let mut failed = 0;
            for id in meant(&*ledger, &which).await? {
                let judged = dead_letters::readmit(&gate, id, mode(which.dry_run)).await;
                failed |= u8::from(judged.is_err());
                if judged.is_ok() && !which.dry_run {
                    noted(&ledger, "dead letter retry", &object(id), None).await?;
                }
                say(&judged.unwrap_or_else(|words| words));
            }
            Ok(failed)
        }
        Command::Drop(which) => {
            for id in meant(&*ledger, &which).await? {
                let words = dead_letters::give_up(&*ledger, id, mode(which.dry_run)).await;
                let words = words.map_err(|words| anyhow!(words))?;
                if !which.dry_run {
                    noted(&ledger, "dead letter drop", &object(id), None).await?;
                }
                say(&words);
            }
            Ok(0)
        }
    }
}

/// One, as the audit log has it.
fn object(number: i64) -> String {
    format!("dead letter {number}")
}

fn mode(dry_run: bool) -> Mode {
    if dry_run { Mode::DryRun } else { Mode::Do }
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
    match (which.number, which.like) {
        (Some(number), _) => Ok(vec![number]),
        (None, Some(like)) => {
            let alike = dead_letters::alike(ledger, like, usize::MAX).await;
            alike.map_err(|words| anyhow!(words))
        }
        (None, None) => Ok(dead_letters::numbers(ledger, usize::MAX, |_| true).await?),
    }
}
