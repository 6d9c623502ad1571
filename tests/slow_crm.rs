//! A CRM that takes its time with every answer: the daemon asks it for much at a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "its other parts are used by other tests")]
mod alone;

use handoffd::sandbox::{Of, Wait};
use serde_json::json;

use alone::Alone;

/// How many conversations are handed over.
const COUNT: usize = 80;

#[tokio::test(flavor = "multi_thread")]
async fn a_crm_that_answers_in_400_ms_does_not_hold_everything_to_20_calls_a_second() {
    let daemon = Alone::start().await;
    let slow = json!({"target": "creatio", "match": {},
        "fault": {"kind": "delay", "ms": 400, "when": "before"}});
    daemon
        .sims
        .fault(serde_json::from_value(slow).unwrap())
        .unwrap();
    let headers = [
        ("authorization", format!("Bearer {}", daemon.token)),
        ("content-type", "application/cloudevents+json".to_owned()),
    ];
    for number in 0..COUNT {
        let event = json!({
            "specversion": "1.0", "id": format!("h-{number}"), "source": "/test/gateway",
            "type": "handoff.requested", "subject": format!("session-{number}"),
            "time": jiff::Timestamp::now(), "datacontenttype": "application/json",
            "data": {
                "session": {"id": format!("session-{number}"), "business_number": "+15550783881"},
                "contact": {"phone": format!("+49151{number:08}"), "name": "Ana López"},
                "handoff": {"summary": "A broken parcel."},
                "targets": ["creatio"],
            },
        });
        let status = daemon
            .post("/v1/events", &headers, event.to_string().into_bytes())
            .await;
        assert_eq!(status, 202);
    }
    // Of 8 conversations at a time, at most 18 calls were under way.
    let creatio = daemon.sims.target("creatio").unwrap();
    let wait = Wait {
        of: Of::Requests,
        pointer: "/max_in_flight".into(),
        at_least: Some(24),
        timeout_ms: 60_000,
        ..Wait::default()
    };
    assert!(creatio.wait(&wait).await.is_ok(), "{}", creatio.counts());
}
