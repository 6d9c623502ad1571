//! A secret in the wrong place never comes out: every key of every section, kind of target, secret and
//! mapping gets every wrong shape with a secret planted in it, and nothing that is told has it.
//!
//! The keys are asked of the readers themselves (`known here: …`), so a new setting is judged as well.

mod programs;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use handoffd::app;
use handoffd::config::{self, problems_of_target, tidy};
use handoffd::connectors::KINDS;
use handoffd::mapping::Mapping;
use serde_json::{Map, Value, json};

/// The planted secret, of a form that HubSpot's tokens have.
const SECRET: &str = "pat-eu1-5EcR3t9x-d34d-b33f-c0ff-ee0123456789";
/// What of it must not come out.
const TRACES: &[&str] = &["5ecr3t", "ee0123456789", "8675309"];
/// A key that nobody knows.
const PROBE: &str = "zz_probe";

/// Values of every shape, each with the secret.
fn shapes() -> Vec<Value> {
    vec![
        json!(SECRET),
        json!(format!("{SECRET}\n{SECRET}")),
        json!(SECRET.repeat(30)),
        json!(format!("amqp://user:{SECRET}@localhost:1/vhost")),
        json!(format!(
            "https://user:{SECRET}@localhost:1/path?token={SECRET}"
        )),
        json!(format!("postgres://user:{SECRET}@one,two/database")),
        json!(format!("sqlite://{SECRET}\u{0}")),
        json!([SECRET]),
        json!([[SECRET]]),
        json!([{ SECRET: SECRET }]),
        json!({ SECRET: SECRET }),
        json!({ "value": SECRET, "file": SECRET, "env": SECRET, "id": SECRET }),
        json!({ SECRET: { SECRET: [SECRET] } }),
        json!(8_675_309_421_u64),
        json!(-8_675_309_421_i64),
        json!(8_675_309.421),
        json!(true),
    ]
}

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let folder =
            std::env::temp_dir().join(format!("handoffd-secrets-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        Folder(folder)
    }

    fn write(&self, file: &Value) -> PathBuf {
        let path = self.0.join("handoffd.toml");
        let text = toml::to_string(file).expect("TOML");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Everything that is told about a configuration, within this process.
    fn told(&self, file: &Value) -> String {
        let path = self.write(file);
        match config::load(Some(&path), std::iter::empty()) {
            Err(problems) => format!("{}{problems:?}", tidy(&problems)),
            Ok(config) => {
                let warnings = tidy(&config.warnings);
                match app::connect(&config) {
                    Ok(_) => format!("{config:?}{warnings}"),
                    Err(problems) => {
                        format!("{config:?}{warnings}{}{problems:?}", tidy(&problems))
                    }
                }
            }
        }
    }

    /// What a command prints about a configuration, with its exit code.
    fn command(&self, file: &Value, args: &[&str]) -> (String, Option<i32>) {
        let path = self.write(file);
        let out = Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .args(args)
            .arg("--config")
            .arg(path)
            .env("RUST_BACKTRACE", "full")
            .output()
            .expect("the daemon runs");
        let printed = [out.stdout, out.stderr].concat();
        (
            String::from_utf8_lossy(&printed).into_owned(),
            out.status.code(),
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn trace(told: &str) -> Option<&'static str> {
    let told = told.to_lowercase();
    TRACES.iter().find(|trace| told.contains(**trace)).copied()
}

#[track_caller]
fn keeps(told: &str, what: &str) {
    if let Some(trace) = trace(told) {
        panic!("{what}: `{trace}` comes out:\n{told}");
    }
}

/// Settings of each kind that make its reader ask for every key.
fn kinds() -> Vec<(&'static str, Value)> {
    vec![
        ("salesforce", json!({})),
        ("hubspot", json!({})),
        ("creatio", json!({ "auth": { "kind": "oauth" } })),
        ("creatio", json!({ "auth": { "kind": "forms" } })),
        ("whatsapp", json!({ "exit": "gateway" })),
        ("whatsapp", json!({ "exit": "cloud_api" })),
        ("events", json!({ "url": "https://flows.example.com" })),
        ("events", json!({ "exchange": "news" })),
    ]
}

fn set(base: &Value, path: &[String], value: Value) -> Value {
    let mut whole = base.clone();
    let mut place = &mut whole;
    for key in path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[key.as_str()];
    }
    *place = value;
    whole
}

/// Every key that a reader knows, as a path, found by asking for one that it does not know.
fn keys(problems: &dyn Fn(&[String], Value) -> String) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(path) = open.pop() {
        assert!(path.len() < 5, "{path:?} has no end");
        let told = problems(&path, json!({ PROBE: 1 }));
        let place = [path.clone(), vec![PROBE.into()]].concat().join(".");
        let line = told.lines().find(|line| line.contains(&place));
        let known = line.and_then(|line| line.split_once("known here: "));
        let Some((_, known)) = known else { continue };
        for key in known.split(", ") {
            let path = [path.clone(), vec![key.trim().to_owned()]].concat();
            found.push(path.clone());
            open.push(path);
        }
    }
    found
}

/// The settings of one kind as its connector judges them.
fn judged(kind: &str, settings: &Value) -> String {
    let kind = handoffd::connectors::kind(kind).expect("a kind");
    match (kind.connector)("crm", settings) {
        Ok(_) => String::new(),
        Err(problems) => {
            let debug = format!("{problems:?}");
            format!("{}{debug}", tidy(&problems_of_target("crm", problems)))
        }
    }
}

fn settings_keys(kind: &str, base: &Value) -> Vec<Vec<String>> {
    keys(&|path, probe| {
        let mut value = probe;
        // A table keeps what the base says of it, since some keys decide which others there are.
        let pointer = path
            .iter()
            .fold(String::new(), |p, key| format!("{p}/{key}"));
        if let Some(Value::Object(there)) = base.pointer(&pointer) {
            let mut merged = there.clone();
            merged.extend(value.as_object().cloned().unwrap_or_default());
            value = Value::Object(merged);
        }
        judged(kind, &set(base, path, value))
    })
}

#[test]
fn no_setting_of_any_kind_of_target_comes_out() {
    let mut asked = BTreeSet::new();
    for (kind, base) in kinds() {
        for path in settings_keys(kind, &base) {
            asked.insert(format!("{kind}.{}", path.join(".")));
            for shape in shapes() {
                let settings = set(&base, &path, shape.clone());
                keeps(
                    &judged(kind, &settings),
                    &format!("{kind} {path:?} {shape}"),
                );
            }
            // A key that nobody knows, beside it.
            let above = &path[..path.len() - 1];
            let beside = [above, &[SECRET.to_owned()]].concat();
            keeps(&judged(kind, &set(&base, &beside, json!(SECRET))), "a key");
        }
        keeps(&judged(kind, &json!(SECRET)), kind);
        keeps(&judged(kind, &json!([SECRET])), kind);
    }
    for key in [
        "salesforce.org_id",
        "hubspot.oauth.refresh_token",
        "hubspot.poll_seconds",
        "hubspot.webhook.public_url",
        "creatio.auth.client_secret",
        "creatio.auth.password",
        "creatio.owner_id",
        "whatsapp.exit",
        "whatsapp.fallback_template.languages",
        "whatsapp.webhooks.app_secret",
        "whatsapp.phone_numbers",
    ] {
        assert!(asked.contains(key), "{key} was not asked for: {asked:?}");
    }
    assert!(asked.len() > 100, "{}", asked.len());
}

#[test]
fn no_setting_of_the_daemon_comes_out() {
    let folder = Folder::new();
    let found = keys(&|path, probe| folder.told(&set(&json!({}), path, probe)));
    let mut paths: BTreeSet<Vec<String>> = found.into_iter().collect();
    for key in [
        "engine.backoff.first",
        "intake.amqp.reconnect.max",
        "http.listen",
        "log.level",
        "access.session.idle",
        "access.openid.roles.viewer",
        "access.proxy.user_header",
    ] {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        assert!(paths.contains(&path), "{key} was not asked for: {paths:?}");
    }
    paths.insert(vec!["secrets".into(), "one".into()]);
    for how in ["env", "file", "value", SECRET] {
        paths.insert(vec!["secrets".into(), "one".into(), how.into()]);
    }
    for above in ["", "secrets", "engine", "intake.amqp"] {
        let mut path: Vec<String> = above.split('.').map(str::to_owned).collect();
        path.retain(|key| !key.is_empty());
        path.push(SECRET.into());
        paths.insert(path);
    }
    for path in &paths {
        for shape in shapes() {
            let told = folder.told(&set(&json!({}), path, shape.clone()));
            keeps(&told, &format!("{path:?} {shape}"));
        }
    }
}

#[test]
fn no_setting_of_a_user_comes_out() {
    let folder = Folder::new();
    let one = |user: Value| json!({ "access": { "user": [user] }, "secrets": { "p": { "value": SECRET } } });
    for key in ["name", "role", "unmask", "password", SECRET] {
        for shape in shapes() {
            let told = folder.told(&one(set(&json!({}), &[key.to_owned()], shape.clone())));
            keeps(&told, &format!("a user's {key} {shape}"));
        }
    }
    let told = folder.told(&one(
        json!({ "name": "ana", "role": "admin", "password": "p" }),
    ));
    keeps(&told, "a password that is no hash");
    assert!(told.contains("access.user[0].password"), "{told}");
}

#[test]
fn no_setting_of_a_target_comes_out() {
    let folder = Folder::new();
    let one = |target: Value| json!({ "target": [target] });
    let base = json!({ "name": "crm", "kind": "hubspot" });
    let found = keys(&|path, probe| {
        let mut value = probe;
        if path.is_empty() {
            value["name"] = "crm".into();
            value["kind"] = "hubspot".into();
        }
        folder
            .told(&one(set(&base, path, value)))
            .replace("target.crm.", "")
    });
    assert!(found.iter().any(|path| path == &["mapping"]), "{found:?}");
    for path in &found {
        for shape in shapes() {
            let told = folder.told(&one(set(&base, path, shape.clone())));
            keeps(&told, &format!("target {path:?} {shape}"));
        }
    }
    let told = folder.told(&one(set(&base, &[SECRET.into()], json!(1))));
    keeps(&told, "a key of a target");
    assert!(told.contains("(a key of 44 characters)"), "{told}");
}

#[test]
fn no_mapping_comes_out() {
    let text = |file: &Value| toml::to_string(file).expect("TOML");
    let told = |file: &Value| match Mapping::parse("crm.toml", &text(file)) {
        Ok(_) => String::new(),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            format!("{}\n{problems:?}", lines.join("\n"))
        }
    };
    let known = |told: String| -> Vec<String> {
        let (_, known) = told.split_once("known are: ").expect("the known keys");
        let line = known.lines().next().unwrap_or_default();
        line.split(", ").map(str::to_owned).collect()
    };
    for kind in KINDS {
        let (kind, section) = (kind.name, kind.sections[0]);
        let field = |settings: Value| json!({ "kind": kind, section: { "name": settings } });
        let test = |settings: Value| json!({ "kind": kind, section: { "name": { "value": "x" } }, "test": [settings] });
        let of_fields = known(told(&field(json!({ "value": "x", PROBE: 1 }))));
        let of_tests = known(told(&test(json!({ "name": "t", PROBE: 1 }))));
        assert!(of_fields.contains(&"misfit".into()), "{of_fields:?}");
        assert!(of_tests.contains(&"without".into()), "{of_tests:?}");
        for shape in shapes() {
            for key in of_fields.iter().map(String::as_str).chain([SECRET]) {
                let file = field(json!({ "value": "x", key: shape }));
                keeps(&told(&file), &format!("{kind} {key} {shape}"));
            }
            for key in of_tests.iter().map(String::as_str).chain([SECRET]) {
                // The name is what a test is told by.
                if key != "name" {
                    let file = test(json!({ "name": "t", key: shape }));
                    keeps(&told(&file), &format!("{kind} test {key} {shape}"));
                }
            }
            for file in [
                json!({ "kind": shape }),
                json!({ "kind": kind, SECRET: shape }),
                json!({ "kind": kind, section: { SECRET: shape } }),
                json!({ "kind": kind, section: shape }),
                json!({ "kind": kind, "test": shape }),
                test(json!({ "name": "t", "change": { "contact": shape } })),
                test(json!({ "name": "t", "change": { "contact": { "email": shape } } })),
                test(json!({ "name": "t", "expect": { section: { SECRET: shape } } })),
            ] {
                keeps(&told(&file), &format!("{kind} {file}"));
            }
        }
    }
}

