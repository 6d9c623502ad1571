//! What the pages read, timed over a ledger in one SQLite file with a million events. Runs on demand:
//! `cargo test --release --test pages_at_scale -- --run [events]`.

#![expect(clippy::print_stdout, reason = "a program that reports")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use handoffd::demo::world::Folder;
use handoffd::ledger::figures::Span;
use handoffd::ledger::sqlite::Sqlite;
use handoffd::ledger::view::{ConversationFilter, EventsWanted, Standing, WindowState, words};
use handoffd::ledger::{OperatorLedger as _, ViewLedger as _};
use jiff::{SignedDuration, Timestamp};

/// What a page may take.
const AT_MOST: Duration = Duration::from_millis(200);

/// How often each is asked; the median counts.
const ROUNDS: usize = 7;

/// Events of a session.
const OF_SESSION: i64 = 20;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().map(String::as_str) != Some("--run") {
        println!("a measurement, which runs on demand: -- --run [events]");
        return ExitCode::SUCCESS;
    }
    let events = arguments.get(1).and_then(|n| n.parse().ok());
    let events: i64 = events.unwrap_or(1_000_000);
    let folder = Folder::new().unwrap();
    let file = folder.path().join("ledger.db");
    drop(Sqlite::open(&file).unwrap());
    let began = Instant::now();
    fill(&file, events);
    println!(
        "{events} events in {} sessions, filled in {:?}",
        events / OF_SESSION,
        began.elapsed()
    );
    let ledger = Sqlite::open(&file).unwrap();
    let began = Instant::now();
    while ledger.count_figures(Timestamp::now()).await.unwrap() {}
    println!("counted in {:?}", began.elapsed());
    let slowest = measure(&ledger, events).await;
    if slowest > AT_MOST {
        println!("too slow: {slowest:?}, more than {AT_MOST:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Sessions of three targets, of which some wait, are held or parked; events over a week, the last one now.
fn fill(file: &std::path::Path, events: i64) {
    let ledger = rusqlite::Connection::open(file).unwrap();
    let sessions = events / OF_SESSION;
    let now = Timestamp::now().as_microsecond();
    let week = 7 * 24 * 3_600 * 1_000_000_i64;
    let sql = format!(
        "PRAGMA synchronous = OFF;
         BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {events} - 1)
             SELECT i FROM n;
         INSERT INTO session (id, data, contact, business_number, customer, inbound_at, state, controller, since)
         SELECT 's-' || i, '{{\"id\":\"s-' || i || '\",\"business_number\":\"+1555078388' || (i % 3) || '\"}}',
                '{{\"name\":\"Ana ' || i || '\",\"wa_id\":\"' || (491700000000 + i) || '\"}}', '+1555078388' || (i % 3),
                (491700000000 + i), {now} - ({sessions} - i) * ({week} / {sessions}),
                CASE i % 10 WHEN 0 THEN '{{\"controller\":{{\"controller\":\"queued\"}}}}' WHEN 1 THEN
                     '{{\"controller\":{{\"controller\":\"rep\",\"target\":\"hubspot\"}}}}' WHEN 2 THEN
                     '{{\"controller\":{{\"controller\":\"closed\",\"by\":\"platform\"}}}}' END,
                CASE i % 10 WHEN 0 THEN 'queued' WHEN 1 THEN 'rep' WHEN 2 THEN 'closed' END, {now}
           FROM n WHERE i < {sessions};
         INSERT INTO handle SELECT 'phone:' || substr(491700000000 + i, -7), 's-' || i FROM n WHERE i < {sessions};
         INSERT INTO event (key, session, kind, producer_id, time, received_at, body)
         SELECT randomblob(16), 's-' || (i / {OF_SESSION}),
                CASE i % 4 WHEN 0 THEN 'message.sent' WHEN 1 THEN 'message.status' ELSE 'message.received' END, 'e-' || i,
                {now} - ({events} - i) * ({week} / {events}), {now} - ({events} - i) * ({week} / {events}),
                '{{\"id\":\"e-' || i || '\",\"source\":\"/g\",\"subject\":\"s-' || (i / {OF_SESSION}) ||
                '\",\"time\":\"2026-11-28T10:00:00Z\",\"type\":\"message.received\",\"data\":{{\"message\":{{\"id\":\"wamid.' || i ||
                '\",\"time\":\"2026-11-28T10:00:00Z\",\"author\":{{\"kind\":\"customer\"}},\"text\":\"A text of some words number ' || i || '\"}}}}}}'
           FROM n;
         INSERT INTO lane (session, target, head, state, due_at, reason, words, updated_at)
         SELECT 's-' || i, target, 0,
                CASE WHEN i % 25 = 3 AND target = 'hubspot' THEN 'parked' WHEN i % 50 = 4 AND target = 'whatsapp' THEN 'held'
                     WHEN i % 500 = 5 THEN 'due' ELSE 'idle' END,
                CASE WHEN i % 500 = 5 AND NOT (i % 25 = 3 AND target = 'hubspot') THEN {now} + 60000000 END,
                CASE WHEN i % 25 = 3 AND target = 'hubspot' THEN 'invalid' WHEN i % 50 = 4 AND target = 'whatsapp' THEN 'window-closed'
                     WHEN i % 500 = 5 THEN 'server-error' END,
                CASE WHEN i % 25 = 3 AND target = 'hubspot' THEN 'no option ' || (i % 7) WHEN i % 50 = 4 AND target = 'whatsapp' THEN 'closed'
                     WHEN i % 500 = 5 THEN '503' END, {now}
           FROM n, (SELECT 'hubspot' AS target UNION ALL SELECT 'creatio' UNION ALL SELECT 'whatsapp') WHERE i < {sessions};
         INSERT INTO attempt (lane, step, started_at, millis, status, outcome, call)
         SELECT 1 + i % ({sessions} * 3), 'ticket.create', {now} - ({events} - i) * ({week} / {events}), i % 900, 200, 'known', 'POST /records'
           FROM n;
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);"
    );
    ledger.execute_batch(&sql).unwrap();
}

