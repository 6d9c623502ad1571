//! The handoff that is looked at: one of the ledger, a pasted one, or the built-in one.

use handoffd_contract::settings::without_value;
use handoffd_contract::{Data, Event};
use serde_json::Value;

use super::{Editor, Wrong};
use crate::mapping::sample;

impl Editor {
    /// The event that is meant.
    ///
    /// # Errors
    /// There is no such event, or what was pasted is none.
    pub(super) async fn event(
        &self,
        seq: Option<i64>,
        pasted: Option<Value>,
    ) -> Result<Event, Wrong> {
        let event = match (seq, pasted) {
            (Some(_), Some(_)) => {
                return Err(Wrong::Bad(
                    "`event` and `payload` exclude each other".into(),
                ));
            }
            (None, None) => return Ok(sample()),
            (Some(seq), None) => {
                let found = self.operators.event(seq).await?;
                found.ok_or_else(|| Wrong::NotFound(format!("there is no event {seq}")))?
            }
            (None, Some(pasted)) => serde_json::from_value(pasted).map_err(|error| {
                let words = without_value(&error);
                Wrong::Bad(format!(
                    "`payload` is not an event: {words}; paste a CloudEvent as the gateway sends it"
                ))
            })?,
        };
        match event.data {
            Data::HandoffRequested(_)
            | Data::MessageReceived(_)
            | Data::MessageSent(_)
            | Data::CustomerNotice(_) => Ok(event),
            _ => Err(Wrong::Bad(
                "a mapping is for a handoff, a message or a notice, and the event is none of them"
                    .into(),
            )),
        }
    }

    /// The last handoffs of a target, newest first.
    pub(super) async fn last(
        &self,
        target: &str,
        count: usize,
    ) -> Result<Vec<(i64, Event)>, Wrong> {
        Ok(self.ledger.handoff_events(target, count).await?)
    }
}
