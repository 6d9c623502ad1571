//! What the CRM itself says: a record that is made and removed again; and captions on their way to it.

use serde_json::{Value, json};

use crate::alone::SOON;
use crate::desk::Desk;
use handoffd_test_support::eventually;

/// How many records of a kind a simulator has that are not deleted.
fn count(view: &Value, of: &str) -> usize {
    let all = view[of]
        .as_array()
        .unwrap_or_else(|| panic!("no {of} in {view:#}"));
    all.iter().filter(|one| one["deleted"] != true).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_tells_the_crms_answer_by_field_and_leaves_nothing() {
    let desk = Desk::start().await;
    let admin = desk.first();
    let before = count(&desk.view("hubspot"), "tickets");
    let path = "/v1/mappings/hubspot/dry-run";
    let told = admin.post(path, json!({})).await;
    assert_eq!(
        (&told["possible"], &told["done"]),
        (&json!(true), &json!(false))
    );
    assert!(
        told["says"].as_str().unwrap().contains("archived"),
        "{told}"
    );
    let done = admin.post(path, json!({"confirm": true})).await;
    assert_eq!(
        (&done["taken"], &done["removed"]),
        (&json!(true), &json!(true)),
        "{done:#}"
    );
    assert!(
        done["fine"]
            .as_array()
            .unwrap()
            .contains(&json!("ticket.subject"))
    );
    let fields = json!({"ticket.hs_ticket_category": {"value": "REFUND"}, "ticket.nothing_there": {"value": "x"}});
    assert_eq!(admin.edits("hubspot", 0, fields).await.0, 200);
    let refused = admin.post(path, json!({"confirm": true})).await;
    assert_eq!(
        (&refused["taken"], &refused["removed"]),
        (&json!(false), &json!(true)),
        "{refused:#}"
    );
    let named: Vec<&str> = refused["complaints"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["field"].as_str())
        .collect();
    assert!(
        named.contains(&"ticket.nothing_there") || named.contains(&"ticket.hs_ticket_category"),
        "{refused:#}"
    );
    assert_eq!(count(&desk.view("hubspot"), "tickets"), before);
    let audit = admin.get("/v1/audit?what=mapping%20dry%20run").await;
    assert_eq!(
        audit["entries"].as_array().map(Vec::len),
        Some(2),
        "{audit:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_in_creatio_leaves_no_case() {
    let desk = Desk::start().await;
    let admin = desk.first();
    let before = count(&desk.view("creatio"), "cases");
    let done = admin
        .post("/v1/mappings/creatio/dry-run", json!({"confirm": true}))
        .await;
    assert_eq!(
        (&done["taken"], &done["removed"]),
        (&json!(true), &json!(true)),
        "{done:#}"
    );
    let fields = json!({"case.UsrNothing": {"value": "x"}});
    assert_eq!(admin.edits("creatio", 0, fields).await.0, 200);
    let refused = admin
        .post("/v1/mappings/creatio/dry-run", json!({"confirm": true}))
        .await;
    assert_eq!(
        refused["complaints"][0]["field"], "case.UsrNothing",
        "{refused:#}"
    );
    assert_eq!(count(&desk.view("creatio"), "cases"), before);
    // Where nothing can be removed again, nothing is made.
    let none = admin
        .post("/v1/mappings/salesforce/dry-run", json!({"confirm": true}))
        .await;
    assert_eq!(
        (&none["possible"], &none["done"]),
        (&json!(false), &json!(false))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caption_arrives_as_the_id_of_its_row_and_an_unknown_one_is_told() {
    let desk = Desk::start().await;
    let admin = desk.first();
    admin.reads_schema("creatio").await;
    let fields = json!({
        "case.UsrTopicId": {"value": "{{ fields.subject }}"},
        "case.CategoryId": {"value": "{{ fields.kind }}"},
    });
    assert_eq!(admin.edits("creatio", 0, fields).await.0, 200);
    admin
        .post(
            "/v1/mappings/creatio/publish",
            json!({"why": "captions", "expect": 1}),
        )
        .await;
    let event = json!({
        "specversion": "1.0", "id": "c1", "source": "/gateway/test", "type": "handoff.requested", "subject": "session-c1",
        "time": "2026-11-20T10:00:00Z", "datacontenttype": "application/json",
        "data": {
            "session": {"id": "session-c1", "business_number": "+15550783881"},
            "contact": {"wa_id": "4915112345678", "phone": "+4915112345678", "name": "Ana López"},
            "handoff": {"reasons": ["asks for a person"]},
            "fields": {"subject": "delivery", "kind": "Something else"},
            "targets": ["creatio"],
        }
    });
    let headers = [
        ("authorization", format!("Bearer {}", desk.daemon.token)),
        ("content-type", "application/cloudevents+json".to_owned()),
    ];
    let status = desk
        .daemon
        .post("/v1/events", &headers, event.to_string().into_bytes())
        .await;
    assert!((200..300).contains(&status), "{status}");
    eventually(SOON, || async {
        let view = desk.view("creatio").to_string();
        // The row "Delivery".
        view.contains("11111111-aaaa-4000-8000-000000000002")
    })
    .await;
    eventually(SOON, || async {
        let view = desk.view("creatio").to_string();
        view.contains("case.CategoryId was left out") && view.contains("Something else")
    })
    .await;
    let story = admin.get("/v1/sessions/session-c1").await.to_string();
    assert!(story.contains("case.CategoryId"), "{story}");
}
