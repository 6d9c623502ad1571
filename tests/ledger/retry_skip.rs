//! Lanes put back to work by a person.

use handoffd::ledger::{Change, LaneFilter, LaneState, Lease, Next, Release, Select};
use handoffd_contract::{Fact, Reason};

use crate::world::*;

async fn state(w: &World, session: &str) -> LaneState {
    let filter = LaneFilter {
        session: Some(session.into()),
        ..LaneFilter::default()
    };
    w.b.lanes(filter).await.unwrap().remove(0).state
}

fn sessions(lanes: &[handoffd::ledger::LaneRef]) -> Vec<&str> {
    lanes.iter().map(|lane| lane.session.as_str()).collect()
}

pub async fn retry_makes_due_what_is_meant(w: &World) {
    let fresh = async || {
        for n in 0..4 {
            let reason = if n < 2 {
                Reason::Forbidden
            } else {
                Reason::Mapping
            };
            let target = if n % 2 == 0 { "hub" } else { "sales" };
            let session = format!("p{n}");
            let filter = LaneFilter {
                session: Some(session.clone()),
                ..LaneFilter::default()
            };
            if w.a.lanes(filter).await.unwrap().is_empty() {
                lane(w, &session, target, parked(reason)).await;
            } else {
                let lease = w.a.take(t(10), target).await;
                w.a.release(lease, t(10), leaving(0, parked(reason)))
                    .await
                    .unwrap();
            }
        }
    };
    let reason = |reason: Reason, target: Option<&str>| {
        Select::Reason(reason.label().into(), target.map(str::to_owned))
    };
    fresh().await;
    for (select, meant) in [
        (Select::All, vec!["p0", "p1", "p2", "p3"]),
        (Select::Target("hub".into()), vec!["p0", "p2"]),
        (reason(Reason::Mapping, None), vec!["p2", "p3"]),
        (reason(Reason::Mapping, Some("sales")), vec!["p3"]),
        (reason(Reason::Bug, None), vec![]),
        (Select::Session("p1".into(), None), vec!["p1"]),
        (
            Select::Session("p1".into(), Some("sales".into())),
            vec!["p1"],
        ),
        (Select::Session("p1".into(), Some("hub".into())), vec![]),
    ] {
        let said = w.a.retry(t(10), select.clone(), true).await.unwrap();
        assert_eq!(sessions(&said), meant, "{select:?}");
        let done = w.b.retry(t(10), select.clone(), false).await.unwrap();
        assert_eq!(done, said);
        for n in 0..4 {
            let session = format!("p{n}");
            let due = state(w, &session).await == LaneState::Due;
            assert_eq!(
                due,
                meant.contains(&session.as_str()),
                "{select:?} {session}"
            );
        }
        for lane in done {
            let leases =
                w.a.claim(t(10), "me", &lane.target, 1, t(70))
                    .await
                    .unwrap();
            assert_eq!(leases[0].attempts, 0, "a person begins afresh");
            let next = parked(if ["p0", "p1"].contains(&leases[0].session.as_str()) {
                Reason::Forbidden
            } else {
                Reason::Mapping
            });
            w.a.release(leases[0].clone(), t(10), leaving(0, next))
                .await
                .unwrap();
        }
        for row in w.a.lanes(LaneFilter::default()).await.unwrap() {
            assert_eq!(
                row.state,
                LaneState::Parked,
                "put back for the next selection"
            );
        }
    }

    lane(
        w,
        "held",
        "wa",
        Next::Held {
            stop: stop(Reason::WindowClosed),
            until: None,
        },
    )
    .await;
    let slow = Next::Due {
        at: t(999),
        stop: Some(stop(Reason::ServerError)),
    };
    lane(w, "slow", "wa", slow.clone()).await;
    for session in ["held", "slow"] {
        let select = Select::Session(session.into(), None);
        assert_eq!(
            sessions(&w.a.retry(t(20), select, false).await.unwrap()),
            [session]
        );
        w.a.take(t(20), "wa").await;
    }
    lane(w, "slow2", "wa", slow).await;
    assert_eq!(
        w.a.retry(t(20), Select::All, false).await.unwrap().len(),
        4,
        "only parked ones"
    );
}

/// A lane with a known and two unsure facts.
async fn unsure(w: &World, session: &str, reason: Reason) -> Lease {
    let seq = w.a.put(t(0), opening(session, session, &["wa"])).await;
    let lease = w.a.take(t(0), "wa").await;
    w.a.finish(
        &lease,
        t(0),
        vec![],
        vec![Change::Set("sent/1".into(), "w1".into())],
        vec![],
    )
    .await
    .unwrap();
    let claims = vec![
        ("sent/2".into(), None),
        ("sent/3".into(), Some("w3".into())),
    ];
    w.a.begin(&lease, t(0), claims).await.unwrap();
    let release = Release {
        seen: seq,
        ..leaving(seq - 1, parked(reason))
    };
    w.a.release(lease.clone(), t(1), release).await.unwrap();
    lease
}

