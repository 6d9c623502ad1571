//! A poll that the lanes of many conversations share, end to end: each rep's reply reaches its own
//! customer, in the order in which it was written.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "its other parts are used by other tests")]
mod alone;

use handoffd_test_support::eventually;
use serde_json::{Value, json};

use alone::{Alone, SOON};

/// More than are read by themselves in one round.
const COUNT: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn replies_on_many_tickets_come_by_one_poll() {
    let daemon = Alone::start().await;
    let hubspot = daemon.sims.target("hubspot").unwrap();
    let whatsapp = daemon.sims.target("whatsapp").unwrap();
    hubspot.switch("webhook_url", &Value::Null).unwrap();
    let headers = [
        ("authorization", format!("Bearer {}", daemon.token)),
        ("content-type", "application/cloudevents+json".to_owned()),
    ];
    let customer = |number: usize| format!("4915100000{number:03}");
    for number in 0..COUNT {
        let wa_id = customer(number);
        let said = json!({"act": "text", "from": wa_id, "text": "My parcel is broken"});
        let said = whatsapp.act(&said).unwrap();
        let event = json!({
            "specversion": "1.0", "id": format!("h-{number}"), "source": "/test/gateway",
            "type": "handoff.requested", "subject": format!("session-{number}"),
            "time": jiff::Timestamp::now(), "datacontenttype": "application/json",
            "data": {
                "session": {"id": format!("session-{number}"), "business_number": "+15550783881"},
                "contact": {"phone": format!("+{wa_id}"), "wa_id": wa_id},
                "handoff": {"summary": format!("Parcel {number}.")},
                "transcript": [{"id": said["id"], "time": said["timestamp"],
                    "author": {"kind": "customer"}, "text": "My parcel is broken"}],
                "targets": ["hubspot", "whatsapp"],
            },
        });
        let status = daemon
            .post("/v1/events", &headers, event.to_string().into_bytes())
            .await;
        assert_eq!(status, 202);
    }
    let shown = || {
        let view = hubspot.view();
        let tickets = view["tickets"].as_array().cloned().unwrap_or_default();
        let noted = |ticket: &&Value| {
            ticket["timeline"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
        };
        (tickets.iter().filter(noted).count() == COUNT).then_some(tickets)
    };
    eventually(SOON, || async { shown().is_some() }).await;
    let ticket_of = |session: &str| {
        let tickets = shown().unwrap();
        let mut tickets = tickets.iter();
        let found = tickets.find(|ticket| ticket["properties"]["wa_session_id"] == session);
        found.unwrap()["id"].clone()
    };
    for number in 0..COUNT {
        let session = format!("session-{number}");
        let ticket = ticket_of(&session);
        for part in ["first", "second"] {
            let text = format!("{part} for {session}.");
            let act = json!({"act": "reply", "ticket": ticket, "text": text});
            hubspot.act(&act).unwrap();
        }
    }
    let got = |number: usize| -> Vec<String> {
        let view = whatsapp.view();
        let mut phones = view["phones"].as_object().unwrap().values();
        let phone = phones
            .find(|phone| phone["wa_id"] == customer(number).as_str())
            .unwrap();
        let thread = phone["conversation"].as_array().unwrap().iter();
        thread
            .filter(|one| one["from"] == "business")
            .filter_map(|one| one["text"].as_str().map(str::to_owned))
            .collect()
    };
    for number in 0..COUNT {
        let wanted = ["first", "second"].map(|part| format!("{part} for session-{number}."));
        eventually(SOON, || async { got(number).len() >= 2 }).await;
        assert_eq!(got(number), wanted);
    }
    let (_, metrics) = daemon.get("/metrics").await;
    assert!(
        metrics.contains("handoffd_feeds_open{target=\"hubspot\"} 1\n"),
        "{metrics}"
    );
}
