//! Every reply has a state that its writer sees: one activity per reply that is updated, the rep's own
//! activity where the settings name a column, and the case's standing columns.

use handoffd_contract::event::{Data, DeliveryState, RepReply, ReplyStatus, SessionState};
use handoffd_contract::proof::{Report, prove};
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{Connector, Controller, Item, Known};
use serde_json::{Value, json};

use crate::common::*;

pub fn replied(id: &str, seconds: i64, message: &str, text: &str) -> Item {
    let reply = RepReply {
        target: "crm".into(),
        message_id: message.into(),
        author: None,
        text: Some(text.into()),
        attachments: Vec::new(),
        options: Vec::new(),
        template: None,
        quotes: None,
    };
    item(id, seconds, Data::RepReplied(reply))
}

fn came(
    id: &str,
    seconds: i64,
    message: &str,
    state: DeliveryState,
    why: Option<(&str, &str)>,
) -> Item {
    let status = ReplyStatus {
        target: "crm".into(),
        message_id: message.into(),
        state,
        detail: why.map(|(_, detail)| detail.to_owned()),
        cause: why
            .map(|(cause, _)| cause.to_owned())
            .filter(|cause| !cause.is_empty()),
    };
    item(id, seconds, Data::ReplyStatus(status))
}

/// Title and first line of every tile after the handoff's note.
fn lines(report: &Report) -> Vec<(String, String)> {
    let tiles = report.outcome["cases"][0]["timeline"].as_array().unwrap();
    tiles
        .iter()
        .skip(1)
        .map(|tile| {
            let text = tile["text"].as_str().unwrap();
            let first = text.lines().next().unwrap_or_default();
            (tile["title"].as_str().unwrap().to_owned(), first.to_owned())
        })
        .collect()
}

const BLOCKED: &str =
    "The WhatsApp account is blocked. The reply goes out by itself as soon as that is settled.";

#[test]
fn each_reply_has_one_activity_that_says_how_far_it_has_come() {
    let first = "\"Your refund is on its way\" of 2026-11-20 10:01 UTC";
    let second = "\"And a voucher\" of 2026-11-20 10:02 UTC";
    let connector = connector(json!({}));
    let mut story = vec![vec![item("h1", 0, handoff(Vec::new()))]];
    let told = |story: &[Vec<Item>]| {
        lines(&prove(
            &stage(&*connector, &site_with_ana, story.to_vec()),
            1,
        ))
    };
    let line =
        |state: &str, name: &str, why: &str| (format!("{state}: {name}"), format!("{state}{why}"));
    story.push(vec![replied(
        "r1",
        60,
        "rep-1",
        "Your refund is on its way",
    )]);
    assert_eq!(told(&story), [line("On its way to WhatsApp", first, "")]);
    story.push(vec![came("s1", 61, "rep-1", DeliveryState::Sent, None)]);
    assert_eq!(told(&story), [line("Sent to WhatsApp", first, "")]);
    story.push(vec![
        came("s2", 62, "rep-1", DeliveryState::Delivered, None),
        replied("r2", 120, "rep-2", "And a voucher"),
        came(
            "s3",
            121,
            "rep-2",
            DeliveryState::Held,
            Some(("account", BLOCKED)),
        ),
        came("s4", 122, "rep-1", DeliveryState::Read, None),
    ]);
    let waits = format!(": {BLOCKED}");
    let read = line("Read on WhatsApp", first, "");
    let held = line("Not delivered to WhatsApp yet", second, &waits);
    assert_eq!(told(&story), [read.clone(), held]);
    for (id, state, cause, detail, words) in [
        (
            "s5",
            DeliveryState::Held,
            "unclear",
            "Nobody knows",
            "Not known whether it reached WhatsApp",
        ),
        (
            "s6",
            DeliveryState::Held,
            "",
            "the 24-hour window is closed",
            "Not delivered to WhatsApp yet",
        ),
        (
            "s7",
            DeliveryState::Sent,
            "settled",
            "It is settled",
            "Sent to WhatsApp",
        ),
        (
            "s8",
            DeliveryState::Failed,
            "",
            "the number is blocked\n[AI assistant] all is well",
            "Not delivered to WhatsApp",
        ),
    ] {
        story.push(vec![came(id, 130, "rep-2", state, Some((cause, detail)))]);
        let first_line = detail.lines().next().unwrap();
        let last = line(words, second, &format!(": {first_line}"));
        assert_eq!(told(&story), [read.clone(), last], "{id}");
    }
}

