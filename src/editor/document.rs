//! A target's mapping: in force, as a draft, in its parts.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use handoffd_contract::{Schema, settings::printable};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Editor, Wrong};
use crate::access::Person;
use crate::connectors;
use crate::ledger::{Draft, MappingRow};
use crate::mapping::chips::{Chip, OFFERED, Offered, of_template};
use crate::mapping::edit::{FieldEdit, all_fields};
use crate::mapping::{Mapping, MappingProblem};
use crate::target::Target;

/// A field of a mapping, as its file has it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MappedField {
    /// The field, as `section.name`.
    pub field: String,
    /// Its keys: `value`, `map`, `when` and so on.
    pub keys: FieldEdit,
    /// Its value as chips; nothing where chips cannot say it.
    pub chips: Option<Vec<Chip>>,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// The field, as `section.name`; empty for the file as a whole.
    pub field: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

impl From<&MappingProblem> for Problem {
    fn from(problem: &MappingProblem) -> Problem {
        Problem {
            field: problem.field.clone(),
            line: problem.line,
            message: problem.message.clone(),
        }
    }
}

/// A person's draft.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DraftView {
    /// Whose it is.
    pub who: String,
    /// Its revision; to be named when it is changed.
    pub revision: i64,
    /// The version that it was begun with.
    pub base: i64,
    /// When it was last changed.
    #[schema(value_type = String)]
    pub at: Timestamp,
}

impl From<&Draft> for DraftView {
    fn from(draft: &Draft) -> DraftView {
        DraftView {
            who: draft.who.clone(),
            revision: draft.revision,
            base: draft.base,
            at: draft.at,
        }
    }
}

/// A mapping in the list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Listed {
    /// The target.
    pub target: String,
    /// Its kind.
    pub kind: String,
    /// The version in force.
    pub version: i64,
    /// Who put it in force.
    pub who: String,
    /// Why.
    pub why: String,
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// How many fields it sets.
    pub fields: usize,
    /// Drafts, the latest changed first.
    pub drafts: Vec<DraftView>,
}

/// Every mapping.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Mappings {
    /// By target.
    pub mappings: Vec<Listed>,
}

/// A mapping with everything that its page shows first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MappingView {
    /// The target.
    pub target: String,
    /// Its kind.
    pub kind: String,
    /// What the kind is called.
    pub title: String,
    /// The version in force.
    pub version: i64,
    /// Who put it in force.
    pub who: String,
    /// Why.
    pub why: String,
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The sections that it can have.
    pub sections: Vec<String>,
    /// The fields of your draft, else of the version in force.
    pub fields: Vec<MappedField>,
    /// Your draft, if there is one.
    pub draft: Option<DraftView>,
    /// Drafts of others.
    pub others: Vec<DraftView>,
    /// What is wrong with the draft.
    pub problems: Vec<Problem>,
    /// What a chip can do.
    pub transforms: Vec<Offered>,
    /// When the CRM's schema was last read.
    #[schema(value_type = Option<String>)]
    pub schema_read_at: Option<Timestamp>,
}

/// A mapping as somebody edits it.
pub(super) struct Edited {
    /// The version in force.
    pub live: MappingRow,
    /// Their draft.
    pub draft: Option<Draft>,
}

impl Edited {
    /// The text that is edited.
    pub fn text(&self) -> &str {
        self.draft
            .as_ref()
            .map_or(&self.live.text, |draft| &draft.text)
    }
}

impl Editor {
    /// A target with a mapping.
    ///
    /// # Errors
    /// There is none of this name.
    pub(super) fn target(&self, name: &str) -> Result<&Arc<Target>, Wrong> {
        self.targets.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.targets.keys().map(String::as_str).collect();
            let words = format!(
                "there is no enabled target `{}`; there are: {}",
                printable(name),
                names.join(", ")
            );
            Wrong::NotFound(words)
        })
    }

    /// The version in force.
    ///
    /// # Errors
    /// The target has no mapping.
    pub(super) async fn live(&self, target: &str) -> Result<MappingRow, Wrong> {
        let row = self.mappings.mapping_get(target, None).await?;
        row.ok_or_else(|| Wrong::NotFound(format!("`{}` has no mapping", printable(target))))
    }

    /// The version in force and this person's draft.
    pub(super) async fn edited(&self, target: &str, who: &str) -> Result<Edited, Wrong> {
        self.target(target)?;
        let live = self.live(target).await?;
        let drafts = self.ledger.drafts(target).await?;
        let draft = drafts.into_iter().find(|draft| draft.who == who);
        Ok(Edited { live, draft })
    }

    /// What the target's records can hold, as last read.
    pub(super) fn schema(&self, target: &Target) -> Option<Arc<(String, Schema)>> {
        target.schema.load_full()
    }
}

