//! An organisation with one conversation, and a stream of its end user, without the engine.

use std::collections::BTreeSet;

use handoffd_contract::event::RepReply;
use handoffd_contract::sandbox::{Request, Response, Sandbox};
use handoffd_contract::{Auth, Connector, Frame, HttpReply, Inbound, InboundKind};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub const API: &str = "/iamessage/api/v2";
pub const SUBJECT: &str = "handoffd:201";
pub const CONVERSATION: &str = "5a9ac8a5-1d4c-4c8e-9c1a-5b1c9b5fcb10";

/// An organisation with one conversation, and a stream of its end user.
pub struct Scene {
    pub org: Box<dyn Sandbox>,
    pub connector: Box<dyn Connector>,
    pub now: Timestamp,
    pub stream: String,
    pub after: u64,
}

pub fn connector(extra: Value) -> Box<dyn Connector> {
    let credentials = handoffd_salesforce::sandbox().credentials("http://127.0.0.1:9101");
    let mut settings = credentials["settings"]
        .as_object()
        .expect("settings")
        .clone();
    settings.extend(extra.as_object().cloned().unwrap_or_default());
    handoffd_salesforce::connector("crm", &Value::Object(settings))
        .map_err(|p| format!("{p:?}"))
        .expect("connector")
}

impl Scene {
    pub fn new(settings: Value) -> Scene {
        let mut scene = Scene {
            org: handoffd_salesforce::sandbox(),
            connector: connector(settings),
            now: "2026-11-20T10:00:00Z".parse().expect("time"),
            stream: String::new(),
            after: 0,
        };
        scene.open(Some("2861"));
        let created = scene.post("/conversation", &json!({
            "conversationId": CONVERSATION, "esDeveloperName": "Handoffd_Custom_Client", "language": "en",
            "routingAttributes": { "OpencxSessionId": "s1" } }));
        assert_eq!(created.status, 201);
        scene
    }

    pub fn signed(&mut self) -> Vec<(String, String)> {
        self.org.sign_in(
            self.now,
            &Auth::Customer {
                subject: SUBJECT.into(),
            },
        )
    }

    pub fn request(&mut self, method: &str, path: &str) -> Response {
        let request = Request {
            method: method.into(),
            path: format!("{API}{path}"),
            headers: self.signed(),
            ..Request::default()
        };
        self.org.handle(self.now, &request)
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Response {
        let mut headers = self.signed();
        headers.push(("content-type".into(), "application/json".into()));
        headers.push(("host".into(), "127.0.0.1:9101".into()));
        let request = Request {
            method: "POST".into(),
            path: format!("{API}{path}"),
            headers,
            body: body.to_string().into(),
            ..Request::default()
        };
        self.org.handle(self.now, &request)
    }

    pub fn say(&mut self, id: &str, text: &str) -> Response {
        self.post(&format!("/conversation/{CONVERSATION}/message"), &json!({ "esDeveloperName": "Handoffd_Custom_Client",
            "message": { "id": id, "messageType": "StaticContentMessage", "staticContent": { "formatType": "Text", "text": text } } }))
    }

    pub fn open(&mut self, last: Option<&str>) -> u16 {
        let mut headers = self.signed();
        headers.push(("x-org-id".into(), "00DHs000001sbx1".into()));
        headers.extend(last.map(|last| ("last-event-id".to_owned(), last.to_owned())));
        let request = Request {
            method: "GET".into(),
            path: "/eventrouter/v1/sse".into(),
            headers,
            ..Request::default()
        };
        let response = self.org.handle(self.now, &request);
        if let Some(stream) = response.stream {
            self.stream = stream.key;
            self.after = stream.after;
        }
        response.status
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        let frames = self.org.frames(self.now, &self.stream, self.after);
        self.after = frames.last().map_or(self.after, |(at, _)| *at);
        frames.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }

    /// What the connector hears in what the stream carries now, each thing once, as in the ledger.
    pub fn hear(&mut self) -> Vec<Inbound> {
        let bytes = self.bytes();
        let mut out: Vec<Inbound> = Vec::new();
        let mut seen = BTreeSet::new();
        for (id, event, data) in events(&bytes) {
            let frame = Frame::Event {
                key: SUBJECT,
                id: &id,
                event: &event,
                data: &data,
            };
            let mut hearing = self.connector.hear(&frame).expect("heard");
            while let Some(read) = hearing.fetch.pop() {
                let path = read.call.path.trim_start_matches(API).to_owned();
                let response = self.request("GET", &path);
                let reply = HttpReply {
                    status: response.status,
                    headers: Vec::new(),
                    body: response.body,
                };
                let more = self
                    .connector
                    .hear(&Frame::Reply {
                        read: &read,
                        reply: &reply,
                    })
                    .expect("heard");
                hearing.heard.extend(more.heard);
                hearing.fetch.extend(more.fetch);
            }
            out.extend(
                hearing
                    .heard
                    .into_iter()
                    .filter(|heard| seen.insert(heard.id.clone())),
            );
        }
        out
    }

    pub fn act(&mut self, act: Value) {
        self.now += SignedDuration::from_millis(10);
        self.org.act(self.now, &act).expect("act");
    }

    pub fn replies(&mut self) -> Vec<RepReply> {
        let replied = |heard: Inbound| match heard.kind {
            InboundKind::Replied(reply) => Some(reply),
            _ => None,
        };
        self.hear().into_iter().filter_map(replied).collect()
    }
}

/// The events of a stream, as a client parses them.
pub fn events(bytes: &[u8]) -> Vec<(String, String, String)> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let frames = text.split("\n\n").filter(|frame| !frame.trim().is_empty());
    frames
        .map(|frame| {
            let field = |name: &str| {
                frame
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .unwrap_or("")
                    .trim()
                    .to_owned()
            };
            let raw = if frame.contains(':') {
                field("data:")
            } else {
                frame.to_owned()
            };
            let event = if frame.contains("event:") {
                field("event:")
            } else {
                "message".to_owned()
            };
            (field("id:"), event, raw)
        })
        .collect()
}
