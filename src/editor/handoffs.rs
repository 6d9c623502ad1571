//! Handoffs of a target to look at, those that are parked first.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use handoffd_contract::{Data, Event};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::document::mapped_fields;
use super::{Editor, Wrong};
use crate::ledger::{HandoffRow, LaneState};
use crate::operate::mask;

/// How many are listed where nothing is said.
const USUAL: usize = 50;
/// The most that are listed.
const MOST: usize = 200;

/// Which handoffs.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct HandoffsAsked {
    /// The target.
    pub target: String,
    /// At most so many; 50 where nothing is said, 200 at most.
    pub limit: Option<usize>,
}

/// A handoff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HandoffView {
    /// The event's number, by which the editor is given it.
    pub event: i64,
    /// The session, without the customer's digits.
    pub session: String,
    /// When it happened.
    #[schema(value_type = String)]
    pub time: Timestamp,
    /// The state of its lane: idle, due, held or parked.
    pub state: String,
    /// Why it waits or is parked, by the reason's label.
    pub reason: Option<String>,
    /// The CRM's words, without the handoff's values.
    pub message: Option<String>,
    /// The field of the mapping, as `section.name`, of which they complain.
    pub field: Option<String>,
}

/// Handoffs of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Handoffs {
    /// Those that are parked, then the others; each newest first.
    pub handoffs: Vec<HandoffView>,
    /// How many of them are parked.
    pub parked: usize,
}

/// The last handoffs of a target, those that are parked first, with the field of which the CRM complained.
#[utoipa::path(get, path = "/v1/handoffs", tag = "mappings", params(HandoffsAsked),
    responses((status = 200, body = Handoffs)))]
pub(super) async fn list(
    State(editor): State<Arc<Editor>>,
    Query(asked): Query<HandoffsAsked>,
) -> Result<Json<Handoffs>, Wrong> {
    editor.handoffs(&asked.target, asked.limit).await.map(Json)
}

impl Editor {
    /// The last handoffs of a target, those that are parked first.
    ///
    /// # Errors
    /// There is no such target, or the ledger failed.
    pub async fn handoffs(&self, name: &str, limit: Option<usize>) -> Result<Handoffs, Wrong> {
        let target = self.target(name)?;
        let limit = limit.unwrap_or(USUAL).clamp(1, MOST);
        let parked = self.ledger.handoffs(name, true, limit).await?;
        let others = self.ledger.handoffs(name, false, limit).await?;
        let others = others
            .into_iter()
            .filter(|row| row.state != LaneState::Parked);
        let live = self.mappings.mapping_get(name, None).await?;
        let fields: Vec<String> = live
            .map(|live| {
                mapped_fields(&live.text)
                    .into_iter()
                    .map(|field| field.field)
                    .collect()
            })
            .unwrap_or_default();
        let count = parked.len();
        let mut handoffs = Vec::new();
        for row in parked.into_iter().chain(others).take(limit.max(count)) {
            let event = match &row.stop {
                Some(_) => self.operators.event(row.seq).await?,
                None => None,
            };
            let field = row
                .stop
                .as_ref()
                .and_then(|stop| target.connector.field_named(&stop.message, &fields));
            handoffs.push(view(row, event.as_ref(), field));
        }
        Ok(Handoffs {
            handoffs,
            parked: count,
        })
    }
}

fn view(row: HandoffRow, event: Option<&Event>, field: Option<String>) -> HandoffView {
    let contact = event.and_then(|event| match &event.data {
        Data::HandoffRequested(handoff) => Some(&handoff.contact),
        _ => None,
    });
    let mut values = mask::Values::default();
    if let Some(event) = event {
        values.also_of(event);
    }
    HandoffView {
        event: row.seq,
        session: mask::session(&row.session, contact),
        time: row.time,
        state: row.state.word().to_owned(),
        reason: row.stop.as_ref().map(|stop| stop.reason.label().to_owned()),
        message: row
            .stop
            .as_ref()
            .map(|stop| mask::words(&stop.message, &values)),
        field,
    }
}
