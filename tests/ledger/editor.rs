//! What editing a mapping takes: what CRMs' records can hold, drafts, and handoffs to look at.

use handoffd::ledger::{LaneState, LedgerError};
use handoffd_contract::Reason;

use crate::world::{Short as _, World, handing, opening, parked, t};

pub async fn a_schema_is_kept_with_the_one_before(w: &World) {
    assert_eq!(w.a.schema_get("hub").await, Ok(None));
    assert_eq!(w.a.schema_age("hub").await, Ok(None));
    assert_eq!(w.a.schema_put(t(0), "hub", "d1", "one").await, Ok(true));
    assert_eq!(w.b.schema_put(t(5), "hub", "d1", "one").await, Ok(false));
    let row = w.b.schema_get("hub").await.unwrap().unwrap();
    assert_eq!((row.read_at, row.changed_at), (t(5), t(0)));
    assert_eq!((row.text.as_str(), row.former), ("one", None));
    assert_eq!(w.a.schema_put(t(9), "hub", "d2", "two").await, Ok(true));
    let row = w.b.schema_get("hub").await.unwrap().unwrap();
    assert_eq!((row.read_at, row.changed_at), (t(9), t(9)));
    assert_eq!(
        (row.text.as_str(), row.former.as_deref()),
        ("two", Some("one"))
    );
    let age = Ok(Some((t(9), "d2".to_owned())));
    assert_eq!(w.b.schema_age("hub").await, age);
    assert_eq!(w.b.schema_get("crm").await, Ok(None));
}

pub async fn a_draft_is_one_for_each_person_and_changes_over_its_revision(w: &World) {
    assert_eq!(w.a.draft_put(t(0), "hub", "mara", "a", 7, 0).await, Ok(1));
    assert_eq!(w.b.draft_put(t(1), "hub", "jonas", "b", 7, 0).await, Ok(1));
    assert_eq!(w.b.draft_put(t(2), "hub", "mara", "c", 7, 1).await, Ok(2));
    for stale in [0, 1, 3] {
        let late = w.a.draft_put(t(3), "hub", "mara", "d", 7, stale).await;
        assert!(matches!(late, Err(LedgerError::Conflict(_))), "{late:?}");
    }
    let drafts = w.a.drafts("hub").await.unwrap();
    let seen: Vec<_> = drafts
        .iter()
        .map(|draft| {
            (
                draft.who.as_str(),
                draft.text.as_str(),
                draft.revision,
                draft.at,
            )
        })
        .collect();
    assert_eq!(seen, [("mara", "c", 2, t(2)), ("jonas", "b", 1, t(1))]);
    assert_eq!(drafts[0].base, 7);
    assert_eq!(w.a.draft_drop("hub", "mara").await, Ok(true));
    assert_eq!(w.b.draft_drop("hub", "mara").await, Ok(false));
    assert_eq!(w.a.draft_put(t(4), "hub", "mara", "e", 8, 0).await, Ok(1));
    assert_eq!(w.a.drafts("crm").await, Ok(Vec::new()));
}

pub async fn handoffs_of_a_target_are_found_and_the_parked_ones_alone(w: &World) {
    let first = w.a.put(t(0), handing("s-1", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    let leave = crate::world::leaving(first - 1, parked(Reason::Mapping));
    w.a.release(lease, t(1), leave).await.unwrap();
    let second = w.a.put(t(2), handing("s-2", "2", &["hub"])).await;
    w.a.put(t(3), handing("s-3", "3", &["crm"])).await;
    w.a.put(t(4), opening("s-4", "4", &["hub"])).await;
    let all = w.b.handoffs("hub", false, 10).await.unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|row| (row.seq, row.session.as_str(), row.state))
        .collect();
    assert_eq!(
        seen,
        [
            (second, "s-2", LaneState::Due),
            (first, "s-1", LaneState::Parked)
        ],
        "a message is no handoff"
    );
    assert_eq!(w.b.handoffs("hub", false, 1).await.unwrap().len(), 1);
    let parked = w.b.handoffs("hub", true, 10).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].seq, parked[0].time), (first, all[1].time));
    let stop = parked[0].stop.as_ref().unwrap();
    assert_eq!(stop.reason, Reason::Mapping);
    let events = w.b.handoff_events("hub", 10).await.unwrap();
    let seen: Vec<_> = events
        .iter()
        .map(|(seq, event)| (*seq, event.session.as_str()))
        .collect();
    assert_eq!(seen, [(second, "s-2"), (first, "s-1")]);
    assert_eq!(w.b.handoff_events("hub", 1).await.unwrap().len(), 1);
    assert_eq!(w.b.handoffs("none", false, 10).await, Ok(Vec::new()));
}

pub async fn a_parked_lane_tells_its_newest_handoff(w: &World) {
    let first = w.a.put(t(0), handing("s-1", "1", &["hub"])).await;
    let lease = w.a.take(t(0), "hub").await;
    let leave = crate::world::leaving(first - 1, parked(Reason::Invalid));
    w.a.release(lease, t(1), leave).await.unwrap();
    let again = w.a.put(t(2), handing("s-1", "2", &[])).await;
    let rows = w.b.handoffs("hub", true, 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [again]);
}
