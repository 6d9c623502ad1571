//! Business processes of the customer: a signal starts them, they read the record and call a web
//! service. They run for every row, also for those that we wrote.
//! <https://academy.creatio.com/docs/8.x/no-code-customization/bpm-tools/process-elements-reference/events/signal-start-event>

use std::collections::{BTreeMap, VecDeque};

use handoffd_contract::sandbox::Delivery;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Site;
use super::store::Row;
use crate::standard::{CALL, CASE_SCHEMA, COMPLETED, TASK};

/// Switches of this part.
pub(super) const SWITCHES: &str = "webhook_url, webhook_payload, webhook_retries, webhook_retry_delay_ms, webhook_delay_ms, webhook_own_rows, webhook_feed, webhook_owner";
/// Milliseconds that a "Call web service" element waits for an answer.
const TIMEOUT_MS: u64 = 5_000;
/// Processes that wait; the oldest is given up then.
const MAX_WAITING: usize = 100_000;

/// How a process fills the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Payload {
    /// As documented for admins.
    #[default]
    Full,
    /// Ids only.
    Ids,
    /// The case's id only.
    CaseOnly,
    /// Pascal case, upper-case ids in braces, the text as HTML.
    Odd,
}

#[derive(Debug, Clone)]
struct Signal {
    kind: &'static str,
    id: String,
    due: i64,
    attempt: u64,
}

/// The site's processes.
#[derive(Clone, Default)]
pub(super) struct Processes {
    url: String,
    payload: Payload,
    retries: u64,
    retry_delay: i64,
    delay: i64,
    /// Whether the signal's filter leaves out rows of the integration user.
    only_others: bool,
    feed: bool,
    owner: bool,
    waiting: VecDeque<Signal>,
    sent: BTreeMap<u64, Signal>,
    next: u64,
}

impl Processes {
    pub(super) fn switch(&mut self, name: &str, value: &Value) -> Result<bool, String> {
        let number = || {
            value
                .as_i64()
                .filter(|n| *n >= 0)
                .ok_or_else(|| format!("{name} takes a whole number"))
        };
        match name {
            "webhook_url" => {
                self.url = value
                    .as_str()
                    .ok_or("webhook_url takes an address, or \"\" for none")?
                    .to_owned()
            }
            "webhook_payload" => {
                self.payload = match value.as_str() {
                    Some("full") => Payload::Full,
                    Some("ids") => Payload::Ids,
                    Some("case_only") => Payload::CaseOnly,
                    Some("odd") => Payload::Odd,
                    _ => {
                        return Err(
                            "webhook_payload takes \"full\", \"ids\", \"case_only\" or \"odd\""
                                .into(),
                        );
                    }
                };
            }
            "webhook_retries" => self.retries = number()?.unsigned_abs(),
            "webhook_retry_delay_ms" => self.retry_delay = number()?,
            "webhook_delay_ms" => self.delay = number()?,
            "webhook_own_rows" => {
                self.only_others = !value
                    .as_bool()
                    .ok_or("webhook_own_rows takes true or false")?
            }
            "webhook_feed" => {
                self.feed = value.as_bool().ok_or("webhook_feed takes true or false")?
            }
            "webhook_owner" => {
                self.owner = value.as_bool().ok_or("webhook_owner takes true or false")?
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn start(&mut self, now: Timestamp, kind: &'static str, id: &str) {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Signal {
            kind,
            id: id.to_owned(),
            due: now.as_millisecond() + self.delay,
            attempt: 0,
        });
    }

    /// An error code or no answer is retried as often as the service says.
    pub(super) fn answered(&mut self, now: Timestamp, id: u64, status: Option<u16>) {
        let Some(mut signal) = self.sent.remove(&id) else {
            return;
        };
        if status.is_none_or(|status| status >= 400) && signal.attempt < self.retries {
            signal.attempt += 1;
            signal.due = now.as_millisecond() + self.retry_delay;
            self.waiting.push_back(signal);
        }
    }
}

impl Site {
    /// A row was saved: processes whose signal fits it start.
    pub(super) fn signal(&mut self, now: Timestamp, entity: &str, id: &str, before: Option<&Row>) {
        if self.processes.url.is_empty() {
            return;
        }
        let Some(row) = self.store.get(entity, id) else {
            return;
        };
        if self.processes.only_others && before.is_none() && row.text("CreatedById") == Site::user()
        {
            return;
        }
        let kind = match (entity, before) {
            ("Activity", None)
                if matches!(row.text("TypeId"), TASK | CALL) && !row.text("CaseId").is_empty() =>
            {
                "new_activity"
            }
            ("Activity", Some(before))
                if before.text("StatusId") != COMPLETED
                    && row.text("StatusId") == COMPLETED
                    && matches!(row.text("TypeId"), TASK | CALL)
                    && !row.text("CaseId").is_empty() =>
            {
                "activity_completed"
            }
            ("SocialMessage", None)
                if self.processes.feed && row.text("EntitySchemaUId") == CASE_SCHEMA =>
            {
                "new_post"
            }
            ("Case", Some(before)) if before.text("StatusId") != row.text("StatusId") => {
                let status = self.store.get("CaseStatus", row.text("StatusId"));
                match status {
                    Some(status) if status.flag("IsResolved") => "case_resolved",
                    Some(status) if status.flag("IsFinal") => "case_closed",
                    _ => return,
                }
            }
            ("Case", Some(before))
                if self.processes.owner && before.text("OwnerId") != row.text("OwnerId") =>
            {
                "case_owner"
            }
            _ => return,
        };
        self.processes.start(now, kind, id);
    }

