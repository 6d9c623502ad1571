//! Tests that are saved with a mapping: run, and kept from a handoff.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::document::{Problem, parsed};
use super::drafts::DraftText;
use super::{Editor, Wrong};
use crate::access::Person;
use crate::mapping::{Mapping, keep as keeping};

/// A test, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TestView {
    /// Its name.
    pub name: String,
    /// Where it begins in the file.
    pub line: usize,
    /// Whether it passes.
    pub passes: bool,
    /// What was not as expected.
    pub failures: Vec<String>,
}

/// The tests of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tests {
    /// The tests.
    pub tests: Vec<TestView>,
    /// How many fail.
    pub failing: usize,
    /// What is wrong with the file; then no test was run.
    pub problems: Vec<Problem>,
}

/// The tests of a mapping, run.
pub(super) fn ran(mapping: &Mapping) -> Vec<TestView> {
    let outcomes = mapping.run_tests();
    let view = |one: crate::mapping::TestOutcome| TestView {
        name: one.name,
        line: one.line,
        passes: one.failures.is_empty(),
        failures: one.failures,
    };
    outcomes.into_iter().map(view).collect()
}

/// The tests of your draft, else of the version in force, run.
#[utoipa::path(get, path = "/v1/mappings/{target}/tests", tag = "mappings",
    params(("target" = String, Path, description = "The target")), responses((status = 200, body = Tests)))]
pub(super) async fn list(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
) -> Result<Json<Tests>, Wrong> {
    editor.tests(&name, &person, None).await.map(Json)
}

/// A file.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunAsked {
    /// The file's text, where it is neither your draft nor the version in force.
    #[serde(default)]
    pub text: Option<String>,
}

/// Runs the tests of your draft, or of a text.
#[utoipa::path(post, path = "/v1/mappings/{target}/tests/run", tag = "mappings",
    params(("target" = String, Path, description = "The target")), request_body = RunAsked,
    responses((status = 200, body = Tests)))]
pub(super) async fn run(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Json(asked): Json<RunAsked>,
) -> Result<Json<Tests>, Wrong> {
    editor.tests(&name, &person, asked.text).await.map(Json)
}

impl Editor {
    /// The tests of a text, of a draft, or of the version in force, run.
    ///
    /// # Errors
    /// There is no such mapping.
    pub async fn tests(
        &self,
        name: &str,
        person: &Person,
        text: Option<String>,
    ) -> Result<Tests, Wrong> {
        let kind = self.target(name)?.kind;
        let edited = self.edited(name, &person.name).await?;
        let text = text.as_deref().unwrap_or(edited.text());
        let (tests, problems) = match parsed(kind, name, text) {
            Ok(mapping) => (ran(&mapping), Vec::new()),
            Err(problems) => (Vec::new(), problems),
        };
        Ok(Tests {
            failing: tests.iter().filter(|test| !test.passes).count(),
            tests,
            problems,
        })
    }
}

/// A handoff that is kept as a test.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepAsked {
    /// What the test is called; another one of that name gives way.
    pub name: String,
    /// A handoff of the ledger, by its event's number; the built-in one where none is given.
    #[serde(default)]
    pub event: Option<i64>,
    /// A pasted event, as a CloudEvent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
    /// The fields that it holds, as `section.name`; all where none is named.
    #[serde(default)]
    pub hold: Vec<String>,
    /// The revision of your draft; 0 where you have none.
    #[serde(default)]
    pub revision: i64,
}

/// Keeps a handoff as a test in your draft, with invented words in the place of the person's.
#[utoipa::path(post, path = "/v1/mappings/{target}/tests/keep", tag = "mappings",
    params(("target" = String, Path, description = "The target")), request_body = KeepAsked,
    responses((status = 200, body = DraftText), (status = 409, description = "Your draft is at another revision"), (status = 428, description = "`If-Match` is missing")))]
pub(super) async fn keep(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Json(asked): Json<KeepAsked>,
) -> Result<Json<DraftText>, Wrong> {
    editor.kept(&name, &person, asked).await.map(Json)
}

impl Editor {
    /// Keeps a handoff as a test in a person's draft.
    ///
    /// # Errors
    /// There is no such event, or their draft is wrong or at another revision.
    pub async fn kept(
        &self,
        name: &str,
        person: &Person,
        asked: KeepAsked,
    ) -> Result<DraftText, Wrong> {
        let title = asked.name.trim();
        if title.is_empty() || title.chars().count() > 100 || title.chars().any(char::is_control) {
            return Err(Wrong::Bad(
                "`name` must be a line of 1 to 100 characters".into(),
            ));
        }
        let edited = self.edited(name, &person.name).await?;
        let event = self.event(asked.event, asked.payload).await?;
        let text = keeping::kept(edited.text(), title, &event, &asked.hold)
            .map_err(|words| Wrong::Refused(json!({"error": words})))?;
        let base = edited
            .draft
            .as_ref()
            .map_or(edited.live.version, |draft| draft.base);
        self.put_draft(name, person, asked.revision, &text, base)
            .await?;
        self.draft(name, person).await
    }
}
