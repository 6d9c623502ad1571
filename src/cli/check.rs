//! `handoffd check`: whether the configuration is right, and with `--live` whether each target has
//! what the daemon will need there.

use std::path::Path;

use clap::Args;

use super::{folder, live};
use crate::app;
use crate::config;
use crate::stdout::say;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Sign in to each target and verify what the daemon will need there
    #[arg(long)]
    live: bool,
    /// With --live: create what is missing and can be created, such as custom properties
    #[arg(long, requires = "live")]
    create_missing: bool,
    /// Create the ledger's folder if it is missing
    #[arg(long)]
    create: bool,
}

pub(super) async fn check(path: Option<&Path>, args: &CheckArgs) -> anyhow::Result<u8> {
    let path = super::configured(path)?;
    let examined = match app::examine(&path, config::environment()) {
        Ok(examined) => examined,
        Err(problems) => {
            say(&config::tidy(&problems));
            return Ok(1);
        }
    };
    let app::Examined {
        config,
        connected,
        mut problems,
        doubts,
    } = examined;
    problems.extend(doubts);
    let ledger_is_named = !problems.iter().any(|problem| problem.path == "ledger.url");
    if ledger_is_named {
        problems.extend(folder::problem(&config.ledger.url, args.create));
    }
    config::sort(&mut problems);
    for warning in &config.warnings {
        say(&format!("warning: {warning}"));
    }
    if !problems.is_empty() {
        say(&config::tidy(&problems));
        return Ok(1);
    }
    let names: Vec<&str> = connected
        .iter()
        .map(|one| one.config.name.as_str())
        .collect();
    say(&format!(
        "the configuration is right: {} targets ({})",
        names.len(),
        names.join(", ")
    ));
    if let Some(public) = &config.http.public_url {
        for one in connected
            .iter()
            .filter(|one| one.connector.webhook().is_some())
        {
            say(&format!(
                "webhooks of {0} come to {public}/webhooks/{0}, with its path token behind it if it has one",
                one.config.name
            ));
        }
    }
    if !args.live {
        say("add --live to sign in to each target and verify what is needed there");
        return Ok(0);
    }
    let bad = live::verify(&config, &connected, args.create_missing).await?;
    say(if bad == 0 {
        "everything needed is there"
    } else {
        "something is missing; see above"
    });
    Ok(u8::from(bad > 0))
}
