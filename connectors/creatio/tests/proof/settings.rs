//! Wrong settings: each problem with its path and remedy, all at once, and no value of a secret.

use handoffd_contract::Credential;
use serde_json::{Value, json};

fn good() -> Value {
    json!({ "site": "https://acme.creatio.com", "auth": { "kind": "oauth", "client_id": "3F4A", "client_secret": "creatio_secret" } })
}

fn with(key: &str, value: Value) -> Value {
    let mut settings = good();
    match key.split_once('.') {
        Some((table, key)) => settings[table][key] = value,
        None => settings[key] = value,
    }
    settings
}

fn problems(settings: &Value) -> Vec<(String, String)> {
    match handoffd_creatio::connector("crm", settings) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.into_iter().map(|p| (p.path, p.message)).collect(),
    }
}

#[test]
fn every_wrong_setting_is_named_with_its_remedy() {
    let table: Vec<(&str, Value, &str, &str)> = vec![
        ("site", json!(null), "site", "is missing"),
        (
            "after_end",
            json!("open"),
            "after_end",
            "found a text of 4 characters; write one of reopen, new, append, ignore",
        ),
        (
            "after_end_handoff",
            json!("ignore"),
            "after_end_handoff",
            "`ignore` cannot be done here: a handoff always becomes work that a rep sees; write reopen or new",
        ),
        ("site", json!(7), "site", "begin with https://"),
        (
            "site",
            json!(["x"]),
            "site",
            "found a list of 1; write a text",
        ),
        (
            "site",
            json!("acme.creatio.com"),
            "site",
            "begin with https://",
        ),
        (
            "site",
            json!("http://acme.creatio.com"),
            "site",
            "plain http",
        ),
        (
            "site",
            json!("https://acme.creatio.com/?x"),
            "site",
            "neither user, query",
        ),
        ("site", json!("https://user@acme"), "site", "neither user"),
        ("site", json!("https:///x"), "site", "valid host"),
        (
            "runtime",
            json!("dotnet"),
            "runtime",
            "write one of framework, net",
        ),
        (
            "mode",
            json!("always"),
            "mode",
            "write one of handoff_only, every_conversation",
        ),
        (
            "auth",
            json!("oauth"),
            "auth",
            "found a text of 5 characters; write a table",
        ),
        ("auth", json!(null), "auth", "is missing"),
        (
            "auth.kind",
            json!("basic"),
            "auth.kind",
            "write one of oauth, forms",
        ),
        ("auth.client_id", json!(""), "auth.client_id", "is empty"),
        (
            "auth.client_id",
            json!(null),
            "auth.client_id",
            "is missing; write the client id",
        ),
        (
            "auth.client_secret",
            json!(null),
            "auth.client_secret",
            "is missing; name the secret",
        ),
        (
            "auth.client_secret",
            json!("hunter2 is not a name!"),
            "auth.client_secret",
            "put the secret itself under [secrets] and its name",
        ),
        ("auth.scope", json!("x"), "auth.scope", "unknown key"),
        (
            "auth.token_url",
            json!("http://is.example/connect/token"),
            "auth.token_url",
            "plain http",
        ),
        ("owner_id", json!("Rosa"), "owner_id", "write a record id"),
        (
            "group_id",
            json!("00000000-0000-0000-0000-000000000000"),
            "group_id",
            "write a record id",
        ),
        (
            "priority_id",
            json!(3),
            "priority_id",
            "found a number; write a record id",
        ),
        ("batch", json!("yes"), "batch", "true or false"),
        ("batch_size", json!(101), "batch_size", "from 1 to 100"),
        ("batch_size", json!(0), "batch_size", "from 1 to 100"),
        ("max_file_mb", json!(-1), "max_file_mb", "from 1 to 2000"),
        ("poll_seconds", json!(1.5), "poll_seconds", "from 0 to 3600"),
        ("case_url", json!("https://x/cases"), "case_url", "{id}"),
        (
            "case_columns",
            json!(["Usr Category"]),
            "case_columns[0]",
            "column's code",
        ),
        ("case_columns", json!(7), "case_columns", "list of texts"),
        (
            "reply_line",
            json!("never"),
            "reply_line",
            "always, trouble",
        ),
        (
            "reply_column",
            json!("Usr State"),
            "reply_column",
            "column's code",
        ),
        ("standing", json!("UsrX"), "standing", "write a table"),
        (
            "standing",
            json!({ "window": "UsrEnd" }),
            "standing.window",
            "window_end",
        ),
        (
            "standing",
            json!({ "session": "1x" }),
            "standing.session",
            "column's code",
        ),
        (
            "reply_marker",
            json!("suffix"),
            "reply_marker",
            "write one of prefix, all",
        ),
        (
            "default_country",
            json!("Holland"),
            "default_country",
            "two letters",
        ),
        (
            "default_country",
            json!(31),
            "default_country",
            "found a number; write a country's two letters",
        ),
        (
            "user_id_type_id",
            json!("phone"),
            "user_id_type_id",
            "record id",
        ),
        (
            "reopened_status_id",
            json!("open"),
            "reopened_status_id",
            "record id",
        ),
        ("reply_prefix", json!("/w a"), "reply_prefix", "one word"),
        ("reply_prefix", json!("<wa>"), "reply_prefix", "one word"),
        (
            "reply_types",
            json!(["email"]),
            "reply_types[0]",
            "\"task\"",
        ),
        (
            "append_to_open_case",
            json!(true),
            "integration_contact_id",
            "is missing",
        ),
        (
            "webhook_token",
            json!("a/b c"),
            "webhook_token",
            "put the secret itself under [secrets] and its name",
        ),
        ("ownerId", json!("x"), "ownerId", "did you mean `owner_id`?"),
        ("nonsense", json!(1), "nonsense", "unknown key"),
    ];
    for (key, value, path, words) in table {
        let found = problems(&with(key, value));
        assert!(
            found
                .iter()
                .any(|(p, message)| p == path && message.contains(words)),
            "{key}: expected {path} … {words}, got {found:?}"
        );
        assert_eq!(found.len(), 1, "{key}: {found:?}");
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}

#[test]
fn all_problems_come_at_once() {
    let found = problems(
        &json!({ "site": "ftp://x", "auth": { "kind": "forms", "user": ["bot"], "extra": 1 }, "batch_size": 0, "nonsense": true }),
    );
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    for path in [
        "site",
        "auth.user",
        "auth.password",
        "auth.extra",
        "batch_size",
        "nonsense",
    ] {
        assert!(paths.contains(&path), "{path} of {paths:?}");
    }
    assert_eq!(
        problems(&json!("text"))
            .iter()
            .filter(|(path, _)| path.is_empty())
            .count(),
        1
    );
}

#[test]
fn what_people_paste_is_tidied() {
    for site in [
        "https://acme.creatio.com",
        " https://acme.creatio.com/ ",
        "https://acme.creatio.com/0",
        "https://acme.creatio.com/0/odata/",
        "https://acme.creatio.com/0/Shell",
    ] {
        let connector = handoffd_creatio::connector("crm", &with("site", json!(site))).unwrap();
        assert_eq!(connector.base(), "https://acme.creatio.com", "{site}");
    }
    assert!(
        problems(&with(
            "owner_id",
            json!("{7E9F1204-F46B-1410-FB9A-0050BA5D6C38}")
        ))
        .is_empty()
    );
    assert!(problems(&with("site", json!("http://127.0.0.1:9103"))).is_empty());
}

#[test]
fn the_sign_in_is_found_by_both_conventions_or_as_set() {
    let urls = |settings: &Value| match handoffd_creatio::connector("crm", settings)
        .unwrap()
        .credential()
    {
        Credential::ClientCredentials { token_urls, .. } => token_urls,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        urls(&good()),
        [
            "https://acme-is.creatio.com/connect/token",
            "https://acme.creatio.com/0/connect/token"
        ]
    );
    assert_eq!(
        urls(&with("site", json!("http://127.0.0.1:9103"))),
        ["http://127.0.0.1:9103/0/connect/token"]
    );
    assert_eq!(
        urls(&with(
            "auth.token_url",
            json!("https://is.example/connect/token")
        )),
        ["https://is.example/connect/token"]
    );
    let forms = with(
        "auth",
        json!({ "kind": "forms", "user": "bot", "password": "creatio_password" }),
    );
    match handoffd_creatio::connector("crm", &forms)
        .unwrap()
        .credential()
    {
        Credential::Forms {
            login_url,
            user,
            password,
        } => {
            assert_eq!(
                login_url,
                "https://acme.creatio.com/ServiceModel/AuthService.svc/Login"
            );
            assert_eq!(
                (user.as_str(), password.0.as_str()),
                ("bot", "creatio_password")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mode_that_shows_everything_ignores_nothing() {
    let mut settings = with("mode", json!("every_conversation"));
    settings["after_end"] = json!("ignore");
    let found = problems(&settings);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "after_end");
    assert!(found[0].1.ends_with("write append"), "{found:?}");
}
