//! Listens where reps write, round by round: to one stream until it ends, or by one poll after the
//! other; and sleeps while there is nothing to hear.

use std::time::{Duration, Instant};

use handoffd_contract::feed::Read;
use handoffd_contract::{Feed, Frame, Reason, Work};
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::OpenFeeds;
use super::stream::stream;
use crate::engine::plan::who;
use crate::ledger::{FeedLease, LaneRef, Loaded};
use crate::relay::Relay;
use crate::relay::hearing::{Commit, RelayError};
use crate::target::Target;

/// How long at first until a feed that its connector sees no use in is considered again, should its
/// lanes still name it. A lane of this daemon wakes it when it wants it; one of another daemon cannot.
const NOTHING_TO_HEAR: Duration = Duration::from_secs(1);
/// How long at most, each time being twice as long as the one before.
const NOTHING_TO_HEAR_MAX: Duration = Duration::from_secs(30);

/// Lanes of a shared poll that are read by themselves in one round, in turn: so many whatever their
/// number, and each of them in every round while they are few.
const READ_BACK: usize = 5;

/// What a feed keeps from one round to the next.
struct Place {
    cursor: Option<String>,
    failures: u32,
    /// Which of the lanes that share the poll is read by itself next.
    turn: usize,
    /// How long it sleeps when there is nothing to hear.
    sleep: Duration,
}

/// How long it is until a feed's next round.
enum Wait {
    /// So long.
    For(Duration),
    /// So long, or until a lane wants the feed.
    UntilWanted(Duration),
}

impl Place {
    /// How long to wait after a failure.
    fn pause(&mut self, relay: &Relay, asked: Option<Duration>) -> Duration {
        pause(relay, &mut self.failures, asked)
    }
}

/// Listens to one feed until no lane listens to it any more or the lease is lost. `wanted` tells that
/// a lane waits for it.
pub(super) async fn listen(
    feeds: &OpenFeeds,
    relay: &Relay,
    turns: &Semaphore,
    lease: &FeedLease,
    wanted: &Notify,
) {
    let Some(target) = relay.targets.get(&lease.target) else {
        return;
    };
    let mut place = Place {
        cursor: lease.cursor.clone(),
        failures: 0,
        turn: 0,
        sleep: NOTHING_TO_HEAR,
    };
    // A round's state is large, and there may be thousands of feeds: between rounds it is let go.
    while let Ok(turn) = turns.acquire().await
        && let Some(wait) = Box::pin(round(feeds, relay, target, lease, &mut place, turn)).await
    {
        match wait {
            Wait::For(wait) => tokio::time::sleep(wait).await,
            // Whoever wanted it a moment ago has left a permit, so that nobody is missed.
            Wait::UntilWanted(wait) => {
                let _ = tokio::time::timeout(wait, wanted.notified()).await;
            }
        }
    }
}

/// Listens to a stream until it ends, or polls once. Returns how long to wait before the next round,
/// if there is to be one.
async fn round(
    feeds: &OpenFeeds,
    relay: &Relay,
    target: &Target,
    lease: &FeedLease,
    place: &mut Place,
    turn: SemaphorePermit<'_>,
) -> Option<Wait> {
    // Boxed, so that a stream that is merely open does not keep its room: there may be ten thousand.
    let (feed, lanes) = match Box::pin(what_to_hear(relay, target, lease, place)).await {
        Ok(heard) => heard,
        Err(wait) => return wait,
    };
    let since = Instant::now();
    let (outcome, next) = match feed {
        Feed::Stream { open, idle, .. } => {
            drop((turn, lanes));
            let cursor = &mut place.cursor;
            let outcome = stream(feeds, relay, target, lease, cursor, &open, idle).await;
            feeds.set_open(lease, false);
            (outcome, Duration::ZERO)
        }
        Feed::Poll { read, every, .. } => {
            feeds.set_open(lease, true);
            let outcome = Box::pin(poll_and_read_back(
                relay, target, lease, place, &read, &lanes,
            ))
            .await;
            if outcome.is_ok() {
                place.failures = 0;
            }
            (outcome, every)
        }
    };
    if since.elapsed() > Duration::from_secs(60) {
        place.failures = 0;
    }
    Some(Wait::For(match outcome {
        Ok(()) => next,
        Err(RelayError::Stale) => return None,
        Err(RelayError::Unauthorized) => place.pause(relay, Some(Duration::from_millis(200))),
        Err(RelayError::Later(stop, after)) => {
            tracing::info!(target_name = %target.name, reason = stop.reason.label(), message = %stop.message, "the feed is interrupted");
            match after {
                // Its turn, which may be far away when many wait; a lane that wants it does not.
                Some(turn) if stop.reason == Reason::RateLimited => {
                    return Some(Wait::UntilWanted(turn));
                }
                after => place.pause(relay, after),
            }
        }
        Err(RelayError::Never(stop)) => {
            tracing::warn!(target_name = %target.name, reason = stop.reason.label(), message = %stop.message, "the feed says something that cannot be understood");
            place.pause(relay, None)
        }
    }))
}

