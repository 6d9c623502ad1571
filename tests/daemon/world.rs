//! A daemon between a broker and the simulators, and what a test does with it.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use handoffd::demo::world::{Folder, Plan, free_port, simulators};
use handoffd::sandbox::{Running, Served};
use handoffd_test_support::{Broker, Gateway, eventually, unique};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Where the gateway publishes.
pub const EVENTS: &str = "gateway.events";
/// Where handoffd publishes.
pub const OUT: &str = "handoffd.out";
/// The gateway's queue of what handoffd publishes.
pub const TAKEN: &str = "gateway.taken";
/// The customer's number.
pub const CUSTOMER: &str = "4915112345678";
const BUSINESS: &str = "+15550783881";

pub const SOON: Duration = Duration::from_secs(30);

/// How replies leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    CloudApi,
    Gateway,
    /// By the API of the gateway with this name, which the simulator then serves.
    Http(&'static str),
}

pub struct World {
    pub sims: Running,
    pub gateway: Gateway,
    pub broker: Broker,
    pub plan: Plan,
    pub folder: Folder,
    pub session: String,
    /// Targets that are configured and disabled.
    pub disabled: Vec<&'static str>,
    daemon: Option<Child>,
    client: reqwest::Client,
}

impl World {
    /// Simulators, a virtual host, and a running daemon.
    pub async fn new(exit: Exit) -> World {
        World::with(exit, |_| {}).await
    }

