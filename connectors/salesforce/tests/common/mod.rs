//! A stage: the connector, its simulator, and a conversation to tell.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::event::{
    AttachmentKind, DeliveryState, MessageEvent, Reasoning, ReplyStatus, Session, SessionClosed,
};
use handoffd_contract::proof::{Report, Stage, prove};
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{
    Attachment, Author, AuthorKind, Connector, Contact, Data, Handoff, Item, Location,
    MediaProblem, MediaRef, Message, Rendered, Source,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The session's id.
pub const SESSION: &str = "01JSESSION";

/// The connector, with settings beside the six that the simulator wants.
pub fn connector(extra: Value) -> Box<dyn Connector> {
    let credentials = handoffd_salesforce::sandbox().credentials("http://127.0.0.1:9101");
    let mut settings = credentials["settings"]
        .as_object()
        .expect("settings")
        .clone();
    settings.extend(extra.as_object().cloned().unwrap_or_default());
    match handoffd_salesforce::connector("crm", &Value::Object(settings)) {
        Ok(connector) => connector,
        Err(problems) => panic!("{problems:?}"),
    }
}

/// A simulator with switches set.
pub fn sandbox(switches: &Value) -> Box<dyn Sandbox> {
    let mut sandbox = handoffd_salesforce::sandbox();
    for (name, value) in switches.as_object().into_iter().flatten() {
        sandbox.switch(name, value).expect("switch");
    }
    sandbox
}

pub fn start() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().expect("time")
}

pub fn contact() -> Contact {
    Contact {
        wa_id: Some("201000000001".into()),
        phone: Some("+201000000001".into()),
        name: Some("Mona <\"K\"> O'Neil".into()),
        ..Contact::default()
    }
}

pub fn session() -> Session {
    Session {
        id: SESSION.into(),
        url: Some("https://platform.example/s/01JSESSION".into()),
        channel: "whatsapp".into(),
        business_number: "+4930123456".into(),
        language: Some("ar-EG".into()),
        opened_at: None,
    }
}

pub fn message(id: &str, kind: AuthorKind, text: &str) -> Message {
    Message {
        id: id.into(),
        time: start() - SignedDuration::from_mins(5),
        author: Author { kind, name: None },
        text: (!text.is_empty()).then(|| text.to_owned()),
        ..Message::default()
    }
}

pub fn attachment(id: &str, kind: AttachmentKind, mime: &str) -> Attachment {
    Attachment {
        id: id.into(),
        kind,
        mime: Some(mime.into()),
        name: None,
        size: None,
        caption: None,
        transcript: None,
        source: Some(Source::Url {
            url: format!("https://media.example/{id}"),
        }),
    }
}

/// Text, image with caption, voice note with transcript, document, location, sticker.
pub fn rich_transcript() -> Vec<Message> {
    let mut image = message("m2", AuthorKind::Customer, "");
    image.attachments.push(Attachment {
        caption: Some("the <box>".into()),
        ..attachment("image", AttachmentKind::Image, "image/jpeg")
    });
    let mut voice = message("m3", AuthorKind::Customer, "");
    voice.attachments.push(Attachment {
        transcript: Some("it is broken".into()),
        ..attachment("voice", AttachmentKind::Voice, "audio/ogg; codecs=opus")
    });
    let mut document = message("m4", AuthorKind::Customer, "the bill");
    document.attachments.push(Attachment {
        name: Some("bill \"March\".pdf".into()),
        ..attachment("bill", AttachmentKind::Document, "application/pdf")
    });
    document
        .attachments
        .push(attachment("sticker", AttachmentKind::Sticker, "image/webp"));
    let mut place = message("m5", AuthorKind::Customer, "");
    place.location = Some(Location {
        latitude: 30.05,
        longitude: 31.23,
        name: Some("Shop".into()),
        address: None,
        live: false,
    });
    vec![
        message("m1", AuthorKind::Customer, "مرحبا 👋 where is my parcel?"),
        image,
        voice,
        document,
        place,
        message("m6", AuthorKind::Assistant, "A colleague takes over."),
    ]
}

pub fn handoff(id: &str, transcript: Vec<Message>) -> Item {
    let handoff = Handoff {
        session: session(),
        contact: contact(),
        handoff: Reasoning {
            reasons: vec![
                "user_requested_human_assistance".into(),
                "prohibited_topic".into(),
            ],
            summary: Some("Parcel arrived broken.".into()),
            sentiment: Some("angry".into()),
            language: Some("ar-EG".into()),
            topic: Some("Broken parcel".into()),
            requested_at: None,
        },
        transcript,
        fields: BTreeMap::from([("order number".to_owned(), json!(4711))]),
        targets: None,
    };
    let mut rendered = Rendered {
        version: 1,
        ..Rendered::default()
    };
    let section = json!({ "priority": "high", "Sentiment": "negative" });
    let section: Map<String, Value> = section.as_object().expect("object").clone();
    rendered
        .sections
        .insert("routing".into(), section.into_iter().collect());
    rendered.notes.push("summary was truncated".into());
    Item {
        id: id.into(),
        time: start(),
        data: Data::HandoffRequested(Box::new(handoff)),
        rendered: Some(rendered),
    }
}

