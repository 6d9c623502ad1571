//! Many conversations in Salesforce, each with an event stream of its own; and as many lanes that
//! wait for a customer's token.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use handoffd_test_support::eventually;
use serde_json::json;

use crate::alone::Alone;
use crate::memory::Memory;
use crate::options::Options;

/// Conversations that are handed over together.
const GROUP: usize = 200;
/// With a debug build on a busy machine.
const LONG: Duration = Duration::from_secs(3_600);
/// How long is watched what standing still costs.
const WATCHED: Duration = Duration::from_secs(20);
/// What nothing here may reach, in megabytes.
const BOUND: u64 = 240;
/// The part of a core that standing still may take.
const IDLE_CORE: f64 = 1.0;

pub async fn run(options: &Options) {
    open(options).await;
    waiting(options).await;
}

/// Every stream is open, and nothing happens.
async fn open(options: &Options) {
    let protocol = if options.http1 { "http1" } else { "http2" };
    let shell =
        format!("HANDOFFD__TARGET__SALESFORCE__STREAM_PROTOCOL={protocol} exec \"$0\" \"$@\"");
    let daemon = daemon(&shell, 100_000).await;
    let start = Memory::of(daemon.process());
    let began = Instant::now();
    let salesforce = daemon.sims.target("salesforce").unwrap();
    // Some at a time: a backlog is measured elsewhere.
    for from in (0..options.streams).step_by(GROUP) {
        let to = options.streams.min(from + GROUP);
        hand_over(&daemon, from..to).await;
        eventually(LONG, || async {
            salesforce.counts()["open_streams"] == json!(to)
        })
        .await;
    }
    let took = began.elapsed();
    settled(&daemon).await;
    let (memory, cpu) = watched(&daemon).await;
    println!(
        "streams: {} open over {protocol} after {:.0} s: {} (at the start {start}); standing still takes {cpu:.2} of a core",
        options.streams,
        took.as_secs_f64(),
        memory.below(BOUND)
    );
    assert!(cpu < IDLE_CORE, "{cpu} of a core");
}

/// Lanes and streams wait for tokens, of which there are 30 a minute.
async fn waiting(options: &Options) {
    let daemon = daemon("exec \"$0\" \"$@\"", 30).await;
    hand_over(&daemon, 0..options.streams).await;
    settled(&daemon).await;
    let (memory, cpu) = watched(&daemon).await;
    println!(
        "streams: of {} most wait for a token: {}; waiting takes {cpu:.2} of a core",
        options.streams,
        memory.below(BOUND)
    );
    assert!(cpu < IDLE_CORE, "{cpu} of a core");
}

async fn daemon(shell: &str, tokens: u32) -> Alone {
    let daemon = Alone::under(shell, |plan| {
        plan.over = json!({"log": {"level": "warn"}});
        let settings = json!({"tokens_per_minute": tokens});
        plan.settings.insert("salesforce".into(), settings);
    })
    .await;
    let salesforce = daemon.sims.target("salesforce").unwrap();
    salesforce
        .switch("tokens_per_minute", &json!(1_000_000))
        .unwrap();
    daemon
}

/// Hands over conversations of these numbers, of a customer each.
async fn hand_over(daemon: &Alone, numbers: std::ops::Range<usize>) {
    let count = numbers.len();
    let headers = [
        ("authorization", format!("Bearer {}", daemon.token)),
        ("content-type", "application/cloudevents+json".to_owned()),
    ];
    let posted = futures::stream::iter(numbers).map(|number| {
        let time = jiff::Timestamp::now();
        let event = json!({
            "specversion": "1.0", "id": format!("handoff-{number}"), "source": "/test/gateway",
            "type": "handoff.requested", "subject": format!("session-{number}"), "time": time,
            "datacontenttype": "application/json",
            "data": {
                "session": {"id": format!("session-{number}"), "business_number": "+15550783881"},
                "contact": {"phone": format!("+49151{number:08}"), "name": "Ana López"},
                "handoff": {"summary": "A broken parcel."},
                "transcript": [{"id": format!("m-{number}"), "time": time,
                    "author": {"kind": "customer"}, "text": "My parcel is broken"}],
                "targets": ["salesforce", "whatsapp"],
            },
        });
        daemon.post("/v1/events", &headers, event.to_string().into_bytes())
    });
    let refused = posted
        .buffer_unordered(32)
        .filter(|status| std::future::ready(*status != 202))
        .count()
        .await;
    assert_eq!(refused, 0, "of {count}");
}

/// Waits until the daemon has little to do.
async fn settled(daemon: &Alone) {
    let mut before = processor(daemon);
    let mut looks = tokio::time::interval(Duration::from_secs(2));
    looks.tick().await;
    for _ in 0..60 {
        looks.tick().await;
        let now = processor(daemon);
        if now - before < 0.2 {
            break;
        }
        before = now;
    }
}

/// What the daemon takes while nobody asks anything of it: memory, and the part of a core.
async fn watched(daemon: &Alone) -> (Memory, f64) {
    let mut watch = tokio::time::interval(WATCHED);
    watch.tick().await;
    let before = processor(daemon);
    watch.tick().await;
    let spent = processor(daemon) - before;
    let memory = Memory::of(daemon.process());
    (memory, spent / WATCHED.as_secs_f64())
}

/// Seconds of processor time since the start, of which the kernel counts a hundred ticks each.
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
fn processor(daemon: &Alone) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.process())).unwrap();
    let rest = stat.rsplit(')').next().unwrap();
    let ticks = |at: usize| {
        rest.split_whitespace()
            .nth(at)
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    (ticks(11) + ticks(12)) / 100.0
}
