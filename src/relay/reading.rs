//! What must be read to know what was said: a record that a frame names, or what its feed has not
//! told yet.

use std::time::{Duration, Instant};

use handoffd_contract::feed::Read;
use handoffd_contract::{Auth, HttpReply, Reason, Stop, Subject};

use super::Relay;
use super::feeds::work_of;
use super::hearing::RelayError;
use crate::ledger::LaneRef;
use crate::target::Target;
use crate::wire::token_budget::Priority;

impl Relay {
    /// What to read to hear of a lane what its feed has not told yet.
    pub(super) async fn catch_up(
        &self,
        target: &Target,
        lane: &LaneRef,
        about: &Subject,
    ) -> Result<Option<Read>, RelayError> {
        let (_, loaded) = self.ledger.peek(lane.lane).await?;
        // Without a record that is known for sure there is no feed to ask, and what was written
        // before would come after.
        if let Subject::Fact { name, .. } | Subject::AnyFact { name, .. } = about
            && loaded.known.unsure(name)
        {
            let stop = Stop::new(
                Reason::UnknownOutcome,
                "the record is not known for sure yet",
            );
            return Err(RelayError::Later(stop, Some(Duration::from_secs(1))));
        }
        let work = work_of(target, &loaded);
        Ok(target.connector.catch_up(&work, &loaded.known))
    }

    /// Reads something that a frame asks for: somebody waits for it.
    ///
    /// # Errors
    /// [`RelayError::Later`] when there is no useful reply.
    pub async fn read(&self, target: &Target, read: &Read) -> Result<HttpReply, RelayError> {
        while let Err(wait) = target.budgets.take(&read.spends) {
            tokio::time::sleep(wait.max(Duration::from_millis(5))).await;
        }
        self.reply(target, read).await
    }

    /// Reads something that is read again and again, when its turn comes.
    ///
    /// # Errors
    /// [`RelayError::Later`] when there is no useful reply.
    pub async fn read_in_turn(
        &self,
        target: &Target,
        read: &Read,
    ) -> Result<HttpReply, RelayError> {
        target.budgets.take_in_turn(&read.spends).await;
        self.reply(target, read).await
    }

    async fn reply(&self, target: &Target, read: &Read) -> Result<HttpReply, RelayError> {
        let sent_at = Instant::now();
        let reply = match target.wire.send_for(&read.call, Priority::Feed).await {
            Ok(reply) => reply,
            Err(failure) => {
                let stop = failure.stop();
                credential_failed(target, &stop);
                return Err(RelayError::Later(stop, None));
            }
        };
        let words = || format!("{} answered {}", read.tag, reply.status);
        match reply.status {
            401 => {
                target.wire.reject(&read.call.auth, sent_at).await;
                if read.call.auth == Auth::Target {
                    credential_failed(target, &Stop::new(Reason::Unauthorized, words()));
                }
                Err(RelayError::Unauthorized)
            }
            // Such a limit can be the conversation's own: the target's lanes learn of theirs themselves.
            429 => {
                let wait = Duration::from_secs(reply.retry_after().unwrap_or(2).clamp(1, 3_600));
                Err(RelayError::Later(
                    Stop::new(Reason::RateLimited, words()),
                    Some(wait),
                ))
            }
            500.. => Err(RelayError::Later(
                Stop::new(Reason::ServerError, words()),
                None,
            )),
            _ => {
                if read.call.auth == Auth::Target {
                    target.breaker.accept();
                }
                Ok(reply)
            }
        }
    }
}

/// A rejected credential shows in `/readyz` and `status`, also when no lane has work.
pub(super) fn credential_failed(target: &Target, stop: &Stop) {
    if matches!(stop.reason, Reason::Unauthorized | Reason::IdentityRejected) {
        target.breaker.reject(stop);
    }
}
