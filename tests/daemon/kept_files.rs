//! Files whose addresses live for minutes reach CRMs that are down for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::{StreamExt, stream};
use handoffd_test_support::eventually;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::{CUSTOMER, EVENTS, Exit, SOON, World};

const CRMS: [&str; 3] = ["salesforce", "hubspot", "creatio"];
/// Three pieces, the last one short.
const SIZE: usize = 600_001;

/// A gateway's files, which are there for a short while and want a key.
#[derive(Clone)]
struct Files {
    port: u16,
    there: Arc<AtomicBool>,
    given: Arc<AtomicUsize>,
    /// So many answers fail first: the last of them breaks off.
    failing: Arc<AtomicUsize>,
}

impl Files {
    async fn serve() -> Files {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let files = Files {
            port: listener.local_addr().unwrap().port(),
            there: Arc::new(AtomicBool::new(true)),
            given: Arc::default(),
            failing: Arc::default(),
        };
        let served = files.clone();
        let file = move |headers: HeaderMap| async move {
            if !served.there.load(Ordering::SeqCst) {
                return (StatusCode::NOT_FOUND, Vec::new()).into_response();
            }
            if headers.get("x-api-key").is_none_or(|key| key != "KEY-1") {
                return (StatusCode::UNAUTHORIZED, Vec::new()).into_response();
            }
            let fails = |n: usize| n.checked_sub(1);
            match served
                .failing
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails)
            {
                Ok(1) => return half(),
                Ok(_) => return (StatusCode::SERVICE_UNAVAILABLE, Vec::new()).into_response(),
                Err(_) => {}
            }
            served.given.fetch_add(1, Ordering::SeqCst);
            (StatusCode::OK, photo()).into_response()
        };
        let routes = Router::new().route("/api/files/default/{name}", get(file));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        files
    }

    /// Whether it was given so often. From now on it is gone.
    fn end(&self) -> usize {
        self.there.store(false, Ordering::SeqCst);
        self.given.load(Ordering::SeqCst)
    }
}

/// An answer that breaks off.
fn half() -> Response {
    let mut half = photo();
    half.truncate(SIZE / 2);
    let end = async {
        // What there is leaves before it breaks off.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("it breaks off"))
    };
    let pieces = stream::once(async { Ok(half) }).chain(stream::once(end));
    Body::from_stream(pieces).into_response()
}

fn photo() -> Vec<u8> {
    (0..SIZE).map(|n| (n % 251) as u8).collect()
}

async fn world(media: Value) -> World {
    World::with(Exit::CloudApi, |plan| {
        plan.over["intake"]["amqp"]["dialects"] = json!(["waha"]);
        plan.over["intake"]["open"] = json!([{"on": "first", "reason": "no assistant"}]);
        plan.over["secrets"] = json!({"waha_key": {"value": "KEY-1"}});
        plan.over["media"] = media;
        plan.over["media"]["sign_in"] =
            json!({"waha": {"hosts": ["127.0.0.1"], "header": "x-api-key", "secret": "waha_key"}});
    })
    .await
}

/// Publishes a picture as WAHA does.
async fn waha(world: &World, files: &Files, id: &str) {
    let body = json!({
        "event": "message", "session": "default", "me": {"id": "15550783881@c.us"},
        "payload": {"id": format!("false_{CUSTOMER}@c.us_{id}"), "timestamp": Timestamp::now().as_second(),
            "from": format!("{CUSTOMER}@c.us"), "fromMe": false, "body": "look", "hasMedia": true,
            "media": {"url": format!("http://127.0.0.1:{}/api/files/default/{id}.jpg", files.port),
                "mimetype": "image/jpeg", "filename": "box.jpg"}},
    });
    let body = body.to_string();
    let publish = world
        .gateway
        .publish_as(EVENTS, "message", None, &[], body.as_bytes());
    publish.await;
}

fn all_down(world: &World) {
    for crm in CRMS {
        let rule = json!({"target": crm, "match": {}, "fault": {"kind": "status", "status": 503}});
        let rule = serde_json::from_value(rule).unwrap();
        world.sims.fault(rule).unwrap();
    }
}

