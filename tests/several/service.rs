//! What a supervisor sees: readiness, the watchdog, and a stop with a deadline.

use std::time::{Duration, Instant};

use handoffd_test_support::eventually;
use serde_json::json;
use tokio::net::UnixDatagram;

use crate::database::Database;
use crate::fleet::{Fleet, SOON};

/// The next message to the supervisor.
async fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    let length = tokio::time::timeout(SOON, socket.recv(&mut buffer))
        .await
        .expect("a message")
        .unwrap();
    String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
}

/// `sd_notify(3)`: ready, alive several times before each limit, stopping.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_is_told() {
    const LIMIT: Duration = Duration::from_millis(1_500);
    let mut fleet = Fleet::with(None, 1, |_| {}).await;
    fleet.kill(0);
    let path = fleet.folder().path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let (path, limit) = (path.display().to_string(), LIMIT.as_micros().to_string());
    fleet.spawn(0, &[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", &limit)]);
    assert_eq!(told(&socket).await, "READY=1");
    let began = Instant::now();
    for n in 1..=4_u32 {
        assert_eq!(told(&socket).await, "WATCHDOG=1");
        assert!(
            began.elapsed() < LIMIT * n,
            "the {n}th sign of life is late"
        );
    }
    fleet.until_ready(0).await;
    fleet.signal(0, "TERM");
    loop {
        match told(&socket).await.as_str() {
            "WATCHDOG=1" => {}
            said => {
                assert_eq!(said, "STOPPING=1");
                break;
            }
        }
    }
    assert_eq!(fleet.ended(0).await.code(), Some(0));
}

/// SIGTERM while a CRM does not answer: the daemon ends soon after its deadline, says what it left,
/// and after a start the work is completed without a repeat.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_calls_that_hang() {
    const DRAIN: Duration = Duration::from_secs(1);
    let mut fleet = Fleet::with(Some(Database::shared().await), 1, |plan| {
        plan.over["engine"]["drain"] = json!("1s");
    })
    .await;
    let crms = ["hubspot", "creatio"];
    for crm in crms {
        // Done, and not answered.
        fleet.fault(
            json!({"target": crm, "match": {"method": "POST"}, "skip": 3,
            "fault": {"kind": "hang", "when": "after"}}),
        );
    }
    let session = fleet.hand_over(&crms).await;
    eventually(SOON, || async {
        crms.iter().all(|crm| {
            let happened = &fleet.sims.faults()["happened"][crm]["hang"];
            happened.as_u64() > Some(0)
        })
    })
    .await;
    fleet.signal(0, "TERM");
    let began = Instant::now();
    assert_eq!(fleet.ended(0).await.code(), Some(0));
    let took = began.elapsed();
    // Far less than the calls would take, also on a busy machine.
    assert!(took < DRAIN + Duration::from_secs(8), "it took {took:?}");
    let log = fleet.log(0);
    assert!(log.contains("stopped while calls were under way"), "{log}");
    assert!(!log.contains("\"unfinished\":0"), "{log}");
    let held = "SELECT target FROM lane WHERE lease_owner IS NOT NULL";
    assert!(fleet.sql(held).await.is_empty(), "leases are given back");
    fleet.sims.clear_faults(None);
    fleet.spawn(0, &[]);
    fleet.writes(&session, 0).await;
    fleet.until_idle(std::slice::from_ref(&session), 1).await;
    crms.iter()
        .for_each(|crm| fleet.assert_shown(crm, &session, 1));
}
