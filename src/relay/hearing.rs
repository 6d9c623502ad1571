//! The way of what was heard, in the order in which it goes:
//!
//! 1. The connector says what a frame means, and what must be read to know it is read ([`Relay::take`]).
//! 2. What was written in a record before a rep's reply is heard before it (`read_before`).
//! 3. What moves a conversation to another record, such as a merge, is taken first (`lead`).
//! 4. Each thing finds its lanes: nobody's, our own echo, one customer's, or a question to the rep
//!    whose it is (`place`). It becomes events and facts.
//! 5. The ledger takes events, facts and the feed's place in one transaction (`record`). An event
//!    wakes its session's lanes; of a reply, the WhatsApp target's lane sends it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use handoffd_contract::{Frame, FrameContent, Inbound, InboundKind, Reason, Refusal, Stop};
use jiff::Timestamp;
use metrics::{counter, gauge};

use super::Relay;
use super::addressee::not_sent;
use super::clean::clean;
use super::inbound::{data, event, event_id, source};
use super::reading::credential_failed;
use crate::ledger::{Admitted, FeedLease, LedgerError, Received};
use crate::metrics as names;
use crate::target::Target;

/// Reads that one frame may cause, so that an odd reply cannot keep us busy.
const MAX_READS: usize = 200;

/// Why a frame could not be taken.
#[derive(Debug)]
pub enum RelayError {
    /// The credential is no longer accepted.
    Unauthorized,
    /// Something stood in the way; again later, not before that time if one was named.
    Later(Stop, Option<Duration>),
    /// It cannot be understood.
    Never(Stop),
    /// The lease is stale: somebody else listens.
    Stale,
}

impl From<LedgerError> for RelayError {
    fn from(error: LedgerError) -> RelayError {
        match error {
            LedgerError::Stale => RelayError::Stale,
            other => RelayError::Later(Stop::new(Reason::Unreachable, other.to_string()), None),
        }
    }
}

/// What to write together with what was heard.
#[derive(Debug, Default)]
pub struct Commit {
    /// The feed, and its new cursor if the frame itself holds one.
    pub feed: Option<(FeedLease, Option<String>)>,
}

/// What a frame came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Things that no session of ours has.
    pub unmatched: usize,
    /// The feed's new cursor.
    pub cursor: Option<String>,
    /// What was for us and is not taken from there: a person must see it.
    pub refused: Option<Stop>,
}

/// What a frame says, and what was read for it.
#[derive(Default)]
struct Heard {
    inbound: Vec<Inbound>,
    cursor: Option<String>,
    refused: Option<Stop>,
    unordered: bool,
}

/// What is to be written down.
#[derive(Default)]
struct Record {
    received: Received,
    /// What each event is, and its session, for the log.
    kinds: Vec<(&'static str, String)>,
    unmatched: usize,
}

impl Relay {
    /// Takes one frame: what it says, whatever must be read to know it, and the ledger's record of
    /// it, all or nothing.
    ///
    /// # Errors
    /// [`RelayError`]; nothing was written.
    pub async fn take(
        &self,
        target: &Target,
        frame: &Frame<'_>,
        commit: Commit,
    ) -> Result<Applied, RelayError> {
        let heard = self.understand(target, frame).await?;
        // Webhooks and a stream's events get lost and overtake each other, and so does what a search
        // finds; the answer to another read does not.
        if heard.unordered || matches!(frame, Frame::Webhook { .. } | Frame::Event { .. }) {
            self.read_before(target, &heard.inbound).await?;
        }
        let now = Timestamp::now();
        let inbound = self.lead(target, heard.inbound, now).await?;
        let mut record = Record::default();
        for one in inbound {
            self.place(target, one, now, &mut record).await?;
        }
        let applied = self
            .record(target, record, heard.cursor, commit, now)
            .await?;
        Ok(Applied {
            refused: heard.refused,
            ..applied
        })
    }

    /// What a frame says, with what had to be read to know it.
    async fn understand(&self, target: &Target, frame: &Frame<'_>) -> Result<Heard, RelayError> {
        let mut heard = Heard::default();
        let mut reads = VecDeque::new();
        let mut content = parse_frame(target, frame)?;
        // Whose reply it is; a dead session can show in a reply that is not a 401.
        let mut auth = match frame {
            Frame::Reply { read, .. } => Some(read.call.auth.clone()),
            Frame::Event { .. } | Frame::Webhook { .. } => None,
        };
        for done in 1.. {
            if content.unauthorized {
                if let Some(auth) = &auth {
                    target.wire.reject(auth, Instant::now()).await;
                    let message = "the session has ended, and the answer shows it";
                    credential_failed(target, &Stop::new(Reason::Unauthorized, message));
                }
                return Err(RelayError::Unauthorized);
            }
            if let Some(why) = &content.skipped {
                count(target, "skipped");
                tracing::debug!(target_name = %target.name, why, "heard, and left alone");
            }
            if let Some(stop) = content.refused.take() {
                count(target, "refused");
                heard.refused = Some(stop);
            }
            heard.unordered |= content.unordered;
            heard.inbound.append(&mut content.heard);
            heard.cursor = content.cursor.take().or(heard.cursor);
            reads.extend(content.fetch.drain(..));
            let Some(read) = reads.pop_front() else { break };
            if done > MAX_READS {
                let words = "one frame asked for too many reads";
                return Err(RelayError::Never(Stop::new(Reason::LimitExceeded, words)));
            }
            let reply = self.read(target, &read).await?;
            auth = Some(read.call.auth.clone());
            let frame = Frame::Reply {
                read: &read,
                reply: &reply,
            };
            content = parse_frame(target, &frame)?;
        }
        Ok(heard)
    }

