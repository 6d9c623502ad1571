//! What comes in.

use handoffd::ledger::{Admission, Admitted, DeadLetter, LaneFilter, LaneState, LedgerError, Next};
use handoffd_contract::{Contact, Reason};

use crate::world::*;

pub async fn stores_once_and_says_so(w: &World) {
    let event = message("s", "1");
    let admitted = w.a.admit(t(0), vec![plain(event.clone())]).await.unwrap();
    let Admitted::New(seq) = admitted[0] else {
        panic!("{admitted:?}")
    };
    assert_eq!(w.b.event(seq).await.unwrap(), Some(event.clone()));
    assert_eq!(
        w.b.admit(t(1), vec![plain(event)]).await.unwrap(),
        [Admitted::Duplicate]
    );
    assert_eq!(w.a.event(seq + 1).await.unwrap(), None);

    let mut elsewhere = message("s", "1");
    elsewhere.source = "/another".into();
    let admitted = w.a.admit(t(0), vec![plain(elsewhere)]).await.unwrap();
    assert!(
        matches!(admitted[..], [Admitted::New(_)]),
        "ids are unique per source"
    );
}

pub async fn a_duplicate_inside_one_batch_is_one_event(w: &World) {
    let batch = ["1", "2", "1", "3", "2"]
        .map(|id| plain(message("s", id)))
        .to_vec();
    let admitted = w.a.admit(t(0), batch).await.unwrap();
    assert!(matches!(
        admitted[..],
        [Admitted::New(one), Admitted::New(two), Admitted::Duplicate, Admitted::New(three), Admitted::Duplicate]
            if one < two && two < three
    ));
    assert_eq!(w.a.session_report("s").await.unwrap().events.len(), 3);
}

pub async fn a_duplicate_changes_nothing(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let lease = w.a.take(t(1), "hub").await;
    w.a.release(lease, t(1), leaving(seq, Next::Idle))
        .await
        .unwrap();
    let mut again = inbound("s", "1", "49", t(9));
    again.opens = vec!["sales".into()];
    assert_eq!(
        w.a.admit(t(9), vec![again]).await.unwrap(),
        [Admitted::Duplicate]
    );
    assert!(w.a.nothing(t(9), "hub").await, "it wakes nothing");
    assert!(w.a.nothing(t(9), "sales").await, "it opens nothing");
    let story = w.a.session_report("s").await.unwrap();
    assert_eq!(
        (story.session, story.last_inbound),
        (None, None),
        "it teaches nothing"
    );
}

pub async fn all_or_none(w: &World) {
    // The dead letter does not exist, so its events must not be stored either.
    let refused =
        w.a.resolve_dead_letter(t(0), 77, vec![plain(message("s", "1"))])
            .await;
    assert!(
        matches!(refused, Err(LedgerError::Conflict(_))),
        "{refused:?}"
    );
    assert!(w.a.session_report("s").await.unwrap().events.is_empty());
    assert!(matches!(w.a.admit(t(0), Vec::new()).await.unwrap()[..], []));
}

pub async fn an_event_without_lanes_is_stored(w: &World) {
    w.a.put(t(0), plain(message("s", "1"))).await;
    let seq = w.a.put(t(1), opening("s", "2", &["hub"])).await;
    let story = w.a.session_report("s").await.unwrap();
    assert_eq!(story.events.len(), 2);
    let (_, kind, time, id, received) = &story.events[0];
    assert_eq!(
        (kind.as_str(), *time, id.as_str(), *received),
        ("message.received", t(0), "1", t(0))
    );
    let lease = w.a.take(t(1), "hub").await;
    let loaded = w.a.load(&lease, 10, 10_000).await.unwrap();
    assert_eq!(
        loaded
            .events
            .iter()
            .map(|(seq, _)| *seq)
            .collect::<Vec<_>>(),
        [seq]
    );
}

pub async fn an_opening_event_is_the_lanes_first(w: &World) {
    let first = w.a.put(t(0), opening("s", "1", &["hub", "sales"])).await;
    let second = w.a.put(t(1), opening("s", "2", &["hub", "creatio"])).await;
    assert_eq!(
        w.a.lanes(LaneFilter::default()).await.unwrap().len(),
        3,
        "hub is not opened twice"
    );
    for (target, head) in [
        ("hub", first - 1),
        ("sales", first - 1),
        ("creatio", second - 1),
    ] {
        let lease = w.a.take(t(1), target).await;
        let loaded = w.a.load(&lease, 10, 10_000).await.unwrap();
        assert_eq!(
            (loaded.head, loaded.session, loaded.contact),
            (head, None, None),
            "{target}"
        );
    }
}

pub async fn remembers_session_and_contact(w: &World) {
    let mut first = opening("s", "1", &["hub"]);
    first.session = Some(session_data("s"));
    first.contact = Some(customer("491"));
    w.a.put(t(0), first).await;
    let mut second = plain(message("s", "2"));
    let named = Contact {
        name: Some("Ana".into()),
        ..customer("491")
    };
    second.contact = Some(named.clone());
    w.a.put(t(1), second).await;
    let lease = w.b.take(t(1), "hub").await;
    let loaded = w.b.load(&lease, 10, 10_000).await.unwrap();
    assert_eq!(
        loaded.session,
        Some(session_data("s")),
        "what an event does not say stays"
    );
    assert_eq!(loaded.contact, Some(named), "the latest counts");
}

