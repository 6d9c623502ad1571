//! Who tells people what is not well, where the configuration names a channel.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::connectors;
use crate::ledger::Ledger;
use crate::notifications::Notifier;
use crate::notifications::channels::Channels;
use crate::notifications::watched::Watched;
use crate::target::Target;

/// The notifier, if anybody is told.
///
/// # Errors
/// A channel cannot be made: its path, and why.
pub(super) fn notifier(
    config: &Config,
    ledger: &Arc<dyn Ledger>,
    targets: &BTreeMap<String, Arc<Target>>,
) -> Result<Option<Notifier>, String> {
    let channels = Channels::new(&config.notifications, &config.outbound)
        .map_err(|(name, why)| format!("notifications.channel.{name}: {why}"))?;
    if channels.names().next().is_none() {
        return Ok(None);
    }
    let answers = |target: &&Arc<Target>| connectors::is_way_back(target.kind);
    Ok(Some(Notifier {
        ledger: ledger.clone(),
        config: config.notifications.clone(),
        channels,
        watched: Watched::new(targets.values().filter(answers).cloned().collect()),
        daemon: config.daemon.name.clone(),
    }))
}
