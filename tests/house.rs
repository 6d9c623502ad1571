//! The house rules that no compiler checks: who may know what, and what may stand in the tree.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder with one of these endings, except build output.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    open.push(path);
                }
            } else if endings
                .iter()
                .any(|ending| path.to_string_lossy().ends_with(ending))
            {
                found.push(path);
            }
        }
    }
    assert!(
        !found.is_empty(),
        "no files in {folder}: this check checks nothing"
    );
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

/// Code without comments and without the tests at the end of the file.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Files of the daemon that mention a word in code, beside those that may.
fn who_knows(words: &[&str], may: &[&str]) -> Vec<String> {
    let mut known = false;
    let mut wrong = Vec::new();
    for path in files("src", &[".rs"]) {
        let name = name(&path);
        let text = code(&path);
        if words.iter().any(|word| text.contains(word)) {
            if may.iter().any(|may| name.starts_with(may)) {
                known = true;
            } else {
                wrong.push(name);
            }
        }
    }
    assert!(known, "nobody knows {words:?}: this check checks nothing");
    wrong
}

#[test]
fn only_the_ledger_knows_sql() {
    let words = [
        "rusqlite::",
        "tokio_postgres::",
        "deadpool_postgres::",
        "SELECT ",
        "INSERT INTO ",
    ];
    assert_eq!(who_knows(&words, &["src/ledger/"]), [""; 0]);
}

/// So a webhook's handler cannot skip a lane, and intake cannot read one.
#[test]
fn each_part_is_given_the_ledger_that_it_reads() {
    let readers: [(&str, &[&str]); 10] = [
        ("dyn Ledger", &["src/app", "src/cli/", "src/operate"]),
        ("EventLedger", &["src/intake/", "src/cli/", "src/operate"]),
        ("LaneLedger", &["src/engine/"]),
        ("FeedLedger", &["src/relay/"]),
        (
            "WebhookLedger",
            &["src/relay/", "src/admin/", "src/cli/operate"],
        ),
        ("FileLedger", &["src/wire/"]),
        (
            "OperatorLedger",
            &["src/admin/", "src/operate", "src/demo", "src/editor/"],
        ),
        ("AccessLedger", &["src/access/"]),
        (
            "MappingLedger",
            &[
                "src/mapping/",
                "src/engine/",
                "src/app",
                "src/intake/dialects/",
                "src/editor/",
            ],
        ),
        ("EditorLedger", &["src/editor/", "src/crm_schema/"]),
    ];
    for (ledger, may) in readers {
        let may = [may, &["src/ledger/"]].concat();
        assert_eq!(who_knows(&[ledger], &may), [""; 0], "{ledger}");
    }
}

#[test]
fn only_the_wire_knows_reqwest() {
    // The simulators' server and the demo are on the other side of the wire.
    assert_eq!(
        who_knows(&["reqwest::"], &["src/wire/", "src/sandbox", "src/demo"]),
        [""; 0]
    );
}

#[test]
fn only_the_two_ends_of_the_broker_know_lapin() {
    assert_eq!(
        who_knows(&["lapin::"], &["src/intake/amqp", "src/publisher"]),
        [""; 0]
    );
}

#[test]
fn only_one_file_knows_the_backoff_crate() {
    assert_eq!(
        who_knows(
            &["use backoff::", "::backoff::backoff", "::backoff::Exp"],
            &["src/backoff.rs"]
        ),
        [""; 0]
    );
}

#[test]
fn only_one_file_knows_lettre() {
    assert_eq!(
        who_knows(&["lettre::"], &["src/notifications/mail.rs"]),
        [""; 0]
    );
}

#[test]
fn only_mappings_and_pages_know_templates() {
    assert_eq!(
        who_knows(&["minijinja::"], &["src/mapping", "src/console"]),
        [""; 0]
    );
}

