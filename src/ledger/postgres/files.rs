//! Files that are kept (tables `file`, `piece`, `file_total`): wanted, leased, stored in pieces, removed.
//!
//! Whoever stores or removes pieces holds the row of the total first, so that no two who do it can wait
//! for each other.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Postgres;
use super::db::{Db, Outcome, Text};
use super::lanes::tally;
use super::transact::transact;
use crate::ledger::files::{
    DROPPED, EXPIRED, Fetched, FileLease, FileRow, KeptFile, REMOVED_AT_ONCE, Stored, key,
};
use crate::ledger::rows::{self, Arrival, count};
use crate::ledger::rules::MAX_REPORTED_FILES;
use crate::ledger::{FileLedger, LedgerError, Result};

#[async_trait]
impl FileLedger for Postgres {
    async fn claim_files(
        &self,
        now: Timestamp,
        daemon: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<FileLease>> {
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        let limit = count(limit);
        transact!(self, Statement, db => claim(db, now, daemon, limit, until))
    }

    async fn renew_file(&self, lease: &FileLease, until: Timestamp) -> Result<()> {
        transact!(self, Statement, db => renew(db, lease, until.as_microsecond()))
    }

    async fn store_piece(
        &self,
        lease: &FileLease,
        number: u32,
        piece: Vec<u8>,
        most: u64,
    ) -> Result<Stored> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        transact!(self, Write, db => store(db, lease, number, &piece, most))
    }

    async fn finish_file(&self, lease: &FileLease, fetched: Fetched) -> Result<()> {
        transact!(self, Write, db => finish(db, lease, fetched))
    }

    async fn kept_file(
        &self,
        session: &str,
        attachment: &str,
        url: &str,
    ) -> Result<Option<KeptFile>> {
        let key = key(session, attachment, url);
        transact!(self, Statement, db => kept(db, &key))
    }

    async fn piece(&self, file: KeptFile, number: u32) -> Result<Option<Vec<u8>>> {
        transact!(self, Statement, db => piece(db, file, number))
    }

    async fn remove_files(&self, now: Timestamp, before: Timestamp) -> Result<bool> {
        let (now, before) = (now.as_microsecond(), before.as_microsecond());
        if !transact!(self, Statement, db => are_left(db, now, before))? {
            return Ok(false);
        }
        transact!(self, Write, db => remove(db, now, before))
    }

    async fn file_bytes(&self) -> Result<u64> {
        let sql = "SELECT bytes FROM file_total WHERE one = 1";
        let bytes: i64 = transact!(self, Statement, db => total(db, sql))?;
        Ok(bytes.unsigned_abs())
    }
}

/// Wants an event's files. One that is kept, or under way, stays as it is.
pub(super) async fn want_files(db: &Db<'_>, now: i64, arrival: &Arrival) -> Outcome<()> {
    let mut wanted = 0;
    for (key, attachment, url) in &arrival.files {
        wanted += db
            .run(
                "INSERT INTO file (key, session, attachment, url, state, wanted_at, due_at)
                 VALUES ($1, $2, $3, $4, 'wanted', $5, $5)
                 ON CONFLICT (key) DO UPDATE
                    SET state = 'wanted', reason = NULL, url = excluded.url, tries = 0,
                        wanted_at = excluded.wanted_at, due_at = excluded.due_at
                  WHERE file.state = 'failed'",
                &[
                    key,
                    &Text(&arrival.session),
                    &Text(attachment),
                    &Text(url),
                    &now,
                ],
            )
            .await?;
    }
    if wanted > 0 {
        db.files_changed();
    }
    Ok(())
}

/// Claims files that are ready, oldest first.
async fn claim(
    db: &Db<'_>,
    now: i64,
    daemon: &str,
    limit: i64,
    until: i64,
) -> Outcome<Vec<FileLease>> {
    let mut claimed = db
        .all(
            "UPDATE file SET epoch = epoch + 1, tries = tries + 1, lease_owner = $1, lease_until = $2
              WHERE id = ANY (ARRAY (
                        SELECT id FROM file
                         WHERE due_at IS NOT NULL AND ready_at <= $3
                         ORDER BY ready_at LIMIT $4
                           FOR UPDATE SKIP LOCKED))
             RETURNING id, epoch, url, tries",
            &[&Text(daemon), &until, &now, &limit],
            |row| {
                Ok(FileLease {
                    id: row.try_get(0)?,
                    epoch: row.try_get(1)?,
                    url: row.try_get(2)?,
                    tries: tally(row, 3)?,
                })
            },
        )
        .await?;
    claimed.sort_by_key(|row| row.id);
    Ok(claimed)
}

async fn renew(db: &Db<'_>, lease: &FileLease, until: i64) -> Outcome<()> {
    let renewed = db
        .run(
            "UPDATE file SET lease_until = $3
              WHERE id = $1 AND epoch = $2 AND lease_owner IS NOT NULL",
            &[&lease.id, &lease.epoch, &until],
        )
        .await?;
    held(renewed)
}

