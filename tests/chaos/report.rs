//! What a run did and what the judge found, as a table or as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::book::Book;
use crate::faults;
use crate::judge::{Check, Findings};
use crate::options::{Exit, LedgerKind, Options};
use crate::story;
use crate::world::World;

pub struct Report {
    title: String,
    checks: Vec<Check>,
    replies: BTreeMap<&'static str, u64>,
    counts: BTreeMap<String, u64>,
    not_done: BTreeMap<String, u64>,
    times: (Duration, Duration),
    kept: PathBuf,
}

impl Report {
    #[expect(
        clippy::too_many_arguments,
        reason = "everything that there is to say, once"
    )]
    pub fn new(
        options: &Options,
        kind: LedgerKind,
        exit: Exit,
        world: &World,
        book: &Book,
        findings: Findings,
        unfinished: Vec<String>,
        untold: Vec<String>,
        times: (Duration, Duration),
    ) -> Report {
        let pages = book.open();
        let mut counts = pages.counts.clone();
        let mut put = |name: &str, count: u64| {
            *counts.entry(name.to_owned()).or_default() += count;
        };
        put("conversations", pages.messages.len() as u64);
        put(
            "messages issued",
            pages.messages.values().map(|list| list.len() as u64).sum(),
        );
        put("replies issued", pages.replies.len() as u64);
        put("notes issued", pages.notes.len() as u64);
        put("files issued", pages.files.len() as u64);
        for (target, kinds) in world.sims.faults()["happened"]
            .as_object()
            .into_iter()
            .flatten()
        {
            for (kind, count) in kinds.as_object().into_iter().flatten() {
                let _ = target;
                put(&format!("fault: CRM {kind}"), count.as_u64().unwrap_or(0));
            }
        }
        for served in world.sims.targets() {
            put(
                "requests to the simulators",
                served.counts()["finished"].as_u64().unwrap_or(0),
            );
        }
        let gave_up = world.gave_up.load(std::sync::atomic::Ordering::Relaxed);
        put(
            "daemons started again after they ended by themselves",
            gave_up as u64,
        );
        let mut checks = findings.checks;
        let mut list = |name: &'static str, words: &[String]| {
            let examples = words.iter().take(20).cloned().collect();
            let (checked, broken) = (words.len().max(1) as u64, words.len() as u64);
            checks.push(Check {
                name,
                checked,
                broken,
                examples,
                pending: false,
            });
        };
        list("nothing is left to do in any lane", &unfinished);
        list("no lane needs a person without need", &pages.parked);
        list(
            "nothing wrong is said to the gateway, nothing ends wrongly",
            &pages.wrong,
        );
        list("every story was told to its end", &untold);
        if !options.calm {
            let kills = counts.get("fault: daemon killed").copied().unwrap_or(0);
            let struck: u64 = counts
                .iter()
                .filter(|(name, _)| name.starts_with("fault: CRM "))
                .map(|(_, n)| n)
                .sum();
            let few = kills == 0 || struck == 0;
            list(
                "faults were really exercised",
                &vec![String::new(); usize::from(few)],
            );
        }
        let title = format!(
            "seed {}, {} handoffs, faults for {:?}, {kind:?} with {} daemon(s), replies by {exit:?}",
            options.seed,
            options.handoffs,
            options.lasts,
            world.daemons.len()
        );
        let kept = std::env::temp_dir().join(format!(
            "handoffd-chaos-{}-{kind:?}-{exit:?}",
            std::process::id()
        ));
        let not_done = pages.not_done.clone();
        Report {
            title,
            checks,
            replies: findings.replies,
            counts,
            not_done,
            times,
            kept,
        }
    }

    pub fn passed(&self) -> usize {
        self.checks.iter().filter(|check| check.broken == 0).count()
    }

    pub fn failed(&self) -> usize {
        self.checks.len() - self.passed()
    }

    pub fn text(&self) -> String {
        let mut out = format!("\n{}\n", self.title);
        let (faulty, settled) = self.times;
        let _ = writeln!(
            out,
            "  faults for {faulty:.1?}; everything done {settled:.1?} later\n"
        );
        for (name, count) in &self.counts {
            let _ = writeln!(out, "  {count:>9}  {name}");
        }
        for (name, count) in &self.not_done {
            let _ = writeln!(out, "  {count:>9}  not done: {name}");
        }
        for (name, count) in &self.replies {
            let _ = writeln!(out, "  {count:>9}  replies {name}");
        }
        let _ = writeln!(out, "\n    checked    broken");
        for check in &self.checks {
            let mark = if check.broken == 0 { ' ' } else { '✗' };
            let _ = writeln!(
                out,
                "  {:>9} {:>9} {mark} {}",
                check.checked, check.broken, check.name
            );
            for example in &check.examples {
                let _ = writeln!(out, "                        {example}");
            }
        }
        if self.failed() > 0 {
            let _ = writeln!(
                out,
                "\n  logs, ledger and views are kept in {}",
                self.kept.display()
            );
        }
        out
    }

    pub fn json(&self) -> Value {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| json!({"name": check.name, "checked": check.checked, "broken": check.broken, "examples": check.examples}))
            .collect();
        json!({
            "run": self.title, "checks": checks, "counts": self.counts, "not_done": self.not_done, "replies": self.replies,
            "seconds": {"faults": self.times.0.as_secs_f64(), "settled": self.times.1.as_secs_f64()},
        })
    }

    /// Keeps what helps to find out why.
    pub fn keep(&self, world: &World) {
        if std::fs::create_dir_all(&self.kept).is_err() {
            return;
        }
        for file in std::fs::read_dir(world.folder.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            let _ = std::fs::copy(file.path(), self.kept.join(file.file_name()));
        }
        for served in world.sims.targets() {
            let view = serde_json::to_vec_pretty(&served.view()).unwrap_or_default();
            let _ = std::fs::write(self.kept.join(format!("{}.json", served.name())), view);
            let requests = serde_json::to_vec_pretty(&served.requests(0, true)).unwrap_or_default();
            let _ = std::fs::write(
                self.kept.join(format!("{}-requests.json", served.name())),
                requests,
            );
        }
        let _ = std::fs::write(self.kept.join("report.txt"), self.text());
    }
}