pub fn item(id: &str, data: Data) -> Item {
    Item {
        id: id.into(),
        time: start(),
        data,
        rendered: None,
    }
}

pub fn received(message: Message) -> Item {
    let event = MessageEvent {
        message,
        session: None,
        contact: None,
        reference: None,
    };
    item(
        &format!("e-{}", event.message.id),
        Data::MessageReceived(event),
    )
}

pub fn sent(message: Message, reference: Option<&str>) -> Item {
    let event = MessageEvent {
        message,
        session: None,
        contact: None,
        reference: reference.map(str::to_owned),
    };
    item(&format!("e-{}", event.message.id), Data::MessageSent(event))
}

pub fn status(id: &str, state: DeliveryState, detail: Option<&str>) -> Item {
    let status = ReplyStatus {
        cause: None,
        target: "crm".into(),
        message_id: id.into(),
        state,
        detail: detail.map(str::to_owned),
    };
    item(&format!("status-{id}-{state:?}"), Data::ReplyStatus(status))
}

pub fn closed(id: &str) -> Item {
    item(id, Data::SessionClosed(SessionClosed::default()))
}

/// Every attachment has bytes, ten per letter of its id, unless its id says otherwise.
pub fn media(wanted: &MediaRef) -> Result<Vec<u8>, MediaProblem> {
    let id = wanted.attachment.id.as_str();
    match &wanted.attachment.source {
        Some(Source::Inline { data }) => Ok(STANDARD.decode(data).expect("base64")),
        _ if id.starts_with("gone") => Err(MediaProblem::Gone),
        _ if id.starts_with("large") => Ok(vec![b'x'; wanted.max_bytes as usize + 1]),
        _ => Ok(id.repeat(10).into_bytes()),
    }
}

/// What must not depend on mishaps: everything in the view but times and record ids.
pub fn outcome(view: &Value) -> Value {
    let keep = |line: &Value, names: &[&str]| -> Value {
        names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), line.get(name)?.clone())))
            .collect::<Map<_, _>>()
            .into()
    };
    let conversations = view["conversations"].as_array().expect("conversations");
    conversations
        .iter()
        .map(|c| {
            let thread: Vec<Value> = c["thread"]
                .as_array()
                .expect("thread")
                .iter()
                .map(|line| keep(line, &["from", "text", "file", "event", "receipts"]))
                .collect();
            let sessions: Vec<Value> = c["sessions"]
                .as_array()
                .expect("sessions")
                .iter()
                .map(|session| keep(session, &["status", "routing attributes"]))
                .collect();
            let mut shown = keep(
                c,
                &[
                    "conversation",
                    "end user",
                    "status",
                    "routing attributes",
                    "language",
                ],
            );
            shown["thread"] = thread.into();
            shown["sessions"] = sessions.into();
            shown
        })
        .collect::<Vec<_>>()
        .into()
}

/// Tells a story with these settings and switches, and with up to `depth` mishaps.
pub fn tell(settings: Value, switches: &Value, chapters: Vec<Vec<Item>>, depth: usize) -> Report {
    let connector = connector(settings);
    let stage = Stage {
        connector: &*connector,
        sandbox: &|| sandbox(switches),
        outcome: &outcome,
        media: &media,
        session: session(),
        contact: contact(),
        start: start(),
        last_inbound: Some(start()),
        chapters,
    };
    prove(&stage, depth)
}

/// What the rep reads: texts of the end user's lines, files as `name: content`.
pub fn thread(report: &Report) -> Vec<String> {
    lines(&report.outcome)
}

/// The same, of an outcome.
pub fn lines(outcome: &Value) -> Vec<String> {
    let conversations = outcome.as_array().expect("conversations");
    let lines = conversations
        .iter()
        .flat_map(|c| c["thread"].as_array().expect("thread"));
    lines
        .filter(|line| line["from"] == "EndUser")
        .map(|line| match line.get("file") {
            Some(file) => format!(
                "{}: {}{}",
                file["name"].as_str().unwrap_or(""),
                line["text"].as_str().unwrap_or(""),
                file["content"]
                    .as_str()
                    .map(|c| format!("\n{c}"))
                    .unwrap_or_default()
            ),
            None => line["text"].as_str().unwrap_or("").to_owned(),
        })
        .collect()
}
