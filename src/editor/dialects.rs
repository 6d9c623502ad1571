//! The same for the words of a gateway: a dialect's draft, what it makes of a pasted payload, and publishing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use handoffd_contract::settings::printable;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::document::{DraftView, Problem};
use super::drafts::expected;
use super::publish::PublishAsked;
use super::saved_tests::TestView;
use super::{Editor, Wrong};
use crate::access::Person;
use crate::config::Limits;
use crate::intake::dialects::{INTAKE, Preview, preview as judge};
use crate::intake::{Incoming, Origin};
use crate::ledger::{LedgerError, MappingRow};
use crate::mapping::dialect::{Dialect, FORM, shipped};
use crate::operate::mask;

/// The dialects that are spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DialectList {
    /// Their names, with the version in force; 0 for the shipped one.
    pub dialects: BTreeMap<String, i64>,
}

/// A dialect as somebody edits it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DialectView {
    /// Its name.
    pub name: String,
    /// The version in force; 0 for the shipped one.
    pub version: i64,
    /// Your draft, if there is one.
    pub draft: Option<DraftView>,
    /// The text that is edited.
    pub text: String,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Its tests, run.
    pub tests: Vec<TestView>,
}

/// The dialects that some way speaks.
#[utoipa::path(get, path = "/v1/dialects", tag = "mappings", responses((status = 200, body = DialectList)))]
pub(super) async fn list(State(editor): State<Arc<Editor>>) -> Result<Json<DialectList>, Wrong> {
    let mut dialects = BTreeMap::new();
    for name in editor.dialects.names() {
        let row = editor.mappings.mapping_get(&key(&name), None).await?;
        dialects.insert(name, row.map_or(0, |row| row.version));
    }
    Ok(Json(DialectList { dialects }))
}

fn key(name: &str) -> String {
    format!("{INTAKE}{name}")
}

/// A dialect: your draft, else the one in force.
#[utoipa::path(get, path = "/v1/dialects/{name}", tag = "mappings",
    params(("name" = String, Path, description = "The dialect")), responses((status = 200, body = DialectView)))]
pub(super) async fn show(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
) -> Result<Json<DialectView>, Wrong> {
    editor.dialect(&name, &person).await.map(Json)
}

/// Your draft of a dialect, else the one in force.
#[utoipa::path(get, path = "/v1/dialects/{name}/draft", tag = "mappings",
    params(("name" = String, Path, description = "The dialect")), responses((status = 200, body = DialectView)))]
pub(super) async fn draft(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
) -> Result<Json<DialectView>, Wrong> {
    editor.dialect(&name, &person).await.map(Json)
}

impl Editor {
    /// The version of a dialect in force; the shipped one has the number 0.
    async fn live_dialect(&self, name: &str) -> Result<MappingRow, Wrong> {
        if !self.dialects.names().contains(name) {
            let words = format!(
                "no source and no queue speaks the dialect `{}`",
                printable(name)
            );
            return Err(Wrong::NotFound(words));
        }
        if let Some(row) = self.mappings.mapping_get(&key(name), None).await? {
            return Ok(row);
        }
        let mut files = shipped::FILES.iter();
        let text = files.find(|(file, _)| *file == name).map(|(_, text)| *text);
        let text = text.ok_or_else(|| {
            let words = format!("the file of `{name}` is in the configuration alone; apply it once with `handoffd mapping apply intake/{name} FILE`");
            Wrong::NotFound(words)
        })?;
        Ok(MappingRow {
            target: key(name),
            version: 0,
            text: text.to_owned(),
            who: "handoffd".into(),
            why: "the shipped dialect".into(),
            at: Timestamp::UNIX_EPOCH,
        })
    }

    /// A dialect as a person edits it.
    ///
    /// # Errors
    /// Nobody speaks it, or the ledger failed.
    pub async fn dialect(&self, name: &str, person: &Person) -> Result<DialectView, Wrong> {
        let live = self.live_dialect(name).await?;
        let drafts = self.ledger.drafts(&key(name)).await?;
        let draft = drafts.into_iter().find(|draft| draft.who == person.name);
        let text = draft.as_ref().map_or(live.text, |draft| draft.text.clone());
        let (tests, problems) = match parsed(name, &text) {
            Ok(dialect) => (ran(&dialect), Vec::new()),
            Err(problems) => (Vec::new(), problems),
        };
        Ok(DialectView {
            name: name.to_owned(),
            version: live.version,
            draft: draft.as_ref().map(DraftView::from),
            text,
            problems,
            tests,
        })
    }
}

