//! The exit `http` against each gateway's API: whatever goes wrong, the phone ends as in the quiet run.

use std::collections::BTreeMap;

use handoffd_contract::Connector;
use handoffd_contract::event::{DeliveryState, MessageStatus};
use handoffd_contract::proof::Mishap;
use handoffd_contract::sandbox::{Delivery, parse_query};
use serde_json::{Value, json};

use crate::cast::{file, replied, reply};
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
pub fn settings(api: &str, changes: &Value) -> Value {
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

/// A connector with them.
pub fn gateway(api: &str, changes: &Value) -> Box<dyn Connector> {
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
