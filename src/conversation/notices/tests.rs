use std::collections::BTreeSet;

use handoffd_contract::notice::{CustomerNotice, Notice, SessionRated};
use handoffd_contract::{Controller, Data};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::{Effect, Happened, Moved, RepEnd, Rules, State, Terms, Unattended, step};
use super::{CustomerRules, word};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("a time")
}

fn rules(on: &[Notice]) -> Rules {
    Rules {
        customer: CustomerRules {
            notices: on.iter().copied().collect(),
            ..CustomerRules::default()
        },
        ..Rules::default()
    }
}

/// One conversation, in which the customer wrote at second 0.
struct Talk {
    state: State,
    rules: Rules,
    deadline: Option<Timestamp>,
    effects: Vec<Effect>,
    count: usize,
}

impl Talk {
    fn new(on: &[Notice]) -> Talk {
        Talk {
            state: State::default(),
            rules: rules(on),
            deadline: None,
            effects: Vec::new(),
            count: 0,
        }
    }

    /// Something happens; the notices that follow.
    fn hear(&mut self, second: i64, moved: Moved) -> Vec<CustomerNotice> {
        self.count += 1;
        let happened = Happened {
            id: format!("e{}", self.count),
            at: at(second),
            last_inbound: Some(at(0)),
            moved,
        };
        let step = step(&self.state, &happened, at(second), &self.rules);
        (self.state, self.deadline) = (step.state, step.deadline);
        self.effects = step.effects;
        notices(&self.effects)
    }

    /// The same in words.
    fn told(&mut self, second: i64, moved: Moved) -> Vec<&'static str> {
        let notices = self.hear(second, moved);
        notices.iter().map(|told| told.notice.word()).collect()
    }

    fn rated(&self) -> Option<&SessionRated> {
        self.effects.iter().find_map(|effect| match &effect.data {
            Data::SessionRated(rated) => Some(rated),
            _ => None,
        })
    }
}

fn notices(effects: &[Effect]) -> Vec<CustomerNotice> {
    let all = effects.iter().filter_map(|effect| match &effect.data {
        Data::CustomerNotice(notice) => Some(notice.clone()),
        _ => None,
    });
    all.collect()
}

fn handed(targets: &[&str]) -> Moved {
    Moved::HandedOff(targets.iter().map(|name| (*name).to_owned()).collect())
}

fn assigned(name: Option<&str>) -> Moved {
    Moved::Assigned {
        target: "a".into(),
        name: name.map(str::to_owned),
    }
}

fn replied(message: &str, author: Option<&str>) -> Moved {
    Moved::Replied {
        target: "a".into(),
        message: message.into(),
        author: author.map(str::to_owned),
    }
}

fn ended() -> Moved {
    Moved::Ended {
        target: "a".into(),
        status: None,
    }
}

fn place(position: Option<u32>, seconds: Option<u64>) -> Moved {
    Moved::Waits {
        target: "a".into(),
        position,
        seconds,
    }
}

fn wrote(text: &str) -> Moved {
    Moved::Wrote(Some(word(text)))
}

fn left() -> Moved {
    Moved::Left("a".into())
}

const NONE: [&str; 0] = [];

