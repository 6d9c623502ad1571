//! What operators see of a daemon and its ledger: no green light without cause.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "its other parts are used by other tests")]
mod alone;

use std::path::Path;
use std::process::Command;

use aws_lc_rs::hmac;
use handoffd::demo::world::Folder;
use handoffd_test_support::eventually;
use serde_json::{Value, json};

use alone::{Alone, SOON};

/// Runs the program in a folder: exit code, and everything that it said.
fn handoffd(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_handoffd"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("HANDOFFD_CONFIG")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

const COMMANDS: [&[&str]; 9] = [
    &["status"],
    &["lanes"],
    &["show", "s-1"],
    &["retry", "--all"],
    &["skip", "--all"],
    &["retry", "--webhooks"],
    &["mapping", "history", "hubspot"],
    &["mapping", "export", "hubspot"],
    &["mapping", "apply", "hubspot", "hubspot.toml"],
];

#[test]
fn without_a_configuration_every_command_says_where_it_looked() {
    let folder = Folder::new().unwrap();
    for arguments in COMMANDS
        .into_iter()
        .chain([&["run"][..], &["check"], &["check", "--live"]])
    {
        let (code, said) = handoffd(folder.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        let words = "there is no configuration: looked for ./handoffd.toml and \
                     /etc/handoffd/handoffd.toml; name one with --config FILE or HANDOFFD_CONFIG";
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert_eq!(files(folder.path()), 0, "nothing was made");
}

#[test]
fn the_configuration_beside_the_command_is_taken_and_no_ledger_made_for_an_operator() {
    let folder = Folder::new().unwrap();
    std::fs::write(
        folder.path().join("handoffd.toml"),
        "[ledger]\nurl = \"sqlite:some.db\"\n[[target]]\nname = \"hubspot\"\nkind = \"hubspot\"\n\
         [target.settings]\ntoken = \"t\"\n[[target]]\nname = \"whatsapp\"\nkind = \"whatsapp\"\n\
         [target.settings]\nexit = \"cloud_api\"\nphone_number_id = \"106540352242922\"\naccess_token = \"t\"\n\
         [secrets]\nt = { value = \"a-token-for-tests\" }\n",
    )
    .unwrap();
    let (code, said) = handoffd(folder.path(), &["check"]);
    assert_eq!(code, Some(0), "{said}");
    for arguments in COMMANDS {
        let (code, said) = handoffd(folder.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(
            said.contains("there is no ledger at ./some.db; `handoffd run` makes it"),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(files(folder.path()), 1, "nothing was made");
}

/// What would be published and has nowhere to go is refused by the check and by the daemon.
#[test]
fn whoever_publishes_needs_a_broker() {
    let folder = Folder::new().unwrap();
    let file = folder.path().join("handoffd.toml");
    let cloud = "exit = \"cloud_api\"\nphone_number_id = \"106540352242922\"\naccess_token = \"t\"\n\
                 [target.settings.notify]\nexchange = \"news\"\n";
    let gateway = "exit = \"gateway\"\nexchange = \"out\"\nrouting_key = \"reply\"\n";
    for (settings, words) in [
        (
            cloud,
            "target.whatsapp.settings.notify: the session events are published to RabbitMQ, which is \
             not configured; add [intake.amqp], or remove the setting",
        ),
        (
            gateway,
            "target.whatsapp.settings.exit: the replies are published to RabbitMQ, which is not \
             configured; add [intake.amqp], or write exit = \"cloud_api\"",
        ),
    ] {
        let text = |enabled: bool, more: &str| {
            format!(
                "[secrets]\nt = {{ value = \"a-token-for-tests\" }}\n{more}\n[[target]]\nname = \"whatsapp\"\n\
                 kind = \"whatsapp\"\nenabled = {enabled}\n[target.settings]\n{settings}"
            )
        };
        std::fs::write(&file, text(true, "")).unwrap();
        let (code, said) = handoffd(folder.path(), &["check"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words), "{said}");
        let (code, said) = handoffd(folder.path(), &["run"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(files(folder.path()), 1, "no ledger was made");
        let broker = "[intake.amqp]\nurl = \"amqp://guest@127.0.0.1\"";
        for text in [text(true, broker), text(false, "")] {
            std::fs::write(&file, text).unwrap();
            let (code, said) = handoffd(folder.path(), &["check"]);
            assert_eq!(code, Some(0), "{said}");
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hangup_ends_the_daemon_in_order() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    assert_eq!(
        ignored & 1,
        0,
        "SIGHUP is ignored here, as under nohup, and by every program that is started here: run the tests without it"
    );
    let mut daemon = Alone::start().await;
    daemon.signal("-HUP");
    assert_eq!(daemon.ended().await.code(), Some(0));
    let log = daemon.log();
    assert!(log.contains("nothing was under way any more"), "{log}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hangup_that_was_ignored_from_the_start_stays_so() {
    let mut daemon = Alone::under("trap '' HUP; exec \"$0\" \"$@\"", |_| {}).await;
    daemon.signal("-HUP");
    daemon.signal("-HUP");
    assert_eq!(daemon.get("/readyz").await.0, 200);
    daemon.signal("-TERM");
    assert_eq!(daemon.ended().await.code(), Some(0));
}

/// A file size limit makes writes fail as a full disk does; small ones go on for longer.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_daemon_whose_disk_is_full_is_not_ready_and_says_why() {
    let limited = "trap '' XFSZ; ulimit -S -f 4000; exec \"$0\" \"$@\"";
    let daemon = Alone::under(limited, |plan| {
        plan.over = json!({"log": {"level": "warn"}})
    })
    .await;
    let post = async |n: usize| {
        let event = json!({
            "specversion": "1.0", "id": format!("e{n}"), "source": "/test", "type": "message.received",
            "subject": "s", "time": "2026-03-02T09:20:01Z",
            "data": {"message": {"id": format!("wamid.{n}"), "time": "2026-03-02T09:20:00Z",
                "author": {"kind": "customer"}, "text": "x".repeat(60_000)}},
        });
        let headers = [
            ("authorization", format!("Bearer {}", daemon.token)),
            ("content-type", "application/cloudevents+json".to_owned()),
        ];
        daemon
            .post("/v1/events", &headers, event.to_string().into_bytes())
            .await
    };
    let mut n = 0;
    while post(n).await == 202 {
        n += 1;
        assert!(n < 500, "it never fills");
    }
    let (status, said) = daemon.get("/readyz").await;
    assert_eq!(status, 503, "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["ledger"]["ok"], false, "{said}");
    let words = said["ledger"]["message"].as_str().unwrap();
    assert!(words.contains("the ledger is full"), "{words}");
    assert_eq!(daemon.get("/healthz").await.0, 200, "it lives all the same");

    let lifted = Command::new("prlimit")
        .args(["--fsize=unlimited:", "--pid", &daemon.process().to_string()])
        .status();
    assert!(lifted.unwrap().success());
    eventually(SOON, || async { daemon.get("/readyz").await.0 == 200 }).await;
    assert_eq!(post(n).await, 202);
}

/// A webhook with customers' messages, which nobody else may get, and one that is no JSON.
#[tokio::test]
async fn webhooks_that_are_not_taken_are_kept_counted_and_shown() {
    let daemon = Alone::under("exec \"$0\" \"$@\"", |plan| {
        plan.settings.insert(
            "whatsapp".into(),
            json!({"webhooks": {"messages": "report"}}),
        );
    })
    .await;
    let secret = daemon.secret("whatsapp", "whatsapp_app_secret");
    let send = async |body: String| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature: String = hmac::sign(&key, body.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let headers = [("x-hub-signature-256", format!("sha256={signature}"))];
        daemon
            .post("/webhooks/whatsapp", &headers, body.into_bytes())
            .await
    };
    for n in 0..3 {
        let message = json!({"from": "16505551234", "id": format!("wamid.{n}"), "timestamp": "1763600009",
            "type": "text", "text": {"body": "my parcel broke"}});
        let value = json!({"messaging_product": "whatsapp", "messages": [message],
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}});
        let body = json!({"object": "whatsapp_business_account",
            "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]});
        assert_eq!(send(body.to_string()).await, 200, "Meta need not repeat it");
    }
    assert_eq!(send("{\"object\": \"whats".to_owned()).await, 200);
    eventually(SOON, || async {
        let (_, said) = daemon.get("/v1/parked").await;
        let said: Value = serde_json::from_str(&said).unwrap();
        said["webhooks"]
            .as_array()
            .is_some_and(|rows| rows.len() == 4)
    })
    .await;
    let (code, said) = daemon.command(&["status"]);
    assert_eq!(code, Some(1), "{said}");
    for words in [
        "3 webhooks for whatsapp could not be taken (unsupported): messages of customers came by the webhook of a target",
        "1 webhook for whatsapp could not be taken (undecodable)",
        "handoffd skip --webhooks",
    ] {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }
    eventually(SOON, || async {
        let (_, metrics) = daemon.get("/metrics").await;
        [
            "handoffd_webhooks_parked{target=\"whatsapp\"} 4",
            "handoffd_heard_total{target=\"whatsapp\",what=\"refused\"} 3",
        ]
        .iter()
        .all(|line| metrics.contains(line))
    })
    .await;
    let log = daemon.log();
    assert_eq!(
        log.matches("a webhook is not taken").count(),
        1,
        "said once, however many come: {log}"
    );
    for place in [&said, &log] {
        assert!(
            !place.contains("parcel broke") && !place.contains("16505551234"),
            "{place}"
        );
    }
    daemon.command(&["skip", "--webhooks"]);
    eventually(SOON, || async {
        let (_, metrics) = daemon.get("/metrics").await;
        metrics.contains("handoffd_webhooks_parked{target=\"whatsapp\"} 0")
    })
    .await;
    let (_, said) = daemon.command(&["explain", "unsupported"]);
    assert!(said.contains("does not take from there"), "{said}");
}
