//! What a target that answers customers says of itself when it is asked, as `check --live` does: the
//! quality of a WhatsApp number, the token, the fallback template.

use std::sync::Arc;
use std::time::{Duration, Instant};

use handoffd_contract::{Check, HttpReply};

use crate::ledger::notifier::Observed;
use crate::target::Target;

/// How often each is asked.
const EVERY: Duration = Duration::from_secs(3_600);

/// What is not well elsewhere is not told later for a target that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Targets that are asked.
pub struct Watched {
    targets: Vec<Arc<Target>>,
    next: Instant,
    found: Vec<Observed>,
}

impl Watched {
    /// Watches these targets, from now on.
    #[must_use]
    pub fn new(targets: Vec<Arc<Target>>) -> Watched {
        Watched {
            targets,
            next: Instant::now(),
            found: Vec::new(),
        }
    }

    /// What was found when they were last asked; they are asked when it is time.
    pub async fn look(&mut self) -> &[Observed] {
        if self.next <= Instant::now() {
            self.next = Instant::now() + EVERY;
            let mut found = Vec::new();
            for target in &self.targets {
                for check in target.connector.checks() {
                    self.ask(target, &check, &mut found).await;
                }
            }
            self.found = found;
        }
        &self.found
    }

    async fn ask(&self, target: &Target, check: &Check, found: &mut Vec<Observed>) {
        let reply = tokio::time::timeout(PATIENCE, target.wire.send(&check.call)).await;
        let reply = reply.ok().and_then(Result::ok);
        let Some(reply) = reply.filter(says_something) else {
            // What was known of it stays.
            let of = |one: &&Observed| one.target == target.name && one.reason == check.what;
            found.extend(self.found.iter().filter(of).cloned());
            return;
        };
        for finding in target.connector.checked(check, &reply) {
            if finding.problem.is_none() {
                continue;
            }
            match found
                .iter_mut()
                .find(|one| one.target == target.name && one.reason == finding.what)
            {
                Some(same) => same.count += 1,
                None => found.push(Observed {
                    target: target.name.clone(),
                    reason: finding.what,
                    count: 1,
                    newest: 0,
                    session: None,
                }),
            }
        }
    }
}

/// Whether an answer is one that does not pass by itself.
fn says_something(reply: &HttpReply) -> bool {
    !matches!(reply.status, 408 | 429 | 500..)
}