#[test]
fn a_conversation_is_told_from_the_queue_to_the_rating() {
    let mut talk = Talk::new(&Notice::ALL);
    assert_eq!(talk.told(1, handed(&["a"])), ["queued"]);
    let joined = talk.hear(20, assigned(Some("Ana")));
    assert_eq!(joined[0].notice, Notice::Joined);
    assert_eq!(joined[0].rep.as_deref(), Some("Ana"));
    assert_eq!(joined[0].target.as_deref(), Some("a"));
    assert_eq!(talk.told(21, assigned(Some("Ana"))), NONE);
    let other = talk.hear(30, assigned(Some("Bo")));
    assert_eq!(
        (other[0].notice, other[0].rep.as_deref()),
        (Notice::Transferred, Some("Bo"))
    );
    assert_eq!(talk.told(40, left()), NONE, "somebody may take over");
    assert_eq!(talk.deadline, Some(at(50)));
    let gone = talk.hear(50, Moved::Deadline);
    assert_eq!(
        (gone[0].notice, gone[0].rep.as_deref(), gone[0].since),
        (Notice::Left, Some("Bo"), at(40))
    );
    assert_eq!(
        talk.told(51, assigned(Some("Bo"))),
        ["joined"],
        "who was said to have left"
    );
    let end = talk.hear(60, ended());
    let words: Vec<_> = end.iter().map(|told| told.notice.word()).collect();
    assert_eq!(words, ["ended", "csat"]);
    assert!(end.iter().all(|told| told.rep.as_deref() == Some("Bo")));
    assert_eq!(talk.told(70, wrote(" 4 ")), NONE);
    let rated = talk.rated().expect("a rating");
    assert_eq!((rated.score, rated.of), (4, 5));
    assert_eq!(
        (rated.target.as_str(), rated.rep.as_deref()),
        ("a", Some("Bo"))
    );
    assert_eq!(rated.message, "e9");
    talk.told(71, wrote("5"));
    assert_eq!(talk.rated(), None, "one question, one answer");
}

#[test]
fn nothing_follows_where_nothing_is_on() {
    let mut talk = Talk::new(&[]);
    let story = [
        handed(&["a"]),
        place(Some(3), None),
        assigned(Some("Ana")),
        left(),
        Moved::Deadline,
        assigned(Some("Bo")),
        ended(),
        wrote("5"),
    ];
    for (n, moved) in (0..).zip(story) {
        assert!(talk.hear(n * 400, moved).is_empty());
        assert_eq!(talk.rated(), None);
    }
}

#[test]
fn a_rep_who_is_known_by_a_reply_is_not_announced_after_it() {
    let mut talk = Talk::new(&Notice::ALL);
    talk.hear(1, handed(&["a"]));
    assert_eq!(talk.told(10, replied("m1", Some("Ana"))), NONE);
    assert_eq!(talk.told(11, assigned(Some("Ana"))), NONE);
    assert_eq!(talk.told(12, assigned(Some("Bo"))), ["transferred"]);
    // A rep whose name is learned later is the same rep.
    let mut talk = Talk::new(&Notice::ALL);
    talk.hear(1, handed(&["a"]));
    assert_eq!(talk.told(10, assigned(None)), ["joined"]);
    assert_eq!(talk.told(11, assigned(Some("Ana"))), NONE);
    // One who left without a word and comes back was there all the time, for the customer.
    let mut talk = Talk::new(&[Notice::Joined]);
    talk.hear(1, handed(&["a"]));
    assert_eq!(talk.told(10, assigned(Some("Ana"))), ["joined"]);
    assert_eq!(talk.told(20, left()), NONE);
    assert_eq!(talk.told(30, assigned(Some("Ana"))), NONE);
    assert_eq!(talk.told(40, left()), NONE);
    assert_eq!(talk.told(50, assigned(Some("Bo"))), ["joined"]);
}

#[test]
fn a_leave_that_is_a_transfer_or_an_end_is_told_as_that() {
    let with_ana = |on: &[Notice]| {
        let mut talk = Talk::new(on);
        talk.hear(1, handed(&["a"]));
        talk.hear(2, assigned(Some("Ana")));
        assert_eq!(talk.told(30, left()), NONE);
        talk
    };
    let mut talk = with_ana(&Notice::ALL);
    let taken = talk.hear(31, assigned(Some("Bo")));
    assert_eq!(
        (taken[0].notice, taken[0].rep.as_deref(), taken.len()),
        (Notice::Transferred, Some("Bo"), 1)
    );
    assert_eq!(talk.told(60, Moved::Deadline), NONE);
    let mut talk = with_ana(&[Notice::Joined, Notice::Left]);
    assert_eq!(
        talk.told(31, assigned(Some("Bo"))),
        ["joined"],
        "where transfers are off"
    );
    let mut talk = with_ana(&Notice::ALL);
    assert_eq!(talk.told(31, ended()), ["ended", "csat"]);
    assert_eq!(talk.told(60, Moved::Deadline), NONE);
    let mut talk = with_ana(&Notice::ALL);
    assert_eq!(
        talk.told(31, assigned(Some("Ana"))),
        NONE,
        "the same rep is back"
    );
    let mut talk = with_ana(&Notice::ALL);
    assert_eq!(talk.told(39, Moved::Said), NONE);
    assert_eq!(
        talk.told(45, Moved::Said),
        ["left"],
        "with whatever happens next"
    );
    assert_eq!(talk.told(46, assigned(Some("Bo"))), ["joined"]);
}

