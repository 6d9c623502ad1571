//! Each transcript arrives whole, in order and escaped; and what a site refuses costs one thing, not
//! the handoff.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use handoffd_contract::event::{Attachment, AttachmentKind, AuthorKind, Contact, Data};
use handoffd_contract::proof::{Stage, prove};
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{
    Call, Connector, Effect, HttpReply, Item, Known, Learned, MediaProblem, Reason, Refusal, Reply,
    Step, Verdict, Work,
};
use serde_json::{Value, json};

fn case(report: &handoffd_contract::proof::Report) -> &Value {
    &report.outcome["cases"][0]
}

fn completed(
    report: &handoffd_contract::proof::Report,
    id: &str,
) -> handoffd_contract::event::HandoffCompleted {
    match &report.events[&format!("completed/{id}")] {
        Data::HandoffCompleted(completed) => completed.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn five_hundred_messages_arrive_in_order_even_within_one_second() {
    let transcript: Vec<_> = (0..500)
        .map(|n| {
            message(
                &format!("m{n}"),
                -300,
                AuthorKind::Customer,
                &format!("line {n}"),
            )
        })
        .collect();
    let connector = connector(json!({}));
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![
                vec![item("h1", 0, handoff(transcript))],
                vec![received("later", -300, "after")],
            ],
        ),
        0,
    );
    let timeline = case(&report)["timeline"].as_array().unwrap().clone();
    assert_eq!(timeline.len(), 502);
    for n in 0..500 {
        assert_eq!(timeline[n + 1]["text"], format!("line {n}"));
    }
    assert_eq!(
        timeline[501]["text"], "after",
        "a message of the same second sorts behind"
    );
    // Two lookups, contact, case, nine batches (eight side by side), one later message.
    assert_eq!((report.calls, report.round_trips), (14, 6));
}

#[test]
fn one_message_of_sixty_thousand_characters_arrives_whole() {
    let long = "word with <b>tags</b> & \"quotes\" 👩‍👩‍👧 مرحبا\n".repeat(1_400);
    assert!(long.chars().count() > 60_000);
    let connector = connector(json!({}));
    let story = vec![vec![item(
        "h1",
        0,
        handoff(vec![message("m1", -9, AuthorKind::Customer, &long)]),
    )]];
    let report = prove(&stage(&*connector, &site, story), 0);
    let tile = &case(&report)["timeline"][1];
    assert_eq!(tile["text"].as_str().unwrap(), long);
    assert!(tile["title"].as_str().unwrap().encode_utf16().count() <= 500);
}

#[test]
fn a_megabyte_of_text_is_cut_into_batches_on_message_borders() {
    let transcript: Vec<_> = (0..40)
        .map(|n| {
            message(
                &format!("m{n}"),
                n - 300,
                AuthorKind::Customer,
                &"x".repeat(60_000),
            )
        })
        .collect();
    let connector = connector(json!({}));
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![item("h1", 0, handoff(transcript))]],
        ),
        0,
    );
    assert_eq!(case(&report)["timeline"].as_array().unwrap().len(), 41);
    assert_eq!(
        report.calls,
        4 + 3,
        "two lookups, contact, case, three batches below a megabyte each"
    );
}

#[test]
fn names_and_texts_are_escaped_where_html_is_shown() {
    let connector = connector(json!({}));
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![rendered(
                item("h1", 0, handoff(Vec::new())),
                json!({ "UsrSummary": "<i>x</i>" }),
            )]],
        ),
        0,
    );
    let html = case(&report)["description_html"].as_str().unwrap();
    assert!(
        html.contains("Angry &lt;customer&gt;") && html.contains("8812 &amp; an excuse"),
        "{html}"
    );
    assert!(
        html.contains(
            "<a href=\"https://assistant.example/sessions/s-1?a=1&amp;b=2\">View session</a>"
        ),
        "{html}"
    );
    let mapped = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![rendered(
                item("h1", 0, handoff(Vec::new())),
                json!({ "Symptoms": "<script>alert(1)</script>" }),
            )]],
        ),
        0,
    );
    assert_eq!(
        case(&mapped)["description_html"],
        "&lt;script&gt;alert(1)&lt;/script&gt;"
    );
    let mut session = session();
    session.url = Some("javascript:alert(1)".into());
    let data = match handoff(Vec::new()) {
        Data::HandoffRequested(mut handoff) => {
            handoff.session = session;
            Data::HandoffRequested(handoff)
        }
        other => other,
    };
    let story = Stage {
        session: handoffd_contract::event::Session {
            url: None,
            ..common::session()
        },
        ..stage(&*connector, &site, vec![vec![item("h1", 0, data)]])
    };
    let report = prove(&story, 0);
    assert!(!report.outcome.to_string().contains("javascript:"));
}

