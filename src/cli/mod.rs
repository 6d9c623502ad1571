//! The command line.

mod access;
mod check;
mod dead_letters;
mod folder;
mod live;
mod mapping;
mod notify;
mod operate;
mod run;
mod simulators;
mod status;

use std::path::{Path, PathBuf};

use crate::stdout::say;
use clap::{Parser, Subcommand};

/// Hands WhatsApp conversations to Salesforce, HubSpot and Creatio, and relays every reply back.
#[derive(Debug, Parser)]
#[command(name = "handoffd", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file; ./handoffd.toml or /etc/handoffd/handoffd.toml when left out
    #[arg(
        long,
        short,
        global = true,
        env = "HANDOFFD_CONFIG",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run,
    /// Say whether the configuration is right; with --live, whether each target is
    Check(check::CheckArgs),
    /// What happened to one conversation, across broker, CRMs and WhatsApp
    Show {
        /// The session id
        session: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Everything that is not well; exit code 1 when a person is needed
    Status(status::StatusArgs),
    /// Lanes (session × target) and what they wait for
    Lanes(operate::LanesArgs),
    /// Try parked or waiting work again now
    Retry(operate::WhichArgs),
    /// Give up what stands in the way of a lane, and go on with what follows
    Skip(operate::WhichArgs),
    /// Events that could not be understood: list, show or change them, judge them again, or give them up
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Tell people by every channel of [notifications] that this is a test
    Notify(notify::NotifyArgs),
    /// What a reason means and what to do about it
    Explain {
        /// The reason's label; all reasons when left out
        reason: Option<String>,
    },
    /// Check, preview, test, apply, export mappings, or list their versions
    #[command(subcommand)]
    Mapping(mapping::Command),
    /// Hash a password for [access], or print a link that signs in once
    #[command(subcommand)]
    Access(access::Command),
    /// Print the JSON Schemas of all events and an AsyncAPI document
    Schema,
    #[command(flatten)]
    Simulators(simulators::Command),
}

/// Runs a command; the result is the process's exit code.
///
/// # Errors
/// Whatever kept the command from being carried out.
pub async fn main(cli: Cli) -> anyhow::Result<u8> {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Run => run::run(config).await,
        Command::Check(args) => check::check(config, &args).await,
        Command::Show { session, json } => operate::show(config, &session, json).await,
        Command::Status(args) => status::status(config, args).await,
        Command::Lanes(args) => operate::lanes(config, args).await,
        Command::Retry(args) => operate::retry(config, args).await,
        Command::Skip(args) => operate::skip(config, args).await,
        Command::DeadLetters(command) => dead_letters::run(config, command).await,
        Command::Notify(args) => notify::notify(config, &args).await,
        Command::Explain { reason } => Ok(operate::explain(reason.as_deref())),
        Command::Mapping(command) => mapping::run(config, command).await,
        Command::Access(command) => access::run(config, command).await,
        Command::Schema => {
            say(&crate::schema::document());
            Ok(0)
        }
        Command::Simulators(command) => simulators::run(command).await,
    }
}

/// The configuration file that a command reads.
fn configured(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    crate::config::find(named).map_err(|problem| anyhow::anyhow!("{problem}"))
}
