//! People are told what is not well: parked work, a rejected credential, a blocked account, dead letters,
//! conversations that nobody joins.
//!
//! One daemon tells, by a lease; the others take over when it stops. It looks at the ledger, so that
//! nothing has to be told at the moment at which it happens, and keeps what it told as one value there, so
//! that a restart tells nothing twice. A message that was taken in the moment in which the daemon died is
//! told again, under the same id. What a channel does not take is tried again, and stops nothing.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`state`] | what was told and what is to be told: pure |
//! | [`words`] | what people read |
//! | [`channels`] | the ways: webhook, chat, e-mail |
//! | `mail` | SMTP |
//! | [`watched`] | what WhatsApp says of a number when it is asked |

pub mod channels;
mod mail;
pub mod state;
pub mod watched;
pub mod words;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metrics::counter;
use tokio_util::sync::CancellationToken;

use crate::config::NotificationsConfig;
use crate::ledger::{LedgerError, NotifierLedger};
use crate::metrics as names;
use channels::Channels;
use state::{ACCOUNT, CREDENTIAL, State};
use watched::Watched;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(2);
/// How long the lease lasts; longer than a channel may take.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// What comes one by one is looked at so much later, so that what is stored beside it is seen as well.
const SETTLED: SignedDuration = SignedDuration::from_secs(3);

/// Who tells people.
pub struct Notifier {
    /// What is remembered.
    pub ledger: Arc<dyn NotifierLedger>,
    /// What is told, and when.
    pub config: NotificationsConfig,
    /// By which ways.
    pub channels: Channels,
    /// Targets that are asked how they are.
    pub watched: Watched,
    /// This daemon's name.
    pub daemon: String,
}

impl Notifier {
    /// Tells until stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            match self.look(&stop).await {
                // Another daemon tells.
                Ok(()) | Err(LedgerError::Stale) => {}
                Err(error) => tracing::warn!(%error, "people are not told: the ledger"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn look(&mut self, stop: &CancellationToken) -> Result<(), LedgerError> {
        let now = Timestamp::now();
        let Some(kept) = self.lead().await? else {
            return Ok(());
        };
        let before = State::parse(kept.as_deref());
        let mut state = before.clone();
        let reasons: Vec<&'static str> = CREDENTIAL.into_iter().chain([ACCOUNT]).collect();
        let found = self
            .ledger
            .not_well(now - SETTLED, state.seen(), &reasons)
            .await?;
        let watched = self.watched.look().await;
        state.see(&found, watched, now, self.config.group);
        state.tell(now, &self.config);
        state.keep_channels(|name| self.channels.has(name));
        if state != before {
            self.keep(&state).await?;
        }
        while let Some(message) = state.due(Timestamp::now()).filter(|_| !stop.is_cancelled()) {
            // Whoever was slow must not tell beside another.
            if self.lead().await?.is_none() {
                return Ok(());
            }
            let outcome = self.channels.send(&message).await;
            let told = match &outcome {
                Ok(()) => {
                    state.sent(&message.id);
                    "sent"
                }
                Err(_) if state.failed(&message.id, Timestamp::now()) => "dropped",
                Err(_) => "failed",
            };
            counter!(names::NOTIFICATIONS, "channel" => message.channel.clone(), "outcome" => told)
                .increment(1);
            match outcome {
                Ok(()) => {
                    tracing::info!(channel = %message.channel, kind = %message.kind, "people were told")
                }
                Err(error) => {
                    tracing::warn!(channel = %message.channel, kind = %message.kind, outcome = told, %error, "people were not told");
                }
            }
            self.keep(&state).await?;
        }
        Ok(())
    }

    async fn lead(&self) -> Result<Option<Option<String>>, LedgerError> {
        let now = Timestamp::now();
        self.ledger
            .lead_notifier(now, &self.daemon, now + LEASE)
            .await
    }

    async fn keep(&self, state: &State) -> Result<(), LedgerError> {
        self.ledger.keep_notifier(&self.daemon, &state.text()).await
    }
}
