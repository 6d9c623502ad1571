//! Who is in charge after what happened.

use handoffd_contract::Controller;
use handoffd_contract::state::HandedReply;
use jiff::{SignedDuration, Timestamp};

use super::people::People;
use super::rules::{RepEnd, Rules};
use super::state::{Moved, State};

/// Two systems' clocks differ by no more.
pub(super) const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// Moves the state. `at` is when it happened, never later than now.
pub(super) fn by(state: &mut State, moved: &Moved, id: &str, at: Timestamp, rules: &Rules) {
    match moved {
        Moved::HandedOff(targets) => {
            let crms = targets
                .iter()
                .filter(|name| !rules.without_reps.contains(*name));
            state.handed_off(crms.cloned().collect(), id, at);
        }
        Moved::Assigned { target, name } => state.assigned(target, name.as_deref(), at),
        Moved::Left(target) => state.left(target, at),
        Moved::Replied {
            target,
            message,
            author,
        } => state.replied(HandedReply {
            target: target.clone(),
            message_id: message.clone(),
            time: at,
            author: author.clone(),
        }),
        Moved::Ended { target, .. } => state.ended(target, at, rules.at(target).rep_end),
        Moved::Waits {
            target,
            position,
            seconds,
        } => state.waits(target, *position, *seconds),
        Moved::Shown(target, records) => {
            let all = &mut state.people.records;
            all.insert(target.clone(), records.clone());
        }
        Moved::Returned(by) => {
            if !state.controller.is_assistant() {
                state.put(Controller::Returned { by: by.clone() }, at);
            }
        }
        Moved::Closed { by, resolved } => {
            if !matches!(state.controller, Controller::Closed { .. }) {
                let (by, resolved) = (by.clone(), *resolved);
                state.put(Controller::Closed { by, resolved }, at);
            }
        }
        Moved::Told {
            target,
            message,
            state: how,
            unconfirmed,
        } => {
            let reply = (target.as_str(), message.as_str());
            state.replies.heard(reply, *how, *unconfirmed, at, rules);
        }
        Moved::Said | Moved::Wrote(_) => state.active(at),
        Moved::NobodyFound { .. } | Moved::Deadline => {}
    }
}

impl State {
    /// Puts somebody in charge.
    pub(super) fn put(&mut self, controller: Controller, at: Timestamp) {
        self.controller = controller;
        self.since = Some(at);
    }

    /// The customer waits for a rep from here on.
    fn queue(&mut self, at: Timestamp) {
        let mut targets = self.targets.iter();
        let only = targets.next().filter(|_| targets.next().is_none());
        let controller = Controller::queued(only.cloned());
        self.waiting_since = Some(at);
        self.unattended = false;
        self.put(controller, at);
    }

    fn active(&mut self, at: Timestamp) {
        if self.controller.is_people() {
            self.active_at = self.active_at.max(Some(at));
        }
    }

    /// Whether this is older than what it would change.
    fn is_old(&self, at: Timestamp) -> bool {
        self.since.is_some_and(|since| at < since)
    }

    /// A handoff always asks for a rep who sees it: the one who is in charge, if it is for their
    /// target, else whoever joins.
    fn handed_off(&mut self, targets: Vec<String>, id: &str, at: Timestamp) {
        if self.handoff.as_deref() == Some(id) {
            return;
        }
        self.handoff = Some(id.to_owned());
        let was = self.controller.clone();
        if !was.is_people() {
            self.targets.clear();
            self.people = People::default();
            self.handed_at = Some(at);
            self.warned = None;
            self.warned_targets.clear();
        }
        self.failed.clear();
        self.active_at = Some(at);
        self.targets.extend(targets.iter().cloned());
        match &was {
            Controller::Rep { target, .. } if targets.is_empty() || targets.contains(target) => {}
            Controller::Rep { .. } => {
                self.targets = targets.into_iter().collect();
                self.queue(at);
            }
            Controller::Queued { .. } => {
                let since = self.since;
                self.queue(at);
                self.since = since;
                if self.controller.target() == was.target() {
                    self.controller = was;
                }
            }
            _ => self.queue(at),
        }
    }

    fn assigned(&mut self, target: &str, name: Option<&str>, at: Timestamp) {
        let before = match &self.controller {
            Controller::Queued { .. } if self.since.is_some_and(|since| at + SKEW < since) => {
                return;
            }
            Controller::Queued { .. } => None,
            Controller::Rep { target: other, .. } if other != target || self.is_old(at) => return,
            Controller::Rep { name, .. } => name.clone(),
            _ => return,
        };
        let is_same = before.is_some() && (name.is_none() || before.as_deref() == name);
        self.people.joined(name, at);
        if is_same {
            return;
        }
        let rep = Controller::Rep {
            target: target.to_owned(),
            name: name.map(str::to_owned).or(before),
        };
        if rep != self.controller {
            // A clock that is behind must not make the rep older than the wait for them.
            let at = self.since.map_or(at, |since| at.max(since));
            self.put(rep, at);
        }
        self.waiting_since = None;
    }

    /// A rep who leaves leaves the conversation in the queue; it is no end.
    fn left(&mut self, target: &str, at: Timestamp) {
        match &self.controller {
            Controller::Rep { target: of, .. } if of == target && !self.is_old(at) => {}
            _ => return,
        }
        self.targets.insert(target.to_owned());
        self.failed.remove(target);
        self.queue(at);
    }

    /// A rep who writes to the customer is in charge, unless another one is.
    fn replied(&mut self, reply: HandedReply) {
        let (target, author, at) = (reply.target.clone(), reply.author.clone(), reply.time);
        let takes_over = match &self.controller {
            Controller::Queued { .. } => true,
            Controller::Rep { target: of, name } => *of == target && name.is_none(),
            _ => self.since.is_none_or(|since| at > since + SKEW),
        };
        if !takes_over && !self.controller.is_people() {
            return;
        }
        if !self.controller.is_people() {
            self.people = People::default();
            self.handed_at = None;
            self.targets.insert(target.clone());
        }
        if !self.people.replied(reply) {
            return;
        }
        if takes_over {
            let rep = Controller::Rep {
                target,
                name: author,
            };
            if rep != self.controller {
                let at = self.since.map_or(at, |since| at.max(since));
                self.put(rep, at);
            }
            self.waiting_since = None;
        }
        self.active(at);
    }

    fn ended(&mut self, target: &str, at: Timestamp, means: RepEnd) {
        if self.is_old(at) || !self.controller.is_people() {
            return;
        }
        let was_asked = self.targets.remove(target);
        match &self.controller {
            Controller::Rep { target: of, .. } if of != target => return,
            Controller::Queued { .. } if !self.targets.is_empty() => {
                // Others were asked as well and may still come.
                if was_asked && self.targets.len() == 1 {
                    self.controller = Controller::queued(self.targets.first().cloned());
                }
                return;
            }
            _ => {}
        }
        let by = target.to_owned();
        let controller = match means {
            RepEnd::Close => Controller::Closed { by, resolved: None },
            RepEnd::Return => Controller::Returned { by },
        };
        self.put(controller, at);
    }

    fn waits(&mut self, at: &str, place: Option<u32>, wait: Option<u64>) {
        // Where it has a place in the queue, a rep is looked for.
        self.failed.remove(at);
        if let Controller::Queued {
            target: Some(target),
            position,
            wait_seconds,
        } = &mut self.controller
            && target == at
        {
            // A target tells one or the other; what it does not tell stays.
            *position = place.or(*position);
            *wait_seconds = wait.or(*wait_seconds);
        }
    }
}
