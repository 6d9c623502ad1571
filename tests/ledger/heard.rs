//! The rep's side.

use handoffd::ledger::{Change, Lease, LedgerError, Next, Received};
use handoffd_contract::Reason;

use crate::world::*;

async fn open(w: &World, session: &str, target: &str) -> Lease {
    w.a.put(
        t(0),
        opening(session, &format!("{session}-{target}"), &[target]),
    )
    .await;
    w.a.take(t(0), target).await
}

async fn set(w: &World, lease: &Lease, name: &str, value: &str) {
    let change = Change::Set(name.into(), value.into());
    w.a.finish(lease, t(1), vec![], vec![change], vec![])
        .await
        .unwrap();
}

pub async fn a_fact_leads_to_its_lane(w: &World) {
    let one = open(w, "s1", "hub").await;
    let two = open(w, "s2", "hub").await;
    let sales = open(w, "s1", "sales").await;
    set(w, &one, "ticket", "7").await;
    set(w, &two, "ticket", "8").await;
    set(w, &sales, "ticket", "7").await;
    for (target, name, value, lane) in [
        ("hub", "ticket", "7", Some(one.lane)),
        ("hub", "ticket", "8", Some(two.lane)),
        ("sales", "ticket", "7", Some(sales.lane)),
        ("sales", "ticket", "8", None),
        ("hub", "contact", "7", None),
        ("creatio", "ticket", "7", None),
        ("hub", "ticket", "", Some(two.lane)),
        ("sales", "ticket", "", Some(sales.lane)),
        ("hub", "contact", "", None),
    ] {
        let found = w.b.lanes_by_fact(target, name, value).await.unwrap();
        let found: Vec<i64> = found.into_iter().map(|lane| lane.lane).collect();
        let wanted: Vec<i64> = lane.into_iter().collect();
        assert_eq!(found, wanted, "{target} {name} {value}");
    }
    // The records of two sessions have become one.
    set(w, &one, "ticket", "8").await;
    let found = w.b.lanes_by_fact("hub", "ticket", "8").await.unwrap();
    let found: Vec<&str> = found.iter().map(|lane| lane.session.as_str()).collect();
    assert_eq!(found, ["s2", "s1"], "the newest first");
}

pub async fn a_candidate_may_be_ours(w: &World) {
    let lease = open(w, "s1", "hub").await;
    let other = open(w, "s2", "hub").await;
    set(w, &lease, "note/1", "n1").await;
    let claims = vec![
        ("note/2".into(), Some("n2".into())),
        ("note/3".into(), None),
    ];
    w.a.begin(&lease, t(2), claims).await.unwrap();
    for (lane, value, ours) in [
        (lease.lane, "n1", true),
        (lease.lane, "n2", true),
        (lease.lane, "n3", false),
        (lease.lane, "", false),
        (other.lane, "n1", false),
    ] {
        assert_eq!(w.b.is_ours(lane, value).await.unwrap(), ours, "{value}");
    }
    let found = w.b.lanes_by_fact("hub", "note/2", "n2").await.unwrap();
    let found: Vec<&str> = found.iter().map(|lane| lane.session.as_str()).collect();
    assert_eq!(found, ["s1"]);
    set(w, &lease, "note/2", "other").await;
    assert!(!w.b.is_ours(lease.lane, "n2").await.unwrap());
    assert_eq!(w.b.lanes_by_fact("hub", "note/2", "n2").await.unwrap(), []);
}

pub async fn an_event_is_known_by_source_and_id(w: &World) {
    let has = async |source, id| w.b.has(source, id).await.unwrap();
    assert!(!has("/gateway", "1").await);
    w.a.put(t(0), plain(message("s1", "1"))).await;
    for (source, id, known) in [
        ("/gateway", "1", true),
        ("/gateway", "2", false),
        ("/gatewa", "y1", false),
        ("", "/gateway1", false),
    ] {
        assert_eq!(has(source, id).await, known, "{source} {id}");
    }
}

pub async fn a_session_has_one_lane_in_a_target(w: &World) {
    let lane = open(w, "s", "hub").await.lane;
    open(w, "s", "wa").await;
    open(w, "other", "hub").await;
    let found = w.b.lane_of("s", "hub").await.unwrap().unwrap();
    assert_eq!(
        (found.lane, &*found.session, &*found.target),
        (lane, "s", "hub")
    );
    assert_eq!(w.a.lane_of("other", "wa").await, Ok(None));
}

