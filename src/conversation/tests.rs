use std::collections::BTreeSet;

use handoffd_contract::event::DeliveryState;
use handoffd_contract::{Controller, Data};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

mod terms;

const HOUR: i64 = 3_600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("a time")
}

fn rules() -> Rules {
    Rules {
        without_reps: BTreeSet::from(["whatsapp".to_owned()]),
        general: Terms {
            idle_after: Some(SignedDuration::from_hours(12)),
            ..Terms::default()
        },
        ..Rules::default()
    }
}

/// The rules with other terms in general.
fn general(terms: Terms) -> Rules {
    Rules {
        general: terms,
        ..rules()
    }
}

/// The rules with terms of one target's own.
fn at_target(target: &str, terms: Terms) -> Rules {
    Rules {
        own: [(target.to_owned(), terms)].into(),
        ..rules()
    }
}

/// One conversation, with the customer's last message and every effect.
struct Told {
    state: State,
    rules: Rules,
    inbound: Option<Timestamp>,
    effects: Vec<Effect>,
    deadline: Option<Timestamp>,
    count: usize,
}

impl Told {
    fn new(rules: Rules) -> Told {
        Told {
            state: State::default(),
            rules,
            inbound: None,
            effects: Vec::new(),
            deadline: None,
            count: 0,
        }
    }

    /// What follows from one thing at a second.
    fn hear(&mut self, second: i64, moved: Moved) -> Vec<&'static str> {
        self.count += 1;
        let happened = Happened {
            id: format!("e{}", self.count),
            at: at(second),
            last_inbound: self.inbound,
            moved,
        };
        let step = step(&self.state, &happened, at(second), &self.rules);
        self.state = step.state;
        self.deadline = step.deadline;
        let kinds = step.effects.iter().map(|effect| effect.data.kind());
        let kinds = kinds.collect();
        self.effects.extend(step.effects);
        kinds
    }

    fn word(&self) -> &'static str {
        self.state.controller.word()
    }
}

fn handed(targets: &[&str]) -> Moved {
    let names = targets.iter().chain(&["whatsapp"]);
    Moved::HandedOff(names.map(|name| (*name).to_owned()).collect())
}

fn assigned(target: &str, name: &str) -> Moved {
    Moved::Assigned {
        target: target.into(),
        name: Some(name.into()),
    }
}

fn replied(target: &str, message: &str) -> Moved {
    Moved::Replied {
        target: target.into(),
        message: message.into(),
        author: Some("Ana".into()),
    }
}

fn ended(target: &str) -> Moved {
    Moved::Ended {
        target: target.into(),
        status: Some("Ended".into()),
    }
}

fn closed() -> Moved {
    Moved::Closed {
        by: "platform".into(),
        resolved: Some(true),
    }
}

fn returned() -> Moved {
    Moved::Returned("platform".into())
}

fn nobody_found(target: &str) -> Moved {
    Moved::NobodyFound {
        target: target.into(),
        detail: Some("No agents are available".into()),
    }
}

fn reply_is(message: &str, state: DeliveryState) -> Moved {
    Moved::Told {
        target: "a".into(),
        message: message.into(),
        state,
        unconfirmed: false,
    }
}

/// The table as the code has it.
fn table() -> String {
    let rows: [(&str, Moved); 12] = [
        ("handoff.requested", handed(&["hubspot"])),
        ("a rep is assigned", assigned("hubspot", "Bo")),
        ("the rep leaves", Moved::Left("hubspot".into())),
        ("a rep replies", replied("hubspot", "m9")),
        ("the rep ends it", ended("hubspot")),
        ("session.returned", returned()),
        ("session.closed", closed()),
        ("the customer writes", Moved::Wrote(None)),
        ("no rep is found", nobody_found("hubspot")),
        (
            "the customer writes `/cancel`",
            Moved::Wrote(Some("/cancel".into())),
        ),
        ("nobody joined in time", Moved::Deadline),
        ("idle for too long", Moved::Deadline),
    ];
    let mut page = String::from(
        "| what happens | assistant | queued | rep | returned | closed |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, moved) in rows {
        page.push_str(&format!("| {name} |"));
        for word in Controller::WORDS {
            let mut told = Told::new(rules());
            if word != "assistant" {
                told.hear(0, handed(&["hubspot"]));
            }
            match word {
                "rep" => drop(told.hear(1, assigned("hubspot", "Ana"))),
                "returned" => drop(told.hear(1, returned())),
                "closed" => drop(told.hear(1, closed())),
                _ => {}
            }
            assert_eq!(told.word(), word);
            let second = match name {
                "nobody joined in time" => 11 * 60,
                "idle for too long" => 13 * HOUR,
                _ => 10 * 60 - 1,
            };
            told.hear(second, moved.clone());
            page.push_str(&format!(" {} |", told.word()));
        }
        page.push('\n');
    }
    page
}

