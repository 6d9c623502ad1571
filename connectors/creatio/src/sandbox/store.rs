//! Rows: what a database keeps and refuses, and what Creatio's objects do when they are saved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::schema::{INACTIVE, Kind, Schema};
use super::seed::{LOOKUPS, PEOPLE, ROLES, person};
use crate::standard::ZERO;

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

    /// The next case's number.
    pub(super) fn next_number(&mut self) -> String {
        self.cases += 1;
        format!("SR{:08}", self.cases)
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

    /// Makes these records of an entity inactive, and all others active.
    pub(super) fn deactivate(&mut self, entity: &str, ids: &[&str]) -> Result<(), String> {
        for id in ids {
            if self.get(entity, id).is_none() {
                return Err(format!("there is no {entity} {id}"));
            }
        }
        self.schema.allow_inactive(entity);
        let rows: Vec<Row> = self.all(entity).cloned().collect();
        for mut row in rows {
            let is_inactive = ids.contains(&row.text("Id"));
            row.0.insert(INACTIVE.into(), is_inactive.into());
            self.keep(entity, row);
        }
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

    /// Removes a row from its table and indexes.
    pub(super) fn drop_row(&mut self, entity: &str, id: &str) {
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

/// The name of a foreign key, which tells nobody the column.
pub(super) fn constraint(entity: &str, column: &str) -> String {
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
