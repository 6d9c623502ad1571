//! Whether there is room to write.
//!
//! A full disk shows late: the write-ahead log keeps the size that it once had, so small writes go on
//! for a while, the pulse's among them. So room is asked for beside the file; and after a write that
//! found none, the ledger is not well again before it could grow.

use std::io::{ErrorKind, Write};
use std::path::Path;

use super::tx::Tx;
use crate::ledger::{LedgerError, Result};

/// Bytes that must fit.
const BYTES: usize = 256 << 10;

/// Whether so much can be written beside the ledger's file.
pub(super) fn beside(ledger: &Path) -> Result<()> {
    let mut name = ledger.as_os_str().to_owned();
    name.push(format!("-room-{}", std::process::id()));
    let path = Path::new(&name);
    let written = std::fs::File::create(path)
        .map_err(|error| failed(&error))
        .and_then(fill);
    // Whatever was written is in nobody's way, but it should not stay.
    let _ = std::fs::remove_file(path);
    written
}

fn fill(mut file: impl Write) -> Result<()> {
    let piece = [0; 16 << 10];
    for _ in 0..BYTES / piece.len() {
        file.write_all(&piece).map_err(|error| failed(&error))?;
    }
    file.flush().map_err(|error| failed(&error))
}

fn failed(error: &std::io::Error) -> LedgerError {
    let words = format!("beside the ledger's file: {error}");
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            LedgerError::Full(words)
        }
        _ => LedgerError::Failed(words),
    }
}

/// Lets the ledger itself grow by so much; [`shrink`] gives it back.
pub(super) fn grow(tx: &Tx<'_>) -> Result<()> {
    shrink(tx)?;
    tx.run(
        &format!("CREATE TABLE room AS SELECT zeroblob({BYTES}) AS bytes"),
        [],
    )?;
    Ok(())
}

/// Takes away what [`grow`] made.
pub(super) fn shrink(tx: &Tx<'_>) -> Result<()> {
    tx.run("DROP TABLE IF EXISTS room", [])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_told_from_a_folder_that_is_not_there() {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        assert!(matches!(fill(full), Err(LedgerError::Full(_))));
        let nowhere = std::env::temp_dir().join("no-such-folder/ledger.db");
        assert!(matches!(beside(&nowhere), Err(LedgerError::Failed(_))));
    }

    #[test]
    fn nothing_stays_beside_the_ledger() {
        let folder = std::env::temp_dir().join(format!("handoffd-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(beside(&folder.join("ledger.db")), Ok(()));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(&folder).unwrap();
    }
}
