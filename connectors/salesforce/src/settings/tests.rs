//! Addresses, ids, and a table of wrong settings.

use super::values::case_suffix;
use super::*;
use serde_json::json;

fn good() -> Value {
    json!({
        "instance_url": " https://acme.my.salesforce.com/ ",
        "org_id": "00DHs000001abcD",
        "es_developer_name": "Handoffd_Custom_Client",
        "key_id": "key-1",
        "issuer": "acme",
        "private_key": "salesforce_private_key",
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut settings = good();
    settings[path] = value;
    settings
}

#[test]
fn the_six_fields_are_enough() {
    let settings = Settings::read(&good()).expect("settings");
    assert_eq!(settings.base, "https://acme.my.salesforce-scrt.com");
    assert_eq!(settings.transcript, Transcript::Auto { max_parts: 1 });
    assert_eq!(settings.org_id, "00DHs000001abcD");
    assert_eq!(settings.message_limit, 3_000);
    assert_eq!(settings.after_end, AfterEnd::Ignore);
    assert!(!settings.end_on_work_closed && !settings.activity);
    for (word, means) in [
        ("new", AfterEnd::New),
        ("ignore", AfterEnd::Ignore),
        // What they were called before.
        ("message", AfterEnd::New),
        ("handoff", AfterEnd::Ignore),
    ] {
        let settings = Settings::read(&with("after_end", json!(word))).expect(word);
        assert_eq!(settings.after_end, means, "{word}");
    }
    Settings::read(&with("after_end_handoff", json!("new"))).expect("settings");
}

#[test]
fn addresses_are_derived_and_overridden() {
    for (given, base) in [
        (
            "https://acme--sbx.sandbox.my.salesforce.com",
            "https://acme--sbx.sandbox.my.salesforce-scrt.com",
        ),
        (
            "https://Acme.my.salesforce.com/lightning/page/home",
            "https://acme.my.salesforce-scrt.com",
        ),
        (
            "https://acme.my.salesforce-scrt.com",
            "https://acme.my.salesforce-scrt.com",
        ),
    ] {
        let settings = Settings::read(&with("instance_url", json!(given))).expect(given);
        assert_eq!(settings.base, base);
    }
    let local = Settings::read(&with("api_base", json!("http://127.0.0.1:9101/"))).expect("local");
    assert_eq!(local.base, "http://127.0.0.1:9101");
}

/// It is part of the customers' identities: another one makes them strangers.
#[test]
fn the_subject_prefix_is_kept_to_the_letter() {
    for prefix in ["", " wa: "] {
        let settings = Settings::read(&with("subject_prefix", json!(prefix))).expect("settings");
        assert_eq!(settings.subject_prefix, prefix);
    }
    let default = Settings::read(&good()).expect("settings");
    assert_eq!(default.subject_prefix, "handoffd:");
}

#[test]
fn an_18_character_org_id_is_shortened() {
    let long = format!("00DHs000001abcD{}", case_suffix("00DHs000001abcD"));
    let settings = Settings::read(&with("org_id", json!(long))).expect("settings");
    assert_eq!(settings.org_id, "00DHs000001abcD");
}

#[test]
fn the_case_suffix_is_salesforces() {
    // The pair that Salesforce's own documentation of ids shows.
    assert_eq!(case_suffix("001D000000IqhSL"), "IAZ");
}

#[test]
fn every_problem_names_its_path_and_its_remedy() {
    for (path, value, part) in [
        (
            "instance_url",
            json!("acme.my.salesforce.com"),
            "does not begin with https://",
        ),
        (
            "instance_url",
            json!("https://acme.lightning.force.com"),
            "Lightning",
        ),
        (
            "instance_url",
            json!("https://login.salesforce.com"),
            ".my.salesforce.com",
        ),
        ("instance_url", json!(7), "does not begin with https://"),
        (
            "instance_url",
            json!(["x"]),
            "found a list of 1; write a text",
        ),
        ("instance_url", json!(""), "is empty"),
        ("instance_url", json!(null), "is missing; write My Domain"),
        (
            "api_base",
            json!("http://example.com"),
            "plain http only to this machine",
        ),
        ("api_base", json!("https://example.com/x"), "without a path"),
        (
            "org_id",
            json!("00DHs000001abc"),
            "found a text of 14 characters, not 15 or 18",
        ),
        ("org_id", json!("001Hs000001abcD"), "00D"),
        ("org_id", json!("00DHs000001abcDXXX"), "do not fit"),
        ("org_id", json!(null), "is missing; copy it from Setup"),
        (
            "es_developer_name",
            json!("My Client"),
            "found a text of 9 characters; copy the API name",
        ),
        ("es_developer_name", json!(""), "is empty"),
        ("key_id", json!(""), "is empty"),
        ("key_id", json!(null), "is missing; copy the kid"),
        ("issuer", json!("  "), "is empty"),
        ("private_key", json!(null), "is missing; name the secret"),
        (
            "private_key",
            json!("-----BEGIN PRIVATE KEY-----\nabc"),
            "put the secret itself under [secrets] and its name",
        ),
        (
            "transcript",
            json!("pdf"),
            "write one of auto, messages, file",
        ),
        ("transcript_max_parts", json!(0), "from 1 to 20"),
        (
            "message_limit",
            json!("many"),
            "found a text of 4 characters; write a whole number",
        ),
        ("message_limit", json!(10), "from 200 to 30000"),
        ("tokens_per_minute", json!(0), "from 1 to 100000"),
        (
            "file_hosts",
            json!(7),
            "found a number; write a list of texts",
        ),
        ("relay_chatbot", json!("yes"), "true or false"),
        ("on_close", json!("close"), "end-session"),
        (
            "after_end",
            json!("reopen"),
            "has ended takes nothing any more; write new or ignore",
        ),
        ("after_end", json!("append"), "write new or ignore"),
        ("after_end", json!("messages"), "write one of new, ignore"),
        (
            "after_end_handoff",
            json!("reopen"),
            "in the same conversation; write new",
        ),
        ("after_end_handoff", json!("ignore"), "write new"),
        ("after_end", json!(true), "found a boolean; write one of"),
        ("end_on_work_closed", json!("yes"), "true or false"),
        ("activity", json!("typing"), "true or false"),
        ("idle_seconds", json!(1), "from 25 to 600"),
        (
            "instanceurl",
            json!("x"),
            "unknown key (did you mean `instance_url`?)",
        ),
    ] {
        let problems = Settings::read(&with(path, value.clone())).expect_err(path);
        assert_eq!(problems.len(), 1, "{path} = {value}: {problems:?}");
        assert_eq!(problems[0].path, path);
        assert!(
            problems[0].message.contains(part),
            "{path} = {value}: {problems:?}"
        );
    }
    let hosts = Settings::read(&with("file_hosts", json!([".force.com", "*"]))).expect_err("hosts");
    assert_eq!(hosts[0].path, "file_hosts[1]");
}

#[test]
fn all_problems_come_at_once_and_show_no_secret() {
    let problems = Settings::read(&json!({
        "org_id": "x", "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIsecret", "extra": 1
    }))
    .expect_err("problems");
    let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    for path in [
        "instance_url",
        "org_id",
        "es_developer_name",
        "key_id",
        "issuer",
        "private_key",
        "extra",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
    assert!(!format!("{problems:?}").contains("MIIsecret"));
}