/// The feed to hear now, and the lanes that listen to it; without one, how long to wait before the next
/// round, if there is to be one.
async fn what_to_hear(
    relay: &Relay,
    target: &Target,
    lease: &FeedLease,
    place: &mut Place,
) -> Result<(Feed, Vec<LaneRef>), Option<Wait>> {
    let Ok(lanes) = relay.ledger.listeners(&lease.target, &lease.key).await else {
        return Err(Some(Wait::For(place.pause(relay, None))));
    };
    if lanes.is_empty() {
        return Err(None);
    }
    let Ok((feed, without)) =
        feed_of_any(relay, target, &lease.key, &lanes, place.cursor.as_deref()).await
    else {
        return Err(Some(Wait::For(place.pause(relay, None))));
    };
    // Nothing to listen to for now, such as when the conversation is long over: these lanes are woken,
    // see that too, and name the feed no longer.
    let woken = match without.as_slice() {
        [] => Ok(()),
        without => relay.ledger.wake(Timestamp::now(), without).await,
    };
    if let Some(feed) = feed {
        place.sleep = NOTHING_TO_HEAR;
        return Ok((feed, lanes));
    }
    Err(Some(match woken {
        Ok(()) => {
            let sleep = place.sleep;
            place.sleep = (sleep * 2).min(NOTHING_TO_HEAR_MAX);
            Wait::UntilWanted(sleep)
        }
        Err(_) => Wait::For(place.pause(relay, None)),
    }))
}

/// One poll, and the reads of some of the lanes that share it.
async fn poll_and_read_back(
    relay: &Relay,
    target: &Target,
    lease: &FeedLease,
    place: &mut Place,
    read: &Read,
    lanes: &[LaneRef],
) -> Result<(), RelayError> {
    let outcome = poll(relay, target, lease, &mut place.cursor, read).await;
    // What all share may be refused, and each lane can be heard all the same.
    let read_back = match outcome {
        Ok(()) | Err(RelayError::Never(_)) => {
            read_back(relay, target, lanes, &mut place.turn).await
        }
        Err(_) => Ok(()),
    };
    outcome.and(read_back)
}

pub(super) fn pause(relay: &Relay, failures: &mut u32, asked: Option<Duration>) -> Duration {
    *failures += 1;
    let jitter = rand::random::<f64>();
    let wait = match asked {
        Some(asked) if *failures < 3 => asked,
        _ => relay.backoff.after(*failures, jitter),
    };
    wait.min(Duration::from_secs(30))
}

/// The feed as the first lane that has a use for it sees it, and the lanes before it that have none:
/// lanes share a feed, and the conversation of one may be over while a rep writes in another's.
async fn feed_of_any(
    relay: &Relay,
    target: &Target,
    key: &str,
    lanes: &[LaneRef],
    cursor: Option<&str>,
) -> Result<(Option<Feed>, Vec<i64>), RelayError> {
    let mut without = Vec::new();
    for lane in lanes {
        let feed = feed_of(relay, target, lane, cursor).await?;
        if feed.as_ref().is_some_and(|feed| feed.key() == key) {
            return Ok((feed, without));
        }
        without.push(lane.lane);
    }
    Ok((None, without))
}

/// Reads some of the lanes that share a poll by themselves, for what the poll cannot tell.
async fn read_back(
    relay: &Relay,
    target: &Target,
    lanes: &[LaneRef],
    turn: &mut usize,
) -> Result<(), RelayError> {
    for _ in 0..READ_BACK.min(lanes.len()) {
        let lane = &lanes[*turn % lanes.len()];
        // Before it is read: one that cannot be read keeps nobody behind it.
        *turn = (*turn + 1) % lanes.len();
        if let Some(Feed::Poll {
            backfill: Some(read),
            ..
        }) = feed_of(relay, target, lane, None).await?
        {
            let reply = relay.read_in_turn(target, &read).await?;
            let frame = Frame::Reply {
                read: &read,
                reply: &reply,
            };
            relay.take(target, &frame, Commit::default()).await?;
        }
    }
    Ok(())
}

/// What the connector says of a lane's feed now.
pub(super) async fn feed_of(
    relay: &Relay,
    target: &Target,
    lane: &LaneRef,
    cursor: Option<&str>,
) -> Result<Option<Feed>, RelayError> {
    let (_, loaded) = relay.ledger.peek(lane.lane).await?;
    Ok(feed_as(target, &loaded, cursor))
}

/// What the connector says of the feed of a lane that was loaded.
fn feed_as(target: &Target, loaded: &Loaded, cursor: Option<&str>) -> Option<Feed> {
    let work = work_of(target, loaded);
    target.connector.feed(&work, &loaded.known, cursor)
}

/// A lane that was loaded, as its connector sees it where nothing is to be shown.
pub(in crate::relay) fn work_of(target: &Target, loaded: &Loaded) -> Work {
    let (session, contact) = who(loaded);
    Work {
        target: target.name.clone(),
        session,
        contact,
        items: Vec::new(),
        last_inbound: loaded.last_inbound,
        now: Timestamp::now(),
        controller: loaded.controller.clone(),
    }
}

async fn poll(
    relay: &Relay,
    target: &Target,
    lease: &FeedLease,
    cursor: &mut Option<String>,
    read: &Read,
) -> Result<(), RelayError> {
    let reply = relay.read_in_turn(target, read).await?;
    let settle = Commit {
        feed: Some((lease.clone(), None)),
    };
    let took = relay
        .take(
            target,
            &Frame::Reply {
                read,
                reply: &reply,
            },
            settle,
        )
        .await?;
    if took.cursor.is_some() {
        *cursor = took.cursor;
    }
    Ok(())
}
