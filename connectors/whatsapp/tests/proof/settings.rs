//! Wrong settings, each with its exact words.

use handoffd_contract::{Credential, Secret, WebhookAuth};
use serde_json::{Value, json};

use crate::cast::gateway;

/// Every wrong setting gets its own words, and all of them come at once.
#[test]
fn wrong_settings_are_named_all_at_once() {
    let cases: Vec<(Value, Vec<(&str, &str)>)> = vec![
        (
            json!({}),
            vec![(
                "exit",
                "is missing; write \"gateway\", \"cloud_api\" or \"http\"",
            )],
        ),
        (
            json!("x"),
            vec![("", "found a text of 1 character; write a table")],
        ),
        (
            json!({"exit": "smoke"}),
            vec![(
                "exit",
                "found a text of 5 characters; write one of gateway, cloud_api, http",
            )],
        ),
        (
            json!({"exit": "gateway"}),
            vec![
                ("exchange", "is missing; name the gateway's exchange"),
                ("routing_key", "is missing"),
            ],
        ),
        (
            json!({"exit": "gateway", "exchange": true, "routing_key": ["k"]}),
            vec![
                ("exchange", "found a boolean; write a text"),
                ("routing_key", "found a list of 1; write a text"),
            ],
        ),
        (
            json!({"exit": "cloud_api"}),
            vec![
                ("phone_number_id", "is missing"),
                ("access_token", "is missing; name the secret"),
            ],
        ),
        (
            json!({"exit": "cloud_api", "phone_number_id": "+15550783881", "access_token": "EAA/abc=="}),
            vec![
                (
                    "access_token",
                    "found a text of 9 characters; put the secret itself under [secrets]",
                ),
                ("phone_number_id", "write Meta's id of digits"),
            ],
        ),
        (
            json!({"exit": "cloud_api", "phone_numbers": {"x": "12345", "+1555": 7}, "access_token": "t"}),
            vec![
                ("phone_numbers.x", "is not a business number"),
                (
                    "phone_numbers.+1555",
                    "found a number; write a phone number id",
                ),
            ],
        ),
        (
            json!({"exit": "cloud_api", "phone_numbers": {}, "access_token": "t"}),
            vec![(
                "phone_numbers",
                "is empty; write a table of business number",
            )],
        ),
        (
            json!({"exit": "cloud_api", "phone_numbers": "12345", "access_token": "t"}),
            vec![(
                "phone_numbers",
                "found a text of 5 characters; write a table",
            )],
        ),
        (
            json!({"exit": "cloud_api", "phone_number_id": "12345", "phone_numbers": {"+1555": "12345"}, "access_token": "t"}),
            vec![("phone_numbers", "is set beside `phone_number_id`")],
        ),
        (
            ok(json!({"version": "25"})),
            vec![("version", "write a version such as v25.0")],
        ),
        (
            ok(json!({"base_url": "graph.facebook.com"})),
            vec![("base_url", "does not begin with https://")],
        ),
        (
            ok(json!({"base_url": "https://graph.facebook.com/v25.0/"})),
            vec![("base_url", "ends in a version")],
        ),
        (
            ok(json!({"waba_id": "my account"})),
            vec![(
                "waba_id",
                "found a text of 10 characters; write the account's id of digits",
            )],
        ),
        (
            ok(json!({"window_margin_seconds": 4000})),
            vec![(
                "window_margin_seconds",
                "found a number; write a whole number from 0 to 3600",
            )],
        ),
        (
            ok(json!({"reconcile_seconds": "2m"})),
            vec![(
                "reconcile_seconds",
                "found a text of 2 characters; write a whole number",
            )],
        ),
        (
            ok(json!({"wait_delivered": "yes"})),
            vec![("wait_delivered", "; write true or false")],
        ),
        (
            ok(json!({"fallback": "mail"})),
            vec![(
                "fallback",
                "found a text of 4 characters; write one of hold, template",
            )],
        ),
        (
            ok(json!({"fallback_template": {"name": "My Template"}})),
            vec![
                ("fallback_template.name", "which has only a-z, 0-9 and _"),
                ("fallback_template.language", "is missing"),
            ],
        ),
        (
            ok(
                json!({"fallback_template": {"name": "t", "language": "de", "parameters": ["Hi"], "languages": {"en": 1}}}),
            ),
            vec![
                (
                    "fallback_template.languages.en",
                    "found a number; write a language code",
                ),
                ("fallback_template.parameters", "holds no {reply}"),
            ],
        ),
        (
            ok(
                json!({"fallback_template": {"name": "t", "language": "de", "parameters": true, "languages": []}}),
            ),
            vec![
                (
                    "fallback_template.languages",
                    "found a list of 0; write a table",
                ),
                ("fallback_template.parameters", "; write a list of texts"),
            ],
        ),
        (
            ok(json!({"webhooks": {"secret": "x"}})),
            vec![
                ("webhooks.app_secret", "is missing"),
                ("webhooks.verify_token", "is missing"),
                ("webhooks.secret", "unknown key; known here: app_secret"),
            ],
        ),
        (
            ok(json!({"webhooks": {"app_secret": "a", "verify_token": "v", "messages": "take"}})),
            vec![("webhooks.messages", "report")],
        ),
        (
            ok(json!({"list_button": "Please open the list here"})),
            vec![("list_button", "write at most WhatsApp's 20 characters")],
        ),
        (
            ok(json!({"messages_per_second": 0})),
            vec![(
                "messages_per_second",
                "found a number; write a whole number from 1 to 1000",
            )],
        ),
        (
            ok(json!({"acces_token": "t", "exits": 1})),
            vec![("acces_token", "unknown key"), ("exits", "unknown key")],
        ),
    ];
    for (settings, wanted) in cases {
        let problems = match handoffd_whatsapp::connector("whatsapp", &settings) {
            Ok(_) => panic!("{settings} is taken for valid"),
            Err(problems) => problems,
        };
        let found: Vec<String> = problems
            .iter()
            .map(|p| format!("{}: {}", p.path, p.message))
            .collect();
        assert_eq!(found.len(), wanted.len(), "{settings}: {found:#?}");
        for (path, words) in wanted {
            let named = problems
                .iter()
                .any(|p| p.path == path && p.message.contains(words));
            assert!(named, "{settings}: {path}: {words} is not in {found:#?}");
        }
    }
}

