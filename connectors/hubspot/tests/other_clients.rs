//! The simulator where other people's clients use more of the API than handoffd does.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use jiff::SignedDuration;
use serde_json::{Value, json};
use story::Desk;

const CONTACTS: &str = "/crm/objects/2026-03/contacts";
const TICKETS: &str = "/crm/objects/2026-03/tickets";

fn desk() -> Desk {
    let portal = handoffd_hubspot::sandbox();
    let settings = portal.credentials("http://hubspot.test")["settings"].clone();
    Desk::new(&settings, portal)
}

fn made(desk: &mut Desk, path: &str, properties: Value) -> Value {
    let (status, made) = desk.request("POST", path, &json!({"properties": properties}));
    assert_eq!(status, 201, "{made}");
    made
}

fn get(desk: &mut Desk, path: &str) -> (u16, Value) {
    desk.request("GET", path, &Value::Null)
}

#[test]
fn a_search_finds_between_two_times_and_goes_no_further_than_ten_thousand() {
    let mut desk = desk();
    for n in 0..3 {
        let stage = json!({"subject": format!("t{n}"), "hs_pipeline_stage": "1"});
        made(&mut desk, TICKETS, stage);
    }
    desk.now += SignedDuration::from_secs(10);
    let path = format!("{TICKETS}/search");
    let at = |second: i64| story::at(second).as_millisecond().to_string();
    let between = |low: String, high: Value| {
        let filter = json!({"propertyName": "createdate", "operator": "BETWEEN", "value": low, "highValue": high});
        json!({"filterGroups": [{"filters": [filter]}], "sorts": ["-createdate"], "properties": ["subject"]})
    };
    let (status, found) = desk.request("POST", &path, &between(at(2), json!(at(3))));
    assert_eq!(status, 200, "{found}");
    let subjects = |found: &Value| -> Vec<String> {
        let results = found["results"].as_array().unwrap().iter();
        results
            .map(|one| one["properties"]["subject"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(subjects(&found), ["t2", "t1"]);
    let (status, _) = desk.request("POST", &path, &between(at(2), Value::Null));
    assert_eq!(status, 400, "without an upper end");
    for (after, status) in [("9999", 200), ("10000", 400)] {
        desk.now += SignedDuration::from_secs(1);
        let body = json!({"filterGroups": [], "after": after});
        assert_eq!(desk.request("POST", &path, &body).0, status, "{after}");
    }
    let sorted = json!({"filterGroups": [], "sorts": [{"propertyName": "createdate", "direction": "DESCENDING"}]});
    assert_eq!(
        desk.request("POST", &path, &sorted).0,
        400,
        "sorts are texts"
    );
}

#[test]
fn a_ticket_without_a_pipeline_is_in_the_default_one() {
    let mut desk = desk();
    let ticket = made(
        &mut desk,
        TICKETS,
        json!({"subject": "s", "hs_pipeline_stage": "2"}),
    );
    assert_eq!(ticket["properties"]["hs_pipeline"], "0");
    let other = json!({"properties": {"subject": "s", "hs_pipeline_stage": "177000001"}});
    assert_eq!(
        desk.request("POST", TICKETS, &other).0,
        400,
        "a stage of another pipeline"
    );
    let path = "/crm/pipelines/2026-03/tickets/0/stages/4";
    let (status, stage) = get(&mut desk, path);
    assert_eq!((status, stage["label"].as_str()), (200, Some("Closed")));
    assert_eq!(
        get(&mut desk, "/crm/pipelines/2026-03/tickets/0/stages/99").0,
        404
    );
}

#[test]
fn addresses_are_kept_in_lower_case_and_a_contact_may_have_several() {
    let mut desk = desk();
    let ana = made(
        &mut desk,
        CONTACTS,
        json!({"email": " Ana@A.Test ", "hs_additional_emails": "Second@A.test;third@a.test"}),
    );
    assert_eq!(ana["properties"]["email"], "ana@a.test");
    for address in ["ana@a.test", "ANA@a.test", "second@a.test", "third@a.test"] {
        let (status, found) = get(&mut desk, &format!("{CONTACTS}/{address}?idProperty=email"));
        assert_eq!((status, &found["id"]), (200, &ana["id"]), "{address}");
        let again = json!({"properties": {"email": address}});
        assert_eq!(desk.request("POST", CONTACTS, &again).0, 409, "{address}");
    }
}

#[test]
fn a_merge_fills_what_is_empty_and_may_give_a_new_id() {
    for new_id in [false, true] {
        let mut desk = desk();
        desk.portal.switch("merge_new_id", &json!(new_id)).unwrap();
        let main = made(
            &mut desk,
            CONTACTS,
            json!({"email": "a@a.test", "city": "Delft"}),
        );
        let other = made(
            &mut desk,
            CONTACTS,
            json!({"email": "b@a.test", "city": "Paris", "firstname": "Bo"}),
        );
        let body = json!({"primaryObjectId": main["id"], "objectIdToMerge": other["id"]});
        let (status, left) = desk.request("POST", &format!("{CONTACTS}/merge"), &body);
        assert_eq!(status, 200, "{left}");
        assert_eq!(left["id"] == main["id"], !new_id);
        let id = left["id"].as_str().unwrap();
        let path = format!("{CONTACTS}/{id}?properties=city,firstname,email,hs_additional_emails");
        let (_, held) = get(&mut desk, &path);
        let held = &held["properties"];
        assert_eq!(
            [
                &held["city"],
                &held["firstname"],
                &held["email"],
                &held["hs_additional_emails"]
            ],
            ["Delft", "Bo", "a@a.test", "b@a.test"]
        );
        // Both old ids lead to the one that is left, and so does the other's address.
        for old in [&main["id"], &other["id"]] {
            let (_, found) = get(&mut desk, &format!("{CONTACTS}/{}", old.as_str().unwrap()));
            assert_eq!(found["id"], left["id"]);
        }
        let (_, found) = get(&mut desk, &format!("{CONTACTS}/b@a.test?idProperty=email"));
        assert_eq!(found["id"], left["id"]);
        assert_eq!(
            desk.request("POST", &format!("{CONTACTS}/merge"), &body).0,
            400
        );
    }
}

#[test]
fn companies_and_tasks_are_plain_objects() {
    let mut desk = desk();
    let company = made(
        &mut desk,
        "/crm/objects/2026-03/companies",
        json!({"name": "Acme", "domain": "acme.test"}),
    );
    let task = made(
        &mut desk,
        "/crm/v3/objects/tasks",
        json!({"hs_timestamp": "2026-11-20T09:00:00Z", "hs_task_subject": "Call", "hs_task_status": "NOT_STARTED"}),
    );
    let ticket = made(
        &mut desk,
        TICKETS,
        json!({"subject": "s", "hs_pipeline_stage": "1"}),
    );
    let text = |one: &Value| one["id"].as_str().unwrap().to_owned();
    let (company, task, ticket) = (text(&company), text(&task), text(&ticket));
    for (to, id) in [("companies", &company), ("tasks", &task)] {
        let path = format!("{TICKETS}/{ticket}/associations/default/{to}/{id}");
        assert_eq!(desk.request("PUT", &path, &Value::Null).0, 200, "{to}");
        let (_, linked) = get(&mut desk, &format!("{TICKETS}/{ticket}/associations/{to}"));
        assert_eq!(linked["results"][0]["toObjectId"].to_string(), *id);
    }
    let wrong =
        json!({"properties": {"hs_timestamp": "2026-11-20T09:00:00Z", "hs_task_status": "SOON"}});
    assert_eq!(desk.request("POST", "/crm/v3/objects/tasks", &wrong).0, 400);
    desk.portal.switch("scopes", &json!(["tickets"])).unwrap();
    assert_eq!(get(&mut desk, "/crm/v3/objects/companies").0, 403);
}

#[test]
fn associations_are_made_read_and_parted_in_batches() {
    let mut desk = desk();
    let mut ids = Vec::new();
    for n in 0..2 {
        let ticket = made(
            &mut desk,
            TICKETS,
            json!({"subject": "s", "hs_pipeline_stage": "1"}),
        );
        let contact = made(&mut desk, CONTACTS, json!({"firstname": format!("c{n}")}));
        ids.push((ticket["id"].clone(), contact["id"].clone()));
    }
    let base = "/crm/v4/associations/tickets/contacts/batch";
    let pair = |(from, to): &(Value, Value)| json!({"from": {"id": from}, "to": {"id": to}});
    let mut typed = pair(&ids[0]);
    typed["types"] = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 16}]);
    let (status, _) = desk.request(
        "POST",
        &format!("{base}/create"),
        &json!({"inputs": [typed]}),
    );
    assert_eq!(status, 201);
    let body = json!({"inputs": [pair(&ids[1])]});
    assert_eq!(
        desk.request("POST", &format!("{base}/associate/default"), &body)
            .0,
        200
    );
    let read = json!({"inputs": [{"id": ids[0].0}, {"id": ids[1].0}, {"id": "1"}]});
    let dated = "/crm/associations/2026-03/tickets/contacts/batch/read";
    let (status, found) = desk.request("POST", dated, &read);
    assert_eq!(status, 207, "one of them is not there");
    assert_eq!(found["numErrors"], 1);
    for (n, (from, to)) in ids.iter().enumerate() {
        let one = &found["results"][n];
        assert_eq!(one["from"]["id"], *from);
        assert_eq!(one["to"][0]["toObjectId"].to_string(), to.as_str().unwrap());
    }
    let part = json!({"inputs": [{"from": {"id": ids[0].0}, "to": [{"id": ids[0].1}]}]});
    assert_eq!(
        desk.request("POST", &format!("{base}/archive"), &part).0,
        204
    );
    let (_, found) = desk.request("POST", dated, &json!({"inputs": [{"id": ids[0].0}]}));
    assert_eq!(found["results"][0]["to"], json!([]));
    let wrong = json!({"inputs": [{"from": {"id": ids[0].0}, "to": {"id": ids[0].1}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 7}]}]});
    assert_eq!(
        desk.request("POST", &format!("{base}/create"), &wrong).0,
        400
    );
}