#[test]
fn a_place_is_told_when_it_changed_and_not_too_often() {
    let mut talk = Talk::new(&[Notice::Position]);
    talk.hear(1, handed(&["a"]));
    let first = talk.hear(5, place(Some(3), Some(240)));
    assert_eq!(
        (first[0].position, first[0].wait_minutes()),
        (Some(3), Some(4))
    );
    assert_eq!(
        talk.told(6, place(Some(3), Some(200))),
        NONE,
        "the place is the same"
    );
    assert_eq!(talk.told(20, place(Some(2), None)), NONE, "too soon");
    assert_eq!(talk.deadline, Some(at(65)));
    let later = talk.hear(65, Moved::Deadline);
    assert_eq!(later[0].position, Some(2));
    assert_eq!(talk.told(66, place(Some(1), None)), NONE);
    talk.hear(70, assigned(Some("Ana")));
    assert_eq!(
        talk.told(200, Moved::Deadline),
        NONE,
        "nobody waits any more"
    );
    // Without a place, the wait counts, in minutes.
    talk.hear(300, left());
    assert_eq!(talk.told(301, place(None, Some(61))), ["position"]);
    assert_eq!(talk.told(400, place(None, Some(119))), NONE);
    assert_eq!(talk.told(401, place(None, Some(121))), ["position"]);
}

#[test]
fn nobody_is_there_is_told_before_it_is_given_back() {
    let mut talk = Talk::new(&Notice::ALL);
    talk.rules.general.unattended = Unattended::Return;
    talk.hear(1, handed(&["a"]));
    let told = talk.hear(700, Moved::Deadline);
    assert_eq!(told[0].notice, Notice::Unattended);
    assert_eq!((told.len(), told[0].since), (1, at(1)));
    assert_eq!(talk.state.controller.word(), "returned");
    // An end by a rule at the same time leaves only the end to be told.
    let mut talk = Talk::new(&Notice::ALL);
    talk.rules.general.idle_after = Some(SignedDuration::from_mins(11));
    talk.hear(1, handed(&["a"]));
    assert_eq!(talk.told(900, Moved::Deadline), ["ended"]);
}

#[test]
fn the_word_leaves_the_queue_and_nothing_else() {
    let returned = |talk: &Talk| {
        let by = "customer".to_owned();
        talk.state.controller == Controller::Returned { by }
    };
    let mut talk = Talk::new(&Notice::ALL);
    assert_eq!(talk.told(0, wrote("/cancel")), NONE);
    assert!(!returned(&talk), "the assistant has it");
    talk.hear(10, handed(&["a"]));
    talk.hear(11, wrote("please /cancel"));
    talk.hear(12, Moved::Wrote(None));
    assert!(!returned(&talk), "the whole message is the word");
    assert_eq!(talk.told(20, wrote(" /CANCEL\n")), ["cancelled"]);
    assert!(returned(&talk));
    let kinds: Vec<_> = talk
        .effects
        .iter()
        .map(|effect| effect.data.kind())
        .collect();
    assert_eq!(
        kinds,
        ["session.returned", "session.state", "customer.notice"]
    );
    talk.hear(30, handed(&["a"]));
    talk.hear(31, assigned(Some("Ana")));
    talk.hear(32, wrote("/cancel"));
    assert_eq!(
        talk.state.controller.word(),
        "rep",
        "with a rep it is a message"
    );
    // One that was written long before the handoff and comes late asks for nothing.
    let mut talk = Talk::new(&Notice::ALL);
    talk.hear(500, handed(&["a"]));
    let late = Happened {
        id: "late".into(),
        at: at(100),
        last_inbound: Some(at(100)),
        moved: wrote("/cancel"),
    };
    let step = step(&talk.state, &late, at(510), &talk.rules);
    assert_eq!(step.state.controller.word(), "queued");
}

