//! Texts, names and files that try to be more than content, in the record that reps see.

use handoffd_contract::text::{html, plain};
use serde_json::{Value, json};

use crate::world::{Exit, World};

/// Each stands behind a mark of its own, so that it is found whatever became of the rest.
const TEXTS: &[&str] = &[
    "<script>alert(document.cookie)</script>",
    "<img src=x onerror=alert(1)>",
    "</p></div></body><h1>Paid</h1>",
    "&lt;b&gt; &amp;amp; &#60;i&#62;",
    "' or Id ne null or ' $filter=Name eq 'x'",
    "\"}],\"properties\":{\"hs_pipeline_stage\":\"4\"},\"x\":[{\"",
    "{{ contact.phone }}{% raw %}${7*7}#{7*7}",
    "a\u{202e}gpj.exe\u{202c} b",
    "=HYPERLINK(\"http://x\";\"y\") javascript:alert(1)",
    "; DROP TABLE \"Case\"; --",
    "%0d%0aSet-Cookie: a=b",
    "\u{1}\u{7f}\u{9b} control",
];

const FILES: &[(&str, &str)] = &[
    (
        "a\r\nContent-Type: text/html\r\n\r\n<script>.jpg",
        "image/jpeg",
    ),
    ("q\"; filename=\"evil.html", "image/jpeg"),
    ("../../../etc/cron.d/x.jpg", "image/jpeg"),
    ("rtl\u{202e}gpj.exe", "image/jpeg"),
    ("ü😀 '<b>&.jpg", "image/jpeg"),
    ("mime.jpg", "image/jpeg\r\nX-Evil: 1"),
    ("kind.jpg", "<script>/*"),
];

/// The texts of a view that hold the mark; an activity's title repeats the beginning of its text.
fn holding(view: &Value, mark: &str, found: &mut Vec<String>) {
    match view {
        Value::String(text) if text.contains(mark) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| holding(item, mark, found)),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "title")
            .for_each(|(_, member)| holding(member, mark, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_writes_is_content_and_nothing_else() {
    let world = World::new(Exit::CloudApi).await;
    let targets = ["salesforce", "hubspot", "creatio"];
    let mut handoff = world.handoff(&targets);
    let time = handoff["transcript"][0]["time"].clone();
    let transcript = handoff["transcript"].as_array_mut().unwrap();
    for (n, text) in TEXTS.iter().enumerate() {
        transcript.push(json!({"id": format!("m-{n}"), "time": time, "author": {"kind": "customer", "name": text},
            "text": format!("mark{n}x {text} end")}));
    }
    for (n, (name, mime)) in FILES.iter().enumerate() {
        transcript.push(json!({"id": format!("f-{n}"), "time": time, "author": {"kind": "customer"}, "text": format!("file{n}x"),
            "attachments": [{"id": format!("a-{n}"), "kind": "image", "mime": mime, "name": name, "caption": "<script>c</script>",
                "source": {"from": "inline", "data": "aGVsbG8="}}]}));
    }
    handoff["contact"]["name"] = json!(format!("<script>n</script>' or '{}", "N".repeat(60_000)));
    handoff["handoff"]["summary"] = json!("<script>s</script>");
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    for target in targets {
        world
            .until_shown(target, &format!("file{}x", FILES.len() - 1))
            .await;
    }
    world.until_idle().await;
    for target in targets {
        let view = world.crm(target).view();
        for (n, text) in TEXTS.iter().enumerate() {
            let mark = format!("mark{n}x");
            let mut found = Vec::new();
            holding(&view, &mark, &mut found);
            assert_eq!(
                found.len(),
                1,
                "{target}: {mark} stands in {} places",
                found.len()
            );
            let shown = found.remove(0);
            assert_eq!(shown.matches(&mark).count(), 1, "{target}: {mark}");
            let rich = shown.contains("<br") || shown.contains("<p");
            let seen = if rich { plain(&shown) } else { shown.clone() };
            let printable = |text: &str| -> String {
                text.chars()
                    .filter(|c| !c.is_control() && !c.is_whitespace())
                    .collect()
            };
            assert!(
                printable(&seen).contains(&printable(&format!("{mark} {text} end"))),
                "{target}: {mark} reads {seen}"
            );
            if rich {
                assert!(
                    shown.contains(&html(text)),
                    "{target}: {mark} is not escaped: {shown}"
                );
                for tag in ["<script", "<img", "<h1", "</body"] {
                    assert!(!shown.contains(tag), "{target}: {tag} in {shown}");
                }
            }
        }
        for n in 0..FILES.len() {
            assert_eq!(
                world.count(target, &format!("file{n}x")),
                1,
                "{target}: file{n}x"
            );
        }
    }
    let log = world.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// A control character that PostgreSQL cannot keep is taken out, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn a_nul_is_taken_out_and_the_rest_is_shown() {
    let world = World::new(Exit::CloudApi).await;
    let mut wrong = world.handoff(&["creatio"]);
    wrong["transcript"][0]["text"] = json!("before\0behind");
    world.publish("handoff.requested", "wrong", wrong).await;
    world.until_shown("creatio", "beforebehind").await;
    let parked = world.get("/v1/parked").await;
    assert_eq!(parked["dead_letters"], json!([]), "{parked:#}");
    let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
    assert_eq!(
        story["events"][0]["warnings"],
        json!([
            "data.transcript[0].text is a text of 13 characters; the NUL characters were taken out"
        ])
    );
}
