//! The judge judged: breaches that are planted into a quiet run's evidence must be found.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::book::{Pages, Reply, Sent};
use crate::judge::{Evidence, judge};
use crate::options::Exit;
use crate::story::{Act, Customer, Story};
use crate::views::{By, Entry, Person, Phones, Record};

/// The evidence that breaches are planted into.
struct Plot {
    stories: Vec<Story>,
    book: Pages,
    exit: Exit,
    record: Record,
    second: Option<Record>,
    people: Vec<Person>,
    phones: Phones,
}

/// Checks every breach; how many were found, and how many were not.
pub fn found() -> (usize, usize) {
    let mut results = Vec::new();
    let mut plant = |check: Option<&str>, breach: &dyn Fn(&mut Plot)| {
        let mut plot = quiet();
        breach(&mut plot);
        let broken = broken(&plot);
        let right = match check {
            Some(check) => broken.contains(&check),
            None => broken.is_empty(),
        };
        if !right {
            println!("the judge does not find {check:?}, but {broken:?}");
        }
        results.push(right);
    };
    plant(None, &|_| {});
    plant(Some("messages: none lost"), &|plot| {
        plot.record.entries[0].tokens.truncate(1)
    });
    plant(Some("messages: none doubled"), &|plot| {
        let again = plot.record.entries[0].clone();
        plot.record.entries.push(again);
    });
    plant(Some("messages: in order"), &|plot| {
        plot.record.entries[0].tokens.reverse()
    });
    plant(Some("one record per session and CRM"), &|plot| {
        let mut second = plot.record.clone();
        second.entries.clear();
        plot.second = Some(second);
    });
    plant(Some("records: nothing of another session"), &|plot| {
        plot.record.entries[0].tokens.push("S0002-M1".into());
    });
    plant(Some("replies: never echoed into a CRM"), &|plot| {
        plot.record
            .entries
            .push(entry(By::App, &["S0001-R101"], ""));
    });
    plant(Some("records: only where the handoff was to go"), &|plot| {
        plot.stories[0].targets = vec!["creatio"];
    });
    plant(Some("files: none lost, none doubled"), &|plot| {
        plot.record.files.clear()
    });
    plant(Some("files: none lost, none doubled"), &|plot| {
        let file = plot.record.files[0].clone();
        plot.record.files.push(file);
    });
    plant(Some("replies: only to their customer"), &|plot| {
        plot.phones
            .shown
            .insert("49222".into(), vec![vec!["S0001-R101".into()]]);
    });
    plant(Some("internal notes: never on a phone"), &|plot| {
        show(plot, "S0001-N103")
    });
    plant(Some("customers: never their own words back"), &|plot| {
        show(plot, "S0001-M1")
    });
    plant(Some("replies: in order"), &|plot| {
        plot.phones
            .shown
            .values_mut()
            .for_each(|messages| messages.reverse());
    });
    plant(Some("no free text outside the window"), &|plot| {
        plot.phones.outside.push("S0001-R101".into())
    });
    plant(Some("no free text outside the window"), &|plot| {
        sent(plot, true, false)
    });
    plant(Some("replies: on the phone, or the rep is told"), &|plot| {
        plot.phones.shown.clear()
    });
    plant(None, &|plot| {
        plot.phones.shown.clear();
        for _ in 0..2 {
            plot.record
                .entries
                .push(entry(By::App, &[], "⚠ Not delivered to WhatsApp: no"));
        }
    });
    plant(Some("replies: on the phone, or the rep is told"), &|plot| {
        plot.phones.shown.clear();
        plot.record
            .entries
            .push(entry(By::App, &[], "⚠ Not delivered to WhatsApp: no"));
    });
    plant(Some("replies: on the phone, or the rep is told"), &|plot| {
        sent(plot, false, true)
    });
    plant(Some("replies: none doubled"), &|plot| {
        show(plot, "S0001-R102")
    });
    plant(Some("the gateway is told of every record"), &|plot| {
        plot.book.told.clear()
    });
    plant(Some("nobody is asked after a return"), &|plot| {
        let said = vec!["S0001-M3".into()];
        plot.book.unasked.insert("S0001".into(), said);
        plot.record.entries.push(entry(By::App, &["S0001-M3"], ""));
    });
    plant(
        Some("no handoff ends on a record that counts as done"),
        &|plot| plot.record.done = true,
    );
    plant(None, &|plot| {
        plot.record.done = true;
        plot.stories[0].events = vec![(Duration::ZERO, Act::Closes)];
    });
    plant(Some("replies: their state is on the record"), &|plot| {
        plot.record.reply_state = Some("accepted".into());
    });
    plant(Some("contacts: one per customer"), &|plot| {
        let mut again = plot.people[0].clone();
        again.id = "11".into();
        plot.people.push(again);
    });
    plant(
        Some("contacts: nobody's record is on somebody else's"),
        &|plot| {
            plot.stories[1].targets = vec!["hubspot"];
            plot.people[0].keys.insert("49222".into());
        },
    );
    let right = results.iter().filter(|right| **right).count();
    (right, results.len() - right)
}

