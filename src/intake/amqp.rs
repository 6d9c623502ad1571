//! Events from RabbitMQ.
//!
//! One task does everything in turn: it takes what is waiting (at most a group), has it stored, and
//! acknowledges the group with one frame. An acknowledgement that overtook another would close the
//! channel, hence one task. What was stored and not acknowledged comes again and is a duplicate.
//!
//! Whatever breaks ends in the same place: wait, connect, declare, consume. The state says
//! meanwhile what is wrong, in the broker's words.

pub(crate) mod connect;
mod message;
pub mod rights;
mod topology;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::store::{Stored, store};
use super::{Gate, Incoming, Verdict};
use crate::config::AmqpConfig;
use crate::metrics::{BROKER_UP, QUEUED};

/// A group ends early when it has so many bytes.
const GROUP_BYTES: usize = 8 << 20;
/// How long declaring, binding and subscribing may take. A quorum queue without a leader answers
/// nothing for a minute.
const SET_UP: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a success; the next wait is short again.
const STEADY: Duration = Duration::from_secs(30);
/// How long an operator waits for the depth of the queues.
const ASKING: Duration = Duration::from_secs(5);
/// How often the events that wait in the broker are counted.
const COUNT: Duration = Duration::from_secs(30);

/// How the intake fares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IntakeState {
    /// Whether it consumes from the queue (or stands by for the daemon that does).
    pub connected: bool,
    /// Whether the broker has blocked the connection, for want of memory or disk.
    pub blocked: bool,
    /// What is wrong; empty when nothing is.
    pub message: String,
    /// When events were last stored and acknowledged.
    pub last_event_at: Option<Timestamp>,
    /// How many events wait in our own queue of dead letters: nobody takes them but a person.
    pub dead_letters: u32,
}

impl IntakeState {
    /// Whether events that arrive now would be stored.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.connected && self.message.is_empty()
    }
}

/// Takes events from a queue until it is told to stop.
pub struct AmqpIntake {
    gate: Gate,
    config: AmqpConfig,
    state: watch::Sender<IntakeState>,
}

/// Why consuming ended.
enum Ended {
    /// We were told to stop.
    Stopped,
    /// It broke, and this is what is known about it.
    Broken(String),
}

/// Deliveries that are stored and acknowledged together.
struct Group {
    incoming: Vec<Incoming>,
    /// What each of them is.
    judged: Vec<Verdict>,
    /// The last of them without its body; when it is acknowledged, all are.
    last: Option<Delivery>,
    /// Why there is no more, if that is known.
    broken: Option<String>,
}

impl AmqpIntake {
    /// An intake that has not begun.
    #[must_use]
    pub fn new(gate: Gate, config: AmqpConfig) -> AmqpIntake {
        let (state, _) = watch::channel(IntakeState {
            message: "not connected yet".to_owned(),
            ..IntakeState::default()
        });
        AmqpIntake {
            gate,
            config,
            state,
        }
    }

