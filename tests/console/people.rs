//! Who may do what on the pages: signing in and out, roles, and what a form must repeat.

use serde_json::json;

use crate::browser::Browser;
use crate::world::{PASSWORD, World};

async fn sign_in(browser: &Browser, name: &str, password: &str) {
    browser
        .run(&format!(
            "document.getElementById('name').value = '{name}';
             document.getElementById('password').value = '{password}';"
        ))
        .await;
    browser.press("form.sign-in button.primary").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_signs_in_retries_and_signs_out() {
    let world = World::with_people().await;
    let browser = Browser::open(&world.url("")).await;
    browser.go("/parked?x=1").await;
    browser
        .until("return location.pathname === '/sign-in'")
        .await;
    assert_eq!(
        browser.run("return document.activeElement.id").await,
        json!("name")
    );
    browser.axe().await;
    browser.press("[data-show]").await;
    assert_eq!(
        browser
            .run("return document.getElementById('password').type")
            .await,
        json!("text")
    );
    sign_in(&browser, "mara", "wrong").await;
    browser
        .until("return document.querySelector('[role=alert]') !== null")
        .await;
    assert!(
        browser
            .text("[role=alert]")
            .await
            .contains("That name and password do not match.")
    );
    browser.axe().await;
    browser.picture("sign-in-wrong").await;
    sign_in(&browser, "mara", PASSWORD).await;
    browser
        .until("return location.pathname === '/parked'")
        .await;
    assert_eq!(browser.run("return location.search").await, json!("?x=1"));
    assert!(browser.text(".me").await.contains("Operator"));

    let id = "letter-by-mara";
    world.dead_letter(id, "Ana López").await;
    browser.go("/dead-letters/1").await;
    browser.press("button[value=drop]").await;
    browser
        .until("return document.querySelector('button[value=drop-it]') !== null")
        .await;
    assert_eq!(
        browser
            .run("return document.activeElement.textContent")
            .await,
        json!("Cancel"),
        "cancel has the focus"
    );
    browser.press("button[value=drop-it]").await;
    browser
        .until("return location.search.includes('done=letter-dropped')")
        .await;
    browser.go("/audit").await;
    assert!(browser.text("main").await.contains("mara"));
    browser.go("/access").await;
    assert!(
        browser
            .text("main")
            .await
            .contains("Only admins make and revoke tokens.")
    );
    browser.press(".me summary").await;
    browser.press(".me button").await;
    browser
        .until("return location.pathname === '/sign-in'")
        .await;
    browser.go("/").await;
    browser
        .until("return location.pathname === '/sign-in'")
        .await;
    // A refused sign-in is an answer with that status.
    browser.is_quiet(&["401 (Unauthorized)"]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reads_and_is_told_why_no_more() {
    let world = World::with_people().await;
    world.dead_letter("letter-1", "Ana López").await;
    let browser = Browser::open(&world.url("")).await;
    browser.go("/dead-letters/1").await;
    browser
        .until("return location.pathname === '/sign-in'")
        .await;
    sign_in(&browser, "vic", PASSWORD).await;
    browser
        .until("return location.pathname === '/dead-letters/1'")
        .await;
    assert!(
        browser
            .text("main")
            .await
            .contains("Operators and admins edit")
    );
    assert_eq!(
        browser
            .run("return document.querySelectorAll('main form').length")
            .await,
        json!(0)
    );
    // Somebody who sends the form all the same is refused by the door, on a page that names the role.
    let script = "const form = document.createElement('form');
        form.method = 'post'; form.action = '/parked/ask';
        for (const [name, value] of [['act', 'retry'], ['all', 'yes'], ['csrf', document.querySelector('[name=csrf]').value]])
          form.append(Object.assign(document.createElement('input'), { name, value }));
        document.body.append(form); form.submit();";
    browser.run(script).await;
    browser
        .until("return document.querySelector('[role=alert]') !== null")
        .await;
    let words = browser.text("[role=alert]").await;
    assert!(
        words.contains("Your role does not allow this") && words.contains("operator"),
        "{words}"
    );
    browser.axe().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_does_not_repeat_what_it_must_changes_nothing() {
    let world = World::with_people().await;
    world.dead_letter("letter-1", "Ana López").await;
    let browser = Browser::open(&world.url("")).await;
    browser.go("/dead-letters/1").await;
    browser
        .until("return location.pathname === '/sign-in'")
        .await;
    sign_in(&browser, "mara", PASSWORD).await;
    browser
        .until("return location.pathname === '/dead-letters/1'")
        .await;
    for csrf in ["", "something else"] {
        browser.go("/dead-letters/1").await;
        browser
            .run(&format!(
                "for (const one of document.querySelectorAll('[name=csrf]')) one.value = '{csrf}';"
            ))
            .await;
        browser.press("button[value=drop]").await;
        browser
            .until("return document.querySelector('[role=alert]') !== null")
            .await;
        assert!(
            browser
                .text("[role=alert]")
                .await
                .contains("load the page again")
        );
    }
    browser.go("/dead-letters/1").await;
    assert!(
        browser.text("h1").await.contains("Dead letter 1"),
        "it is still there"
    );
    browser.close().await;
}
