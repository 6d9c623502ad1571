//! Every connector's conversation with its simulator, played to the end: the steps it planned, the
//! replies they got, the webhooks that came. What is then mutated is what really goes over the wire.

use handoffd::config::Limits;
use handoffd::connectors::KINDS;
use handoffd::intake::{Incoming, Origin, decode};
use handoffd::mapping::{Input, Mapping};
use handoffd_contract::feed::Read;
use handoffd_contract::lane::{self, Progress};
use handoffd_contract::sandbox::{Request, Response, Sandbox};
use handoffd_contract::text::encode;
use handoffd_contract::{
    Body, Call, Connector, Content, Data, Feed, Frame, HttpCall, HttpReply, Item, Known, Part,
    Publication, Reply, Step, Work,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What was seen of one target.
pub struct Played {
    pub kind: &'static str,
    pub connector: Box<dyn Connector>,
    pub steps: Vec<(Step, Reply)>,
    pub webhooks: Vec<Vec<u8>>,
    pub reads: Vec<(Read, HttpReply)>,
    pub frames: Vec<String>,
}

/// All of them.
pub fn all() -> Vec<Played> {
    KINDS.iter().map(|kind| play(kind.name)).collect()
}

const HOOK: &str = "http://127.0.0.1:1/webhooks/x/sandbox-path-token";

fn play(name: &'static str) -> Played {
    let kind = handoffd::connectors::kind(name).unwrap();
    let mut sandbox = (kind.sandbox)();
    let _ = sandbox.switch("webhook_url", &json!(HOOK));
    let given = sandbox.credentials("http://127.0.0.1:9101");
    let connector = (kind.connector)(name, &given["settings"]).unwrap();
    let mut now: Timestamp = "2026-03-02T09:16:05Z".parse().unwrap();
    let work = work(&mut *sandbox, name, now);
    let mut known = Known::default();
    let (mut steps, mut webhooks, mut reads, mut frames) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..60 {
        now += SignedDuration::from_secs(4);
        let work = Work {
            now,
            ..work.clone()
        };
        let Ok(wave) = connector.next(&work, &known) else {
            break;
        };
        if wave.is_empty() {
            break;
        }
        for step in wave {
            let reply = match &step.call {
                Call::Record(record) => {
                    record
                        .facts
                        .iter()
                        .for_each(|(name, value)| known.set(name, value));
                    continue;
                }
                Call::Publish(_) => Reply::Published(Publication::Confirmed),
                Call::Http(call) => Reply::Http(ask(&mut *sandbox, now, call)),
            };
            let verdict = connector.read(&step, &reply);
            let before = known.clone();
            if let Progress::Never(stop) = lane::settle(&mut known, &before, &step, verdict) {
                panic!("{name}: {} {stop:?}", step.name);
            }
            steps.push((step, reply));
        }
    }
    // A rep answers; how is the simulator's own affair, and not every act fits every one.
    for act in [
        "accept", "text", "reply", "note", "log_call", "resolve", "close", "end", "assign",
    ] {
        let act = json!({"act": act, "rep": "Rosa", "text": "a rep's <b>answer</b> with 'quotes'", "body": "[wa] a rep's answer", "stage": "4"});
        let _ = sandbox.act(now, &act);
    }
    now += SignedDuration::from_secs(60);
    webhooks.extend(
        sandbox
            .deliveries(now)
            .into_iter()
            .map(|delivery| delivery.body),
    );
    let work = Work { now, ..work };
    let mut wanted = Vec::new();
    match connector.feed(&work, &known, None) {
        Some(Feed::Poll { read, backfill, .. }) => {
            wanted.push(read);
            wanted.extend(backfill);
        }
        Some(Feed::Stream { backfill, key, .. }) => {
            wanted.extend(backfill);
            let all = sandbox.frames(now, &key, 0).into_iter();
            frames.extend(all.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()));
        }
        None => {}
    }
    let heard = webhooks
        .iter()
        .filter_map(|body| connector.hear(&Frame::Webhook { headers: &[], body }).ok());
    wanted.extend(heard.flat_map(|hearing| hearing.fetch));
    while let (Some(read), true) = (wanted.pop(), reads.len() < 20) {
        let reply = ask(&mut *sandbox, now, &read.call);
        if let Ok(hearing) = connector.hear(&Frame::Reply {
            read: &read,
            reply: &reply,
        }) {
            wanted.extend(hearing.fetch);
        }
        reads.push((read, reply));
    }
    Played {
        kind: name,
        connector,
        steps,
        webhooks,
        reads,
        frames,
    }
}

