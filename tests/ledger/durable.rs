//! What SQLite must do beyond the suite: survive a kill, a full disk, two that open at once; commit
//! in groups; end when it is dropped.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};

use handoffd::ledger::sqlite::Sqlite;
use handoffd::ledger::{AccessLedger, EventLedger, Ledger, LedgerError, OperatorLedger};
use handoffd_contract::Data;
use handoffd_contract::event::RepEnded;
use tokio::task::JoinSet;

use crate::world::*;

/// The variable under which the child process finds its file.
const CHILD: &str = "HANDOFFD_TEST_LEDGER_CHILD";

/// Runs this test program again, as a child that admits events for ever and prints the id of each
/// one that was answered.
fn child(folder: &Folder) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "durable::child_admits_for_ever", "--nocapture"])
        .env(CHILD, folder.file())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Only a child does anything here; in the suite's own process the variable is not set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_admits_for_ever() {
    let Some(file) = std::env::var_os(CHILD) else {
        return;
    };
    let ledger: Arc<dyn Ledger> = Arc::new(Sqlite::open(file).unwrap());
    let mut tasks = JoinSet::new();
    for n in 0..16 {
        let ledger = Arc::clone(&ledger);
        tasks.spawn(async move {
            for i in 0.. {
                let id = format!("{}-{n}-{i}", std::process::id());
                ledger
                    .put(t(0), opening(&format!("s{n}"), &id, &["hub"]))
                    .await;
                println!("acked {id}");
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let folder = Folder::new();
    let mut acked: Vec<String> = Vec::new();
    for round in 1..=4 {
        let mut process = child(&folder).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some(id) = line.strip_prefix("acked ") {
                acked.push(id.to_owned());
            }
            if acked.len() >= round * 300 {
                process.kill().unwrap();
                break;
            }
        }
        // What it had still printed before it died.
        acked.extend(
            lines
                .map_while(Result::ok)
                .filter_map(|line| line.strip_prefix("acked ").map(str::to_owned)),
        );
        process.wait().unwrap();
    }
    assert!(acked.len() >= 1_200);
    let ledger = Sqlite::open(folder.file()).unwrap();
    let mut stored = std::collections::HashSet::new();
    for n in 0..16 {
        let story = ledger.session_report(&format!("s{n}")).await.unwrap();
        stored.extend(story.events.into_iter().map(|(_, _, _, id, _)| id));
    }
    let lost: Vec<_> = acked.iter().filter(|id| !stored.contains(*id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}",
        lost.len(),
        acked.len()
    );
}

/// Admits until nothing more fits; returns how many did.
async fn fill(ledger: &dyn Ledger, from: usize) -> usize {
    for n in from..from + 100_000 {
        let batch = vec![
            opening(&format!("s{n}"), &format!("{n}-a"), &["hub"]),
            plain(message("all", &format!("{n}-b"))),
        ];
        match ledger.admit(t(0), batch).await {
            Ok(_) => {}
            Err(LedgerError::Full(_)) => return n,
            Err(other) => panic!("{other}"),
        }
    }
    unreachable!("a disk without end")
}

/// Nothing of the refused batch is there, everything of the others is.
async fn whole(ledger: &dyn Ledger, count: usize) {
    let story = ledger.session_report(&format!("s{count}")).await.unwrap();
    assert!(story.events.is_empty() && story.lanes.is_empty());
    assert_eq!(
        ledger.session_report("all").await.unwrap().events.len(),
        count
    );
    assert_eq!(
        ledger
            .session_report(&format!("s{}", count - 1))
            .await
            .unwrap()
            .lanes
            .len(),
        1
    );
}

#[tokio::test]
async fn a_quota_refuses_whole_batches_and_gives_way_again() {
    let folder = Folder::new();
    let ledger = Sqlite::open(folder.file()).unwrap();
    ledger.quota(400_000).await.unwrap();
    let count = fill(&ledger, 0).await;
    assert!(count > 50, "{count}");
    whole(&ledger, count).await;
    assert!(
        matches!(fill(&ledger, count).await, n if n == count),
        "it stays full"
    );
    assert!(
        matches!(ledger.ping().await, Err(LedgerError::Full(_))),
        "the pulse alone would still beat"
    );
    ledger.quota(800_000).await.unwrap();
    assert_eq!(ledger.ping().await, Ok(()));
    let more = fill(&ledger, count).await;
    assert!(more > count + 50, "{more}");
    whole(&ledger, more).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_refuses_whole_batches_and_gives_way_again() {
    // A file size limit makes the write itself fail, in the middle of a commit, as a full disk does.
    // It is set for a child, for it holds for a whole process; `prlimit` lifts it again.
    let folder = Folder::new();
    let program = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -S -f 1200; exec \"$0\" --exact durable::child_on_a_full_disk --nocapture")
        .arg(program)
        .env(CHILD, folder.file())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("went on"),
        "{output:?}"
    );
}

/// Only a child does anything here.
#[tokio::test]
async fn child_on_a_full_disk() {
    let Some(file) = std::env::var_os(CHILD) else {
        return;
    };
    let ledger = Sqlite::open(file).unwrap();
    let count = fill(&ledger, 0).await;
    assert!(count > 5, "{count}");
    whole(&ledger, count).await;
    assert!(matches!(ledger.ping().await, Err(LedgerError::Full(_))));
    let lifted = Command::new("prlimit")
        .args([
            "--fsize=unlimited:",
            "--pid",
            &std::process::id().to_string(),
        ])
        .status();
    assert!(lifted.unwrap().success());
    let dynamic: Arc<dyn Ledger> = Arc::new(ledger);
    dynamic
        .put(t(0), opening(&format!("s{count}"), "again", &["hub"]))
        .await;
    for n in 0..200 {
        dynamic
            .put(t(0), plain(message("later", &n.to_string())))
            .await;
    }
    dynamic.ping().await.unwrap();
    println!("went on");
}

#[test]
fn many_may_open_a_fresh_file_at_once() {
    for _ in 0..10 {
        let folder = Folder::new();
        let barrier = Barrier::new(4);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        Sqlite::open(folder.file()).map(|_| ())
                    })
                })
                .collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Ok(()));
            }
        });
    }
}

