//! What the pages of operators read: conversations listed and found, events told, and figures.

use handoffd::ledger::figures::{Span, name};
use handoffd::ledger::view::{
    ConversationFilter, EventsWanted, Listing, Standing, WindowState, words,
};
use handoffd::ledger::{Admission, Change, Next};
use handoffd_contract::event::{
    DeliveryState, HandoffCompleted, HandoffFailed, RepReply, ReplyStatus,
};
use handoffd_contract::{Contact, Controller, Data, Event, Reason};

use crate::world::*;

fn with(session: &str, id: &str, data: Data) -> Event {
    Event {
        data,
        ..message(session, id)
    }
}

async fn listed(w: &World, filter: ConversationFilter) -> Listing {
    w.b.listing(t(100), filter).await.unwrap()
}

fn sessions(listing: &Listing) -> Vec<&str> {
    listing
        .rows
        .iter()
        .map(|row| row.session.as_str())
        .collect()
}

pub async fn conversations_are_listed_the_latest_first(w: &World) {
    for n in 0..5 {
        let wa_id = format!("4917100000{n}");
        w.a.put(
            t(n),
            inbound(&format!("s{n}"), &format!("a{n}"), &wa_id, t(n)),
        )
        .await;
    }
    w.a.put(t(9), plain(message("s1", "later"))).await;
    let filter = |before, limit| ConversationFilter {
        before,
        limit,
        ..ConversationFilter::default()
    };
    let first = listed(w, filter(None, 3)).await;
    assert_eq!(sessions(&first), ["s1", "s4", "s3"]);
    assert_eq!((first.rows[0].last_at, first.looked_back_to), (t(9), None));
    let next = listed(w, filter(first.before, 3)).await;
    assert_eq!(sessions(&next), ["s2", "s0"]);
    assert_eq!((next.before, next.looked_back_to), (None, None));
    let row = &next.rows[1];
    let contact = row.contact.as_ref().unwrap();
    assert_eq!(contact.wa_id.as_deref(), Some("49171000000"));
    assert_eq!(row.data.as_ref().unwrap().business_number, "+4930123");
    assert_eq!(row.last_inbound, Some(t(0)));
    assert_eq!(row.said, Some(("message.received".into(), t(0))));
    assert_eq!(row.state.controller, Controller::Assistant);
    assert_eq!(
        w.b.session_numbered(row.number).await.unwrap().as_deref(),
        Some("s0")
    );
    assert_eq!(w.b.number_of("s0").await, Ok(Some(row.number)));
    assert_eq!(w.b.number_of("nobody").await, Ok(None));
    assert_eq!(w.b.view_counts(t(100)).await.unwrap().all, 5);
}

pub async fn a_filter_finds_what_fits(w: &World) {
    lane(w, "parked", "hub", parked(Reason::Invalid)).await;
    lane(w, "unknown", "wa", parked(Reason::UnknownOutcome)).await;
    lane(w, "trying", "hub", backoff(t(500))).await;
    lane(w, "held", "wa", held(None)).await;
    lane(w, "well", "hub", Next::Idle).await;
    w.a.put(t(2), plain(message("bare", "b"))).await;
    let by = |state, target: Option<&str>| ConversationFilter {
        state: Standing::parse(state),
        target: target.map(str::to_owned),
        ..ConversationFilter::default()
    };
    for (state, target, found) in [
        ("parked", None, &["unknown", "parked"][..]),
        ("parked", Some("hub"), &["parked"]),
        ("unknown", None, &["unknown"]),
        ("trying", None, &["trying"]),
        ("held", None, &["held"]),
        ("well", None, &["bare", "well"]),
        ("well", Some("hub"), &["well"]),
    ] {
        let shown = listed(w, by(state, target)).await;
        assert_eq!(sessions(&shown), found, "{state} {target:?}");
    }
    let of_target = ConversationFilter {
        target: Some("wa".into()),
        ..ConversationFilter::default()
    };
    assert_eq!(sessions(&listed(w, of_target).await), ["held", "unknown"]);
    let since = ConversationFilter {
        since: Some(t(2)),
        ..ConversationFilter::default()
    };
    assert_eq!(sessions(&listed(w, since).await), ["bare"]);
    let row = &listed(w, by("parked", Some("hub"))).await.rows[0];
    assert_eq!(row.lanes[0].stop, Some(stop(Reason::Invalid)));
    let counts = w.b.view_counts(t(100)).await.unwrap();
    assert_eq!((counts.all, counts.needs_person, counts.held), (6, 2, 1));
}

