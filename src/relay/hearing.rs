//! From what a connector heard to events in the ledger.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use handoffd_contract::event::{MessageStatus, RepEnded, SessionAssigned};
use handoffd_contract::feed::Read;
use handoffd_contract::{
    Data, Event, Feed, Frame, FrameContent, HttpReply, Inbound, InboundKind, Reason, Refusal, Stop,
    Subject,
};
use jiff::Timestamp;
use metrics::{counter, gauge};

use super::Relay;
use super::addressee::not_sent;
use super::clean::clean;
use super::feeds::feed_as;
use crate::ledger::{Admission, Admitted, FeedLease, LaneRef, LedgerError, Received};
use crate::metrics as names;
use crate::target::Target;
use crate::wire::Failure;
use crate::wire::token_budget::Priority;

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

/// What to settle together with what was heard.
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
        settle: Commit,
    ) -> Result<Applied, RelayError> {
        let mut heard: Vec<Inbound> = Vec::new();
        let mut cursor = None;
        let mut refused = None;
        let mut reads = VecDeque::new();
        let mut hearing = parse_frame(target, frame)?;
        // Whose reply it is; a dead session can show in a reply that is not a 401.
        let mut auth = match frame {
            Frame::Reply { read, .. } => Some(read.call.auth.clone()),
            Frame::Event { .. } | Frame::Webhook { .. } => None,
        };
        let mut done = 0;
        loop {
            if hearing.unauthorized {
                if let Some(auth) = &auth {
                    target.wire.reject(auth, Instant::now()).await;
                }
                return Err(RelayError::Unauthorized);
            }
            if let Some(why) = &hearing.skipped {
                counter!(names::HEARD, "target" => target.name.clone(), "what" => "skipped")
                    .increment(1);
                tracing::debug!(target_name = %target.name, why, "heard, and left alone");
            }
            if let Some(stop) = hearing.refused.take() {
                counter!(names::HEARD, "target" => target.name.clone(), "what" => "refused")
                    .increment(1);
                refused = Some(stop);
            }
            heard.append(&mut hearing.heard);
            cursor = hearing.cursor.take().or(cursor);
            reads.extend(hearing.fetch.drain(..));
            let Some(read) = reads.pop_front() else { break };
            done += 1;
            if done > MAX_READS {
                return Err(RelayError::Never(Stop::new(
                    Reason::LimitExceeded,
                    "one frame asked for too many reads",
                )));
            }
            let reply = self.read(target, &read).await?;
            auth = Some(read.call.auth.clone());
            hearing = parse_frame(
                target,
                &Frame::Reply {
                    read: &read,
                    reply: &reply,
                },
            )?;
        }
        if matches!(frame, Frame::Webhook { .. } | Frame::Event { .. }) {
            self.read_before(target, &heard).await?;
        }
        let took = self.commit(target, heard, cursor, settle).await?;
        Ok(Applied { refused, ..took })
    }

    /// Webhooks and a stream's events get lost and overtake each other. Before a rep's reply is taken
    /// from one, its record is read, so that what was written there earlier is heard earlier; what
    /// both tell counts once.
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

    /// What to read to hear of a lane what its feed has not told yet.
    async fn catch_up(
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
        let key = match feed_as(target, &loaded, None) {
            Some(Feed::Poll { key, .. }) => key,
            Some(Feed::Stream { backfill, .. }) => return Ok(backfill),
            None => return Ok(None),
        };
        let cursor = self.ledger.cursor(&target.name, &key).await?;
        Ok(match feed_as(target, &loaded, cursor.as_deref()) {
            Some(Feed::Poll { read, .. }) => Some(read),
            _ => None,
        })
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
            Err(failure) => return Err(RelayError::Later(stop_of(&failure), None)),
        };
        let words = || format!("{} answered {}", read.tag, reply.status);
        match reply.status {
            401 => {
                target.wire.reject(&read.call.auth, sent_at).await;
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
            _ => Ok(reply),
        }
    }

    async fn commit(
        &self,
        target: &Target,
        heard: Vec<Inbound>,
        cursor: Option<String>,
        settle: Commit,
    ) -> Result<Applied, RelayError> {
        let now = Timestamp::now();
        let heard = self.lead(target, heard, now).await?;
        let mut received = Received::default();
        let mut took = Applied::default();
        // What each event is, for the log.
        let mut whats = Vec::new();
        for mut heard in heard {
            let lanes = self.find(target, &heard.subject).await?;
            let Some(newest) = lanes.first() else {
                // What a record that nobody has became is nobody's concern.
                if matches!(heard.kind, InboundKind::Facts(_)) {
                    continue;
                }
                took.unmatched += 1;
                counter!(names::HEARD, "target" => target.name.clone(), "what" => "unmatched")
                    .increment(1);
                continue;
            };
            if let Some(record) = &heard.echo
                && self.is_ours(&lanes, record).await?
            {
                counter!(names::HEARD, "target" => target.name.clone(), "what" => "echo")
                    .increment(1);
                continue;
            }
            let at = heard.at.unwrap_or(now);
            clean(&mut heard.kind);
            let addressee = match &mut heard.kind {
                InboundKind::Replied(reply) if lanes.len() > 1 => {
                    match self.addressee(&lanes, reply).await? {
                        Ok(lane) => lane,
                        Err(question) => {
                            let data = not_sent(&target.name, reply.message_id.clone(), question);
                            received
                                .events
                                .push(event(target, newest, heard.id, at, data));
                            whats.push(("ambiguous", newest.session.clone()));
                            continue;
                        }
                    }
                }
                _ => newest,
            };
            // What happens to a record happens to every conversation in it.
            let every = match &heard.kind {
                InboundKind::Ended { .. }
                | InboundKind::Assigned { .. }
                | InboundKind::Facts(_) => lanes.as_slice(),
                InboundKind::Replied(_)
                | InboundKind::NotSent { .. }
                | InboundKind::Status { .. } => std::slice::from_ref(addressee),
            };
            for (n, lane) in every.iter().enumerate() {
                let id = match n {
                    0 => heard.id.clone(),
                    _ => format!("{}/{}", heard.id, lane.session),
                };
                match data(target, heard.kind.clone()) {
                    Ok((what, data)) => {
                        received.events.push(event(target, lane, id, at, data));
                        whats.push((what, lane.session.clone()));
                    }
                    Err(facts) => received.facts.extend(
                        facts
                            .into_iter()
                            .map(|(name, value)| (lane.lane, name, value)),
                    ),
                }
            }
        }
        if let Some((feed, own)) = settle.feed {
            took.cursor = cursor.or(own);
            if let Some(cursor) = took.cursor.clone() {
                received.cursor = Some((feed, cursor));
            }
        }
        if received != Received::default() {
            let admitted = self.ledger.store_received(now, received).await?;
            for ((what, session), admitted) in whats.iter().zip(admitted) {
                note(target, session, what, admitted, now);
            }
        }
        Ok(took)
    }
}

