//! What CRMs' records can hold: read through connectors, kept in the ledger, compared with the reading before.
//!
//! A schema is read when the daemon begins, when somebody asks for it, and once a day. The one that is kept stays in
//! force while a reading fails.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `drift` | what changed between two readings, and which fields of a mapping it touches |
//! | `keeper` | who reads, and when |

mod drift;
mod keeper;

use handoffd_contract::{Connector, Schema};
use sha2::{Digest as _, Sha256};

use crate::wire::Wire;

pub use drift::{Change, What, drift};
pub use keeper::{Fresh, keep, look, refresh};

/// The most reads of one schema.
const MAX_READS: usize = 500;

/// Reads the schema of a target, call by call.
///
/// # Errors
/// Why it could not be read, in words without secrets.
pub async fn read(connector: &dyn Connector, wire: &Wire) -> Result<Schema, String> {
    let mut known = connector.schema();
    for _ in 0..MAX_READS {
        let left = connector.schema_reads(&known);
        let Some(read) = left.first() else {
            return Ok(known);
        };
        let reply = match wire.send(&read.call).await {
            Ok(reply) => reply,
            Err(failure) => {
                let stop = failure.stop();
                return Err(format!(
                    "{}: {}",
                    stop.reason.title(),
                    wire.conceal(&stop.message)
                ));
            }
        };
        known = connector
            .schema_told(read, &reply, known)
            .map_err(|words| wire.conceal(&words))?;
    }
    Ok(known)
}

/// Whether the connector knows of any fields, by asking or by its settings.
#[must_use]
pub fn has_schema(connector: &dyn Connector) -> bool {
    let known = connector.schema();
    !known.sections.is_empty() || !connector.schema_reads(&known).is_empty()
}

/// By what a schema is told from another one.
#[must_use]
pub fn digest(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
