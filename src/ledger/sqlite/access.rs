//! Sign-ins, links, tokens, people, and the audit log.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Params, Row, params};

use super::Sqlite;
use super::tx::Tx;
use crate::ledger::access::{
    AccessLedger, AuditEntry, AuditFilter, Digest, PersonRow, SignInRow, TokenRow,
};
use crate::ledger::rows;
use crate::ledger::rules::MAX_ROWS;
use crate::ledger::{LedgerError, Result};

#[async_trait]
impl AccessLedger for Sqlite {
    async fn put_sign_in(&self, key: &Digest, row: &SignInRow) -> Result<()> {
        let (key, row) = (*key, row.clone());
        self.write(move |tx| put_sign_in(tx, &key, &row)).await
    }

    async fn sign_in(&self, key: &Digest) -> Result<Option<SignInRow>> {
        let key = *key;
        self.read(move |tx| {
            tx.one(
                "SELECT name, way, role, unmask, basis, made_at, seen_at, until
                   FROM sign_in WHERE key = ?1",
                params![key],
                sign_in_row,
            )?
            .transpose()
        })
        .await
    }

    async fn touch_sign_in(&self, key: &Digest, now: Timestamp) -> Result<()> {
        let (key, now) = (*key, now.as_microsecond());
        self.write(move |tx| {
            let whose = tx.one(
                "UPDATE sign_in SET seen_at = max(seen_at, ?2) WHERE key = ?1
                 RETURNING name, way, role",
                params![key, now],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
            match whose {
                Some((name, way, role)) => seen::<String>(tx, name, way, role, now),
                None => Ok(()),
            }
        })
        .await
    }

    async fn end_sign_in(&self, key: &Digest) -> Result<bool> {
        let key = *key;
        self.write(move |tx| Ok(tx.run("DELETE FROM sign_in WHERE key = ?1", params![key])? > 0))
            .await
    }

    async fn put_link(&self, key: &Digest, now: Timestamp, until: Timestamp) -> Result<()> {
        let (key, now, until) = (*key, now.as_microsecond(), until.as_microsecond());
        self.write(move |tx| {
            tx.run("DELETE FROM sign_in_link WHERE until <= ?1", [now])?;
            tx.run(
                "INSERT INTO sign_in_link (key, until) VALUES (?1, ?2)",
                params![key, until],
            )
            .map(|_| ())
        })
        .await
    }

    async fn take_link(&self, key: &Digest, now: Timestamp) -> Result<bool> {
        let (key, now) = (*key, now.as_microsecond());
        self.write(move |tx| {
            let until: Option<i64> = tx.one(
                "DELETE FROM sign_in_link WHERE key = ?1 RETURNING until",
                params![key],
                |row| row.get(0),
            )?;
            Ok(until.is_some_and(|until| until > now))
        })
        .await
    }

    async fn put_token(&self, key: &Digest, row: &TokenRow) -> Result<()> {
        let (key, row) = (*key, row.clone());
        self.write(move |tx| put_token(tx, &key, &row)).await
    }

    async fn token(&self, key: &Digest) -> Result<Option<TokenRow>> {
        let key = *key;
        self.read(move |tx| {
            let found = tokens(
                tx,
                "SELECT id, name, owner, owner_way, role, unmask, made_at, until, used_at
                   FROM token WHERE key = ?1",
                params![key],
            )?;
            Ok(found.into_iter().next())
        })
        .await
    }

    async fn tokens(&self, after: &str) -> Result<Vec<TokenRow>> {
        let after = after.to_owned();
        self.read(move |tx| {
            tokens(
                tx,
                "SELECT id, name, owner, owner_way, role, unmask, made_at, until, used_at
                   FROM token WHERE id > ?1 ORDER BY id LIMIT ?2",
                params![after, MAX_ROWS],
            )
        })
        .await
    }

    async fn touch_token(&self, id: &str, now: Timestamp) -> Result<()> {
        let (id, now) = (id.to_owned(), now.as_microsecond());
        self.write(move |tx| {
            tx.run(
                "UPDATE token SET used_at = max(coalesce(used_at, 0), ?2) WHERE id = ?1",
                params![id, now],
            )
            .map(|_| ())
        })
        .await
    }

    async fn revoke_token(&self, id: &str) -> Result<Option<TokenRow>> {
        let id = id.to_owned();
        self.write(move |tx| {
            let found = tokens(
                tx,
                "DELETE FROM token WHERE id = ?1
                 RETURNING id, name, owner, owner_way, role, unmask, made_at, until, used_at",
                params![id],
            )?;
            Ok(found.into_iter().next())
        })
        .await
    }

    async fn people(&self, after: &str) -> Result<Vec<PersonRow>> {
        let after = after.to_owned();
        self.read(move |tx| {
            let rows = tx.all(
                "SELECT name, way, role, seen_at FROM person WHERE name > ?1
                  ORDER BY name, way LIMIT ?2",
                params![after, MAX_ROWS],
                person_row,
            )?;
            rows.into_iter().collect()
        })
        .await
    }

    async fn person(&self, name: &str, way: &str) -> Result<Option<PersonRow>> {
        let (name, way) = (name.to_owned(), way.to_owned());
        self.read(move |tx| {
            tx.one(
                "SELECT name, way, role, seen_at FROM person WHERE name = ?1 AND way = ?2",
                params![name, way],
                person_row,
            )?
            .transpose()
        })
        .await
    }

    async fn note(&self, entry: &AuditEntry) -> Result<i64> {
        let entry = entry.clone();
        self.write(move |tx| note(tx, &entry)).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>> {
        let filter = filter.clone();
        self.read(move |tx| audit(tx, &filter)).await
    }
}

fn put_sign_in(tx: &Tx<'_>, key: &Digest, row: &SignInRow) -> Result<()> {
    let now = row.made_at.as_microsecond();
    tx.run("DELETE FROM sign_in WHERE until <= ?1", [now])?;
    tx.run(
        "INSERT INTO sign_in (key, name, way, role, unmask, basis, made_at, seen_at, until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            key,
            row.name,
            row.way,
            row.role,
            row.unmask,
            row.basis,
            now,
            row.seen_at.as_microsecond(),
            row.until.as_microsecond()
        ],
    )?;
    seen(tx, &row.name, &row.way, &row.role, now)
}

/// Notes that somebody was seen.
fn seen<S: rusqlite::ToSql>(tx: &Tx<'_>, name: S, way: S, role: S, now: i64) -> Result<()> {
    tx.run(
        "INSERT INTO person (name, way, role, seen_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name, way) DO UPDATE
            SET role = excluded.role, seen_at = max(person.seen_at, excluded.seen_at)",
        params![name, way, role, now],
    )
    .map(|_| ())
}

fn put_token(tx: &Tx<'_>, key: &Digest, row: &TokenRow) -> Result<()> {
    tx.run(
        "INSERT INTO token (id, key, name, owner, owner_way, role, unmask, made_at, until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            row.id,
            key,
            row.name,
            row.owner,
            row.owner_way,
            row.role,
            row.unmask,
            row.made_at.as_microsecond(),
            row.until.map(Timestamp::as_microsecond)
        ],
    )
    .map(|_| ())
}

