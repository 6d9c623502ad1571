//! `handoffd access hash | link`

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command as Program, Stdio};

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use serde_json::json;
use url::Url;

use super::operate::{noted, open};
use crate::access::{self, password};
use crate::config::Config;
use crate::stdout::say;

/// The shortest password that is hashed, in characters.
/// <https://pages.nist.gov/800-63-4/sp800-63b.html#password>
const SHORTEST: usize = 8;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read a password from the terminal or standard input, and print its hash for the secret of a user
    Hash,
    /// Print a link that signs in once, as admin, within ten minutes
    Link {
        /// Where the browser reaches the admin listener; access.url or http.admin_listen when left out
        #[arg(long)]
        url: Option<Url>,
    },
}

pub(super) async fn run(path: Option<&Path>, command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Hash => {
            let password = read()?;
            if password.chars().count() < SHORTEST {
                return Err(anyhow!("a password has at least {SHORTEST} characters"));
            }
            say(&password::hash(&password).map_err(|why| anyhow!(why))?);
            Ok(0)
        }
        Command::Link { url } => {
            let (config, ledger) = open(path).await?;
            let console = url.map_or_else(|| console(&config), |url| url.to_string());
            let link = access::link(&*ledger, &console).await?;
            let after = json!({"minutes": access::LINK_LASTS.as_mins()});
            noted(&ledger, "sign-in link", "", Some(after)).await?;
            say(&link);
            Ok(0)
        }
    }
}

/// Where a browser on this machine reaches the admin listener.
fn console(config: &Config) -> String {
    if let Some(url) = &config.access.url {
        return url.to_string();
    }
    let mut at = config.http.admin_listen;
    if at.ip().is_unspecified() {
        at.set_ip(match at.is_ipv4() {
            true => std::net::Ipv4Addr::LOCALHOST.into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{at}")
}

/// A line of standard input; on a terminal it is asked for, and not shown.
fn read() -> anyhow::Result<String> {
    let input = std::io::stdin();
    let is_terminal = input.is_terminal();
    let mut asked = std::io::stderr();
    if is_terminal {
        asked.write_all(b"Password: ")?;
        asked.flush()?;
        show_typing(false);
    }
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    if is_terminal {
        show_typing(true);
        asked.write_all(b"\n")?;
    }
    read.context("standard input cannot be read")?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Where the terminal cannot be told, what is typed is seen.
fn show_typing(shown: bool) {
    let _ = Program::new("stty")
        .arg(if shown { "echo" } else { "-echo" })
        .stdin(Stdio::inherit())
        .status();
}
