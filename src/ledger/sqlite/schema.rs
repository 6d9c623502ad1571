//! Opening the file and bringing its schema up to date: forward only, by one process at a time.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::tx::error;
use crate::ledger::{LedgerError, Result};

/// Step `n` brings the schema from version `n` to `n + 1`. Steps are never changed, only added.
const STEPS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
    include_str!("schema/0007.sql"),
    include_str!("schema/0008.sql"),
    include_str!("schema/0009.sql"),
    include_str!("schema/0010.sql"),
    include_str!("schema/0011.sql"),
    include_str!("schema/0012.sql"),
];

/// Marks a file as a ledger of handoffd: "hndf". <https://sqlite.org/pragma.html#pragma_application_id>
const APPLICATION: i32 = 0x686e_6466;

/// How long to wait for another process that holds the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// More statements than there are in the code.
const STATEMENTS: usize = 256;

/// Opens the file to write, creates it if need be, and migrates it.
pub(super) fn writer(path: &Path) -> Result<Connection> {
    private(path)?;
    let mut conn = open(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    migrate(&mut conn)?;
    into_wal(&conn)?;
    conn.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -2000;
         PRAGMA journal_size_limit = 67108864;",
    )
    .map_err(error)?;
    Ok(conn)
}

/// Opens the file to read.
pub(super) fn reader(path: &Path) -> Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.execute_batch("PRAGMA cache_size = -500;")
        .map_err(error)?;
    Ok(conn)
}

fn open(path: &Path, how: OpenFlags) -> Result<Connection> {
    let conn = Connection::open_with_flags(path, how | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| LedgerError::Failed(format!("{}: {error}", path.display())))?;
    conn.busy_timeout(PATIENCE).map_err(error)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without this guarantee, a library built with STAT4 compiles a statement again whenever its
    // parameters change. <https://sqlite.org/queryplanner-ng.html#qpstab>
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(error)?;
    Ok(conn)
}

/// Creates the file so that only its owner can read it: it holds conversations. SQLite gives its
/// side files the same rights.
fn private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(LedgerError::Failed(format!(
            "the ledger {} cannot be created: {error}",
            path.display()
        ))),
    }
}

/// Applies the missing steps. Whoever comes second waits, then finds nothing left to do.
fn migrate(conn: &mut Connection) -> Result<()> {
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Exclusive)
        .map_err(error)?;
    let number = |name| tx.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = number("application_id").map_err(error)?;
    let version = number("user_version").map_err(error)?;
    let known = i32::try_from(STEPS.len()).unwrap_or(i32::MAX);
    let empty = tx
        .query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
            row.get::<_, bool>(0)
        })
        .map_err(error)?;
    if application != APPLICATION && !(application == 0 && empty) {
        return Err(LedgerError::Failed(
            "the file is not a ledger of handoffd".into(),
        ));
    }
    if version > known {
        return Err(LedgerError::Failed(format!(
            "the ledger was written by a newer handoffd: its schema is version {version}, this \
             one knows up to {known}. Start that version again, or restore a backup"
        )));
    }
    for step in STEPS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        tx.execute_batch(step).map_err(error)?;
    }
    if version < known {
        tx.pragma_update(None, "application_id", APPLICATION)
            .map_err(error)?;
        tx.pragma_update(None, "user_version", known)
            .map_err(error)?;
    }
    tx.commit().map_err(error)
}

/// Switches to write-ahead logging. The switch needs the file for itself and does not wait for it,
/// so it is tried until it is done.
fn into_wal(conn: &Connection) -> Result<()> {
    let began = Instant::now();
    loop {
        match conn
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))
        {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(LedgerError::Failed(format!(
                    "the file system does not take write-ahead logging (journal mode {mode})"
                )));
            }
            Err(_) if began.elapsed() < PATIENCE => between_tries(),
            Err(failure) => return Err(error(failure)),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "before anything runs, and at most for some seconds"
)]
fn between_tries() {
    std::thread::sleep(Duration::from_millis(10));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kill does not show whether a commit reached the disk; a power cut would.
    #[test]
    fn the_writer_waits_for_the_disk() {
        let path = std::env::temp_dir().join(format!("handoffd-{}.db", uuid::Uuid::new_v4()));
        let conn = writer(&path).expect("opens");
        let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let mode = conn.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        assert_eq!(number("synchronous"), Ok(2), "FULL");
        assert_eq!(number("foreign_keys"), Ok(1));
        assert_eq!(mode.as_deref(), Ok("wal"));
        assert!(
            reader(&path)
                .expect("opens")
                .execute_batch("DELETE FROM event")
                .is_err()
        );
        drop(conn);
        for ending in ["", "-wal", "-shm"] {
            let mut file = path.clone().into_os_string();
            file.push(ending);
            let _ = std::fs::remove_file(file);
        }
    }
}
