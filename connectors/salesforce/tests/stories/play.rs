//! The engine's loop against a simulator, one call at a time.

use handoffd_contract::lane::{self, Progress};
use handoffd_contract::proof::encode;
use handoffd_contract::sandbox::{Request, Sandbox};
use handoffd_contract::{Auth, Call, Data, HttpReply, Item, Known, Refusal, Reply, Step, Work};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::common::{self, connector, media, start};

pub fn work(items: Vec<Item>) -> Work {
    Work {
        target: "crm".into(),
        session: common::session(),
        contact: common::contact(),
        items,
        last_inbound: None,
        now: start(),
        controller: handoffd_contract::Controller::queued(None),
    }
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Played {
    /// The steps, by name.
    pub names: Vec<&'static str>,
    /// The events that were recorded.
    pub events: Vec<(String, Data)>,
}

/// Lets the engine's loop run until nothing is left to do.
pub fn run(sandbox: &mut dyn Sandbox, known: &mut Known, items: Vec<Item>) -> Vec<&'static str> {
    run_with(&json!({}), sandbox, known, items).names
}

/// The same, with settings.
pub fn run_with(
    settings: &Value,
    sandbox: &mut dyn Sandbox,
    known: &mut Known,
    items: Vec<Item>,
) -> Played {
    let connector = connector(settings.clone());
    let mut played = Played::default();
    let mut work = work(items);
    for _ in 0..100 {
        let steps = match connector.next(&work, known) {
            Ok(steps) => steps,
            Err(Refusal::Hold {
                until: Some(until), ..
            }) => {
                work.now = until;
                continue;
            }
            Err(other) => panic!("{other:?}"),
        };
        let Some(step) = steps.into_iter().next() else {
            return played;
        };
        played.names.push(step.name);
        work.now += SignedDuration::from_secs(5);
        learn(sandbox, known, &step, work.now, &mut played.events);
    }
    panic!("no end: {:?}", played.names);
}

/// Closes the conversation for good, which handoffd never does.
pub fn close(sandbox: &mut dyn Sandbox, known: &Known) {
    let conversation = known.get("conversation").expect("conversation");
    let auth = Auth::Customer {
        subject: "handoffd:201000000001".into(),
    };
    let close = Request {
        method: "DELETE".into(),
        path: format!("/iamessage/api/v2/conversation/{conversation}"),
        query: vec![("esDeveloperName".into(), "Handoffd_Custom_Client".into())],
        headers: sandbox.sign_in(start(), &auth),
        ..Request::default()
    };
    assert_eq!(sandbox.handle(start(), &close).status, 204);
}

pub fn request(sandbox: &mut dyn Sandbox, step: &Step, at: Timestamp) -> Request {
    let Call::Http(call) = &step.call else {
        panic!("not a request")
    };
    encode(call, sandbox, at, &media).expect("request")
}

fn learn(
    sandbox: &mut dyn Sandbox,
    known: &mut Known,
    step: &Step,
    at: Timestamp,
    events: &mut Vec<(String, Data)>,
) {
    if let Call::Record(record) = &step.call {
        let facts = record.facts.iter();
        facts.for_each(|(name, value)| known.set(name, value));
        events.extend(record.events.iter().cloned());
        return;
    }
    let request = request(sandbox, step, at);
    let response = sandbox.handle(at, &request);
    let reply = Reply::Http(HttpReply {
        status: response.status,
        headers: response.headers,
        body: response.body,
    });
    let verdict = connector(json!({})).read(step, &reply);
    let before = known.clone();
    match lane::settle(known, &before, step, verdict) {
        Progress::Moved => {}
        other => panic!("{}: {other:?}", step.name),
    }
}
