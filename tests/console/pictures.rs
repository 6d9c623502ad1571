//! Every page in a real browser: its log, the policy, its width, what axe finds, and its picture.
//!
//! With `HANDOFFD_PICTURES=folder` the pages' pictures are written there.

use handoffd_test_support::eventually;

use crate::browser::Browser;
use crate::plain::PAGES;
use crate::world::{SOON, World};

/// A page's name for its picture.
fn name(path: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    match path.trim_matches('/') {
        "" => "overview".to_owned(),
        path => path.chars().map(plain).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_quiet_and_narrow_enough() {
    let world = World::with_trouble().await;
    // The figures are counted now and then.
    eventually(SOON, || async {
        let counted = world.json("/v1/overview").await;
        counted["events_last_hour"]
            .as_i64()
            .is_some_and(|count| count > 0)
    })
    .await;
    let browser = Browser::open(&world.url("")).await;
    for (width, height) in [(1440, 900), (320, 640), (390, 844)] {
        browser.size(width, height).await;
        for theme in ["light", "dark"] {
            browser.prefers(theme).await;
            for path in PAGES {
                browser.go(path).await;
                browser
                    .until("return document.readyState === 'complete'")
                    .await;
                browser.does_not_scroll_sideways().await;
                let size = if width == 1440 { "" } else { "-phone" };
                let shade = if theme == "light" { "" } else { "-dark" };
                browser
                    .picture(&format!("{}{shade}{size}", name(path)))
                    .await;
                if width != 390 {
                    browser.axe().await;
                }
                browser.is_quiet(&[]).await;
            }
        }
    }
    browser.close().await;
}