/// The names of the checks that are broken.
fn broken(plot: &Plot) -> Vec<&'static str> {
    let records = [plot.record.clone()]
        .into_iter()
        .chain(plot.second.clone())
        .collect();
    let phones = Phones {
        shown: plot.phones.shown.clone(),
        outside: plot.phones.outside.clone(),
        undelivered: Vec::new(),
    };
    let findings = judge(&Evidence {
        stories: &plot.stories,
        book: &plot.book,
        exit: plot.exit,
        records: BTreeMap::from([("hubspot", records)]),
        people: BTreeMap::from([("hubspot", plot.people.clone())]),
        phones,
    });
    let broken = findings.checks.iter().filter(|check| check.broken > 0);
    broken.map(|check| check.name).collect()
}

/// A session with two messages, a file, two replies and a note, as everything should be.
fn quiet() -> Plot {
    let story = |n: usize, key: &str| Story {
        n,
        session: format!("S{n:04}"),
        customer: Customer {
            key: key.into(),
            hidden: false,
            name: "Ana".into(),
        },
        is_only: true,
        targets: vec!["hubspot"],
        stale: false,
        begins: Duration::ZERO,
        transcript: 1,
        events: Vec::new(),
        reps: Vec::new(),
    };
    let mut elsewhere = story(2, "49222");
    elsewhere.targets.clear();
    let reply = |n: u64| Reply {
        session: "S0001".into(),
        target: "hubspot",
        token: format!("S0001-R{n}"),
        id: n.to_string(),
    };
    let book = Pages {
        messages: BTreeMap::from([("S0001".into(), vec!["S0001-M1".into(), "S0001-M2".into()])]),
        replies: vec![reply(101), reply(102)],
        notes: vec![("S0001".into(), "hubspot", "S0001-N103".into())],
        files: vec![("S0001".into(), "file0001x2".into())],
        told: vec![("handoff.completed".into(), "S0001".into(), "hubspot".into())],
        ..Pages::default()
    };
    let record = Record {
        id: "1".into(),
        sessions: vec!["S0001".into()],
        entries: vec![
            entry(By::App, &["S0001-M1", "S0001-M2"], ""),
            entry(By::Person, &["S0001-R101"], ""),
            entry(By::Person, &["S0001-R102"], ""),
            entry(By::Person, &["S0001-N103"], ""),
        ],
        files: vec!["file0001x2-8f3a.pdf".into()],
        staffed: true,
        done: false,
        contacts: vec!["10".into()],
        reply_state: Some("delivered".into()),
    };
    let person = Person {
        id: "10".into(),
        keys: ["49111".into()].into(),
    };
    let shown = vec![vec!["S0001-R101".into()], vec!["S0001-R102".into()]];
    Plot {
        stories: vec![story(1, "49111"), elsewhere],
        book,
        exit: Exit::Cloud,
        record,
        second: None,
        people: vec![person],
        phones: Phones {
            shown: BTreeMap::from([("49111".into(), shown)]),
            ..Phones::default()
        },
    }
}

fn entry(by: By, tokens: &[&str], text: &str) -> Entry {
    Entry {
        by,
        tokens: tokens.iter().map(|token| (*token).to_owned()).collect(),
        notice: text.contains("Not delivered"),
        text: text.to_owned(),
    }
}

fn show(plot: &mut Plot, token: &str) {
    for messages in plot.phones.shown.values_mut() {
        messages.push(vec![token.to_owned()]);
    }
}

/// The replies went to a gateway instead of a phone.
fn sent(plot: &mut Plot, outside: bool, failed: bool) {
    plot.exit = Exit::Gateway;
    for (n, reply) in plot.book.replies.iter().enumerate() {
        let text = format!("«{}» hello", reply.token);
        let sent = Sent {
            n,
            to: "+49111".into(),
            text,
            outside,
            failed,
        };
        plot.book.sent.insert(reply.id.clone(), sent);
    }
}