pub async fn finds_the_customers_session(w: &World) {
    let find = async |customer| w.b.session_of("+4930123", customer).await.unwrap();
    assert_eq!(find("491").await, None);
    let mut silent = plain(message("s0", "0"));
    silent.session = Some(session_data("s0"));
    silent.contact = Some(customer("491"));
    w.a.put(t(0), silent).await;
    assert_eq!(find("491").await.as_deref(), Some("s0"));
    w.a.put(t(10), inbound("s1", "1", "491", t(10))).await;
    w.a.put(t(5), inbound("s2", "2", "491", t(5))).await;
    assert_eq!(
        find("491").await.as_deref(),
        Some("s1"),
        "where they last wrote"
    );
    w.a.put(t(20), inbound("s2", "3", "491", t(20))).await;
    assert_eq!(find("491").await.as_deref(), Some("s2"));
    w.a.put(t(20), inbound("s3", "4", "491", t(20))).await;
    assert_eq!(find("491").await.as_deref(), Some("s3"), "the newer of two");
    assert_eq!(find("492").await, None);
    assert_eq!(w.b.session_of("+1", "491").await.unwrap(), None);
}

pub async fn feeds_are_claimed_once_and_taken_over(w: &World) {
    let lease = open(w, "s1", "sales").await;
    assert!(
        w.a.claim_feeds(t(0), "me", &targets(), 10, t(60))
            .await
            .unwrap()
            .is_empty()
    );
    w.a.listen(&lease, Some("user-1")).await.unwrap();
    let mine =
        w.a.claim_feeds(t(0), "me", &targets(), 10, t(60))
            .await
            .unwrap()
            .remove(0);
    assert_eq!(
        (mine.target.as_str(), mine.key.as_str(), &mine.cursor),
        ("sales", "user-1", &None)
    );
    assert!(
        w.b.claim_feeds(t(59), "you", &targets(), 10, t(90))
            .await
            .unwrap()
            .is_empty()
    );
    let received = |feed: &_, cursor: &str| Received {
        cursor: Some((Clone::clone(feed), cursor.into())),
        events: vec![plain(message("s1", cursor))],
        ..Received::default()
    };
    w.a.store_received(t(1), received(&mine, "event-9"))
        .await
        .unwrap();
    let heard = async |target, key| w.b.cursor(target, key).await.unwrap();
    assert_eq!(heard("sales", "user-1").await.as_deref(), Some("event-9"));
    assert_eq!(heard("sales", "user-2").await, None);
    assert_eq!(heard("hub", "user-1").await, None);

    let yours =
        w.b.claim_feeds(t(60), "you", &targets(), 10, t(120))
            .await
            .unwrap()
            .remove(0);
    assert_eq!(
        (yours.cursor.as_deref(), yours.epoch),
        (Some("event-9"), mine.epoch + 1)
    );
    assert_eq!(
        w.a.store_received(t(61), received(&mine, "event-10")).await,
        Err(LedgerError::Stale)
    );
    assert_eq!(
        w.a.session_report("s1").await.unwrap().events.len(),
        2,
        "nothing of it was stored"
    );
    assert_eq!(
        w.a.renew_feeds(std::slice::from_ref(&mine), t(200))
            .await
            .unwrap(),
        std::slice::from_ref(&mine)
    );
    w.a.release_feed(&mine).await.unwrap();
    assert!(
        w.b.renew_feeds(std::slice::from_ref(&yours), t(200))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        w.a.claim_feeds(t(199), "me", &targets(), 10, t(300))
            .await
            .unwrap()
            .is_empty()
    );

    w.b.release_feed(&yours).await.unwrap();
    assert_eq!(
        w.b.store_received(t(62), received(&yours, "event-11"))
            .await,
        Err(LedgerError::Stale)
    );
    assert_eq!(
        w.a.claim_feeds(t(62), "me", &targets(), 10, t(90))
            .await
            .unwrap()
            .len(),
        1
    );
}

pub async fn a_feed_lives_as_long_as_somebody_listens(w: &World) {
    let lease = open(w, "s1", "sales").await;
    w.a.listen(&lease, Some("user-1")).await.unwrap();
    let feed =
        w.a.claim_feeds(t(0), "me", &targets(), 10, t(60))
            .await
            .unwrap()
            .remove(0);
    w.a.store_received(
        t(1),
        Received {
            cursor: Some((feed.clone(), "e1".into())),
            ..Received::default()
        },
    )
    .await
    .unwrap();
    w.a.listen(&lease, None).await.unwrap();
    assert_eq!(
        w.a.renew_feeds(std::slice::from_ref(&feed), t(200))
            .await
            .unwrap(),
        std::slice::from_ref(&feed)
    );
    assert!(w.a.listeners("sales", "user-1").await.unwrap().is_empty());
    w.a.release_feed(&feed).await.unwrap();
    assert!(
        w.a.claim_feeds(t(300), "me", &targets(), 10, t(400))
            .await
            .unwrap()
            .is_empty()
    );
    w.a.listen(&lease, Some("user-1")).await.unwrap();
    let again =
        w.a.claim_feeds(t(300), "me", &targets(), 10, t(400))
            .await
            .unwrap()
            .remove(0);
    assert_eq!(
        again.cursor.as_deref(),
        Some("e1"),
        "it goes on where it was"
    );
}

