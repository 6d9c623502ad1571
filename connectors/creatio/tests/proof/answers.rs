//! Every answer of Creatio has its verdict, and every wrong setting its remedy in the live check.

use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{
    Connector, Effect, HttpReply, Known, Learned, MediaProblem, Reason, Reply, Settled, Step,
    Verdict,
};
use serde_json::{Value, json};

use crate::common::*;

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
        (404, "its row was removed"),
        (413, "it is larger"),
        (415, "Creatio refused it"),
    ] {
        match verdict("file.upload", status, json, "{}", None) {
            Verdict::Known(facts) => assert!(
                matches!(&facts[0].value, Some(Settled::Refused(stop)) if stop.message.starts_with(why)),
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
    let id = |at: usize| step.context[at]["id"].as_str().unwrap().to_owned();
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
    match read(json!([ok, { "id": "r1", "status": 429 }])) {
        Verdict::Known(facts) => {
            let refused = step.context[1]["claims"][0][0].as_str().unwrap();
            assert!(facts.contains(&Learned::absent(refused)), "{facts:?}");
        }
        other => panic!("{other:?}"),
    }
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
    let found = findings(&*connector, &mut *site);
    let problem = |what: &str| {
        found
            .iter()
            .filter(|f| f.what == what)
            .find_map(|f| f.problem.clone())
            .unwrap_or_default()
    };
    assert!(
        problem("case statuses").contains("resolved_status_id")
            && problem("case statuses").contains("Resolved = ae7f411e"),
        "{found:?}"
    );
    assert!(problem("case owner").contains("an owner is a contact"));
    assert!(problem("case group").contains("role"));
    assert!(problem("integration_contact_id").contains("set it to that"));
    assert!(problem("Case.UsrMissing").contains("object designer"));
    assert_eq!(
        found.iter().filter(|f| f.problem.is_some()).count(),
        5,
        "{found:?}"
    );

    let statuses = json!([
        "ae7f411e-f46b-1410-009b-0050ba5d6c38",
        "3e7f420c-f46b-1410-fc9a-0050ba5d6c38"
    ]);
    site.switch("inactive", &statuses).unwrap();
    let connector = crate::common::connector(json!({}));
    let found = findings(&*connector, &mut *site);
    let problem = found
        .iter()
        .find_map(|f| f.problem.clone())
        .unwrap_or_default();
    assert!(
        problem.contains("resolved_status_id is Resolved, which is inactive"),
        "{found:?}"
    );
    site.switch("inactive", &json!([])).unwrap();

    let good = site.credentials("https://acme.creatio.com")["settings"].clone();
    let connector = handoffd_creatio::connector("crm", &good).unwrap();
    let fine = findings(&*connector, &mut *site);
    assert!(fine.iter().all(|f| f.problem.is_none()), "{fine:?}");
    site.switch("odata_right", &json!(false)).unwrap();
    let refused = findings(&*connector, &mut *site);
    assert!(
        refused.iter().any(|f| f
            .problem
            .as_deref()
            .is_some_and(|p| p.contains("CanUseODataService"))),
        "{refused:?}"
    );
    assert!(!format!("{refused:?}").contains("firewall"), "{refused:?}");
    let mut net = good.clone();
    net["runtime"] = json!("net");
    let connector = handoffd_creatio::connector("crm", &net).unwrap();
    let elsewhere = findings(&*connector, &mut *site);
    assert!(
        elsewhere
            .iter()
            .any(|f| f.problem.as_deref().is_some_and(|p| p.contains("runtime"))),
        "{elsewhere:?}"
    );
}

#[test]
fn a_firewall_that_refuses_batches_is_recognised_by_the_live_check() {
    let problem = |more: Value, blocked: bool| {
        let mut site = site();
        site.switch("batch", &json!(!blocked)).unwrap();
        let found = findings(&*connector(more), &mut *site);
        let batch = found.into_iter().find(|found| found.what == "$batch");
        batch.map(|found| found.problem.unwrap_or_default())
    };
    assert_eq!(problem(json!({}), false).as_deref(), Some(""));
    let told = problem(json!({}), true).unwrap();
    assert!(
        told.contains("firewall") && told.contains("batch = false"),
        "{told}"
    );
    assert_eq!(problem(json!({ "batch": false }), true), None);
    // A firewall's page may come with any status.
    let page = |status| HttpReply {
        status,
        headers: vec![("content-type".into(), "text/html".into())],
        body: b"<html>Request blocked</html>".to_vec(),
    };
    let connector = connector(json!({}));
    let checks = connector.checks();
    let batch = checks.iter().find(|check| check.what == "$batch").unwrap();
    for status in [200, 403, 404, 406] {
        let told = connector.checked(batch, &page(status))[0].problem.clone();
        assert!(told.unwrap_or_default().contains("firewall"), "{status}");
    }
    let busy = connector.checked(batch, &page(503))[0]
        .problem
        .clone()
        .unwrap();
    assert!(!busy.contains("firewall"), "{busy}");
}

#[test]
fn the_live_check_tells_which_columns_for_the_state_there_are() {
    let mut site = site();
    for name in ["UsrWhatsAppSession", "UsrWhatsAppLanguage"] {
        let column = json!({ "entity": "Case", "name": name, "kind": "250" });
        site.switch("column", &column).unwrap();
    }
    let settings = json!({ "reply_column": "UsrState", "standing": { "session": "UsrWhatsAppSession", "window_end": "UsrEnd" } });
    let found = findings(&*connector(settings), &mut *site);
    let of = |what: &str| {
        found
            .iter()
            .find(|found| found.what.contains(what))
            .unwrap()
    };
    assert_eq!(of("Case.UsrWhatsAppSession").problem, None);
    assert!(of("Case.UsrEnd").problem.is_some());
    assert!(of("Activity.UsrState").problem.is_some());
    let unused = "standing.language = \"UsrWhatsAppLanguage\" fills it";
    assert!(of("Case.UsrWhatsAppLanguage").what.contains(unused));
    assert!(
        !found
            .iter()
            .any(|found| found.what.contains("UsrWhatsAppSentiment"))
    );
}

fn findings(connector: &dyn Connector, site: &mut dyn Sandbox) -> Vec<handoffd_contract::Finding> {
    let checks = connector.checks();
    checks
        .iter()
        .flat_map(|check| connector.checked(check, &reply(call(site, &check.call))))
        .collect()
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
    known.set("state/h1", "new");
    known.set("filerow/m2/a1", "f");
    steps.extend(connector.next(&work, &known).unwrap());
    steps
}