pub async fn the_last_inbound_only_grows(w: &World) {
    let mut opens = inbound("s", "1", "491", t(10));
    opens.opens = vec!["hub".into()];
    w.a.put(t(10), opens).await;
    w.a.put(t(11), inbound("s", "2", "491", t(5))).await;
    let lease = w.a.take(t(11), "hub").await;
    assert_eq!(
        w.a.load(&lease, 10, 10_000).await.unwrap().last_inbound,
        Some(t(10))
    );
    w.a.put(t(12), inbound("s", "3", "491", t(12))).await;
    assert_eq!(
        w.a.peek(lease.lane).await.unwrap().1.last_inbound,
        Some(t(12))
    );
}

pub async fn an_inbound_counts_in_every_session_of_the_customer(w: &World) {
    let mut first = inbound("s1", "1", "491", t(1));
    first.opens = vec!["wa".into()];
    w.a.put(t(1), first).await;
    w.a.put(t(20), inbound("s2", "2", "491", t(20))).await;
    w.a.put(t(30), inbound("s3", "3", "492", t(30))).await;
    let mut elsewhere = inbound("s4", "4", "491", t(40));
    elsewhere.session.as_mut().unwrap().business_number = "+49999".into();
    w.a.put(t(40), elsewhere).await;
    let lease = w.a.take(t(40), "wa").await;
    let loaded = w.a.load(&lease, 10, 10_000).await.unwrap();
    assert_eq!(
        loaded.last_inbound,
        Some(t(20)),
        "another customer's or number's do not count"
    );

    // Without anything that identifies the customer it counts in its own session.
    let mut unknown = opening("s5", "5", &["anon"]);
    unknown.inbound_at = Some(t(50));
    w.a.put(t(50), unknown).await;
    let lease = w.a.take(t(50), "anon").await;
    assert_eq!(
        w.a.load(&lease, 10, 10_000).await.unwrap().last_inbound,
        Some(t(50))
    );
}

pub async fn an_inbound_frees_held_lanes_of_other_sessions(w: &World) {
    for (session, id, wa_id) in [("s1", "1", "491"), ("s2", "2", "492")] {
        let mut opens = inbound(session, id, wa_id, t(0));
        opens.opens = vec![format!("wa-{session}"), format!("idle-{session}")];
        w.a.put(t(0), opens).await;
        let held = Next::Held {
            stop: stop(Reason::WindowClosed),
            until: None,
        };
        for (target, next) in [
            (format!("wa-{session}"), held),
            (format!("idle-{session}"), Next::Idle),
        ] {
            let lease = w.a.take(t(1), &target).await;
            w.a.release(lease, t(1), leaving(99, next)).await.unwrap();
        }
    }
    w.a.put(t(10), inbound("s3", "3", "491", t(0))).await;
    assert!(
        w.a.nothing(t(10), "wa-s1").await,
        "an old message frees nothing"
    );
    w.a.put(t(11), inbound("s3", "4", "491", t(11))).await;
    let lease = w.a.take(t(11), "wa-s1").await;
    assert!(
        w.a.nothing(t(11), "wa-s2").await,
        "another customer's lane stays held"
    );
    assert!(
        w.a.nothing(t(11), "idle-s1").await,
        "a lane that did not wait is not woken"
    );

    // And while somebody works on it, it is looked at again.
    w.a.put(t(12), inbound("s3", "5", "491", t(12))).await;
    let held = Next::Held {
        stop: stop(Reason::WindowClosed),
        until: None,
    };
    w.a.release(lease, t(13), leaving(99, held)).await.unwrap();
    w.a.take(t(13), "wa-s1").await;
}

pub async fn a_customer_keeps_their_window_under_a_new_key(w: &World) {
    w.a.put(t(5), inbound("s1", "1", "491", t(5))).await;
    let mut opens = opening("s2", "2", &["wa"]);
    opens.session = Some(session_data("s2"));
    opens.contact = Some(customer("491"));
    w.a.put(t(6), opens).await;
    let mut renamed = plain(message("s2", "3"));
    renamed.contact = Some(Contact {
        user_id: Some("DE.7".into()),
        ..customer("491")
    });
    w.a.put(t(7), renamed).await;
    let lease = w.a.take(t(7), "wa").await;
    assert_eq!(
        w.a.load(&lease, 10, 10_000).await.unwrap().last_inbound,
        Some(t(5))
    );
    assert_eq!(
        w.a.session_of("+4930123", "DE.7").await.unwrap().as_deref(),
        Some("s2")
    );
}

fn broken(raw: &[u8], reason: Reason) -> DeadLetter {
    DeadLetter {
        origin: "amqp".into(),
        stop: stop(reason),
        headers: r#"{"a":"1"}"#.into(),
        raw: raw.to_vec(),
        session: None,
        source: None,
    }
}

