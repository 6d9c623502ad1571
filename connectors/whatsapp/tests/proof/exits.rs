//! What leaves by each gateway's API, in which form and to whom, and what its answers mean.

use handoffd_contract::event::{AttachmentKind, ReplyOption};
use handoffd_contract::{Body, Call, Reason, Step};
use serde_json::{Value, json};

use crate::cast::{CUSTOMER, file, replied, reply};
use crate::gateways::{gateway, settings};
use crate::world::{Chapter, World, hello, items};

/// The steps of a plan for one reply, as far as they leave.
fn planned(world: &mut World<'_>, item: handoffd_contract::Item) -> Result<Step, Reason> {
    world.items = vec![item];
    loop {
        let next = world.connector.next(&world.work(), &world.known);
        let steps = next.map_err(|refusal| match refusal {
            handoffd_contract::Refusal::Park(stop) => stop.reason,
            handoffd_contract::Refusal::Hold { stop, .. } => stop.reason,
        })?;
        let step = steps.into_iter().next().expect("a step");
        match &step.call {
            Call::Record(record) => {
                let facts = record.facts.iter().cloned();
                facts.for_each(|(name, value)| world.known.set(name, value));
            }
            _ => return Ok(step),
        }
    }
}

fn body(step: &Step) -> Value {
    let Call::Http(call) = &step.call else {
        panic!("{step:?}")
    };
    match &call.body {
        Body::Json(json) => json.clone(),
        Body::JsonWithFile(whole) => {
            let (before, after) = whole.around();
            serde_json::from_str(&format!("{before}QUJD{after}")).expect("JSON")
        }
        Body::Form(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// To exactly the id under which the customer wrote; a hidden id is never taken for a number.
#[test]
fn each_gateway_is_told_the_customer_in_its_own_form() {
    let lid = "187654321098765@lid";
    let bsuid = "US.13491208655302741918";
    for (api, key, phone, hidden) in [
        (
            "evolution",
            "number",
            "551187654321@s.whatsapp.net",
            Some(lid),
        ),
        ("waha", "chatId", "551187654321@c.us", Some(lid)),
        ("twilio", "To", "whatsapp:+551187654321", None),
    ] {
        let connector = gateway(api, &json!({}));
        let to = |wa_id: Option<&str>, user: Option<&str>| {
            let mut world = World::before(&*connector, api);
            world.last_inbound = Some(world.now);
            world.contact.wa_id = wa_id.map(str::to_owned);
            world.contact.user_id = user.map(str::to_owned);
            let step = planned(&mut world, replied("e", reply("m", "Hi {to}")))?;
            Ok(body(&step)[key].as_str().map(str::to_owned))
        };
        assert_eq!(
            to(Some("551187654321"), None),
            Ok(Some(phone.to_owned())),
            "{api}"
        );
        let wanted = hidden.map_or(Err(Reason::NoCustomer), |lid| Ok(Some(lid.to_owned())));
        assert_eq!(to(None, Some(lid)), wanted, "{api}");
        assert_eq!(to(None, Some(bsuid)), Err(Reason::NoCustomer), "{api}");
    }
    // Chatwoot's conversation is the session's, whoever the customer is; any other session has none.
    let connector = gateway("chatwoot", &json!({}));
    let mut world = World::before(&*connector, "chatwoot");
    world.last_inbound = Some(world.now);
    world.contact.wa_id = None;
    world.contact.user_id = Some(bsuid.into());
    let step = planned(&mut world, replied("e", reply("m", "Hi"))).expect("a step");
    let Call::Http(call) = &step.call else {
        panic!("{step:?}")
    };
    assert_eq!(call.path, "/api/v1/accounts/1/conversations/101/messages");
    world.session = "wa-0123456789";
    let other = planned(&mut world, replied("e", reply("m", "Hi")));
    assert_eq!(other, Err(Reason::Invalid));
}

/// What is set by business number is never guessed for another one.
#[test]
fn each_business_number_has_its_own_instance() {
    let instance = |number: &str| {
        let options = json!({"instance": {number: "shop 1/2"}});
        let connector = gateway("evolution", &json!({"options": options}));
        let mut world = World::before(&*connector, "evolution");
        planned(&mut world, replied("e", reply("m", "Hi"))).map(|step| match step.call {
            Call::Http(call) => call.path,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(
        instance("+1 555 078-3881"),
        Ok("/message/sendText/shop%201%2F2".to_owned())
    );
    assert_eq!(instance("+49301234567"), Err(Reason::Invalid));
}

/// Whatever is written in a text stays a text.
#[test]
fn a_text_changes_nothing_of_the_request() {
    let text = "{to} \"x\", {\"number\": 1}&To=whatsapp:+1 \\ 📦\nnew line";
    for (api, key) in [
        ("evolution", "text"),
        ("waha", "text"),
        ("chatwoot", "content"),
        ("twilio", "Body"),
    ] {
        let connector = gateway(api, &json!({}));
        let mut world = World::before(&*connector, api);
        world.last_inbound = Some(world.now);
        let step = planned(&mut world, replied("e", reply("m", text))).expect("a step");
        assert_eq!(body(&step)[key], text, "{api}");
    }
}

#[test]
fn options_go_as_numbers_and_long_texts_in_pieces() {
    let mut asks = reply("m", "Which one?");
    for (id, title) in [("a", "Red"), ("b", "Blue")] {
        asks.options.push(ReplyOption {
            id: id.into(),
            title: title.into(),
        });
    }
    let connector = gateway("twilio", &json!({}));
    let mut world = World::before(&*connector, "twilio");
    let long = reply("m-2", &"word ".repeat(600));
    world
        .play(&[
            hello(),
            items(vec![replied("e-1", asks), replied("e-2", long)]),
        ])
        .expect("settles");
    let texts = world.texts();
    assert_eq!(texts[0], "Which one?\n1. Red\n2. Blue");
    assert_eq!(texts.len(), 3);
    assert!(texts.iter().all(|text| text.len() <= 1_600));
    assert_eq!(texts[1..].join(" ").split_whitespace().count(), 600);
}

/// What a rep quotes is quoted where the gateway can; where it cannot, the words go all the same.
#[test]
fn a_quote_goes_where_the_gateway_has_them() {
    for (api, shown) in [
        ("evolution", json!("3A20")),
        ("waha", json!("3A20")),
        ("chatwoot", Value::Null),
        ("twilio", Value::Null),
    ] {
        let mut quoting = reply("m", "On Monday.");
        quoting.quotes = Some("3A20".into());
        let connector = gateway(api, &json!({}));
        let mut world = World::before(&*connector, api);
        let plain = reply("m-2", "Anything else?");
        world
            .play(&[
                hello(),
                items(vec![replied("e-1", quoting), replied("e-2", plain)]),
            ])
            .unwrap_or_else(|error| panic!("{api}: {error}"));
        let conversation = world.conversation();
        let of = |text: &str| {
            let found = conversation.iter().find(|one| one["text"] == text);
            found.unwrap_or_else(|| panic!("{api}: {conversation:?}"))["answers"].clone()
        };
        assert_eq!(of("On Monday."), shown, "{api}");
        assert_eq!(of("Anything else?"), Value::Null, "{api}");
    }
}

/// A file goes as its gateway takes it: as a part of a form, in base64, or by its address; where it
/// cannot, the rep is told.
#[test]
fn files_go_as_each_gateway_takes_them() {
    let with = |file: handoffd_contract::Attachment| {
        let mut one = reply("m-1", "");
        one.attachments.push(file);
        vec![hello(), items(vec![replied("e-1", one)])]
    };
    let mut voice = file("note", "audio/ogg", "note.ogg");
    voice.kind = AttachmentKind::Voice;
    let zip = file("zip", "application/zip", "all.zip");
    for api in ["evolution", "waha", "chatwoot"] {
        let connector = gateway(api, &json!({}));
        let play = |file| {
            let mut world = World::before(&*connector, api);
            world
                .play(&with(file))
                .unwrap_or_else(|error| panic!("{api}: {error}"));
            let told = crate::world::states(&world);
            (
                world.conversation().get(1).cloned().unwrap_or_default(),
                told,
            )
        };
        let mut picture = file("label", "image/png", "label.png");
        picture.caption = Some("look".into());
        let (shown, _) = play(picture);
        assert_eq!(
            (&shown["type"], &shown["caption"]),
            (&json!("image"), &json!("look")),
            "{api}"
        );
        assert_eq!(shown["bytes"], "the bytes of label".len(), "{api}");
        let (shown, _) = play(voice.clone());
        assert_eq!(shown["type"], "audio", "{api}");
        let (shown, told) = play(zip.clone());
        // WhatsApp itself knows no archives; its unofficial clients send any document.
        match api {
            "chatwoot" => {
                let link = shown["text"].as_str().unwrap_or_default();
                assert!(link.ends_with("https://files.test/zip"), "{shown}");
                assert_eq!(told.last().map(String::as_str), Some("m-1 Delivered"));
            }
            _ => assert_eq!(shown["type"], "document", "{api}"),
        }
        // A file that cannot be had fails for good, and one that is too large too.
        for id in ["gone-1", "large-1"] {
            let (_, told) = play(file(id, "image/png", "label.png"));
            assert_eq!(told, ["m-1 Failed"], "{api} {id}");
        }
    }
    let connector = gateway("twilio", &json!({}));
    let mut world = World::before(&*connector, "twilio");
    world
        .play(&with(file("label", "image/png", "label.png")))
        .expect("settles");
    // files.test is a public name.
    assert_eq!(world.conversation()[1]["link"], "https://files.test/label");
    let mut inside = file("label", "image/png", "label.png");
    inside.source = Some(handoffd_contract::Source::Target {
        target: "crm".into(),
        url: "/f/1".into(),
    });
    let mut world = World::before(&*connector, "twilio");
    world.play(&with(inside)).expect("settles");
    let (_, state, detail) = world.told().pop().expect("told");
    assert_eq!(state, "Failed");
    assert!(detail.contains("public address"), "{detail}");
}

/// Where WhatsApp's window holds, replies wait for it or go as a template; where none is, they go.
#[test]
fn the_window_holds_where_there_is_one() {
    let story = |api: &'static str, changes: &Value| {
        let connector = gateway(api, changes);
        let mut world = World::before(&*connector, api);
        let day = jiff::SignedDuration::from_hours(25);
        let late = items(vec![replied("e-1", reply("m-1", "Late."))]);
        world.play(&[hello(), Chapter::Pass(day), late]).expect(api);
        (world.texts(), crate::world::states(&world))
    };
    for api in ["evolution", "waha"] {
        let (texts, _) = story(api, &json!({}));
        assert_eq!(texts, ["Late."], "{api}");
        let (texts, told) = story(api, &json!({"window": "meta"}));
        assert_eq!(
            (texts.len(), told),
            (0, vec!["m-1 Held".to_owned()]),
            "{api}"
        );
    }
    for api in ["chatwoot", "twilio"] {
        let (texts, told) = story(api, &json!({}));
        assert_eq!(
            (texts.len(), told),
            (0, vec!["m-1 Held".to_owned()]),
            "{api}"
        );
    }
    let template = json!({"fallback": "template",
        "fallback_template": {"name": "HX0123456789abcdef0123456789abcdef", "language": "en"}});
    let (texts, _) = story("twilio", &template);
    assert_eq!(texts, ["Late."]);
}

/// Twilio says by a status that the window was closed, as Meta does: the message goes out once more.
#[test]
fn a_status_that_says_the_window_was_closed_is_one() {
    let connector = gateway("twilio", &json!({}));
    let mut world = World::before(&*connector, "twilio");
    let fails = Chapter::Switch("fail_later", json!({"code": 131047, "count": 1}));
    let one = items(vec![replied("e-1", reply("m-1", "One."))]);
    world.play(&[hello(), fails, one]).expect("settles");
    assert_eq!(world.texts(), [""; 0]);
    world.now += jiff::SignedDuration::from_mins(5);
    world.play(&[hello()]).expect("settles");
    assert_eq!(world.texts(), ["One."]);
}

/// What each gateway's refusals become: for the rep, for the lane, for everybody.
#[test]
fn what_answers_mean() {
    use handoffd_contract::{HttpReply, Reply, Settled, Verdict};
    let cases: &[(&str, u16, Value, &str)] = &[
        ("evolution", 201, json!({"key": {"id": "3EB0"}}), "sent"),
        (
            "evolution",
            201,
            json!({"message": "(#131047) x", "code": 131047, "error_data": {}}),
            "content",
        ),
        (
            "evolution",
            201,
            json!({"message": "x", "code": 131026}),
            "recipient",
        ),
        (
            "evolution",
            201,
            json!({"message": "x", "code": 131000}),
            "server-error?",
        ),
        ("evolution", 201, json!({"key": {}}), "server-error?"),
        (
            "evolution",
            400,
            json!({"response": {"message": [{"exists": false, "number": "1"}]}}),
            "recipient",
        ),
        (
            "evolution",
            400,
            json!({"response": {"message": [["instance requires property \"text\""]]}}),
            "content",
        ),
        (
            "evolution",
            400,
            json!({"response": {"message": ["Error: Connection Closed"]}}),
            "account",
        ),
        (
            "evolution",
            500,
            json!({"response": {"message": "Connection Closed"}}),
            "account",
        ),
        // Sent, and then not stored.
        (
            "evolution",
            400,
            json!({"response": {"message": ["PrismaClientKnownRequestError: …"]}}),
            "server-error?",
        ),
        (
            "evolution",
            401,
            json!({"response": {"message": "Unauthorized"}}),
            "unauthorized",
        ),
        (
            "evolution",
            404,
            json!({"response": {"message": ["no instance"]}}),
            "account",
        ),
        (
            "evolution",
            503,
            json!({"code": "LICENSE_REQUIRED"}),
            "account",
        ),
        ("evolution", 500, json!({}), "server-error?"),
        ("evolution", 429, json!({}), "rate-limited"),
        ("evolution", 302, json!({}), "account"),
        (
            "waha",
            201,
            json!({"id": "true_4915112345678@c.us_3EB0"}),
            "sent",
        ),
        (
            "waha",
            422,
            json!({"error": "x", "status": "STOPPED", "expected": ["WORKING"]}),
            "account",
        ),
        ("waha", 422, json!({"message": "engine"}), "content"),
        ("chatwoot", 200, json!({"id": 99}), "sent"),
        (
            "chatwoot",
            404,
            json!({"error": "Resource could not be found"}),
            "content",
        ),
        ("chatwoot", 200, json!({}), "server-error?"),
        (
            "chatwoot",
            422,
            json!({"error": "Validation failed: Content is too long"}),
            "content",
        ),
        (
            "chatwoot",
            422,
            json!({"error": "Redis is gone"}),
            "server-error?",
        ),
        ("twilio", 201, json!({"sid": "SM1"}), "sent"),
        (
            "twilio",
            400,
            json!({"code": 63016, "message": "window"}),
            "closed",
        ),
        (
            "twilio",
            400,
            json!({"code": 63024, "message": "x"}),
            "recipient",
        ),
        (
            "twilio",
            429,
            json!({"code": 20429, "message": "x"}),
            "rate-limited",
        ),
        (
            "twilio",
            400,
            json!({"code": 63007, "message": "x"}),
            "account",
        ),
        (
            "twilio",
            400,
            json!({"code": 21656, "message": "x"}),
            "template",
        ),
        (
            "twilio",
            401,
            json!({"code": 20003, "message": "x"}),
            "unauthorized",
        ),
        (
            "twilio",
            500,
            json!({"code": 20500, "message": "x"}),
            "server-error?",
        ),
        (
            "twilio",
            400,
            json!({"code": 12345, "message": "x"}),
            "content",
        ),
    ];
    for (api, status, answer, wanted) in cases {
        let connector = gateway(api, &json!({}));
        let mut world = World::before(&*connector, api);
        world.last_inbound = Some(world.now);
        let step = planned(&mut world, replied("e", reply("m", "Hi"))).expect("a step");
        let reply = HttpReply {
            status: *status,
            headers: Vec::new(),
            body: answer.to_string().into_bytes(),
        };
        let verdict = connector.read(&step, &Reply::Http(reply));
        let found = match &verdict {
            Verdict::Known(learned) => match &learned[0].value {
                Some(Settled::Is(_)) => "sent".to_owned(),
                Some(Settled::Refused(stop)) => stop.reason.label().to_owned(),
                None => "closed".to_owned(),
            },
            Verdict::Later { stop, effect, .. } => {
                let unclear = *effect == handoffd_contract::Effect::Possible;
                format!("{}{}", stop.reason.label(), if unclear { "?" } else { "" })
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(found, *wanted, "{api} {status} {answer}");
    }
}

/// The rest of a reply to somebody who cannot be reached is not even tried.
#[test]
fn who_has_no_whatsapp_is_told_once() {
    let connector = gateway("evolution", &json!({}));
    let mut world = World::before(&*connector, "evolution");
    let nobody = Chapter::Switch("not_on_whatsapp", json!([CUSTOMER]));
    let mut two = reply("m-1", "And a text.");
    two.attachments
        .push(file("label", "image/png", "label.png"));
    world
        .play(&[hello(), nobody, items(vec![replied("e-1", two)])])
        .expect("settles");
    assert_eq!(world.sends(), 1);
    let (_, state, detail) = world.told().pop().expect("told");
    assert_eq!(state, "Failed");
    assert!(detail.contains("has no WhatsApp"), "{detail}");
}

#[test]
fn settings_that_are_wrong_are_told_with_the_remedy() {
    let told = |api: &str, changes: Value| -> String {
        let settings = settings(api, &changes);
        let problems = handoffd_whatsapp::connector("whatsapp", &settings)
            .err()
            .unwrap_or_default();
        problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect()
    };
    assert_eq!(told("evolution", json!({})), "");
    for (api, changes, wanted) in [
        (
            "evolution",
            json!({"options": {}}),
            "options.instance: is missing; write the instance's name",
        ),
        (
            "evolution",
            json!({"options": {"instanse": "x"}}),
            "options.instanse: unknown here (did you mean `instance`?)",
        ),
        (
            "evolution",
            json!({"gateway": null}),
            "gateway: is missing; name a gateway",
        ),
        (
            "evolution",
            json!({"access_token": null}),
            "access_token: is missing; name the secret",
        ),
        (
            "evolution",
            json!({"base_url": null}),
            "base_url: is missing; write the gateway's address",
        ),
        (
            "evolution",
            json!({"base_url": "http://evolution:8080"}),
            "base_url: does not begin with https://",
        ),
        (
            "chatwoot",
            json!({"known_ids": true}),
            "known_ids: has no effect",
        ),
        (
            "waha",
            json!({"fallback": "template"}),
            "fallback: is \"template\", and this gateway's file has no [template]",
        ),
        (
            "waha",
            json!({"show_activity": true}),
            "show_activity: has no effect",
        ),
        (
            "360dialog",
            json!({"phone_number_id": "106540352242922"}),
            "phone_number_id: has no effect",
        ),
    ] {
        let found = told(api, changes);
        assert!(found.contains(wanted), "{wanted} is not in:\n{found}");
    }
    for (base, allow) in [
        ("http://127.0.0.1:1", false),
        ("http://localhost", false),
        ("http://evolution:8080", true),
    ] {
        assert_eq!(
            told(
                "evolution",
                json!({"base_url": base, "allow_plain_http": allow})
            ),
            "",
            "{base}"
        );
    }
    // A gateway's own file is judged by its places.
    let mut own = settings("evolution", &json!({}))["gateway"].clone();
    own["text"]["json"]["text"] = "{txt}".into();
    own["error"][0]["means"] = "nothing".into();
    own["extra"] = 1.into();
    own["options"]["to"] = "whom".into();
    own["file"]["headers"] = json!({"x-name": "{caption}"});
    let found = told("evolution", json!({"gateway": own}));
    for wanted in [
        "gateway.text.json: has a name between { and } that is not known here",
        "gateway.error[0].means: ",
        "gateway.extra: unknown key",
        "gateway.options.to: has a meaning of its own",
        "gateway.file.headers: has a name between { and } that is not known here",
    ] {
        assert!(found.contains(wanted), "{wanted} is not in:\n{found}");
    }
}

/// What `check --live` asks, and how a gateway that is not connected is told.
#[test]
fn a_check_asks_each_gateway_how_it_stands() {
    use handoffd_contract::sandbox::Request;
    for api in ["evolution", "waha", "chatwoot", "twilio", "360dialog"] {
        let connector = gateway(api, &json!({}));
        let mut world = World::before(&*connector, api);
        let checks = connector.checks();
        assert_eq!(checks.len(), 1, "{api}");
        let mut headers = world
            .sandbox
            .sign_in(world.now, &handoffd_contract::Auth::Target);
        let mut ask = |headers: &[(String, String)]| {
            let request = Request {
                method: "GET".into(),
                path: checks[0].call.path.clone(),
                headers: headers.to_vec(),
                ..Request::default()
            };
            let answer = world.sandbox.handle(world.now, &request);
            let reply = handoffd_contract::HttpReply {
                status: answer.status,
                headers: answer.headers,
                body: answer.body,
            };
            connector.checked(&checks[0], &reply)
        };
        let fine = ask(&headers);
        assert!(fine[0].problem.is_none(), "{api}: {fine:?}");
        headers.clear();
        let wrong = ask(&headers);
        assert!(wrong[0].problem.is_some(), "{api}");
    }
    let connector = gateway("evolution", &json!({}));
    let closed = handoffd_contract::HttpReply {
        status: 200,
        headers: Vec::new(),
        body: br#"{"instance":{"state":"close"}}"#.to_vec(),
    };
    let found = connector.checked(&connector.checks()[0], &closed);
    let problem = found[0].problem.clone().expect("not connected");
    assert!(
        problem.contains("close") && problem.contains("manager"),
        "{problem}"
    );
}

/// A rep whose reply waits because the gateway has lost its phone is told that, and not of an account.
#[test]
fn a_gateway_that_is_not_connected_is_told_as_that() {
    let connector = gateway("waha", &json!({}));
    let mut world = World::before(&*connector, "waha");
    world.last_inbound = Some(world.now);
    world.items = vec![replied("e", reply("m", "Hi"))];
    let stop = handoffd_contract::Stop::new(Reason::Account, "not connected");
    let waiting = connector.waiting(&world.work(), &world.known, &stop);
    let told = format!("{:?}", waiting.record.events);
    assert!(
        told.contains("The gateway is not connected to WhatsApp"),
        "{told}"
    );
}
