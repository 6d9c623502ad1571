//! Who is in charge is kept with the session, and moved with the event that moves it.

use handoffd::conversation::notices::RATED;
use handoffd::conversation::{CustomerRules, Rules, Terms, Unattended};
use handoffd::ledger::{
    Admission, Admitted, ConversationRow, LedgerError, Next, Received, effect_id,
};
use handoffd_contract::event::{RepEnded, SessionAssigned, SessionQueued, SessionReturned};
use handoffd_contract::notice::Notice;
use handoffd_contract::{Controller, Data, Event};
use jiff::{SignedDuration, Timestamp};

use crate::world::*;

fn own(session: &str, id: &str, at: Timestamp, data: Data) -> Admission {
    plain(Event {
        time: at,
        data,
        ..message(session, id)
    })
}

fn assigned(session: &str, id: &str, at: Timestamp, rep: Option<&str>) -> Admission {
    let data = SessionAssigned {
        target: "hub".into(),
        rep: rep.map(str::to_owned),
    };
    own(session, id, at, Data::SessionAssigned(data))
}

fn returned(session: &str, id: &str, at: Timestamp) -> Admission {
    let data = SessionReturned::default();
    own(session, id, at, Data::SessionReturned(data))
}

fn rules() -> Rules {
    Rules {
        without_reps: ["wa".to_owned()].into(),
        general: Terms {
            unattended_after: Some(SignedDuration::from_mins(5)),
            ..Terms::default()
        },
        ..Rules::default()
    }
}

async fn kinds(w: &World, session: &str) -> Vec<String> {
    let report = w.b.session_report(session).await.unwrap();
    report
        .events
        .into_iter()
        .map(|(_, kind, ..)| kind)
        .collect()
}

async fn who(w: &World, session: &str) -> Option<ConversationRow> {
    w.b.session_report(session).await.unwrap().conversation
}

async fn listed(w: &World, controller: &str) -> Vec<String> {
    let rows = w.b.conversations(controller, 10).await.unwrap();
    rows.into_iter().map(|row| row.session).collect()
}

pub async fn what_follows_comes_right_after_its_cause(w: &World) {
    w.a.follow(rules());
    let batch = vec![
        handing("s", "1", &["hub", "wa"]),
        assigned("s", "2", t(5), Some("Ana")),
        plain(message("s", "3")),
        own(
            "s",
            "4",
            t(9),
            Data::RepEnded(RepEnded {
                target: "hub".into(),
                status: Some("Closed".into()),
            }),
        ),
        plain(message("s", "5")),
    ];
    let admitted = w.a.admit(t(10), batch.clone()).await.unwrap();
    assert!(admitted.iter().all(|one| matches!(one, Admitted::New(_))));
    let all = [
        "handoff.requested",
        "session.state",
        "session.assigned",
        "session.state",
        "message.received",
        "rep.ended",
        "session.state",
        "session.handback",
        "message.received",
    ];
    assert_eq!(kinds(w, "s").await, all);
    let row = who(w, "s").await.expect("a state");
    assert_eq!(
        row.controller,
        Controller::Closed {
            by: "hub".into(),
            resolved: None
        }
    );
    assert_eq!(
        (row.since, row.handoff.as_deref()),
        (Some(t(9)), Some("1")),
        "{row:?}"
    );
    // The same again is a no-op, from wherever it comes.
    assert_eq!(
        w.b.admit(t(20), batch).await.unwrap(),
        [Admitted::Duplicate; 5]
    );
    assert_eq!(kinds(w, "s").await, all);
}

pub async fn a_message_that_moves_nothing_leaves_no_trace(w: &World) {
    w.a.admit(
        t(0),
        vec![inbound("s", "1", "49151", t(0)), plain(message("s", "2"))],
    )
    .await
    .unwrap();
    assert_eq!(kinds(w, "s").await, ["message.received"; 2]);
    assert_eq!(who(w, "s").await, None);
    assert_eq!(listed(w, "assistant").await, Vec::<String>::new());
}

pub async fn what_was_heard_moves_the_state_or_nothing_is_stored(w: &World) {
    w.a.follow(rules());
    w.a.admit(t(0), vec![handing("s", "1", &["hub"])])
        .await
        .unwrap();
    let stale = Received {
        events: vec![assigned("s", "2", t(5), Some("Ana"))],
        webhook: Some((77, 1)),
        ..Received::default()
    };
    let refused = w.a.store_received(t(6), stale.clone()).await;
    assert!(
        matches!(
            refused,
            Err(LedgerError::Stale | LedgerError::Conflict(_) | LedgerError::Failed(_))
        ),
        "{refused:?}"
    );
    assert_eq!(listed(w, "rep").await, Vec::<String>::new());
    let heard = Received {
        webhook: None,
        ..stale
    };
    w.a.store_received(t(6), heard).await.unwrap();
    assert_eq!(listed(w, "rep").await, ["s"]);
}

