//! Files that are fetched at once and kept.

use handoffd::ledger::files::{DROPPED, EXPIRED, Fetched, FileLease, PIECE, Stored, WantedFile};
use handoffd::ledger::{Admission, Admitted, FileLedger, LedgerError};

use crate::world::*;

const URL: &str = "https://files.example.com/1?sig=x";
const MOST: u64 = 1 << 30;
const KEPT: Stored = Stored::Yes { dropped: 0 };

/// A message with a file.
fn with_file(session: &str, id: &str, url: &str) -> Admission {
    let file = WantedFile {
        attachment: "0".into(),
        url: url.into(),
    };
    Admission {
        files: vec![file],
        ..plain(message(session, id))
    }
}

async fn claimed(w: &World, at: i64) -> Vec<FileLease> {
    w.a.claim_files(t(at), "me", 10, t(at + 60)).await.unwrap()
}

/// Wants a file of these pieces and keeps it.
async fn keep(w: &World, at: i64, session: &str, url: &str, pieces: &[Vec<u8>]) {
    let wanted = with_file(session, url, url);
    w.a.admit(t(at), vec![wanted]).await.unwrap();
    let lease = claimed(w, at).await.remove(0);
    for (number, piece) in (0..).zip(pieces) {
        let stored = w.a.store_piece(&lease, number, piece.clone(), MOST);
        assert_eq!(stored.await, Ok(KEPT));
    }
    w.a.finish_file(&lease, whole(pieces)).await.unwrap();
}

fn whole(pieces: &[Vec<u8>]) -> Fetched {
    Fetched::Whole {
        bytes: pieces.iter().map(|piece| piece.len() as u64).sum(),
        pieces: u32::try_from(pieces.len()).unwrap(),
    }
}

/// What a reader gets.
async fn read(ledger: &dyn FileLedger, session: &str, url: &str) -> Option<Vec<u8>> {
    let file = ledger.kept_file(session, "0", url).await.unwrap()?;
    let mut all = Vec::new();
    for number in 0..file.pieces {
        all.extend(ledger.piece(file, number).await.unwrap().unwrap());
    }
    assert_eq!(file.bytes, all.len() as u64);
    assert_eq!(ledger.piece(file, file.pieces).await.unwrap(), None);
    Some(all)
}

/// (state, reason) of the session's files.
async fn states(w: &World, session: &str) -> Vec<(String, Option<String>)> {
    let report = w.b.session_report(session).await.unwrap();
    let files = report.files.into_iter();
    files.map(|file| (file.state, file.reason)).collect()
}

pub async fn a_file_is_wanted_with_its_event_and_once(w: &World) {
    let changed = w.a.changed();
    let before = changed.files();
    let wanted = vec![with_file("s1", "1", URL)];
    let admitted = w.a.admit(t(0), wanted.clone()).await.unwrap();
    assert!(matches!(admitted[..], [Admitted::New(_)]));
    assert!(changed.files() > before);
    let again = w.a.admit(t(1), wanted).await.unwrap();
    assert_eq!(again, [Admitted::Duplicate]);
    let other =
        w.a.admit(t(1), vec![with_file("s1", "2", URL)])
            .await
            .unwrap();
    assert!(matches!(other[..], [Admitted::New(_)]));
    let leases = claimed(w, 1).await;
    assert_eq!(leases.len(), 1, "the same file of two events is one");
    assert_eq!((leases[0].url.as_str(), leases[0].tries), (URL, 1));
    assert_eq!(w.b.kept_file("s1", "0", URL).await.unwrap(), None);
}

