//! A customer, a session and what happens in it, for the tests of this crate.

use handoffd_contract::event::{
    Attachment, AttachmentKind, Author, AuthorKind, Contact, Data, DeliveryState, Handoff,
    Location, Message, MessageEvent, Reasoning, ReplyStatus, Session, SessionClosed, Source,
};
use handoffd_contract::lane::{self, Progress};
use handoffd_contract::proof::{Stage, encode};
use handoffd_contract::sandbox::{Request, Response, Sandbox};
use handoffd_contract::{
    Auth, Call, Connector, HttpCall, HttpReply, Item, Known, MediaProblem, MediaRef, Rendered,
    Reply, Stop, Work,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub const NOW: &str = "2026-11-20T10:00:00Z";

pub fn at(seconds: i64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

pub fn settings(more: Value) -> Value {
    let mut settings = json!({
        "site": "https://acme.creatio.com",
        "auth": { "kind": "oauth", "client_id": "3F4A", "client_secret": "creatio_secret" },
        "resolved_status_id": "ae7f411e-f46b-1410-009b-0050ba5d6c38",
        "webhook_token": "creatio_hook",
    });
    for (key, value) in more.as_object().unwrap() {
        settings[key] = value.clone();
    }
    settings
}

pub fn connector(more: Value) -> Box<dyn Connector> {
    handoffd_creatio::connector("crm", &settings(more)).unwrap()
}

pub fn site() -> Box<dyn Sandbox> {
    handoffd_creatio::sandbox()
}

/// A site that knows Ana already.
pub fn site_with_ana() -> Box<dyn Sandbox> {
    let mut site = site();
    site.act(
        at(-3_600),
        &json!({ "act": "contact", "name": "Ana López", "phone": "+34 600 11-12 22" }),
    )
    .unwrap();
    site
}

pub fn session() -> Session {
    Session {
        id: "s-1".into(),
        url: Some("https://assistant.example/sessions/s-1?a=1&b=2".into()),
        channel: "whatsapp".into(),
        business_number: "+34910000000".into(),
        language: Some("es".into()),
        opened_at: None,
    }
}

pub fn ana() -> Contact {
    Contact {
        phone: Some("+34600111222".into()),
        wa_id: Some("34600111222".into()),
        name: Some("Ana <b>López</b>".into()),
        ..Contact::default()
    }
}

pub fn message(id: &str, seconds: i64, kind: AuthorKind, text: &str) -> Message {
    Message {
        id: id.into(),
        time: at(seconds),
        author: Author { kind, name: None },
        text: Some(text.into()),
        ..Message::default()
    }
}

pub fn attachment(id: &str, kind: AttachmentKind, name: &str, source: Option<&str>) -> Attachment {
    Attachment {
        id: id.into(),
        kind,
        mime: None,
        name: Some(name.into()),
        size: None,
        caption: None,
        transcript: None,
        source: source.map(|url| Source::Url { url: url.into() }),
    }
}

/// Text, image, voice note, document, a lost file, a sticker and a place.
pub fn transcript() -> Vec<Message> {
    let mut photo = message("m2", -290, AuthorKind::Customer, "look:");
    photo.attachments.push(attachment(
        "a1",
        AttachmentKind::Image,
        "photo.jpg",
        Some("https://media.example/photo.jpg"),
    ));
    let mut voice = message("m3", -290, AuthorKind::Customer, "");
    voice.attachments.push(Attachment {
        transcript: Some("where is my parcel".into()),
        ..attachment(
            "a1",
            AttachmentKind::Voice,
            "v.ogg",
            Some("https://media.example/v.ogg"),
        )
    });
    let mut lost = message("m5", -280, AuthorKind::Customer, "");
    lost.attachments
        .push(attachment("a1", AttachmentKind::Document, "lost.pdf", None));
    lost.attachments.push(attachment(
        "a2",
        AttachmentKind::Document,
        "gone.pdf",
        Some("https://media.example/gone.pdf"),
    ));
    lost.attachments.push(attachment(
        "a3",
        AttachmentKind::Sticker,
        "s.webp",
        Some("https://media.example/s.webp"),
    ));
    let mut place = message("m6", -270, AuthorKind::Customer, "");
    place.location = Some(Location {
        latitude: 40.4168,
        longitude: -3.7038,
        name: Some("Sol".into()),
        address: None,
        live: false,
    });
    vec![
        message(
            "m1",
            -300,
            AuthorKind::Customer,
            "Hi, \"order\" <8812> & co 👋🏽",
        ),
        photo,
        voice,
        message("m4", -290, AuthorKind::Assistant, "One moment"),
        lost,
        place,
    ]
}

pub fn handoff(transcript: Vec<Message>) -> Data {
    Data::HandoffRequested(Box::new(Handoff {
        session: session(),
        contact: ana(),
        handoff: Reasoning {
            reasons: vec!["Refund".into(), "Angry <customer>".into()],
            summary: Some("Wants money back for order 8812 & an excuse".into()),
            sentiment: Some("frustrated".into()),
            language: Some("es".into()),
            topic: Some("Refund of order 8812".into()),
            requested_at: Some(at(-5)),
        },
        transcript,
        ..Handoff::default()
    }))
}

pub fn item(id: &str, seconds: i64, data: Data) -> Item {
    Item {
        id: id.into(),
        time: at(seconds),
        data,
        rendered: None,
    }
}

pub fn rendered(item: Item, case: Value) -> Item {
    let section = case
        .as_object()
        .unwrap()
        .iter()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let rendered = Rendered {
        version: 1,
        sections: [("case".to_owned(), section)].into(),
        notes: vec!["Topic was cut".into()],
        ..Rendered::default()
    };
    Item {
        rendered: Some(rendered),
        ..item
    }
}

pub fn received(id: &str, seconds: i64, text: &str) -> Item {
    let message = message(id, seconds, AuthorKind::Customer, text);
    item(
        &format!("e-{id}"),
        seconds,
        Data::MessageReceived(MessageEvent {
            message,
            session: None,
            contact: None,
            reference: None,
        }),
    )
}

pub fn sent(id: &str, seconds: i64, reference: Option<&str>) -> Item {
    let message = message(id, seconds, AuthorKind::Agent, "from the platform");
    let event = MessageEvent {
        message,
        session: None,
        contact: None,
        reference: reference.map(str::to_owned),
    };
    item(&format!("e-{id}"), seconds, Data::MessageSent(event))
}

pub fn status(id: &str, seconds: i64, state: DeliveryState) -> Item {
    let status = ReplyStatus {
        cause: None,
        target: "crm".into(),
        message_id: "rep-1".into(),
        state,
        detail: Some("the 24-hour window is closed".into()),
    };
    item(id, seconds, Data::ReplyStatus(status))
}

pub fn closed(id: &str, seconds: i64) -> Item {
    item(
        id,
        seconds,
        Data::SessionClosed(SessionClosed {
            resolved: Some(true),
            reason: None,
            closed_by: None,
        }),
    )
}

pub fn media(wanted: &MediaRef) -> Result<Vec<u8>, MediaProblem> {
    match &wanted.attachment.source {
        Some(Source::Url { url }) if url.contains("gone") => Err(MediaProblem::Gone),
        Some(Source::Url { url }) => Ok(format!("bytes of {url}").into_bytes()),
        _ => Err(MediaProblem::Gone),
    }
}

/// What a rep sees, without what differs from run to run: numbers that were given twice.
pub fn outcome(view: &Value) -> Value {
    let mut view = view.clone();
    for case in view["cases"].as_array_mut().unwrap() {
        case.as_object_mut().unwrap().remove("number");
        for list in ["attachments", "timeline", "feed"] {
            let rows = case[list].as_array_mut().unwrap();
            if list == "attachments" {
                rows.sort_by_key(|row| row["id"].to_string());
            }
        }
    }
    view
}

pub fn stage<'a>(
    connector: &'a dyn Connector,
    sandbox: &'a dyn Fn() -> Box<dyn Sandbox>,
    chapters: Vec<Vec<Item>>,
) -> Stage<'a> {
    Stage {
        connector,
        sandbox,
        outcome: &outcome,
        media: &media,
        session: session(),
        contact: ana(),
        start: at(0),
        last_inbound: Some(at(-10)),
        chapters,
    }
}

