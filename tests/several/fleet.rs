//! Daemons with one configuration between one broker and the simulators, and the sessions that a
//! test plays through them.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use handoffd::demo::world::{Folder, Plan, free_port, simulators};
use handoffd::sandbox::{Running, Served};
use handoffd_test_support::{Broker, Gateway, eventually, unique};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::database::Database;

/// Where the gateway publishes.
pub const EVENTS: &str = "gateway.events";
const OUT: &str = "handoffd.out";
const BUSINESS: &str = "+15550783881";

/// The CRMs.
pub const CRMS: [&str; 3] = ["salesforce", "hubspot", "creatio"];
/// How long leases last.
pub const LEASE: Duration = Duration::from_secs(3);
/// On a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// One of the daemons.
struct Daemon {
    plan: Plan,
    child: Option<Child>,
}

/// Daemons, and everything around them.
pub struct Fleet {
    pub sims: Running,
    _broker: Broker,
    pub database: Option<Database>,
    pub gateway: Gateway,
    folder: Folder,
    daemons: Vec<Daemon>,
    client: reqwest::Client,
}

/// A session that is played.
#[derive(Clone)]
pub struct Session {
    pub id: String,
    customer: String,
    /// What stands at the beginning of every text of the session, and nowhere else.
    tag: String,
}

impl Fleet {
    /// So many daemons on a fresh schema, started at once and ready.
    pub async fn new(count: usize) -> Fleet {
        Fleet::with(Some(Database::shared().await), count, |_| {}).await
    }

    /// The same on this database (SQLite without one), with the plan changed first.
    pub async fn with(
        database: Option<Database>,
        count: usize,
        change: impl FnOnce(&mut Plan),
    ) -> Fleet {
        let sims = simulators(CancellationToken::new()).await.unwrap();
        let broker = Broker::shared().await;
        let gateway = broker.gateway().await;
        gateway.exchange(EVENTS).await;
        gateway.exchange(OUT).await;
        gateway.queue("gateway.taken", OUT, "#").await;
        let folder = Folder::new().unwrap();
        let ledger = match &database {
            Some(database) => database.url(),
            None => format!("sqlite:{}", folder.path().join("ledger.db").display()),
        };
        let mut plan = Plan::new(&sims, ledger, free_address());
        for crm in ["hubspot", "creatio"] {
            plan.settings.insert(crm.into(), json!({"poll_seconds": 5}));
        }
        plan.over = json!({
            "engine": {"lease": format!("{}s", LEASE.as_secs()),
                "backoff": {"first": "200ms", "max": "2s"}, "breaker": {"first": "300ms", "max": "2s"}},
            "log": {"format": "json", "level": "info,handoffd=debug"},
            "intake": {"amqp": {
                "url": broker.url(), "exchange": EVENTS, "queue": "handoffd.events", "publish_exchange": OUT,
                "reconnect": {"first": "200ms", "max": "2s"},
            }},
        });
        change(&mut plan);
        let mut daemons = Vec::new();
        for n in 0..count {
            let mut plan = plan.clone();
            plan.over["daemon"] = json!({"name": name(n)});
            if n > 0 {
                plan.listen = free_address();
                plan.admin = free_address();
            }
            daemons.push(Daemon { plan, child: None });
        }
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut fleet = Fleet {
            sims,
            _broker: broker,
            database,
            gateway,
            folder,
            daemons,
            client,
        };
        fleet.webhooks_to_the_first();
        (0..count).for_each(|n| fleet.spawn(n, &[]));
        for n in 0..count {
            fleet.until_ready(n).await;
        }
        fleet
    }

    fn webhooks_to_the_first(&self) {
        for served in self.sims.targets() {
            if let Some(url) = self.daemons[0].plan.webhook_url(served.name()).unwrap() {
                served.switch("webhook_url", &json!(url)).unwrap();
            }
        }
    }

    /// How many there are, running or not.
    pub fn count(&self) -> usize {
        self.daemons.len()
    }