pub async fn a_deadline_is_met_once_whoever_meets_it(w: &World) {
    for ledger in [&w.a, &w.b] {
        ledger.follow(rules());
    }
    for session in ["s1", "s2"] {
        let at = t(if session == "s1" { 0 } else { 60 });
        let mut handed = handing(session, session, &["hub", "wa"]);
        handed.event.time = at;
        w.a.admit(at, vec![handed]).await.unwrap();
    }
    assert_eq!(w.a.meet_deadlines(t(299), 10).await, Ok(0));
    assert_eq!(w.a.meet_deadlines(t(301), 10).await, Ok(1));
    assert_eq!(w.b.meet_deadlines(t(301), 10).await, Ok(0));
    let (a, b) = tokio::join!(
        w.a.meet_deadlines(t(400), 10),
        w.b.meet_deadlines(t(400), 10)
    );
    assert_eq!(a.unwrap() + b.unwrap(), 1);
    for session in ["s1", "s2"] {
        assert_eq!(
            kinds(w, session).await,
            ["handoff.requested", "session.state", "session.unattended"]
        );
        let row = who(w, session).await.expect("a state");
        assert_eq!(row.deadline, None, "{row:?}");
    }
    assert_eq!(listed(w, "queued").await, ["s1", "s2"], "the oldest first");
    let stats = w.b.stats(t(400)).await.unwrap();
    assert_eq!(
        stats.conversations,
        [("queued".to_owned(), 2), ("rep".to_owned(), 0)]
    );
    assert_eq!(stats.oldest_queued, Some(t(0)));
}

pub async fn at_most_so_many_deadlines_are_met_at_once(w: &World) {
    // What a target says itself goes before what holds in general.
    let terms = Terms {
        unattended: Unattended::Return,
        ..rules().general
    };
    w.a.follow(Rules {
        own: [("hub".to_owned(), terms)].into(),
        ..rules()
    });
    for session in ["s1", "s2", "s3"] {
        w.a.admit(t(0), vec![handing(session, session, &["hub"])])
            .await
            .unwrap();
    }
    assert_eq!(w.a.meet_deadlines(t(300), 2).await, Ok(2));
    assert_eq!(w.a.meet_deadlines(t(300), 2).await, Ok(1));
    assert_eq!(listed(w, "returned").await.len(), 3);
    assert_eq!(
        kinds(w, "s1").await[2..],
        ["session.unattended", "session.returned", "session.state"]
    );
}

pub async fn a_deadline_wakes_the_sessions_lanes(w: &World) {
    w.a.follow(rules());
    lane(w, "s", "hub", Next::Idle).await;
    w.a.put(t(0), handing("s", "1", &["hub"])).await;
    let lease = w.a.take(t(1), "hub").await;
    w.a.release(lease, t(1), leaving(1_000, Next::Idle))
        .await
        .unwrap();
    assert!(w.a.nothing(t(299), "hub").await);
    w.a.meet_deadlines(t(300), 10).await.unwrap();
    assert_eq!(w.a.take(t(300), "hub").await.session, "s");
}

pub async fn a_lane_knows_who_was_in_charge_at_its_head(w: &World) {
    let opened = w.a.put(t(0), handing("s", "1", &["hub"])).await;
    let back = w.a.put(t(1), returned("s", "2", t(1))).await;
    let lease = w.a.take(t(2), "hub").await;
    for (head, controller) in [
        (opened - 1, "assistant"),
        (opened, "queued"),
        (opened + 1, "queued"),
        (back, "queued"),
        (back + 1, "returned"),
    ] {
        let loaded = {
            let release = leaving(
                head,
                Next::Due {
                    at: t(2),
                    stop: None,
                },
            );
            let lease = if head < opened {
                lease.clone()
            } else {
                w.a.take(t(2), "hub").await
            };
            w.a.release(lease, t(2), release).await.unwrap();
            let lanes = w.b.lane_of("s", "hub").await.unwrap().expect("a lane");
            w.b.inspect(lanes.lane, 10, 1 << 20).await.unwrap()
        };
        assert_eq!((loaded.head, loaded.controller.word()), (head, controller));
    }
}

pub async fn what_was_said_since_the_return_is_found(w: &World) {
    w.a.put(t(0), handing("s", "1", &["hub"])).await;
    w.a.put(t(1), plain(message("s", "seen"))).await;
    w.a.put(t(2), returned("s", "2", t(2))).await;
    for id in ["a", "b", "c"] {
        w.a.put(t(3), plain(message("s", id))).await;
        let other = format!("{id}-other");
        w.a.put(t(3), plain(message("other", &other))).await;
    }
    let again = w.a.put(t(4), handing("s", "3", &["hub"])).await;
    w.a.put(t(5), plain(message("s", "after"))).await;
    let ids =
        |events: Vec<Event>| -> Vec<String> { events.into_iter().map(|event| event.id).collect() };
    let found = |before, limit, bytes| async move {
        let hidden = ["returned"];
        ids(w
            .b
            .unshown("s", before, &hidden, limit, bytes)
            .await
            .unwrap())
    };
    assert_eq!(found(again, 10, 1 << 20).await, ["a", "b", "c"]);
    assert_eq!(found(again, 2, 1 << 20).await, ["b", "c"], "the newest");
    assert_eq!(found(again, 10, 10).await, Vec::<String>::new());
    assert_eq!(found(again + 3, 10, 1 << 20).await, Vec::<String>::new());
}

