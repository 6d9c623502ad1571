//! Which targets an event is for.

use std::collections::BTreeMap;
use std::sync::Arc;

use handoffd::config::{Limits, WhenDisabled};
use handoffd::intake::{Incoming, Origin, Route, Router, decode};
use handoffd_contract::{
    Connector, Credential, Data, Event, Known, Refusal, Reply, Step, Verdict, Work,
};
use jiff::Timestamp;
use serde_json::{Value, json};

const HANDOFF: &str = include_str!("events/handoff.requested.json");
const RECEIVED: &str = include_str!("events/message.received.json");
const SENT: &str = include_str!("events/message.sent.json");
const STATUS: &str = include_str!("events/message.status.json");
const CLOSED: &str = include_str!("events/session.closed.json");
const UPDATED: &str = include_str!("events/contact.updated.json");

fn now() -> Timestamp {
    "2026-03-02T09:30:00Z".parse().expect("a time")
}

fn event(body: &str) -> Event {
    let incoming = Incoming {
        origin: Origin::Amqp,
        content_type: None,
        headers: BTreeMap::new(),
        body: body.as_bytes().to_vec(),
    };
    decode(&incoming, &Limits::default(), now()).expect("the example fits")
}

/// The event with one field changed or added.
fn changed(base: &str, pointer: &str, value: Value) -> String {
    let mut event: Value = serde_json::from_str(base).expect("the example fits");
    let (above, name) = pointer.rsplit_once('/').expect("the example fits");
    event.pointer_mut(above).expect("the example fits")[name] = value;
    event.to_string()
}

/// A connector that takes handoffs, or every message.
struct Crm {
    every_message: bool,
}

impl Connector for Crm {
    fn next(&self, _: &Work, _: &Known) -> Result<Vec<Step>, Refusal> {
        Ok(Vec::new())
    }
    fn read(&self, _: &Step, _: &Reply) -> Verdict {
        Verdict::Absent
    }
    fn opens(&self, data: &Data) -> bool {
        match data {
            Data::HandoffRequested(_) => true,
            Data::MessageReceived(_) => self.every_message,
            _ => false,
        }
    }
    fn base(&self) -> &str {
        "http://127.0.0.1"
    }
    fn credential(&self) -> Credential {
        Credential::None
    }
}

fn router() -> Router {
    let route = |name: &str, kind: &str, numbers: &[&str], every_message| Route {
        name: name.to_owned(),
        kind: kind.to_owned(),
        numbers: numbers.iter().map(|number| (*number).to_owned()).collect(),
        connector: Some(Arc::new(Crm { every_message })),
        disabled: None,
        beside: None,
    };
    Router::new(vec![
        route("any", "whatsapp", &[], false),
        route("berlin", "whatsapp", &["4930901820"], false),
        route("sales", "hubspot", &[], false),
        route("cases", "creatio", &[], true),
        route("spain", "salesforce", &["+34911234567"], false),
    ])
}

/// The targets in which it opens a lane, and what was said about those that it names.
fn routed(body: &str) -> (Vec<String>, Vec<String>) {
    let mut event = event(body);
    let warnings = router().settle_targets(&mut event);
    let opens = router().admission(event, now()).opens;
    (opens, warnings.into_iter().map(|one| one.text).collect())
}

fn opens(body: &str) -> Vec<String> {
    let (opens, warnings) = routed(body);
    assert_eq!(warnings, Vec::<String>::new());
    opens
}

#[test]
fn a_handoff_opens_its_crms_and_one_way_back() {
    assert_eq!(opens(HANDOFF), ["sales", "cases", "berlin"]);
    let elsewhere = changed(
        HANDOFF,
        "/data/session/business_number",
        json!("+34911234567"),
    );
    assert_eq!(opens(&elsewhere), ["sales", "cases", "spain", "any"]);
    let named = changed(HANDOFF, "/data/targets", json!(["sales"]));
    assert_eq!(opens(&named), ["sales", "berlin"]);
    let named = changed(HANDOFF, "/data/targets", json!(["any", "cases"]));
    assert_eq!(opens(&named), ["cases", "any"]);
}

