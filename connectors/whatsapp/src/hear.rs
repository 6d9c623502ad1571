//! Meta's webhooks: what became of our messages. Messages of the customer come from the gateway;
//! where they come here, a person is told, because they may come nowhere else.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status>

use handoffd_contract::event::DeliveryState;
use handoffd_contract::{
    Frame, FrameContent, Inbound, InboundKind, Reason, Refusal, Stop, Subject,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::exit::Exit;
use crate::facts;
use crate::settings::Settings;

/// Without the messages themselves.
const MESSAGES: &str = "messages of customers came by the webhook of a target, from which only statuses are taken; lead \
     Meta's webhook to an [intake.source] with the dialect cloudapi. If they also come as events of the gateway, set \
     webhooks.messages = \"ignore\"";

/// What a webhook says.
///
/// # Errors
/// The body is not JSON.
pub(crate) fn hear(settings: &Settings, frame: &Frame<'_>) -> Result<FrameContent, Refusal> {
    let Frame::Webhook { body, .. } = frame else {
        return Ok(skipped("not a webhook"));
    };
    let Some(webhooks) = &settings.webhooks else {
        return Ok(skipped("webhooks are not set up for this target"));
    };
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        Refusal::park(
            Reason::Undecodable,
            format!("the webhook's body is not JSON: {error}"),
        )
    })?;
    if body.get("object").and_then(Value::as_str) != Some("whatsapp_business_account") {
        return Ok(skipped("not a webhook of a WhatsApp business account"));
    }
    let mut heard = Vec::new();
    let mut messages = false;
    for change in list(&body, "entry").flat_map(|entry| list(entry, "changes")) {
        let value = change.get("value").unwrap_or(&Value::Null);
        if change.get("field").and_then(Value::as_str) != Some("messages")
            || !is_ours(settings, value)
        {
            continue;
        }
        heard.extend(list(value, "statuses").filter_map(status));
        messages |= list(value, "messages").next().is_some();
    }
    let none = heard.is_empty();
    Ok(FrameContent {
        heard,
        refused: (messages && !webhooks.ignore_messages)
            .then(|| Stop::new(Reason::Unsupported, MESSAGES)),
        skipped: none.then(|| "holds no status of a message that could be ours".to_owned()),
        ..FrameContent::default()
    })
}

/// Whether it is about a number that this target sends from.
fn is_ours(settings: &Settings, value: &Value) -> bool {
    let id = value
        .pointer("/metadata/phone_number_id")
        .and_then(Value::as_str);
    match (&settings.exit, id) {
        (Exit::CloudApi { numbers, .. }, Some(id)) => numbers.ids().contains(&id),
        _ => true,
    }
}

fn status(status: &Value) -> Option<Inbound> {
    let text = |name: &str| {
        status
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let id = text("id")?;
    let word = text("status")?;
    let state = match word {
        "sent" => DeliveryState::Sent,
        "delivered" => DeliveryState::Delivered,
        "read" | "played" => DeliveryState::Read,
        "failed" => DeliveryState::Failed,
        _ => return None,
    };
    let about = match text("biz_opaque_callback_data") {
        Some(reference) if is_reference(reference) => facts::reference(reference),
        // Another sender's callback data.
        Some(_) => return None,
        None => facts::wamid(id),
    };
    let error = list(status, "errors").next();
    let seconds = status
        .get("timestamp")
        .and_then(|at| at.as_i64().or_else(|| at.as_str()?.parse().ok()));
    Some(Inbound {
        id: format!("{id}:{word}"),
        subject: Subject::Fact {
            name: about,
            value: String::new(),
        },
        echo: None,
        at: seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        kind: InboundKind::Status {
            message_id: Some(id.to_owned()),
            reference: text("biz_opaque_callback_data").map(str::to_owned),
            state,
            error_code: error.and_then(|error| error.get("code")?.as_i64()),
            error: error.and_then(words),
        },
    })
}

/// WhatsApp's words for a failure: the details where there are some, else the title.
fn words(error: &Value) -> Option<String> {
    let details = error
        .get("error_data")
        .and_then(|data| data.get("details").or(Some(data)).and_then(Value::as_str));
    let words = details
        .or_else(|| error.get("title")?.as_str())
        .or_else(|| error.get("message")?.as_str())?;
    Some(words.chars().take(300).collect())
}

/// Whether it has the shape of our references.
fn is_reference(text: &str) -> bool {
    text.len() == 20
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn skipped(why: &str) -> FrameContent {
    FrameContent {
        skipped: Some(why.to_owned()),
        ..FrameContent::default()
    }
}
