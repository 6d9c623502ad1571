//! Rows: what a database keeps and refuses, and what Creatio's objects do when they are saved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use handoffd_contract::text::{truncate, utf16_len};
use jiff::{Timestamp, civil};
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::schema::{Kind, LOOKUPS, PEOPLE, ROLES, Schema, person};
use crate::standard::ZERO;
use crate::wire;

/// The most rows that the simulator keeps.
const MAX_ROWS: usize = 2_000_000;
/// Columns beside lookups that have an index of their own, so that a long run stays fast.
const INDEXED: [&str; 4] = ["MobilePhone", "Phone", "SearchNumber", "EntityId"];

/// One row: the columns that were ever set.
#[derive(Debug, Clone, Default)]
pub(super) struct Row(pub(super) BTreeMap<String, Value>);

impl Row {
    /// A text or id; empty when unset.
    pub(super) fn text(&self, column: &str) -> &str {
        self.0
            .get(column)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A flag.
    pub(super) fn flag(&self, column: &str) -> bool {
        self.0.get(column).and_then(Value::as_bool).unwrap_or(false)
    }
}

#[derive(Debug, Clone, Default)]
struct Table {
    /// Rows by their running number.
    rows: BTreeMap<u64, Row>,
    /// Numbers by id.
    ids: BTreeMap<String, u64>,
    /// Numbers by column and value, for lookups and indexed texts.
    index: BTreeMap<String, BTreeMap<String, BTreeSet<u64>>>,
}

/// How the database words what it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// PostgreSQL.
    Postgres,
    /// Microsoft SQL Server.
    Mssql,
}

/// What is kept, with the settings that decide how it is kept.
#[derive(Clone)]
pub(super) struct Store {
    /// The objects.
    pub schema: Schema,
    /// The database.
    pub engine: Engine,
    /// Whether a text that is too long is cut instead of refused.
    pub cuts: bool,
    /// Whether required columns are enforced.
    pub required: bool,
    /// Whether unknown columns are answered by the model layer instead of the OData layer.
    pub model_errors: bool,
    tables: BTreeMap<String, Table>,
    next: u64,
    cases: u64,
    generated: u64,
}

impl Store {
    /// The default configuration, made once: the proof suite begins thousands of sites.
    pub(super) fn new() -> Store {
        static SEEDED: LazyLock<Store> = LazyLock::new(Store::seeded);
        SEEDED.clone()
    }

    fn seeded() -> Store {
        let mut store = Store {
            schema: Schema::new(),
            engine: Engine::Postgres,
            cuts: false,
            required: true,
            model_errors: false,
            tables: BTreeMap::new(),
            next: 0,
            cases: 0,
            generated: 0,
        };
        let born = "2020-01-01T00:00:00Z";
        let mut put = |entity: &str, id: &str, name: &str, more: Value| {
            let mut row = BTreeMap::from([
                ("Id".into(), json!(id)),
                ("Name".into(), json!(name)),
                ("CreatedOn".into(), json!(born)),
            ]);
            row.extend(more.as_object().cloned().unwrap_or_default());
            store.keep(entity, Row(row));
        };
        for (entity, id, name, flags) in LOOKUPS {
            let flags: Map<String, Value> = flags
                .iter()
                .map(|flag| ((*flag).to_owned(), Value::Bool(true)))
                .collect();
            put(entity, id, name, flags.into());
        }
        for name in PEOPLE {
            put(
                "Contact",
                &person(name),
                name,
                json!({ "TypeId": "60733efc-f36b-1410-a883-16d83cab0980" }),
            );
        }
        for name in ROLES {
            put(
                "SysAdminUnit",
                &person(name),
                name,
                json!({ "SysAdminUnitTypeValue": 0 }),
            );
        }
        store
    }

    /// A row by id.
    pub(super) fn get(&self, entity: &str, id: &str) -> Option<&Row> {
        let table = self.tables.get(entity)?;
        table.rows.get(table.ids.get(id)?)
    }

    /// Rows in the order in which they were written.
    pub(super) fn all(&self, entity: &str) -> impl Iterator<Item = &Row> {
        self.tables
            .get(entity)
            .into_iter()
            .flat_map(|table| table.rows.values())
    }

    /// The running numbers of rows with this value in a column, where the column has an index.
    pub(super) fn equal(&self, entity: &str, column: &str, value: &str) -> Option<BTreeSet<u64>> {
        let table = self.tables.get(entity)?;
        if column == "Id" {
            return Some(table.ids.get(value).copied().into_iter().collect());
        }
        self.has_index(entity, column).then(|| {
            table
                .index
                .get(column)
                .and_then(|i| i.get(value))
                .cloned()
                .unwrap_or_default()
        })
    }