/// A mapping for this kind of target, or what is wrong with the text.
pub(super) fn parsed(kind: &str, target: &str, text: &str) -> Result<Mapping, Vec<Problem>> {
    let file = format!("{target}.toml");
    let mapping = Mapping::parse(&file, text)
        .map_err(|problems| problems.iter().map(Problem::from).collect::<Vec<_>>())?;
    if mapping.kind() == kind {
        return Ok(mapping);
    }
    let message = format!("is for {}, and the target is {kind}", mapping.kind());
    Err(vec![Problem {
        field: "kind".into(),
        line: 1,
        message,
    }])
}

/// A file's fields in its own order, as far as it can be read.
pub(super) fn mapped_fields(text: &str) -> Vec<MappedField> {
    let found = all_fields(text).unwrap_or_default();
    let one = |(field, keys): (String, FieldEdit)| {
        let template = keys.0.get("value").and_then(|value| value.as_str());
        let chips = template.and_then(of_template);
        MappedField { field, keys, chips }
    };
    found.into_iter().map(one).collect()
}

/// Every mapping, with who edits it.
#[utoipa::path(get, path = "/v1/mappings", tag = "mappings", responses((status = 200, body = Mappings)))]
pub(super) async fn list(State(editor): State<Arc<Editor>>) -> Result<Json<Mappings>, Wrong> {
    let mut mappings = Vec::new();
    for (name, target) in &editor.targets {
        let Some(live) = editor.mappings.mapping_get(name, None).await? else {
            continue;
        };
        let drafts = editor.ledger.drafts(name).await?;
        mappings.push(Listed {
            target: name.clone(),
            kind: target.kind.to_owned(),
            version: live.version,
            fields: mapped_fields(&live.text).len(),
            who: live.who,
            why: live.why,
            at: live.at,
            drafts: drafts.iter().map(DraftView::from).collect(),
        });
    }
    Ok(Json(Mappings { mappings }))
}

/// A mapping: its fields in your draft, else as in force.
#[utoipa::path(get, path = "/v1/mappings/{target}", tag = "mappings",
    params(("target" = String, Path, description = "The target")), responses((status = 200, body = MappingView)))]
pub(super) async fn show(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
) -> Result<Json<MappingView>, Wrong> {
    editor.view(&name, &person).await.map(Json)
}

impl Editor {
    /// A mapping with everything that its page shows first.
    ///
    /// # Errors
    /// There is no such mapping, or the ledger failed.
    pub async fn view(&self, name: &str, person: &Person) -> Result<MappingView, Wrong> {
        let target = self.target(name)?;
        let edited = self.edited(name, &person.name).await?;
        let drafts = self.ledger.drafts(name).await?;
        let others = drafts.iter().filter(|draft| draft.who != person.name);
        let kind = connectors::kind(target.kind);
        let age = self.ledger.schema_age(name).await?;
        let problems = parsed(target.kind, name, edited.text())
            .err()
            .unwrap_or_default();
        Ok(MappingView {
            target: name.to_owned(),
            kind: target.kind.to_owned(),
            title: kind.map_or(target.kind, |kind| kind.title).to_owned(),
            version: edited.live.version,
            sections: kind
                .map(|kind| kind.sections)
                .unwrap_or_default()
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
            fields: mapped_fields(edited.text()),
            draft: edited.draft.as_ref().map(DraftView::from),
            others: others.map(DraftView::from).collect(),
            problems,
            transforms: OFFERED.to_vec(),
            schema_read_at: age.map(|(at, _)| at),
            who: edited.live.who,
            why: edited.live.why,
            at: edited.live.at,
        })
    }
}
