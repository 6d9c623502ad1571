//! Who is measured: two floors and the daemon, each started on a broker of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use handoffd::demo::world::{Folder, free_port};
use handoffd_test_support::{Broker, Gateway, eventually};
use serde_json::json;

use crate::floor::{self, IN_FLIGHT, Place};
use crate::load::EVENTS;
use crate::process::Process;
use crate::sink::Sink;

/// The server on which databases may be made.
const SERVER: &str = "HANDOFFD_TEST_POSTGRES";
const QUEUE: &str = "handoffd.events";
/// The proof at the end of a webhook's path.
const HOOK: &str = "bench-path-token";
/// On a busy machine.
pub const LONG: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Takes events and calls.
    Floor,
    /// Also stores them first.
    Storing,
    Daemon,
}

impl Who {
    pub const ALL: [Who; 3] = [Who::Floor, Who::Storing, Who::Daemon];
}

/// One of them with its broker and files.
pub struct Contestant {
    pub who: Who,
    pub gateway: Gateway,
    broker: Broker,
    folder: Folder,
    listen: SocketAddr,
    process: Option<Process>,
    /// A database of its own, where its ledger is in PostgreSQL.
    database: Option<Database>,
}

struct Database {
    url: String,
    client: tokio_postgres::Client,
}

impl Database {
    async fn fresh() -> Database {
        let server = std::env::var(SERVER).unwrap_or_else(|_| {
            panic!("{SERVER} names no PostgreSQL; `tests/run --bench` starts one")
        });
        let admin = connected(&server).await;
        let name = format!("bench_{}", uuid::Uuid::new_v4().simple());
        let create = format!("CREATE DATABASE {name}");
        admin.batch_execute(&create).await.unwrap();
        let mut url = reqwest::Url::parse(&server).unwrap();
        url.set_path(&name);
        let url = url.to_string();
        let client = connected(&url).await;
        Database { url, client }
    }
}

async fn connected(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

impl Contestant {
    /// Its queue is there, and it is not running.
    pub async fn prepared(who: Who, sink: &Sink, postgres: bool) -> Contestant {
        let database = match who {
            Who::Daemon if postgres => Some(Database::fresh().await),
            _ => None,
        };
        let broker = Broker::shared().await;
        let gateway = broker.gateway().await;
        gateway.exchange(EVENTS).await;
        gateway.exchange("handoffd.out").await;
        let mut contestant = Contestant {
            who,
            gateway,
            broker,
            folder: Folder::new().unwrap(),
            listen: free(),
            process: None,
            database,
        };
        contestant.start(sink);
        contestant.gateway.queue_is_there(QUEUE).await;
        let broker = &contestant.broker;
        eventually(LONG, || async { broker.is_bound(QUEUE, EVENTS).await }).await;
        contestant.process = None;
        contestant
    }

    pub fn start(&mut self, sink: &Sink) {
        let mut command = match self.who {
            Who::Daemon => self.daemon(sink),
            who => self.floor(sink, who == Who::Storing),
        };
        let log = self.folder.path().join("log");
        self.process = Some(Process::spawn(&mut command, log));
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// Stored events; none where nothing is stored.
    pub async fn stored(&self) -> Option<usize> {
        // Nothing is ever deleted.
        let last = "SELECT coalesce(max(seq), 0) FROM event";
        let last: i64 = match &self.database {
            Some(database) => database.client.query_one(last, &[]).await.ok()?.get(0),
            None => {
                let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
                let ledger = rusqlite::Connection::open_with_flags(self.file(), flags).ok()?;
                ledger.query_row(last, [], |row| row.get(0)).ok()?
            }
        };
        usize::try_from(last).ok()
    }

    /// Where Creatio's webhooks go.
    pub fn webhooks(&self) -> String {
        format!("http://{}/webhooks/creatio/{HOOK}", self.listen)
    }

    fn ledger(&self) -> String {
        match &self.database {
            Some(database) => database.url.clone(),
            None => format!("sqlite:{}", self.file().display()),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn floor(&self, sink: &Sink, stores: bool) -> Command {
        let place = Place {
            amqp: self.broker.url(),
            exchange: EVENTS.into(),
            queue: QUEUE.into(),
            sink: format!("http://{}", sink.address),
            file: stores.then(|| self.file()),
        };
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .arg(floor::FLAG)
            .arg(serde_json::to_string(&place).unwrap());
        command
    }

    fn daemon(&self, sink: &Sink) -> Command {
        let site = format!("http://{}", sink.address);
        // A deployment has several targets; events concern one of them at a time.
        let targets = ["creatio", "second", "third", "fourth"].map(|name| {
            json!({"name": name, "kind": "creatio", "concurrency": IN_FLIGHT, "settings": {
                "site": site, "poll_seconds": 0, "batch": false, "session_link_file": false,
                "webhook_token": "hook",
                "auth": {"kind": "oauth", "client_id": "bench", "client_secret": "client",
                    "token_url": format!("{site}/connect/token")},
            }})
        });
        // A password in an address is refused.
        let mut broker = reqwest::Url::parse(&self.broker.url()).unwrap();
        let password = broker.password().unwrap_or_default().to_owned();
        broker.set_password(None).unwrap();
        let config = json!({
            "daemon": {"name": "bench"},
            "ledger": {"url": self.ledger()},
            "http": {"listen": self.listen.to_string(), "admin_listen": free().to_string()},
            "intake": {"amqp": {"url": broker.as_str(), "password": "broker", "exchange": EVENTS, "queue": QUEUE,
                "publish_exchange": "handoffd.out"}},
            "log": {"format": "json", "level": "warn"},
            "secrets": {"client": {"value": "secret"}, "hook": {"value": HOOK},
                "broker": {"value": password}},
            "target": targets,
        });
        let file = self.folder.path().join("handoffd.toml");
        std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_handoffd"));
        command.args(["run", "--config"]).arg(file);
        command
    }
}

fn free() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()))
}
