//! One target: what its connector asks for, and the fields of the mapping in force.
//!
//! A target that cannot be reached, does not accept the sign-in or asks for fewer requests says nothing
//! about what is there: that is told once, and nothing more is asked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use handoffd_contract::{Finding, HttpCall, HttpReply, Reason};

use super::{MISSING, Page};
use crate::app::{Connected, mapping_of};
use crate::connectors;
use crate::crm_schema;
use crate::ledger::Ledger;
use crate::wire::Wire;

/// What is read to know the mapping's fields.
const FIELDS: &str = "fields of the mapping";
/// Between a call that failed and the one more that is made.
const AGAIN: Duration = Duration::from_secs(1);
/// At most so long is waited when the target asks for a pause.
const LONGEST: Duration = Duration::from_secs(10);

/// Why a call says nothing about what is there.
struct Trouble {
    kind: &'static str,
    words: String,
}

/// What is there and what is not.
pub(super) async fn verify(
    one: &Connected,
    wire: &Wire,
    ledger: Option<&dyn Ledger>,
    create: bool,
) -> Page {
    let title = format!(
        "{} ({}, {})",
        one.config.name,
        one.kind,
        one.connector.base()
    );
    let mut page = Page::new(title);
    let checks = one.connector.checks();
    let fields = mapped(one, ledger, &mut page).await;
    let asks_schema = !one
        .connector
        .schema_reads(&one.connector.schema())
        .is_empty();
    for (at, check) in checks.iter().enumerate() {
        let left = checks.len() - at - 1 + usize::from(asks_schema);
        let reply = match ask(wire, &check.call).await {
            Ok(reply) => reply,
            Err(trouble) => {
                page.bad(trouble.kind, check.what, and_no_more(trouble.words, left));
                return page;
            }
        };
        if reply.status == 401 {
            // Everything else would be answered the same way; the connector has the remedy.
            let findings = one.connector.checked(check, &reply);
            let said = findings.into_iter().find_map(|finding| finding.problem);
            let words = said.unwrap_or_else(|| "the sign-in was not accepted".to_owned());
            page.bad("REFUSED", check.what, and_no_more(words, left));
            return page;
        }
        for finding in one.connector.checked(check, &reply) {
            note(wire, &mut page, finding, create).await;
        }
    }
    fields_there(one, wire, &fields, &mut page).await;
    page
}

/// Whether the CRM has the mapping's fields. Of what cannot be told nothing is said.
async fn fields_there(
    one: &Connected,
    wire: &Wire,
    fields: &BTreeMap<String, Vec<String>>,
    page: &mut Page,
) {
    let schema = match crm_schema::read(&*one.connector, wire).await {
        Ok(schema) => schema,
        Err(words) => {
            page.bad(MISSING, FIELDS, words);
            return;
        }
    };
    for (section, names) in fields {
        for name in names {
            let what = format!("{section}.{name} of the mapping");
            match schema.lacks(section, name) {
                Some(true) => page.bad(MISSING, what, one.connector.lacks_field(section, name)),
                Some(false) => page.well("ok", what),
                None => {}
            }
        }
    }
}

fn and_no_more(words: String, left: usize) -> String {
    match left {
        0 => words,
        1 => format!("{words} (1 more check was not made)"),
        left => format!("{words} ({left} more checks were not made)"),
    }
}

async fn note(wire: &Wire, page: &mut Page, finding: Finding, create: bool) {
    let Some(problem) = finding.problem else {
        page.well("ok", finding.what);
        return;
    };
    if finding.fix.is_empty() {
        page.bad(MISSING, finding.what, problem);
    } else if create {
        match fix(wire, &finding.fix).await {
            Ok(()) => page.well("created", finding.what),
            Err(words) => {
                let cause = format!("it could not be created: {words}");
                page.bad("FAILED", finding.what, cause);
            }
        }
    } else {
        let cause = format!("{problem}; --create-missing creates it");
        page.bad(MISSING, finding.what, cause);
    }
}

