//! Whether the ledger's folder is there and can be written to.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::config::Problem;
use crate::stdout::say;

/// Only handoffd and its group may read what customers wrote.
const MODE: u32 = 0o750;

/// What is wrong with the folder of an SQLite ledger. With `create`, a missing one is made.
pub(super) fn problem(url: &str, create: bool) -> Option<Problem> {
    let file = Path::new(url.strip_prefix("sqlite:")?);
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let shown = folder.display();
    let problem =
        |found: String, remedy: &str| Some(Problem::with_remedy("ledger.url", found, remedy));
    if !folder.exists() {
        if !create {
            let found = format!("the folder {shown} does not exist");
            return problem(found, "create it, such as by `handoffd check --create`");
        }
        let made = DirBuilder::new().recursive(true).mode(MODE).create(folder);
        if let Err(error) = made {
            let found = format!("the folder {shown} cannot be created: {}", error.kind());
            return problem(found, "create it, and let handoffd write to it");
        }
        say(&format!("created the folder {shown}"));
    }
    if let Err(error) = writable(folder) {
        let found = format!("the folder {shown} cannot be written to: {}", error.kind());
        return problem(found, "let handoffd's user write to it, or name another");
    }
    if file.exists()
        && let Err(error) = OpenOptions::new().append(true).open(file)
    {
        let found = format!("{} cannot be written to: {}", file.display(), error.kind());
        return problem(found, "let handoffd's user write to it, or name another");
    }
    None
}

/// Makes a file and takes it away again: permissions alone do not tell of a disk that is full or
/// mounted for reading only.
fn writable(folder: &Path) -> io::Result<()> {
    let file = folder.join(format!(".handoffd-check-{}", uuid::Uuid::new_v4()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&file)?;
    std::fs::remove_file(&file)
}
