//! What goes wrong, and when: planned by seed, then carried out.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::book::Book;
use crate::gateway::{Line, QUEUE};
use crate::options::{LedgerKind, Options};
use crate::proxy::{Cut, Direction, Proxy};
use crate::rng::Rng;
use crate::story::CRMS;
use crate::world::World;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Strike {
    /// SIGKILL; started again after so long.
    Kill { daemon: usize, down: Duration },
    /// SIGTERM; started again after so long.
    Stop { daemon: usize, down: Duration },
    /// A node of the broker is killed and started again; in a cluster, after so long.
    BrokerKill { node: usize, down: Duration },
    /// The queue that the daemons consume is deleted, and what may have been in it published again.
    QueueDeleted,
    /// The broker closes every connection.
    BrokerCloses,
    /// The network before the broker.
    Amqp(Net),
    /// The network before PostgreSQL.
    Ledger(Net),
    /// PostgreSQL ends every session of the run's database.
    LedgerSessions,
    /// The PostgreSQL server crashes and is started again.
    LedgerKill,
    /// The network before a simulator.
    Crm(&'static str, Net),
    /// A rule of the simulators' server.
    Rule(Value),
    /// Every token given out until now is no longer good.
    Tokens(&'static str),
    /// WhatsApp takes the next messages and then says that they did not arrive.
    Undeliverable,
    /// The next version of a mapping is published.
    Mapping(&'static str),
    /// The clock of a daemon is stepped by so many seconds, and back again.
    Clock {
        daemon: usize,
        by: i64,
        lasts: Duration,
    },
    /// Nothing fits on the ledger's disk any more, for so long.
    Disk { lasts: Duration },
}

/// What the network does.
#[derive(Debug, Clone, PartialEq)]
pub enum Net {
    Close,
    Reset,
    /// Each connection ends in the middle, after so many bytes.
    Cut {
        down: bool,
        after: Range<u64>,
        reset: bool,
        lasts: Duration,
    },
    /// Nothing passes; nobody is told.
    Hole {
        up: bool,
        down: bool,
        lasts: Duration,
    },
    Slow {
        delay: Duration,
        lasts: Duration,
    },
    Refuse {
        lasts: Duration,
    },
}

impl Strike {
    /// The kind's name, as counted and as in `--without`.
    pub fn kind(&self) -> String {
        match self {
            Strike::Kill { .. } => "daemon killed".into(),
            Strike::Stop { .. } => "daemon stopped".into(),
            Strike::BrokerKill { .. } => "broker node killed".into(),
            Strike::QueueDeleted => "queue deleted".into(),
            Strike::BrokerCloses => "broker closes all connections".into(),
            Strike::Amqp(net) => format!("network to the broker: {}", net.word()),
            Strike::Ledger(net) => format!("network to PostgreSQL: {}", net.word()),
            Strike::LedgerSessions => "PostgreSQL ends all sessions".into(),
            Strike::LedgerKill => "PostgreSQL killed".into(),
            Strike::Crm(_, net) => format!("network to a CRM: {}", net.word()),
            Strike::Rule(_) => "CRM outage".into(),
            Strike::Tokens(_) => "tokens expire".into(),
            Strike::Undeliverable => "WhatsApp fails later".into(),
            Strike::Mapping(_) => "mapping published".into(),
            Strike::Clock { .. } => "clock stepped".into(),
            Strike::Disk { .. } => "disk full".into(),
        }
    }
}

impl Net {
    fn word(&self) -> &'static str {
        match self {
            Net::Close => "closed",
            Net::Reset => "reset",
            Net::Cut { .. } => "cut in the middle",
            Net::Hole { .. } => "black hole",
            Net::Slow { .. } => "slow",
            Net::Refuse { .. } => "refused",
        }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {self:?}", self.kind())
    }
}

/// The faults of a run: what strikes all the time by rate, and what strikes when.
pub struct Plan {
    pub standing: Vec<Value>,
    pub schedule: Vec<(Duration, Strike)>,
}

/// Plans the faults of a run.
pub fn plan(options: &Options, kind: LedgerKind) -> Plan {
    if options.calm {
        return Plan {
            standing: Vec::new(),
            schedule: Vec::new(),
        };
    }
    let mut rng = Rng::new(options.seed, "faults");
    let daemons = if kind == LedgerKind::Postgres {
        options.daemons
    } else {
        1
    };
    let mut schedule = Vec::new();
    let mut at = Duration::from_millis(1_500);
    let mut last = (Duration::ZERO, Duration::ZERO);
    while at < options.lasts {
        let strike = strike(&mut rng, options, kind, daemons);
        // Servers take seconds to come back; without a pause they would be down most of the time.
        let too_soon = match strike {
            Strike::BrokerKill { .. } => too_soon(&mut last.0, at, 15),
            Strike::LedgerKill => too_soon(&mut last.1, at, 8),
            _ => false,
        };
        if !too_soon && !left_out(options, &strike.kind()) {
            schedule.push((at, strike));
        }
        at += Duration::from_millis(rng.within(100..900));
    }
    let standing = standing(&mut rng, options.lasts);
    let standing = standing
        .into_iter()
        .filter(|rule| !left_out(options, rule["fault"]["kind"].as_str().unwrap_or_default()));
    Plan {
        standing: standing.collect(),
        schedule,
    }
}

fn too_soon(last: &mut Duration, at: Duration, seconds: u64) -> bool {
    let soon = at < *last + Duration::from_secs(seconds);
    if !soon {
        *last = at;
    }
    soon
}

fn left_out(options: &Options, kind: &str) -> bool {
    options
        .without
        .iter()
        .any(|left| kind.contains(left.as_str()))
}

fn strike(rng: &mut Rng, options: &Options, kind: LedgerKind, daemons: usize) -> Strike {
    let postgres = u64::from(kind == LedgerKind::Postgres);
    let disk = u64::from(options.disk && kind == LedgerKind::Sqlite);
    let weights: [(u64, u8); 16] = [
        (26, 0),
        (6, 1),
        (5, 2),
        (5, 3),
        (15, 4),
        (24 * postgres, 5),
        (5 * postgres, 6),
        (20, 7),
        (8, 8),
        (5, 9),
        (5, 10),
        (6 * u64::from(options.clock), 11),
        (5, 12),
        (6 * disk, 13),
        (5 * postgres, 14),
        (6, 15),
    ];
    let choice = *rng.weighted(&weights);
    let daemon = rng.index(daemons);
    let down = Duration::from_millis(rng.within(0..1_500));
    match choice {
        0 => Strike::Kill { daemon, down },
        1 => Strike::Stop { daemon, down },
        2 => Strike::BrokerKill {
            node: rng.index(options.nodes),
            down: Duration::from_millis(rng.within(500..4_000)),
        },
        3 => Strike::BrokerCloses,
        4 => Strike::Amqp(net(rng)),
        5 => Strike::Ledger(net(rng)),
        6 => Strike::LedgerSessions,
        7 => Strike::Crm(
            rng.pick(&["salesforce", "hubspot", "creatio", "whatsapp"]),
            net(rng),
        ),
        8 => Strike::Rule(outage(rng)),
        9 => Strike::Tokens(rng.pick(&["salesforce", "creatio"])),
        10 => Strike::Mapping(rng.pick(&CRMS)),
        12 => Strike::Undeliverable,
        14 => Strike::LedgerKill,
        15 => Strike::QueueDeleted,
        13 => Strike::Disk {
            lasts: Duration::from_millis(rng.within(300..3_000)),
        },
        _ => {
            // What falls due in a future that is taken back waits for it: as long as the step at most.
            let by = i64::try_from(rng.within(1..45)).unwrap_or(1);
            Strike::Clock {
                daemon,
                by: if rng.chance(500) { by } else { -by },
                lasts: Duration::from_millis(rng.within(500..5_000)),
            }
        }
    }
}

fn net(rng: &mut Rng) -> Net {
    let lasts = Duration::from_millis(rng.within(200..2_500));
    match rng.within(0..6) {
        0 => Net::Close,
        1 => Net::Reset,
        2 => Net::Cut {
            down: rng.chance(500),
            after: 1..4_000,
            reset: rng.chance(500),
            lasts,
        },
        3 => {
            let (up, down) = rng.pick(&[(true, false), (false, true), (true, true)]);
            Net::Hole { up, down, lasts }
        }
        4 => Net::Slow {
            delay: Duration::from_millis(rng.within(20..400)),
            lasts,
        },
        _ => Net::Refuse { lasts },
    }
}

/// A CRM fails altogether for some requests in a row.
fn outage(rng: &mut Rng) -> Value {
    let fault = match rng.within(0..6) {
        0 => json!({"kind": "status", "status": 503}),
        1 => json!({"kind": "after", "status": 502}),
        2 => json!({"kind": "status", "status": 429, "headers": {"retry-after": "1"}}),
        3 => json!({"kind": "drop_after"}),
        4 => json!({"kind": "cut_streams", "now": true}),
        _ => json!({"kind": "silence_streams", "ms": rng.within(200..3_000), "now": true}),
    };
    let target = rng.pick(&["salesforce", "hubspot", "creatio", "whatsapp"]);
    json!({"target": target, "times": rng.within(3..15), "fault": fault})
}

/// Rules that strike all the time, each a small share of what matches it.
fn standing(rng: &mut Rng, lasts: Duration) -> Vec<Value> {
    let requests = [
        (0.008, json!({"kind": "status", "status": 500})),
        (
            0.006,
            json!({"kind": "status", "status": 503, "headers": {"retry-after": "1"}}),
        ),
        (0.010, json!({"kind": "after", "status": 502})),
        (
            0.008,
            json!({"kind": "status", "status": 429, "headers": {"retry-after": "1"}}),
        ),
        (0.006, json!({"kind": "status", "status": 429})),
        (0.010, json!({"kind": "drop_before"})),
        (0.006, json!({"kind": "drop_before", "reset": true})),
        (0.014, json!({"kind": "drop_after"})),
        (0.006, json!({"kind": "drop_after", "reset": true})),
        (0.012, json!({"kind": "delay", "ms": 300})),
        (0.012, json!({"kind": "delay", "ms": 500, "when": "after"})),
        (0.003, json!({"kind": "hang", "ms": 8_000})),
        (0.003, json!({"kind": "hang", "when": "after", "ms": 8_000})),
        (0.008, json!({"kind": "truncate"})),
        (
            0.004,
            json!({"kind": "slow_body", "bytes": 400, "every_ms": 30}),
        ),
    ];
    let streams = [
        (0.03, json!({"kind": "cut_streams"})),
        (0.03, json!({"kind": "cut_streams", "at": 25})),
        (0.02, json!({"kind": "silence_streams", "ms": 1_500})),
        (0.05, json!({"kind": "duplicate"})),
        (0.03, json!({"kind": "reorder"})),
        (0.20, json!({"kind": "chunk_bytes", "bytes": 7})),
    ];
    let webhooks = [
        (0.06, json!({"kind": "webhook_duplicate"})),
        (0.05, json!({"kind": "webhook_delay", "ms": 1_500})),
        (0.05, json!({"kind": "webhook_lost_answer"})),
        (0.05, json!({"kind": "webhook_drop"})),
    ];
    let mut rules = Vec::new();
    let mut add = |target: &str, list: &[(f64, Value)]| {
        for (rate, fault) in list {
            rules.push(
                json!({"target": target, "rate": rate, "seed": rng.next() >> 12, "fault": fault}),
            );
        }
    };
    for target in CRMS.iter().chain(&["whatsapp"]) {
        add(target, &requests);
        add(target, &webhooks);
    }
    add("salesforce", &streams);
    // What a stream left out is found by reading back after a minute: too long for a short run.
    if lasts >= Duration::from_secs(40) {
        add("salesforce", &[(0.02, json!({"kind": "drop_frames"}))]);
    }
    rules
}

/// Carries the plan out.
pub async fn strike_all(
    world: Arc<World>,
    line: Arc<Line>,
    book: Arc<Book>,
    plan: Plan,
    began: Instant,
) {
    for rule in &plan.standing {
        let rule = serde_json::from_value(rule.clone()).expect("a rule as documented");
        world.sims.fault(rule).expect("a rule that can be kept");
    }
    let mut under_way = JoinSet::new();
    for (at, strike) in plan.schedule {
        sleep_until(began + at).await;
        let (world, line, book) = (Arc::clone(&world), Arc::clone(&line), Arc::clone(&book));
        under_way.spawn(async move {
            let kind = strike.kind();
            if carry_out(&world, &line, &book, strike).await {
                book.count(&format!("fault: {kind}"));
            }
        });
        while under_way.try_join_next().is_some() {}
    }
    while let Some(ended) = under_way.join_next().await {
        ended.expect("a strike does not panic");
    }
}

/// Carries one out; whether it really happened.
async fn carry_out(world: &World, line: &Line, book: &Book, strike: Strike) -> bool {
    match strike {
        Strike::Kill { daemon, down } => {
            if !world.kill(daemon).await {
                return false;
            }
            sleep(down).await;
            restart(world, book, daemon).await;
            true
        }
        Strike::Stop { daemon, down } => {
            match world.stop(daemon).await {
                None => return false,
                Some(0) => {}
                Some(code) => book
                    .open()
                    .wrong
                    .push(format!("a daemon that was stopped ended with {code}")),
            }
            sleep(down).await;
            restart(world, book, daemon).await;
            true
        }
        Strike::BrokerKill { node, down } => world.rabbit.kill(node, down).await,
        Strike::BrokerCloses => world.rabbit.close_connections().await,
        Strike::QueueDeleted => {
            // What is in a queue that is deleted is lost, and nobody's fault but the deleter's: whoever
            // does that has to publish it again.
            // An answer that did not come may mean that it was done all the same.
            let silence = line.silence().await;
            let deleted = world.rabbit.delete(QUEUE).await;
            if deleted.is_some() {
                silence.repeat().await;
            }
            deleted == Some(true)
        }
        Strike::Amqp(net) => weather(&world.rabbit.daemons, net).await,
        Strike::Ledger(net) => match &world.database {
            Some(database) => weather(&database.proxy, net).await,
            None => false,
        },
        Strike::LedgerSessions => match &world.database {
            Some(database) => database.end_sessions().await,
            None => false,
        },
        Strike::LedgerKill => match &world.database {
            Some(database) => database.kill().await,
            None => false,
        },
        Strike::Crm(target, net) => weather(&world.nets[target], net).await,
        Strike::Rule(rule) => {
            let rule = serde_json::from_value(rule).expect("a rule as documented");
            world.sims.fault(rule).is_ok()
        }
        Strike::Tokens("salesforce") => world
            .sim("salesforce")
            .switch("expire_tokens", &json!(true))
            .is_ok(),
        Strike::Tokens(target) => world
            .sim(target)
            .switch("end_sessions", &json!(true))
            .is_ok(),
        Strike::Undeliverable => {
            let failures = json!({"code": 131_026, "count": 2});
            world
                .sim("whatsapp")
                .switch("fail_later", &failures)
                .is_ok()
        }
        Strike::Mapping(target) => mapping(world, target).await,
        Strike::Clock { daemon, by, lasts } => {
            let stepped = world.clock(daemon, by);
            sleep(lasts).await;
            stepped && world.clock(daemon, 0)
        }
        Strike::Disk { lasts } => {
            let full = world.fill_disk();
            sleep(lasts).await;
            world.empty_disk();
            full
        }
    }
}

async fn restart(world: &World, book: &Book, daemon: usize) {
    world.start(daemon).await;
    if !world.answers(daemon).await {
        book.count("daemons that did not come up while faults went on");
    }
}

/// Changes the weather for a while.
async fn weather(proxy: &Proxy, net: Net) -> bool {
    match net {
        Net::Close => proxy.close_all(),
        Net::Reset => proxy.reset_all(),
        Net::Cut {
            down,
            after,
            reset,
            lasts,
        } => {
            let direction = if down { Direction::Down } else { Direction::Up };
            proxy.change(|weather| {
                weather.cut = Some(Cut {
                    direction,
                    after,
                    reset,
                })
            });
            sleep(lasts).await;
            proxy.change(|weather| weather.cut = None);
        }
        Net::Hole { up, down, lasts } => {
            proxy.change(|weather| (weather.hole_up, weather.hole_down) = (up, down));
            sleep(lasts).await;
            proxy.change(|weather| (weather.hole_up, weather.hole_down) = (false, false));
        }
        Net::Slow { delay, lasts } => {
            proxy.change(|weather| (weather.delay, weather.jitter) = (delay, delay / 2));
            sleep(lasts).await;
            proxy.change(|weather| {
                (weather.delay, weather.jitter) = (Duration::ZERO, Duration::ZERO)
            });
        }
        Net::Refuse { lasts } => {
            // Two of these may overlap; the run's end accepts again in any case.
            let _ = tokio::time::timeout(lasts, proxy.refuse()).await;
            sleep(lasts).await;
            let _ = tokio::time::timeout(lasts, proxy.accept()).await;
        }
    }
    true
}

/// Publishes the shipped mapping again, with one line more.
async fn mapping(world: &World, target: &str) -> bool {
    let shipped = format!("{}/mappings/{target}.toml", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(shipped) else {
        return false;
    };
    let stamp = jiff::Timestamp::now().as_nanosecond();
    let file = world.folder.path().join(format!("{target}-{stamp}.toml"));
    if std::fs::write(&file, format!("{text}\n# edition {stamp}\n")).is_err() {
        return false;
    }
    let file = file.display().to_string();
    let arguments = ["mapping", "apply", target, &file, "--why", "chaos"];
    let applied = world.command(&arguments);
    tokio::time::timeout(Duration::from_secs(30), applied)
        .await
        .is_ok_and(|(ok, _)| ok)
}
