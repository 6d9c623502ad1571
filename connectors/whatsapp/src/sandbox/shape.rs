//! The strict shape of a send: every field, type and limit of the documentation.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages>

use serde_json::{Map, Value};

use super::fault::Fault;
use super::interactive;
use super::node::{Node, missing};
use crate::recipient::is_user_id;

/// A send whose shape is right.
#[derive(Debug, Clone)]
pub(super) struct Send<'a> {
    pub(super) to: To,
    pub(super) reference: Option<&'a str>,
    pub(super) context: Option<&'a str>,
    pub(super) kind: &'a str,
    pub(super) object: &'a Map<String, Value>,
}

/// The address as given.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum To {
    /// Digits, with the country code; and the address as it was written.
    Phone {
        input: String,
        plus: bool,
        digits: String,
    },
    /// A business-scoped user id.
    User(String),
}

const COMMON: &[&str] = &[
    "messaging_product",
    "recipient_type",
    "to",
    "recipient",
    "context",
    "biz_opaque_callback_data",
    "type",
];

/// Checks a send.
pub(super) fn send(body: &Value) -> Result<Send<'_>, Fault> {
    let root = Node::of(body, "")?;
    let product = root.text("messaging_product", 1, 32)?;
    if product != Some("whatsapp") {
        return Err(Fault::invalid(
            "The parameter messaging_product is required and must be \"whatsapp\".",
        ));
    }
    let kind = root.text("type", 1, 64)?.unwrap_or("text");
    if !KINDS.contains(&kind) {
        return Err(Fault::invalid(format!(
            "Param type must be one of {{{}}}.",
            KINDS.join(", ")
        )));
    }
    let allowed: Vec<&str> = COMMON.iter().copied().chain([kind]).collect();
    root.only(&allowed)?;
    if let Some(kind) = root.text("recipient_type", 1, 32)?
        && kind != "individual"
    {
        return Err(Fault::invalid(
            "Param recipient_type must be one of {INDIVIDUAL}.",
        ));
    }
    let context = match root.child("context")? {
        Some(context) => {
            context.only(&["message_id"])?;
            Some(context.need("message_id", 256)?)
        }
        None => None,
    };
    let object = root.child(kind)?.ok_or_else(|| missing(kind))?;
    match kind {
        "text" => text(&object)?,
        "image" | "video" => media(&object, &["id", "link", "caption"])?,
        "document" => media(&object, &["id", "link", "caption", "filename"])?,
        "audio" => media(&object, &["id", "link", "voice"])?,
        "sticker" => media(&object, &["id", "link"])?,
        "location" => location(&object)?,
        "reaction" => {
            object.only(&["message_id", "emoji"])?;
            object.need("message_id", 256)?;
            object
                .text("emoji", 0, 32)?
                .ok_or_else(|| missing("reaction['emoji']"))?;
        }
        "contacts" => {
            // <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/contacts-messages>
            for card in root.list("contacts", 1, 257)? {
                let name = card
                    .child("name")?
                    .ok_or_else(|| missing("contacts['name']"))?;
                name.need("formatted_name", 1_024)?;
            }
        }
        "interactive" => interactive::check(&object)?,
        _ => template(&object)?,
    }
    Ok(Send {
        to: address(&root)?,
        reference: root.text("biz_opaque_callback_data", 1, 512)?,
        context,
        kind,
        object: object.map,
    })
}

const KINDS: &[&str] = &[
    "text",
    "image",
    "video",
    "document",
    "audio",
    "sticker",
    "location",
    "reaction",
    "contacts",
    "interactive",
    "template",
];

/// `to` wins over `recipient`.
fn address(root: &Node<'_>) -> Result<To, Fault> {
    let recipient = root.text("recipient", 1, 160)?;
    let Some(to) = root.text("to", 1, 40)? else {
        return match recipient {
            Some(id) if is_user_id(id) => Ok(To::User(id.to_owned())),
            Some(_) => Err(Fault::new(
                131009,
                "Param recipient is not a valid business-scoped user id.",
            )),
            None => Err(Fault::invalid("The parameter to is required.")),
        };
    };
    // Spaces, hyphens and parentheses are allowed in a number.
    let kept: String = to.chars().filter(|c| !" -().".contains(*c)).collect();
    let digits = kept.strip_prefix('+').unwrap_or(&kept);
    if !(5..=20).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::new(131009, "Param to is not a valid phone number."));
    }
    Ok(To::Phone {
        input: to.to_owned(),
        plus: kept.starts_with('+'),
        digits: digits.to_owned(),
    })
}

fn text(object: &Node<'_>) -> Result<(), Fault> {
    object.only(&["body", "preview_url"])?;
    object.need("body", 4_096)?;
    object.flag("preview_url")
}

fn media(object: &Node<'_>, allowed: &[&str]) -> Result<(), Fault> {
    object.only(allowed)?;
    let id = object.text("id", 1, 64)?;
    let link = object.text("link", 1, 2_048)?;
    if id.is_some() == link.is_some() {
        return Err(Fault::invalid(format!(
            "Param {} must have either an id or a link.",
            object.path
        )));
    }
    if link.is_some_and(|link| !link.starts_with("https://") && !link.starts_with("http://")) {
        return Err(Fault::invalid(format!(
            "Param {}['link'] is not a valid URI.",
            object.path
        )));
    }
    object.text("caption", 0, 1_024)?;
    object.text("filename", 1, 240)?;
    object.flag("voice")
}

fn location(object: &Node<'_>) -> Result<(), Fault> {
    object.only(&["latitude", "longitude", "name", "address"])?;
    for (field, most) in [("latitude", 90.0), ("longitude", 180.0)] {
        let value = object
            .map
            .get(field)
            .ok_or_else(|| missing(&object.at(field)))?;
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        if !number.is_some_and(|number: f64| number.abs() <= most) {
            return Err(Fault::invalid(format!(
                "Param {} must be a number of degrees.",
                object.at(field)
            )));
        }
    }
    Ok(())
}

fn template(object: &Node<'_>) -> Result<(), Fault> {
    object.only(&["name", "language", "components"])?;
    object.need("name", 512)?;
    let language = object
        .child("language")?
        .ok_or_else(|| missing("template['language']"))?;
    language.only(&["code", "policy"])?;
    language.need("code", 20)?;
    if object.map.contains_key("components") {
        for component in object.list("components", 0, 12)? {
            // Clients write the type in either case.
            let kind = component.need("type", 32)?.to_ascii_lowercase();
            let kinds = ["header", "body", "button", "carousel", "limited_time_offer"];
            if !kinds.contains(&kind.as_str()) {
                return Err(Fault::invalid(format!(
                    "Param component['type'] must be one of {{{}}}.",
                    kinds.join(", ")
                )));
            }
            if kind != "carousel" && kind != "limited_time_offer" {
                component.only(&["type", "parameters", "sub_type", "index"])?;
            }
        }
    }
    Ok(())
}
