//! A closed ticket is nobody's work: what comes in for it opens it again.
//!
//! The ticket's stage is read before anything is written, so a stage that a rep chose is never set
//! back while the ticket is open. A ticket that is gone gets a successor when the assistant hands over
//! again; messages alone make none.

use handoffd_contract::event::Handoff;
use handoffd_contract::{Call, Fact, HttpCall, Item, Method, Record, Repeat, Step};
use serde_json::{Value, json};

use super::Plan;
use crate::facts;

/// A pipeline and a stage of it, as the facts hold them.
pub fn stage_mark(pipeline: &str, stage: &str) -> String {
    format!("{pipeline}/{stage}")
}

impl Plan<'_> {
    /// The next step towards a ticket that is open; none when it is. `renewal` says what a successor
    /// begins with, where there may be one.
    pub(super) fn reopening(&self, item: &Item, ticket: &str, renewal: Value) -> Option<Step> {
        let stage = facts::stage_seen(&item.id);
        let Some(seen) = self.known.get(&stage) else {
            return Some(self.look_at_stage(ticket, &stage, renewal));
        };
        match self.is_closed(seen) {
            None => return self.closed_stages(),
            Some(false) => return None,
            Some(true) => {}
        }
        let reopened = facts::reopened(&item.id);
        let again = facts::stage_again(&item.id);
        match self.fact(&reopened) {
            Some(Fact::Is(_) | Fact::Refused { .. }) => None,
            None => Some(self.reopen(ticket, seen, &reopened, &again)),
            // The change may have been made, and a rep may have gone on from there.
            Some(Fact::Unsure { .. }) => Some(match self.known.get(&again) {
                None => self.look_at_stage(ticket, &again, Value::Null),
                Some(now) if self.is_closed(now) == Some(true) => {
                    self.reopen(ticket, now, &reopened, &again)
                }
                Some(_) => {
                    let record = Record {
                        facts: vec![(reopened, "done".into())],
                        events: Vec::new(),
                    };
                    Step::new("ticket.reopened", Repeat::Keyed, Call::Record(record))
                }
            }),
        }
    }

    /// What a ticket's successor begins with: everything that the handoff brings is shown there.
    pub(super) fn renewal(&self, item: &Item, handoff: &Handoff) -> Value {
        let messages = handoff
            .transcript
            .iter()
            .map(|message| facts::said(&message.id));
        let files = handoff.transcript.iter().flat_map(|message| {
            let files = message.attachments.iter();
            files.map(|file| facts::file(&message.id, &file.id))
        });
        let forgotten: Vec<String> = messages
            .chain(files)
            .filter(|fact| self.known.is(fact))
            .chain([facts::stage_seen(&item.id)])
            .collect();
        self.successor(forgotten)
    }

    /// The next ticket, and the facts that give way to it.
    pub(super) fn successor(&self, forgotten: Vec<String>) -> Value {
        json!({"generation": (self.generation() + 1).to_string(), "forget": forgotten})
    }

    /// The number of the session's ticket, counted from 1; the earlier ones were deleted.
    pub(super) fn generation(&self) -> u32 {
        let generation = self.known.get(facts::TICKET_GENERATION);
        generation.and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    pub(super) fn look_at_stage(&self, ticket: &str, fact: &str, renewal: Value) -> Step {
        let call = HttpCall::get(self.settings.paths.one("tickets", ticket))
            .query("properties", "hs_pipeline,hs_pipeline_stage");
        Step::look("ticket.stage", call)
            .context(json!({"ticket": ticket, "fact": fact, "renewal": renewal}))
    }

    fn reopen(&self, ticket: &str, seen: &str, fact: &str, again: &str) -> Step {
        let (pipeline, stage) = self.first_stage();
        let mut properties = json!({"hs_pipeline_stage": stage});
        // A stage belongs to its pipeline.
        if seen.split('/').next() != Some(pipeline.as_str()) {
            properties["hs_pipeline"] = json!(pipeline);
        }
        let call = HttpCall::new(Method::Patch, self.settings.paths.one("tickets", ticket))
            .json(json!({"properties": properties}));
        let step = Step::new("ticket.reopen", Repeat::Keyed, call)
            .claim_as(fact, "done")
            .claim(again);
        self.wrote(step, &properties)
    }

    /// The pipeline and the stage of new tickets.
    fn first_stage(&self) -> (String, String) {
        let resolved = |setting: &str, fact| self.resolved(setting, fact).unwrap_or_default();
        (
            resolved(&self.settings.pipeline, facts::PIPELINE),
            resolved(&self.settings.stage, facts::STAGE),
        )
    }

    /// Whether a stage is one of closed tickets: by the settings, else by what the pipeline says of
    /// it; `None` while that is not known.
    pub(super) fn is_closed(&self, seen: &str) -> Option<bool> {
        let Some((_, stage)) = seen.rsplit_once('/') else {
            // The ticket is gone; writing to it says so.
            return Some(false);
        };
        let settings = self.settings;
        if settings.closed_stages.iter().any(|closed| closed == stage)
            || self.closed_stage().as_deref() == Some(stage)
        {
            return Some(true);
        }
        let (pipeline, first) = self.first_stage();
        if seen == stage_mark(&pipeline, &first) {
            return Some(false);
        }
        let closed = self.known.get(facts::CLOSED_STAGES)?;
        Some(closed.split(' ').any(|closed| closed == seen))
    }

    pub(super) fn closed_stages(&self) -> Option<Step> {
        let call = HttpCall::get(self.settings.paths.pipelines());
        Some(Step::look("ticket.closed-stages", call))
    }
}
