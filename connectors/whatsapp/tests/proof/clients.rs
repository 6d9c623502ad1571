//! The simulator's Cloud API as clients of any make use it: what they send and read beside a text.

use handoffd_contract::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::simulator::{ANA, NUMBER, WABA, call, hooks, meta, post, request, start, to_ana};

fn interactive(kind: &str, action: Value) -> Value {
    json!({"type": kind, "body": {"text": "b"}, "action": action})
}

/// The newest message webhook after an act of Ana's, with what the act told.
fn told(sandbox: &mut dyn Sandbox, act: Value) -> (Value, Value) {
    let mut whole = json!({"from": ANA});
    let act = act.as_object().expect("an object").clone();
    whole.as_object_mut().expect("an object").extend(act);
    let said = sandbox.act(start(), &whole).expect("an act");
    let heard = hooks(sandbox, 0);
    let value = heard
        .into_iter()
        .rev()
        .find(|value| value["messages"].is_array());
    (value.expect("a message"), said)
}

#[test]
fn everything_that_a_customer_can_answer_or_open_is_taken_and_its_faults_are_named() {
    let section = json!({"title": "Caps", "product_items": [{"product_retailer_id": "SKU-1"}]});
    let forms = [
        interactive(
            "flow",
            json!({"name": "flow", "parameters": {"flow_message_version": "3", "flow_cta": "Open", "flow_id": "1"}}),
        ),
        interactive("location_request_message", json!({"name": "send_location"})),
        interactive(
            "request_contact_info",
            json!({"name": "request_contact_info"}),
        ),
        interactive(
            "catalog_message",
            json!({"name": "catalog_message", "parameters": {"thumbnail_product_retailer_id": "SKU-1"}}),
        ),
        interactive(
            "voice_call",
            json!({"name": "voice_call", "parameters": {"display_text": "Call"}}),
        ),
        json!({"type": "product", "action": {"catalog_id": "1", "product_retailer_id": "SKU-1"}}),
        json!({"type": "product_list", "header": {"type": "text", "text": "h"}, "body": {"text": "b"},
            "action": {"catalog_id": "1", "sections": [section]}}),
        json!({"type": "cta_url", "header": {"type": "image", "image": {"link": "https://x.test/a.png"}}, "body": {"text": "b"},
            "action": {"name": "cta_url", "parameters": {"display_text": "Open", "url": "https://x.test"}}}),
    ];
    for form in forms {
        let (status, answer) = post(&mut *meta(), &to_ana("interactive", form.clone()));
        assert_eq!(status, 200, "{form}: {answer}");
    }
    for (form, words) in [
        (
            interactive(
                "flow",
                json!({"name": "flow", "parameters": {"flow_cta": "Open", "flow_id": "1"}}),
            ),
            "flow_message_version",
        ),
        (
            interactive(
                "flow",
                json!({"name": "flow", "parameters": {"flow_message_version": "3", "flow_cta": "Open"}}),
            ),
            "flow_id",
        ),
        (
            interactive(
                "location_request_message",
                json!({"name": "request_contact_info"}),
            ),
            "{send_location}",
        ),
        (
            interactive(
                "cta_url",
                json!({"name": "button", "parameters": {"display_text": "Open", "url": "https://x.test"}}),
            ),
            "{cta_url}",
        ),
        (
            json!({"type": "location_request_message", "header": {"type": "text", "text": "h"}, "body": {"text": "b"}, "action": {"name": "send_location"}}),
            "header",
        ),
        (
            json!({"type": "product_list", "body": {"text": "b"}, "action": {"catalog_id": "1", "sections": []}}),
            "header",
        ),
        (interactive("poll", json!({})), "must be one of"),
    ] {
        let (status, answer) = post(&mut *meta(), &to_ana("interactive", form.clone()));
        assert_eq!(status, 400, "{form}");
        assert!(answer.to_string().contains(words), "{form}: {answer}");
    }
}

#[test]
fn templates_are_written_in_either_case_and_listed_with_examples() {
    for kind in ["body", "BODY", "Body"] {
        let parameters = json!([{"type": "text", "text": "Yes"}]);
        let template = json!({"name": "handoff_reply", "language": {"code": "de"},
            "components": [{"type": kind, "parameters": parameters}]});
        let mut sandbox = meta();
        let (status, answer) = post(&mut *sandbox, &to_ana("template", template));
        assert_eq!(status, 200, "{kind}: {answer}");
        let shown = sandbox.view()["phones"][ANA]["conversation"].to_string();
        assert!(shown.contains("Unser Team hat geantwortet: Yes"), "{shown}");
    }
    let listed = request(
        "GET",
        &format!("/v25.0/{WABA}/message_templates"),
        &Value::Null,
    );
    let (_, page) = call(&mut *meta(), start(), &listed);
    assert_eq!(page["summary"]["total_count"], 5);
    let body = &page["data"][2]["components"][0];
    assert_eq!(
        body["example"],
        json!({"body_text": [["example 1", "example 2"]]}),
        "{page}"
    );
}

