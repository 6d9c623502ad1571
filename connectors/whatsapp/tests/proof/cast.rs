//! Settings, replies and files that the tests play with.

use handoffd_contract::event::RepReply;
use handoffd_contract::{Attachment, Connector, Data, Item, MediaProblem, MediaRef, Source};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The customer of every story.
pub const CUSTOMER: &str = "4915112345678";
/// When every story begins.
pub fn start() -> Timestamp {
    "2026-11-20T09:00:00Z".parse().expect("a time")
}

/// Settings for the Cloud API, as the simulator gives them out, with changes.
pub fn cloud(changes: Value) -> Box<dyn Connector> {
    let mut settings =
        handoffd_whatsapp::sandbox().credentials("https://graph.test")["settings"].clone();
    settings["endings"] = json!(true);
    change(&mut settings, changes);
    connector(&settings)
}

/// Settings for the gateway, with changes.
pub fn gateway(changes: Value) -> Box<dyn Connector> {
    let mut settings = json!({
        "exit": "gateway", "exchange": "whatsapp", "routing_key": "replies",
        "endings": true,
    });
    change(&mut settings, changes);
    connector(&settings)
}

fn connector(settings: &Value) -> Box<dyn Connector> {
    handoffd_whatsapp::connector("whatsapp", settings).unwrap_or_else(|p| panic!("{p:?}"))
}

fn change(settings: &mut Value, changes: Value) {
    for (name, value) in changes.as_object().cloned().unwrap_or_default() {
        settings[name] = value;
    }
}

/// A reply of a rep.
pub fn reply(id: &str, text: &str) -> RepReply {
    RepReply {
        target: "crm".into(),
        message_id: id.into(),
        author: Some("Rita".into()),
        text: Some(text.to_owned()).filter(|text| !text.is_empty()),
        attachments: Vec::new(),
        options: Vec::new(),
        template: None,
        quotes: None,
    }
}

/// A file of a reply; `media` makes its bytes from its id.
pub fn file(id: &str, mime: &str, name: &str) -> Attachment {
    Attachment {
        id: id.into(),
        kind: Default::default(),
        mime: Some(mime.into()),
        name: Some(name.into()),
        size: None,
        caption: None,
        transcript: None,
        source: Some(Source::Url {
            url: format!("https://files.test/{id}"),
        }),
    }
}

/// An event of the session.
pub fn item(id: &str, data: Data) -> Item {
    Item {
        id: id.into(),
        time: start(),
        data,
        rendered: None,
    }
}

/// A reply as an event.
pub fn replied(id: &str, reply: RepReply) -> Item {
    item(id, Data::RepReplied(reply))
}

/// An attachment's bytes; ids beginning with a word below are in trouble.
pub fn media(wanted: &MediaRef) -> Result<Vec<u8>, MediaProblem> {
    let id = &wanted.attachment.id;
    match id.split('-').next() {
        Some("gone") => Err(MediaProblem::Gone),
        Some("large") => Err(MediaProblem::TooLarge),
        Some("down") => Err(MediaProblem::Unreachable),
        _ => Ok(format!("the bytes of {id}").into_bytes()),
    }
}
