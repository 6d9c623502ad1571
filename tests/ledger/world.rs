//! What every case starts from: a fresh ledger with two handles, a clock that stands still, and
//! short ways to say what happens.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use handoffd::ledger::postgres::Postgres;
use handoffd::ledger::sqlite::{Counters, Sqlite};
use handoffd::ledger::{Admission, Admitted, Attempt, Lease, Ledger, Next, Release, WebhookRow};
use handoffd_contract::event::{MessageEvent, Session};
use handoffd_contract::{Author, Contact, Data, Event, Handoff, Message, Reason, Stop};
use jiff::{SignedDuration, Timestamp};

/// Two handles on one fresh ledger.
pub struct World {
    /// The first daemon's.
    pub a: Arc<dyn Ledger>,
    /// The second daemon's.
    pub b: Arc<dyn Ledger>,
    ground: Ground,
}

/// What a world stands on.
enum Ground {
    Sqlite {
        counters: [Arc<Counters>; 2],
        _folder: Folder,
    },
    Postgres(Box<Schema>),
}

impl World {
    pub async fn sqlite() -> World {
        let folder = Folder::new();
        let [a, b] = [0, 1].map(|_| Sqlite::open(folder.file()).expect("opens"));
        let counters = [a.counters(), b.counters()];
        World {
            a: Arc::new(a),
            b: Arc::new(b),
            ground: Ground::Sqlite {
                counters,
                _folder: folder,
            },
        }
    }

    pub async fn postgres() -> World {
        let mut schema = Schema::new().await;
        schema.begin().await;
        let [a, b] = [schema.open().await, schema.open().await];
        World {
            a: Arc::new(a),
            b: Arc::new(b),
            ground: Ground::Postgres(Box::new(schema)),
        }
    }

    /// SQLite loads with the claim what PostgreSQL loads lane by lane.
    pub fn loads_what_it_claims(&self) -> bool {
        matches!(self.ground, Ground::Sqlite { .. })
    }

    /// After every case: no statement of it read a large table from end to end, and SQLite compiled
    /// each only once.
    pub async fn end(self) {
        match self.ground {
            Ground::Sqlite { counters, .. } => {
                let again = counters.iter().map(|counters| counters.compiled_again());
                assert_eq!(again.sum::<u64>(), 0, "statements were compiled again");
                for (sql, rows) in counters.iter().flat_map(|counters| counters.scans()) {
                    assert!(may_scan(&sql), "{rows} rows were scanned by {sql}");
                }
            }
            Ground::Postgres(schema) => {
                drop((self.a, self.b));
                schema.end().await;
            }
        }
    }
}

/// Counts for metrics, and tables that stay small.
fn may_scan(sql: &str) -> bool {
    [
        "count(*) FROM lane",
        "FROM poison",
        "FROM inbox WHERE state = 'parked'",
        "FROM daemon",
        "count(*) FROM inbox",
    ]
    .iter()
    .any(|part| sql.contains(part))
}

/// The variable that names a PostgreSQL for tests.
const SERVER: &str = "HANDOFFD_TEST_POSTGRES";

/// A schema of its own on the PostgreSQL for tests, in which no sequential scan is made where any
/// index can serve.
pub struct Schema {
    name: String,
    server: String,
    admin: tokio_postgres::Client,
    scans: HashMap<String, i64>,
}

impl Schema {
    pub async fn new() -> Schema {
        let server = std::env::var(SERVER).unwrap_or_else(|_| {
            panic!(
                "{SERVER} names no PostgreSQL. Run `tests/run`, which starts a private one, or set \
                 it to a database on which this test may create schemas, such as \
                 postgres://postgres@127.0.0.1:5432/postgres"
            )
        });
        let (admin, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls)
            .await
            .unwrap_or_else(|error| panic!("{SERVER}: {error}"));
        tokio::spawn(connection);
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        admin
            .batch_execute(&format!("CREATE SCHEMA {name}; SET search_path = {name}"))
            .await
            .expect("a schema");
        Schema {
            name,
            server,
            admin,
            scans: HashMap::new(),
        }
    }

    /// The address of a ledger in this schema.
    pub fn url(&self) -> String {
        let Schema { name, server, .. } = self;
        let more = if server.contains('?') { '&' } else { '?' };
        format!(
            "{server}{more}application_name={name}\
             &options=-csearch_path%3D{name}%20-cenable_seqscan%3Doff"
        )
    }

