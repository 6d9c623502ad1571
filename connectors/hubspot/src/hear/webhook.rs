//! Webhook batches, and the messages of a Custom Channel.
//!
//! <https://developers.hubspot.com/docs/api-reference/2026-03/webhooks/guide>

use handoffd_contract::{FrameContent, Inbound, Refusal};
use serde_json::{Value, json};

use super::{
    assigned, merged, note, read_owner, skipped, stage_entered, text, ticket_deleted, time,
    undecodable, updated, user,
};
use crate::read::id;
use crate::settings::Settings;

/// HubSpot sends up to 100 events at once.
const MAX_EVENTS: usize = 1_000;

/// What a webhook's body says.
pub fn hear(settings: &Settings, body: &[u8]) -> Result<FrameContent, Refusal> {
    let body: Value =
        serde_json::from_slice(body).map_err(|_| undecodable("the webhook's body is not JSON"))?;
    let events = match body {
        Value::Array(events) if events.len() <= MAX_EVENTS => events,
        Value::Array(_) => return Err(undecodable("the webhook holds more than 1000 events")),
        Value::Object(_) => vec![body],
        _ => {
            return Err(undecodable(
                "the webhook's body is neither an array nor an object",
            ));
        }
    };
    let mut all = FrameContent::default();
    let mut skips: Vec<String> = Vec::new();
    for event in &events {
        let one = if text(&event["type"]).is_empty() {
            crm(settings, event)
        } else {
            channel(settings, event)
        };
        all.heard.extend(one.heard);
        all.fetch.extend(one.fetch);
        skips.extend(
            one.skipped
                .filter(|why| !skips.contains(why))
                .filter(|_| skips.len() < 5),
        );
    }
    all.skipped = (!skips.is_empty()).then(|| skips.join("; "));
    Ok(all)
}

/// One event of a CRM subscription: which record, and what happened to it; never its text.
fn crm(settings: &Settings, event: &Value) -> FrameContent {
    let kind = text(&event["subscriptionType"]);
    let Some((family, action)) = kind.split_once('.') else {
        return skipped("an event without a subscription type");
    };
    let object = match (family, text(&event["objectTypeId"])) {
        ("ticket", _) | ("object", "0-5") => "ticket",
        ("object", "0-46") => "note",
        _ => return skipped(format!("an event of type {kind:.60}")),
    };
    let Some(record) = id(&event["objectId"]) else {
        return skipped("an event without an object id");
    };
    let at = time(&event["occurredAt"]);
    let mut hearing = FrameContent::default();
    let name = text(&event["propertyName"]);
    if (object, action) == ("ticket", "propertyChange") && settings.report.iter().any(|p| p == name)
    {
        // An emptied property comes without a value, or with an empty one.
        let value = match &event["propertyValue"] {
            Value::Number(number) => number.to_string(),
            value => text(value).to_owned(),
        };
        let source = text(&event["changeSource"]);
        let change = updated(&record, name, &value, at, source, user(event));
        hearing.heard.push(change);
    }
    match (object, action, name) {
        ("note", "creation", _) => hearing.fetch.push(note::read(settings, &record, json!({}))),
        ("ticket", "propertyChange", "hs_pipeline_stage") => {
            let Some(stage) = id(&event["propertyValue"]) else {
                return skipped("a stage change without a stage");
            };
            match stage_entered(settings, &record, &stage, at, text(&event["changeSource"])) {
                Some(ended) => hearing.heard.push(ended),
                None if hearing.heard.is_empty() => {
                    return skipped("a stage that does not end the conversation");
                }
                None => {}
            }
        }
        ("ticket", "propertyChange", "hubspot_owner_id") => {
            let owner = id(&event["propertyValue"]).unwrap_or_default();
            let name = format!(
                "owner/{record}/{owner}/{}",
                at.map_or(0, jiff::Timestamp::as_millisecond)
            );
            if owner.is_empty() {
                hearing.heard.push(assigned(&record, &name, at, None));
            } else {
                hearing
                    .fetch
                    .push(read_owner(settings, &record, &owner, &name, at));
            }
        }
        ("ticket", "deletion" | "privacyDeletion", _) => {
            hearing.heard.push(ticket_deleted(&record))
        }
        ("ticket", "merge", _) => hearing.heard.extend(merge(event, &record)),
        _ if !hearing.heard.is_empty() => {}
        _ => return skipped(format!("a {object} event of type {action:.40}")),
    }
    hearing
}

/// After a merge the conversation goes on in the record that is left.
fn merge(event: &Value, record: &str) -> Vec<Inbound> {
    let Some(left) = id(&event["newObjectId"]).or_else(|| id(&event["primaryObjectId"])) else {
        return Vec::new();
    };
    let mut gone: Vec<String> = event["mergedObjectIds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(id)
        .take(100)
        .collect();
    gone.extend(id(&event["primaryObjectId"]));
    gone.push(record.to_owned());
    gone.sort();
    gone.dedup();
    gone.retain(|old| *old != left);
    let at = time(&event["occurredAt"]);
    gone.iter().map(|old| merged(old, &left, at)).collect()
}

/// A rep's message in a Custom Channel's conversation.
/// <https://developers.hubspot.com/docs/api-reference/2026-03/conversations/custom-channels/guide>
fn channel(settings: &Settings, event: &Value) -> FrameContent {
    let kind = text(&event["type"]);
    if kind != "OUTGOING_CHANNEL_MESSAGE_CREATED" {
        return skipped(format!("a channel event of type {kind:.60}"));
    }
    let Some(channel) = &settings.channel_id else {
        return skipped("a channel message, but no channel_id is set");
    };
    let message = &event["message"];
    let from = id(&event["channelId"]).or_else(|| id(&message["channelId"]));
    if from.as_deref() != Some(channel) {
        return skipped("a message of another channel");
    }
    if text(&message["direction"]) != "OUTGOING"
        || text(&message["client"]["clientType"]) == "INTEGRATION"
    {
        return skipped("a channel message that no rep wrote");
    }
    let session = event["channelIntegrationThreadIds"][0]
        .as_str()
        .filter(|session| !session.is_empty());
    let (Some(session), Some(message_id)) = (session, id(&message["id"])) else {
        return skipped("a channel message without its thread or id");
    };
    let body = match text(&message["text"]) {
        "" => handoffd_contract::text::plain(text(&message["richText"])),
        plain => plain.to_owned(),
    };
    let files: Vec<Value> = message["attachments"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|attachment| !attachment["fileId"].is_null() || !attachment["url"].is_null())
        .take(20)
        .cloned()
        .collect();
    note::channel_reply(
        settings,
        session,
        &message_id,
        &body,
        time(&message["createdAt"]),
        text(&message["senders"][0]["name"]),
        files,
    )
}
