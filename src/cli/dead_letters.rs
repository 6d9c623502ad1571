//! `handoffd dead-letters list | retry | drop`

use std::path::Path;

use clap::{Args, Subcommand};

use super::operate::{gate, open};
use crate::ledger::Ledger;
use crate::operate;
use crate::stdout::say;

/// Dead letters read at a time.
const PAGE: usize = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them, oldest first, with why each could not be understood
    List,
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
        Command::List => list(&*ledger).await,
        Command::Retry(which) => {
            let gate = gate(&config, &ledger)?;
            let mut failed = 0;
            for id in meant(&*ledger, &which).await? {
                if which.dry_run {
                    say(&format!("dead letter {id} would be judged again"));
                    continue;
                }
                match operate::readmit(&gate, id).await {
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
                let words = operate::drop_dead_letter(&*ledger, id).await;
                say(&words.map_err(|words| anyhow::anyhow!(words))?);
            }
            Ok(0)
        }
    }
}

async fn list(ledger: &dyn Ledger) -> anyhow::Result<u8> {
    let mut last = 0;
    loop {
        let rows = ledger.dead_letters(last, PAGE).await?;
        for row in &rows {
            last = row.id;
            say(&operate::dead_letter_line(row));
        }
        if rows.len() < PAGE {
            break;
        }
    }
    if last == 0 {
        say("there is no dead letter");
    }
    Ok(0)
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
