//! Everything that a rep sees, in order.

use serde_json::{Map, Value, json};

use super::Org;
use super::thread::{Conversation, Entry, NOTE};

impl Org {
    pub(super) fn seen(&self) -> Value {
        json!({
            "conversations": self.conversations.iter().map(conversation).collect::<Vec<_>>(),
            "switches": serde_json::to_value(&self.switches).unwrap_or_default(),
            "chunk_bytes": self.switches.chunk_bytes,
        })
    }
}

fn conversation(c: &Conversation) -> Value {
    let sessions: Vec<Value> = c
        .sessions
        .iter()
        .map(|s| json!({ "id": s.id, "status": s.status, "routing attributes": s.attributes }))
        .collect();
    json!({
        "conversation": c.id,
        "end user": c.owner,
        "status": if c.closed.is_some() { "closed" } else { "open" },
        "routing": c.routing,
        "place in queue": c.place,
        "end user types since": c.typing.map(|at| at.to_string()),
        "rep": c.agent.as_ref().map(|(name, _)| name),
        "language": c.language,
        "routing attributes": c.attributes,
        "sessions": sessions,
        "thread": c.entries.iter().filter_map(|entry| line(c, entry)).collect::<Vec<_>>(),
    })
}

/// A line of the thread; nothing for entries that no rep sees.
fn line(c: &Conversation, entry: &Entry) -> Option<Value> {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            line.insert(name.to_owned(), value);
        }
    };
    put("id", entry.id.clone().into());
    put("from", entry.sender.role.into());
    put("name", entry.sender.name.clone().into());
    put("at", entry.at.to_string().into());
    put("session", entry.session.clone().into());
    let customer_sees = matches!(
        entry.sender.role,
        "EndUser" | "Agent" | "Chatbot" | "System"
    ) && entry.kind != NOTE;
    put("visible to customer", customer_sees.into());
    match entry.kind {
        "Message" => {
            let content = &entry.payload["abstractMessage"];
            let content = ["staticContent", "choices", "form"]
                .iter()
                .map(|name| &content[*name])
                .find(|v| v.is_object());
            put(
                "answers",
                entry.payload["abstractMessage"]["inReplyToMessageId"].clone(),
            );
            let chosen = &entry.payload["abstractMessage"]["choicesResponse"]["selectedOptions"];
            put("chosen", chosen[0]["optionIdentifier"].clone());
            put(
                "text",
                content.map_or(Value::Null, |content| content["text"].clone()),
            );
            let format = content.map_or(Value::Null, |content| content["formatType"].clone());
            match (&entry.file, format.as_str()) {
                (Some(file), _) => put("file", file.clone()),
                (None, Some("Text") | None) => {}
                (None, _) => put("content", content.cloned().unwrap_or_default()),
            }
            let receipts: Vec<&str> = c
                .receipts
                .iter()
                .filter(|(id, _)| *id == entry.id)
                .map(|(_, receipt)| receipt.as_str())
                .collect();
            if !receipts.is_empty() {
                put("receipts", json!(receipts));
            }
        }
        NOTE => {
            put("internal note", true.into());
            put("text", entry.payload["text"].clone());
        }
        "ParticipantChanged" => {
            let change = &entry.payload["entries"][0];
            put(
                "event",
                format!(
                    "{} {}",
                    change["displayName"].as_str()?,
                    change["operation"].as_str()?
                )
                .into(),
            );
        }
        "SessionStatusChanged" => put(
            "event",
            format!("session {}", entry.payload["sessionStatus"].as_str()?).into(),
        ),
        _ => return None,
    }
    Some(Value::Object(line))
}
