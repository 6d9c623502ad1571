//! Lanes as operators see them.

use handoffd::ledger::{Change, Group, LaneFilter, LaneState, Next};
use handoffd_contract::{Reason, Stop};

use crate::world::*;

pub async fn lists_lanes_by_what_is_asked(w: &World) {
    lane(w, "s1", "hub", parked(Reason::Forbidden)).await;
    lane(w, "s2", "hub", parked(Reason::Mapping)).await;
    lane(w, "s3", "sales", parked(Reason::Mapping)).await;
    lane(
        w,
        "s4",
        "hub",
        Next::Held {
            stop: stop(Reason::WindowClosed),
            until: None,
        },
    )
    .await;
    lane(
        w,
        "s5",
        "hub",
        Next::Due {
            at: t(100),
            stop: Some(stop(Reason::RateLimited)),
        },
    )
    .await;
    lane(w, "s6", "hub", Next::Idle).await;
    let ask = async |filter| {
        let rows = w.b.lanes(filter).await.unwrap();
        assert!(rows.is_sorted_by_key(|row| row.id));
        rows.into_iter()
            .map(|row| row.session)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let all = LaneFilter::default;
    let of = |state| LaneFilter {
        state: Some(state),
        ..LaneFilter::default()
    };
    assert_eq!(ask(all()).await, "s1 s2 s3 s4 s5 s6");
    assert_eq!(ask(of(LaneState::Parked)).await, "s1 s2 s3");
    assert_eq!(ask(of(LaneState::Held)).await, "s4");
    assert_eq!(ask(of(LaneState::Due)).await, "s5");
    assert_eq!(ask(of(LaneState::Idle)).await, "s6");
    assert_eq!(
        ask(LaneFilter {
            target: Some("sales".into()),
            ..all()
        })
        .await,
        "s3"
    );
    assert_eq!(
        ask(LaneFilter {
            session: Some("s2".into()),
            ..all()
        })
        .await,
        "s2"
    );
    let mapping = LaneFilter {
        reason: Some("mapping".into()),
        ..all()
    };
    assert_eq!(ask(mapping.clone()).await, "s2 s3");
    assert_eq!(
        ask(LaneFilter {
            target: Some("hub".into()),
            ..mapping
        })
        .await,
        "s2"
    );
    assert_eq!(ask(LaneFilter { limit: 2, ..all() }).await, "s1 s2");
    let second = w.a.lanes(LaneFilter { limit: 2, ..all() }).await.unwrap()[1].id;
    assert_eq!(
        ask(LaneFilter {
            after: second,
            limit: 2,
            ..all()
        })
        .await,
        "s3 s4"
    );

    let row = w.a.lanes(of(LaneState::Due)).await.unwrap().remove(0);
    assert_eq!(
        (row.target.as_str(), row.due_at, row.pending),
        ("hub", Some(t(100)), 1)
    );
    assert_eq!(
        (row.attempts, row.stop),
        (2, Some(stop(Reason::RateLimited)))
    );
    let lease = w.a.take(t(100), "hub").await;
    let row = w.a.lanes(of(LaneState::Due)).await.unwrap().remove(0);
    assert_eq!((row.id, row.leased_by.as_deref()), (lease.lane, Some("me")));
}

pub async fn groups_parked_lanes(w: &World) {
    for n in 0..3 {
        lane(w, &format!("s{n}"), "hub", parked(Reason::Forbidden)).await;
    }
    lane(w, "s3", "sales", parked(Reason::Forbidden)).await;
    let other = Next::Parked {
        stop: Stop::new(Reason::Forbidden, "other words"),
    };
    lane(w, "s4", "hub", other).await;
    lane(w, "s5", "hub", Next::Idle).await;
    let groups = w.a.groups().await.unwrap();
    assert_eq!(groups.len(), 3);
    let first = Group {
        target: "hub".into(),
        stop: stop(Reason::Forbidden),
        count: 3,
        oldest: t(1),
        example: "s0".into(),
    };
    assert_eq!(groups[0], first);
}

pub async fn reports_a_session(w: &World) {
    assert_eq!(
        w.a.session_report("nobody").await.unwrap(),
        handoffd::ledger::SessionReport::default()
    );
    let mut opens = inbound("s", "1", "491", t(0));
    opens.opens = vec!["hub".into(), "wa".into()];
    let seq = w.a.put(t(0), opens).await;
    let lease = w.a.take(t(0), "hub").await;
    let attempts: Vec<_> = (0..600)
        .map(|n| attempt(&format!("step {n}"), "known"))
        .collect();
    let changes = vec![Change::Set("ticket".into(), "7".into())];
    w.a.finish(&lease, t(1), attempts, changes, vec![])
        .await
        .unwrap();
    w.a.release(lease, t(2), leaving(seq, Next::Idle))
        .await
        .unwrap();
    let story = w.b.session_report("s").await.unwrap();
    assert_eq!(
        (story.session, story.contact),
        (Some(session_data("s")), Some(customer("491")))
    );
    assert_eq!(story.last_inbound, Some(t(0)));
    assert_eq!(
        story.events,
        [(seq, "message.received".into(), t(0), "1".into(), t(0))]
    );
    let lanes: Vec<_> = story
        .lanes
        .iter()
        .map(|(row, head, _)| (row.target.as_str(), *head))
        .collect();
    assert_eq!(lanes, [("hub", seq), ("wa", seq - 1)]);
    assert_eq!(story.lanes[0].2.get("ticket"), Some("7"));
    let steps: Vec<_> = story
        .attempts
        .iter()
        .map(|(_, attempt)| attempt.step.as_str())
        .collect();
    assert_eq!(
        (steps.len(), steps[0], steps[499]),
        (500, "step 100", "step 599"),
        "the newest"
    );
}