#[test]
fn a_customer_without_phone_is_known_again_by_the_user_id() {
    let contact = Contact {
        user_id: Some("US.13491208655302741918".into()),
        username: Some("ana.l".into()),
        ..Contact::default()
    };
    let connector = connector(json!({}));
    let site = || {
        let mut site = site();
        let first = connector_run(
            &*common::connector(json!({})),
            &mut *site,
            "s-0",
            &Contact {
                user_id: Some("US.13491208655302741918".into()),
                ..Contact::default()
            },
        );
        assert!(first.is("case"));
        site
    };
    let story = Stage {
        contact,
        ..stage(
            &*connector,
            &site,
            vec![vec![item("h1", 0, handoff(Vec::new()))]],
        )
    };
    let report = prove(&story, 1);
    assert_eq!(report.outcome["contacts"].as_array().unwrap().len(), 1);
    assert_eq!(report.outcome["contacts"][0]["mobile_phone"], "");
    assert_eq!(report.outcome["cases"].as_array().unwrap().len(), 2);
}

#[test]
fn nobody_to_find_parks() {
    let connector = connector(json!({}));
    let work = work(
        &Contact::default(),
        vec![item("h1", 0, handoff(Vec::new()))],
    );
    match connector.next(&work, &Known::default()) {
        Err(Refusal::Park(stop)) => assert_eq!(stop.reason, Reason::NoCustomer),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_column_that_the_site_does_not_have_is_left_out_and_the_rep_is_told() {
    for model in [false, true] {
        let site = || {
            let mut site = site();
            site.switch("model_errors", &json!(model)).unwrap();
            site
        };
        let connector = connector(json!({}));
        let item = rendered(
            item("h1", 0, handoff(transcript())),
            json!({ "UsrNope": "x", "UsrCategory": "Refund", "PriorityId": "High" }),
        );
        let report = prove(&stage(&*connector, &site, vec![vec![item]]), 1);
        assert_eq!(case(&report)["fields"], json!({ "UsrCategory": "Refund" }));
        let notes = completed(&report, "h1").notes.join("\n");
        assert!(notes.contains("Case.UsrNope was left out"), "{notes}");
        assert!(
            notes.contains("PriorityId was left out: it takes a record id"),
            "{notes}"
        );
        assert!(notes.contains("gone.pdf could not be attached"), "{notes}");
        assert!(!notes.contains("Wants money"), "{notes}");
    }
}

#[test]
fn a_foreign_key_that_names_nothing_parks_after_one_request() {
    let connector = connector(json!({ "owner_id": "1f2e3d4c-0000-4000-8000-0123456789ab" }));
    let mut site = site_with_ana();
    let stop = parked(
        &*connector,
        &mut *site,
        &work(&ana(), vec![item("h1", 0, handoff(Vec::new()))]),
    );
    assert_eq!(stop.reason, Reason::Invalid);
    assert!(
        stop.words.contains("violates foreign key constraint")
            && stop.words.contains("check --live"),
        "{stop:?}"
    );
}

#[test]
fn a_missing_right_names_the_object() {
    let connector = connector(json!({}));
    for set in ["Case", "Activity", "CaseFile"] {
        let mut site = site_with_ana();
        site.switch("deny", &json!([format!("{set}:create")]))
            .unwrap();
        let stop = parked(
            &*connector,
            &mut *site,
            &work(&ana(), vec![item("h1", 0, handoff(transcript()))]),
        );
        assert_eq!(stop.reason, Reason::Forbidden);
        assert!(
            stop.words.contains(&format!("may not create {set}")),
            "{stop:?}"
        );
    }
}

#[test]
fn a_file_that_is_too_large_becomes_a_line_and_a_link() {
    let mut photo = message("m1", -9, AuthorKind::Customer, "see");
    photo.attachments.push(Attachment {
        size: Some(11 * 1024 * 1024),
        ..attachment(
            "a1",
            AttachmentKind::Image,
            "big.jpg",
            Some("https://media.example/big.jpg"),
        )
    });
    photo.attachments.push(attachment(
        "a2",
        AttachmentKind::Image,
        "grown.jpg",
        Some("https://media.example/grown.jpg"),
    ));
    let connector = connector(json!({}));
    let site = || {
        let mut site = site();
        site.switch("max_file_mb", &json!(0)).unwrap();
        site
    };
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![item("h1", 0, handoff(vec![photo]))]],
        ),
        1,
    );
    let text = case(&report)["timeline"][1]["text"].as_str().unwrap();
    assert!(
        text.contains("[big.jpg could not be attached: it is larger than the 10 MB"),
        "{text}"
    );
    assert!(
        text.contains("[grown.jpg could not be attached: it is larger than this Creatio takes"),
        "{text}"
    );
    let links: Vec<&str> = case(&report)["attachments"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["kind"] == "link")
        .map(|f| f["name"].as_str().unwrap())
        .collect();
    assert!(
        links.contains(&"https://media.example/big.jpg")
            && links.contains(&"https://media.example/grown.jpg"),
        "{links:?}"
    );
    assert_eq!(
        case(&report)["attachments"].as_array().unwrap().len(),
        3,
        "no empty row is left"
    );
}