pub async fn windows_and_people_are_filtered(w: &World) {
    let hours = |n: i64| t(n * 3_600);
    let now = hours(24);
    for (session, wrote) in [("old", 0), ("soon", 1), ("fresh", 20)] {
        let wa_id = format!("49171{wrote:07}");
        w.a.put(
            hours(wrote),
            inbound(session, session, &wa_id, hours(wrote)),
        )
        .await;
    }
    w.a.put(now, handing("soon", "h-soon", &[])).await;
    w.a.put(now, handing("fresh", "h-fresh", &[])).await;
    let found = |window| {
        let filter = ConversationFilter {
            window: WindowState::parse(window),
            ..ConversationFilter::default()
        };
        async move { w.b.listing(now, filter).await.unwrap() }
    };
    assert_eq!(sessions(&found("open").await), ["fresh", "soon"]);
    assert_eq!(sessions(&found("closing").await), ["soon"]);
    assert_eq!(sessions(&found("closed").await), ["old"]);
    let queued = ConversationFilter {
        controller: Some("queued".into()),
        ..ConversationFilter::default()
    };
    let shown = w.b.listing(now, queued).await.unwrap();
    assert_eq!(sessions(&shown), ["fresh", "soon"]);
    assert!(matches!(
        shown.rows[0].state.controller,
        Controller::Queued { .. }
    ));
    let counts = w.b.view_counts(now).await.unwrap();
    assert_eq!((counts.waiting, counts.closing), (2, 1));
    let numbered = |number: &str| ConversationFilter {
        number: Some(number.to_owned()),
        controller: Some("assistant".into()),
        ..ConversationFilter::default()
    };
    let shown = w.b.listing(now, numbered("+4930123")).await.unwrap();
    assert_eq!(sessions(&shown), ["old"]);
    assert_eq!(
        sessions(&w.b.listing(now, numbered("+1")).await.unwrap()),
        [""; 0]
    );
}

pub async fn a_conversation_is_found_by_what_is_known(w: &World) {
    let known = Contact {
        phone: Some("+49 171 2345678".into()),
        email: Some("Ana@Example.com".into()),
        ..customer("491712345678")
    };
    let admission = Admission {
        contact: Some(known.clone()),
        ..inbound("s", "a", "491712345678", t(0))
    };
    w.a.put(t(0), admission).await;
    w.a.put(t(1), inbound("other", "b", "491799999999", t(1)))
        .await;
    let done = HandoffCompleted {
        target: "hub".into(),
        handoff: "h".into(),
        records: [("ticket".to_owned(), "T-22".to_owned())].into(),
        url: None,
        notes: Vec::new(),
    };
    w.a.put(t(2), plain(with("s", "done", Data::HandoffCompleted(done))))
        .await;
    let found = |word: String| async move {
        let found = w.b.handled(&[word], 10).await.unwrap();
        found
            .into_iter()
            .map(|(session, _)| session)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(words::phone("0171 2345678").unwrap()).await, ["s"]);
    assert_eq!(
        found(words::email(" ana@example.COM").unwrap()).await,
        ["s"]
    );
    assert_eq!(found(words::record("t-22")).await, ["s"]);
    assert_eq!(found(words::record("t-23")).await, [""; 0]);
    let both = [
        words::phone("2345678").unwrap(),
        words::phone("9999999").unwrap(),
    ];
    let both = w.b.handled(&both, 10).await.unwrap();
    assert_eq!(
        both.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
        ["other", "s"]
    );
    assert_eq!(both[1].1.as_ref().unwrap().email, known.email);
    let filter = ConversationFilter {
        sessions: Some(vec!["s".into(), "nobody".into(), "s".into()]),
        ..ConversationFilter::default()
    };
    assert_eq!(sessions(&listed(w, filter).await), ["s"]);
    lane(w, "sent", "wa", backoff(t(3))).await;
    assert_eq!(w.b.session_with_fact(&["wamid/x".into()]).await, Ok(None));
    let lease = w.a.take(t(4), "wa").await;
    let fact = Change::Set("wamid/x".into(), "1".into());
    w.a.finish(&lease, t(4), Vec::new(), vec![fact], Vec::new())
        .await
        .unwrap();
    let session = w.b.session_with_fact(&["wamid/x".into()]).await.unwrap();
    assert_eq!(session.as_deref(), Some("sent"));
}