/// Says what was heard. Polls, read-backs and repeated webhooks tell the same thing many times: it
/// is heard once.
fn note(target: &Target, session: &str, what: &'static str, admitted: Admitted, now: Timestamp) {
    let (what, is_new) = match admitted {
        Admitted::New(_) => (what, true),
        Admitted::Duplicate => ("repeat", false),
    };
    counter!(names::HEARD, "target" => target.name.clone(), "what" => what).increment(1);
    if is_new {
        gauge!(names::LAST_HEARD, "target" => target.name.clone()).set(now.as_second() as f64);
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

fn stop_of(failure: &Failure) -> Stop {
    failure.stop()
}

/// The event that follows from what was heard, or the facts that it is.
fn data(target: &Target, kind: InboundKind) -> Result<(&'static str, Data), Vec<(String, String)>> {
    Ok(match kind {
        InboundKind::Replied(mut reply) => {
            reply.target.clone_from(&target.name);
            ("reply", Data::RepReplied(reply))
        }
        InboundKind::NotSent { message_id, detail } => {
            ("not-sent", not_sent(&target.name, message_id, detail))
        }
        InboundKind::Ended { status } => (
            "ended",
            Data::RepEnded(RepEnded {
                target: target.name.clone(),
                status,
            }),
        ),
        InboundKind::Assigned { rep } => (
            "assigned",
            Data::SessionAssigned(SessionAssigned {
                target: target.name.clone(),
                rep,
            }),
        ),
        InboundKind::Status {
            message_id,
            reference,
            state,
            error_code,
            error,
        } => (
            "status",
            Data::MessageStatus(MessageStatus {
                message_id,
                reference,
                status: state,
                error_code,
                error,
            }),
        ),
        InboundKind::Facts(facts) => return Err(facts),
    })
}

/// The id of an event that was heard. Connectors know an event by its id alone, and two portals of
/// one kind may count alike.
fn event_id(target: &Target, id: &str) -> String {
    format!("{}/{id}", target.name)
}

fn source(target: &Target) -> String {
    format!("handoffd/heard/{}", target.name)
}

fn event(target: &Target, lane: &LaneRef, id: String, time: Timestamp, data: Data) -> Admission {
    let event = Event {
        id: event_id(target, &id),
        source: source(target),
        session: lane.session.clone(),
        time,
        sequence: None,
        warnings: Vec::new(),
        data,
    };
    Admission {
        event,
        opens: Vec::new(),
        session: None,
        contact: None,
        inbound_at: None,
    }
}
