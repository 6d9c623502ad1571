//! Drafts: saved over the revision that they were made of, given up, and brought up to date.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::document::{DraftView, MappedField, Problem, mapped_fields, parsed};
use super::{Editor, Wrong};
use crate::access::Person;
use crate::ledger::LedgerError;
use crate::mapping::difference::{Difference, difference};
use crate::mapping::edit::{self, FieldEdit};

/// The longest file, in bytes.
const MAX_FILE: usize = 256 << 10;

/// A draft with its text.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DraftText {
    /// The draft; nothing where there is none, and the text is the version in force.
    pub draft: Option<DraftView>,
    /// The version in force.
    pub version: i64,
    /// The file's text.
    pub text: String,
    /// Its fields.
    pub fields: Vec<MappedField>,
    /// What differs from the version that it was begun with.
    pub changes: Vec<Difference>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// Your draft, or the version in force.
#[utoipa::path(get, path = "/v1/mappings/{target}/draft", tag = "mappings",
    params(("target" = String, Path, description = "The target")), responses((status = 200, body = DraftText)))]
pub(super) async fn show(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
) -> Result<Json<DraftText>, Wrong> {
    editor.draft(&name, &person).await.map(Json)
}

impl Editor {
    /// A person's draft, or the version in force.
    ///
    /// # Errors
    /// There is no such mapping, or the ledger failed.
    pub async fn draft(&self, name: &str, person: &Person) -> Result<DraftText, Wrong> {
        let kind = self.target(name)?.kind;
        let edited = self.edited(name, &person.name).await?;
        let base = match &edited.draft {
            Some(draft) => self.text_of(name, draft.base).await?,
            None => edited.live.text.clone(),
        };
        Ok(DraftText {
            draft: edited.draft.as_ref().map(DraftView::from),
            version: edited.live.version,
            fields: mapped_fields(edited.text()),
            changes: difference(&base, edited.text()).unwrap_or_default(),
            problems: parsed(kind, name, edited.text()).err().unwrap_or_default(),
            text: edited.text().to_owned(),
        })
    }

    /// A version's text.
    ///
    /// # Errors
    /// There is no such version.
    pub(super) async fn text_of(&self, name: &str, version: i64) -> Result<String, Wrong> {
        let row = self.mappings.mapping_get(name, Some(version)).await?;
        row.map(|row| row.text)
            .ok_or_else(|| Wrong::NotFound(format!("there is no version {version}")))
    }
}

/// What a draft becomes: another text, or the same with some fields changed.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftAsked {
    /// The whole file.
    #[serde(default)]
    pub text: Option<String>,
    /// Fields by their paths, each with the keys that change; `null` takes a field out. Everything else keeps
    /// its lines, comments and order.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub fields: Option<BTreeMap<String, Option<FieldEdit>>>,
}

/// Saves your draft. `If-Match` names the revision that it was made of, 0 where there is none yet.
#[utoipa::path(put, path = "/v1/mappings/{target}/draft", tag = "mappings",
    params(("target" = String, Path, description = "The target"), ("If-Match" = String, Header, description = "The draft's revision")),
    request_body = DraftAsked,
    responses((status = 200, body = DraftText), (status = 409, description = "The draft is at another revision"),
        (status = 428, description = "`If-Match` is missing")))]
pub(super) async fn save(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<DraftAsked>,
) -> Result<Json<DraftText>, Wrong> {
    let expect = expected(&headers)?;
    editor
        .save_draft(&name, &person, expect, asked)
        .await
        .map(Json)
}

/// The revision that a request names.
pub(super) fn expected(headers: &HeaderMap) -> Result<i64, Wrong> {
    let Some(value) = headers.get("if-match") else {
        let words = "name the draft's revision in If-Match, such as If-Match: \"3\"; 0 where there is no draft yet";
        return Err(Wrong::Unconditional(words.into()));
    };
    let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
    let revision = text.parse::<i64>().ok().filter(|revision| *revision >= 0);
    revision.ok_or_else(|| Wrong::Bad("If-Match is not a revision, such as \"3\"".into()))
}

