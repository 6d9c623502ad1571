//! Webhooks as they came.

use handoffd::ledger::{LedgerError, Received};
use handoffd_contract::Reason;

use crate::world::*;

pub async fn a_webhook_is_kept_once_a_day(w: &World) {
    let day = 24 * 3_600;
    let put =
        async |at, target, body: &[u8]| w.a.keep_webhook(t(at), target, "{}", body).await.unwrap();
    assert!(put(0, "hub", b"one").await);
    assert!(!put(1, "hub", b"one").await);
    assert!(put(1, "sales", b"one").await, "another target's is another");
    assert!(put(1, "hub", b"two").await);
    for row in
        w.a.claim_webhooks(t(1), "me", "hub", 10, t(60))
            .await
            .unwrap()
    {
        let done = Received {
            webhook: Some((row.id, row.epoch)),
            ..Received::default()
        };
        w.a.store_received(t(2), done).await.unwrap();
    }
    assert!(
        !put(day - 1, "hub", b"one").await,
        "it is remembered when it is done with"
    );
    assert!(put(day, "hub", b"one").await);
    assert!(!put(2 * day - 1, "hub", b"one").await);
    assert_eq!(
        w.b.claim_webhooks(t(2 * day), "me", "hub", 10, t(3 * day))
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(
        put(2 * day, "hub", b"one").await,
        "even if the first one still waits"
    );
}

pub async fn webhooks_are_leased_put_off_and_parked(w: &World) {
    assert!(
        w.a.keep_webhook(t(0), "hub", r#"{"h":"1"}"#, b"first")
            .await
            .unwrap()
    );
    assert!(
        w.a.keep_webhook(t(1), "hub", "{}", b"second")
            .await
            .unwrap()
    );
    let rows =
        w.a.claim_webhooks(t(1), "me", "hub", 10, t(60))
            .await
            .unwrap();
    assert_eq!(
        rows.iter()
            .map(|row| row.body.as_slice())
            .collect::<Vec<_>>(),
        [&b"first"[..], b"second"]
    );
    assert_eq!(
        (rows[0].headers.as_str(), rows[0].target.as_str()),
        (r#"{"h":"1"}"#, "hub")
    );
    assert!(
        w.b.claim_webhooks(t(59), "you", "hub", 10, t(90))
            .await
            .unwrap()
            .is_empty()
    );
    let again =
        w.b.claim_webhooks(t(60), "you", "hub", 1, t(90))
            .await
            .unwrap()
            .remove(0);
    assert_eq!((again.id, again.epoch), (rows[0].id, rows[0].epoch + 1));
    let later =
        w.a.postpone_webhook(&rows[0], Some(t(99)), stop(Reason::Unreachable))
            .await;
    assert_eq!(later, Err(LedgerError::Stale));
    w.b.postpone_webhook(&again, Some(t(100)), stop(Reason::Unreachable))
        .await
        .unwrap();
    w.a.postpone_webhook(&rows[1], None, stop(Reason::Unmatched))
        .await
        .unwrap();
    assert!(
        w.a.claim_webhooks(t(99), "me", "hub", 10, t(200))
            .await
            .unwrap()
            .is_empty()
    );
    let row =
        w.a.claim_webhooks(t(100), "me", "hub", 10, t(200))
            .await
            .unwrap()
            .remove(0);
    assert_eq!((row.id, row.attempts), (again.id, 1));
    let parked = w.b.parked_webhooks(10).await.unwrap();
    assert_eq!(
        parked,
        [(rows[1].id, "hub".to_owned(), t(1), stop(Reason::Unmatched))]
    );
}

pub async fn webhooks_are_settled(w: &World) {
    for body in ["1", "2", "3", "4"] {
        let row = webhook(w, body.as_bytes()).await;
        w.a.postpone_webhook(&row, None, stop(Reason::Unmatched))
            .await
            .unwrap();
    }
    let stats = w.a.stats(t(4)).await.unwrap();
    assert_eq!(stats.parked_webhooks, [("hub".to_owned(), 4)]);
    assert_eq!(stats.webhooks, [], "none of them waits");
    let parked = w.a.parked_webhooks(10).await.unwrap();
    assert_eq!(w.a.parked_webhooks(2).await.unwrap(), parked[..2]);
    assert_eq!(
        w.a.settle_webhooks(t(5), Some(parked[0].0), true)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        w.a.settle_webhooks(t(5), Some(parked[0].0), true)
            .await
            .unwrap(),
        0,
        "no longer parked"
    );
    assert_eq!(
        w.a.settle_webhooks(t(5), Some(parked[1].0), false)
            .await
            .unwrap(),
        1
    );
    let row =
        w.a.claim_webhooks(t(5), "me", "hub", 10, t(60))
            .await
            .unwrap()
            .remove(0);
    assert_eq!(
        (row.id, row.body.as_slice(), row.attempts),
        (parked[0].0, &b"1"[..], 0)
    );
    assert!(
        !w.a.keep_webhook(t(6), "hub", "{}", b"2").await.unwrap(),
        "what was dropped is remembered"
    );
    assert_eq!(w.a.settle_webhooks(t(7), None, true).await.unwrap(), 2);
    let rows =
        w.a.claim_webhooks(t(7), "me", "hub", 10, t(60))
            .await
            .unwrap();
    assert_eq!(rows.len(), 2);
    w.a.postpone_webhook(&rows[0], None, stop(Reason::Unmatched))
        .await
        .unwrap();
    assert_eq!(w.a.settle_webhooks(t(8), None, false).await.unwrap(), 1);
    assert!(w.a.parked_webhooks(10).await.unwrap().is_empty());
    assert_eq!(w.a.stats(t(8)).await.unwrap().parked_webhooks, []);
}