/// The session that the message began.
async fn began(world: &mut World) {
    eventually(SOON, || async {
        let found = world.get("/v1/sessions?controller=queued").await;
        found["sessions"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    })
    .await;
    let found = world.get("/v1/sessions?controller=queued").await;
    world.session = found["sessions"][0]["session"].as_str().unwrap().to_owned();
}

/// What is known of the session's files.
async fn known(world: &World) -> Vec<Value> {
    let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
    story["files"].as_array().cloned().unwrap_or_default()
}

async fn until_state(world: &World, state: &str) {
    eventually(SOON, || async {
        let files = known(world).await;
        !files.is_empty() && files.iter().all(|file| file["state"] == state)
    })
    .await;
}

/// How many files of this size are seen in a CRM.
fn seen(world: &World, crm: &str) -> usize {
    fn walk(value: &Value) -> usize {
        match value {
            Value::Object(members) => {
                let size = members.get("size").or(members.get("bytes"));
                let own = usize::from(size.is_some_and(|size| *size == SIZE));
                own + members.values().map(walk).sum::<usize>()
            }
            Value::Array(items) => items.iter().map(walk).sum(),
            _ => 0,
        }
    }
    walk(&world.crm(crm).view())
}

/// Every CRM is down while the file is there. It is fetched once, survives the daemon, and reaches each of
/// them whole when they are back and it is long gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_reaches_crms_that_are_down_for_longer_than_its_address_lives() {
    let files = Files::serve().await;
    let mut world = world(json!({})).await;
    all_down(&world);
    waha(&world, &files, "A1").await;
    began(&mut world).await;
    until_state(&world, "kept").await;
    assert_eq!(files.end(), 1, "it was fetched once");
    world.restart().await;
    world.sims.clear_faults(None);
    for crm in CRMS {
        eventually(SOON, || async { seen(&world, crm) > 0 }).await;
    }
    world.until_idle().await;
    for crm in CRMS {
        // HubSpot's is in the file manager and on the note.
        let once = if crm == "hubspot" { 2 } else { 1 };
        assert_eq!(seen(&world, crm), once, "{crm}");
    }
    // Each simulator shows its own sum of the bytes.
    let print: String = Sha256::digest(photo())
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(world.crm("creatio").view().to_string().contains(&print));
    let sum = photo().iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let sum = format!("{sum:016x}");
    assert!(world.crm("salesforce").view().to_string().contains(&sum));
    assert_eq!(files.given.load(Ordering::SeqCst), 1);
    let (code, said) = world.command(&["show", &world.session]);
    assert!(
        code == 0 && said.contains("is kept, 600001 bytes"),
        "{said}"
    );
    let metrics = world.text("/metrics").await;
    assert!(
        metrics.contains("handoffd_media_kept_bytes 600001"),
        "{metrics}"
    );
    assert!(!world.log().contains("KEY-1"));
}

/// A source that fails and breaks off is asked again within seconds, and no half of a file is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_at_first_is_asked_again() {
    let files = Files::serve().await;
    files.failing.store(2, Ordering::SeqCst);
    let mut world = world(json!({})).await;
    all_down(&world);
    waha(&world, &files, "E1").await;
    began(&mut world).await;
    until_state(&world, "kept").await;
    assert_eq!(known(&world).await[0]["bytes"], SIZE);
    assert_eq!(files.end(), 1);
    world.sims.clear_faults(None);
    eventually(SOON, || async { seen(&world, "creatio") == 1 }).await;
}

/// There is room for one of two files: the older one goes, and what is too large is not kept at all.
#[tokio::test(flavor = "multi_thread")]
async fn the_older_file_goes_where_there_is_room_for_one() {
    let files = Files::serve().await;
    let mut world = world(json!({"keep_bytes": "1 MiB"})).await;
    all_down(&world);
    waha(&world, &files, "B1").await;
    began(&mut world).await;
    until_state(&world, "kept").await;
    waha(&world, &files, "B2").await;
    let states = async || {
        let files = known(&world).await;
        let state = |file: &Value| (file["state"].clone(), file["reason"].clone());
        files.iter().map(state).collect::<Vec<_>>()
    };
    let expected = [
        (json!("failed"), json!("dropped")),
        (json!("kept"), Value::Null),
    ];
    eventually(SOON, || async { states().await == expected }).await;
    assert_eq!(files.end(), 2);
    // What is left of the older one goes by itself.
    let bytes = format!("handoffd_media_kept_bytes {SIZE}");
    eventually(SOON, || async {
        world.text("/metrics").await.contains(&bytes)
    })
    .await;
    world.sims.clear_faults(None);
    world
        .until_shown("creatio", "no longer at its source")
        .await;
    world.until_idle().await;
    assert_eq!(seen(&world, "creatio"), 1);
}

/// Nothing is fetched before it is needed, and then by each CRM.
#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_kept_each_crm_fetches() {
    let files = Files::serve().await;
    let mut world = world(json!({"keep": "never"})).await;
    waha(&world, &files, "C1").await;
    began(&mut world).await;
    for crm in CRMS {
        eventually(SOON, || async { seen(&world, crm) > 0 }).await;
    }
    assert_eq!(known(&world).await, [(); 0].map(|()| Value::Null));
    assert!(files.end() >= 3);
}

/// A file above the limit is not kept, and people are told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_above_the_limit_is_not_kept() {
    let files = Files::serve().await;
    let mut world = world(json!({"max_bytes": "500 KiB"})).await;
    all_down(&world);
    waha(&world, &files, "D1").await;
    began(&mut world).await;
    until_state(&world, "failed").await;
    assert_eq!(known(&world).await[0]["reason"], "too_large");
    let (code, said) = world.command(&["show", &world.session]);
    assert!(
        code == 0 && said.contains("D1 is not kept (too_large)"),
        "{said}"
    );
}
