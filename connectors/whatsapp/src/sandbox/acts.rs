//! What a customer does. Every act names the customer in `from`: a `wa_id` of digits, or a
//! business-scoped user id.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::event::AttachmentKind;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::phones::Entry;
use super::send::contact;
use super::{Meta, kinds};
use crate::kinds::media_kind;

/// Carries out an act.
pub(super) fn act(meta: &mut Meta, now: Timestamp, act: &Value) -> Result<Value, String> {
    let text = |name: &str| act.get(name).and_then(Value::as_str);
    let need = |name: &str| text(name).ok_or_else(|| format!("`{name}` is missing"));
    let kind = need("act")?;
    if !meta.switches.api.is_meta() && !matches!(kind, "text" | "read" | "block" | "unblock") {
        return Err(
            "before a gateway's own API there are only text, read, block, unblock".to_owned(),
        );
    }
    let who = meta.phones.actor(need("from")?.trim_start_matches('+'));
    let phone = &mut meta.phones.0[who];
    // A location's name is the place's.
    if let Some(name) = text("name").filter(|_| !["location", "contacts"].contains(&kind)) {
        phone.name = name.to_owned();
    }
    phone.username = text("username")
        .map(str::to_owned)
        .or_else(|| phone.username.clone());
    phone.user_id = text("user_id")
        .map(str::to_owned)
        .or_else(|| phone.user_id.clone());
    phone.hides_number = act
        .get("hides_number")
        .and_then(Value::as_bool)
        .unwrap_or(phone.hides_number);
    match kind {
        "text" => {
            let body = need("text")?;
            Ok(says(
                meta,
                now,
                who,
                "text",
                json!({"body": body}),
                &[("text", body.into())],
                text("answers"),
            ))
        }
        "media" => media(meta, now, who, act),
        "location" => {
            let fields = ["latitude", "longitude", "name", "address"];
            let place: Map<String, Value> = fields
                .iter()
                .filter_map(|f| act.get(*f).map(|value| ((*f).to_owned(), value.clone())))
                .collect();
            let place = Value::Object(place);
            Ok(says(
                meta,
                now,
                who,
                "location",
                place.clone(),
                &[("content", place)],
                None,
            ))
        }
        "choose" => {
            let (id, title) = (need("id")?, text("title").unwrap_or(need("id")?));
            let form = text("form").unwrap_or("button_reply");
            // An answer always says what it answers.
            let phone = &meta.phones.0[who];
            let answers = text("answers").map(str::to_owned);
            let answers = answers.or_else(|| phone.offered().map(str::to_owned));
            let (kind, object) = match form {
                "button" => ("button", json!({"payload": id, "text": title})),
                form => ("interactive", json!({"type": form, form: {"id": id, "title": title}})),
            };
            Ok(says(
                meta,
                now,
                who,
                kind,
                object,
                &[("text", title.into())],
                answers.as_deref(),
            ))
        }
        "react" => {
            let (message, emoji) = (need("message")?, text("emoji").unwrap_or_default());
            let object = json!({"message_id": message, "emoji": emoji});
            let last = meta.phones.0[who].last_inbound;
            let said = says(
                meta,
                now,
                who,
                "reaction",
                object.clone(),
                &[("content", object)],
                None,
            );
            if !meta.switches.reactions_open_window {
                meta.phones.0[who].last_inbound = last;
            }
            Ok(said)
        }
        "read" => Ok(read(meta, now, who, text("message"))),
        "block" | "unblock" => {
            meta.phones.0[who].blocked = kind == "block";
            Ok(json!({"blocked": kind == "block"}))
        }
        _ => kinds::act(meta, now, who, kind, act).unwrap_or_else(|| {
            Err(format!(
                "there is no act {kind}; there are text, media, location, choose, react, edit, delete, contacts, order, \
                 unsupported, read, block, unblock"
            ))
        }),
    }
}

