//! Conditions tried on the last handoffs, chips, and suggestions.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::look::{LAST, MOST, SourcesAsked};
use super::{Editor, Wrong};
use crate::access::Person;
use crate::mapping::chips::{Chip, of_template, to_template};
use crate::mapping::edit::all_fields;
use crate::mapping::sources::{holds, sources as sources_of};
use crate::mapping::suggest::{self, Suggestion};

/// A condition.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionAsked {
    /// The expression, as `when` has it.
    pub when: String,
    /// For how many of the last handoffs it is tried.
    #[serde(default)]
    pub last: Option<usize>,
}

/// For how many handoffs a condition holds.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ConditionHolds {
    /// For so many.
    pub holds: usize,
    /// Of so many.
    pub of: usize,
}

/// For how many of the last handoffs a condition holds.
#[utoipa::path(post, path = "/v1/mappings/{target}/condition", tag = "mappings",
    params(("target" = String, Path, description = "The target")), request_body = ConditionAsked,
    responses((status = 200, body = ConditionHolds)))]
pub(super) async fn condition(
    State(editor): State<Arc<Editor>>,
    Path(name): Path<String>,
    Json(asked): Json<ConditionAsked>,
) -> Result<Json<ConditionHolds>, Wrong> {
    editor.condition(&name, &asked).await.map(Json)
}

impl Editor {
    /// For how many of the last handoffs a condition holds.
    ///
    /// # Errors
    /// There is no such target, or it is no condition.
    pub async fn condition(
        &self,
        name: &str,
        asked: &ConditionAsked,
    ) -> Result<ConditionHolds, Wrong> {
        self.target(name)?;
        let events = self
            .last(name, asked.last.unwrap_or(LAST).min(MOST))
            .await?;
        let held =
            holds(&asked.when, &events).map_err(|words| Wrong::Bad(format!("`when`: {words}")))?;
        Ok(ConditionHolds {
            holds: held,
            of: events.len(),
        })
    }
}

/// Chips or a template; the other one is answered.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChipsAsked {
    /// A template.
    #[serde(default)]
    pub template: Option<String>,
    /// Chips.
    #[serde(default)]
    pub chips: Option<Vec<Chip>>,
}

/// A template and its chips.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChipsView {
    /// The template.
    pub template: String,
    /// Its chips; nothing where chips cannot say it.
    pub chips: Option<Vec<Chip>>,
}

/// A template as chips, or chips as a template.
#[utoipa::path(post, path = "/v1/mappings/{target}/chips", tag = "mappings",
    params(("target" = String, Path, description = "The target")), request_body = ChipsAsked,
    responses((status = 200, body = ChipsView)))]
pub(super) async fn chips(
    State(editor): State<Arc<Editor>>,
    Path(name): Path<String>,
    Json(asked): Json<ChipsAsked>,
) -> Result<Json<ChipsView>, Wrong> {
    editor.target(&name)?;
    let template = match (asked.template, asked.chips) {
        (Some(template), None) => template,
        (None, Some(chips)) => {
            to_template(&chips).map_err(|words| Wrong::Bad(format!("`chips`: {words}")))?
        }
        _ => return Err(Wrong::Bad("give either `template` or `chips`".into())),
    };
    Ok(Json(ChipsView {
        chips: of_template(&template),
        template,
    }))
}

/// Suggestions.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Suggestions {
    /// Which source might fill which field; nothing is changed by it.
    pub suggestions: Vec<Suggestion>,
}

/// Which sources might fill which fields that the mapping does not fill.
#[utoipa::path(get, path = "/v1/mappings/{target}/suggestions", tag = "mappings",
    params(("target" = String, Path, description = "The target"), SourcesAsked), responses((status = 200, body = Suggestions)))]
pub(super) async fn suggestions(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Query(asked): Query<SourcesAsked>,
) -> Result<Json<Suggestions>, Wrong> {
    editor
        .suggestions(&name, &person, asked.event)
        .await
        .map(Json)
}

impl Editor {
    /// Which sources might fill which fields that the mapping does not fill.
    ///
    /// # Errors
    /// There is no such target or event.
    pub async fn suggestions(
        &self,
        name: &str,
        person: &Person,
        event: Option<i64>,
    ) -> Result<Suggestions, Wrong> {
        let target = self.target(name)?;
        let edited = self.edited(name, &person.name).await?;
        let event = self.event(event, None).await?;
        let Some(schema) = self.schema(target) else {
            return Ok(Suggestions {
                suggestions: Vec::new(),
            });
        };
        let fields = all_fields(edited.text()).unwrap_or_default();
        let mapped: BTreeSet<String> = fields.iter().map(|(path, _)| path.clone()).collect();
        let sources = sources_of(&event);
        let text = fields
            .iter()
            .map(|(_, keys)| Value::from_iter(keys.0.clone()).to_string());
        let text: String = text.collect();
        let used = sources
            .iter()
            .map(|source| source.path.clone())
            .filter(|path| text.contains(path.as_str()));
        let used: BTreeSet<String> = used.collect();
        Ok(Suggestions {
            suggestions: suggest::fields(&schema.1, &mapped, &used, &sources),
        })
    }
}
