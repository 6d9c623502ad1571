//! The exit `http` against each gateway's API: whatever goes wrong, the phone ends as in the quiet run.

use std::collections::BTreeMap;

use handoffd_contract::event::{AttachmentKind, DeliveryState, MessageStatus, ReplyOption};
use handoffd_contract::proof::Mishap;
use handoffd_contract::sandbox::{Delivery, parse_query};
use handoffd_contract::{Body, Call, Connector, Reason, Step};
use serde_json::{Value, json};

use crate::cast::{CUSTOMER, file, replied, reply};
use crate::world::{Chapter, World, hello, items};

/// The shipped files.
const FILES: [(&str, &str); 4] = [
    (
        "evolution",
        include_str!("../../../../mappings/exit/evolution.toml"),
    ),
    ("waha", include_str!("../../../../mappings/exit/waha.toml")),
    (
        "chatwoot",
        include_str!("../../../../mappings/exit/chatwoot.toml"),
    ),
    (
        "twilio",
        include_str!("../../../../mappings/exit/twilio.toml"),
    ),
];

/// Settings as the simulator gives them out, with what the gateway's file says in its place.
fn settings(api: &str, changes: &Value) -> Value {
    let mut sandbox = handoffd_whatsapp::sandbox();
    sandbox.switch("gateway", &json!(api)).expect("a switch");
    let mut settings = sandbox.credentials("https://gateway.test")["settings"].clone();
    if let Some((_, text)) = FILES.iter().find(|(name, _)| *name == api) {
        let table: toml::Table = text.parse().expect("TOML");
        settings["gateway"] = serde_json::to_value(table).expect("JSON");
    }
    if api == "twilio" {
        settings["options"]["status_callback"] = "https://handoff.test/intake/twilio".into();
    }
    for (name, value) in changes.as_object().into_iter().flatten() {
        settings[name.as_str()] = value.clone();
    }
    settings
}

fn gateway(api: &str, changes: &Value) -> Box<dyn Connector> {
    handoffd_whatsapp::connector("whatsapp", &settings(api, changes))
        .unwrap_or_else(|p| panic!("{p:?}"))
}

/// A gateway's webhook as the intake's dialects read it: the status in it, if there is one.
pub fn status(api: &str, delivery: &Delivery) -> Option<(String, MessageStatus)> {
    let body: Value = serde_json::from_slice(&delivery.body).unwrap_or_default();
    let form = parse_query(&String::from_utf8_lossy(&delivery.body));
    let field = |name: &str| {
        form.iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let (id, word, reference, code) = match api {
        "evolution" if body["event"] == "messages.update" => (
            body["data"]["keyId"].as_str()?.to_owned(),
            body["data"]["status"].as_str()?.to_owned(),
            None,
            None,
        ),
        "waha" if body["event"] == "message.ack" => {
            let id = body["payload"]["id"]
                .as_str()?
                .split('_')
                .nth(2)?
                .to_owned();
            (
                id,
                body["payload"]["ackName"].as_str()?.to_owned(),
                None,
                None,
            )
        }
        "chatwoot" if body["event"] == "message_updated" => {
            let error = body["content_attributes"]["external_error"].as_str();
            let code = error.and_then(|error| error.split(':').next()?.parse().ok());
            let word = body["conversation"]["messages"][0]["status"].as_str()?;
            (body["id"].to_string(), word.to_owned(), None, code)
        }
        "twilio" if field("MessageStatus").is_some() => {
            let reference = delivery.url.split("reference=").nth(1).map(str::to_owned);
            let code = field("ErrorCode")
                .filter(|code| code == "63016")
                .map(|_| 131_047);
            (
                field("MessageSid")?,
                field("MessageStatus")?,
                reference,
                code,
            )
        }
        "360dialog" => {
            let status = body.pointer("/entry/0/changes/0/value/statuses/0")?;
            let code = status["errors"][0]["code"].as_i64();
            let reference = status["biz_opaque_callback_data"]
                .as_str()
                .map(str::to_owned);
            (
                status["id"].as_str()?.to_owned(),
                status["status"].as_str()?.to_owned(),
                reference,
                code,
            )
        }
        _ => return None,
    };
    let state = match word.as_str() {
        "sent" | "SERVER_ACK" | "SERVER" => DeliveryState::Sent,
        "delivered" | "DELIVERY_ACK" | "DEVICE" => DeliveryState::Delivered,
        "read" | "READ" => DeliveryState::Read,
        _ => DeliveryState::Failed,
    };
    let status = MessageStatus {
        message_id: Some(id.clone()),
        reference,
        status: state,
        error_code: code,
        error: None,
    };
    Some((format!("{id}:{word}"), status))
}

/// Three replies, one of them with a file before its text.
fn story(api: &str) -> Vec<Chapter> {
    let mut second = reply("m-2", "Two.");
    // Twilio fetches files itself.
    let id = if api == "twilio" {
        "files.example.com/label"
    } else {
        "label"
    };
    let mut label = file(id, "image/png", "label.png");
    if api == "twilio" {
        label.source = Some(handoffd_contract::Source::Url {
            url: "https://files.example.com/label.png".into(),
        });
    }
    second.attachments.push(label);
    vec![
        hello(),
        items(vec![
            replied("e-1", reply("m-1", "One.")),
            replied("e-2", second),
        ]),
        items(vec![replied("e-3", reply("m-3", "Three."))]),
    ]
}

fn run<'a>(
    connector: &'a dyn Connector,
    (api, blind): (&'static str, bool),
    mishaps: &BTreeMap<usize, Mishap>,
) -> World<'a> {
    let mut world = World::before(connector, api);
    world.blind = blind;
    world.mishaps = mishaps.clone();
    if let Err(error) = world.play(&story(api)) {
        panic!("{api} with {mishaps:?}: {error}\n{}", world.tail());
    }
    world
}

