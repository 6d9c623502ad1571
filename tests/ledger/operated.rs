//! Lanes as operators see them, mappings, daemons, numbers.

use handoffd::ledger::{
    Change, Group, LaneFilter, LaneState, Lease, LedgerError, Next, Release, Select,
};
use handoffd_contract::{Fact, Reason, Stop};

use crate::world::*;

fn parked(reason: Reason) -> Next {
    Next::Parked { stop: stop(reason) }
}

/// A session with one lane, left at once with nothing shown.
async fn lane(w: &World, session: &str, target: &str, next: Next) -> Lease {
    let seq =
        w.a.put(
            t(0),
            opening(session, &format!("{session}-{target}"), &[target]),
        )
        .await;
    let lease = w.a.take(t(0), target).await;
    let release = Release {
        attempts: 2,
        seen: seq,
        ..leaving(seq - 1, next)
    };
    w.a.release(lease.clone(), t(1), release).await.unwrap();
    lease
}

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

pub async fn lists_lanes_by_what_is_asked(w: &World) {
    lane(w, "s1", "hub", parked(Reason::Forbidden)).await;
    lane(w, "s2", "hub", parked(Reason::Mapping)).await;
    lane(w, "s3", "sales", parked(Reason::Mapping)).await;
    lane(
        w,
        "s4",
        "hub",
        Next::Held {
            stop: stop(Reason::WindowClosed),
            until: None,
        },
    )
    .await;
    lane(
        w,
        "s5",
        "hub",
        Next::Due {
            at: t(100),
            stop: Some(stop(Reason::RateLimited)),
        },
    )
    .await;
    lane(w, "s6", "hub", Next::Idle).await;
    let ask = async |filter| {
        let rows = w.b.lanes(filter).await.unwrap();
        assert!(rows.is_sorted_by_key(|row| row.id));
        rows.into_iter()
            .map(|row| row.session)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let all = LaneFilter::default;
    let of = |state| LaneFilter {
        state: Some(state),
        ..LaneFilter::default()
    };
    assert_eq!(ask(all()).await, "s1 s2 s3 s4 s5 s6");
    assert_eq!(ask(of(LaneState::Parked)).await, "s1 s2 s3");
    assert_eq!(ask(of(LaneState::Held)).await, "s4");
    assert_eq!(ask(of(LaneState::Due)).await, "s5");
    assert_eq!(ask(of(LaneState::Idle)).await, "s6");
    assert_eq!(
        ask(LaneFilter {
            target: Some("sales".into()),
            ..all()
        })
        .await,
        "s3"
    );
    assert_eq!(
        ask(LaneFilter {
            session: Some("s2".into()),
            ..all()
        })
        .await,
        "s2"
    );
    let mapping = LaneFilter {
        reason: Some("mapping".into()),
        ..all()
    };
    assert_eq!(ask(mapping.clone()).await, "s2 s3");
    assert_eq!(
        ask(LaneFilter {
            target: Some("hub".into()),
            ..mapping
        })
        .await,
        "s2"
    );
    assert_eq!(ask(LaneFilter { limit: 2, ..all() }).await, "s1 s2");
    let second = w.a.lanes(LaneFilter { limit: 2, ..all() }).await.unwrap()[1].id;
    assert_eq!(
        ask(LaneFilter {
            after: second,
            limit: 2,
            ..all()
        })
        .await,
        "s3 s4"
    );

    let row = w.a.lanes(of(LaneState::Due)).await.unwrap().remove(0);
    assert_eq!(
        (row.target.as_str(), row.due_at, row.pending),
        ("hub", Some(t(100)), 1)
    );
    assert_eq!(
        (row.attempts, row.stop),
        (2, Some(stop(Reason::RateLimited)))
    );
    let lease = w.a.take(t(100), "hub").await;
    let row = w.a.lanes(of(LaneState::Due)).await.unwrap().remove(0);
    assert_eq!((row.id, row.leased_by.as_deref()), (lease.lane, Some("me")));
}

pub async fn groups_parked_lanes(w: &World) {
    for n in 0..3 {
        lane(w, &format!("s{n}"), "hub", parked(Reason::Forbidden)).await;
    }
    lane(w, "s3", "sales", parked(Reason::Forbidden)).await;
    let other = Next::Parked {
        stop: Stop::new(Reason::Forbidden, "other words"),
    };
    lane(w, "s4", "hub", other).await;
    lane(w, "s5", "hub", Next::Idle).await;
    let groups = w.a.groups().await.unwrap();
    assert_eq!(groups.len(), 3);
    let first = Group {
        target: "hub".into(),
        stop: stop(Reason::Forbidden),
        count: 3,
        oldest: t(1),
        example: "s0".into(),
    };
    assert_eq!(groups[0], first);
}

pub async fn tells_a_story(w: &World) {
    assert_eq!(
        w.a.story("nobody").await.unwrap(),
        handoffd::ledger::Story::default()
    );
    let mut opens = inbound("s", "1", "491", t(0));
    opens.opens = vec!["hub".into(), "wa".into()];
    let seq = w.a.put(t(0), opens).await;
    let lease = w.a.take(t(0), "hub").await;
    let attempts: Vec<_> = (0..600)
        .map(|n| attempt(&format!("step {n}"), "known"))
        .collect();
    let changes = vec![Change::Set("ticket".into(), "7".into())];
    w.a.finish(&lease, t(1), attempts, changes, vec![])
        .await
        .unwrap();
    w.a.release(lease, t(2), leaving(seq, Next::Idle))
        .await
        .unwrap();
    let story = w.b.story("s").await.unwrap();
    assert_eq!(
        (story.session, story.contact),
        (Some(session_data("s")), Some(customer("491")))
    );
    assert_eq!(story.last_inbound, Some(t(0)));
    assert_eq!(
        story.events,
        [(seq, "message.received".into(), t(0), "1".into(), t(0))]
    );
    let lanes: Vec<_> = story
        .lanes
        .iter()
        .map(|(row, head, _)| (row.target.as_str(), *head))
        .collect();
    assert_eq!(lanes, [("hub", seq), ("wa", seq - 1)]);
    assert_eq!(story.lanes[0].2.get("ticket"), Some("7"));
    let steps: Vec<_> = story
        .attempts
        .iter()
        .map(|(_, attempt)| attempt.step.as_str())
        .collect();
    assert_eq!(
        (steps.len(), steps[0], steps[499]),
        (500, "step 100", "step 599"),
        "the newest"
    );
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
        let seq = w.a.put(t(0), opening(session, session, &["hub"])).await;
        let lease = w.a.take(t(0), "hub").await;
        let changes = pins.map(pin).into();
        w.a.finish(&lease, t(0), vec![], changes, vec![])
            .await
            .unwrap();
        let release = Release {
            seen: seq,
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

pub async fn skip_settles_an_unknown_outcome(w: &World) {
    let lease = unsure(w, "s", Reason::UnknownOutcome).await;
    w.a.skip(t(2), Select::Session("s".into(), Some("wa".into())), false)
        .await
        .unwrap();
    let loaded = w.a.peek(lease.lane).await.unwrap().1;
    let facts = [
        ("sent/1", "w1"),
        ("sent/2", "!skipped"),
        ("sent/3", "!skipped"),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), Fact::Is(value.into())));
    assert_eq!(loaded.known.0, facts.into());
    assert!(loaded.more, "what else the event holds is still to be sent");
    w.a.take(t(2), "wa").await;
}

pub async fn a_dry_run_changes_nothing(w: &World) {
    let lease = unsure(w, "s", Reason::UnknownOutcome).await;
    let before = w.a.story("s").await.unwrap();
    assert_eq!(w.a.retry(t(2), Select::All, true).await.unwrap().len(), 1);
    assert_eq!(w.a.skip(t(2), Select::All, true).await.unwrap().len(), 1);
    assert_eq!(w.a.story("s").await.unwrap(), before);
    assert!(w.a.peek(lease.lane).await.unwrap().1.known.unsure("sent/2"));
}

pub async fn mappings_have_versions(w: &World) {
    let put = async |at, text: &str, expect| {
        w.a.mapping_put(t(at), "hub", text, "ana", "why", expect)
            .await
    };
    assert_eq!(w.a.mapping_get("hub", None).await.unwrap(), None);
    assert_eq!(put(0, "a", Some(0)).await, Ok(1));
    assert_eq!(put(1, "b", None).await, Ok(2));
    assert!(matches!(
        put(2, "c", Some(1)).await,
        Err(LedgerError::Conflict(_))
    ));
    assert!(matches!(
        put(2, "c", Some(3)).await,
        Err(LedgerError::Conflict(_))
    ));
    assert_eq!(put(2, "c", Some(2)).await, Ok(3));
    assert_eq!(
        w.a.mapping_put(t(9), "sales", "x", "bo", "", Some(0)).await,
        Ok(1)
    );
    let latest = w.b.mapping_get("hub", None).await.unwrap().unwrap();
    assert_eq!(
        (latest.version, latest.text.as_str(), latest.at),
        (3, "c", t(2))
    );
    assert_eq!(
        (
            latest.who.as_str(),
            latest.why.as_str(),
            latest.target.as_str()
        ),
        ("ana", "why", "hub")
    );
    assert_eq!(
        w.b.mapping_get("hub", Some(1)).await.unwrap().unwrap().text,
        "a"
    );
    assert_eq!(w.b.mapping_get("hub", Some(4)).await.unwrap(), None);
    let history = w.b.mapping_history("hub").await.unwrap();
    assert_eq!(
        history.iter().map(|row| row.version).collect::<Vec<_>>(),
        [3, 2, 1]
    );
}

pub async fn counts_the_living(w: &World) {
    assert_eq!(w.a.heartbeat(t(0), "one", t(-30)).await, Ok(1));
    assert_eq!(w.b.heartbeat(t(1), "two", t(-29)).await, Ok(2));
    assert_eq!(
        w.b.heartbeat(t(40), "two", t(10)).await,
        Ok(1),
        "one was not seen since"
    );
    assert_eq!(w.a.heartbeat(t(41), "one", t(11)).await, Ok(2));
    w.b.farewell("two").await.unwrap();
    assert_eq!(w.a.heartbeat(t(42), "one", t(12)).await, Ok(1));
}

pub async fn a_farewell_frees_everything(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    w.a.put(t(0), opening("s2", "2", &["wa"])).await;
    w.a.inbox_put(t(0), "hub", "{}", b"x").await.unwrap();
    let mine =
        w.a.claim(t(0), "one", "hub", 1, t(60))
            .await
            .unwrap()
            .remove(0);
    let yours =
        w.b.claim(t(0), "two", "wa", 1, t(60))
            .await
            .unwrap()
            .remove(0);
    w.a.listen(&mine, Some("user")).await.unwrap();
    let feed =
        w.a.claim_feeds(t(0), "one", 1, t(60))
            .await
            .unwrap()
            .remove(0);
    let row =
        w.a.inbox_claim(t(0), "one", "hub", 1, t(60))
            .await
            .unwrap()
            .remove(0);
    w.a.put(t(0), plain(message("s", "woken"))).await;

    w.a.farewell("one").await.unwrap();
    assert_eq!(w.a.renew(&mine, t(99)).await, Err(LedgerError::Stale));
    let release = leaving(seq, Next::Idle);
    assert_eq!(
        w.a.release(mine, t(1), release).await,
        Err(LedgerError::Stale)
    );
    assert_eq!(
        w.a.renew_feeds(std::slice::from_ref(&feed), t(99))
            .await
            .unwrap(),
        [feed]
    );
    let stale = w.a.inbox_later(&row, None, stop(Reason::Unmatched)).await;
    assert_eq!(stale, Err(LedgerError::Stale));
    w.b.renew(&yours, t(99)).await.unwrap();
    w.b.take(t(1), "hub").await;
    assert_eq!(
        w.b.claim_feeds(t(1), "two", 1, t(60)).await.unwrap().len(),
        1
    );
    assert_eq!(
        w.b.inbox_claim(t(1), "two", "hub", 1, t(60))
            .await
            .unwrap()
            .len(),
        1
    );
}

pub async fn numbers_for_metrics(w: &World) {
    lane(w, "s1", "hub", parked(Reason::Forbidden)).await;
    lane(w, "s2", "hub", Next::Idle).await;
    lane(
        w,
        "s3",
        "hub",
        Next::Held {
            stop: stop(Reason::WindowClosed),
            until: None,
        },
    )
    .await;
    lane(
        w,
        "s4",
        "hub",
        Next::Held {
            stop: stop(Reason::WindowClosed),
            until: Some(t(900)),
        },
    )
    .await;
    lane(
        w,
        "s5",
        "hub",
        Next::Due {
            at: t(50),
            stop: None,
        },
    )
    .await;
    lane(
        w,
        "s6",
        "wa",
        Next::Due {
            at: t(40),
            stop: None,
        },
    )
    .await;
    lane(
        w,
        "s7",
        "wa",
        Next::Due {
            at: t(30),
            stop: None,
        },
    )
    .await;
    w.a.claim(t(30), "me", "wa", 1, t(90)).await.unwrap();
    for body in [b"1", b"2"] {
        w.a.inbox_put(t(0), "hub", "{}", body).await.unwrap();
    }
    let poison = handoffd::ledger::Poison {
        origin: "http".into(),
        stop: stop(Reason::Undecodable),
        headers: "{}".into(),
        raw: vec![1],
    };
    w.a.poison(t(0), poison).await.unwrap();
    let stats = w.b.stats(t(45)).await.unwrap();
    let count = |target: &str, state| {
        stats
            .lanes
            .iter()
            .find(|(name, at, _)| name == target && *at == state)
            .map_or(0, |(_, _, n)| *n)
    };
    use LaneState::{Due, Held, Idle, Parked};
    assert_eq!(
        [Idle, Due, Held, Parked].map(|state| count("hub", state)),
        [1, 1, 2, 1]
    );
    assert_eq!(
        [Idle, Due, Held, Parked].map(|state| count("wa", state)),
        [0, 2, 0, 0]
    );
    assert_eq!(
        stats.oldest_due,
        [("wa".to_owned(), t(40))],
        "leased ones are in good hands"
    );
    assert_eq!(
        (stats.poison, stats.inbox),
        (1, vec![("hub".to_owned(), 2)])
    );
}

pub async fn can_be_pinged(w: &World) {
    w.a.ping().await.unwrap();
    w.b.ping().await.unwrap();
}
