//! `handoffd mapping apply | export | history` on a real ledger.

use handoffd::ledger::{self, Ledger};
use handoffd::mapping::commands::{Change, apply, export, history};
use jiff::Timestamp;

const FIRST: &str = "kind = \"hubspot\"\n[ticket]\nsubject = \"one\"\n";
const SECOND: &str = "kind = \"hubspot\"\n[ticket]\nsubject = \"two\"\n";

fn change<'a>(text: &'a str, expect: Option<i64>) -> Change<'a> {
    Change {
        target: "hub",
        kind: "hubspot",
        file: "hub.toml",
        text,
        who: "ana",
        why: "a test",
        expect,
    }
}

#[tokio::test]
async fn versions_are_applied_exported_and_listed() {
    let path = std::env::temp_dir().join(format!("handoffd-mapping-{}.db", uuid::Uuid::new_v4()));
    let ledger = ledger::open(&format!("sqlite:{}", path.display()))
        .await
        .expect("a ledger");
    let ledger: &dyn Ledger = &*ledger;
    let now: Timestamp = "2026-11-20T10:00:00Z".parse().expect("a time");

    assert_eq!(history(ledger, "hub").await.text, "hub: no mapping yet\n");
    assert_eq!(
        export(ledger, "hub", None).await.text,
        "hub: the ledger has no mapping\n"
    );

    let wrong = "kind = \"hubspot\"\n[ticket]\nsubject = \"{{ contact.nmae }}\"\n";
    let refused = apply(ledger, now, &change(wrong, None)).await;
    assert!(
        !refused.ok
            && refused
                .text
                .starts_with("hub.toml:3: ticket.subject: `contact.nmae` is unknown"),
        "{refused:?}"
    );
    let other = apply(
        ledger,
        now,
        &change("kind = \"creatio\"\n[case]\nSubject = \"x\"\n", None),
    )
    .await;
    assert_eq!(
        other.text,
        "hub.toml: is for creatio, but the target `hub` is hubspot\n"
    );
    let failing = format!("{FIRST}[[test]]\nname = \"t\"\nexpect.ticket.subject = \"x\"\n");
    let failed = apply(ledger, now, &change(&failing, None)).await;
    assert_eq!(
        failed.text,
        "FAILED  t (hub.toml:4)\n          ticket.subject: expected \"x\", found \"one\"\nnot applied: its tests fail\n"
    );
    assert_eq!(
        history(ledger, "hub").await.text,
        "hub: no mapping yet\n",
        "nothing wrong was stored"
    );

    assert_eq!(
        apply(ledger, now, &change(FIRST, None)).await.text,
        "hub: version 1 is live\n"
    );
    assert_eq!(
        apply(ledger, now, &change(FIRST, None)).await.text,
        "hub: version 1 is the same; nothing to do\n"
    );
    let stale = apply(ledger, now, &change(SECOND, Some(0))).await;
    assert!(
        !stale.ok
            && stale
                .text
                .starts_with("hub: not applied, somebody else changed it meanwhile"),
        "{stale:?}"
    );
    assert_eq!(
        apply(ledger, now, &change(SECOND, Some(1))).await.text,
        "hub: version 2 is live\n"
    );

    assert_eq!(export(ledger, "hub", None).await.text, SECOND);
    assert_eq!(export(ledger, "hub", Some(1)).await.text, FIRST);
    let gone = export(ledger, "hub", Some(9)).await;
    assert_eq!(
        (gone.ok, gone.text.as_str()),
        (false, "hub: the ledger has no version 9\n")
    );
    assert_eq!(
        history(ledger, "hub").await.text,
        "   2  2026-11-20 10:00:00Z  ana  a test\n   1  2026-11-20 10:00:00Z  ana  a test\n"
    );
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}
