//! `handoffd demo`: the whole loop on one machine, without any account.
//!
//! The simulators, the ledger (SQLite in a temporary folder) and the daemon run in this process and
//! talk over real HTTP on loopback. A conversation is played through handoff, three CRM records, a
//! message after the handoff, a reply with a file from each CRM, receipts, and closure; then it is
//! printed what each rep sees and what the customer's phone shows. The playground goes on from there, in
//! the hands of whoever looks at it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `gateway` | between the customers' phones and the daemon |
//! | `playground` | the page on which people play: its API |
//! | `seen` | what each simulator shows, as lines |
//! | `story` | the conversation that is played by itself |
//! | `world` | the simulators, and a configuration that uses them |

mod gateway;
pub mod playground;
mod seen;
mod story;
pub mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::access;
use crate::app::App;
use crate::config;
use crate::stdout::say;
use playground::Playground;
use seen::seen;
use story::Story;
use world::{Folder, Plan, free_port, simulators};

/// Options of the demo.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stop after the story; exit 0 only if everything arrived
    #[arg(long)]
    once: bool,
}

/// Plays the demo; the result is the exit code.
///
/// # Errors
/// A port cannot be bound, or the temporary folder cannot be written.
pub async fn run(args: Args) -> anyhow::Result<u8> {
    let stop = CancellationToken::new();
    let folder = Folder::new().context("no temporary folder can be made")?;
    let simulators = Arc::new(simulators(stop.clone()).await?);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let ledger = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let mut plan = Plan::new(&simulators, ledger, listen);
    // Short, because somebody is watching.
    plan.settings
        .insert("hubspot".into(), json!({"poll_seconds": 2}));
    plan.settings
        .insert("creatio".into(), json!({"poll_seconds": 2}));
    plan.over = json!({"log": {"level": "warn"}});
    let file = folder.path().join("handoffd.toml");
    std::fs::write(&file, plan.toml()?).context("the configuration cannot be written")?;
    let config = config::load(
        Some(&file),
        config::environment().filter(|(name, _)| !name.starts_with("HANDOFFD_")),
    )
    .map_err(|problems| anyhow::anyhow!("{}", config::tidy(&problems)))?;
    crate::log::warnings_only();
    let playground = Playground::new(Arc::clone(&simulators), listen, &plan.events_token)?;
    let app = App::with(&config, Some(playground::routes(Arc::new(playground)))).await?;
    for served in simulators.targets() {
        if let Some(url) = plan.webhook_url(served.name())? {
            served
                .switch("webhook_url", &json!(url))
                .map_err(anyhow::Error::msg)?;
        }
    }
    let ledger = app.ledger();
    let daemon = tokio::spawn(app.run(stop.clone()));

    say("handoffd demo: a WhatsApp conversation goes to three CRMs, and their reps answer\n");
    let link = access::link(&*ledger, &format!("http://{}", plan.admin)).await?;
    let story = Story::new(&simulators, ledger, listen, &plan.events_token)?;
    let told = story.play().await;
    for served in simulators.targets() {
        let title = match served.name() {
            "salesforce" => "WHAT THE REP SEES IN SALESFORCE (a live messaging thread)",
            "hubspot" => "WHAT THE REP SEES IN HUBSPOT (a ticket with internal notes)",
            "creatio" => "WHAT THE REP SEES IN CREATIO (a case with one activity per message)",
            _ => "WHAT THE CUSTOMER'S PHONE SHOWS",
        };
        say(&format!(
            "\n━━ {title}\n{}",
            seen(served.name(), &served.view())
        ));
    }
    say("\n━━ WHAT ARRIVED");
    for line in &told.arrived {
        say(&format!("  ✓ {line}"));
    }
    for line in &told.missing {
        say(&format!("  ✗ {line}"));
    }
    let failed = !told.missing.is_empty();
    say(if failed {
        "\nnot everything arrived"
    } else {
        "\neverything arrived"
    });
    if !args.once {
        say(&format!(
            "\nstill running; stop with Ctrl-C\n  events      http://{listen}   (POST /v1/events)\n  operators   http://{}   (/healthz /readyz /metrics /v1/lanes)\n  playground  {link}&next=%2Fplayground   (signs in once, within ten minutes)",
            plan.admin
        ));
        for served in simulators.targets() {
            say(&format!("  {:<11} {}", served.name(), served.base()));
        }
        say(&format!(
            "  control     http://{}   (read, act, inject faults)",
            simulators.control()
        ));
        say(&format!(
            "  ask it:     handoffd --config {} show {}",
            file.display(),
            story::SESSION
        ));
        tokio::signal::ctrl_c().await?;
    }
    stop.cancel();
    daemon.await.context("the daemon panicked")??;
    simulators.join().await;
    Ok(u8::from(failed))
}
