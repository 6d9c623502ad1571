//! Versions: listed, compared by field, restored as a draft, imported and exported as the file that they are.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::drafts::DraftText;
use super::{Editor, Wrong};
use crate::access::Person;
use crate::mapping::difference::{Difference, difference};

/// The most versions that are listed.
const MAX: usize = 500;

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Version {
    /// Its number.
    pub version: i64,
    /// Who put it in force.
    pub who: String,
    /// Why.
    pub why: String,
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
}

/// Every version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Versions {
    /// The versions, newest first.
    pub versions: Vec<Version>,
}

/// The versions of a mapping, newest first.
#[utoipa::path(get, path = "/v1/mappings/{target}/versions", tag = "mappings",
    params(("target" = String, Path, description = "The target")), responses((status = 200, body = Versions)))]
pub(super) async fn list(
    State(editor): State<Arc<Editor>>,
    Path(name): Path<String>,
) -> Result<Json<Versions>, Wrong> {
    editor.versions(&name).await.map(Json)
}

impl Editor {
    /// The versions of a mapping, newest first.
    ///
    /// # Errors
    /// There is no such target, or the ledger failed.
    pub async fn versions(&self, name: &str) -> Result<Versions, Wrong> {
        self.target(name)?;
        let rows = self.mappings.mapping_history(name).await?;
        let versions = rows.into_iter().take(MAX).map(|row| Version {
            version: row.version,
            who: row.who,
            why: row.why,
            at: row.at,
        });
        Ok(Versions {
            versions: versions.collect(),
        })
    }
}

/// What differs between two versions.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Differences {
    /// The older one.
    pub from: i64,
    /// The newer one.
    pub to: i64,
    /// The fields that differ.
    pub fields: Vec<Difference>,
}

/// What differs between two versions, such as `3...7`, by field.
#[utoipa::path(get, path = "/v1/mappings/{target}/versions/{span}", tag = "mappings",
    params(("target" = String, Path, description = "The target"), ("span" = String, Path, description = "Two versions, as 3...7")),
    responses((status = 200, body = Differences)))]
pub(super) async fn between(
    State(editor): State<Arc<Editor>>,
    Path((name, span)): Path<(String, String)>,
) -> Result<Json<Differences>, Wrong> {
    editor.between(&name, &span).await.map(Json)
}

impl Editor {
    /// What differs between two versions, by field.
    ///
    /// # Errors
    /// There are no such versions.
    pub async fn between(&self, name: &str, span: &str) -> Result<Differences, Wrong> {
        self.target(name)?;
        let parts = span
            .split_once("...")
            .and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        let Some((from, to)) = parts else {
            return Err(Wrong::Bad("name two versions, such as 3...7".into()));
        };
        let (before, after) = (
            self.text_of(name, from).await?,
            self.text_of(name, to).await?,
        );
        let fields = difference(&before, &after).map_err(Wrong::Bad)?;
        Ok(Differences { from, to, fields })
    }
}

/// Which version.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreAsked {
    /// Its number.
    pub version: i64,
    /// The revision of your draft that gives way; 0 where you have none.
    #[serde(default)]
    pub revision: i64,
}

/// Makes a draft of an old version; it is published like any other.
#[utoipa::path(post, path = "/v1/mappings/{target}/restore", tag = "mappings",
    params(("target" = String, Path, description = "The target")), request_body = RestoreAsked,
    responses((status = 200, body = DraftText), (status = 409, description = "Your draft is at another revision"), (status = 428, description = "`If-Match` is missing")))]
pub(super) async fn restore(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Json(asked): Json<RestoreAsked>,
) -> Result<Json<DraftText>, Wrong> {
    editor.target(&name)?;
    let text = editor.text_of(&name, asked.version).await?;
    editor
        .as_draft(&name, &person, asked.revision, &text)
        .await
        .map(Json)
}

/// A file.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportAsked {
    /// Its text.
    pub text: String,
    /// The revision of your draft that gives way; 0 where you have none.
    #[serde(default)]
    pub revision: i64,
}

/// Makes a draft of a file; the difference from the version in force is answered.
#[utoipa::path(post, path = "/v1/mappings/{target}/import", tag = "mappings",
    params(("target" = String, Path, description = "The target")), request_body = ImportAsked,
    responses((status = 200, body = DraftText), (status = 409, description = "Your draft is at another revision"), (status = 428, description = "`If-Match` is missing")))]
pub(super) async fn import(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Json(asked): Json<ImportAsked>,
) -> Result<Json<DraftText>, Wrong> {
    editor.target(&name)?;
    editor
        .as_draft(&name, &person, asked.revision, &asked.text)
        .await
        .map(Json)
}

impl Editor {
    /// Makes this text a person's draft of the version in force.
    ///
    /// # Errors
    /// Their draft is at another revision.
    pub async fn as_draft(
        &self,
        name: &str,
        person: &Person,
        revision: i64,
        text: &str,
    ) -> Result<DraftText, Wrong> {
        let live = self.live(name).await?;
        self.put_draft(name, person, revision, text, live.version)
            .await?;
        self.draft(name, person).await
    }
}

/// Which version.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ExportAsked {
    /// The version; the one in force where none is named.
    pub version: Option<i64>,
}

/// A version's file, as it may stand in a repository.
#[utoipa::path(get, path = "/v1/mappings/{target}/export", tag = "mappings",
    params(("target" = String, Path, description = "The target"), ExportAsked),
    responses((status = 200, body = String, content_type = "application/toml")))]
pub(super) async fn export(
    State(editor): State<Arc<Editor>>,
    Path(name): Path<String>,
    Query(asked): Query<ExportAsked>,
) -> Result<Response, Wrong> {
    editor.target(&name)?;
    let text = match asked.version {
        Some(version) => editor.text_of(&name, version).await?,
        None => editor.live(&name).await?.text,
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            "application/toml; charset=utf-8".to_owned(),
        ),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.toml\""),
        ),
    ];
    Ok((headers, text).into_response())
}
