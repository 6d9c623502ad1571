//! Replies that the exit took, and of which nothing more was told.

use handoffd_contract::event::{DeliveryState, ReplyUnconfirmed};
use handoffd_contract::{Data, text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Effect;
use super::rules::{Rules, Unconfirmed};

/// So many are watched; the oldest give way.
const MAX_WATCHED: usize = 20;
/// UTF-16 units of an id.
const MAX_TEXT: usize = 200;

/// Replies that the exit took, and of which nothing more was told.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Replies {
    /// They, in the order in which they left.
    pub watched: Vec<Watched>,
    /// In this conversation it was told that a reply had arrived: the exit tells such things.
    pub tells: bool,
}

/// A reply that the exit took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// The target whose rep wrote it.
    pub target: String,
    /// The CRM's own id of it.
    pub message: String,
    /// When the exit took it.
    pub at: Timestamp,
    /// Its time has come: the exit was asked whether anything was told of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
    /// The rep was told that nothing was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}

impl Replies {
    /// How far a reply has come.
    pub(super) fn heard(
        &mut self,
        (target, message): (&str, &str),
        state: DeliveryState,
        unconfirmed: bool,
        at: Timestamp,
        rules: &Rules,
    ) {
        let message = text::truncate(message, MAX_TEXT);
        let place = self
            .watched
            .iter()
            .position(|one| one.target == target && one.message == message);
        match (state, place) {
            (DeliveryState::Sent, Some(place)) => self.watched[place].told |= unconfirmed,
            (DeliveryState::Sent, None) => {
                if unconfirmed || rules.at(target).unconfirmed == Unconfirmed::Off {
                    return;
                }
                if self.watched.len() == MAX_WATCHED {
                    self.watched.remove(0);
                }
                self.watched.push(Watched {
                    target: target.to_owned(),
                    message,
                    at,
                    asked: false,
                    told: false,
                });
            }
            (_, place) => {
                if let Some(place) = place {
                    self.watched.remove(place);
                }
                self.tells |= matches!(state, DeliveryState::Delivered | DeliveryState::Read);
            }
        }
    }

    /// The reply whose time comes first, and when that is.
    pub(super) fn due(&self, rules: &Rules) -> Option<(Timestamp, usize)> {
        let open = self
            .watched
            .iter()
            .enumerate()
            .filter(|(_, one)| !one.asked);
        open.filter_map(|(n, one)| {
            let after = rules.at(&one.target).unconfirmed.after(self.tells)?;
            Some((one.at.checked_add(after).ok()?, n))
        })
        .min()
    }

    /// Asks the exit about a reply, once.
    pub(super) fn ask(&mut self, place: usize) -> Option<Effect> {
        let one = self.watched.get_mut(place)?;
        one.asked = true;
        let asked = ReplyUnconfirmed {
            target: one.target.clone(),
            message_id: one.message.clone(),
            sent_at: one.at,
        };
        let name = format!("unconfirmed/{}/{}", one.target, one.message);
        Some(Effect::new(name, Data::ReplyUnconfirmed(asked)))
    }
}
