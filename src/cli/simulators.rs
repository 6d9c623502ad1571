//! `handoffd demo` and `handoffd sandbox`, where the program was built with the simulators.

pub(super) use imp::{Command, run};

#[cfg(feature = "simulators")]
mod imp {
    use clap::Subcommand;

    use crate::log;

    #[derive(Debug, Subcommand)]
    pub(in crate::cli) enum Command {
        /// Play the whole loop on this machine, with nothing installed and no account
        Demo(crate::demo::Args),
        /// Serve simulators of the four APIs
        Sandbox(crate::sandbox::Args),
    }

    pub(in crate::cli) async fn run(command: Command) -> anyhow::Result<u8> {
        match command {
            Command::Demo(args) => crate::demo::run(args).await,
            Command::Sandbox(args) => {
                log::for_people();
                crate::sandbox::command(args).await.map(|()| 0)
            }
        }
    }
}

/// The commands are known all the same, so that the answer is not that there are none.
#[cfg(not(feature = "simulators"))]
mod imp {
    use clap::Subcommand;

    #[derive(Debug, Subcommand)]
    pub(in crate::cli) enum Command {
        #[command(hide = true)]
        Demo(Ignored),
        #[command(hide = true)]
        Sandbox(Ignored),
    }

    #[derive(Debug, clap::Args)]
    pub(in crate::cli) struct Ignored {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        _options: Vec<std::ffi::OsString>,
    }

    pub(in crate::cli) async fn run(command: Command) -> anyhow::Result<u8> {
        let name = match command {
            Command::Demo(_) => "demo",
            Command::Sandbox(_) => "sandbox",
        };
        anyhow::bail!(
            "`{name}` needs the simulators, and this program was built without them, as a service \
             should be; `cargo run -- {name}` builds one that has them"
        )
    }
}
