//! Many events wait in RabbitMQ while the daemon is down and so is its CRM; then the CRM refuses
//! everything for good, and every session's lane is parked; at last it takes everything, and an
//! operator retries. Meanwhile another CRM is as quick as before.

use std::process::Command;
use std::time::{Duration, Instant};

use handoffd_test_support::eventually;
use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use serde_json::{Value, json};

use crate::fleet::{EVENTS, Fleet};
use crate::memory::Memory;
use crate::options::Options;
use crate::silence::{as_quick, times};

/// Confirms that are waited for together.
const GROUP: usize = 500;
/// On a busy machine, with a debug build.
const LONG: Duration = Duration::from_secs(1_800);
/// How long a command of an operator may take.
const PROMPT: Duration = Duration::from_secs(30);
/// So many of the parked lanes are waited for after the retry; the simulator slows down with what it
/// holds.
const SHOWN: i64 = 500;
/// What nothing here may reach, in megabytes.
const BOUND: u64 = 112;

pub async fn run(options: &Options) {
    let mut fleet = Fleet::with(None, 1, |plan| {
        plan.over["log"]["level"] = json!("warn");
    })
    .await;
    let start = Memory::of(fleet.process(0));
    let alone = times(&fleet, options.sessions, &["hubspot"], "hubspot").await;
    fleet.kill(0);
    fleet.fault(fault(json!({"kind": "status", "status": 503})));
    publish(&fleet, options.events).await;
    println!(
        "backlog: {} events wait; a new daemon has {start}",
        options.events
    );

    fleet.spawn(0, &[]);
    let began = Instant::now();
    let events = i64::try_from(options.events).unwrap();
    let backlog =
        "SELECT count(*) FROM event WHERE session LIKE 'backlog-%' AND producer_id LIKE 'e%'";
    until(&fleet, backlog, events).await;
    let took = began.elapsed();
    let memory = Memory::of(fleet.process(0)).below(BOUND);
    println!(
        "  in the ledger after {:.1} s ({:.0}/s), the CRM down: {memory}",
        took.as_secs_f64(),
        options.events as f64 / took.as_secs_f64()
    );

    let waiting = times(&fleet, options.sessions, &["hubspot"], "hubspot").await;

    fleet.sims.clear_faults(None);
    fleet.fault(fault(json!({"kind": "status", "status": 403,
        "body": {"error": {"code": "", "message": "No rights for this object"}}})));
    let lanes = i64::try_from(options.events / 2).unwrap();
    let began = Instant::now();
    until(
        &fleet,
        "SELECT count(*) FROM lane WHERE state = 'parked'",
        lanes,
    )
    .await;
    let took = began.elapsed();
    let memory = Memory::of(fleet.process(0)).below(BOUND);
    println!(
        "  {lanes} lanes parked after {:.1} s ({:.0}/s): {memory}",
        took.as_secs_f64(),
        lanes as f64 / took.as_secs_f64()
    );
    let parked = times(&fleet, options.sessions, &["hubspot"], "hubspot").await;
    println!(
        "  HubSpot shows a handoff after {alone:?} (median, longest) without, {waiting:?} while they wait, {parked:?} while they are parked"
    );
    as_quick(alone, waiting);
    as_quick(alone, parked);
    let (text, took) = handoffd(&fleet, &["status"]);
    assert!(text.contains("No rights for this object"), "{text}");
    println!("  `handoffd status` took {took:.2} s");

    fleet.sims.clear_faults(None);
    let began = Instant::now();
    let (_, took) = handoffd(&fleet, &["retry", "--reason", "forbidden"]);
    println!("  `handoffd retry --reason forbidden` took {took:.2} s");
    let some = lanes.min(SHOWN);
    until(
        &fleet,
        "SELECT count(*) FROM lane WHERE target = 'creatio' AND state = 'idle'",
        some,
    )
    .await;
    let took = began.elapsed();
    let memory = Memory::of(fleet.process(0)).below(BOUND);
    println!(
        "  {some} of them complete in Creatio after {:.1} s ({:.0}/s): {memory}",
        took.as_secs_f64(),
        some as f64 / took.as_secs_f64()
    );
}

/// Runs a command of an operator; what it says, and how many seconds it took.
fn handoffd(fleet: &Fleet, arguments: &[&str]) -> (String, f64) {
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_handoffd"))
        .args(arguments)
        .arg("--config")
        .arg(fleet.config(0))
        .output()
        .unwrap();
    let took = began.elapsed();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Parked lanes need a person, and the exit code says so.
    let expected = i32::from(arguments == ["status"]);
    assert_eq!(
        output.status.code(),
        Some(expected),
        "{arguments:?}: {text}"
    );
    assert!(took < PROMPT, "{arguments:?} took {took:?}");
    (text, took.as_secs_f64())
}

fn fault(kind: Value) -> Value {
    json!({"target": "creatio", "match": {"path_contains": "odata"}, "fault": kind})
}

/// Every second event is a handoff, the other a message of the session before it.
async fn publish(fleet: &Fleet, events: usize) {
    let mut unconfirmed = Vec::new();
    for n in 0..events {
        let session = format!("backlog-{}", n / 2);
        let customer = format!("49151{:08}", n / 2);
        let message = json!({"id": format!("wamid.{n}"), "time": Timestamp::now(),
            "author": {"kind": "customer"}, "text": "My parcel is broken. ".repeat(20)});
        let (kind, data) = if n % 2 == 0 {
            let data = json!({
                "session": {"id": session, "business_number": "+15550783881", "language": "en"},
                "contact": {"phone": format!("+{customer}"), "wa_id": customer, "name": "Ana"},
                "handoff": {"reasons": ["user_requested_human_assistance"], "summary": "A broken parcel.",
                    "sentiment": "angry", "language": "en", "topic": "Refund"},
                "transcript": [message], "targets": ["creatio"],
            });
            ("handoff.requested", data)
        } else {
            ("message.received", json!({"message": message}))
        };
        let event = json!({"specversion": "1.0", "id": format!("e{n}"), "source": "/test/gateway", "type": kind,
            "subject": session, "time": Timestamp::now(), "datacontenttype": "application/json", "data": data});
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/cloudevents+json".into());
        let options = BasicPublishOptions::default();
        let body = event.to_string();
        let sent = fleet
            .gateway
            .channel
            .basic_publish(
                EVENTS.into(),
                kind.into(),
                options,
                body.as_bytes(),
                properties,
            )
            .await
            .unwrap();
        unconfirmed.push(sent);
        if unconfirmed.len() == GROUP || n + 1 == events {
            for sent in unconfirmed.drain(..) {
                assert!(sent.await.unwrap().is_ack());
            }
        }
    }
}

/// Waits until the ledger counts so many.
async fn until(fleet: &Fleet, sql: &str, count: i64) {
    let file = fleet.folder().path().join("ledger.db");
    eventually(LONG, || async {
        let ledger = rusqlite::Connection::open_with_flags(
            &file,
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        )
        .unwrap();
        ledger
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .is_ok_and(|found| found >= count)
    })
    .await;
}