pub async fn a_sessions_events_are_read_in_both_directions(w: &World) {
    for n in 0..5 {
        w.a.put(t(n), plain(message("s", &format!("m{n}")))).await;
        w.a.put(t(n), plain(message("other", &format!("o{n}"))))
            .await;
    }
    let wanted = |from, newest, limit, bytes| EventsWanted {
        from,
        newest,
        kind: None,
        limit,
        bytes,
    };
    let read = |wanted| async move {
        let events = w.b.session_events("s", wanted).await.unwrap();
        events
            .into_iter()
            .map(|one| (one.seq, one.event.id))
            .collect::<Vec<_>>()
    };
    let ids = |read: &[(i64, String)]| read.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>();
    let newest = read(wanted(None, true, 2, 1 << 20)).await;
    assert_eq!(ids(&newest), ["m4", "m3"]);
    assert_eq!(
        ids(&read(wanted(Some(newest[1].0), true, 9, 1 << 20)).await),
        ["m2", "m1", "m0"]
    );
    let oldest = read(wanted(None, false, 2, 1 << 20)).await;
    assert_eq!(ids(&oldest), ["m0", "m1"]);
    assert_eq!(
        ids(&read(wanted(Some(oldest[1].0), false, 9, 1 << 20)).await),
        ["m2", "m3", "m4"]
    );
    assert_eq!(
        read(wanted(None, true, 9, 1)).await.len(),
        1,
        "one at least"
    );
    let of_kind = EventsWanted {
        kind: Some("rep.replied"),
        ..wanted(None, true, 9, 1 << 20)
    };
    assert_eq!(read(of_kind).await, []);
}

pub async fn what_happened_since_is_told(w: &World) {
    let before = w.b.marks().await.unwrap();
    lane(w, "s", "hub", backoff(t(3))).await;
    let lease = w.a.take(t(4), "hub").await;
    w.a.finish(
        &lease,
        t(4),
        vec![attempt("ticket.create", "known")],
        Vec::new(),
        Vec::new(),
    )
    .await
    .unwrap();
    let after = w.b.marks().await.unwrap();
    assert!(after.event > before.event && after.attempt > before.attempt);
    let tail = w.b.tail(before.event, before.attempt, 10).await.unwrap();
    assert_eq!((tail.events.len(), tail.attempts.len()), (1, 1));
    let call = &tail.attempts[0];
    assert_eq!((call.session.as_str(), call.target.as_str()), ("s", "hub"));
    assert_eq!(call.attempt, attempt("ticket.create", "known"));
    let tail = w.b.tail(after.event, after.attempt, 10).await.unwrap();
    assert_eq!((tail.events.len(), tail.attempts.len()), (0, 0));
    w.a.release(lease, t(5), leaving(0, parked(Reason::Invalid)))
        .await
        .unwrap();
    assert_eq!(w.b.marks().await.unwrap().parked, before.parked + 1);
}

