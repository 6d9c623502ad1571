//! Who reads schemas, and when: as the daemon begins, once a day, and when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use handoffd_contract::Schema;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{Change, digest, drift, has_schema, read};
use crate::ledger::{EditorLedger, LedgerError, SchemaRow};
use crate::target::Target;

/// A schema is read again when it is so old.
const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// How often it is looked whether one is due, or another daemon has read one.
const LOOK: Duration = Duration::from_secs(30);
/// How long after its beginning a daemon reads what was never read: first it does what waits.
const FIRST: Duration = Duration::from_secs(5);
/// After a reading that failed, the next one comes no sooner than this.
const PAUSE: SignedDuration = SignedDuration::from_mins(15);

/// What a reading came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Fresh {
    /// What was read.
    pub schema: Schema,
    /// Whether it is another one than before.
    pub is_new: bool,
    /// What changed since the reading before, if there was one.
    pub changes: Vec<Change>,
}

/// Reads a target's schema now, keeps it, and puts it in force here.
///
/// # Errors
/// Why it could not be read or kept.
pub async fn refresh(ledger: &dyn EditorLedger, target: &Target) -> Result<Fresh, String> {
    let schema = read(&*target.connector, &target.wire).await?;
    let text = serde_json::to_string(&schema).map_err(|error| error.to_string())?;
    let failed = |error: LedgerError| error.to_string();
    let before = ledger.schema_get(&target.name).await.map_err(failed)?;
    let digest = digest(&text);
    let now = Timestamp::now();
    let is_new = ledger
        .schema_put(now, &target.name, &digest, &text)
        .await
        .map_err(failed)?;
    let changes = match before.as_ref().and_then(|row| parsed(&row.text)) {
        Some(before) if is_new => drift(&before, &schema),
        _ => Vec::new(),
    };
    for change in &changes {
        tracing::warn!(target_name = %target.name, field = %change.field, change = %change.words, "the CRM's schema changed");
    }
    for gap in &schema.gaps {
        tracing::warn!(target_name = %target.name, %gap, "a part of the CRM's schema could not be read");
    }
    target
        .schema
        .store(Some(Arc::new((digest, schema.clone()))));
    Ok(Fresh {
        schema,
        is_new,
        changes,
    })
}

/// Puts in force what is kept, where it is another one than is in force; returns when it was read.
///
/// # Errors
/// The ledger failed.
pub async fn look(
    ledger: &dyn EditorLedger,
    target: &Target,
) -> Result<Option<Timestamp>, LedgerError> {
    let Some((read_at, digest)) = ledger.schema_age(&target.name).await? else {
        return Ok(None);
    };
    let has = target
        .schema
        .load()
        .as_ref()
        .is_some_and(|has| has.0 == digest);
    if !has
        && let Some(row) = ledger.schema_get(&target.name).await?
        && let Some(schema) = parsed(&row.text)
    {
        target.schema.store(Some(Arc::new((row.digest, schema))));
    }
    Ok(Some(read_at))
}

/// A schema as it is kept; one that an older daemon kept in another form is read anew.
fn parsed(text: &str) -> Option<Schema> {
    serde_json::from_str(text).ok()
}

impl SchemaRow {
    /// What is kept.
    #[must_use]
    pub fn schema(&self) -> Option<Schema> {
        parsed(&self.text)
    }

    /// What changed when it last changed.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let former = self.former.as_deref().and_then(parsed);
        match (former, self.schema()) {
            (Some(former), Some(schema)) => drift(&former, &schema),
            _ => Vec::new(),
        }
    }
}

/// Keeps the schemas of all targets current, until stopped.
pub async fn keep(
    ledger: Arc<dyn EditorLedger>,
    targets: BTreeMap<String, Arc<Target>>,
    stop: CancellationToken,
) {
    let mut failed: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = LOOK,
            () = stop.cancelled() => return,
        }
        for (name, target) in &targets {
            if !has_schema(&*target.connector) {
                continue;
            }
            let now = Timestamp::now();
            let read_at = look(&*ledger, target).await.unwrap_or(None);
            let is_due = read_at.is_none_or(|at| now.duration_since(at) >= EVERY);
            let pauses = failed
                .get(name)
                .is_some_and(|at| now.duration_since(*at) < PAUSE);
            if !is_due || pauses || stop.is_cancelled() {
                continue;
            }
            let reading = refresh(&*ledger, target);
            let outcome = tokio::select! {
                outcome = reading => outcome,
                () = stop.cancelled() => return,
            };
            match outcome {
                Ok(_) => {
                    failed.remove(name);
                }
                Err(error) => {
                    tracing::warn!(target_name = %name, %error, "the CRM's schema could not be read");
                    failed.insert(name.clone(), now);
                }
            }
        }
    }
}