#[test]
fn text_that_is_not_toml_does_not_come_out() {
    let folder = Folder::new();
    let path = folder.0.join("handoffd.toml");
    for text in [
        format!("[target.settings]\noauth = {SECRET}"),
        format!("[target.settings]\noauth = \"{SECRET}"),
        format!("[target.settings]\noauth = '{SECRET}\n"),
        SECRET.to_owned(),
        format!("{SECRET} = 1\n{SECRET} = 2"),
        format!("[{SECRET}]\n[{SECRET}]"),
        format!("a = 1{SECRET}"),
        format!("a = [{SECRET}"),
        "a = 86753094218675309421".into(),
        "a = 8675309421-01-01".into(),
    ] {
        std::fs::write(&path, &text).expect("a file");
        let problems = config::load(Some(&path), std::iter::empty()).expect_err(&text);
        keeps(&format!("{}{problems:?}", tidy(&problems)), &text);
        let problems = Mapping::parse("crm.toml", &text).expect_err(&text);
        keeps(&format!("{problems:?}{}", problems[0]), &text);
    }
}

#[test]
fn no_override_by_the_environment_comes_out() {
    let folder = Folder::new();
    let path = folder.write(&json!({ "target": [{ "name": "crm", "kind": "hubspot" }] }));
    let upper = SECRET.to_uppercase();
    for (variable, value) in [
        ("HANDOFFD__HTTP__LISTEN".to_owned(), SECRET),
        ("HANDOFFD__HTTP".into(), SECRET),
        ("HANDOFFD__HTTP__LISTEN__MORE".into(), SECRET),
        ("HANDOFFD__INTAKE".into(), SECRET),
        ("HANDOFFD__TARGET".into(), SECRET),
        (format!("HANDOFFD__HTTP__{upper}"), "1"),
        (format!("HANDOFFD__TARGET__{upper}__NAME"), "1"),
        (format!("HANDOFFD__TARGET__CRM__{upper}"), "1"),
        ("HANDOFFD__TARGET__CRM__SETTINGS".into(), SECRET),
        ("HANDOFFD__TARGET__CRM__CONCURRENCY".into(), SECRET),
        ("HANDOFFD__ENGINE__LOAD_EVENTS".into(), "8675309421"),
    ] {
        let env = [(variable.clone(), value.to_owned())];
        match config::load(Some(&path), env.into_iter()) {
            Ok(config) => keeps(&format!("{config:?}{}", tidy(&config.warnings)), &variable),
            Err(problems) => keeps(&format!("{}{problems:?}", tidy(&problems)), &variable),
        }
    }
}
