//! Settings, webhooks, checks and verdicts: a table each.

use crate::world::{World, cloud, file, gateway, replied, reply};
use handoffd_contract::event::DeliveryState;
use handoffd_contract::proof::encode;
use handoffd_contract::{
    About, Call, Connector, Credential, Effect, Frame, HttpReply, MediaProblem, Publication,
    Reason, Refusal, Reply, Secret, Step, Verdict, WebhookAuth, What,
};
use serde_json::{Value, json};

/// Every wrong setting gets its own words, and all of them come at once.
#[test]
fn wrong_settings_are_named_all_at_once() {
    let cases: Vec<(Value, Vec<(&str, &str)>)> = vec![
        (
            json!({}),
            vec![("exit", "is missing; set it to \"gateway\" or \"cloud_api\"")],
        ),
        (
            json!("x"),
            vec![("", "is a text; expected a table"), ("exit", "is missing")],
        ),
        (
            json!({"exit": "smoke"}),
            vec![(
                "exit",
                "is \"smoke\"; expected \"gateway\" or \"cloud_api\"",
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
            json!({"exit": "gateway", "exchange": 5, "routing_key": ["k"]}),
            vec![
                ("exchange", "is a number; expected a text"),
                ("routing_key", "is a list; expected a text"),
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
                    "has 9 characters and does not look like a name",
                ),
                ("phone_number_id", "is not an id of digits"),
            ],
        ),
        (
            json!({"exit": "cloud_api", "phone_numbers": {"x": "12345", "+1555": 7}, "access_token": "t"}),
            vec![
                ("phone_numbers.x", "is not a business number"),
                ("phone_numbers.+1555", "is not set to a phone number id"),
            ],
        ),
        (
            json!({"exit": "cloud_api", "phone_number_id": "12345", "phone_numbers": {"+1555": "12345"}, "access_token": "t"}),
            vec![("phone_numbers", "is set beside `phone_number_id`")],
        ),
        (
            ok(json!({"version": "25"})),
            vec![("version", "is not of the form v25.0")],
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
            vec![("waba_id", "is not an id of digits")],
        ),
        (
            ok(json!({"window_margin_seconds": 4000})),
            vec![(
                "window_margin_seconds",
                "is 4000; expected a whole number from 0 to 3600",
            )],
        ),
        (
            ok(json!({"reconcile_seconds": "120"})),
            vec![("reconcile_seconds", "is a text; expected a whole number")],
        ),
        (
            ok(json!({"wait_delivered": "yes"})),
            vec![("wait_delivered", "is a text; expected true or false")],
        ),
        (
            ok(json!({"fallback": "mail"})),
            vec![("fallback", "is \"mail\"; expected \"hold\" or \"template\"")],
        ),
        (
            ok(json!({"fallback_template": {"name": "My Template"}})),
            vec![
                ("fallback_template.name", "holds other characters"),
                ("fallback_template.language", "is missing"),
            ],
        ),
        (
            ok(
                json!({"fallback_template": {"name": "t", "language": "de", "parameters": ["Hi"], "languages": {"en": 1}}}),
            ),
            vec![
                ("fallback_template.languages.en", "is not a language code"),
                ("fallback_template.parameters", "holds no {reply}"),
            ],
        ),
        (
            ok(
                json!({"fallback_template": {"name": "t", "language": "de", "parameters": "{reply}", "languages": []}}),
            ),
            vec![
                ("fallback_template.languages", "is a list; expected a table"),
                (
                    "fallback_template.parameters",
                    "is a text; expected a list of texts",
                ),
            ],
        ),
        (
            ok(json!({"webhooks": {"secret": "x"}})),
            vec![
                ("webhooks.app_secret", "is missing"),
                ("webhooks.verify_token", "is missing"),
                (
                    "webhooks.secret",
                    "is not a setting; known here are app_secret",
                ),
            ],
        ),
        (
            ok(json!({"notify": {"prefix": "p."}})),
            vec![("notify.exchange", "is missing")],
        ),
        (
            ok(json!({"notify": "handoff"})),
            vec![
                ("notify", "is a text; expected a table"),
                ("notify.exchange", "is missing"),
            ],
        ),
        (
            ok(json!({"list_button": "Please open the list here"})),
            vec![("list_button", "is longer than WhatsApp's 20")],
        ),
        (
            ok(json!({"messages_per_second": 0})),
            vec![(
                "messages_per_second",
                "is 0; expected a whole number from 1 to 1000",
            )],
        ),
        (
            ok(json!({"acces_token": "t", "exits": 1})),
            vec![
                ("acces_token", "is not a setting"),
                ("exits", "is not a setting"),
            ],
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

fn hear(connector: &dyn Connector, body: &[u8]) -> Result<handoffd_contract::Hearing, Refusal> {
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
        {"id": "1", "changes": [change(["sent", "delivered"]), change(["read", "played"])]},
        {"id": "2", "changes": [{"field": "account_update", "value": {}}]},
        {"id": "3"},
    ]});
    let hearing = hear(&*connector, body.to_string().as_bytes()).expect("JSON");
    let states: Vec<DeliveryState> = hearing
        .heard
        .iter()
        .map(|heard| match &heard.what {
            What::Status { state, .. } => *state,
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
    let about = About::Fact {
        name: format!("ref/{REFERENCE}"),
        value: String::new(),
    };
    assert_eq!(hearing.heard[0].about, about);
    assert_eq!(
        hearing.heard[0].at.map(|at| at.as_second()),
        Some(1_763_600_009)
    );
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
        let What::Status {
            error_code, error, ..
        } = heard.what
        else {
            panic!("no status")
        };
        (heard.about, error_code, error)
    };
    let by_id = About::Fact {
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

#[test]
fn check_live_names_what_is_missing() {
    let find = |changes: Value, switches: &[(&str, Value)]| -> Vec<(String, Option<String>)> {
        let connector = cloud(changes);
        let mut sandbox = handoffd_whatsapp::sandbox();
        for (name, value) in switches {
            sandbox.switch(name, value).expect("a switch");
        }
        let mut found = Vec::new();
        for check in connector.checks() {
            let request = encode(
                &check.call,
                &mut *sandbox,
                crate::world::start(),
                &crate::world::media,
            )
            .expect("no media");
            let response = sandbox.handle(crate::world::start(), &request);
            let reply = HttpReply {
                status: response.status,
                headers: response.headers,
                body: response.body,
            };
            found.extend(
                connector
                    .checked(&check, &reply)
                    .into_iter()
                    .map(|finding| (finding.what, finding.problem)),
            );
        }
        found
    };
    let good = find(json!({}), &[]);
    assert_eq!(good.len(), 3, "{good:?}");
    assert!(
        good.iter().all(|(_, problem)| problem.is_none()),
        "{good:?}"
    );
    assert!(good[0].0.contains("+1 555-078-3881"));
    let problem = |changes: Value, switches: &[(&str, Value)]| {
        find(changes, switches)
            .into_iter()
            .filter_map(|(_, problem)| problem)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let expired = problem(json!({}), &[("token_expired", json!(true))]);
    assert!(
        expired.contains("access token is not accepted") && expired.contains("(#190)"),
        "{expired}"
    );
    let wrong = problem(json!({"phone_number_id": "999999"}), &[]);
    assert!(wrong.contains("the id does not exist"), "{wrong}");
    let template = |name: &str, parameters: Value| {
        problem(
            json!({"fallback_template": {"name": name, "language": "en_US", "parameters": parameters}}),
            &[],
        )
    };
    assert!(template("nothing_like_it", json!(["{reply}"])).contains("does not exist; create it"));
    assert!(template("in_review", json!(["{reply}"])).contains("is PENDING and not APPROVED"));
    assert!(
        template("case_update", json!(["{reply}"]))
            .contains("takes 2 body parameters; `fallback_template.parameters` gives 1")
    );
    assert!(gateway(json!({})).checks().is_empty());
}

/// A send and an upload as they are planned, and a publication.
fn steps() -> (Step, Step, Step) {
    let plan = |connector: &dyn Connector, with_file: bool| {
        let mut world = World::new(connector);
        world.last_inbound = Some(world.now);
        let mut first = reply("m-1", "The text of the message.");
        if with_file {
            first.attachments.push(file("a", "image/png", "a.png"));
        }
        world.items = vec![replied("e-1", first)];
        loop {
            let mut steps = world
                .connector
                .next(&world.work(), &world.known)
                .expect("steps");
            match &steps[0].call {
                Call::Record(record) => {
                    for (name, value) in &record.facts {
                        world.known.set(name.clone(), value.clone());
                    }
                }
                _ => return steps.remove(0),
            }
        }
    };
    let (cloud, gateway) = (cloud(json!({})), gateway(json!({})));
    (
        plan(&*cloud, false),
        plan(&*cloud, true),
        plan(&*gateway, false),
    )
}

/// Every status class, with and without an error of WhatsApp.
#[test]
fn every_reply_proves_what_it_can() {
    let (send, upload, publish) = steps();
    assert_eq!(
        (send.name, upload.name, publish.name),
        ("message.send", "media.upload", "reply.publish")
    );
    let connector = cloud(json!({}));
    let say = |step: &Step, status: u16, body: &str| -> String {
        let reply = Reply::Http(HttpReply {
            status,
            headers: vec![("retry-after".into(), "7".into())],
            body: body.as_bytes().to_vec(),
        });
        match connector.read(step, &reply) {
            Verdict::Known(learned) => match &learned[0].value {
                Some(value) => format!("known {}", value.split(':').next().unwrap_or_default()),
                None => "absent".to_owned(),
            },
            Verdict::Later {
                stop,
                effect,
                after,
            } => {
                assert!(!stop.words.contains("The text of the message"), "{stop:?}");
                let after = after.map_or(String::new(), |after| format!(" {}s", after.as_secs()));
                format!(
                    "{} {}{after}",
                    stop.reason.label(),
                    if effect == Effect::None {
                        "none"
                    } else {
                        "possible"
                    }
                )
            }
            other => format!("{other:?}"),
        }
    };
    let error =
        |code: i64| format!("{{\"error\":{{\"message\":\"(#{code}) m\",\"code\":{code}}}}}");
    let sends: Vec<(u16, String, &str)> = vec![
        (
            200,
            r#"{"messages":[{"id":"wamid.1"}]}"#.into(),
            "known wamid.1",
        ),
        (
            200,
            r#"{"messages":[{"id":"wamid.1","message_status":"held_for_quality_assessment"}]}"#
                .into(),
            "known wamid.1",
        ),
        (
            200,
            r#"{"messages":[{"id":""}]}"#.into(),
            "server-error possible",
        ),
        (200, "{}".into(), "server-error possible"),
        (200, "<html>".into(), "server-error possible"),
        (204, String::new(), "server-error possible"),
        (301, String::new(), "account none 7s"),
        (400, error(100), "known !failed"),
        (400, error(131_008), "known !failed"),
        (400, error(131_026), "known !failed"),
        (400, error(131_047), "absent"),
        (400, error(131_053), "known !failed"),
        (404, error(132_001), "known !failed"),
        (400, error(999_999), "known !failed"),
        (400, error(131_056), "rate-limited none 7s"),
        (400, error(130_429), "rate-limited none 7s"),
        (400, error(4), "rate-limited none 7s"),
        (429, error(130_429), "rate-limited none 7s"),
        (429, String::new(), "rate-limited none 7s"),
        (401, error(190), "unauthorized none 7s"),
        (401, String::new(), "unauthorized none 7s"),
        (403, error(10), "unauthorized none 7s"),
        (403, "<html>".into(), "unauthorized none 7s"),
        (403, error(131_031), "account none 7s"),
        (403, error(130_497), "known !failed"),
        (404, "<html>".into(), "account none 7s"),
        (408, String::new(), "server-error possible 7s"),
        (500, error(131_000), "server-error possible 7s"),
        (500, error(3), "unauthorized none 7s"),
        (500, error(131_045), "account none 7s"),
        (500, error(131_057), "server-error none 7s"),
        (
            502,
            "<html>Bad Gateway</html>".into(),
            "server-error possible 7s",
        ),
        (503, error(2), "server-error possible 7s"),
        (503, error(133_004), "server-error none 7s"),
        (504, String::new(), "server-error possible 7s"),
    ];
    for (status, body, wanted) in sends {
        assert_eq!(say(&send, status, &body), wanted, "{status} {body}");
    }
    let uploads: Vec<(u16, String, &str)> = vec![
        (200, r#"{"id":"1037"}"#.into(), "known 1037"),
        (200, "{}".into(), "server-error possible"),
        (
            400,
            error(100),
            "known !WhatsApp refused the file ((#100) m)",
        ),
        (
            413,
            "<html>".into(),
            "known !the file is larger than WhatsApp takes",
        ),
        (500, error(131_016), "server-error possible 7s"),
        (429, String::new(), "rate-limited none 7s"),
        (401, error(190), "unauthorized none 7s"),
    ];
    for (status, body, wanted) in uploads {
        assert_eq!(say(&upload, status, &body), wanted, "{status} {body}");
    }
    let said = |said: Publication| connector.read(&publish, &Reply::Published(said));
    assert!(matches!(said(Publication::Confirmed), Verdict::Known(_)));
    let unroutable = said(Publication::Unroutable {
        words: "NO_ROUTE".into(),
    });
    assert!(
        matches!(unroutable, Verdict::Later { stop, effect: Effect::None, .. } if stop.reason == Reason::Unroutable)
    );
    assert!(matches!(
        said(Publication::Refused),
        Verdict::Later {
            effect: Effect::Possible,
            ..
        }
    ));
    let crossed = connector.read(&send, &Reply::Media(MediaProblem::Gone));
    assert!(matches!(crossed, Verdict::Never(stop) if stop.reason == Reason::Bug));
}

/// Neither the text nor the token can be found in what is logged of a step.
#[test]
fn facts_and_memos_hold_no_text() {
    let (send, _, publish) = steps();
    for step in [send, publish] {
        assert!(!step.memo.to_string().contains("The text"), "{}", step.memo);
        assert!(
            step.claims
                .iter()
                .all(|claim| !format!("{claim:?}").contains("The text"))
        );
    }
}
