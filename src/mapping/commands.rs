//! What `handoffd mapping check | preview | test | apply | export | history` does, as functions from
//! files and the ledger to a text and a verdict.

use std::path::Path;

use handoffd_contract::settings::without_value;
use handoffd_contract::{Data, Event, text};
use jiff::Timestamp;

use crate::ledger::{LedgerError, MappingLedger};

use super::dialect::Dialect;
use super::exit;
use super::field::{Field, Outcome};
use super::template::Fault;
use super::{Input, Mapping, MappingProblem, TestOutcome, sample, sample_notice, with_input};

/// The longest value that a preview shows, in UTF-16 units.
const SHOWN: usize = 100;
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// A command's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What to print.
    pub text: String,
    /// Whether all is well; the exit code is 0 or 1.
    pub ok: bool,
}

/// A new version of a target's mapping, or of a dialect.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The target; of a dialect, `intake/` and its name.
    pub target: &'a str,
    /// The target's kind; of a dialect, `intake, as` and its name.
    pub kind: &'a str,
    /// The file's name, for messages.
    pub file: &'a str,
    /// The file's text.
    pub text: &'a str,
    /// Who changes it.
    pub who: &'a str,
    /// Why.
    pub why: &'a str,
    /// The version that must be the latest, if that matters.
    pub expect: Option<i64>,
}

/// Reads each file and says what is wrong with it.
#[must_use]
pub fn check<P: AsRef<Path>>(files: &[P]) -> Report {
    each(files, |one, file| Report {
        text: match one {
            One::Mapping(mapping) => format!("{file}: fits {}\n", mapping.kind()),
            One::Dialect(dialect) => format!("{file}: fits intake, as {}\n", dialect.name()),
        },
        ok: true,
    })
}

/// Runs the tests of each file.
#[must_use]
pub fn test<P: AsRef<Path>>(files: &[P]) -> Report {
    each(files, |one, file| {
        let outcomes = match one {
            One::Mapping(mapping) => mapping.run_tests(),
            One::Dialect(dialect) => dialect.run_tests(),
        };
        let failed = outcomes
            .iter()
            .filter(|outcome| !outcome.failures.is_empty())
            .count();
        let mut text: String = outcomes
            .iter()
            .map(|outcome| tested(file, outcome))
            .collect();
        text.push_str(&format!(
            "{file}: {} passed, {failed} failed\n",
            outcomes.len() - failed
        ));
        Report {
            text,
            ok: failed == 0,
        }
    })
}

/// Shows what a file makes of an event, by default the built-in one.
#[must_use]
pub fn preview(file: &Path, event: Option<&Path>) -> Report {
    let event = match event {
        None => sample(),
        Some(path) => match read_event(path) {
            Ok(event) => event,
            Err(text) => return Report { text, ok: false },
        },
    };
    each(&[file], |one, file| match one {
        One::Mapping(mapping) => shown(mapping, &event),
        One::Dialect(_) => Report {
            text: format!("{file}: is a dialect of intake, not a mapping\n"),
            ok: false,
        },
    })
}

/// The dialect in a file, if it is one.
///
/// # Errors
/// It is one and is wrong, or cannot be read.
pub fn dialect(file: &Path) -> Result<Option<Dialect>, Report> {
    let bad = |text| Report { text, ok: false };
    let text = read(file).map_err(bad)?;
    if !Dialect::is_one(&text) {
        return Ok(None);
    }
    let parsed = Dialect::parse(&file.display().to_string(), &text);
    parsed.map(Some).map_err(|problems| bad(listed(&problems)))
}

