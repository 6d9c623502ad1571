//! `handoffd status`: everything that is not well.
//!
//! A running daemon is asked first, because only it knows its targets' circuits. Where none answers,
//! the ledger alone is read, and the answer says so.

use std::path::Path;

use anyhow::anyhow;
use clap::Args;

use super::operate;
use crate::config::Config;
use crate::ledger;
use crate::operate::sentences::sentences;
use crate::operate::status::{Sources, Status, gather};
use crate::stdout::say;
use crate::wire::operator::ask;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// A running daemon's admin API, such as http://127.0.0.1:8081; http.admin_listen when left out
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(path: Option<&Path>, args: StatusArgs) -> anyhow::Result<u8> {
    let config = operate::config(path)?;
    let admin = args.admin.clone().unwrap_or_else(|| local(&config));
    let status = match ask::<Status>(&admin, "/v1/status", config.http.admin_token.as_ref()).await {
        Ok(status) => status,
        Err(why) => alone(&config, why).await?,
    };
    if args.json {
        say(&format!("{:#}", serde_json::to_value(&status)?));
    } else {
        say(&sentences(&status));
    }
    Ok(u8::from(status.needs_person))
}

/// What the ledger tells when no daemon answers.
async fn alone(config: &Config, why: String) -> anyhow::Result<Status> {
    let ledger = ledger::open_existing(&config.ledger.url).await?;
    let sources = Sources {
        ledger: &*ledger,
        events: &*ledger,
        targets: &config.presence(),
        broker: config.intake.amqp.as_ref(),
        daemon: None,
        alone: why,
    };
    gather(sources).await.map_err(|error| anyhow!(error))
}

/// The admin API of a daemon with this configuration on this machine.
pub(super) fn local(config: &Config) -> String {
    let mut address = config.http.admin_listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}