    /// The same for texts that begin with something.
    pub(super) fn starting(
        &self,
        entity: &str,
        column: &str,
        prefix: &str,
    ) -> Option<BTreeSet<u64>> {
        let table = self.tables.get(entity)?;
        let found = |index: &BTreeMap<String, BTreeSet<u64>>| {
            index
                .range(prefix.to_owned()..)
                .take_while(|(value, _)| value.starts_with(prefix))
                .flat_map(|(_, ids)| ids.clone())
                .collect()
        };
        self.has_index(entity, column)
            .then(|| table.index.get(column).map(found).unwrap_or_default())
    }

    /// Rows with these numbers, or all of them.
    pub(super) fn some<'a>(
        &'a self,
        entity: &str,
        numbers: Option<&'a BTreeSet<u64>>,
    ) -> Box<dyn Iterator<Item = &'a Row> + 'a> {
        match (self.tables.get(entity), numbers) {
            (None, _) => Box::new(std::iter::empty()),
            (Some(table), Some(numbers)) => {
                Box::new(numbers.iter().filter_map(|number| table.rows.get(number)))
            }
            (Some(table), None) => Box::new(table.rows.values()),
        }
    }

    /// Rows with this value in an indexed column, in the order in which they were written.
    pub(super) fn of(&self, entity: &str, column: &str, value: &str) -> Vec<&Row> {
        let numbers = self.equal(entity, column, value).unwrap_or_default();
        self.tables
            .get(entity)
            .map(|table| numbers.iter().filter_map(|n| table.rows.get(n)).collect())
            .unwrap_or_default()
    }

    fn has_index(&self, entity: &str, column: &str) -> bool {
        INDEXED.contains(&column)
            || matches!(
                self.schema.column(entity, column).map(|c| &c.kind),
                Some(Kind::Lookup(_))
            )
    }

    /// An id for a row that came without one.
    pub(super) fn fresh_id(&mut self) -> String {
        self.generated += 1;
        handoffd_contract::ids::uuid(&["creatio-sandbox", "generated", &self.generated.to_string()])
    }

    /// Saves a new row. Answers with its id.
    pub(super) fn insert(
        &mut self,
        now: Timestamp,
        user: &str,
        entity: &str,
        body: &Map<String, Value>,
    ) -> Result<String, Fault> {
        if self
            .tables
            .values()
            .map(|table| table.rows.len())
            .sum::<usize>()
            >= MAX_ROWS
        {
            return Err(Fault::database("the simulator is full"));
        }
        let mut row = self.checked(entity, body)?;
        let id = row
            .remove("Id")
            .and_then(|id| id.as_str().map(str::to_owned))
            .filter(|id| id != ZERO);
        let id = id.unwrap_or_else(|| self.fresh_id());
        self.defaults(now, user, entity, &mut row)?;
        if self.required {
            for column in self
                .schema
                .0
                .get(entity)
                .into_iter()
                .flatten()
                .filter(|column| column.required)
            {
                if row
                    .get(&column.name)
                    .and_then(Value::as_str)
                    .is_none_or(str::is_empty)
                {
                    return Err(Fault::odata(500, format!("{} is empty", column.name)));
                }
            }
        }
        self.foreign_keys(entity, &row)?;
        if self.get(entity, &id).is_some() {
            return Err(Fault::database(match self.engine {
                Engine::Postgres => {
                    format!("23505: duplicate key value violates unique constraint \"PK{entity}\"")
                }
                Engine::Mssql => format!(
                    "Violation of PRIMARY KEY constraint 'PK{entity}'. Cannot insert duplicate key in object 'dbo.{entity}'. \
                     The duplicate key value is ({id}).\r\nThe statement has been terminated."
                ),
            }));
        }
        let stamp = stamp(now);
        row.insert("Id".into(), id.clone().into());
        for (column, value) in [("CreatedOn", &stamp), ("ModifiedOn", &stamp)] {
            row.insert(column.into(), value.clone().into());
        }
        for column in ["CreatedById", "ModifiedById"] {
            row.insert(column.into(), user.into());
        }
        self.keep(entity, Row(row));
        self.saved(now, user, entity, &id, None);
        Ok(id)
    }

    /// Changes a row.
    pub(super) fn update(
        &mut self,
        now: Timestamp,
        user: &str,
        entity: &str,
        id: &str,
        body: &Map<String, Value>,
    ) -> Result<(), Fault> {
        let changes = self.checked(entity, body)?;
        self.foreign_keys(entity, &changes)?;
        let before = self.get(entity, id).cloned().ok_or_else(Fault::missing)?;
        if entity == "Activity" && changes.get("OwnerId").is_some_and(Value::is_null) {
            return Err(Fault::odata(500, "Owner is empty"));
        }
        let mut row = before.clone();
        row.0
            .extend(changes.into_iter().filter(|(column, _)| column != "Id"));
        row.0.insert("ModifiedOn".into(), stamp(now).into());
        row.0.insert("ModifiedById".into(), user.into());
        self.keep(entity, row);
        self.saved(now, user, entity, id, Some(&before));
        Ok(())
    }

    /// Removes a row that nothing refers to.
    pub(super) fn delete(&mut self, entity: &str, id: &str) -> Result<(), Fault> {
        if self.get(entity, id).is_none() {
            return Err(Fault::missing());
        }
        for (other, columns) in &self.schema.0 {
            for column in columns {
                let refers = matches!(&column.kind, Kind::Lookup(target) if target == entity);
                let base = matches!(column.name.as_str(), "CreatedById" | "ModifiedById");
                if refers
                    && !base
                    && self
                        .equal(other, &column.name, id)
                        .is_some_and(|rows| !rows.is_empty())
                {
                    return Err(Fault::database(format!(
                        "23503: update or delete on table \"{entity}\" violates foreign key constraint \"{}\" on table \"{other}\"",
                        constraint(other, &column.name)
                    )));
                }
            }
        }
        self.drop_row(entity, id);
        Ok(())
    }

    /// Columns that exist, of the right type and width.
    fn checked(
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

    fn foreign_keys(&self, entity: &str, row: &BTreeMap<String, Value>) -> Result<(), Fault> {
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
    fn defaults(
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
                    self.cases += 1;
                    fill(row, "Number", format!("SR{:08}", self.cases).into());
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
    fn saved(&mut self, now: Timestamp, user: &str, entity: &str, id: &str, before: Option<&Row>) {
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

    /// A contact's communication options of one type.
    fn options(&self, contact: &str, kind: &str) -> Vec<Row> {
        let all = self
            .of("ContactCommunication", "ContactId", contact)
            .into_iter();
        all.filter(|option| option.text("CommunicationTypeId") == kind)
            .cloned()
            .collect()
    }

    /// Writes a row into its table and indexes.
    pub(super) fn keep(&mut self, entity: &str, row: Row) {
        let id = row.text("Id").to_owned();
        let number = self
            .tables
            .get(entity)
            .and_then(|table| table.ids.get(&id))
            .copied();
        self.unindex(entity, number);
        let number = number.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        let keys: Vec<(String, String)> = row
            .0
            .iter()
            .filter(|(column, _)| self.has_index(entity, column))
            .filter_map(|(column, value)| Some((column.clone(), value.as_str()?.to_owned())))
            .collect();
        let table = self.tables.entry(entity.to_owned()).or_default();
        for (column, value) in keys {
            table
                .index
                .entry(column)
                .or_default()
                .entry(value)
                .or_default()
                .insert(number);
        }
        table.ids.insert(id, number);
        table.rows.insert(number, row);
    }

    fn drop_row(&mut self, entity: &str, id: &str) {
        let number = self
            .tables
            .get(entity)
            .and_then(|table| table.ids.get(id))
            .copied();
        self.unindex(entity, number);
        if let (Some(table), Some(number)) = (self.tables.get_mut(entity), number) {
            table.ids.remove(id);
            table.rows.remove(&number);
        }
    }

    fn unindex(&mut self, entity: &str, number: Option<u64>) {
        let (Some(table), Some(number)) = (self.tables.get_mut(entity), number) else {
            return;
        };
        let Some(row) = table.rows.get(&number) else {
            return;
        };
        for (column, value) in &row.0 {
            if let (Some(index), Some(value)) = (table.index.get_mut(column), value.as_str())
                && let Some(numbers) = index.get_mut(value)
            {
                numbers.remove(&number);
                if numbers.is_empty() {
                    index.remove(value);
                }
            }
        }
    }
}

/// Columns of a contact, each with the communication type that mirrors it.
const COMMUNICATION: [(&str, &str); 4] = [
    ("Phone", "3dddb3cc-53ee-49c4-a71f-e9e257f59e49"),
    ("MobilePhone", "d4a2dc80-30ca-df11-9b2a-001d60e938c6"),
    ("HomePhone", "0da6a26b-d7bc-df11-b00f-001d60e938c6"),
    ("Email", "ee1c85c3-cfcb-df11-9b2a-001d60e938c6"),
];

fn reversed(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).rev().collect()
}

/// The name of a foreign key, which tells nobody the column.
fn constraint(entity: &str, column: &str) -> String {
    format!(
        "FK{}",
        handoffd_contract::ids::short(&["constraint", entity, column])
    )
}

/// A moment as Creatio writes it: seven digits behind the second.
pub(super) fn stamp(at: Timestamp) -> String {
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    format!(
        "{}.{:07}Z",
        at.strftime("%Y-%m-%dT%H:%M:%S"),
        at.subsec_nanosecond() / 100
    )
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