impl Editor {
    /// Saves a person's draft over the revision `expect`.
    ///
    /// # Errors
    /// The draft is at another revision, or what is asked is no change of a file.
    pub async fn save_draft(
        &self,
        name: &str,
        person: &Person,
        expect: i64,
        asked: DraftAsked,
    ) -> Result<DraftText, Wrong> {
        let edited = self.edited(name, &person.name).await?;
        let text = match (asked.text, asked.fields) {
            (Some(text), None) => text,
            (None, Some(fields)) => edit::fields(edited.text(), &fields).map_err(Wrong::Bad)?,
            _ => return Err(Wrong::Bad("give either `text` or `fields`".into())),
        };
        let base = edited
            .draft
            .as_ref()
            .map_or(edited.live.version, |draft| draft.base);
        self.put_draft(name, person, expect, &text, base).await?;
        self.draft(name, person).await
    }

    /// Stores a draft's text.
    pub(super) async fn put_draft(
        &self,
        name: &str,
        person: &Person,
        expect: i64,
        text: &str,
        base: i64,
    ) -> Result<i64, Wrong> {
        if text.len() > MAX_FILE {
            return Err(Wrong::Bad("the file is larger than 256 KiB".into()));
        }
        let stored = self
            .ledger
            .draft_put(Timestamp::now(), name, &person.name, text, base, expect)
            .await;
        match stored {
            Ok(revision) => Ok(revision),
            Err(LedgerError::Conflict(words)) => {
                let there = self.ledger.drafts(name).await?;
                let there = there.iter().find(|draft| draft.who == person.name);
                Err(Wrong::Conflict(json!({
                    "error": words,
                    "draft": there.map(DraftView::from),
                    "text": there.map(|draft| &draft.text),
                })))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Gives your draft up.
#[utoipa::path(delete, path = "/v1/mappings/{target}/draft", tag = "mappings",
    params(("target" = String, Path, description = "The target")), responses((status = 200, body = DraftText)))]
pub(super) async fn discard(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
) -> Result<Json<DraftText>, Wrong> {
    editor.target(&name)?;
    if editor.ledger.draft_drop(&name, &person.name).await? {
        editor
            .note(&person, "draft discard", &name, None, None)
            .await?;
    }
    editor.draft(&name, &person).await.map(Json)
}

/// How your draft is brought up to the version in force.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RebaseAsked {
    /// Of the fields that both changed: those that stay as the version in force has them. All others are yours.
    #[serde(default)]
    pub theirs: Vec<String>,
}

/// Brings your draft up to the version in force: its own changes over what others have published since. Nothing is
/// published by it.
#[utoipa::path(post, path = "/v1/mappings/{target}/draft/rebase", tag = "mappings",
    params(("target" = String, Path, description = "The target"), ("If-Match" = String, Header, description = "The draft's revision")),
    request_body = RebaseAsked, responses((status = 200, body = DraftText), (status = 409, description = "The draft is at another revision"), (status = 428, description = "`If-Match` is missing")))]
pub(super) async fn rebase(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<RebaseAsked>,
) -> Result<Json<DraftText>, Wrong> {
    let expect = expected(&headers)?;
    editor
        .rebased(&name, &person, expect, &asked)
        .await
        .map(Json)
}

impl Editor {
    /// Brings a draft up to the version in force.
    ///
    /// # Errors
    /// There is no draft, it is at another revision, or a file cannot be read.
    pub async fn rebased(
        &self,
        name: &str,
        person: &Person,
        expect: i64,
        asked: &RebaseAsked,
    ) -> Result<DraftText, Wrong> {
        let edited = self.edited(name, &person.name).await?;
        let Some(draft) = &edited.draft else {
            return Err(Wrong::NotFound("you have no draft of this mapping".into()));
        };
        let base = self.text_of(name, draft.base).await?;
        let mine = difference(&base, &draft.text).map_err(Wrong::Bad)?;
        let kept = mine.iter().filter(|one| !asked.theirs.contains(&one.field));
        let edits = kept.map(|one| (one.field.clone(), one.edit())).collect();
        let text = edit::fields(&edited.live.text, &edits).map_err(Wrong::Bad)?;
        self.put_draft(name, person, expect, &text, edited.live.version)
            .await?;
        self.draft(name, person).await
    }
}
