//! Columns of a case whose changes are passed on. OData tells no history, so what the case's own read
//! saw last, or what we wrote ourselves, is a fact of the lane; what differs from it is news.

use std::collections::BTreeMap;

use handoffd_contract::desk::field_value;
use handoffd_contract::{FrameContent, InboundKind, Known};
use jiff::Timestamp;
use serde_json::Value;

use super::{at_of, facts_of, heard, id, string};
use crate::facts::column_fact;
use crate::{Creatio, wire};

impl Creatio {
    /// The values that are known of a case's columns.
    pub(super) fn columns_known(&self, known: &Known, case: &str) -> BTreeMap<String, String> {
        let columns = self.settings.report.iter();
        // Of a write that was refused nothing is known.
        let is_value = |text: &&str| serde_json::from_str::<Value>(text).is_ok();
        let value = |column: &String| {
            let known = known.get(&column_fact(case, column));
            known.filter(is_value).map(str::to_owned)
        };
        columns
            .filter_map(|column| Some((column.clone(), value(column)?)))
            .collect()
    }

    /// What of a case has changed. What the first read finds is where it begins.
    pub(super) fn columns_said(
        &self,
        context: &Value,
        case: &str,
        row: &Value,
        content: &mut FrameContent,
    ) {
        let mut facts = Vec::new();
        let mut fields = BTreeMap::new();
        for column in &self.settings.report {
            let Some(value) = row.get(column).map(told) else {
                continue;
            };
            let (now, before) = (value.to_string(), context["columns"][column].as_str());
            if before == Some(now.as_str()) {
                continue;
            }
            facts.push((column_fact(case, column), now));
            if before.is_some() {
                fields.insert(column.clone(), value);
            }
        }
        if !facts.is_empty() {
            content.heard.push(facts_of(case, None, facts));
        }
        if fields.is_empty() {
            return;
        }
        let by = id(row, "ModifiedById");
        let kind = InboundKind::Updated {
            record: case.to_owned(),
            fields,
            changed_by: by.filter(|by| Some(by) != self.settings.integration_contact.as_ref()),
        };
        let name = format!("columns/{case}/{}", string(row, "ModifiedOn"));
        let at = at_of(row, "ModifiedOn");
        content.heard.push(heard(&name, case, "", at, kind));
    }
}

/// A value as it is told and compared: ids and times in one form, an empty id as nothing.
pub(crate) fn told(value: &Value) -> Value {
    let Some(text) = value.as_str() else {
        return field_value(value);
    };
    if let Some(id) = wire::guid(text) {
        return match id.bytes().all(|b| matches!(b, b'0' | b'-')) {
            true => Value::Null,
            false => id.into(),
        };
    }
    match text.parse::<Timestamp>() {
        Ok(time) => wire::time(time).into(),
        Err(_) => field_value(value),
    }
}