/// A signed-in call, as any client makes it.
pub fn call(site: &mut dyn Sandbox, call: &HttpCall) -> Response {
    let request = encode(call, site, at(10), &media).unwrap();
    site.handle(at(10), &request)
}

pub fn get(site: &mut dyn Sandbox, path: &str, query: &[(&str, &str)]) -> Response {
    let with = query
        .iter()
        .fold(HttpCall::get(path), |call, (name, value)| {
            call.query(*name, *value)
        });
    call(site, &with)
}

pub fn reply(response: Response) -> HttpReply {
    HttpReply {
        status: response.status,
        headers: response.headers,
        body: response.body,
    }
}

pub fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or(Value::Null)
}

pub fn unsigned(method: &str, path: &str) -> Request {
    Request {
        method: method.into(),
        path: path.into(),
        ..Request::default()
    }
}

pub fn signed(
    site: &mut dyn Sandbox,
    method: &str,
    path: &str,
    mime: &str,
    body: &[u8],
) -> Response {
    let mut headers = site.sign_in(at(10), &Auth::Target);
    headers.push(("content-type".into(), mime.into()));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let request = Request {
        method: method.into(),
        path: path.into(),
        query: handoffd_contract::sandbox::parse_query(query),
        headers,
        body: body.to_vec(),
    };
    site.handle(at(10), &request)
}

