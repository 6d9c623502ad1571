//! A real PostgreSQL server of one's own.

use std::process::Stdio;

use tokio::process::Command;

use crate::{unique, variable};

/// A database server that may be killed.
pub struct Server {
    name: String,
}

impl Server {
    /// A new server, started.
    pub async fn own() -> Server {
        let server = Server {
            name: unique("own"),
        };
        server.start().await;
        server
    }

    /// Its address, as `postgres://…`.
    pub async fn url(&self) -> String {
        self.drive("url").await.trim().to_owned()
    }

    /// Starts it, and waits until it serves.
    pub async fn start(&self) {
        self.drive("start").await;
    }

    /// Ends it as a crash does.
    pub async fn kill(&self) {
        self.drive("kill").await;
    }

    async fn drive(&self, command: &str) -> String {
        let output = Command::new(variable("HANDOFFD_TEST_POSTGRESCTL"))
            .args([command, &self.name])
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the driver runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be ended already.
        for command in ["kill", "wipe"] {
            let _ = std::process::Command::new(variable("HANDOFFD_TEST_POSTGRESCTL"))
                .args([command, &self.name])
                .stdin(Stdio::null())
                .output();
        }
    }
}
