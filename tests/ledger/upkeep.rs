//! Mappings, daemons, numbers.

use handoffd::ledger::{LaneState, LedgerError, Next};
use handoffd_contract::Reason;

use crate::world::*;

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
    w.b.release_all_leases("two").await.unwrap();
    assert_eq!(w.a.heartbeat(t(42), "one", t(12)).await, Ok(1));
}

pub async fn releasing_all_leases_frees_everything(w: &World) {
    let seq = w.a.put(t(0), opening("s", "1", &["hub"])).await;
    w.a.put(t(0), opening("s2", "2", &["wa"])).await;
    w.a.keep_webhook(t(0), "hub", "{}", b"x").await.unwrap();
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
        w.a.claim_feeds(t(0), "one", &targets(), 1, t(60))
            .await
            .unwrap()
            .remove(0);
    let row =
        w.a.claim_webhooks(t(0), "one", "hub", 1, t(60))
            .await
            .unwrap()
            .remove(0);
    w.a.put(t(0), plain(message("s", "woken"))).await;

    w.a.release_all_leases("one").await.unwrap();
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
    let stale =
        w.a.postpone_webhook(&row, None, stop(Reason::Unmatched))
            .await;
    assert_eq!(stale, Err(LedgerError::Stale));
    w.b.renew(&yours, t(99)).await.unwrap();
    w.b.take(t(1), "hub").await;
    assert_eq!(
        w.b.claim_feeds(t(1), "two", &targets(), 1, t(60))
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        w.b.claim_webhooks(t(1), "two", "hub", 1, t(60))
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
        w.a.keep_webhook(t(0), "hub", "{}", body).await.unwrap();
    }
    let letter = handoffd::ledger::DeadLetter {
        origin: "http".into(),
        stop: stop(Reason::Undecodable),
        headers: "{}".into(),
        raw: vec![1],
        session: None,
        source: None,
    };
    w.a.keep_dead_letter(t(0), letter).await.unwrap();
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
        stats.waiting,
        [("hub".to_owned(), "window-closed".to_owned(), 2)]
    );
    assert_eq!(
        stats.oldest_due,
        [("wa".to_owned(), t(40))],
        "leased ones are in good hands"
    );
    assert_eq!(
        (stats.dead_letters, stats.webhooks),
        (1, vec![("hub".to_owned(), 2)])
    );
}

pub async fn can_be_pinged(w: &World) {
    w.a.ping().await.unwrap();
    w.b.ping().await.unwrap();
}
