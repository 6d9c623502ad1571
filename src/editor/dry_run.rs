//! A record made in the CRM to hear what it says of the fields, and removed again.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use handoffd_contract::{Body, HttpReply, Trial, Tried};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::document::parsed;
use super::preview::rehearsed;
use super::{Editor, Wrong};
use crate::access::Person;
use crate::operate::mask;
use crate::target::Target;

/// How often the removal is tried.
const TRIES: usize = 3;

/// What is tried.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRunAsked {
    /// A handoff of the ledger, by its event's number; the built-in one where none is given.
    #[serde(default)]
    pub event: Option<i64>,
    /// A pasted event, as a CloudEvent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
    /// The file's text, where it is neither your draft nor the version in force.
    #[serde(default)]
    pub text: Option<String>,
    /// Do it; without this it is only said what would be written.
    #[serde(default)]
    pub confirm: bool,
}

/// What the CRM said.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DryRun {
    /// Whether this target can be tried at all.
    pub possible: bool,
    /// What is written, and what remains of it.
    pub says: String,
    /// Whether it was done.
    pub done: bool,
    /// Whether the CRM took the record.
    pub taken: bool,
    /// What it complains of.
    pub complaints: Vec<ComplaintView>,
    /// Fields of the mapping that it took.
    pub fine: Vec<String>,
    /// Whether nothing of it is left.
    pub removed: bool,
    /// What a person must remove, where it could not be removed.
    pub left: Option<String>,
}

/// One thing that the CRM complains of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ComplaintView {
    /// The field, as `section.name`, where the CRM names one.
    pub field: Option<String>,
    /// The CRM's own words, without the handoff's values.
    pub message: String,
}

/// Makes a record that is marked as a test, tells what the CRM says of its fields, and removes it. Without `confirm`
/// it is only told what would be written.
#[utoipa::path(post, path = "/v1/mappings/{target}/dry-run", tag = "mappings",
    params(("target" = String, Path, description = "The target")), request_body = DryRunAsked,
    responses((status = 200, body = DryRun), (status = 422, description = "The draft is wrong"),
        (status = 502, description = "The CRM cannot be asked")))]
pub(super) async fn dry_run(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Json(asked): Json<DryRunAsked>,
) -> Result<Json<DryRun>, Wrong> {
    editor.tried(&name, &person, asked).await.map(Json)
}

impl Editor {
    /// Makes a record that is marked as a test, and removes it.
    ///
    /// # Errors
    /// The draft is wrong, or the CRM cannot be asked.
    pub async fn tried(
        &self,
        name: &str,
        person: &Person,
        asked: DryRunAsked,
    ) -> Result<DryRun, Wrong> {
        let target = self.target(name)?;
        let event = self.event(asked.event, asked.payload).await?;
        let text = match asked.text {
            Some(text) => text,
            None => self.edited(name, &person.name).await?.text().to_owned(),
        };
        let refused =
            |problems| Wrong::Refused(json!({"error": "the draft is wrong", "problems": problems}));
        let mapping = parsed(target.kind, name, &text).map_err(refused)?;
        let schema = self.schema(target);
        let (rehearsal, _) = rehearsed(
            target,
            &mapping,
            &event,
            schema.as_deref().map(|(_, schema)| schema),
        );
        if let Some(stop) = &rehearsal.stop
            && rehearsal.steps.is_empty()
        {
            return Err(Wrong::Refused(
                json!({"error": format!("the handoff is stopped before the CRM is asked: {stop}")}),
            ));
        }
        let mark = format!("handoffd-test-{}", Uuid::new_v4().simple());
        let Some(trial) = target.connector.trial(&rehearsal.steps, &mark) else {
            return Ok(impossible());
        };
        if !asked.confirm {
            return Ok(DryRun {
                possible: true,
                says: trial.says,
                ..impossible()
            });
        }
        self.note(
            person,
            "mapping dry run",
            name,
            None,
            Some(json!({"event": asked.event, "mark": mark})),
        )
        .await?;
        let mut values = mask::Values::default();
        values.also_of(&event);
        let fields: Vec<String> = mapping
            .fields()
            .into_iter()
            .flat_map(|(section, names)| {
                names
                    .into_iter()
                    .map(move |name| format!("{section}.{name}"))
            })
            .collect();
        // What was begun is also removed where whoever asked has gone.
        let target = Arc::clone(target);
        let run =
            tokio::spawn(async move { carried_out(&target, trial, &mark, &fields, &values).await });
        run.await
            .map_err(|_| Wrong::Unreachable("the dry run broke off".into()))?
    }
}

