//! A small simulator, and clients that see every byte.

use std::net::SocketAddr;
use std::time::Duration;

use handoffd::sandbox::{Of, Options, Running, Served, Wait, serve};
use handoffd_contract::Auth;
use handoffd_contract::sandbox::{Delivery, Request, Response, Sandbox, Stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Notes that can be added, listed, streamed, and are announced by webhook until somebody says 200.
#[derive(Default)]
pub struct Notes {
    notes: Vec<String>,
    closed: bool,
    webhook: Option<String>,
    due: Vec<(Timestamp, Delivery)>,
    /// How long an announcement waits.
    delay: SignedDuration,
}

impl Sandbox for Notes {
    fn handle(&mut self, now: Timestamp, request: &Request) -> Response {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/notes") => {
                self.add(now, &String::from_utf8_lossy(&request.body));
                Response::json(201, &json!({"id": self.notes.len()})).with("x-made", "yes")
            }
            ("GET", "/stream") => Response {
                status: 200,
                headers: Vec::new(),
                body: b": hello\n\n".to_vec(),
                stream: Some(Stream {
                    key: "notes".into(),
                    after: request
                        .header("last-event-id")
                        .and_then(|id| id.parse().ok())
                        .unwrap_or(0),
                }),
            },
            (_, "/panic") => panic!("as asked"),
            (_, "/time") => Response::text(200, now.to_string()),
            _ => Response::json(
                200,
                &json!({
                    "method": request.method,
                    "path": request.path,
                    "query": request.query,
                    "headers": request.headers,
                    "bytes": request.body.len(),
                }),
            ),
        }
    }

    fn frames(&mut self, _: Timestamp, _: &str, after: u64) -> Vec<(u64, Vec<u8>)> {
        let numbered = self.notes.iter().zip(1_u64..);
        numbered
            .filter(|(_, n)| *n > after)
            .map(|(note, n)| (n, frame(n, note)))
            .collect()
    }

    fn closes(&mut self, _: Timestamp, _: &str) -> bool {
        self.closed
    }

    fn deliveries(&mut self, now: Timestamp) -> Vec<Delivery> {
        let due = self.due.extract_if(.., |(due, _)| *due <= now);
        due.map(|(_, delivery)| delivery).collect()
    }

    fn next_delivery(&self) -> Option<Timestamp> {
        self.due.iter().map(|(due, _)| *due).min()
    }

    fn delivered(&mut self, now: Timestamp, id: u64, status: Option<u16>) {
        if status != Some(200) {
            self.announce(now, id);
        }
    }

    fn view(&self) -> Value {
        json!({"notes": self.notes})
    }

    fn act(&mut self, now: Timestamp, act: &Value) -> Result<Value, String> {
        let note = act["note"].as_str().ok_or("an act is {\"note\": …}")?;
        self.add(now, note);
        Ok(json!({"id": self.notes.len()}))
    }

    fn switch(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "closed" => self.closed = value == true,
            "webhook_url" => self.webhook = value.as_str().map(str::to_owned),
            "delay_ms" => {
                self.delay = SignedDuration::from_millis(value.as_i64().unwrap_or_default());
            }
            "chunk_bytes" => {}
            _ => return Err("there are: closed, webhook_url".into()),
        }
        Ok(())
    }

    fn credentials(&self, base: &str) -> Value {
        json!({"settings": {"base_url": base}, "secrets": {}})
    }

    fn sign_in(&mut self, _: Timestamp, _: &Auth) -> Vec<(String, String)> {
        Vec::new()
    }
}

impl Notes {
    fn add(&mut self, now: Timestamp, note: &str) {
        self.notes.push(note.to_owned());
        self.announce(now, self.notes.len() as u64);
    }

    fn announce(&mut self, now: Timestamp, id: u64) {
        if let Some(url) = &self.webhook {
            let delivery = Delivery {
                id,
                url: url.clone(),
                headers: vec![("x-note".into(), id.to_string())],
                body: self.notes[id as usize - 1].clone().into_bytes(),
                timeout_ms: 2_000,
            };
            self.due.push((now + self.delay, delivery));
        }
    }
}

