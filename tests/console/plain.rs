//! The pages as a browser without script reads them.

use std::collections::BTreeSet;

use handoffd_test_support::eventually;

use crate::world::{HOSTILE, SOON, World};

/// Every page, with what stands behind it in a daemon that is not well.
pub const PAGES: [&str; 23] = [
    "/conversations",
    "/conversations?state=parked",
    "/conversations?q=s-4701",
    "/conversations/s-4701",
    "/conversations/s-4801?order=oldest",
    "/tap",
    "/",
    "/parked",
    "/parked/invalid/hubspot",
    "/dead-letters/1",
    "/dead-letters/2",
    "/reasons/invalid",
    "/audit",
    "/access",
    "/keys",
    "/nav",
    "/sign-in",
    "/targets/hubspot",
    "/mappings",
    "/mappings/hubspot",
    "/mappings/hubspot?field=ticket.hs_ticket_priority&pane=last",
    "/mappings/hubspot/versions",
    "/dialects",
];

/// What a page's attributes with this name hold.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let before = format!(" {name}=\"");
    page.match_indices(&before)
        .filter_map(|(at, _)| page[at + before.len()..].split('"').next())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_its_headers_and_holds_nothing_inline_and_nothing_foreign() {
    let world = World::with_trouble().await;
    for path in PAGES
        .iter()
        .chain(&["/nowhere", "/dead-letters/99999", "/reasons/none"])
    {
        let reply = world.get(path).await;
        let header = |name: &str| {
            let value = reply.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("content-type"), "text/html; charset=utf-8", "{path}");
        let page = reply.text().await.unwrap();
        assert!(page.len() <= 80 << 10, "{path} weighs {} bytes", page.len());
        assert!(
            !page.contains(" style=") && !page.contains("<style"),
            "{path}"
        );
        assert!(
            !page.contains(" onclick=") && !page.contains(" onerror="),
            "{path}: {page}"
        );
        assert_eq!(page.matches("<script").count(), 1, "{path}");
        assert_eq!(page.matches("<h1").count(), 1, "{path}");
        // A record in a CRM is elsewhere; nothing is told there of where one comes from.
        let leads_out =
            |address: &str| page.contains(&format!("href=\"{address}\" rel=\"noreferrer\""));
        for address in attributes(&page, "src")
            .into_iter()
            .chain(attributes(&page, "href"))
        {
            assert!(
                address.starts_with('/')
                    || address.starts_with('#')
                    || address.starts_with('?')
                    || leads_out(address),
                "{path}: {address}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_and_every_asset_leads_somewhere() {
    let world = World::with_trouble().await;
    let mut seen = BTreeSet::new();
    let mut open: Vec<String> = vec!["/".into()];
    while let Some(path) = open.pop() {
        let without = path.split('#').next().unwrap_or_default().to_owned();
        if without.is_empty() || !seen.insert(without.clone()) {
            continue;
        }
        let reply = world.get(&without).await;
        let status = reply.status();
        // The address may name a conversation of which nothing came in: a dead letter's.
        if without == "/conversations/s-dead" && status == 404 {
            continue;
        }
        assert!(status == 200, "{without}: {status}");
        let is_page = reply.headers()["content-type"] == "text/html; charset=utf-8";
        let cache = reply.headers().get("cache-control");
        let cache = cache.map_or(String::new(), |cache| cache.to_str().unwrap().to_owned());
        let text = reply.text().await.unwrap();
        if without.starts_with("/assets/") {
            assert!(
                cache.contains("immutable") && cache.contains("31536000"),
                "{without}: {cache}"
            );
        }
        if is_page {
            let links = attributes(&text, "href")
                .into_iter()
                .chain(attributes(&text, "src"));
            open.extend(
                links
                    .filter(|link| link.starts_with('/'))
                    .map(|link| link.replace("&amp;", "&")),
            );
        }
    }
    assert!(seen.len() > 15, "only {seen:?}");
    assert!(seen.contains("/parked/invalid/hubspot"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_is_neither_run_nor_shown() {
    let world = World::with_trouble().await;
    world
        .fault(serde_json::json!({"target": "salesforce", "match": {}, "fault": {"kind": "status", "status": 403, "body": HOSTILE}}));
    world
        .hand_over(&format!("s-{HOSTILE}"), &["salesforce"], HOSTILE)
        .await;
    eventually(SOON, || async {
        let status = world.json("/v1/status").await;
        status.to_string().contains("salesforce") && world.page("/").await.contains("salesforce")
    })
    .await;
    for path in PAGES {
        let page = world.page(path).await;
        for bad in ["<script>alert", "<img src=x", ">49<"] {
            assert!(!page.contains(bad), "{path} holds {bad}: {page}");
        }
        for secret in ["Ana", "López", "15199887766", "paquete", "refund."] {
            let at = page.find(secret).map(|at| {
                page[at.saturating_sub(200)..]
                    .chars()
                    .take(300)
                    .collect::<String>()
            });
            assert_eq!(at, None, "{path} shows {secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_says_what_needs_a_person_and_what_goes_on_by_itself() {
    let world = World::with_trouble().await;
    let page = world.page("/").await;
    assert!(page.contains("2 things need a person"), "{page}");
    for words in [
        "hubspot refused a value",
        "4 conversations are parked",
        "They wait; nothing is lost.",
        "REFUND was not one of the allowed options",
        "2 events could not be understood",
        "goes on by itself",
        "eu-prod",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let (needs, itself) = (page.find("2 events could"), page.find("goes on by itself"));
    assert!(needs < itself, "what mends itself comes last");
    let part = world.page("/?part=targets").await;
    assert!(
        !part.contains("<html") && part.contains("hubspot"),
        "{part}"
    );
    let well = World::new().await;
    let page = well.page("/").await;
    assert!(page.contains("Nothing needs you"), "{page}");
    assert!(well.page("/parked").await.contains("Nothing is parked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_shows_what_it_would_do_and_then_does_it() {
    let world = World::with_trouble().await;
    let fields = [
        ("act", "retry"),
        ("reason", "invalid"),
        ("target", "hubspot"),
        ("next", "/parked"),
    ];
    let asked = world.form("/parked/ask", &fields).await;
    assert_eq!(asked.status(), 200);
    let page = asked.text().await.unwrap();
    assert!(
        page.contains("Retry 4 conversations") && page.contains("s-4701"),
        "{page}"
    );
    let parked = world.json("/v1/lanes?state=parked").await;
    assert_eq!(
        parked["lanes"].as_array().unwrap().len(),
        4,
        "asking changes nothing"
    );
    world.sims.clear_faults(None);
    let done = world.form("/parked/do", &fields).await;
    assert_eq!(done.status(), 303);
    assert_eq!(done.headers()["location"], "/parked?done=retry&count=4");
    let page = world.page("/parked?done=retry&count=4").await;
    assert!(page.contains("4 conversations are tried again."), "{page}");
    eventually(SOON, || async {
        let lanes = world.json("/v1/lanes?state=parked").await;
        lanes["lanes"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_skipped_only_when_their_number_is_typed() {
    let world = World::with_trouble().await;
    let fields = vec![
        ("act", "skip"),
        ("reason", "invalid"),
        ("target", "hubspot"),
    ];
    let refused = world.form("/parked/do", &fields).await;
    assert_eq!(refused.status(), 200);
    assert!(refused.text().await.unwrap().contains("Type the number 4"));
    let one = [
        ("act", "skip"),
        ("target", "hubspot"),
        ("session", "s-4702"),
    ];
    assert_eq!(world.form("/parked/do", &one).await.status(), 303);
    let typed = [&fields[..], &[("number", "3")]].concat();
    assert_eq!(world.form("/parked/do", &typed).await.status(), 303);
    let unsure = [
        ("act", "skip"),
        ("reason", "unknown-outcome"),
        ("target", "whatsapp"),
    ];
    let page = world
        .form("/parked/ask", &unsure)
        .await
        .text()
        .await
        .unwrap();
    assert!(
        page.contains("did arrive") && page.contains("Nothing of this waits any more."),
        "{page}"
    );
    let again = [
        ("act", "retry"),
        ("reason", "unknown-outcome"),
        ("target", "whatsapp"),
    ];
    let page = world
        .form("/parked/ask", &again)
        .await
        .text()
        .await
        .unwrap();
    assert!(page.contains("may get their reply twice"), "{page}");
    let wrong = world.form("/parked/do", &[("act", "explode")]).await;
    assert_eq!(wrong.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_changed_where_it_is_masked_and_taken_in() {
    let world = World::with_trouble().await;
    let page = world.page("/dead-letters/1").await;
    assert!(
        page.contains("letter-line wrong") && page.contains("•••"),
        "{page}"
    );
    let shown = world.json("/v1/dead-letters/1").await;
    let masked = shown["body"].as_str().unwrap().to_owned();
    let check = world
        .form("/dead-letters/1", &[("act", "check"), ("body", &masked)])
        .await;
    assert!(
        check
            .text()
            .await
            .unwrap()
            .contains("still cannot be understood")
    );
    let mended = masked.replace("\"•••• ••••••••\"", "\"+4915112345679\"");
    assert_ne!(mended, masked);
    let check = world
        .form("/dead-letters/1", &[("act", "check"), ("body", &mended)])
        .await;
    let page = check.text().await.unwrap();
    assert!(
        page.contains("would be admitted to session s-dead"),
        "{page}"
    );
    let done = world
        .form("/dead-letters/1", &[("act", "edit"), ("body", &mended)])
        .await;
    assert_eq!(done.status(), 303, "{}", done.text().await.unwrap());
    let lane = world.json("/v1/lanes?session=s-dead").await;
    assert_eq!(lane["lanes"][0]["target"], "hubspot", "{lane:#}");
    let asked = world.form("/dead-letters/2", &[("act", "drop")]).await;
    assert!(asked.text().await.unwrap().contains("Drop dead letter 2"));
    let done = world.form("/dead-letters/2", &[("act", "drop-it")]).await;
    assert_eq!(done.status(), 303);
    assert_eq!(world.get("/dead-letters/2").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_theme_is_remembered_and_leads_back_to_this_host_only() {
    let world = World::new().await;
    let reply = world
        .form("/theme", &[("theme", "dark"), ("next", "//evil.example")])
        .await;
    assert_eq!(reply.status(), 303);
    assert_eq!(reply.headers()["location"], "/");
    let cookie = reply.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("theme=dark;") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let page = reqwest::Client::new()
        .get(world.url("/"))
        .header("cookie", "theme=dark");
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("data-theme=\"dark\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_shown_once_and_revoked_and_all_of_it_is_in_the_audit_log() {
    let world = World::new().await;
    let fields = [("name", "a script <b>"), ("role", "viewer"), ("days", "30")];
    let made = world.form("/access/tokens", &fields).await;
    let page = made.text().await.unwrap();
    let secret = page.split("hndf_").nth(1).expect("it is shown");
    let secret: String = secret
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    assert!(page.contains("a script &lt;b&gt;"), "{page}");
    assert!(
        !world.page("/access").await.contains(&secret),
        "it is shown once"
    );
    let tokens = world.json("/v1/tokens").await;
    let id = tokens["tokens"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/access/tokens/{id}");
    let asked = world.form(&path, &[]).await.text().await.unwrap();
    assert!(asked.contains("Revoke the token a script"), "{asked}");
    let done = world.form(&path, &[("act", "revoke-it")]).await;
    assert_eq!(done.status(), 303);
    assert_eq!(
        world.json("/v1/tokens").await["tokens"],
        serde_json::json!([])
    );
    let log = world.page("/audit").await;
    assert!(
        log.contains("token") && log.contains("this machine"),
        "{log}"
    );
    let wrong = world
        .form("/access/tokens", &[("name", "")])
        .await
        .text()
        .await
        .unwrap();
    assert!(wrong.contains("aria-invalid"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_can_send_no_form() {
    let world = World::new().await;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    for path in [
        "/parked/ask",
        "/parked/do",
        "/dead-letters/1",
        "/access/tokens",
    ] {
        let sent =
            client
                .post(world.url(path))
                .form(&[("act", "retry"), ("all", "yes"), ("name", "x")]);
        let sent = sent
            .header("origin", "https://evil.example")
            .header("sec-fetch-site", "cross-site");
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
        assert!(
            answer.text().await.unwrap().contains("<h1"),
            "{path} says so on a page"
        );
    }
    assert_eq!(
        world.json("/v1/tokens").await["tokens"],
        serde_json::json!([])
    );
}