fn impossible() -> DryRun {
    DryRun {
        possible: false,
        says: "This CRM cannot be tried without leaving something behind.".into(),
        done: false,
        taken: false,
        complaints: Vec::new(),
        fine: Vec::new(),
        removed: false,
        left: None,
    }
}

async fn carried_out(
    target: &Target,
    trial: Trial,
    mark: &str,
    fields: &[String],
    values: &mask::Values,
) -> Result<DryRun, Wrong> {
    let made = target.wire.send(&trial.make).await;
    let tried = match &made {
        Ok(reply) => target.connector.tried(&trial, reply),
        // Whether it was made is not known: it is looked for.
        Err(_) => found(target, &trial).await,
    };
    let left = match &tried.id {
        Some(id) => removed(target, id).await,
        None => None,
    };
    if left.is_some() || made.is_err() && tried.id.is_none() {
        tracing::warn!(target_name = %target.name, %mark, "a test record may be left in the CRM; look for its mark");
    }
    let reply = made.map_err(|failure| {
        let words = target.wire.conceal(&failure.stop().message);
        Wrong::Unreachable(match &left {
            Some(left) => format!("the CRM did not answer: {words}; {left}"),
            // It may come late, and some CRMs find what is new only seconds later.
            None if tried.id.is_none() => format!(
                "the CRM did not answer: {words}; no record marked {mark} was found, but look for one later and remove it"
            ),
            None => format!("the CRM did not answer: {words}; the record that it made all the same is removed"),
        })
    })?;
    if tried.id.is_none()
        && (reply.status == 401 || reply.status == 429 || reply.status >= 500)
        && tried.complaints.iter().all(|one| one.field.is_none())
    {
        let words = tried
            .complaints
            .first()
            .map(|one| one.message.clone())
            .unwrap_or_default();
        return Err(Wrong::Unreachable(format!(
            "the CRM answered {}: {}",
            reply.status,
            mask::words(&words, values)
        )));
    }
    Ok(told(target, &trial, tried, left, fields, values))
}

fn told(
    target: &Target,
    trial: &Trial,
    tried: Tried,
    left: Option<String>,
    fields: &[String],
    values: &mask::Values,
) -> DryRun {
    let of_mapping = |name: &str| {
        let path = format!("{}.{name}", trial.section);
        fields.contains(&path).then_some(path)
    };
    let complaints: Vec<ComplaintView> = tried
        .complaints
        .iter()
        .map(|complaint| ComplaintView {
            field: match &complaint.field {
                Some(name) => {
                    Some(of_mapping(name).unwrap_or_else(|| format!("{}.{name}", trial.section)))
                }
                None => target.connector.field_named(&complaint.message, fields),
            },
            message: mask::words(&target.wire.conceal(&complaint.message), values),
        })
        .collect();
    let fine = sent(trial)
        .iter()
        .filter_map(|name| of_mapping(name))
        .filter(|path| {
            !complaints
                .iter()
                .any(|one| one.field.as_ref() == Some(path))
        })
        .collect();
    DryRun {
        possible: true,
        says: trial.says.clone(),
        done: true,
        taken: complaints.is_empty(),
        complaints,
        fine,
        removed: left.is_none(),
        left,
    }
}

/// The names of everything that the record carried.
fn sent(trial: &Trial) -> Vec<String> {
    let Body::Json(body) = &trial.make.body else {
        return Vec::new();
    };
    let fields = body.get("properties").unwrap_or(body);
    fields
        .as_object()
        .map(|fields| fields.keys().cloned().collect())
        .unwrap_or_default()
}

async fn found(target: &Target, trial: &Trial) -> Tried {
    match target.wire.send(&trial.find).await {
        Ok(reply) if reply.ok() => target.connector.tried(trial, &reply),
        _ => Tried::default(),
    }
}

/// Removes the record; says what is left where that does not work.
async fn removed(target: &Target, id: &str) -> Option<String> {
    let call = target.connector.trial_undo(id)?;
    let mut last = String::new();
    for _ in 0..TRIES {
        match target.wire.send(&call).await {
            Ok(reply) if is_gone(&reply) => return None,
            Ok(reply) => last = format!("answered {}", reply.status),
            Err(failure) => last = target.wire.conceal(&failure.stop().message),
        }
    }
    Some(format!(
        "the test record {id} could not be removed ({last}); remove it in the CRM"
    ))
}

fn is_gone(reply: &HttpReply) -> bool {
    reply.ok() || matches!(reply.status, 404 | 410)
}