#[test]
fn definitions_are_changed_put_away_and_read_in_batches() {
    let mut desk = desk();
    let base = "/crm/properties/2026-03/tickets";
    let new = json!({"name": "mood", "label": "Mood", "groupName": "ticketinformation", "type": "string", "fieldType": "text"});
    assert_eq!(
        desk.request("POST", base, &new).0,
        201,
        "a standard group is there"
    );
    let (status, changed) = desk.request(
        "PATCH",
        &format!("{base}/mood"),
        &json!({"label": "Humour"}),
    );
    assert_eq!((status, changed["label"].as_str()), (200, Some("Humour")));
    assert_eq!(
        desk.request(
            "PATCH",
            &format!("{base}/mood"),
            &json!({"hasUniqueValue": true})
        )
        .0,
        400
    );
    assert_eq!(
        desk.request("PATCH", &format!("{base}/subject"), &json!({"label": "x"}))
            .0,
        400
    );
    let two = json!({"inputs": [{"name": "mood"}, {"name": "subject"}]});
    let (status, read) = desk.request("POST", &format!("{base}/batch/read"), &two);
    assert_eq!(
        (status, read["results"].as_array().unwrap().len()),
        (200, 2)
    );
    let more = json!({"inputs": [{"name": "plan", "label": "Plan", "groupName": "ticketinformation", "type": "string", "fieldType": "text"}, new]});
    let (status, made) = desk.request("POST", &format!("{base}/batch/create"), &more);
    assert_eq!(
        (status, &made["numErrors"]),
        (207, &json!(1)),
        "one is there already"
    );
    assert_eq!(
        desk.request("DELETE", &format!("{base}/mood"), &Value::Null)
            .0,
        204
    );
    assert_eq!(get(&mut desk, &format!("{base}/mood")).0, 404);
    let archive = json!({"inputs": [{"name": "plan"}]});
    assert_eq!(
        desk.request("POST", &format!("{base}/batch/archive"), &archive)
            .0,
        204
    );
    assert_eq!(get(&mut desk, &format!("{base}/plan")).0, 404);
    for (kind, group) in [
        ("tickets", "ticketinformation"),
        ("contacts", "contactinformation"),
        ("companies", "companyinformation"),
    ] {
        let path = format!("/crm/properties/2026-03/{kind}/groups/{group}");
        assert_eq!(get(&mut desk, &path).0, 200, "{group}");
    }
}

