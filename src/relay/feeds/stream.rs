//! One event stream, from its opening to its end.
//!
//! A stream may lose, repeat and reorder events, and may fall silent without closing; so the cursor
//! is stored with what was heard, a stream that is silent for too long is opened again, and each of
//! its conversations is read back after every opening and once a minute.

use std::time::{Duration, Instant};

use handoffd_contract::{Feed, Frame, HttpCall, Reason, Stop};

use super::OpenFeeds;
use super::listening::{feed_of, pause};
use crate::ledger::{FeedLease, LaneRef};
use crate::relay::Relay;
use crate::relay::hearing::{Commit, RelayError};
use crate::relay::reading::credential_failed;
use crate::target::Target;
use crate::wire::sse::{Found, Parser};

/// The largest event of a stream.
const MAX_EVENT: usize = 1024 * 1024;
/// How often an open stream's conversations are read back, in case it lost an event.
const READ_BACK: Duration = Duration::from_secs(60);
/// How often an event that needs something read is tried, before the stream is opened anew and what
/// it told is read back.
const READ_TRIES: u32 = 5;
/// Opens a stream, reads back what was missed, and hears until it ends.
pub(super) async fn stream(
    feeds: &OpenFeeds,
    relay: &Relay,
    target: &Target,
    lease: &FeedLease,
    cursor: &mut Option<String>,
    open: &HttpCall,
    idle: Duration,
) -> Result<(), RelayError> {
    let last = match cursor.clone() {
        Some(cursor) => Some(cursor),
        None => Box::pin(target.wire.first_event_id(&open.auth)).await,
    };
    let sent_at = Instant::now();
    // What is large and short is boxed, so that a stream that is merely open does not keep its room:
    // there may be ten thousand.
    let opened = Box::pin(target.wire.open_stream(open, last.as_deref())).await;
    let opened = opened.map_err(|failure| {
        let stop = failure.stop();
        credential_failed(target, &stop);
        let turn = (stop.reason == Reason::RateLimited).then(|| target.wire.turn_for_token());
        RelayError::Later(stop, turn)
    })?;
    let mut bytes = match opened {
        Ok(stream) => stream,
        Err(reply) if reply.status == 401 => {
            target.wire.reject(&open.auth, sent_at).await;
            return Err(RelayError::Unauthorized);
        }
        Err(reply) => {
            let after = reply.retry_after().map(Duration::from_secs);
            let words = format!("the event stream answered {}", reply.status);
            return Err(RelayError::Later(
                Stop::new(Reason::ServerError, words),
                after,
            ));
        }
    };
    feeds.set_open(lease, true);
    let mut read_at = Instant::now();
    let mut heard_at = Instant::now();
    let mut failures = 0;
    let mut parser = Parser::new(MAX_EVENT);
    loop {
        if Instant::now() >= read_at {
            let lanes = relay.ledger.listeners(&lease.target, &lease.key).await?;
            let wait = match Box::pin(read_back(relay, target, &lanes, cursor.as_deref())).await {
                Ok(()) => {
                    failures = 0;
                    READ_BACK
                }
                // The stream itself is well: only the reading is tried again.
                Err(RelayError::Later(_, after)) => {
                    failures += 1;
                    after
                        .unwrap_or_else(|| relay.backoff.after(failures, rand::random()))
                        .min(READ_BACK)
                }
                Err(other) => return Err(other),
            };
            read_at = Instant::now() + wait;
        }
        let until_read = read_at.saturating_duration_since(Instant::now());
        let until_idle = idle.saturating_sub(heard_at.elapsed());
        let Ok(piece) = tokio::time::timeout(until_read.min(until_idle), bytes.next()).await else {
            if heard_at.elapsed() < idle {
                continue;
            }
            let words = format!("the event stream was silent for {} s", idle.as_secs());
            return Err(RelayError::Later(
                Stop::new(Reason::TimedOut, words),
                Some(Duration::ZERO),
            ));
        };
        heard_at = Instant::now();
        let piece = match piece {
            Some(piece) => piece,
            // Some gateways end a stream in the middle of a line that says why.
            _ => {
                let rest = parser.rest();
                if !rest.is_empty() {
                    Box::pin(hear(
                        relay, target, lease, cursor, "", "stray", &rest, sent_at, open,
                    ))
                    .await?;
                }
                return Err(RelayError::Later(
                    Stop::new(Reason::Unreachable, "the event stream ended"),
                    Some(Duration::from_millis(250)),
                ));
            }
        };
        let found = parser.feed(&piece).map_err(|error| {
            RelayError::Later(Stop::new(Reason::TooLarge, error.to_string()), None)
        })?;
        for found in found {
            match found {
                Found::Event(event) => {
                    Box::pin(hear(
                        relay,
                        target,
                        lease,
                        cursor,
                        &event.id,
                        &event.event,
                        &event.data,
                        sent_at,
                        open,
                    ))
                    .await?;
                }
                Found::Stray(line) => {
                    Box::pin(hear(
                        relay, target, lease, cursor, "", "stray", &line, sent_at, open,
                    ))
                    .await?;
                }
            }
        }
    }
}

/// Reads the lanes' conversations, for what the stream may not have told.
async fn read_back(
    relay: &Relay,
    target: &Target,
    lanes: &[LaneRef],
    cursor: Option<&str>,
) -> Result<(), RelayError> {
    for lane in lanes {
        if let Ok(Some(Feed::Stream {
            backfill: Some(read),
            ..
        })) = feed_of(relay, target, lane, cursor).await
        {
            let reply = relay.read_in_turn(target, &read).await?;
            relay
                .take(
                    target,
                    &Frame::Reply {
                        read: &read,
                        reply: &reply,
                    },
                    Commit::default(),
                )
                .await?;
        }
    }
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "one frame and the state of the task that hears it"
)]
async fn hear(
    relay: &Relay,
    target: &Target,
    lease: &FeedLease,
    cursor: &mut Option<String>,
    id: &str,
    event: &str,
    data: &str,
    sent_at: Instant,
    open: &HttpCall,
) -> Result<(), RelayError> {
    let own = (!id.is_empty()).then(|| id.to_owned());
    let frame = Frame::Event {
        key: &lease.key,
        id,
        event,
        data,
    };
    let mut failures = 0;
    let taken = loop {
        let settle = Commit {
            feed: Some((lease.clone(), own.clone())),
        };
        match relay.take(target, &frame, settle).await {
            // The stream itself is well: only what must be read beside it is tried again.
            Err(RelayError::Later(_, after)) if failures < READ_TRIES => {
                tokio::time::sleep(pause(relay, &mut failures, after)).await;
            }
            taken => break taken,
        }
    };
    match taken {
        Ok(took) => {
            if took.cursor.is_some() {
                *cursor = took.cursor;
            }
            Ok(())
        }
        Err(RelayError::Unauthorized) => {
            target.wire.reject(&open.auth, sent_at).await;
            Err(RelayError::Unauthorized)
        }
        // One event that cannot be understood must not end the stream, nor be asked for for ever.
        Err(RelayError::Never(stop)) => {
            tracing::warn!(target_name = %target.name, reason = stop.reason.label(), message = %stop.message, "an event of the stream cannot be understood");
            if !id.is_empty() {
                *cursor = Some(id.to_owned());
            }
            Ok(())
        }
        Err(other) => Err(other),
    }
}
