//! Connections for event streams: over HTTP/2 where the server speaks it, many streams on each.
//!
//! A client of the HTTP library keeps one HTTP/2 connection to a server, however many streams wait
//! for a place on it. So there is a client for every so many streams, and another one when they are
//! used up. A server may allow fewer than we ask for, which shows in a stream that does not open
//! while others on its connection are well: that connection then takes no more.
//!
//! A stream that nobody reads must not stall the others, so a connection's window holds every
//! stream's window whole. A connection that died without a word is noticed by a ping.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;

use super::outbound::any_version;
use crate::config::{OutboundConfig, StreamProtocol};

/// What one stream may send before we have read it. An event is a few kilobytes; a larger one takes
/// some round trips more.
const STREAM_WINDOW: u32 = 32 << 10;

/// How streams share connections.
#[derive(Debug, Clone, Copy)]
pub struct Sharing {
    /// What is spoken.
    pub protocol: StreamProtocol,
    /// The most streams on one connection.
    pub per_connection: usize,
    /// How often a connection is asked whether it lives.
    pub ping_every: Duration,
    /// How long it may take to answer.
    pub ping_within: Duration,
}

impl Default for Sharing {
    fn default() -> Sharing {
        Sharing {
            protocol: StreamProtocol::Auto,
            per_connection: 100,
            ping_every: Duration::from_secs(30),
            ping_within: Duration::from_secs(20),
        }
    }
}

/// The connections for the event streams of one target.
#[derive(Clone)]
pub(super) struct Streams(Arc<Inner>);

struct Inner {
    sharing: Sharing,
    connect_timeout: Duration,
    outbound: OutboundConfig,
    /// Shared, since every root certificate is in it.
    tls: ClientConfig,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    next: u64,
    all: Vec<Connection>,
}

struct Connection {
    number: u64,
    client: reqwest::Client,
    /// Streams that have a place here.
    places: usize,
    /// Of them, those that did open.
    open: usize,
    /// The most places.
    most: usize,
}

/// A stream's place on a connection; given back when it is dropped.
pub(super) struct Place {
    streams: Streams,
    number: u64,
    is_open: bool,
    pub client: reqwest::Client,
}

/// An open event stream. Of the answer only the body is kept: there may be ten thousand.
pub struct EventStream {
    // Dropped before its place is given back.
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    _place: Place,
}

impl EventStream {
    pub(super) fn new(response: reqwest::Response, mut place: Place) -> EventStream {
        place.opened();
        EventStream {
            body: response.bytes_stream().boxed(),
            _place: place,
        }
    }

    /// The next bytes; none at its end, however it ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.body.next().await?.ok()
    }
}

impl Streams {
    pub fn new(
        connect_timeout: Duration,
        outbound: &OutboundConfig,
        sharing: Sharing,
    ) -> Result<Streams, rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        // A certificate of the system that does not parse is no reason to trust none.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Streams::with(connect_timeout, outbound, sharing, tls))
    }

    fn with(
        connect_timeout: Duration,
        outbound: &OutboundConfig,
        sharing: Sharing,
        mut tls: ClientConfig,
    ) -> Streams {
        let offered: &[&[u8]] = match sharing.protocol {
            StreamProtocol::Auto => &[b"h2", b"http/1.1"],
            StreamProtocol::Http1 => &[b"http/1.1"],
            StreamProtocol::Http2 => &[b"h2"],
        };
        tls.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        Streams(Arc::new(Inner {
            sharing,
            connect_timeout,
            outbound: outbound.clone(),
            tls,
            connections: Mutex::default(),
        }))
    }

    /// A place for one more stream.
    pub fn place(&self) -> Result<Place, reqwest::Error> {
        let mut connections = self.lock();
        let free = connections
            .all
            .iter_mut()
            .find(|connection| connection.places < connection.most);
        let (number, client) = if let Some(free) = free {
            free.places += 1;
            (free.number, free.client.clone())
        } else {
            let client = self.client()?;
            let number = connections.next;
            connections.next += 1;
            connections.all.push(Connection {
                number,
                client: client.clone(),
                places: 1,
                open: 0,
                most: self.most(),
            });
            (number, client)
        };
        Ok(Place {
            streams: self.clone(),
            number,
            is_open: false,
            client,
        })
    }

    fn most(&self) -> usize {
        match self.0.sharing.protocol {
            StreamProtocol::Http1 => usize::MAX,
            StreamProtocol::Auto | StreamProtocol::Http2 => self.0.sharing.per_connection,
        }
    }

    fn client(&self) -> Result<reqwest::Client, reqwest::Error> {
        let Sharing {
            protocol,
            per_connection,
            ping_every,
            ping_within,
        } = self.0.sharing;
        let builder = any_version(self.0.connect_timeout, &self.0.outbound)?
            .tls_backend_preconfigured(self.0.tls.clone());
        let builder = match protocol {
            StreamProtocol::Http1 => return builder.http1_only().build(),
            StreamProtocol::Http2 => builder.http2_prior_knowledge(),
            StreamProtocol::Auto => builder,
        };
        let streams = u32::try_from(per_connection).unwrap_or(u32::MAX);
        builder
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(STREAM_WINDOW.saturating_mul(streams))
            .http2_keep_alive_interval(ping_every)
            .http2_keep_alive_timeout(ping_within)
            .build()
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether other streams are open on the same connection.
    pub fn is_shared(&self) -> bool {
        self.on_connection(|connection| connection.open > 0)
            .unwrap_or(false)
    }

    /// The server takes no more on this connection than are open now.
    pub fn full(&self) {
        self.on_connection(|connection| connection.most = connection.open.max(1));
    }

    fn opened(&mut self) {
        self.is_open = true;
        self.on_connection(|connection| connection.open += 1);
    }

    fn on_connection<T>(&self, act: impl FnOnce(&mut Connection) -> T) -> Option<T> {
        let mut connections = self.streams.lock();
        let mut all = connections.all.iter_mut();
        all.find(|connection| connection.number == self.number)
            .map(act)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (is_open, most) = (self.is_open, self.streams.most());
        let is_empty = self.on_connection(|connection| {
            connection.places -= 1;
            connection.open -= usize::from(is_open);
            if connection.places == 0 {
                connection.most = most;
            }
            connection.places == 0
        });
        let mut connections = self.streams.lock();
        // One stays, for whoever opens the next stream.
        if is_empty == Some(true) && connections.all.len() > 1 {
            let number = self.number;
            connections
                .all
                .retain(|connection| connection.number != number || connection.places > 0);
        }
    }
}

#[cfg(test)]
mod tests;
