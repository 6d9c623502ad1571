//! `POST /v1/events`, over a real socket and a real ledger.

use std::path::PathBuf;
use std::sync::Arc;

use handoffd::config::Limits;
use handoffd::intake::http::{HttpIntake, routes};
use handoffd::intake::{Gate, Router};
use handoffd::ledger::{self, Ledger};
use handoffd_test_support::unique;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

const RECEIVED: &str = include_str!("events/message.received.json");
const CLOSED: &str = include_str!("events/session.closed.json");
const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const TOKEN: &str = "a-token-for-tests";

struct Served {
    address: String,
    client: Client,
    ledger: Arc<dyn Ledger>,
    path: PathBuf,
}

impl Served {
    async fn new(token: Option<&str>) -> Served {
        let path = std::env::temp_dir()
            .join(unique("http"))
            .with_extension("db");
        let ledger = ledger::open(&format!("sqlite:{}", path.display()))
            .await
            .expect("a ledger");
        let limits = Limits {
            max_event_bytes: 10_000,
            ..Limits::default()
        };
        let gate = Gate {
            ledger: ledger.clone(),
            router: Arc::new(Router::default()),
            dialects: Arc::default(),
            limits,
        };
        let intake = HttpIntake {
            gate,
            token: token.map(Into::into),
            max_body: 20_000,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = format!(
            "http://{}/v1/events",
            listener.local_addr().expect("an address")
        );
        tokio::spawn(async move { axum::serve(listener, routes(Arc::new(intake))).await });
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .expect("a client");
        Served {
            address,
            client,
            ledger,
            path,
        }
    }

    fn post(&self, content_type: &str, body: impl Into<String>) -> RequestBuilder {
        self.client
            .post(&self.address)
            .bearer_auth(TOKEN)
            .header("content-type", content_type)
            .body(body.into())
    }

    async fn dead_letters(&self) -> Vec<String> {
        let rows = self
            .ledger
            .dead_letters(0, 100)
            .await
            .expect("dead letters");
        rows.into_iter()
            .map(|row| format!("{} {}", row.letter.origin, row.letter.stop.message))
            .collect()
    }

    async fn events(&self) -> usize {
        let report = self.ledger.session_report("ses_7Qm2kd").await;
        let events = report.expect("a report").events;
        // What handoffd says of the conversation itself did not come in.
        let came_in = |kind: &str| kind != "session.state";
        events.iter().filter(|(_, kind, ..)| came_in(kind)).count()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for end in ["db", "db-wal", "db-shm"] {
            // Whether it can be removed decides no test.
            let _ = std::fs::remove_file(self.path.with_extension(end));
        }
    }
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    (
        response.status().as_u16(),
        response.json().await.expect("JSON"),
    )
}

#[tokio::test]
async fn an_event_is_stored_before_it_is_answered_and_once() {
    let served = Served::new(Some(TOKEN)).await;
    let sent = answer(served.post(STRUCTURED, RECEIVED)).await;
    assert_eq!(sent, (202, json!({ "admitted": 1, "duplicates": 0 })));
    assert_eq!(served.events().await, 1);
    let sent = answer(served.post("application/json; charset=utf-8", RECEIVED)).await;
    assert_eq!(sent, (202, json!({ "admitted": 0, "duplicates": 1 })));
    assert_eq!(served.events().await, 1);
}

#[tokio::test]
async fn a_binary_event_is_the_same_event() {
    let served = Served::new(Some(TOKEN)).await;
    let whole: Value = serde_json::from_str(RECEIVED).unwrap();
    let mut request = served.post("application/json", whole["data"].to_string());
    for name in [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "sequence",
    ] {
        request = request.header(format!("ce-{name}"), whole[name].as_str().unwrap());
    }
    assert_eq!(
        answer(request).await,
        (202, json!({ "admitted": 1, "duplicates": 0 }))
    );
    let sent = answer(served.post(STRUCTURED, RECEIVED)).await;
    assert_eq!(sent, (202, json!({ "admitted": 0, "duplicates": 1 })));
}

#[tokio::test]
async fn a_wrong_event_is_answered_and_parked() {
    let served = Served::new(Some(TOKEN)).await;
    let wrong = RECEIVED.replace("\"subject\": \"ses_7Qm2kd\"", "\"subject\": \"another\"");
    let words =
        "data.session.id is a text of 10 characters; write the same session id here and in subject";
    let refused = json!({
        "admitted": 0, "duplicates": 0,
        "refused": [{ "index": 0, "reason": "undecodable", "error": words, "parked": true }],
    });
    for _ in 0..2 {
        assert_eq!(
            answer(served.post(STRUCTURED, wrong.as_str())).await,
            (400, refused.clone())
        );
    }
    assert_eq!(served.dead_letters().await, [format!("http {words}")]);
}

/// What is odd costs a warning that names producer, field and shape.
#[tokio::test]
async fn an_odd_event_is_taken_and_answered_with_warnings() {
    let served = Served::new(Some(TOKEN)).await;
    let odd = RECEIVED.replace("2026-03-02T09:20:00Z", "soon");
    let warning = json!({
        "index": 0, "source": "/gateway/eu-1",
        "warning": "data.message.time is a text of 4 characters; it could not be read: write an RFC 3339 time \
                    such as 2026-01-31T12:00:00Z",
    });
    let told = answer(served.post(STRUCTURED, odd.as_str())).await;
    assert_eq!(
        told,
        (
            202,
            json!({ "admitted": 1, "duplicates": 0, "warnings": [warning] })
        )
    );
    assert_eq!(served.dead_letters().await, Vec::<String>::new());
    let (status, told) = answer(served.post(BATCH, format!("[{CLOSED},{odd}]"))).await;
    assert_eq!((status, &told["duplicates"]), (202, &json!(1)));
    assert_eq!(told["warnings"][0]["index"], json!(1));
}

#[tokio::test]
async fn a_batch_is_admitted_but_for_what_is_wrong_in_it() {
    let served = Served::new(Some(TOKEN)).await;
    let body = format!("[{RECEIVED},{{\"specversion\":\"2.0\"}},{CLOSED},{RECEIVED}]");
    let (status, told) = answer(served.post(BATCH, body)).await;
    assert_eq!(status, 400);
    assert_eq!(
        (&told["admitted"], &told["duplicates"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(told["refused"][0]["index"], json!(1));
    assert_eq!(told["refused"].as_array().unwrap().len(), 1);
    assert_eq!(served.events().await, 2);
    assert_eq!(served.dead_letters().await.len(), 1);

    let (status, told) = answer(served.post(BATCH, "{}")).await;
    assert_eq!(status, 400);
    assert_eq!(
        told["refused"][0]["error"],
        "the body is not a list; write a list of events"
    );
    let whole = answer(served.post(BATCH, "[]")).await;
    assert_eq!(whole, (202, json!({ "admitted": 0, "duplicates": 0 })));
}

#[tokio::test]
async fn only_who_has_the_token_may_post() {
    let served = Served::new(Some(TOKEN)).await;
    let bare = || {
        served
            .client
            .post(&served.address)
            .header("content-type", STRUCTURED)
            .body(CLOSED)
    };
    for request in [
        bare(),
        bare().bearer_auth("another"),
        bare().bearer_auth(format!("{TOKEN}x")),
        bare().bearer_auth(&TOKEN[1..]),
        bare().bearer_auth(""),
        bare().header("authorization", TOKEN),
        bare().basic_auth("user", Some(TOKEN)),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    assert_eq!(served.events().await, 0);
    assert!(
        served.dead_letters().await.is_empty(),
        "strangers fill nothing"
    );
    let lower = bare().header("authorization", format!("bearer {TOKEN}"));
    assert_eq!(answer(lower).await.0, 202);

    let open = Served::new(None).await;
    let bare = open
        .client
        .post(&open.address)
        .header("content-type", STRUCTURED)
        .body(CLOSED);
    assert_eq!(answer(bare).await.0, 202);
}

#[tokio::test]
async fn what_is_too_long_or_no_event_at_all_is_refused_and_not_kept() {
    let served = Served::new(Some(TOKEN)).await;
    let (status, told) = answer(served.post(STRUCTURED, "x".repeat(10_001))).await;
    assert_eq!(status, 413);
    let words = "the body is longer than 10000 bytes: send less, or raise the limit";
    assert_eq!(told, json!({ "error": words }));
    assert_eq!(answer(served.post(BATCH, "x".repeat(20_001))).await.0, 413);
    let (status, told) = answer(served.post("text/plain", CLOSED)).await;
    assert_eq!(status, 415);
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .starts_with("events come as application/cloudevents+json")
    );
    assert!(served.dead_letters().await.is_empty());
    let got = served.client.get(&served.address).send().await.unwrap();
    assert_eq!(got.status(), 405);
}

#[tokio::test]
async fn when_the_ledger_fails_the_producer_is_asked_to_come_again() {
    let served = Served::new(Some(TOKEN)).await;
    let other = rusqlite::Connection::open(&served.path).unwrap();
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no'); END";
    other.execute_batch(refuse).unwrap();
    let response = served.post(STRUCTURED, CLOSED).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
    let told: Value = response.json().await.unwrap();
    assert_eq!(
        told,
        json!({ "error": "the ledger cannot take events now; send it again" })
    );
    other.execute_batch("DROP TRIGGER refuse").unwrap();
    let sent = answer(served.post(STRUCTURED, CLOSED)).await;
    assert_eq!(sent, (202, json!({ "admitted": 1, "duplicates": 0 })));
}