pub async fn feeds_of_other_targets_are_left_alone(w: &World) {
    let lease = open(w, "s1", "sales").await;
    w.a.listen(&lease, Some("user-1")).await.unwrap();
    let claim = async |target: &str| {
        let targets = [target.to_owned()];
        let claimed = w.a.claim_feeds(t(0), "me", &targets, 10, t(60)).await;
        claimed.unwrap().len()
    };
    assert_eq!(claim("hub").await, 0);
    assert_eq!(
        w.a.claim_feeds(t(0), "me", &[], 10, t(60)).await,
        Ok(vec![])
    );
    assert_eq!(claim("sales").await, 1);
}

pub async fn lanes_are_woken_by_number(w: &World) {
    let idle = lane(w, "s1", "sales", Next::Idle).await;
    let parked = lane(w, "s2", "sales", parked(Reason::Forbidden)).await;
    let other = lane(w, "s3", "sales", Next::Idle).await;
    w.a.wake(t(9), &[idle.lane, parked.lane]).await.unwrap();
    let woken = w.a.take(t(9), "sales").await;
    assert_eq!(woken.lane, idle.lane);
    let rest = w.a.nothing(t(9), "sales").await;
    assert!(
        rest,
        "parked stays parked, and {} was not named",
        other.lane
    );
    w.a.wake(t(10), &[]).await.unwrap();
}

pub async fn lanes_share_a_feed(w: &World) {
    let one = open(w, "s1", "sales").await;
    let two = open(w, "s2", "sales").await;
    for lease in [&one, &two, &two] {
        w.a.listen(lease, Some("user-1")).await.unwrap();
    }
    let lanes = w.b.listeners("sales", "user-1").await.unwrap();
    assert_eq!(
        lanes
            .iter()
            .map(|lane| lane.session.as_str())
            .collect::<Vec<_>>(),
        ["s1", "s2"]
    );
    assert!(w.b.listeners("hub", "user-1").await.unwrap().is_empty());
    let feeds =
        w.a.claim_feeds(t(0), "me", &targets(), 10, t(60))
            .await
            .unwrap();
    assert_eq!(feeds.len(), 1);
    w.a.listen(&two, Some("user-2")).await.unwrap();
    assert!(
        w.a.renew_feeds(&feeds, t(70)).await.unwrap().is_empty(),
        "one lane still listens"
    );
    w.a.listen(&one, None).await.unwrap();
    assert_eq!(w.a.renew_feeds(&feeds, t(80)).await.unwrap(), feeds);
    assert_eq!(
        w.a.claim_feeds(t(0), "me", &targets(), 10, t(60))
            .await
            .unwrap()[0]
            .key,
        "user-2"
    );
}

pub async fn what_was_heard_is_one_transaction(w: &World) {
    let lease = open(w, "s1", "hub").await;
    let row = webhook(w, b"body").await;
    let received = |inbox, id: &str| Received {
        events: vec![plain(message("s1", id)), plain(message("s1", id))],
        facts: vec![(lease.lane, "ended".into(), id.into())],
        webhook: Some(inbox),
        cursor: None,
    };
    let stale =
        w.a.store_received(t(1), received((row.id, row.epoch - 1), "x"))
            .await;
    assert_eq!(stale, Err(LedgerError::Stale));
    let story = w.a.session_report("s1").await.unwrap();
    assert!(
        story.events.len() == 1 && story.lanes[0].2.0.is_empty(),
        "nothing was stored"
    );
    let admitted =
        w.a.store_received(t(1), received((row.id, row.epoch), "y"))
            .await
            .unwrap();
    assert_eq!(admitted.len(), 2);
    assert_eq!(admitted[1], handoffd::ledger::Admitted::Duplicate);
    assert_eq!(
        w.a.store_received(t(1), received((row.id, row.epoch), "z"))
            .await,
        Err(LedgerError::Stale)
    );
    let story = w.a.session_report("s1").await.unwrap();
    assert_eq!(
        (story.events.len(), story.lanes[0].2.get("ended")),
        (2, Some("y"))
    );
}

pub async fn facts_that_were_heard_wake_the_lane(w: &World) {
    let lease = open(w, "s1", "hub").await;
    let lane = lease.lane;
    w.a.release(lease, t(0), leaving(99, Next::Idle))
        .await
        .unwrap();
    let fact = |value: &str| vec![(lane, "ended".to_owned(), value.to_owned())];
    w.a.store_received(
        t(1),
        Received {
            facts: fact("1"),
            ..Received::default()
        },
    )
    .await
    .unwrap();
    let lease = w.a.take(t(1), "hub").await;
    w.a.store_received(
        t(2),
        Received {
            facts: fact("2"),
            ..Received::default()
        },
    )
    .await
    .unwrap();
    assert_eq!(
        w.a.load(&lease, 1, 1).await.unwrap().known.get("ended"),
        Some("2")
    );
    w.a.release(lease, t(3), leaving(99, Next::Idle))
        .await
        .unwrap();
    w.a.take(t(3), "hub").await;
}
