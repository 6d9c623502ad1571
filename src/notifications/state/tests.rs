use std::collections::BTreeSet;

use jiff::civil::time;
use jiff::tz::TimeZone;

use super::*;
use crate::config::{ChannelConfig, ChannelWay, Quiet};

fn at(minutes: i64) -> Timestamp {
    let noon: Timestamp = "2026-11-20T12:00:00Z".parse().expect("a time");
    noon + SignedDuration::from_mins(minutes)
}

fn config(per_hour: u32, quiet: Option<Quiet>) -> NotificationsConfig {
    let channel = |name: &str, kinds: &[Trouble]| ChannelConfig {
        name: name.to_owned(),
        kinds: kinds.iter().copied().collect(),
        way: ChannelWay::Slack {
            url: "https://chat.example.com/x".into(),
        },
    };
    NotificationsConfig {
        channels: vec![
            channel("all", &Trouble::ALL),
            channel("few", &[Trouble::Credential]),
        ],
        group: SignedDuration::from_mins(10),
        per_hour,
        quiet,
    }
}

fn one(target: &str, reason: &str, count: i64, newest: i64) -> Observed {
    Observed {
        target: target.to_owned(),
        reason: reason.to_owned(),
        count,
        newest,
        session: Some(format!("s-{newest}")),
    }
}

fn parked(count: i64, newest: i64) -> NotWell {
    NotWell {
        parked: vec![one("hub", "forbidden", count, newest)],
        ..NotWell::default()
    }
}

/// Looks, tells, and gives what was made: channel, count and session.
fn look(
    state: &mut State,
    found: &NotWell,
    now: Timestamp,
    config: &NotificationsConfig,
) -> Vec<(String, i64, String)> {
    // As it comes back from the ledger.
    *state = State::parse(Some(&state.text()));
    state.see(found, &[], now, config.group);
    state.tell(now, config);
    let mut made = Vec::new();
    while let Some(message) = state.due(now) {
        state.sent(&message.id);
        let session = message.session.unwrap_or_default();
        made.push((message.channel, message.count, session));
    }
    made
}

fn told(count: i64, session: &str) -> Vec<(String, i64, String)> {
    vec![("all".to_owned(), count, session.to_owned())]
}

#[test]
fn the_first_is_told_at_once_and_what_follows_together_when_the_window_is_over() {
    let (mut state, config) = (State::default(), config(20, None));
    let mut look = |found: NotWell, minutes| look(&mut state, &found, at(minutes), &config);
    assert_eq!(look(parked(1, 1), 0), told(1, "s-1"));
    assert_eq!(look(parked(1, 1), 1), [], "it is the same one");
    assert_eq!(look(parked(2, 2), 2), [], "too early");
    assert_eq!(look(parked(5, 7), 3), []);
    assert_eq!(look(parked(5, 7), 10), told(4, "s-7"));
    assert_eq!(look(parked(5, 7), 60), [], "nothing new");
    assert_eq!(look(parked(4, 7), 61), [], "one was mended");
    assert_eq!(look(parked(4, 9), 62), told(1, "s-9"), "it is parked again");
    assert_eq!(look(NotWell::default(), 90), []);
    assert_eq!(look(parked(1, 9), 91), told(1, "s-9"));
}

#[test]
fn a_rejected_credential_is_told_once_until_it_was_accepted() {
    let (mut state, config) = (State::default(), config(20, None));
    let rejected = |count, newest| NotWell {
        waiting: vec![one("hub", "unauthorized", count, newest)],
        ..NotWell::default()
    };
    let mut look = |found: NotWell, minutes| look(&mut state, &found, at(minutes), &config).len();
    assert_eq!(look(rejected(3, 1), 0), 2, "both channels");
    assert_eq!(look(rejected(90, 99), 30), 0, "every try fails alike");
    assert_eq!(look(NotWell::default(), 31), 0);
    assert_eq!(look(rejected(1, 100), 60), 2);
}

#[test]
fn what_comes_one_by_one_is_counted_and_told_together() {
    let (mut state, config) = (State::default(), config(20, None));
    let letters = |count| NotWell {
        dead_letters: vec![one("amqp", "undecodable", count, 1)],
        seen: Seen {
            dead_letter: 9,
            event: 4,
        },
        ..NotWell::default()
    };
    let mut look_at = |found: NotWell, minutes| look(&mut state, &found, at(minutes), &config);
    assert_eq!(look_at(letters(2), 0), told(2, "s-1"));
    assert_eq!(look_at(letters(3), 1), []);
    assert_eq!(look_at(letters(4), 2), []);
    assert_eq!(look_at(NotWell::default(), 12), told(7, "s-1"));
    assert_eq!(look_at(NotWell::default(), 40), []);
    state.see(&letters(0), &[], at(41), config.group);
    assert_eq!(
        state.seen().map(|seen| (seen.dead_letter, seen.event)),
        Some((9, 4))
    );
}

#[test]
fn in_quiet_hours_only_what_may_is_told_and_the_rest_follows() {
    let quiet = Quiet {
        from: time(22, 0, 0, 0),
        to: time(7, 30, 0, 0),
        zone: TimeZone::get("Asia/Tokyo").expect("a zone"),
        passes: BTreeSet::from([Trouble::Credential]),
    };
    // 12:00 in UTC is 21:00 in Tokyo.
    let (mut state, config) = (State::default(), config(20, Some(quiet)));
    let mut both = parked(1, 1);
    both.waiting = vec![one("hub", "unauthorized", 1, 1)];
    let mut look = |found: &NotWell, minutes| look(&mut state, found, at(minutes), &config).len();
    assert_eq!(look(&both, 60), 2, "the credential, by both channels");
    assert_eq!(look(&both, 10 * 60 + 29), 0, "07:29 in Tokyo");
    assert_eq!(look(&both, 10 * 60 + 30), 1, "now the parked one");
}

#[test]
fn at_most_so_many_an_hour_and_nothing_is_forgotten() {
    let (mut state, config) = (State::default(), config(2, None));
    let many = NotWell {
        parked: (0..5)
            .map(|n| one(&format!("t{n}"), "invalid", 1, n))
            .collect(),
        ..NotWell::default()
    };
    let mut look = |minutes| look(&mut state, &many, at(minutes), &config).len();
    assert_eq!((look(0), look(30), look(59)), (2, 0, 0));
    assert_eq!((look(61), look(122), look(183)), (2, 1, 0));
}

#[test]
fn what_a_channel_does_not_take_waits_and_holds_no_other() {
    let (mut state, config) = (State::default(), config(20, None));
    let found = NotWell {
        parked: vec![one("hub", "forbidden", 1, 1)],
        waiting: vec![one("hub", "unauthorized", 1, 1)],
        ..NotWell::default()
    };
    state.see(&found, &[], at(0), config.group);
    state.tell(at(0), &config);
    let first = state.due(at(0)).expect("a message");
    assert_eq!(first.channel, "all");
    assert!(!state.failed(&first.id, at(0)));
    let second = state.due(at(0)).expect("a message");
    assert_eq!(second.channel, "few", "the other channel goes on");
    state.sent(&second.id);
    assert_eq!(
        state.due(at(0)),
        None,
        "the channel's other message waits too"
    );
    let again = state.due(at(1)).expect("a message");
    assert_eq!(again.id, first.id, "the same id");
    assert!(!state.failed(&first.id, at(1)));
    assert!(
        state.failed(&first.id, at(24 * 60)),
        "after a day it is given up"
    );
    let left = state.due(at(24 * 60)).expect("a message");
    assert_ne!(left.id, first.id);
}
