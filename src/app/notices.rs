//! Which notices the customer is told, as the mappings in force of the ways back say. A mapping that is
//! applied while the daemon runs counts within seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use handoffd_contract::notice::Notice;

use crate::conversation::Rules;
use crate::ledger::{Ledger, LedgerError, MappingLedger};
use crate::mapping::Mapping;

/// The notices that are on, by the version of each mapping that says so.
pub(super) struct Switches {
    ledger: Arc<dyn Ledger>,
    rules: Rules,
    /// By target: the version that was read, and what is on in it.
    read: BTreeMap<String, (i64, BTreeSet<Notice>)>,
}

impl Switches {
    /// The rules without notices; [`look`](Switches::look) puts them in force.
    pub fn new(ledger: Arc<dyn Ledger>, rules: Rules) -> Switches {
        Switches {
            ledger,
            rules,
            read: BTreeMap::new(),
        }
    }

    /// Looks at the mappings, and puts the rules in force if a mapping is new.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn look(&mut self) -> Result<(), LedgerError> {
        let mappings: &dyn MappingLedger = &*self.ledger;
        let mut is_new = self.read.is_empty();
        for target in &self.rules.without_reps {
            let Some(row) = mappings.mapping_get(target, None).await? else {
                continue;
            };
            if self
                .read
                .get(target)
                .is_some_and(|(version, _)| *version == row.version)
            {
                continue;
            }
            // One that cannot be read tells the customer nothing; its lanes say what is wrong with it.
            let on = Mapping::parse(target, &row.text).map(|mapping| mapping.notices());
            self.read
                .insert(target.clone(), (row.version, on.unwrap_or_default()));
            is_new = true;
        }
        if is_new {
            let on = self.read.values().flat_map(|(_, on)| on.iter().copied());
            let before = std::mem::replace(&mut self.rules.customer.notices, on.collect());
            let now = &self.rules.customer.notices;
            if *now != before {
                let words: Vec<&str> = now.iter().map(|one| one.word()).collect();
                tracing::info!(notices = words.join(" "), "customers are told");
            }
            self.ledger.follow(self.rules.clone());
        }
        Ok(())
    }
}
