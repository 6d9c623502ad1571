//! Real daemons, a real broker, both ledgers and the four simulators, while everything goes wrong
//! that can: nothing lost, nothing twice, nothing out of order, nothing to the wrong person.
//!
//! A run issues conversations by seed ([`story`], [`play`]), injects faults by seed ([`faults`]), and
//! when the faults have stopped waits until everything is done. A [`judge`] then compares what was
//! issued ([`book`]) with what reps and customers see ([`views`]). `--help` lists the options.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports"
)]

mod book;
mod faults;
mod gateway;
mod judge;
mod operator;
mod options;
mod play;
#[expect(dead_code, reason = "its other parts are used by its own tests")]
#[path = "../support/proxy/mod.rs"]
mod proxy;
mod report;
mod rng;
mod seeded_violations;
mod services;
mod story;
mod views;
mod world;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use book::Book;
use gateway::{Gateway, Line};
use judge::{Evidence, Findings, judge};
use options::{Asked, Exit, LedgerKind, Options, USAGE};
use play::Stage;
use report::{Report, Sum};
use story::{CRMS, Story};
use world::World;

/// Everything that is pending must be done within this time after the faults stop. A CRM lets no more
/// happen in a minute than its limits allow, so that many conversations take long.
const SETTLE: Duration = Duration::from_secs(900);

/// Meanwhile something must become less at least so often.
const STILL: Duration = Duration::from_secs(150);

/// What comes last of all, such as a receipt, is done within this time.
const LATE: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Nothing) => return ExitCode::SUCCESS,
        Ok(Asked::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads");
    runtime.block_on(all(options))
}

