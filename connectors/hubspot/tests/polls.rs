//! The poll that all tickets share: what it costs, and what it hears.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::{Frame, HttpReply, Inbound, InboundKind, Refusal};
use jiff::SignedDuration;
use serde_json::{Value, json};
use story::{Desk, handoff, item, short};

fn desk() -> Desk {
    let portal = handoffd_hubspot::sandbox();
    let settings = portal.credentials("http://hubspot.test")["settings"].clone();
    Desk::new(&settings, portal)
}

/// The search index is behind by five seconds.
fn indexed(desk: &mut Desk) {
    desk.now += SignedDuration::from_secs(6);
}

fn open(desk: &mut Desk, n: usize) {
    desk.session(&format!("session-{n}"));
    // Without the limits of the portal, which are not what this is about.
    desk.now += SignedDuration::from_secs(1);
    desk.work(&[item(&format!("h{n}"), 10, handoff(vec![short(n)]))])
        .unwrap();
}

fn texts(heard: &[Inbound]) -> Vec<String> {
    heard
        .iter()
        .filter_map(|heard| match &heard.kind {
            InboundKind::Replied(reply) => reply.text.clone(),
            _ => None,
        })
        .collect()
}

/// The calls of one poll.
fn cost(desk: &mut Desk) -> Vec<String> {
    desk.calls.clear();
    desk.search();
    std::mem::take(&mut desk.calls)
}

#[test]
fn five_hundred_open_tickets_cost_a_poll_as_many_calls_as_five() {
    let mut desk = desk();
    let mut costs = Vec::new();
    for (n, many) in [(0, 5), (5, 500)] {
        for n in n..many {
            open(&mut desk, n);
        }
        for _ in 0..10 {
            indexed(&mut desk);
            desk.search();
        }
        costs.push(cost(&mut desk));
    }
    let wanted =
        ["notes", "tickets"].map(|kind| format!("POST /crm/objects/2026-03/{kind}/search"));
    assert_eq!(costs, [wanted.to_vec(), wanted.to_vec()]);
    // A reply on any of them is heard by it.
    for n in [0, 250, 499] {
        let ticket = desk.portal.view()["tickets"][n]["id"].clone();
        desk.act(json!({"act": "reply", "ticket": ticket, "text": format!("to {n}")}));
    }
    indexed(&mut desk);
    assert_eq!(texts(&desk.search()), ["to 0", "to 250", "to 499"]);
    indexed(&mut desk);
    assert_eq!(cost(&mut desk), wanted);
}

#[test]
fn a_file_of_a_rep_is_read_once_by_the_search_and_once_by_the_tickets_own_read() {
    let mut desk = desk();
    open(&mut desk, 1);
    desk.poll();
    desk.act(json!({"act": "attach", "name": "a.pdf", "mime": "application/pdf", "data": "AAAA", "text": "see"}));
    indexed(&mut desk);
    let heard = desk.search();
    assert_eq!(texts(&heard), ["see"]);
    let own = desk.own_read();
    assert_eq!((&own[0].id, texts(&own).len()), (&heard[0].id, 1));
    desk.calls.clear();
    for _ in 0..5 {
        indexed(&mut desk);
        assert_eq!((desk.search(), desk.own_read()), (vec![], vec![]));
    }
    let read: Vec<&String> = desk
        .calls
        .iter()
        .filter(|call| call.contains("signed-url") || call.contains("/notes/"))
        .filter(|call| !call.ends_with("/search"))
        .collect();
    assert!(read.is_empty(), "{read:?}");
}

#[test]
fn a_stage_and_an_owner_are_heard_by_the_search_alone() {
    let mut desk = desk();
    open(&mut desk, 1);
    indexed(&mut desk);
    assert_eq!(desk.search(), []);
    desk.act(json!({"act": "owner", "owner": "sam@acme.test"}));
    desk.act(json!({"act": "close"}));
    let by_search = desk.search();
    let kinds: Vec<&InboundKind> = by_search.iter().map(|heard| &heard.kind).collect();
    assert!(
        matches!(
            kinds.as_slice(),
            [InboundKind::Ended { status: Some(stage) }, InboundKind::Assigned { rep: Some(rep) }]
                if stage == "4" && rep == "Sam Service"
        ),
        "{by_search:#?}"
    );
    assert!(
        desk.known
            .get("ticket/state")
            .unwrap()
            .starts_with("closed ")
    );
    desk.act(json!({"act": "stage", "stage": "Waiting on us"}));
    desk.act(json!({"act": "owner", "owner": ""}));
    let by_search = desk.search();
    assert!(matches!(
        by_search[0].kind,
        InboundKind::Assigned { rep: None }
    ));
    assert_eq!(desk.known.get("ticket/state"), Some("open"));
    // Both ways tell it under the same ids.
    desk.known.set(
        "ticket/seen",
        r#"{"notes":[],"stage":"","owner":"@","merged":""}"#,
    );
    let own = desk.own_read();
    assert!(
        by_search
            .iter()
            .all(|heard| own.iter().any(|own| own.id == heard.id)),
        "{own:#?}"
    );
}

#[test]
fn a_customers_messages_are_no_news_of_the_ticket() {
    let mut desk = desk();
    open(&mut desk, 1);
    indexed(&mut desk);
    desk.search();
    desk.work(&[item("e1", 60, story::received("m2", 60, "hello"))])
        .unwrap();
    indexed(&mut desk);
    assert_eq!(desk.search(), []);
}

#[test]
fn more_notes_than_one_poll_reads_come_with_the_next() {
    let mut desk = desk();
    open(&mut desk, 1);
    indexed(&mut desk);
    desk.search();
    for n in 0..2_400 {
        let act = json!({"act": "note", "text": format!("{}{n}", if n % 800 == 799 { "/wa " } else { "internal " })});
        desk.portal.act(desk.now, &act).unwrap();
        desk.now += SignedDuration::from_millis(10);
    }
    indexed(&mut desk);
    assert_eq!(texts(&desk.search()), ["799", "1599"]);
    assert_eq!(texts(&desk.search()), ["2399"]);
    assert_eq!(desk.search(), []);
}

#[test]
fn a_cursor_of_another_kind_begins_anew() {
    let mut desk = desk();
    open(&mut desk, 1);
    desk.act(json!({"act": "reply", "text": "hi"}));
    indexed(&mut desk);
    for cursor in [
        "{}",
        "nonsense",
        r#"{"notes":["7"],"stage":"1@x","owner":"@","merged":""}"#,
    ] {
        desk.cursor = Some(cursor.to_owned());
        assert_eq!(texts(&desk.search()), ["hi"], "{cursor}");
    }
}

#[test]
fn a_search_that_the_portal_refuses_is_told() {
    let mut desk = desk();
    open(&mut desk, 1);
    let Some(handoffd_contract::Feed::Poll { read, .. }) = desk.feed() else {
        panic!("no poll")
    };
    let answer = |status: u16, body: Value| {
        let reply = HttpReply {
            status,
            headers: vec![],
            body: body.to_string().into_bytes(),
        };
        desk.connector.hear(&Frame::Reply {
            read: &read,
            reply: &reply,
        })
    };
    let refused = answer(
        400,
        json!({"category": "VALIDATION_ERROR", "message": "no"}),
    );
    assert!(matches!(refused, Err(Refusal::Park(_))), "{refused:?}");
    assert!(matches!(answer(502, json!({})), Err(Refusal::Hold { .. })));
    // Of two notes the later one may be in the index first: the record is read before.
    assert!(answer(200, json!({"results": []})).unwrap().unordered);
    assert!(answer(401, json!({})).unwrap().unauthorized);
}