/// A note's frame.
pub fn frame(n: u64, note: &str) -> Vec<u8> {
    format!("id: {n}\ndata: {note}\n\n").into_bytes()
}

/// The fake, served.
pub struct Stage {
    pub running: Running,
    pub stop: CancellationToken,
    pub http: reqwest::Client,
}

impl Stage {
    pub async fn new() -> Stage {
        Stage::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Stage {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut options = Options::new(any).target("notes", any, || Box::new(Notes::default()));
        change(&mut options);
        let stop = CancellationToken::new();
        let running = serve(options, stop.clone())
            .await
            .expect("loopback ports can be bound");
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        Stage {
            running,
            stop,
            http,
        }
    }

    pub fn served(&self) -> &Served {
        self.running.target("notes").expect("it is served")
    }

    pub fn address(&self) -> SocketAddr {
        self.served().address()
    }

    pub fn notes(&self) -> Value {
        self.served().view()["notes"].clone()
    }

    /// Calls the control API: the status and the answer.
    pub async fn control(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("http://{}{path}", self.running.control());
        let mut request = self.http.request(method.parse().expect("a method"), url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("the control API answers");
        let status = response.status().as_u16();
        (status, response.json().await.expect("in JSON"))
    }

    /// Puts a fault rule in force, by the control API.
    pub async fn fault(&self, rule: Value) -> Value {
        let mut rule = rule;
        rule["target"] = "notes".into();
        let (status, answer) = self.control("POST", "/faults", Some(rule)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// How often a kind of fault really happened.
    pub async fn happened(&self, kind: &str) -> u64 {
        let (_, report) = self.control("GET", "/faults", None).await;
        report["happened"]["notes"][kind].as_u64().unwrap_or(0)
    }

    /// Waits until the pointer leads to this.
    pub async fn until(&self, of: Of, pointer: &str, equals: Value) {
        let wait = Wait {
            of,
            pointer: pointer.into(),
            equals: Some(equals.to_string()),
            timeout_ms: PATIENCE.as_millis() as u64,
            ..Wait::default()
        };
        self.served()
            .wait(&wait)
            .await
            .unwrap_or_else(|there| panic!("{pointer}: {equals} did not come, but {there}"));
    }

    pub async fn raw(&self) -> Raw {
        Raw(TcpStream::connect(self.address())
            .await
            .expect("it listens"))
    }
}

/// A client that sees bytes.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("sent");
    }

    pub async fn post(&mut self, note: &str) {
        self.send(&format!(
            "POST /notes HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{note}",
            note.len()
        ))
        .await;
    }

    pub async fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
    }

    /// Everything until the connection ends; with how it ended.
    pub async fn rest(&mut self) -> (String, Result<(), std::io::ErrorKind>) {
        let mut bytes = Vec::new();
        let end = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut bytes))
            .await
            .expect("it ends in time");
        (
            String::from_utf8_lossy(&bytes).into_owned(),
            end.map(drop).map_err(|error| error.kind()),
        )
    }

    /// Everything until this text came.
    pub async fn until(&mut self, text: &str) -> String {
        let mut bytes = Vec::new();
        let all = async {
            while !String::from_utf8_lossy(&bytes).contains(text) {
                let byte = self.0.read_u8().await;
                bytes.push(byte.unwrap_or_else(|error| {
                    panic!("{error} after {:?}", String::from_utf8_lossy(&bytes))
                }));
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, all).await.is_ok();
        let seen = String::from_utf8_lossy(&bytes).into_owned();
        assert!(in_time, "{text:?} did not come, but {seen:?}");
        seen
    }

    /// Everything until the last chunk of a chunked body; whether the connection is still open then.
    pub async fn rest_or_keep_alive(&mut self) -> (String, bool) {
        let seen = self.until("0\r\n\r\n").await;
        self.get("/again").await;
        (seen, self.until("/again").await.contains("HTTP/1.1 200"))
    }
}
