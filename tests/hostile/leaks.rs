//! CRMs that repeat what they were sent in their errors: nobody's text and no token is to be found
//! where operators look.

use handoffd_test_support::eventually;
use serde_json::{Value, json};

use crate::world::{Exit, SOON, World};

const TOKEN: &str = "EAAG0123456789abcdefghijABCDEFGHIJ";

/// What an error repeats: the texts of the handoff, and things that sign somebody in.
fn echo(secret: &str) -> String {
    format!(
        "bad 'My parcel is broken 📦' &lt;I am sorry to hear that.&gt; A broken parcel; she\\nwants a refund. for Ana \\\"A\\\" <López>, \
         https://x.test/?access_token={TOKEN}&a=1 Bearer {secret}"
    )
}

/// The echo at every place from which a connector may take words.
fn everywhere(echo: &str) -> Value {
    json!({"message": echo, "Message": echo, "error_description": echo, "category": "VALIDATION_ERROR",
        "error": {"message": echo, "code": 999_999, "innererror": {"message": echo}, "error_data": {"details": echo}},
        "errors": [{"message": echo, "code": "INVALID", "context": {"propertyName": [echo]}}], "ModelState": {"Subject": [echo]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_repeats_the_request_leaks_nothing() {
    let world = World::new(Exit::CloudApi).await;
    let secrets: Vec<String> = world
        .plan
        .credentials
        .values()
        .flat_map(|given| given["secrets"].as_object().into_iter().flatten())
        .map(|(_, value)| value.as_str().unwrap().to_owned())
        .collect();
    let targets = ["salesforce", "hubspot", "creatio"];
    for target in targets {
        // What this target is signed in with, as far as it is no key.
        let name = match target {
            "hubspot" => "hubspot_token",
            _ => "creatio_client_secret",
        };
        let secret = world.plan.credentials[target]["secrets"][name].as_str();
        let echo = echo(secret.unwrap_or("none"));
        let (sign_in, record) = match target {
            "salesforce" => ("access-token", "/conversation"),
            "hubspot" => ("oauth", "tickets"),
            _ => ("token", "Case"),
        };
        for (path, times, status, body) in [
            (sign_in, 1, 400, everywhere(&echo)),
            (record, 1, 500, everywhere(&echo)),
            (record, 1, 500, json!(echo)),
            (record, 1, 429, everywhere(&echo)),
            (record, 100, 400, everywhere(&echo)),
        ] {
            let rule = json!({"target": target, "times": times, "match": {"method": "POST", "path_contains": path},
                "fault": {"kind": "status", "status": status, "body": body}});
            world
                .sims
                .fault(serde_json::from_value(rule).unwrap())
                .unwrap();
        }
    }
    world
        .publish("handoff.requested", "handoff-1", world.handoff(&targets))
        .await;
    for target in targets {
        eventually(SOON, || async {
            world.lane(target).await["state"] == "parked"
        })
        .await;
    }
    let story = world
        .get(&format!("/v1/sessions/{}", world.session))
        .await
        .to_string();
    let parked = world.get("/v1/parked").await.to_string();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let metrics = client.get(format!("http://{}/metrics", world.plan.admin));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let (_, show) = world.command(&["show", &world.session]);
    let (_, lanes) = world.command(&["status"]);
    let log = world.log();
    assert!(
        log.contains("parked") && parked.contains("invalid"),
        "{parked}"
    );
    let texts = [
        "My parcel",
        "parcel is broken",
        "I am sorry",
        "to hear that",
        "A broken parcel",
        "wants a refund",
        "López",
        TOKEN,
    ];
    for (place, text) in [
        ("log", &log),
        ("story", &story),
        ("parked", &parked),
        ("metrics", &metrics),
        ("show", &show),
        ("lanes", &lanes),
    ] {
        for words in texts {
            assert!(
                !text.contains(words),
                "{place} holds {words}:\n{}",
                near(text, words)
            );
        }
        for secret in &secrets {
            assert!(
                !text.contains(secret.as_str()),
                "{place} holds a secret:\n{}",
                near(text, secret)
            );
        }
    }
}

fn near(text: &str, words: &str) -> String {
    let line = text.lines().find(|line| line.contains(words));
    line.unwrap_or_default().chars().take(900).collect()
}
