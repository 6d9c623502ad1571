//! What PostgreSQL must do beyond the suite: migrate once, come back after its connections are
//! gone, lose against another transaction and go on, tell the other daemons.

use std::sync::Arc;

use handoffd::ledger::postgres::Postgres;
use handoffd::ledger::{AccessLedger, EventLedger, Ledger, LedgerError, Next, Select};
use handoffd_contract::Reason;
use tokio::task::JoinSet;

use crate::world::*;

/// Cuts every connection to the schema, as a restart of the server does.
const CUT: &str = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity
                    WHERE application_name = current_schema()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_fresh_schema_at_once() {
    let schema = Schema::new().await;
    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        let url = schema.url();
        tasks.spawn(async move { Postgres::open(&url).await.map(|_| ()) });
    }
    assert_eq!(tasks.join_all().await, [(); 6].map(Ok));
    let ledger = schema.open().await;
    ledger.ping().await.unwrap();
    drop(ledger);
    schema.drop().await;
}

/// What was done by whom stays, whoever has the database in hand.
#[tokio::test]
async fn the_audit_log_is_only_added_to() {
    let schema = Schema::new().await;
    let ledger = schema.open().await;
    let entry = crate::access::entry("ana", "retry", 0);
    ledger.note(&entry).await.unwrap();
    drop(ledger);
    for change in [
        "UPDATE audit SET who = 'bob'",
        "DELETE FROM audit",
        "TRUNCATE audit",
    ] {
        let refused = schema.refused(change).await;
        assert!(refused.contains("only added to"), "{change}: {refused}");
    }
    assert_eq!(schema.sql("SELECT who FROM audit").await, "ana");
    schema.drop().await;
}

/// A schema that was made before its second step.
#[tokio::test]
async fn an_older_schema_is_brought_up_to_date() {
    let schema = Schema::new().await;
    let ledger: Arc<dyn Ledger> = Arc::new(schema.open().await);
    ledger.put(t(0), opening("s1", "1", &["hub"])).await;
    drop(ledger);
    schema
        .sql(
            "DROP TABLE crm_schema; DROP TABLE mapping_draft; DROP INDEX event_handoff; DROP TABLE handle; DROP TABLE figure; DROP TABLE counted; ALTER TABLE attempt DROP COLUMN call; DROP INDEX session_by_number;
             DROP TABLE sign_in; DROP TABLE sign_in_link; DROP TABLE token; DROP TABLE person; DROP TABLE audit; DROP FUNCTION audit_stays();
             DROP TABLE piece; DROP TABLE file; DROP TABLE file_total; DROP TABLE notifier; DROP INDEX event_unattended; DROP TABLE given_up; ALTER TABLE fact DROP COLUMN reason, DROP COLUMN message;
             ALTER TABLE fact ADD CONSTRAINT fact_check
                 CHECK ((value IS NULL) = (unsure_since IS NOT NULL));
             ALTER TABLE poison DROP COLUMN session, DROP COLUMN source; ALTER TABLE lane DROP COLUMN look_at;
             DROP INDEX event_by_producer_id;
             DROP INDEX event_of_control; ALTER TABLE session DROP COLUMN state,
                 DROP COLUMN controller, DROP COLUMN since, DROP COLUMN deadline_at;
             UPDATE handoffd_schema SET version = 1",
        )
        .await;
    let ledger: Arc<dyn Ledger> = Arc::new(schema.open().await);
    let lease = ledger.take(t(1), "hub").await;
    assert_eq!(ledger.load(&lease, 9, 9_999).await.unwrap().events.len(), 1);
    crate::durable::people_have_it(&ledger).await;
    drop(ledger);
    assert_eq!(
        schema.sql("SELECT version FROM handoffd_schema").await,
        "12"
    );
    schema.drop().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let schema = Schema::new().await;
    drop(schema.open().await);
    schema.sql("UPDATE handoffd_schema SET version = 99").await;
    let refused = Postgres::open(&schema.url()).await.map(|_| ());
    let Err(LedgerError::Failed(words)) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        words.contains("newer handoffd: its schema is version 99"),
        "{words}"
    );
    schema.drop().await;
}

#[tokio::test]
async fn what_cannot_be_reached_is_said() {
    for (url, says) in [
        ("postgres://nobody@127.0.0.1:1/x", "refused"),
        (
            "postgres://u@127.0.0.1:1/x?sslmode=prefer",
            "disable, require or verify-full",
        ),
    ] {
        let Err(LedgerError::Failed(words)) = Postgres::open(url).await.map(|_| ()) else {
            panic!("{url} opens")
        };
        assert!(words.contains(says), "{words}");
    }
}