/// What several runs came to together.
#[derive(Default)]
pub struct Sum {
    runs: u64,
    seconds: f64,
    checks: BTreeMap<&'static str, (u64, u64)>,
    counts: BTreeMap<String, u64>,
}

impl Sum {
    pub fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.seconds += (report.times.0 + report.times.1).as_secs_f64();
        for check in &report.checks {
            let sum = self.checks.entry(check.name).or_default();
            *sum = (sum.0 + check.checked, sum.1 + check.broken);
        }
        let replies = report.replies.iter();
        let replies = replies.map(|(name, count)| (format!("replies {name}"), *count));
        for (name, count) in report.counts.clone().into_iter().chain(replies) {
            *self.counts.entry(name).or_default() += count;
        }
    }

    pub fn text(&self) -> String {
        let mut out = format!("\n{} runs, {:.0} s, together\n\n", self.runs, self.seconds);
        for (name, count) in &self.counts {
            let _ = writeln!(out, "  {count:>9}  {name}");
        }
        let _ = writeln!(out, "\n    checked    broken");
        for (name, (checked, broken)) in &self.checks {
            let mark = if *broken == 0 { ' ' } else { '✗' };
            let _ = writeln!(out, "  {checked:>9} {broken:>9} {mark} {name}");
        }
        out
    }
}

/// Prints what would be said and what would go wrong.
pub fn print_plan(options: &Options, kind: LedgerKind) {
    println!("# {kind:?}: what is said");
    for story in story::plan(options.seed, options.handoffs, options.lasts) {
        println!("{story:?}");
    }
    let plan = faults::plan(options, kind);
    println!("# {kind:?}: what strikes all the time");
    for rule in &plan.standing {
        println!("{rule}");
    }
    println!("# {kind:?}: what strikes when");
    for (at, strike) in &plan.schedule {
        println!("{at:>9.3?}  {strike}");
    }
}
