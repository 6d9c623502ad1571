//! Tokens of scripts: made by an admin, shown once, and gone at once when they are taken away.

use jiff::{SignedDuration, Timestamp};

use super::{Access, By, Person, Role, digest, secret};
use crate::ledger::access::TokenRow;
use crate::ledger::{LedgerError, Result};

/// What each begins with, so that scanners of repositories find one that was left there.
pub const PREFIX: &str = "hndf_";

/// The longest name, in characters, and the longest life.
pub const MAX_NAME: usize = 80;
const MAX_DAYS: i64 = 3_650;

/// What somebody wants of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is for.
    pub name: String,
    /// What it may.
    pub role: Role,
    /// Whether it may see names and texts of customers.
    pub unmask: bool,
    /// How many days it lasts; for ever where there is none.
    pub days: Option<i64>,
}

/// Why a token is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotMade {
    /// It is not described well; in words.
    Wrong(String),
    /// Who asks may not make this one; in words.
    May(String),
    /// The ledger failed.
    Ledger(LedgerError),
}

impl From<LedgerError> for NotMade {
    fn from(error: LedgerError) -> NotMade {
        NotMade::Ledger(error)
    }
}

/// Whether a text has the shape of a token.
pub(super) fn is_one(text: &&str) -> bool {
    text.len() == PREFIX.len() + 43 && text.starts_with(PREFIX)
}

impl Access {
    /// Makes a token, which is shown now and never again.
    ///
    /// # Errors
    /// Why not.
    pub async fn make_token(
        &self,
        person: &Person,
        wanted: Wanted,
    ) -> Result<(String, TokenRow), NotMade> {
        if matches!(person.by, By::Token { .. }) {
            let words = "a token makes no tokens: sign in, or show the admin token";
            return Err(NotMade::May(words.into()));
        }
        if wanted.role > person.role || (wanted.unmask && !person.may_unmask) {
            let words = "a token may at most what its maker may";
            return Err(NotMade::May(words.into()));
        }
        let name = wanted.name.trim();
        let fits = |name: &str| {
            !name.is_empty()
                && name.chars().count() <= MAX_NAME
                && !name.chars().any(char::is_control)
        };
        if !fits(name) {
            let words = format!(
                "name: a text of {} characters; write what the token is for in 1 to {MAX_NAME}, no control characters",
                name.chars().count()
            );
            return Err(NotMade::Wrong(words));
        }
        if let Some(days) = wanted.days
            && !(1..=MAX_DAYS).contains(&days)
        {
            let words = format!("days: the number {days}; write 1 to {MAX_DAYS}, or leave it out");
            return Err(NotMade::Wrong(words));
        }
        let now = Timestamp::now();
        let lasts = wanted
            .days
            .map(|days| SignedDuration::from_hours(days * 24));
        let token = format!("{PREFIX}{}", secret());
        let row = TokenRow {
            id: uuid::Uuid::now_v7().simple().to_string(),
            name: name.to_owned(),
            owner: person.name.clone(),
            owner_way: person.by.word().to_owned(),
            role: wanted.role.word().to_owned(),
            unmask: wanted.unmask,
            made_at: now,
            until: lasts.map(|lasts| now.saturating_add(lasts).unwrap_or(Timestamp::MAX)),
            used_at: None,
        };
        self.ledger.put_token(&digest(&token), &row).await?;
        let after = noted(&row);
        self.audit
            .note(person, "token made", &row.name, None, Some(after))
            .await?;
        Ok((token, row))
    }

    /// Takes a token away. What it was, if there was one.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn revoke_token(&self, person: &Person, id: &str) -> Result<Option<TokenRow>> {
        let Some(row) = self.ledger.revoke_token(id).await? else {
            return Ok(None);
        };
        let before = noted(&row);
        self.audit
            .note(person, "token revoked", &row.name, Some(before), None)
            .await?;
        Ok(Some(row))
    }
}

/// A token as the audit log has it.
fn noted(row: &TokenRow) -> serde_json::Value {
    serde_json::json!({
        "id": row.id, "name": row.name, "owner": row.owner, "role": row.role, "unmask": row.unmask,
        "until": row.until,
    })
}
