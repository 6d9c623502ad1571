//! `handoffd check`: whether the configuration is right, and with `--live` whether each target has
//! what the daemon will need there.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use handoffd_contract::{Finding, HttpCall};

use super::folder;
use crate::app::{self, Connected};
use crate::config::{self, AmqpConfig};
use crate::intake::amqp;
use crate::stdout::say;
use crate::wire::Wire;

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
    let library = app::library(&config, &connected)?;
    let mut bad = 0;
    if let Some(amqp) = &config.intake.amqp {
        bad += broker(amqp, &connected).await;
    }
    for one in &connected {
        let wire = app::wire(&config, one, &library)?;
        bad += live(one, &wire, args.create_missing).await;
    }
    say(if bad == 0 {
        "everything needed is there"
    } else {
        "something is missing; see above"
    });
    Ok(u8::from(bad > 0))
}

/// Verifies the broker and what is published to; returns how much is missing.
async fn broker(amqp: &AmqpConfig, connected: &[Connected]) -> usize {
    if let Err(words) = amqp::probe(amqp).await {
        say(&format!(
            "RabbitMQ\n  MISSING  connection and sign-in: {words}"
        ));
        return 1;
    }
    let mut text = "RabbitMQ\n  ok       connection and sign-in\n".to_owned();
    let mut missing = 0;
    let published = connected.iter().flat_map(|one| {
        let exchanges = one.connector.exchanges().into_iter();
        exchanges.map(|exchange| (&one.config.name, exchange))
    });
    for (target, exchange) in published {
        let what = format!(
            "exchange `{}` for the {} of {target}",
            exchange.name, exchange.what
        );
        let _ = match amqp::probe_exchange(amqp, &exchange.name).await {
            Ok(()) => writeln!(
                text,
                "  ok       {what}; whether a queue is bound to it cannot be asked"
            ),
            Err(words) => {
                missing += 1;
                writeln!(text, "  MISSING  {what}: {words}")
            }
        };
    }
    say(&text);
    missing
}

/// Verifies one target; returns how much is missing.
async fn live(one: &Connected, wire: &Wire, create: bool) -> usize {
    let mut text = format!(
        "{} ({}, {})\n",
        one.config.name,
        one.kind,
        one.connector.base()
    );
    let mut missing = 0;
    for check in one.connector.checks() {
        let findings = match wire.send(&check.call).await {
            Ok(reply) => one.connector.checked(&check, &reply),
            Err(failure) => {
                let stop = failure.stop();
                vec![Finding::missing(
                    check.what,
                    format!("{}: {}", stop.reason.title(), stop.message),
                )]
            }
        };
        for finding in findings {
            let Some(problem) = &finding.problem else {
                let _ = writeln!(text, "  ok       {}", finding.what);
                continue;
            };
            if create && !finding.fix.is_empty() {
                match fix(wire, &finding.fix).await {
                    Ok(()) => {
                        let _ = writeln!(text, "  created  {}", finding.what);
                        continue;
                    }
                    Err(words) => {
                        let _ = writeln!(
                            text,
                            "  FAILED   {}: it could not be created: {words}",
                            finding.what
                        );
                    }
                }
            } else {
                let _ = writeln!(text, "  MISSING  {}: {problem}", finding.what);
                if !finding.fix.is_empty() {
                    let _ = writeln!(text, "           --create-missing creates it");
                }
            }
            missing += 1;
        }
    }
    say(&text);
    missing
}

/// Carries out the calls that create what is missing. What exists already is as good.
async fn fix(wire: &Wire, calls: &[HttpCall]) -> Result<(), String> {
    for call in calls {
        let reply = wire
            .send(call)
            .await
            .map_err(|failure| failure.stop().message)?;
        if !reply.ok() && reply.status != 409 {
            let json = reply.json().unwrap_or_default();
            let words = json["message"]
                .as_str()
                .unwrap_or("no further words")
                .to_owned();
            return Err(format!("answered {}: {words}", reply.status));
        }
    }
    Ok(())
}