#[tokio::test]
async fn encryption_is_not_given_up_when_the_server_has_none() {
    let schema = Schema::new().await;
    if schema.sql("SHOW ssl").await == "off" {
        let opened = Postgres::open(&format!("{}&sslmode=require", schema.url())).await;
        let Err(LedgerError::Failed(words)) = opened.map(|_| ()) else {
            panic!("opens without TLS")
        };
        assert!(words.contains("TLS"), "{words}");
    }
    schema.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_when_its_connections_are_cut() {
    let schema = Schema::new().await;
    let ledger: Arc<dyn Ledger> = Arc::new(schema.open().await);
    let mut stored = 0;
    for round in 0..5 {
        for n in 0..20 {
            ledger
                .put(t(0), plain(message("s", &format!("{round}-{n}"))))
                .await;
            stored += 1;
        }
        schema.sql(CUT).await;
    }
    assert_eq!(
        ledger.session_report("s").await.unwrap().events.len(),
        stored
    );
    drop(ledger);
    schema.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_loses_a_deadlock_is_done_again() {
    let schema = Schema::new().await;
    let ledger: Arc<dyn Ledger> = Arc::new(schema.open().await);
    ledger.put(t(0), opening("s", "1", &["hub"])).await;
    // Takes the locks in the wrong order, and is more patient than the ledger's transaction.
    schema.sql("SET deadlock_timeout = '60s'").await;
    schema.sql("BEGIN").await;
    schema.sql("SELECT id::text FROM lane FOR UPDATE").await;
    let admitting = {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move { ledger.put(t(1), plain(message("s", "2"))).await })
    };
    let waiting = "SELECT count(*)::text FROM pg_stat_activity
                    WHERE application_name = current_schema() AND wait_event_type = 'Lock'";
    while schema.sql(waiting).await != "1" {}
    schema.sql("SELECT id FROM session FOR UPDATE").await;
    schema.sql("COMMIT").await;
    admitting.await.unwrap();
    assert_eq!(ledger.session_report("s").await.unwrap().events.len(), 2);
    drop(ledger);
    schema.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_daemon_tells_the_others() {
    let schema = Schema::new().await;
    let a: Arc<dyn Ledger> = Arc::new(schema.open().await);
    let b: Arc<dyn Ledger> = Arc::new(schema.open().await);
    let mut since = "-infinity".to_owned();
    for round in 0..2 {
        // A new listener says so once; from then on only the other daemon's changes come.
        let listening = format!(
            "SELECT count(*)::text FROM pg_stat_activity
              WHERE application_name = current_schema() AND backend_start > '{since}'
                AND query SIMILAR TO '(LISTEN|NOTIFY) %' AND state = 'idle'"
        );
        while schema.sql(&listening).await != "2" {}
        let changed = b.changed();
        for n in 0.. {
            let waiting = changed.next_of_lanes();
            let id = format!("{round}-{n}");
            a.put(t(0), opening(&id, &id, &["hub"])).await;
            waiting.await;
            if n == 3 {
                break;
            }
        }
        since = schema.sql("SELECT clock_timestamp()::text").await;
        schema.sql(CUT).await;
    }
    drop((a, b));
    schema.drop().await;
}

/// 4,000 sessions with one idle lane each, five events, two facts, an attempt, a feed that nobody
/// wants and a webhook that is done with.
const MUCH: &str = "
    INSERT INTO session (id, data, business_number, customer, inbound_at)
        SELECT 's' || n, '{}', '+49', 'c' || n, n FROM generate_series(1, 4000) n;
    INSERT INTO customer SELECT '+49', 'c' || n, n FROM generate_series(1, 4000) n;
    INSERT INTO event (key, session, kind, producer_id, time, received_at, body)
        SELECT decode(md5(n::text), 'hex'), 's' || (n % 4000 + 1), 'x', n, n, n, '{}'
          FROM generate_series(1, 20000) n;
    INSERT INTO lane (session, target, head, state, updated_at)
        SELECT 's' || n, 'hub', 20000, 'idle', n FROM generate_series(1, 4000) n;
    INSERT INTO fact (lane, name, value)
        SELECT id, name, id FROM lane, (VALUES ('ticket'), ('contact')) names (name);
    INSERT INTO attempt (lane, step, started_at, millis, outcome)
        SELECT id, 'x', 1, 1, 'known' FROM lane;
    INSERT INTO inbox (target, key, headers, body, received_at, state)
        SELECT 'hub', decode(md5(n::text), 'hex'), '{}', '', 1800000000000000 + n, 'done'
          FROM generate_series(1, 4000) n;
    INSERT INTO feed (target, key, listeners)
        SELECT 'hub', 'user' || n, 0 FROM generate_series(1, 4000) n;
    ANALYZE";

#[tokio::test]
async fn what_it_reads_does_not_grow_with_what_is_stored() {
    let schema = Schema::new().await;
    drop(schema.open().await);
    schema.sql(MUCH).await;
    let url = schema.url().replace("%20-cenable_seqscan%3Doff", "");
    let before = schema.rows_read().await;

    let ledger: Arc<dyn Ledger> = Arc::new(Postgres::open(&url).await.unwrap());
    let seq = ledger.put(t(0), inbound("s7", "new", "c7", t(0))).await;
    let lease = ledger.take(t(0), "hub").await;
    ledger.renew(&lease, t(60)).await.unwrap();
    assert_eq!(
        ledger.load(&lease, 50, 100_000).await.unwrap().events.len(),
        1
    );
    ledger
        .begin(&lease, t(1), vec![("note".into(), None)])
        .await
        .unwrap();
    let changes = vec![handoffd::ledger::Change::Set("note".into(), "n".into())];
    ledger
        .finish(&lease, t(1), vec![attempt("x", "known")], changes, vec![])
        .await
        .unwrap();
    ledger.listen(&lease, Some("user")).await.unwrap();
    let feeds = ledger
        .claim_feeds(t(1), "me", &targets(), 5, t(60))
        .await
        .unwrap();
    ledger.renew_feeds(&feeds, t(70)).await.unwrap();
    ledger.release_feed(&feeds[0]).await.unwrap();
    assert_eq!(ledger.listeners("hub", "user").await.unwrap().len(), 1);
    let lanes = ledger.lanes_by_fact("hub", "ticket", "77").await.unwrap();
    assert_eq!(lanes.len(), 1);
    assert!(!ledger.is_ours(lease.lane, "nobody's").await.unwrap());
    assert!(ledger.session_of("+49", "c9").await.unwrap().is_some());
    assert!(
        ledger
            .keep_webhook(t(1), "hub", "{}", b"new")
            .await
            .unwrap()
    );
    assert_eq!(
        ledger
            .claim_webhooks(t(1), "me", "hub", 9, t(60))
            .await
            .unwrap()
            .len(),
        1
    );
    ledger.next_due(t(1)).await.unwrap();
    ledger
        .release(lease, t(2), leaving(seq, parked(Reason::Mapping)))
        .await
        .unwrap();
    assert_eq!(
        ledger.retry(t(3), Select::All, false).await.unwrap().len(),
        1
    );
    assert_eq!(
        ledger
            .skip(t(3), Select::Target("hub".into()), false)
            .await
            .unwrap(),
        []
    );
    assert_eq!(ledger.groups().await.unwrap(), []);
    assert_eq!(ledger.session_report("s7").await.unwrap().events.len(), 6);
    ledger.event(seq).await.unwrap();
    ledger.release_all_leases("me").await.unwrap();
    drop(ledger);

    let read = schema.rows_read().await - before;
    assert!(read < 500, "{read} rows were read");
    schema.drop().await;
}

#[tokio::test]
async fn a_nul_in_what_comes_from_outside_stops_nothing() {
    let schema = Schema::new().await;
    let ledger: Arc<dyn Ledger> = Arc::new(schema.open().await);
    let mut odd = inbound("s\0x", "1\0", "491", t(0));
    odd.opens = vec!["hub".into()];
    ledger.put(t(0), odd).await;
    assert_eq!(
        ledger
            .admit(t(0), vec![plain(message("s\0x", "1\0"))])
            .await
            .unwrap(),
        [handoffd::ledger::Admitted::Duplicate]
    );
    let lease = ledger.take(t(0), "hub").await;
    let loaded = ledger.load(&lease, 10, 10_000).await.unwrap();
    assert_eq!((loaded.events.len(), loaded.last_inbound), (1, Some(t(0))));
    let changes = vec![handoffd::ledger::Change::Set("a\0".into(), "b\0".into())];
    ledger
        .finish(&lease, t(1), vec![], changes, vec![])
        .await
        .unwrap();
    assert!(ledger.is_ours(lease.lane, "b\0").await.unwrap());
    ledger
        .release(lease, t(1), leaving(99, Next::Idle))
        .await
        .unwrap();
    drop(ledger);
    schema.drop().await;
}

/// Refused once for want of room, the server is not taken for well before a table could be made in it.
#[tokio::test]
async fn a_full_disk_shows_until_there_is_room_again() {
    let schema = Schema::new().await;
    let ledger: Arc<dyn Ledger> = Arc::new(schema.open().await);
    ledger.ping().await.unwrap();
    schema
        .sql(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$;
             CREATE TRIGGER full_disk BEFORE INSERT ON event EXECUTE FUNCTION full_disk();
             CREATE TABLE handoffd_room ()",
        )
        .await;
    let refused = ledger.admit(t(0), vec![opening("s1", "1", &["hub"])]).await;
    assert!(matches!(refused, Err(LedgerError::Full(_))), "{refused:?}");
    // No table can be made: its name is taken.
    assert!(ledger.ping().await.is_err());
    schema.sql("DROP TABLE handoffd_room").await;
    assert_eq!(ledger.ping().await, Ok(()));
    drop(ledger);
    schema.drop().await;
}

#[tokio::test]
async fn a_database_without_a_ledger_gets_none_from_an_operator() {
    let schema = Schema::new().await;
    let refused = handoffd::ledger::open_existing(&schema.url()).await;
    let Err(LedgerError::Failed(words)) = refused.map(|_| ()) else {
        panic!("opened")
    };
    assert!(
        words.starts_with("there is no ledger in this database"),
        "{words}"
    );
    let made = "SELECT count(*)::text FROM pg_tables WHERE schemaname = current_schema()";
    assert_eq!(schema.sql(made).await, "0");
    drop(schema.open().await);
    drop(
        handoffd::ledger::open_existing(&schema.url())
            .await
            .unwrap(),
    );
    schema.drop().await;
}
