//! Files whose addresses live for minutes are fetched at once and kept in the ledger, so that a CRM that
//! is down for longer gets them all the same.
//!
//! A daemon fetches a few at a time, each under a lease, with the policy and sign-in of every fetch. What
//! cannot be kept is fetched when it is needed, as every other file is.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use handoffd_contract::MediaProblem;
use http_body_util::BodyStream;
use jiff::{SignedDuration, Timestamp};
use metrics::{counter, gauge};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::media::{self, AttachmentFetcher, File, Trouble};
use crate::ledger::files::{Fetched, FileLease, KeptFile, NO_ROOM, PIECE, Stored, word};
use crate::ledger::{FileLedger, LedgerError};
use crate::metrics::{MEDIA_KEPT, MEDIA_KEPT_BYTES};
use crate::seldom::Seldom;

/// So many files are fetched at a time.
const AT_A_TIME: usize = 8;

/// How long a lease lasts without renewal. A file of a daemon that is gone is still fetched in time.
const LEASE: Duration = Duration::from_secs(15);

/// So often it is looked whether a file is due that nobody told of, or too old.
const LOOK: Duration = Duration::from_secs(1);

/// The pause between two steps of removing.
const PAUSE: Duration = Duration::from_millis(100);

/// So often it is told how many bytes there are.
const TELL: Duration = Duration::from_secs(5);

/// A source that does not answer within this time leaves its place to other files.
const FIRST_BYTE: Duration = Duration::from_secs(20);

/// The same for a source that does not come to an end.
const WHOLE: Duration = Duration::from_secs(600);

/// How long to wait after each failure; then it is given up.
const WAITS: [i64; 6] = [1, 2, 4, 8, 16, 30];

/// What a source does not have may still come so often: some tell of a file before they have it.
const GONE_TRIES: u32 = 3;

/// Who fetches files at once.
pub struct Keeper {
    /// Where they are kept.
    pub ledger: Arc<dyn FileLedger>,
    /// The way to them.
    pub library: Arc<AttachmentFetcher>,
    /// This daemon's name.
    pub daemon: String,
    /// How long they are kept.
    pub keep_for: Duration,
    /// How many bytes they take together at most.
    pub keep_bytes: u64,
}

impl Keeper {
    /// Works until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let keeper = Arc::new(self);
        let mut fetching = JoinSet::new();
        let changed = keeper.ledger.changed();
        let (mut told, mut look_at): (Option<Instant>, Instant) = (None, Instant::now());
        while !stop.is_cancelled() {
            // Registered before the look, so that no wake-up falls between the two.
            let next = changed.next_of_files();
            for lease in keeper.claim(AT_A_TIME - fetching.len()).await {
                let (keeper, stop) = (Arc::clone(&keeper), stop.clone());
                fetching.spawn(async move { keeper.one(lease, &stop).await });
            }
            if look_at <= Instant::now() {
                let pause = if keeper.remove().await { PAUSE } else { LOOK };
                look_at = Instant::now() + pause;
            }
            if told.is_none_or(|at| at.elapsed() >= TELL) {
                told = Some(Instant::now());
                if let Ok(bytes) = keeper.ledger.file_bytes().await {
                    gauge!(MEDIA_KEPT_BYTES).set(bytes as f64);
                }
            }
            tokio::select! {
                () = next, if fetching.len() < AT_A_TIME => {}
                _ = fetching.join_next(), if !fetching.is_empty() => {}
                () = tokio::time::sleep_until(look_at) => {}
                () = stop.cancelled() => {}
            }
            while fetching.try_join_next().is_some() {}
        }
        while fetching.join_next().await.is_some() {}
    }

    async fn claim(&self, limit: usize) -> Vec<FileLease> {
        if limit == 0 {
            return Vec::new();
        }
        let now = Timestamp::now();
        let claimed = self
            .ledger
            .claim_files(now, &self.daemon, limit, now + span(LEASE));
        claimed.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the ledger could not be asked for files");
            Vec::new()
        })
    }

    /// Removes a little of what is kept no longer; whether there may be more.
    async fn remove(&self) -> bool {
        let now = Timestamp::now();
        let before = now - span(self.keep_for);
        let removed = self.ledger.remove_files(now, before).await;
        removed.unwrap_or_else(|error| {
            tracing::warn!(%error, "files that are kept no longer wait for the ledger");
            false
        })
    }

    async fn one(&self, lease: FileLease, stop: &CancellationToken) {
        static FAILED: Seldom = Seldom::new();
        let fetched = tokio::select! {
            fetched = self.fetch(&lease) => fetched,
            () = self.renewed(&lease) => Err(LedgerError::Stale),
            () = stop.cancelled() => Ok(Fetched::Again(Timestamp::now())),
        };
        let fetched = match fetched {
            Ok(fetched) => fetched,
            // Somebody else has it.
            Err(LedgerError::Stale) => return,
            Err(error) => {
                tracing::warn!(%error, "the ledger did not take a file");
                later(lease.tries, "ledger")
            }
        };
        match fetched {
            Fetched::Whole { .. } => counter!(MEDIA_KEPT, "result" => "kept").increment(1),
            Fetched::Failed(why) => {
                if let Some(more) = FAILED.now() {
                    tracing::warn!(
                        file = lease.id,
                        reason = why,
                        more,
                        "a file could not be kept; it is fetched when it is needed"
                    );
                }
                counter!(MEDIA_KEPT, "result" => why).increment(1);
            }
            Fetched::Again(_) => {}
        }
        if let Err(error) = self.ledger.finish_file(&lease, fetched).await {
            tracing::debug!(%error, "a file's lease runs out by itself");
        }
    }

    /// Renews a lease as long as it is ours.
    async fn renewed(&self, lease: &FileLease) {
        loop {
            tokio::time::sleep(LEASE / 3).await;
            let until = Timestamp::now() + span(LEASE);
            if self.ledger.renew_file(lease, until).await == Err(LedgerError::Stale) {
                return;
            }
        }
    }

    async fn fetch(&self, lease: &FileLease) -> Result<Fetched, LedgerError> {
        let trouble = Trouble::default();
        let max = self.library.max_bytes().min(self.keep_bytes);
        let opening = self.library.fetch(&lease.url, max, &trouble);
        let file = match tokio::time::timeout(FIRST_BYTE, opening).await {
            Ok(Ok(file)) => file,
            Ok(Err(problem)) => return Ok(after(problem, lease.tries)),
            Err(_) => return Ok(after(MediaProblem::Unreachable, lease.tries)),
        };
        match tokio::time::timeout(WHOLE, self.store(lease, file)).await {
            Ok(Err(Failed::Ledger(error))) => Err(error),
            Ok(Err(Failed::NoRoom)) => Ok(Fetched::Failed(NO_ROOM)),
            Ok(Ok(whole)) => Ok(whole),
            Ok(Err(Failed::Source)) | Err(_) => {
                let problem = trouble.get().unwrap_or(MediaProblem::Unreachable);
                Ok(after(problem, lease.tries))
            }
        }
    }

    /// Stores a file's bytes piece by piece.
    async fn store(&self, lease: &FileLease, file: File) -> Result<Fetched, Failed> {
        let mut frames = BodyStream::new(file.body);
        let (mut piece, mut bytes, mut pieces) = (Vec::with_capacity(PIECE), 0u64, 0u32);
        while let Some(frame) = frames.next().await {
            let Ok(data) = frame.map_err(|_| Failed::Source)?.into_data() else {
                continue;
            };
            bytes += data.len() as u64;
            let mut data = &data[..];
            while !data.is_empty() {
                let (now, later) = data.split_at(data.len().min(PIECE - piece.len()));
                piece.extend_from_slice(now);
                data = later;
                if piece.len() == PIECE {
                    let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
                    self.store_piece(lease, &mut pieces, full).await?;
                }
            }
        }
        if !piece.is_empty() {
            self.store_piece(lease, &mut pieces, piece).await?;
        }
        match file.len {
            Some(len) if len != bytes => Err(Failed::Source),
            _ => Ok(Fetched::Whole { bytes, pieces }),
        }
    }

    async fn store_piece(
        &self,
        lease: &FileLease,
        number: &mut u32,
        piece: Vec<u8>,
    ) -> Result<(), Failed> {
        let stored = self
            .ledger
            .store_piece(lease, *number, piece, self.keep_bytes);
        match stored.await.map_err(Failed::Ledger)? {
            Stored::Yes { dropped } => {
                *number += 1;
                counter!(MEDIA_KEPT, "result" => "dropped").increment(dropped.into());
                Ok(())
            }
            Stored::NoRoom => Err(Failed::NoRoom),
        }
    }
}