    /// Before a rep's reply is taken, its record is read, so that what was written there earlier is
    /// heard earlier; what both tell counts once.
    async fn read_before(&self, target: &Target, heard: &[Inbound]) -> Result<(), RelayError> {
        let mut done = BTreeSet::new();
        let replies = heard
            .iter()
            .filter(|heard| matches!(heard.kind, InboundKind::Replied(_)));
        for reply in replies {
            let id = event_id(target, &reply.id);
            if self.ledger.has(&source(target), &id).await? {
                continue;
            }
            for lane in self.find(target, &reply.subject).await? {
                if !done.insert(lane.lane) {
                    continue;
                }
                if let Some(read) = self.catch_up(target, &lane, &reply.subject).await? {
                    let answer = self.read(target, &read).await?;
                    let frame = Frame::Reply {
                        read: &read,
                        reply: &answer,
                    };
                    Box::pin(self.take(target, &frame, Commit::default())).await?;
                }
            }
        }
        Ok(())
    }

    /// Finds the lanes that one thing is about, and notes what it is for each.
    async fn place(
        &self,
        target: &Target,
        mut heard: Inbound,
        now: Timestamp,
        record: &mut Record,
    ) -> Result<(), RelayError> {
        let lanes = self.find_for(target, &heard).await?;
        let Some(newest) = lanes.first() else {
            // What a record that nobody has became is nobody's concern.
            if !matches!(heard.kind, InboundKind::Facts(_)) {
                record.unmatched += 1;
                count(target, "unmatched");
            }
            return Ok(());
        };
        if let Some(echo) = &heard.echo
            && self.is_ours(&lanes, echo).await?
        {
            count(target, "echo");
            return Ok(());
        }
        let at = heard.at.unwrap_or(now);
        clean(&mut heard.kind);
        let addressee = match &mut heard.kind {
            InboundKind::Replied(reply) if lanes.len() > 1 => {
                match self.addressee(&lanes, reply).await? {
                    Ok(lane) => lane,
                    Err(question) => {
                        let data = not_sent(&target.name, reply.message_id.clone(), question);
                        let asked = event(target, newest, heard.id, at, data);
                        record.received.events.push(asked);
                        record.kinds.push(("ambiguous", newest.session.clone()));
                        return Ok(());
                    }
                }
            }
            _ => newest,
        };
        if let InboundKind::Replied(reply) = &mut heard.kind {
            self.find_quoted(target, addressee.lane, reply).await?;
        }
        // What happens to a record happens to every conversation in it.
        let every = match &heard.kind {
            InboundKind::Ended { .. }
            | InboundKind::Assigned { .. }
            | InboundKind::Queued { .. }
            | InboundKind::Routing { .. }
            | InboundKind::Activity { .. }
            | InboundKind::Updated { .. }
            | InboundKind::Facts(_) => lanes.as_slice(),
            InboundKind::Replied(_) | InboundKind::NotSent { .. } | InboundKind::Status { .. } => {
                std::slice::from_ref(addressee)
            }
        };
        for (n, lane) in every.iter().enumerate() {
            let id = match n {
                0 => heard.id.clone(),
                _ => format!("{}/{}", heard.id, lane.session),
            };
            match data(target, heard.kind.clone()) {
                Ok((kind, data)) => {
                    let event = event(target, lane, id, at, data);
                    record.received.events.push(event);
                    record.kinds.push((kind, lane.session.clone()));
                }
                Err(facts) => {
                    let of_lane = |(name, value)| (lane.lane, name, value);
                    record.received.facts.extend(facts.into_iter().map(of_lane));
                }
            }
        }
        Ok(())
    }

    /// Writes it all down.
    async fn record(
        &self,
        target: &Target,
        record: Record,
        cursor: Option<String>,
        commit: Commit,
        now: Timestamp,
    ) -> Result<Applied, RelayError> {
        let mut received = record.received;
        let mut applied = Applied {
            unmatched: record.unmatched,
            ..Applied::default()
        };
        if let Some((feed, own)) = commit.feed {
            applied.cursor = cursor.or(own);
            received.cursor = applied.cursor.clone().map(|cursor| (feed, cursor));
        }
        if received != Received::default() {
            let admitted = self.ledger.store_received(now, received).await?;
            for ((kind, session), admitted) in record.kinds.iter().zip(admitted) {
                log_heard(target, session, kind, admitted, now);
            }
        }
        Ok(applied)
    }
}

fn count(target: &Target, what: &'static str) {
    counter!(names::HEARD, "target" => target.name.clone(), "what" => what).increment(1);
}

/// Says what was heard. Polls, read-backs and repeated webhooks tell the same thing many times: it
/// is heard once.
fn log_heard(
    target: &Target,
    session: &str,
    what: &'static str,
    admitted: Admitted,
    now: Timestamp,
) {
    let (what, is_new) = match admitted {
        Admitted::New(_) => (what, true),
        Admitted::Duplicate | Admitted::Nobody => ("repeat", false),
    };
    count(target, what);
    if is_new {
        gauge!(names::LAST_HEARD, "target" => target.name.clone()).set(now.as_second() as f64);
        target.last_heard.store(now.as_second(), Ordering::Relaxed);
        tracing::info!(target_name = %target.name, session, what, "heard");
    }
}

fn parse_frame(target: &Target, frame: &Frame<'_>) -> Result<FrameContent, RelayError> {
    target
        .connector
        .hear(frame)
        .map_err(|refusal| match refusal {
            Refusal::Park(stop) => RelayError::Never(stop),
            Refusal::Hold { stop, .. } => RelayError::Later(stop, None),
        })
}