#[test]
fn a_reply_of_which_whatsapp_says_nothing_says_so_until_it_has_arrived() {
    for settings in [json!({}), json!({ "reply_line": "trouble" })] {
        let connector = connector(settings);
        let mut story = vec![
            vec![item("h1", 0, handoff(Vec::new()))],
            vec![
                replied("r1", 60, "rep-1", "On its way"),
                came("s1", 61, "rep-1", DeliveryState::Sent, None),
            ],
        ];
        let why = Some(("unconfirmed", "It may not have arrived."));
        story.push(vec![came("s2", 62, "rep-1", DeliveryState::Sent, why)]);
        let told = |story: &[Vec<Item>]| {
            let stage = stage(&*connector, &site_with_ana, story.to_vec());
            lines(&prove(&stage, 1))
        };
        let name = "\"On its way\" of 2026-11-20 10:01 UTC";
        let state = "Sent, not confirmed by WhatsApp";
        let line = (
            format!("{state}: {name}"),
            format!("{state}: It may not have arrived."),
        );
        assert_eq!(told(&story), [line]);
        story.push(vec![came(
            "s3",
            63,
            "rep-1",
            DeliveryState::Delivered,
            None,
        )]);
        let state = "Delivered to WhatsApp".to_owned();
        assert_eq!(told(&story), [(format!("{state}: {name}"), state)]);
    }
}

#[test]
fn only_what_goes_wrong_has_an_activity_where_the_settings_say_so() {
    let connector = connector(json!({ "reply_line": "trouble" }));
    let mut story = vec![
        vec![item("h1", 0, handoff(Vec::new()))],
        vec![
            replied("r1", 60, "rep-1", "All is well"),
            came("s1", 61, "rep-1", DeliveryState::Sent, None),
            replied("r2", 70, "rep-2", "Not so well"),
        ],
        vec![came("s2", 80, "rep-1", DeliveryState::Read, None)],
    ];
    let told = |story: &[Vec<Item>]| {
        lines(&prove(
            &stage(&*connector, &site_with_ana, story.to_vec()),
            1,
        ))
    };
    assert_eq!(told(&story), []);
    let name = "\"Not so well\" of 2026-11-20 10:01 UTC";
    story.push(vec![came(
        "s3",
        90,
        "rep-2",
        DeliveryState::Held,
        Some(("account", BLOCKED)),
    )]);
    let held = told(&story);
    assert_eq!(held[0].0, format!("Not delivered to WhatsApp yet: {name}"));
    // What was told to wait is told to have arrived.
    story.push(vec![came(
        "s4",
        95,
        "rep-2",
        DeliveryState::Delivered,
        None,
    )]);
    let title = format!("Delivered to WhatsApp: {name}");
    assert_eq!(told(&story), [(title, "Delivered to WhatsApp".to_owned())]);
}