pub fn work(contact: &Contact, items: Vec<Item>) -> Work {
    Work {
        target: "crm".into(),
        session: session(),
        contact: contact.clone(),
        items,
        last_inbound: None,
        now: at(0),
        controller: handoffd_contract::Controller::queued(None),
    }
}

/// One wave after the other, as the engine does, until nothing is left; a refusal is the answer.
pub fn run(
    connector: &dyn Connector,
    site: &mut dyn Sandbox,
    work: &Work,
    known: &mut Known,
) -> Option<Stop> {
    for _ in 0..200 {
        if connector.next(work, known).unwrap().is_empty() {
            return None;
        }
        if let Some(stop) = wave(connector, site, work, known) {
            return Some(stop);
        }
    }
    panic!("no end")
}

/// One wave in which nothing is refused for good.
pub fn advance(connector: &dyn Connector, site: &mut dyn Sandbox, work: &Work, known: &mut Known) {
    assert_eq!(wave(connector, site, work, known), None);
}

fn wave(
    connector: &dyn Connector,
    site: &mut dyn Sandbox,
    work: &Work,
    known: &mut Known,
) -> Option<Stop> {
    for step in connector.next(work, known).unwrap() {
        let verdict = match &step.call {
            Call::Record(record) => {
                record
                    .facts
                    .iter()
                    .for_each(|(name, value)| known.set(name.clone(), value.clone()));
                continue;
            }
            Call::Http(http) => {
                let reply = match encode(http, site, at(1), &media) {
                    Ok(request) => Reply::Http(reply(site.handle(at(1), &request))),
                    Err(problem) => Reply::Media(problem),
                };
                connector.read(&step, &reply)
            }
            Call::Publish(_) => unreachable!("Creatio publishes nothing"),
        };
        let before = known.clone();
        match lane::settle(known, &before, &step, verdict) {
            Progress::Moved => {}
            Progress::Never(stop) => return Some(stop),
            other => panic!("{other:?}"),
        }
    }
    None
}

pub fn parked(connector: &dyn Connector, site: &mut dyn Sandbox, work: &Work) -> Stop {
    run(connector, site, work, &mut Known::default()).expect("it parks")
}

pub fn connector_run(
    connector: &dyn Connector,
    site: &mut dyn Sandbox,
    session: &str,
    contact: &Contact,
) -> Known {
    let mut known = Known::default();
    let mut work = work(contact, vec![item("h1", 0, handoff(Vec::new()))]);
    work.session.id = session.into();
    assert_eq!(run(connector, site, &work, &mut known), None);
    known
}
