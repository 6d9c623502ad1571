//! Event streams that share one HTTP/2 connection, end to end: each rep's reply reaches its own
//! customer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "its other parts are used by other tests")]
mod alone;

use handoffd_test_support::eventually;
use serde_json::json;

use alone::{Alone, SOON};

const COUNT: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn replies_of_many_reps_come_over_shared_connections() {
    let shell = "HANDOFFD__TARGET__SALESFORCE__STREAM_PROTOCOL=http2 exec \"$0\" \"$@\"";
    let daemon = Alone::under(shell, |_| {}).await;
    let salesforce = daemon.sims.target("salesforce").unwrap();
    let whatsapp = daemon.sims.target("whatsapp").unwrap();
    let headers = [
        ("authorization", format!("Bearer {}", daemon.token)),
        ("content-type", "application/cloudevents+json".to_owned()),
    ];
    for number in 0..COUNT {
        let customer = format!("4915100000{number:03}");
        let said = json!({"act": "text", "from": customer, "text": "My parcel is broken"});
        let said = whatsapp.act(&said).unwrap();
        let event = json!({
            "specversion": "1.0", "id": format!("h-{number}"), "source": "/test/gateway",
            "type": "handoff.requested", "subject": format!("session-{number}"),
            "time": jiff::Timestamp::now(), "datacontenttype": "application/json",
            "data": {
                "session": {"id": format!("session-{number}"), "business_number": "+15550783881"},
                "contact": {"phone": format!("+{customer}"), "wa_id": customer},
                "handoff": {"summary": format!("Parcel {number}.")},
                "transcript": [{"id": said["id"], "time": said["timestamp"],
                    "author": {"kind": "customer"}, "text": "My parcel is broken"}],
                "targets": ["salesforce", "whatsapp"],
            },
        });
        let status = daemon
            .post("/v1/events", &headers, event.to_string().into_bytes())
            .await;
        assert_eq!(status, 202);
    }
    eventually(SOON, || async {
        salesforce.counts()["open_streams"] == COUNT
            && salesforce.view()["conversations"]
                .as_array()
                .is_some_and(|all| all.len() == COUNT)
    })
    .await;
    for number in 0..COUNT {
        let session = format!("session-{number}");
        let text = format!("A reply for {session}.");
        for act in [
            json!({"act": "accept", "session": session}),
            json!({"act": "text", "session": session, "text": text}),
        ] {
            salesforce.act(&act).unwrap();
        }
        eventually(SOON, || async {
            whatsapp.view().to_string().contains(&text)
        })
        .await;
    }
    let counts = salesforce.counts();
    assert_eq!(counts["streams_over_http2"], counts["open_streams"]);
}