#[test]
fn the_same_message_or_file_id_twice_is_one() {
    let mut twice = message("m1", -9, AuthorKind::Customer, "hi");
    twice.attachments = vec![
        attachment(
            "a1",
            AttachmentKind::Image,
            "p.jpg",
            Some("https://media.example/p.jpg")
        );
        2
    ];
    let connector = connector(json!({}));
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![item("h1", 0, handoff(vec![twice.clone(), twice]))]],
        ),
        1,
    );
    assert_eq!(case(&report)["timeline"].as_array().unwrap().len(), 2);
    assert_eq!(case(&report)["attachments"].as_array().unwrap().len(), 2);
}

#[test]
fn a_case_that_a_rep_closed_is_not_opened_by_our_closing() {
    let connector = connector(json!({}));
    let mut site = site_with_ana();
    let mut known = connector_run(&*connector, &mut *site, "s-1", &ana());
    site.act(at(50), &json!({ "act": "close" })).unwrap();
    run(
        &*connector,
        &mut *site,
        &work(&ana(), vec![closed("c1", 60)]),
        &mut known,
    );
    assert_eq!(site.view()["cases"][0]["status"], "Closed");
    let ours = Data::SessionClosed(handoffd_contract::event::SessionClosed {
        closed_by: Some("crm".into()),
        ..Default::default()
    });
    assert_eq!(
        connector.next(&work(&ana(), vec![item("c2", 70, ours)]), &known),
        Ok(Vec::new())
    );
}

#[test]
fn a_creation_that_failed_after_it_was_written_is_not_written_twice() {
    for database in ["postgres", "mssql"] {
        let site = || {
            let mut site = site();
            site.switch("database", &json!(database)).unwrap();
            site.switch("fail_after_insert", &json!(5)).unwrap();
            site
        };
        let connector = connector(json!({}));
        let report = prove(
            &stage(
                &*connector,
                &site,
                vec![vec![item("h1", 0, handoff(transcript()))]],
            ),
            1,
        );
        assert_eq!(case(&report)["timeline"].as_array().unwrap().len(), 7);
    }
}

