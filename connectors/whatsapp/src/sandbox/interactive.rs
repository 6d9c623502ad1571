//! The strict shapes of what the customer can answer or open.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages>

use std::collections::BTreeSet;

use super::fault::Fault;
use super::node::{Node, missing};

/// The kinds, with the most characters of the body.
const KINDS: &[(&str, usize)] = &[
    ("button", 1_024),
    ("list", 4_096),
    ("cta_url", 1_024),
    ("flow", 1_024),
    ("location_request_message", 1_024),
    ("request_contact_info", 1_024),
    ("catalog_message", 1_024),
    ("product", 1_024),
    ("product_list", 1_024),
    ("voice_call", 1_024),
];

/// Checks an interactive object.
pub(super) fn check(object: &Node<'_>) -> Result<(), Fault> {
    object.only(&["type", "header", "body", "footer", "action"])?;
    let kind = object.need("type", 32)?;
    let Some((_, most)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        return Err(Fault::invalid(format!(
            "Param interactive['type'] must be one of {{{}}}.",
            names.join(", ")
        )));
    };
    match object.child("body")? {
        Some(body) => {
            body.only(&["text"])?;
            body.need("text", *most)?;
        }
        None if kind == "product" => {}
        None => return Err(missing("interactive['body']")),
    }
    if let Some(footer) = object.child("footer")? {
        footer.only(&["text"])?;
        footer.need("text", 60)?;
    }
    header(object, kind)?;
    let action = object
        .child("action")?
        .ok_or_else(|| missing("interactive['action']"))?;
    match kind {
        "button" => buttons(&action),
        "list" => sections(&action),
        "cta_url" => {
            let parameters = named(&action, "cta_url")?;
            parameters.only(&["display_text", "url"])?;
            parameters.need("display_text", 20)?;
            parameters.need("url", 2_000)?;
            Ok(())
        }
        "flow" => {
            let parameters = named(&action, "flow")?;
            parameters.need("flow_message_version", 8)?;
            parameters.need("flow_cta", 30)?;
            match (
                parameters.map.get("flow_id"),
                parameters.map.get("flow_name"),
            ) {
                (None, None) => Err(missing("action['parameters']['flow_id']")),
                (Some(_), Some(_)) => Err(Fault::invalid(
                    "Param action['parameters'] must have either flow_id or flow_name.",
                )),
                _ => Ok(()),
            }
        }
        "catalog_message" => {
            action.only(&["name", "parameters"])?;
            name(&action, "catalog_message")?;
            match action.child("parameters")? {
                Some(parameters) => parameters.only(&["thumbnail_product_retailer_id"]),
                None => Ok(()),
            }
        }
        "product" => {
            action.only(&["catalog_id", "product_retailer_id"])?;
            action.need("catalog_id", 64)?;
            action.need("product_retailer_id", 100)?;
            Ok(())
        }
        "product_list" => products(&action),
        "voice_call" => {
            action.only(&["name", "parameters"])?;
            name(&action, "voice_call")?;
            match action.child("parameters")? {
                Some(parameters) => {
                    parameters.only(&["display_text", "ttl_minutes", "payload"])?;
                    parameters.text("display_text", 1, 20).map(|_| ())
                }
                None => Ok(()),
            }
        }
        "location_request_message" => {
            action.only(&["name"])?;
            name(&action, "send_location")
        }
        _ => {
            action.only(&["name"])?;
            name(&action, "request_contact_info")
        }
    }
}

fn header(object: &Node<'_>, kind: &str) -> Result<(), Fault> {
    let kinds: &[&str] = match kind {
        "list" | "product_list" => &["text"],
        "button" | "cta_url" | "flow" => &["text", "image", "video", "document"],
        _ => &[],
    };
    let Some(header) = object.child("header")? else {
        return match kind {
            "product_list" => Err(missing("interactive['header']")),
            _ => Ok(()),
        };
    };
    let word = header.need("type", 16)?;
    if !kinds.contains(&word) {
        return Err(Fault::invalid(format!(
            "Param interactive['header']['type'] must be one of {{{}}}.",
            kinds.join(", ")
        )));
    }
    header.only(&["type", word])?;
    match word {
        "text" => header.need("text", 60).map(|_| ()),
        _ => {
            let file = header
                .child(word)?
                .ok_or_else(|| missing(&header.at(word)))?;
            file.only(&["id", "link", "filename"])?;
            match (file.text("id", 1, 64)?, file.text("link", 1, 2_048)?) {
                (Some(_), None) | (None, Some(_)) => Ok(()),
                _ => Err(Fault::invalid(format!(
                    "Param {} must have either an id or a link.",
                    file.path
                ))),
            }
        }
    }
}

fn name(action: &Node<'_>, name: &str) -> Result<(), Fault> {
    match action.need("name", 64)? {
        found if found == name => Ok(()),
        _ => Err(Fault::invalid(format!(
            "Param action['name'] must be one of {{{name}}}."
        ))),
    }
}

/// The parameters of an action with a name.
fn named<'a>(action: &Node<'a>, word: &str) -> Result<Node<'a>, Fault> {
    action.only(&["name", "parameters"])?;
    name(action, word)?;
    action
        .child("parameters")?
        .ok_or_else(|| missing("action['parameters']"))
}

fn products(action: &Node<'_>) -> Result<(), Fault> {
    action.only(&["catalog_id", "sections"])?;
    action.need("catalog_id", 64)?;
    let mut count = 0;
    for section in action.list("sections", 1, 10)? {
        section.only(&["title", "product_items"])?;
        section.need("title", 24)?;
        for item in section.list("product_items", 1, 30)? {
            item.only(&["product_retailer_id"])?;
            item.need("product_retailer_id", 100)?;
            count += 1;
        }
    }
    if count > 30 {
        return Err(Fault::new(
            131009,
            "Total product count exceed max allowed count: 30",
        ));
    }
    Ok(())
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
