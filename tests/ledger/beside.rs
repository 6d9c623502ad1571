//! Those who are told of what happens: lanes beside others, endpoints that want no more, and what begins
//! a conversation.

use std::collections::BTreeMap;

use handoffd::conversation::Rules;
use handoffd::ledger::{Change, LaneFilter, LaneState, Next};
use handoffd_contract::Reason;

use crate::world::{
    Short as _, World, backoff, handing, inbound, lane, leaving, message, opening, parked, plain, t,
};

/// The lanes of a target: by session, the state and how many events are not shown.
async fn lanes(w: &World, target: &str) -> BTreeMap<String, (LaneState, i64)> {
    let filter = LaneFilter {
        target: Some(target.to_owned()),
        ..LaneFilter::default()
    };
    let rows = w.b.lanes(filter).await.unwrap();
    let row = |row: handoffd::ledger::LaneRow| (row.session, (row.state, row.pending));
    rows.into_iter().map(row).collect()
}

pub async fn lanes_open_once_beside_others_with_their_heads_and_facts(w: &World) {
    let seq = w.a.put(t(0), opening("s-1", "1", &["wa"])).await;
    let lease = w.a.take(t(0), "wa").await;
    let told = |name: &str| Change::Set(name.to_owned(), "id".to_owned());
    let changes = vec![told("out/1/x"), told("sent/1")];
    w.a.finish(&lease, t(0), Vec::new(), changes, Vec::new())
        .await
        .unwrap();
    let busy = leaving(seq - 1, backoff(t(500)));
    w.a.release(lease, t(1), busy).await.unwrap();
    let seq_2 = w.a.put(t(2), opening("s-2", "2", &["wa"])).await;
    let lease = w.a.take(t(2), "wa").await;
    let idle = leaving(seq_2, Next::Idle);
    w.a.release(lease, t(3), idle).await.unwrap();
    w.a.put(t(4), opening("s-3", "3", &["hub"])).await;

    let beside = ["wa".to_owned(), "none".to_owned()];
    let opened = w.a.open_beside(t(5), "told", &beside, "out/").await;
    assert_eq!(opened.unwrap(), 2);
    let wanted = BTreeMap::from([
        ("s-1".to_owned(), (LaneState::Due, 1)),
        ("s-2".to_owned(), (LaneState::Idle, 0)),
    ]);
    assert_eq!(lanes(w, "told").await, wanted);
    let lease = w.b.take(t(5), "told").await;
    let loaded = w.b.load(&lease, 10, 1 << 20).await.unwrap();
    let facts: Vec<&String> = loaded.known.0.keys().collect();
    assert_eq!(facts, ["out/1/x"]);
    assert_eq!(loaded.events.len(), 1);

    w.a.put(t(6), opening("s-4", "4", &["wa"])).await;
    let again = w.b.open_beside(t(7), "told", &beside, "out/").await;
    assert_eq!(again.unwrap(), 0, "the target has lanes");
    assert_eq!(lanes(w, "told").await.len(), 2);
}

pub async fn it_is_known_whether_a_lane_is_parked_for_a_reason(w: &World) {
    lane(w, "s-1", "flows", parked(Reason::EndpointGone)).await;
    lane(w, "s-2", "others", parked(Reason::Forbidden)).await;
    let gone = |target: &'static str| async move {
        let stop = w.b.parked_for(target, Reason::EndpointGone).await.unwrap();
        stop.map(|stop| stop.reason)
    };
    assert_eq!(gone("flows").await, Some(Reason::EndpointGone));
    assert_eq!(gone("others").await, None);
    let all = handoffd::ledger::Select::Target("flows".into());
    w.a.retry(t(9), all, false).await.unwrap();
    assert_eq!(gone("flows").await, None);
}

/// The types of a session's events, in order.
async fn kinds(w: &World, session: &str) -> Vec<String> {
    let report = w.b.session_report(session).await.unwrap();
    let events = report.events.into_iter();
    events.map(|(_, kind, ..)| kind).collect()
}

pub async fn a_conversation_starts_once_with_the_customers_first_message(w: &World) {
    let rules = Rules {
        starts: true,
        ..Rules::default()
    };
    w.a.follow(rules.clone());
    w.b.follow(rules);
    let first = || inbound("s", "1", "491", t(0));
    w.a.admit(t(0), vec![first(), inbound("s", "2", "491", t(1))])
        .await
        .unwrap();
    w.b.admit(t(2), vec![first(), inbound("s", "3", "491", t(2))])
        .await
        .unwrap();
    let said = "message.received";
    assert_eq!(
        kinds(w, "s").await,
        [said, "conversation.started", said, said]
    );
    w.a.admit(
        t(3),
        vec![
            handing("known", "4", &["hub"]),
            inbound("known", "5", "492", t(3)),
        ],
    )
    .await
    .unwrap();
    assert!(
        !kinds(w, "known")
            .await
            .contains(&"conversation.started".to_owned())
    );
    w.a.follow(Rules::default());
    w.a.admit(t(4), vec![plain(message("off", "6"))])
        .await
        .unwrap();
    assert_eq!(kinds(w, "off").await.len(), 1);
}