pub async fn what_was_said_since_the_end_is_found_where_it_is_hidden(w: &World) {
    w.a.put(t(0), handing("s", "1", &["hub"])).await;
    w.a.put(t(1), plain(message("s", "seen"))).await;
    let ended = Data::RepEnded(RepEnded {
        target: "hub".into(),
        status: None,
    });
    w.a.put(t(2), own("s", "2", t(2), ended)).await;
    w.a.put(t(3), plain(message("s", "after the end"))).await;
    w.a.put(t(4), returned("s", "3", t(4))).await;
    w.a.put(t(5), plain(message("s", "after the return"))).await;
    let again = w.a.put(t(6), handing("s", "4", &["hub"])).await;
    for (hidden, found) in [
        (&["returned"][..], &["after the return"][..]),
        (&["closed"], &["after the end", "after the return"]),
        (
            &["returned", "closed"],
            &["after the end", "after the return"],
        ),
        (&[], &[]),
    ] {
        let unshown = w.b.unshown("s", again, hidden, 10, 1 << 20).await.unwrap();
        let ids: Vec<&str> = unshown.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, found, "{hidden:?}");
    }
}

/// What the customer is told, leaves by and rates is stored with what it follows from, and the places in
/// the queue have a deadline of their own.
pub async fn what_the_customer_is_told_follows_its_cause(w: &World) {
    let customer = CustomerRules {
        notices: Notice::ALL.into(),
        ..CustomerRules::default()
    };
    let rules = Rules {
        customer,
        ..rules()
    };
    w.a.follow(rules.clone());
    w.b.follow(rules);
    let says = |id: &str, at: Timestamp, text: &str| {
        let mut event = message("s", id);
        event.time = at;
        if let Data::MessageReceived(said) = &mut event.data {
            said.message.text = Some(text.to_owned());
        }
        plain(event)
    };
    let place = |id: &str, at: Timestamp, position: u32| {
        let queued = SessionQueued {
            target: "hub".into(),
            position: Some(position),
            wait_seconds: None,
        };
        own("s", id, at, Data::SessionQueued(queued))
    };
    let story = vec![
        handing("s", "1", &["hub", "wa"]),
        place("2", t(5), 3),
        place("3", t(6), 2),
    ];
    w.a.admit(t(6), story).await.unwrap();
    let mut all = vec![
        "handoff.requested",
        "session.state",
        "customer.notice",
        "session.queued",
        "session.state",
        "customer.notice",
        "session.queued",
        "session.state",
    ];
    assert_eq!(kinds(w, "s").await, all);
    let row = who(w, "s").await.expect("a state");
    assert_eq!(
        row.deadline,
        Some(t(66)),
        "the place is told a minute after the one before"
    );
    assert_eq!(w.b.meet_deadlines(t(66), 10).await, Ok(1));
    assert_eq!(w.a.meet_deadlines(t(66), 10).await, Ok(0));
    all.push("customer.notice");
    assert_eq!(kinds(w, "s").await, all);
    let leave = vec![says("4", t(70), "/Cancel")];
    w.b.admit(t(70), leave.clone()).await.unwrap();
    all.extend([
        "message.received",
        "session.returned",
        "session.state",
        "customer.notice",
    ]);
    assert_eq!(kinds(w, "s").await, all);
    assert_eq!(listed(w, "returned").await, ["s"]);
    assert_eq!(
        w.a.admit(t(71), leave).await.unwrap(),
        [Admitted::Duplicate]
    );
    let ended = RepEnded {
        target: "hub".into(),
        status: None,
    };
    let story = vec![
        handing("s", "5", &["hub"]),
        assigned("s", "6", t(100), Some("Ana")),
        own("s", "7", t(110), Data::RepEnded(ended)),
        says("8", t(120), "5"),
    ];
    w.a.admit(t(120), story).await.unwrap();
    let told = kinds(w, "s").await;
    let end = [
        "rep.ended",
        "session.state",
        "session.handback",
        "customer.notice",
        "customer.notice",
        "message.received",
        "session.rated",
    ];
    assert!(told.ends_with(&end.map(str::to_owned)), "{told:?}");
    let answer = says("8", t(120), "5").event;
    let found = w.b.recall("s", &effect_id(&answer, RATED)).await.unwrap();
    let Some(Data::SessionRated(rated)) = found.map(|(_, event)| event.data) else {
        panic!("no rating");
    };
    assert_eq!((rated.score, rated.message.as_str()), (5, "8"));
}
