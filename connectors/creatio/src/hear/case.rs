//! What becomes of a case: it is resolved, closed, opened again, given to somebody else.

use handoffd_contract::feed::Read;
use handoffd_contract::{FrameContent, HttpCall, Inbound, InboundKind};
use serde_json::{Value, json};

use super::{at_of, heard, id, string};
use crate::facts::{ended, owner_fact, phase_fact};
use crate::{Creatio, wire};

/// Facts of the lanes that have this case.
pub(super) fn facts_of(case: &str, at: Option<&str>, facts: Vec<(String, String)>) -> Inbound {
    let at = at.and_then(|at| at.parse().ok());
    heard("facts", case, "", at, InboundKind::Facts(facts))
}

fn ending(name: &str, case: &str, row: &Value) -> Inbound {
    let status = id(row, "StatusId");
    // Our own closing of the case carries its first name as the value of a fact.
    let kind = InboundKind::Ended { status };
    heard(name, case, name, at_of(row, "ModifiedOn"), kind)
}

/// A case that has ended, as the poll of all cases sees it. It does not know whether the case had ended
/// before: that has the same name, and the case's own read tells a second ending apart.
pub(super) fn first_ending(row: &Value) -> Option<Inbound> {
    let case = id(row, "Id")?;
    Some(ending(&ended(&case), &case, row))
}

/// Whether a case has ended, as its own read sees it: `rows` holds it when it has. When it did is a fact
/// of the lane, since a case is listened to for some time after.
pub(super) fn case_state(context: &Value, case: &str, rows: &[Value]) -> Vec<Inbound> {
    let before = string(context, "phase");
    let facts = |at: &str, phase: &str| {
        let facts = vec![
            ("ended/at".to_owned(), at.to_owned()),
            (phase_fact(case), phase.to_owned()),
        ];
        facts_of(case, Some(at), facts)
    };
    let row = rows
        .iter()
        .find(|row| id(row, "Id").as_deref() == Some(case));
    match (row, before) {
        (Some(_), "ended") => Vec::new(),
        (Some(row), _) => {
            let modified = string(row, "ModifiedOn");
            let name = match before {
                // A case that was opened again and closed again has ended once more.
                "reopened" => format!("{}/{modified}", ended(case)),
                _ => ended(case),
            };
            vec![facts(modified, "ended"), ending(&name, case, row)]
        }
        (None, "ended") => vec![facts("", "reopened")],
        (None, _) => Vec::new(),
    }
}

impl Creatio {
    /// Who the case belongs to now. That the settings' own owner, or the user that made it, has it is no
    /// news; the first rep who takes it is.
    pub(super) fn owner_said(
        &self,
        context: &Value,
        case: &str,
        row: &Value,
        content: &mut FrameContent,
    ) {
        let owner = id(row, "OwnerId");
        let now = owner.clone().unwrap_or_default();
        let before = context.get("owner").and_then(Value::as_str);
        if before == Some(now.as_str()) {
            return;
        }
        let fact = (owner_fact(case), now.clone());
        content.heard.push(facts_of(case, None, vec![fact]));
        let maker = id(row, "CreatedById");
        let is_default = |who: &str| {
            who.is_empty()
                || Some(who) == self.settings.owner.as_deref()
                || Some(who) == self.settings.integration_contact.as_deref()
                || Some(who) == maker.as_deref()
        };
        if is_default(&now) && before.is_none_or(is_default) {
            return;
        }
        let modified = string(row, "ModifiedOn");
        let name = format!("owner/{case}/{now}/{modified}");
        match owner {
            None => {
                let kind = InboundKind::Assigned { rep: None };
                let at = at_of(row, "ModifiedOn");
                content.heard.push(heard(&name, case, "", at, kind));
            }
            // A webhook may bring the name.
            Some(_) if !string(row, "OwnerName").is_empty() => {
                let context = json!({ "case": case, "heard": name, "at": modified });
                let row = json!({ "Name": row["OwnerName"] });
                content
                    .heard
                    .extend(owner_named_in(&context, Some(&row)).heard);
            }
            Some(owner) => {
                let call =
                    HttpCall::get(self.record("Contact", &owner)).query("$select", "Id,Name");
                let context = json!({ "case": case, "heard": name, "at": modified });
                content.fetch.push(Read::new("owner_name", call, context));
            }
        }
    }
}

/// The new owner's name; a contact that may not be read is a rep all the same.
pub(super) fn owner_named(read: &Read, body: Option<&Value>) -> FrameContent {
    owner_named_in(&read.context, body)
}

fn owner_named_in(context: &Value, body: Option<&Value>) -> FrameContent {
    let name = body.map(|row| wire::one_line(string(row, "Name"), 120));
    let rep = name
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "a rep".to_owned());
    let kind = InboundKind::Assigned { rep: Some(rep) };
    let at = at_of(context, "at");
    let (name, case) = (string(context, "heard"), string(context, "case"));
    FrameContent {
        heard: vec![heard(name, case, "", at, kind)],
        ..FrameContent::default()
    }
}
