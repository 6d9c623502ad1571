//! `handoffd notify --test`: whether people would be told.

use std::path::Path;

use anyhow::anyhow;
use clap::Args;

use crate::config;
use crate::notifications::channels::Channels;
use crate::notifications::words;
use crate::stdout::say;

#[derive(Debug, Args)]
pub(super) struct NotifyArgs {
    /// Send one line that says that it is a test by every channel
    #[arg(long, required = true)]
    test: bool,
}

pub(super) async fn notify(path: Option<&Path>, args: &NotifyArgs) -> anyhow::Result<u8> {
    let path = super::configured(path)?;
    let config = config::load(Some(&path), config::environment())
        .map_err(|problems| anyhow!("{}", config::tidy(&problems)))?;
    let channels = Channels::new(&config.notifications, &config.outbound)
        .map_err(|(name, why)| anyhow!("notifications.channel {name}: {why}"))?;
    if !args.test || channels.names().next().is_none() {
        say("nobody is told: add [[notifications.channel]]");
        return Ok(1);
    }
    let mut code = 0;
    for name in channels.names() {
        let id = format!("test-{}", uuid::Uuid::new_v4().simple());
        match channels.test(name, &id, words::TEST).await {
            Ok(()) => say(&format!("{name}: sent")),
            Err(why) => {
                say(&format!("{name}: not sent: {why}"));
                code = 1;
            }
        }
    }
    Ok(code)
}
