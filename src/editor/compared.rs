//! A draft beside what is in force, over the last handoffs.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::parsed;
use super::masked::{Masks, Shown};
use super::{Editor, Wrong};
use crate::access::Person;
use crate::mapping::compare::{Comparison, compare as compare_mappings};
use crate::mapping::edit::{FieldEdit, all_fields};
use crate::mapping::states::FieldState;

/// How many handoffs are compared where nothing is said.
const LAST: usize = 100;
/// The most numbers of events that are told.
const NAMED: usize = 50;

/// What is compared.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareAsked {
    /// The file's text, where it is not your draft.
    #[serde(default)]
    pub text: Option<String>,
    /// Over how many of the last handoffs; 100 where nothing is said, 500 at most.
    #[serde(default)]
    pub last: Option<usize>,
    /// Show values as they are.
    #[serde(default)]
    pub unmask: bool,
}

/// A field that changes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChangedField {
    /// The field, as `section.name`.
    pub field: String,
    /// For how many handoffs.
    pub count: usize,
    /// Some of them.
    pub examples: Vec<ExampleView>,
}

/// A field of one handoff, before and after.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ExampleView {
    /// The event's number.
    pub event: i64,
    /// The value by the version in force.
    pub before: Shown,
    /// The value by the draft.
    pub after: Shown,
    /// The state by the draft, as one word.
    pub state: String,
}

/// A draft beside what is in force.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Compared {
    /// How many handoffs were compared.
    pub of: usize,
    /// The fields that change, the most frequent first.
    pub fields: Vec<ChangedField>,
    /// Events that would newly be stopped.
    pub newly_stopped: Vec<i64>,
    /// How many that are.
    pub newly_stopped_count: usize,
    /// Events that would newly go through.
    pub newly_passing: Vec<i64>,
    /// How many that are.
    pub newly_passing_count: usize,
}

/// Your draft beside the version in force, over the last handoffs.
#[utoipa::path(post, path = "/v1/mappings/{target}/compare", tag = "mappings",
    params(("target" = String, Path, description = "The target")), request_body = CompareAsked,
    responses((status = 200, body = Compared), (status = 422, description = "The draft is wrong")))]
pub(super) async fn compare(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Json(asked): Json<CompareAsked>,
) -> Result<Json<Compared>, Wrong> {
    editor.compared(&name, &person, asked).await.map(Json)
}

impl Editor {
    /// A draft beside the version in force, over the last handoffs.
    ///
    /// # Errors
    /// The draft is wrong, or values may not be shown.
    pub async fn compared(
        &self,
        name: &str,
        person: &Person,
        asked: CompareAsked,
    ) -> Result<Compared, Wrong> {
        let target = self.target(name)?;
        let edited = self.edited(name, &person.name).await?;
        let unmasked = self
            .unmasked(person, asked.unmask, &format!("{name}, compared"))
            .await?;
        let text = asked.text.as_deref().unwrap_or(edited.text());
        let refused = |problems| {
            Wrong::Refused(serde_json::json!({"error": "the draft is wrong", "problems": problems}))
        };
        let draft = parsed(target.kind, name, text).map_err(refused)?;
        let live = parsed(target.kind, name, &edited.live.text).ok();
        let events = self.last(name, asked.last.unwrap_or(LAST)).await?;
        let schema = self.schema(target);
        let masks = Masks {
            unmasked,
            keys: draft.map_keys(),
        };
        let keys = Keys {
            before: all_fields(&edited.live.text).unwrap_or_default(),
            after: all_fields(text).unwrap_or_default(),
        };
        let work = move || {
            let schema = schema.as_deref().map(|(_, schema)| schema);
            compare_mappings(live.as_ref(), &draft, &events, schema)
        };
        // Hundreds of handoffs take longer than others should wait.
        let found = tokio::task::spawn_blocking(work).await;
        let found = found.map_err(|_| Wrong::Bad("the comparison failed".into()))?;
        Ok(shown(found, &keys, &masks))
    }
}

struct Keys {
    before: Vec<(String, FieldEdit)>,
    after: Vec<(String, FieldEdit)>,
}

fn shown(found: Comparison, keys: &Keys, masks: &Masks) -> Compared {
    let value = |state: Option<&FieldState>, keys: &[(String, FieldEdit)]| {
        state.map_or(Shown::default(), |state| {
            let path = state.path();
            let keys = keys
                .iter()
                .find(|(at, _)| *at == path)
                .map(|(_, keys)| keys);
            masks.field(state.value.as_ref(), keys, state.is_fixed)
        })
    };
    let mut fields: Vec<ChangedField> = found
        .fields
        .into_iter()
        .map(|(field, changed)| ChangedField {
            field,
            count: changed.count,
            examples: changed
                .examples
                .iter()
                .map(|example| ExampleView {
                    event: example.seq,
                    before: value(example.before.as_ref(), &keys.before),
                    after: value(example.after.as_ref(), &keys.after),
                    state: example
                        .after
                        .as_ref()
                        .map_or("gone", |state| state.state.word())
                        .to_owned(),
                })
                .collect(),
        })
        .collect();
    fields.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.field.cmp(&b.field)));
    let named = |events: &[i64]| events.iter().copied().take(NAMED).collect();
    Compared {
        of: found.events,
        fields,
        newly_stopped: named(&found.newly_stopped),
        newly_stopped_count: found.newly_stopped.len(),
        newly_passing: named(&found.newly_passing),
        newly_passing_count: found.newly_passing.len(),
    }
}