/// Of a session from before its state was kept nothing is kept from people: the rep's end is an end.
pub async fn people_have_it(ledger: &Arc<dyn Ledger>) {
    let ended = RepEnded {
        target: "hub".into(),
        status: None,
    };
    let mut event = message("s1", "ended");
    event.data = Data::RepEnded(ended);
    ledger.put(t(2), plain(event)).await;
    let closed = ledger.conversations("closed", 9).await.unwrap();
    assert_eq!(closed.len(), 1, "{closed:?}");
}

/// A file that was written before the second step of the schema.
#[tokio::test]
async fn an_older_ledger_is_brought_up_to_date() {
    let folder = Folder::new();
    let ledger: Arc<dyn Ledger> = Arc::new(Sqlite::open(folder.file()).unwrap());
    ledger.put(t(0), opening("s1", "1", &["hub"])).await;
    drop(ledger);
    let conn = rusqlite::Connection::open(folder.file()).unwrap();
    conn.execute_batch(
        "DROP TABLE crm_schema; DROP TABLE mapping_draft; DROP INDEX event_handoff; DROP TABLE handle; DROP TABLE figure; DROP TABLE counted; ALTER TABLE attempt DROP COLUMN call;
         DROP TABLE sign_in; DROP TABLE sign_in_link; DROP TABLE token; DROP TABLE person; DROP TABLE audit;
         DROP TABLE piece; DROP TABLE file; DROP TABLE file_total; DROP TABLE notifier; DROP INDEX event_unattended; DROP TABLE given_up; DROP INDEX poison_of_session; ALTER TABLE poison DROP COLUMN session;
         ALTER TABLE poison DROP COLUMN source;
         DROP INDEX lane_unlooked; ALTER TABLE lane DROP COLUMN look_at;
         DROP INDEX event_by_producer_id; DROP INDEX event_of_control; DROP INDEX session_due;
         DROP INDEX session_of_controller; ALTER TABLE session DROP COLUMN state;
         ALTER TABLE session DROP COLUMN controller; ALTER TABLE session DROP COLUMN since;
         ALTER TABLE session DROP COLUMN deadline_at; PRAGMA user_version = 1",
    )
    .unwrap();
    drop(conn);
    let ledger: Arc<dyn Ledger> = Arc::new(Sqlite::open(folder.file()).unwrap());
    let lease = ledger.take(t(1), "hub").await;
    assert_eq!(ledger.load(&lease, 9, 9_999).await.unwrap().events.len(), 1);
    people_have_it(&ledger).await;
    drop(ledger);
    let conn = rusqlite::Connection::open(folder.file()).unwrap();
    let version: i32 = conn
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 12);
}

