//! Dead letters: counted, listed, shown, judged again, changed, given up, one by one or all of a kind.

mod edited;
mod masked;
mod shown;

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::Limits;
use crate::intake::{Dialects, Gate, Incoming, Outline, Verdict};
use crate::ledger::troubles::{LetterGroup, Letters};
use crate::ledger::{Admission, DeadLetterRow, EventLedger, LedgerError, OperatorLedger};
use crate::mapping::dialect;
use crate::wire::redact;

pub use self::edited::{edit, patch_between, rewrite};
pub use self::shown::Shown;

/// Dead letters read at a time: each may be as large as an event.
const PAGE: usize = 50;

/// The header that tells by which routing key something came.
const ROUTING_KEY: &str = "amqp.routing_key";

/// Whether something is done, or only said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is done.
    Do,
    /// Nothing is changed.
    DryRun,
}

/// A dead letter without its bytes, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    id: i64,
    received_at: Timestamp,
    origin: String,
    reason: &'static str,
    message: String,
    bytes: usize,
    session: Option<String>,
    outline: Outline,
    routing_key: Option<String>,
}

impl Listed {
    /// Of a dead letter, which is looked into as far as the limits go.
    #[must_use]
    pub fn of(row: DeadLetterRow, limits: &Limits) -> Listed {
        let DeadLetterRow {
            id,
            received_at,
            letter,
        } = row;
        let (origin, session) = (letter.origin.clone(), letter.session.clone());
        let (reason, message) = (letter.stop.reason.label(), letter.stop.message.clone());
        let bytes = letter.raw.len();
        let mut incoming = Incoming::of_dead_letter(letter);
        let found = Outline::of(&incoming, limits);
        let quiet = |text: Option<String>| text.map(|text| quiet(&text));
        Listed {
            id,
            received_at,
            origin,
            reason,
            message,
            bytes,
            session,
            outline: Outline {
                source: quiet(found.source),
                kind: quiet(found.kind),
                subject: quiet(found.subject),
            },
            routing_key: quiet(incoming.headers.remove(ROUTING_KEY)),
        }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.id
    }

    /// In a line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut out = format!(
            "dead letter {:<6} {} by {}",
            self.id, self.received_at, self.origin
        );
        for (what, value) in [
            ("routing key", &self.routing_key),
            ("source", &self.outline.source),
            ("type", &self.outline.kind),
            ("subject", &self.outline.subject),
        ] {
            if let Some(value) = value {
                let _ = write!(out, ", {what} {value}");
            }
        }
        let _ = write!(out, ", {} bytes: {}", self.bytes, self.message);
        out
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "id": self.id, "received_at": self.received_at, "origin": self.origin,
            "reason": self.reason, "message": self.message, "bytes": self.bytes,
            "session": self.session, "source": self.outline.source, "type": self.outline.kind,
            "subject": self.outline.subject, "routing_key": self.routing_key,
        })
    }
}

/// A page of dead letters after a number, oldest first, at most `limit`.
///
/// # Errors
/// The ledger failed.
pub async fn page(
    ledger: &dyn EventLedger,
    limits: &Limits,
    after: i64,
    limit: usize,
) -> Result<Vec<Listed>, LedgerError> {
    let mut listed: Vec<Listed> = Vec::new();
    while listed.len() < limit {
        let last = listed.last().map_or(after, |one| one.id);
        let wanted = PAGE.min(limit - listed.len());
        let rows = ledger.dead_letters(last, wanted).await?;
        let is_last = rows.len() < wanted;
        listed.extend(rows.into_iter().map(|row| Listed::of(row, limits)));
        if is_last {
            break;
        }
    }
    Ok(listed)
}

/// All of them by cause and source, in plain words.
///
/// # Errors
/// The ledger failed.
pub async fn summary(ledger: &dyn OperatorLedger) -> Result<String, LedgerError> {
    let Letters { count, groups } = ledger.letters().await?;
    let are = if count == 1 {
        "dead letter"
    } else {
        "dead letters"
    };
    let mut out = format!("{count} {are}\n");
    for LetterGroup { cause, source } in &groups {
        let source = source.as_deref().map_or_else(
            || "from an unknown source".to_owned(),
            |source| format!("from {}", quiet(source)),
        );
        let _ = writeln!(
            out,
            "{:>7} by {} {source} ({}), the oldest {} of {}: {}",
            cause.count,
            cause.origin,
            cause.stop.reason.label(),
            cause.example,
            cause.oldest,
            cause.stop.message
        );
    }
    Ok(out)
}

/// A page of them after a number, and all of them by cause and source, as JSON.
///
/// # Errors
/// The ledger failed.
pub async fn list_json(
    ledger: &dyn OperatorLedger,
    events: &dyn EventLedger,
    limits: &Limits,
    after: i64,
    limit: usize,
) -> Result<Value, LedgerError> {
    let Letters { count, groups } = ledger.letters().await?;
    let groups = groups.iter().map(|LetterGroup { cause, source }| {
        json!({
            "origin": cause.origin, "source": source.as_deref().map(quiet),
            "reason": cause.stop.reason.label(), "message": cause.stop.message,
            "count": cause.count, "oldest": cause.oldest, "example": cause.example,
        })
    });
    let groups: Vec<Value> = groups.collect();
    let listed = page(events, limits, after, limit).await?;
    let listed: Vec<Value> = listed.iter().map(Listed::json).collect();
    Ok(json!({"count": count, "groups": groups, "dead_letters": listed}))
}

