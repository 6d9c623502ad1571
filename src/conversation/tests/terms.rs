//! Each target's terms, searches that find nobody, and replies of which nothing is told.

use handoffd_contract::event::{DeliveryState, NobodyCame};

use super::*;

#[test]
fn each_target_has_its_own_terms() {
    let patient = Terms {
        unattended_after: Some(hours(1)),
        unattended: Unattended::Return,
        window_warning: Some(hours(2)),
        idle_after: None,
        rep_end: RepEnd::Return,
        unconfirmed: Unconfirmed::Off,
    };
    // Alone, it waits an hour and gives it back.
    let mut told = Told::new(at_target("b", patient.clone()));
    told.hear(0, handed(&["b"]));
    assert_eq!(told.deadline, Some(at(HOUR)));
    assert_eq!(
        told.hear(HOUR, Moved::Deadline),
        ["session.unattended", "session.returned", "session.state"]
    );
    // Its end gives it back, and another's closes.
    for (target, word) in [("a", "closed"), ("b", "returned")] {
        let mut told = Told::new(at_target("b", patient.clone()));
        told.hear(0, handed(&[target]));
        told.hear(1, assigned(target, "Ana"));
        told.hear(2, ended(target));
        assert_eq!(told.word(), word, "{target}");
    }
    // Where both are asked, it is told once, at the earliest; the one that gives it back still does.
    let mut told = Told::new(at_target("b", patient));
    told.inbound = Some(at(0));
    told.hear(0, handed(&["a", "b"]));
    assert_eq!(told.deadline, Some(at(600)));
    assert_eq!(told.hear(600, Moved::Deadline), ["session.unattended"]);
    assert_eq!(told.deadline, Some(at(HOUR)));
    assert_eq!(
        told.hear(HOUR, Moved::Deadline),
        ["session.returned", "session.state"]
    );
}

#[test]
fn each_record_is_warned_of_the_window_at_its_own_time() {
    let early = Terms {
        window_warning: Some(hours(3)),
        unattended_after: None,
        ..Terms::default()
    };
    let mut told = Told::new(Rules {
        general: Terms {
            unattended_after: None,
            ..Terms::default()
        },
        own: [("b".to_owned(), early)].into(),
        ..rules()
    });
    told.inbound = Some(at(0));
    told.hear(1, handed(&["a", "b"]));
    let notices = |told: &Told| -> Vec<String> {
        let notices = told.effects.iter().filter_map(|effect| match &effect.data {
            Data::RepNotice(notice) => Some(notice.target.clone()),
            _ => None,
        });
        notices.collect()
    };
    assert_eq!(told.deadline, Some(at(21 * HOUR)));
    told.hear(21 * HOUR, Moved::Deadline);
    assert_eq!(
        (notices(&told), told.deadline),
        (vec!["b".into()], Some(at(23 * HOUR)))
    );
    told.hear(23 * HOUR, Moved::Deadline);
    assert_eq!(notices(&told), ["b", "a"]);
    assert_eq!(told.deadline, None);
}

#[test]
fn a_search_that_finds_nobody_is_told_at_once_and_only_once() {
    let mut told = Told::new(general(Terms::default()));
    told.hear(0, handed(&["a"]));
    assert_eq!(
        told.hear(5, nobody_found("b")),
        Vec::<&str>::new(),
        "not asked"
    );
    assert_eq!(told.hear(5, nobody_found("a")), ["session.unattended"]);
    let Some(Data::SessionUnattended(nobody)) = told.effects.last().map(|effect| &effect.data)
    else {
        panic!("{:?}", told.effects);
    };
    assert_eq!(nobody.reason, NobodyCame::Routing);
    assert_eq!(nobody.detail.as_deref(), Some("No agents are available"));
    assert_eq!(nobody.waited_seconds, 5);
    assert_eq!(told.hear(6, nobody_found("a")), Vec::<&str>::new());
    assert_eq!((told.word(), told.deadline), ("queued", None));
    assert_eq!(told.hear(700, Moved::Deadline), Vec::<&str>::new());
    // A rep has it: what is told late of the search says nothing.
    told.hear(800, assigned("a", "Ana"));
    assert_eq!(told.hear(801, nobody_found("a")), Vec::<&str>::new());
    // Who leaves begins another wait.
    told.hear(900, Moved::Left("a".into()));
    assert_eq!(told.hear(901, nobody_found("a")), ["session.unattended"]);
}