    /// When the earliest call that waits becomes due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let earliest = self.processes.waiting.iter().map(|signal| signal.due).min();
        Timestamp::from_millisecond(earliest?).ok()
    }

    /// Calls that are due.
    pub(super) fn due_deliveries(&mut self, now: Timestamp) -> Vec<Delivery> {
        let mut due = Vec::new();
        let mut later = VecDeque::new();
        while let Some(signal) = self.processes.waiting.pop_front() {
            if signal.due > now.as_millisecond() {
                later.push_back(signal);
                continue;
            }
            let Some(body) = self.payload(&signal) else {
                continue;
            };
            self.processes.next += 1;
            let id = self.processes.next;
            due.push(Delivery {
                id,
                url: self.processes.url.clone(),
                headers: vec![("content-type".into(), "application/json".into())],
                body: body.to_string().into_bytes(),
                timeout_ms: TIMEOUT_MS,
            });
            self.processes.sent.insert(id, signal);
        }
        self.processes.waiting = later;
        due
    }

    /// The record is read when the process runs, not when the signal came.
    fn payload(&self, signal: &Signal) -> Option<Value> {
        let (entity, case_column, text_column, id_key) = match signal.kind {
            "new_activity" | "activity_completed" => {
                ("Activity", "CaseId", "DetailedResult", "activityId")
            }
            "new_post" => ("SocialMessage", "EntityId", "Message", "socialMessageId"),
            _ => ("Case", "Id", "", ""),
        };
        let row = self.store.get(entity, &signal.id)?;
        let case = row.text(case_column);
        if signal.kind == "case_owner" {
            let owner = row.text("OwnerId");
            let name = self.store.get("Contact", owner);
            let name = name.map_or("", |contact| contact.text("Name"));
            let mut body = json!({
                "event_type": signal.kind, "caseId": case, "ownerId": owner, "modifiedOn": row.text("ModifiedOn"),
            });
            if self.processes.payload == Payload::Full {
                body["ownerName"] = name.into();
            }
            return Some(body);
        }
        if entity == "Case" {
            return Some(match self.processes.payload {
                Payload::Odd => {
                    json!({ "EventType": signal.kind, "CaseId": format!("{{{}}}", case.to_uppercase()) })
                }
                _ => {
                    json!({ "event_type": signal.kind, "caseId": case, "statusId": row.text("StatusId") })
                }
            });
        }
        let text = match row.text(text_column) {
            "" => row.text("Title"),
            text => text,
        };
        let odd = match signal.kind {
            "activity_completed" => "ActivityCompleted",
            _ => "NewActivity",
        };
        Some(match self.processes.payload {
            Payload::Full => {
                let mut body = json!({ "event_type": signal.kind, "caseId": case, id_key: signal.id, "text": text, "createdById": row.text("CreatedById") });
                if entity == "Activity" {
                    body["statusId"] = row.text("StatusId").into();
                }
                body
            }
            Payload::Ids => json!({ "event_type": signal.kind, "caseId": case, id_key: signal.id }),
            Payload::CaseOnly => json!({ "event_type": signal.kind, "caseId": case }),
            Payload::Odd => {
                json!({ "EventType": odd, "CaseId": format!("{{{}}}", case.to_uppercase()),
                "ActivityId": format!("{{{}}}", signal.id.to_uppercase()), "Text": format!("<p>{}</p>", handoffd_contract::text::html(text)) })
            }
        })
    }
}