    pub async fn open(&self) -> Postgres {
        Postgres::open(&self.url()).await.expect("opens")
    }

    /// Runs a statement of the test's own in this schema, on one connection. Returns the first
    /// value, if any, which must be text.
    pub async fn sql(&self, sql: &str) -> String {
        let rows = self.admin.simple_query(sql).await.expect(sql);
        let first = rows.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        first.unwrap_or_default()
    }

    /// Why a statement is refused, which must be.
    pub async fn refused(&self, sql: &str) -> String {
        let error = self.admin.batch_execute(sql).await.expect_err(sql);
        let said = error.as_db_error().expect("PostgreSQL's own words");
        said.message().to_owned()
    }

    /// Waits until no connection to this schema is left.
    async fn alone(&self) {
        let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
        while self
            .admin
            .query_one(left, &[&self.name])
            .await
            .expect("counts")
            .get::<_, i64>(0)
            > 0
        {}
    }

    /// Whole-table scans until now, by table. They are complete when no connection is left.
    async fn scans(&self) -> HashMap<String, i64> {
        self.alone().await;
        let scans = "SELECT relname::text, seq_scan FROM pg_stat_user_tables
                      WHERE schemaname = $1 AND relname NOT IN ('daemon', 'poison', 'handoffd_schema')";
        let rows = self.admin.query(scans, &[&self.name]).await.expect("scans");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Rows that scans of tables and indexes passed until now. Complete when no connection is left.
    pub async fn rows_read(&self) -> i64 {
        self.alone().await;
        // Counters are published some time after the reads that they count.
        // <https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-STATS-VIEWS>
        self.sql("SELECT pg_stat_force_next_flush()::text").await;
        let read = "SELECT (SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables
                             WHERE schemaname = $1)
                         + (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes
                             WHERE schemaname = $1)";
        let row = self.admin.query_one(read, &[&self.name]).await;
        row.expect("counts").get(0)
    }

    /// Migrates, which may scan.
    async fn begin(&mut self) {
        drop(self.open().await);
        self.scans = self.scans().await;
    }

    async fn end(self) {
        assert_eq!(self.scans().await, self.scans, "whole-table scans");
        self.drop().await;
    }

    pub async fn drop(self) {
        self.alone().await;
        let name = &self.name;
        self.admin
            .batch_execute(&format!("DROP SCHEMA {name} CASCADE"))
            .await
            .expect("dropped");
    }
}

