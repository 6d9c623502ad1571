//! The parts of a run: a broker of its own, a ledger, the simulators, daemons, and proxies between.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use handoffd::demo::world::{Folder, Plan, free_port, simulators};
use handoffd::sandbox::{Running, Served};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::gateway::{EVENTS, OUT, QUEUE};
use crate::options::{Exit, LedgerKind, Options};
use crate::proxy::Proxy;
use crate::services::{Database, Rabbit, local};

/// A daemon must be ready within this time, on a busy machine.
const READY: Duration = Duration::from_secs(60);

/// One daemon: its configuration, and its process while it runs.
pub struct Daemon {
    pub listen: SocketAddr,
    admin: SocketAddr,
    pub config: PathBuf,
    log: PathBuf,
    process: Mutex<Option<Child>>,
    up: AtomicBool,
    wrap: Vec<(String, String)>,
}

pub struct World {
    pub sims: Running,
    pub rabbit: Rabbit,
    /// PostgreSQL, where it is the ledger.
    pub database: Option<Database>,
    /// Before each simulator.
    pub nets: BTreeMap<String, Proxy>,
    /// Before the daemons: webhooks come this way.
    pub front: Proxy,
    pub daemons: Vec<Daemon>,
    pub folder: Folder,
    /// How often a daemon ended by itself: at its start, when the ledger cannot be reached.
    pub gave_up: AtomicUsize,
    binary: PathBuf,
    client: reqwest::Client,
    turn: AtomicUsize,
}

impl World {
    pub async fn new(options: &Options, kind: LedgerKind, exit: Exit) -> World {
        let sims = simulators(CancellationToken::new())
            .await
            .expect("free ports");
        if exit == Exit::Http {
            let phones = sims.target("whatsapp").expect("one of the four");
            // The gateway publishes what customers write; by webhooks come statuses alone.
            for (name, value) in [
                ("gateway", json!("waha")),
                ("customer_webhooks", json!(false)),
            ] {
                phones.switch(name, &value).expect("the simulator has it");
            }
        }
        let rabbit = Rabbit::start(options.nodes, options.seed).await;
        let folder = Folder::new().expect("a temporary folder");
        let (url, database) = match kind {
            LedgerKind::Sqlite if options.disk => {
                let disk = folder.path().join("disk");
                std::fs::create_dir_all(&disk).expect("the folder can be written");
                let mount = ["-t", "tmpfs", "-o", "size=192m", "tmpfs"];
                let mounted = Command::new("mount").args(mount).arg(&disk).status().await;
                assert!(
                    mounted.is_ok_and(|status| status.success()),
                    "a tmpfs can be mounted"
                );
                (format!("sqlite:{}", disk.join("ledger.db").display()), None)
            }
            LedgerKind::Sqlite => (
                format!("sqlite:{}", folder.path().join("ledger.db").display()),
                None,
            ),
            LedgerKind::Postgres => {
                let database = Database::start(options.seed).await;
                (database.url(), Some(database))
            }
        };
        let mut nets = BTreeMap::new();
        for served in sims.targets() {
            nets.insert(
                served.name().to_owned(),
                Proxy::start(served.address(), options.seed).await,
            );
        }
        let count = if kind == LedgerKind::Postgres {
            options.daemons
        } else {
            1
        };
        let ports: Vec<u16> = (0..count)
            .map(|_| free_port().expect("a free port"))
            .collect();
        let front = Proxy::start(local(ports[0]), options.seed).await;
        let mut daemons = Vec::new();
        let mut first = None;
        for (n, port) in ports.iter().enumerate() {
            let plan = plan(options, &sims, &nets, &front, &url, local(*port), exit);
            let config = folder.path().join(format!("daemon-{n}.toml"));
            std::fs::write(&config, configuration(&plan, n, &rabbit.daemons))
                .expect("the folder can be written");
            let admin = plan.admin;
            first.get_or_insert(plan);
            daemons.push(Daemon {
                listen: local(*port),
                admin,
                config,
                log: folder.path().join(format!("daemon-{n}.log")),
                process: Mutex::new(None),
                up: AtomicBool::new(false),
                wrap: clock_wrap(options, &folder, n),
            });
        }
        // Making a plan points the webhooks at its daemon; here they come through the front.
        if let Some(first) = &first {
            lead_webhooks(&sims, first, &front);
        }
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        switches(&sims);
        World {
            sims,
            rabbit,
            database,
            nets,
            front,
            daemons,
            folder,
            gave_up: AtomicUsize::new(0),
            binary: options.binary.clone(),
            client,
            turn: AtomicUsize::new(0),
        }
    }

