//! What a dialect makes of a payload in a file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::config::Limits;
use crate::intake::dialects::{Preview, preview};
use crate::intake::{Incoming, Origin};
use crate::mapping::commands::Report;
use crate::mapping::dialect::{Dialect, FORM};

pub(super) fn shown(dialect: &Dialect, payload: Option<&Path>) -> anyhow::Result<Report> {
    let payload = payload.context("name a payload with --event FILE")?;
    let body =
        std::fs::read(payload).with_context(|| format!("{} cannot be read", payload.display()))?;
    let is_json = body.trim_ascii_start().starts_with(b"{");
    let incoming = Incoming {
        origin: Origin::Http,
        content_type: Some(if is_json { "application/json" } else { FORM }.to_owned()),
        headers: BTreeMap::new(),
        body,
    };
    let made = preview(
        dialect,
        &BTreeMap::new(),
        &Limits::default(),
        &incoming,
        Timestamp::now(),
    );
    let bad = |text: String| Report { text, ok: false };
    let (events, rest) = match made {
        Preview::Refused(stop) => return Ok(bad(format!("{}\n", stop.message))),
        Preview::Misses(condition) => {
            let words = format!("{} does not take it: {condition}\n", dialect.name());
            return Ok(bad(words));
        }
        Preview::Made(events, rest) => (events, rest),
    };
    let mut report = Report {
        text: String::new(),
        ok: rest.untaken == 0 && rest.faults.is_empty() && !rest.is_cut,
    };
    for (event, read) in &events {
        let json = serde_json::to_string_pretty(event).unwrap_or_default();
        report.text.push_str(&json);
        report.text.push('\n');
        match read {
            Ok(warnings) => report
                .text
                .extend(warnings.iter().map(|warning| format!("! {warning}\n"))),
            Err(stop) => {
                report.ok = false;
                report
                    .text
                    .push_str(&format!("! REFUSED: {}\n", stop.message));
            }
        }
    }
    report.text.extend(
        rest.faults
            .iter()
            .map(|fault| format!("! a template failed: {fault}\n")),
    );
    let skipped: Vec<&str> = rest.skipped.keys().map(String::as_str).collect();
    report.text.push_str(&format!(
        "{} events, skipped: {}, taken by no rule: {}\n",
        events.len(),
        if skipped.is_empty() {
            "nothing".to_owned()
        } else {
            skipped.join(", ")
        },
        rest.untaken
    ));
    Ok(report)
}
