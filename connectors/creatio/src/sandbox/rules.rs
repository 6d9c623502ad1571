//! What is refused before a row is saved, what objects fill in, and what follows when they are saved.

use std::collections::BTreeMap;

use handoffd_contract::text::{truncate, utf16_len};
use jiff::{Timestamp, civil};
use serde_json::{Map, Value};

use super::fault::Fault;
use super::schema::Kind;
use super::store::{Engine, Row, Store, constraint, stamp};
use crate::standard::ZERO;
use crate::wire;

/// Columns of a contact, each with the communication type that mirrors it.
const COMMUNICATION: [(&str, &str); 4] = [
    ("Phone", "3dddb3cc-53ee-49c4-a71f-e9e257f59e49"),
    ("MobilePhone", "d4a2dc80-30ca-df11-9b2a-001d60e938c6"),
    ("HomePhone", "0da6a26b-d7bc-df11-b00f-001d60e938c6"),
    ("Email", "ee1c85c3-cfcb-df11-9b2a-001d60e938c6"),
];

impl Store {
    /// Columns that exist, of the right type and width.
    pub(super) fn checked(
        &self,
        entity: &str,
        body: &Map<String, Value>,
    ) -> Result<BTreeMap<String, Value>, Fault> {
        let mut row = BTreeMap::new();
        for (name, value) in body {
            if name.starts_with('@') || name.contains("@odata.") {
                continue;
            }
            let Some(column) = self.schema.column(entity, name) else {
                let text = format!(
                    "The property '{name}' does not exist on type 'Terrasoft.Configuration.OData.{entity}'. \
                     Make sure to only use property names that are defined by the type."
                );
                return Err(if self.model_errors {
                    Fault::model(name, &text)
                } else {
                    Fault::odata(400, text)
                });
            };
            let wrong = |edm: &str| {
                Fault::odata(
                    400,
                    format!("Cannot convert a value of '{name}' to the expected type '{edm}'."),
                )
            };
            let value = match (&column.kind, value) {
                (_, Value::Null) => Value::Null,
                (Kind::Text(width), Value::String(text)) => {
                    if *width > 0 && utf16_len(text) > *width {
                        if !self.cuts {
                            return Err(Fault::database(match self.engine {
                                Engine::Postgres => format!("22001: value too long for type character varying({width})"),
                                Engine::Mssql => "String or binary data would be truncated.\r\nThe statement has been terminated.".to_owned(),
                            }));
                        }
                        truncate(text, *width).into()
                    } else if text.contains('\0') {
                        return Err(Fault::database(
                            "22021: invalid byte sequence for encoding \"UTF8\": 0x00",
                        ));
                    } else {
                        text.clone().into()
                    }
                }
                (Kind::Guid | Kind::Lookup(_), Value::String(text)) => {
                    let id = text.to_ascii_lowercase();
                    if id != ZERO && wire::guid(&id).as_deref() != Some(&id) {
                        return Err(wrong("Edm.Guid"));
                    }
                    id.into()
                }
                (Kind::Date, Value::String(text)) => date(text)
                    .ok_or_else(|| wrong("Edm.DateTimeOffset"))?
                    .into(),
                (Kind::Bool, Value::Bool(_)) => value.clone(),
                (Kind::Int, Value::Number(number)) if number.is_i64() => value.clone(),
                (kind, _) => {
                    return Err(wrong(match kind {
                        Kind::Text(_) => "Edm.String",
                        Kind::Guid | Kind::Lookup(_) => "Edm.Guid",
                        Kind::Date => "Edm.DateTimeOffset",
                        Kind::Bool => "Edm.Boolean",
                        Kind::Int => "Edm.Int32",
                        Kind::Stream => "Edm.Stream",
                    }));
                }
            };
            row.insert(name.clone(), value);
        }
        Ok(row)
    }

