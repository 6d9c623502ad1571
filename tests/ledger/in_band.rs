//! A ledger of before the fifth step of its schema, which held refusals as texts in facts' values and
//! events that were given up as facts of the ledger's own.

use std::sync::Arc;

use handoffd::ledger::Ledger;
use handoffd::ledger::sqlite::Sqlite;
use handoffd_contract::{Fact, Known, Reason};

use crate::world::*;

/// Each fact with the value that it had, and what is read now.
fn facts() -> Vec<(&'static str, &'static str, Fact)> {
    let is = |value: &str| Fact::Is(value.into());
    let refused = |reason, message: &str| Fact::Refused {
        reason,
        message: message.into(),
    };
    let by_person = || refused(Reason::UnknownOutcome, "a person said that it happened");
    let gone = || {
        let words = "the file is no longer at its source";
        refused(Reason::MediaUnavailable, words)
    };
    vec![
        ("ticket", "T-1", is("T-1")),
        ("sent/1/0", "wamid.1", is("wamid.1")),
        (
            "sent/1/1",
            "!failed:131026:Not: deliverable",
            refused(Reason::Content, "Not: deliverable"),
        ),
        ("sent/1/2", "!failed:131051", refused(Reason::Content, "")),
        (
            "sent/1/3",
            "!failed::it is too large. Attach it again",
            refused(Reason::Content, "it is too large. Attach it again"),
        ),
        ("sent/1/4", "!skipped", by_person()),
        ("contact", "!skipped", by_person()),
        (
            "media/1/1",
            "!WhatsApp refused the file (no)",
            refused(Reason::Content, "WhatsApp refused the file (no)"),
        ),
        (
            "out/1/session.closed",
            "!given-up",
            refused(Reason::LimitExceeded, "too many events came after it"),
        ),
        ("file/m/1", "!gone", gone()),
        (
            "file/m/2",
            "!too-large",
            refused(Reason::TooLarge, "the file is larger than this CRM takes"),
        ),
        (
            "file/m/3",
            "!it is larger than the 9 MB that this Creatio takes",
            refused(
                Reason::Invalid,
                "it is larger than the 9 MB that this Creatio takes",
            ),
        ),
        (
            "file/m/4",
            "!forbidden",
            refused(
                Reason::Forbidden,
                "the file's address is not on the list of allowed sources",
            ),
        ),
        (
            "file/m/5",
            "!type",
            refused(
                Reason::Unsupported,
                "Salesforce does not take files of this type",
            ),
        ),
        (
            "transcript/1",
            "!refused",
            refused(Reason::Invalid, "Salesforce refused the file"),
        ),
        (
            "note/9/c0",
            "!gone",
            refused(Reason::NotFound, "the record that it belongs to is gone"),
        ),
        (
            "owner",
            "!No HubSpot owner has the address a@b.c",
            refused(Reason::NotFound, "No HubSpot owner has the address a@b.c"),
        ),
        (
            "kept/m1",
            "!too-many",
            refused(Reason::LimitExceeded, "more messages came than are kept"),
        ),
        ("kept/m2", "!done", is("")),
        ("kept/m3", "{}", is("{}")),
        (
            "dropped/Case/Name",
            "!? is not taken",
            is("!? is not taken"),
        ),
        ("told/m/read", "!404", refused(Reason::Invalid, "404")),
    ]
}

/// What puts the older facts into an older ledger's only lane, and what is unsure there.
fn older() -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut sql = String::new();
    for (name, value, _) in facts() {
        sql += &format!(
            "INSERT INTO fact (lane, name, value) SELECT id, {}, {} FROM lane;\n",
            quoted(name),
            quoted(value)
        );
    }
    sql += "INSERT INTO fact (lane, name, unsure_since, candidate)
            SELECT id, 'file/m/9', 5, '!it is larger' FROM lane;
            INSERT INTO fact (lane, name, unsure_since, candidate)
            SELECT id, 'case', 6, 'C-1' FROM lane;
            INSERT INTO fact (lane, name, value)
            SELECT lane.id, '!given-up/' || event.seq, '' FROM lane, event
             WHERE event.producer_id = 'late';";
    sql
}

async fn fill(ledger: &Arc<dyn Ledger>) {
    ledger.put(t(0), opening("s1", "1", &["hub"])).await;
    ledger.put(t(0), plain(message("s1", "first"))).await;
    ledger.put(t(0), plain(message("s1", "late"))).await;
}

