//! Sources with their values, and what a field makes of these.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::document::parsed;
use super::masked::{Masks, Shown};
use super::{Editor, Wrong};
use crate::access::Person;
use crate::mapping::captions::{Meant, meant};
use crate::mapping::edit::{FieldEdit, field};
use crate::mapping::sources::{counted, shares, sources as sources_of};
use crate::mapping::suggest;

/// How many handoffs are looked at where nothing is said.
pub(super) const LAST: usize = 100;
/// The most handoffs that are looked at.
pub(super) const MOST: usize = 500;

/// Which handoff.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SourcesAsked {
    /// A handoff's event; the built-in one where none is named.
    pub event: Option<i64>,
    /// In how many of the last handoffs each source is counted.
    pub last: Option<usize>,
    /// Show values as they are.
    #[serde(default)]
    pub unmask: bool,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SourceView {
    /// What a template names it.
    pub path: String,
    /// Its value in this handoff, as it is shown.
    pub sample: Shown,
    /// In how many of the last handoffs it is there.
    pub there: usize,
}

/// What a template can take.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Sources {
    /// The sources.
    pub sources: Vec<SourceView>,
    /// How many handoffs were looked at.
    pub of: usize,
}

/// Every source of a handoff, and how often it is there.
#[utoipa::path(get, path = "/v1/mappings/{target}/sources", tag = "mappings",
    params(("target" = String, Path, description = "The target"), SourcesAsked), responses((status = 200, body = Sources)))]
pub(super) async fn sources(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Query(asked): Query<SourcesAsked>,
) -> Result<Json<Sources>, Wrong> {
    editor.sources(&name, &person, asked).await.map(Json)
}

impl Editor {
    /// Every source of a handoff, and how often it is there.
    ///
    /// # Errors
    /// There is no such target or event, or values may not be shown.
    pub async fn sources(
        &self,
        name: &str,
        person: &Person,
        asked: SourcesAsked,
    ) -> Result<Sources, Wrong> {
        let edited = self.edited(name, &person.name).await?;
        let object = format!("{name}, event {}", asked.event.unwrap_or_default());
        let unmasked = self.unmasked(person, asked.unmask, &object).await?;
        let event = self.event(asked.event, None).await?;
        let events = self
            .last(name, asked.last.unwrap_or(LAST).min(MOST))
            .await?;
        let shares = shares(&events);
        let kind = self.target(name)?.kind;
        let keys = parsed(kind, name, edited.text()).map(|mapping| mapping.map_keys());
        let masks = Masks {
            unmasked,
            keys: keys.unwrap_or_default(),
        };
        let mut found: Vec<SourceView> = sources_of(&event)
            .into_iter()
            .map(|source| SourceView {
                sample: masks.source(&source.path, source.value.as_ref(), &event),
                there: shares.get(&source.path).copied().unwrap_or(0),
                path: source.path,
            })
            .collect();
        // What other handoffs have and this one has not.
        for (path, there) in shares {
            if !found.iter().any(|source| source.path == path) {
                found.push(SourceView {
                    path,
                    sample: Shown::default(),
                    there,
                });
            }
        }
        Ok(Sources {
            sources: found,
            of: events.len(),
        })
    }
}

/// Which source, and through which field.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ValuesAsked {
    /// The source's path, such as `fields.category`.
    pub source: String,
    /// How many of the last handoffs are looked at; 500 at most.
    pub last: Option<usize>,
    /// The field, as `section.name`, through whose value map the values go.
    pub field: Option<String>,
    /// Show values as they are.
    #[serde(default)]
    pub unmask: bool,
}

/// A value that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ValueView {
    /// The value, as it is shown.
    pub value: Shown,
    /// How often.
    pub count: usize,
    /// What the field's map makes of it; nothing where it is not mapped.
    pub becomes: Option<String>,
    /// What people read of that in the CRM.
    pub caption: Option<String>,
    /// Whether the CRM takes that.
    pub fits: bool,
    /// An option that it might mean.
    pub suggestion: Option<String>,
}

/// The values that a source had.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Values {
    /// The values, the most frequent first.
    pub values: Vec<ValueView>,
    /// How often it was empty.
    pub empty: usize,
    /// Whether there were more values.
    pub more: bool,
    /// How many handoffs were looked at.
    pub of: usize,
    /// What a value does that the map does not have, in words.
    pub unmapped: String,
}