pub async fn a_fetch_is_leased_and_its_lease_taken_over(w: &World) {
    w.a.admit(t(0), vec![with_file("s1", "1", URL)])
        .await
        .unwrap();
    let first = claimed(w, 0).await.remove(0);
    let others = w.b.claim_files(t(59), "you", 10, t(90)).await.unwrap();
    assert_eq!(others, []);
    w.a.renew_file(&first, t(70)).await.unwrap();
    let others = w.b.claim_files(t(69), "you", 10, t(90)).await.unwrap();
    assert_eq!(others, []);
    let second = w.b.claim_files(t(70), "you", 10, t(90)).await.unwrap();
    assert_eq!((second.len(), second[0].tries), (1, 2));
    let stale = Err(LedgerError::Stale);
    assert_eq!(w.a.renew_file(&first, t(99)).await, stale);
    assert_eq!(w.a.finish_file(&first, whole(&[])).await, stale);
    let stored = w.a.store_piece(&first, 0, vec![1], MOST).await;
    assert_eq!(stored, Err(LedgerError::Stale));
    w.b.finish_file(&second[0], Fetched::Again(t(80)))
        .await
        .unwrap();
    assert_eq!(claimed(w, 79).await, []);
    assert_eq!(claimed(w, 80).await[0].tries, 3);
}

pub async fn an_empty_file_gives_way_to_a_newer_one(w: &World) {
    keep(w, 0, "s1", "https://files.example.com/empty", &[]).await;
    keep(w, 1, "s1", "https://files.example.com/full", &[vec![1; 10]]).await;
    w.a.admit(t(2), vec![with_file("s2", "1", URL)])
        .await
        .unwrap();
    let lease = claimed(w, 2).await.remove(0);
    let stored = w.a.store_piece(&lease, 0, vec![2; 10], 10).await;
    assert_eq!(stored, Ok(Stored::Yes { dropped: 2 }));
    let dropped = ("failed".to_owned(), Some(DROPPED.to_owned()));
    assert_eq!(states(w, "s1").await, [dropped.clone(), dropped]);
}

pub async fn a_file_is_read_piece_by_piece_as_it_was_stored(w: &World) {
    w.a.admit(t(0), vec![with_file("s1", "1", URL)])
        .await
        .unwrap();
    let first = claimed(w, 0).await.remove(0);
    for number in 0..3 {
        let stored = w.a.store_piece(&first, number, vec![9; PIECE], MOST).await;
        assert_eq!(stored, Ok(KEPT));
    }
    // It breaks off; the next time it is shorter.
    w.a.finish_file(&first, Fetched::Again(t(1))).await.unwrap();
    let second = claimed(w, 1).await.remove(0);
    let pieces = [vec![1; PIECE], vec![2; 7]];
    for (number, piece) in (0..).zip(&pieces) {
        let stored = w.a.store_piece(&second, number, piece.clone(), MOST);
        assert_eq!(stored.await, Ok(KEPT));
    }
    assert_eq!(read(&*w.b, "s1", URL).await, None, "it is not whole yet");
    w.a.finish_file(&second, whole(&pieces)).await.unwrap();
    assert_eq!(read(&*w.b, "s1", URL).await, Some(pieces.concat()));
    assert_eq!(w.b.file_bytes().await.unwrap(), PIECE as u64 + 7);
    assert_eq!(claimed(w, 1_000).await, []);
    let url = w.b.kept_file("s1", "0", "https://other.example.com").await;
    assert_eq!(url, Ok(None));
    assert_eq!(w.b.kept_file("s1", "1", URL).await, Ok(None));
    assert_eq!(
        w.b.kept_file("s2", "0", URL).await,
        Ok(None),
        "another session's"
    );
}

pub async fn a_file_that_failed_is_wanted_again_by_another_event(w: &World) {
    w.a.admit(t(0), vec![with_file("s1", "1", URL)])
        .await
        .unwrap();
    let lease = claimed(w, 0).await.remove(0);
    w.a.store_piece(&lease, 0, vec![1; 10], MOST).await.unwrap();
    w.a.finish_file(&lease, Fetched::Failed("gone"))
        .await
        .unwrap();
    assert_eq!(
        states(w, "s1").await,
        [("failed".into(), Some("gone".into()))]
    );
    assert_eq!(claimed(w, 1_000).await, []);
    w.a.admit(t(1_000), vec![with_file("s1", "1", URL)])
        .await
        .unwrap();
    assert_eq!(claimed(w, 1_000).await, [], "the same event again");
    w.a.admit(t(1_000), vec![with_file("s1", "2", URL)])
        .await
        .unwrap();
    let lease = claimed(w, 1_000).await.remove(0);
    assert_eq!(lease.tries, 1);
    w.a.store_piece(&lease, 0, vec![2; 4], MOST).await.unwrap();
    w.a.finish_file(&lease, whole(&[vec![2; 4]])).await.unwrap();
    assert_eq!(read(&*w.a, "s1", URL).await, Some(vec![2; 4]));
    assert_eq!(w.a.file_bytes().await.unwrap(), 4);
}