/// Sends a call to the simulator; a file's bytes are always the same few.
fn ask(sandbox: &mut dyn Sandbox, now: Timestamp, call: &HttpCall) -> HttpReply {
    let mut headers: Vec<(String, String)> = call.headers.clone();
    headers
        .iter_mut()
        .for_each(|(name, _)| name.make_ascii_lowercase());
    headers.extend(sandbox.sign_in(now, &call.auth));
    let (mime, body) = match &call.body {
        Body::Empty => (None, Vec::new()),
        Body::Json(value) => (Some("application/json"), value.to_string().into_bytes()),
        Body::Form(fields) => {
            let pairs = fields
                .iter()
                .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
            let form = pairs.collect::<Vec<_>>().join("&");
            (Some("application/x-www-form-urlencoded"), form.into_bytes())
        }
        Body::Media(_) => (Some("application/octet-stream"), b"bytes".to_vec()),
        Body::JsonWithFile(wanted) => {
            let (before, after) = wanted.around();
            let json = format!("{before}Ynl0ZXM={after}");
            (Some("application/json"), json.into_bytes())
        }
        Body::Multipart(parts) => (
            Some("multipart/form-data; boundary=cut"),
            multipart(parts).into_bytes(),
        ),
    };
    if let Some(mime) = mime.filter(|_| headers.iter().all(|(name, _)| name != "content-type")) {
        headers.push(("content-type".into(), mime.into()));
    }
    let request = Request {
        method: call.method.as_str().into(),
        path: call.path.clone(),
        query: call.query.clone(),
        headers,
        body,
    };
    plain(sandbox.handle(now, &request))
}

fn multipart(parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        let file = part
            .file_name
            .as_ref()
            .map_or(String::new(), |name| format!("; filename=\"{name}\""));
        let mime = part
            .mime
            .as_ref()
            .map_or(String::new(), |mime| format!("\r\nContent-Type: {mime}"));
        let text = match &part.content {
            Content::Text(text) => text,
            Content::Media(_) => "bytes",
        };
        out += &format!(
            "--cut\r\nContent-Disposition: form-data; name=\"{}\"{file}{mime}\r\n\r\n{text}\r\n",
            part.name
        );
    }
    out + "--cut--\r\n"
}

fn plain(response: Response) -> HttpReply {
    let headers = response.headers.into_iter();
    HttpReply {
        status: response.status,
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect(),
        body: response.body,
    }
}

/// The sample handoff, a message after it, and a rep's reply where replies go.
fn work(sandbox: &mut dyn Sandbox, target: &str, now: Timestamp) -> Work {
    let event = |text: &str| {
        let incoming = Incoming {
            origin: Origin::Http,
            content_type: None,
            headers: Default::default(),
            body: text.into(),
        };
        decode(&incoming, &Limits::default(), Timestamp::now()).unwrap()
    };
    let handoff = event(include_str!("../events/handoff.requested.json"));
    let received = event(include_str!("../events/message.received.json"));
    let Data::HandoffRequested(first) = &handoff.data else {
        unreachable!()
    };
    let (session, contact) = (first.session.clone(), first.contact.clone());
    let said = json!({"act": "text", "from": contact.wa_id, "text": "hello"});
    let _ = sandbox.act(now, &said);
    let kind = handoffd::connectors::kind(target).unwrap();
    let mapping = Mapping::parse("shipped", kind.mapping).unwrap();
    let input = Input {
        event: &handoff,
        session: &session,
        contact: &contact,
        target,
    };
    let rendered = Some(mapping.render(1, &input).unwrap());
    let reply = json!({"type": "rep.replied", "data": {"target": "crm", "message_id": "r1", "text": "a rep's reply", "author": "Rosa"}});
    let reply = serde_json::from_value::<Data>(reply).ok();
    let item = |id: &str, data: Data| Item {
        id: id.into(),
        time: now,
        data,
        rendered: None,
    };
    let mut items = vec![
        Item {
            rendered,
            ..item("e-1", handoff.data.clone())
        },
        item("e-2", received.data),
    ];
    items.extend(
        reply
            .filter(|_| target == "whatsapp")
            .map(|reply| item("e-3", reply)),
    );
    Work {
        target: target.into(),
        session,
        contact,
        items,
        last_inbound: Some(now),
        now,
        controller: handoffd_contract::Controller::queued(None),
    }
}

/// A JSON body of a reply, if it is one.
pub fn body(reply: &HttpReply) -> Value {
    reply
        .json()
        .unwrap_or_else(|| json!({"message": "no JSON"}))
}

/// The plays are no empty theatre: each target planned, and told something that can be mutated.
#[test]
fn every_simulator_was_really_talked_to() {
    for played in all() {
        let told = (
            played.steps.len(),
            played.webhooks.len(),
            played.reads.len(),
            played.frames.len(),
        );
        let enough = match played.kind {
            "salesforce" => told.0 >= 3 && told.2 >= 1,
            "whatsapp" => told.0 >= 1,
            _ => told.0 >= 4 && told.2 >= 1,
        };
        assert!(
            enough,
            "{}: steps, webhooks, reads, frames {told:?}",
            played.kind
        );
    }
}
