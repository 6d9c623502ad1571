//! What a rep sees of a reply's fate, and of the conversation, on the ticket.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::event::{DeliveryState, SessionState};
use handoffd_contract::{Controller, Data, Item};
use serde_json::{Value, json};
use story::played::{connector, played, returning};
use story::{Desk, handoff, item, received, replied, reply_status, short};

fn opened(bare: bool) -> Desk {
    let mut portal = handoffd_hubspot::sandbox();
    let settings = portal.credentials("http://hubspot.test")["settings"].clone();
    if bare {
        portal.switch("no_standing", &json!(true)).unwrap();
    }
    let mut desk = Desk::new(&settings, portal);
    desk.work(&[item("h1", 10, handoff(vec![short(1)]))])
        .unwrap();
    desk
}

fn ticket(desk: &Desk) -> Value {
    desk.portal.view()["tickets"][0].clone()
}

fn property(desk: &Desk, name: &str) -> String {
    ticket(desk)["properties"][name]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn notes(desk: &Desk) -> Vec<String> {
    let ticket = ticket(desk);
    let timeline = ticket["timeline"].as_array().unwrap();
    timeline
        .iter()
        .map(|entry| entry["text"].as_str().unwrap().to_owned())
        .collect()
}

fn status(n: i64, message: &str, state: DeliveryState, cause: Option<&str>) -> Item {
    let Data::ReplyStatus(mut status) = reply_status(message, state) else {
        unreachable!()
    };
    status.cause = cause.map(str::to_owned);
    item(&format!("s{n}"), n, Data::ReplyStatus(status))
}

#[test]
fn the_ticket_says_how_the_conversation_stands() {
    let mut desk = opened(false);
    for (name, value) in [
        ("wa_session_id", "session-1"),
        ("wa_language", "nl"),
        ("wa_sentiment", "negative"),
        ("wa_channel", "whatsapp"),
        ("wa_last_message", "2026-11-20T09:00:01.000Z"),
    ] {
        assert_eq!(property(&desk, name), value, "{name}");
    }
    assert_eq!(
        desk.calls
            .iter()
            .filter(|call| call.starts_with("PATCH"))
            .count(),
        0
    );
    desk.work(&[item("e1", 3_600, received("m2", 3_600, "And now?"))])
        .unwrap();
    assert_eq!(
        property(&desk, "wa_last_message"),
        "2026-11-20T10:00:00.000Z"
    );
    assert_eq!(property(&desk, "wa_window_end"), "2026-11-21T10:00:00.000Z");
    // What the assistant says opens no window.
    let mut line = short(3);
    line.author.kind = handoffd_contract::AuthorKind::Assistant;
    line.time = story::at(7_200);
    desk.work(&[item("e2", 7_200, Data::MessageSent(story::event(line)))])
        .unwrap();
    assert_eq!(
        property(&desk, "wa_last_message"),
        "2026-11-20T11:00:00.000Z"
    );
    assert_eq!(property(&desk, "wa_window_end"), "2026-11-21T10:00:00.000Z");
    // Nor does a reaction. A message of which nothing is shown does.
    let mut liked = short(4);
    (liked.text, liked.time) = (None, story::at(7_210));
    liked.reaction = serde_json::from_value(json!({"emoji": "👍", "to": {"id": "m3"}})).unwrap();
    let liked = Data::MessageReceived(story::event(liked));
    desk.work(&[item("e3", 7_210, liked)]).unwrap();
    assert_eq!(
        property(&desk, "wa_last_message"),
        "2026-11-20T11:00:00.000Z"
    );
    assert_eq!(property(&desk, "wa_window_end"), "2026-11-21T10:00:00.000Z");
    let mut hidden = short(5);
    (hidden.text, hidden.time) = (None, story::at(7_220));
    let hidden = Data::MessageReceived(story::event(hidden));
    desk.work(&[item("e4", 7_220, hidden)]).unwrap();
    assert_eq!(property(&desk, "wa_window_end"), "2026-11-21T11:00:20.000Z");
    // A second handoff says what is so now.
    let Data::HandoffRequested(mut again) = handoff(vec![short(1)]) else {
        unreachable!()
    };
    (again.handoff.language, again.handoff.sentiment) =
        (Some("fr\nx".into()), Some("delighted".into()));
    desk.work(&[item("h2", 7_300, Data::HandoffRequested(again))])
        .unwrap();
    assert_eq!(property(&desk, "wa_language"), "fr x");
    assert_eq!(property(&desk, "wa_sentiment"), "delighted");
}

fn patches(desk: &Desk) -> usize {
    let calls = desk.calls.iter();
    calls.filter(|call| call.starts_with("PATCH")).count()
}

fn in_charge(n: i64, controller: Controller) -> Item {
    let data = Data::SessionState(SessionState {
        controller,
        since: story::at(n),
        handoff: None,
    });
    item(&format!("c{n}"), n, data)
}

fn rep(target: &str, name: &str) -> Controller {
    Controller::Rep {
        target: target.into(),
        name: Some(name.into()),
    }
}

#[test]
fn the_ticket_says_who_is_in_charge() {
    let mut desk = opened(false);
    assert_eq!(property(&desk, "wa_controller"), "queued");
    let by = || "platform".to_owned();
    let closed = Controller::Closed {
        by: by(),
        resolved: None,
    };
    let waits = Controller::Queued {
        target: Some("crm".into()),
        position: Some(2),
        wait_seconds: None,
    };
    // What follows from the handoff is on the ticket already, and so is what is overtaken.
    for (n, controllers, shown, writes) in [
        (20, vec![waits], "queued", 0),
        (30, vec![rep("crm", "Ben")], "rep · Ben", 1),
        (
            40,
            vec![Controller::queued(None), rep("chat", "Eva")],
            "rep · Eva, in chat",
            2,
        ),
        (50, vec![Controller::Returned { by: by() }], "returned", 3),
        (60, vec![closed], "closed", 4),
    ] {
        let items = controllers.into_iter().zip(n..);
        let items: Vec<Item> = items.map(|(one, n)| in_charge(n, one)).collect();
        desk.work(&items).unwrap();
        assert_eq!(property(&desk, "wa_controller"), shown);
        assert_eq!(patches(&desk), writes, "{shown}");
        desk.work(&items).unwrap();
        assert_eq!(patches(&desk), writes, "{shown} again");
    }
    // A second handoff asks for people again.
    desk.work(&[item("h2", 70, handoff(vec![short(1)]))])
        .unwrap();
    assert_eq!(property(&desk, "wa_controller"), "queued");
}

#[test]
fn who_is_in_charge_opens_no_ticket_and_is_not_missed_on_a_deleted_one() {
    let mut desk = opened(false);
    desk.session("session-2");
    desk.calls.clear();
    desk.work(&[
        in_charge(20, Controller::Assistant),
        in_charge(21, rep("chat", "Eva")),
    ])
    .unwrap();
    assert_eq!(desk.calls, [""; 0]);
    let mut desk = opened(false);
    desk.act(json!({"act": "delete"}));
    desk.work(&[in_charge(20, rep("crm", "Ben"))]).unwrap();
}

#[test]
fn what_the_assistant_filled_in_is_seen_without_a_mapping() {
    let mut desk = opened(false);
    let Data::HandoffRequested(mut filled) = handoff(vec![short(1)]) else {
        unreachable!()
    };
    filled.fields = [
        ("order_id".into(), json!("8812\n[AI assistant] refund it")),
        ("Customer: x".into(), json!({"vip": true})),
        ("amount".into(), json!(12.5)),
        ("nothing".into(), json!(null)),
        ("blank".into(), json!(" ")),
    ]
    .into();
    desk.session("session-2");
    desk.work(&[item("h2", 20, Data::HandoffRequested(filled))])
        .unwrap();
    let view = desk.portal.view();
    let shown = &view["tickets"][1];
    for text in [&shown["timeline"][0]["text"], &shown["content"]] {
        let text = text.as_str().unwrap();
        for line in [
            "order_id: 8812",
            "» [AI assistant] refund it",
            "amount: 12.5",
            "Customer· x: {\"vip\":true}",
        ] {
            assert!(
                text.lines().any(|shown| shown == line),
                "{line} is missing in {text}"
            );
        }
        assert!(
            !text.contains("nothing") && !text.contains("blank"),
            "{text}"
        );
    }
}

#[test]
fn reps_read_times_of_the_zone_that_is_set() {
    let portal = handoffd_hubspot::sandbox();
    let mut settings = portal.credentials("http://hubspot.test")["settings"].clone();
    settings["time_zone"] = json!("Europe/Amsterdam");
    let mut desk = Desk::new(&settings, portal);
    let picture = story::said(
        "m2",
        2,
        "",
        vec![story::attachment("a1", "image/png", "a.png")],
    );
    desk.work(&[
        item("h1", 10, handoff(vec![short(1), picture])),
        item("e1", 60, received("m3", 60, "And now?")),
        item("r1", 70, replied("771", "Soon.")),
    ])
    .unwrap();
    let content = ticket(&desk)["content"].as_str().unwrap().to_owned();
    assert!(
        content.contains("2026-11-20 10:00:01 CET Customer (Ana): message number 1"),
        "{content}"
    );
    let notes = notes(&desk);
    assert!(notes[1].contains("2026-11-20 10:00:02 CET"), "{}", notes[1]);
    assert!(
        notes[2].starts_with("2026-11-20 10:01:00 CET Customer (Ana): And now?"),
        "{}",
        notes[2]
    );
    assert!(property(&desk, "wa_reply_state").contains("of 2026-11-20 10:01:10 CET"));
    // What HubSpot shows by itself stays as it is.
    assert_eq!(
        property(&desk, "wa_last_message"),
        "2026-11-20T09:01:00.000Z"
    );
}

#[test]
fn messages_that_come_while_a_burst_is_on_its_way_are_not_taken_for_shown() {
    let mut desk = opened(false);
    let said = |n: i64| {
        item(
            &format!("e{n}"),
            n,
            received(&format!("b{n}"), n, &format!("line {n}")),
        )
    };
    desk.work(&[said(61), said(62)]).unwrap();
    assert_eq!(notes(&desk).len(), 2);
    // The answer was lost, and meanwhile there is more.
    for fact in ["note/e61/m0", "said/b61", "said/b62"] {
        let fate = handoffd_contract::Fact::Unsure {
            since: story::at(62),
            candidate: None,
        };
        desk.known.0.insert(fact.to_owned(), fate);
    }
    desk.work(&[said(61), said(62), said(63)]).unwrap();
    let notes = notes(&desk);
    assert_eq!(notes.len(), 3, "{notes:#?}");
    assert!(
        notes[1].contains("line 61")
            && notes[1].contains("line 62")
            && !notes[1].contains("line 63")
    );
    assert!(notes[2].contains("line 63"));
}

#[test]
fn a_portal_without_the_standing_fields_takes_the_handoff_all_the_same() {
    let mut desk = opened(true);
    assert_eq!(property(&desk, "wa_language"), "");
    assert!(
        !notes(&desk)[0].contains("did not take"),
        "{}",
        notes(&desk)[0]
    );
    desk.work(&[
        item("e1", 60, received("m2", 60, "And now?")),
        item("r1", 70, replied("771", "Soon.")),
        status(71, "771", DeliveryState::Failed, None),
    ])
    .unwrap();
    let notes = notes(&desk);
    assert_eq!(notes.len(), 3, "{notes:#?}");
    assert!(notes[2].contains("“Soon.”"), "{}", notes[2]);
}

#[test]
fn a_reply_that_arrives_is_told_in_the_property_and_in_no_note() {
    let mut desk = opened(false);
    let name = "“Your parcel is on its way.” of 2026-11-20 09:01:00Z";
    let heard = || item("r1", 60, replied("771", "Your parcel\nis on its way."));
    desk.work(&[heard()]).unwrap();
    assert_eq!(
        property(&desk, "wa_reply_state"),
        format!("accepted · {name}")
    );
    for (n, state, word) in [
        (61, DeliveryState::Sent, "sent"),
        (62, DeliveryState::Delivered, "delivered"),
        (63, DeliveryState::Read, "read"),
    ] {
        desk.work(&[status(n, "771", state, None)]).unwrap();
        assert_eq!(
            property(&desk, "wa_reply_state"),
            format!("{word} · {name}")
        );
    }
    assert_eq!(notes(&desk).len(), 1);
    // Of an earlier reply nothing is written over the last one's.
    desk.work(&[item("r2", 70, replied("772", "Anything else?"))])
        .unwrap();
    desk.work(&[status(71, "771", DeliveryState::Read, None)])
        .unwrap();
    assert!(property(&desk, "wa_reply_state").starts_with("accepted · “Anything else?”"));
}

#[test]
fn a_reply_in_trouble_has_one_note_that_is_brought_up_to_date() {
    let mut desk = opened(false);
    desk.work(&[item("r1", 60, replied("771", &"word ".repeat(30)))])
        .unwrap();
    let story = [
        (
            61,
            DeliveryState::Held,
            Some("account"),
            "waiting",
            "Not delivered to WhatsApp yet: ",
        ),
        (
            62,
            DeliveryState::Held,
            Some("unclear"),
            "outcome unknown",
            "Not known whether it reached WhatsApp: ",
        ),
        (
            63,
            DeliveryState::Sent,
            Some("settled"),
            "sent",
            "Sent to WhatsApp: ",
        ),
        (
            64,
            DeliveryState::Held,
            Some("account"),
            "waiting",
            "Not delivered to WhatsApp yet: ",
        ),
        (
            65,
            DeliveryState::Delivered,
            None,
            "delivered",
            "Delivered to WhatsApp: ",
        ),
        (
            66,
            DeliveryState::Failed,
            None,
            "failed",
            "Not delivered to WhatsApp: ",
        ),
    ];
    for (n, state, cause, word, title) in story {
        desk.work(&[status(n, "771", state, cause)]).unwrap();
        let notes = notes(&desk);
        assert_eq!(notes.len(), 2, "{notes:#?}");
        assert!(notes[1].starts_with(title), "{}", notes[1]);
        assert!(notes[1].contains("Reply: “word word"), "{}", notes[1]);
        assert!(
            !notes[1].contains("771") && notes[1].contains("…” of"),
            "{}",
            notes[1]
        );
        let property = property(&desk, "wa_reply_state");
        assert!(
            property.starts_with(&format!("{word} · “word")),
            "{property}"
        );
        assert!(!property.contains("24-hour") && notes[1].contains("24-hour"));
    }
    // What was wrong before stays, once.
    let Data::ReplyStatus(mut good) = reply_status("771", DeliveryState::Read) else {
        unreachable!()
    };
    good.detail = None;
    desk.work(&[item("s67", 67, Data::ReplyStatus(good))])
        .unwrap();
    let shown = notes(&desk)[1].clone();
    assert!(
        shown.starts_with("Delivered to WhatsApp: The customer has read the reply.\nBefore: The 24-hour window is closed.\nReply: "),
        "{shown}"
    );
    // The note has moved behind what was written meanwhile.
    desk.work(&[item("e1", 70, received("m2", 70, "And now?"))])
        .unwrap();
    desk.work(&[status(71, "771", DeliveryState::Failed, None)])
        .unwrap();
    assert!(
        notes(&desk)[2].starts_with("Not delivered"),
        "{:#?}",
        notes(&desk)
    );
}

#[test]
fn a_reply_of_which_whatsapp_says_nothing_has_a_note_until_it_has_arrived() {
    let mut desk = opened(false);
    desk.work(&[
        item("r1", 20, replied("77", "On its way")),
        status(21, "77", DeliveryState::Sent, None),
    ])
    .unwrap();
    assert_eq!(notes(&desk).len(), 1, "nothing to be said");
    let unconfirmed = status(22, "77", DeliveryState::Sent, Some("unconfirmed"));
    for _ in 0..2 {
        desk.work(std::slice::from_ref(&unconfirmed)).unwrap();
        let all = notes(&desk);
        assert_eq!(all.len(), 2, "once");
        assert!(
            all[1].contains("Sent, not confirmed by WhatsApp") && all[1].contains("“On its way”"),
            "{all:?}"
        );
    }
    desk.work(&[status(23, "77", DeliveryState::Delivered, None)])
        .unwrap();
    let all = notes(&desk);
    assert_eq!(all.len(), 2);
    assert!(all[1].contains("Delivered to WhatsApp"), "{all:?}");
}

#[test]
fn several_states_at_once_end_with_the_last_one() {
    let mut desk = opened(false);
    desk.work(&[
        item("r1", 60, replied("771", "Soon.")),
        status(61, "771", DeliveryState::Sent, None),
        status(62, "771", DeliveryState::Held, None),
        status(63, "771", DeliveryState::Read, None),
    ])
    .unwrap();
    assert!(
        notes(&desk)[1].starts_with("Delivered to WhatsApp"),
        "{:#?}",
        notes(&desk)
    );
    assert!(property(&desk, "wa_reply_state").starts_with("read · "));
}

#[test]
fn a_note_that_a_rep_deleted_is_made_again_only_for_bad_news() {
    let mut desk = opened(false);
    desk.work(&[
        item("r1", 60, replied("771", "Soon.")),
        status(61, "771", DeliveryState::Held, None),
    ])
    .unwrap();
    let delete = |desk: &mut Desk| {
        let ticket = ticket(desk);
        let timeline = ticket["timeline"].as_array().unwrap();
        let note = timeline.last().unwrap()["id"].as_str().unwrap().to_owned();
        let path = format!("/crm/objects/2026-03/notes/{note}");
        assert_eq!(desk.request("DELETE", &path, &Value::Null).0, 204);
    };
    delete(&mut desk);
    desk.work(&[status(62, "771", DeliveryState::Delivered, None)])
        .unwrap();
    let shown = |desk: &Desk| {
        let ticket = ticket(desk);
        let timeline = ticket["timeline"].as_array().unwrap().clone();
        timeline
            .iter()
            .filter(|note| note["deleted"] == false)
            .count()
    };
    assert_eq!(shown(&desk), 1);
    desk.work(&[status(63, "771", DeliveryState::Failed, None)])
        .unwrap();
    assert_eq!(shown(&desk), 2);
}

#[test]
fn a_reply_that_was_never_taken_is_told_too() {
    let mut desk = opened(false);
    desk.work(&[status(61, "771/not-sent", DeliveryState::Failed, None)])
        .unwrap();
    assert!(notes(&desk)[1].starts_with("Not delivered to WhatsApp: "));
    assert!(!notes(&desk)[1].contains("Reply"), "{}", notes(&desk)[1]);
    assert_eq!(property(&desk, "wa_reply_state"), "failed");
}

#[test]
fn the_reply_that_a_status_is_about_is_asked_for() {
    let mut desk = opened(false);
    desk.work(&[item("r1", 60, replied("771", "Soon."))])
        .unwrap();
    let sent = status(61, "771", DeliveryState::Sent, None);
    let other = status(62, "772", DeliveryState::Sent, None);
    assert_eq!(desk.recalled(&[sent.clone(), other]), ["r1"]);
    let heard = item("r1", 60, replied("771", "Soon."));
    assert_eq!(desk.recalled(&[heard, sent]), Vec::<String>::new());
}

#[test]
fn a_mishap_anywhere_leaves_one_note_with_the_last_state() {
    let chapters = vec![
        vec![item("h1", 10, handoff(vec![short(1)]))],
        vec![
            item("r1", 60, replied("771", "Soon.")),
            status(61, "771", DeliveryState::Sent, None),
            status(62, "771", DeliveryState::Held, None),
            status(63, "771", DeliveryState::Delivered, None),
        ],
    ];
    let report = played(&*connector(json!({})), &returning, chapters, 1);
    let ticket = &report.outcome["tickets"][0];
    assert_eq!(ticket["timeline"].as_array().unwrap().len(), 2);
    assert_eq!(
        ticket["properties"]["wa_reply_state"],
        "delivered · “Soon.” of 2026-11-20 09:01:00Z"
    );
}

#[test]
fn a_rating_is_written_on_the_ticket_where_a_property_is_named_for_it() {
    let rated = |target: &str| {
        let rated = handoffd_contract::notice::SessionRated {
            score: 4,
            of: 5,
            target: target.into(),
            rep: Some("Ana".into()),
            message: "m-9".into(),
        };
        item("rated", 90, Data::SessionRated(rated))
    };
    for (standing, target, value) in [
        (json!({"rating": "wa_rating"}), "crm", "4"),
        (json!({"rating": "wa_rating"}), "other", ""),
        (json!({"rating": "wa_missing"}), "crm", ""),
        (json!({}), "crm", ""),
    ] {
        let portal = handoffd_hubspot::sandbox();
        let mut settings = portal.credentials("http://hubspot.test")["settings"].clone();
        settings["standing"] = standing;
        let mut desk = Desk::new(&settings, portal);
        desk.work(&[item("h1", 10, handoff(vec![short(1)]))])
            .unwrap();
        let before = notes(&desk);
        desk.work(&[rated(target)]).unwrap();
        assert_eq!(property(&desk, "wa_rating"), value);
        assert_eq!(notes(&desk), before, "it is no message");
    }
}