    /// The same, with the plan changed first.
    pub async fn with(exit: Exit, change: impl FnOnce(&mut Plan)) -> World {
        let sims = simulators(CancellationToken::new()).await.unwrap();
        let broker = Broker::shared().await;
        let gateway = Gateway::connect(&broker.url()).await;
        gateway.exchange(EVENTS).await;
        gateway.exchange(OUT).await;
        gateway.queue(TAKEN, OUT, "#").await;
        let folder = Folder::new().unwrap();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let ledger = format!("sqlite:{}", folder.path().join("ledger.db").display());
        if let Exit::Http(api) = exit {
            let phones = sims.target("whatsapp").unwrap();
            phones.switch("gateway", &json!(api)).unwrap();
        }
        let mut plan = Plan::new(&sims, ledger, listen);
        if let Exit::Http(api) = exit {
            // Where the gateway's webhooks go; 360dialog shows the token in the address.
            let token = if api == "360dialog" {
                "/sandbox-hook-secret"
            } else {
                ""
            };
            let address = format!("http://{listen}/intake/{api}{token}");
            let phones = sims.target("whatsapp").unwrap();
            phones.switch("webhook_url", &json!(address)).unwrap();
        }
        plan.settings
            .insert("hubspot".into(), json!({"poll_seconds": 5}));
        plan.settings
            .insert("creatio".into(), json!({"poll_seconds": 5}));
        if exit == Exit::Gateway {
            let settings = json!({
                "exit": "gateway", "exchange": OUT, "routing_key": "reply.requested",
                "base_url": null, "version": null, "phone_number_id": null, "waba_id": null,
                "access_token": null, "webhooks": null,
            });
            plan.settings.insert("whatsapp".into(), settings);
        }
        plan.over = json!({
            "engine": {"lease": "3s", "backoff": {"first": "200ms", "max": "2s"}, "breaker": {"first": "300ms", "max": "2s"}},
            "log": {"format": "json", "level": "info,handoffd=debug"},
            "intake": {"amqp": {
                "url": broker.url(), "exchange": EVENTS, "queue": "handoffd.events", "publish_exchange": OUT,
            }},
        });
        change(&mut plan);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut world = World {
            sims,
            gateway,
            broker,
            plan,
            folder,
            session: unique("session"),
            disabled: Vec::new(),
            daemon: None,
            client,
        };
        world.start().await;
        world
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("handoffd.toml")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts the daemon and waits until it is ready.
    pub async fn start(&mut self) {
        assert!(self.daemon.is_none(), "it runs already");
        let mut config = self.plan.toml().unwrap();
        for name in &self.disabled {
            let line = format!("name = \"{name}\"\n");
            assert!(config.contains(&line), "{name} is no target");
            config = config.replace(&line, &format!("{line}enabled = false\n"));
        }
        std::fs::write(self.config(), config).unwrap();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .args(["run", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(child);
        for served in self.sims.targets() {
            if let Some(url) = self.plan.webhook_url(served.name()).unwrap() {
                served.switch("webhook_url", &json!(url)).unwrap();
            }
        }
        let ready = format!("http://{}/readyz", self.plan.admin);
        eventually(SOON, || async {
            self.client
                .get(&ready)
                .send()
                .await
                .is_ok_and(|reply| reply.status() == 200)
        })
        .await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.daemon.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; waits for the end and gives the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.daemon.take().expect("it runs");
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        child.wait().unwrap().code()
    }

    pub async fn restart(&mut self) {
        self.kill();
        self.start().await;
    }

    /// A command of the daemon's on its configuration: exit code and output.
    pub fn command(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.code().unwrap_or(-1), text)
    }

    pub fn crm(&self, name: &str) -> Arc<Served> {
        Arc::clone(self.sims.target(name).unwrap())
    }

    pub fn act(&self, name: &str, act: Value) -> Value {
        self.crm(name)
            .act(&act)
            .unwrap_or_else(|words| panic!("{name}: {words}"))
    }

    /// Publishes an event of the session.
    pub async fn publish(&self, kind: &str, id: &str, data: Value) {
        let event = self.event(kind, id, data);
        self.gateway
            .publish(EVENTS, kind, event.to_string().as_bytes())
            .await;
    }

    pub fn event(&self, kind: &str, id: &str, data: Value) -> Value {
        json!({"specversion": "1.0", "id": format!("{}-{id}", self.session), "source": "/test/gateway", "type": kind,
            "subject": self.session, "time": Timestamp::now(), "datacontenttype": "application/json", "data": data})
    }

    /// The customer writes: on the phone, and as the gateway's event.
    pub async fn customer_writes(&self, text: &str) -> String {
        let said = self.act(
            "whatsapp",
            json!({"act": "text", "from": CUSTOMER, "text": text}),
        );
        let id = said["id"].as_str().unwrap().to_owned();
        let message = json!({"id": id, "time": said["timestamp"], "author": {"kind": "customer"}, "text": text});
        self.publish(
            "message.received",
            &format!("received-{id}"),
            json!({"message": message}),
        )
        .await;
        id
    }

    /// The handoff's payload: a text, an assistant's answer, and a picture that is at WhatsApp.
    pub fn handoff(&self, targets: &[&str]) -> Value {
        let text = self.act("whatsapp", json!({"act": "text", "from": CUSTOMER, "name": "Ana \"A\" <López>", "text": "My parcel is broken 📦"}));
        let photo = self.act(
            "whatsapp",
            json!({"act": "media", "from": CUSTOMER, "kind": "image", "mime": "image/jpeg",
            "content": "a photo of a broken box"}),
        );
        json!({
            "session": {"id": self.session, "url": format!("https://assistant.example.com/s/{}", self.session),
                "business_number": BUSINESS, "language": "en"},
            "contact": {"phone": format!("+{CUSTOMER}"), "wa_id": CUSTOMER, "name": "Ana \"A\" <López>"},
            "handoff": {"reasons": ["user_requested_human_assistance", "insufficient_tools"], "summary": "A broken parcel; she wants a refund.",
                "sentiment": "angry", "language": "en", "topic": "Refund"},
            "transcript": [
                {"id": text["id"], "time": text["timestamp"], "author": {"kind": "customer"}, "text": "My parcel is broken 📦"},
                {"id": format!("{}-ai-1", self.session), "time": Timestamp::now(), "author": {"kind": "assistant"}, "text": "I am sorry to hear that."},
                {"id": photo["id"], "time": photo["timestamp"], "author": {"kind": "customer"},
                    "attachments": [{"id": "photo", "kind": "image", "mime": "image/jpeg", "name": "box.jpg", "caption": "look",
                        "source": {"from": "whatsapp", "media_id": photo["media_id"]}}]},
            ],
            "fields": {"order_id": 8812},
            "targets": targets.iter().map(|name| json!(name)).chain([json!("whatsapp")]).collect::<Vec<_>>(),
        })
    }

    /// Hands over to one CRM and waits until its record is complete.
    pub async fn hand_over(&self, target: &str) {
        self.publish("handoff.requested", "handoff-1", self.handoff(&[target]))
            .await;
        self.until_shown(target, "My parcel is broken").await;
        self.until_idle().await;
    }

    /// How often words stand in what is seen there; rich text is read as people read it.
    pub fn count(&self, name: &str, words: &str) -> usize {
        fn walk(value: &Value, words: &str) -> usize {
            match value {
                Value::String(text) => {
                    let plain = handoffd_contract::text::plain(text);
                    text.matches(words)
                        .count()
                        .max(plain.matches(words).count())
                }
                Value::Array(items) => items.iter().map(|item| walk(item, words)).sum(),
                // An activity's title repeats the beginning of its text.
                Value::Object(members) => members
                    .iter()
                    .filter(|(key, _)| *key != "title")
                    .map(|(_, value)| walk(value, words))
                    .sum(),
                _ => 0,
            }
        }
        walk(&self.crm(name).view(), words)
    }

    #[track_caller]
    pub fn until_shown(&self, name: &str, words: &str) -> impl Future<Output = ()> {
        let shown = move || async move { self.count(name, words) > 0 };
        eventually(SOON, shown)
    }

    /// Waits until no lane of the session has anything to do.
    #[track_caller]
    pub fn until_idle(&self) -> impl Future<Output = ()> {
        eventually(SOON, || async {
            let lanes = self.lanes().await;
            !lanes.is_empty()
                && lanes
                    .iter()
                    .all(|lane| lane["state"] == "idle" && lane["leased_by"].is_null())
        })
    }

    /// The session's lanes, as the admin API says.
    pub async fn lanes(&self) -> Vec<Value> {
        let story = self
            .get(&format!("/v1/lanes?session={}", self.session))
            .await;
        story["lanes"].as_array().cloned().unwrap_or_default()
    }

    pub async fn lane(&self, target: &str) -> Value {
        self.lanes()
            .await
            .into_iter()
            .find(|lane| lane["target"] == target)
            .unwrap_or_default()
    }

    pub async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap_or_default()
    }

    /// The admin API's answer to a request that changes something.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("http://{}{path}", self.plan.admin);
        let sent = self.client.post(url).json(&body).send().await.unwrap();
        sent.json().await.unwrap()
    }

