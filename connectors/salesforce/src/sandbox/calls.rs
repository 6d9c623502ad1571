//! Calls about conversations, except those that send.

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::switches::EntryPayload;
use super::thread::{Conversation, NOTE, system};
use super::{
    DEPLOYMENT, MAX_CONVERSATIONS, ORG_ID, Org, bad, body, error, is_v4, too_many, unknown,
};

const RECEIPTS: &[&str] = &["Delivery", "Read"];

impl Org {
    pub(super) fn create(&mut self, now: Timestamp, request: &Request, subject: &str) -> Response {
        let asked = match body(
            request,
            &[
                "conversationId",
                "esDeveloperName",
                "language",
                "routingAttributes",
            ],
        ) {
            Ok(asked) => asked,
            Err(response) => return response,
        };
        let id = asked["conversationId"].as_str().unwrap_or("");
        if !is_v4(id) {
            return bad(
                "Specify the conversationId in UUID format. The UUID must be in lowercase.",
            );
        }
        let attributes = match self.common(&asked) {
            Ok(attributes) => attributes,
            Err(response) => return response,
        };
        if self.conversations.iter().any(|c| c.id == id) {
            return error(409, "CONFLICT", "The conversation already exists.");
        }
        if self.conversations.len() >= MAX_CONVERSATIONS {
            self.conversations.remove(0);
        }
        self.conversations.push(Conversation {
            id: id.to_owned(),
            owner: subject.to_owned(),
            language: asked["language"].as_str().map(str::to_owned),
            attributes: attributes.clone(),
            started: now,
            closed: None,
            routing: "INITIAL",
            agent: None,
            sessions: Vec::new(),
            entries: Vec::new(),
            receipts: Vec::new(),
            typing: None,
            place: None,
            bot: false,
        });
        if self.switches.create_starts_session {
            self.begin(now, self.conversations.len() - 1, attributes);
        }
        Response::json(201, &json!({}))
    }

    /// What creating and sending have in common; gives the routing attributes.
    pub(super) fn common(&self, asked: &Value) -> Result<Map<String, Value>, Response> {
        match asked["esDeveloperName"].as_str() {
            Some(DEPLOYMENT) => {}
            Some(_) => {
                return Err(bad(
                    "Set the esDeveloperName to a deploymentType that's set to api",
                ));
            }
            None => return Err(bad("Specify the esDeveloperName.")),
        }
        if !matches!(asked["language"], Value::Null | Value::String(_)) {
            return Err(bad("Specify the language as a string."));
        }
        let attributes = match &asked["routingAttributes"] {
            Value::Null => Map::new(),
            Value::Object(attributes) => attributes.clone(),
            _ => return Err(bad("Specify the routingAttributes as a map.")),
        };
        for (name, value) in &attributes {
            let Some(text) = value.as_str() else {
                return Err(bad(format!("The routing attribute {name} isn't a string.")));
            };
            if text.chars().count() > self.switches.attribute_limit {
                return Err(bad(format!(
                    "The value of the routing attribute {name} exceeds its maximum length."
                )));
            }
        }
        Ok(attributes)
    }

    pub(super) fn list(&self, request: &Request, subject: &str) -> Response {
        if let Some((name, _)) = request
            .query
            .iter()
            .find(|(n, _)| !matches!(n.as_str(), "inclClosedConvs" | "limit"))
        {
            return bad(format!("Unrecognized parameter: {name}"));
        }
        let limit = match limit(request) {
            Ok(limit) => limit,
            Err(response) => return response,
        };
        let closed = request.param("inclClosedConvs") == Some("true");
        let mine: Vec<&Conversation> = self
            .conversations
            .iter()
            .filter(|c| c.owner == subject)
            .collect();
        let open = mine.iter().filter(|c| c.closed.is_none()).count();
        let shown: Vec<Value> = mine
            .iter()
            .rev()
            .filter(|c| closed || c.closed.is_none())
            .take(limit)
            .map(|c| {
                json!({
                    "conversationId": c.id, "startTimestamp": c.started.as_millisecond(),
                    "endTimestamp": c.closed.map_or(0, Timestamp::as_millisecond),
                })
            })
            .collect();
        let closed_found = if closed { mine.len() - open } else { 0 };
        Response::json(
            200,
            &json!({ "openConversationsFound": open, "closedConversationsFound": closed_found, "conversations": shown }),
        )
    }

    pub(super) fn routing_status(&self, at: usize) -> Response {
        let conversation = &self.conversations[at];
        Response::json(
            200,
            &json!({ "conversationId": conversation.id, "routingStatus": conversation.routing }),
        )
    }

