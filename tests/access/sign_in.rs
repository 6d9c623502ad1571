//! Signing in, what the browser is given, and how it ends.

use handoffd::ledger::access::SignInRow;
use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{ADMIN, Console, Where, cookie, key};

fn location(reply: &reqwest::Response) -> &str {
    reply.headers()["location"].to_str().unwrap()
}

#[tokio::test]
async fn a_browser_is_sent_on_with_a_cookie_that_only_we_see() {
    let console = Console::start().await;
    let form = [
        ("name", "ana"),
        ("password", "ana's password"),
        ("next", "/parked?reason=invalid"),
    ];
    let reply = console.post("/sign-in").form(&form).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&reply), "/parked?reason=invalid");
    let set = reply.headers()["set-cookie"].to_str().unwrap().to_owned();
    let (_, flags) = set.split_once(';').unwrap();
    assert!(set.starts_with("handoffd="), "{set}");
    assert_eq!(flags, " Path=/; HttpOnly; SameSite=Strict; Max-Age=604800");
    let shown = cookie(&reply).unwrap();
    let me = console.get("/v1/me").header("cookie", &shown).send().await;
    let me: Value = me.unwrap().json().await.unwrap();
    assert_eq!(
        (&me["name"], &me["by"]),
        (&json!("ana"), &json!("password"))
    );
    // The ledger has a digest of it and nothing else.
    let (_, value) = shown.split_once('=').unwrap();
    for file in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(console.daemon.file(file)).unwrap();
        let found = bytes
            .windows(value.len())
            .any(|part| part == value.as_bytes());
        assert!(!found, "{file} holds the cookie");
    }
    assert!(!console.daemon.log().contains(value));
}

