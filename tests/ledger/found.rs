//! Events of gateways that name no session: the customer's open conversation goes on, else a new one
//! begins, once, however often and by whomever it is told.

use handoffd::ledger::{Admission, Admitted, Find, Received};
use handoffd_contract::event::{
    DeliveryState, MessageStatus, RepReply, SessionClosed, SessionReturned,
};
use handoffd_contract::{Data, Event, Handoff};
use jiff::{SignedDuration, Timestamp};

use crate::world::*;

const HOUR: i64 = 3_600;

fn find(wa_id: &str) -> Find {
    Find {
        named: false,
        numbers: vec!["+4930123".into(), "4930123".into()],
        customers: vec![wa_id.into()],
        begins: true,
        idle: SignedDuration::from_hours(24),
        follows: false,
        unless_people: false,
        only_people: false,
        ours: Vec::new(),
        transcript: 0,
    }
}

/// A message of a customer's whose session is to be found; a new one would be named after it.
fn wrote(id: &str, wa_id: &str, at: Timestamp) -> Admission {
    Admission {
        find: Some(find(wa_id)),
        ..inbound(&format!("new-{id}"), id, wa_id, at)
    }
}

/// Something that is told of a customer's conversation.
fn told(id: &str, wa_id: &str, data: Data) -> Admission {
    Admission {
        find: Some(Find {
            begins: false,
            ..find(wa_id)
        }),
        ..plain(Event {
            data,
            ..message(&format!("new-{id}"), id)
        })
    }
}

/// A handoff whose session is to be found.
fn handed(id: &str, wa_id: &str) -> Admission {
    let handoff = Handoff {
        session: session_data(&format!("new-{id}")),
        contact: customer(wa_id),
        ..Handoff::default()
    };
    Admission {
        find: Some(find(wa_id)),
        session: Some(handoff.session.clone()),
        contact: Some(handoff.contact.clone()),
        opens: vec!["hub".into()],
        passes: Vec::new(),
        ..plain(Event {
            data: Data::HandoffRequested(Box::new(handoff)),
            ..message(&format!("new-{id}"), id)
        })
    }
}

fn closed() -> Data {
    Data::SessionClosed(SessionClosed::default())
}

async fn ids(w: &World, session: &str) -> Vec<String> {
    let report = w.b.session_report(session).await.unwrap();
    let own = |kind: &str| kind != "session.state" && kind != "session.handback";
    let events = report.events.into_iter();
    events
        .filter(|(_, kind, ..)| own(kind))
        .map(|(_, _, _, id, _)| id)
        .collect()
}

async fn admitted(w: &World, now: i64, events: Vec<Admission>) -> Vec<Admitted> {
    w.a.admit(t(now), events).await.unwrap()
}

/// The event as it is stored.
async fn stored(w: &World, at: Admitted) -> Event {
    let Admitted::New(seq) = at else {
        panic!("not stored: {at:?}")
    };
    w.b.event(seq).await.unwrap().unwrap()
}

pub async fn an_open_conversation_goes_on_else_a_new_one_begins(w: &World) {
    admitted(
        w,
        0,
        vec![
            wrote("1", "491", t(0)),
            wrote("2", "491", t(1)),
            wrote("3", "492", t(2)),
        ],
    )
    .await;
    assert_eq!(
        ids(w, "new-1").await,
        ["1", "2"],
        "what comes together stays together"
    );
    assert_eq!(ids(w, "new-3").await, ["3"]);
    admitted(w, HOUR, vec![wrote("4", "491", t(HOUR))]).await;
    assert_eq!(ids(w, "new-1").await, ["1", "2", "4"]);
    let later = admitted(w, 26 * HOUR, vec![wrote("5", "491", t(26 * HOUR))]).await;
    assert_eq!(ids(w, "new-5").await, ["5"], "nothing was said for a day");
    let event = stored(w, later[0]).await;
    assert_eq!(event.session, "new-5");
}