/// The customer sends a file; its bytes are `base64`, or the text in `content`.
fn media(meta: &mut Meta, now: Timestamp, who: usize, act: &Value) -> Result<Value, String> {
    let text = |name: &str| act.get(name).and_then(Value::as_str);
    let kind = text("kind").unwrap_or("document");
    let word = if kind == "voice" { "audio" } else { kind };
    let mime = text("mime").unwrap_or(match kind {
        "image" => "image/jpeg",
        "video" => "video/mp4",
        "audio" | "voice" => "audio/ogg",
        "sticker" => "image/webp",
        "document" => "application/pdf",
        _ => {
            return Err("`kind` is not image, video, audio, voice, document or sticker".to_owned());
        }
    });
    let bytes = match (text("base64"), text("content")) {
        (Some(data), _) => STANDARD
            .decode(data)
            .map_err(|error| format!("`base64`: {error}"))?,
        (None, Some(content)) => content.as_bytes().to_vec(),
        (None, None) => return Err("`base64` or `content` is missing".to_owned()),
    };
    let size = bytes.len();
    let name = text("file_name").map(str::to_owned);
    let id = meta.files.keep(now, mime, name.clone(), bytes, 7);
    let sha256 = meta
        .files
        .get(now, &id)
        .map(super::media::File::sha256)
        .unwrap_or_default();
    let mut object = json!({"id": id, "mime_type": mime, "sha256": sha256});
    let mut shown = vec![("mime", json!(mime)), ("bytes", json!(size))];
    if let Some(caption) = text("caption") {
        object["caption"] = caption.into();
        shown.push(("caption", caption.into()));
    }
    if let Some(name) = name.filter(|_| word == "document") {
        object["filename"] = name.as_str().into();
        shown.push(("file_name", name.into()));
    }
    if word == "audio" {
        object["voice"] = (kind == "voice").into();
    }
    if word == "sticker" {
        object["animated"] = false.into();
    }
    let known = media_kind(mime, AttachmentKind::Other).is_some();
    let mut said = says(meta, now, who, word, object, &shown, None);
    said["media_id"] = id.into();
    said["sendable"] = known.into();
    Ok(said)
}

/// The customer wrote: the phone shows it, the window opens, a webhook leaves unless the business has
/// blocked them.
pub(super) fn says(
    meta: &mut Meta,
    now: Timestamp,
    who: usize,
    kind: &str,
    object: Value,
    shown: &[(&str, Value)],
    answers: Option<&str>,
) -> Value {
    let id = meta.wamid();
    let phone = &mut meta.phones.0[who];
    phone.last_inbound = Some(phone.last_inbound.map_or(now, |last| last.max(now)));
    let mut entry: Map<String, Value> = shown
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    entry.insert("type".into(), kind.into());
    phone.show(Entry {
        id: id.clone(),
        outbound: false,
        status: "",
        shown: entry,
    });
    let mut message = json!({"id": id, "timestamp": now.as_second().to_string(), "type": kind});
    message[kind] = object;
    if let Some(wa_id) = phone.wa_id.as_ref().filter(|_| !phone.hides_number) {
        message["from"] = wa_id.as_str().into();
    }
    if let Some(user_id) = &phone.user_id {
        message["from_user_id"] = user_id.as_str().into();
    }
    if kind == "unsupported" {
        let words = "Message type unknown";
        message["errors"] = json!([{"code": 131051, "title": words, "message": words,
            "error_data": {"details": "Message type is currently not supported."}}]);
    }
    if let Some(answers) = answers {
        message["context"] = json!({"from": super::DISPLAY, "id": answers});
    }
    let value = json!({"contacts": [contact(phone)], "messages": [message]});
    let is_shut_out = phone.shut_out;
    match meta.switches.api.is_meta() {
        _ if is_shut_out => {}
        true => meta.webhook(now, value),
        false if !meta.switches.customer_webhooks => {}
        false => {
            let text = value["messages"][0]["text"]["body"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            meta.gateway_text(now, who, &id, &text);
        }
    }
    json!({"id": id, "timestamp": now.to_string()})
}

/// The customer reads one message, or all.
fn read(meta: &mut Meta, now: Timestamp, who: usize, only: Option<&str>) -> Value {
    let wanted = |entry: &&mut Entry| {
        entry.outbound && entry.status != "read" && only.is_none_or(|id| id == entry.id)
    };
    let entries = meta.phones.0[who].entries.iter_mut().filter(wanted);
    let read: Vec<(String, Option<String>)> = entries
        .map(|entry| {
            entry.status = "read";
            let reference = entry
                .shown
                .get("reference")
                .and_then(Value::as_str)
                .map(str::to_owned);
            (entry.id.clone(), reference)
        })
        .collect();
    for (id, reference) in &read {
        meta.status(now, who, id, reference.as_deref(), "read", None);
    }
    json!({"read": read.len()})
}