pub async fn retry_forgets_what_a_person_has_looked_at(w: &World) {
    let asks = unsure(w, "s1", Reason::UnknownOutcome).await;
    let other = unsure(w, "s2", Reason::Forbidden).await;
    w.a.retry(t(2), Select::All, false).await.unwrap();
    let known = w.a.peek(asks.lane).await.unwrap().1.known;
    assert_eq!(
        known.0,
        [("sent/1".to_owned(), Fact::Is("w1".into()))].into()
    );
    assert!(
        w.a.peek(other.lane).await.unwrap().1.known.unsure("sent/2"),
        "nobody looked at this"
    );
}

pub async fn retry_plans_parked_handoffs_with_the_mapping_in_force(w: &World) {
    let pin = |name: &str| Change::Set(name.into(), "1".into());
    let pins = ["mapping/shown", "completed/shown", "mapping/refused"];
    let pinned = async |session: &str, next: Next| {
        let seq = w.a.put(t(0), handing(session, session, &["hub"])).await;
        let lease = w.a.take(t(0), "hub").await;
        let changes = pins.map(pin).into();
        w.a.finish(&lease, t(0), vec![], changes, vec![])
            .await
            .unwrap();
        // Who is in charge is told right after the handoff.
        let release = Release {
            seen: seq + 1,
            ..leaving(seq - 1, next)
        };
        w.a.release(lease.clone(), t(1), release).await.unwrap();
        lease.lane
    };
    let stopped = pinned("s1", parked(Reason::Invalid)).await;
    let at = t(500);
    let backing_off = pinned("s2", Next::Due { at, stop: None }).await;
    for session in ["s1", "s2"] {
        let select = Select::Session(session.into(), None);
        assert_eq!(w.a.retry(t(2), select, false).await.unwrap().len(), 1);
    }
    let known = w.a.peek(stopped).await.unwrap().1.known;
    assert_eq!(known.get("mapping/shown"), Some("1"), "it is complete");
    assert!(known.absent("mapping/refused"), "it is planned anew");
    let known = w.a.peek(backing_off).await.unwrap().1.known;
    assert_eq!(
        known.get("mapping/refused"),
        Some("1"),
        "nobody changed anything"
    );
}

pub async fn skip_gives_up_the_first_event(w: &World) {
    let first = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    let second = w.a.put(t(0), plain(message("s", "2"))).await;
    let lease = w.a.take(t(0), "hub").await;
    let release = Release {
        seen: second,
        attempts: 5,
        ..leaving(first - 1, parked(Reason::Invalid))
    };
    w.a.release(lease, t(1), release).await.unwrap();
    let held = Next::Held {
        stop: stop(Reason::WindowClosed),
        until: None,
    };
    lane(w, "held", "wa", held).await;
    lane(
        w,
        "slow",
        "wa",
        Next::Due {
            at: t(99),
            stop: Some(stop(Reason::ServerError)),
        },
    )
    .await;

    let skipped =
        w.a.skip(t(2), Select::Session("s".into(), None), false)
            .await
            .unwrap();
    assert_eq!(sessions(&skipped), ["s"]);
    let lease = w.a.take(t(2), "hub").await;
    assert_eq!(lease.attempts, 0);
    let loaded = w.a.load(&lease, 10, 10_000).await.unwrap();
    assert_eq!(
        loaded
            .events
            .iter()
            .map(|(seq, _)| *seq)
            .collect::<Vec<_>>(),
        [second]
    );
    assert_eq!(loaded.head, first);

    assert_eq!(
        w.a.skip(t(2), Select::All, false).await.unwrap(),
        [],
        "all means all parked ones"
    );
    let held =
        w.a.skip(t(2), Select::Session("held".into(), None), false)
            .await
            .unwrap();
    assert_eq!(sessions(&held), ["held"]);
    assert_eq!(
        w.a.skip(t(2), Select::Session("slow".into(), None), false)
            .await
            .unwrap(),
        []
    );
    let lease = w.a.take(t(2), "wa").await;
    let loaded = w.a.load(&lease, 10, 10_000).await.unwrap();
    assert!(loaded.events.is_empty() && !loaded.more, "nothing is left");
}

