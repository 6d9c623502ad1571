//! By the keyboard alone, and without a look away: keys, dialogs, the theme, and parts that change.

use handoffd_test_support::eventually;
use serde_json::json;

use crate::browser::Browser;
use crate::world::{SOON, World};

/// Keys as WebDriver names them. <https://www.w3.org/TR/webdriver2/#keyboard-actions>
const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";

/// Goes on with the tab key until the focus is on what a selector names.
async fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..60 {
        browser.keys(TAB).await;
        let script = format!("return document.activeElement.matches('{selector}')");
        if browser.run(&script).await == json!(true) {
            return;
        }
    }
    panic!("{selector} cannot be reached with the tab key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_reached_and_done_by_the_keyboard() {
    let world = World::with_trouble().await;
    world.sims.clear_faults(None);
    let browser = Browser::open(&world.url("")).await;
    browser.go("/").await;
    browser.keys("g").await;
    browser.keys("p").await;
    browser
        .until("return location.pathname === '/parked'")
        .await;
    browser.keys("j").await;
    browser
        .until("return document.activeElement.closest('.parked-group') !== null")
        .await;
    browser.keys("r").await;
    browser
        .until("return location.pathname === '/parked/ask'")
        .await;
    assert!(browser.text("h1").await.contains("Retry 4 conversations"));
    tab_to(&browser, "button.primary").await;
    browser.keys(ENTER).await;
    browser
        .until("return location.pathname === '/parked' && location.search.includes('done=retry')")
        .await;
    assert_eq!(
        browser.text("[role=status] .notice").await,
        "4 conversations are tried again."
    );
    browser.is_quiet(&[]).await;
    eventually(SOON, || async {
        let lanes = world.json("/v1/lanes?state=parked").await;
        lanes["lanes"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_reached_with_the_tab_key_from_the_overview() {
    let world = World::with_trouble().await;
    let browser = Browser::open(&world.url("")).await;
    browser.go("/").await;
    browser.keys(TAB).await;
    assert_eq!(
        browser.run("return document.activeElement.className").await,
        "skip"
    );
    tab_to(&browser, "a[href=\"/parked/invalid/hubspot\"]").await;
    browser.keys(ENTER).await;
    browser
        .until("return location.pathname === '/parked/invalid/hubspot'")
        .await;
    tab_to(&browser, "button[value=retry]").await;
    browser.keys(ENTER).await;
    browser
        .until("return location.pathname === '/parked/ask'")
        .await;
    browser.is_quiet(&[]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_and_close_and_can_be_switched_off() {
    let world = World::new().await;
    let browser = Browser::open(&world.url("")).await;
    browser.go("/").await;
    browser.keys("?").await;
    browser
        .until("return document.querySelector('dialog[open] kbd') !== null")
        .await;
    browser.axe().await;
    browser.keys(ESCAPE).await;
    browser
        .until("return document.querySelector('dialog[open]') === null")
        .await;
    browser.keys("[").await;
    browser
        .until("return document.documentElement.dataset.nav === 'rail'")
        .await;
    browser.go("/audit").await;
    browser
        .until("return document.documentElement.dataset.nav === 'rail'")
        .await;
    browser.axe().await;
    browser.keys("/").await;
    browser
        .until("return document.activeElement.id === 'search'")
        .await;
    browser.keys("?[").await;
    assert_eq!(
        browser
            .run("return document.getElementById('search').value")
            .await,
        "?[",
        "no key does anything while somebody types"
    );
    browser.go("/keys").await;
    browser.press("#keys-on").await;
    browser.go("/").await;
    browser.keys("[").await;
    browser.keys("g").await;
    browser.keys("p").await;
    assert_eq!(browser.path().await, "/");
    assert_eq!(
        browser
            .run("return document.documentElement.dataset.nav")
            .await,
        "rail"
    );
    browser.is_quiet(&[]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_theme_is_switched_in_place_and_stays() {
    let world = World::new().await;
    let browser = Browser::open(&world.url("")).await;
    browser.prefers("light").await;
    browser.go("/").await;
    browser.press("form.theme button").await;
    let dark = "return getComputedStyle(document.documentElement).colorScheme === 'dark'";
    browser.until(dark).await;
    browser.go("/parked").await;
    browser.until(dark).await;
    browser.size(390, 844).await;
    browser.go("/").await;
    browser.press("a.burger").await;
    browser
        .until("return document.querySelector('dialog[open] a[href=\"/parked\"]') !== null")
        .await;
    browser.axe().await;
    browser.press("dialog[open] a[href=\"/parked\"]").await;
    browser
        .until("return location.pathname === '/parked'")
        .await;
    browser.is_quiet(&[]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_shown_without_a_reload() {
    let world = World::new().await;
    let browser = Browser::open(&world.url("")).await;
    browser.go("/").await;
    browser
        .until("return document.getElementById('live').hidden === false")
        .await;
    assert!(browser.text("h1").await.contains("Nothing needs you"));
    browser.run("window.same = true").await;
    world.dead_letter("letter-live", "Ana López").await;
    browser
        .until("return document.querySelector('h1').textContent.includes('1 thing needs a person')")
        .await;
    browser
        .until("return document.querySelector('.problem') !== null")
        .await;
    assert_eq!(
        browser.run("return window.same").await,
        json!(true),
        "the page was not loaded again"
    );
    browser.is_quiet(&[]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_judged_as_it_is_typed() {
    let world = World::with_trouble().await;
    let browser = Browser::open(&world.url("")).await;
    browser.go("/dead-letters/1").await;
    let change = "const area = document.getElementById('body');
        area.value = area.value.replace(/\"phone\": \"[^\"]*\"/, '\"phone\": \"+4915199887711\"');
        area.dispatchEvent(new Event('input', { bubbles: true }));";
    browser.run(change).await;
    browser
        .until("return document.querySelector('#verdict .ok') !== null")
        .await;
    assert!(browser.text("#verdict").await.contains("would be admitted"));
    browser.axe().await;
    browser.press("button[value=edit]").await;
    browser
        .until("return location.pathname === '/parked'")
        .await;
    browser.is_quiet(&[]).await;
    browser.close().await;
}
