//! Drafts, publishing, versions: two admins at once, tests that block, and parked handoffs that go on.

use reqwest::Method;
use serde_json::{Value, json};

use crate::alone::SOON;
use crate::desk::{Desk, field};
use handoffd_test_support::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_admins_the_second_one_sees_both_changes_and_loses_nothing() {
    let desk = Desk::start().await;
    let (mara, jonas) = (desk.first(), desk.other("jonas", "admin"));
    let (status, draft) = mara
        .edits("hubspot", 0, json!({"ticket.subject": {"max": 100}, "ticket.order_number": {"value": "{{ fields.order_id }}"}}))
        .await;
    assert_eq!(status, 200, "{draft}");
    let mine = draft["draft"]["revision"].as_i64().unwrap();
    // A draft is somebody's own, and others see that there is one.
    let view = jonas.get("/v1/mappings/hubspot").await;
    assert_eq!(view["draft"], Value::Null);
    assert_eq!(view["others"].as_array().unwrap().len(), 1);
    let theirs = json!({"ticket.subject": {"max": 80}, "contact.email": null});
    assert_eq!(jonas.edits("hubspot", 0, theirs).await.0, 200);
    // A test holds the field that is taken out, and that blocks.
    let tests = jonas.get("/v1/mappings/hubspot/tests").await;
    let problem = tests["problems"][0]["message"].as_str().unwrap();
    assert!(problem.contains("contact.email"), "{tests:#}");
    let asked = json!({"why": "shorter", "expect": 1});
    let (status, refused) = jonas
        .ask(
            Method::POST,
            "/v1/mappings/hubspot/publish",
            None,
            Some(asked.clone()),
        )
        .await;
    assert_eq!(status, 422, "{refused}");
    let theirs = json!({"contact.email": {"value": "{{ contact.email | lower }}", "max": 200, "too_long": "drop"}});
    assert_eq!(jonas.edits("hubspot", 1, theirs).await.0, 200);
    let done = jonas.post("/v1/mappings/hubspot/publish", asked).await;
    assert_eq!(done["version"], 2);

    let asked = json!({"why": "the order", "expect": 1});
    let (status, conflict) = mara
        .ask(
            Method::POST,
            "/v1/mappings/hubspot/publish",
            None,
            Some(asked),
        )
        .await;
    assert_eq!(status, 409, "{conflict}");
    assert_eq!(conflict["latest"]["version"], 2);
    assert_eq!(conflict["both"], json!(["ticket.subject"]), "{conflict:#}");
    let named = |list: &Value| -> Vec<String> {
        let fields = list.as_array().unwrap().iter();
        fields
            .map(|one| one["field"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        named(&conflict["mine"]),
        ["ticket.subject", "ticket.order_number"]
    );
    assert_eq!(
        named(&conflict["theirs"]),
        ["ticket.subject", "contact.email"]
    );
    let (status, draft) = mara
        .ask(
            Method::POST,
            "/v1/mappings/hubspot/draft/rebase",
            Some(mine),
            Some(json!({"theirs": ["ticket.subject"]})),
        )
        .await;
    assert_eq!(status, 200, "{draft}");
    assert_eq!(field(&draft, "ticket.subject")["keys"]["max"], 80);
    assert_eq!(named(&draft["changes"]), ["ticket.order_number"]);
    let stale = mara.edits("hubspot", mine, json!({})).await;
    assert_eq!(stale.0, 409, "{stale:?}");
    let done = mara
        .post(
            "/v1/mappings/hubspot/publish",
            json!({"why": "the order", "expect": 2}),
        )
        .await;
    assert_eq!(done["version"], 3);

    let versions = mara.get("/v1/mappings/hubspot/versions").await;
    assert_eq!(versions["versions"].as_array().unwrap().len(), 3);
    assert_eq!(versions["versions"][0]["why"], "the order");
    let between = mara.get("/v1/mappings/hubspot/versions/1...3").await;
    assert_eq!(
        named(&between["fields"]),
        ["ticket.subject", "ticket.order_number", "contact.email"]
    );
    // Roll-back is a draft of the old version, and comments are kept all the way.
    let draft = mara
        .post("/v1/mappings/hubspot/restore", json!({"version": 1}))
        .await;
    let shipped = include_str!("../../mappings/hubspot.toml");
    assert_eq!(draft["text"], shipped);
    let (_, file) = mara
        .ask(
            Method::GET,
            "/v1/mappings/hubspot/export?version=3",
            None,
            None,
        )
        .await;
    let file = file.as_str().unwrap().to_owned();
    assert!(file.contains("# LOW, MEDIUM, HIGH and URGENT are HubSpot's own values."));
    let imported = mara
        .post(
            "/v1/mappings/hubspot/import",
            json!({"text": file, "revision": 1}),
        )
        .await;
    assert_eq!(imported["changes"], json!([]));
    let audit = mara.get("/v1/audit?what=mapping%20publish").await;
    assert_eq!(
        audit["entries"].as_array().map(Vec::len),
        Some(2),
        "{audit:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draft_is_saved_over_a_named_revision_by_admins_only() {
    let desk = Desk::start().await;
    let admin = desk.first();
    let path = "/v1/mappings/hubspot/draft";
    let body = json!({"fields": {}});
    let (status, _) = admin.ask(Method::PUT, path, None, Some(body.clone())).await;
    assert_eq!(status, 428);
    for role in ["viewer", "operator"] {
        let other = desk.other(role, role);
        let (status, _) = other
            .ask(Method::PUT, path, Some(0), Some(body.clone()))
            .await;
        assert_eq!(status, 403, "{role}");
        assert!(other.get("/v1/mappings/hubspot").await["fields"].is_array());
    }
    let wrong = admin
        .edits("hubspot", 0, json!({"ticket.subject": {"maxx": 1}}))
        .await;
    assert_eq!(wrong.0, 400, "{wrong:?}");
    let (status, draft) = admin
        .ask(
            Method::PUT,
            path,
            Some(0),
            Some(
                json!({"text": "kind = \"hubspot\"\n[ticket]\nsubject = \"{{ contact.nmae }}\"\n"}),
            ),
        )
        .await;
    assert_eq!(status, 200, "a draft may be wrong");
    assert_eq!(draft["problems"][0]["line"], 3, "{draft}");
    let (status, gone) = admin.ask(Method::DELETE, path, None, None).await;
    assert_eq!((status, &gone["draft"]), (200, &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn just_the_handoffs_that_are_parked_for_a_field_go_on_after_its_change() {
    let desk = Desk::start().await;
    let admin = desk.first();
    let fields = json!({
        "ticket.hs_ticket_category": {"value": "{{ fields.category }}", "map": {"refund": "BILLING_ISSUE"}, "misfit": "park"},
        "ticket.wa_language": {"value": "{{ fields.lang }}", "map": {"en": "English"}, "misfit": "park"},
    });
    assert_eq!(admin.edits("hubspot", 0, fields).await.0, 200);
    admin
        .post(
            "/v1/mappings/hubspot/publish",
            json!({"why": "categories", "expect": 1}),
        )
        .await;
    desk.hands_over("h1", json!({"category": "warranty"})).await;
    desk.hands_over("h2", json!({"category": "warranty"})).await;
    desk.hands_over("h3", json!({"category": "refund", "lang": "de"}))
        .await;
    desk.hands_over("h4", json!({"category": "refund"})).await;
    let list = admin.waits_for_parked("hubspot", 3).await;
    let parked: Vec<&Value> = list["handoffs"]
        .as_array()
        .unwrap()
        .iter()
        .take(3)
        .collect();
    let of = |field: &str| parked.iter().filter(|one| one["field"] == field).count();
    assert_eq!(
        (of("ticket.hs_ticket_category"), of("ticket.wa_language")),
        (2, 1),
        "{list:#}"
    );
    let stuck = parked
        .iter()
        .find(|one| one["field"] == "ticket.hs_ticket_category")
        .unwrap();
    let seen = admin
        .post(
            "/v1/mappings/hubspot/preview",
            json!({"event": stuck["event"]}),
        )
        .await;
    assert_eq!(
        field(&seen, "ticket.hs_ticket_category")["parks"],
        true,
        "{seen:#}"
    );
    assert!(
        seen["stop"]
            .as_str()
            .unwrap()
            .contains("hs_ticket_category")
    );

    let fields = json!({"ticket.hs_ticket_category": {"map": {"refund": "BILLING_ISSUE", "warranty": "PRODUCT_ISSUE"}}});
    assert_eq!(admin.edits("hubspot", 0, fields).await.0, 200);
    let compared = admin
        .post("/v1/mappings/hubspot/compare", json!({"last": 100}))
        .await;
    assert_eq!(compared["newly_passing_count"], 2, "{compared:#}");
    assert_eq!(
        compared["fields"][0]["examples"][0]["after"]["value"], "PRODUCT_ISSUE",
        "{compared:#}"
    );
    let asked = |dry_run: bool| json!({"why": "warranty", "expect": 2, "retry": true, "event": stuck["event"], "dry_run": dry_run});
    let dry = admin
        .post("/v1/mappings/hubspot/publish", asked(true))
        .await;
    assert_eq!(
        (&dry["dry_run"], dry["retried"].as_array().map(Vec::len)),
        (&json!(true), Some(2)),
        "{dry:#}"
    );
    assert_eq!(admin.waits_for_parked("hubspot", 3).await["parked"], 3);
    let done = admin
        .post("/v1/mappings/hubspot/publish", asked(false))
        .await;
    assert_eq!(
        done["retried"].as_array().map(Vec::len),
        Some(2),
        "{done:#}"
    );
    admin.waits_for_parked("hubspot", 1).await;
    eventually(SOON, || async {
        let view = desk.view("hubspot").to_string();
        view.matches("PRODUCT_ISSUE").count() >= 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handoff_is_kept_as_a_test_that_blocks_what_breaks_it() {
    let desk = Desk::start().await;
    let admin = desk.first();
    desk.hands_over("h1", json!({"note": "a secret note", "amount": 12}))
        .await;
    let list = admin.get("/v1/handoffs?target=hubspot").await;
    let event = list["handoffs"][0]["event"].clone();
    let kept =
        json!({"name": "angry ones first", "event": event, "hold": ["ticket.hs_ticket_priority"]});
    let draft = admin.post("/v1/mappings/hubspot/tests/keep", kept).await;
    let text = draft["text"].as_str().unwrap();
    assert!(
        text.contains("angry ones first") && !text.contains("secret"),
        "{text}"
    );
    let (status, draft) = admin
        .edits("hubspot", 1, json!({"ticket.hs_ticket_priority": {"map": {"negative": "LOW", "neutral": "LOW", "positive": "LOW"}}}))
        .await;
    assert_eq!(status, 200, "{draft}");
    let tests = admin
        .post("/v1/mappings/hubspot/tests/run", json!({}))
        .await;
    let failing: Vec<&Value> = tests["tests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|test| test["passes"] == false)
        .collect();
    assert!(
        failing
            .iter()
            .any(|test| test["name"] == "angry ones first"),
        "{tests:#}"
    );
    let (status, refused) = admin
        .ask(
            Method::POST,
            "/v1/mappings/hubspot/publish",
            None,
            Some(json!({"why": "x", "expect": 1})),
        )
        .await;
    assert_eq!(status, 422);
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("angry ones first"),
        "{refused}"
    );
}
