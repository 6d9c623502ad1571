//! What a rep does that is no message, as the customer sees it.

use handoffd_contract::event::{Activity, MessageEvent, RepActivity};
use handoffd_contract::{Author, AuthorKind, Data, Item, Message};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cast::{cloud, item, replied, reply};
use crate::world::{Chapter, World, hello, items};

fn did(world: &World<'_>, id: &str, activity: Activity, read: Option<&str>) -> Item {
    Item {
        id: id.into(),
        time: world.now,
        data: Data::RepActivity(RepActivity {
            target: "crm".into(),
            activity,
            record: read.map(|_| "entry-1".into()),
            message_id: read.map(str::to_owned),
        }),
        rendered: None,
    }
}

/// The customer writes, and the gateway says so.
fn writes(world: &mut World<'_>) {
    world.play(&[hello()]).expect("settles");
    let id = id_of(world, marks(world).len() - 1);
    let mut message = Message {
        id: id.clone(),
        time: world.now,
        author: Author::default(),
        text: Some("Hi".into()),
        ..Message::default()
    };
    message.author.kind = AuthorKind::Customer;
    let said = MessageEvent {
        message,
        session: None,
        contact: None,
        reference: None,
    };
    let item = item(&format!("in-{id}"), Data::MessageReceived(said));
    world.play(&[items(vec![item])]).expect("settles");
    world.now += SignedDuration::from_secs(1);
}

/// What happened at its own time.
fn past(world: &mut World<'_>, item: Item) {
    world.all.push(item.clone());
    world.items.push(item);
    world.settle().expect("settles");
}

/// What the phone shows of the customer's own messages: read, and that somebody types.
fn marks(world: &World<'_>) -> Vec<(bool, bool)> {
    let own = world.conversation().into_iter();
    own.filter(|entry| entry["from"] != "business")
        .map(|entry| (entry["seen"] == true, entry["typing"] == true))
        .collect()
}

fn shown(world: &World<'_>) -> usize {
    let log = world.log.iter();
    log.filter(|line| line.contains("activity.show")).count()
}

fn id_of(world: &World<'_>, n: usize) -> String {
    let entries = world.conversation();
    let own: Vec<&Value> = entries.iter().filter(|e| e["from"] != "business").collect();
    own[n]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn the_customer_sees_that_a_rep_has_read_and_types() {
    let connector = cloud(json!({"show_activity": true}));
    let mut world = World::new(&*connector);
    writes(&mut world);
    writes(&mut world);
    assert_eq!(marks(&world), [(false, false); 2]);
    let first = id_of(&world, 0);
    let read = did(&world, "a-1", Activity::Read, Some(&first));
    world.play(&[items(vec![read])]).expect("settles");
    assert_eq!(marks(&world), [(true, false), (false, false)]);
    // That somebody types stands under the newest message.
    let types = did(&world, "a-2", Activity::Typing, None);
    world.play(&[items(vec![types])]).expect("settles");
    assert_eq!(marks(&world), [(true, false), (true, true)]);
    assert_eq!(shown(&world), 2);
    world.rests();
}

#[test]
fn what_is_late_over_or_not_whatsapps_is_not_shown() {
    let connector = cloud(json!({"show_activity": true}));
    let mut world = World::new(&*connector);
    writes(&mut world);
    let late = did(&world, "a-1", Activity::Typing, None);
    world.now += SignedDuration::from_secs(26);
    past(&mut world, late);
    let types = did(&world, "a-2", Activity::Typing, None);
    let stops = did(&world, "a-3", Activity::Stopped, None);
    world.play(&[items(vec![types, stops])]).expect("settles");
    let foreign = did(&world, "a-4", Activity::Read, Some("01JD2Z8QK4"));
    world.play(&[items(vec![foreign])]).expect("settles");
    assert_eq!((shown(&world), marks(&world)), (0, vec![(false, false)]));
    // Nothing is known of a message of theirs.
    let mut silent = World::new(&*connector);
    let types = did(&silent, "a-1", Activity::Typing, None);
    silent.play(&[items(vec![types])]).expect("settles");
    assert_eq!(shown(&silent), 0);
    // By default nothing is shown, and nothing is kept for it.
    let connector = cloud(json!({}));
    let mut off = World::new(&*connector);
    writes(&mut off);
    let types = did(&off, "a-1", Activity::Typing, None);
    off.play(&[items(vec![types])]).expect("settles");
    assert_eq!((shown(&off), off.known.get("inbound")), (0, None));
}

#[test]
fn what_cannot_be_shown_stops_no_reply() {
    let connector = cloud(json!({"show_activity": true}));
    let mut world = World::new(&*connector);
    writes(&mut world);
    let unknown = did(&world, "a-1", Activity::Read, Some("wamid.unknown"));
    world
        .play(&[items(vec![unknown, replied("e-1", reply("m-1", "One."))])])
        .expect("settles");
    assert_eq!((shown(&world), world.texts()), (1, vec!["One.".to_owned()]));
    // The window is closed, so the reply waits; what a rep does goes out all the same.
    world
        .play(&[Chapter::Pass(SignedDuration::from_hours(25))])
        .expect("settles");
    let types = did(&world, "a-2", Activity::Typing, None);
    world
        .play(&[items(vec![replied("e-2", reply("m-2", "Two.")), types])])
        .expect("settles");
    assert_eq!((shown(&world), world.texts().len()), (2, 1));
}

#[test]
fn the_gateway_shows_it_by_itself() {
    let settings = json!({
        "exit": "gateway", "exchange": "whatsapp", "routing_key": "replies", "show_activity": true,
    });
    let Err(problems) = handoffd_whatsapp::connector("whatsapp", &settings) else {
        panic!("it has no effect")
    };
    assert_eq!(problems[0].path, "show_activity");
}
