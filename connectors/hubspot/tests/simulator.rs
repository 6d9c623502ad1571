//! The simulator by itself, as any client of the API meets it.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::sandbox::Request;
use jiff::SignedDuration;
use serde_json::{Value, json};
use story::{Desk, at};

const CONTACTS: &str = "/crm/objects/2026-03/contacts";
const TICKETS: &str = "/crm/objects/2026-03/tickets";
const NOTES: &str = "/crm/objects/2026-03/notes";

fn desk() -> Desk {
    let portal = handoffd_hubspot::sandbox();
    let settings = portal.credentials("http://hubspot.test")["settings"].clone();
    Desk::new(&settings, portal)
}

fn new_ticket(desk: &mut Desk) -> String {
    let body = json!({"properties": {"subject": "s", "hs_pipeline": "0", "hs_pipeline_stage": "1", "wa_handoff_id": "hnd-1"}});
    let (status, ticket) = desk.request("POST", TICKETS, &body);
    assert_eq!(status, 201);
    ticket["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_not_documented_is_refused() {
    let mut desk = desk();
    new_ticket(&mut desk);
    let ticket = |properties: Value| json!({"properties": properties});
    let long = "x".repeat(65_537);
    let link = |id: &str, kind: u32| {
        json!({"properties": {"hs_timestamp": "1763596800000"}, "associations": [
        {"to": {"id": id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}]}]})
    };
    let table = [
        (
            "POST",
            TICKETS,
            json!({"propertys": {}}),
            400,
            "Unrecognized field",
        ),
        (
            "POST",
            TICKETS,
            ticket(json!({"subject": "s", "hs_pipeline_stage": 1})),
            400,
            "java.lang.String",
        ),
        (
            "POST",
            TICKETS,
            ticket(json!({"subject": "s"})),
            400,
            "required properties were not set",
        ),
        (
            "POST",
            TICKETS,
            ticket(json!({"subject": "s", "hs_pipeline": "0", "hs_pipeline_stage": "177000001"})),
            400,
            "INVALID_OPTION",
        ),
        (
            "POST",
            TICKETS,
            ticket(json!({"subject": "s", "hs_pipeline_stage": "1", "hs_pipeline": "9"})),
            400,
            "INVALID_OPTION",
        ),
        (
            "POST",
            TICKETS,
            ticket(
                json!({"subject": "s", "hs_pipeline": "0", "hs_pipeline_stage": "1", "mood": "x"}),
            ),
            400,
            "PROPERTY_DOESNT_EXIST",
        ),
        (
            "POST",
            TICKETS,
            ticket(
                json!({"subject": "s", "hs_pipeline": "0", "hs_pipeline_stage": "1", "content": long}),
            ),
            400,
            "INVALID_LENGTH",
        ),
        (
            "POST",
            TICKETS,
            ticket(
                json!({"subject": "s", "hs_pipeline": "0", "hs_pipeline_stage": "1", "hs_object_id": "1"}),
            ),
            400,
            "READ_ONLY_VALUE",
        ),
        (
            "POST",
            TICKETS,
            ticket(
                json!({"subject": "s", "hs_pipeline": "0", "hs_pipeline_stage": "1", "hubspot_owner_id": "1"}),
            ),
            400,
            "INVALID_OWNER_ID",
        ),
        (
            "POST",
            TICKETS,
            ticket(
                json!({"subject": "s", "hs_pipeline": "0", "hs_pipeline_stage": "1", "wa_handoff_id": "hnd-1"}),
            ),
            400,
            "CONFLICTING_UNIQUE_VALUE",
        ),
        (
            "POST",
            NOTES,
            ticket(json!({"hs_note_body": "x"})),
            400,
            "required properties were not set",
        ),
        (
            "POST",
            NOTES,
            ticket(json!({"hs_timestamp": "yesterday"})),
            400,
            "INVALID_DATE",
        ),
        ("POST", NOTES, link("1", 228), 404, "OBJECT_NOT_FOUND"),
        (
            "POST",
            NOTES,
            link("8842310021", 16),
            400,
            "No association type 16",
        ),
        ("POST", NOTES, link("8842310021", 228), 201, "hs_timestamp"),
        (
            "GET",
            "/crm/objects/2026-03/tickets/8842310021?color=red",
            Value::Null,
            400,
            "Unknown query parameter",
        ),
        (
            "GET",
            "/crm/objects/2026-03/tickets/hnd-1?idProperty=subject",
            Value::Null,
            400,
            "not a unique property",
        ),
        (
            "GET",
            "/crm/objects/2026-03/tickets/hnd-1?idProperty=wa_handoff_id",
            Value::Null,
            200,
            "8842310021",
        ),
        (
            "GET",
            "/crm/objects/2026-03/tickets/hnd-1",
            Value::Null,
            404,
            "OBJECT_NOT_FOUND",
        ),
        (
            "GET",
            "/crm/v3/objects/tickets/8842310021?associations=notes",
            Value::Null,
            200,
            "ticket_to_note",
        ),
        (
            "GET",
            "/crm/objects/2025-01/tickets/8842310021",
            Value::Null,
            404,
            "",
        ),
        ("PUT", TICKETS, Value::Null, 405, ""),
        (
            "POST",
            "/crm/objects/2026-03/contacts/search",
            json!({"filterGroups": [{"filters": [{"propertyName": "nope", "operator": "EQ", "value": "1"}]}]}),
            400,
            "does not exist",
        ),
        (
            "POST",
            "/crm/objects/2026-03/contacts/search",
            json!({"filterGroups": vec![json!({"filters": []}); 6]}),
            400,
            "too many",
        ),
        (
            "POST",
            "/crm/objects/2026-03/contacts/search",
            json!({"limit": 500}),
            400,
            "between 1 and 200",
        ),
        (
            "POST",
            "/crm/objects/2026-03/notes/batch/read",
            json!({"inputs": vec![json!({"id": "1"}); 101], "properties": []}),
            400,
            "maximum number of inputs",
        ),
        (
            "POST",
            "/crm/objects/2026-03/contacts/batch/upsert",
            json!({"inputs": [{"id": "1", "properties": {}}]}),
            400,
            "non-unique property",
        ),
        (
            "PUT",
            "/crm/objects/2026-03/tickets/8842310021/associations/default/contacts/1",
            Value::Null,
            404,
            "OBJECT_NOT_FOUND",
        ),
        (
            "GET",
            "/crm/v4/associations/notes/tickets/labels",
            Value::Null,
            200,
            "228",
        ),
        (
            "GET",
            "/crm/pipelines/2026-03/tickets",
            Value::Null,
            200,
            "ticketState",
        ),
        (
            "GET",
            "/crm/v3/owners?email=sam%40acme.test",
            Value::Null,
            200,
            "41629780",
        ),
        (
            "GET",
            "/account-info/2026-03/details",
            Value::Null,
            200,
            "uiDomain",
        ),
        (
            "POST",
            "/crm/properties/2026-03/tickets",
            json!({"name": "x", "label": "X"}),
            400,
            "required",
        ),
        (
            "POST",
            "/crm/properties/2026-03/tickets/groups",
            json!({"name": "wa_handoff", "label": "X"}),
            409,
            "already exists",
        ),
        (
            "POST",
            "/conversations/v3/conversations/threads",
            json!({}),
            405,
            "",
        ),
    ];
    for (method, path, body, status, words) in table {
        let (found, answer) = desk.request(method, path, &body);
        assert_eq!(found, status, "{method} {path} {body:.200}: {answer:.400}");
        assert!(
            words.is_empty() || answer.to_string().contains(words),
            "{method} {path}: {answer:.400}"
        );
    }
}