/// A folder that is gone afterwards.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("handoffd-ledger-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("ledger.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The time, in seconds after the suite's beginning.
pub fn t(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

/// The targets whose feeds are claimed.
pub fn targets() -> Vec<String> {
    ["sales", "hub"].map(str::to_owned).into()
}

/// The customer wrote. Without session data.
pub fn message(session: &str, id: &str) -> Event {
    Event {
        id: id.into(),
        source: "/gateway".into(),
        session: session.into(),
        time: t(0),
        sequence: None,
        warnings: Vec::new(),
        data: Data::MessageReceived(MessageEvent {
            message: Message {
                id: format!("wamid.{id}"),
                time: t(0),
                author: Author::default(),
                text: Some(format!("text of {id}")),
                ..Message::default()
            },
            session: None,
            contact: None,
            reference: None,
        }),
    }
}

/// A handoff.
pub fn handoff(session: &str, id: &str) -> Event {
    let data = Data::HandoffRequested(Box::<Handoff>::default());
    Event {
        data,
        ..message(session, id)
    }
}

/// An event that only has to be stored.
pub fn plain(event: Event) -> Admission {
    Admission {
        event,
        opens: Vec::new(),
        passes: Vec::new(),
        session: None,
        contact: None,
        inbound_at: None,
        find: None,
        files: Vec::new(),
    }
}

/// An event that opens lanes, and nothing follows from it.
pub fn opening(session: &str, id: &str, targets: &[&str]) -> Admission {
    let opens = targets.iter().map(|target| (*target).to_owned()).collect();
    Admission {
        opens,
        ..plain(message(session, id))
    }
}

/// A handoff that opens lanes.
pub fn handing(session: &str, id: &str, targets: &[&str]) -> Admission {
    let event = handoff(session, id);
    Admission {
        event,
        ..opening(session, id, targets)
    }
}

/// An event that shows that this customer wrote at this time.
pub fn inbound(session: &str, id: &str, wa_id: &str, at: Timestamp) -> Admission {
    Admission {
        session: Some(session_data(session)),
        contact: Some(customer(wa_id)),
        inbound_at: Some(at),
        ..plain(message(session, id))
    }
}

pub fn session_data(session: &str) -> Session {
    Session {
        id: session.into(),
        business_number: "+4930123".into(),
        ..Session::default()
    }
}

pub fn customer(wa_id: &str) -> Contact {
    Contact {
        wa_id: Some(wa_id.into()),
        ..Contact::default()
    }
}

pub fn stop(reason: Reason) -> Stop {
    Stop::new(reason, format!("words of {}", reason.label()))
}

pub fn attempt(step: &str, outcome: &str) -> Attempt {
    Attempt {
        step: step.into(),
        call: Some("POST /records".into()),
        started_at: t(5),
        millis: 12,
        status: Some(200),
        outcome: outcome.into(),
        stop: None,
    }
}

/// How a worker leaves when it has shown everything up to `head`.
pub fn leaving(head: i64, next: Next) -> Release {
    Release {
        head,
        seen: head,
        next,
        attempts: 0,
        events: Vec::new(),
    }
}

/// It waits for the customer.
pub fn held(until: Option<Timestamp>) -> Next {
    Next::Held {
        stop: stop(Reason::WindowClosed),
        until,
    }
}

/// It failed and is tried again.
pub fn backoff(at: Timestamp) -> Next {
    Next::Due {
        at,
        stop: Some(stop(Reason::ServerError)),
    }
}

/// It needs a person.
pub fn parked(reason: Reason) -> Next {
    Next::Parked { stop: stop(reason) }
}

/// Opens a session with one lane, which is claimed and left at once with nothing shown.
pub async fn lane(w: &World, session: &str, target: &str, next: Next) -> Lease {
    let id = format!("{session}-{target}");
    let seq = w.a.put(t(0), opening(session, &id, &[target])).await;
    let lease = w.a.take(t(0), target).await;
    let release = Release {
        attempts: 2,
        seen: seq,
        ..leaving(seq - 1, next)
    };
    let released = w.a.release(lease.clone(), t(1), release).await;
    released.expect("releases");
    lease
}

/// A webhook that came and is being worked on.
pub async fn webhook(w: &World, body: &[u8]) -> WebhookRow {
    let kept = w.a.keep_webhook(t(0), "hub", "{}", body).await;
    assert_eq!(kept, Ok(true));
    let mut rows =
        w.a.claim_webhooks(t(0), "me", "hub", 1, t(60))
            .await
            .expect("claims");
    rows.remove(0)
}

/// The sequence number of an event that was new.
pub fn seq(admitted: &[Admitted]) -> i64 {
    match admitted {
        [Admitted::New(seq)] => *seq,
        other => panic!("not one new event: {other:?}"),
    }
}

/// Short ways over a ledger.
pub trait Short {
    /// Admits one event at `now`; returns its sequence number.
    async fn put(&self, now: Timestamp, admission: Admission) -> i64;
    /// Claims the one lane of the target that must be due at `now`, for a minute.
    async fn take(&self, now: Timestamp, target: &str) -> Lease;
    /// Whether nothing of the target can be claimed at `now`. What can is claimed.
    async fn nothing(&self, now: Timestamp, target: &str) -> bool;
}

impl Short for Arc<dyn Ledger> {
    async fn put(&self, now: Timestamp, admission: Admission) -> i64 {
        seq(&self.admit(now, vec![admission]).await.expect("admits"))
    }

    async fn take(&self, now: Timestamp, target: &str) -> Lease {
        let until = now + SignedDuration::from_secs(60);
        let mut leases = self
            .claim(now, "me", target, 10, until)
            .await
            .expect("claims");
        assert_eq!(leases.len(), 1, "one lane of {target} is due: {leases:?}");
        leases.remove(0)
    }

    async fn nothing(&self, now: Timestamp, target: &str) -> bool {
        let until = now + SignedDuration::from_secs(60);
        self.claim(now, "me", target, 10, until)
            .await
            .expect("claims")
            .is_empty()
    }
}