#[test]
fn the_account_its_numbers_its_profile_and_its_apps_can_be_read_and_set() {
    let mut sandbox = meta();
    let mut ask = |method: &str, path: &str, query: &[(&str, &str)], body: Value| {
        let mut request = request(method, &format!("/v25.0/{path}"), &body);
        request.query = query
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        call(&mut *sandbox, start(), &request)
    };
    let get = Value::Null;
    let (_, account) = ask("GET", WABA, &[("fields", "name")], get.clone());
    assert_eq!(account, json!({"id": WABA, "name": "Sandbox Shop"}));
    let (status, _) = ask("GET", WABA, &[("fields", "nonsense")], get.clone());
    assert_eq!(status, 400);
    // What is documented and not set is left out.
    let asked = [("fields", "id,quality_score,certificate")];
    let (_, number) = ask("GET", NUMBER, &asked, get.clone());
    let left = json!({"id": NUMBER, "quality_score": {"score": "GREEN"}});
    assert_eq!(number, left);
    let (_, numbers) = ask("GET", &format!("{WABA}/phone_numbers"), &[], get.clone());
    assert_eq!(numbers["data"][0]["id"], NUMBER);

    let profile = format!("{NUMBER}/whatsapp_business_profile");
    let set =
        json!({"messaging_product": "whatsapp", "about": "Caps", "websites": ["https://x.test"]});
    assert_eq!(
        ask("POST", &profile, &[], set),
        (200, json!({"success": true}))
    );
    let (_, shown) = ask(
        "GET",
        &profile,
        &[("fields", "about,websites,email")],
        get.clone(),
    );
    assert_eq!(
        shown["data"][0],
        json!({"messaging_product": "whatsapp", "about": "Caps", "websites": ["https://x.test"]})
    );
    let long = json!({"messaging_product": "whatsapp", "about": "x".repeat(140)});
    assert_eq!(ask("POST", &profile, &[], long).0, 400);

    let apps = format!("{WABA}/subscribed_apps");
    assert_eq!(ask("GET", &apps, &[], get.clone()).1["data"], json!([]));
    assert_eq!(
        ask("POST", &apps, &[], get.clone()),
        (200, json!({"success": true}))
    );
    let (_, list) = ask("GET", &apps, &[], get.clone());
    assert_eq!(
        list["data"][0]["whatsapp_business_api_data"]["name"],
        "Sandbox"
    );
    ask("DELETE", &apps, &[], get.clone());
    assert_eq!(ask("GET", &apps, &[], get).1["data"], json!([]));
}

#[test]
fn nothing_comes_from_a_customer_whom_the_business_has_blocked() {
    let mut sandbox = meta();
    let path = format!("/v25.0/{NUMBER}/block_users");
    let users = |users: &[&str]| {
        let users: Vec<Value> = users.iter().map(|user| json!({"user": user})).collect();
        json!({"messaging_product": "whatsapp", "block_users": users})
    };
    let stranger = "+4915199999999";
    let block = request("POST", &path, &users(&[&format!("+{ANA}"), stranger]));
    let (status, answer) = call(&mut *sandbox, start(), &block);
    assert_eq!(status, 200);
    assert_eq!(
        answer["block_users"]["added_users"],
        json!([{"input": format!("+{ANA}"), "wa_id": ANA}])
    );
    // Who has not written lately cannot be blocked.
    assert_eq!(answer["block_users"]["failed_users"][0]["input"], stranger);
    let (_, listed) = call(&mut *sandbox, start(), &request("GET", &path, &Value::Null));
    assert_eq!(listed["data"][0]["wa_id"], ANA);
    let act = json!({"act": "text", "from": ANA, "text": "hello?"});
    sandbox.act(start(), &act).expect("an act");
    assert_eq!(hooks(&mut *sandbox, 0), [Value::Null; 0]);
    call(
        &mut *sandbox,
        start(),
        &request("DELETE", &path, &users(&[ANA])),
    );
    sandbox.act(start(), &act).expect("an act");
    assert_eq!(hooks(&mut *sandbox, 0).len(), 1);
}

#[test]
fn a_customer_has_a_user_id_in_every_webhook_and_an_answer_says_what_it_answers() {
    let mut sandbox = meta();
    let buttons = json!({"buttons": [{"type": "reply", "reply": {"id": "o1", "title": "Red"}}]});
    let (_, sent) = post(
        &mut *sandbox,
        &to_ana("interactive", interactive("button", buttons)),
    );
    let status = hooks(&mut *sandbox, 10);
    let (value, _) = told(
        &mut *sandbox,
        json!({"act": "choose", "id": "o1", "title": "Red"}),
    );
    let message = &value["messages"][0];
    assert_eq!(
        message["interactive"]["button_reply"],
        json!({"id": "o1", "title": "Red"})
    );
    assert_eq!(message["context"]["id"], sent["messages"][0]["id"]);
    let user = value["contacts"][0]["user_id"].as_str().expect("a user id");
    assert!(
        user.starts_with("DE.") && message["from_user_id"] == user,
        "{value}"
    );
    assert_eq!(status[0]["contacts"][0]["user_id"], user);
    // A template's button comes in a form of its own.
    let (value, _) = told(
        &mut *sandbox,
        json!({"act": "choose", "form": "button", "id": "p", "title": "Yes"}),
    );
    assert_eq!(
        value["messages"][0]["button"],
        json!({"payload": "p", "text": "Yes"})
    );
    // And the customer can be written to by it.
    let mut body = to_ana("text", json!({"body": "x"}));
    body.as_object_mut().expect("an object").remove("to");
    body["recipient"] = user.into();
    assert_eq!(post(&mut *sandbox, &body).0, 200);
}