#[test]
fn batches_take_what_they_can() {
    let mut desk = desk();
    let input = |key: &str, phone: &str| json!({"idProperty": "wa_id", "id": key, "properties": {"phone": phone}, "objectWriteTraceId": key});
    let upsert = format!("{CONTACTS}/batch/upsert");
    let (status, answer) = desk.request(
        "POST",
        &upsert,
        &json!({"inputs": [input("31", "+31612345678"), input("32", "+32412345678")]}),
    );
    assert_eq!(
        (status, answer["results"][0]["new"].as_bool()),
        (200, Some(true))
    );
    let (_, again) = desk.request(
        "POST",
        &upsert,
        &json!({"inputs": [input("31", "+31600000000")]}),
    );
    assert_eq!(
        (
            again["results"][0]["new"].as_bool(),
            &again["results"][0]["id"]
        ),
        (Some(false), &answer["results"][0]["id"])
    );
    let create = json!({"inputs": [
        {"properties": {"email": "a@b.test"}, "objectWriteTraceId": "one"}, {"properties": {"wa_id": "31"}, "objectWriteTraceId": "two"}]});
    let (status, answer) = desk.request("POST", &format!("{CONTACTS}/batch/create"), &create);
    assert_eq!((status, answer["numErrors"].as_u64()), (207, Some(1)));
    assert_eq!(
        answer["errors"][0]["context"]["objectWriteTraceId"],
        json!(["two"])
    );
    let (status, taken) = desk.request(
        "POST",
        CONTACTS,
        &json!({"properties": {"email": "A@b.test"}}),
    );
    assert_eq!(status, 409);
    assert!(
        taken["message"]
            .as_str()
            .unwrap()
            .contains("Existing ID: 2453"),
        "{taken}"
    );
}

