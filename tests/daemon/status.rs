//! What is not well is said, by a running daemon and from the ledger alone.

use handoffd_test_support::eventually;
use serde_json::{Value, json};

use crate::world::{EVENTS, Exit, SOON, World};

/// What `handoffd status --json` says, and its exit code.
fn status(world: &World) -> (i32, Value) {
    let (code, text) = world.command(&["status", "--json"]);
    let said = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    (code, said)
}

fn target<'a>(status: &'a Value, name: &str) -> &'a Value {
    let targets = status["targets"].as_array().unwrap();
    targets
        .iter()
        .find(|target| target["name"] == name)
        .unwrap_or_else(|| panic!("{name} is not in {status:#}"))
}

/// The first rejection counts, long before the circuit opens; and it counts until a call succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_rejects_its_credential_is_not_well_until_a_call_succeeds() {
    let mut world = World::with(Exit::CloudApi, |plan| {
        plan.over["engine"]["breaker"]["failures"] = json!(1_000);
        plan.settings
            .insert("creatio".into(), json!({"poll_seconds": 600}));
    })
    .await;
    let well = world.get("/readyz").await;
    assert_eq!(well["targets"]["hubspot"]["ok"], true, "{well:#}");
    let (code, said) = world.command(&["status"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Nothing needs a person."), "{said}");

    let rule = json!({"target": "hubspot", "match": {},
        "fault": {"kind": "status", "status": 401, "body": {"status": "error", "category": "EXPIRED_AUTHENTICATION",
            "message": "The OAuth token used to make this call expired"}}});
    world
        .sims
        .fault(serde_json::from_value(rule).unwrap())
        .unwrap();
    world
        .publish("handoff.requested", "h-1", world.handoff(&["hubspot"]))
        .await;
    eventually(SOON, || async {
        world.get("/readyz").await["targets"]["hubspot"]["ok"] == false
    })
    .await;
    let ready = world.get("/readyz").await;
    assert_eq!(ready["ready"], true, "its work waits in the ledger");
    let hubspot = &ready["targets"]["hubspot"];
    assert_eq!(hubspot["reason"], "unauthorized", "{ready:#}");
    assert!(
        hubspot["message"].as_str().unwrap().contains("expired"),
        "{ready:#}"
    );
    eventually(SOON, || async {
        world.lane("hubspot").await["reason"] == "unauthorized"
    })
    .await;
    let metrics = world.text("/metrics").await;
    assert!(
        metrics.contains("handoffd_credential_rejected{target=\"hubspot\"} 1"),
        "{metrics}"
    );

    eventually(SOON, || async {
        let metrics = world.text("/metrics").await;
        let line = "handoffd_lanes_waiting{target=\"hubspot\",reason=\"unauthorized\"} 1";
        metrics.contains(line)
    })
    .await;

    let (code, said) = status(&world);
    assert_eq!(code, 1, "{said:#}");
    assert_eq!(said, {
        let mut daemon = world.get("/v1/status").await;
        for (place, value) in [("at", &said["at"]), ("targets", &said["targets"])] {
            daemon[place] = value.clone();
        }
        daemon["waiting"] = said["waiting"].clone();
        daemon["oldest_due"] = said["oldest_due"].clone();
        daemon
    });
    let hubspot = target(&said, "hubspot");
    assert_eq!(hubspot["circuit"], "closed", "{said:#}");
    assert_eq!(
        (&hubspot["credential_rejected"], &hubspot["due"]),
        (&json!(true), &json!(1)),
        "{said:#}"
    );
    let (_, said) = world.command(&["status"]);
    assert!(
        said.contains("hubspot rejects the credential (unauthorized)")
            && said.contains("1 lane waits there")
            && said.contains("A person is needed."),
        "{said}"
    );

    // The ledger alone knows why the lane waits; of circuits it says nothing.
    assert_eq!(world.stop(), Some(0));
    let (code, said) = status(&world);
    assert_eq!(code, 1, "{said:#}");
    assert_eq!(said["daemon"]["answers"], false);
    assert_eq!(said["waiting"][0]["reason"], "unauthorized", "{said:#}");
    assert_eq!(target(&said, "hubspot")["circuit"], Value::Null);
    let (_, said) = world.command(&["status"]);
    assert!(
        said.contains("No daemon answers") && said.contains("1 lane of hubspot waits"),
        "{said}"
    );

    world.sims.clear_faults(None);
    world.start().await;
    world.until_shown("hubspot", "My parcel is broken").await;
    world.until_idle().await;
    let well = world.get("/readyz").await;
    assert_eq!(
        well["targets"]["hubspot"],
        json!({"ok": true, "message": null})
    );
    let (code, said) = world.command(&["status"]);
    assert_eq!(code, 0, "{said}");
}

/// Dead letters are counted whole, and they and their sessions point to each other.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_and_name_their_sessions() {
    let world = World::new(Exit::CloudApi).await;
    for n in 0..70 {
        let mut wrong = world.event("handoff.requested", &format!("wrong-{n}"), json!({}));
        wrong["subject"] = json!(format!("s-{n}"));
        world
            .gateway
            .publish(EVENTS, "handoff.requested", wrong.to_string().as_bytes())
            .await;
    }
    world.gateway.publish(EVENTS, "x", b"{ not json").await;
    eventually(SOON, || async {
        let status = world.get("/v1/status").await;
        let causes = status["dead_letters"].as_array().cloned();
        causes.is_some_and(|causes| {
            causes
                .iter()
                .map(|cause| cause["count"].as_i64().unwrap_or_default())
                .sum::<i64>()
                == 71
        })
    })
    .await;
    let (code, said) = status(&world);
    assert_eq!(code, 1, "{said:#}");
    let causes = said["dead_letters"].as_array().unwrap();
    assert_eq!(causes.len(), 2, "{said:#}");
    assert_eq!(
        (&causes[0]["count"], &causes[0]["session"]),
        (&json!(70), &json!("s-0"))
    );
    assert_eq!(causes[1]["session"], Value::Null, "{said:#}");
    let (_, text) = world.command(&["status"]);
    assert!(
        text.contains("70 events by amqp could not be understood (no-customer)"),
        "{text}"
    );
    let (code, text) = world.command(&["show", "s-69"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("what could not be understood (1)")
            && text.contains("handoffd dead-letters retry"),
        "{text}"
    );
    let shown = world.get("/v1/sessions/s-69").await;
    assert_eq!(
        shown["dead_letters"][0]["reason"], "no-customer",
        "{shown:#}"
    );
    let parked = world.get("/v1/parked").await;
    assert_eq!(parked["dead_letters"][0]["session"], "s-0", "{parked:#}");
    let listed = world.get("/v1/dead-letters?after=0").await;
    assert_eq!(listed["count"], 71, "{listed:#}");
    let groups = listed["groups"].as_array().unwrap();
    let counts: Vec<_> = groups.iter().map(|one| &one["count"]).collect();
    assert_eq!(counts, [70, 1], "{listed:#}");
    let first = &listed["dead_letters"][0];
    for (name, value) in [
        ("subject", "s-0"),
        ("type", "handoff.requested"),
        ("routing_key", "handoff.requested"),
        ("reason", "no-customer"),
    ] {
        assert_eq!(first[name], value, "{listed:#}");
    }
    assert!(first["source"].is_string(), "{listed:#}");
    assert_eq!(groups[0]["source"], first["source"], "{listed:#}");
    let (_, text) = world.command(&["dead-letters", "list"]);
    assert!(
        text.starts_with("71 dead letters\n     70 by amqp from "),
        "{text}"
    );
    assert!(
        text.contains("routing key handoff.requested, source ")
            && text.contains("subject s-69, ")
            && text.contains("from an unknown source (undecodable)"),
        "{text}"
    );
    let (_, text) = world.command(&["dead-letters", "list", "--json"]);
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(said["dead_letters"].as_array().map(Vec::len), Some(71));
    assert_eq!(said["groups"], listed["groups"]);
}

/// Dead letters are changed in an editor and worked off by their cause, by command and over HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_worked_by_cause_and_in_an_editor() {
    let world = World::new(Exit::CloudApi).await;
    for n in 0..5 {
        let mut wrong = world.event("handoff.requested", &format!("wrong-{n}"), json!({}));
        wrong["subject"] = json!(format!("s-{n}"));
        world
            .gateway
            .publish(EVENTS, "handoff.requested", wrong.to_string().as_bytes())
            .await;
    }
    world.gateway.publish(EVENTS, "x", b"{ not json").await;
    let count = async || world.get("/v1/dead-letters").await["count"].clone();
    eventually(SOON, || async { count().await == 6 }).await;
    let edit = |editor: &str, number: &str, more: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .args(["dead-letters", "edit", number, "--config"])
            .arg(world.config())
            .args(more)
            .env("VISUAL", "")
            .env("EDITOR", editor)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let mend = "sed -i 's/\"data\": {}/\"data\": {\"contact\": {\"phone\": \"+4915112345678\"}}/'";
    let script = world.folder.path().join("mend");
    std::fs::write(&script, format!("{mend} \"$1\"\n")).unwrap();
    let mend = format!("sh {}", script.display());
    let told = [
        ("true", "1", Some(0), "nothing was changed"),
        ("false", "1", Some(2), "nothing is changed"),
        ("", "1", Some(2), "set VISUAL or EDITOR"),
        (mend.as_str(), "6", Some(2), "is no JSON"),
        (mend.as_str(), "99", Some(2), "there is no dead letter 99"),
    ];
    for (editor, number, code, words) in told {
        let (ended, said) = edit(editor, number, &[]);
        assert!(ended == code && said.contains(words), "{editor}: {said}");
    }
    let (code, said) = edit(&mend, "1", &["--dry-run"]);
    assert!(
        code == Some(0) && said.contains("would be admitted to session s-0"),
        "{said}"
    );
    assert_eq!(count().await, 6);
    let (code, said) = edit(&mend, "1", &[]);
    assert!(
        code == Some(0) && said.contains("is admitted to session s-0"),
        "{said}"
    );
    let patch = json!({"data": {"contact": {"phone": "+4915112345679"}}});
    let said = world
        .post("/v1/dead-letters/2/edit", json!({"patch": patch}))
        .await;
    assert_eq!(said["done"], "dead letter 2 is admitted to session s-1");
    let said = world
        .post(
            "/v1/dead-letters/retry",
            json!({"like": 4, "dry_run": true}),
        )
        .await;
    assert_eq!(said["failed"].as_array().map(Vec::len), Some(3), "{said}");
    let (code, said) = world.command(&["dead-letters", "drop", "--like", "5", "--dry-run"]);
    assert!(
        code == 0
            && said
                == "dead letter 3 would be given up\ndead letter 4 would be given up\ndead letter 5 would be given up\n",
        "{said}"
    );
    let said = world
        .post("/v1/dead-letters/drop", json!({"like": 3}))
        .await;
    assert_eq!(said["done"].as_array().map(Vec::len), Some(3), "{said}");
    assert_eq!(count().await, 1);
    let said = world.post("/v1/dead-letters/drop", json!({})).await;
    assert_eq!(said["error"], "say either like (a number) or all (true)");
    let (code, said) = world.command(&["dead-letters", "retry", "--all"]);
    assert!(
        code == 1 && said.starts_with("dead letter 6 still"),
        "{said}"
    );
}