/// What the phone shows, without the ids.
fn shown(world: &World<'_>) -> Vec<Value> {
    let mut conversation = world.conversation();
    for entry in &mut conversation {
        let entry = entry.as_object_mut().expect("an entry");
        entry.remove("id");
        entry.remove("reference");
    }
    conversation
}

/// Plays the story with up to `depth` mishaps; how many runs, and in how many of them a person had to look.
fn enumerate(api: &'static str, changes: &Value, blind: bool, depth: usize) -> (usize, usize) {
    let connector = gateway(api, changes);
    let quiet = run(&*connector, (api, blind), &BTreeMap::new());
    let wanted = shown(&quiet);
    assert_eq!(wanted.len(), 5, "{api}: {wanted:#?}");
    assert_eq!(quiet.operator, 0, "{api}");
    let states: Vec<String> = crate::world::states(&quiet);
    for told in ["m-1 Delivered", "m-2 Delivered", "m-3 Delivered"] {
        assert!(
            states.iter().any(|state| state == told),
            "{api}: {told} is not in {states:?}"
        );
    }
    let mut runs = 0;
    let mut persons = 0;
    let mut check = |mishaps: &BTreeMap<usize, Mishap>| {
        let world = run(&*connector, (api, blind), mishaps);
        let now = shown(&world);
        assert!(
            now == wanted,
            "{api} with {mishaps:?}: {now:#?}\n{}",
            world.tail()
        );
        world.rests();
        runs += 1;
        persons += usize::from(world.operator > 0);
        world.calls
    };
    for first in 0..quiet.calls {
        for mishap in Mishap::ALL {
            let mut mishaps = BTreeMap::from([(first, *mishap)]);
            let calls = check(&mishaps);
            for second in (first + 1..calls).filter(|_| depth > 1) {
                for other in Mishap::ALL {
                    mishaps.insert(second, *other);
                    check(&mishaps);
                    mishaps.remove(&second);
                }
            }
        }
    }
    (runs, persons)
}

#[test]
fn no_gateway_is_sent_a_message_twice_and_none_is_lost() {
    let none = json!({});
    let ids = json!({"known_ids": true});
    for (api, changes, blind, depth) in [
        ("evolution", &none, true, 1),
        ("evolution", &ids, false, 1),
        ("waha", &none, true, 2),
        ("waha", &ids, false, 1),
        ("chatwoot", &none, true, 1),
        ("twilio", &none, false, 2),
        ("360dialog", &none, false, 1),
    ] {
        let (runs, persons) = enumerate(api, changes, blind, depth);
        let least = if depth == 1 { 24 } else { 200 };
        assert!(runs >= least, "{api}: {runs} runs");
        assert!(persons > 0, "{api}: no run needed a person");
    }
}