/// What was done by whom stays, whoever has the file in hand.
#[tokio::test]
async fn the_audit_log_is_only_added_to() {
    let folder = Folder::new();
    let ledger = Sqlite::open(folder.file()).unwrap();
    let entry = crate::access::entry("ana", "retry", 0);
    ledger.note(&entry).await.unwrap();
    drop(ledger);
    let conn = rusqlite::Connection::open(folder.file()).unwrap();
    for change in ["UPDATE audit SET who = 'bob'", "DELETE FROM audit"] {
        let refused = conn.execute_batch(change).unwrap_err().to_string();
        assert!(refused.contains("only added to"), "{change}: {refused}");
    }
    let who: String = conn
        .query_row("SELECT who FROM audit", [], |row| row.get(0))
        .unwrap();
    assert_eq!(who, "ana");
}

#[test]
fn a_newer_ledger_and_other_files_are_refused() {
    let refused = |folder: &Folder| match Sqlite::open(folder.file()) {
        Err(LedgerError::Failed(words)) => words,
        other => panic!("{:?}", other.map(|_| ())),
    };
    let newer = Folder::new();
    drop(Sqlite::open(newer.file()).unwrap());
    let conn = rusqlite::Connection::open(newer.file()).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    assert!(refused(&newer).contains("newer handoffd: its schema is version 99"));

    let foreign = Folder::new();
    let conn = rusqlite::Connection::open(foreign.file()).unwrap();
    conn.execute_batch("CREATE TABLE photos (id INTEGER)")
        .unwrap();
    assert!(refused(&foreign).contains("not a ledger"));

    let text = Folder::new();
    std::fs::write(
        text.file(),
        "Dear diary, today I wrote a lot of text into a file.",
    )
    .unwrap();
    assert!(refused(&text).contains("not a database"));

    let nowhere = Sqlite::open(text.path().join("no/such/folder/ledger.db"));
    assert!(
        matches!(nowhere, Err(LedgerError::Failed(words)) if words.contains("cannot be created"))
    );
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let _ledger = Sqlite::open(folder.file()).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_committed_together() {
    let folder = Folder::new();
    let ledger = Arc::new(Sqlite::open(folder.file()).unwrap());
    let before = ledger.counters().commits();
    let mut tasks = JoinSet::new();
    // The first one holds the writer, so that all the others wait behind it.
    let blocker = rusqlite::Connection::open(folder.file()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 0..600 {
        let ledger: Arc<dyn Ledger> = ledger.clone();
        tasks.spawn(async move {
            ledger
                .put(t(0), plain(message(&format!("s{n}"), &n.to_string())))
                .await
        });
    }
    while ledger.waiting() < 599 {
        tokio::task::yield_now().await;
    }
    blocker.execute_batch("COMMIT").unwrap();
    let seqs = tasks.join_all().await;
    assert_eq!(seqs.len(), 600);
    let commits = ledger.counters().commits() - before;
    assert_eq!(
        (ledger.counters().commands(), commits),
        (600, 3),
        "256 + 256 + 88"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_takes_nobody_with_it() {
    let folder = Folder::new();
    let ledger = Arc::new(Sqlite::open(folder.file()).unwrap());
    let blocker = rusqlite::Connection::open(folder.file()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..30 {
        let ledger: Arc<dyn Ledger> = ledger.clone();
        tasks.spawn(async move {
            let events = vec![plain(message("s", &n.to_string()))];
            if n % 3 == 0 {
                // There is no such dead letter: refused after its event was stored.
                ledger.resolve_dead_letter(t(0), 1, events).await.is_err()
            } else {
                ledger.admit(t(0), events).await.is_ok()
            }
        });
    }
    while ledger.waiting() < 29 {
        tokio::task::yield_now().await;
    }
    blocker.execute_batch("COMMIT").unwrap();
    assert!(
        tasks
            .join_all()
            .await
            .into_iter()
            .all(|as_expected| as_expected)
    );
    assert_eq!(ledger.session_report("s").await.unwrap().events.len(), 20);
}

#[tokio::test]
async fn reading_does_not_wait_for_the_writer() {
    let folder = Folder::new();
    let ledger: Arc<dyn Ledger> = Arc::new(Sqlite::open(folder.file()).unwrap());
    let seq = ledger.put(t(0), plain(message("s", "1"))).await;
    let blocker = rusqlite::Connection::open(folder.file()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move { ledger.put(t(0), plain(message("s", "2"))).await })
    };
    assert!(ledger.event(seq).await.unwrap().is_some());
    assert!(!writing.is_finished());
    blocker.execute_batch("COMMIT").unwrap();
    writing.await.unwrap();
}

#[tokio::test]
async fn its_thread_ends_when_it_is_dropped() {
    let folder = Folder::new();
    let ledger = Sqlite::open(folder.file()).unwrap();
    ledger.ping().await.unwrap();
    let counters = ledger.counters();
    drop(ledger);
    // The thread holds the counters too.
    while Arc::strong_count(&counters) > 1 {
        tokio::task::yield_now().await;
    }
}
