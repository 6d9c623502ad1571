//! Who may ask, and what was done by whom.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;

/// The SHA-256 digest of what a browser or script shows.
pub type Digest = [u8; 32];

/// Somebody who is signed in with a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInRow {
    /// Their name.
    pub name: String,
    /// How they signed in: `password`, `openid` or `link`.
    pub way: String,
    /// What they may: `viewer`, `operator` or `admin`.
    pub role: String,
    /// Whether they may see names and texts of customers.
    pub unmask: bool,
    /// What the sign-in rests on, such as a digest of the password's hash: another one ends it.
    pub basis: String,
    /// When they signed in.
    pub made_at: Timestamp,
    /// When they last asked for something, to the minute.
    pub seen_at: Timestamp,
    /// When it ends, whatever they do.
    pub until: Timestamp,
}

/// A token that a script shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id, which is no secret.
    pub id: String,
    /// What it is for, in its maker's words.
    pub name: String,
    /// Who made it.
    pub owner: String,
    /// How its maker was signed in.
    pub owner_way: String,
    /// What it may: `viewer`, `operator` or `admin`.
    pub role: String,
    /// Whether it may see names and texts of customers.
    pub unmask: bool,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it ends; never, where there is none.
    pub until: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
}

/// Somebody who has signed in once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRow {
    /// Their name.
    pub name: String,
    /// How they sign in.
    pub way: String,
    /// What they might when they last did.
    pub role: String,
    /// When they last asked for something, to the minute.
    pub seen_at: Timestamp,
}

/// What is written into the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// How they were signed in, or by which token.
    pub way: String,
    /// What was done, such as `retry`.
    pub what: String,
    /// To what, such as a session.
    pub object: String,
    /// What was there before, as JSON.
    pub before: Option<String>,
    /// What is there now, as JSON.
    pub after: Option<String>,
    /// `done`, or why not.
    pub outcome: String,
}

/// Which entries of the audit log are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Only of this person.
    pub who: Option<String>,
    /// Only of this kind.
    pub what: Option<String>,
    /// Only older than the one with this number.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

/// The ledger as those see it who tell who asks. Every method is one transaction.
#[async_trait]
pub trait AccessLedger: Send + Sync {
    /// Remembers that somebody signed in, and forgets sign-ins that have ended.
    async fn put_sign_in(&self, key: &Digest, row: &SignInRow) -> Result<()>;

    /// Who is signed in with this; also one that has ended.
    async fn sign_in(&self, key: &Digest) -> Result<Option<SignInRow>>;

    /// Notes that whoever is signed in with this was seen.
    async fn touch_sign_in(&self, key: &Digest, now: Timestamp) -> Result<()>;

    /// Ends a sign-in. Whether there was one.
    async fn end_sign_in(&self, key: &Digest) -> Result<bool>;

    /// Keeps a link that signs in once, until then, and forgets those that have ended.
    async fn put_link(&self, key: &Digest, now: Timestamp, until: Timestamp) -> Result<()>;

    /// Uses up a link. Whether it was there and had not ended.
    async fn take_link(&self, key: &Digest, now: Timestamp) -> Result<bool>;

    /// Keeps a token.
    async fn put_token(&self, key: &Digest, row: &TokenRow) -> Result<()>;

    /// The token with this digest; also one that has ended.
    async fn token(&self, key: &Digest) -> Result<Option<TokenRow>>;

    /// Tokens by id, after that one; at most 1,000.
    async fn tokens(&self, after: &str) -> Result<Vec<TokenRow>>;

    /// Notes that a token was used.
    async fn touch_token(&self, id: &str, now: Timestamp) -> Result<()>;

    /// Takes a token away. What it was, if there was one.
    async fn revoke_token(&self, id: &str) -> Result<Option<TokenRow>>;

    /// Who has signed in, by name, after that one; at most 1,000.
    async fn people(&self, after: &str) -> Result<Vec<PersonRow>>;

    /// Somebody who has signed in this way.
    async fn person(&self, name: &str, way: &str) -> Result<Option<PersonRow>>;

    /// Adds to the audit log. Gives the entry's number.
    async fn note(&self, entry: &AuditEntry) -> Result<i64>;

    /// What stands in the audit log, newest first; at most 1,000 entries.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>>;
}