async fn timed<T, F: Future<Output = T>>(what: &str, ask: impl Fn() -> F) -> Duration {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        ask().await;
        took.push(began.elapsed());
    }
    took.sort();
    println!(
        "{what:<46} {:>9.1?}  (most {:.1?})",
        took[ROUNDS / 2],
        took[ROUNDS - 1]
    );
    took[ROUNDS / 2]
}

async fn measure(ledger: &Sqlite, events: i64) -> Duration {
    let now = Timestamp::now();
    let all = ConversationFilter::default;
    let first = ledger.listing(now, all()).await.unwrap();
    let deep = Some(events / 2);
    let filters = [
        ("all", all()),
        (
            "all, the second page",
            ConversationFilter {
                before: first.before,
                ..all()
            },
        ),
        (
            "all, in the middle",
            ConversationFilter {
                before: deep,
                ..all()
            },
        ),
        (
            "all, 200 a page",
            ConversationFilter {
                limit: 200,
                ..all()
            },
        ),
        (
            "parked",
            ConversationFilter {
                state: Some(Standing::Parked),
                ..all()
            },
        ),
        (
            "parked, in the middle",
            ConversationFilter {
                state: Some(Standing::Parked),
                before: deep,
                ..all()
            },
        ),
        (
            "outcome unknown: none",
            ConversationFilter {
                state: Some(Standing::Unknown),
                ..all()
            },
        ),
        (
            "replies held",
            ConversationFilter {
                state: Some(Standing::Held),
                ..all()
            },
        ),
        (
            "trying again",
            ConversationFilter {
                state: Some(Standing::Trying),
                ..all()
            },
        ),
        (
            "well, of one target",
            ConversationFilter {
                state: Some(Standing::Well),
                target: Some("creatio".into()),
                ..all()
            },
        ),
        (
            "waiting for a rep",
            ConversationFilter {
                controller: Some("queued".into()),
                ..all()
            },
        ),
        (
            "closed",
            ConversationFilter {
                controller: Some("closed".into()),
                ..all()
            },
        ),
        (
            "the assistant's",
            ConversationFilter {
                controller: Some("assistant".into()),
                ..all()
            },
        ),
        (
            "given back: none",
            ConversationFilter {
                controller: Some("returned".into()),
                ..all()
            },
        ),
        (
            "of one number",
            ConversationFilter {
                number: Some("+15550783881".into()),
                ..all()
            },
        ),
        (
            "of a number that is not there",
            ConversationFilter {
                number: Some("+1".into()),
                ..all()
            },
        ),
        (
            "window closes soon",
            ConversationFilter {
                window: Some(WindowState::Closing),
                ..all()
            },
        ),
        (
            "window closed, of a target",
            ConversationFilter {
                window: Some(WindowState::Closed),
                target: Some("hubspot".into()),
                ..all()
            },
        ),
        (
            "of the last hour",
            ConversationFilter {
                since: Some(now - SignedDuration::from_hours(1)),
                ..all()
            },
        ),
        (
            "one session",
            ConversationFilter {
                sessions: Some(vec!["s-17".into()]),
                ..all()
            },
        ),
    ];
    let mut slowest = Duration::ZERO;
    for (what, filter) in filters {
        let took = timed(&format!("list: {what}"), || {
            ledger.listing(now, filter.clone())
        })
        .await;
        slowest = slowest.max(took);
    }
    let word = [words::phone("491700000017").unwrap()];
    let newest = |limit| EventsWanted {
        newest: true,
        limit,
        bytes: 4 << 20,
        ..EventsWanted::default()
    };
    for took in [
        timed("counts of the views", || ledger.view_counts(now)).await,
        timed("search by phone", || ledger.handled(&word, 200)).await,
        timed("timeline: report", || ledger.session_report("s-17")).await,
        timed("timeline: events", || {
            ledger.session_events("s-17", newest(400))
        })
        .await,
        timed("overview: figures of an hour", || {
            ledger.figures(Span::Minute, now - SignedDuration::from_hours(1))
        })
        .await,
        timed("overview: figures of a day", || {
            ledger.figures(Span::TenMinutes, now - SignedDuration::from_hours(24))
        })
        .await,
        timed("overview: figures of a week", || {
            ledger.figures(Span::Hour, now - SignedDuration::from_hours(168))
        })
        .await,
        timed("overview: numbers of lanes", || ledger.stats(now)).await,
        timed("overview: what is parked", || ledger.groups()).await,
        timed("overview: what waits", || ledger.troubles()).await,
        timed("live: marks", || ledger.marks()).await,
        timed("tap: what happened since", || {
            ledger.tail(events - 500, events - 500, 500)
        })
        .await,
    ] {
        slowest = slowest.max(took);
    }
    slowest
}