#[test]
fn a_search_that_finds_nobody_may_give_it_back() {
    let give_back = Terms {
        unattended: Unattended::Return,
        ..Terms::default()
    };
    let given = ["session.unattended", "session.returned", "session.state"];
    let mut told = Told::new(at_target("a", give_back.clone()));
    told.hear(0, handed(&["a"]));
    assert_eq!(told.hear(5, nobody_found("a")), given);
    assert_eq!(told.hear(6, nobody_found("a")), Vec::<&str>::new());
    // While another target still looks, nothing follows; what it becomes is each one's rule.
    let mut told = Told::new(at_target("a", give_back));
    told.hear(0, handed(&["a", "b"]));
    assert_eq!(told.hear(5, nobody_found("a")), Vec::<&str>::new());
    let place = Moved::Waits {
        target: "a".into(),
        position: Some(1),
        seconds: None,
    };
    told.hear(6, place);
    assert_eq!(
        told.hear(7, nobody_found("b")),
        Vec::<&str>::new(),
        "a looks again"
    );
    assert_eq!(told.hear(8, nobody_found("a")), given);
}

#[test]
fn the_exit_is_asked_once_about_a_reply_of_which_nothing_was_told() {
    let quarter = SignedDuration::from_mins(15).as_secs();
    // An exit that never tells raises no alarm.
    let mut told = Told::new(general(Terms::default()));
    told.hear(0, handed(&["a"]));
    told.hear(1, replied("a", "m1"));
    told.hear(2, reply_is("m1", DeliveryState::Sent));
    assert_eq!(told.deadline, None);
    // One that tells does, also of what it took before.
    told.hear(3, reply_is("m2", DeliveryState::Sent));
    told.hear(4, reply_is("m2", DeliveryState::Delivered));
    assert_eq!(told.deadline, Some(at(2 + quarter)));
    assert_eq!(
        told.hear(2 + quarter, Moved::Deadline),
        ["reply.unconfirmed"]
    );
    assert_eq!(told.hear(3 + quarter, Moved::Deadline), Vec::<&str>::new());
    assert_eq!(told.deadline, None);
    assert!(!told.state.replies.watched[0].told);
    told.hear(
        4 + quarter,
        Moved::Told {
            target: "a".into(),
            message: "m1".into(),
            state: DeliveryState::Sent,
            unconfirmed: true,
        },
    );
    assert!(told.state.replies.watched[0].told);
    told.hear(5 + quarter, reply_is("m1", DeliveryState::Read));
    assert_eq!(told.state.replies.watched, []);

    // A time that is set counts for every reply, also after the end; `off` for none.
    for (unconfirmed, deadline) in [
        (
            Unconfirmed::After(SignedDuration::from_secs(60)),
            Some(at(62)),
        ),
        (Unconfirmed::Off, None),
    ] {
        let mut told = Told::new(at_target(
            "a",
            Terms {
                unconfirmed,
                ..Terms::default()
            },
        ));
        told.hear(0, handed(&["a"]));
        told.hear(1, replied("a", "m1"));
        told.hear(2, reply_is("m1", DeliveryState::Sent));
        told.hear(3, ended("a"));
        assert_eq!(told.deadline, deadline, "{unconfirmed:?}");
    }
}

#[test]
fn so_many_replies_are_watched_and_no_more() {
    let mut told = Told::new(rules());
    told.hear(0, handed(&["a"]));
    for n in 0..50 {
        told.hear(n, reply_is(&n.to_string(), DeliveryState::Sent));
    }
    let watched = &told.state.replies.watched;
    assert_eq!((watched.len(), watched[0].message.as_str()), (20, "30"));
}