pub async fn the_oldest_files_go_where_there_is_no_room(w: &World) {
    for n in 0..3_i64 {
        keep(
            w,
            n,
            "s1",
            &format!("https://x.example/{n}"),
            &[vec![0; 40], vec![1; 60]],
        )
        .await;
    }
    let reading =
        w.b.kept_file("s1", "0", "https://x.example/0")
            .await
            .unwrap()
            .unwrap();
    w.a.admit(t(9), vec![with_file("s2", "new", URL)])
        .await
        .unwrap();
    let lease = claimed(w, 9).await.remove(0);
    // 300 bytes are there, and 350 may be.
    let stored = w.a.store_piece(&lease, 0, vec![5; 50], 350).await;
    assert_eq!(stored, Ok(KEPT));
    let stored = w.a.store_piece(&lease, 1, vec![6; 70], 350).await;
    assert_eq!(stored, Ok(Stored::Yes { dropped: 1 }));
    assert_eq!(
        w.b.piece(reading, 0).await.unwrap(),
        None,
        "a reader sees that it goes"
    );
    let stored = w.a.store_piece(&lease, 2, vec![7; 60], 350).await;
    assert_eq!(
        stored,
        Ok(Stored::Yes { dropped: 1 }),
        "what is left of the first goes before"
    );
    assert!(w.a.file_bytes().await.unwrap() <= 350);
    let kept = ("kept".to_owned(), None);
    let dropped = ("failed".to_owned(), Some(DROPPED.to_owned()));
    assert_eq!(
        states(w, "s1").await,
        [dropped.clone(), dropped, kept.clone()]
    );
    // One that is larger than all takes nobody's place.
    let stored = w.a.store_piece(&lease, 3, vec![8; 171], 350).await;
    assert_eq!(stored, Ok(Stored::NoRoom));
    assert_eq!(states(w, "s1").await[2], kept);
    let whole = Fetched::Whole {
        bytes: 180,
        pieces: 3,
    };
    w.a.finish_file(&lease, whole).await.unwrap();
    assert_eq!(read(&*w.b, "s2", URL).await.unwrap().len(), 180);
}

pub async fn what_is_too_old_goes_a_little_at_a_time(w: &World) {
    let pieces = vec![vec![3; 10]; 20];
    keep(w, 0, "s1", "https://x.example/old", &pieces).await;
    keep(w, 50, "s1", "https://x.example/new", &[vec![4; 5]]).await;
    w.a.admit(t(1), vec![with_file("s1", "leased", URL)])
        .await
        .unwrap();
    let lease = claimed(w, 1).await.remove(0);
    assert!(!w.a.remove_files(t(51), t(-1)).await.unwrap());
    assert_eq!(w.a.file_bytes().await.unwrap(), 205);
    assert!(w.a.remove_files(t(51), t(10)).await.unwrap());
    let left = w.a.file_bytes().await.unwrap();
    assert!(left > 5 && left < 205, "{left}");
    assert_eq!(
        states(w, "s1").await[0],
        ("failed".into(), Some(EXPIRED.into()))
    );
    while w.a.remove_files(t(51), t(10)).await.unwrap() {}
    assert_eq!(w.a.file_bytes().await.unwrap(), 5);
    let kept = ("kept".to_owned(), None);
    let wanted = ("wanted".to_owned(), None);
    assert_eq!(
        states(w, "s1").await,
        [kept.clone(), wanted],
        "what is under way stays"
    );
    // Its daemon is gone.
    while w.b.remove_files(t(61), t(10)).await.unwrap() {}
    assert_eq!(states(w, "s1").await, [kept]);
    assert_eq!(
        w.a.finish_file(&lease, whole(&[])).await,
        Err(LedgerError::Stale)
    );
}