#[test]
fn a_rating_is_the_next_message_in_time_and_on_the_scale() {
    let asked = || {
        let mut talk = Talk::new(&[Notice::Csat]);
        talk.rules.customer.rating_scale = vec![
            BTreeSet::from([word("1"), word("☹️")]),
            BTreeSet::from([word("2"), word("❤️")]),
        ];
        talk.hear(1, handed(&["a"]));
        talk.hear(2, assigned(Some("Ana")));
        assert_eq!(talk.told(3, ended()), ["csat"]);
        talk
    };
    let score = |second, moved| {
        let mut talk = asked();
        talk.hear(second, moved);
        talk.rated().map(|rated| (rated.score, rated.of))
    };
    assert_eq!(score(10, wrote("❤")), Some((2, 2)));
    assert_eq!(score(10, wrote("☹️")), Some((1, 2)));
    assert_eq!(score(10, wrote("3")), None);
    assert_eq!(score(10, Moved::Wrote(None)), None);
    assert_eq!(score(3 + 12 * 3_600, wrote("2")), Some((2, 2)));
    assert_eq!(score(4 + 12 * 3_600, wrote("2")), None, "too late");
    let mut talk = asked();
    talk.hear(10, wrote("Thank you"));
    talk.hear(11, wrote("2"));
    assert_eq!(talk.rated(), None, "something else was said since");
    let mut talk = asked();
    talk.hear(10, Moved::Said);
    talk.hear(11, wrote("2"));
    assert!(
        talk.rated().is_some(),
        "what the platform says is no answer"
    );
    // Nobody had taken part, or it goes on with the assistant: nothing is asked.
    let mut talk = Talk::new(&[Notice::Csat, Notice::Ended]);
    talk.hear(1, handed(&["a"]));
    assert_eq!(talk.told(2, ended()), ["ended"]);
    let mut talk = Talk::new(&[Notice::Csat, Notice::Ended]);
    talk.rules.general.rep_end = RepEnd::Return;
    talk.hear(1, handed(&["a"]));
    talk.hear(2, assigned(None));
    assert_eq!(talk.told(3, ended()), ["ended"]);
}

#[test]
fn nothing_is_told_outside_the_window() {
    let mut talk = Talk::new(&Notice::ALL);
    let day = 24 * 3_600;
    assert_eq!(talk.told(day - 1, handed(&["a"])), ["queued"]);
    assert_eq!(talk.told(day, assigned(Some("Ana"))), NONE);
    assert_eq!(talk.told(day + 1, ended()), NONE);
    talk.hear(day + 2, wrote("5"));
    assert_eq!(talk.rated(), None, "nobody was asked");
}

#[test]
fn only_a_short_text_alone_is_a_word() {
    assert_eq!(word(" Çancel\u{fe0f} "), "çancel");
    let said = |data: serde_json::Value| -> Option<String> {
        let message = serde_json::json!({"id": "m", "time": at(0), "author": {"kind": "customer"}});
        let mut event = serde_json::json!({ "message": message });
        for (key, value) in data.as_object().into_iter().flatten() {
            event["message"][key] = value.clone();
        }
        super::word_of(&serde_json::from_value(event).expect("a message"))
    };
    let text = |text: &str| said(serde_json::json!({ "text": text }));
    assert_eq!(text(" 5 ").as_deref(), Some("5"));
    assert_eq!(text(" "), None);
    assert!(text(&"x".repeat(40)).is_some() && text(&"x".repeat(41)).is_none());
    let place = serde_json::json!({"text": "5", "location": {"latitude": 1.0, "longitude": 1.0}});
    assert_eq!(said(place), None);
}

/// A place in the queue as it is told: the position, the minutes.
type Place = (Option<u32>, Option<u64>);

