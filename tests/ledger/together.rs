//! Many at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use handoffd::ledger::{Admitted, LaneFilter, LaneState, Ledger, LedgerError, Next};
use handoffd_contract::Reason;
use tokio::task::JoinSet;

use crate::world::*;

/// Both daemons' handles, in turn.
fn daemons(w: &World) -> impl Iterator<Item = Arc<dyn Ledger>> {
    [Arc::clone(&w.a), Arc::clone(&w.b)].into_iter().cycle()
}

pub async fn two_daemons_never_get_the_same_lane(w: &World) {
    const LANES: usize = 120;
    let batch = (0..LANES)
        .map(|n| opening(&format!("s{n}"), &n.to_string(), &["hub"]))
        .collect();
    w.a.admit(t(0), batch).await.unwrap();
    let mut tasks = JoinSet::new();
    for (n, ledger) in daemons(w).take(16).enumerate() {
        tasks.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let leases = ledger
                    .claim(t(1), &format!("d{n}"), "hub", 3, t(60))
                    .await
                    .unwrap();
                if leases.is_empty() {
                    return mine;
                }
                mine.extend(leases.into_iter().map(|lease| lease.lane));
            }
        });
    }
    let all: Vec<i64> = tasks.join_all().await.concat();
    // A claim may come back empty while another one holds the last rows; none may be given twice.
    let distinct: HashSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (LANES, LANES));
}

pub async fn the_same_event_from_many_sides_is_one(w: &World) {
    let mut tasks = JoinSet::new();
    for (n, ledger) in daemons(w).take(12).enumerate() {
        tasks.spawn(async move {
            let mut batch: Vec<_> = (0..20)
                .map(|id| plain(message(&format!("s{}", id % 3), &id.to_string())))
                .collect();
            batch.rotate_left(n);
            ledger.admit(t(0), batch).await.unwrap()
        });
    }
    let admitted = tasks.join_all().await.concat();
    let new = admitted
        .iter()
        .filter(|one| matches!(one, Admitted::New(_)))
        .count();
    assert_eq!((new, admitted.len()), (20, 240));
}

