//! Ports and the ledger.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::{MISSING, Page};
use crate::cli::status::local;
use crate::config::Config;
use crate::ledger::{self, Ledger};
use crate::wire::operator;

/// Whether the ports are free, or a daemon with this configuration has them.
pub(super) async fn ports(config: &Config, page: &mut Page) {
    let listeners = [
        ("http.listen", config.http.listen),
        ("http.admin_listen", config.http.admin_listen),
    ];
    let admin = local(config);
    for (setting, address) in listeners {
        let what = format!("{setting} {address}");
        match free(address) {
            Ok(()) => page.well("ok", what),
            Err(error)
                if error.kind() == std::io::ErrorKind::AddrInUse
                    && operator::alive(&admin).await =>
            {
                page.well("ok", format!("{what}: a daemon answers here"));
            }
            Err(error) => {
                let cause = match error.kind() {
                    std::io::ErrorKind::AddrInUse => {
                        "another program listens there; stop it, or write another port".to_owned()
                    }
                    _ => format!("it cannot be listened on: {error}"),
                };
                page.bad(MISSING, what, cause);
            }
        }
    }
}

fn free(address: SocketAddr) -> std::io::Result<()> {
    TcpListener::bind(address).map(drop)
}

/// Whether the ledger can be opened; the ledger, if there is one yet.
pub(super) async fn ledger(config: &Config, page: &mut Page) -> Option<Arc<dyn Ledger>> {
    let what = "ledger";
    match ledger::exists(&config.ledger.url).await {
        Ok(false) => {
            page.well("ok", "ledger: there is none yet; `handoffd run` makes it");
            return None;
        }
        Ok(true) => {}
        Err(error) => {
            page.bad(MISSING, what, error.to_string());
            return None;
        }
    }
    let opened = match ledger::open(&config.ledger.url).await {
        Ok(ledger) => match ledger.ping().await {
            Ok(()) => Ok(ledger),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match opened {
        Ok(ledger) => {
            page.well("ok", what);
            Some(ledger)
        }
        Err(error) => {
            page.bad(MISSING, what, error.to_string());
            None
        }
    }
}