fn any_moved() -> impl Strategy<Value = Moved> {
    let name = || {
        prop::option::of(prop::sample::select(vec![
            "Ana".to_owned(),
            "Bo".to_owned(),
        ]))
    };
    let target = || prop::sample::select(vec!["a".to_owned(), "b".to_owned()]);
    prop_oneof![
        4 => prop::sample::subsequence(vec!["a", "b"], 1..=2).prop_map(|names| handed(&names)),
        4 => (target(), name()).prop_map(|(target, name)| Moved::Assigned { target, name }),
        2 => target().prop_map(Moved::Left),
        2 => (target(), 0..6_u8, name()).prop_map(|(target, n, author)| Moved::Replied {
            target,
            message: n.to_string(),
            author,
        }),
        2 => target().prop_map(|target| Moved::Ended {
            target,
            status: None
        }),
        6 => (
            target(),
            prop::option::of(0..3_u32),
            prop::option::of(0..300_u64)
        )
            .prop_map(|(target, position, seconds)| Moved::Waits {
                target,
                position,
                seconds,
            }),
        1 => Just(Moved::Returned("platform".into())),
        1 => Just(Moved::Closed {
            by: "platform".into(),
            resolved: None
        }),
        1 => Just(Moved::Said),
        3 => prop::sample::select(vec!["hello", "/cancel", "3", "5"]).prop_map(wrote),
        1 => Just(Moved::Wrote(None)),
        4 => Just(Moved::Deadline),
    ]
}

/// Mostly seconds, sometimes so long that the window closes.
fn any_pause() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0..40_i64, 2 => 0..3_000_i64, 1 => 0..100_000_i64]
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let on = prop::sample::subsequence(Notice::ALL.to_vec(), 0..=Notice::ALL.len());
    (any::<bool>(), any::<bool>(), any::<bool>(), on).prop_map(|(give, end, idle, on)| Rules {
        general: Terms {
            unattended: if give {
                Unattended::Return
            } else {
                Unattended::Stay
            },
            rep_end: if end { RepEnd::Return } else { RepEnd::Close },
            idle_after: idle.then(|| SignedDuration::from_hours(1)),
            ..Terms::default()
        },
        ..rules(&on)
    })
}

