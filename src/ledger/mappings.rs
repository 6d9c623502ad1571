//! Versions of mappings.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;

/// One version of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingRow {
    /// The target.
    pub target: String,
    /// The version: 1, 2, 3 …
    pub version: i64,
    /// The file's text.
    pub text: String,
    /// Who applied it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// The ledger as mappings see it. Every method is one transaction.
#[async_trait]
pub trait MappingLedger: Send + Sync {
    /// Stores the next version of a mapping. Refused ([`Conflict`](super::LedgerError::Conflict)) when `expect` is
    /// given and is not the latest version; 0 means that there is none yet.
    async fn mapping_put(
        &self,
        now: Timestamp,
        target: &str,
        text: &str,
        who: &str,
        why: &str,
        expect: Option<i64>,
    ) -> Result<i64>;

    /// A version of a mapping, or the latest.
    async fn mapping_get(&self, target: &str, version: Option<i64>) -> Result<Option<MappingRow>>;

    /// All versions, newest first.
    async fn mapping_history(&self, target: &str) -> Result<Vec<MappingRow>>;
}
