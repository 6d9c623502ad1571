//! Daemons that work side by side.

use futures::future::join_all;

use crate::database::Database;
use crate::fleet::{CRMS, Fleet, Session};

/// A stream of handoffs and messages over all CRMs; every session is shown once and in order, and
/// every daemon has a part in it.
#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_show_everything_once_and_in_order() {
    const MESSAGES: usize = 4;
    let fleet = Fleet::new(2).await;
    let mut sessions: Vec<Session> = Vec::new();
    for _ in 0..6 {
        sessions.push(fleet.hand_over(&CRMS).await);
    }
    for n in 0..MESSAGES {
        join_all(sessions.iter().map(|session| fleet.writes(session, n))).await;
    }
    fleet.until_idle(&sessions, MESSAGES).await;
    for session in &sessions {
        CRMS.iter()
            .for_each(|crm| fleet.assert_shown(crm, session, MESSAGES));
    }
    let work: Vec<usize> = (0..2).map(|n| fleet.attempts(n)).collect();
    assert!(work.iter().all(|calls| *calls > 0), "calls: {work:?}");
    for n in 0..2 {
        let log = fleet.log(n);
        assert!(!log.contains("another daemon took the lane over"), "{log}");
    }
}

/// The tables and the first mappings are made once, whoever comes first.
#[tokio::test(flavor = "multi_thread")]
async fn three_daemons_start_at_once_on_an_empty_database() {
    let fleet = Fleet::with(Some(Database::shared().await), 3, |_| {}).await;
    let versions = fleet
        .sql("SELECT concat(target, ' ', version) FROM mapping ORDER BY 1")
        .await;
    assert_eq!(
        versions,
        ["creatio 1", "hubspot 1", "salesforce 1", "whatsapp 1"]
    );
    let schema = fleet
        .sql("SELECT count(*)::text FROM handoffd_schema")
        .await;
    assert_eq!(schema, ["1"]);
    let session = fleet.hand_over(&["creatio"]).await;
    fleet.until_idle(std::slice::from_ref(&session), 0).await;
    fleet.assert_shown("creatio", &session, 0);
}
