//! What fields lost: a value that did not fit the mapping, or that the CRM did not take.
//!
//! The rep reads it in the record. Operators see it in the log, in a counter and in `show`, without the
//! value, which is what people wrote.

use handoffd_contract::{Connector, Known, LostField};
use metrics::counter;

use crate::ledger::Change;
use crate::metrics::FIELDS_DROPPED;

/// Facts about what the mapping could not fit: they end with the field and say why.
pub const BY_MAPPING: &str = "engine/lost/";
/// Facts about what the CRM did not take.
pub const BY_CRM: &str = "engine/refused/";

/// The longest name of a field in a label.
const MAX_FIELD: usize = 100;

/// What one event's mapping lost, told once: facts for `show`. Those of a field that lost nothing this
/// time go.
pub fn by_mapping(target: &str, session: &str, lost: &[LostField], known: &Known) -> Vec<Change> {
    let mut changes = Vec::new();
    for one in lost {
        tell(target, session, &one.field, &one.why);
        changes.push(Change::Set(
            format!("{BY_MAPPING}{}", one.field),
            one.why.clone(),
        ));
    }
    for (field, _) in known.under(BY_MAPPING) {
        if !lost.iter().any(|one| one.field == field) {
            changes.push(Change::Remove(format!("{BY_MAPPING}{field}")));
        }
    }
    changes
}

/// What these changes say that the CRM did not take, told once: facts for `show`.
pub fn by_crm(
    target: &str,
    session: &str,
    connector: &dyn Connector,
    changes: &[Change],
    known: &Known,
) -> Vec<Change> {
    let mut told = Vec::new();
    for change in changes {
        let Change::Set(fact, why) = change else {
            continue;
        };
        let Some(field) = connector.refused_field(fact).filter(|_| !known.is(fact)) else {
            continue;
        };
        // The CRM's own words may repeat the value; a code does not.
        let code = why.len() <= 60
            && why
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let why = if code && !why.is_empty() {
            format!("left out: the CRM did not take it ({why})")
        } else {
            "left out: the CRM did not take it".to_owned()
        };
        tell(target, session, &field, &why);
        told.push(Change::Set(format!("{BY_CRM}{field}"), why));
    }
    told
}

/// What `show` says of the fields of a lane: field and why.
pub fn shown(known: &Known) -> impl Iterator<Item = (&str, &str)> {
    known.under(BY_MAPPING).chain(known.under(BY_CRM))
}

fn tell(target: &str, session: &str, field: &str, why: &str) {
    let field: String = field.chars().take(MAX_FIELD).collect();
    tracing::info!(target_name = %target, session, field, why, "a field lost its value");
    counter!(FIELDS_DROPPED, "target" => target.to_owned(), "field" => field).increment(1);
}
