//! What is measured of each.

use std::time::{Duration, Instant};

use handoffd_test_support::eventually;
use serde_json::json;

use crate::contestant::{Contestant, LONG, Who};
use crate::load;
use crate::options::Options;
use crate::sink::Sink;

/// Webhooks that are timed, one after the other.
const WEBHOOKS: usize = 20;
/// The sessions of the events by which the ledger grows.
const GROWN: usize = 10_000;
/// How long every answer takes in the burst with slow answers.
const SLOW: Duration = Duration::from_millis(100);

/// One figure of one contestant.
pub struct Figure {
    pub who: Who,
    /// What it is, with its unit.
    pub name: String,
    pub value: f64,
}

/// Everything, in order.
pub async fn all(who: Who, sink: &Sink, options: &Options) -> Vec<Figure> {
    let mut run = Run {
        contestant: Contestant::prepared(who, sink, options.postgres).await,
        sink,
        sessions: options.sessions,
        next: options.sessions,
        figures: Vec::new(),
    };
    run.start().await;
    if who != Who::Floor {
        run.intake("intake", options.events, options.sessions).await;
    }
    run.burst("burst", options.events).await;
    for pace in &options.paces {
        run.paced(*pace, options.seconds).await;
    }
    run.slow_answers(options.events).await;
    if who == Who::Daemon {
        run.webhooks().await;
    }
    run.memory("memory at the end, MB");
    if who == Who::Daemon && options.growth > 0 {
        run.growth(options).await;
    }
    run.figures
}

struct Run<'a> {
    contestant: Contestant,
    sink: &'a Sink,
    sessions: usize,
    /// The number of the next message.
    next: usize,
    figures: Vec<Figure>,
}

