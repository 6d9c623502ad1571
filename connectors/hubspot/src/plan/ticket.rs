//! The ticket: created once per session, under a unique property.
//!
//! An upsert would set the stage, owner and priority back that a rep has changed meanwhile, so the
//! ticket is created, and when HubSpot says that it exists, read and adopted.

use handoffd_contract::event::Handoff;
use handoffd_contract::{Contact, HttpCall, Item, Message, Refusal, Repeat, Step};
use serde_json::{Map, Value, json};

use super::Plan;
use crate::facts;
use crate::settings::{Comments, Transcript, is_id};
use crate::words;

/// `ticket → contact`. <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>
const TICKET_TO_CONTACT: u32 = 16;

/// The ticket property that names its conversation thread.
pub const THREAD: &str = "hs_conversations_originating_thread_id";

impl Plan<'_> {
    /// Everything up to and with the ticket.
    pub(super) fn opening(
        &self,
        item: &Item,
        handoff: &Handoff,
        contact: &Contact,
    ) -> Result<Vec<Step>, Refusal> {
        let mut steps = self.contact(item, contact)?;
        steps.extend(self.pipelines());
        steps.extend(self.owner());
        if !steps.is_empty() {
            return Ok(steps);
        }
        if !self.known.unsure(facts::TICKET)
            && let Some(step) = self.appending()
        {
            return Ok(vec![step]);
        }
        let (properties, shown) = self.ticket_properties(item, handoff, contact);
        let properties = Value::Object(properties);
        let step = match self.known.get(facts::TICKET_CONFLICT) {
            Some(state) => self.ticket_look(Some(state)),
            None if self.known.unsure(facts::TICKET) => self.ticket_look(None),
            None => return Ok(self.ticket_create(item, contact, &properties, &shown)),
        };
        let step = self.wrote(step, &properties);
        Ok(vec![self.claim(step, item, &shown).context(json!({
            "marker": words::printed(&self.marker(&item.id)),
            "conflict": self.known.get(facts::TICKET_CONFLICT),
            "next": (self.generation() + 1).to_string(),
        }))])
    }

    /// Everything that creating the ticket settles.
    fn claim(&self, step: Step, item: &Item, shown: &[&Message]) -> Step {
        let step = step
            .claim(facts::TICKET)
            .claim_as(facts::TICKET_BY, &item.id)
            .claim_as(facts::IN_CHARGE, self.controller(item))
            .claim(facts::thread(&item.id));
        shown
            .iter()
            .fold(step, |step, message| step.claim(facts::said(&message.id)))
    }

    fn ticket_look(&self, conflict: Option<&str>) -> Step {
        let call = HttpCall::get(self.settings.paths.one("tickets", &self.handoff_id()))
            .query("idProperty", &self.settings.handoff_id_property)
            .query("properties", format!("content,{THREAD}"));
        // A deleted ticket still holds its unique value, and is only read when asked for.
        let call = if conflict == Some("archived") {
            call.query("archived", "true")
        } else {
            call
        };
        Step::look("ticket.look", call)
    }

    fn ticket_create(
        &self,
        item: &Item,
        contact: &Contact,
        properties: &Value,
        shown: &[&Message],
    ) -> Vec<Step> {
        let link = |to: &str| {
            json!([{
                "to": {"id": to},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TICKET_TO_CONTACT}],
            }])
        };
        let links = self.contact_id().map_or_else(|| json!([]), link);
        let body = json!({"properties": properties, "associations": links});
        let call = HttpCall::post(self.settings.paths.object("tickets"), body);
        let create = self.wrote(Step::new("ticket.create", Repeat::Keyed, call), properties);
        let create = self.claim(create, item, shown).context(json!({
            "required": ["subject", "content", "hs_pipeline", "hs_pipeline_stage", self.settings.handoff_id_property],
            "key": self.settings.handoff_id_property,
        }));
        std::iter::once(create)
            .chain(self.contact_update(item, contact))
            .collect()
    }

    /// The ticket's properties, and the messages that its description holds.
    fn ticket_properties<'h>(
        &self,
        item: &Item,
        handoff: &'h Handoff,
        contact: &Contact,
    ) -> (Map<String, Value>, Vec<&'h Message>) {
        let settings = self.settings;
        let mut properties = Map::new();
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
                properties.insert(name.to_owned(), Value::String(value));
            }
        };
        set("subject", Some(words::subject(handoff, contact)));
        set(
            "hs_pipeline",
            self.resolved(&settings.pipeline, facts::PIPELINE),
        );
        set(
            "hs_pipeline_stage",
            self.resolved(&settings.stage, facts::STAGE),
        );
        set("hs_ticket_priority", settings.priority.clone());
        let owner = settings
            .owner
            .as_deref()
            .and_then(|owner| self.resolved(owner, facts::OWNER));
        set("hubspot_owner_id", owner);
        if let Some(name) = &settings.session_url_property {
            set(name, handoff.session.url.clone());
        }
        for (name, value) in self.stood(self.standing_of(item, handoff)) {
            properties.insert(name, value);
        }
        self.overlay(item, "ticket", &mut properties);
        let content = match properties.get("content").and_then(Value::as_str) {
            Some(mapped) => words::mapped(mapped),
            None => head(handoff),
        };
        let text = |name: &str| {
            properties
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let candidates = match settings.transcript {
            Transcript::Content => self.unsaid(handoff),
            Transcript::Notes => Vec::new(),
        };
        let (content, shown) = words::content(
            &content,
            &candidates,
            contact,
            &settings.zone,
            &self.marker(&item.id),
        );
        let subject = handoffd_contract::text::truncate(
            &text("subject").replace(['\r', '\n'], " "),
            words::MAX_SUBJECT,
        );
        properties.insert("subject".into(), Value::String(subject));
        properties.insert("content".into(), Value::String(content));
        properties.insert(
            settings.handoff_id_property.clone(),
            Value::String(self.handoff_id()),
        );
        (properties, candidates.into_iter().take(shown).collect())
    }

    fn unsaid<'h>(&self, handoff: &'h Handoff) -> Vec<&'h Message> {
        let mut seen = std::collections::BTreeSet::new();
        handoff
            .transcript
            .iter()
            .filter(|message| {
                seen.insert(message.id.as_str()) && !self.known.is(&facts::said(&message.id))
            })
            .collect()
    }

    /// A setting that is an id, or what its label was found to stand for.
    pub(super) fn resolved(&self, setting: &str, fact: &str) -> Option<String> {
        if is_id(setting) {
            Some(setting.to_owned())
        } else {
            self.known.get(fact).map(str::to_owned)
        }
    }

    /// The closed stage's id, once it is known.
    pub(super) fn closed_stage(&self) -> Option<String> {
        self.resolved(self.settings.closed_stage.as_deref()?, facts::CLOSED_STAGE)
    }

    /// Reads the pipelines when the settings give labels; side by side with the contact's look-up.
    pub(super) fn pipelines(&self) -> Option<Step> {
        let settings = self.settings;
        let open = |setting: Option<&str>, fact: &str| {
            setting
                .filter(|setting| !is_id(setting) && !self.known.is(fact))
                .map(str::to_owned)
        };
        let wanted = [
            open(Some(&settings.pipeline), facts::PIPELINE),
            open(Some(&settings.stage), facts::STAGE),
            open(settings.closed_stage.as_deref(), facts::CLOSED_STAGE),
        ];
        if wanted.iter().all(Option::is_none) {
            return None;
        }
        let context = json!({
            "pipeline": settings.pipeline, "stage": settings.stage, "closed": settings.closed_stage,
        });
        Some(
            Step::look(
                "ticket.pipelines",
                HttpCall::get(settings.paths.pipelines()),
            )
            .context(context),
        )
    }

    fn owner(&self) -> Option<Step> {
        let owner = self.settings.owner.as_deref()?;
        if is_id(owner) || self.known.is(facts::OWNER) {
            return None;
        }
        let call = HttpCall::get(self.settings.paths.owners())
            .query("email", owner)
            .query("limit", "100");
        Some(Step::look("ticket.owner", call).context(json!({"email": owner})))
    }

    /// Whether the ticket has a thread, where comments shall go into threads.
    pub(super) fn thread(&self, item: &Item, ticket: &str) -> Option<Step> {
        let fact = facts::thread(&item.id);
        if self.settings.comments == Comments::Note || self.known.is(&fact) {
            return None;
        }
        let call =
            HttpCall::get(self.settings.paths.one("tickets", ticket)).query("properties", THREAD);
        Some(Step::look("ticket.thread", call).context(json!({"fact": fact})))
    }

    /// Where a person finds the ticket.
    pub(super) fn ticket_url(&self, ticket: &str) -> Option<String> {
        let built = || {
            let portal = self.settings.portal_id.as_ref()?;
            Some(format!(
                "https://{}/contacts/{portal}/record/0-5/{ticket}",
                self.settings.ui_domain
            ))
        };
        self.known
            .get(facts::TICKET_URL)
            .map(str::to_owned)
            .or_else(built)
    }
}

/// The head of the description when the mapping gives none.
fn head(handoff: &Handoff) -> String {
    let lines = words::reasoning(handoff)
        .into_iter()
        .map(|(label, value)| match label.as_str() {
            "Summary" => value,
            label => format!("{label}: {value}"),
        });
    lines.collect::<Vec<_>>().join("\n")
}