pub async fn figures_are_counted_once(w: &World) {
    let reply = RepReply {
        target: "hub".into(),
        message_id: "r".into(),
        ..RepReply::default()
    };
    let status = |state| {
        Data::ReplyStatus(ReplyStatus {
            target: "hub".into(),
            message_id: "r".into(),
            state,
            detail: None,
            cause: None,
        })
    };
    w.a.put(t(0), handing("s", "h", &["hub"])).await;
    let done = HandoffCompleted {
        target: "hub".into(),
        handoff: "h".into(),
        records: Default::default(),
        url: None,
        notes: Vec::new(),
    };
    w.a.put(t(3), plain(with("s", "done", Data::HandoffCompleted(done))))
        .await;
    w.a.put(t(3), plain(with("s", "r", Data::RepReplied(reply))))
        .await;
    w.a.put(t(3), plain(with("s", "r1", status(DeliveryState::Sent))))
        .await;
    w.a.put(t(3), plain(with("s", "r2", status(DeliveryState::Read))))
        .await;
    let failed = HandoffFailed {
        target: "hub".into(),
        reason: "invalid".into(),
        message: "no".into(),
    };
    w.a.put(t(4), plain(with("s", "f", Data::HandoffFailed(failed))))
        .await;
    let lease = w.a.take(t(4), "hub").await;
    let calls = vec![attempt("one", "known"), attempt("two", "never")];
    w.a.finish(&lease, t(6), calls, Vec::new(), Vec::new())
        .await
        .unwrap();
    w.a.put(t(100), plain(message("s", "young"))).await;

    // Both daemons count at the same time, and again.
    let (a, b) = tokio::join!(w.a.count_figures(t(60)), w.b.count_figures(t(60)));
    assert_eq!((a, b), (Ok(false), Ok(false)));
    assert_eq!(w.b.count_figures(t(60)).await, Ok(false));
    for span in Span::ALL {
        let figures = w.b.figures(span, t(-7_200)).await.unwrap();
        let sum = |name: &str, target: &str| -> i64 {
            let of = figures
                .iter()
                .filter(|one| one.name == name && one.target == target);
            of.map(|one| one.n).sum()
        };
        assert_eq!(
            sum(name::IN, ""),
            1,
            "{span:?}: the young one is not counted yet"
        );
        assert_eq!(sum(name::REPLY, "hub"), 1, "{span:?}");
        assert_eq!(sum(name::FAILED, "hub"), 1, "{span:?}");
        assert_eq!(
            (sum(name::CALL, "hub"), sum(name::CALL_FAILED, "hub")),
            (2, 1),
            "{span:?}"
        );
        let handoff = figures
            .iter()
            .find(|one| one.name == name::HANDOFF)
            .unwrap();
        assert_eq!((handoff.bucket, handoff.n), (3_000, 1), "{span:?}");
        assert_eq!(handoff.at.as_second().rem_euclid(span.seconds()), 0);
    }
    assert_eq!(w.a.count_figures(t(130)).await, Ok(false));
    let figures = w.b.figures(Span::Hour, t(-7_200)).await.unwrap();
    let came: i64 = figures
        .iter()
        .filter(|one| one.name == name::IN)
        .map(|one| one.n)
        .sum();
    assert_eq!(came, 2);
    // What is old is forgotten, the fine first.
    w.a.put(t(4 * 3_600), plain(message("s", "much-later")))
        .await;
    w.a.count_figures(t(4 * 3_600 + 60)).await.unwrap();
    let left = w.b.figures(Span::Minute, t(-7_200)).await.unwrap();
    assert_eq!(left.iter().map(|one| one.n).sum::<i64>(), 1);
    assert!(w.b.figures(Span::Hour, t(-7_200)).await.unwrap().len() > 1);
}
