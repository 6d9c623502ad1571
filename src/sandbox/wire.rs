//! A listener whose connections can be cut: what faults on the level of TCP need.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long accepting rests after an error, such as too many open files.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How long a cut waits for what was written before it to leave.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// A TCP listener; every connection is cut when `stop` is.
pub(super) struct Wire {
    pub listener: TcpListener,
    pub stop: CancellationToken,
}

/// One accepted connection.
pub(super) struct Connection {
    stream: TcpStream,
    peer: Peer,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// The handle by which a request's handler cuts the connection that the request came over.
#[derive(Clone)]
pub(super) struct Peer {
    cut: CancellationToken,
    reset: Arc<AtomicBool>,
    flushes: watch::Sender<u64>,
    /// Whether other requests share the connection (HTTP/2).
    is_shared: bool,
}

impl Peer {
    /// Cuts the connection: nothing that is not written yet will be.
    pub(super) fn cut(&self, reset: bool) {
        self.reset.store(reset, Ordering::Relaxed);
        self.cut.cancel();
    }

    /// The handle for a request of this version.
    pub(super) fn of(mut self, version: axum::http::Version) -> Peer {
        self.is_shared = version == axum::http::Version::HTTP_2;
        self
    }

    /// Whether other requests share the connection.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Ends a stream whose client does not read: by cutting the connection, unless others share it.
    pub(super) fn cut_stream(&self) {
        if !self.is_shared {
            self.cut(false);
        }
    }

    /// Waits until what was given to the connection so far has left.
    pub(super) async fn flushed(&self) {
        // The server flushes each time after the body had nothing more to give.
        let mut flushes = self.flushes.subscribe();
        let _ = tokio::time::timeout(FLUSH_WAIT, flushes.changed()).await;
    }
}

impl Listener for Wire {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return (Connection::new(stream, &self.stop), address),
                Err(_) => tokio::time::sleep(ACCEPT_REST).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Wire>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Wire>) -> Peer {
        stream.io().peer.clone()
    }
}

impl Connection {
    fn new(stream: TcpStream, stop: &CancellationToken) -> Connection {
        // Without it, small frames wait for acknowledgements; with an error, they just do.
        let _ = stream.set_nodelay(true);
        let cut = stop.child_token();
        let peer = Peer {
            cut: cut.clone(),
            reset: Arc::default(),
            flushes: watch::Sender::default(),
            is_shared: false,
        };
        Connection {
            stream,
            peer,
            cut: Box::pin(cut.cancelled_owned()),
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.peer.reset.load(Ordering::Relaxed) {
            // The socket is closed right after; there is nobody to tell of a failure.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.peer.flushes.send_modify(|count| *count += 1);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
