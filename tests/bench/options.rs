//! What the run is asked to do.

use crate::floor;

pub const USAGE: &str = "\
tests/run --bench [OPTIONS], which is cargo test --release --test bench -- --run [OPTIONS]

  --events N      events of a burst (4000)
  --sessions N    open sessions among which they are shared out (256)
  --rounds N      how often the floors and the daemon take turns (3)
  --seconds N     how long events come at each pace (10)
  --pace N        events in a second; may be given several times (100 and 300)
  --ledger NAME   the daemon's: sqlite or postgres (sqlite)
  --growth N      and then so many events more, of 10000 sessions, to see whether anything gets slower (0)

RabbitMQ and PostgreSQL come from the environment, as tests/run sets it.";

/// Without it a plain `cargo test` would take minutes.
const RUN: &str = "--run";

/// What is measured, and how much of it.
pub struct Options {
    pub events: usize,
    pub sessions: usize,
    pub rounds: usize,
    pub seconds: usize,
    pub paces: Vec<usize>,
    /// How many events the ledger is let grow by in the end.
    pub growth: usize,
    /// Whether the daemon's ledger is in PostgreSQL.
    pub postgres: bool,
}

/// What the arguments ask for.
pub enum Asked {
    Run(Options),
    /// To be a floor program.
    Floor(floor::Place),
    Help,
}

impl Options {
    pub fn read(arguments: &[String]) -> Result<Asked, String> {
        if let [flag, place] = arguments
            && flag == floor::FLAG
        {
            let place = serde_json::from_str(place).map_err(|error| error.to_string())?;
            return Ok(Asked::Floor(place));
        }
        if !arguments.iter().any(|argument| argument == RUN) {
            return Ok(Asked::Help);
        }
        let mut options = Options {
            events: 4_000,
            sessions: 256,
            rounds: 3,
            seconds: 10,
            paces: Vec::new(),
            growth: 0,
            postgres: false,
        };
        let mut arguments = arguments.iter().filter(|argument| *argument != RUN);
        while let Some(name) = arguments.next() {
            if name == "--help" {
                return Ok(Asked::Help);
            }
            let value = arguments.next().ok_or(format!("{name} needs a value"))?;
            if name == "--ledger" {
                options.postgres = match value.as_str() {
                    "sqlite" => false,
                    "postgres" => true,
                    _ => return Err("--ledger is sqlite or postgres".into()),
                };
                continue;
            }
            let number: usize = value
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .ok_or(format!("{name}: not a number above zero"))?;
            match name.as_str() {
                "--events" => options.events = number,
                "--sessions" => options.sessions = number,
                "--rounds" => options.rounds = number,
                "--seconds" => options.seconds = number,
                "--pace" => options.paces.push(number),
                "--growth" => options.growth = number,
                _ => return Err(format!("{name} is not known")),
            }
        }
        if options.paces.is_empty() {
            options.paces = vec![100, 300];
        }
        options.sessions = options.sessions.min(options.events);
        Ok(Asked::Run(options))
    }
}
