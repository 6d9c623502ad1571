//! A draft put in force, and the parked handoffs tried again that it is for.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use handoffd_contract::{Reason, Stop};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::document::{Problem, parsed};
use super::saved_tests::{TestView, ran};
use super::{Editor, Wrong};
use crate::access::Person;
use crate::ledger::{Draft, LaneFilter, LaneRow, LaneState, LedgerError, MappingRow, Select};
use crate::mapping::difference::{Difference, difference};

/// The longest reason, in characters.
const MAX_WHY: usize = 500;

/// What is published.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishAsked {
    /// Why, for the history.
    #[serde(default)]
    pub why: String,
    /// The version that must be in force: the one that the draft was begun with.
    pub expect: i64,
    /// The draft's revision, where it matters that it is this one.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Afterwards try the handoffs again that are parked in this target, but none whose outcome is unknown.
    #[serde(default)]
    pub retry: bool,
    /// Only those that are parked for this reason, by its label.
    #[serde(default)]
    pub reason: Option<String>,
    /// Only those with these words of the CRM.
    #[serde(default)]
    pub message: Option<String>,
    /// Only those that are parked for the same reason, with the same words of the CRM, as this handoff; by its
    /// event's number.
    #[serde(default)]
    pub event: Option<i64>,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Published {
    /// Whether nothing was done yet.
    pub dry_run: bool,
    /// The version that is in force now, or would be.
    pub version: i64,
    /// What differs from the version before, by field.
    pub changes: Vec<Difference>,
    /// The tests.
    pub tests: Vec<TestView>,
    /// Lanes that are tried again.
    pub retried: Vec<RetriedLane>,
}

/// A lane that is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RetriedLane {
    /// The session.
    pub session: String,
    /// The target.
    pub target: String,
}

/// Puts your draft in force, if its tests pass and nobody was faster. With `retry`, the parked handoffs are
/// tried again that it is for, and no others.
#[utoipa::path(post, path = "/v1/mappings/{target}/publish", tag = "mappings",
    params(("target" = String, Path, description = "The target")), request_body = PublishAsked,
    responses((status = 200, body = Published),
        (status = 409, description = "Another version is in force: both differences by field"),
        (status = 422, description = "The draft is wrong, or a test fails")))]
pub(super) async fn publish(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Json(asked): Json<PublishAsked>,
) -> Result<Json<Published>, Wrong> {
    editor.publish(&name, &person, asked).await.map(Json)
}

impl Editor {
    /// Puts a draft in force.
    ///
    /// # Errors
    /// There is no draft, it is wrong, a test fails, or another version is in force.
    pub async fn publish(
        &self,
        name: &str,
        person: &Person,
        asked: PublishAsked,
    ) -> Result<Published, Wrong> {
        let kind = self.target(name)?.kind;
        let why = asked.why.trim();
        if !asked.dry_run && (why.is_empty() || why.chars().count() > MAX_WHY) {
            return Err(Wrong::Bad(format!(
                "`why` must say in 1 to {MAX_WHY} characters why this is published"
            )));
        }
        let edited = self.edited(name, &person.name).await?;
        let Some(draft) = &edited.draft else {
            return Err(Wrong::NotFound("you have no draft of this mapping".into()));
        };
        if asked
            .revision
            .is_some_and(|revision| revision != draft.revision)
        {
            let words = format!("your draft is at revision {}", draft.revision);
            return Err(Wrong::Conflict(
                json!({"error": words, "revision": draft.revision}),
            ));
        }
        if asked.expect != edited.live.version {
            return Err(self.conflict(name, draft, &edited.live).await?);
        }
        let tests = judged(kind, name, &draft.text)?;
        let changes = difference(&edited.live.text, &draft.text).map_err(Wrong::Bad)?;
        let version = if asked.dry_run {
            edited.live.version + 1
        } else {
            self.put(name, person, draft, why, asked.expect).await?
        };
        if !asked.dry_run {
            let fields: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
            let after =
                json!({"version": version, "why": why, "fields": fields, "retry": asked.retry});
            let before = json!({"version": edited.live.version});
            self.note(person, "mapping publish", name, Some(before), Some(after))
                .await?;
            self.ledger.draft_drop(name, &person.name).await?;
        }
        let retried = if asked.retry {
            self.retried(name, &asked).await?
        } else {
            Vec::new()
        };
        Ok(Published {
            dry_run: asked.dry_run,
            version,
            changes,
            tests,
            retried,
        })
    }