/// The broker's queues are asked, and it is said when they cannot be.
#[tokio::test(flavor = "multi_thread")]
async fn the_depth_of_the_queues_is_told() {
    let mut world = World::new(Exit::CloudApi).await;
    world
        .gateway
        .publish("", "handoffd.events.dead", b"delivered too often")
        .await;
    eventually(SOON, || async {
        world.get("/v1/status").await["broker"]["queues"][1]["events"] == 1
    })
    .await;
    let (code, said) = world.command(&["status"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("1 event waits in the dead-letter queue handoffd.events.dead"),
        "{said}"
    );
    assert_eq!(world.stop(), Some(0));
    world.gateway.publish(EVENTS, "x", b"1").await;
    world.gateway.publish(EVENTS, "x", b"2").await;
    let (_, said) = world.command(&["status"]);
    assert!(
        said.contains("2 events wait in handoffd.events\n"),
        "{said}"
    );

    let nowhere = handoffd::demo::world::free_port().unwrap();
    world.plan.over["intake"]["amqp"]["url"] = json!(format!("amqp://guest@127.0.0.1:{nowhere}"));
    std::fs::write(world.config(), world.plan.toml().unwrap()).unwrap();
    let (code, said) = world.command(&["status"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("RabbitMQ: it could not be asked"), "{said}");
}