/// One call, and one more where the first came to nothing.
async fn ask(wire: &Wire, call: &HttpCall) -> Result<HttpReply, Trouble> {
    let wait = match once(wire, call).await {
        Ok(reply) if reply.status == 401 => {
            // A token that ended early is no wrong credential.
            wire.reject(&call.auth, Instant::now()).await;
            Duration::ZERO
        }
        Ok(reply) => return Ok(reply),
        Err((wait, _)) => wait,
    };
    tokio::time::sleep(wait).await;
    once(wire, call).await.map_err(|(_, trouble)| trouble)
}

async fn once(wire: &Wire, call: &HttpCall) -> Result<HttpReply, (Duration, Trouble)> {
    let trouble = |kind, words: String| Trouble { kind, words };
    match wire.send(call).await {
        Ok(reply) if reply.status == 429 => {
            let asked = reply.retry_after().map_or(AGAIN, Duration::from_secs);
            let words = "the target asks for fewer requests; try again later".to_owned();
            Err((asked.min(LONGEST), trouble("RATE-LIMITED", words)))
        }
        Ok(reply) if matches!(reply.status, 502..=504) => {
            let words = format!("answered {}; look at its status page", reply.status);
            Err((AGAIN, trouble("UNREACHABLE", words)))
        }
        Ok(reply) => Ok(reply),
        Err(failure) => {
            let stop = failure.stop();
            let kind = match stop.reason {
                Reason::Unauthorized | Reason::IdentityRejected | Reason::Forbidden => "REFUSED",
                Reason::RateLimited => "RATE-LIMITED",
                Reason::Unreachable | Reason::TimedOut | Reason::ServerError => "UNREACHABLE",
                _ => "FAILED",
            };
            let words = format!("{}: {}", stop.reason.title(), wire.conceal(&stop.message));
            Err((AGAIN, trouble(kind, words)))
        }
    }
}

/// The fields of the mapping in force: the ledger's latest version, else the file, else the shipped one.
async fn mapped(
    one: &Connected,
    ledger: Option<&dyn Ledger>,
    page: &mut Page,
) -> BTreeMap<String, Vec<String>> {
    let name = &one.config.name;
    let kept = match ledger {
        Some(ledger) => ledger.mapping_get(name, None).await,
        None => Ok(None),
    };
    let (from, text) = match kept {
        Err(error) => {
            page.bad(MISSING, "mapping in force", error.to_string());
            return BTreeMap::new();
        }
        Ok(Some(row)) => (format!("version {}", row.version), Some(row.text)),
        Ok(None) => match &one.config.mapping {
            Some(file) => (
                file.display().to_string(),
                std::fs::read_to_string(file).ok(),
            ),
            None => match connectors::kind(one.kind).map(|kind| kind.mapping) {
                Some("") => return BTreeMap::new(),
                shipped => ("the shipped one".to_owned(), shipped.map(str::to_owned)),
            },
        },
    };
    match mapping_of(one.kind, &from, &text.unwrap_or_default()) {
        Ok(mapping) => {
            page.well("ok", format!("mapping in force: {from}"));
            mapping.fields()
        }
        Err(problems) => {
            page.bad(MISSING, "mapping in force", problems.join("; "));
            BTreeMap::new()
        }
    }
}

/// Carries out the calls that create what is missing. What exists already is as good.
async fn fix(wire: &Wire, calls: &[HttpCall]) -> Result<(), String> {
    for call in calls {
        let reply = wire
            .send(call)
            .await
            .map_err(|failure| failure.stop().message)?;
        if !reply.ok() && reply.status != 409 {
            let json = reply.json().unwrap_or_default();
            let words = json["message"]
                .as_str()
                .unwrap_or("no further words")
                .to_owned();
            return Err(format!("answered {}: {words}", reply.status));
        }
    }
    Ok(())
}