/// The values that a source had in the last handoffs, and what a field makes of them.
#[utoipa::path(get, path = "/v1/mappings/{target}/values", tag = "mappings",
    params(("target" = String, Path, description = "The target"), ValuesAsked), responses((status = 200, body = Values)))]
pub(super) async fn values(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Query(asked): Query<ValuesAsked>,
) -> Result<Json<Values>, Wrong> {
    editor.values(&name, &person, asked).await.map(Json)
}

impl Editor {
    /// The values that a source had in the last handoffs, and what a field makes of them.
    ///
    /// # Errors
    /// There is no such target or source, or values may not be shown.
    pub async fn values(
        &self,
        name: &str,
        person: &Person,
        asked: ValuesAsked,
    ) -> Result<Values, Wrong> {
        let target = self.target(name)?;
        let edited = self.edited(name, &person.name).await?;
        let unmasked = self
            .unmasked(person, asked.unmask, &format!("{name}, {}", asked.source))
            .await?;
        let events = self
            .last(name, asked.last.unwrap_or(MOST).min(MOST))
            .await?;
        let counted = counted(&asked.source, &events).map_err(Wrong::Bad)?;
        let path = asked.field.as_deref().unwrap_or_default();
        let (section, code) = path.split_once('.').unwrap_or_default();
        let keys = field(edited.text(), section, code)
            .ok()
            .flatten()
            .unwrap_or_default();
        let schema = self.schema(target);
        let schema = schema.as_deref().map(|(_, schema)| schema);
        let of_crm = schema.and_then(|schema| Some((schema, schema.field(section, code)?)));
        let mapping = parsed(target.kind, name, edited.text());
        let masks = Masks {
            unmasked,
            keys: mapping
                .map(|mapping| mapping.map_keys())
                .unwrap_or_default(),
        };
        let values = counted.values.into_iter().map(|(value, count)| {
            let becomes = mapped(&keys, &value);
            let sent = becomes.clone().unwrap_or_else(|| value.clone());
            let (fits, caption) = match of_crm {
                Some((schema, field)) => {
                    let meant = meant(schema, field, &Value::from(sent.as_str()));
                    let code = match &meant {
                        Meant::Code(Value::String(code)) => code.clone(),
                        _ => sent.clone(),
                    };
                    let options = schema.options(field);
                    let choice = options.and_then(|options| {
                        options.list.iter().find(|choice| choice.value == code)
                    });
                    (
                        meant != Meant::Nothing,
                        choice.map(|choice| choice.caption.clone()),
                    )
                }
                None => (true, None),
            };
            let options = of_crm.and_then(|(schema, field)| schema.options(field));
            let suggestion = options
                .filter(|_| becomes.is_none() || !fits)
                .and_then(|options| suggest::option(&value, &options.list))
                .map(|choice| choice.value.clone());
            ValueView {
                value: masks.counted(&value, count, &asked.source),
                count,
                becomes,
                caption,
                fits,
                suggestion,
            }
        });
        Ok(Values {
            values: values.collect(),
            empty: counted.empty,
            more: counted.more,
            of: counted.events,
            unmapped: unmapped(&keys),
        })
    }
}

/// What the map makes of a value, first to the letter, then regardless of case.
fn mapped(keys: &FieldEdit, value: &str) -> Option<String> {
    let map = keys.0.get("map")?.as_object()?;
    let loosely = || {
        let mut entries = map.iter();
        entries
            .find(|(key, _)| key.to_lowercase() == value.to_lowercase())
            .map(|(_, to)| to)
    };
    map.get(value).or_else(loosely).map(super::masked::written)
}

/// What becomes of a value that the map does not have.
fn unmapped(keys: &FieldEdit) -> String {
    let text = |key: &str| keys.0.get(key).map(super::masked::written);
    if !keys.0.contains_key("map") {
        return "the field has no value map: every value is sent as it is".into();
    }
    match (text("map_default"), text("misfit").as_deref()) {
        (Some(other), _) => format!("becomes {other}"),
        (None, Some("park")) => "stops the handoff, until a person has looked".into(),
        (None, _) => "is left out, and the rep is told".into(),
    }
}
