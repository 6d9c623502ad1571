//! Secrets: declared by name under `[secrets]`, read once, never printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::path::Path;

use handoffd_contract::settings::{is_identifier, is_secret_name, printable, printable_path};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::reader::Sections as _;
use handoffd_contract::Problem;
use handoffd_contract::settings::Table;

/// The largest secret, in bytes; the longest real ones are PEM keys of a few KiB.
const MAX: u64 = 64 << 10;

/// Every secret, by name.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<String, SecretString>,
    /// Declared, and reported already: their source gave no value.
    failed: BTreeSet<String>,
}

impl Secrets {
    /// The secret with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.values.get(name)
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whether the secret is declared and gave no value, which is a problem of its own.
    pub(super) fn failed(&self, name: &str) -> bool {
        self.failed.contains(name)
    }

    /// Secrets from names and values; for the demo and for tests.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Secrets {
        let values = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), SecretString::from(value.into())))
            .collect();
        Secrets {
            values,
            failed: BTreeSet::new(),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Reads `[secrets]`: each entry is `{ env = … }`, `{ file = … }` or `{ value = … }`.
pub(super) fn read(
    section: Table<'_>,
    folder: &Path,
    env: &BTreeMap<String, String>,
    warnings: &mut Vec<Problem>,
) -> Secrets {
    let mut secrets = Secrets::default();
    for (name, declared) in section.all().into_iter().flatten() {
        let shown = printable(name);
        if !is_secret_name(name) {
            section.complain(&shown, "not a name", "use at most 60 of a-z, 0-9 and _");
            continue;
        }
        match value_of(&section.path_of(&shown), declared, folder, env, warnings) {
            Ok(value) => {
                secrets.values.insert(name.clone(), value);
            }
            Err(problem) => {
                section.report(problem);
                secrets.failed.insert(name.clone());
            }
        }
    }
    secrets
}

fn value_of(
    path: &str,
    declared: &Value,
    folder: &Path,
    env: &BTreeMap<String, String>,
    warnings: &mut Vec<Problem>,
) -> Result<SecretString, Problem> {
    let form =
        "write { env = \"VARIABLE\" }, { file = \"path\" } or, for a demo, { value = \"…\" }";
    let one = declared
        .as_object()
        .filter(|table| table.len() == 1)
        .and_then(|table| table.iter().next());
    let Some((how, Value::String(what))) = one else {
        return Err(Problem::with_remedy(
            path,
            "not one source of a secret",
            form,
        ));
    };
    let raw = match how.as_str() {
        "env" => env.get(what).cloned().ok_or_else(|| {
            Problem::with_remedy(
                path,
                format!("the environment has no `{}`", variable(what)),
                "set it, or correct the name",
            )
        })?,
        "file" => from_file(path, folder, what, warnings)?,
        "value" => {
            warnings.push(Problem::with_remedy(
                path,
                "the secret is in the configuration itself",
                "move it to a file or the environment",
            ));
            what.clone()
        }
        _ => {
            return Err(Problem::with_remedy(
                path,
                format!("`{}` is no source of a secret", printable(how)),
                form,
            ));
        }
    };
    // What an editor or a copied line leaves around a secret is never meant: the line end, blanks,
    // the mark by which Windows begins a file.
    let trimmed = raw.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if trimmed.is_empty() {
        return Err(Problem::with_remedy(
            path,
            "the secret is empty",
            format!("fill what `{}` names", printable(how)),
        ));
    }
    Ok(SecretString::from(trimmed))
}

/// A variable's name as it can be shown: in upper case, as they are by custom.
fn variable(name: &str) -> String {
    if is_identifier(name) && !name.contains(|c: char| c.is_ascii_lowercase()) {
        name.to_owned()
    } else {
        format!("(a name of {} characters)", name.chars().count())
    }
}

fn from_file(
    path: &str,
    folder: &Path,
    name: &str,
    warnings: &mut Vec<Problem>,
) -> Result<String, Problem> {
    let file = &folder.join(name);
    // What is there is a file's name and no secret.
    let shown = if file.exists() {
        file.display().to_string()
    } else {
        shown_file(folder, name)
    };
    let failed = |found: String, remedy: &str| {
        Problem::with_remedy(path, format!("{shown}: {found}"), remedy)
    };
    let opened = std::fs::File::open(file).map_err(|error| {
        failed(
            reason(&error),
            "create the file and let only handoffd read it",
        )
    })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = opened
            .metadata()
            .map(|data| data.permissions().mode())
            .unwrap_or(0);
        if mode & 0o004 != 0 {
            warnings.push(failed("everybody may read the secret".into(), "chmod o-r"));
        }
    }
    let mut bytes = Vec::new();
    opened
        .take(MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(reason(&error), "make it readable"))?;
    if bytes.len() as u64 > MAX {
        return Err(failed(
            "larger than 64 KiB".into(),
            "name the file that holds only the secret",
        ));
    }
    String::from_utf8(bytes).map_err(|_| {
        failed(
            "not UTF-8 text".into(),
            "store the secret as text, a key as PEM",
        )
    })
}

/// A file of the configuration as it can be shown, with the folder that it is relative to.
pub(super) fn shown_file(folder: &Path, name: &str) -> String {
    let name = printable_path(name);
    if name.starts_with('(') {
        name
    } else {
        folder.join(name).display().to_string()
    }
}

/// The operating system's words, without its numbers.
pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

/// Whether two secrets are the same; not in constant time, only for finding mistakes at start.
pub(super) fn same(a: &SecretString, b: &SecretString) -> bool {
    a.expose_secret() == b.expose_secret()
}