    async fn put(
        &self,
        name: &str,
        person: &Person,
        draft: &Draft,
        why: &str,
        expect: i64,
    ) -> Result<i64, Wrong> {
        let put = self.mappings.mapping_put(
            Timestamp::now(),
            name,
            &draft.text,
            &person.name,
            why,
            Some(expect),
        );
        match put.await {
            Ok(version) => Ok(version),
            Err(LedgerError::Conflict(_)) => {
                let live = self.live(name).await?;
                Err(self.conflict(name, draft, &live).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What both have changed since the version that the draft was begun with.
    pub(super) async fn conflict(
        &self,
        name: &str,
        draft: &Draft,
        live: &MappingRow,
    ) -> Result<Wrong, Wrong> {
        let base = self.text_of(name, draft.base).await.unwrap_or_default();
        let mine = difference(&base, &draft.text).unwrap_or_default();
        let theirs = difference(&base, &live.text).unwrap_or_default();
        let both: Vec<&str> = mine
            .iter()
            .filter(|one| {
                theirs
                    .iter()
                    .any(|other| other.field == one.field && other.after != one.after)
            })
            .map(|one| one.field.as_str())
            .collect();
        Ok(Wrong::Conflict(json!({
            "error": format!("{} published version {} while you edited version {}", live.who, live.version, draft.base),
            "base": draft.base,
            "latest": {"version": live.version, "who": live.who, "why": live.why, "at": live.at},
            "revision": draft.revision,
            "mine": mine,
            "theirs": theirs,
            "both": both,
        })))
    }

    /// The lanes that are parked in a target for what this is about; made due, unless it is a dry run.
    async fn retried(&self, name: &str, asked: &PublishAsked) -> Result<Vec<RetriedLane>, Wrong> {
        let now = Timestamp::now();
        let mut retried = Vec::new();
        let (mut reason, mut message) = (asked.reason.clone(), asked.message.clone());
        if let Some(seq) = asked.event {
            let Some(stop) = self.stop_of(name, seq).await? else {
                return Ok(retried);
            };
            reason = Some(stop.reason.label().to_owned());
            message = Some(stop.message);
        }
        for lane in self
            .parked(name, reason.as_deref(), message.as_deref())
            .await?
        {
            let select = Select::Session(lane.session, Some(name.to_owned()));
            let lanes = self.operators.retry(now, select, asked.dry_run).await?;
            retried.extend(lanes.into_iter().map(|lane| RetriedLane {
                session: lane.session,
                target: lane.target,
            }));
        }
        Ok(retried)
    }

    /// Why the lane of a handoff is parked, if it is.
    async fn stop_of(&self, name: &str, seq: i64) -> Result<Option<Stop>, Wrong> {
        let event = self.event(Some(seq), None).await?;
        let filter = LaneFilter {
            session: Some(event.session),
            target: Some(name.to_owned()),
            state: Some(LaneState::Parked),
            limit: 1,
            ..LaneFilter::default()
        };
        let lanes = self.operators.lanes(filter).await?;
        Ok(lanes.into_iter().next().and_then(|lane| lane.stop))
    }

    /// The lanes that are parked in a target, for one reason and with one message where they are named.
    pub(super) async fn parked(
        &self,
        name: &str,
        reason: Option<&str>,
        message: Option<&str>,
    ) -> Result<Vec<LaneRow>, Wrong> {
        let mut parked = Vec::new();
        let mut after = 0;
        loop {
            let filter = LaneFilter {
                target: Some(name.to_owned()),
                state: Some(LaneState::Parked),
                reason: reason.map(str::to_owned),
                after,
                ..LaneFilter::default()
            };
            let page = self.operators.lanes(filter).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            // A mapping says nothing of whether a call was carried out: that is a person's to say, one by one,
            // since a retry of such a lane may send twice.
            let is_meant = |stop: &Stop| {
                stop.reason != Reason::UnknownOutcome
                    && message.is_none_or(|message| stop.message == message)
            };
            parked.extend(
                page.into_iter()
                    .filter(|lane| lane.stop.as_ref().is_some_and(is_meant)),
            );
        }
        Ok(parked)
    }
}

/// The tests of a draft that is right.
fn judged(kind: &str, name: &str, text: &str) -> Result<Vec<TestView>, Wrong> {
    let mapping = parsed(kind, name, text).map_err(|problems: Vec<Problem>| {
        Wrong::Refused(json!({"error": "the draft is wrong", "problems": problems}))
    })?;
    let tests = ran(&mapping);
    let failing: Vec<&TestView> = tests.iter().filter(|test| !test.passes).collect();
    if failing.is_empty() {
        return Ok(tests);
    }
    let names: Vec<&str> = failing.iter().map(|test| test.name.as_str()).collect();
    let words = format!(
        "{} of {} tests fail: {}",
        failing.len(),
        tests.len(),
        names.join(", ")
    );
    Err(Wrong::Refused(json!({"error": words, "tests": tests})))
}
