//! Open event streams: frames as they come, with the faults that strike them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use handoffd_contract::sandbox::Stream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::body::{self, Piece};
use super::open::{Order, StreamGuard};
use super::rules::{Fault, Place};
use super::served::Served;
use super::wire::Peer;

/// How often a stream is looked at without a change: for pings and for what time brings.
const TICK: Duration = Duration::from_secs(1);
/// The time between two looks: with many streams open, each change would wake them all.
const BETWEEN: Duration = Duration::from_millis(20);
/// How long a frame that another one shall overtake waits for it.
const OVERTAKE: Duration = Duration::from_secs(2);

/// What a stream is opened with.
pub(super) struct Opening {
    pub method: String,
    pub path: String,
    pub stream: Stream,
    /// What the simulator sends at once.
    pub first: Vec<u8>,
    pub peer: Peer,
    pub stop: CancellationToken,
}

/// Opens a stream: the body of the response.
pub(super) fn open(served: &Arc<Served>, opening: Opening) -> Body {
    let chunk = match served.strike(Place::Stream, &opening.method, &opening.path, b"") {
        Some(Fault::ChunkBytes { bytes }) => {
            served.happened("chunk_bytes");
            bytes
        }
        // A simulator may have a switch for it too, and leaves the work to its server.
        _ => served
            .switched("chunk_bytes")
            .and_then(|size| usize::try_from(size.as_u64()?).ok())
            .filter(|size| *size > 0)
            .unwrap_or(usize::MAX),
    };
    let (pieces, mut receiver) = mpsc::channel(1);
    let (guard, orders) = served.open.add(&opening.method, &opening.path);
    let peer = opening.peer.clone();
    if peer.is_shared() {
        served.over_http2.fetch_add(1, Ordering::Relaxed);
    }
    let pump = Pump {
        served: Arc::clone(served),
        _guard: guard,
        orders,
        pieces,
        chunk,
        after: opening.stream.after,
        held: None,
        opening,
    };
    tokio::spawn(pump.run());
    body::body(
        futures::stream::poll_fn(move |cx| receiver.poll_recv(cx)),
        peer,
    )
}

/// The stream is over: the client left, it was cut, or the daemon stops.
struct Over;

struct Pump {
    served: Arc<Served>,
    _guard: StreamGuard,
    orders: watch::Receiver<Order>,
    pieces: mpsc::Sender<Piece>,
    chunk: usize,
    after: u64,
    /// A frame that the next one shall overtake.
    held: Option<(Instant, Bytes)>,
    opening: Opening,
}

impl Pump {
    async fn run(mut self) {
        let first = std::mem::take(&mut self.opening.first);
        if self.give(first.into()).await.is_err() {
            return;
        }
        let mut changes = self.served.changes();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            changes.mark_unchanged();
            let looked = Instant::now();
            let Ok(false) = self.pass().await else { return };
            tokio::select! {
                _ = changes.changed() => {}
                _ = self.orders.changed() => {}
                _ = tick.tick() => {}
                () = self.pieces.closed() => return,
                () = self.opening.stop.cancelled() => return,
            }
            sleep_until(looked + BETWEEN).await;
        }
    }

    /// Sends what there is; whether the stream ends with it.
    async fn pass(&mut self) -> Result<bool, Over> {
        self.obey().await?;
        let (frames, closes) = self.served.frames(&self.opening.stream.key, self.after);
        for (position, frame) in frames {
            self.after = position;
            self.frame(frame.into()).await?;
        }
        if self
            .held
            .as_ref()
            .is_some_and(|(since, _)| closes || since.elapsed() >= OVERTAKE)
            && let Some((_, frame)) = self.held.take()
        {
            self.give(frame).await?;
        }
        Ok(closes)
    }

    async fn frame(&mut self, frame: Bytes) -> Result<(), Over> {
        let struck = self.served.strike(
            Place::Frame,
            &self.opening.method,
            &self.opening.path,
            &frame,
        );
        match struck {
            Some(Fault::CutStreams { at, .. }) => {
                self.served.happened("cut_streams");
                self.give(frame.slice(..at.min(frame.len()))).await?;
                self.send(Piece::Cut).await?;
                return Err(Over);
            }
            Some(Fault::SilenceStreams { ms, .. }) => {
                self.served.happened("silence_streams");
                self.silence(Instant::now() + Duration::from_millis(ms))
                    .await?;
                self.give(frame).await?;
            }
            Some(Fault::Duplicate) => {
                self.served.happened("duplicate");
                self.give(frame.clone()).await?;
                self.give(frame).await?;
            }
            Some(Fault::DropFrames) => {
                self.served.happened("drop_frames");
                return Ok(());
            }
            Some(Fault::Reorder) if self.held.is_none() => {
                self.held = Some((Instant::now(), frame));
                return Ok(());
            }
            _ => self.give(frame).await?,
        }
        if let Some((_, earlier)) = self.held.take() {
            self.served.happened("reorder");
            self.give(earlier).await?;
        }
        Ok(())
    }

    async fn give(&mut self, bytes: Bytes) -> Result<(), Over> {
        for piece in body::split(bytes, self.chunk) {
            self.send(Piece::Give(piece)).await?;
        }
        Ok(())
    }

    async fn send(&mut self, piece: Piece) -> Result<(), Over> {
        let mut orders = self.orders.clone();
        tokio::select! {
            biased;
            sent = self.pieces.send(piece) => sent.map_err(|_| Over),
            // The client does not read; it cannot hold a cut up.
            _ = orders.wait_for(|order| order.cut) => {
                self.opening.peer.cut_stream();
                Err(Over)
            }
            () = self.opening.stop.cancelled() => Err(Over),
        }
    }

    /// Does what the stream was told from outside.
    async fn obey(&mut self) -> Result<(), Over> {
        let order = *self.orders.borrow_and_update();
        if order.cut {
            // What was given before leaves before the cut, if the client reads.
            if timeout(TICK, self.pieces.send(Piece::Cut)).await.is_err() {
                self.opening.peer.cut_stream();
            }
            return Err(Over);
        }
        match order.silent_until {
            Some(until) if until > Instant::now() => self.silence(until).await,
            _ => Ok(()),
        }
    }

    async fn silence(&mut self, until: Instant) -> Result<(), Over> {
        let mut orders = self.orders.clone();
        tokio::select! {
            () = sleep_until(until) => Ok(()),
            () = self.pieces.closed() => Err(Over),
            () = self.opening.stop.cancelled() => Err(Over),
            _ = orders.wait_for(|order| order.cut) => {
                self.opening.peer.cut_stream();
                Err(Over)
            }
        }
    }
}
