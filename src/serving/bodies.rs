//! Request bodies, read within bounds: of one body, and of all that are held at a time.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What every body may hold without asking for room: connections are bounded, and so is this. What
/// is small, as nearly everything is, comes in even while others fill the room.
const FREE: usize = 64 << 10;

/// Room for request bodies: a bound on the bytes that the process holds of them. What counts is
/// what has arrived, not what was announced, so that announcing takes nothing from anybody.
#[derive(Clone)]
pub struct Room {
    left: Arc<Semaphore>,
    bytes: usize,
}

/// A body that was read, and its room, which is given back when it is dropped.
pub struct Held {
    bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is, or says that it is, longer than this.
    TooLong(usize),
    /// Other bodies take all the room.
    Full,
    /// It did not arrive in time.
    Slow,
    /// The client broke off.
    Broken,
}

impl Room {
    /// Room for so many bytes, beside what each body may always hold.
    #[must_use]
    pub fn new(bytes: usize) -> Room {
        let bytes = bytes.min(Semaphore::MAX_PERMITS);
        Room {
            left: Arc::new(Semaphore::new(bytes)),
            bytes,
        }
    }

    /// How many bytes of it are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.bytes - self.left.available_permits()
    }

    /// Reads a body of at most `most` bytes that arrives `within` this time.
    ///
    /// # Errors
    /// Why not. Nothing of the body is held then, and what says that it is too long is not read.
    pub async fn read(&self, body: Body, most: usize, within: Duration) -> Result<Held, Unread> {
        if body.size_hint().lower() > most as u64 {
            return Err(Unread::TooLong(most));
        }
        tokio::time::timeout(within, self.gather(body, most))
            .await
            .unwrap_or(Err(Unread::Slow))
    }

    async fn gather(&self, body: Body, most: usize) -> Result<Held, Unread> {
        let mut held = Held {
            bytes: Vec::new(),
            room: None,
        };
        let mut stream = body.into_data_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| Unread::Broken)?;
            let length = held.bytes.len() + chunk.len();
            if length > most {
                return Err(Unread::TooLong(most));
            }
            let asked = length.saturating_sub(FREE.max(held.bytes.len()));
            self.take(asked, &mut held.room)?;
            if held.bytes.capacity() < length {
                // Not twice as much each time: what is reserved is held as well.
                let more = chunk.len().max(held.bytes.len() / 4);
                held.bytes.reserve_exact(more);
            }
            held.bytes.extend_from_slice(&chunk);
        }
        Ok(held)
    }

    fn take(&self, bytes: usize, room: &mut Option<OwnedSemaphorePermit>) -> Result<(), Unread> {
        if bytes == 0 {
            return Ok(());
        }
        let bytes = u32::try_from(bytes).map_err(|_| Unread::Full)?;
        let more = Arc::clone(&self.left)
            .try_acquire_many_owned(bytes)
            .map_err(|_| Unread::Full)?;
        match room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }
}

impl Held {
    /// The bytes, and their room, which is given back when that is dropped.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, impl Send) {
        (self.bytes, self.room)
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures::{StreamExt as _, stream};

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    /// A body that comes in pieces and never ends.
    fn endless(pieces: usize, size: usize) -> Body {
        let piece = Bytes::from(vec![b'x'; size]);
        let pieces = stream::iter((0..pieces).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
        Body::from_stream(pieces.chain(stream::pending()))
    }

    #[tokio::test]
    async fn what_is_read_takes_room_until_it_is_dropped() {
        let room = Room::new(1 << 20);
        let held = room.read(vec![0; 300_000].into(), 1 << 20, SOON).await;
        assert_eq!(room.taken(), 300_000 - FREE);
        let second = room.read(vec![0; FREE].into(), 1 << 20, SOON).await;
        assert_eq!(room.taken(), 300_000 - FREE, "the first bytes are free");
        assert_eq!(held.map(|held| held.len()), Ok(300_000));
        drop(second);
        assert_eq!(room.taken(), 0);
    }

    #[tokio::test]
    async fn a_body_that_finds_no_room_gives_back_what_it_took() {
        let room = Room::new(200_000);
        let first = room.read(vec![0; 200_000].into(), 1 << 20, SOON).await;
        let taken = room.taken();
        let second = room.read(vec![0; 200_000].into(), 1 << 20, SOON).await;
        assert_eq!(second.err(), Some(Unread::Full));
        assert_eq!(room.taken(), taken);
        let small = room.read(vec![0; 10_000].into(), 1 << 20, SOON).await;
        assert!(small.is_ok(), "small ones come in all the same");
        drop(first);
        let third = room.read(vec![0; 200_000].into(), 1 << 20, SOON).await;
        assert!(third.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_given_up_and_holds_nothing() {
        let room = Room::new(1 << 20);
        let read = room
            .read(endless(4, 60_000), 1 << 20, Duration::from_millis(50))
            .await;
        assert_eq!(read.err(), Some(Unread::Slow));
        assert_eq!(room.taken(), 0);
    }

    #[tokio::test]
    async fn a_body_that_is_longer_than_it_may_be_is_not_read_on() {
        let room = Room::new(1 << 20);
        let announced = room.read(vec![0; 1_001].into(), 1_000, SOON).await;
        assert_eq!(announced.err(), Some(Unread::TooLong(1_000)));
        let found = room.read(endless(40, 60_000), 200_000, SOON).await;
        assert_eq!(found.err(), Some(Unread::TooLong(200_000)));
        assert_eq!(room.taken(), 0);
    }
}