pub async fn skip_gives_up_the_event_at_which_the_lane_stands(w: &World) {
    let opens = w.a.put(t(0), opening("s", "open", &["hub"])).await;
    let mut seqs = Vec::new();
    for (id, sequence) in [("late", 9), ("early", 8)] {
        let mut event = message("s", id);
        event.sequence = Some(sequence);
        seqs.push(w.a.put(t(0), plain(event)).await);
    }
    let ids = async |lease: &Lease| {
        let loaded = w.a.load(lease, 1, 10_000).await.unwrap();
        assert!(
            loaded.known.0.is_empty(),
            "the ledger's own notes are not facts"
        );
        loaded
            .events
            .into_iter()
            .map(|(_, event)| event.id)
            .collect::<Vec<_>>()
    };
    let lease = w.a.take(t(0), "hub").await;
    let release = Release {
        seen: seqs[1],
        ..leaving(opens, parked(Reason::Invalid))
    };
    w.a.release(lease, t(1), release.clone()).await.unwrap();
    w.a.skip(t(2), Select::All, false).await.unwrap();
    let lease = w.a.take(t(2), "hub").await;
    assert_eq!(
        ids(&lease).await,
        ["late"],
        "the gateway's first one was given up"
    );
    w.a.release(lease, t(3), release).await.unwrap();
    w.a.skip(t(4), Select::All, false).await.unwrap();
    let lease = w.a.take(t(4), "hub").await;
    assert_eq!(ids(&lease).await, [] as [&str; 0]);
    assert_eq!(w.a.peek(lease.lane).await.unwrap().1.head, seqs[1]);
}

/// What a lane has shown and is work again stands before what it has not shown.
pub async fn skip_gives_up_first_what_is_work_again(w: &World) {
    let opens = w.a.put(t(0), opening("s", "h", &["wa"])).await;
    for id in ["b", "a"] {
        w.a.put(t(0), plain(message("s", id))).await;
    }
    let last = w.a.put(t(0), plain(message("s", "c"))).await;
    let lease = w.a.take(t(0), "wa").await;
    let again = [
        ("reopened/a", "open"),
        ("reopened/b", "open"),
        ("reopened/h", "closed"),
    ];
    let changes = again.map(|(name, value)| Change::Set(name.into(), value.into()));
    w.a.finish(&lease, t(0), vec![], changes.into(), vec![])
        .await
        .unwrap();
    let release = Release {
        seen: last,
        ..leaving(last - 1, held(None))
    };
    w.a.release(lease.clone(), t(1), release).await.unwrap();
    let skip = async || {
        let select = Select::Session("s".into(), None);
        assert_eq!(w.a.skip(t(2), select.clone(), true).await.unwrap().len(), 1);
        assert_eq!(w.b.skip(t(2), select, false).await.unwrap().len(), 1);
        let lease = w.a.take(t(2), "wa").await;
        let loaded = w.a.load(&lease, 10, 10_000).await.unwrap();
        let release = Release {
            seen: last,
            ..leaving(loaded.head, held(None))
        };
        w.a.release(lease, t(3), release).await.unwrap();
        let known = |name: &str| loaded.known.get(name).unwrap_or_default().to_owned();
        (
            known("reopened/b"),
            known("reopened/a"),
            loaded.events.len(),
        )
    };
    assert!(opens < last);
    assert_eq!(
        skip().await,
        ("skipped".into(), "open".into(), 1),
        "the older"
    );
    assert_eq!(skip().await, ("skipped".into(), "skipped".into(), 1));
    assert_eq!(skip().await, ("skipped".into(), "skipped".into(), 0));
}

pub async fn skip_settles_an_unknown_outcome(w: &World) {
    let lease = unsure(w, "s", Reason::UnknownOutcome).await;
    w.a.skip(t(2), Select::Session("s".into(), Some("wa".into())), false)
        .await
        .unwrap();
    let loaded = w.a.peek(lease.lane).await.unwrap().1;
    let settled = Fact::Refused {
        reason: Reason::UnknownOutcome,
        message: "a person said that it happened".into(),
    };
    let facts = [
        ("sent/1", Fact::Is("w1".into())),
        ("sent/2", settled.clone()),
        ("sent/3", settled),
    ];
    let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
    assert_eq!(loaded.known.0, facts.into());
    assert!(loaded.more, "what else the event holds is still to be sent");
    w.a.take(t(2), "wa").await;
}

pub async fn what_is_being_worked_on_is_left_alone(w: &World) {
    lane(w, "s", "wa", held(Some(t(10)))).await;
    let lease = w.a.take(t(10), "wa").await;
    let select = || Select::Session("s".into(), None);
    assert_eq!(w.a.retry(t(11), select(), false).await.unwrap(), []);
    assert_eq!(w.a.skip(t(11), select(), false).await.unwrap(), []);
    let loaded = w.a.load(&lease, 10, 10_000).await.unwrap();
    assert_eq!(loaded.events.len(), 1, "nothing was given up");
    assert_eq!(state(w, "s").await, LaneState::Held);
}

pub async fn a_dry_run_changes_nothing(w: &World) {
    let lease = unsure(w, "s", Reason::UnknownOutcome).await;
    let before = w.a.session_report("s").await.unwrap();
    assert_eq!(w.a.retry(t(2), Select::All, true).await.unwrap().len(), 1);
    assert_eq!(w.a.skip(t(2), Select::All, true).await.unwrap().len(), 1);
    assert_eq!(w.a.session_report("s").await.unwrap(), before);
    assert!(w.a.peek(lease.lane).await.unwrap().1.known.unsure("sent/2"));
}