pub async fn what_is_found_is_written_into_the_event(w: &World) {
    admitted(w, 0, vec![wrote("1", "491", t(0))]).await;
    let handed = admitted(w, 1, vec![handed("2", "491")]).await;
    let event = stored(w, handed[0]).await;
    let Data::HandoffRequested(handoff) = &event.data else {
        panic!("a handoff")
    };
    assert_eq!(
        (event.session.as_str(), handoff.session.id.as_str()),
        ("new-1", "new-1")
    );
    let lane = w.b.lane_of("new-1", "hub").await.unwrap();
    assert!(lane.is_some(), "its lane is the conversation's");
}

pub async fn what_comes_together_is_found_as_if_it_came_one_by_one(w: &World) {
    // A producer that names its sessions beside one that does not.
    let named = Admission {
        session: Some(session_data("named")),
        contact: Some(customer("491")),
        ..handing("named", "h", &["hub"])
    };
    let end = told("2", "491", closed());
    let together = vec![named, wrote("1", "491", t(1)), end, wrote("3", "491", t(3))];
    let admissions = admitted(w, 0, together).await;
    assert!(
        admissions.iter().all(|one| matches!(one, Admitted::New(_))),
        "{admissions:?}"
    );
    assert_eq!(ids(w, "named").await, ["h", "1", "2"]);
    assert_eq!(ids(w, "new-3").await, ["3"], "a new one after the end");
    // A handoff has what was said right before it.
    let mut handoff = handed("5", "492");
    if let Some(find) = &mut handoff.find {
        find.transcript = 10;
    }
    let together = admitted(w, 4, vec![wrote("4", "492", t(4)), handoff]).await;
    let Data::HandoffRequested(handoff) = stored(w, together[1]).await.data else {
        panic!("a handoff")
    };
    let said: Vec<&str> = handoff
        .transcript
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
}

pub async fn the_same_again_begins_nothing(w: &World) {
    let one = || vec![wrote("1", "491", t(0))];
    admitted(w, 0, one()).await;
    admitted(w, 1, vec![told("2", "491", closed())]).await;
    assert_eq!(
        admitted(w, 2, one()).await,
        [Admitted::Duplicate],
        "although it is over"
    );
    assert_eq!(ids(w, "new-1").await, ["1", "2"]);
    admitted(w, 3, vec![wrote("3", "491", t(3))]).await;
    assert_eq!(ids(w, "new-3").await, ["3"], "a new one after the end");
}

pub async fn a_conversation_that_people_have_goes_on_for_ever(w: &World) {
    admitted(w, 0, vec![wrote("1", "491", t(0)), handed("2", "491")]).await;
    admitted(w, 900 * HOUR, vec![wrote("3", "491", t(900 * HOUR))]).await;
    assert_eq!(ids(w, "new-1").await, ["1", "2", "3"]);
}

pub async fn what_tells_of_no_conversation_is_for_nobody(w: &World) {
    let returned = || Data::SessionReturned(SessionReturned::default());
    let told_first = admitted(w, 0, vec![told("1", "491", returned())]).await;
    assert_eq!(told_first, [Admitted::Nobody]);
    assert_eq!(ids(w, "new-1").await, [""; 0]);
    admitted(
        w,
        1,
        vec![wrote("2", "491", t(1)), told("3", "491", closed())],
    )
    .await;
    let late = admitted(w, 2, vec![told("4", "491", returned())]).await;
    assert!(
        matches!(late[..], [Admitted::New(_)]),
        "a late word of one that is over"
    );
    assert_eq!(ids(w, "new-2").await, ["2", "3", "4"]);
}