/// A table of every field with its value or the reason why there is none.
#[must_use]
pub fn shown(mapping: &Mapping, event: &Event) -> Report {
    let mut table = Table::default();
    with_input(event, |input| {
        for (field, outcome) in mapping.evaluate(input) {
            table.row(mapping, field, outcome);
        }
        if matches!(event.data, Data::CustomerNotice(_)) {
            return;
        }
        // What the customer of this event would be told, also what is switched off.
        for field in &mapping.0.fields {
            let Some(notice) = field.notice() else {
                continue;
            };
            let told = sample_notice(notice);
            let input = Input {
                event: &told,
                ..*input
            };
            let values = super::names::values(&input, |_| true);
            table.row(
                mapping,
                field,
                field.evaluate_on(&mapping.0.templates, &values),
            );
        }
    });
    let Table {
        rows,
        set,
        out,
        wrong,
    } = table;
    let width = rows
        .iter()
        .map(|(path, _)| path.chars().count())
        .max()
        .unwrap_or(0);
    let mut page = String::new();
    for (path, cell) in &rows {
        for (at, line) in cell.lines().enumerate() {
            let path = if at == 0 { path } else { "" };
            page.push_str(&format!("{path:width$}  {line}\n"));
        }
    }
    let verdict = if wrong == 0 { "fits" } else { "does not fit" };
    page.push_str(&format!(
        "{verdict}: {set} set, {out} left out, {wrong} that do not fit\n"
    ));
    Report {
        text: page,
        ok: wrong == 0,
    }
}

/// A preview's rows, and how many of each sort there are.
#[derive(Default)]
struct Table {
    rows: Vec<(String, String)>,
    set: usize,
    out: usize,
    wrong: usize,
}

impl Table {
    fn row(&mut self, mapping: &Mapping, field: &Field, outcome: Result<Outcome, Fault>) {
        let cell = match outcome {
            Ok(Outcome::Value(value, note)) => {
                let mut cell = text::truncate(&value.to_string(), SHOWN);
                if field.on {
                    self.set += 1;
                } else {
                    self.out += 1;
                    cell = format!("- it is switched off: {cell}");
                }
                note.map_or(cell.clone(), |loss| format!("{cell}\n! {}", loss.note))
            }
            Ok(Outcome::Out(why)) => {
                self.out += 1;
                format!("- {why}")
            }
            Ok(Outcome::Dropped(loss)) => {
                self.wrong += 1;
                format!("! {}", loss.note)
            }
            Err(fault) => {
                self.wrong += 1;
                let problem = mapping.problem(field, fault);
                match field.notice() {
                    Some(_) => format!("! THE CUSTOMER IS NOT TOLD: {problem}"),
                    None => format!("! STOPS THE HANDOFF: {problem}"),
                }
            }
        };
        self.rows.push((field.path(), cell));
    }
}

/// Stores a new version, if it is right, is for this kind of target and passes its tests.
pub async fn apply(ledger: &dyn MappingLedger, now: Timestamp, change: &Change<'_>) -> Report {
    let bad = |text: String| Report { text, ok: false };
    let one = match One::parse(change.file, change.text) {
        Ok(one) => one,
        Err(problems) => return bad(problems),
    };
    let (is, outcomes) = match &one {
        One::Mapping(mapping) => (mapping.kind().to_owned(), mapping.run_tests()),
        One::Dialect(dialect) => (
            format!("intake, as {}", dialect.name()),
            dialect.run_tests(),
        ),
    };
    if is != change.kind {
        return bad(format!(
            "{}: is for {is}, but the target `{}` is {}\n",
            change.file, change.target, change.kind
        ));
    }
    let failed: String = outcomes
        .iter()
        .filter(|outcome| !outcome.failures.is_empty())
        .map(|outcome| tested(change.file, outcome))
        .collect();
    if !failed.is_empty() {
        return bad(format!("{failed}not applied: its tests fail\n"));
    }
    match ledger.mapping_get(change.target, None).await {
        Ok(Some(latest))
            if latest.text == change.text
                && change.expect.is_none_or(|expect| expect == latest.version) =>
        {
            let text = format!(
                "{}: version {} is the same; nothing to do\n",
                change.target, latest.version
            );
            return Report { text, ok: true };
        }
        Ok(_) => {}
        Err(error) => return bad(failure(change.target, &error)),
    }
    let put = ledger.mapping_put(
        now,
        change.target,
        change.text,
        change.who,
        change.why,
        change.expect,
    );
    match put.await {
        Ok(version) => Report {
            text: format!("{}: version {version} is live\n", change.target),
            ok: true,
        },
        Err(error) => bad(failure(change.target, &error)),
    }
}