/// Others are told of what is opened, whoever is named; one that is beside a way back of its conversations
/// alone; and one that is told what customers write of every conversation.
#[test]
fn who_is_told_opens_beside_the_others_and_is_named_by_nobody() {
    let route = |name: &str, kind: &str, every_message, beside: Option<&str>| Route {
        name: name.to_owned(),
        kind: kind.to_owned(),
        numbers: Vec::new(),
        connector: Some(Arc::new(Crm { every_message })),
        disabled: None,
        beside: beside.map(str::to_owned),
    };
    let router = Router::new(vec![
        route("sales", "hubspot", false, None),
        route("any", "whatsapp", false, None),
        route("any-notify", "events", false, Some("any")),
        route("other-notify", "events", false, Some("other")),
        route("flows", "events", false, None),
        route("triggers", "events", true, None),
    ]);
    let opens = |body: &str| router.admission(event(body), now()).opens;
    let told = ["sales", "any", "any-notify", "flows", "triggers"];
    assert_eq!(opens(HANDOFF), told);
    let named = changed(HANDOFF, "/data/targets", json!(["sales"]));
    assert_eq!(opens(&named), told);
    assert_eq!(opens(RECEIVED), ["triggers"]);
    let mut named = event(&changed(
        HANDOFF,
        "/data/targets",
        json!(["sales", "flows"]),
    ));
    let warnings = router.settle_targets(&mut named);
    assert_eq!(
        warnings.first().map(|one| one.text.as_str()),
        Some("data.targets[1] names no target and was left out; write one of sales, any")
    );
}

#[test]
fn a_target_that_is_not_there_is_left_out_and_the_others_are_meant() {
    let named = changed(HANDOFF, "/data/targets", json!(["sales", "zendesk"]));
    let (opens, warnings) = routed(&named);
    assert_eq!(opens, ["sales", "berlin"]);
    assert_eq!(
        warnings,
        [
            "data.targets[1] names no target and was left out; write one of any, berlin, sales, cases, spain"
        ]
    );
}

/// Targets of which some are disabled: those that an event opens, and what was said.
fn routed_while(disabled: &[(&str, WhenDisabled)], body: &str) -> (Vec<String>, Vec<String>) {
    let route = |name: &str, kind: &str| Route {
        name: name.to_owned(),
        kind: kind.to_owned(),
        numbers: Vec::new(),
        connector: None,
        beside: None,
        disabled: disabled
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, when)| *when),
    };
    let router = Router::new(vec![
        route("cloud", "whatsapp"),
        route("gateway", "whatsapp"),
        route("sales", "hubspot"),
        route("cases", "creatio"),
    ]);
    let mut event = event(body);
    let warnings = router.settle_targets(&mut event);
    let opens = router.admission(event, now()).opens;
    (opens, warnings.into_iter().map(|one| one.text).collect())
}

#[test]
fn events_of_a_disabled_target_wait_there_or_open_nothing() {
    let named = changed(HANDOFF, "/data/targets", json!(["sales", "cases"]));
    let wait = [("cloud", WhenDisabled::Wait), ("sales", WhenDisabled::Wait)];
    let (opens, warnings) = routed_while(&wait, &named);
    assert_eq!(
        opens,
        ["sales", "cases", "gateway"],
        "the way back that works"
    );
    assert_eq!(
        warnings,
        [
            "data.targets[0] names the target sales, which is disabled: the handoff waits there until it is enabled"
        ]
    );
    assert_eq!(
        routed_while(&wait, HANDOFF),
        (opens, Vec::new()),
        "also where none is named"
    );

    let drop = [("sales", WhenDisabled::Drop)];
    let (opens, warnings) = routed_while(&drop, &named);
    assert_eq!(opens, ["cases", "cloud"]);
    assert_eq!(
        warnings,
        [
            "data.targets[0] names the target sales, which is disabled, and was left out; enable it, or name another"
        ]
    );
    assert_eq!(routed_while(&drop, HANDOFF).0, ["cases", "cloud"]);
    let alone = changed(HANDOFF, "/data/targets", json!(["sales"]));
    assert_eq!(
        routed_while(&drop, &alone).0,
        ["cases", "cloud"],
        "somebody must see the customer"
    );

    let both = [
        ("cloud", WhenDisabled::Wait),
        ("gateway", WhenDisabled::Wait),
    ];
    assert_eq!(
        routed_while(&both, &alone).0,
        ["sales", "cloud"],
        "replies wait for a way back, and are not lost"
    );
}

