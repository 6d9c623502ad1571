//! What replies prove, and what the live checks find.

use handoffd_contract::proof::encode;
use handoffd_contract::{
    Call, Connector, Effect, HttpReply, MediaProblem, Publication, Reason, Reply, Settled, Step,
    Verdict,
};
use serde_json::{Value, json};

use crate::cast::{cloud, file, gateway, replied, reply};
use crate::world::World;

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
                crate::cast::start(),
                &crate::cast::media,
            )
            .expect("no media");
            let response = sandbox.handle(crate::cast::start(), &request);
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
                Some(Settled::Is(value)) => format!("known {value}"),
                Some(Settled::Refused(stop)) => {
                    format!("refused {}: {}", stop.reason.label(), stop.message)
                }
                None => "absent".to_owned(),
            },
            Verdict::Later {
                stop,
                effect,
                after,
            } => {
                assert!(
                    !stop.message.contains("The text of the message"),
                    "{stop:?}"
                );
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
        (400, error(100), "refused content: (#100) m"),
        (400, error(131_008), "refused content: (#131008) m"),
        (400, error(131_026), "refused recipient: (#131026) m"),
        (400, error(131_047), "absent"),
        (400, error(131_053), "refused content: (#131053) m"),
        (404, error(132_001), "refused template: (#132001) m"),
        (400, error(999_999), "refused content: (#999999) m"),
        (400, error(131_056), "conversation-limited none 7s"),
        (400, error(130_429), "rate-limited none 7s"),
        (400, error(4), "rate-limited none 7s"),
        (429, error(130_429), "rate-limited none 7s"),
        (429, String::new(), "rate-limited none 7s"),
        (401, error(190), "unauthorized none 7s"),
        (401, String::new(), "unauthorized none 7s"),
        (403, error(10), "unauthorized none 7s"),
        (403, "<html>".into(), "unauthorized none 7s"),
        (403, error(131_031), "account none 7s"),
        (403, error(130_497), "refused recipient: (#130497) m"),
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
            "refused content: WhatsApp refused the file ((#100) m)",
        ),
        (
            413,
            "<html>".into(),
            "refused too-large: the file is larger than WhatsApp takes",
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
        assert!(
            !step.context.to_string().contains("The text"),
            "{}",
            step.context
        );
        assert!(
            step.claims
                .iter()
                .all(|claim| !format!("{claim:?}").contains("The text"))
        );
    }
}

/// A send draws on what the number and what the customer may get; nothing else draws on anything.
#[test]
fn sends_draw_on_budgets_that_exist() {
    let (send, upload, publish) = steps();
    let spent: Vec<(&str, &str)> = send
        .spends
        .iter()
        .map(|spend| (spend.budget, spend.key.as_str()))
        .collect();
    let wanted = [
        ("number", "106540352242922"),
        ("pair", "106540352242922/+4915112345678"),
    ];
    assert_eq!(spent, wanted);
    let budgets: Vec<&str> = cloud(json!({}))
        .budgets()
        .iter()
        .map(|budget| budget.name)
        .collect();
    assert_eq!(budgets, ["number", "pair"]);
    assert!(upload.spends.is_empty() && publish.spends.is_empty());
}