pub async fn a_session_is_in_order_whoever_admits(w: &World) {
    // A reader that goes on from the last number it saw must never miss a smaller one.
    w.a.put(t(0), opening("s", "open", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    let writers = 8;
    let left = Arc::new(AtomicUsize::new(writers));
    let mut tasks = JoinSet::new();
    for (n, ledger) in daemons(w).take(writers).enumerate() {
        let left = Arc::clone(&left);
        tasks.spawn(async move {
            for i in 0..15 {
                let batch = (0..3)
                    .map(|k| plain(message("s", &format!("{n}-{i}-{k}"))))
                    .collect();
                ledger.admit(t(1), batch).await.unwrap();
            }
            left.fetch_sub(1, Ordering::SeqCst);
        });
    }
    let mut seen: Vec<i64> = Vec::new();
    loop {
        let done = left.load(Ordering::SeqCst) == 0;
        let events = w.b.load(&lease, 10_000, usize::MAX).await.unwrap().events;
        let seqs: Vec<_> = events.iter().map(|(seq, _)| *seq).collect();
        assert!(
            seqs.is_sorted() && seqs.starts_with(&seen),
            "an event appeared among older ones"
        );
        seen = seqs;
        if done {
            break;
        }
    }
    tasks.join_all().await;
    assert_eq!(seen.len(), 1 + writers * 45);
}

pub async fn no_wake_up_is_lost_between_admission_and_release(w: &World) {
    const EVENTS: usize = 150;
    w.a.put(t(0), opening("s", "open", &["hub"])).await;
    let admit = {
        let ledger = Arc::clone(&w.a);
        tokio::spawn(async move {
            for n in 0..EVENTS {
                ledger.put(t(1), plain(message("s", &n.to_string()))).await;
                tokio::task::yield_now().await;
            }
        })
    };
    // The worker never polls: it looks only when the table says that the lane is due.
    let mut shown = 0;
    let mut idle_rounds = 0;
    while shown < EVENTS + 1 {
        let done = admit.is_finished();
        let leases = w.b.claim(t(2), "me", "hub", 1, t(60)).await.unwrap();
        let Some(lease) = leases.into_iter().next() else {
            idle_rounds += usize::from(done);
            assert!(
                idle_rounds < 3,
                "{shown} of {} events shown and the lane sleeps",
                EVENTS + 1
            );
            tokio::task::yield_now().await;
            continue;
        };
        let loaded = w.b.load(&lease, 7, usize::MAX).await.unwrap();
        let head = loaded.events.last().map_or(loaded.head, |(seq, _)| *seq);
        shown += loaded.events.len();
        let next = if shown % 2 == 0 {
            Next::Idle
        } else {
            Next::Held {
                stop: stop(Reason::WindowClosed),
                until: None,
            }
        };
        w.b.release(lease, t(2), leaving(head, next)).await.unwrap();
    }
    admit.await.unwrap();
}

pub async fn a_feed_has_one_holder(w: &World) {
    for n in 0..20 {
        w.a.put(t(0), opening(&format!("s{n}"), &n.to_string(), &["sales"]))
            .await;
        let lease = w.a.take(t(0), "sales").await;
        w.a.listen(&lease, Some(&format!("user{}", n % 10)))
            .await
            .unwrap();
    }
    let mut tasks = JoinSet::new();
    for (n, ledger) in daemons(w).take(8).enumerate() {
        tasks.spawn(async move {
            ledger
                .claim_feeds(t(1), &format!("d{n}"), &targets(), 3, t(60))
                .await
                .unwrap()
        });
    }
    let mut claimed = tasks.join_all().await.concat();
    claimed.extend(
        w.a.claim_feeds(t(1), "rest", &targets(), 99, t(60))
            .await
            .unwrap(),
    );
    let distinct: HashSet<_> = claimed.iter().map(|feed| feed.key.clone()).collect();
    assert_eq!((claimed.len(), distinct.len()), (10, 10));
}

pub async fn a_webhook_from_many_sides_is_one(w: &World) {
    let mut tasks = JoinSet::new();
    for ledger in daemons(w).take(16) {
        tasks.spawn(async move {
            ledger
                .keep_webhook(t(0), "hub", "{}", b"same")
                .await
                .unwrap()
        });
    }
    let new = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|new| *new)
        .count();
    assert_eq!(new, 1);
    let mut tasks = JoinSet::new();
    for (n, ledger) in daemons(w).take(8).enumerate() {
        tasks.spawn(async move {
            ledger
                .claim_webhooks(t(1), &format!("d{n}"), "hub", 5, t(60))
                .await
                .unwrap()
                .len()
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 1);
}

pub async fn mapping_versions_have_no_gap(w: &World) {
    let mut tasks = JoinSet::new();
    for ledger in daemons(w).take(12) {
        tasks.spawn(async move {
            ledger
                .mapping_put(t(0), "hub", "x", "me", "", None)
                .await
                .unwrap()
        });
    }
    let mut versions = tasks.join_all().await;
    versions.sort_unstable();
    assert_eq!(versions, (1..=12).collect::<Vec<_>>());
    let mut tasks = JoinSet::new();
    for ledger in daemons(w).take(6) {
        tasks.spawn(async move {
            ledger
                .mapping_put(t(0), "hub", "x", "me", "", Some(12))
                .await
        });
    }
    let outcomes = tasks.join_all().await;
    let won = outcomes
        .iter()
        .filter(|outcome| **outcome == Ok(13))
        .count();
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(LedgerError::Conflict(_))))
        .count();
    assert_eq!((won, refused), (1, 5));
}

pub async fn two_sessions_of_one_customer_do_not_deadlock(w: &World) {
    let mut tasks = JoinSet::new();
    for (n, ledger) in daemons(w).take(8).enumerate() {
        tasks.spawn(async move {
            for i in 0..12 {
                // Each in another order, each newer than the last, so that all wake each other.
                let mut batch: Vec<_> = (0..4)
                    .map(|s| {
                        let mut one = inbound(
                            &format!("s{s}"),
                            &format!("{n}-{i}-{s}"),
                            "491",
                            t(i * 10 + s),
                        );
                        one.opens = vec!["wa".into(), "hub".into()];
                        one
                    })
                    .collect();
                batch.rotate_left(n % 4);
                ledger.admit(t(i), batch).await.unwrap();
                for target in ["wa", "hub"] {
                    for lease in ledger.claim(t(i), "me", target, 2, t(500)).await.unwrap() {
                        let held = Next::Held {
                            stop: stop(Reason::WindowClosed),
                            until: None,
                        };
                        ledger.release(lease, t(i), leaving(0, held)).await.unwrap();
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let mut counts: HashMap<LaneState, usize> = HashMap::new();
    for row in w.a.lanes(LaneFilter::default()).await.unwrap() {
        *counts.entry(row.state).or_default() += 1;
        assert_eq!(row.pending, 96);
    }
    assert_eq!(counts.values().sum::<usize>(), 8);
}