/// Whether the lease was ours.
fn held(changed: u64) -> Outcome<()> {
    if changed == 0 {
        Err(LedgerError::Stale.into())
    } else {
        Ok(())
    }
}

async fn store(
    db: &Db<'_>,
    lease: &FileLease,
    number: u32,
    piece: &[u8],
    most: i64,
) -> Outcome<Stored> {
    let total = locked_total(db).await?;
    let own: Option<i64> = db
        .one(
            "SELECT stored FROM file
              WHERE id = $1 AND epoch = $2 AND lease_owner IS NOT NULL FOR UPDATE",
            &[&lease.id, &lease.epoch],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    let own = own.ok_or(LedgerError::Stale)?;
    let before: Option<i64> = db
        .one(
            "SELECT length(bytes)::bigint FROM piece WHERE file = $1 AND number = $2",
            &[&lease.id, &i64::from(number)],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    let more = count(piece.len()) - before.unwrap_or(0);
    if own + more > most {
        return Ok(Stored::NoRoom);
    }
    let mut dropped = 0;
    let mut left = most - total - more;
    while left < 0 {
        let Some((oldest, was_kept)) = oldest(db).await? else {
            return Ok(Stored::NoRoom);
        };
        if was_kept {
            fail(db, oldest, DROPPED).await?;
            dropped += 1;
            // Its pieces are what is left of it, and an empty one has none.
            continue;
        }
        left += drop_piece(db, oldest).await?;
    }
    db.run(
        "INSERT INTO piece (file, number, bytes) VALUES ($1, $2, $3)
         ON CONFLICT (file, number) DO UPDATE SET bytes = excluded.bytes",
        &[&lease.id, &i64::from(number), &piece],
    )
    .await?;
    grow(db, lease.id, more).await?;
    Ok(Stored::Yes { dropped })
}

/// The file that goes first where there is no room, and whether it was kept: what is left of one that
/// failed, else the oldest.
async fn oldest(db: &Db<'_>) -> Outcome<Option<(i64, bool)>> {
    let left = db
        .one(
            "SELECT id FROM file WHERE state = 'failed' AND stored > 0 ORDER BY id LIMIT 1 FOR UPDATE",
            &[],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    if let Some(left) = left {
        return Ok(Some((left, false)));
    }
    let kept: Option<i64> = db
        .one(
            "SELECT id FROM file WHERE state = 'kept' ORDER BY id LIMIT 1 FOR UPDATE",
            &[],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(kept.map(|kept| (kept, true)))
}

/// A file is kept no longer. Its pieces go by themselves.
async fn fail(db: &Db<'_>, id: i64, why: &str) -> Outcome<()> {
    db.run(
        "UPDATE file
            SET state = 'failed', reason = $2, url = '', due_at = NULL, lease_owner = NULL,
                lease_until = NULL
          WHERE id = $1",
        &[&id, &why],
    )
    .await?;
    Ok(())
}

/// Removes a file's last piece, and says how many bytes that frees.
async fn drop_piece(db: &Db<'_>, id: i64) -> Outcome<i64> {
    let bytes: Option<i64> = db
        .one(
            "DELETE FROM piece
              WHERE file = $1
                AND number = (SELECT number FROM piece WHERE file = $1
                               ORDER BY number DESC LIMIT 1)
             RETURNING length(bytes)::bigint",
            &[&id],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    let Some(bytes) = bytes else {
        return Err(LedgerError::Failed("a file's pieces are missing".into()).into());
    };
    grow(db, id, -bytes).await?;
    Ok(bytes)
}

/// Counts bytes that came or went.
async fn grow(db: &Db<'_>, id: i64, more: i64) -> Outcome<()> {
    db.run(
        "UPDATE file SET stored = stored + $2 WHERE id = $1",
        &[&id, &more],
    )
    .await?;
    db.run(
        "UPDATE file_total SET bytes = bytes + $1 WHERE one = 1",
        &[&more],
    )
    .await?;
    Ok(())
}

async fn locked_total(db: &Db<'_>) -> Outcome<i64> {
    total(db, "SELECT bytes FROM file_total WHERE one = 1 FOR UPDATE").await
}

async fn total(db: &Db<'_>, sql: &str) -> Outcome<i64> {
    let total = db.one(sql, &[], |row| Ok(row.try_get(0)?)).await?;
    Ok(total.unwrap_or(0))
}

async fn finish(db: &Db<'_>, lease: &FileLease, fetched: Fetched) -> Outcome<()> {
    locked_total(db).await?;
    let (id, epoch) = (lease.id, lease.epoch);
    let finished = match fetched {
        Fetched::Whole { bytes, pieces } => {
            let (bytes, pieces) = (i64::try_from(bytes).unwrap_or(i64::MAX), i64::from(pieces));
            let finished = db
                .run(
                    "UPDATE file
                        SET state = 'kept', url = '', due_at = NULL, lease_owner = NULL,
                            lease_until = NULL, bytes = $3, pieces = $4
                      WHERE id = $1 AND epoch = $2 AND lease_owner IS NOT NULL",
                    &[&id, &epoch, &bytes, &pieces],
                )
                .await?;
            held(finished)?;
            // What an earlier try stored beyond its end.
            while is_beyond(db, id, pieces).await? {
                drop_piece(db, id).await?;
            }
            finished
        }
        Fetched::Again(at) => {
            db.run(
                "UPDATE file SET due_at = $3, lease_owner = NULL, lease_until = NULL
                  WHERE id = $1 AND epoch = $2 AND lease_owner IS NOT NULL",
                &[&id, &epoch, &at.as_microsecond()],
            )
            .await?
        }
        Fetched::Failed(why) => {
            db.run(
                "UPDATE file
                    SET state = 'failed', reason = $3, url = '', due_at = NULL, lease_owner = NULL,
                        lease_until = NULL
                  WHERE id = $1 AND epoch = $2 AND lease_owner IS NOT NULL",
                &[&id, &epoch, &why],
            )
            .await?
        }
    };
    held(finished)
}

async fn is_beyond(db: &Db<'_>, id: i64, pieces: i64) -> Outcome<bool> {
    let beyond: Option<i32> = db
        .one(
            "SELECT 1 FROM piece WHERE file = $1 AND number >= $2 LIMIT 1",
            &[&id, &pieces],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(beyond.is_some())
}

async fn kept(db: &Db<'_>, key: &[u8]) -> Outcome<Option<KeptFile>> {
    db.one(
        "SELECT id, epoch, bytes, pieces FROM file WHERE key = $1 AND state = 'kept'",
        &[&key],
        |row| {
            Ok(KeptFile {
                id: row.try_get(0)?,
                epoch: row.try_get(1)?,
                bytes: row.try_get::<_, i64>(2)?.unsigned_abs(),
                pieces: u32::try_from(row.try_get::<_, i64>(3)?).unwrap_or(u32::MAX),
            })
        },
    )
    .await
}

async fn piece(db: &Db<'_>, file: KeptFile, number: u32) -> Outcome<Option<Vec<u8>>> {
    db.one(
        "SELECT piece.bytes FROM file JOIN piece ON piece.file = file.id AND piece.number = $3
          WHERE file.id = $1 AND file.epoch = $2 AND file.state = 'kept'",
        &[&file.id, &file.epoch, &i64::from(number)],
        |row| Ok(row.try_get(0)?),
    )
    .await
}

/// What is left of a file that failed.
const LEFT: &str =
    "SELECT id, stored FROM file WHERE state = 'failed' AND stored > 0 ORDER BY id LIMIT 1";
/// A file whose time is over.
const OLD: &str = "SELECT id, stored FROM file
      WHERE wanted_at <= $1 AND (lease_until IS NULL OR lease_until <= $2)
      ORDER BY wanted_at LIMIT 1";

async fn first(
    db: &Db<'_>,
    sql: &str,
    params: &[super::db::Param<'_>],
) -> Outcome<Option<(i64, i64)>> {
    db.one(sql, params, |row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .await
}

/// Whether there is anything to remove.
async fn are_left(db: &Db<'_>, now: i64, before: i64) -> Outcome<bool> {
    Ok(first(db, LEFT, &[]).await?.is_some() || first(db, OLD, &[&before, &now]).await?.is_some())
}

/// Removes a few pieces and rows.
async fn remove(db: &Db<'_>, now: i64, before: i64) -> Outcome<bool> {
    locked_total(db).await?;
    for done in 0..REMOVED_AT_ONCE {
        if let Some((left, _)) = first(db, LEFT, &[]).await? {
            drop_piece(db, left).await?;
            continue;
        }
        match first(db, OLD, &[&before, &now]).await? {
            Some((id, 0)) => {
                db.run("DELETE FROM file WHERE id = $1", &[&id]).await?;
            }
            Some((id, _)) => fail(db, id, EXPIRED).await?,
            None => return Ok(done > 0),
        }
    }
    Ok(true)
}

/// A session's files, oldest first.
pub(super) async fn of_session(db: &Db<'_>, session: &str) -> Outcome<Vec<FileRow>> {
    db.all(
        "SELECT attachment, state, reason, bytes, wanted_at FROM file
          WHERE session = $1 ORDER BY id LIMIT $2",
        &[&Text(session), &MAX_REPORTED_FILES],
        |row| {
            Ok(FileRow {
                attachment: row.try_get(0)?,
                state: row.try_get(1)?,
                reason: row.try_get(2)?,
                bytes: row.try_get::<_, i64>(3)?.unsigned_abs(),
                wanted_at: rows::at(row.try_get(4)?)?,
            })
        },
    )
    .await
}
