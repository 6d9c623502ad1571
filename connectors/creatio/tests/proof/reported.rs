//! What is told of a case beside replies: columns that were changed, its owner, what was almost a reply.

use handoffd_contract::{Frame, Inbound, InboundKind};
use serde_json::{Value, json};

use crate::common::*;
use crate::polls::Scene;

const HIGH: &str = "10b9b3a6-0000-4000-8000-0123456789ab";

/// The fields of every change that is passed on, and who made it.
fn updates(heard: &[Inbound]) -> Vec<(Value, bool)> {
    heard
        .iter()
        .filter_map(|heard| match &heard.kind {
            InboundKind::Updated {
                fields, changed_by, ..
            } => Some((json!(fields), changed_by.is_some())),
            _ => None,
        })
        .collect()
}

fn reps(heard: &[Inbound]) -> Vec<Option<String>> {
    heard
        .iter()
        .filter_map(|heard| match &heard.kind {
            InboundKind::Assigned { rep } => Some(rep.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_changed_column_is_told_once() {
    for batch in [true, false] {
        let report = json!(["StatusId", "UsrNote", "UsrMissing"]);
        // A column that the site lacks costs the others, which `check --live` tells.
        let mut scene = Scene::new(json!({ "batch": batch, "report_columns": report }));
        note_column(&mut scene);
        scene.poll();
        scene.act(json!({ "act": "set", "column": "UsrNote", "value": "first" }));
        assert_eq!(updates(&scene.poll()), []);

        let mut scene =
            Scene::new(json!({ "batch": batch, "report_columns": ["StatusId", "UsrNote"] }));
        note_column(&mut scene);
        assert_eq!(updates(&scene.poll()), [], "where it begins");
        for value in ["first", "second"] {
            scene.act(json!({ "act": "set", "column": "UsrNote", "value": value }));
        }
        let heard = scene.poll();
        assert_eq!(updates(&heard), [(json!({ "UsrNote": "second" }), true)]);
        scene.act(json!({ "act": "task", "text": "internal" }));
        assert_eq!(updates(&scene.poll()), []);
        scene.act(json!({ "act": "set", "column": "UsrNote", "value": "" }));
        scene.act(json!({ "act": "reopen" }));
        let reopened = "f063ebbe-fdc6-4982-8431-d8cfa52fedcf";
        let both = json!({ "StatusId": reopened, "UsrNote": null });
        assert_eq!(updates(&scene.poll()), [(both, true)]);
        assert_eq!(updates(&scene.poll()), []);
    }
}

fn note_column(scene: &mut Scene) {
    let column = json!({ "entity": "Case", "name": "UsrNote", "kind": "250" });
    scene.site.switch("column", &column).unwrap();
}

#[test]
fn what_handoffd_writes_itself_is_not_told() {
    let mut scene = Scene::new(json!({ "report_columns": ["StatusId"] }));
    scene.poll();
    // The platform closes the session, so the case is resolved; then the customer writes again.
    for item in [closed("x1", 60), received("m7", 70, "one more thing")] {
        let mut work = work(&ana(), vec![item]);
        work.now = at(scene.seconds);
        assert_eq!(
            run(&*scene.connector, &mut *scene.site, &work, &mut scene.known),
            None
        );
        assert_eq!(updates(&scene.poll()), []);
    }
    scene.act(json!({ "act": "resolve" }));
    assert_eq!(updates(&scene.poll()).len(), 1, "a rep's is told");
}

#[test]
fn the_columns_that_are_told_are_none_of_ours() {
    let wrong = json!({ "report_columns": ["UsrStanding", "PriorityId", "no column"],
        "standing": { "session": "UsrStanding" } });
    let Err(problems) = handoffd_creatio::connector("crm", &settings(wrong)) else {
        panic!("these settings are wrong")
    };
    let paths: Vec<&str> = problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(paths, ["report_columns[0]", "report_columns[2]"]);
}

#[test]
fn another_owner_is_heard_by_webhook_once() {
    for payload in ["full", "ids"] {
        let mut scene = Scene::new(json!({}));
        let hook = json!("http://127.0.0.1/hook");
        scene.site.switch("webhook_url", &hook).unwrap();
        scene.site.switch("webhook_owner", &json!(true)).unwrap();
        scene
            .site
            .switch("webhook_payload", &json!(payload))
            .unwrap();
        scene.poll();
        scene.act(json!({ "act": "transfer", "to": "Sam Support" }));
        assert_eq!(reps(&scene.webhooks()), [Some("Sam Support".to_owned())]);
        assert_eq!(reps(&scene.poll()), [], "the poll sees the same");
        scene.act(json!({ "act": "transfer", "to": "Rosa Rep" }));
        assert_eq!(reps(&scene.poll()), [Some("Rosa Rep".to_owned())]);
        assert_eq!(
            reps(&scene.webhooks()),
            [],
            "and the webhook what the poll told"
        );
    }
}

#[test]
fn a_webhook_tells_that_nobody_has_the_case_and_not_that_the_default_owner_has() {
    let owner = "1f2e3d4c-0000-4000-8000-0123456789ab";
    let case = "2f2e3d4c-0000-4000-8000-0123456789ab";
    let connector = connector(json!({ "owner_id": owner }));
    let said = |body: Value| {
        let body = body.to_string();
        connector.hear(&Frame::Webhook {
            headers: &[],
            body: body.as_bytes(),
        })
    };
    let owned = |owner: &str, name: &str| {
        let body = json!({ "event_type": "case_owner", "caseId": case, "ownerId": owner, "ownerName": name,
            "modifiedOn": "2026-11-20T10:00:00Z" });
        let content = said(body).unwrap();
        (reps(&content.heard), content.fetch.len())
    };
    assert_eq!(owned("", ""), (vec![None], 0));
    assert_eq!(owned(owner, "Service desk"), (vec![], 0));
    assert_eq!(owned(HIGH, "Ana"), (vec![Some("Ana".to_owned())], 0));
    assert_eq!(owned(HIGH, ""), (vec![], 1), "the name is read");
    let without = json!({ "event_type": "case_owner", "caseId": case, "ownerId": owner });
    assert!(said(without).is_err(), "a repeat could not be told apart");
}

#[test]
fn what_is_almost_a_reply_is_hinted_once_and_not_sent() {
    let mut scene = Scene::new(json!({}));
    scene.poll();
    for text in ["/wa,hello", "/ wa hello", "\\wa hello", "/wait for me"] {
        scene.act(json!({ "act": "task", "text": text }));
    }
    let heard = scene.poll();
    let hints: Vec<&str> = heard
        .iter()
        .map(|heard| match &heard.kind {
            InboundKind::NotSent { detail, .. } => detail.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(hints.len(), 3, "{heard:#?}");
    assert!(
        hints[0].ends_with("Begin it with /wa and a space."),
        "{hints:?}"
    );
    assert!(scene.poll().is_empty(), "once");
    // A proper one is no near miss, in any case.
    scene.act(json!({ "act": "task", "text": "/WA: hello" }));
    assert_eq!(crate::polls::texts(&scene.poll()), ["hello"]);
}
