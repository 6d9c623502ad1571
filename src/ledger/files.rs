//! Files that are kept: those whose addresses live for minutes are fetched at once, in pieces, and stay
//! until the targets have had time to take them.

use async_trait::async_trait;
use handoffd_contract::{Attachment, Data, MediaProblem, Message, Source};
use jiff::Timestamp;

use super::{Admission, Changes, Result, rows};

/// The most bytes of one piece.
pub const PIECE: usize = 256 << 10;

/// A file that is to be fetched at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedFile {
    /// The attachment's id.
    pub attachment: String,
    /// Where it is.
    pub url: String,
}

/// A file that was claimed to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLease {
    /// Its number.
    pub id: i64,
    /// The lease's epoch.
    pub epoch: i64,
    /// Where it is.
    pub url: String,
    /// How often it was claimed, this time included.
    pub tries: u32,
}

/// What became of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It is here, whole: so many bytes in so many pieces.
    Whole {
        /// Its bytes.
        bytes: u64,
        /// Its pieces.
        pieces: u32,
    },
    /// It is tried again at this time.
    Again(Timestamp),
    /// It cannot be kept.
    Failed(&'static str),
}

/// Whether a piece was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It was; so many older files had to go for it.
    Yes {
        /// Files that are kept no longer.
        dropped: u32,
    },
    /// There is no room, whichever other files go.
    NoRoom,
}

/// A file that is kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptFile {
    /// Its number.
    pub id: i64,
    /// The epoch of the lease under which it was fetched.
    pub epoch: i64,
    /// Its bytes.
    pub bytes: u64,
    /// Its pieces.
    pub pieces: u32,
}

/// What is known of a session's file, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// The attachment's id.
    pub attachment: String,
    /// `wanted`, `kept` or `failed`.
    pub state: String,
    /// Why it is not kept, if it is not.
    pub reason: Option<String>,
    /// Its bytes, once it is kept.
    pub bytes: u64,
    /// When the event came that names it.
    pub wanted_at: Timestamp,
}

/// So many pieces and rows are removed in one transaction.
pub(super) const REMOVED_AT_ONCE: usize = 16;

/// Why a file is kept no longer: its time is over.
pub const EXPIRED: &str = "expired";
/// Why a file is kept no longer: newer ones needed the room.
pub const DROPPED: &str = "dropped";
/// Why a file is not kept: it is larger than all that may be kept.
pub const NO_ROOM: &str = "no_room";

/// The short word for what is wrong with a file.
#[must_use]
pub fn word(problem: MediaProblem) -> &'static str {
    match problem {
        MediaProblem::Gone => "gone",
        MediaProblem::TooLarge => "too_large",
        MediaProblem::Forbidden => "forbidden",
        MediaProblem::Unreachable => "unreachable",
    }
}

/// The key of a file: the same address in another session, or of another attachment, is another file.
pub(super) fn key(session: &str, attachment: &str, url: &str) -> Vec<u8> {
    // As PostgreSQL stores the session.
    let session = session.replace('\0', "\u{2400}");
    rows::digest(&[session.as_bytes(), attachment.as_bytes(), url.as_bytes()])
}

impl Admission {
    /// The same, which wants those of its event's files that are at an address and that `is_meant`.
    #[must_use]
    pub fn wanting(self, is_meant: impl Fn(&str) -> bool) -> Admission {
        let mut files = Vec::new();
        for file in attachments(&self.event.data) {
            if let Some(Source::Url { url }) = &file.source
                && is_meant(url)
            {
                let wanted = WantedFile {
                    attachment: file.id.clone(),
                    url: url.clone(),
                };
                if !files.contains(&wanted) {
                    files.push(wanted);
                }
            }
        }
        Admission { files, ..self }
    }
}

/// The attachments of an event's messages.
fn attachments(data: &Data) -> impl Iterator<Item = &Attachment> {
    let messages: &[Message] = match data {
        Data::HandoffRequested(handoff) => &handoff.transcript,
        Data::MessageReceived(said) | Data::MessageSent(said) => {
            std::slice::from_ref(&said.message)
        }
        _ => &[],
    };
    messages.iter().flat_map(|message| &message.attachments)
}

/// The ledger as those see it who fetch files and read them. Every method is one transaction.
///
/// A file is wanted in the transaction that stores the event that names it.
#[async_trait]
pub trait FileLedger: Changes {
    /// Claims files that are due, those first that have waited longest.
    async fn claim_files(
        &self,
        now: Timestamp,
        daemon: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<FileLease>>;

    /// Extends a lease.
    async fn renew_file(&self, lease: &FileLease, until: Timestamp) -> Result<()>;

    /// Stores a piece of a file, in place of the one with this number from an earlier try. All files
    /// together take at most `most` bytes: the oldest kept ones go for it.
    async fn store_piece(
        &self,
        lease: &FileLease,
        number: u32,
        piece: Vec<u8>,
        most: u64,
    ) -> Result<Stored>;

    /// Gives a lease back with what became of the fetch.
    async fn finish_file(&self, lease: &FileLease, fetched: Fetched) -> Result<()>;

    /// The file of an attachment, if it is kept whole.
    async fn kept_file(
        &self,
        session: &str,
        attachment: &str,
        url: &str,
    ) -> Result<Option<KeptFile>>;

    /// One piece of a file, unless the file is kept no longer.
    async fn piece(&self, file: KeptFile, number: u32) -> Result<Option<Vec<u8>>>;

    /// Removes a little of what is kept no longer: files that were wanted before that time, and what is
    /// left of those that failed. Returns whether there was anything.
    async fn remove_files(&self, now: Timestamp, before: Timestamp) -> Result<bool>;

    /// How many bytes all files take.
    async fn file_bytes(&self) -> Result<u64>;
}
