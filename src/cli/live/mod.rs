//! `handoffd check --live`: whether everything that the daemon will need is there.
//!
//! | module | what it verifies |
//! | --- | --- |
//! | `here` | ports and ledger |
//! | `broker` | RabbitMQ, and each right that is needed there |
//! | `target` | a CRM or WhatsApp: sign-in, rights, ids, and the mapping in force |

mod broker;
mod here;
mod target;

use std::fmt::Write as _;

use crate::app::{self, Connected};
use crate::config::Config;
use crate::stdout::say;

/// What one cause is called.
const MISSING: &str = "MISSING";

/// So many places with one cause are named.
const NAMED: usize = 8;

/// Verifies everything; returns how much is missing.
pub(super) async fn verify(
    config: &Config,
    connected: &[Connected],
    create: bool,
) -> anyhow::Result<usize> {
    let mut bad = 0;
    let mut page = Page::new("this machine".to_owned());
    here::ports(config, &mut page).await;
    let ledger = here::ledger(config, &mut page).await;
    bad += page.print();
    if let Some(amqp) = &config.intake.amqp {
        bad += broker::verify(amqp, connected).await.print();
    }
    let library = app::library(config, connected)?;
    for one in connected {
        let wire = app::wire(config, one, &library)?;
        let page = target::verify(one, &wire, ledger.as_deref(), create).await;
        bad += page.print();
    }
    Ok(bad)
}

/// What was found of one part: what is well, and one line for each cause of what is not.
struct Page {
    title: String,
    well: Vec<String>,
    /// The kind of the cause, the cause, and what it stands in the way of.
    bad: Vec<(&'static str, String, Vec<String>)>,
    /// What is said below.
    hints: Vec<&'static str>,
}

impl Page {
    fn new(title: String) -> Page {
        Page {
            title,
            well: Vec::new(),
            bad: Vec::new(),
            hints: Vec::new(),
        }
    }

    fn well(&mut self, word: &str, what: impl AsRef<str>) {
        self.well.push(format!("{word:<8} {}", what.as_ref()));
    }

    fn bad(&mut self, kind: &'static str, what: impl Into<String>, cause: impl Into<String>) {
        let (what, cause) = (what.into(), cause.into());
        let alike = self
            .bad
            .iter_mut()
            .find(|(known, said, _)| *known == kind && *said == cause);
        match alike {
            Some((_, _, whats)) => whats.push(what),
            None => self.bad.push((kind, cause, vec![what])),
        }
    }

    /// Prints it; returns how many causes there are.
    fn print(self) -> usize {
        let mut text = format!("{}\n", self.title);
        for line in &self.well {
            let _ = writeln!(text, "  {line}");
        }
        for (kind, cause, whats) in &self.bad {
            let named: Vec<&str> = whats.iter().take(NAMED).map(String::as_str).collect();
            let more = match whats.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let _ = writeln!(text, "  {kind:<8} {}{more}: {cause}", named.join(", "));
        }
        for hint in &self.hints {
            let _ = writeln!(text, "           {hint}");
        }
        say(&text);
        self.bad.len()
    }
}
