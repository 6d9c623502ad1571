//! The mapping editor by forms, as a browser without script uses it.

use handoffd_test_support::eventually;

use crate::browser::Browser;
use crate::world::{SOON, World};

/// Where a form leads.
async fn led(reply: reqwest::Response) -> String {
    let status = reply.status();
    let to = reply.headers().get("location").cloned();
    assert_eq!(status, 303, "{}", reply.text().await.unwrap());
    to.unwrap().to_str().unwrap().to_owned()
}

async fn with_handoff() -> World {
    let world = World::new().await;
    world.hand_over("s-1", &["hubspot"], "Ana López").await;
    eventually(SOON, || async {
        let list = world.json("/v1/handoffs?target=hubspot").await;
        list["handoffs"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    })
    .await;
    let read = world
        .form("/mappings/hubspot", &[("act", "read-schema")])
        .await;
    assert!(led(read).await.contains("done=read"));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_opened_changed_seen_and_published() {
    let world = with_handoff().await;
    let list = world.page("/mappings").await;
    assert!(list.contains("href=\"/mappings/hubspot\""), "{list}");
    let page = world.page("/mappings/hubspot").await;
    assert!(
        page.contains("hs_ticket_priority") && page.contains(">Fine<"),
        "{page}"
    );
    assert!(
        page.contains("POST /crm/objects"),
        "what HubSpot gets is shown: {page}"
    );
    assert!(!page.contains("López"), "{page}");

    let added = [
        ("act", "add"),
        ("field", "ticket.hs_ticket_category"),
        ("revision", "0"),
    ];
    let at = led(world.form("/mappings/hubspot", &added).await).await;
    assert!(at.contains("field=ticket.hs_ticket_category"), "{at}");
    let saved = [
        ("act", "save"),
        ("field", "ticket.hs_ticket_category"),
        ("revision", "1"),
        ("plain", "yes"),
        ("value", "{{ handoff.sentiment }}"),
        ("from", "angry"),
        ("to", "REFUND"),
        ("misfit", ""),
    ];
    let at = led(world.form("/mappings/hubspot", &saved).await).await;
    let page = world.page(&at).await;
    assert!(page.contains("Not an option"), "{page}");
    assert!(
        page.contains("REFUND (not an option)") && page.contains("Billing issue"),
        "{page}"
    );
    let stale = world
        .form("/mappings/hubspot?field=ticket.hs_ticket_category", &saved)
        .await;
    assert_eq!(stale.status(), 409);
    assert!(stale.text().await.unwrap().contains("at revision 2"));
    let mut mended = saved;
    mended[2] = ("revision", "2");
    mended[6] = ("to", "Billing issue");
    let at = led(world.form("/mappings/hubspot", &mended).await).await;
    let page = world.page(&at).await;
    assert!(
        !page.contains("Not an option") && page.contains("BILLING_ISSUE"),
        "{page}"
    );
    let last = world.page("/mappings/hubspot?pane=last").await;
    assert!(last.contains("changes for 1 of 1"), "{last}");

    let ask = world.form("/mappings/hubspot", &[("act", "publish")]).await;
    let ask = ask.text().await.unwrap();
    assert!(
        ask.contains("Publish v2") && ask.contains("ticket.hs_ticket_category"),
        "{ask}"
    );
    let without = world
        .form(
            "/mappings/hubspot",
            &[("act", "publish-it"), ("expect", "1")],
        )
        .await;
    assert!(without.text().await.unwrap().contains("`why` must say"));
    let publish = [
        ("act", "publish-it"),
        ("expect", "1"),
        ("why", "categories"),
    ];
    let at = led(world.form("/mappings/hubspot", &publish).await).await;
    assert!(world.page(&at).await.contains("It is live."));
    let versions = world.page("/mappings/hubspot/versions").await;
    assert!(
        versions.contains("categories") && versions.contains("ticket.hs_ticket_category"),
        "{versions}"
    );
    let restored = [("act", "restore"), ("version", "1"), ("revision", "0")];
    let at = led(world.form("/mappings/hubspot", &restored).await).await;
    let page = world.page(&at).await;
    assert!(
        page.contains("The old version is your draft now."),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_shows_both_and_loses_nothing() {
    let world = with_handoff().await;
    let saved = [
        ("act", "add"),
        ("field", "ticket.order_number"),
        ("revision", "0"),
    ];
    led(world.form("/mappings/hubspot", &saved).await).await;
    let shipped = include_str!("../../mappings/hubspot.toml");
    let theirs = shipped.replace("max = 255\nrequired = true", "max = 200\nrequired = true");
    assert_ne!(theirs, shipped);
    let said = world.command(&["mapping", "apply", "hubspot"], &theirs);
    assert!(said.contains("version 2 is live"), "{said}");
    let conflict = world.form("/mappings/hubspot", &[("act", "publish")]).await;
    assert_eq!(conflict.status(), 409);
    let page = conflict.text().await.unwrap();
    assert!(page.contains("published v2 while you edited v1"), "{page}");
    assert!(
        page.contains("ticket.order_number") && page.contains("ticket.subject"),
        "{page}"
    );
    let rebase = [("act", "rebase"), ("revision", "1")];
    led(world.form("/mappings/hubspot", &rebase).await).await;
    let ask = world.form("/mappings/hubspot", &[("act", "publish")]).await;
    let ask = ask.text().await.unwrap();
    assert!(
        ask.contains("Publish v3") && !ask.contains("ticket.subject"),
        "{ask}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_it_writes_then_what_hubspot_says() {
    let world = with_handoff().await;
    let page = world.page("/mappings/hubspot?pane=dry").await;
    assert!(page.contains("is archived as soon as"), "{page}");
    let done = world
        .form("/mappings/hubspot?pane=dry", &[("act", "dry-run")])
        .await;
    let done = done.text().await.unwrap();
    assert!(
        done.contains("HubSpot took every field") && done.contains("Nothing of the test is left."),
        "{done}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn states_and_requests_follow_as_one_types_and_a_source_is_put_in_by_a_press() {
    let world = with_handoff().await;
    let browser = Browser::open(&world.url("")).await;
    browser.go("/mappings/hubspot?field=ticket.subject").await;
    browser
        .until("return document.querySelector('form[data-editor]') !== null")
        .await;
    browser
        .run("const value = document.querySelector('#value'); value.value = ''; value.focus(); return true;")
        .await;
    browser.press("[data-source=\"fields.order_id\"]").await;
    browser
        .until("return document.querySelector('#value').value.includes('{{ fields.order_id }}')")
        .await;
    // The draft was saved by itself, and what HubSpot would get is the new one.
    browser
        .until("return document.querySelector('[data-part=result]').textContent.includes('\"subject\": \"••••\"')")
        .await;
    let saved = world.json("/v1/mappings/hubspot/draft").await;
    assert_eq!(saved["draft"]["revision"], 1, "{saved}");
    browser.keys("{{").await;
    browser
        .until("return document.querySelector('[data-part=problems] .notice.bad') !== null")
        .await;
    assert_eq!(
        browser.run("return document.activeElement.id").await,
        "value",
        "nobody is pulled out of what they write"
    );
    browser.is_quiet(&[]).await;
    browser.close().await;
}
