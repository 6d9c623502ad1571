//! Who may work on a lane, and how they learn that there is work.

use handoffd::ledger::{Change, LaneState, Lease, LedgerError, Next, Release};
use handoffd_contract::Reason;

use crate::world::*;

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

pub async fn a_takeover_begins_afresh(w: &World) {
    let first = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    w.a.take(t(0), "hub").await;
    let second = w.a.put(t(1), plain(message("s", "2"))).await;
    let lease = w.b.take(t(60), "hub").await;
    let loaded = w.b.load(&lease, 10, 10_000).await.unwrap();
    let seqs: Vec<_> = loaded.events.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, [first, second]);
    let idle = leaving(second, Next::Idle);
    w.b.release(lease, t(61), idle).await.unwrap();
    assert!(
        w.b.nothing(t(61), "hub").await,
        "the wake-up was for the first"
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
            ..leaving(99, parked(Reason::Forbidden))
        };
        assert_eq!(
            w.a.release(lease.clone(), t(61), release).await,
            Err(LedgerError::Stale)
        );
    }
    let story = w.a.session_report("s").await.unwrap();
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
    assert!(w.a.keep_webhook(t(15), "hub", "{}", b"x").await.unwrap());
    assert_eq!(
        w.a.next_due(t(12)).await.unwrap(),
        Some(t(15)),
        "and of the inbox"
    );
}

pub async fn tells_those_who_wait(w: &World) {
    let changed = w.a.changed();
    let waiting = changed.next_of_lanes();
    w.a.put(t(0), plain(message("s", "no lane"))).await;
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    waiting.await;

    let lease = w.a.take(t(0), "hub").await;
    w.a.release(lease, t(1), leaving(seq, parked(Reason::Forbidden)))
        .await
        .unwrap();
    let waiting = changed.next_of_lanes();
    w.a.retry(t(2), handoffd::ledger::Select::All, false)
        .await
        .unwrap();
    waiting.await;

    let waiting = changed.next_of_webhooks();
    w.a.keep_webhook(t(3), "hub", "{}", b"x").await.unwrap();
    waiting.await;
}

/// Whoever reads the number of the last change before they look may wait for the next one.
pub async fn whatever_makes_something_due_has_a_number(w: &World) {
    let changed = w.a.changed();
    let mut last = (changed.lanes("hub"), changed.webhooks("hub"));
    let mut told = |what: &str| {
        let now = (changed.lanes("hub"), changed.webhooks("hub"));
        let grown = (now.0 > last.0, now.1 > last.1);
        last = now;
        assert!(grown.0 || grown.1, "{what}");
        grown
    };
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    assert!(told("a lane was opened").0);
    let lease = w.a.take(t(0), "hub").await;
    w.a.release(
        lease.clone(),
        t(1),
        leaving(
            seq,
            Next::Due {
                at: t(9),
                stop: None,
            },
        ),
    )
    .await
    .unwrap();
    assert!(told("it goes on later").0);
    w.a.wake(t(2), &[lease.lane]).await.unwrap();
    assert!(told("it goes on at once").0);
    let lease = w.a.take(t(2), "hub").await;
    w.a.release(lease, t(3), leaving(seq, Next::Idle))
        .await
        .unwrap();
    w.a.put(t(4), plain(message("s", "2"))).await;
    assert!(told("an event came").0);
    let lease = w.a.take(t(4), "hub").await;
    w.a.put(t(5), plain(message("s", "3"))).await;
    w.a.release(lease, t(6), leaving(seq, Next::Idle))
        .await
        .unwrap();
    assert!(told("an event came while it was worked on").0);
    w.a.take(t(6), "hub").await;
    w.a.release_all_leases("a").await.unwrap();
    assert!(told("a daemon left").0);

    w.a.keep_webhook(t(7), "hub", "{}", b"x").await.unwrap();
    assert!(told("a webhook came").1);
    let row =
        &w.a.claim_webhooks(t(7), "a", "hub", 1, t(60))
            .await
            .unwrap()[0];
    w.a.postpone_webhook(row, Some(t(9)), stop(Reason::Unreachable))
        .await
        .unwrap();
    assert!(told("it was put off").1);
    let row =
        &w.a.claim_webhooks(t(9), "a", "hub", 1, t(60))
            .await
            .unwrap()[0];
    w.a.postpone_webhook(row, None, stop(Reason::Unreachable))
        .await
        .unwrap();
    told("it was parked");
    w.a.settle_webhooks(t(10), None, true).await.unwrap();
    assert!(told("it is tried again").1);
}

pub async fn what_is_loaded_with_a_claim_is_what_the_worker_would_load(w: &World) {
    for session in ["s1", "s2", "s3"] {
        w.a.put(t(0), opening(session, session, &["hub"])).await;
        w.a.put(t(0), plain(message(session, &format!("{session}-2"))))
            .await;
    }
    // Of all together about as much as of one.
    for (bytes, with_claim) in [(100_000, 3), (1, 1)] {
        let claimed =
            w.a.claim_and_load(t(1), "me", "hub", 9, t(60), (50, bytes))
                .await
                .unwrap();
        let some = claimed.iter().filter(|(_, loaded)| loaded.is_some());
        let expected = if w.loads_what_it_claims() {
            with_claim
        } else {
            0
        };
        assert_eq!((claimed.len(), some.count()), (3, expected));
        for (lease, loaded) in claimed {
            let own = w.a.load(&lease, 50, bytes).await.unwrap();
            assert!(loaded.is_none_or(|loaded| loaded == own));
            w.a.release(
                lease,
                t(1),
                leaving(
                    0,
                    Next::Due {
                        at: t(1),
                        stop: None,
                    },
                ),
            )
            .await
            .unwrap();
        }
    }
}

pub async fn what_calls_proved_is_written_as_the_lane_is_left_or_not_at_all(w: &World) {
    w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    w.a.begin(&lease, t(1), vec![("a".into(), None), ("b".into(), None)])
        .await
        .unwrap();
    let leave = async |lease: &Lease, value: &str| {
        let changes = vec![
            Change::Set("a".into(), value.into()),
            Change::Remove("b".into()),
        ];
        let attempts = vec![attempt("step", "known")];
        let release = Release {
            head: 1,
            seen: 1,
            next: Next::Idle,
            attempts: 0,
            events: Vec::new(),
        };
        w.a.finish_and_release(lease.clone(), t(2), attempts, changes, release)
            .await
    };
    let stale = Lease {
        epoch: lease.epoch - 1,
        ..lease.clone()
    };
    assert_eq!(leave(&stale, "no").await, Err(LedgerError::Stale));
    let report = w.b.session_report("s").await.unwrap();
    assert!(report.lanes[0].2.unsure("a") && report.attempts.is_empty());

    assert_eq!(leave(&lease, "yes").await, Ok(()));
    let report = w.b.session_report("s").await.unwrap();
    let (row, head, known) = &report.lanes[0];
    assert_eq!(
        (row.state, &row.leased_by, *head),
        (LaneState::Idle, &None, 1)
    );
    assert_eq!(
        (known.get("a"), known.0.contains_key("b")),
        (Some("yes"), false)
    );
    assert_eq!(report.attempts.len(), 1);
    assert_eq!(leave(&lease, "again").await, Err(LedgerError::Stale));
}
