//! Lanes as workers see them.

use handoffd::ledger::{Attempt, Change, LaneFilter, LaneState, LedgerError, Next, Release};
use handoffd_contract::{Event, Fact, Reason, Settled, ids};

use crate::world::*;

pub async fn loads_within_bounds_and_always_one(w: &World) {
    let first = w.a.put(t(0), opening("s", "0", &["hub"])).await;
    for n in 1..10 {
        w.a.put(t(0), plain(message("s", &n.to_string()))).await;
        w.a.put(t(0), plain(message("other", &format!("o{n}"))))
            .await;
    }
    let lease = w.a.take(t(0), "hub").await;
    let size = serde_json::to_string(&message("s", "1")).unwrap().len();
    let handoff = serde_json::to_string(&message("s", "0")).unwrap().len();
    for (limit, bytes, count) in [
        (100, usize::MAX, 10),
        (10, usize::MAX, 10),
        (9, usize::MAX, 9),
        (1, usize::MAX, 1),
        (0, 0, 1),
        (100, 0, 1),
        (100, handoff + 1, 2),
        (100, handoff + 2 * size + 1, 4),
    ] {
        let loaded = w.a.load(&lease, limit, bytes).await.unwrap();
        assert_eq!(
            (loaded.events.len(), loaded.more),
            (count, count < 10),
            "{limit} {bytes}"
        );
        assert_eq!(loaded.events[0].0, first);
        assert!(loaded.events.is_sorted_by_key(|(seq, _)| *seq));
    }
    let (lane, peeked) = w.b.peek(lease.lane).await.unwrap();
    assert_eq!((lane.session.as_str(), lane.target.as_str()), ("s", "hub"));
    assert_eq!(
        (peeked.events.len(), peeked.more, peeked.head),
        (0, true, first - 1)
    );
    assert!(matches!(
        w.a.peek(lease.lane + 1).await,
        Err(LedgerError::Conflict(_))
    ));
}