#[test]
fn files_are_searched_before_they_are_ids() {
    let mut desk = desk();
    desk.work(&[story::item(
        "h1",
        10,
        story::handoff(vec![story::said(
            "m1",
            1,
            "see",
            vec![
                story::attachment("a1", "image/png", "a.png"),
                story::attachment("a2", "application/pdf", "b.pdf"),
            ],
        )]),
    )])
    .unwrap();
    let (status, all) = get(&mut desk, "/files/v3/files/search");
    assert_eq!((status, all["results"].as_array().unwrap().len()), (200, 2));
    let (_, page) = get(&mut desk, "/files/2026-03/files/search?limit=1");
    let after = page["paging"]["next"]["after"].as_str().unwrap().to_owned();
    let (_, rest) = get(&mut desk, &format!("/files/v3/files/search?after={after}"));
    assert_eq!(rest["results"].as_array().unwrap().len(), 1);
    let (_, pdf) = get(&mut desk, "/files/v3/files/search?extension=pdf");
    let id = pdf["results"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(get(&mut desk, &format!("/files/v3/files/{id}")).0, 200);
    assert_eq!(get(&mut desk, "/files/v3/files/search?colour=red").0, 400);
}

#[test]
fn inboxes_channels_and_actors_are_read() {
    let mut desk = desk();
    let base = "/conversations/v3/conversations";
    for (path, name) in [
        ("inboxes", "Support"),
        ("inboxes/1431487401", "Support"),
        ("channels", "Live chat"),
        ("channels/1007", "WhatsApp"),
        ("channel-accounts?inboxId=1431487401", "Chat"),
        ("actors/A-9586504", "Riley Rep"),
    ] {
        let (status, found) = get(&mut desk, &format!("{base}/{path}"));
        assert_eq!(status, 200, "{path}");
        let one = if found["results"].is_array() {
            &found["results"][0]
        } else {
            &found
        };
        assert_eq!(one["name"], name, "{path}");
    }
    let (_, found) = desk.request(
        "POST",
        &format!("{base}/actors/batch/read"),
        &json!({"inputs": ["A-9586505", "A-1", "I-36900466"]}),
    );
    assert_eq!(found["results"].as_array().unwrap().len(), 2);
    for missing in ["actors/A-1", "actors/x", "inboxes/1", "channels/9"] {
        assert_eq!(
            get(&mut desk, &format!("{base}/{missing}")).0,
            404,
            "{missing}"
        );
    }
    assert_eq!(
        desk.request("POST", &format!("{base}/inboxes"), &json!({}))
            .0,
        405
    );
}
