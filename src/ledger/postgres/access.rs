//! Sign-ins, links, tokens, people, and the audit log.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::db::{Db, Fault, Outcome, Text, maybe};
use super::transact::transact;
use crate::ledger::access::{
    AccessLedger, AuditEntry, AuditFilter, Digest, PersonRow, SignInRow, TokenRow,
};
use crate::ledger::rows;
use crate::ledger::rules::MAX_ROWS;
use crate::ledger::{LedgerError, Result};

#[async_trait]
impl AccessLedger for Postgres {
    async fn put_sign_in(&self, key: &Digest, row: &SignInRow) -> Result<()> {
        transact!(self, Write, db => put_sign_in(db, key, row))
    }

    async fn sign_in(&self, key: &Digest) -> Result<Option<SignInRow>> {
        transact!(self, Statement, db => sign_in(db, key))
    }

    async fn touch_sign_in(&self, key: &Digest, now: Timestamp) -> Result<()> {
        let now = now.as_microsecond();
        transact!(self, Write, db => touch_sign_in(db, key, now))
    }

    async fn end_sign_in(&self, key: &Digest) -> Result<bool> {
        transact!(self, Write, db => end_sign_in(db, key))
    }

    async fn put_link(&self, key: &Digest, now: Timestamp, until: Timestamp) -> Result<()> {
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        transact!(self, Write, db => put_link(db, key, now, until))
    }

    async fn take_link(&self, key: &Digest, now: Timestamp) -> Result<bool> {
        let now = now.as_microsecond();
        transact!(self, Write, db => take_link(db, key, now))
    }

    async fn put_token(&self, key: &Digest, row: &TokenRow) -> Result<()> {
        transact!(self, Write, db => put_token(db, key, row))
    }

    async fn token(&self, key: &Digest) -> Result<Option<TokenRow>> {
        transact!(self, Statement, db => token(db, key))
    }

    async fn tokens(&self, after: &str) -> Result<Vec<TokenRow>> {
        transact!(self, Statement, db => tokens(db, after))
    }

    async fn touch_token(&self, id: &str, now: Timestamp) -> Result<()> {
        let now = now.as_microsecond();
        transact!(self, Write, db => touch_token(db, id, now))
    }

    async fn revoke_token(&self, id: &str) -> Result<Option<TokenRow>> {
        transact!(self, Write, db => revoke_token(db, id))
    }

    async fn people(&self, after: &str) -> Result<Vec<PersonRow>> {
        transact!(self, Statement, db => people(db, after))
    }

    async fn person(&self, name: &str, way: &str) -> Result<Option<PersonRow>> {
        transact!(self, Statement, db => person(db, name, way))
    }

    async fn note(&self, entry: &AuditEntry) -> Result<i64> {
        transact!(self, Write, db => note(db, entry))
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>> {
        transact!(self, Statement, db => audit(db, filter))
    }
}

async fn put_sign_in(db: &Db<'_>, key: &Digest, row: &SignInRow) -> Outcome<()> {
    let now = row.made_at.as_microsecond();
    db.run("DELETE FROM sign_in WHERE until <= $1", &[&now])
        .await?;
    db.run(
        "INSERT INTO sign_in (key, name, way, role, unmask, basis, made_at, seen_at, until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[
            &key.as_slice(),
            &Text(&row.name),
            &row.way,
            &row.role,
            &row.unmask,
            &row.basis,
            &now,
            &row.seen_at.as_microsecond(),
            &row.until.as_microsecond(),
        ],
    )
    .await?;
    seen(db, &row.name, &row.way, &row.role, now).await
}

/// Notes that somebody was seen.
async fn seen(db: &Db<'_>, name: &str, way: &str, role: &str, now: i64) -> Outcome<()> {
    db.run(
        "INSERT INTO person (name, way, role, seen_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name, way) DO UPDATE
            SET role = excluded.role, seen_at = greatest(person.seen_at, excluded.seen_at)",
        &[&Text(name), &way, &role, &now],
    )
    .await
    .map(|_| ())
}

