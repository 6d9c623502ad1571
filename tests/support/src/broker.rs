//! A real RabbitMQ.

use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::{Gateway, unique, variable};

/// A broker: a virtual host of the shared node, or a node of one's own.
pub struct Broker {
    node: String,
    vhost: String,
    own: bool,
}

impl Broker {
    /// A virtual host of its own on the shared node: what is closed or deleted here disturbs nobody.
    pub async fn shared() -> Broker {
        let broker = Broker {
            node: "shared".to_owned(),
            vhost: unique("vhost"),
            own: false,
        };
        broker.ctl(&["add_vhost", &broker.vhost]).await;
        broker
            .ctl(&[
                "set_permissions",
                "-p",
                &broker.vhost,
                "guest",
                ".*",
                ".*",
                ".*",
            ])
            .await;
        broker
    }

    /// A node that may be stopped and killed.
    pub async fn own() -> Broker {
        let broker = Broker {
            node: unique("own"),
            vhost: "/".to_owned(),
            own: true,
        };
        broker.start().await;
        broker
    }

    /// Nodes of one cluster, each of which may be stopped and killed.
    pub async fn cluster(count: usize) -> Vec<Broker> {
        let first = Broker::own().await;
        let seed = format!("{}@localhost", first.node);
        let mut nodes = vec![first];
        while nodes.len() < count {
            let node = Broker::own().await;
            node.ctl(&["stop_app"]).await;
            node.ctl(&["join_cluster", &seed]).await;
            node.ctl(&["start_app"]).await;
            nodes.push(node);
        }
        nodes
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        let port = blocking(&["port", &self.node]);
        format!(
            "amqp://guest:guest@127.0.0.1:{}/{}",
            port.trim(),
            self.vhost.replace('/', "%2f")
        )
    }

    /// Its address over TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        let port = blocking(&["tls-port", &self.node]);
        format!(
            "amqps://guest:guest@127.0.0.1:{}/{}",
            port.trim(),
            self.vhost.replace('/', "%2f")
        )
    }

    /// Its virtual host.
    #[must_use]
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        blocking(&["port", &self.node])
            .trim()
            .parse()
            .expect("a port")
    }

    /// The port of its TLS listener.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        blocking(&["tls-port", &self.node])
            .trim()
            .parse()
            .expect("a port")
    }

    /// Starts its node.
    pub async fn start(&self) {
        self.drive("start", &[]).await;
    }

    /// Stops its node in order.
    pub async fn stop(&self) {
        self.drive("stop", &[]).await;
    }

    /// Kills its node.
    pub async fn kill(&self) {
        self.drive("kill", &[]).await;
    }

    /// `rabbitmqctl` on its node.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        self.drive("ctl", arguments).await
    }

    /// The same, for what may be refused; whether it was done.
    pub async fn try_ctl(&self, arguments: &[&str]) -> bool {
        self.output("ctl", arguments).await.status.success()
    }

    /// Closes every connection of its virtual host.
    pub async fn close_connections(&self) {
        self.ctl(&[
            "close_all_connections",
            "--vhost",
            &self.vhost,
            "closed by the test",
        ])
        .await;
    }

    /// Whether a queue is bound to an exchange.
    pub async fn is_bound(&self, queue: &str, exchange: &str) -> bool {
        let columns = ["source_name", "destination_name", "--no-table-headers"];
        let list = ["list_bindings", "-p", &self.vhost];
        let list = self.ctl(&[list.as_slice(), &columns].concat()).await;
        list.lines()
            .any(|line| line.split_whitespace().eq([exchange, queue]))
    }

    /// How many connections its virtual host has.
    pub async fn connections(&self) -> usize {
        let list = self
            .ctl(&["list_connections", "vhost", "--no-table-headers"])
            .await;
        list.lines()
            .filter(|line| line.trim() == self.vhost)
            .count()
    }

    /// Deletes a queue with what is in it.
    pub async fn delete_queue(&self, queue: &str) {
        self.ctl(&["delete_queue", "-p", &self.vhost, queue]).await;
    }

    /// The gateway's side.
    pub async fn gateway(&self) -> Gateway {
        Gateway::connect(&self.url()).await
    }

    async fn drive(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.output(command, arguments).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command} {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn output(&self, command: &str, arguments: &[&str]) -> Output {
        Command::new(variable("HANDOFFD_TEST_RABBITMQCTL"))
            .arg(command)
            .arg(&self.node)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the driver runs")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.own {
            // It may be stopped already.
            let _ = run(&["kill", &self.node]);
        }
    }
}

fn run(arguments: &[&str]) -> std::io::Result<std::process::Output> {
    std::process::Command::new(variable("HANDOFFD_TEST_RABBITMQCTL"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
}

/// For what only reads a file.
fn blocking(arguments: &[&str]) -> String {
    let output = run(arguments).expect("the driver runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
