//! Where a fleet's ledger is: a schema on the shared server, or a server of its own that may be
//! stopped.

use handoffd_test_support::{Server, postgres_url};
use tokio_postgres::{Client, NoTls};

/// A schema of its own on the shared server, or the only one of its own server.
pub struct Database {
    server: String,
    name: String,
    own: Option<Server>,
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

    /// A server of its own.
    pub async fn own() -> Database {
        let own = Server::own().await;
        let database = Database {
            server: own.url().await,
            name: format!("t{}", uuid::Uuid::new_v4().simple()),
            own: Some(own),
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
    pub async fn stop(&self) {
        self.server().kill().await;
    }

    /// Starts it again.
    pub async fn start(&self) {
        self.server().start().await;
    }

    fn server(&self) -> &Server {
        self.own.as_ref().expect("a server of its own")
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("the server answers");
    tokio::spawn(connection);
    client
}