#[test]
fn edits_deletions_cards_orders_and_what_is_not_handed_on_come_as_documented() {
    let mut sandbox = meta();
    let (_, said) = told(&mut *sandbox, json!({"act": "text", "text": "Helo"}));
    let id = said["id"].clone();
    let (value, _) = told(
        &mut *sandbox,
        json!({"act": "edit", "message": id, "text": "Hello"}),
    );
    let message = &value["messages"][0];
    assert_eq!(
        (&message["type"], message["id"] != id),
        (&json!("edit"), true)
    );
    assert_eq!(
        message["edit"],
        json!({"original_message_id": id, "message": {"type": "text", "text": {"body": "Hello"}}})
    );
    let shown = |sandbox: &dyn Sandbox| {
        let view = sandbox.view();
        let all = view["phones"][ANA]["conversation"].as_array().cloned();
        all.expect("a conversation")
            .into_iter()
            .find(|one| one["id"] == id)
            .expect("shown")
    };
    assert_eq!(
        (&shown(&*sandbox)["text"], &shown(&*sandbox)["edited"]),
        (&json!("Hello"), &json!(true))
    );
    let (value, _) = told(&mut *sandbox, json!({"act": "delete", "message": id}));
    assert_eq!(
        value["messages"][0]["revoke"],
        json!({"original_message_id": id})
    );
    assert_eq!(
        (&shown(&*sandbox)["text"], &shown(&*sandbox)["deleted"]),
        (&Value::Null, &json!(true))
    );
    let wrong = json!({"act": "delete", "from": ANA, "message": "wamid.none"});
    assert!(sandbox.act(start(), &wrong).is_err());

    let (value, _) = told(
        &mut *sandbox,
        json!({"act": "contacts", "name": "Lucía", "phone": "+1 983"}),
    );
    assert_eq!(
        value["messages"][0]["contacts"][0]["phones"][0]["phone"],
        "+1 983"
    );
    assert_eq!(
        value["contacts"][0]["profile"]["name"], "Ana",
        "the card is somebody else's"
    );
    let item = json!({"product": "SKU-1", "quantity": 2, "price": 9.99});
    let (value, _) = told(
        &mut *sandbox,
        json!({"act": "order", "items": [item], "text": "soon"}),
    );
    let order = &value["messages"][0]["order"];
    assert_eq!(
        order["product_items"][0],
        json!({"product_retailer_id": "SKU-1", "quantity": 2, "item_price": 9.99, "currency": "EUR"})
    );
    let (value, _) = told(
        &mut *sandbox,
        json!({"act": "unsupported", "kind": "poll_creation"}),
    );
    let message = &value["messages"][0];
    assert_eq!(
        (
            &message["unsupported"]["type"],
            &message["errors"][0]["code"]
        ),
        (&json!("poll_creation"), &json!(131051))
    );
}

#[test]
fn a_reaction_opens_the_window_where_that_is_switched_on() {
    for opens in [false, true] {
        let mut sandbox = handoffd_whatsapp::sandbox();
        let switch = sandbox.switch("reactions_open_window", &json!(opens));
        switch.expect("a switch");
        let act = json!({"act": "react", "from": ANA, "message": "wamid.x", "emoji": "👍"});
        sandbox.act(start(), &act).expect("an act");
        let until = &sandbox.view()["phones"][ANA]["window_open_until"];
        assert_eq!(until.is_string(), opens, "{until}");
    }
}

/// As whatsapp-api-js 6.3 sends contact cards.
#[test]
fn a_list_may_be_json_in_a_text() {
    let cards = json!([{"name": {"formatted_name": "Ana", "first_name": "Ana"}}]);
    let mut body = to_ana("contacts", json!(cards.to_string()));
    let (status, answer) = post(&mut *meta(), &body);
    assert_eq!(status, 200, "{answer}");
    for wrong in ["no JSON", "[", "{}"] {
        body["contacts"] = wrong.into();
        assert_eq!(post(&mut *meta(), &body).0, 400, "{wrong}");
    }
    // A text is a text, whatever stands in it.
    let (status, _) = post(&mut *meta(), &to_ana("text", json!({"body": "[1]"})));
    assert_eq!(status, 200);
}
