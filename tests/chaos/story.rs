//! What is said in each conversation, planned by seed: by the customer, the assistant and the reps.
//!
//! Everything that is said carries a token of its own, such as `«S0017-M3»`: session 17, message 3.
//! `M` is a message to be shown in every CRM of the session, `R` a rep's reply to be shown on the
//! phone, `N` an internal note to be shown nowhere else.

use std::time::Duration;

use crate::rng::Rng;

pub const CRMS: [&str; 3] = ["salesforce", "hubspot", "creatio"];

/// One conversation.
#[derive(Debug, Clone)]
pub struct Story {
    pub n: usize,
    /// The session's id, `S0017`.
    pub session: String,
    pub customer: Customer,
    /// It is the customer's only one: what they write can be meant for no other.
    pub is_only: bool,
    /// The CRMs that get it.
    pub targets: Vec<&'static str>,
    /// The customer wrote two days ago: the window is closed at the handoff.
    pub stale: bool,
    /// After so long from the run's beginning, the story begins.
    pub begins: Duration,
    /// How many messages the handoff's transcript has.
    pub transcript: usize,
    /// What the gateway tells after the handoff.
    pub events: Vec<(Duration, Act)>,
    /// What the reps do, each in their CRM, once the record is there.
    pub reps: Vec<(&'static str, Vec<(Duration, RepAct)>)>,
}

impl Story {
    /// Whether people are asked for in the end: nothing was closed or given back since the last handoff.
    pub fn is_with_people(&self) -> bool {
        let mut acts = self.events.iter().rev().map(|(_, act)| *act);
        let last = acts.find(|act| matches!(act, Act::Again { .. } | Act::Closes | Act::Returns));
        last.is_none_or(|act| matches!(act, Act::Again { .. }))
    }

    /// How often it was ended and handed over again.
    pub fn endings(&self) -> usize {
        let ended = |act: &Act| matches!(act, Act::Closes | Act::Returns);
        self.events.iter().filter(|(_, act)| ended(act)).count()
    }
}

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The key on the phone's side: a `wa_id`, or a business-scoped user id.
    pub key: String,
    /// Known only by the business-scoped id.
    pub hidden: bool,
    pub name: String,
}

/// What the gateway tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The customer writes; with a file or without.
    Writes { file: bool },
    /// Somebody on the platform writes.
    Platform,
    /// The assistant hands over again, with so many of the last messages and some new ones.
    Again { old: usize, new: usize },
    /// The customer reads everything.
    Reads,
    /// The platform closes the session.
    Closes,
    /// The platform's assistant takes the conversation over again.
    Returns,
}

/// What a rep does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepAct {
    Replies,
    Notes,
}

const NAMES: [&str; 8] = [
    "Ana \"A\" <López>",
    "李小龙",
    "محمد علي",
    "O'Brien & Söhne",
    "Zoë 🌸",
    "Иван Петров",
    "Nguyễn Văn A",
    "Max Mustermann",
];

/// Plans every story.
pub fn plan(seed: u64, count: usize, lasts: Duration) -> Vec<Story> {
    let mut rng = Rng::new(seed, "stories");
    let mut stories: Vec<Story> = Vec::with_capacity(count);
    // Stories begin in the first 60 of 100 parts of the time, so that faults meet whole ones.
    let spread = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX) * 60 / 100;
    for n in 0..count {
        let stale = rng.chance(120);
        let shared = (!stale && rng.chance(150))
            .then(|| {
                stories
                    .iter()
                    .rev()
                    .find(|story| !story.stale)
                    .map(|story| story.customer.clone())
            })
            .flatten();
        let customer = shared.unwrap_or_else(|| customer(n, &mut rng));
        let mut targets: Vec<&'static str> =
            CRMS.iter().copied().filter(|_| rng.chance(700)).collect();
        if targets.is_empty() {
            targets.push(CRMS[rng.index(3)]);
        }
        let mut story = Story {
            n,
            session: format!("S{n:04}"),
            customer,
            is_only: true,
            targets,
            stale,
            begins: Duration::from_millis(spread * n as u64 / count as u64),
            transcript: usize::try_from(rng.within(1..20)).unwrap_or(1),
            events: Vec::new(),
            reps: Vec::new(),
        };
        events(&mut story, &mut rng, lasts);
        reps(&mut story, &mut rng, lasts);
        stories.push(story);
    }
    let keys: Vec<String> = stories
        .iter()
        .map(|story| story.customer.key.clone())
        .collect();
    for story in &mut stories {
        story.is_only = keys
            .iter()
            .filter(|key| **key == story.customer.key)
            .count()
            == 1;
    }
    stories
}

