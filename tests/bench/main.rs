//! What an event costs: floor programs that do the least, and the daemon, take turns at the same
//! events and the same sink; medians and ratios are printed. `--help` lists the options.

#![expect(clippy::print_stdout, reason = "a program that reports")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contestant;
mod floor;
mod load;
mod measure;
mod options;
mod process;
mod report;
mod sink;

use std::process::ExitCode;

use contestant::Who;
use options::{Asked, Options, USAGE};
use sink::Sink;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::read(&arguments) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Floor(place)) => {
            floor::run(place).await;
            return ExitCode::SUCCESS;
        }
        Ok(Asked::Help) => {
            println!("a benchmark, which runs on demand:\n\n{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            println!("{message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    println!(
        "{build} build, {}; {} rounds, bursts of {} events in {} sessions",
        if options.postgres {
            "PostgreSQL"
        } else {
            "SQLite"
        },
        options.rounds,
        options.events,
        options.sessions
    );
    let sink = Sink::start().await;
    let mut figures = Vec::new();
    for round in 1..=options.rounds {
        for who in Who::ALL {
            println!("round {round}: {}", report::name(who));
            figures.extend(measure::all(who, &sink, &options).await);
        }
    }
    report::print(&figures);
    ExitCode::SUCCESS
}