async fn sign_in(db: &Db<'_>, key: &Digest) -> Outcome<Option<SignInRow>> {
    db.one(
        "SELECT name, way, role, unmask, basis, made_at, seen_at, until
           FROM sign_in WHERE key = $1",
        &[&key.as_slice()],
        sign_in_row,
    )
    .await
}

async fn touch_sign_in(db: &Db<'_>, key: &Digest, now: i64) -> Outcome<()> {
    let whose: Option<(String, String, String)> = db
        .one(
            "UPDATE sign_in SET seen_at = greatest(seen_at, $2) WHERE key = $1
             RETURNING name, way, role",
            &[&key.as_slice(), &now],
            |row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)),
        )
        .await?;
    match whose {
        Some((name, way, role)) => seen(db, &name, &way, &role, now).await,
        None => Ok(()),
    }
}

async fn end_sign_in(db: &Db<'_>, key: &Digest) -> Outcome<bool> {
    let ended = db
        .run("DELETE FROM sign_in WHERE key = $1", &[&key.as_slice()])
        .await?;
    Ok(ended > 0)
}

async fn put_link(db: &Db<'_>, key: &Digest, now: i64, until: i64) -> Outcome<()> {
    db.run("DELETE FROM sign_in_link WHERE until <= $1", &[&now])
        .await?;
    db.run(
        "INSERT INTO sign_in_link (key, until) VALUES ($1, $2)",
        &[&key.as_slice(), &until],
    )
    .await
    .map(|_| ())
}

async fn take_link(db: &Db<'_>, key: &Digest, now: i64) -> Outcome<bool> {
    let until: Option<i64> = db
        .one(
            "DELETE FROM sign_in_link WHERE key = $1 RETURNING until",
            &[&key.as_slice()],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(until.is_some_and(|until| until > now))
}

async fn put_token(db: &Db<'_>, key: &Digest, row: &TokenRow) -> Outcome<()> {
    db.run(
        "INSERT INTO token (id, key, name, owner, owner_way, role, unmask, made_at, until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[
            &row.id,
            &key.as_slice(),
            &Text(&row.name),
            &Text(&row.owner),
            &row.owner_way,
            &row.role,
            &row.unmask,
            &row.made_at.as_microsecond(),
            &row.until.map(Timestamp::as_microsecond),
        ],
    )
    .await
    .map(|_| ())
}

async fn token(db: &Db<'_>, key: &Digest) -> Outcome<Option<TokenRow>> {
    db.one(
        "SELECT id, name, owner, owner_way, role, unmask, made_at, until, used_at
           FROM token WHERE key = $1",
        &[&key.as_slice()],
        token_row,
    )
    .await
}

async fn tokens(db: &Db<'_>, after: &str) -> Outcome<Vec<TokenRow>> {
    db.all(
        "SELECT id, name, owner, owner_way, role, unmask, made_at, until, used_at
           FROM token WHERE id > $1 ORDER BY id LIMIT $2",
        &[&Text(after), &MAX_ROWS],
        token_row,
    )
    .await
}

async fn touch_token(db: &Db<'_>, id: &str, now: i64) -> Outcome<()> {
    db.run(
        "UPDATE token SET used_at = greatest(coalesce(used_at, 0), $2) WHERE id = $1",
        &[&Text(id), &now],
    )
    .await
    .map(|_| ())
}

async fn revoke_token(db: &Db<'_>, id: &str) -> Outcome<Option<TokenRow>> {
    db.one(
        "DELETE FROM token WHERE id = $1
         RETURNING id, name, owner, owner_way, role, unmask, made_at, until, used_at",
        &[&Text(id)],
        token_row,
    )
    .await
}

async fn people(db: &Db<'_>, after: &str) -> Outcome<Vec<PersonRow>> {
    db.all(
        "SELECT name, way, role, seen_at FROM person WHERE name > $1 ORDER BY name, way LIMIT $2",
        &[&Text(after), &MAX_ROWS],
        person_row,
    )
    .await
}

async fn person(db: &Db<'_>, name: &str, way: &str) -> Outcome<Option<PersonRow>> {
    db.one(
        "SELECT name, way, role, seen_at FROM person WHERE name = $1 AND way = $2",
        &[&Text(name), &way],
        person_row,
    )
    .await
}