proptest! {
    /// Whatever happens in whatever order, told late or early, with the window open or closed.
    #[test]
    fn the_customer_is_told_by_these_laws(
        rules in any_rules(),
        story in prop::collection::vec((any_moved(), any_pause(), -600..60_i64, prop::bool::weighted(0.2)), 1..80),
    ) {
        let mut state = State::default();
        let (mut now, mut inbound) = (0, None);
        let mut place: Option<(i64, Option<u32>, Option<u64>)> = None;
        let mut joined: Option<(Option<String>, Option<String>)> = None;
        let mut asked = false;
        for (n, (moved, pause, lag, writes)) in story.into_iter().enumerate() {
            now += pause;
            if writes {
                inbound = Some(at(now));
            }
            let happened = Happened { id: format!("e{n}"), at: at(now + lag), last_inbound: inbound, moved };
            let after = step(&state, &happened, at(now), &rules);
            let (was, is) = (&state.controller, &after.state.controller);
            let told = notices(&after.effects);
            let has = |kind: Notice| told.iter().any(|one| one.notice == kind);

            for one in &told {
                prop_assert!(rules.customer.notices.contains(&one.notice), "{:?} is off", one.notice);
            }
            let closed = |one: &Controller| matches!(one, Controller::Closed { .. });
            // After a close nothing is said; with it, what belongs to it.
            if closed(was) && closed(is) {
                prop_assert!(told.is_empty(), "{:?} after a close", told);
            }
            if closed(is) {
                prop_assert!(told.iter().all(|one| one.notice.is_of_the_end()), "{:?}", told);
            }
            let by_rep = matches!(happened.moved, Moved::Ended { .. });
            if has(Notice::Ended) {
                prop_assert!(was.is_people() && !is.is_people());
                prop_assert!(by_rep || happened.moved == Moved::Deadline);
            }
            if has(Notice::Csat) {
                prop_assert!(was.is_people() && closed(is) && by_rep);
            }
            // Outside of the window nothing is made.
            if inbound.is_some_and(|wrote| at(now) >= wrote + SignedDuration::from_hours(24)) {
                prop_assert!(told.is_empty());
            }
            // A place is told when it is another one, and not sooner than that.
            if !matches!(is, Controller::Queued { .. }) {
                place = None;
            }
            if let Some(one) = told.iter().find(|one| one.notice == Notice::Position) {
                if let Some((when, position, minutes)) = place {
                    prop_assert!(now - when >= 60, "told {} s ago", now - when);
                    prop_assert!((position, minutes) != (one.position, one.wait_minutes()));
                }
                place = Some((now, one.position, one.wait_minutes()));
            }
            // The same rep does not join twice.
            if has(Notice::Left) || !is.is_people() {
                joined = None;
            }
            if let Some(one) = told.iter().find(|one| one.notice == Notice::Joined) {
                let rep = (one.target.clone(), one.rep.clone());
                prop_assert!(joined.as_ref() != Some(&rep), "{:?} joins again", rep);
                joined = Some(rep);
            }
            // Somebody else was there in between.
            if let Controller::Rep { target, name } = is
                && joined != Some((Some(target.clone()), name.clone()))
            {
                joined = None;
            }
            // A rating answers a question.
            let rated = after.effects.iter().any(|effect| matches!(effect.data, Data::SessionRated(_)));
            prop_assert!(!rated || (asked && closed(was) && closed(is)));
            asked = has(Notice::Csat) || (asked && closed(is) && !matches!(happened.moved, Moved::Wrote(_)));

            // The same again says nothing.
            let again = step(&after.state, &happened, at(now), &rules);
            prop_assert_eq!(&again.effects, &Vec::new());
            prop_assert_eq!(&again.state, &after.state);
            // A deadline that has come is met once.
            let met = step(&after.state, &Happened { moved: Moved::Deadline, ..happened.clone() }, at(now), &rules);
            prop_assert!(met.deadline.is_none_or(|next| next > at(now)), "{:?}", met);
            // What is kept can be read again.
            let kept = serde_json::to_string(&after.state).expect("JSON");
            prop_assert_eq!(&serde_json::from_str::<State>(&kept).expect("a state"), &after.state);
            state = after.state;
        }
    }

    /// Places are told when they are others than were told, never sooner than a minute after, and in the
    /// end the newest is known.
    #[test]
    fn places_in_a_queue_are_told_by_these_laws(
        story in prop::collection::vec((prop::option::of((0..4_u32, 0..300_u64)), any::<bool>(), 1..50_i64), 1..40),
    ) {
        let mut talk = Talk::new(&[Notice::Position]);
        talk.rules.general.unattended_after = None;
        talk.rules.general.window_warning = None;
        talk.hear(0, handed(&["a"]));
        let (mut now, mut told, mut newest) = (0, None, None);
        let mut said: Option<i64> = None;
        let mut hear = |talk: &mut Talk, now: i64, moved: Moved| -> Result<Option<Place>, TestCaseError> {
            let notices = talk.hear(now, moved);
            let Some(notice) = notices.first() else { return Ok(None) };
            prop_assert_eq!(notices.len(), 1);
            prop_assert!(said.is_none_or(|said| now - said >= 60), "too soon: {:?} and {}", said, now);
            said = Some(now);
            Ok(Some((notice.position, notice.wait_minutes())))
        };
        for (place_told, by_wait, pause) in story {
            now += pause;
            let moved = match place_told {
                Some((_, seconds)) if by_wait && newest.is_none() => place(None, Some(seconds)),
                Some((position, _)) => {
                    newest = Some(position);
                    place(Some(position), None)
                }
                None => Moved::Deadline,
            };
            if let Some(notice) = hear(&mut talk, now, moved)? {
                prop_assert!(told != Some(notice), "the same again: {:?}", told);
                told = Some(notice);
            }
        }
        while let Some(deadline) = talk.deadline {
            let second = deadline.as_second() - 1_700_000_000;
            if let Some(notice) = hear(&mut talk, second, Moved::Deadline)? {
                told = Some(notice);
            }
            prop_assert!(talk.deadline.is_none_or(|next| next > deadline));
        }
        prop_assert_eq!(told.and_then(|(position, _)| position), newest);
    }
}