fn customer(n: usize, rng: &mut Rng) -> Customer {
    let hidden = rng.chance(120);
    let key = if hidden {
        format!("DE.13491208655302{n:04}")
    } else {
        format!("4915110{n:06}")
    };
    Customer {
        key,
        hidden,
        name: rng.pick(&NAMES).to_owned(),
    }
}

/// The pause before the next thing that happens in a conversation.
fn pause(rng: &mut Rng, lasts: Duration) -> Duration {
    let most = (u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX) / 12).clamp(200, 15_000);
    Duration::from_millis(rng.within(0..most))
}

fn events(story: &mut Story, rng: &mut Rng, lasts: Duration) {
    for _ in 0..rng.within(0..6) {
        let act = match rng.within(0..10) {
            0 => Act::Platform,
            1 => Act::Writes { file: true },
            2 if !story.stale => Act::Again {
                old: usize::try_from(rng.within(0..4)).unwrap_or(0),
                new: usize::try_from(rng.within(1..3)).unwrap_or(1),
            },
            3 => Act::Reads,
            _ => Act::Writes { file: false },
        };
        // A stale customer is silent until the end.
        if !(story.stale && matches!(act, Act::Writes { .. } | Act::Reads)) {
            story.events.push((pause(rng, lasts), act));
        }
    }
    if story.stale && rng.chance(750) {
        let late = lasts / 3 + pause(rng, lasts);
        story.events.push((late, Act::Writes { file: false }));
    }
    let quiet = !story.stale && rng.chance(250);
    if quiet {
        story.events.push((pause(rng, lasts), Act::Returns));
        for _ in 0..rng.within(1..4) {
            let act = if rng.chance(300) {
                Act::Platform
            } else {
                Act::Writes { file: false }
            };
            story.events.push((pause(rng, lasts), act));
        }
    }
    if quiet && rng.chance(600) {
        again(story, rng, lasts);
    } else if rng.chance(250) {
        story.events.push((pause(rng, lasts), Act::Closes));
        if !story.stale && rng.chance(500) {
            again(story, rng, lasts);
        }
    }
}

/// What ended or was given back is handed over once more, and the customer writes on.
fn again(story: &mut Story, rng: &mut Rng, lasts: Duration) {
    let act = Act::Again { old: 0, new: 1 };
    story.events.push((pause(rng, lasts), act));
    if rng.chance(500) {
        let act = Act::Writes { file: false };
        story.events.push((pause(rng, lasts), act));
    }
}

fn reps(story: &mut Story, rng: &mut Rng, lasts: Duration) {
    for target in story.targets.clone() {
        let mut acts = Vec::new();
        for _ in 0..rng.within(0..5) {
            let act = if rng.chance(250) {
                RepAct::Notes
            } else {
                RepAct::Replies
            };
            acts.push((pause(rng, lasts), act));
        }
        if !acts.is_empty() {
            story.reps.push((target, acts));
        }
    }
}

/// What people write: a token and words that a careless program breaks.
pub fn words(token: &str, rng: &mut Rng) -> String {
    const WORDS: [&str; 10] = [
        "Hello, is anybody there?",
        "Mi paquete llegó roto 😡",
        "<b>not bold</b> & \"quoted\" 'twice'",
        "أين طلبي؟",
        "我的订单在哪里",
        "line one\nline two\n\nline four",
        "100 % {{ not.a.template }} {%",
        "a\u{200d}b 👩‍👩‍👧‍👦 🇩🇪",
        "/wa is what reps write",
        "https://example.com/?a=1&b=2#c",
    ];
    format!("«{token}» {}", rng.pick(&WORDS))
}
