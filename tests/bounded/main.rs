//! Whether the daemon stays small and quick when something is large or stands still: a backlog, a
//! file, a CRM that accepts and never answers, parked lanes, strangers at the door, event streams. Prints what it measured; fails when a
//! figure is beyond a generous bound. `--help` lists the options.

#![expect(clippy::print_stdout, reason = "a program that reports")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "its other parts are used by other tests")]
#[path = "../alone/mod.rs"]
mod alone;
mod backlog;
#[expect(dead_code, reason = "its other parts are used by its own tests")]
#[path = "../several/database.rs"]
mod database;
mod file;
#[expect(dead_code, reason = "its other parts are used by its own tests")]
#[path = "../several/fleet.rs"]
mod fleet;
mod memory;
mod options;
mod silence;
mod strangers;
mod streams;

use std::process::ExitCode;

use options::{Asked, Options, USAGE};

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Nothing) => return ExitCode::SUCCESS,
        Ok(Asked::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(words) => {
            println!("{words}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    println!("the daemon's memory ({build} build, SQLite)");
    if options.does("backlog") {
        backlog::run(&options).await;
    }
    if options.does("file") {
        file::run(&options).await;
    }
    if options.does("silence") {
        silence::run(&options).await;
    }
    if options.does("strangers") {
        strangers::run().await;
    }
    if options.does("streams") {
        streams::run(&options).await;
    }
    ExitCode::SUCCESS
}
