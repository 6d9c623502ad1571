//! What is seen before anything is changed: schema, states, requests, sources, values; masked.

use handoffd_test_support::eventually;
use reqwest::Method;
use serde_json::{Value, json};

use crate::alone::SOON;
use crate::desk::{Desk, field};

/// What the customer said and is called.
const PRIVATE: [&str; 7] = [
    "secret",
    "Ana",
    "López",
    "ana@example.com",
    "4915112345678",
    "15112345678",
    "session-h1-private",
];

fn hides(answer: &Value) {
    let text = answer.to_string();
    for private in PRIVATE {
        assert!(!text.contains(private), "{private} in {answer:#}");
    }
}

async fn with_handoffs() -> Desk {
    let desk = Desk::start().await;
    for (id, category) in [
        ("h1", "refund"),
        ("h2", "refund"),
        ("h3", "warranty"),
        ("h4", "refund"),
    ] {
        desk.hands_over(
            id,
            json!({"category": category, "note": "a secret note", "order_id": 8812}),
        )
        .await;
    }
    desk
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handoff_is_seen_as_the_crm_would_get_it_and_masked() {
    let desk = with_handoffs().await;
    let admin = desk.first();
    admin.reads_schema("hubspot").await;
    let list = admin.get("/v1/handoffs?target=hubspot").await;
    assert_eq!(list["handoffs"].as_array().unwrap().len(), 4, "{list}");
    let event = list["handoffs"][0]["event"].clone();
    let (status, draft) = admin
        .edits(
            "hubspot",
            0,
            json!({
                "ticket.hs_ticket_category": {"value": "{{ fields.category }}", "map": {"refund": "Billing issue", "warranty": "REFUND"}},
                "ticket.createdate": {"value": "{{ event.time }}"},
                "ticket.order_nr": {"value": "{{ fields.order_id }}"},
                "ticket.wa_language": {"value": "{{ handoff.summary }}", "max": 10},
            }),
        )
        .await;
    assert_eq!(status, 200, "{draft}");
    assert_eq!(draft["problems"], json!([]), "{draft}");
    let seen = admin
        .post("/v1/mappings/hubspot/preview", json!({"event": event}))
        .await;
    hides(&seen);
    let state = |path: &str| field(&seen, path)["state"]["state"].clone();
    assert_eq!(state("ticket.subject"), "fine");
    assert_eq!(state("ticket.createdate"), "read_only");
    assert_eq!(state("ticket.order_nr"), "unknown");
    assert_eq!(state("ticket.wa_language"), "shortened");
    let words = |path: &str| field(&seen, path)["words"].as_str().unwrap().to_owned();
    assert_eq!(words("ticket.order_nr"), "Unknown to HubSpot");
    assert_eq!(words("ticket.wa_language"), "Shortened, 10 of 39");
    // The caption became the code, which stands in the map and is shown.
    assert_eq!(
        field(&seen, "ticket.hs_ticket_category")["shown"]["value"],
        "BILLING_ISSUE"
    );
    let calls = seen["calls"].as_array().unwrap();
    let ticket = calls
        .iter()
        .find(|call| call["step"] == "ticket.create")
        .unwrap();
    assert_eq!(ticket["method"], "POST");
    let lines = ticket["lines"].as_array().unwrap();
    let line = lines
        .iter()
        .find(|line| line["field"] == "ticket.wa_language")
        .unwrap();
    assert_eq!(line["state"], "shortened", "{line}");
    assert!(
        lines.iter().any(|line| line["text"]
            .as_str()
            .unwrap()
            .contains("\"WhatsApp: • ••••••")),
        "{lines:#?}"
    );
    assert!(
        calls
            .iter()
            .any(|call| call["step"].as_str().unwrap().starts_with("contact")
                && call["carries_fields"] == true),
        "{calls:#?}"
    );

    // Whoever may see it, and says so, sees it; and that stands in the audit log.
    let open = admin
        .post(
            "/v1/mappings/hubspot/preview",
            json!({"event": event, "unmask": true}),
        )
        .await;
    assert!(open.to_string().contains("A broken secret parcel"));
    let audit = admin.get("/v1/audit?what=unmask").await;
    assert!(audit.to_string().contains("hubspot"), "{audit}");
    let viewer = desk.other("looks", "viewer");
    let seen = viewer
        .post("/v1/mappings/hubspot/preview", json!({"event": event}))
        .await;
    hides(&seen);
    let asked = json!({"event": event, "unmask": true});
    let (status, _) = viewer
        .ask(
            Method::POST,
            "/v1/mappings/hubspot/preview",
            None,
            Some(asked),
        )
        .await;
    assert_eq!(status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_and_values_are_those_of_real_handoffs() {
    let desk = with_handoffs().await;
    let admin = desk.first();
    admin.reads_schema("hubspot").await;
    let list = admin.get("/v1/handoffs?target=hubspot").await;
    let event = list["handoffs"][0]["event"].as_i64().unwrap();
    let sources = admin
        .get(&format!("/v1/mappings/hubspot/sources?event={event}"))
        .await;
    hides(&sources);
    let source = |path: &str| {
        let all = sources["sources"].as_array().unwrap();
        all.iter()
            .find(|one| one["path"] == path)
            .cloned()
            .unwrap_or_else(|| panic!("{path}"))
    };
    assert_eq!(
        (&source("fields.category")["there"], &sources["of"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(
        source("contact.name")["sample"],
        json!({"value": "A•• L••", "masked": true})
    );
    assert_eq!(source("fields.order_id")["sample"]["value"], 8812);
    assert_eq!(source("contact.username")["sample"]["value"], Value::Null);

    let fields = json!({"ticket.hs_ticket_category": {"value": "{{ fields.category }}", "map": {"refund": "Billing issue"}}});
    assert_eq!(admin.edits("hubspot", 0, fields).await.0, 200);
    let values = admin
        .get("/v1/mappings/hubspot/values?source=fields.category&last=500&field=ticket.hs_ticket_category")
        .await;
    let first = &values["values"][0];
    assert_eq!(
        (&first["value"]["value"], &first["count"]),
        (&json!("refund"), &json!(3)),
        "{values:#}"
    );
    assert_eq!(
        (&first["caption"], &first["fits"]),
        (&json!("Billing issue"), &json!(true))
    );
    assert_eq!(values["values"][1]["becomes"], Value::Null, "{values:#}");
    assert_eq!(values["unmapped"], "is left out, and the rep is told");
    let held = admin
        .post(
            "/v1/mappings/hubspot/condition",
            json!({"when": "fields.category == 'refund'"}),
        )
        .await;
    assert_eq!(held, json!({"holds": 3, "of": 4}));
    let (status, wrong) = admin
        .ask(
            Method::GET,
            "/v1/mappings/hubspot/values?source=contact.nmae",
            None,
            None,
        )
        .await;
    assert_eq!(status, 400);
    assert!(
        wrong["error"].as_str().unwrap().contains("did you mean"),
        "{wrong}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drift_is_told_with_the_fields_that_it_touches() {
    let desk = Desk::start().await;
    let admin = desk.first();
    // It is read as the daemon begins, without being asked for.
    eventually(SOON, || async {
        !admin.get("/v1/targets/creatio/schema").await["read_at"].is_null()
    })
    .await;
    let before = admin.get("/v1/targets/creatio/schema").await;
    assert_eq!(before["changes"], json!([]), "{}", before["changes"]);
    assert!(before["schema"]["lookups"]["CasePriority"]["whole"] == true);
    let creatio = desk.daemon.sims.target("creatio").unwrap();
    let column = json!({"entity": "Case", "name": "UsrRegion", "kind": "50"});
    creatio.switch("column", &column).unwrap();
    let subject = json!({"entity": "Case", "name": "UsrCategory", "kind": "int"});
    creatio.switch("column", &subject).unwrap();
    let fields = json!({"case.UsrCategory": {"value": "{{ fields.category }}"}});
    assert_eq!(admin.edits("creatio", 0, fields).await.0, 200);
    let published = json!({"why": "the category", "expect": 1});
    admin.post("/v1/mappings/creatio/publish", published).await;
    let read = admin
        .post("/v1/targets/creatio/schema/read", json!({}))
        .await;
    let changes: Vec<&str> = read["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["field"].as_str())
        .collect();
    assert_eq!(changes, ["case.UsrCategory", "case.UsrRegion"], "{read:#}");
    let after = admin.get("/v1/targets/creatio/schema").await;
    assert_eq!(after["touched"], json!(["case.UsrCategory"]));
    assert!(desk.daemon.log().contains("the CRM's schema changed"));
    let again = admin
        .post("/v1/targets/creatio/schema/read", json!({}))
        .await;
    assert_eq!(
        (&again["is_new"], &again["changes"]),
        (&json!(false), &json!([]))
    );
}

/// A person who types waits for no preview: what is measured is the whole way of a long handoff, without the
/// connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handoff_of_fifty_messages_is_previewed_while_one_types() {
    let desk = Desk::start().await;
    let admin = desk.first();
    let text = "a message of some length that a customer writes on a phone ".repeat(4);
    let said = |n: usize| json!({"id": format!("wamid.{n}"), "time": "2026-11-20T09:59:00Z", "author": {"kind": if n.is_multiple_of(2) { "customer" } else { "assistant" }}, "text": text});
    let payload = json!({
        "id": "long", "source": "/gateway/test", "type": "handoff.requested", "subject": "session-long", "time": "2026-11-20T10:00:00Z",
        "data": {
            "session": {"id": "session-long", "business_number": "+15550783881"},
            "contact": {"wa_id": "4915112345678", "name": "Ana López"},
            "handoff": {"reasons": ["asks for a person"], "summary": text},
            "transcript": (0..50).map(said).collect::<Vec<_>>(),
        }
    });
    for target in ["hubspot", "creatio", "salesforce"] {
        let mut fastest = f64::MAX;
        for _ in 0..5 {
            let asked = json!({"payload": payload});
            let seen = admin
                .post(&format!("/v1/mappings/{target}/preview"), asked)
                .await;
            assert!(
                seen["calls"]
                    .as_array()
                    .is_some_and(|calls| !calls.is_empty()),
                "{target}: {seen:#}"
            );
            fastest = fastest.min(seen["millis"].as_f64().unwrap());
        }
        {
            eprintln!("{target}: {fastest} ms for 50 messages");
        }
    }
}