#[test]
fn search_is_late_and_reading_is_not() {
    let mut desk = desk();
    let (_, made) = desk.request(
        "POST",
        CONTACTS,
        &json!({"properties": {"phone": "+989123456789"}}),
    );
    let filter = |name: &str, operator: &str, value: &str| {
        json!({
        "filterGroups": [{"filters": [{"propertyName": name, "operator": operator, "value": value}]}], "properties": ["hs_calculated_phone_number"]})
    };
    let body = filter(
        "hs_searchable_calculated_phone_number",
        "CONTAINS_TOKEN",
        "*9123456789",
    );
    let search = format!("{CONTACTS}/search");
    assert_eq!(desk.request("POST", &search, &body).1["total"], 0);
    let one = format!(
        "{CONTACTS}/{}?properties=phone,nonsense",
        made["id"].as_str().unwrap()
    );
    let (_, read) = desk.request("GET", &one, &Value::Null);
    assert_eq!(
        (
            read["properties"]["phone"].as_str(),
            read["properties"].get("nonsense")
        ),
        (Some("+989123456789"), None)
    );
    desk.now += SignedDuration::from_secs(5);
    let (_, found) = desk.request("POST", &search, &body);
    assert_eq!(
        found["results"][0]["properties"]["hs_calculated_phone_number"],
        "+989123456789"
    );
    assert_eq!(
        desk.request("POST", &search, &filter("phone", "EQ", "09123456789"))
            .1["total"],
        0
    );
}

