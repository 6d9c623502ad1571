//! Opens the ledger that an address names.

use std::sync::Arc;

use super::{Ledger, LedgerError, Result, postgres, sqlite};

/// Opens a ledger that is there already; an operator's command makes none, which would be empty and
/// say that all is well.
///
/// # Errors
/// There is none, or it cannot be opened.
pub async fn open_existing(url: &str) -> Result<Arc<dyn Ledger>> {
    if !exists(url).await? {
        let place = match url.strip_prefix("sqlite:") {
            Some(path) => format!("at {}", path.trim_start_matches("//")),
            None => "in this database".to_owned(),
        };
        let words = format!("there is no ledger {place}; `handoffd run` makes it");
        return Err(LedgerError::Failed(words));
    }
    open(url).await
}

/// Whether there is a ledger; an address of neither kind is left to [`open`].
///
/// # Errors
/// The database cannot be reached.
pub async fn exists(url: &str) -> Result<bool> {
    match url.strip_prefix("sqlite:") {
        Some(path) => Ok(std::path::Path::new(path.trim_start_matches("//")).is_file()),
        None if url.starts_with("postgres") => postgres::Postgres::exists(url).await,
        None => Ok(true),
    }
}

/// Opens the ledger that `url` names: `sqlite:PATH` or `postgres://…`. Migrations run by themselves,
/// forward only, and are safe when two daemons start at once.
///
/// # Errors
/// The address is of neither kind, or the ledger cannot be opened.
pub async fn open(url: &str) -> Result<Arc<dyn Ledger>> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        Ok(Arc::new(sqlite::Sqlite::open(
            path.trim_start_matches("//"),
        )?))
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Arc::new(postgres::Postgres::open(url).await?))
    } else {
        Err(LedgerError::Failed(
            "ledger.url must begin with sqlite: or postgres://".into(),
        ))
    }
}
