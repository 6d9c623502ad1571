//! Streams of what happens: they tell it, hide texts, are bounded, and end with the daemon.

use futures::StreamExt as _;
use handoffd_test_support::eventually;

use crate::world::{Exit, SOON, World};

/// So many streams there may be at a time.
const MOST: usize = 24;

async fn open(world: &World, path: &str) -> reqwest::Response {
    let url = format!("http://{}{path}", world.plan.admin);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url).send().await.unwrap()
}

/// What a stream tells until it has told these words.
async fn until(response: reqwest::Response, words: &str) -> String {
    let mut told = String::new();
    let mut stream = response.bytes_stream();
    let reading = async {
        while let Some(Ok(some)) = stream.next().await {
            told.push_str(&String::from_utf8_lossy(&some));
            if told.contains(words) {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(SOON, reading).await;
    assert!(told.contains(words), "{words:?} was not told: {told}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_without_texts_until_the_daemon_stops() {
    let mut world = World::new(Exit::CloudApi).await;
    let tap = open(&world, "/v1/tap").await;
    assert_eq!(tap.headers()["content-type"], "text/event-stream");
    let calls = open(&world, "/v1/tap?target=creatio").await;
    let live = open(&world, "/v1/live?parts=head,rows").await;
    world.hand_over("creatio").await;
    let told = until(tap, "handoff.completed").await;
    assert!(
        told.contains("handoff.requested") && told.contains("\"characters\":36"),
        "{told}"
    );
    assert!(
        !told.contains("parcel") && !told.contains("López"),
        "{told}"
    );
    let told = until(calls, "\"what\":\"call\"").await;
    assert!(!told.contains("\"target\":\"whatsapp\""), "{told}");
    let told = until(live, "\"part\":\"rows\"").await;
    assert!(
        told.contains("\"version\":") && told.contains("id:"),
        "{told}"
    );

    // No more than so many; one that ends makes room.
    let refused = open(&world, "/v1/live?parts=").await;
    assert_eq!(refused.status(), 400);
    let mut streams = Vec::new();
    for _ in 0..MOST {
        streams.push(open(&world, "/v1/live?parts=head").await);
    }
    assert_eq!(open(&world, "/v1/tap").await.status(), 503);
    streams.pop();
    eventually(SOON, || async {
        open(&world, "/v1/tap").await.status() == 200
    })
    .await;
    assert_eq!(world.stop(), Some(0), "streams hold no daemon up");
}