#[test]
fn every_answer_has_its_verdict() {
    let connector = connector(json!({}));
    let steps = first_steps(&*connector);
    let verdict = |name: &str, status: u16, mime: &str, body: &str, after: Option<&str>| {
        let step = steps.iter().find(|step| step.name == name).unwrap();
        let mut headers = vec![("content-type".to_owned(), mime.to_owned())];
        headers.extend(after.map(|after| ("retry-after".to_owned(), after.to_owned())));
        connector.read(
            step,
            &Reply::Http(HttpReply {
                status,
                headers,
                body: body.into(),
            }),
        )
    };
    let later = |verdict: Verdict| match verdict {
        Verdict::Later {
            stop,
            after,
            effect,
        } => (stop.reason, after.map(|a| a.as_secs()), effect),
        other => panic!("{other:?}"),
    };
    let never = |verdict: Verdict| match verdict {
        Verdict::Never(stop) => stop.reason,
        other => panic!("{other:?}"),
    };
    let json = "application/json";
    for name in [
        "case.create",
        "rows.create",
        "file.upload",
        "contact.create",
    ] {
        assert_eq!(
            later(verdict(name, 401, json, "{}", None)),
            (Reason::Unauthorized, None, Effect::None),
            "{name}"
        );
        assert_eq!(
            later(verdict(name, 302, "text/html", "", None)),
            (Reason::Unauthorized, None, Effect::None),
            "{name}"
        );
        assert_eq!(
            later(verdict(
                name,
                200,
                "text/html; charset=utf-8",
                "<html>",
                None
            )),
            (Reason::Unauthorized, None, Effect::None),
            "{name}"
        );
        assert_eq!(
            later(verdict(name, 429, json, "", Some("7"))),
            (Reason::RateLimited, Some(7), Effect::None),
            "{name}"
        );
        assert_eq!(
            later(verdict(name, 429, json, "", Some("999999"))),
            (Reason::RateLimited, Some(3_600), Effect::None),
            "{name}"
        );
        assert_eq!(
            later(verdict(name, 500, json, "oops", None)),
            (Reason::ServerError, None, Effect::Possible),
            "{name}"
        );
        assert_eq!(
            later(verdict(name, 503, "text/html", "<html>", Some("2"))),
            (Reason::ServerError, Some(2), Effect::Possible),
            "{name}"
        );
        assert_eq!(
            never(verdict(name, 403, json, "{}", None)),
            Reason::Forbidden,
            "{name}"
        );
    }
    for name in ["case.create", "rows.create", "contact.create"] {
        assert_eq!(
            later(verdict(name, 201, json, "garbage", None)),
            (Reason::ServerError, None, Effect::Possible),
            "{name}"
        );
        assert_eq!(
            later(verdict(
                name,
                200,
                json,
                "{\"Message\":\"No HTTP resource was found\"}",
                None
            ))
            .2,
            Effect::Possible,
            "{name}"
        );
        for (status, reason) in [
            (400, Reason::Invalid),
            (404, Reason::NotFound),
            (413, Reason::TooLarge),
            (415, Reason::Invalid),
            (422, Reason::Invalid),
        ] {
            assert_eq!(
                never(verdict(name, status, json, "{}", None)),
                reason,
                "{name} {status}"
            );
        }
        assert_eq!(
            later(verdict(name, 409, json, "{}", None)).0,
            Reason::Conflict,
            "{name}"
        );
        assert_eq!(
            later(verdict(name, 423, json, "{}", None)).0,
            Reason::RateLimited,
            "{name}"
        );
    }
    for (status, why) in [
        (404, "!its row was removed"),
        (413, "!it is larger"),
        (415, "!Creatio refused it"),
    ] {
        match verdict("file.upload", status, json, "{}", None) {
            Verdict::Known(facts) => assert!(
                facts[0].value.as_deref().unwrap().starts_with(why),
                "{facts:?}"
            ),
            other => panic!("{other:?}"),
        }
    }
    let upload = steps
        .iter()
        .find(|step| step.name == "file.upload")
        .unwrap();
    assert_eq!(
        later(connector.read(upload, &Reply::Media(MediaProblem::Unreachable))),
        (Reason::MediaUnavailable, None, Effect::None)
    );
    for name in ["contact.numbers", "contact.columns"] {
        assert_eq!(
            later(verdict(name, 500, json, "", None)),
            (Reason::ServerError, None, Effect::None),
            "{name}"
        );
        assert_eq!(
            later(verdict(name, 200, json, "garbage", None)).2,
            Effect::None,
            "{name}"
        );
    }
    match verdict(
        "case.create",
        500,
        json,
        "{\"error\":{\"innererror\":{\"message\":\"23505: duplicate key value\"}}}",
        None,
    ) {
        Verdict::Later {
            stop,
            effect: Effect::Possible,
            ..
        } => assert_eq!(stop.reason, Reason::Conflict),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_is_read_part_by_part() {
    let connector = connector(json!({}));
    let steps = first_steps(&*connector);
    let step = steps
        .iter()
        .find(|step| step.name == "rows.create")
        .unwrap();
    let id = |at: usize| step.memo[at]["id"].as_str().unwrap().to_owned();
    let read = |parts: Value| {
        connector.read(
            step,
            &Reply::Http(HttpReply {
                status: 200,
                headers: Vec::new(),
                body: json!({ "responses": parts }).to_string().into_bytes(),
            }),
        )
    };
    let ok = json!({ "id": "r0", "status": 201, "body": { "Id": id(0) } });
    match read(json!([ok, { "id": "r1", "status": 500, "body": {} }])) {
        Verdict::Known(facts) => {
            assert!(facts.iter().all(|fact| fact.value.is_some()), "{facts:?}");
            assert!(facts.contains(&Learned::is(&step.claims[0].fact, id(0))));
            assert!(
                facts.len() < step.claims.len(),
                "what is missing or failed stays unsure"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        read(json!([{ "id": "r0", "status": 503 }])),
        Verdict::Later {
            effect: Effect::Possible,
            ..
        }
    ));
    assert!(matches!(
        read(json!([])),
        Verdict::Later {
            effect: Effect::Possible,
            ..
        }
    ));
    assert!(
        matches!(read(json!([ok, { "id": "r1", "status": 403 }])), Verdict::Never(stop) if stop.reason == Reason::Forbidden)
    );
    let wrong = json!({ "error": { "innererror": { "message": "The property 'GlobalActivityID' does not exist" } } });
    match read(json!([{ "id": "r0", "status": 400, "body": wrong }])) {
        Verdict::Known(facts) => assert!(
            facts
                .iter()
                .any(|f| f.fact == "dropped/Activity/GlobalActivityID"),
            "{facts:?}"
        ),
        other => panic!("{other:?}"),
    }
    let text = json!({ "error": { "innererror": { "message": "22001: value too long for column DetailedResult" } } });
    match read(json!([{ "id": "r1", "status": 500, "body": text }])) {
        Verdict::Known(facts) => assert!(
            facts.iter().any(|f| f.fact == format!("hollow/{}", id(1))),
            "{facts:?}"
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn live_checks_find_what_is_wrong_and_name_the_remedy() {
    let wrong = "1f2e3d4c-0000-4000-8000-0123456789ab";
    let connector = connector(json!({
        "resolved_status_id": wrong, "owner_id": wrong, "group_id": wrong, "case_columns": ["UsrCategory", "UsrMissing"],
        "integration_contact_id": wrong, "feed_posts": "reply",
    }));
    let mut site = site();
    let findings = findings(&*connector, &mut *site);
    let problem = |what: &str| {
        findings
            .iter()
            .filter(|f| f.what == what)
            .find_map(|f| f.problem.clone())
            .unwrap_or_default()
    };
    assert!(
        problem("case statuses").contains("resolved_status_id")
            && problem("case statuses").contains("Resolved = ae7f411e"),
        "{findings:?}"
    );
    assert!(problem("case owner").contains("an owner is a contact"));
    assert!(problem("case group").contains("role"));
    assert!(problem("integration_contact_id").contains("set it to that"));
    assert!(problem("Case.UsrMissing").contains("object designer"));
    assert_eq!(
        findings.iter().filter(|f| f.problem.is_some()).count(),
        5,
        "{findings:?}"
    );

    let good = site.credentials("https://acme.creatio.com")["settings"].clone();
    let connector = handoffd_creatio::connector("crm", &good).unwrap();
    let fine = common_findings(&*connector, &mut *site);
    assert!(fine.iter().all(|f| f.problem.is_none()), "{fine:?}");
    site.switch("odata_right", &json!(false)).unwrap();
    let refused = common_findings(&*connector, &mut *site);
    assert!(
        refused.iter().any(|f| f
            .problem
            .as_deref()
            .is_some_and(|p| p.contains("CanUseODataService"))),
        "{refused:?}"
    );
    site.switch("runtime", &json!("net")).unwrap();
    let elsewhere = common_findings(&*connector, &mut *site);
    assert!(
        elsewhere
            .iter()
            .any(|f| f.problem.as_deref().is_some_and(|p| p.contains("runtime"))),
        "{elsewhere:?}"
    );
}

fn findings(connector: &dyn Connector, site: &mut dyn Sandbox) -> Vec<handoffd_contract::Finding> {
    common_findings(connector, site)
}

fn common_findings(
    connector: &dyn Connector,
    site: &mut dyn Sandbox,
) -> Vec<handoffd_contract::Finding> {
    let checks = connector.checks();
    checks
        .iter()
        .flat_map(|check| connector.checked(check, &reply(call(site, &check.call))))
        .collect()
}

fn work(contact: &Contact, items: Vec<Item>) -> Work {
    Work {
        target: "crm".into(),
        session: session(),
        contact: contact.clone(),
        items,
        last_inbound: None,
        now: at(0),
    }
}

/// One wave after the other, as the engine does, until nothing is left; a refusal is the answer.
fn run(
    connector: &dyn Connector,
    site: &mut dyn Sandbox,
    work: &Work,
    known: &mut Known,
) -> Option<handoffd_contract::Stop> {
    for _ in 0..200 {
        let steps = connector.next(work, known).unwrap();
        if steps.is_empty() {
            return None;
        }
        for step in steps {
            let verdict = match &step.call {
                Call::Record(record) => {
                    record
                        .facts
                        .iter()
                        .for_each(|(name, value)| known.set(name.clone(), value.clone()));
                    continue;
                }
                Call::Http(http) => {
                    let reply = match handoffd_contract::proof::encode(http, site, at(1), &media) {
                        Ok(request) => Reply::Http(reply(site.handle(at(1), &request))),
                        Err(problem) => Reply::Media(problem),
                    };
                    connector.read(&step, &reply)
                }
                Call::Publish(_) => unreachable!("Creatio publishes nothing"),
            };
            match verdict {
                Verdict::Known(facts) => {
                    for fact in facts {
                        match fact.value {
                            Some(value) => known.set(fact.fact, value),
                            None => drop(known.0.remove(&fact.fact)),
                        }
                    }
                }
                Verdict::Never(stop) => return Some(stop),
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("no end")
}

fn parked(
    connector: &dyn Connector,
    site: &mut dyn Sandbox,
    work: &Work,
) -> handoffd_contract::Stop {
    run(connector, site, work, &mut Known::default()).expect("it parks")
}

fn connector_run(
    connector: &dyn Connector,
    site: &mut dyn Sandbox,
    session: &str,
    contact: &Contact,
) -> Known {
    let mut known = Known::default();
    let mut work = work(contact, vec![item("h1", 0, handoff(Vec::new()))]);
    work.session.id = session.into();
    assert_eq!(run(connector, site, &work, &mut known), None);
    known
}

/// Every kind of step of a handoff, by running it against a site and looking at the plans.
fn first_steps(connector: &dyn Connector) -> Vec<Step> {
    let work = work(&ana(), vec![item("h1", 0, handoff(transcript()))]);
    let mut known = Known::default();
    let mut steps = connector.next(&work, &known).unwrap();
    known.set("contact/numbers", "none");
    known.set("contact/columns", "none");
    steps.extend(connector.next(&work, &known).unwrap());
    known.set("contact", "c");
    steps.extend(connector.next(&work, &known).unwrap());
    known.set("case", "k");
    known.set("fields", "h1");
    known.set("filerow/m2/a1", "f");
    steps.extend(connector.next(&work, &known).unwrap());
    steps
}
