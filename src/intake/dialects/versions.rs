//! Versions of dialects in the ledger. The latest counts, before the file in the configuration and the
//! shipped one; one that is applied while the daemon runs counts within seconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Dialects;
use crate::ledger::{LedgerError, MappingLedger};
use crate::mapping::dialect::Dialect;

/// What stands before a dialect's name where its versions are kept; no target's name can hold it.
pub const INTAKE: &str = "intake/";

/// Which version of each dialect is in force.
pub struct Versions<L: ?Sized> {
    ledger: Arc<L>,
    dialects: Arc<Dialects>,
    read: BTreeMap<String, i64>,
}

impl<L: MappingLedger + ?Sized> Versions<L> {
    /// Those that are configured; [`look`](Versions::look) puts the ledger's in force.
    pub fn new(ledger: Arc<L>, dialects: Arc<Dialects>) -> Versions<L> {
        Versions {
            ledger,
            dialects,
            read: BTreeMap::new(),
        }
    }

    /// Puts in force what is new in the ledger.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn look(&mut self) -> Result<(), LedgerError> {
        for name in self.dialects.names() {
            let key = format!("{INTAKE}{name}");
            let Some(row) = self.ledger.mapping_get(&key, None).await? else {
                continue;
            };
            if self.read.insert(name.clone(), row.version) == Some(row.version) {
                continue;
            }
            match Dialect::parse(&name, &row.text) {
                Ok(dialect) => {
                    self.dialects.replace(&dialect);
                    tracing::info!(
                        dialect = name,
                        version = row.version,
                        "a dialect is in force"
                    );
                }
                // It was right when it was applied: another handoffd may be newer.
                Err(problems) => tracing::error!(
                    dialect = name,
                    version = row.version,
                    problems = problems.len(),
                    "this version of a dialect cannot be read, and the one before stays in force"
                ),
            }
        }
        Ok(())
    }
}