pub async fn two_sources_may_count_alike(w: &World) {
    w.a.put(t(0), opening("s1", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    for (source, id) in [
        ("/gateway", "2"),
        ("/other", "1"),
        ("/other", "2"),
        ("/third", "2"),
    ] {
        let source = source.to_owned();
        w.a.put(
            t(1),
            plain(Event {
                source,
                ..message("s1", id)
            }),
        )
        .await;
    }
    let source = "/other".to_owned();
    w.a.put(
        t(1),
        plain(Event {
            source,
            ..message("s2", "3")
        }),
    )
    .await;
    w.a.put(t(1), plain(message("s1", "3"))).await;
    let ids = async |limit: usize| -> Vec<String> {
        let loaded = w.b.load(&lease, limit, 100_000).await.unwrap();
        loaded
            .events
            .into_iter()
            .map(|(_, event)| event.id)
            .collect()
    };
    let from = |id: &str, source: &str| format!("{id}@{}", ids::short(&[source]));
    let all = [
        "1".to_owned(),
        "2".to_owned(),
        from("1", "/other"),
        from("2", "/other"),
        from("2", "/third"),
        "3".to_owned(),
    ];
    assert_eq!(ids(10).await, all);
    assert_eq!(ids(3).await, all[..3], "whatever else is loaded");
}

pub async fn loads_in_the_gateways_order(w: &World) {
    w.a.put(t(0), opening("s", "open", &["hub"])).await;
    for (id, sequence) in [("a", Some(4)), ("b", None), ("c", Some(2)), ("d", Some(3))] {
        let mut event = message("s", id);
        event.sequence = sequence;
        w.a.put(t(0), plain(event)).await;
    }
    let lease = w.a.take(t(0), "hub").await;
    let loaded = w.a.load(&lease, 10, 100_000).await.unwrap();
    let ids: Vec<_> = loaded
        .events
        .iter()
        .map(|(_, event)| event.id.as_str())
        .collect();
    assert_eq!(ids, ["open", "c", "b", "d", "a"]);
}

pub async fn an_unsure_fact_keeps_its_since(w: &World) {
    w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    let claim = |candidate: Option<&str>| vec![("ticket".to_owned(), candidate.map(str::to_owned))];
    w.a.begin(&lease, t(1), claim(Some("T-1"))).await.unwrap();
    w.a.begin(&lease, t(2), claim(None)).await.unwrap();
    let known = w.a.load(&lease, 1, 1).await.unwrap().known;
    let unsure = Fact::Unsure {
        since: t(1),
        candidate: Some("T-1".into()),
    };
    assert_eq!(known.0.get("ticket"), Some(&unsure));

    w.a.finish(
        &lease,
        t(3),
        vec![],
        vec![Change::Set("ticket".into(), "7".into())],
        vec![],
    )
    .await
    .unwrap();
    w.a.begin(&lease, t(4), claim(Some("T-2"))).await.unwrap();
    let known = w.a.load(&lease, 1, 1).await.unwrap().known;
    let unsure = Fact::Unsure {
        since: t(4),
        candidate: Some("T-2".into()),
    };
    assert_eq!(
        known.0.get("ticket"),
        Some(&unsure),
        "what was known is unsure from now on"
    );
}

pub async fn a_refused_fact_is_unsure_once_a_call_leaves_again(w: &World) {
    w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    let refuse = vec![Change::Refuse("file".into(), stop(Reason::TooLarge))];
    w.a.finish(&lease, t(1), vec![], refuse, vec![])
        .await
        .unwrap();
    let known = w.b.inspect(lease.lane, 1, 1).await.unwrap().known;
    assert_eq!(
        known.refused("file").map(|(reason, _)| reason),
        Some(Reason::TooLarge)
    );
    w.a.begin(&lease, t(2), vec![("file".into(), None)])
        .await
        .unwrap();
    let known = w.b.inspect(lease.lane, 1, 1).await.unwrap().known;
    assert_eq!(known.unsure_since("file"), Some(t(2)));
    let file = vec![Change::Set("file".into(), "7".into())];
    w.a.finish(&lease, t(3), vec![], file, vec![])
        .await
        .unwrap();
    let known = w.b.inspect(lease.lane, 1, 1).await.unwrap().known;
    assert_eq!(known.get("file"), Some("7"));
}

pub async fn finish_writes_attempts_facts_and_events(w: &World) {
    w.a.put(t(0), opening("s", "1", &["hub", "wa"])).await;
    let lease = w.a.take(t(0), "hub").await;
    w.a.begin(
        &lease,
        t(1),
        vec![("a".into(), None), ("b".into(), None), ("c".into(), None)],
    )
    .await
    .unwrap();
    let failed = Attempt {
        status: None,
        stop: Some(stop(Reason::TimedOut)),
        ..attempt("second", "lost")
    };
    let attempts = vec![attempt("first", "known"), failed];
    let restored = Fact::Unsure {
        since: t(-5),
        candidate: Some("old".into()),
    };
    let refused: Fact = Settled::Refused(stop(Reason::TooLarge)).into();
    let changes = vec![
        Change::Set("a".into(), "1".into()),
        Change::Set("a".into(), "2".into()),
        Change::Remove("b".into()),
        Change::Restore("c".into(), restored.clone()),
        Change::Restore("d".into(), Fact::Is("4".into())),
        Change::Refuse("e".into(), stop(Reason::TooLarge)),
        Change::Restore("f".into(), refused.clone()),
        Change::Remove("never there".into()),
    ];
    w.a.finish(
        &lease,
        t(2),
        attempts.clone(),
        changes,
        vec![plain(message("s", "2"))],
    )
    .await
    .unwrap();
    let story = w.b.session_report("s").await.unwrap();
    assert_eq!(story.events.len(), 2);
    assert_eq!(
        story.attempts,
        attempts
            .into_iter()
            .map(|a| ("hub".to_owned(), a))
            .collect::<Vec<_>>()
    );
    let known = w.a.load(&lease, 1, 1).await.unwrap().known.0;
    let expected = [
        ("a", Fact::Is("2".into())),
        ("c", restored),
        ("d", Fact::Is("4".into())),
        ("e", refused.clone()),
        ("f", refused),
    ];
    assert_eq!(
        known,
        expected.map(|(name, fact)| (name.to_owned(), fact)).into()
    );
    w.a.begin(&lease, t(3), vec![]).await.unwrap();
}

pub async fn idle_until_an_event_comes(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    w.a.release(lease, t(1), leaving(seq, Next::Idle))
        .await
        .unwrap();
    let row = w.a.lanes(LaneFilter::default()).await.unwrap().remove(0);
    assert_eq!(
        (row.state, row.due_at, row.stop, row.leased_by),
        (LaneState::Idle, None, None, None)
    );
    assert_eq!((row.pending, row.updated_at), (0, t(1)));
    assert!(w.a.nothing(t(1_000), "hub").await);
    let second = w.a.put(t(1_000), plain(message("s", "2"))).await;
    let lease = w.a.take(t(1_000), "hub").await;
    let loaded = w.a.load(&lease, 10, 10_000).await.unwrap();
    assert_eq!(loaded.events.len(), 1);
    assert_eq!((loaded.head, loaded.events[0].0), (seq, second));
}

pub async fn held_until_an_event_or_its_time(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    w.a.release(lease, t(1), leaving(seq, held(Some(t(100)))))
        .await
        .unwrap();
    let row = w.a.lanes(LaneFilter::default()).await.unwrap().remove(0);
    assert_eq!((row.state, row.due_at), (LaneState::Held, Some(t(100))));
    assert_eq!(row.stop, Some(stop(Reason::WindowClosed)));
    assert!(w.a.nothing(t(99), "hub").await);
    let lease = w.a.take(t(100), "hub").await;
    w.a.release(lease, t(101), leaving(seq, held(None)))
        .await
        .unwrap();
    assert!(w.a.nothing(t(9_999), "hub").await);
    w.a.put(t(9_999), plain(message("s", "2"))).await;
    let row = w.a.lanes(LaneFilter::default()).await.unwrap().remove(0);
    assert_eq!(
        (row.state, row.due_at, row.stop, row.pending),
        (LaneState::Due, Some(t(9_999)), None, 1)
    );
    w.a.take(t(9_999), "hub").await;
}

pub async fn a_backoff_is_not_shortened(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    // Neither by an event that comes while it is worked on, nor by one that comes later.
    w.a.put(t(1), plain(message("s", "2"))).await;
    let failed = Release {
        attempts: 3,
        ..leaving(seq - 1, backoff(t(100)))
    };
    w.a.release(lease, t(1), failed).await.unwrap();
    w.a.put(t(2), plain(message("s", "3"))).await;
    assert!(w.a.nothing(t(99), "hub").await);
    let row = w.a.lanes(LaneFilter::default()).await.unwrap().remove(0);
    assert_eq!(
        (row.state, row.stop, row.attempts),
        (LaneState::Due, Some(stop(Reason::ServerError)), 3)
    );
    let lease = w.a.take(t(100), "hub").await;
    assert_eq!(lease.attempts, 3);
    assert_eq!(w.a.load(&lease, 10, 10_000).await.unwrap().events.len(), 3);
}

pub async fn a_plain_due_time_is(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    w.a.release(
        lease,
        t(1),
        leaving(
            seq,
            Next::Due {
                at: t(100),
                stop: None,
            },
        ),
    )
    .await
    .unwrap();
    assert!(w.a.nothing(t(99), "hub").await);
    w.a.put(t(50), plain(message("s", "2"))).await;
    let lease = w.a.take(t(50), "hub").await;
    w.a.put(t(51), plain(message("s", "3"))).await;
    w.a.release(
        lease,
        t(52),
        leaving(
            seq,
            Next::Due {
                at: t(100),
                stop: None,
            },
        ),
    )
    .await
    .unwrap();
    w.a.take(t(52), "hub").await;
}

pub async fn parked_lanes_collect_events_and_stay_parked(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    w.a.put(t(1), plain(message("s", "2"))).await;
    w.a.release(lease, t(2), leaving(seq - 1, parked(Reason::Forbidden)))
        .await
        .unwrap();
    w.a.put(t(3), inbound("s", "3", "491", t(3))).await;
    assert!(w.a.nothing(t(9_999), "hub").await);
    let row = w.a.lanes(LaneFilter::default()).await.unwrap().remove(0);
    assert_eq!(
        (row.state, row.due_at, row.pending),
        (LaneState::Parked, None, 3)
    );
    assert_eq!(
        (row.stop, row.updated_at),
        (Some(stop(Reason::Forbidden)), t(2))
    );
}

pub async fn a_wake_up_during_the_lease_is_not_lost(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    for next in [Next::Idle, held(None), held(Some(t(900)))] {
        let lease = w.a.take(t(0), "hub").await;
        let newer =
            w.b.put(t(1), plain(message("s", &format!("{next:?}"))))
                .await;
        // The worker saw everything, even this event: it came after the claim, so look again.
        w.a.release(lease, t(-1), leaving(seq.max(newer), next))
            .await
            .unwrap();
    }
    let lease = w.a.take(t(0), "hub").await;
    w.a.release(lease, t(1), leaving(99, held(None)))
        .await
        .unwrap();
    assert!(w.a.nothing(t(2), "hub").await, "a claim begins afresh");
}

pub async fn events_beyond_the_batch_make_it_due(w: &World) {
    let first = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let second = w.a.put(t(0), plain(message("s", "2"))).await;
    let lease = w.a.take(t(1), "hub").await;
    w.a.release(lease, t(1), leaving(first, Next::Idle))
        .await
        .unwrap();
    let lease = w.a.take(t(1), "hub").await;
    w.a.release(lease, t(1), leaving(second, Next::Idle))
        .await
        .unwrap();
    assert!(w.a.nothing(t(1), "hub").await);
}

pub async fn events_of_a_release_wake_the_lane_itself(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub", "wa"])).await;
    let wa = w.a.take(t(0), "wa").await;
    w.a.release(wa, t(0), leaving(seq, Next::Idle))
        .await
        .unwrap();
    let lease = w.a.take(t(0), "hub").await;
    let release = Release {
        events: vec![plain(message("s", "done"))],
        ..leaving(seq, Next::Idle)
    };
    w.a.release(lease, t(1), release).await.unwrap();
    w.a.take(t(1), "wa").await;
    let lease = w.a.take(t(1), "hub").await;
    let release = Release {
        events: vec![plain(message("s", "failed"))],
        ..leaving(seq, parked(Reason::Forbidden))
    };
    w.a.release(lease, t(2), release).await.unwrap();
    assert!(w.a.nothing(t(9_999), "hub").await, "unless it is parked");
    assert_eq!(w.a.session_report("s").await.unwrap().events.len(), 3);
}

pub async fn the_head_never_goes_back(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    for head in [seq, seq - 1, 0] {
        let lease = w.a.take(t(1), "hub").await;
        let next = Next::Due {
            at: t(1),
            stop: None,
        };
        w.a.release(lease.clone(), t(1), leaving(head, next))
            .await
            .unwrap();
        assert_eq!(w.a.peek(lease.lane).await.unwrap().1.head, seq);
    }
}
