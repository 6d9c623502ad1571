//! The strict shape of a send: every field, type and limit of the documentation.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages>

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fault::Fault;
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
        "contacts" => {}
        "interactive" => interactive(&object)?,
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

fn interactive(object: &Node<'_>) -> Result<(), Fault> {
    object.only(&["type", "header", "body", "footer", "action"])?;
    let kind = object.need("type", 32)?;
    let body_limit = match kind {
        "button" | "cta_url" => 1_024,
        "list" => 4_096,
        "request_contact_info" => 1_024,
        _ => {
            return Err(Fault::invalid(
                "Param interactive['type'] must be one of {button, list, cta_url, request_contact_info}.",
            ));
        }
    };
    let body = object
        .child("body")?
        .ok_or_else(|| missing("interactive['body']"))?;
    body.only(&["text"])?;
    body.need("text", body_limit)?;
    if let Some(footer) = object.child("footer")? {
        footer.only(&["text"])?;
        footer.need("text", 60)?;
    }
    if let Some(header) = object.child("header")? {
        let kinds: &[&str] = if kind == "list" {
            &["text"]
        } else {
            &["text", "image", "video", "document"]
        };
        let word = header.need("type", 16)?;
        if !kinds.contains(&word) {
            return Err(Fault::invalid(format!(
                "Param interactive['header']['type'] must be one of {{{}}}.",
                kinds.join(", ")
            )));
        }
        header.only(&["type", word])?;
        if word == "text" {
            header.need("text", 60)?;
        }
    }
    let action = object
        .child("action")?
        .ok_or_else(|| missing("interactive['action']"))?;
    match kind {
        "button" => buttons(&action),
        "list" => sections(&action),
        "cta_url" => {
            action.only(&["name", "parameters"])?;
            let parameters = action
                .child("parameters")?
                .ok_or_else(|| missing("action['parameters']"))?;
            parameters.only(&["display_text", "url"])?;
            parameters.need("display_text", 20)?;
            parameters.need("url", 2_000)?;
            Ok(())
        }
        _ => action.only(&["name"]),
    }
}

fn buttons(action: &Node<'_>) -> Result<(), Fault> {
    action.only(&["buttons"])?;
    let buttons = action.list("buttons", 1, 3)?;
    let (mut titles, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for button in &buttons {
        button.only(&["type", "reply"])?;
        if button.need("type", 16)? != "reply" {
            return Err(Fault::invalid(
                "Param button['type'] must be one of {reply}.",
            ));
        }
        let reply = button
            .child("reply")?
            .ok_or_else(|| missing("button['reply']"))?;
        reply.only(&["id", "title"])?;
        titles.insert(reply.need("title", 20)?.to_owned());
        ids.insert(reply.need("id", 256)?.to_owned());
    }
    if titles.len() < buttons.len() || ids.len() < buttons.len() {
        return Err(Fault::new(
            131009,
            "Duplicated title or id of the reply buttons.",
        ));
    }
    Ok(())
}

fn sections(action: &Node<'_>) -> Result<(), Fault> {
    action.only(&["button", "sections"])?;
    action.need("button", 20)?;
    let sections = action.list("sections", 1, 10)?;
    let mut ids = Vec::new();
    for section in &sections {
        section.only(&["title", "rows"])?;
        let title = section.text("title", 1, 24)?;
        if title.is_none() && sections.len() > 1 {
            return Err(missing("section['title']"));
        }
        for row in section.list("rows", 1, 10)? {
            row.only(&["id", "title", "description"])?;
            ids.push(row.need("id", 200)?.to_owned());
            row.need("title", 24)?;
            row.text("description", 0, 72)?;
        }
    }
    let unique: BTreeSet<&String> = ids.iter().collect();
    if ids.len() > 10 {
        return Err(Fault::new(
            131009,
            "Total row count exceed max allowed count: 10",
        ));
    }
    if unique.len() < ids.len() {
        return Err(Fault::new(131009, "Duplicated row id."));
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
            component.only(&["type", "parameters", "sub_type", "index"])?;
            let kind = component.need("type", 16)?;
            if !["header", "body", "button"].contains(&kind) {
                return Err(Fault::invalid(
                    "Param component['type'] must be one of {header, body, button}.",
                ));
            }
        }
    }
    Ok(())
}