    pub fn sim(&self, name: &str) -> Arc<Served> {
        Arc::clone(self.sims.target(name).expect("one of the four"))
    }

    /// Starts a daemon that is down and waits until it listens.
    pub async fn start(&self, n: usize) {
        let daemon = &self.daemons[n];
        let mut process = daemon.process.lock().await;
        if process.is_none() {
            let log = File::options()
                .create(true)
                .append(true)
                .open(&daemon.log)
                .expect("the log can be written");
            let child = Command::new(&self.binary)
                .args(["run", "--config"])
                .arg(&daemon.config)
                .envs(daemon.wrap.iter().cloned())
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("the log's handle"))
                .stderr(log)
                .kill_on_drop(true)
                .spawn()
                .expect("the daemon starts");
            *process = Some(child);
            daemon.up.store(true, Ordering::SeqCst);
        }
        drop(process);
        self.lead();
    }

    /// Whether a daemon that was started has ended by itself.
    async fn ended(&self, n: usize) -> bool {
        let mut process = self.daemons[n].process.lock().await;
        let over = process
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
        if over {
            *process = None;
            self.gave_up.fetch_add(1, Ordering::Relaxed);
        }
        over
    }

    /// Waits until a daemon answers over HTTP.
    pub async fn answers(&self, n: usize) -> bool {
        let began = std::time::Instant::now();
        while began.elapsed() < READY {
            let url = format!("http://{}/healthz", self.daemons[n].admin);
            if self
                .client
                .get(url)
                .send()
                .await
                .is_ok_and(|reply| reply.status().is_success())
            {
                return true;
            }
            // A daemon that ends by itself is started again, as a service manager does.
            if self.ended(n).await {
                tokio::time::sleep(Duration::from_millis(300)).await;
                self.start(n).await;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        false
    }

    /// SIGKILL; whether there was something to kill.
    pub async fn kill(&self, n: usize) -> bool {
        let mut process = self.daemons[n].process.lock().await;
        let Some(mut child) = process.take() else {
            return false;
        };
        self.daemons[n].up.store(false, Ordering::SeqCst);
        let _ = child.kill().await;
        drop(process);
        self.lead();
        true
    }

    /// SIGTERM; the exit code, none when there was nothing to stop.
    pub async fn stop(&self, n: usize) -> Option<i32> {
        let mut process = self.daemons[n].process.lock().await;
        // One that has ended by itself, for want of its ledger, is not there to be stopped.
        if process
            .as_mut()?
            .try_wait()
            .is_ok_and(|ended| ended.is_some())
        {
            return None;
        }
        let mut child = process.take()?;
        self.daemons[n].up.store(false, Ordering::SeqCst);
        let id = child.id()?.to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status().await;
        let ended = tokio::time::timeout(Duration::from_secs(60), child.wait()).await;
        drop(process);
        self.lead();
        // A signal that comes before the daemon has begun to listen for it ends it at once.
        let early = |status: ExitStatus| if status.signal() == Some(15) { 0 } else { -1 };
        let code = |status: ExitStatus| status.code().unwrap_or_else(|| early(status));
        Some(ended.ok().and_then(Result::ok).map_or(-2, code))
    }

    /// Leads webhooks to a daemon that lives, another one each time.
    fn lead(&self) {
        let living: Vec<&Daemon> = self
            .daemons
            .iter()
            .filter(|daemon| daemon.up.load(Ordering::SeqCst))
            .collect();
        if !living.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            self.front.lead_to(living[turn % living.len()].listen);
        }
    }

    /// Reads from the admin API of any daemon that answers.
    pub async fn get(&self, path: &str) -> Option<Value> {
        for daemon in &self.daemons {
            let url = format!("http://{}{path}", daemon.admin);
            let Ok(reply) = self.client.get(url).send().await else {
                continue;
            };
            if !reply.status().is_success() {
                continue;
            }
            if let Ok(bytes) = reply.bytes().await {
                return serde_json::from_slice(&bytes).ok();
            }
        }
        None
    }

    /// Every lane that is not idle, as the admin API says; none when no daemon answers.
    pub async fn open_lanes(&self) -> Option<Vec<Value>> {
        let mut open = Vec::new();
        for state in ["due", "held", "parked"] {
            let mut after = 0;
            loop {
                let path = format!("/v1/lanes?state={state}&after={after}&limit=500");
                let page = self.get(&path).await?["lanes"].as_array().cloned()?;
                let Some(last) = page.last().and_then(|lane| lane["id"].as_i64()) else {
                    break;
                };
                after = last;
                open.extend(page);
            }
        }
        Some(open)
    }

    /// A command of handoffd's on the first daemon's configuration: whether it succeeded, and what it said.
    pub async fn command(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(&self.binary)
            .args(arguments)
            .arg("--config")
            .arg(&self.daemons[0].config)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the command runs");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// Steps a daemon's clock away from the system's by so many seconds; whether it can be.
    pub fn clock(&self, daemon: usize, by: i64) -> bool {
        let file = self.folder.path().join(format!("clock-{daemon}"));
        file.exists() && std::fs::write(file, format!("{by:+}s\n")).is_ok()
    }

    /// Fills the ledger's disk; whether nothing more fits.
    pub fn fill_disk(&self) -> bool {
        let file = self.folder.path().join("disk/filler");
        let Ok(mut file) = File::create(file) else {
            return false;
        };
        let block = vec![0; 64 << 10];
        while file.write_all(&block).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
        true
    }

    /// Makes room again.
    pub fn empty_disk(&self) {
        // It may be gone already: two of these may overlap.
        let _ = std::fs::remove_file(self.folder.path().join("disk/filler"));
    }

    /// The daemons' logs.
    pub fn logs(&self) -> Vec<String> {
        let read = |daemon: &Daemon| std::fs::read_to_string(&daemon.log).unwrap_or_default();
        self.daemons.iter().map(read).collect()
    }

    /// Ends everything that was started.
    pub async fn end(self) {
        for n in 0..self.daemons.len() {
            self.kill(n).await;
        }
        let disk = self.folder.path().join("disk");
        if disk.exists() {
            let _ = Command::new("umount").arg("-l").arg(disk).status().await;
        }
    }
}

/// What a daemon's configuration is made from: every simulator is behind its proxy.
fn plan(
    options: &Options,
    sims: &Running,
    nets: &BTreeMap<String, Proxy>,
    front: &Proxy,
    ledger: &str,
    listen: SocketAddr,
    exit: Exit,
) -> Plan {
    let mut plan = Plan::new(sims, ledger.to_owned(), listen);
    for served in sims.targets() {
        let given = plan.credentials[served.name()].to_string();
        let behind = given.replace(
            &served.address().to_string(),
            &nets[served.name()].address().to_string(),
        );
        plan.credentials.insert(
            served.name().to_owned(),
            serde_json::from_str(&behind).expect("it was JSON"),
        );
    }
    let public = format!("http://{}/webhooks/hubspot", front.address());
    // The account's requests must do for all open tickets.
    let poll = (options.handoffs / 12).clamp(4, 30);
    let hubspot = json!({"poll_seconds": poll, "search_per_second": 4, "api_per_10s": 380, "webhook": {"public_url": public}});
    plan.settings.insert("hubspot".into(), hubspot);
    // Customers write on after a session was closed, and every message is looked for.
    let salesforce = json!({"after_end": "message"});
    plan.settings.insert("salesforce".into(), salesforce);
    plan.settings
        .insert("creatio".into(), json!({"poll_seconds": 4}));
    let whatsapp = match exit {
        Exit::Cloud => json!({"reconcile_seconds": 15, "notify": {"exchange": OUT}}),
        Exit::Gateway => json!({
            "exit": "gateway", "exchange": OUT, "routing_key": "reply.requested",
            "base_url": null, "version": null, "phone_number_id": null, "waba_id": null,
            "access_token": null, "webhooks": null, "notify": {"exchange": OUT},
        }),
        // The window as the stories have it.
        Exit::Http => json!({
            "known_ids": true, "window": "meta", "reconcile_seconds": 15, "notify": {"exchange": OUT},
        }),
    };
    plan.settings.insert("whatsapp".into(), whatsapp);
    plan
}

/// The configuration file of the n-th daemon.
fn configuration(plan: &Plan, n: usize, amqp: &Proxy) -> String {
    let mut plan = plan.clone();
    plan.over = json!({
        "daemon": {"name": format!("daemon-{n}")},
        "engine": {"lease": "4s", "backoff": {"first": "200ms", "max": "3s"},
            "breaker": {"first": "300ms", "max": "2s"}, "drain": "5s"},
        "media": {"tries": 15},
        "log": {"format": "json", "level": "info"},
        "intake": {"amqp": {
            "url": format!("amqp://guest:guest@{}/%2f", amqp.address()), "exchange": EVENTS,
            "queue": QUEUE, "publish_exchange": OUT, "confirm_timeout": "4s",
            "delivery_limit": 1_000_000, "reconnect": {"first": "100ms", "max": "1s"},
        }},
    });
    if plan.credentials["whatsapp"]["settings"]["exit"] == "http" {
        plan.over["secrets"] = json!({"waha_hook": {"value": "sandbox-hook-secret"}});
        plan.over["intake"]["amqp"]["dialects"] = json!(["waha"]);
        plan.over["intake"]["source"] =
            json!({"waha": {"dialects": ["waha"], "proof": "waha", "secret": "waha_hook"}});
    }
    let text = plan
        .toml()
        .expect("the simulators' credentials fit their connectors");
    let mut config: toml::Table = toml::from_str(&text).expect("it was TOML");
    for target in config
        .get_mut("target")
        .and_then(toml::Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let Some(target) = target.as_table_mut() else {
            continue;
        };
        target.insert("timeout".into(), "4s".into());
        target.insert("connect_timeout".into(), "1s".into());
    }
    toml::to_string(&config).expect("it is TOML")
}

/// The simulators call the daemons through the front.
fn lead_webhooks(sims: &Running, plan: &Plan, front: &Proxy) {
    if plan.credentials["whatsapp"]["settings"]["exit"] == "http" {
        let phones = sims.target("whatsapp").expect("one of the four");
        let url = format!("http://{}/intake/waha", front.address());
        let set = phones.switch("webhook_url", &json!(url));
        set.expect("the simulator has it");
    }
    for served in sims.targets() {
        if let Some(url) = plan
            .webhook_url(served.name())
            .expect("as for the configuration")
        {
            let url = url.replace(&plan.listen.to_string(), &front.address().to_string());
            served
                .switch("webhook_url", &json!(url))
                .expect("every simulator has it, or none");
        }
    }
}

/// Documented uncertainties as a short run needs them: waits are shorter than in production.
fn switches(sims: &Running) {
    let set = |target: &str, name: &str, value: Value| {
        let served = sims.target(target).expect("one of the four");
        served.switch(name, &value).expect("the simulator has it");
    };
    set("hubspot", "webhook_retry_seconds", json!(2));
    set("hubspot", "search_lag", json!(1));
    // A run of minutes has the conversations of hours.
    set("hubspot", "api_per_10s", json!(400));
    set("creatio", "webhook_retries", json!(2));
    set("creatio", "webhook_retry_delay_ms", json!(1_500));
    set("whatsapp", "status_delay_ms", json!(150));
    set("salesforce", "ping_seconds", json!(5));
}

/// The environment in which a daemon's clock can be stepped.
fn clock_wrap(options: &Options, folder: &Folder, n: usize) -> Vec<(String, String)> {
    if !options.clock {
        return Vec::new();
    }
    let file = folder.path().join(format!("clock-{n}"));
    std::fs::write(&file, "+0s\n").expect("the folder can be written");
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    vec![
        ("LD_PRELOAD".into(), library.into()),
        ("FAKETIME_TIMESTAMP_FILE".into(), file.display().to_string()),
        ("FAKETIME_NO_CACHE".into(), "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into()),
    ]
}
