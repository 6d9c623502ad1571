//! Ends, signs of life, and what follows what.

use super::*;
use handoffd_contract::Contact;
use handoffd_contract::event::Session;

fn work() -> Work {
    Work {
        target: "crm".into(),
        session: Session {
            id: "s1".into(),
            ..Session::default()
        },
        contact: Contact {
            wa_id: Some("201000000001".into()),
            ..Contact::default()
        },
        items: Vec::new(),
        last_inbound: None,
        now: jiff::Timestamp::UNIX_EPOCH,
        controller: handoffd_contract::Controller::queued(None),
    }
}

#[test]
fn a_session_is_ended_until_it_lives_again_or_is_followed() {
    let work = work();
    let mut known = Known::default();
    let ended = |known: &Known| Lane::new("p:", &work, known).expect("lane").ended();
    let one = |at: &str| vec![("followed/0Mw1".to_owned(), at.to_owned())];
    assert_eq!(ended(&known), []);
    known.set("ended/0Mw1", "200");
    assert_eq!(ended(&known), one("200"));
    known.set("live/0Mw1", "100");
    assert_eq!(
        ended(&known),
        one("200"),
        "an older sign of life does not count"
    );
    known.set("live/0Mw1", "200");
    assert_eq!(ended(&known), one("200"), "nor one of the same millisecond");
    known.set("live/0Mw1", "300");
    assert_eq!(ended(&known), []);
    known.set("ended/0Mw1", FOR_SURE);
    assert_eq!(
        ended(&known),
        one(FOR_SURE),
        "an answer outweighs what was heard"
    );
    known.set("ended/0Mw1", "400");
    known.set("followed/0Mw1", "400");
    assert_eq!(ended(&known), []);
    known.set("live/0Mw1", "300");
    known.set("ended/0Mw1", "400");
    assert_eq!(
        ended(&known),
        [],
        "events that are heard again change nothing"
    );
    known.set("live/0Mw1", "500");
    known.set("ended/0Mw1", "600");
    assert_eq!(
        ended(&known),
        one("600"),
        "it came alive again and ended again"
    );
}

#[test]
fn an_end_that_is_heard_late_ends_no_newer_session() {
    let work = work();
    let mut known = Known::default();
    known.set("subject", "p:201000000001");
    known.set("conversation", "c");
    let over = |known: &Known| Lane::new("p:", &work, known).expect("lane").is_over();
    // An answer told of the end before the stream told of the session.
    known.set("ended/unknown-0", FOR_SURE);
    assert!(over(&known));
    known.set("followed/unknown-0", FOR_SURE);
    known.set("session", "0Mw2");
    known.set("live/0Mw2", "300");
    known.set("ended/0Mw1", "200");
    assert!(!over(&known), "0Mw2 lives");
    known.set("ended/0Mw2", "400");
    assert!(over(&known));
    known.set("live/0Mw2", "300");
    assert!(over(&known), "what is heard again changes nothing");
}

#[test]
fn an_end_without_a_known_session_has_a_key_of_its_own_each_time() {
    let work = work();
    let mut known = Known::default();
    let current = |known: &Known| Lane::new("p:", &work, known).expect("lane").current();
    assert_eq!(current(&known), "unknown-0");
    known.set("ended/unknown-0", FOR_SURE);
    known.set("followed/unknown-0", FOR_SURE);
    assert_eq!(current(&known), "unknown-1");
    known.set("session", "0Mw1");
    assert_eq!(current(&known), "0Mw1");
    known.set("followed/0Mw1", "200");
    assert_eq!(current(&known), "unknown-1");
    known.set("live/0Mw1", "300");
    assert_eq!(current(&known), "0Mw1");
}

#[test]
fn the_subject_stays_although_the_contact_changes() {
    let mut work = work();
    let mut known = Known::default();
    known.set("subject", "p:201000000001");
    work.contact.user_id = Some("US.1".into());
    assert_eq!(
        Lane::new("p:", &work, &known).expect("lane").subject,
        "p:201000000001"
    );
}