#[test]
fn limits_answer_as_they_do() {
    let mut desk = desk();
    let now = desk.now;
    let mut count = |path: &str, body: Value| {
        let mut request = Request {
            method: "POST".into(),
            path: path.into(),
            body: body.to_string().into_bytes(),
            ..Request::default()
        };
        request.headers = desk.portal.sign_in(now, &handoffd_contract::Auth::Target);
        request
            .headers
            .push(("content-type".into(), "application/json".into()));
        let answer = desk.portal.handle(now, &request);
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        (
            answer.status,
            body["policyName"].as_str().unwrap_or_default().to_owned(),
            answer,
        )
    };
    let search = format!("{CONTACTS}/search");
    for _ in 0..5 {
        assert_eq!(count(&search, json!({})).0, 200);
    }
    let (status, policy, answer) = count(&search, json!({}));
    assert_eq!((status, policy.as_str()), (429, ""));
    assert!(
        String::from_utf8(answer.body)
            .unwrap()
            .contains("secondly limit")
            && answer.headers.len() == 1
    );
    for _ in 6..100 {
        assert_eq!(count(TICKETS, json!({"properties": {}})).0, 400);
    }
    let (status, policy, answer) = count(TICKETS, json!({}));
    assert_eq!((status, policy.as_str()), (429, "TEN_SECONDLY_ROLLING"));
    assert!(
        answer
            .headers
            .iter()
            .any(|(name, value)| name == "x-hubspot-ratelimit-max" && value == "100")
    );
    desk.portal.switch("daily", &json!(1)).unwrap();
    desk.now += SignedDuration::from_secs(60);
    assert_eq!(
        desk.request("GET", TICKETS, &Value::Null).1["policyName"],
        "DAILY"
    );
    assert!(
        desk.portal
            .switch("weather", &json!(1))
            .unwrap_err()
            .contains("search_lag")
    );
}

#[test]
fn sign_in_by_token_and_by_refresh() {
    let mut desk = desk();
    let credentials = desk.portal.credentials("http://x");
    let call = |desk: &mut Desk, token: &str| {
        let headers = vec![("authorization".into(), format!("Bearer {token}"))];
        let request = Request {
            method: "GET".into(),
            path: TICKETS.into(),
            headers,
            ..Request::default()
        };
        let answer = desk.portal.handle(desk.now, &request);
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        (
            answer.status,
            body["category"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(
        call(
            &mut desk,
            credentials["secrets"]["hubspot_token"].as_str().unwrap()
        )
        .0,
        200
    );
    assert_eq!(
        call(&mut desk, "pat-wrong"),
        (401, "INVALID_AUTHENTICATION".into())
    );
    let refresh = |desk: &mut Desk, token: &str, path: &str| {
        let body = format!(
            "grant_type=refresh_token&client_id=sandbox-client-id&client_secret=sandbox-client-secret&refresh_token={token}"
        );
        let headers = vec![(
            "content-type".into(),
            "application/x-www-form-urlencoded".into(),
        )];
        let request = Request {
            method: "POST".into(),
            path: path.into(),
            headers,
            body: body.into_bytes(),
            ..Request::default()
        };
        let answer = desk.portal.handle(desk.now, &request);
        (
            answer.status,
            serde_json::from_slice::<Value>(&answer.body).unwrap(),
        )
    };
    let (status, granted) = refresh(&mut desk, "sandbox-refresh-token", "/oauth/2026-03/token");
    assert_eq!(
        (
            status,
            granted["expires_in"].as_u64(),
            granted["token_type"].as_str()
        ),
        (200, Some(1_800), Some("bearer"))
    );
    let token = granted["access_token"].as_str().unwrap().to_owned();
    assert_eq!(call(&mut desk, &token).0, 200);
    desk.now += SignedDuration::from_secs(1_801);
    assert_eq!(
        call(&mut desk, &token),
        (401, "EXPIRED_AUTHENTICATION".into())
    );
    let (status, refused) = refresh(&mut desk, "stale", "/oauth/v3/token");
    assert_eq!(
        (
            status,
            refused["status"].as_str(),
            refused["error"].as_str()
        ),
        (400, Some("BAD_REFRESH_TOKEN"), Some("invalid_grant"))
    );
    desk.portal.switch("scopes", &json!([])).unwrap();
    let (status, missing) = desk.request("GET", TICKETS, &Value::Null);
    assert_eq!(
        (
            status,
            &missing["errors"][0]["context"]["requiredGranularScopes"]
        ),
        (403, &json!(["tickets"]))
    );
}

#[test]
fn notes_are_shown_as_a_browser_would() {
    let mut desk = desk();
    let ticket = new_ticket(&mut desk);
    let body =
        "<p onclick=\"x()\">one\ntwo</p><script>bad()</script><blink>three</blink> &lt;b&gt;";
    let note = json!({"properties": {"hs_timestamp": at(0).to_string(), "hs_note_body": body}, "associations": [
        {"to": {"id": ticket}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 228}]}]});
    let (status, kept) = desk.request("POST", NOTES, &note);
    assert_eq!(status, 201);
    assert_eq!(
        kept["properties"]["hs_note_body"],
        "<p>one\ntwo</p>bad()three &lt;b&gt;"
    );
    let entry = desk.portal.view()["tickets"][0]["timeline"][0].clone();
    assert_eq!(
        (
            entry["text"].as_str(),
            entry["visible_to"].as_str(),
            entry["by"].as_str()
        ),
        (Some("one two\nbad()three <b>"), Some("reps"), Some("app"))
    );
}

#[test]
fn repeated_and_reordered_webhooks() {
    let mut desk = desk();
    for (name, value) in [
        ("webhook_url", json!("https://x.test/h")),
        ("webhook_duplicates", json!(true)),
        ("webhook_reversed", json!(true)),
    ] {
        desk.portal.switch(name, &value).unwrap();
    }
    let ticket = new_ticket(&mut desk);
    desk.act(json!({"act": "close"}));
    let batch = desk.portal.deliveries(desk.now);
    let events: Value = serde_json::from_slice(&batch[0].body).unwrap();
    let kinds: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["subscriptionType"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "object.propertyChange",
            "object.propertyChange",
            "object.creation",
            "object.creation"
        ]
    );
    assert_eq!(
        (
            events[0]["propertyValue"].as_str(),
            events[0]["changeSource"].as_str()
        ),
        (Some("4"), Some("CRM_UI"))
    );
    assert_eq!(events[0]["objectId"].to_string(), ticket);
    desk.portal.delivered(desk.now, batch[0].id, Some(404));
    desk.now += SignedDuration::from_mins(600);
    assert_eq!(desk.portal.deliveries(desk.now).len(), 0, "a 404 is final");
}

