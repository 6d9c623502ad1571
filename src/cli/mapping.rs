//! `handoffd mapping check | preview | test | apply | export | history`

mod payload;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;

use super::operate;
use crate::access::{Audit, Person};
use crate::config::Config;
use crate::intake::Dialects;
use crate::intake::dialects::INTAKE;
use crate::ledger::MappingRow;
use crate::mapping::commands::{self, Report};
use crate::stdout::say;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether mapping files are right
    Check {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show what a file makes of an event, field by field; or a dialect of a gateway's payload
    Preview {
        /// The file
        file: PathBuf,
        /// An event as a CloudEvents JSON file, a built-in handoff when left out; for a dialect a
        /// payload as it came, JSON or a form
        #[arg(long)]
        event: Option<PathBuf>,
        /// An event of the ledger, by the number that `handoffd show` prints
        #[arg(long, conflicts_with = "event")]
        seq: Option<i64>,
    },
    /// Run the tests that are saved in mapping files
    Test {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Put a file in force as the next version of a target's mapping, or of a dialect
    Apply {
        /// The target; of a dialect, intake/ and its name
        target: String,
        /// The file
        file: PathBuf,
        /// Why, for the history
        #[arg(long, default_value = "")]
        why: String,
        /// Who, for the history; the user's name when left out
        #[arg(long, env = "USER", default_value = "unknown")]
        who: String,
        /// Refuse unless this is the version in force
        #[arg(long)]
        expect: Option<i64>,
    },
    /// Print a version of a target's mapping or of a dialect; the one in force when left out
    Export {
        /// The target; of a dialect, intake/ and its name
        target: String,
        /// The version
        #[arg(long)]
        version: Option<i64>,
    },
    /// List the versions of a target's mapping or of a dialect
    History {
        /// The target; of a dialect, intake/ and its name
        target: String,
    },
}

pub(super) async fn run(config: Option<&Path>, command: Command) -> anyhow::Result<u8> {
    let report = match command {
        Command::Check { files } => commands::check(&files),
        Command::Test { files } => commands::test(&files),
        Command::Preview {
            file,
            event,
            seq: None,
        } => match commands::dialect(&file) {
            Ok(Some(dialect)) => payload::shown(&dialect, event.as_deref())?,
            Ok(None) => commands::preview(&file, event.as_deref()),
            Err(report) => report,
        },
        Command::Preview {
            file,
            seq: Some(seq),
            ..
        } => {
            let (_, ledger) = operate::open(config).await?;
            let event = ledger
                .event(seq)
                .await?
                .ok_or_else(|| anyhow!("the ledger has no event #{seq}"))?;
            let name = file.display().to_string();
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("{name} cannot be read"))?;
            match crate::mapping::Mapping::parse(&name, &text) {
                Ok(mapping) => commands::shown(&mapping, &event),
                Err(problems) => Report {
                    text: commands::listed(&problems),
                    ok: false,
                },
            }
        }
        Command::Apply {
            target,
            file,
            why,
            who,
            expect,
        } => {
            let (config, ledger) = operate::open(config).await?;
            let kind = kind(&config, &target)?;
            let name = file.display().to_string();
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("{name} cannot be read"))?;
            let change = commands::Change {
                target: &target,
                kind: &kind,
                file: &name,
                text: &text,
                who: &who,
                why: &why,
                expect,
            };
            let before = ledger.mapping_get(&target, None).await?;
            let report = commands::apply(&*ledger, Timestamp::now(), &change).await;
            let after = ledger.mapping_get(&target, None).await?;
            if report.ok && before != after {
                let version =
                    |row: Option<MappingRow>| row.map(|row| json!({"version": row.version}));
                let audit = Audit::new(ledger.clone());
                audit
                    .note(
                        &Person::of_command(&who),
                        "mapping apply",
                        &target,
                        version(before),
                        version(after),
                    )
                    .await?;
            }
            report
        }
        Command::Export { target, version } => {
            let (_, ledger) = operate::open(config).await?;
            commands::export(&*ledger, &target, version).await
        }
        Command::History { target } => {
            let (_, ledger) = operate::open(config).await?;
            commands::history(&*ledger, &target).await
        }
    };
    say(&report.text);
    Ok(u8::from(!report.ok))
}

/// What a file must be for, to be in force under this name.
fn kind(config: &Config, name: &str) -> anyhow::Result<String> {
    let Some(dialect) = name.strip_prefix(INTAKE) else {
        let target = config.target(name);
        return target
            .map(|target| target.kind.clone())
            .ok_or_else(|| anyhow!("there is no target {name} in the configuration"));
    };
    let named = Dialects::new(&config.intake.gateways).names();
    if !named.contains(dialect) {
        let known: Vec<&str> = named.iter().map(String::as_str).collect();
        return Err(anyhow!(
            "no source and no queue speaks the dialect {dialect}; those that are spoken: {}",
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        ));
    }
    Ok(format!("intake, as {dialect}"))
}
