//! A daemon that takes events over HTTP, the simulators behind it, and what is not well in them.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use handoffd::demo::world::{Folder, Plan, free_port, simulators};
use handoffd::sandbox::Running;
use handoffd_test_support::eventually;
use jiff::Timestamp;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub const SOON: Duration = Duration::from_secs(30);

/// What Mara and Vic sign in with.
pub const PASSWORD: &str = "a long enough password";

/// What somebody may write who wants a page to run it.
pub const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}";

pub struct World {
    pub sims: Running,
    pub plan: Plan,
    daemon: Child,
    folder: Folder,
    client: reqwest::Client,
}

impl World {
    /// Simulators and a running daemon.
    pub async fn new() -> World {
        World::with(|_| {}).await
    }

    /// The same, where Mara signs in as an operator and Vic as a viewer.
    pub async fn with_people() -> World {
        World::with(|plan| {
            let hash = handoffd::access::password::hash(PASSWORD).unwrap();
            plan.over["secrets"] = json!({"hash": {"value": hash}});
            plan.over["access"] = json!({"user": [
                {"name": "mara", "role": "operator", "password": "hash"},
                {"name": "vic", "role": "viewer", "password": "hash"},
            ]});
        })
        .await
    }

    /// The same, with the plan changed first.
    pub async fn with(change: impl FnOnce(&mut Plan)) -> World {
        let sims = simulators(CancellationToken::new()).await.unwrap();
        let folder = Folder::new().unwrap();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let ledger = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let mut plan = Plan::new(&sims, ledger, listen);
        plan.over = json!({
            "daemon": {"name": "eu-prod"},
            "engine": {"lease": "3s", "backoff": {"first": "200ms", "max": "2s"},
                "breaker": {"failures": 2, "first": "2s", "max": "20s"}},
            "log": {"format": "json", "level": "info"},
        });
        change(&mut plan);
        let config = folder.path().join("handoffd.toml");
        std::fs::write(&config, plan.toml().unwrap()).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let daemon = Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .build()
            .unwrap();
        let world = World {
            sims,
            plan,
            daemon,
            folder,
            client,
        };
        eventually(SOON, || async {
            let ready = world.client.get(world.url("/readyz")).send().await;
            ready.is_ok_and(|reply| reply.status() == 200)
        })
        .await;
        world
    }

    /// An address of the admin listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.plan.admin)
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// A page's text; it must be there.
    pub async fn page(&self, path: &str) -> String {
        let reply = self.get(path).await;
        let status = reply.status();
        let text = reply.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {text}\n{}", self.log());
        text
    }

    /// Sends a form as a browser does.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::Response {
        let sent = self.client.post(self.url(path)).form(fields);
        let sent = sent
            .header("origin", self.url(""))
            .header("sec-fetch-site", "same-origin");
        sent.send().await.unwrap()
    }

    pub async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }

    /// What a command of an operator says, whose last argument is a file with this text.
    pub fn command(&self, arguments: &[&str], text: &str) -> String {
        let file = self.folder.path().join("given.toml");
        std::fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .args(arguments)
            .arg(&file)
            .arg("--config")
            .arg(self.folder.path().join("handoffd.toml"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Something goes wrong at a simulator.
    pub fn fault(&self, rule: Value) {
        self.sims
            .fault(serde_json::from_value(rule).unwrap())
            .unwrap();
    }

    /// An event as a gateway sends it; its answer's status.
    pub async fn send(&self, event: Value) -> u16 {
        let sent = self
            .client
            .post(format!("http://{}/v1/events", self.plan.listen));
        let sent = sent
            .bearer_auth(&self.plan.events_token)
            .header("content-type", "application/cloudevents+json")
            .body(event.to_string());
        sent.send().await.unwrap().status().as_u16()
    }

    /// A conversation is handed over.
    pub async fn hand_over(&self, session: &str, targets: &[&str], name: &str) {
        let event = json!({"specversion": "1.0", "id": format!("{session}-handoff"), "source": "/gateway.example.com",
            "type": "handoff.requested", "subject": session, "time": Timestamp::now(),
            "data": handoff(session, targets, name)});
        assert_eq!(self.send(event).await, 202);
    }

    /// An event that cannot be understood.
    pub async fn dead_letter(&self, id: &str, name: &str) {
        let mut data = handoff("s-dead", &["hubspot"], name);
        data["contact"] = json!({"phone": "0151 12345678", "name": name});
        let event = json!({"specversion": "1.0", "id": id, "source": "/gateway.example.com",
            "type": "handoff.requested", "subject": "s-dead", "time": Timestamp::now(), "data": data});
        assert_eq!(self.send(event).await, 400);
    }

    /// HubSpot refuses tickets, and Creatio is away; conversations are parked, others wait.
    pub async fn with_trouble() -> World {
        let world = World::new().await;
        let refused = json!({"status": "error", "category": "VALIDATION_ERROR",
            "message": "Property values were not valid: \"hs_ticket_category\": REFUND was not one of the allowed options"});
        world.fault(
            json!({"target": "hubspot", "match": {"method": "POST", "path_contains": "tickets"},
            "fault": {"kind": "status", "status": 400, "body": refused}}),
        );
        for n in 1..=4 {
            let session = format!("s-47{n:02}");
            world.hand_over(&session, &["hubspot"], "Ana López").await;
        }
        world.dead_letter("letter-1", "Ana López").await;
        world.dead_letter("letter-2", HOSTILE).await;
        world.fault(json!({"target": "creatio", "match": {},
            "fault": {"kind": "status", "status": 503, "body": "maintenance"}}));
        world.hand_over("s-4801", &["creatio"], "Tom Vogel").await;
        eventually(SOON, || async {
            let parked = world.json("/v1/lanes?state=parked").await;
            parked["lanes"]
                .as_array()
                .is_some_and(|lanes| lanes.len() >= 4)
        })
        .await;
        eventually(SOON, || async {
            let status = world.json("/v1/status").await;
            let targets = status["targets"].as_array().cloned().unwrap_or_default();
            targets
                .iter()
                .any(|target| target["name"] == "creatio" && target["circuit"]["open"].is_object())
        })
        .await;
        world
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn handoff(session: &str, targets: &[&str], name: &str) -> Value {
    json!({
        "session": {"id": session, "business_number": "+15550783881", "language": "es"},
        "contact": {"phone": "+4915199887766", "wa_id": "4915199887766", "name": name},
        "handoff": {"reasons": ["user_requested_human_assistance"], "summary": "She wants a refund.",
            "sentiment": "angry", "language": "es", "topic": "Refund"},
        "transcript": [
            {"id": format!("{session}-1"), "time": Timestamp::now(), "author": {"kind": "customer"},
                "text": "Mi paquete está roto"},
        ],
        "fields": {"order_id": 8812},
        "targets": targets,
    })
}