#[test]
fn threads_are_read_and_commented_but_not_made() {
    let mut desk = desk();
    let ticket = new_ticket(&mut desk);
    let thread = desk.act(json!({"act": "thread"}))["thread"]
        .as_str()
        .unwrap()
        .to_owned();
    let base = "/conversations/v3/conversations/threads";
    let (_, found) = desk.request(
        "GET",
        &format!("{base}?associatedTicketId={ticket}&association=TICKET"),
        &Value::Null,
    );
    assert_eq!(
        found["results"][0]["threadAssociations"]["associatedTicketId"],
        ticket
    );
    let messages = format!("{base}/{thread}/messages");
    assert_eq!(
        desk.request("POST", &messages, &json!({"type": "COMMENT", "text": "x"}))
            .0,
        400
    );
    let comment =
        json!({"type": "COMMENT", "text": "x", "attachments": [], "senderActorId": "A-9586504"});
    let (status, said) = desk.request("POST", &messages, &comment);
    assert_eq!(
        (status, said["createdBy"].as_str()),
        (201, Some("I-36900466"))
    );
    assert_eq!(
        desk.request(
            "POST",
            &messages,
            &json!({"type": "MESSAGE", "text": "x", "attachments": []})
        )
        .0,
        400
    );
    assert_eq!(
        desk.request(
            "PUT",
            &format!("{base}/{thread}/assignee"),
            &json!({"actorId": "A-9586504"})
        )
        .1["assignedTo"],
        "A-9586504"
    );
    assert_eq!(
        desk.request(
            "PATCH",
            &format!("{base}/{thread}"),
            &json!({"status": "CLOSED"})
        )
        .1["status"],
        "CLOSED"
    );
    assert_eq!(
        desk.request("GET", &format!("{messages}?sort=createdAt"), &Value::Null)
            .1["results"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