/// Nobody would see the customer otherwise.
#[test]
fn a_handoff_that_names_no_target_that_there_is_goes_to_all_of_its_number() {
    let named = changed(HANDOFF, "/data/targets", json!(["spain"]));
    let (opens, warnings) = routed(&named);
    assert_eq!(opens, ["sales", "cases", "berlin"]);
    assert_eq!(
        warnings,
        [
            "data.targets[0] names spain, which does not serve this business number, and was left out; add \
             the number to the target, or leave it out"
        ]
    );
}

/// A target for one number must not get what may belong to another.
#[test]
fn a_handoff_without_a_business_number_goes_where_every_number_is_served() {
    let unknown = changed(HANDOFF, "/data/session/business_number", json!("n/a"));
    assert_eq!(opens(&unknown), ["sales", "cases", "any"]);
}

#[test]
fn a_message_opens_where_every_conversation_is_shown() {
    // A rep may write on that record, so the way back is open as well.
    assert_eq!(opens(RECEIVED), ["cases", "berlin"]);
    for other in [SENT, STATUS, CLOSED, UPDATED] {
        assert_eq!(opens(other), Vec::<String>::new());
    }
}

#[test]
fn only_what_the_customer_wrote_opens_the_window() {
    let admission = |body: &str| router().admission(event(body), now());
    // The newest message is a notice; the customer's newest is the one before.
    let handoff = admission(HANDOFF);
    assert_eq!(
        handoff.inbound_at,
        Some("2026-03-02T09:15:40Z".parse().unwrap())
    );
    assert_eq!(handoff.session.unwrap().id, "ses_7Qm2kd");
    assert_eq!(
        handoff.contact.unwrap().key().as_deref(),
        Some("DE.13491208655302741918")
    );
    assert_eq!(
        admission(RECEIVED).inbound_at,
        Some("2026-03-02T09:20:00Z".parse().unwrap())
    );
    let ahead = changed(
        RECEIVED,
        "/data/message/time",
        json!("2031-01-01T00:00:00Z"),
    );
    // The event's time is believed, the message's is not: it lies ahead.
    assert_eq!(
        admission(&ahead).inbound_at,
        Some("2026-03-02T09:20:01Z".parse().unwrap())
    );
    for other in [SENT, STATUS, CLOSED, UPDATED] {
        assert_eq!(admission(other).inbound_at, None);
    }
    let updated = admission(UPDATED);
    assert!(updated.session.is_none() && updated.contact.is_some());
}

/// What the customer is told later is told in the language in which the assistant handed over.
#[test]
fn a_session_that_names_no_language_has_the_handoffs() {
    let language = |session: Value, spoken: Value| {
        let body = changed(HANDOFF, "/data/session/language", session);
        let body = changed(&body, "/data/handoff/language", spoken);
        let admission = router().admission(event(&body), now());
        admission.session.expect("a session").language
    };
    assert_eq!(
        language(Value::Null, json!("pt-BR")).as_deref(),
        Some("pt-BR")
    );
    assert_eq!(language(json!("de"), json!("es")).as_deref(), Some("de"));
    assert_eq!(language(Value::Null, Value::Null), None);
}