    /// What the daemon answers, or nothing.
    pub async fn text(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.plan.admin);
        match self.client.get(url).send().await {
            Ok(reply) => reply.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// The next event of this type that the gateway gets; others are passed over.
    pub async fn taken(&self, kind: &str) -> Value {
        loop {
            let got = self.gateway.get(TAKEN).await;
            let event: Value = serde_json::from_slice(&got.body).unwrap();
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// The texts on the customer's phone that came from the business, in order.
    pub fn phone(&self) -> Vec<String> {
        let view = self.crm("whatsapp").view();
        let phones = view["phones"].as_object().cloned().unwrap_or_default();
        let conversations = phones
            .values()
            .filter_map(|phone| phone["conversation"].as_array());
        conversations
            .flatten()
            .filter(|entry| entry["from"] == "business")
            .map(|entry| {
                let text = entry["text"]
                    .as_str()
                    .or(entry["file_name"].as_str())
                    .or(entry["caption"].as_str());
                text.unwrap_or_default().to_owned()
            })
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(12_000);
            let from = (from..log.len())
                .find(|at| log.is_char_boundary(*at))
                .unwrap_or(0);
            #[expect(
                clippy::print_stderr,
                reason = "a failed test shows what the daemon said"
            )]
            {
                eprintln!("--- the daemon's log\n{}", &log[from..]);
            }
        }
    }
}
