//! Mappings edited: what a CRM would get, what it would say to that, and how a change comes into force.
//!
//! Everything is a call of the admin API; the pages show what these calls answer. What a field would be is computed on
//! real values and shown masked.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `wrong` | why a call is not answered |
//! | `masked` | what of a value is shown |
//! | `document` | a target's mapping: in force, as a draft, in its parts |
//! | `events` | the handoff that is looked at |
//! | `preview` | the state of each field, and the requests that the CRM would get |
//! | `body` | a request as lines that lead to fields |
//! | `look` | sources with their values |
//! | `hints` | conditions, suggestions, chips |
//! | `drafts` | drafts saved, given up, brought up to date |
//! | `publish` | a draft put in force, and parked handoffs tried again |
//! | `versions` | versions, differences, restored, imported, exported |
//! | `compared` | a draft beside what is in force, over the last handoffs |
//! | `dry_run` | a record made in the CRM to hear its answer, and removed again |
//! | `saved_tests` | tests run and kept |
//! | `crm` | what the CRM's records can hold, and what changed there |
//! | `handoffs` | handoffs of a target, those that are parked first |
//! | `dialects` | the same for the words of a gateway |

mod body;
mod compared;
mod crm;
mod dialects;
mod document;
mod drafts;
mod dry_run;
mod events;
mod handoffs;
mod hints;
mod look;
mod masked;
mod preview;
mod publish;
mod saved_tests;
mod versions;
mod wrong;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use serde_json::Value;

pub use compared::{CompareAsked, Compared};
pub use crm::{CrmSchema, Read};
pub use document::{DraftView, Listed, MappingView};
pub use handoffs::Handoffs;
pub use masked::Shown;
pub use preview::{Asked, FieldView, Previewed};
pub use publish::{PublishAsked, Published};
pub use wrong::Wrong;

use crate::access::Audit;
use crate::intake::Dialects;
use crate::ledger::{EditorLedger, MappingLedger, OperatorLedger};
use crate::target::Target;

/// The largest request: a mapping's file or a pasted handoff.
const MAX_BODY: usize = 2 << 20;

/// What editing needs.
pub struct Editor {
    /// Versions of mappings.
    pub mappings: Arc<dyn MappingLedger>,
    /// Drafts, schemas, handoffs.
    pub ledger: Arc<dyn EditorLedger>,
    /// Events by number, and lanes put back to work.
    pub operators: Arc<dyn OperatorLedger>,
    /// The targets.
    pub targets: BTreeMap<String, Arc<Target>>,
    /// The dialects that are spoken.
    pub dialects: Arc<Dialects>,
    /// What was done by whom.
    pub audit: Audit,
}

/// The routes; who asks stands in each request already.
pub fn routes<S: Clone + Send + Sync + 'static>(editor: Arc<Editor>) -> Router<S> {
    Router::new()
        .route("/v1/mappings", get(document::list))
        .route("/v1/mappings/{target}", get(document::show))
        .route(
            "/v1/mappings/{target}/draft",
            get(drafts::show).put(drafts::save).delete(drafts::discard),
        )
        .route("/v1/mappings/{target}/draft/rebase", post(drafts::rebase))
        .route("/v1/mappings/{target}/preview", post(preview::preview))
        .route("/v1/mappings/{target}/compare", post(compared::compare))
        .route("/v1/mappings/{target}/dry-run", post(dry_run::dry_run))
        .route("/v1/mappings/{target}/publish", post(publish::publish))
        .route("/v1/mappings/{target}/sources", get(look::sources))
        .route("/v1/mappings/{target}/values", get(look::values))
        .route("/v1/mappings/{target}/condition", post(hints::condition))
        .route("/v1/mappings/{target}/chips", post(hints::chips))
        .route("/v1/mappings/{target}/suggestions", get(hints::suggestions))
        .route("/v1/mappings/{target}/tests", get(saved_tests::list))
        .route("/v1/mappings/{target}/tests/run", post(saved_tests::run))
        .route("/v1/mappings/{target}/tests/keep", post(saved_tests::keep))
        .route("/v1/mappings/{target}/versions", get(versions::list))
        .route(
            "/v1/mappings/{target}/versions/{span}",
            get(versions::between),
        )
        .route("/v1/mappings/{target}/restore", post(versions::restore))
        .route("/v1/mappings/{target}/import", post(versions::import))
        .route("/v1/mappings/{target}/export", get(versions::export))
        .route("/v1/targets/{target}/schema", get(crm::show))
        .route("/v1/targets/{target}/schema/read", post(crm::read_again))
        .route("/v1/handoffs", get(handoffs::list))
        .route("/v1/dialects", get(dialects::list))
        .route("/v1/dialects/{name}", get(dialects::show))
        .route("/v1/dialects/{name}/draft", get(dialects::draft))
        .route(
            "/v1/dialects/{name}/draft",
            put(dialects::save).delete(dialects::discard),
        )
        .route("/v1/dialects/{name}/preview", post(dialects::preview))
        .route("/v1/dialects/{name}/publish", post(dialects::publish))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(editor)
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(
    document::list,
    document::show,
    drafts::show,
    drafts::save,
    drafts::discard,
    drafts::rebase,
    preview::preview,
    compared::compare,
    dry_run::dry_run,
    publish::publish,
    look::sources,
    look::values,
    hints::condition,
    hints::chips,
    hints::suggestions,
    saved_tests::list,
    saved_tests::run,
    saved_tests::keep,
    versions::list,
    versions::between,
    versions::restore,
    versions::import,
    versions::export,
    crm::show,
    crm::read_again,
    handoffs::list,
    dialects::list,
    dialects::show,
    dialects::draft,
    dialects::save,
    dialects::discard,
    dialects::preview,
    dialects::publish,
))]
struct Operations;

/// What stands of these calls in the API's document. Their ids and the names of their schemas are made of where
/// they stand, so that they are nobody else's.
#[must_use]
pub fn operations() -> utoipa::openapi::OpenApi {
    const SCHEMAS: &str = "#/components/schemas/";
    let own = <Operations as utoipa::OpenApi>::openapi();
    let Ok(text) = serde_json::to_string(&own) else {
        return own;
    };
    let text = text.replace(SCHEMAS, &format!("{SCHEMAS}Mapping"));
    let Ok(mut document) = serde_json::from_str::<Value>(&text) else {
        return own;
    };
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        let named = std::mem::take(schemas).into_iter();
        schemas.extend(named.map(|(name, schema)| (format!("Mapping{name}"), schema)));
    }
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            let words = format!("{method}{path}").replace(|c: char| !c.is_alphanumeric(), "_");
            operation["operationId"] = words.trim_end_matches('_').replace("__", "_").into();
        }
    }
    serde_json::from_value(document).unwrap_or(own)
}