fn ok(changes: Value) -> Value {
    let mut settings =
        json!({"exit": "cloud_api", "phone_number_id": "106540352242922", "access_token": "t"});
    for (name, value) in changes.as_object().cloned().unwrap_or_default() {
        settings[name] = value;
    }
    settings
}

#[test]
fn stray_spaces_and_slashes_do_no_harm() {
    let settings = ok(
        json!({"base_url": " https://graph.facebook.com/ ", "phone_number_id": 106540352242922_u64, "access_token": " t "}),
    );
    let connector =
        handoffd_whatsapp::connector("whatsapp", &settings).unwrap_or_else(|p| panic!("{p:?}"));
    assert_eq!(connector.base(), "https://graph.facebook.com");
    assert_eq!(
        connector.credential(),
        Credential::Bearer {
            token: Secret("t".into())
        }
    );
    assert_eq!(connector.webhook(), None);
    let rotated = ok(
        json!({"webhooks": {"app_secret": "a", "previous_app_secret": "b", "verify_token": "v"}}),
    );
    let connector =
        handoffd_whatsapp::connector("whatsapp", &rotated).unwrap_or_else(|p| panic!("{p:?}"));
    let wanted = WebhookAuth::MetaSha256 {
        secrets: vec![Secret("a".into()), Secret("b".into())],
        verify_token: Secret("v".into()),
    };
    assert_eq!(connector.webhook(), Some(wanted));
    assert_eq!(gateway(json!({})).credential(), Credential::None);
    assert!(gateway(json!({})).budgets().is_empty());
    assert_eq!(connector.budgets().len(), 2);
}
