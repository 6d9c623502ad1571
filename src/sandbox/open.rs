//! The list of open event streams, so that they can be counted and told something.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::Instant;

use super::rules::Filter;
use super::served::lock;

/// The open streams of one simulator.
pub(super) struct OpenStreams {
    streams: Mutex<BTreeMap<u64, OpenStream>>,
    last: AtomicU64,
    noted: watch::Sender<u64>,
}

struct OpenStream {
    method: String,
    path: String,
    order: watch::Sender<Order>,
}

/// What an open stream is told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Order {
    pub cut: bool,
    pub silent_until: Option<Instant>,
}

/// Removes a stream from the list of open ones.
pub(super) struct StreamGuard {
    open: Arc<OpenStreams>,
    id: u64,
}

impl OpenStreams {
    /// None yet; `noted` counts each opening and closing.
    pub(super) fn new(noted: watch::Sender<u64>) -> OpenStreams {
        OpenStreams {
            streams: Mutex::default(),
            last: AtomicU64::new(0),
            noted,
        }
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.streams).len()
    }

    /// Lists a stream as open; dropping the guard ends that.
    pub(super) fn add(
        self: &Arc<Self>,
        method: &str,
        path: &str,
    ) -> (StreamGuard, watch::Receiver<Order>) {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (order, orders) = watch::channel(Order::default());
        let stream = OpenStream {
            method: method.to_owned(),
            path: path.to_owned(),
            order,
        };
        lock(&self.streams).insert(id, stream);
        self.noted.send_modify(|count| *count += 1);
        (
            StreamGuard {
                open: Arc::clone(self),
                id,
            },
            orders,
        )
    }

    /// Tells the open streams that match something; how many there were.
    pub(super) fn order(&self, filter: &Filter, tell: impl Fn(&mut Order)) -> usize {
        let streams = lock(&self.streams);
        let matching = streams
            .values()
            .filter(|s| filter.admits(&s.method, &s.path, b""));
        matching
            .map(|stream| stream.order.send_modify(&tell))
            .count()
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        lock(&self.open.streams).remove(&self.id);
        self.open.noted.send_modify(|count| *count += 1);
    }
}
