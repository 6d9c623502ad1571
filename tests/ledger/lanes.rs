//! Lanes as workers see them.

use handoffd::ledger::{Attempt, Change, LaneFilter, LaneState, LedgerError, Next, Release};
use handoffd_contract::{Fact, Reason};
use jiff::Timestamp;

use crate::world::*;

fn held(until: Option<Timestamp>) -> Next {
    Next::Held {
        stop: stop(Reason::WindowClosed),
        until,
    }
}

fn backoff(at: Timestamp) -> Next {
    Next::Due {
        at,
        stop: Some(stop(Reason::ServerError)),
    }
}

fn parked() -> Next {
    Next::Parked {
        stop: stop(Reason::Forbidden),
    }
}

pub async fn claims_what_is_due_oldest_first(w: &World) {
    for (n, session) in ["s3", "s1", "s2"].iter().enumerate() {
        w.a.put(t(n as i64), opening(session, session, &["hub"]))
            .await;
    }
    assert!(w.a.nothing(t(-1), "hub").await, "nothing is due yet");
    let leases = w.a.claim(t(1), "me", "hub", 10, t(60)).await.unwrap();
    let sessions: Vec<_> = leases.iter().map(|lease| lease.session.as_str()).collect();
    assert_eq!(
        sessions,
        ["s3", "s1"],
        "oldest first, and none before its time"
    );
    assert!(
        leases
            .iter()
            .all(|lease| (lease.epoch, lease.attempts) == (1, 0) && lease.target == "hub")
    );
}

pub async fn claims_no_more_than_asked_for_and_only_its_target(w: &World) {
    for n in 0..5 {
        w.a.put(
            t(0),
            opening(&format!("s{n}"), &n.to_string(), &["hub", "sales"]),
        )
        .await;
    }
    assert_eq!(
        w.a.claim(t(1), "me", "hub", 3, t(60)).await.unwrap().len(),
        3
    );
    assert_eq!(
        w.a.claim(t(1), "me", "hub", 3, t(60)).await.unwrap().len(),
        2
    );
    assert_eq!(
        w.a.claim(t(1), "me", "hub", 0, t(60)).await.unwrap().len(),
        0
    );
    assert_eq!(
        w.a.claim(t(1), "me", "sales", 9, t(60))
            .await
            .unwrap()
            .len(),
        5
    );
}

pub async fn a_live_lease_is_left_alone_and_a_dead_one_taken_over(w: &World) {
    w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let first = w.a.take(t(0), "hub").await;
    assert!(w.b.nothing(t(59), "hub").await);
    let second = w.b.take(t(60), "hub").await;
    assert_eq!((second.lane, second.epoch), (first.lane, first.epoch + 1));
    assert_eq!(w.a.renew(&first, t(200)).await, Err(LedgerError::Stale));
    w.b.begin(&second, t(61), vec![]).await.unwrap();

    // A lease that ran out still counts until somebody takes it over.
    w.b.begin(&second, t(500), vec![]).await.unwrap();
    w.b.release(second, t(500), leaving(99, held(Some(t(600)))))
        .await
        .unwrap();
    let third = w.a.take(t(600), "hub").await;
    let fourth = w.b.take(t(660), "hub").await;
    assert_eq!(
        fourth.epoch,
        third.epoch + 1,
        "a held lane is taken over like any other"
    );
}

pub async fn a_stale_lease_is_refused_everywhere(w: &World) {
    w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let old = w.a.take(t(0), "hub").await;
    let new = w.b.take(t(60), "hub").await;
    let facts = || vec![Change::Set("case".into(), "1".into())];
    let events = || vec![plain(message("s", "2"))];
    for lease in [&old] {
        assert_eq!(w.a.renew(lease, t(99)).await, Err(LedgerError::Stale));
        assert_eq!(w.a.load(lease, 1, 1).await, Err(LedgerError::Stale));
        assert_eq!(
            w.a.begin(lease, t(61), vec![("x".into(), None)]).await,
            Err(LedgerError::Stale)
        );
        let finish =
            w.a.finish(lease, t(61), vec![attempt("a", "known")], facts(), events())
                .await;
        assert_eq!(finish, Err(LedgerError::Stale));
        assert_eq!(
            w.a.listen(lease, Some("feed")).await,
            Err(LedgerError::Stale)
        );
        let release = Release {
            events: events(),
            ..leaving(99, parked())
        };
        assert_eq!(
            w.a.release(lease.clone(), t(61), release).await,
            Err(LedgerError::Stale)
        );
    }
    let story = w.a.story("s").await.unwrap();
    assert_eq!(
        (story.events.len(), story.attempts.len()),
        (1, 0),
        "nothing was written"
    );
    let (row, _, known) = &story.lanes[0];
    assert!(known.0.is_empty() && row.leased_by.is_some());

    // One that was given back is as stale as one that was taken over.
    w.b.release(new.clone(), t(62), leaving(99, Next::Idle))
        .await
        .unwrap();
    assert_eq!(w.b.renew(&new, t(99)).await, Err(LedgerError::Stale));
    assert_eq!(
        w.b.release(new, t(62), leaving(99, Next::Idle)).await,
        Err(LedgerError::Stale)
    );
}

