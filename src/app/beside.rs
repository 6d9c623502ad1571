//! Lanes for those who are told of what happens, in conversations that were there before them: what the
//! target that answers the customer has not passed yet is told by them, and nothing twice.

use jiff::Timestamp;

use crate::config::{Config, TargetConfig};
use crate::connectors;
use crate::ledger::{Ledger, LedgerError};

/// The facts of what was told by such a target itself, as long as it did that.
const TOLD: &str = "out/";

/// Opens them, once for each target.
pub(super) async fn open(ledger: &dyn Ledger, config: &Config) -> Result<(), LedgerError> {
    for target in config.enabled() {
        if !connectors::is_events(&target.kind) {
            continue;
        }
        let beside = ways_back(config, target);
        let opened = ledger
            .open_beside(Timestamp::now(), &target.name, &beside, TOLD)
            .await?;
        if opened > 0 {
            tracing::info!(target_name = %target.name, lanes = opened, "it is told of the conversations that there are");
        }
    }
    Ok(())
}

/// The targets that answer the customers of which this one is told, all of whose conversations it gets.
fn ways_back(config: &Config, target: &TargetConfig) -> Vec<String> {
    let is_beside = |other: &&TargetConfig| match &target.beside {
        Some(name) => other.name == *name,
        None => {
            connectors::is_way_back(&other.kind)
                && (target.numbers.is_empty()
                    || (!other.numbers.is_empty()
                        && other.numbers.iter().all(|number| target.serves(number))))
        }
    };
    let others = config.targets.iter().filter(is_beside);
    others.map(|other| other.name.clone()).collect()
}
