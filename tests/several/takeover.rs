//! What happens to a dead daemon's work, and to a daemon that comes back after its leases ran out.

use std::time::{Duration, Instant};

use handoffd_test_support::eventually;
use serde_json::json;

use crate::fleet::{CRMS, Fleet, LEASE, SOON, Session, name};

/// Slow answers, so that a daemon that is struck is struck in the middle of calls.
fn slow(fleet: &Fleet, ms: u64) {
    for crm in CRMS {
        fleet.fault(json!({"target": crm, "match": {}, "fault": {"kind": "delay", "ms": ms, "when": "after"}}));
    }
}

/// Waits until a daemon works on lanes.
async fn holds_lanes(fleet: &Fleet, n: usize) {
    let sql = format!("SELECT session FROM lane WHERE lease_owner = '{}'", name(n));
    eventually(SOON, || async { !fleet.sql(&sql).await.is_empty() }).await;
}

/// Hands conversations over until a daemon works on lanes: which one takes a lane is up to them.
async fn hand_over_until_held(fleet: &Fleet, n: usize) -> Vec<Session> {
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(fleet.hand_over(&CRMS).await);
        let held = tokio::time::timeout(Duration::from_secs(2), holds_lanes(fleet, n));
        if held.await.is_ok() {
            return sessions;
        }
    }
    panic!("daemon {n} never worked on a lane");
}

/// SIGKILL of the daemon that holds lanes and the intake: the other one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemons_lanes_and_queue_are_taken_over() {
    const MESSAGES: usize = 3;
    let mut fleet = Fleet::new(2).await;
    slow(&fleet, 150);
    let mut sessions: Vec<Session> = Vec::new();
    for _ in 0..4 {
        sessions.push(fleet.hand_over(&CRMS).await);
    }
    eventually(SOON, || async { fleet.intake().await.is_some() }).await;
    let dead = fleet.intake().await.unwrap();
    let other = 1 - dead;
    holds_lanes(&fleet, dead).await;
    fleet.kill(dead);
    let killed = Instant::now();
    for session in &sessions {
        fleet.writes(session, 0).await;
    }
    let held = format!(
        "SELECT session FROM lane WHERE lease_owner = '{}'",
        name(dead)
    );
    eventually(SOON, || async { fleet.sql(&held).await.is_empty() }).await;
    let took = killed.elapsed();
    assert!(
        took < LEASE * 2,
        "the lanes were taken over only after {took:?}"
    );
    for session in &sessions {
        fleet.writes(session, 1).await;
    }
    fleet.until_idle(&sessions, 2).await;
    assert_eq!(fleet.intake().await, Some(other));
    fleet.spawn(dead, &[]);
    for session in &sessions {
        fleet.writes(session, 2).await;
    }
    fleet.until_idle(&sessions, MESSAGES).await;
    for session in &sessions {
        CRMS.iter()
            .for_each(|crm| fleet.assert_shown(crm, session, MESSAGES));
    }
}

/// The stream of a killed daemon is opened by another from its cursor, and what was missed is read
/// back: what the rep wrote meanwhile reaches the phone once.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemons_streams_are_taken_over() {
    let mut fleet = Fleet::new(2).await;
    let session = fleet.hand_over(&["salesforce"]).await;
    fleet.until_idle(std::slice::from_ref(&session), 0).await;
    let say = |fleet: &Fleet, act: &str, text: &str| {
        fleet.act(
            "salesforce",
            json!({"act": act, "session": session.id, "text": text}),
        )
    };
    fleet.act(
        "salesforce",
        json!({"act": "accept", "rep": "Rosa", "session": session.id}),
    );
    say(&fleet, "text", "before");
    let phone = |fleet: &Fleet, count: usize| {
        let texts = fleet.phone(&session);
        texts.len() >= count
    };
    eventually(SOON, || async { phone(&fleet, 1) }).await;
    let holder =
        "SELECT lease_owner FROM feed WHERE target = 'salesforce' AND lease_owner IS NOT NULL";
    let mut expected = vec!["before".to_owned()];
    for round in 0..2 {
        // A send whose answer is lost waits for its status, which is another story.
        eventually(SOON, || async { fleet.busy().await.is_empty() }).await;
        let owner = fleet.sql(holder).await;
        let dead = (0..2).find(|n| owner == [name(*n)]).expect("one holder");
        fleet.kill(dead);
        let killed = Instant::now();
        say(&fleet, "whisper", "between us");
        for n in 0..2 {
            let text = format!("gap {round} {n}");
            say(&fleet, "text", &text);
            expected.push(text);
        }
        eventually(SOON, || async { phone(&fleet, expected.len()) }).await;
        let took = killed.elapsed();
        assert!(took < LEASE * 2 + LEASE, "heard only after {took:?}");
        assert_eq!(fleet.sql(holder).await, [name(1 - dead)]);
        let live = format!("live {round}");
        say(&fleet, "text", &live);
        expected.push(live);
        eventually(SOON, || async { phone(&fleet, expected.len()) }).await;
        fleet.spawn(dead, &[]);
        fleet.until_ready(dead).await;
    }
    eventually(SOON, || async { fleet.busy().await.is_empty() }).await;
    assert_eq!(fleet.phone(&session), expected);
}

/// A daemon that stood still for longer than its leases comes back: what it writes is refused, what
/// it was about to send is not sent, and nothing shows twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stood_still_is_stale() {
    let fleet = Fleet::new(2).await;
    slow(&fleet, 100);
    let mut sessions: Vec<Session> = Vec::new();
    let mut stale = 0;
    for round in 0..3 {
        let still = round % 2;
        let new = hand_over_until_held(&fleet, still).await;
        fleet.signal(still, "STOP");
        let held = format!(
            "SELECT session FROM lane WHERE lease_owner = '{}'",
            name(still)
        );
        stale += fleet.sql(&held).await.len();
        for session in &new {
            fleet.writes(session, 0).await;
        }
        eventually(SOON, || async { fleet.sql(&held).await.is_empty() }).await;
        fleet.signal(still, "CONT");
        sessions.extend(new);
    }
    fleet.sims.clear_faults(None);
    for session in &sessions {
        fleet.writes(session, 1).await;
    }
    fleet.until_idle(&sessions, 2).await;
    for session in &sessions {
        CRMS.iter()
            .for_each(|crm| fleet.assert_shown(crm, session, 2));
    }
    assert!(stale > 0, "no daemon was stopped while it held a lane");
    let said = (0..2).map(|n| fleet.log(n)).collect::<String>();
    assert!(
        said.contains("the lease was taken over")
            || said.contains("another daemon took the lane over"),
        "no worker found its lease gone"
    );
}
