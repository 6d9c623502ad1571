//! What is not well, counted whole.

use handoffd::ledger::troubles::Letters;
use handoffd::ledger::{DeadLetter, Next};
use handoffd_contract::{Reason, Stop};

use crate::world::*;

fn dead(raw: &str, message: &str, session: Option<&str>) -> DeadLetter {
    DeadLetter {
        origin: "amqp".into(),
        stop: Stop::new(Reason::Undecodable, message),
        headers: "{}".into(),
        raw: raw.as_bytes().to_vec(),
        session: session.map(str::to_owned),
        source: None,
    }
}

pub async fn dead_letters_are_counted_whole_by_cause(w: &World) {
    for n in 0..120 {
        let session = format!("s-{n}");
        let letter = dead(&format!("time {n}"), "time is no time", Some(&session));
        w.a.keep_dead_letter(t(n), letter).await.unwrap();
    }
    w.a.keep_dead_letter(t(200), dead("x", "not JSON", None))
        .await
        .unwrap();
    let causes = w.b.troubles().await.unwrap().dead_letters;
    let shown: Vec<_> = causes
        .iter()
        .map(|cause| (cause.stop.message.as_str(), cause.count, cause.oldest))
        .collect();
    assert_eq!(
        shown,
        [("time is no time", 120, t(0)), ("not JSON", 1, t(200))]
    );
    assert_eq!(causes[0].origin, "amqp");
    assert_eq!(causes[0].session.as_deref(), Some("s-0"));
    assert_eq!(causes[1].session, None);
    let first = w.a.dead_letters(0, 1).await.unwrap().remove(0);
    assert_eq!(causes[0].example, first.id);
    assert_eq!(first.letter.session.as_deref(), Some("s-0"));
}

pub async fn dead_letters_are_counted_whole_by_cause_and_source(w: &World) {
    assert_eq!(w.a.letters().await.unwrap(), Letters::default());
    for n in 0..120 {
        let mut letter = dead(&format!("time {n}"), "time is no time", None);
        letter.source = Some(if n < 20 { "/one" } else { "/two" }.into());
        w.a.keep_dead_letter(t(n), letter).await.unwrap();
    }
    w.a.keep_dead_letter(t(200), dead("x", "time is no time", None))
        .await
        .unwrap();
    let letters = w.b.letters().await.unwrap();
    let shown: Vec<_> = letters
        .groups
        .iter()
        .map(|one| (one.source.as_deref(), one.cause.count, one.cause.oldest))
        .collect();
    assert_eq!(
        shown,
        [
            (Some("/two"), 100, t(20)),
            (Some("/one"), 20, t(0)),
            (None, 1, t(200))
        ]
    );
    assert_eq!(letters.count, 121);
    let example = letters.groups[0].cause.example;
    let row = w.a.dead_letters(example - 1, 1).await.unwrap().remove(0);
    assert_eq!(row.letter.source.as_deref(), Some("/two"));
}

pub async fn a_session_points_to_its_dead_letters(w: &World) {
    w.a.keep_dead_letter(t(0), dead("1", "no name", Some("s")))
        .await
        .unwrap();
    w.a.keep_dead_letter(t(1), dead("2", "no phone", Some("s")))
        .await
        .unwrap();
    w.a.keep_dead_letter(t(2), dead("3", "no phone", Some("another")))
        .await
        .unwrap();
    w.a.keep_dead_letter(t(3), dead("4", "no phone", None))
        .await
        .unwrap();
    let refused = w.b.session_report("s").await.unwrap().refused;
    let shown: Vec<_> = refused
        .iter()
        .map(|one| (one.stop.message.as_str(), one.received_at))
        .collect();
    assert_eq!(shown, [("no name", t(0)), ("no phone", t(1))]);
    w.a.resolve_dead_letter(t(4), refused[0].id, Vec::new())
        .await
        .unwrap();
    assert_eq!(w.b.session_report("s").await.unwrap().refused, refused[1..]);
    assert!(
        w.b.session_report("nobody")
            .await
            .unwrap()
            .refused
            .is_empty()
    );
}

pub async fn lanes_that_wait_after_a_failure_are_counted_by_reason(w: &World) {
    let failed = |reason| Next::Due {
        at: t(50),
        stop: Some(stop(reason)),
    };
    lane(w, "s1", "hub", failed(Reason::Unauthorized)).await;
    lane(w, "s2", "hub", failed(Reason::Unauthorized)).await;
    let held = Next::Held {
        stop: stop(Reason::WindowClosed),
        until: None,
    };
    lane(w, "s3", "wa", held).await;
    lane(w, "s4", "wa", parked(Reason::Forbidden)).await;
    let due = Next::Due {
        at: t(50),
        stop: None,
    };
    lane(w, "s5", "wa", due).await;
    let waiting = w.b.troubles().await.unwrap().waiting;
    let shown: Vec<_> = waiting
        .iter()
        .map(|one| (one.target.as_str(), one.stop.reason, one.count))
        .collect();
    assert_eq!(
        shown,
        [
            ("hub", Reason::Unauthorized, 2),
            ("wa", Reason::WindowClosed, 1)
        ],
        "neither what is parked nor what is merely due"
    );
    assert_eq!(waiting[0].example, "s1");
}

pub async fn parked_webhooks_are_counted_by_cause(w: &World) {
    for n in 0..3 {
        let body = n.to_string();
        w.a.keep_webhook(t(n), "hub", "{}", body.as_bytes())
            .await
            .unwrap();
    }
    let rows =
        w.a.claim_webhooks(t(5), "me", "hub", 10, t(60))
            .await
            .unwrap();
    for (row, reason) in rows.iter().zip([
        Reason::Undecodable,
        Reason::Undecodable,
        Reason::Unsupported,
    ]) {
        w.a.postpone_webhook(row, None, stop(reason)).await.unwrap();
    }
    let webhooks = w.b.troubles().await.unwrap().webhooks;
    let shown: Vec<_> = webhooks
        .iter()
        .map(|one| (one.origin.as_str(), one.stop.reason, one.count, one.example))
        .collect();
    assert_eq!(
        shown,
        [
            ("hub", Reason::Undecodable, 2, rows[0].id),
            ("hub", Reason::Unsupported, 1, rows[2].id)
        ]
    );
    assert_eq!(webhooks[0].oldest, t(0));
}