fn parsed(name: &str, text: &str) -> Result<Dialect, Vec<Problem>> {
    let dialect = Dialect::parse(&format!("{name}.toml"), text)
        .map_err(|problems| problems.iter().map(Problem::from).collect::<Vec<_>>())?;
    if dialect.name() == name {
        return Ok(dialect);
    }
    Err(vec![Problem {
        field: "name".into(),
        line: 1,
        message: format!("is the dialect {}, and {name} is edited", dialect.name()),
    }])
}

fn ran(dialect: &Dialect) -> Vec<TestView> {
    let view = |one: crate::mapping::TestOutcome| TestView {
        name: one.name,
        line: one.line,
        passes: one.failures.is_empty(),
        failures: one.failures,
    };
    dialect.run_tests().into_iter().map(view).collect()
}

/// A dialect's file.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DialectText {
    /// Its text.
    pub text: String,
}

/// Saves your draft of a dialect. `If-Match` names the revision that it was made of, 0 where there is none yet.
#[utoipa::path(put, path = "/v1/dialects/{name}/draft", tag = "mappings",
    params(("name" = String, Path, description = "The dialect"), ("If-Match" = String, Header, description = "The draft's revision")),
    request_body = DialectText,
    responses((status = 200, body = DialectView), (status = 409, description = "The draft is at another revision"), (status = 428, description = "`If-Match` is missing")))]
pub(super) async fn save(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<DialectText>,
) -> Result<Json<DialectView>, Wrong> {
    let expect = expected(&headers)?;
    let live = editor.live_dialect(&name).await?;
    let drafts = editor.ledger.drafts(&key(&name)).await?;
    let there = drafts.iter().find(|draft| draft.who == person.name);
    let base = there.map_or(live.version, |draft| draft.base);
    editor
        .put_draft(&key(&name), &person, expect, &asked.text, base)
        .await?;
    editor.dialect(&name, &person).await.map(Json)
}

/// Gives your draft of a dialect up.
#[utoipa::path(delete, path = "/v1/dialects/{name}/draft", tag = "mappings",
    params(("name" = String, Path, description = "The dialect")), responses((status = 200, body = DialectView)))]
pub(super) async fn discard(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
) -> Result<Json<DialectView>, Wrong> {
    editor.live_dialect(&name).await?;
    if editor.ledger.draft_drop(&key(&name), &person.name).await? {
        editor
            .note(&person, "draft discard", &key(&name), None, None)
            .await?;
    }
    editor.dialect(&name, &person).await.map(Json)
}

/// A payload as a gateway sends it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadAsked {
    /// The body: JSON or a form.
    pub payload: String,
    /// Its headers, by names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The dialect's text, where it is neither your draft nor the one in force.
    #[serde(default)]
    pub text: Option<String>,
}

/// What a dialect makes of a payload.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DialectPreview {
    /// What is wrong with the dialect.
    pub problems: Vec<Problem>,
    /// The verdict in words: "would be taken, 2 warnings".
    pub verdict: String,
    /// Whether it would be taken.
    pub taken: bool,
    /// The events that it becomes, with letters and digits of strangers' words as they were pasted.
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<Value>,
    /// What could not be read, and what fails.
    pub warnings: Vec<String>,
}

/// What your draft of a dialect makes of a pasted payload.
#[utoipa::path(post, path = "/v1/dialects/{name}/preview", tag = "mappings",
    params(("name" = String, Path, description = "The dialect")), request_body = PayloadAsked,
    responses((status = 200, body = DialectPreview)))]
pub(super) async fn preview(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Json(asked): Json<PayloadAsked>,
) -> Result<Json<DialectPreview>, Wrong> {
    let edited = editor.dialect(&name, &person).await?;
    let text = asked.text.unwrap_or(edited.text);
    let dialect = match parsed(&name, &text) {
        Ok(dialect) => dialect,
        Err(problems) => {
            return Ok(Json(DialectPreview {
                problems,
                verdict: "the dialect is wrong".into(),
                taken: false,
                events: Vec::new(),
                warnings: Vec::new(),
            }));
        }
    };
    let is_json = asked.payload.trim_start().starts_with(['{', '[']);
    let incoming = Incoming {
        origin: Origin::Http,
        content_type: Some(if is_json { "application/json" } else { FORM }.to_owned()),
        headers: asked.headers,
        body: asked.payload.into_bytes(),
    };
    let made = judge(
        &dialect,
        &BTreeMap::new(),
        &Limits::default(),
        &incoming,
        Timestamp::now(),
    );
    Ok(Json(told(made)))
}