#[tokio::test]
async fn behind_tls_the_cookie_is_for_tls_alone() {
    let console = Console::start().await;
    let form = [("name", "ana"), ("password", "ana's password")];
    let request = || console.post("/sign-in").form(&form);
    let by_tls = request().header("x-forwarded-proto", "https");
    let reply = by_tls.send().await.unwrap();
    let set = reply.headers()["set-cookie"].to_str().unwrap();
    assert!(
        set.starts_with("__Host-handoffd=") && set.ends_with("; Secure"),
        "{set}"
    );
    let shown = cookie(&reply).unwrap();
    let me = || console.get("/v1/me").header("cookie", &shown);
    let reply = me().header("x-forwarded-proto", "https").send().await;
    assert_eq!(reply.unwrap().status(), 200);
    // The other name is what anybody on the way could have set.
    let plain = shown.replace("__Host-", "");
    let reply = console
        .get("/v1/me")
        .header("cookie", plain)
        .header("x-forwarded-proto", "https");
    assert_eq!(reply.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn who_is_wrong_is_not_told_what() {
    let console = Console::start().await;
    let mut told = Vec::new();
    for (name, password) in [("ana", "wrong"), ("nobody", "ana's password"), ("", "")] {
        let reply = console.try_sign_in(name, password).await;
        assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
        assert!(reply.headers().get("set-cookie").is_none());
        told.push(reply.text().await.unwrap());
    }
    assert!(told[0].contains("That name and password do not match."));
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    // A browser is led back to the form.
    let form = [("name", "ana"), ("password", "wrong"), ("next", "/tap")];
    let reply = console.post("/sign-in").form(&form).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    let page = reply.text().await.unwrap();
    let to = "0;url=/sign-in?error=mismatch&amp;next=%2Ftap";
    assert!(page.contains(to), "{page}");
}

#[tokio::test]
async fn a_browser_is_never_sent_elsewhere() {
    let console = Console::start().await;
    for next in ["https://evil.example", "//evil.example", "/\\evil.example"] {
        let form = [
            ("name", "ana"),
            ("password", "ana's password"),
            ("next", next),
        ];
        let reply = console.post("/sign-in").form(&form).send().await.unwrap();
        assert_eq!(location(&reply), "/", "{next}");
    }
}

#[tokio::test]
async fn too_many_tries_wait_and_say_how_long() {
    let console = Console::start().await;
    for _ in 0..10 {
        let reply = console.try_sign_in("ana", "wrong").await;
        assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    }
    let mut waits = Vec::new();
    for (name, password) in [("ana", "ana's password"), ("otto", "otto's password")] {
        let reply = console.try_sign_in(name, password).await;
        // Where the second of waiting has passed already, it is let through and judged.
        if reply.status() != StatusCode::OK {
            assert_eq!(reply.status(), StatusCode::TOO_MANY_REQUESTS, "{name}");
            let wait = reply.headers()["retry-after"].to_str().unwrap();
            waits.push(wait.parse::<u64>().unwrap());
            let told: Value = reply.json().await.unwrap();
            assert_eq!(told["reason"], "throttled");
        }
    }
    assert!(waits.iter().all(|wait| (1..=2).contains(wait)), "{waits:?}");
    // Each further wrong one waits longer, so that soon there is one to be seen.
    let mut seen = !waits.is_empty();
    for _ in 0..40 {
        let reply = console.try_sign_in("eve", "wrong").await;
        seen |= reply.status() == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(seen);
    let form = [("name", "ana"), ("password", "x")];
    let reply = console.post("/sign-in").form(&form).send().await.unwrap();
    let page = reply.text().await.unwrap();
    assert!(
        page.contains("/sign-in?error=throttled&amp;wait="),
        "{page}"
    );
}

#[tokio::test]
async fn whoever_signs_out_is_out_at_once() {
    let console = Console::start().await;
    let (ana, otto) = (console.sign_in("ana").await, console.sign_in("otto").await);
    let form = [("csrf", ana.csrf.as_str())];
    let out = console.post("/sign-out").header("cookie", &ana.cookie);
    let reply = out.form(&form).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&reply), "/sign-in");
    let set = reply.headers()["set-cookie"].to_str().unwrap();
    assert!(
        set.starts_with("handoffd=;") && set.contains("Max-Age=0"),
        "{set}"
    );
    let status = async |who: &str| {
        let request = console.get("/v1/me").header("cookie", who);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(&ana.cookie).await, 401);
    assert_eq!(status(&otto.cookie).await, 200);
}

#[tokio::test]
async fn whoever_signs_in_again_has_left_the_sign_in_before() {
    let console = Console::start().await;
    let before = console.sign_in("vera").await;
    let form = [("name", "ana"), ("password", "ana's password")];
    let again = console.post("/sign-in").header("cookie", &before.cookie);
    let reply = again.form(&form).send().await.unwrap();
    assert_ne!(cookie(&reply).unwrap(), before.cookie);
    let reply = console.get("/v1/me").header("cookie", &before.cookie);
    assert_eq!(reply.send().await.unwrap().status(), 401);
}

async fn a_sign_in_ends(place: Where) {
    let console = Console::with(place, &json!({})).await;
    let ledger = console.ledger().await;
    let real = console.sign_in("ana").await;
    let row = ledger.sign_in(&key(&real.cookie)).await.unwrap().unwrap();
    let now = Timestamp::now();
    let hours = SignedDuration::from_hours;
    for (value, row, status) in [
        ("as-it-is", row.clone(), 200),
        (
            "at-its-end",
            SignInRow {
                until: now - hours(1),
                ..row.clone()
            },
            401,
        ),
        (
            "nothing-asked-for-long",
            SignInRow {
                seen_at: now - hours(9),
                ..row.clone()
            },
            401,
        ),
        (
            "nothing-asked-for-a-while",
            SignInRow {
                seen_at: now - hours(7),
                ..row.clone()
            },
            200,
        ),
        (
            "another-password",
            SignInRow {
                basis: "0123456789abcdef".into(),
                ..row.clone()
            },
            401,
        ),
        (
            "no-such-user",
            SignInRow {
                name: "eve".into(),
                ..row.clone()
            },
            401,
        ),
        (
            "no-provider",
            SignInRow {
                way: "openid".into(),
                ..row
            },
            401,
        ),
    ] {
        let cookie = format!("handoffd={value}");
        ledger.put_sign_in(&key(&cookie), &row).await.unwrap();
        let reply = console.get("/v1/me").header("cookie", &cookie);
        assert_eq!(reply.send().await.unwrap().status(), status, "{value}");
    }
    // Whoever asks is seen.
    let seen = key("handoffd=nothing-asked-for-a-while");
    let seen = ledger.sign_in(&seen).await.unwrap().unwrap();
    assert!(seen.seen_at >= now);
}

#[tokio::test]
async fn a_sign_in_ends_with_sqlite() {
    a_sign_in_ends(Where::Sqlite).await;
}

#[tokio::test]
async fn a_sign_in_ends_with_postgresql() {
    a_sign_in_ends(Where::Postgres).await;
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let console = Console::start().await;
    let (code, link) = console.daemon.command(&["access", "link"]);
    assert_eq!(code, Some(0), "{link}");
    let link = link.trim();
    let path = link
        .split_once(&console.daemon.admin.to_string())
        .unwrap()
        .1;
    // Whoever only looks whether there is something uses nothing up.
    let looked = console.ask(reqwest::Method::HEAD, path).send().await;
    assert_eq!(looked.unwrap().status(), 204);
    let reply = console.get(path).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let shown = cookie(&reply).unwrap();
    let page = reply.text().await.unwrap();
    assert!(page.contains("content=\"0;url=/\""), "{page}");
    let me = console.get("/v1/me").header("cookie", &shown).send().await;
    let me: Value = me.unwrap().json().await.unwrap();
    assert_eq!((&me["by"], &me["role"]), (&json!("link"), &json!("admin")));
    let again = console.get(path).send().await.unwrap();
    assert_eq!(again.status(), 401);
    assert!(again.headers().get("set-cookie").is_none());
    let wrong = console.get("/sign-in/link?token=x").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let audit = console.told("/v1/audit?what=sign-in%20link").await;
    assert_eq!(audit["entries"][0]["by"], "command");
    assert_eq!(audit["entries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_link_that_is_too_old_signs_nobody_in() {
    let console = Console::start().await;
    let ledger = console.ledger().await;
    let now = Timestamp::now();
    let minute = SignedDuration::from_mins(1);
    let old = key("x=an-old-link");
    ledger
        .put_link(&old, now - 11 * minute, now - minute)
        .await
        .unwrap();
    let reply = console.get("/sign-in/link?token=an-old-link").send().await;
    assert_eq!(reply.unwrap().status(), 401);
}

#[tokio::test]
async fn what_is_changed_repeats_what_it_must() {
    let console = Console::start().await;
    let (ana, otto) = (console.sign_in("ana").await, console.sign_in("otto").await);
    let retry = || {
        let request = console.post("/v1/retry").header("cookie", &ana.cookie);
        request.json(&json!({"all": true, "dry_run": true}))
    };
    let status = async |request: reqwest::RequestBuilder| {
        let reply = request.send().await.unwrap();
        reply.status().as_u16()
    };
    assert_eq!(status(retry()).await, 403, "nothing is repeated");
    let wrong = retry().header("x-csrf-token", "x");
    assert_eq!(status(wrong).await, 403);
    let others = retry().header("x-csrf-token", &otto.csrf);
    assert_eq!(status(others).await, 403, "somebody else's");
    let right = || retry().header("x-csrf-token", &ana.csrf);
    assert_eq!(status(right()).await, 200);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(
            status(right().header(name, value)).await,
            403,
            "{name}: {value}"
        );
    }
    let own = format!("http://{}", console.daemon.admin);
    assert_eq!(status(right().header("origin", own)).await, 200);
    let out = console.post("/sign-out").header("cookie", &ana.cookie);
    assert_eq!(status(out).await, 403, "nobody is signed out by others");
    // A script that shows a token has nothing to repeat.
    let script = console.post("/v1/retry").bearer_auth(ADMIN);
    let script = script.json(&json!({"all": true, "dry_run": true}));
    assert_eq!(status(script).await, 200);
    let foreign = console
        .post("/sign-in")
        .header("sec-fetch-site", "cross-site");
    let foreign = foreign.form(&[("name", "ana"), ("password", "ana's password")]);
    assert_eq!(status(foreign).await, 403, "nobody is signed in by others");
}

#[test]
fn a_hash_is_printed_and_a_short_password_refused() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let hash = |password: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .args(["access", "hash"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(password.as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), said)
    };
    let (ok, said) = hash("a long enough password\n");
    assert!(ok && said.starts_with("$argon2id$v=19$m="), "{said}");
    assert_eq!(said.lines().count(), 1);
    assert!(!said.contains("password"));
    assert!(!hash("short\n").0);
}
