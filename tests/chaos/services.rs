//! The services of a run, of its own so that they may be killed: RabbitMQ and PostgreSQL.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use handoffd_test_support::{Broker, Server};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::proxy::Proxy;

/// A queue that was deleted, which may be later than we were told, is declared and written down again
/// within this time.
const DECLARED: Duration = Duration::from_secs(8);
/// How long the answer to a deletion is waited for.
const DELETED: Duration = Duration::from_secs(30);

/// The broker: one node, or a cluster of several behind two proxies.
pub struct Rabbit {
    nodes: Vec<Broker>,
    /// The daemons' way to it.
    pub daemons: Proxy,
    /// The gateway's way to it, on which nothing is ever wrong but the node itself.
    pub gateway: Proxy,
    /// Held while something is done to its nodes or queues.
    turn: Mutex<()>,
}

impl Rabbit {
    pub async fn start(nodes: usize, seed: u64) -> Rabbit {
        let nodes = Broker::cluster(nodes).await;
        let first = local(nodes[0].port());
        Rabbit {
            nodes,
            daemons: Proxy::start(first, seed).await,
            gateway: Proxy::start(first, seed).await,
            turn: Mutex::new(()),
        }
    }

    /// Where the gateway connects.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.gateway.address())
    }

    /// Kills a node, and starts it again after so long. In a cluster, clients come to another node
    /// meanwhile.
    pub async fn kill(&self, node: usize, down: Duration) -> bool {
        let _turn = self.turn.lock().await;
        let node = node % self.nodes.len();
        self.nodes[node].kill().await;
        if self.nodes.len() > 1 {
            let next = local(self.nodes[(node + 1) % self.nodes.len()].port());
            self.daemons.lead_to(next);
            self.gateway.lead_to(next);
            sleep(down).await;
        }
        self.nodes[node].start().await;
        true
    }

    /// Closes every connection; not while a node is down.
    pub async fn close_connections(&self) -> bool {
        let Ok(_turn) = self.turn.try_lock() else {
            return false;
        };
        self.nodes[0].close_connections().await;
        true
    }

    /// Deletes a queue, with what is in it. Whether that was confirmed; `None` while a node is down,
    /// when it is not even tried.
    pub async fn delete(&self, queue: &str) -> Option<bool> {
        let _turn = self.turn.try_lock().ok()?;
        // A queue that has just lost its leader, or is not there again yet, cannot be deleted.
        let delete = ["delete_queue", queue];
        let deleted = self.nodes[0].try_ctl(&delete);
        let deleted = timeout(DELETED, deleted).await.unwrap_or(false);
        // A node of RabbitMQ 3.10 that is killed within moments of a quorum queue's declaration may
        // forget who leads it, for ever; no client can mend that.
        sleep(DECLARED).await;
        Some(deleted)
    }
}

/// A database on a PostgreSQL server of the run's own, behind a proxy.
pub struct Database {
    server: Server,
    server_url: String,
    /// The daemons' way to it.
    pub proxy: Proxy,
    turn: Mutex<()>,
}

/// The database's name.
const NAME: &str = "handoffd";

impl Database {
    pub async fn start(seed: u64) -> Database {
        let server = Server::own().await;
        let server_url = server.url().await;
        let port = Url::parse(&server_url).ok().and_then(|url| url.port());
        let proxy = Proxy::start(local(port.expect("a port")), seed).await;
        let database = Database {
            server,
            server_url,
            proxy,
            turn: Mutex::new(()),
        };
        let made = database.run(&format!("CREATE DATABASE {NAME}")).await;
        made.expect("a database can be made");
        database
    }

    /// Where the daemons connect.
    pub fn url(&self) -> String {
        let mut url = Url::parse(&self.server_url).expect("an address");
        url.set_port(Some(self.proxy.address().port()))
            .expect("it has a host");
        url.set_path(NAME);
        url.to_string()
    }

    /// The server crashes and is started again.
    pub async fn kill(&self) -> bool {
        let Ok(_turn) = self.turn.try_lock() else {
            return false;
        };
        self.server.kill().await;
        self.server.start().await;
        true
    }

    /// Ends every session of the daemons.
    pub async fn end_sessions(&self) -> bool {
        let Ok(_turn) = self.turn.try_lock() else {
            return false;
        };
        let sessions = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{NAME}'"
        );
        self.run(&sessions).await.is_ok()
    }

    async fn run(&self, statement: &str) -> Result<(), tokio_postgres::Error> {
        let (client, connection) =
            tokio_postgres::connect(&self.server_url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let done = client.batch_execute(statement).await;
        drop(client);
        let _ = connection.await;
        done
    }
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
