//! Lanes that nobody works on, looked at for those whose replies wait.

use handoffd::ledger::{Change, LedgerError, Mention, Next, Unlooked};
use handoffd_contract::event::{Earlier, RepReply, ReplyOption};
use handoffd_contract::lane::carried_fact;
use handoffd_contract::{Data, Event, Reason, ids};

use crate::world::*;

/// A rep's reply.
fn reply(session: &str, id: &str) -> Event {
    let data = Data::RepReplied(RepReply {
        target: "hub".into(),
        message_id: id.into(),
        author: None,
        text: Some("Hello".into()),
        attachments: Vec::new(),
        options: Vec::new(),
        template: None,
        quotes: None,
    });
    Event {
        data,
        ..message(session, id)
    }
}

async fn unlooked(w: &World, now: i64, blocked: bool) -> Vec<Unlooked> {
    w.b.unlooked(t(now), "wa", blocked, 10).await.unwrap()
}

fn sessions(lanes: &[Unlooked]) -> Vec<&str> {
    lanes.iter().map(|one| one.lane.session.as_str()).collect()
}

pub async fn a_lane_that_was_stopped_is_looked_at_once(w: &World) {
    lane(w, "parked", "wa", parked(Reason::UnknownOutcome)).await;
    lane(w, "slow", "wa", backoff(t(500))).await;
    lane(w, "idle", "wa", Next::Idle).await;
    lane(w, "other", "hub", parked(Reason::Account)).await;
    assert_eq!(
        unlooked(w, 1, false).await,
        [],
        "what goes on at once needs no words"
    );
    let lanes = unlooked(w, 3, false).await;
    assert_eq!(sessions(&lanes), ["parked", "slow"]);
    assert_eq!(lanes[0].stop, Some(stop(Reason::UnknownOutcome)));
    w.a.looked(t(3), &lanes[0], Vec::new(), Vec::new(), None)
        .await
        .unwrap();
    w.a.looked(t(3), &lanes[1], Vec::new(), Vec::new(), Some(t(60)))
        .await
        .unwrap();
    assert_eq!(unlooked(w, 59, false).await, []);
    assert_eq!(sessions(&unlooked(w, 60, false).await), ["slow"]);
    assert_eq!(w.b.unlooked(t(60), "wa", false, 0).await, Ok(Vec::new()));
}

pub async fn a_reply_to_a_lane_that_stands_still_makes_it_looked_at(w: &World) {
    for (session, next) in [
        ("parked", parked(Reason::UnknownOutcome)),
        ("slow", backoff(t(500))),
    ] {
        lane(w, session, "wa", next).await;
    }
    for one in unlooked(w, 3, false).await {
        w.a.looked(t(3), &one, Vec::new(), Vec::new(), None)
            .await
            .unwrap();
    }
    w.a.put(t(4), plain(message("parked", "m-1"))).await;
    assert_eq!(unlooked(w, 9, true).await, [], "nobody waits for that");
    w.a.put(t(5), plain(reply("parked", "r-1"))).await;
    w.a.put(t(6), plain(reply("slow", "r-2"))).await;
    let lanes = unlooked(w, 6, false).await;
    assert_eq!(sessions(&lanes), ["parked", "slow"]);
    let loaded = w.b.inspect(lanes[0].lane.lane, 10, 10_000).await.unwrap();
    let kinds: Vec<_> = loaded.events.iter().map(|(_, e)| e.data.kind()).collect();
    assert_eq!(
        kinds,
        [
            "message.received",
            "message.received",
            "rep.replied",
            "session.state"
        ]
    );
}

pub async fn with_a_blocked_target_lanes_that_are_due_are_looked_at_too(w: &World) {
    lane(w, "s", "wa", Next::Idle).await;
    w.a.put(t(5), plain(reply("s", "r-1"))).await;
    assert_eq!(unlooked(w, 6, false).await, [], "it is worked on at once");
    assert_eq!(sessions(&unlooked(w, 6, true).await), ["s"]);
    let lease = w.a.take(t(7), "wa").await;
    assert_eq!(unlooked(w, 8, true).await, [], "somebody works on it");
    let after = t(7 + 61);
    let lanes = w.b.unlooked(after, "wa", true, 10).await.unwrap();
    assert_eq!(sessions(&lanes), ["s"], "whoever did is gone");
    w.a.release(lease, t(9), leaving(99, Next::Idle))
        .await
        .unwrap();
    assert_eq!(unlooked(w, 99, true).await, []);
}