pub async fn what_people_do_not_have_cannot_be_given_back(w: &World) {
    let given_back = |id: &str| {
        let mut told = told(id, "491", Data::SessionReturned(SessionReturned::default()));
        told.find.as_mut().unwrap().only_people = true;
        told
    };
    admitted(w, 0, vec![wrote("1", "491", t(0))]).await;
    assert_eq!(
        admitted(w, 1, vec![given_back("2")]).await,
        [Admitted::Nobody]
    );
    admitted(w, 2, vec![handed("3", "491")]).await;
    let back = admitted(w, 3, vec![given_back("4")]).await;
    assert!(matches!(back[..], [Admitted::New(_)]), "{back:?}");
    admitted(w, 4, vec![told("5", "491", closed())]).await;
    assert_eq!(
        admitted(w, 5, vec![given_back("6")]).await,
        [Admitted::Nobody],
        "it stays closed"
    );
}

pub async fn a_customer_is_found_under_any_of_their_keys(w: &World) {
    let mut first = wrote("1", "491", t(0));
    let contact = first.contact.as_mut().unwrap();
    contact.user_id = Some("DE.1".into());
    first.find.as_mut().unwrap().customers = vec!["DE.1".into(), "491".into()];
    admitted(w, 0, vec![first]).await;
    let mut second = wrote("2", "491", t(1));
    second.find.as_mut().unwrap().customers = vec!["DE.1".into(), "491".into()];
    admitted(w, 1, vec![second]).await;
    assert_eq!(ids(w, "new-1").await, ["1", "2"]);
}

pub async fn a_handoff_that_follows_goes_with_its_message(w: &World) {
    let follows = |id: &str| {
        let mut handed = handed(id, "491");
        let find = handed.find.as_mut().unwrap();
        (find.follows, find.unless_people) = (true, true);
        handed
    };
    let first = admitted(w, 0, vec![wrote("1", "491", t(0)), follows("1/handoff")]).await;
    assert!(
        matches!(first[..], [Admitted::New(_), Admitted::New(_)]),
        "{first:?}"
    );
    let again = admitted(w, 1, vec![wrote("2", "491", t(1)), follows("2/handoff")]).await;
    assert!(
        matches!(again[..], [Admitted::New(_), Admitted::Nobody]),
        "people have it: {again:?}"
    );
    let twice = admitted(w, 2, vec![wrote("1", "491", t(0)), follows("1/handoff")]).await;
    assert_eq!(twice[0], Admitted::Duplicate);
    assert!(!matches!(twice[1], Admitted::New(_)), "{twice:?}");
    admitted(w, 3, vec![told("3", "491", closed())]).await;
    let late = admitted(w, 4, vec![wrote("2", "491", t(1)), follows("2/handoff")]).await;
    assert_eq!(
        late,
        [Admitted::Duplicate, Admitted::Nobody],
        "of a message that was there already"
    );
    assert_eq!(ids(w, "new-1").await, ["1", "1/handoff", "2", "3"]);
}

pub async fn a_handoff_without_a_transcript_gets_the_conversations(w: &World) {
    admitted(w, 0, vec![wrote("1", "491", t(0))]).await;
    admitted(w, 1, vec![wrote("2", "491", t(1))]).await;
    admitted(w, 2, vec![wrote("3", "491", t(2))]).await;
    let mut handed = handed("4", "491");
    handed.find.as_mut().unwrap().transcript = 2;
    let at = admitted(w, 3, vec![handed]).await;
    let event = stored(w, at[0]).await;
    let Data::HandoffRequested(handoff) = &event.data else {
        panic!("a handoff")
    };
    let ids: Vec<&str> = handoff
        .transcript
        .iter()
        .map(|said| said.id.as_str())
        .collect();
    assert_eq!(ids, ["wamid.2", "wamid.3"], "the newest, oldest first");
}