pub async fn renewing_keeps_a_lease(w: &World) {
    w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    w.a.renew(&lease, t(300)).await.unwrap();
    assert!(w.b.nothing(t(299), "hub").await);
    w.b.take(t(300), "hub").await;
}

pub async fn loads_within_bounds_and_always_one(w: &World) {
    let first = w.a.put(t(0), opening("s", "0", &["hub"])).await;
    for n in 1..10 {
        w.a.put(t(0), plain(message("s", &n.to_string()))).await;
        w.a.put(t(0), plain(message("other", &format!("o{n}"))))
            .await;
    }
    let lease = w.a.take(t(0), "hub").await;
    let size = serde_json::to_string(&message("s", "1")).unwrap().len();
    let handoff = serde_json::to_string(&handoff("s", "0")).unwrap().len();
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
    let changes = vec![
        Change::Set("a".into(), "1".into()),
        Change::Set("a".into(), "2".into()),
        Change::Remove("b".into()),
        Change::Restore("c".into(), restored.clone()),
        Change::Restore("d".into(), Fact::Is("4".into())),
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
    let story = w.b.story("s").await.unwrap();
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
    w.a.release(lease, t(2), leaving(seq - 1, parked()))
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
        ..leaving(seq, parked())
    };
    w.a.release(lease, t(2), release).await.unwrap();
    assert!(w.a.nothing(t(9_999), "hub").await, "unless it is parked");
    assert_eq!(w.a.story("s").await.unwrap().events.len(), 3);
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

pub async fn says_when_something_becomes_due(w: &World) {
    assert_eq!(w.a.next_due(t(0)).await.unwrap(), None);
    let seq = w.a.put(t(10), opening("s1", "1", &["hub"])).await;
    assert_eq!(w.a.next_due(t(0)).await.unwrap(), Some(t(10)));
    assert_eq!(
        w.a.next_due(t(10)).await.unwrap(),
        None,
        "what is due already is to be claimed"
    );
    let lease = w.a.take(t(10), "hub").await;
    assert_eq!(
        w.b.next_due(t(10)).await.unwrap(),
        Some(t(70)),
        "the lease may run out"
    );
    w.a.release(lease, t(11), leaving(seq, backoff(t(50))))
        .await
        .unwrap();
    w.a.put(t(12), opening("s2", "2", &["sales"])).await;
    assert_eq!(w.a.next_due(t(12)).await.unwrap(), Some(t(50)));
    w.a.put(t(20), opening("s3", "3", &["alpha"])).await;
    assert_eq!(
        w.a.next_due(t(12)).await.unwrap(),
        Some(t(20)),
        "of all targets"
    );
    assert!(w.a.inbox_put(t(15), "hub", "{}", b"x").await.unwrap());
    assert_eq!(
        w.a.next_due(t(12)).await.unwrap(),
        Some(t(15)),
        "and of the inbox"
    );
}

pub async fn tells_those_who_wait(w: &World) {
    let changed = w.a.changed();
    let waiting = changed.notified();
    w.a.put(t(0), plain(message("s", "no lane"))).await;
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    waiting.await;

    let lease = w.a.take(t(0), "hub").await;
    w.a.release(lease, t(1), leaving(seq, parked()))
        .await
        .unwrap();
    let waiting = changed.notified();
    w.a.retry(t(2), handoffd::ledger::Select::All, false)
        .await
        .unwrap();
    waiting.await;
}
