//! Who tells people what is not well, and what there is to tell.

use handoffd::ledger::notifier::{Observed, Seen};
use handoffd::ledger::{Admission, DeadLetter, LedgerError};
use handoffd_contract::state::{NobodyCame, SessionUnattended};
use handoffd_contract::{Data, Reason, Stop};

use crate::world::{Short as _, World, backoff, lane, message, parked, plain, stop, t};

pub async fn one_tells_people_and_its_word_is_kept(w: &World) {
    assert_eq!(w.a.lead_notifier(t(0), "a", t(60)).await, Ok(Some(None)));
    assert_eq!(w.b.lead_notifier(t(1), "b", t(61)).await, Ok(None));
    w.a.keep_notifier("a", "{\"n\":1}").await.unwrap();
    let kept = Ok(Some(Some("{\"n\":1}".to_owned())));
    assert_eq!(w.a.lead_notifier(t(30), "a", t(90)).await, kept);
    assert_eq!(w.b.lead_notifier(t(89), "b", t(149)).await, Ok(None));
    assert_eq!(w.b.lead_notifier(t(90), "b", t(150)).await, kept);
    let late = w.a.keep_notifier("a", "{}").await;
    assert_eq!(late, Err(LedgerError::Stale), "another one tells");
    assert_eq!(w.b.lead_notifier(t(91), "b", t(151)).await, kept);
}

/// As (target, reason, how many, session).
fn short(found: Vec<Observed>) -> Vec<(String, String, i64, String)> {
    let one = |one: Observed| {
        let session = one.session.unwrap_or_default();
        (one.target, one.reason, one.count, session)
    };
    let mut all: Vec<_> = found.into_iter().map(one).collect();
    all.sort();
    all
}

fn group(target: &str, reason: &str, count: i64, session: &str) -> (String, String, i64, String) {
    (target.into(), reason.into(), count, session.into())
}

pub async fn what_is_not_well_is_found_in_groups(w: &World) {
    lane(w, "s-1", "hub", parked(Reason::Forbidden)).await;
    lane(w, "s-2", "crm", parked(Reason::Forbidden)).await;
    lane(w, "s-3", "sf", backoff(t(500))).await;
    let reason = match backoff(t(500)) {
        handoffd::ledger::Next::Due {
            stop: Some(stop), ..
        } => stop.reason.label(),
        other => panic!("{other:?}"),
    };
    let found =
        w.b.not_well(t(9), None, &[reason, "account"])
            .await
            .unwrap();
    let wanted = [
        group("crm", "forbidden", 1, "s-2"),
        group("hub", "forbidden", 1, "s-1"),
    ];
    assert_eq!(short(found.parked), wanted);
    assert_eq!(short(found.waiting), [group("sf", reason, 1, "s-3")]);
    let none = w.b.not_well(t(9), None, &["account"]).await.unwrap();
    assert_eq!(none.waiting, []);
}

fn letter(raw: &str, reason: Reason) -> DeadLetter {
    DeadLetter {
        origin: "amqp".into(),
        stop: Stop::new(reason, "data: missing"),
        headers: "{}".into(),
        raw: raw.as_bytes().to_vec(),
        session: None,
        source: None,
    }
}

fn unattended(session: &str) -> Admission {
    let data = SessionUnattended {
        reason: NobodyCame::Time,
        detail: None,
        targets: Vec::new(),
        since: t(0),
        waited_seconds: 600,
        handoff: None,
    };
    let mut admission = plain(message(session, &format!("{session}-nobody")));
    admission.event.data = Data::SessionUnattended(data);
    admission
}

pub async fn what_comes_one_by_one_is_found_once(w: &World) {
    let keep = |at: i64, raw: &'static str| {
        w.a.keep_dead_letter(t(at), letter(raw, stop(Reason::Undecodable).reason))
    };
    keep(0, "one").await.unwrap();
    w.a.put(t(0), unattended("s-0")).await;
    let first = w.b.not_well(t(5), None, &[]).await.unwrap();
    assert_eq!(
        (first.dead_letters, first.unattended),
        (vec![], vec![]),
        "they were there"
    );
    keep(6, "two").await.unwrap();
    keep(7, "three").await.unwrap();
    w.a.put(t(6), plain(message("s-1", "other"))).await;
    w.a.put(t(7), unattended("s-1")).await;
    w.a.put(t(8), unattended("s-2")).await;
    let early = w.b.not_well(t(6), Some(first.seen), &[]).await.unwrap();
    assert_eq!(
        short(early.dead_letters),
        [group("amqp", "undecodable", 1, "")]
    );
    assert_eq!(early.unattended, []);
    let then = w.b.not_well(t(9), Some(early.seen), &[]).await.unwrap();
    assert_eq!(
        short(then.dead_letters),
        [group("amqp", "undecodable", 1, "")]
    );
    assert_eq!(short(then.unattended), [group("", "", 2, "s-2")]);
    let last = w.b.not_well(t(10), Some(then.seen), &[]).await.unwrap();
    assert_eq!((last.dead_letters, last.unattended), (vec![], vec![]));
    let other = Seen {
        dead_letter: 0,
        event: 0,
    };
    let all = w.b.not_well(t(10), Some(other), &[]).await.unwrap();
    assert_eq!(all.dead_letters.iter().map(|one| one.count).sum::<i64>(), 3);
}