fn told(made: Preview) -> DialectPreview {
    let none = |verdict: String| DialectPreview {
        problems: Vec::new(),
        verdict,
        taken: false,
        events: Vec::new(),
        warnings: Vec::new(),
    };
    let (events, rest) = match made {
        Preview::Refused(stop) => return none(stop.message),
        Preview::Misses(condition) => {
            return none(format!("the dialect does not take it: {condition}"));
        }
        Preview::Made(events, rest) => (events, rest),
    };
    let mut warnings: Vec<String> = rest
        .faults
        .iter()
        .map(|fault| format!("a template failed: {fault}"))
        .collect();
    let mut refused = 0;
    let mut shown = Vec::new();
    for (event, read) in events {
        match read {
            Ok(words) => warnings.extend(words),
            Err(stop) => {
                refused += 1;
                warnings.push(stop.message);
            }
        }
        shown.push(event);
    }
    let taken = refused == 0 && rest.faults.is_empty() && rest.untaken == 0 && !shown.is_empty();
    let skipped: Vec<String> = rest.skipped.keys().map(ToString::to_string).collect();
    let mut verdict = match (taken, shown.len()) {
        (true, count) => format!(
            "would be taken, {count} events, {} warnings",
            warnings.len()
        ),
        (false, 0) if rest.untaken == 0 => "nothing is made of it".to_owned(),
        (false, _) => format!("{refused} refused, {} taken by no rule", rest.untaken),
    };
    if !skipped.is_empty() {
        verdict.push_str(&format!("; skipped: {}", skipped.join(", ")));
    }
    DialectPreview {
        problems: Vec::new(),
        verdict,
        taken,
        events: shown,
        warnings: warnings
            .iter()
            .map(|words| mask::words(words, &mask::Values::default()))
            .collect(),
    }
}

/// Puts your draft of a dialect in force, if its tests pass and nobody was faster.
#[utoipa::path(post, path = "/v1/dialects/{name}/publish", tag = "mappings",
    params(("name" = String, Path, description = "The dialect")), request_body = PublishAsked,
    responses((status = 200, body = DialectView), (status = 409, description = "Another version is in force"),
        (status = 422, description = "The draft is wrong, or a test fails")))]
pub(super) async fn publish(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Json(asked): Json<PublishAsked>,
) -> Result<Json<DialectView>, Wrong> {
    if asked.why.trim().is_empty() {
        return Err(Wrong::Bad("`why` must say why this is published".into()));
    }
    let edited = editor.dialect(&name, &person).await?;
    if edited.draft.is_none() {
        return Err(Wrong::NotFound("you have no draft of this dialect".into()));
    }
    if asked.expect != edited.version {
        return Err(conflict(edited.version));
    }
    let failing: Vec<&str> = edited
        .tests
        .iter()
        .filter(|test| !test.passes)
        .map(|test| test.name.as_str())
        .collect();
    if !edited.problems.is_empty() || !failing.is_empty() {
        return Err(Wrong::Refused(
            json!({"error": "the draft is wrong, or a test fails", "problems": edited.problems, "tests": failing}),
        ));
    }
    if asked.dry_run {
        return Ok(Json(edited));
    }
    let target = key(&name);
    let put = editor.mappings.mapping_put(
        Timestamp::now(),
        &target,
        &edited.text,
        &person.name,
        asked.why.trim(),
        Some(asked.expect),
    );
    let version = match put.await {
        Ok(version) => version,
        Err(LedgerError::Conflict(_)) => {
            return Err(conflict(editor.live_dialect(&name).await?.version));
        }
        Err(error) => return Err(error.into()),
    };
    editor.ledger.draft_drop(&key(&name), &person.name).await?;
    editor
        .note(
            &person,
            "dialect publish",
            &name,
            None,
            Some(json!({"version": version})),
        )
        .await?;
    editor.dialect(&name, &person).await.map(Json)
}

fn conflict(version: i64) -> Wrong {
    Wrong::Conflict(json!({"error": format!("version {version} is in force"), "version": version}))
}