impl Run<'_> {
    /// Started with an event in the queue, until the first call; then every session is opened.
    async fn start(&mut self) {
        load::burst(&self.contestant.gateway, load::handoffs(1)).await;
        self.sink.take_first();
        let began = Instant::now();
        self.contestant.start(self.sink);
        eventually(LONG, || async { self.sink.was_called() }).await;
        let first = self.sink.take_first().unwrap();
        self.note("start → first call, ms", millis(first - began));
        let others = load::handoffs(self.sessions).skip(1);
        load::burst(&self.contestant.gateway, others).await;
        if self.contestant.who == Who::Daemon {
            self.arrived(self.sessions).await;
        }
        self.settled().await;
    }

    /// Events that lead to no call, from the queue to the disk.
    async fn intake(&mut self, name: &str, events: usize, sessions: usize) {
        let before = self.contestant.stored().await.unwrap();
        let numbers = self.numbers(events);
        self.contestant.process().signal("STOP");
        let waiting = load::stored_only(numbers, sessions);
        load::burst(&self.contestant.gateway, waiting).await;
        let used = self.contestant.process().used();
        let began = Instant::now();
        self.contestant.process().signal("CONT");
        eventually(LONG, || async {
            self.contestant.stored().await.unwrap() >= before + events
        })
        .await;
        let took = began.elapsed();
        let cpu = self.contestant.process().used().cpu - used.cpu;
        let rate = events as f64 / took.as_secs_f64();
        self.note(&format!("{name}, events/s"), rate);
        let each = micros(cpu) / events as f64;
        self.note(&format!("{name}, CPU per event, µs"), each);
    }

    /// The ledger grows, and everything is measured again.
    async fn growth(&mut self, options: &Options) {
        let tenth = options.growth.div_ceil(10);
        for n in 1..=10 {
            let name = format!("grown to {}, intake", n * tenth);
            self.intake(&name, tenth, GROWN).await;
        }
        let name = format!("grown to {}", 10 * tenth);
        self.burst(&format!("{name}, burst"), options.events).await;
        self.memory(&format!("{name}, memory, MB"));
    }

    /// Everything waits in the queue, and is called for as fast as can be.
    async fn burst(&mut self, name: &str, events: usize) {
        let (before, calls) = (self.contestant.process().used(), self.sink.calls());
        let rate = self.pour(events).await;
        let (used, calls) = (self.contestant.process().used(), self.sink.calls() - calls);
        let per = |total: f64| total / calls as f64;
        self.note(&format!("{name}, calls/s"), rate);
        let cpu = per(micros(used.cpu - before.cpu));
        self.note(&format!("{name}, CPU per call, µs"), cpu);
        let writes = (used.writes - before.writes) as f64 / events as f64;
        self.note(&format!("{name}, write calls per event"), writes);
        let calls = calls as f64 / events as f64;
        self.note(&format!("{name}, CRM calls per event"), calls);
    }

    /// A steady stream of events.
    async fn paced(&mut self, pace: usize, seconds: usize) {
        let (before, calls) = (self.contestant.process().used(), self.sink.calls());
        let numbers = self.numbers(pace * seconds);
        let first = numbers.start;
        let (sent, events) = (numbers.len(), load::messages(numbers, self.sessions));
        let left = load::paced(&self.contestant.gateway, events, pace).await;
        self.arrived(sent).await;
        self.settled().await;
        let (used, calls) = (self.contestant.process().used(), self.sink.calls() - calls);
        let came = self.sink.take_messages();
        let mut took: Vec<Duration> = left
            .iter()
            .enumerate()
            .map(|(n, left)| came[&(first + n)].saturating_duration_since(*left))
            .collect();
        took.sort_unstable();
        let cpu = micros(used.cpu - before.cpu) / calls as f64;
        self.note(&format!("{pace}/s, CPU per call, µs"), cpu);
        self.note(
            &format!("{pace}/s, event → call, p50, ms"),
            millis(took[sent / 2]),
        );
        let p99 = took[(sent * 99 / 100).min(sent - 1)];
        self.note(&format!("{pace}/s, event → call, p99, ms"), millis(p99));
    }

    async fn slow_answers(&mut self, events: usize) {
        self.sink.delay(SLOW);
        let rate = self.pour(events).await;
        self.sink.delay(Duration::ZERO);
        self.note("answers after 100 ms, calls/s", rate);
    }

    /// From a webhook that names a record until the record is read, nothing else being done.
    async fn webhooks(&mut self) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut took = Vec::new();
        for n in 0..WEBHOOKS {
            self.sink.take_first();
            let activity = format!("00000000-0000-4000-8000-{n:012}");
            let said = json!({"event_type": "new_activity", "activityId": activity});
            let posted = Instant::now();
            let reply = client.post(self.contestant.webhooks()).json(&said).send();
            assert!(reply.await.unwrap().status().is_success());
            eventually(LONG, || async { self.sink.was_called() }).await;
            took.push(self.sink.take_first().unwrap() - posted);
            self.settled().await;
        }
        took.sort_unstable();
        self.note("webhook → read, p50, ms", millis(took[WEBHOOKS / 2]));
    }

    fn memory(&mut self, name: &str) {
        let kilobytes = self.contestant.process().memory();
        self.note(name, kilobytes as f64 / 1_024.0);
    }

    /// Publishes while the contestant stands still; calls in a second once it goes on, until the
    /// last message came.
    async fn pour(&mut self, events: usize) -> f64 {
        let (numbers, calls) = (self.numbers(events), self.sink.calls());
        self.sink.take_messages();
        self.contestant.process().signal("STOP");
        let waiting = load::messages(numbers, self.sessions);
        load::burst(&self.contestant.gateway, waiting).await;
        let began = Instant::now();
        self.contestant.process().signal("CONT");
        self.arrived(events).await;
        let calls = self.sink.calls() - calls;
        self.settled().await;
        let came = self.sink.take_messages();
        let last = came
            .values()
            .max()
            .unwrap()
            .saturating_duration_since(began);
        calls as f64 / last.as_secs_f64()
    }

    fn numbers(&mut self, count: usize) -> std::ops::Range<usize> {
        let first = self.next;
        self.next += count;
        first..self.next
    }

    async fn arrived(&self, messages: usize) {
        eventually(LONG, || async { self.sink.messages() >= messages }).await;
    }

    /// Waits until the process has rested for a moment.
    async fn settled(&self) {
        let mut last = (self.sink.calls(), self.contestant.process().used().cpu);
        let mut same = 0;
        eventually(LONG, || {
            let now = (self.sink.calls(), self.contestant.process().used().cpu);
            same = if now == last { same + 1 } else { 0 };
            last = now;
            std::future::ready(same >= 20)
        })
        .await;
    }

    fn note(&mut self, name: &str, value: f64) {
        self.figures.push(Figure {
            who: self.contestant.who,
            name: name.to_owned(),
            value,
        });
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