    pub(super) fn foreign_keys(
        &self,
        entity: &str,
        row: &BTreeMap<String, Value>,
    ) -> Result<(), Fault> {
        for (name, value) in row {
            if let Some(Kind::Lookup(target)) =
                self.schema.column(entity, name).map(|column| &column.kind)
                && let Some(id) = value.as_str()
                && self.get(target, id).is_none()
            {
                let constraint = constraint(entity, name);
                return Err(Fault::database(match self.engine {
                    Engine::Postgres => {
                        format!(
                            "23503: insert or update on table \"{entity}\" violates foreign key constraint \"{constraint}\""
                        )
                    }
                    Engine::Mssql => format!(
                        "The INSERT statement conflicted with the FOREIGN KEY constraint \"{constraint}\". The conflict occurred in \
                         database \"Creatio\", table \"dbo.{target}\", column 'Id'."
                    ),
                }));
            }
        }
        Ok(())
    }

    /// What the objects fill in before they are saved.
    pub(super) fn defaults(
        &mut self,
        now: Timestamp,
        user: &str,
        entity: &str,
        row: &mut BTreeMap<String, Value>,
    ) -> Result<(), Fault> {
        let now = stamp(now);
        let empty = |row: &BTreeMap<String, Value>, column: &str| {
            row.get(column)
                .is_none_or(|value| value.is_null() || value.as_str().is_some_and(str::is_empty))
        };
        let fill = |row: &mut BTreeMap<String, Value>, column: &str, value: Value| {
            if empty(row, column) {
                row.insert(column.to_owned(), value);
            }
        };
        match entity {
            "Case" => {
                if empty(row, "Number") {
                    fill(row, "Number", self.next_number().into());
                }
                fill(row, "RegisteredOn", now.into());
                let subject = row.get("Subject").cloned().unwrap_or_default();
                fill(row, "Symptoms", subject);
                fill(
                    row,
                    "StatusId",
                    "ae5f2f10-f46b-1410-fd9a-0050ba5d6c38".into(),
                );
                fill(
                    row,
                    "PriorityId",
                    "d9bd322c-f46b-1410-ee8c-0050ba5d6c38".into(),
                );
                fill(
                    row,
                    "OriginId",
                    "5e5e202a-f46b-1410-3692-0050ba5d6c38".into(),
                );
                fill(
                    row,
                    "CategoryId",
                    "1c0bc159-150a-e111-a31b-00155d04c01d".into(),
                );
            }
            "Activity" => {
                if row.get("OwnerId").is_some_and(Value::is_null) {
                    return Err(Fault::odata(500, "Owner is empty"));
                }
                fill(row, "StartDate", now.clone().into());
                fill(row, "DueDate", now.into());
                fill(
                    row,
                    "PriorityId",
                    "ab96fa02-7fe6-df11-971b-001d60e938c6".into(),
                );
                fill(row, "TypeId", "fbe0acdc-cfc0-df11-b00f-001d60e938c6".into());
                fill(
                    row,
                    "ActivityCategoryId",
                    "f51c4643-58e6-df11-971b-001d60e938c6".into(),
                );
                fill(
                    row,
                    "StatusId",
                    "384d4b84-58e6-df11-971b-001d60e938c6".into(),
                );
                for column in ["AuthorId", "OwnerId", "OrganizerId"] {
                    fill(row, column, user.into());
                }
            }
            "Contact" => {
                let name = row
                    .get("Name")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                if let Some((given, surname)) = name.split_once(' ') {
                    fill(row, "GivenName", given.into());
                    fill(row, "Surname", surname.into());
                }
                fill(row, "OwnerId", user.into());
                fill(row, "Confirmed", true.into());
            }
            "ContactCommunication" => {
                let number = row
                    .get("Number")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                row.insert("SearchNumber".into(), reversed(&number).into());
                row.insert("Primary".into(), true.into());
                fill(row, "NonActual", false.into());
            }
            "CaseFile" | "ActivityFile" => {
                fill(row, "TypeId", crate::standard::FILE.into());
                fill(row, "Version", 1.into());
            }
            _ => {}
        }
        Ok(())
    }