#[test]
fn the_documented_table_is_what_the_code_does() {
    let table = table();
    let code: String = include_str!("mod.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .map(|line| format!("{line}\n"))
        .collect();
    for (name, page) in [
        ("src/conversation/mod.rs", code.as_str()),
        ("deploy/events.md", include_str!("../../deploy/events.md")),
    ] {
        assert!(page.contains(&table), "{name} must hold:\n{table}");
    }
}

#[test]
fn with_several_targets_the_first_rep_is_in_charge_until_they_leave() {
    let mut told = Told::new(rules());
    assert_eq!(told.hear(0, handed(&["a", "b"])), ["session.state"]);
    assert_eq!(told.state.controller, Controller::queued(None));
    told.hear(5, assigned("b", "Bo"));
    assert_eq!(told.state.controller.target(), Some("b"));
    for moved in [assigned("a", "Ana"), replied("a", "m1"), ended("a")] {
        assert_eq!(told.hear(6, moved), Vec::<&str>::new());
    }
    assert_eq!(told.state.controller.target(), Some("b"));
    told.hear(7, Moved::Left("b".into()));
    assert_eq!(told.state.controller, Controller::queued(Some("b".into())));
    assert_eq!(
        told.hear(8, ended("b")),
        ["session.state", "session.handback"]
    );
    assert_eq!(told.word(), "closed");
}

#[test]
fn an_end_in_one_of_several_queues_leaves_the_others_waiting() {
    let mut told = Told::new(rules());
    told.hear(0, handed(&["a", "b"]));
    assert_eq!(told.hear(1, ended("a")), ["session.state"]);
    assert_eq!(told.state.controller, Controller::queued(Some("b".into())));
    told.hear(2, ended("b"));
    assert_eq!(told.word(), "closed");
}

#[test]
fn an_end_that_is_heard_late_does_not_end_the_next_handoff() {
    let mut told = Told::new(rules());
    told.hear(0, handed(&["a"]));
    told.hear(10, returned());
    told.hear(20, handed(&["a"]));
    let late = Happened {
        id: "late".into(),
        at: at(9),
        last_inbound: None,
        moved: ended("a"),
    };
    let step = step(&told.state, &late, at(30), &told.rules);
    assert_eq!((step.state, step.effects), (told.state, Vec::new()));
}

#[test]
fn a_handback_says_what_reps_did() {
    let mut told = Told::new(rules());
    told.hear(0, handed(&["hubspot"]));
    told.hear(
        1,
        Moved::Shown(
            "hubspot".into(),
            handoffd_contract::state::HandedRecords {
                records: [("ticket".to_owned(), "7".to_owned())].into(),
                url: None,
            },
        ),
    );
    told.hear(60, assigned("hubspot", "Bo"));
    told.hear(70, replied("hubspot", "m1"));
    told.hear(71, replied("hubspot", "m1"));
    told.hear(80, replied("hubspot", "m2"));
    assert_eq!(
        told.hear(100, ended("hubspot")),
        ["session.state", "session.handback"]
    );
    let Some(Data::SessionHandback(back)) = told.effects.last().map(|effect| &effect.data) else {
        panic!("{:?}", told.effects);
    };
    assert_eq!(back.reps, ["Bo", "Ana"]);
    assert_eq!((back.replies, back.last_replies.len()), (2, 2));
    assert_eq!((back.duration_seconds, back.joined_at), (100, Some(at(60))));
    assert_eq!(back.records["hubspot"].records["ticket"], "7");
    assert_eq!(
        (back.outcome.as_str(), back.status.as_deref()),
        ("closed", Some("Ended"))
    );
    // Nobody took part: a return gives nothing back.
    told.hear(200, handed(&["hubspot"]));
    assert_eq!(told.hear(201, returned()), ["session.state"]);
}

#[test]
fn nobody_joins_is_told_once_per_wait_and_may_give_it_back() {
    let mut told = Told::new(rules());
    told.hear(0, handed(&["a"]));
    assert_eq!(told.deadline, Some(at(600)));
    assert_eq!(told.hear(599, Moved::Deadline), Vec::<&str>::new());
    assert_eq!(told.hear(601, Moved::Deadline), ["session.unattended"]);
    assert_eq!(told.hear(602, Moved::Deadline), Vec::<&str>::new());
    told.hear(610, assigned("a", "Ana"));
    told.hear(620, Moved::Left("a".into()));
    assert_eq!(told.hear(1_220, Moved::Deadline), ["session.unattended"]);
    let give_back = Terms {
        unattended: Unattended::Return,
        ..Terms::default()
    };
    let mut told = Told::new(general(give_back));
    told.hear(0, handed(&["a"]));
    assert_eq!(
        told.hear(600, Moved::Deadline),
        ["session.unattended", "session.returned", "session.state"]
    );
    assert_eq!(told.word(), "returned");
}

#[test]
fn the_rep_is_warned_once_before_the_window_closes() {
    let mut told = Told::new(general(Terms::default()));
    told.inbound = Some(at(0));
    told.hear(1, handed(&["a", "b"]));
    told.hear(2, assigned("a", "Ana"));
    assert_eq!(told.deadline, Some(at(23 * HOUR)));
    assert_eq!(told.hear(23 * HOUR, Moved::Deadline), ["rep.notice"]);
    assert_eq!(told.deadline, None);
    // The customer writes: the next window is another one.
    told.inbound = Some(at(23 * HOUR + 60));
    told.hear(23 * HOUR + 60, Moved::Said);
    assert_eq!(told.deadline, Some(at(46 * HOUR + 60)));
    // Too late to warn.
    assert_eq!(told.hear(48 * HOUR, Moved::Deadline), Vec::<&str>::new());
    assert_eq!(told.deadline, None);
}

#[test]
fn a_rep_who_writes_after_a_return_takes_over_unless_it_was_on_its_way() {
    let mut told = Told::new(rules());
    told.hear(0, handed(&["a"]));
    told.hear(10, returned());
    told.hear(30, replied("a", "m1"));
    assert_eq!(told.word(), "returned");
    told.hear(100, replied("a", "m2"));
    assert_eq!(told.word(), "rep");
}

#[test]
fn the_place_in_the_queue_is_told_when_it_changes() {
    let mut told = Told::new(rules());
    told.hear(0, handed(&["a"]));
    let place = |position, seconds| Moved::Waits {
        target: "a".into(),
        position,
        seconds,
    };
    assert_eq!(told.hear(1, place(Some(3), None)), ["session.state"]);
    assert_eq!(told.hear(2, place(Some(3), None)), Vec::<&str>::new());
    assert_eq!(told.hear(3, place(None, Some(60))), ["session.state"]);
    told.hear(4, assigned("a", "Ana"));
    assert_eq!(told.hear(5, place(Some(1), None)), Vec::<&str>::new());
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn any_moved() -> impl Strategy<Value = Moved> {
    let target = || prop::sample::select(vec!["a".to_owned(), "b".to_owned()]);
    let name = || {
        prop::option::of(prop::sample::select(vec![
            "Ana".to_owned(),
            "Bo".to_owned(),
        ]))
    };
    prop_oneof![
        prop::sample::subsequence(vec!["a", "b"], 0..=2).prop_map(|names| handed(&names)),
        (target(), name()).prop_map(|(target, name)| Moved::Assigned { target, name }),
        target().prop_map(Moved::Left),
        (target(), 0..6_u8, name()).prop_map(|(target, n, author)| Moved::Replied {
            target,
            message: n.to_string(),
            author,
        }),
        target().prop_map(|target| ended(&target)),
        (target(), 0..3_u32).prop_map(|(target, n)| Moved::Waits {
            target,
            position: Some(n),
            seconds: None,
        }),
        target().prop_map(|target| nobody_found(&target)),
        (target(), 0..6_u8, any_state(), any::<bool>()).prop_map(
            |(target, n, state, unconfirmed)| Moved::Told {
                target,
                message: n.to_string(),
                state,
                unconfirmed: unconfirmed && state == DeliveryState::Sent,
            }
        ),
        Just(returned()),
        Just(closed()),
        Just(Moved::Said),
        Just(Moved::Deadline),
    ]
}

fn any_state() -> impl Strategy<Value = DeliveryState> {
    prop::sample::select(vec![
        DeliveryState::Held,
        DeliveryState::Sent,
        DeliveryState::Delivered,
        DeliveryState::Read,
        DeliveryState::Failed,
    ])
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let unconfirmed = vec![
        Unconfirmed::Off,
        Unconfirmed::Auto,
        Unconfirmed::After(SignedDuration::from_mins(2)),
    ];
    let unconfirmed = prop::sample::select(unconfirmed);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let waits = (prop::option::of(1..60_i64), prop::option::of(1..12_i64));
    (flags, waits, unconfirmed).prop_map(|((give, end, idle), (join, warn), unconfirmed)| Terms {
        unattended_after: join.map(SignedDuration::from_mins),
        unattended: if give {
            Unattended::Return
        } else {
            Unattended::Stay
        },
        window_warning: warn.map(hours),
        rep_end: if end { RepEnd::Return } else { RepEnd::Close },
        idle_after: idle.then(|| hours(12)),
        unconfirmed,
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    (any_terms(), prop::option::of(any_terms())).prop_map(|(general, own)| Rules {
        general,
        own: own
            .map(|terms| ("a".to_owned(), terms))
            .into_iter()
            .collect(),
        ..rules()
    })
}

proptest! {
    /// Whatever happens in whatever order, told late or early, with the daemon asleep in between.
    #[test]
    fn a_conversation_moves_by_its_laws(
        rules in any_rules(),
        story in prop::collection::vec((any_moved(), 0..20_000_i64, -7_200..600_i64, any::<bool>()), 1..40),
    ) {
        let mut state = State::default();
        let (mut now, mut inbound) = (0, None);
        for (n, (moved, pause, lag, writes)) in story.into_iter().enumerate() {
            now += pause;
            if writes {
                inbound = Some(at(now));
            }
            let happened = Happened {
                id: format!("e{n}"),
                at: at(now + lag),
                last_inbound: inbound,
                moved,
            };
            let after = step(&state, &happened, at(now), &rules);
            let (was, is) = (&state.controller, &after.state.controller);

            // Exactly one is in charge, and every change of it is told exactly once.
            let told: Vec<_> = after.effects.iter().filter_map(|effect| match &effect.data {
                Data::SessionState(told) => Some(&told.controller),
                _ => None,
            }).collect();
            prop_assert_eq!(told, Vec::from_iter((was != is).then_some(is)));
            let names: BTreeSet<_> = after.effects.iter().map(|effect| &effect.name).collect();
            prop_assert_eq!(names.len(), after.effects.len(), "each effect has a name of its own");

            // A handoff is never swallowed.
            if let Moved::HandedOff(_) = &happened.moved {
                prop_assert!(is.is_people(), "{:?} after a handoff", is);
            }
            // After a return or an end only a handoff rings, and only a rep who writes takes over.
            if !was.is_people() && is.is_people() {
                match &happened.moved {
                    Moved::HandedOff(_) => {}
                    Moved::Replied { .. } => prop_assert_eq!(is.word(), "rep"),
                    other => prop_assert!(false, "{:?} by {:?}", is, other),
                }
            }
            // The same again changes nothing.
            let again = step(&after.state, &happened, at(now), &rules);
            prop_assert_eq!(&again.state, &after.state);
            prop_assert_eq!(again.effects, Vec::new());
            prop_assert_eq!(again.deadline, after.deadline);

            // A deadline that has come is met once: the next one lies ahead.
            let met = step(&after.state, &Happened { moved: Moved::Deadline, ..happened.clone() }, at(now), &rules);
            prop_assert!(met.deadline.is_none_or(|next| next > at(now)), "{:?}", met);
            // Nobody waits for anything but what becomes of replies.
            if !is.is_people() && after.state.replies.watched.iter().all(|one| one.asked) {
                prop_assert_eq!(after.deadline, None);
            }
            // Of one wait it is told once that nobody comes, and only while nobody has come.
            let alone = after.effects.iter().filter(|effect| effect.data.kind() == "session.unattended");
            let alone = alone.count();
            prop_assert!(alone <= usize::from(was.word() == "queued" && !state.unattended));
            // A rule gives back only what waits, and says before that nobody came.
            if let (Controller::Queued { .. }, Controller::Returned { by }) = (was, is)
                && by == "handoffd"
            {
                prop_assert!(alone == 1 || state.unattended);
            }
            // The exit is asked once about a reply.
            let asked = |state: &State| state.replies.watched.iter().filter(|one| one.asked).count();
            let asks = after.effects.iter().filter(|effect| effect.data.kind() == "reply.unconfirmed");
            if let Moved::Deadline = happened.moved {
                prop_assert_eq!(asks.count(), asked(&after.state) - asked(&state));
            } else {
                prop_assert_eq!(asks.count(), 0);
            }
            prop_assert!(after.state.replies.watched.len() <= 20);
            // What is kept can be read again.
            let kept = serde_json::to_string(&after.state).expect("JSON");
            prop_assert_eq!(&serde_json::from_str::<State>(&kept).expect("a state"), &after.state);
            state = after.state;
        }
    }
}
