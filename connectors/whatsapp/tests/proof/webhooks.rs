//! Meta's webhooks, in every form they come in.

use handoffd_contract::event::DeliveryState;
use handoffd_contract::{Connector, Frame, InboundKind, Reason, Refusal, Subject};
use serde_json::{Value, json};

use crate::cast::cloud;

fn hear(
    connector: &dyn Connector,
    body: &[u8],
) -> Result<handoffd_contract::FrameContent, Refusal> {
    connector.hear(&Frame::Webhook { headers: &[], body })
}

fn webhook(value: Value) -> Vec<u8> {
    let mut value = value;
    value["messaging_product"] = "whatsapp".into();
    if value.get("metadata").is_none() {
        value["metadata"] =
            json!({"display_phone_number": "15550783881", "phone_number_id": "106540352242922"});
    }
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]})
        .to_string()
        .into_bytes()
}

const REFERENCE: &str = "0123456789abcdef0123";

#[test]
fn statuses_are_heard_wherever_they_are() {
    let connector = cloud(json!({}));
    let status = |word: &str| json!({"id": "wamid.1", "status": word, "timestamp": "1763600009", "recipient_id": "4915112345678", "biz_opaque_callback_data": REFERENCE});
    // Two entries with two changes each, beside messages and empty lists.
    let change = |words: [&str; 2]| json!({"field": "messages", "value": {"statuses": words.map(status), "errors": [], "messages": []}});
    let body = json!({"object": "whatsapp_business_account", "entry": [
        {"id": "1", "changes": [change(["sent", "delivered"]), change(["read", "warned"])]},
        {"id": "2", "changes": [{"field": "account_update", "value": {}}]},
        {"id": "3"},
        {"id": "4", "changes": [change(["played", "warned"])]},
    ]});
    let hearing = hear(&*connector, body.to_string().as_bytes()).expect("JSON");
    let states: Vec<DeliveryState> = hearing
        .heard
        .iter()
        .map(|heard| match &heard.kind {
            InboundKind::Status { state, .. } => *state,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        states,
        [
            DeliveryState::Sent,
            DeliveryState::Delivered,
            DeliveryState::Read,
            DeliveryState::Read
        ]
    );
    let ids: Vec<&str> = hearing
        .heard
        .iter()
        .map(|heard| heard.id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "wamid.1:sent",
            "wamid.1:delivered",
            "wamid.1:read",
            "wamid.1:played"
        ]
    );
    let about = Subject::Fact {
        name: format!("ref/{REFERENCE}"),
        value: String::new(),
    };
    assert_eq!(hearing.heard[0].subject, about);
    assert_eq!(
        hearing.heard[0].at.map(|at| at.as_second()),
        Some(1_763_600_009)
    );
}

/// Nobody else may have them: they are refused aloud, unless it is said that they come another way.
#[test]
fn messages_of_customers_are_refused_aloud_and_statuses_beside_them_heard() {
    let set = json!({"webhooks": {"app_secret": "a", "verify_token": "v", "messages": "report"}});
    let text = json!({"from": "16505551234", "id": "wamid.2", "type": "text", "text": {"body": "Hi, it broke"}});
    let status = json!({"id": "wamid.1", "status": "read", "timestamp": "1763600009"});
    let both = webhook(json!({"messages": [text], "statuses": [status]}));
    let hearing = hear(&*cloud(set.clone()), &both).expect("JSON");
    assert_eq!(hearing.heard.len(), 1, "{hearing:?}");
    let stop = hearing.refused.expect("refused");
    assert_eq!(stop.reason, Reason::Unsupported);
    assert!(
        stop.message
            .contains("lead Meta's webhook to an [intake.source]"),
        "{stop:?}"
    );
    assert!(
        !stop.message.contains("broke") && !stop.message.contains("1650"),
        "{stop:?}"
    );

    let elsewhere =
        webhook(json!({"metadata": {"phone_number_id": "1"}, "messages": [{"id": "wamid.2"}]}));
    let statuses =
        webhook(json!({"statuses": [{"id": "wamid.1", "status": "read"}], "messages": []}));
    for (what, body) in [("another number", elsewhere), ("statuses alone", statuses)] {
        let hearing = hear(&*cloud(set.clone()), &body).expect("JSON");
        assert_eq!(hearing.refused, None, "{what}");
    }
    let told =
        cloud(json!({"webhooks": {"app_secret": "a", "verify_token": "v", "messages": "ignore"}}));
    let hearing = hear(&*told, &both).expect("JSON");
    assert_eq!((hearing.heard.len(), hearing.refused), (1, None));
}