#[test]
fn only_who_asks_knows_passwords_and_providers() {
    assert_eq!(
        who_knows(&["argon2::", "openidconnect::"], &["src/access/"]),
        [""; 0]
    );
}

/// Which modules of the daemon a module's code names.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files("src", &[".rs"]) {
        let name = name(&path);
        let inside = name.trim_start_matches("src/");
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        let text = code(&path);
        let named = text.split("crate::").skip(1);
        let named = named.flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list
                .split('}')
                .next()
                .unwrap_or_default()
                .split(',')
                .collect(),
            None => vec![rest],
        });
        let word = |text: &str| -> String {
            let is_part = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            text.trim().chars().take_while(is_part).collect()
        };
        let named = named.map(word).filter(|other| *other != module);
        found.entry(module.to_owned()).or_default().extend(named);
    }
    found
}

/// Whoever reads one part of the daemon need not read another that needs this one.
#[test]
fn no_import_runs_in_a_circle() {
    let mut left = imports();
    assert!(
        left["engine"].contains("wire") && left["app"].contains("engine"),
        "{left:?}"
    );
    loop {
        let done: Vec<String> = left
            .iter()
            .filter(|(_, needs)| !needs.iter().any(|need| left.contains_key(need)))
            .map(|(module, _)| module.clone())
            .collect();
        if done.is_empty() {
            break;
        }
        left.retain(|module, _| !done.contains(module));
    }
    assert!(left.is_empty(), "these need each other: {left:#?}");
}

/// What both engine and relay stand on knows neither.
#[test]
fn engine_and_relay_stand_on_the_same_ground() {
    let imports = imports();
    for ground in [
        "wire",
        "ledger",
        "backoff",
        "target",
        "open_feeds",
        "mapping",
        "publisher",
    ] {
        for above in ["engine", "relay", "admin", "app", "cli"] {
            assert!(!imports[ground].contains(above), "{ground} needs {above}");
        }
    }
    assert!(!imports["engine"].contains("relay"));
}

