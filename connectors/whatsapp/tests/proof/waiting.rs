//! What a rep is told of replies whose lane is stopped: once per reply and cause, and nothing of a short
//! pause.

use handoffd_contract::event::ReplyStatus;
use handoffd_contract::{Data, Fact, Known, Reason, Stop, Waiting, Work};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::cast::{CUSTOMER, cloud, replied, reply};
use crate::world::{Chapter, World};

/// Two replies of a lane.
fn lane<'a>(connector: &'a dyn handoffd_contract::Connector) -> World<'a> {
    let mut world = World::new(connector);
    world.last_inbound = Some(world.now);
    world.items = vec![
        replied("e-1", reply("m-1", "SECRET one.")),
        replied("e-2", reply("m-2", "SECRET two.")),
    ];
    world
}

fn ask(world: &World<'_>, stop: &Stop) -> Waiting {
    let work: Work = world.work();
    let waiting = world.connector.waiting(&work, &world.known, stop);
    let again = world.connector.waiting(&work, &world.known, stop);
    assert_eq!(waiting, again, "it is a function");
    waiting
}

/// Asks, learns the facts, and gives what was told.
fn told(world: &mut World<'_>, stop: &Stop) -> (Vec<ReplyStatus>, Option<Timestamp>) {
    let Waiting { record, again } = ask(world, stop);
    for (name, value) in record.facts {
        world.known.set(name, value);
    }
    let status = |(_, data)| match data {
        Data::ReplyStatus(status) => status,
        other => panic!("{other:?}"),
    };
    (record.events.into_iter().map(status).collect(), again)
}

fn words(told: &[ReplyStatus]) -> Vec<(&str, String, &str)> {
    told.iter()
        .map(|status| {
            let detail = status.detail.as_deref().unwrap_or_default();
            (status.message_id.as_str(), status.word(), detail)
        })
        .collect()
}

#[test]
fn what_somebody_must_settle_is_told_at_once_and_once() {
    let connector = cloud(json!({}));
    for (reason, said, wanted) in [
        (
            Reason::Account,
            "131031: (#131031) Account has been locked; trace A1",
            "The WhatsApp account is blocked (WhatsApp error 131031). The reply goes out by itself as soon as that is settled.",
        ),
        (
            Reason::Unauthorized,
            "190: (#190) Access token EAAG-SECRET has expired",
            "WhatsApp does not accept the sign-in (WhatsApp error 190). The reply goes out by itself as soon as that is settled.",
        ),
        (
            Reason::Unroutable,
            "312 NO_ROUTE for whatsapp SECRET",
            "Nothing takes the messages for WhatsApp at the moment. The reply goes out by itself as soon as that is settled.",
        ),
        (
            Reason::NoCustomer,
            "the contact has no usable wa_id",
            "Nothing identifies the customer. It goes out when the people who run this connection have settled that.",
        ),
    ] {
        let mut world = lane(&*connector);
        let stop = Stop::new(reason, said);
        let (first, again) = told(&mut world, &stop);
        let held = format!("held/{}", reason.label());
        assert_eq!(
            words(&first),
            [("m-1", held.clone(), wanted), ("m-2", held.clone(), wanted)]
        );
        assert_eq!(again, None);
        let text = format!("{first:?}");
        assert!(
            !text.contains("SECRET") && !text.contains(CUSTOMER),
            "{text}"
        );
        assert_eq!(told(&mut world, &stop), (Vec::new(), None), "once");
        world
            .items
            .push(replied("e-3", reply("m-3", "SECRET three.")));
        let (third, _) = told(&mut world, &stop);
        assert_eq!(words(&third), [("m-3", held, wanted)], "the new one alone");
    }
}

#[test]
fn another_cause_is_told_as_well() {
    let connector = cloud(json!({}));
    let mut world = lane(&*connector);
    told(&mut world, &Stop::new(Reason::Account, "368: blocked"));
    let (second, _) = told(&mut world, &Stop::new(Reason::Unauthorized, "190: expired"));
    assert_eq!(second.len(), 2);
    assert!(
        second
            .iter()
            .all(|status| status.word() == "held/unauthorized")
    );
}

#[test]
fn a_reply_that_may_have_arrived_and_those_behind_it() {
    let connector = cloud(json!({}));
    let mut world = lane(&*connector);
    let unsure = Fact::Unsure {
        since: world.now,
        candidate: None,
    };
    world.known.0.insert("sent/e-1/0".into(), unsure);
    let (all, _) = told(&mut world, &Stop::new(Reason::UnknownOutcome, "no status"));
    let [(first, word, unknown), (second, behind, waits)] = &words(&all)[..] else {
        panic!("{all:?}");
    };
    assert_eq!((*first, *second), ("m-1", "m-2"));
    assert_eq!(
        (word.as_str(), behind.as_str()),
        ("held/unknown-outcome", "held/behind")
    );
    assert!(all[0].may_have_arrived() && !all[1].may_have_arrived());
    assert!(
        unknown.contains("it is not known whether this reply arrived"),
        "{unknown}"
    );
    assert!(
        waits.contains("whether an earlier message to this customer arrived"),
        "{waits}"
    );
}

#[test]
fn a_short_pause_is_not_told_and_a_long_one_is() {
    let connector = cloud(json!({}));
    for reason in [
        Reason::RateLimited,
        Reason::ConversationLimited,
        Reason::ServerError,
        Reason::Unreachable,
        Reason::TimedOut,
        Reason::Waiting,
    ] {
        let mut world = lane(&*connector);
        let stop = Stop::new(reason, "503: later");
        let begun = world.now;
        let (first, again) = told(&mut world, &stop);
        let due = begun + SignedDuration::from_secs(60);
        assert_eq!((first, again), (Vec::new(), Some(due)), "{reason:?}");
        world.now += SignedDuration::from_secs(59);
        assert_eq!(told(&mut world, &stop), (Vec::new(), Some(due)));
        world.now = due;
        let (late, again) = told(&mut world, &stop);
        assert_eq!((late.len(), again), (2, None), "{reason:?}");
        let other = Stop::new(Reason::ServerError, "another trouble of the kind");
        assert_eq!(told(&mut world, &other).0, []);
    }
}

#[test]
fn what_went_out_and_what_waits_for_the_window_is_not_told_here() {
    let connector = cloud(json!({}));
    let mut world = lane(&*connector);
    world.known.set("done/e-1", "{}");
    let (all, _) = told(&mut world, &Stop::new(Reason::Account, "368: blocked"));
    assert_eq!(all.len(), 1);
    world.known = Known::default();
    let closed = Stop::new(Reason::WindowClosed, "closed");
    assert_eq!(ask(&world, &closed), Waiting::default());
}

/// WhatsApp took it and said later that the window was closed; then the account was blocked.
#[test]
fn a_reply_that_is_sent_once_more_is_told_of_a_block_as_well() {
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    let one = replied("e-1", reply("m-1", "One."));
    world
        .play(&[Chapter::Items(vec![one.clone()])])
        .expect("settles");
    assert_eq!(world.known.get("reopened/e-1"), Some("open"));
    // The engine puts what is recalled into the work, as for planning.
    world.items.clear();
    let wanted = connector.recall(&world.work(), &world.known);
    assert_eq!(wanted, ["e-1"]);
    world.items = vec![one];
    let stop = Stop::new(Reason::Account, "131031: locked");
    let (all, _) = told(&mut world, &stop);
    let word = |told: &[ReplyStatus]| told.iter().map(ReplyStatus::word).collect::<Vec<_>>();
    assert_eq!(word(&all), ["held/account"]);
    assert_eq!(told(&mut world, &stop).0, []);
}