/// Every run that is asked for: each ledger and each exit at least once.
async fn all(options: Options) -> ExitCode {
    let count = options.ledgers.len().max(options.exits.len());
    // The pairs change from round to round, so that every ledger meets every exit.
    let runs = (0..options.rounds).flat_map(|round| {
        let turn = usize::try_from(round).unwrap_or(0);
        (0..count).map(move |n| (round, n, n + turn))
    });
    let runs = runs.map(|(round, ledger, exit)| {
        let mut own = options.clone();
        own.seed += round;
        (
            own,
            options.ledgers[ledger % options.ledgers.len()],
            options.exits[exit % options.exits.len()],
        )
    });
    if options.plan {
        for (own, kind, _) in runs {
            report::print_plan(&own, kind);
        }
        return ExitCode::SUCCESS;
    }
    let (mut passed, mut failed) = seeded_violations::found();
    let mut sum = Sum::default();
    for (own, kind, exit) in runs {
        let report = run(&own, kind, exit).await;
        if options.json {
            println!("{:#}", report.json());
        } else {
            println!("{}", report.text());
        }
        passed += report.passed();
        failed += report.failed();
        sum.add(&report);
    }
    if options.rounds > 1 {
        println!("{}", sum.text());
    }
    println!("chaos: {passed} passed, {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run(options: &Options, kind: LedgerKind, exit: Exit) -> Report {
    let mut stories = story::plan(options.seed, options.handoffs, options.lasts);
    if exit == Exit::Http {
        // WAHA knows nothing of business-scoped ids: whom it hides has a hidden id.
        let hidden = stories.iter_mut().map(|story| &mut story.customer);
        for customer in hidden.filter(|customer| customer.hidden) {
            customer.key = format!("{}@lid", customer.key.trim_start_matches("DE."));
        }
    }
    let plan = faults::plan(options, kind);
    let book = Arc::new(Book::default());
    let world = Arc::new(World::new(options, kind, exit).await);
    let line = Arc::new(Line::new(world.rabbit.url(), Arc::clone(&book)));
    line.declare().await;
    let stop = CancellationToken::new();
    let gateway = Gateway {
        url: world.rabbit.url(),
        line: Arc::clone(&line),
        book: Arc::clone(&book),
        seed: options.seed,
    };
    let gateway = tokio::spawn(gateway.run(stop.clone()));
    for n in 0..world.daemons.len() {
        world.start(n).await;
        assert!(
            world.answers(n).await,
            "daemon {n} does not come up:\n{}",
            world.logs()[n]
        );
    }
    let (sender, index) = watch::channel(play::Index::new());
    let looking = tokio::spawn(play::look(Arc::clone(&world), sender));
    let stage = Stage {
        world: Arc::clone(&world),
        line: Arc::clone(&line),
        book: Arc::clone(&book),
        exit,
        seed: options.seed,
        index,
    };

    let began = Instant::now();
    let mut playing = JoinSet::new();
    for story in &stories {
        let (stage, story) = (stage.clone(), story.clone());
        playing.spawn(async move {
            let session = story.session.clone();
            play::play(stage, story, began).await;
            session
        });
    }
    let mut untold: BTreeSet<String> = stories.iter().map(|one| one.session.clone()).collect();
    faults::strike_all(Arc::clone(&world), line, Arc::clone(&book), plan, began).await;
    sleep((began + options.lasts).saturating_duration_since(Instant::now())).await;
    let faulty = began.elapsed();
    peace(&world).await;

    let quiet = Instant::now();
    let (mut left, mut moved) = (None, Instant::now());
    let mut findings = loop {
        while let Some(story) = playing.try_join_next() {
            untold.remove(&story.expect("a story does not panic"));
        }
        operator::look_after(&world, &book).await;
        let unfinished = operator::unfinished(&world).await;
        let mut missing = None;
        if playing.is_empty() {
            let findings = look(&stories, &world, &book, exit);
            if unfinished.is_empty() && findings.complete() {
                break findings;
            }
            missing = Some(findings.broken());
        }
        let now = Some((playing.len(), unfinished.len(), missing));
        if now != left {
            (left, moved) = (now, Instant::now());
        }
        if moved.elapsed() > STILL || quiet.elapsed() > SETTLE {
            break look(&stories, &world, &book, exit);
        }
        sleep(Duration::from_millis(700)).await;
    };
    let settled = quiet.elapsed();
    // What should not be there may come late.
    let _ = timeout(Duration::from_secs(2), stop.cancelled()).await;
    let last = look(&stories, &world, &book, exit);
    if last.broken() > findings.broken() {
        findings = last;
    }
    // A receipt that comes last wakes its lanes once more.
    let mut unfinished = operator::unfinished(&world).await;
    let late = Instant::now();
    while !unfinished.is_empty() && late.elapsed() < LATE {
        sleep(Duration::from_millis(300)).await;
        unfinished = operator::unfinished(&world).await;
    }
    playing.shutdown().await;
    looking.abort();
    stop.cancel();
    let _ = gateway.await;
    let report = Report::new(
        options,
        kind,
        exit,
        &world,
        &book,
        findings,
        unfinished,
        untold.into_iter().collect(),
        (faulty, settled),
    );
    drop(stage);
    if options.keep || report.failed() > 0 {
        report.keep(&world);
    }
    if let Ok(world) = Arc::try_unwrap(world).map_err(|_| ()) {
        world.end().await;
    }
    report
}

/// The faults stop: fair weather, and everything that is down comes up.
async fn peace(world: &World) {
    world.sims.clear_faults(None);
    let nets = world
        .nets
        .values()
        .chain([&world.rabbit.daemons, &world.front])
        .chain(world.database.as_ref().map(|database| &database.proxy));
    for net in nets {
        net.calm();
        let _ = timeout(Duration::from_secs(5), net.accept()).await;
    }
    world.empty_disk();
    for n in 0..world.daemons.len() {
        world.clock(n, 0);
        world.start(n).await;
        world.answers(n).await;
    }
}

fn look(stories: &[Story], world: &World, book: &Book, exit: Exit) -> Findings {
    let records = CRMS
        .iter()
        .map(|target| (*target, views::records(&world.sims, target)))
        .collect();
    let people = ["hubspot", "creatio"]
        .into_iter()
        .map(|target| (target, views::people(&world.sims, target)))
        .collect();
    let phones = views::phones(&world.sims);
    let pages = book.open();
    judge(&Evidence {
        stories,
        book: &pages,
        exit,
        records,
        people,
        phones,
    })
}