#[test]
fn one_table_names_the_connectors() {
    let words = [
        "handoffd_salesforce::",
        "handoffd_hubspot::",
        "handoffd_creatio::",
        "handoffd_whatsapp::",
        "handoffd_events::",
    ];
    assert_eq!(who_knows(&words, &["src/connectors.rs"]), [""; 0]);
    // Nobody compares with a name either: the table says what a kind is. The simulators' command has
    // an argument for each, the demo a story about each, and tests name what they test.
    let names = ["salesforce", "hubspot", "creatio", "whatsapp", "events"];
    let names = names.map(|name| format!("\"{name}\""));
    let may = ["src/connectors.rs", "src/sandbox", "src/demo"];
    let mut wrong = Vec::new();
    for path in files("src", &[".rs"]) {
        let text = code(&path);
        let compares = names.iter().any(|name| {
            ["== ", "!= ", "kind: ", "kind("]
                .iter()
                .any(|before| text.contains(&format!("{before}{name}")))
        });
        let file = self::name(&path);
        if compares && !may.iter().any(|may| file.starts_with(may)) {
            wrong.push(file);
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn anyhow_stays_with_the_commands() {
    let words = ["anyhow::", "anyhow!("];
    assert_eq!(
        who_knows(
            &words,
            &[
                "src/cli/",
                "src/main.rs",
                "src/app.rs",
                "src/demo",
                "src/sandbox/command.rs"
            ]
        ),
        [""; 0]
    );
}

/// A connector can do no I/O because it has nothing to do it with.
#[test]
fn connectors_depend_on_nothing_that_does_io() {
    let allowed: BTreeSet<&str> = [
        "handoffd-contract",
        "base64",
        "jiff",
        "jsonwebtoken",
        "rlibphonenumber",
        "schemars",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
        "uuid",
    ]
    .into();
    for manifest in files("connectors", &["Cargo.toml"]) {
        let text = fs::read_to_string(&manifest).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let dependencies = table["dependencies"].as_table().unwrap();
        for dependency in dependencies.keys() {
            assert!(
                allowed.contains(dependency.as_str()),
                "{}: {dependency}",
                name(&manifest)
            );
        }
    }
    let forbidden = [
        "std::net",
        "std::fs",
        "std::time::SystemTime",
        "std::time::Instant",
        "Timestamp::now",
        "std::env",
        "rand::",
        "std::thread",
        "tokio",
    ];
    for path in files("connectors", &[".rs"]) {
        let name = name(&path);
        if name.contains("/tests/") {
            continue;
        }
        let text = code(&path);
        for word in forbidden {
            assert!(!text.contains(word), "{name} mentions {word}");
        }
    }
}

/// The same role has the same file in every connector, so that whoever has read one finds the way in the
/// others, and no file is called by another word for that role.
#[test]
fn every_connector_has_the_same_shape() {
    let parts = [
        "lib", "settings", "facts", "plan", "read", "hear", "errors", "checks", "sandbox",
    ];
    let other_words = [
        ("settings", &["config", "fields", "reader"][..]),
        ("facts", &["fact", "known", "lane"]),
        ("errors", &["answer", "codes", "error", "failure", "fault"]),
        ("checks", &["check"]),
        ("words", &["compose", "word", "wording"]),
        ("paths", &["path", "routes", "urls"]),
    ];
    for connector in ["salesforce", "hubspot", "creatio", "whatsapp"] {
        let folder = root().join("connectors").join(connector);
        let has = |part: &str| {
            let file = folder.join("src").join(format!("{part}.rs"));
            let module = folder.join("src").join(part).join("mod.rs");
            file.is_file() || module.is_file()
        };
        for part in parts {
            assert!(has(part), "{connector} has no {part}");
        }
        // What WhatsApp says to reps and customers stands with what became of each reply.
        assert!(
            has("words") || connector == "whatsapp",
            "{connector} has no words"
        );
        for (role, others) in other_words {
            for other in others {
                assert!(
                    !has(other),
                    "{connector} calls its {role} {other}: the others call them {role}"
                );
            }
        }
        assert!(
            folder.join("README.md").is_file(),
            "{connector} has no README"
        );
        assert!(
            ["tests/proof.rs", "tests/proof/main.rs"]
                .iter()
                .any(|proof| folder.join(proof).is_file()),
            "{connector} has no proof"
        );
        assert!(
            root()
                .join("mappings")
                .join(format!("{connector}.toml"))
                .is_file(),
            "{connector} has no mapping"
        );
    }
}

#[test]
fn the_top_level_is_the_agreed_one() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "src",
        "connectors",
        "mappings",
        "tests",
        "deploy",
        "target",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(
            name.starts_with('.') || allowed.contains(&name.as_str()),
            "{name} is not of the agreed layout"
        );
    }
}

#[test]
fn nothing_is_left_behind() {
    let marks = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("db", "g!("),
        concat!("#[ig", "nore"),
        concat!("#[al", "low("),
    ];
    for folder in ["src", "connectors", "tests"] {
        for path in files(folder, &[".rs"]) {
            let text = fs::read_to_string(&path).unwrap();
            for mark in marks {
                assert!(!text.contains(mark), "{} holds {mark}", name(&path));
            }
        }
    }
}

#[test]
fn tests_wait_for_conditions_not_for_time() {
    for path in files("tests", &[".rs"]) {
        let text = code(&path);
        let naps = text.matches(concat!("sle", "ep(")).count();
        let name = name(&path);
        // The one place that waits between two looks at a condition; the fault proxy and the
        // benchmark's sink, whose trade is delay; and the fault suite, which keeps a schedule.
        let may = ["tests/support/", "tests/chaos/", "tests/bench/sink.rs"]
            .iter()
            .any(|place| name.starts_with(place));
        assert!(
            may || naps == 0 || path.ends_with("house.rs"),
            "{name} sleeps"
        );
    }
}