/// A send without an answer is settled by a look for the id that it had beforehand, also when no status
/// comes.
#[test]
fn a_look_by_the_id_that_was_had_before_settles_a_send() {
    for api in ["evolution", "waha"] {
        let connector = gateway(api, &json!({"known_ids": true}));
        let mut world = World::before(&*connector, api);
        let silent = Chapter::Switch("drop_statuses", json!(true));
        world.play(&[silent, hello()]).expect("a quiet start");
        // The id is had by the first call; the second one sends.
        world.mishaps = BTreeMap::from([(world.calls + 1, Mishap::AnswerLost)]);
        let replies = items(vec![replied("e-1", reply("m-1", "One."))]);
        world.play(&[replies]).expect(api);
        assert_eq!(world.texts(), ["One."], "{api}");
        assert_eq!(world.operator, 0, "{api}");
        assert!(
            world.log.iter().any(|line| line.contains("reply.look")),
            "{}",
            world.tail()
        );
        // Of one that is not there a person is asked.
        world.mishaps = BTreeMap::from([(world.calls + 1, Mishap::CrashBefore)]);
        let replies = items(vec![replied("e-2", reply("m-2", "Two."))]);
        world.play(&[replies]).expect(api);
        assert_eq!((world.operator, world.texts().len()), (1, 2), "{api}");
    }
}

/// Where nobody can be asked, its status settles it.
#[test]
fn a_status_that_names_the_id_that_was_had_before_settles_a_send() {
    for api in ["evolution", "waha"] {
        let mut settings = settings(api, &json!({"known_ids": true}));
        let file = settings["gateway"].as_object_mut().expect("a file");
        file.remove("look");
        let connector = handoffd_whatsapp::connector("whatsapp", &settings);
        let connector = connector.unwrap_or_else(|problems| panic!("{problems:?}"));
        let mut world = World::before(&*connector, api);
        world.play(&[hello()]).expect("a quiet start");
        world.mishaps = BTreeMap::from([(world.calls + 1, Mishap::AnswerLost)]);
        let replies = items(vec![replied("e-1", reply("m-1", "One."))]);
        world.play(&[replies]).expect(api);
        assert_eq!(world.texts(), ["One."], "{api}");
        assert_eq!(world.operator, 0, "{api}");
    }
}

/// WAHA's engines answer in three shapes, and statuses name the bare id in all of them; one that gives no
/// ids sends without.
#[test]
fn the_ids_of_every_engine_are_those_that_statuses_name() {
    for engine in ["WEBJS", "NOWEB", "GOWS"] {
        let connector = gateway("waha", &json!({"known_ids": true}));
        let mut world = World::before(&*connector, "waha");
        let switch = Chapter::Switch("engine", json!(engine));
        world.play(&[switch, hello()]).expect("a quiet start");
        world
            .play(&[items(vec![replied("e-1", reply("m-1", "One."))])])
            .expect(engine);
        let id = world.known.get("sent/e-1/0").expect("sent");
        assert!(
            id.starts_with("3EB0") && !id.contains('_'),
            "{engine}: {id}"
        );
        assert_eq!(
            crate::world::states(&world).last().map(String::as_str),
            Some("m-1 Delivered"),
            "{engine}"
        );
    }
}

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
            told("evolution", json!({"base_url": base, "allow_http": allow})),
            "",
            "{base}"
        );
    }
    // A gateway's own file is judged by its places.
    let mut own = settings("evolution", &json!({}))["gateway"].clone();
    own["text"]["json"]["text"] = "{txt}".into();
    own["error"][0]["means"] = "nothing".into();
    own["extra"] = 1.into();
    let found = told("evolution", json!({"gateway": own}));
    for wanted in [
        "gateway.text.json: has a name between { and } that is not known here",
        "gateway.error[0].means: ",
        "gateway.extra: unknown key",
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

/// A notice to the customer leaves by the same way, once, and without an answer it is let go.
#[test]
fn a_notice_leaves_by_the_same_way_and_never_twice() {
    use crate::notices::{notice, rep};
    use handoffd_contract::event::Notice;
    for api in ["evolution", "waha", "twilio"] {
        for mishap in [None, Some(Mishap::AnswerLost), Some(Mishap::FailedAfter)] {
            let connector = gateway(api, &json!({}));
            let mut world = World::before(&*connector, api);
            world.play(&[hello()]).expect("a quiet start");
            world.mishaps = mishap
                .map(|mishap| (world.calls, mishap))
                .into_iter()
                .collect();
            let joined = notice("n-1", Notice::Joined, "Rita is here.");
            let one = replied("e-1", reply("m-1", "Hello."));
            world
                .play(&[items(vec![rep("s-1"), joined, one])])
                .expect(api);
            assert_eq!(
                world.texts(),
                ["Rita is here.", "Hello."],
                "{api} {mishap:?}"
            );
            assert_eq!(world.operator, 0, "{api} {mishap:?}");
        }
    }
}
