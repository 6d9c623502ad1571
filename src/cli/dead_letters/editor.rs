//! A dead letter's body in the operator's editor.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow};
use serde_json::Value;

use crate::config::Limits;
use crate::intake::Dialects;
use crate::ledger::EventLedger;
use crate::operate::dead_letters;

/// What the operator changed in the body, as a merge patch; `None` where nothing was.
pub(super) async fn patch(
    ledger: &dyn EventLedger,
    limits: &Limits,
    dialects: &Dialects,
    number: i64,
) -> anyhow::Result<Option<Value>> {
    let shown = dead_letters::show(ledger, limits, dialects, number).await?;
    let shown = shown.ok_or_else(|| anyhow!(dead_letters::none(number)))?;
    let Some(before) = shown.whole_json() else {
        return Err(anyhow!(
            "the body of dead letter {number} is no JSON, or too long to be shown whole: an editor cannot \
             change it; write a merge patch (--patch), or send the event again and drop this one"
        ));
    };
    let before: Value = serde_json::from_str(before)?;
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .filter_map(std::env::var_os)
        .find(|editor| !editor.is_empty())
        .ok_or_else(|| anyhow!("no editor is named: set VISUAL or EDITOR, or give --patch FILE"))?;
    let file = Draft::new(number, &format!("{before:#}\n"))?;
    // The variable may hold arguments, as in `code --wait`.
    let status = Command::new("sh")
        .args(["-c", "exec $0 \"$1\""])
        .arg(&editor)
        .arg(&file.0)
        .status()
        .with_context(|| format!("{} cannot be started", editor.display()))?;
    if !status.success() {
        return Err(anyhow!(
            "the editor ended with {status}: nothing is changed"
        ));
    }
    let after = read(&file.0, limits.max_event_bytes)?;
    dead_letters::patch_between(&before, &after).map_err(|words| anyhow!(words))
}

fn read(file: &Path, limit: usize) -> anyhow::Result<Value> {
    let mut text = Vec::new();
    File::open(file)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut text))
        .context("what the editor wrote cannot be read")?;
    if text.len() > limit {
        return Err(anyhow!(
            "what the editor wrote is longer than an event may be ({limit} bytes): nothing is changed"
        ));
    }
    serde_json::from_slice(&text)
        .map_err(|error| anyhow!("what the editor wrote is no JSON: {error}; nothing is changed"))
}

/// A file of one's own, removed at the end: it holds what people wrote.
struct Draft(PathBuf);

impl Draft {
    fn new(number: i64, text: &str) -> anyhow::Result<Draft> {
        let name = format!(
            "handoffd-dead-letter-{number}-{:016x}.json",
            rand::random::<u64>()
        );
        let draft = Draft(std::env::temp_dir().join(name));
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft.0)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("{} cannot be written", draft.0.display()))?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