async fn note(db: &Db<'_>, entry: &AuditEntry) -> Outcome<i64> {
    let id = db
        .one(
            "INSERT INTO audit (at, who, way, what, object, before, after, outcome)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
            &[
                &entry.at.as_microsecond(),
                &Text(&entry.who),
                &Text(&entry.way),
                &Text(&entry.what),
                &Text(&entry.object),
                &maybe(entry.before.as_ref()),
                &maybe(entry.after.as_ref()),
                &Text(&entry.outcome),
            ],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    let words = "an entry of the audit log has no number";
    id.ok_or_else(|| Fault::Refused(LedgerError::Failed(words.into())))
}

async fn audit(db: &Db<'_>, filter: &AuditFilter) -> Outcome<Vec<(i64, AuditEntry)>> {
    let before = filter.after.unwrap_or(i64::MAX);
    let limit = i64::try_from(filter.limit).map_or(MAX_ROWS, |limit| limit.min(MAX_ROWS));
    let who = maybe(filter.who.as_ref());
    let what = maybe(filter.what.as_ref());
    match (who, what) {
        (None, None) => {
            db.all(
                "SELECT id, at, who, way, what, object, before, after, outcome FROM audit
                  WHERE id < $1 ORDER BY id DESC LIMIT $2",
                &[&before, &limit],
                entry_row,
            )
            .await
        }
        (Some(who), None) => {
            db.all(
                "SELECT id, at, who, way, what, object, before, after, outcome FROM audit
                  WHERE who = $3 AND id < $1 ORDER BY id DESC LIMIT $2",
                &[&before, &limit, &who],
                entry_row,
            )
            .await
        }
        (None, Some(what)) => {
            db.all(
                "SELECT id, at, who, way, what, object, before, after, outcome FROM audit
                  WHERE what = $3 AND id < $1 ORDER BY id DESC LIMIT $2",
                &[&before, &limit, &what],
                entry_row,
            )
            .await
        }
        (Some(who), Some(what)) => {
            db.all(
                "SELECT id, at, who, way, what, object, before, after, outcome FROM audit
                  WHERE who = $3 AND what = $4 AND id < $1 ORDER BY id DESC LIMIT $2",
                &[&before, &limit, &who, &what],
                entry_row,
            )
            .await
        }
    }
}

fn sign_in_row(row: &Row) -> Outcome<SignInRow> {
    Ok(SignInRow {
        name: row.try_get(0)?,
        way: row.try_get(1)?,
        role: row.try_get(2)?,
        unmask: row.try_get(3)?,
        basis: row.try_get(4)?,
        made_at: rows::at(row.try_get(5)?)?,
        seen_at: rows::at(row.try_get(6)?)?,
        until: rows::at(row.try_get(7)?)?,
    })
}

fn token_row(row: &Row) -> Outcome<TokenRow> {
    Ok(TokenRow {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        owner: row.try_get(2)?,
        owner_way: row.try_get(3)?,
        role: row.try_get(4)?,
        unmask: row.try_get(5)?,
        made_at: rows::at(row.try_get(6)?)?,
        until: rows::maybe_at(row.try_get(7)?)?,
        used_at: rows::maybe_at(row.try_get(8)?)?,
    })
}

fn person_row(row: &Row) -> Outcome<PersonRow> {
    Ok(PersonRow {
        name: row.try_get(0)?,
        way: row.try_get(1)?,
        role: row.try_get(2)?,
        seen_at: rows::at(row.try_get(3)?)?,
    })
}

fn entry_row(row: &Row) -> Outcome<(i64, AuditEntry)> {
    let entry = AuditEntry {
        at: rows::at(row.try_get(1)?)?,
        who: row.try_get(2)?,
        way: row.try_get(3)?,
        what: row.try_get(4)?,
        object: row.try_get(5)?,
        before: row.try_get(6)?,
        after: row.try_get(7)?,
        outcome: row.try_get(8)?,
    };
    Ok((row.try_get(0)?, entry))
}
