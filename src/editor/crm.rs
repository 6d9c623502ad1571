//! What the CRM's records can hold, and what changed there.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use handoffd_contract::Schema;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::document::mapped_fields;
use super::{Editor, Wrong};
use crate::access::Person;
use crate::crm_schema::{self, Change, has_schema};

/// What a target's records can hold.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CrmSchema {
    /// Whether the CRM, or the target's settings, tell of fields at all.
    pub possible: bool,
    /// When it was last read; nothing where it never was.
    #[schema(value_type = Option<String>)]
    pub read_at: Option<Timestamp>,
    /// When it was last read as another one than before.
    #[schema(value_type = Option<String>)]
    pub changed_at: Option<Timestamp>,
    /// What changed then.
    pub changes: Vec<Change>,
    /// Which of those fields the mapping in force fills.
    pub touched: Vec<String>,
    /// What could not be read.
    pub gaps: Vec<String>,
    /// How many fields each section has.
    pub counts: BTreeMap<String, usize>,
    /// The fields, by section and code, and the rows of lookups.
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Schema>,
}

/// What a target's records can hold, as last read.
#[utoipa::path(get, path = "/v1/targets/{target}/schema", tag = "mappings",
    params(("target" = String, Path, description = "The target")), responses((status = 200, body = CrmSchema)))]
pub(super) async fn show(
    State(editor): State<Arc<Editor>>,
    Path(name): Path<String>,
) -> Result<Json<CrmSchema>, Wrong> {
    editor.crm(&name).await.map(Json)
}

impl Editor {
    /// What a target's records can hold, as last read.
    ///
    /// # Errors
    /// There is no such target, or the ledger failed.
    pub async fn crm(&self, name: &str) -> Result<CrmSchema, Wrong> {
        let target = self.target(name)?;
        let row = self.ledger.schema_get(name).await?;
        let changes = row.as_ref().map(|row| row.changes()).unwrap_or_default();
        let mapped = match self.mappings.mapping_get(name, None).await? {
            Some(live) => mapped_fields(&live.text),
            None => Vec::new(),
        };
        let touched = |change: &&Change| mapped.iter().any(|field| field.field == change.field);
        let mut touched: Vec<String> = changes
            .iter()
            .filter(touched)
            .map(|change| change.field.clone())
            .collect();
        touched.dedup();
        let schema = row.as_ref().and_then(|row| row.schema());
        let sections = schema.iter().flat_map(|schema| &schema.sections);
        Ok(CrmSchema {
            possible: has_schema(&*target.connector),
            read_at: row.as_ref().map(|row| row.read_at),
            changed_at: row.as_ref().map(|row| row.changed_at),
            counts: sections
                .map(|(name, section)| (name.clone(), section.fields.len()))
                .collect(),
            gaps: schema
                .as_ref()
                .map(|schema| schema.gaps.clone())
                .unwrap_or_default(),
            changes,
            touched,
            schema,
        })
    }
}

/// What a reading came to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Read {
    /// Whether it is another one than before.
    pub is_new: bool,
    /// What changed since the reading before.
    pub changes: Vec<Change>,
    /// What could not be read.
    pub gaps: Vec<String>,
    /// How many fields each section has.
    pub counts: BTreeMap<String, usize>,
}

/// Reads a target's schema again, now.
#[utoipa::path(post, path = "/v1/targets/{target}/schema/read", tag = "mappings",
    params(("target" = String, Path, description = "The target")),
    responses((status = 200, body = Read), (status = 502, description = "The CRM cannot be asked")))]
pub(super) async fn read_again(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
) -> Result<Json<Read>, Wrong> {
    editor.read_again(&name, &person).await.map(Json)
}

impl Editor {
    /// Reads a target's schema again, now.
    ///
    /// # Errors
    /// The CRM cannot be asked; what is kept stays in force.
    pub async fn read_again(&self, name: &str, person: &Person) -> Result<Read, Wrong> {
        let target = self.target(name)?;
        if !has_schema(&*target.connector) {
            return Err(Wrong::Bad(format!(
                "`{name}` has no fields that could be read"
            )));
        }
        let fresh = crm_schema::refresh(&*self.ledger, target)
            .await
            .map_err(Wrong::Unreachable)?;
        let after = json!({"changes": fresh.changes.len()});
        self.note(person, "schema read", name, None, Some(after))
            .await?;
        let sections = fresh.schema.sections.iter();
        Ok(Read {
            is_new: fresh.is_new,
            changes: fresh.changes,
            counts: sections
                .map(|(name, section)| (name.clone(), section.fields.len()))
                .collect(),
            gaps: fresh.schema.gaps,
        })
    }
}
