//! One budget for all daemons.

use serde_json::{Value, json};

use crate::database::Database;
use crate::fleet::{Fleet, Session, name};

/// Calls in ten seconds: what the daemons may make together, and what the portal bears.
const BUDGET: u32 = 45;
const LIMIT: u32 = 56;

/// Two daemons together stay below the portal's limit of any ten seconds, although each alone could
/// use nearly all of it; also while the second one joins.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_shared_by_those_who_live() {
    let mut fleet = Fleet::with(Some(Database::shared().await), 2, |plan| {
        plan.settings.insert(
            "hubspot".into(),
            json!({"api_per_10s": BUDGET, "poll_seconds": 60}),
        );
    })
    .await;
    fleet
        .crm("hubspot")
        .switch("api_per_10s", &json!(LIMIT))
        .unwrap();
    fleet.kill(1);
    fleet
        .sql(&format!("DELETE FROM daemon WHERE name = '{}'", name(1)))
        .await;
    let mut sessions: Vec<Session> = Vec::new();
    for _ in 0..12 {
        sessions.push(fleet.hand_over(&["hubspot"]).await);
    }
    handoffd_test_support::eventually(crate::fleet::SOON, || async { finished(&fleet) >= 20 })
        .await;
    fleet.spawn(1, &[]);
    fleet.until_idle(&sessions, 0).await;
    let counts = fleet.crm("hubspot").counts();
    let refused = fleet
        .crm("hubspot")
        .requests(0, false)
        .iter()
        .filter(|request| request["status"] == 429)
        .count();
    assert_eq!(refused, 0, "{counts:#}");
    assert!(
        finished(&fleet) > u64::from(LIMIT),
        "too few calls: {counts:#}"
    );
    let calls: Vec<usize> = (0..2).map(|n| fleet.attempts(n)).collect();
    assert!(calls.iter().all(|calls| *calls > 10), "calls: {calls:?}");
    for session in &sessions {
        fleet.assert_shown("hubspot", session, 0);
    }
}

fn finished(fleet: &Fleet) -> u64 {
    let counts: Value = fleet.crm("hubspot").counts();
    counts["finished"].as_u64().unwrap_or_default()
}
