//! Files that are kept (tables `file`, `piece`, `file_total`): wanted, leased, stored in pieces, removed.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::params;

use super::Sqlite;
use super::tx::Tx;
use crate::ledger::files::{
    DROPPED, EXPIRED, Fetched, FileLease, FileRow, KeptFile, REMOVED_AT_ONCE, Stored, key,
};
use crate::ledger::rows::{self, Arrival, count};
use crate::ledger::rules::MAX_REPORTED_FILES;
use crate::ledger::{FileLedger, LedgerError, Result};

#[async_trait]
impl FileLedger for Sqlite {
    async fn claim_files(
        &self,
        now: Timestamp,
        daemon: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<FileLease>> {
        let daemon = daemon.to_owned();
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        if !self.read(move |tx| is_ready(tx, now)).await? {
            return Ok(Vec::new());
        }
        self.write(move |tx| claim(tx, now, &daemon, count(limit), until))
            .await
    }

    async fn renew_file(&self, lease: &FileLease, until: Timestamp) -> Result<()> {
        let (id, epoch) = (lease.id, lease.epoch);
        self.write(move |tx| renew(tx, id, epoch, until.as_microsecond()))
            .await
    }

    async fn store_piece(
        &self,
        lease: &FileLease,
        number: u32,
        piece: Vec<u8>,
        most: u64,
    ) -> Result<Stored> {
        let (id, epoch) = (lease.id, lease.epoch);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.write(move |tx| store(tx, id, epoch, number, &piece, most))
            .await
    }

    async fn finish_file(&self, lease: &FileLease, fetched: Fetched) -> Result<()> {
        let (id, epoch) = (lease.id, lease.epoch);
        self.write(move |tx| finish(tx, id, epoch, fetched)).await
    }

    async fn kept_file(
        &self,
        session: &str,
        attachment: &str,
        url: &str,
    ) -> Result<Option<KeptFile>> {
        let key = key(session, attachment, url);
        self.read(move |tx| kept(tx, &key)).await
    }

    async fn piece(&self, file: KeptFile, number: u32) -> Result<Option<Vec<u8>>> {
        self.read(move |tx| piece(tx, file, number)).await
    }

    async fn remove_files(&self, now: Timestamp, before: Timestamp) -> Result<bool> {
        let (now, before) = (now.as_microsecond(), before.as_microsecond());
        let are_left =
            move |tx: &Tx<'_>| Ok(left(tx)?.is_some() || old(tx, now, before)?.is_some());
        if !self.read(are_left).await? {
            return Ok(false);
        }
        self.write(move |tx| remove(tx, now, before)).await
    }

    async fn file_bytes(&self) -> Result<u64> {
        self.read(|tx| Ok(total(tx)?.unsigned_abs())).await
    }
}

/// Wants an event's files. One that is kept, or under way, stays as it is.
pub(super) fn want_files(tx: &Tx<'_>, now: i64, arrival: &Arrival) -> Result<()> {
    let mut wanted = 0;
    for (key, attachment, url) in &arrival.files {
        wanted += tx.run(
            "INSERT INTO file (key, session, attachment, url, state, wanted_at, due_at)
             VALUES (?1, ?2, ?3, ?4, 'wanted', ?5, ?5)
             ON CONFLICT (key) DO UPDATE
                SET state = 'wanted', reason = NULL, url = excluded.url, tries = 0,
                    wanted_at = excluded.wanted_at, due_at = excluded.due_at
              WHERE file.state = 'failed'",
            params![key, arrival.session, attachment, url, now],
        )?;
    }
    if wanted > 0 {
        tx.files_changed();
    }
    Ok(())
}

/// Whether a file is ready.
fn is_ready(tx: &Tx<'_>, now: i64) -> Result<bool> {
    let ready = tx.one(
        "SELECT 1 FROM file WHERE due_at IS NOT NULL AND ready_at <= ?1 LIMIT 1",
        [now],
        |_| Ok(()),
    )?;
    Ok(ready.is_some())
}

/// Claims files that are ready, oldest first.
fn claim(tx: &Tx<'_>, now: i64, daemon: &str, limit: i64, until: i64) -> Result<Vec<FileLease>> {
    let mut rows = tx.all(
        "UPDATE file SET epoch = epoch + 1, tries = tries + 1, lease_owner = ?1, lease_until = ?2
          WHERE id IN (SELECT id FROM file
                        WHERE due_at IS NOT NULL AND ready_at <= ?3
                        ORDER BY ready_at LIMIT ?4)
         RETURNING id, epoch, url, tries",
        params![daemon, until, now, limit],
        |row| {
            Ok(FileLease {
                id: row.get(0)?,
                epoch: row.get(1)?,
                url: row.get(2)?,
                tries: row.get(3)?,
            })
        },
    )?;
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

fn renew(tx: &Tx<'_>, id: i64, epoch: i64, until: i64) -> Result<()> {
    let renewed = tx.run(
        "UPDATE file SET lease_until = ?3
          WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
        [id, epoch, until],
    )?;
    held(renewed)
}

/// Whether the lease was ours.
fn held(changed: usize) -> Result<()> {
    if changed == 0 {
        Err(LedgerError::Stale)
    } else {
        Ok(())
    }
}

fn store(tx: &Tx<'_>, id: i64, epoch: i64, number: u32, piece: &[u8], most: i64) -> Result<Stored> {
    let own = tx.one(
        "SELECT stored FROM file WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
        [id, epoch],
        |row| row.get::<_, i64>(0),
    )?;
    let own = own.ok_or(LedgerError::Stale)?;
    let before = tx.one(
        "SELECT length(bytes) FROM piece WHERE file = ?1 AND number = ?2",
        params![id, number],
        |row| row.get::<_, i64>(0),
    )?;
    let more = count(piece.len()) - before.unwrap_or(0);
    if own + more > most {
        return Ok(Stored::NoRoom);
    }
    let mut dropped = 0;
    let mut left = most - total(tx)? - more;
    while left < 0 {
        let Some((oldest, was_kept)) = oldest(tx)? else {
            return Ok(Stored::NoRoom);
        };
        if was_kept {
            fail(tx, oldest, DROPPED)?;
            dropped += 1;
            // Its pieces are what is left of it, and an empty one has none.
            continue;
        }
        left += drop_piece(tx, oldest)?;
    }
    tx.run(
        "INSERT INTO piece (file, number, bytes) VALUES (?1, ?2, ?3)
         ON CONFLICT (file, number) DO UPDATE SET bytes = excluded.bytes",
        params![id, number, piece],
    )?;
    grow(tx, id, more)?;
    Ok(Stored::Yes { dropped })
}

/// The file that goes first where there is no room, and whether it was kept: what is left of one that
/// failed, else the oldest.
fn oldest(tx: &Tx<'_>) -> Result<Option<(i64, bool)>> {
    if let Some(left) = left(tx)? {
        return Ok(Some((left, false)));
    }
    let kept = tx.one(
        "SELECT id FROM file WHERE state = 'kept' ORDER BY id LIMIT 1",
        [],
        |row| row.get(0),
    )?;
    Ok(kept.map(|kept| (kept, true)))
}

/// A file is kept no longer. Its pieces go by themselves.
fn fail(tx: &Tx<'_>, id: i64, why: &str) -> Result<()> {
    tx.run(
        "UPDATE file
            SET state = 'failed', reason = ?2, url = '', due_at = NULL, lease_owner = NULL,
                lease_until = NULL
          WHERE id = ?1",
        params![id, why],
    )?;
    Ok(())
}

/// Removes a file's last piece, and says how many bytes that frees.
fn drop_piece(tx: &Tx<'_>, id: i64) -> Result<i64> {
    let last = tx.one(
        "SELECT number, length(bytes) FROM piece WHERE file = ?1 ORDER BY number DESC LIMIT 1",
        [id],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    )?;
    let Some((number, bytes)) = last else {
        return Err(LedgerError::Failed("a file's pieces are missing".into()));
    };
    tx.run(
        "DELETE FROM piece WHERE file = ?1 AND number = ?2",
        [id, number],
    )?;
    grow(tx, id, -bytes)?;
    Ok(bytes)
}

/// Counts bytes that came or went.
fn grow(tx: &Tx<'_>, id: i64, more: i64) -> Result<()> {
    tx.run(
        "UPDATE file SET stored = stored + ?2 WHERE id = ?1",
        [id, more],
    )?;
    tx.run(
        "UPDATE file_total SET bytes = bytes + ?1 WHERE one = 1",
        [more],
    )?;
    Ok(())
}

fn total(tx: &Tx<'_>) -> Result<i64> {
    let total = tx.one("SELECT bytes FROM file_total WHERE one = 1", [], |row| {
        row.get(0)
    })?;
    Ok(total.unwrap_or(0))
}

fn finish(tx: &Tx<'_>, id: i64, epoch: i64, fetched: Fetched) -> Result<()> {
    let finished = match fetched {
        Fetched::Whole { bytes, pieces } => {
            let finished = tx.run(
                "UPDATE file
                    SET state = 'kept', url = '', due_at = NULL, lease_owner = NULL,
                        lease_until = NULL, bytes = ?3, pieces = ?4
                  WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
                params![id, epoch, i64::try_from(bytes).unwrap_or(i64::MAX), pieces],
            )?;
            held(finished)?;
            // What an earlier try stored beyond its end.
            while tx
                .one(
                    "SELECT 1 FROM piece WHERE file = ?1 AND number >= ?2 LIMIT 1",
                    params![id, pieces],
                    |_| Ok(()),
                )?
                .is_some()
            {
                drop_piece(tx, id)?;
            }
            finished
        }
        Fetched::Again(at) => tx.run(
            "UPDATE file SET due_at = ?3, lease_owner = NULL, lease_until = NULL
              WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
            params![id, epoch, at.as_microsecond()],
        )?,
        Fetched::Failed(why) => tx.run(
            "UPDATE file
                SET state = 'failed', reason = ?3, url = '', due_at = NULL, lease_owner = NULL,
                    lease_until = NULL
              WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
            params![id, epoch, why],
        )?,
    };
    held(finished)
}

fn kept(tx: &Tx<'_>, key: &[u8]) -> Result<Option<KeptFile>> {
    tx.one(
        "SELECT id, epoch, bytes, pieces FROM file WHERE key = ?1 AND state = 'kept'",
        [key],
        |row| {
            Ok(KeptFile {
                id: row.get(0)?,
                epoch: row.get(1)?,
                bytes: row.get::<_, i64>(2)?.unsigned_abs(),
                pieces: row.get(3)?,
            })
        },
    )
}

fn piece(tx: &Tx<'_>, file: KeptFile, number: u32) -> Result<Option<Vec<u8>>> {
    tx.one(
        "SELECT piece.bytes FROM file JOIN piece ON piece.file = file.id AND piece.number = ?3
          WHERE file.id = ?1 AND file.epoch = ?2 AND file.state = 'kept'",
        params![file.id, file.epoch, number],
        |row| row.get(0),
    )
}

/// What is left of a file that failed.
fn left(tx: &Tx<'_>) -> Result<Option<i64>> {
    tx.one(
        "SELECT id FROM file WHERE state = 'failed' AND stored > 0 ORDER BY id LIMIT 1",
        [],
        |row| row.get(0),
    )
}

/// A file whose time is over, and how many bytes of it are stored.
fn old(tx: &Tx<'_>, now: i64, before: i64) -> Result<Option<(i64, i64)>> {
    tx.one(
        "SELECT id, stored FROM file
          WHERE wanted_at <= ?1 AND (lease_until IS NULL OR lease_until <= ?2)
          ORDER BY wanted_at LIMIT 1",
        [before, now],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Removes a few pieces and rows.
fn remove(tx: &Tx<'_>, now: i64, before: i64) -> Result<bool> {
    for done in 0..REMOVED_AT_ONCE {
        if let Some(left) = left(tx)? {
            drop_piece(tx, left)?;
            continue;
        }
        match old(tx, now, before)? {
            Some((id, 0)) => {
                tx.run("DELETE FROM file WHERE id = ?1", [id])?;
            }
            Some((id, _)) => fail(tx, id, EXPIRED)?,
            None => return Ok(done > 0),
        }
    }
    Ok(true)
}

/// A session's files, oldest first.
pub(super) fn of_session(tx: &Tx<'_>, session: &str) -> Result<Vec<FileRow>> {
    let rows = tx.all(
        "SELECT attachment, state, reason, bytes, wanted_at FROM file
          WHERE session = ?1 ORDER BY id LIMIT ?2",
        params![session, MAX_REPORTED_FILES],
        |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get::<_, i64>(3)?,
                row.get(4)?,
            ))
        },
    )?;
    let rows = rows.into_iter();
    rows.map(|(attachment, state, reason, bytes, wanted_at)| {
        Ok(FileRow {
            attachment,
            state,
            reason,
            bytes: bytes.unsigned_abs(),
            wanted_at: rows::at(wanted_at)?,
        })
    })
    .collect()
}
