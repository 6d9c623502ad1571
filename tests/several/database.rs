//! Where a fleet's ledger is: a schema on the shared server, or a server of its own that may be
//! stopped.

use std::path::PathBuf;
use std::process::Command;

use handoffd_test_support::postgres_url;
use tokio_postgres::{Client, NoTls};

/// A schema of its own on the shared server, or the only one of its own server.
pub struct Database {
    server: String,
    name: String,
    own: Option<PathBuf>,
}

impl Database {
    /// A schema of its own on the shared server.
    pub async fn shared() -> Database {
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let database = Database {
            server: postgres_url(),
            name,
            own: None,
        };
        database.create().await;
        database
    }

    /// A server of its own, below the temporary folder.
    pub async fn own() -> Database {
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let folder = std::env::temp_dir().join(format!("handoffd-{name}"));
        let folder_text = folder.display().to_string();
        drive("start", &folder_text);
        let port = drive("port", &folder_text);
        let database = Database {
            server: format!("postgres://postgres@127.0.0.1:{}/postgres", port.trim()),
            name,
            own: Some(folder),
        };
        database.create().await;
        database
    }

    async fn create(&self) {
        let client = connect(&self.server).await;
        let sql = format!("CREATE SCHEMA {}", self.name);
        client.batch_execute(&sql).await.expect("a schema");
    }

    /// The address of a ledger here.
    pub fn url(&self) -> String {
        let more = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{more}options=-csearch_path%3D{}", self.server, self.name)
    }

    /// The first column of every row, as text.
    pub async fn sql(&self, sql: &str) -> Vec<String> {
        let client = connect(&self.url()).await;
        let rows = client.query(sql, &[]).await.expect("a statement");
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Stops the server and cuts its connections.
    pub fn stop(&self) {
        drive("stop", &self.folder());
    }

    /// Starts it again.
    pub fn start(&self) {
        drive("start", &self.folder());
    }

    fn folder(&self) -> String {
        let own = self.own.as_ref().expect("a server of its own");
        own.display().to_string()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.own.is_some() {
            drive("wipe", &self.folder());
        }
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("the server answers");
    tokio::spawn(connection);
    client
}

fn drive(command: &str, folder: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/postgres");
    let output = Command::new(script)
        .args([command, folder])
        .output()
        .expect("the driver runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
