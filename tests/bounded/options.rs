//! What the run is asked to do.

pub const USAGE: &str = "\
cargo test --release --test bounded -- [OPTIONS]

  --only PART      backlog, file, silence, or strangers or streams (which need no service); all of them unless given
  --events N       events that wait in RabbitMQ; every second one is a handoff (2000)
  --megabytes N    the size of the file (20)
  --sessions N     handoffs to another CRM that are timed meanwhile (20)
  --streams N      sessions in Salesforce whose event streams are open (300)
  --http1          with a connection for each of them

Services come from the environment, as tests/run sets it.";

pub struct Options {
    only: Option<String>,
    pub events: usize,
    pub megabytes: usize,
    pub sessions: usize,
    pub streams: usize,
    pub http1: bool,
}

/// What the arguments ask for.
pub enum Asked {
    Run(Options),
    Help,
    /// A filter of `cargo test` that means other tests.
    Nothing,
}

impl Options {
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
        let mut options = Options {
            only: None,
            events: 2_000,
            megabytes: 20,
            sessions: 20,
            streams: 300,
            http1: false,
        };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            if name == "--help" {
                return Ok(Asked::Help);
            }
            if !name.starts_with("--") {
                if "bounded".contains(&name) {
                    continue;
                }
                return Ok(Asked::Nothing);
            }
            if name == "--http1" {
                options.http1 = true;
                continue;
            }
            let value = arguments.next().ok_or(format!("{name} needs a value"))?;
            let number = || value.parse().map_err(|_| format!("{name}: not a number"));
            match name.as_str() {
                "--only" => options.only = Some(value),
                "--events" => options.events = number()?,
                "--megabytes" => options.megabytes = number()?,
                "--sessions" => options.sessions = number()?,
                "--streams" => options.streams = number()?,
                _ => return Err(format!("{name} is not known")),
            }
        }
        Ok(Asked::Run(options))
    }

    pub fn does(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == part)
    }
}