async fn check(ledger: &Arc<dyn Ledger>) {
    let lease = ledger.take(t(1), "hub").await;
    let loaded = ledger.load(&lease, 9, 9_999).await.unwrap();
    let mut expected = Known::default();
    let facts = facts().into_iter();
    expected
        .0
        .extend(facts.map(|(name, _, fact)| (name.to_owned(), fact)));
    expected.set("code/1/1", "131026");
    expected.set("code/1/2", "131051");
    for (name, micros, candidate) in [("file/m/9", 5, None), ("case", 6, Some("C-1"))] {
        let fact = Fact::Unsure {
            since: jiff::Timestamp::from_microsecond(micros).unwrap(),
            candidate: candidate.map(str::to_owned),
        };
        expected.0.insert(name.to_owned(), fact);
    }
    assert_eq!(loaded.known, expected);
    let ids: Vec<_> = loaded.events.iter().map(|(_, event)| &event.id).collect();
    assert_eq!(ids, ["1", "first"], "the late one stays given up");
}

#[tokio::test]
async fn refusals_of_an_older_file_are_read() {
    let folder = Folder::new();
    let ledger: Arc<dyn Ledger> = Arc::new(Sqlite::open(folder.file()).unwrap());
    fill(&ledger).await;
    drop(ledger);
    let conn = rusqlite::Connection::open(folder.file()).unwrap();
    conn.execute_batch(
        "DROP TABLE crm_schema; DROP TABLE mapping_draft; DROP INDEX event_handoff; DROP TABLE handle; DROP TABLE figure; DROP TABLE counted; ALTER TABLE attempt DROP COLUMN call;
         DROP TABLE sign_in; DROP TABLE sign_in_link; DROP TABLE token; DROP TABLE person; DROP TABLE audit;
         DROP TABLE piece; DROP TABLE file; DROP TABLE file_total;
         DROP TABLE notifier; DROP INDEX event_unattended; DROP TABLE given_up; DROP TABLE fact; ALTER TABLE poison DROP COLUMN source;
         CREATE TABLE fact (
             lane         INTEGER NOT NULL REFERENCES lane (id),
             name         TEXT    NOT NULL,
             value        TEXT,
             unsure_since INTEGER,
             candidate    TEXT,
             PRIMARY KEY (lane, name),
             CHECK ((value IS NULL) = (unsure_since IS NOT NULL)),
             CHECK (candidate IS NULL OR unsure_since IS NOT NULL)
         ) STRICT, WITHOUT ROWID;
         CREATE INDEX fact_by_value ON fact (name, coalesce(value, candidate), lane);
         PRAGMA user_version = 5",
    )
    .unwrap();
    conn.execute_batch(&older()).unwrap();
    drop(conn);
    let ledger: Arc<dyn Ledger> = Arc::new(Sqlite::open(folder.file()).unwrap());
    check(&ledger).await;
}

#[tokio::test]
async fn refusals_of_an_older_schema_are_read() {
    let schema = Schema::new().await;
    let ledger: Arc<dyn Ledger> = Arc::new(schema.open().await);
    fill(&ledger).await;
    drop(ledger);
    let back = "DROP TABLE crm_schema; DROP TABLE mapping_draft; DROP INDEX event_handoff; DROP TABLE handle; DROP TABLE figure; DROP TABLE counted; ALTER TABLE attempt DROP COLUMN call; DROP INDEX session_by_number;
                DROP TABLE sign_in; DROP TABLE sign_in_link; DROP TABLE token; DROP TABLE person; DROP TABLE audit; DROP FUNCTION audit_stays();
                DROP TABLE piece; DROP TABLE file; DROP TABLE file_total; DROP TABLE notifier; DROP INDEX event_unattended; DROP TABLE given_up; ALTER TABLE poison DROP COLUMN source;
                ALTER TABLE fact DROP COLUMN reason, DROP COLUMN message;
                ALTER TABLE fact ADD CONSTRAINT fact_check
                    CHECK ((value IS NULL) = (unsure_since IS NOT NULL));
                UPDATE handoffd_schema SET version = 5;";
    schema.sql(&format!("{back}\n{}", older())).await;
    let ledger: Arc<dyn Ledger> = Arc::new(schema.open().await);
    check(&ledger).await;
    drop(ledger);
    schema.drop().await;
}
