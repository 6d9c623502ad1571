//! Bodies that leave piece by piece, and can end in the middle.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::wire::Peer;

/// What a body does next.
#[derive(Debug)]
pub(super) enum Piece {
    /// Sends bytes, as a chunk of their own.
    Give(Bytes),
    /// Waits.
    Pause(Duration),
    /// Cuts the connection once everything before has left.
    Cut,
}

/// A body of pieces, sent over the connection of `peer`.
pub(super) fn body(pieces: impl Stream<Item = Piece> + Send + 'static, peer: Peer) -> Body {
    let steps = pieces.then(move |piece| {
        let peer = peer.clone();
        async move {
            match piece {
                Piece::Give(bytes) => Some(Ok(bytes)),
                Piece::Pause(pause) => {
                    tokio::time::sleep(pause).await;
                    None
                }
                Piece::Cut => {
                    peer.flushed().await;
                    Some(Err(io::Error::from(io::ErrorKind::ConnectionAborted)))
                }
            }
        }
    });
    Body::from_stream(steps.filter_map(std::future::ready))
}

/// The bytes in pieces of at most `size`.
pub(super) fn split(bytes: Bytes, size: usize) -> impl Iterator<Item = Bytes> {
    let size = size.max(1);
    (0..bytes.len())
        .step_by(size)
        .map(move |from| bytes.slice(from..bytes.len().min(from + size)))
}
