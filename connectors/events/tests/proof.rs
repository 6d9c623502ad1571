//! Everything is told once, in its order and to the letter, whatever goes wrong on the way.

use handoffd_contract::event::{Contact, Data, RepliesDone, Session};
use handoffd_contract::proof::{Report, Stage, prove};
use handoffd_contract::{
    Auth, Call, Connector, Controller, HttpReply, Item, Known, Problem, Reason, Reply, Step,
    Verdict, Work,
};
use jiff::Timestamp;
use serde_json::{Value, json};

const URL: &str = "https://flows.example.com/hooks";

fn made(settings: &Value) -> Box<dyn Connector> {
    handoffd_events::connector("events", settings).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

fn endpoint(more: Value) -> Box<dyn Connector> {
    let mut settings = json!({"url": URL, "secret": "events_secret"});
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    made(&settings)
}

fn start() -> Timestamp {
    "2026-11-20T09:00:00Z".parse().expect("a time")
}

fn item(id: &str, kind: &str, data: Value) -> Item {
    let data: Data = serde_json::from_value(json!({"type": kind, "data": data})).expect("an event");
    Item {
        id: id.to_owned(),
        time: start(),
        data,
        rendered: None,
    }
}

fn said(id: &str, text: &str) -> Item {
    let message = json!({"id": id, "time": "2026-11-20T09:00:00Z",
        "author": {"kind": "customer"}, "text": text});
    item(id, "message.received", json!({"message": message}))
}

fn ended(id: &str) -> Item {
    item(id, "rep.ended", json!({"target": "crm", "status": "done"}))
}

/// No reply stands before an ending any more.
fn done(id: &str, ending: &Item) -> Item {
    let done = RepliesDone {
        event: ending.id.clone(),
        time: ending.time,
        ending: Box::new(ending.data.clone()),
    };
    Item {
        id: id.to_owned(),
        time: start(),
        data: Data::RepliesDone(done),
        rendered: None,
    }
}

fn story() -> Vec<Vec<Item>> {
    let assigned = |id: &str, rep: Option<&str>| {
        item(id, "session.assigned", json!({"target": "crm", "rep": rep}))
    };
    vec![
        vec![
            item(
                "c-1",
                "handoff.completed",
                json!({"target": "crm", "handoff": "h-1", "records": {}}),
            ),
            said("r-1", "Hello?"),
            assigned("a-1", Some("Rosa")),
        ],
        vec![
            assigned("a-2", None),
            item(
                "s-1",
                "reply.status",
                json!({"target": "crm", "message_id": "m", "state": "sent"}),
            ),
            item(
                "s-2",
                "reply.status",
                json!({"target": "crm", "message_id": "m", "state": "failed"}),
            ),
            ended("x-1"),
        ],
    ]
}

fn session() -> Session {
    Session {
        id: "s-1".into(),
        business_number: "+15550783881".into(),
        ..Session::default()
    }
}

fn contact() -> Contact {
    Contact {
        wa_id: Some("4915112345678".into()),
        name: Some("Ana".into()),
        ..Contact::default()
    }
}

fn work(items: Vec<Item>) -> Work {
    Work {
        target: "events".into(),
        session: session(),
        contact: contact(),
        items,
        last_inbound: None,
        now: start(),
        controller: Controller::queued(None),
    }
}

fn proven(connector: &dyn Connector, chapters: Vec<Vec<Item>>) -> Report {
    let stage = Stage {
        connector,
        sandbox: &handoffd_events::sandbox,
        outcome: &|view| json!({"events": view["events"], "wrong": view["wrong"]}),
        media: &|_| panic!("no file is sent"),
        session: session(),
        contact: contact(),
        start: start(),
        last_inbound: None,
        chapters,
    };
    let report = prove(&stage, 2);
    assert_eq!(report.outcome["wrong"], json!([]));
    assert!(report.runs > 100, "{} runs", report.runs);
    report
}

fn types(report: &Report) -> Vec<String> {
    let events = report.outcome["events"].as_array().expect("events");
    let kind = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
    events.iter().map(kind).collect()
}

const TOLD: [&str; 5] = [
    "handoff.completed",
    "session.assigned",
    "session.assigned",
    "reply.status",
    "session.closed",
];

#[test]
fn an_endpoint_gets_everything_once_and_in_order() {
    let report = proven(&*endpoint(json!({})), story());
    assert_eq!(types(&report), TOLD);
}

#[test]
fn an_exchange_gets_everything_once_and_in_order() {
    let connector = made(&json!({"exchange": "handoff", "prefix": "handoffd."}));
    let report = proven(&*connector, story());
    assert_eq!(types(&report), TOLD);
    assert_eq!(
        report.outcome["events"][0]["routing_key"],
        "handoffd.handoff.completed"
    );
}

/// The first event that is not told yet.
fn first(connector: &dyn Connector, items: Vec<Item>) -> Option<Step> {
    let steps = connector.next(&work(items), &Known::default());
    steps.expect("never refused").into_iter().next()
}

fn body(step: &Step) -> &Value {
    let Call::Http(call) = &step.call else {
        panic!("{step:?}");
    };
    let handoffd_contract::Body::Json(body) = &call.body else {
        panic!("{call:?}");
    };
    let Auth::Signed { id } = &call.auth else {
        panic!("it is signed");
    };
    assert_eq!(body["id"], json!(id));
    assert_eq!(call.path, URL);
    body
}

#[test]
fn an_ending_waits_for_the_replies_before_it_and_keeps_its_id() {
    let by_itself = first(&*endpoint(json!({})), vec![ended("x-1")]).expect("told");
    let waits = endpoint(json!({"endings": true}));
    assert_eq!(first(&*waits, vec![ended("x-1")]), None);
    let after = first(&*waits, vec![ended("x-1"), done("d-1", &ended("x-1"))]).expect("told");
    assert_eq!(body(&after), body(&by_itself));
    assert_eq!(after.claims, by_itself.claims);
    let state = |who: Value| item("q-1", "session.state", who);
    let queued = json!({"controller": "queued", "since": "2026-11-20T09:00:00Z"});
    assert!(first(&*waits, vec![state(queued)]).is_some(), "no ending");
    let closed = json!({"controller": "closed", "by": "crm", "since": "2026-11-20T09:00:00Z"});
    assert_eq!(first(&*waits, vec![state(closed)]), None);
}

#[test]
fn flows_begin_with_what_a_customer_writes_where_it_is_chosen() {
    assert!(!endpoint(json!({})).opens(&said("r-1", "Hi").data));
    let connector = endpoint(json!({"types": ["conversation.started", "message.received"]}));
    assert!(connector.opens(&said("r-1", "Hi").data));
    let step = first(&*connector, vec![said("r-1", "Hi")]).expect("told");
    assert_eq!(body(&step)["type"], "message.received");
    assert_eq!(
        body(&step)["data"],
        json!({"session": "s-1", "message_id": "r-1", "time": "2026-11-20T09:00:00Z", "text": "Hi",
            "phone": "+4915112345678", "name": "Ana", "business_number": "+15550783881"})
    );
    let message = json!({"id": "r-1", "time": "2026-11-20T09:00:00Z", "author": {"kind": "customer"},
        "attachments": [{"id": "a", "kind": "image", "source": {"from": "inline", "data": "AAAA"}}]});
    let began = item("b-1", "conversation.started", json!({"message": message}));
    let step = first(&*connector, vec![began]).expect("told");
    assert_eq!(body(&step)["type"], "conversation.started");
    assert!(
        !body(&step).to_string().contains("AAAA"),
        "no file goes out"
    );
}

#[test]
fn answers_of_an_endpoint_mean_what_the_specification_says() {
    let connector = endpoint(json!({}));
    let step = first(&*connector, vec![ended("x-1")]).expect("told");
    let read = |status: u16, headers: &[(&str, &str)]| {
        let header = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let reply = HttpReply {
            status,
            headers: headers.iter().map(header).collect(),
            body: b"what the receiver says".to_vec(),
        };
        connector.read(&step, &Reply::Http(reply))
    };
    for status in [200, 202, 204] {
        assert!(matches!(read(status, &[]), Verdict::Known(_)), "{status}");
    }
    for (status, reason) in [
        (302, Reason::WrongAddress),
        (401, Reason::Unauthorized),
        (404, Reason::WrongAddress),
        (408, Reason::ServerError),
        (429, Reason::RateLimited),
        (503, Reason::ServerError),
    ] {
        let Verdict::Later { stop, after, .. } = read(status, &[("retry-after", "7")]) else {
            panic!("{status} is tried again");
        };
        assert_eq!((stop.reason, after.map(|d| d.as_secs())), (reason, Some(7)));
        assert!(!stop.message.contains("receiver says"));
    }
    for (status, reason) in [
        (400, Reason::Invalid),
        (410, Reason::EndpointGone),
        (413, Reason::TooLarge),
    ] {
        let Verdict::Never(stop) = read(status, &[]) else {
            panic!("{status} needs a person");
        };
        assert_eq!(stop.reason, reason);
    }
}

#[test]
fn what_is_wrong_with_settings_is_said_with_the_remedy() {
    let told = |settings: Value| -> Vec<String> {
        match handoffd_events::connector("events", &settings) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(Problem::to_string).collect(),
        }
    };
    let ok = |url: &str| json!({"url": url, "secret": "s"});
    for url in [
        "https://a.example/x",
        "http://127.0.0.1:9/x",
        "http://localhost/",
        "http://[::1]:9/",
    ] {
        assert_eq!(told(ok(url)), [""; 0], "{url}");
    }
    assert_eq!(
        told(json!({"url": "http://10.0.0.1/", "secret": "s", "allow_plain_http": true})),
        [""; 0]
    );
    for (settings, wanted) in [
        (
            json!({}),
            "url: is missing; write the endpoint's https address",
        ),
        (ok("http://10.0.0.1/"), "url: begins with http://"),
        (
            ok("http://127.0.0.1.example.com/"),
            "url: begins with http://",
        ),
        (ok("ftp://a.example/"), "url: is no https address"),
        (
            ok("https://me:x@a.example/"),
            "url: must hold neither user nor password",
        ),
        (json!({"url": URL}), "secret: is missing; name the secret"),
        (
            json!({"url": URL, "exchange": "e", "secret": "s"}),
            "url: there is an exchange, too",
        ),
        (
            json!({"exchange": "e", "types": ["session.ended"]}),
            "types[0]: found a text of 13 characters; write types",
        ),
        (
            json!({"exchange": "e", "types": []}),
            "types: names no type",
        ),
        (json!({"exchange": "e", "secret": "s"}), "secret"),
    ] {
        let told = told(settings.clone());
        assert!(
            told.iter().any(|one| one.starts_with(wanted)),
            "{settings}: {told:?}"
        );
    }
}