pub async fn a_status_finds_the_conversation_of_the_message(w: &World) {
    admitted(w, 0, vec![wrote("1", "491", t(0)), handed("2", "491")]).await;
    let lane = w.b.lane_of("new-1", "hub").await.unwrap().unwrap();
    let received = Received {
        facts: vec![(lane.lane, "wamid/a".into(), "ref".into())],
        ..Received::default()
    };
    w.a.store_received(t(1), received).await.unwrap();
    let status = Data::MessageStatus(MessageStatus {
        message_id: Some("a".into()),
        reference: None,
        status: DeliveryState::Read,
        error_code: None,
        error: None,
    });
    // Nothing else tells whose it is.
    let mut told = told("3", "", status);
    let find = told.find.as_mut().unwrap();
    (find.numbers, find.customers) = (Vec::new(), Vec::new());
    let unknown = admitted(w, 2, vec![told.clone()]).await;
    assert_eq!(unknown, [Admitted::Nobody]);
    told.find.as_mut().unwrap().ours = vec!["wamid/b".into(), "wamid/a".into()];
    admitted(w, 3, vec![told]).await;
    assert_eq!(ids(w, "new-1").await, ["1", "2", "3"]);
}

pub async fn copies_of_what_we_sent_are_for_nobody(w: &World) {
    admitted(w, 0, vec![wrote("1", "491", t(0)), handed("2", "491")]).await;
    let reply = Data::RepReplied(RepReply {
        target: "hub".into(),
        message_id: "m".into(),
        author: None,
        text: Some("We are on it.".into()),
        attachments: Vec::new(),
        options: Vec::new(),
        template: None,
        quotes: None,
    });
    let replied = plain(Event {
        data: reply,
        ..message("new-1", "reply")
    });
    admitted(w, 1, vec![replied]).await;
    let lane = w.b.lane_of("new-1", "hub").await.unwrap().unwrap();
    let received = Received {
        facts: vec![(lane.lane, "wamid/a".into(), "ref".into())],
        ..Received::default()
    };
    w.a.store_received(t(1), received).await.unwrap();
    let sent = |id: &str, text: &str| {
        let mut said = wrote(id, "491", t(2));
        said.inbound_at = None;
        let Data::MessageReceived(mut event) = said.event.data else {
            panic!("a message")
        };
        event.message.text = Some(text.into());
        said.event.data = Data::MessageSent(event);
        said
    };
    let mut by_id = sent("3", "other words");
    by_id.find.as_mut().unwrap().ours = vec!["wamid/a".into()];
    assert_eq!(admitted(w, 2, vec![by_id]).await, [Admitted::Nobody]);
    let by_text = sent("4", " We are on it. ");
    assert_eq!(
        admitted(w, 3, vec![by_text.clone()]).await,
        [Admitted::Nobody]
    );
    let others = admitted(w, 4, vec![sent("5", "what a bot said")]).await;
    assert!(matches!(others[..], [Admitted::New(_)]), "{others:?}");
    let much_later = admitted(w, HOUR, vec![by_text]).await;
    assert!(
        matches!(much_later[..], [Admitted::New(_)]),
        "nobody's copy takes an hour"
    );
}

pub async fn many_at_once_begin_one_conversation(w: &World) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let ledger = if n % 2 == 0 { w.a.clone() } else { w.b.clone() };
        let one = wrote(&format!("{n}"), "491", t(n));
        tasks.spawn(async move { ledger.admit(t(100), vec![one]).await });
    }
    while let Some(done) = tasks.join_next().await {
        let admitted = done.unwrap().unwrap();
        assert!(matches!(admitted[..], [Admitted::New(_)]));
    }
    let mut sizes = Vec::new();
    for n in 0..16 {
        sizes.push(ids(w, &format!("new-{n}")).await.len());
    }
    sizes.retain(|size| *size > 0);
    assert_eq!(sizes, [16]);
}

pub async fn a_session_that_is_named_is_taken_as_it_is(w: &World) {
    let named = |id: &str| {
        let mut said = wrote(id, "491", t(0));
        said.event.session = "chat-7".into();
        said.find.as_mut().unwrap().named = true;
        said
    };
    admitted(w, 0, vec![wrote("1", "491", t(0))]).await;
    admitted(w, 1, vec![named("2"), named("3")]).await;
    assert_eq!(ids(w, "chat-7").await, ["2", "3"]);
}
