//! The same of the program itself: what its commands print.

use handoffd::connectors::KINDS;
use serde_json::json;

use crate::{Folder, SECRET, keeps, kinds, set, settings_keys};

/// What `check` and `run` print, by the program itself; all keys of a kind are wrong at once.
#[test]
fn neither_check_nor_run_prints_a_secret() {
    let folder = Folder::new();
    let oauth = json!({ "target": [{ "name": "crm", "kind": "hubspot", "settings": { "oauth": SECRET } }] });
    for command in ["check", "run"] {
        let (printed, code) = folder.command(&oauth, &[command]);
        keeps(&printed, command);
        assert!(
            printed.contains(
                "target.crm.settings.oauth: found a text of 44 characters; write a table"
            ),
            "{printed}"
        );
        assert_ne!(code, Some(0), "{command}");
    }
    for (kind, base) in kinds() {
        let keys = settings_keys(kind, &base);
        for shape in [
            json!(SECRET),
            json!([SECRET]),
            json!({ SECRET: SECRET }),
            json!(-8_675_309),
        ] {
            let mut settings = base.clone();
            for path in keys.iter().filter(|path| path.len() == 1) {
                let decides = ["auth", "exit", "url", "exchange"].contains(&path[0].as_str());
                if !decides {
                    settings = set(&settings, path, shape.clone());
                }
            }
            let file = json!({ "target": [{ "name": "crm", "kind": kind, "settings": settings }] });
            for command in ["check", "run"] {
                let (printed, code) = folder.command(&file, &[command]);
                keeps(&printed, &format!("{command} {kind} {shape}"));
                assert!(printed.contains("target.crm.settings."), "{printed}");
                assert_ne!(code, Some(0), "{command} {kind} {shape}");
            }
        }
    }
    assert_eq!(KINDS.len(), 4, "a new kind belongs into this test");
}

/// Addresses hold passwords; what cannot be reached is told without.
#[test]
fn a_password_in_an_address_is_not_printed() {
    let folder = Folder::new();
    // In the file they are refused, and told of without.
    let ledger = json!({ "ledger": { "url": format!("postgres://me:{SECRET}@127.0.0.1:1/db?connect_timeout=1") } });
    let broker =
        json!({ "intake": { "amqp": { "url": format!("amqp://me:{SECRET}@127.0.0.1:1/v") } } });
    let secrets = json!({ "p": { "value": SECRET } });
    let named_ledger = json!({ "secrets": secrets, "ledger": {
        "url": "postgres://me@127.0.0.1:1/db?connect_timeout=1", "password": "p" } });
    let named_broker = json!({ "secrets": secrets, "intake": { "amqp": {
        "url": "amqp://me@127.0.0.1:1/v", "password": "p" } } });
    let odd = json!({ "ledger": { "url": format!("postgres://me:{SECRET}@[::1/db?x={SECRET}") } });
    for (file, args) in [
        (&ledger, &["run"][..]),
        (&odd, &["run"]),
        (&odd, &["check"]),
        (&broker, &["check", "--live"]),
        (&ledger, &["lanes"]),
        (&named_ledger, &["run"]),
        (&named_ledger, &["lanes"]),
        (&named_broker, &["check", "--live"]),
    ] {
        let (printed, code) = folder.command(file, args);
        keeps(&printed, &format!("{args:?}"));
        assert!(!printed.trim().is_empty(), "{args:?} says nothing");
        assert_ne!(code, Some(0), "{args:?}: {printed}");
    }
}