    /// What the objects do after they were saved: contacts and their communication options keep
    /// each other up to date.
    pub(super) fn saved(
        &mut self,
        now: Timestamp,
        user: &str,
        entity: &str,
        id: &str,
        before: Option<&Row>,
    ) {
        let Some(row) = self.get(entity, id).cloned() else {
            return;
        };
        if entity == "Contact" {
            for (column, kind) in COMMUNICATION {
                let number = row.text(column).to_owned();
                if number.is_empty() || before.is_some_and(|before| before.text(column) == number) {
                    continue;
                }
                let fresh = self.fresh_id();
                let primary = self
                    .options(id, kind)
                    .into_iter()
                    .find(|option| option.flag("Primary"));
                let mut option = primary.unwrap_or_default();
                option.0.entry("Id".into()).or_insert_with(|| fresh.into());
                option
                    .0
                    .entry("CreatedOn".into())
                    .or_insert_with(|| stamp(now).into());
                option
                    .0
                    .entry("CreatedById".into())
                    .or_insert_with(|| user.into());
                for (name, value) in [
                    ("ContactId", id),
                    ("CommunicationTypeId", kind),
                    ("Number", &number),
                ] {
                    option.0.insert(name.into(), value.into());
                }
                option
                    .0
                    .insert("SearchNumber".into(), reversed(&number).into());
                option.0.insert("Primary".into(), true.into());
                option.0.insert("NonActual".into(), false.into());
                option.0.insert("ModifiedOn".into(), stamp(now).into());
                self.keep("ContactCommunication", option);
            }
        }
        if entity == "ContactCommunication" && before.is_none() {
            let (contact, kind) = (
                row.text("ContactId").to_owned(),
                row.text("CommunicationTypeId").to_owned(),
            );
            for mut sibling in self
                .options(&contact, &kind)
                .into_iter()
                .filter(|option| option.text("Id") != id)
            {
                if sibling.text("Number") == row.text("Number") {
                    let id = sibling.text("Id").to_owned();
                    self.drop_row("ContactCommunication", &id);
                } else {
                    sibling.0.insert("Primary".into(), false.into());
                    self.keep("ContactCommunication", sibling);
                }
            }
            let column = COMMUNICATION
                .iter()
                .find(|(_, known)| *known == kind)
                .map(|(column, _)| *column);
            if let (Some(column), Some(mut owner)) =
                (column, self.get("Contact", &contact).cloned())
            {
                owner.0.insert(column.into(), row.text("Number").into());
                self.keep("Contact", owner);
            }
        }
    }

    /// Merges a row into another, as the search for duplicates does: what refers to the one refers to
    /// the other from then on, and the one is gone.
    /// <https://academy.creatio.com/docs/8.x/no-code-customization/base-integrations/data-management/search-duplicates>
    pub(super) fn merge(&mut self, entity: &str, from: &str, into: &str) -> Result<(), Fault> {
        if self.get(entity, from).is_none() || self.get(entity, into).is_none() {
            return Err(Fault::missing());
        }
        let lookups: Vec<(String, String)> = self
            .schema
            .0
            .iter()
            .flat_map(|(other, columns)| columns.iter().map(move |column| (other, column)))
            .filter(|(_, column)| matches!(&column.kind, Kind::Lookup(target) if target == entity))
            .map(|(other, column)| (other.clone(), column.name.clone()))
            .collect();
        for (other, column) in lookups {
            let rows: Vec<Row> = self
                .of(&other, &column, from)
                .into_iter()
                .cloned()
                .collect();
            for mut row in rows {
                row.0.insert(column.clone(), into.into());
                self.keep(&other, row);
            }
        }
        self.drop_row(entity, from);
        Ok(())
    }

    /// A contact's communication options of one type.
    pub(super) fn options(&self, contact: &str, kind: &str) -> Vec<Row> {
        let all = self
            .of("ContactCommunication", "ContactId", contact)
            .into_iter();
        all.filter(|option| option.text("CommunicationTypeId") == kind)
            .cloned()
            .collect()
    }
}

fn reversed(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).rev().collect()
}

/// A moment as it was written. An offset other than `Z` is dropped, as with the feature
/// `UseConversionToUtcForTimeInOData` off, which is its default.
fn date(text: &str) -> Option<String> {
    if text.ends_with('Z') {
        let at: Timestamp = text.parse().ok()?;
        return Some(if at.subsec_nanosecond() == 0 {
            at.to_string()
        } else {
            stamp(at)
        });
    }
    let at: civil::DateTime = text.get(..19)?.parse().ok()?;
    Some(format!("{at}Z"))
}