fn note(tx: &Tx<'_>, entry: &AuditEntry) -> Result<i64> {
    let id = tx.one(
        "INSERT INTO audit (at, who, way, what, object, before, after, outcome)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
        params![
            entry.at.as_microsecond(),
            entry.who,
            entry.way,
            entry.what,
            entry.object,
            entry.before,
            entry.after,
            entry.outcome
        ],
        |row| row.get(0),
    )?;
    id.ok_or_else(|| LedgerError::Failed("an entry of the audit log has no number".into()))
}

fn audit(tx: &Tx<'_>, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>> {
    let before = filter.after.unwrap_or(i64::MAX);
    let limit = i64::try_from(filter.limit).map_or(MAX_ROWS, |limit| limit.min(MAX_ROWS));
    let rows = match (&filter.who, &filter.what) {
        (None, None) => tx.all(
            "SELECT id, at, who, way, what, object, before, after, outcome FROM audit
              WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
            params![before, limit],
            entry_row,
        ),
        (Some(who), None) => tx.all(
            "SELECT id, at, who, way, what, object, before, after, outcome FROM audit
              WHERE who = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2",
            params![before, limit, who],
            entry_row,
        ),
        (None, Some(what)) => tx.all(
            "SELECT id, at, who, way, what, object, before, after, outcome FROM audit
              WHERE what = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2",
            params![before, limit, what],
            entry_row,
        ),
        (Some(who), Some(what)) => tx.all(
            "SELECT id, at, who, way, what, object, before, after, outcome FROM audit
              WHERE who = ?3 AND what = ?4 AND id < ?1 ORDER BY id DESC LIMIT ?2",
            params![before, limit, who, what],
            entry_row,
        ),
    }?;
    rows.into_iter().collect()
}

fn tokens(tx: &Tx<'_>, sql: &str, parameters: impl Params) -> Result<Vec<TokenRow>> {
    let rows = tx.all(sql, parameters, token_row)?;
    rows.into_iter().collect()
}

fn sign_in_row(row: &Row<'_>) -> rusqlite::Result<Result<SignInRow>> {
    let (name, way, role) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (unmask, basis) = (row.get(3)?, row.get(4)?);
    let times = [row.get(5)?, row.get(6)?, row.get(7)?].map(rows::at);
    let [made_at, seen_at, until] = times;
    Ok((|| {
        Ok(SignInRow {
            name,
            way,
            role,
            unmask,
            basis,
            made_at: made_at?,
            seen_at: seen_at?,
            until: until?,
        })
    })())
}

fn token_row(row: &Row<'_>) -> rusqlite::Result<Result<TokenRow>> {
    let (id, name, owner, owner_way) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    let (role, unmask) = (row.get(4)?, row.get(5)?);
    let (made_at, until, used_at) = (row.get(6)?, row.get(7)?, row.get(8)?);
    Ok((|| {
        Ok(TokenRow {
            id,
            name,
            owner,
            owner_way,
            role,
            unmask,
            made_at: rows::at(made_at)?,
            until: rows::maybe_at(until)?,
            used_at: rows::maybe_at(used_at)?,
        })
    })())
}

fn person_row(row: &Row<'_>) -> rusqlite::Result<Result<PersonRow>> {
    let (name, way, role) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let seen_at = rows::at(row.get(3)?);
    Ok(seen_at.map(|seen_at| PersonRow {
        name,
        way,
        role,
        seen_at,
    }))
}

fn entry_row(row: &Row<'_>) -> rusqlite::Result<Result<(i64, AuditEntry)>> {
    let (id, at) = (row.get(0)?, rows::at(row.get(1)?));
    let (who, way, what, object) = (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
    let (before, after, outcome) = (row.get(6)?, row.get(7)?, row.get(8)?);
    Ok(at.map(|at| {
        let entry = AuditEntry {
            at,
            who,
            way,
            what,
            object,
            before,
            after,
            outcome,
        };
        (id, entry)
    }))
}
