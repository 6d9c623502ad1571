//! What a customer does beside writing: edits, deletes, sends cards and orders, or something that WhatsApp
//! does not hand on.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Meta;
use super::acts::says;

/// Carries out an act; `None` where it is none of these.
pub(super) fn act(
    meta: &mut Meta,
    now: Timestamp,
    who: usize,
    kind: &str,
    act: &Value,
) -> Option<Result<Value, String>> {
    Some(match kind {
        "edit" => edit(meta, now, who, act),
        "delete" => delete(meta, now, who, act),
        "contacts" => contacts(meta, now, who, act),
        "order" => order(meta, now, who, act),
        "unsupported" => Ok(unsupported(meta, now, who, act)),
        _ => return None,
    })
}

/// The message of the customer's own that is meant.
fn own(meta: &Meta, who: usize, act: &Value) -> Result<String, String> {
    let id = act["message"].as_str().ok_or("`message` is missing")?;
    let entries = &meta.phones.0[who].entries;
    let is_own = entries
        .iter()
        .any(|entry| entry.id == id && !entry.outbound);
    match is_own {
        true => Ok(id.to_owned()),
        false => Err("`message` is no message of this customer's".to_owned()),
    }
}

/// What is told of a message without opening the window and without a line of its own on the phone.
fn told(meta: &mut Meta, now: Timestamp, who: usize, kind: &str, object: Value) -> Value {
    let last = meta.phones.0[who].last_inbound;
    let said = says(meta, now, who, kind, object, &[], None);
    let phone = &mut meta.phones.0[who];
    phone.last_inbound = last;
    phone.entries.pop();
    said
}

/// A text is replaced, or the caption of a file.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/edit>
fn edit(meta: &mut Meta, now: Timestamp, who: usize, act: &Value) -> Result<Value, String> {
    let id = own(meta, who, act)?;
    let text = act["text"].as_str().ok_or("`text` is missing")?;
    let Some(entry) = meta.phones.0[who].entry(&id) else {
        return Err("`message` is gone".to_owned());
    };
    let kind = entry.shown.get("type").and_then(Value::as_str);
    let (kind, field) = match kind {
        Some(kind @ ("image" | "video" | "document")) => (kind.to_owned(), "caption"),
        Some("text") => ("text".to_owned(), "text"),
        _ => return Err("only a text or the caption of a file can be edited".to_owned()),
    };
    entry.shown.insert(field.to_owned(), text.into());
    entry.shown.insert("edited".to_owned(), true.into());
    let mut message = json!({"type": kind});
    message[&kind] = match field {
        "text" => json!({"body": text}),
        _ => json!({"caption": text}),
    };
    let object = json!({"original_message_id": id, "message": message});
    Ok(told(meta, now, who, "edit", object))
}

/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/revoke>
fn delete(meta: &mut Meta, now: Timestamp, who: usize, act: &Value) -> Result<Value, String> {
    let id = own(meta, who, act)?;
    if let Some(entry) = meta.phones.0[who].entry(&id) {
        entry.shown.retain(|name, _| name == "type");
        entry.shown.insert("deleted".to_owned(), true.into());
    }
    let object = json!({"original_message_id": id});
    Ok(told(meta, now, who, "revoke", object))
}

fn contacts(meta: &mut Meta, now: Timestamp, who: usize, act: &Value) -> Result<Value, String> {
    let cards = match &act["contacts"] {
        Value::Array(cards) if !cards.is_empty() => cards.clone(),
        _ => {
            let name = act["name"]
                .as_str()
                .ok_or("`name` or `contacts` is missing")?;
            let phone = act["phone"].as_str();
            let phones: Vec<Value> = phone
                .map(|phone| json!({"phone": phone, "type": "CELL"}))
                .into_iter()
                .collect();
            vec![json!({"name": {"formatted_name": name, "first_name": name}, "phones": phones})]
        }
    };
    let shown = [("content", json!(cards))];
    let cards = cards.into();
    Ok(says(meta, now, who, "contacts", cards, &shown, None))
}

fn order(meta: &mut Meta, now: Timestamp, who: usize, act: &Value) -> Result<Value, String> {
    let items = act["items"].as_array().ok_or("`items` is missing")?;
    let item = |item: &Value| {
        json!({
            "product_retailer_id": item["product"], "quantity": item["quantity"].as_u64().unwrap_or(1),
            "item_price": item["price"], "currency": item["currency"].as_str().unwrap_or("EUR"),
        })
    };
    let items: Vec<Value> = items.iter().map(item).collect();
    let mut object = json!({"catalog_id": act["catalog"].as_str().unwrap_or("194836987003835"), "product_items": items});
    if let Some(text) = act["text"].as_str() {
        object["text"] = text.into();
    }
    let shown = [("content", object.clone())];
    Ok(says(meta, now, who, "order", object, &shown, None))
}

/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/unsupported>
fn unsupported(meta: &mut Meta, now: Timestamp, who: usize, act: &Value) -> Value {
    let kind = act["kind"].as_str().unwrap_or("unknown");
    let object = json!({"type": kind});
    let shown = [("content", object.clone())];
    says(meta, now, who, "unsupported", object, &shown, None)
}