pub async fn what_looking_came_to_is_one_transaction(w: &World) {
    lane(w, "s", "wa", parked(Reason::UnknownOutcome)).await;
    let one = unlooked(w, 3, false).await.remove(0);
    let facts = vec![("waits/r-1/behind".to_owned(), "now".into())];
    let told = || vec![plain(message("s", "told-1"))];
    // Something new has come since.
    w.a.put(t(4), plain(reply("s", "r-2"))).await;
    let stale = w.a.looked(t(4), &one, facts.clone(), told(), None).await;
    assert_eq!(stale, Err(LedgerError::Stale));
    assert_eq!(
        w.a.has("/gateway", "told-1").await,
        Ok(false),
        "nothing was stored"
    );
    let one = unlooked(w, 4, false).await.remove(0);
    w.a.looked(t(5), &one, facts.clone(), told(), None)
        .await
        .unwrap();
    let (_, loaded) = w.b.peek(one.lane.lane).await.unwrap();
    assert_eq!(loaded.known.get("waits/r-1/behind"), Some("now"));
    assert_eq!(w.a.has("/gateway", "told-1").await, Ok(true));
    assert_eq!(unlooked(w, 99, false).await, []);
    // Somebody has worked on it in between.
    lane(w, "b", "wa", backoff(t(2))).await;
    let one = unlooked(w, 3, false).await.remove(0);
    let lease = w.a.take(t(3), "wa").await;
    let late = w.a.looked(t(3), &one, facts.clone(), told(), None).await;
    assert_eq!(late, Err(LedgerError::Stale));
    w.a.release(lease, t(4), leaving(99, Next::Idle))
        .await
        .unwrap();
    let late = w.a.looked(t(4), &one, facts, told(), None).await;
    assert_eq!(late, Err(LedgerError::Stale));
}

pub async fn an_event_is_found_again_by_the_id_that_connectors_know(w: &World) {
    let first = w.a.put(t(0), opening("s", "1", &["wa"])).await;
    let reply = reply("s", "r@1");
    let second = w.a.put(t(0), plain(reply.clone())).await;
    let other = Event {
        source: "/other".into(),
        ..message("s", "1")
    };
    let third = w.a.put(t(0), plain(other)).await;
    w.a.put(t(0), plain(message("elsewhere", "9"))).await;
    let found = async |id: &str| {
        let found = w.b.recall("s", id).await.unwrap();
        found.map(|(seq, event)| (seq, event.id))
    };
    assert_eq!(found("1").await, Some((first, "1".into())));
    assert_eq!(found("r@1").await, Some((second, "r@1".into())));
    let id_collides = format!("1@{}", ids::short(&["/other"]));
    assert_eq!(
        found(&id_collides).await,
        Some((third, id_collides.clone()))
    );
    assert_eq!(found("9").await, None);
    assert_eq!(w.b.recall("s", "r@1").await.unwrap().unwrap().1, reply);
}

pub async fn what_a_message_speaks_of_is_found_among_what_came_before(w: &World) {
    w.a.put(t(0), opening("s", "1", &["wa"])).await;
    let said = w.a.put(t(0), plain(message("s", "2"))).await;
    let mut offer = reply("s", "r-1");
    if let Data::RepReplied(reply) = &mut offer.data {
        reply.options = vec![ReplyOption {
            id: "o\"1".into(),
            title: "Red".into(),
        }];
    }
    w.a.put(t(0), plain(offer)).await;
    let mut quoting = message("s", "3");
    if let Data::MessageReceived(said) = &mut quoting.data {
        let earlier = Earlier {
            message_id: Some("wamid.2".into()),
            ..Earlier::default()
        };
        said.message.quote = Some(Box::new(earlier));
    }
    let last = w.a.put(t(0), plain(quoting)).await;
    w.a.put(t(0), plain(message("elsewhere", "9"))).await;
    let found = async |before: i64, mention: Mention| {
        let found = w.b.mentioned("s", before, mention).await.unwrap();
        found.map(|event| event.id)
    };
    let message_of = |id: &str| Mention::Message(id.into());
    assert_eq!(found(last, message_of("wamid.2")).await, Some("2".into()));
    assert_eq!(
        found(said, message_of("wamid.2")).await,
        None,
        "it came later"
    );
    assert_eq!(
        found(last, message_of("wamid.9")).await,
        None,
        "of another session"
    );
    assert_eq!(found(last, message_of("wamid.OUT")).await, None);
    let option = Mention::Option("o\"1".into());
    assert_eq!(found(last, option.clone()).await, Some("r-1".into()));
    assert_eq!(found(said, option).await, None);
    // A message of ours is known by the fact that says which reply it carried out.
    let lease = w.a.take(t(1), "wa").await;
    let carried = Change::Set(carried_fact("wamid.OUT"), "r-1".into());
    w.a.finish(&lease, t(1), vec![], vec![carried], vec![])
        .await
        .unwrap();
    let ours = found(last, message_of("wamid.OUT")).await;
    assert_eq!(ours, Some("r-1".into()));
}