    /// How it fares, now and later.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<IntakeState> {
        self.state.subscribe()
    }

    /// Takes events until `stop`; then the group in hand is finished and acknowledged.
    pub async fn run(self, stop: CancellationToken) {
        let mut waits = self.config.reconnect.waits();
        loop {
            let began = Instant::now();
            let words = match self.connected(&stop).await {
                Ended::Stopped => break,
                Ended::Broken(words) => words,
            };
            if began.elapsed() > STEADY {
                waits.reset();
            }
            let wait = waits.wait();
            tracing::warn!(error = %words, wait_ms = wait.as_millis() as u64, "RabbitMQ: not consuming");
            self.say(|state| {
                state.connected = false;
                state.blocked = false;
                state.message = words;
            });
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.say(|state| {
            state.connected = false;
            state.message = "stopped".to_owned();
        });
    }

    /// One connection's life.
    async fn connected(&self, stop: &CancellationToken) -> Ended {
        let opened = tokio::select! {
            () = stop.cancelled() => return Ended::Stopped,
            opened = connect::connect(&self.config, "handoffd intake", None) => opened,
        };
        let connection = match opened {
            Ok(connection) => connection,
            Err(words) => return Ended::Broken(words),
        };
        let ended = match tokio::time::timeout(SET_UP, self.consumer(&connection)).await {
            Err(_) => Ended::Broken(format!(
                "the broker did not set up the queue within {} s; it may have no leader",
                SET_UP.as_secs()
            )),
            Ok(Ok((channel, mut consumer))) => {
                tracing::info!(queue = %self.config.queue, "RabbitMQ: consuming");
                self.say(|state| {
                    state.connected = true;
                    state.message.clear();
                });
                let ended = tokio::select! {
                    ended = self.consume(&connection, &channel, &mut consumer, stop) => ended,
                    never = self.count(&connection) => match never {},
                };
                // The connection closes before the consumer is dropped, which would cancel it: the
                // next one would be given what comes after what this one still holds. So that goes
                // back to the queue first.
                connect::close(&connection).await;
                return ended;
            }
            Ok(Err(error)) => Ended::Broken(connect::explain(&error)),
        };
        connect::close(&connection).await;
        ended
    }

    async fn consumer(&self, connection: &Connection) -> lapin::Result<(Channel, Consumer)> {
        let channel = topology::declare(connection, &self.config).await?;
        channel
            .basic_qos(self.config.prefetch, BasicQosOptions::default())
            .await?;
        let consumer = channel
            .basic_consume(
                self.config.queue.as_str().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok((channel, consumer))
    }

    async fn consume(
        &self,
        connection: &Connection,
        channel: &Channel,
        consumer: &mut Consumer,
        stop: &CancellationToken,
    ) -> Ended {
        let mut events = connection.events_listener();
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => return Ended::Stopped,
                Some(event) = events.next() => {
                    self.note(event);
                    continue;
                }
                first = consumer.next() => first,
            };
            let mut group = self.collect(first, consumer);
            loop {
                let broken = group.broken.take();
                // What waits already is read while this group is being made durable.
                let (ended, next) = tokio::join!(self.settle(group, channel, stop), async {
                    consumer
                        .next()
                        .now_or_never()
                        .map(|first| self.collect(first, consumer))
                },);
                while let Some(Some(event)) = events.next().now_or_never() {
                    self.note(event);
                }
                if let Some(ended) = ended {
                    return ended;
                }
                if let Some(words) = broken {
                    return Ended::Broken(words);
                }
                match next {
                    Some(next) if !stop.is_cancelled() => group = next,
                    // What was read and not stored is not acknowledged and comes again.
                    Some(_) => return Ended::Stopped,
                    None => break,
                }
            }
        }
    }

    /// Counts, now and then, what waits in the queue and among the dead letters. What stands in the
    /// way of that ends the connection by itself, if it matters.
    async fn count(&self, connection: &Connection) -> Infallible {
        let mut known = 0;
        loop {
            let counted = topology::waiting(connection, &self.config);
            if let Ok(Ok(queues)) = tokio::time::timeout(SET_UP, counted).await {
                for queue in &queues {
                    let gauge = metrics::gauge!(QUEUED, "queue" => queue.name.clone());
                    gauge.set(queue.events);
                }
                let dead = queues.iter().filter(|queue| queue.is_dead);
                let dead: u32 = dead.map(|queue| queue.events).sum();
                if dead > known {
                    let queue = topology::dead(&self.config);
                    tracing::warn!(%queue, events = dead, "RabbitMQ: dead letters wait for a person");
                }
                known = dead;
                self.say(|state| state.dead_letters = dead);
            }
            tokio::time::sleep(COUNT).await;
        }
    }

    /// The first delivery and whatever else is waiting; and why there is no more, if that is known.
    fn collect(&self, first: Option<lapin::Result<Delivery>>, consumer: &mut Consumer) -> Group {
        let mut deliveries: Vec<Delivery> = Vec::new();
        let mut broken = None;
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(delivery) = next {
            match delivery {
                Some(Ok(delivery)) => {
                    bytes += delivery.data.len();
                    deliveries.push(delivery);
                }
                Some(Err(error)) => {
                    broken = Some(connect::explain(&error));
                    break;
                }
                None => {
                    let words = "the broker cancelled the consumer: the queue was deleted or moved";
                    broken = Some(words.to_owned());
                    break;
                }
            }
            let full = deliveries.len() >= self.config.group || bytes >= GROUP_BYTES;
            next = if full {
                None
            } else {
                consumer.next().now_or_never()
            };
        }
        let incoming: Vec<Incoming> = deliveries.iter_mut().map(message::incoming).collect();
        Group {
            judged: self.gate.judge_all(&incoming),
            incoming,
            last: deliveries.pop(),
            broken,
        }
    }

    /// Stores a group and acknowledges it. What was delivered is stored even when the connection is
    /// gone meanwhile: a deleted queue does not deliver again.
    async fn settle(
        &self,
        group: Group,
        channel: &Channel,
        stop: &CancellationToken,
    ) -> Option<Ended> {
        let last = group.last?;
        let (incoming, judged) = (group.incoming, group.judged);
        let mut waits = self.config.reconnect.waits();
        let trouble = |words: &str| self.say(|state| state.message = words.to_owned());
        match store(&self.gate, &incoming, judged, &mut waits, stop, &trouble).await {
            Stored::All => {}
            Stored::Stopped => return Some(Ended::Stopped),
        }
        let connected = channel.status().connected();
        self.say(|state| {
            if !state.blocked {
                state.message.clear();
            }
            state.last_event_at = Some(Timestamp::now());
        });
        match last.ack(BasicAckOptions { multiple: true }).await {
            Ok(true) => None,
            // The channel is gone, and with it the right to acknowledge: the events come again.
            Ok(false) => Some(Ended::Broken(format!(
                "the channel was closed before {} stored events were acknowledged",
                incoming.len()
            ))),
            Err(error) if connected => Some(Ended::Broken(connect::explain(&error))),
            Err(_) => Some(Ended::Broken("the connection was lost".to_owned())),
        }
    }

    fn note(&self, event: Event) {
        match event {
            Event::ConnectionBlocked(words) => {
                tracing::warn!(reason = %words, "RabbitMQ: connection blocked");
                self.say(|state| {
                    state.blocked = true;
                    state.message = format!("the broker has blocked the connection: {words}");
                });
            }
            Event::ConnectionUnblocked => self.say(|state| {
                state.blocked = false;
                state.message.clear();
            }),
            _ => {}
        }
    }

    fn say(&self, change: impl FnOnce(&mut IntakeState)) {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            metrics::gauge!(BROKER_UP).set(if state.connected { 1.0 } else { 0.0 });
            *state != before
        });
    }
}

/// Whether the broker can be reached and lets us in, and whether the exchange is there.
///
/// # Errors
/// What stands in the way, and the remedy.
pub async fn probe(config: &AmqpConfig) -> Result<(), String> {
    let connection = connect::connect(config, "handoffd check", None).await?;
    let found = topology::verify(&connection, config).await;
    connect::close(&connection).await;
    found.map_err(|error| connect::explain(&error))
}

/// How full our queues are: name, events, and whether it holds dead letters. Nothing is declared.
///
/// # Errors
/// What stands in the way, and the remedy.
pub async fn depths(config: &AmqpConfig) -> Result<Vec<(String, u32, bool)>, String> {
    let asked = async {
        let connection = connect::connect(config, "handoffd status", None).await?;
        let counted = topology::waiting(&connection, config).await;
        connect::close(&connection).await;
        counted.map_err(|error| connect::explain(&error))
    };
    let queues = tokio::time::timeout(ASKING, asked)
        .await
        .map_err(|_| format!("no answer within {} s", ASKING.as_secs()))??;
    let depth = |queue: topology::Waiting| (queue.name, queue.events, queue.is_dead);
    Ok(queues.into_iter().map(depth).collect())
}