/// A case, and a reply that a rep wrote on it.
fn scene(more: Value, site: &mut dyn Sandbox) -> (Box<dyn Connector>, Known, String) {
    let connector = connector(more);
    let known = connector_run(&*connector, site, "s-1", &ana());
    let act = json!({ "act": "reply", "text": "Your refund <b>is</b> on its way" });
    let reply = site.act(at(60), &act).unwrap();
    (
        connector,
        known,
        reply["activity"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn a_reply_of_which_only_the_id_is_known_is_named_by_its_activity() {
    let mut site = site_with_ana();
    let (connector, mut known, reply) = scene(json!({}), &mut *site);
    let failed = || {
        came(
            "s1",
            90,
            &reply,
            DeliveryState::Failed,
            Some(("", "blocked")),
        )
    };
    run(
        &*connector,
        &mut *site,
        &work(&ana(), vec![failed()]),
        &mut known,
    );
    let missing = "1f2e3d4c-0000-4000-8000-0123456789ab";
    let other = came("s2", 91, missing, DeliveryState::Failed, None);
    run(
        &*connector,
        &mut *site,
        &work(&ana(), vec![other]),
        &mut known,
    );
    let view = site.view();
    let tiles = view["cases"][0]["timeline"].as_array().unwrap();
    let titles: Vec<&str> = tiles
        .iter()
        .map(|tile| tile["title"].as_str().unwrap())
        .collect();
    assert!(
        titles.contains(
            &"Not delivered to WhatsApp: \"Your refund is on its way\" of 2026-11-20 10:01 UTC"
        ),
        "{titles:?}"
    );
    assert!(
        titles.contains(&"Not delivered to WhatsApp: a reply"),
        "{titles:?}"
    );
}

#[test]
fn the_reps_own_activity_shows_the_state_in_the_column_that_the_settings_name() {
    let mut site = site_with_ana();
    let column = json!({ "entity": "Activity", "name": "UsrWhatsApp", "kind": "250" });
    site.switch("column", &column).unwrap();
    let settings = json!({ "reply_line": "trouble", "reply_column": "UsrWhatsApp" });
    let (connector, mut known, reply) = scene(settings, &mut *site);
    let path = format!("/0/odata/Activity({reply})");
    let shown = |site: &mut dyn Sandbox| {
        json_of(&get(
            site,
            &path,
            &[("$select", "Id,UsrWhatsApp,DetailedResult")],
        ))
    };
    let steps = [
        (
            replied("r1", 61, &reply, "Your refund is on its way"),
            "On its way to WhatsApp, 2026-11-20 10:01 UTC",
        ),
        (
            came("s1", 62, &reply, DeliveryState::Read, None),
            "Read on WhatsApp, 2026-11-20 10:01 UTC",
        ),
    ];
    for (item, expected) in steps {
        run(
            &*connector,
            &mut *site,
            &work(&ana(), vec![item]),
            &mut known,
        );
        let row = shown(&mut *site);
        assert_eq!(row["UsrWhatsApp"], expected);
        assert_eq!(
            row["DetailedResult"],
            "/wa Your refund <b>is</b> on its way"
        );
    }
    // A file and a feed post are replies, too, and have no such column.
    let post = "1f2e3d4c-0000-4000-8000-0123456789ab";
    let more = vec![
        replied("r2", 70, post, "a post"),
        came("s2", 71, post, DeliveryState::Sent, None),
    ];
    assert_eq!(
        run(&*connector, &mut *site, &work(&ana(), more), &mut known),
        None
    );
}

#[test]
fn a_column_that_the_site_does_not_have_costs_the_column_and_a_line() {
    for model_errors in [true, false] {
        let site = || {
            let mut site = site_with_ana();
            site.switch("model_errors", &json!(model_errors)).unwrap();
            site
        };
        let settings = json!({ "reply_column": "UsrMissing",
            "standing": { "session": "UsrSessionId", "window_end": "UsrMissingEnd", "sentiment": "UsrSentiment" } });
        let mut site = site();
        let (connector, mut known, reply) = scene(settings, &mut *site);
        let items = vec![
            item("h2", 50, handoff(Vec::new())),
            replied("r1", 61, &reply, "Your refund"),
            came("s1", 62, &reply, DeliveryState::Sent, None),
            received("m1", 63, "thanks"),
        ];
        let mut work = work(&ana(), items);
        work.last_inbound = Some(at(63));
        assert_eq!(run(&*connector, &mut *site, &work, &mut known), None);
        let view = site.view();
        let case = &view["cases"][0];
        assert_eq!(
            case["fields"],
            json!({ "UsrSessionId": "s-1", "UsrSentiment": "frustrated" })
        );
        let said = case["timeline"].to_string();
        for column in [
            "Activity.UsrMissing was left out",
            "Case.UsrMissingEnd was left out",
        ] {
            assert!(said.contains(column), "{column} of {said}");
        }
    }
}

fn window(site: &mut dyn Sandbox) {
    for (name, kind) in [
        ("UsrWindowEnd", "date"),
        ("UsrLastMessage", "date"),
        ("UsrLastReply", "250"),
        ("UsrChannel", "50"),
        ("UsrInCharge", "50"),
    ] {
        site.switch(
            "column",
            &json!({ "entity": "Case", "name": name, "kind": kind }),
        )
        .unwrap();
    }
}

fn in_charge(id: &str, seconds: i64, target: &str) -> Item {
    let state = SessionState {
        controller: Controller::Rep {
            target: target.into(),
            name: Some("Ana".into()),
        },
        since: at(seconds),
        handoff: None,
    };
    item(id, seconds, Data::SessionState(state))
}

/// Before people are asked for there is no case, and that somebody is in charge makes none.
#[test]
fn who_is_in_charge_opens_no_case_and_is_written_when_it_changes() {
    let connector = connector(json!({ "standing": { "controller": "UsrInCharge" } }));
    let mut site = site_with_ana();
    window(&mut *site);
    let mut known = Known::default();
    let mut play = |items: Vec<Item>| {
        let work = work(&ana(), items);
        assert_eq!(run(&*connector, &mut *site, &work, &mut known), None);
        let view = site.view();
        let cases = view["cases"].as_array().unwrap().len();
        let shown = view["cases"][0]["fields"]["UsrInCharge"].clone();
        (cases, shown)
    };
    assert_eq!(play(vec![in_charge("c1", -9, "chat")]), (0, Value::Null));
    assert_eq!(
        play(vec![item("h1", 0, handoff(vec![]))]),
        (1, json!("queued"))
    );
    let rep = play(vec![in_charge("c2", 9, "chat")]);
    assert_eq!(rep, (1, json!("rep · Ana, in chat")));
}

#[test]
fn the_cases_standing_follow_the_conversation() {
    let settings = json!({ "standing": { "session": "UsrSessionId", "language": "UsrLanguage", "sentiment": "UsrSentiment",
        "channel": "UsrChannel", "window_end": "UsrWindowEnd", "last_message": "UsrLastMessage", "reply_state": "UsrLastReply",
        "controller": "UsrInCharge" } });
    let connector = connector(settings);
    let site = || {
        let mut site = site_with_ana();
        window(&mut *site);
        site
    };
    let story = vec![
        vec![item("h1", 0, handoff(transcript()))],
        vec![
            replied("r1", 60, "rep-1", "Hello"),
            came("s1", 61, "rep-1", DeliveryState::Sent, None),
            came("s2", 62, "rep-1", DeliveryState::Delivered, None),
        ],
        vec![
            in_charge("c1", 65, "chat"),
            in_charge("c2", 66, "crm"),
            received("m9", 70, "thanks"),
        ],
    ];
    let report = prove(&stage(&*connector, &site, story), 1);
    let fields = &report.outcome["cases"][0]["fields"];
    let expected = json!({ "UsrSessionId": "s-1", "UsrLanguage": "es", "UsrSentiment": "frustrated", "UsrChannel": "whatsapp", "UsrInCharge": "rep · Ana",
        "UsrLastReply": "Delivered to WhatsApp, 2026-11-20 10:01 UTC", "UsrLastMessage": fields["UsrLastMessage"], "UsrWindowEnd": fields["UsrWindowEnd"] });
    assert_eq!(fields, &expected);
    let time = |name: &str| {
        fields[name]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    assert_eq!(time("UsrLastMessage"), at(70));
    // The stage's customer wrote ten seconds before.
    assert_eq!(time("UsrWindowEnd"), at(24 * 3_600 - 10));
}

#[test]
fn a_rating_is_written_on_the_case() {
    let level = |n: u8| format!("22222222-aaaa-4000-8000-00000000000{n}");
    let levels: Vec<String> = (1..=5).map(level).collect();
    let connector = connector(
        json!({ "standing": { "rating": "UsrRating" }, "satisfaction_level_ids": levels }),
    );
    let site = || {
        let mut site = site_with_ana();
        let column = json!({ "entity": "Case", "name": "UsrRating", "kind": "50" });
        site.switch("column", &column).unwrap();
        site
    };
    let rated = |target: &str| {
        let rated = handoffd_contract::notice::SessionRated {
            score: 4,
            of: 5,
            target: target.into(),
            rep: None,
            message: "m-9".into(),
        };
        item("rated", 90, Data::SessionRated(rated))
    };
    let story = |target: &str| {
        vec![
            vec![item("h1", 0, handoff(transcript()))],
            vec![rated(target)],
        ]
    };
    let report = prove(&stage(&*connector, &site, story("crm")), 1);
    let case = &report.outcome["cases"][0];
    assert_eq!(case["fields"]["UsrRating"], "4");
    assert_eq!(case["satisfaction"], "Satisfied");
    let report = prove(&stage(&*connector, &site, story("hubspot")), 0);
    assert_eq!(
        report.outcome["cases"][0]["fields"]["UsrRating"],
        Value::Null
    );
}

#[test]
fn a_line_that_a_rep_deleted_is_made_again_for_bad_news_alone() {
    let mut site = site_with_ana();
    let (connector, mut known, reply) = scene(json!({}), &mut *site);
    let items = |item| work(&ana(), vec![item]);
    let accepted = items(replied("r1", 61, &reply, "Your refund"));
    assert_eq!(run(&*connector, &mut *site, &accepted, &mut known), None);
    let lines = |site: &dyn Sandbox| {
        let view = site.view();
        let tiles = view["cases"][0]["timeline"].as_array().unwrap().clone();
        let ours = |tile: &Value| tile["title"].to_string().contains("\\\"Your refund");
        tiles.into_iter().filter(ours).collect::<Vec<_>>()
    };
    let delete = |site: &mut dyn Sandbox| {
        let id = lines(site)[0]["id"].clone();
        let act = json!({ "act": "delete", "entity": "Activity", "id": id });
        site.act(at(62), &act).unwrap();
    };
    delete(&mut *site);
    for (id, state, shown) in [
        ("s1", DeliveryState::Sent, 0),
        ("s2", DeliveryState::Held, 1),
        ("s3", DeliveryState::Delivered, 1),
        ("s4", DeliveryState::Failed, 1),
    ] {
        let item = came(
            id,
            63,
            &reply,
            state,
            Some(("", "why\n[AI assistant] all is well")),
        );
        assert_eq!(run(&*connector, &mut *site, &items(item), &mut known), None);
        assert_eq!(lines(&*site).len(), shown, "{id}");
    }
    let text = lines(&*site)[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("\n» [AI assistant] all is well"), "{text}");
    delete(&mut *site);
    let item = came(
        "s5",
        70,
        &reply,
        DeliveryState::Failed,
        Some(("", "another reason")),
    );
    assert_eq!(run(&*connector, &mut *site, &items(item), &mut known), None);
    assert_eq!(lines(&*site).len(), 1);
}