#[test]
fn a_failed_status_has_its_code_and_words_in_every_form() {
    let connector = cloud(json!({}));
    let failed = |errors: Value| {
        let body = webhook(
            json!({"statuses": [{"id": "wamid.1", "status": "failed", "timestamp": 1_763_600_009, "errors": errors}]}),
        );
        let mut hearing = hear(&*connector, &body).expect("JSON");
        let heard = hearing.heard.remove(0);
        let InboundKind::Status {
            error_code, error, ..
        } = heard.kind
        else {
            panic!("no status")
        };
        (heard.subject, error_code, error)
    };
    let by_id = Subject::Fact {
        name: "wamid/wamid.1".into(),
        value: String::new(),
    };
    let full = json!([{"code": 131047, "title": "Re-engagement message", "error_data": {"details": "More than 24 hours"}}]);
    assert_eq!(
        failed(full),
        (
            by_id.clone(),
            Some(131_047),
            Some("More than 24 hours".into())
        )
    );
    assert_eq!(
        failed(json!([{"code": 1, "title": "T", "error_data": "as text"}])).2,
        Some("as text".into())
    );
    assert_eq!(
        failed(json!([{"code": 1, "title": "T"}])).2,
        Some("T".into())
    );
    assert_eq!(failed(json!([])), (by_id.clone(), None, None));
    assert_eq!(failed(json!("?")), (by_id, None, None));
}

#[test]
fn what_is_not_ours_is_skipped_and_nothing_fails_the_batch() {
    let connector = cloud(json!({}));
    let message = |object: Value| webhook(json!({"contacts": [], "messages": [object]}));
    let quiet: Vec<(&str, Vec<u8>)> = vec![
        ("a text", message(json!({"from": "16505551234", "id": "wamid.2", "timestamp": "1", "type": "text", "text": {"body": "Hi"}}))),
        ("by user id only", message(json!({"from_user_id": "US.1349", "id": "wamid.2", "timestamp": "1", "type": "text", "text": {"body": "Hi"}}))),
        ("an unknown type", message(json!({"id": "wamid.2", "type": "hologram", "errors": [{"code": 131051}]}))),
        ("no message at all", webhook(json!({"messages": null, "contacts": null}))),
        ("a number change", message(json!({"type": "system", "system": {"type": "user_changed_number", "wa_id": "1"}}))),
        ("an unknown status", webhook(json!({"statuses": [{"id": "wamid.1", "status": "warned"}]}))),
        ("a status without an id", webhook(json!({"statuses": [{"status": "sent"}, 7, null]}))),
        ("another sender's data", webhook(json!({"statuses": [{"id": "w", "status": "sent", "biz_opaque_callback_data": "campaign-7"}]}))),
        ("another number", webhook(json!({"metadata": {"phone_number_id": "1"}, "statuses": [{"id": "w", "status": "sent"}]}))),
        ("another field", json!({"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "standby", "value": {"standby": {"statuses": []}}}]}]}).to_string().into()),
        ("no entries", json!({"object": "whatsapp_business_account"}).to_string().into()),
        ("another product", json!({"object": "page", "entry": []}).to_string().into()),
        ("a list", b"[1, 2]".to_vec()),
    ];
    for (what, body) in quiet {
        let hearing = hear(&*connector, &body).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(
            hearing.heard.is_empty() && hearing.skipped.is_some(),
            "{what}: {hearing:?}"
        );
    }
    for body in [&b"{"[..], b"", b"\xff\xfe", b"<html>"] {
        let refused = hear(&*connector, body).expect_err("not JSON");
        assert!(matches!(refused, Refusal::Park(stop) if stop.reason == Reason::Undecodable));
    }
    let off = cloud(json!({"webhooks": null}));
    assert!(
        hear(
            &*off,
            &webhook(json!({"statuses": [{"id": "w", "status": "sent"}]}))
        )
        .expect("quiet")
        .heard
        .is_empty()
    );
}