    pub(super) fn entries(&mut self, now: Timestamp, request: &Request, at: usize) -> Response {
        let id = self.conversations[at].id.clone();
        let before = self.entries_read.get(&id);
        let since = before.map_or(i64::MAX, |before| {
            now.as_millisecond() - before.as_millisecond()
        });
        if since < self.switches.entries_gap_ms {
            return too_many(self.switches.entries_gap_ms - since);
        }
        self.entries_read.insert(id, now);
        let known = [
            "limit",
            "startTimestamp",
            "endTimestamp",
            "direction",
            "entryTypeFilter",
        ];
        if let Some((name, _)) = request
            .query
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()))
        {
            return bad(format!("Unrecognized parameter: {name}"));
        }
        let limit = match limit(request) {
            Ok(limit) => limit,
            Err(response) => return response,
        };
        let time = |name: &str| match request.param(name).map(str::parse::<i64>) {
            None => Ok(None),
            Some(Ok(time)) => Ok(Some(time)),
            Some(Err(_)) => Err(bad(format!("Specify the {name} in milliseconds."))),
        };
        let (from, until) = match (time("startTimestamp"), time("endTimestamp")) {
            (Ok(from), Ok(until)) => (from.unwrap_or(0), until.unwrap_or(i64::MAX)),
            (Err(response), _) | (_, Err(response)) => return response,
        };
        let from_start = match request.param("direction") {
            Some("FromStart") => true,
            None | Some("FromEnd") => false,
            Some(_) => return bad("Set the direction to FromStart or FromEnd."),
        };
        let kinds: Option<Vec<&str>> = request
            .param("entryTypeFilter")
            .map(|filter| filter.split(',').collect());
        const KINDS: &[&str] = &["Message", "ParticipantChanged", "RoutingResult"];
        if kinds.iter().flatten().any(|kind| !KINDS.contains(kind)) {
            return bad("Set the entryTypeFilter to Message, ParticipantChanged or RoutingResult.");
        }
        let wanted = kinds.unwrap_or_else(|| KINDS.to_vec());
        let mut found: Vec<_> = self.conversations[at]
            .entries
            .iter()
            .filter(|e| e.kind != NOTE && e.sender.role != "Supervisor" && wanted.contains(&e.kind))
            .filter(|e| (from..=until).contains(&e.at.as_millisecond()))
            .collect();
        if !from_start {
            found.drain(..found.len().saturating_sub(limit));
        }
        found.truncate(limit);
        if self.switches.entries_newest_first {
            found.reverse();
        }
        let as_text = self.switches.entry_payload == EntryPayload::String;
        let list: Vec<Value> = found
            .into_iter()
            .map(|e| {
                let payload = if as_text {
                    e.payload.to_string().into()
                } else {
                    e.payload.clone()
                };
                Conversation::entry_json(e, payload)
            })
            .collect();
        Response::json(200, &json!({ "conversationEntries": list }))
    }

    /// Ends the messaging session and keeps the conversation.
    pub(super) fn end_by_customer(
        &mut self,
        now: Timestamp,
        request: &Request,
        at: usize,
    ) -> Response {
        if let Err(response) = deployment(request) {
            return response;
        }
        if self.conversations[at].session().is_none() {
            return error(404, "NOT_FOUND", "There's no active messaging session.");
        }
        self.end(now, at, "EndUser");
        Response::empty(204)
    }

    /// Closes the conversation for good.
    pub(super) fn close(&mut self, now: Timestamp, request: &Request, at: usize) -> Response {
        if let Err(response) = deployment(request) {
            return response;
        }
        self.close_for_good(now, at, "EndUser");
        Response::empty(204)
    }

    /// Ends what is open and closes the conversation.
    pub(super) fn close_for_good(&mut self, now: Timestamp, at: usize, by: &str) {
        if self.conversations[at].session().is_some() {
            self.end(now, at, by);
        }
        let id = self.conversations[at].id.clone();
        let payload = json!({ "entryType": "CloseConversation", "id": self.uuid(), "conversationIdentifier": id });
        self.say(
            now,
            at,
            "CONVERSATION_CLOSE_CONVERSATION",
            "CloseConversation",
            system(),
            payload,
        );
        self.conversations[at].closed = Some(now);
    }

    pub(super) fn typing(&mut self, now: Timestamp, request: &Request, at: usize) -> Response {
        let asked = match body(request, &["entryType", "id"]) {
            Ok(asked) => asked,
            Err(response) => return response,
        };
        let kind = asked["entryType"].as_str().unwrap_or("");
        if !matches!(kind, "TypingStartedIndicator" | "TypingStoppedIndicator") {
            return bad("Set the entryType to TypingStartedIndicator or TypingStoppedIndicator.");
        }
        if !is_v4(asked["id"].as_str().unwrap_or("")) {
            return bad("Specify the id in UUID format. The UUID must be in lowercase.");
        }
        let starts = kind == "TypingStartedIndicator";
        self.conversations[at].typing = starts.then_some(now);
        Response::empty(202)
    }

    pub(super) fn acknowledge(&mut self, request: &Request, at: usize) -> Response {
        let asked = match body(request, &["acks"]) {
            Ok(asked) => asked,
            Err(response) => return response,
        };
        let acks = asked["acks"].as_array().cloned().unwrap_or_default();
        if acks.is_empty() || acks.len() > 25 {
            return bad("Specify from 1 to 25 acks.");
        }
        for ack in &acks {
            if let Some(name) = unknown(ack, &["id", "entryType", "conversationEntryId"]) {
                return bad(format!("Unrecognized property: {name}"));
            }
            let kind = ack["entryType"].as_str().unwrap_or("");
            let entry = ack["conversationEntryId"].as_str().unwrap_or("");
            if !is_v4(ack["id"].as_str().unwrap_or("")) || !is_v4(entry) {
                return bad("Specify the id in UUID format. The UUID must be in lowercase.");
            }
            if !RECEIPTS.contains(&kind) {
                return bad("Set the entryType to Delivery or Read.");
            }
            let conversation = &mut self.conversations[at];
            // Clients send receipts for their own entries, too.
            if !conversation.entries.iter().any(|e| e.id == entry) {
                return error(404, "NOT_FOUND", "The conversation entry doesn't exist.");
            }
            let receipt = (entry.to_owned(), kind.to_owned());
            if !conversation.receipts.contains(&receipt) {
                conversation.receipts.push(receipt);
            }
        }
        Response::json(202, &json!({}))
    }

    pub(super) fn business_hours(&self, now: Timestamp, request: &Request) -> Response {
        if let Err(response) = public(request, &["orgId", "esConfigName"]) {
            return response;
        }
        // Outside of them, the next ones begin in two hours.
        let hour = 3_600_000;
        let now = now.as_millisecond() / hour * hour;
        let start = if self.switches.business_hours {
            now - hour
        } else {
            now + 2 * hour
        };
        Response::json(
            200,
            &json!({ "businessHoursInfo": {
                "isActive": self.switches.business_hours,
                "businessHours": [{ "startTime": start, "endTime": start + 8 * hour }],
            }}),
        )
    }

    pub(super) fn config(&self, request: &Request) -> Response {
        match public(request, &["orgId", "esConfigName", "language"]) {
            Err(response) => response,
            Ok(()) => Response::json(
                200,
                &json!({ "embeddedServiceConfig": { "name": DEPLOYMENT, "deploymentType": "API", "attachments": {
                    "endUserToAgent": self.switches.attachments } } }),
            ),
        }
    }

    /// A rep's file, under a link that needs no sign-in.
    pub(super) fn download(&self, request: &Request) -> Response {
        let id = request.param("ids").unwrap_or("");
        match self.files.iter().find(|(file, _)| file == id) {
            Some((_, file)) => Response {
                status: 200,
                headers: vec![
                    ("content-type".into(), file.mime.clone()),
                    (
                        "content-disposition".into(),
                        format!("attachment; filename=\"{}\"", file.name.replace('"', "_")),
                    ),
                ],
                body: file.bytes.clone(),
                stream: None,
            },
            None => Response::text(404, "URL No Longer Exists"),
        }
    }
}

fn limit(request: &Request) -> Result<usize, Response> {
    match request.param("limit").map(str::parse::<usize>) {
        None => Ok(20),
        Some(Ok(limit)) if (1..=50).contains(&limit) => Ok(limit),
        Some(_) => Err(bad("Specify a limit from 1 to 50.")),
    }
}

fn deployment(request: &Request) -> Result<(), Response> {
    match request.param("esDeveloperName") {
        Some(DEPLOYMENT) => Ok(()),
        _ => Err(bad("Specify the esDeveloperName.")),
    }
}

fn public(request: &Request, known: &[&str]) -> Result<(), Response> {
    if let Some((name, _)) = request
        .query
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        return Err(bad(format!("Unrecognized parameter: {name}")));
    }
    let right =
        request.param("orgId") == Some(ORG_ID) && request.param("esConfigName") == Some(DEPLOYMENT);
    if right {
        Ok(())
    } else {
        Err(error(
            404,
            "NOT_FOUND",
            "The embedded service configuration doesn't exist.",
        ))
    }
}
