//! The database goes away under load and comes back.

use handoffd_test_support::eventually;

use crate::database::Database;
use crate::fleet::{CRMS, Fleet, SOON, Session};

#[tokio::test(flavor = "multi_thread")]
async fn daemons_go_on_by_themselves_after_the_database_was_away() {
    const ROUNDS: usize = 2;
    let fleet = Fleet::with(Some(Database::own().await), 2, |_| {}).await;
    let database = fleet.database.as_ref().unwrap();
    let mut sessions: Vec<Session> = Vec::new();
    for _ in 0..4 {
        sessions.push(fleet.hand_over(&CRMS).await);
    }
    for round in 0..ROUNDS {
        database.stop().await;
        for n in 0..2 {
            eventually(SOON, || async {
                fleet.ready(n).await.is_some_and(|(yes, words)| {
                    !yes && words["ledger"]["ok"] == false && words["ledger"]["message"].is_string()
                })
            })
            .await;
        }
        for session in &sessions {
            fleet.writes(session, round).await;
        }
        database.start().await;
        for n in 0..2 {
            fleet.until_ready(n).await;
        }
    }
    fleet.until_idle(&sessions, ROUNDS).await;
    for session in &sessions {
        CRMS.iter()
            .for_each(|crm| fleet.assert_shown(crm, session, ROUNDS));
    }
}
