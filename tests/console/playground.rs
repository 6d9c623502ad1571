//! The playground as a newcomer plays it: `handoffd demo`, the link that it prints, and a browser.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::browser::Browser;

/// A running demo, and the link that it printed.
struct Demo {
    child: Child,
    base: String,
    path: String,
}

impl Demo {
    /// Starts it, and reads what it prints until the link stands there.
    fn start() -> Demo {
        let mut child = Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .arg("demo")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut lines = out.lines().map_while(Result::ok);
        let line = lines.find(|line| line.trim_start().starts_with("playground "));
        let line = line.expect("the demo prints a link to its playground");
        let link = line.split_whitespace().nth(1).unwrap();
        let at = link.find("/sign-in").unwrap();
        let (base, path) = link.split_at(at);
        // What it prints later must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Demo {
            child,
            base: base.to_owned(),
            path: path.to_owned(),
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Types into a field and presses a button of the same form.
async fn say(browser: &Browser, field: &str, text: &str, act: &str) {
    browser.press(field).await;
    browser.keys(text).await;
    browser
        .press(&format!("form:has({field}) button[value={act}]"))
        .await;
}

/// Waits until words stand in the part with a key.
async fn shows(browser: &Browser, key: &str, words: &str) {
    let words = json!(words);
    let script = format!(
        "return document.querySelector('[data-key=\"{key}\"]').textContent.includes({words})"
    );
    browser.until(&script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_plays_the_whole_loop() {
    let demo = Demo::start();
    let browser = Browser::open(&demo.base).await;
    browser.go(&demo.path).await;
    browser
        .until("return location.pathname === '/playground' && document.readyState === 'complete'")
        .await;

    let hostile = "It <b>broke</b> {{ 7*7 }}";
    say(&browser, "#write", hostile, "write").await;
    shows(&browser, "phone", hostile).await;
    shows(&browser, "phone", "What happened?").await;
    browser.press(".head button[value=hand_over]").await;
    for crm in ["salesforce", "hubspot", "creatio"] {
        shows(&browser, &format!("lines-{crm}"), hostile).await;
    }

    for crm in ["salesforce", "hubspot", "creatio"] {
        let field = format!("#rep-{crm}");
        say(&browser, &field, &format!("internal of {crm}"), "note").await;
        let lines = format!("lines-{crm}");
        shows(&browser, &lines, &format!("internal of {crm}")).await;
        say(&browser, &field, &format!("answer of {crm}"), "reply").await;
        shows(&browser, "phone", &format!("answer of {crm}")).await;
    }
    let phone = browser.text("[data-key=phone]").await;
    assert!(!phone.contains("internal"), "{phone}");

    // What is broken is told, costs nothing but time, and is mended by a second press.
    browser.press("button[value=break]").await;
    shows(&browser, "head-hubspot", "Down").await;
    say(&browser, "#write", "Are you there?", "write").await;
    shows(&browser, "lines-creatio", "Are you there?").await;
    let hubspot = browser.text("[data-key=lines-hubspot]").await;
    assert!(!hubspot.contains("Are you there?"), "{hubspot}");
    browser.press("button[value=mend]").await;
    shows(&browser, "lines-hubspot", "Are you there?").await;

    for width in [1440, 320] {
        browser.size(width, 900).await;
        browser.does_not_scroll_sideways().await;
        browser.axe().await;
        browser.picture(&format!("playground-{width}")).await;
    }
    browser.size(1440, 900).await;
    let session = browser
        .run("return document.querySelector('p.after a').pathname")
        .await;
    browser.go(session.as_str().unwrap()).await;
    assert!(browser.text("main").await.contains("Handed over"));

    browser.go("/playground").await;
    browser.press(".head button[value=reset]").await;
    shows(&browser, "phone", "Nothing was said yet.").await;
    // Nothing to hand over is said in its place, and the page stays.
    browser.press(".head button[value=hand_over]").await;
    browser
        .until("return document.getElementById('play-error').textContent.includes('write as the customer first')")
        .await;
    browser.is_quiet(&["status of 409"]).await;
    browser.close().await;
}
