//! Who is in charge of conversations, as operators see it.

use handoffd_contract::Controller;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::span;
use crate::conversation::Watched;
use crate::ledger::ConversationRow;

/// A conversation as it is listed.
#[must_use]
pub fn conversation_json(row: &ConversationRow) -> Value {
    let mut shown = json!({
        "session": row.session, "since": row.since, "handoff": row.handoff, "looked_at_again": row.deadline,
    });
    if !row.unconfirmed.is_empty() {
        let replies = row.unconfirmed.iter();
        let replies = replies
            .map(|one| json!({"target": one.target, "message_id": one.message, "sent_at": one.at}));
        shown["unconfirmed"] = replies.collect();
    }
    if let (Value::Object(all), Ok(Value::Object(controller))) =
        (&mut shown, serde_json::to_value(&row.controller))
    {
        all.extend(controller);
        // People's names are not shown here.
        all.remove("name");
    }
    shown
}

/// Who is in charge, in words; no person's name.
#[must_use]
pub fn in_charge(row: Option<&ConversationRow>, now: Timestamp) -> String {
    let Some(row) = row else {
        return "the assistant; nobody was asked for help since the session is watched".to_owned();
    };
    let since = row
        .since
        .map(|since| format!(", for {}", span(since, now)))
        .unwrap_or_default();
    let who = match &row.controller {
        Controller::Assistant => "the assistant".to_owned(),
        Controller::Queued {
            target,
            position,
            wait_seconds,
        } => {
            let target = target.as_deref().unwrap_or("several targets");
            let place = position.map(|n| format!(", place {n}")).unwrap_or_default();
            let wait = wait_seconds.map(|n| format!(", estimated wait {n} s"));
            format!(
                "nobody yet: it waits at {target}{place}{}",
                wait.unwrap_or_default()
            )
        }
        Controller::Rep { target, .. } => format!("a rep in {target}"),
        Controller::Returned { by } => format!("the assistant again, given back by {by}"),
        Controller::Closed { by, resolved } => {
            let resolved = match resolved {
                Some(true) => ", resolved",
                Some(false) => ", not resolved",
                None => "",
            };
            format!("nobody: closed by {by}{resolved}")
        }
    };
    format!("{who}{since}")
}

/// Replies of which WhatsApp has said nothing, a line for each; no text of them.
#[must_use]
pub fn unconfirmed(row: Option<&ConversationRow>, now: Timestamp) -> Vec<String> {
    let replies = row.into_iter().flat_map(|row| &row.unconfirmed);
    let line = |one: &Watched| {
        format!(
            "the reply {} of a rep in {}, sent {} ago: WhatsApp has said nothing of it",
            one.message,
            one.target,
            span(one.at, now)
        )
    };
    replies.map(line).collect()
}