/// The text of a version, or of the latest.
pub async fn export(ledger: &dyn MappingLedger, target: &str, version: Option<i64>) -> Report {
    match ledger.mapping_get(target, version).await {
        Ok(Some(row)) => Report {
            text: row.text,
            ok: true,
        },
        Ok(None) => {
            let which = version.map_or("no mapping".to_owned(), |version| {
                format!("no version {version}")
            });
            Report {
                text: format!("{target}: the ledger has {which}\n"),
                ok: false,
            }
        }
        Err(error) => Report {
            text: failure(target, &error),
            ok: false,
        },
    }
}

/// All versions of a target's mapping, newest first.
pub async fn history(ledger: &dyn MappingLedger, target: &str) -> Report {
    match ledger.mapping_history(target).await {
        Ok(rows) if rows.is_empty() => Report {
            text: format!("{target}: no mapping yet\n"),
            ok: true,
        },
        Ok(rows) => {
            let line = |row: &crate::ledger::MappingRow| {
                let at = row.at.strftime("%Y-%m-%d %H:%M:%SZ");
                format!("{:>4}  {at}  {}  {}\n", row.version, row.who, row.why)
            };
            Report {
                text: rows.iter().map(line).collect(),
                ok: true,
            }
        }
        Err(error) => Report {
            text: failure(target, &error),
            ok: false,
        },
    }
}

/// Problems, one per line.
#[must_use]
pub fn listed(problems: &[MappingProblem]) -> String {
    problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect()
}

/// What a file of this kind is.
enum One {
    Mapping(Mapping),
    Dialect(Dialect),
}

impl One {
    /// What is in a file, or what is wrong with it, one problem a line.
    fn parse(name: &str, text: &str) -> Result<One, String> {
        let mapped = |problems: Vec<MappingProblem>| listed(&problems);
        if Dialect::is_one(text) {
            Dialect::parse(name, text).map(One::Dialect).map_err(mapped)
        } else {
            Mapping::parse(name, text).map(One::Mapping).map_err(mapped)
        }
    }
}

fn each<P: AsRef<Path>>(files: &[P], then: impl Fn(&One, &str) -> Report) -> Report {
    let mut all = Report {
        text: String::new(),
        ok: true,
    };
    for path in files {
        if let Some(report) = exit_file(path.as_ref()) {
            all.text.push_str(&report.text);
            all.ok &= report.ok;
            continue;
        }
        let name = path.as_ref().display().to_string();
        let parsed = |text: String| One::parse(&name, &text);
        let report = match read(path.as_ref()).and_then(parsed) {
            Ok(one) => then(&one, &name),
            Err(text) => Report { text, ok: false },
        };
        all.text.push_str(&report.text);
        all.ok &= report.ok;
    }
    all
}

fn tested(file: &str, outcome: &TestOutcome) -> String {
    if outcome.failures.is_empty() {
        return format!("ok      {}\n", outcome.name);
    }
    let failures: String = outcome
        .failures
        .iter()
        .map(|failure| format!("          {failure}\n"))
        .collect();
    format!(
        "FAILED  {} ({file}:{})\n{failures}",
        outcome.name, outcome.line
    )
}

/// What is wrong with a file that says how a gateway is called, if it is one.
fn exit_file(path: &Path) -> Option<Report> {
    let text = read(path).ok().filter(|text| exit::is_one(text))?;
    let name = path.display();
    Some(match exit::judge(&text) {
        Ok(gateway) => Report {
            text: format!("{name}: fits exit, as {gateway}\n"),
            ok: true,
        },
        Err(problems) => {
            let lines = problems.iter().map(|words| format!("{name}: {words}\n"));
            Report {
                text: lines.collect(),
                ok: false,
            }
        }
    })
}

fn read_event(path: &Path) -> Result<Event, String> {
    let text = read(path)?;
    serde_json::from_str(&text).map_err(|error| {
        format!(
            "{}: not an event: {}\n",
            path.display(),
            without_value(&error)
        )
    })
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |what: String| format!("{}: {what}\n", path.display());
    let size = std::fs::metadata(path)
        .map_err(|error| failed(error.to_string()))?
        .len();
    if size > MAX_FILE {
        return Err(failed("larger than 16 MiB".into()));
    }
    std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

fn failure(target: &str, error: &LedgerError) -> String {
    match error {
        LedgerError::Conflict(words) => {
            format!("{target}: not applied, somebody else changed it meanwhile: {words}\n")
        }
        other => format!("{target}: {other}\n"),
    }
}