    /// Starts a daemon with these variables.
    pub fn spawn(&mut self, n: usize, variables: &[(&str, &str)]) {
        assert!(self.daemons[n].child.is_none(), "it runs already");
        let file = self.config(n);
        std::fs::write(&file, self.daemons[n].plan.toml().unwrap()).unwrap();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file(n))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .args(["run", "--config"])
            .arg(file)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemons[n].child = Some(child);
    }

    /// SIGKILL.
    pub fn kill(&mut self, n: usize) {
        let mut child = self.daemons[n].child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, n: usize, signal: &str) {
        let id = self.process(n);
        let sent = Command::new("kill")
            .args([format!("-{signal}"), id.to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end.
    pub async fn ended(&mut self, n: usize) -> ExitStatus {
        let mut child = self.daemons[n].child.take().expect("it runs");
        tokio::task::spawn_blocking(move || child.wait().unwrap())
            .await
            .unwrap()
    }

    fn log_file(&self, n: usize) -> PathBuf {
        self.folder.path().join(format!("{}.log", name(n)))
    }

    /// A daemon's process.
    pub fn process(&self, n: usize) -> u32 {
        self.daemons[n].child.as_ref().expect("it runs").id()
    }

    /// A daemon's configuration.
    pub fn config(&self, n: usize) -> PathBuf {
        self.folder.path().join(format!("{}.toml", name(n)))
    }

    /// What a daemon has logged.
    pub fn log(&self, n: usize) -> String {
        std::fs::read_to_string(self.log_file(n)).unwrap_or_default()
    }

    /// How many calls a daemon has made.
    pub fn attempts(&self, n: usize) -> usize {
        self.log(n).matches("\"attempt\"").count()
    }

    /// Where the fleet's files are.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// `/readyz`: whether it says yes, and what it says; none when nobody answers.
    pub async fn ready(&self, n: usize) -> Option<(bool, Value)> {
        let url = format!("http://{}/readyz", self.daemons[n].plan.admin);
        let reply = self.client.get(url).send().await.ok()?;
        let yes = reply.status() == 200;
        let words = serde_json::from_slice(&reply.bytes().await.ok()?).ok()?;
        Some((yes, words))
    }

    #[track_caller]
    pub fn until_ready(&self, n: usize) -> impl Future<Output = ()> {
        eventually(SOON, move || async move {
            self.ready(n).await.is_some_and(|(yes, _)| yes)
        })
    }

    /// Which daemon takes events from the queue.
    pub async fn intake(&self) -> Option<usize> {
        for n in 0..self.count() {
            let said = self.ready(n).await;
            if said.is_some_and(|(_, words)| words["broker"]["last_event_at"].is_string()) {
                return Some(n);
            }
        }
        None
    }

    /// The database's rows, as text.
    pub async fn sql(&self, sql: &str) -> Vec<String> {
        self.database.as_ref().expect("PostgreSQL").sql(sql).await
    }

    /// A CRM's simulator.
    pub fn crm(&self, name: &str) -> Arc<Served> {
        Arc::clone(self.sims.target(name).unwrap())
    }

    /// Acts as a rep or a customer.
    pub fn act(&self, name: &str, act: Value) -> Value {
        self.crm(name)
            .act(&act)
            .unwrap_or_else(|words| panic!("{name}: {words}"))
    }

    /// Puts a fault rule in force.
    pub fn fault(&self, rule: Value) {
        self.sims
            .fault(serde_json::from_value(rule).unwrap())
            .unwrap();
    }

    /// A session that begins with a handoff to these CRMs.
    pub async fn hand_over(&self, crms: &[&str]) -> Session {
        let id = unique("session");
        let number = id.rsplit('-').next().unwrap();
        let session = Session {
            customer: format!("4915100{:06}", number.parse::<u32>().unwrap()),
            tag: format!("s{number}m"),
            id,
        };
        let text = session.text("h");
        let said = self.act(
            "whatsapp",
            json!({"act": "text", "from": session.customer, "name": "Ana", "text": text}),
        );
        let targets: Vec<&str> = crms.iter().copied().chain(["whatsapp"]).collect();
        let data = json!({
            "session": {"id": session.id, "url": format!("https://assistant.example.com/s/{}", session.id),
                "business_number": BUSINESS, "language": "en"},
            "contact": {"phone": format!("+{}", session.customer), "wa_id": session.customer, "name": "Ana"},
            "handoff": {"reasons": ["user_requested_human_assistance"], "summary": "A broken parcel.",
                "sentiment": "angry", "language": "en", "topic": "Refund"},
            "transcript": [{"id": said["id"], "time": said["timestamp"], "author": {"kind": "customer"}, "text": text}],
            "targets": targets,
        });
        self.publish("handoff.requested", &session, "handoff", data)
            .await;
        session
    }

    /// The customer writes their message with this number.
    pub async fn writes(&self, session: &Session, n: usize) {
        let text = session.text(&n.to_string());
        let said = self.act(
            "whatsapp",
            json!({"act": "text", "from": session.customer, "text": text}),
        );
        let message = json!({"id": said["id"], "time": said["timestamp"], "author": {"kind": "customer"}, "text": text});
        self.publish(
            "message.received",
            session,
            &format!("m{n}"),
            json!({"message": message}),
        )
        .await;
    }

    async fn publish(&self, kind: &str, session: &Session, id: &str, data: Value) {
        let event = json!({"specversion": "1.0", "id": format!("{}-{id}", session.id), "source": "/test/gateway",
            "type": kind, "subject": session.id, "time": Timestamp::now(), "datacontenttype": "application/json",
            "data": data});
        self.gateway
            .publish(EVENTS, kind, event.to_string().as_bytes())
            .await;
    }

    /// Waits until the last message of every session is shown and no lane has anything to do.
    #[track_caller]
    pub fn until_idle(&self, sessions: &[Session], messages: usize) -> impl Future<Output = ()> {
        eventually(SOON, move || async move {
            let seen = CRMS.map(|crm| plain(&self.crm(crm).view())).concat();
            let last = |session: &Session| seen.contains(&session.text(&last(messages)));
            sessions.iter().all(last) && self.busy().await.is_empty()
        })
    }

    /// The lanes that have something to do.
    pub async fn busy(&self) -> Vec<String> {
        let sql = "SELECT concat(session, ' ', target) FROM lane WHERE due_at IS NOT NULL OR lease_owner IS NOT NULL";
        self.sql(sql).await
    }

    /// Everything of the session is shown there once and in order.
    #[track_caller]
    pub fn assert_shown(&self, crm: &str, session: &Session, messages: usize) {
        let whole = plain(&self.crm(crm).view());
        let texts: Vec<String> = std::iter::once("h".to_owned())
            .chain((0..messages).map(|n| n.to_string()))
            .map(|n| session.text(&n))
            .collect();
        let counts: Vec<usize> = texts
            .iter()
            .map(|text| whole.matches(text).count())
            .collect();
        assert!(
            counts.iter().all(|count| *count == 1),
            "{crm}, {}: {counts:?}",
            session.id
        );
        let places: Vec<_> = texts.iter().map(|text| whole.find(text)).collect();
        assert!(places.is_sorted(), "{crm}, {}: {places:?}", session.id);
    }

    /// The texts on a customer's phone that came from the business, in order.
    pub fn phone(&self, session: &Session) -> Vec<String> {
        let view = self.crm("whatsapp").view();
        let entries = view["phones"][&session.customer]["conversation"].clone();
        entries
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["from"] == "business")
            .map(|entry| entry["text"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

impl Session {
    /// The text of a message.
    pub fn text(&self, message: &str) -> String {
        format!("{}{message}.", self.tag)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            if let Some(mut child) = daemon.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        if std::thread::panicking() {
            for n in 0..self.daemons.len() {
                let log = self.log(n);
                let from = log.len().saturating_sub(6_000);
                let from = (from..log.len())
                    .find(|at| log.is_char_boundary(*at))
                    .unwrap_or(0);
                #[expect(
                    clippy::print_stderr,
                    reason = "a failed test shows what the daemons said"
                )]
                {
                    eprintln!("--- the log of {}\n{}", name(n), &log[from..]);
                }
            }
        }
    }
}

/// A daemon's name.
pub fn name(n: usize) -> String {
    format!("daemon-{n}")
}

fn last(messages: usize) -> String {
    match messages {
        0 => "h".to_owned(),
        n => (n - 1).to_string(),
    }
}

fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()))
}

/// What people read, in order: every text of a view except titles, which repeat a text's beginning.
fn plain(view: &Value) -> String {
    fn walk(value: &Value, into: &mut String) {
        match value {
            Value::String(text) => {
                into.push_str(&handoffd_contract::text::plain(text));
                into.push('\n');
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, into)),
            Value::Object(members) => members
                .iter()
                .filter(|(key, _)| *key != "title")
                .for_each(|(_, value)| walk(value, into)),
            _ => {}
        }
    }
    let mut text = String::new();
    walk(view, &mut text);
    text
}
