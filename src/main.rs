//! The `handoffd` command.

use std::process::ExitCode;

use clap::Parser as _;
use handoffd::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    match cli::main(Cli::parse()).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            #[expect(
                clippy::print_stderr,
                reason = "the one place where a command's failure is told"
            )]
            {
                eprintln!("handoffd: {error:#}");
            }
            ExitCode::from(2)
        }
    }
}
