//! What the run is asked to do.

use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = "\
cargo test --release --test chaos -- [OPTIONS]

  --seed N              what is said and what goes wrong follows from it (1)
  --handoffs N          how many conversations (12)
  --for DURATION        how long faults are injected, such as 90s, 10m, 2h (15s)
  --ledger KIND         sqlite, postgres, or both (both)
  --daemons N           daemons on one PostgreSQL ledger, 1 to 3 (2)
  --nodes N             nodes of the broker; more than one are a cluster, 1 to 3 (1)
  --rounds N            so many runs one after the other, each with the next seed (1)
  --exit KIND           cloud, gateway, or both, or http (WAHA's API, and customers in its words): how replies leave (both)
  --calm                no faults at all: shows that the judge finds nothing in a quiet run
  --without KIND,…      leaves out these kinds of fault
  --clock               steps the clock of a daemon as well; needs libfaketime
  --disk                fills the disk of an SQLite ledger as well; needs the right to mount a tmpfs
  --plan                prints what would be said and what would go wrong, and ends
  --json                the report as JSON
  --binary PATH         the handoffd to test; the one that was built with this program otherwise
  --keep                keeps the folder with logs and ledger

Services come from the environment, as tests/run sets it.";

/// Which ledger a run is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerKind {
    Sqlite,
    Postgres,
}

/// How replies leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Cloud,
    Gateway,
    /// By the API of a gateway without a queue, which is WAHA here.
    Http,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub seed: u64,
    pub handoffs: usize,
    pub lasts: Duration,
    pub ledgers: Vec<LedgerKind>,
    pub daemons: usize,
    pub nodes: usize,
    pub rounds: u64,
    pub exits: Vec<Exit>,
    pub calm: bool,
    pub without: Vec<String>,
    pub clock: bool,
    pub disk: bool,
    pub plan: bool,
    pub json: bool,
    pub keep: bool,
    pub binary: PathBuf,
}

/// What the arguments ask for.
pub enum Asked {
    Run(Options),
    Help,
    /// A filter of `cargo test` that means other tests.
    Nothing,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
        let mut options = Options {
            seed: 1,
            handoffs: 12,
            lasts: Duration::from_secs(15),
            ledgers: vec![LedgerKind::Sqlite, LedgerKind::Postgres],
            daemons: 2,
            nodes: 1,
            rounds: 1,
            exits: vec![Exit::Cloud, Exit::Gateway],
            calm: false,
            without: Vec::new(),
            clock: false,
            disk: false,
            plan: false,
            json: false,
            keep: false,
            binary: env!("CARGO_BIN_EXE_handoffd").into(),
        };
        let mut filters = Vec::new();
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{name} needs a value"))
            };
            match name.as_str() {
                "--seed" => options.seed = number(&value()?)?,
                "--handoffs" => {
                    options.handoffs =
                        usize::try_from(number(&value()?)?.clamp(1, 9_999)).unwrap_or(1);
                }
                "--for" => options.lasts = duration(&value()?)?,
                "--daemons" => {
                    options.daemons = usize::try_from(number(&value()?)?.clamp(1, 3)).unwrap_or(1);
                }
                "--nodes" => {
                    options.nodes = usize::try_from(number(&value()?)?.clamp(1, 3)).unwrap_or(1);
                }
                "--rounds" => options.rounds = number(&value()?)?.max(1),
                "--ledger" => {
                    options.ledgers = match value()?.as_str() {
                        "sqlite" => vec![LedgerKind::Sqlite],
                        "postgres" => vec![LedgerKind::Postgres],
                        "both" => vec![LedgerKind::Sqlite, LedgerKind::Postgres],
                        other => {
                            return Err(format!(
                                "--ledger: {other} is not sqlite, postgres or both"
                            ));
                        }
                    }
                }
                "--exit" => {
                    options.exits = match value()?.as_str() {
                        "cloud" => vec![Exit::Cloud],
                        "gateway" => vec![Exit::Gateway],
                        "both" => vec![Exit::Cloud, Exit::Gateway],
                        "http" => vec![Exit::Http],
                        other => {
                            return Err(format!(
                                "--exit: {other} is not cloud, gateway, both or http"
                            ));
                        }
                    }
                }
                "--without" => options.without = value()?.split(',').map(str::to_owned).collect(),
                "--binary" => options.binary = value()?.into(),
                "--calm" => options.calm = true,
                "--clock" => options.clock = true,
                "--disk" => options.disk = true,
                "--plan" => options.plan = true,
                "--json" => options.json = true,
                "--keep" => options.keep = true,
                "--help" | "-h" => return Ok(Asked::Help),
                // Options of other test programs that `cargo test -- …` hands to this one as well.
                "--nocapture" | "--quiet" | "-q" => {}
                option if option.starts_with('-') => {
                    return Err(format!("there is no option {option}"));
                }
                filter => filters.push(filter.to_owned()),
            }
        }
        let meant = filters.is_empty()
            || filters
                .iter()
                .any(|filter| "chaos".contains(filter.as_str()));
        Ok(if meant {
            Asked::Run(options)
        } else {
            Asked::Nothing
        })
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is not a duration such as 90s, 10m or 2h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let count: u64 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(count * seconds))
}