/// One of them with everything that is known of it.
///
/// # Errors
/// The ledger failed.
pub async fn show(
    ledger: &dyn EventLedger,
    limits: &Limits,
    dialects: &Dialects,
    id: i64,
) -> Result<Option<Shown>, LedgerError> {
    let row = find(ledger, id).await?;
    Ok(row.map(|row| Shown::of(row, limits, dialects)))
}

/// One of them.
async fn find(ledger: &dyn EventLedger, id: i64) -> Result<Option<DeadLetterRow>, LedgerError> {
    let rows = ledger.dead_letters(id.saturating_sub(1), 1).await?;
    Ok(rows.into_iter().find(|row| row.id == id))
}

/// What is said where it is not there.
#[must_use]
pub fn none(id: i64) -> String {
    format!("there is no dead letter {id}")
}

/// Without what a secret's name precedes, and what looks like a token.
fn quiet(text: &str) -> String {
    redact::tokens(&dialect::mask_text(text))
}

/// The numbers of all that have this one's cause and source, its own among them, oldest first: in this
/// order they are judged again, so that what a session waited for is taken as it came. At most `limit`.
///
/// # Errors
/// It is not there, or the ledger failed.
pub async fn alike(ledger: &dyn EventLedger, id: i64, limit: usize) -> Result<Vec<i64>, String> {
    let one = find(ledger, id).await.map_err(|error| error.to_string())?;
    let one = one.ok_or_else(|| none(id))?.letter;
    numbers(ledger, limit, |row| {
        let letter = &row.letter;
        (&letter.origin, &letter.stop, &letter.source) == (&one.origin, &one.stop, &one.source)
    })
    .await
    .map_err(|error| error.to_string())
}

/// The numbers of all that are meant, oldest first, at most `limit`: each is read whole.
///
/// # Errors
/// The ledger failed.
pub async fn numbers(
    ledger: &dyn EventLedger,
    limit: usize,
    is_meant: impl Fn(&DeadLetterRow) -> bool,
) -> Result<Vec<i64>, LedgerError> {
    let (mut last, mut meant) = (0, Vec::new());
    while meant.len() < limit {
        let rows = ledger.dead_letters(last, PAGE).await?;
        let Some(row) = rows.last() else { break };
        last = row.id;
        meant.extend(rows.iter().filter(|row| is_meant(row)).map(|row| row.id));
    }
    meant.truncate(limit);
    Ok(meant)
}

/// Judges a dead letter again: admits it if it can now be understood.
///
/// # Errors
/// Why it still cannot be, or that there is no such event, or that the ledger failed.
pub async fn readmit(gate: &Gate, id: i64, mode: Mode) -> Result<String, String> {
    let row = find(&*gate.ledger, id)
        .await
        .map_err(|error| error.to_string())?
        .ok_or_else(|| none(id))?;
    let incoming = Incoming::of_dead_letter(row.letter);
    // A time that cannot be read is when it came, not when somebody tried it again: WhatsApp's window
    // must not open by that.
    let verdict = gate.verdict(&incoming, row.received_at);
    settle(gate, id, verdict, mode).await
}

/// Stores what a dead letter became in its place, in one transaction; leaves it where it still cannot be
/// understood.
async fn settle(gate: &Gate, id: i64, verdict: Verdict, mode: Mode) -> Result<String, String> {
    if let Some(stop) = verdict.refused {
        return Err(format!(
            "dead letter {id} still cannot be understood: {}",
            stop.message
        ));
    }
    let admissions: Vec<Admission> = verdict
        .events
        .into_iter()
        .map(|one| one.admission)
        .collect();
    let (is, dry) = match mode {
        Mode::Do => ("is", false),
        Mode::DryRun => ("would be", true),
    };
    let became = match admissions.as_slice() {
        [] => format!("{is} left alone: {}", verdict.skipped.join(", ")),
        [one] if one.find.is_none() => format!("{is} admitted to session {}", one.event.session),
        several => format!("{is} admitted, as {} events", several.len()),
    };
    if dry {
        return Ok(format!("dead letter {id} {became}"));
    }
    gate.ledger
        .resolve_dead_letter(Timestamp::now(), id, admissions)
        .await
        .map_err(|error| error.to_string())?;
    Ok(format!("dead letter {id} {became}"))
}

/// Gives a dead letter up.
///
/// # Errors
/// The ledger failed.
pub async fn give_up(ledger: &dyn EventLedger, id: i64, mode: Mode) -> Result<String, String> {
    if mode == Mode::DryRun {
        return Ok(format!("dead letter {id} would be given up"));
    }
    ledger
        .resolve_dead_letter(Timestamp::now(), id, Vec::new())
        .await
        .map_err(|error| error.to_string())?;
    Ok(format!("dead letter {id} is given up"))
}
