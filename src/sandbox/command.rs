//! `handoffd sandbox`: the four simulators in the foreground.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::connectors::KINDS;

use super::{Options, serve, url};

/// Where the simulators listen. Port 0 takes a free one.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The Salesforce (MIAW) simulator.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9101")]
    pub salesforce: SocketAddr,
    /// The HubSpot simulator.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9102")]
    pub hubspot: SocketAddr,
    /// The Creatio simulator.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9103")]
    pub creatio: SocketAddr,
    /// The WhatsApp Cloud API simulator.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9104")]
    pub whatsapp: SocketAddr,
    /// The control API, which has no sign-in: keep it on the loopback.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    pub control: SocketAddr,
    /// Sets a switch of a simulator from the beginning, such as `salesforce.capacity=status`; the value
    /// is JSON, or a text. `GET /` of the control API lists them. May be given several times.
    #[arg(long = "switch", value_name = "TARGET.NAME=VALUE")]
    pub switches: Vec<String>,
}

impl Args {
    /// Every kind's simulator at its address.
    #[must_use]
    pub fn options(&self) -> Options {
        KINDS
            .iter()
            .fold(Options::new(self.control), |options, kind| {
                let address = match kind.name {
                    "salesforce" => self.salesforce,
                    "hubspot" => self.hubspot,
                    "creatio" => self.creatio,
                    "whatsapp" => self.whatsapp,
                    // A kind that has no argument yet is served all the same.
                    _ => SocketAddr::new(self.control.ip(), 0),
                };
                options.target(kind.name, address, kind.sandbox)
            })
    }
}

/// Serves the simulators until SIGINT or SIGTERM. When they are ready, prints one line of JSON:
/// `{"control": "http://…", "targets": {"hubspot": {"base": "http://…", "credentials": {…}}, …}}`.
///
/// # Errors
/// An address cannot be bound, or standard output is closed.
pub async fn command(args: Args) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let running = serve(args.options(), stop.clone()).await?;
    for switch in &args.switches {
        running
            .switch(switch)
            .map_err(|words| anyhow::anyhow!("--switch {switch}: {words}"))?;
    }
    let targets: serde_json::Map<String, serde_json::Value> = running
        .targets()
        .map(|t| {
            (
                t.name().to_owned(),
                json!({"base": t.base(), "credentials": t.credentials()}),
            )
        })
        .collect();
    let ready = json!({"control": url(running.control()), "targets": targets});
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ready}")
        .and_then(|()| out.flush())
        .context("standard output")?;
    drop(out);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    running.join().await;
    Ok(())
}