/// Why a file is not stored.
enum Failed {
    Source,
    NoRoom,
    Ledger(LedgerError),
}

/// What becomes of a file after a failure.
fn after(problem: MediaProblem, tries: u32) -> Fetched {
    let why = word(problem);
    match problem {
        MediaProblem::TooLarge | MediaProblem::Forbidden => Fetched::Failed(why),
        MediaProblem::Gone if tries >= GONE_TRIES => Fetched::Failed(why),
        MediaProblem::Gone | MediaProblem::Unreachable => later(tries, why),
    }
}

fn later(tries: u32, why: &'static str) -> Fetched {
    match WAITS.get(tries.saturating_sub(1) as usize) {
        Some(wait) => Fetched::Again(Timestamp::now() + SignedDuration::from_secs(*wait)),
        None => Fetched::Failed(why),
    }
}

fn span(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::from_hours(24))
}

/// The file of an attachment, if it is kept. One that cannot be read is fetched from its source.
pub(super) async fn find(
    kept: &Arc<dyn FileLedger>,
    session: &str,
    attachment: &str,
    url: &str,
) -> Option<KeptFile> {
    let found = kept.kept_file(session, attachment, url).await;
    found.unwrap_or_else(|error| {
        tracing::warn!(%error, "whether a file is kept could not be seen");
        None
    })
}

/// A kept file, which is read piece by piece.
///
/// # Errors
/// It is larger than `max` bytes.
pub(super) fn open(
    kept: Arc<dyn FileLedger>,
    file: KeptFile,
    max: u64,
    trouble: &Trouble,
) -> Result<File, MediaProblem> {
    if file.bytes > max {
        return Err(MediaProblem::TooLarge);
    }
    let pieces = stream::iter(0..file.pieces).then(move |number| {
        let kept = Arc::clone(&kept);
        async move {
            match kept.piece(file, number).await {
                Ok(Some(piece)) => Ok(bytes::Bytes::from(piece)),
                // It went while it was read: the next try asks its source.
                Ok(None) | Err(_) => Err(MediaProblem::Unreachable),
            }
        }
    });
    Ok(File {
        len: Some(file.bytes),
        body: reqwest::Body::wrap_stream(media::bounded(pieces, max, trouble.clone())),
    })
}