pub async fn a_dead_letter_is_kept_once(w: &World) {
    let bytes = [0, 159, 146, 150];
    w.a.keep_dead_letter(t(0), broken(&bytes, Reason::Undecodable))
        .await
        .unwrap();
    w.b.keep_dead_letter(t(1), broken(&bytes, Reason::Undecodable))
        .await
        .unwrap();
    w.a.keep_dead_letter(t(2), broken(&bytes, Reason::TooLarge))
        .await
        .unwrap();
    w.a.keep_dead_letter(
        t(3),
        DeadLetter {
            origin: "http".into(),
            ..broken(&bytes, Reason::Undecodable)
        },
    )
    .await
    .unwrap();
    w.a.keep_dead_letter(t(4), broken(b"other", Reason::Undecodable))
        .await
        .unwrap();
    let rows = w.a.dead_letters(0, 10).await.unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(
        (rows[0].received_at, &rows[0].letter),
        (t(0), &broken(&bytes, Reason::Undecodable))
    );
    let page = w.a.dead_letters(rows[0].id, 2).await.unwrap();
    assert_eq!(page, rows[1..3]);
}

pub async fn a_dead_letter_leaves_with_the_events_that_it_became(w: &World) {
    w.a.keep_dead_letter(t(0), broken(b"x", Reason::Undecodable))
        .await
        .unwrap();
    let row = w.a.dead_letters(0, 1).await.unwrap().remove(0);
    w.a.resolve_dead_letter(t(1), row.id, vec![opening("s", "1", &["hub"])])
        .await
        .unwrap();
    assert!(w.a.dead_letters(0, 10).await.unwrap().is_empty());
    w.a.take(t(1), "hub").await;
    w.a.keep_dead_letter(t(2), broken(b"x", Reason::Undecodable))
        .await
        .unwrap();
    assert_eq!(
        w.a.dead_letters(0, 10).await.unwrap().len(),
        1,
        "it may come again"
    );
}

pub async fn an_idle_lane_is_not_woken_for_what_its_target_never_acts_on(w: &World) {
    let first = w.a.put(t(0), opening("s", "0", &["wa"])).await;
    let lease = w.a.take(t(0), "wa").await;
    let idle = leaving(first, Next::Idle);
    w.a.release(lease, t(1), idle).await.unwrap();
    let passed = |id: &str| Admission {
        passes: vec!["wa".into(), "elsewhere".into()],
        ..plain(message("s", id))
    };
    let lane = async || w.b.lanes(LaneFilter::default()).await.unwrap().remove(0);
    w.a.put(t(5), passed("1")).await;
    let idle = lane().await;
    assert_eq!((idle.state, idle.pending), (LaneState::Idle, 0));
    // What comes with something on which it may act is loaded with it.
    let both = vec![passed("2"), plain(message("s", "3")), passed("4")];
    let stored = w.a.admit(t(6), both).await.unwrap();
    let due = lane().await;
    assert_eq!((due.state, due.due_at), (LaneState::Due, Some(t(6))));
    let lease = w.b.take(t(6), "wa").await;
    let events = w.b.load(&lease, 10, 10_000).await.unwrap().events;
    let ids: Vec<_> = events.iter().map(|(_, event)| event.id.as_str()).collect();
    assert!(ids.ends_with(&["3", "4"]), "{ids:?}");
    // While somebody works on it, it is woken as for everything else: who works may not have seen it.
    w.a.put(t(7), passed("5")).await;
    w.b.release(lease, t(8), leaving(seq(&stored[2..]), Next::Idle))
        .await
        .unwrap();
    let due = lane().await;
    assert_eq!((due.state, due.pending), (LaneState::Due, 1));
    // What an idle lane has not shown is not passed over.
    let behind = self::lane(w, "behind", "wa", Next::Idle).await;
    let one = Admission {
        passes: vec!["wa".into()],
        ..plain(message("behind", "6"))
    };
    w.a.put(t(9), one).await;
    let lanes = w.b.lanes(LaneFilter::default()).await.unwrap();
    let due = lanes.iter().find(|lane| lane.id == behind.lane).unwrap();
    assert_eq!((due.state, due.pending), (LaneState::Due, 2));
}

pub async fn a_lane_that_waits_is_woken_for_everything(w: &World) {
    for (session, next) in [("held", held(None)), ("backoff", backoff(t(500)))] {
        lane(w, session, "wa", next).await;
        let event = Admission {
            passes: vec!["wa".into()],
            ..plain(message(session, session))
        };
        w.a.put(t(5), event).await;
    }
    let filter = |session: &str| LaneFilter {
        session: Some(session.into()),
        ..LaneFilter::default()
    };
    let held = w.b.lanes(filter("held")).await.unwrap().remove(0);
    assert_eq!((held.state, held.due_at), (LaneState::Due, Some(t(5))));
    let backoff = w.b.lanes(filter("backoff")).await.unwrap().remove(0);
    assert_eq!(backoff.due_at, Some(t(500)), "a backoff keeps its time");
    assert_eq!(backoff.pending, 2);
}
