//! Compares what was issued with what people see. Shares no code with the daemon.

use std::collections::{BTreeMap, BTreeSet};

use crate::book::{Pages, Reply, tokens};
use crate::options::Exit;
use crate::story::{CRMS, Story};
use crate::views::{By, Person, Phones, Record};

/// Examples of breaches that are kept of each kind.
const EXAMPLES: usize = 12;

/// One thing that must hold, checked so often and broken so often.
#[derive(Debug, Clone)]
pub struct Check {
    pub name: &'static str,
    pub checked: u64,
    pub broken: u64,
    pub examples: Vec<String>,
    /// Time may still mend it: what is not there yet may come.
    pub pending: bool,
}

impl Check {
    fn new(name: &'static str, pending: bool) -> Check {
        Check {
            name,
            checked: 0,
            broken: 0,
            examples: Vec::new(),
            pending,
        }
    }

    fn that(&mut self, holds: bool, example: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.broken += 1;
            if self.examples.len() < EXAMPLES {
                self.examples.push(example());
            }
        }
    }
}

/// What the judge looks at.
pub struct Evidence<'a> {
    pub stories: &'a [Story],
    pub book: &'a Pages,
    pub exit: Exit,
    /// The records of each CRM.
    pub records: BTreeMap<&'static str, Vec<Record>>,
    /// The contacts of those CRMs that have them.
    pub people: BTreeMap<&'static str, Vec<Person>>,
    pub phones: Phones,
}

/// What was found.
pub struct Findings {
    pub checks: Vec<Check>,
    /// Replies: delivered, failed and told, held and told.
    pub replies: BTreeMap<&'static str, u64>,
}

impl Findings {
    pub fn broken(&self) -> u64 {
        self.checks.iter().map(|check| check.broken).sum()
    }

    /// Whether nothing is missing any more.
    pub fn complete(&self) -> bool {
        self.checks
            .iter()
            .filter(|check| check.pending)
            .all(|check| check.broken == 0)
    }
}

/// Judges.
pub fn judge(evidence: &Evidence<'_>) -> Findings {
    let shown = shown_on_phones(evidence);
    let (mut checks, mut replies) = (Vec::new(), BTreeMap::new());
    checks.extend(messages(evidence));
    checks.extend(records(evidence));
    checks.extend(asked(evidence));
    checks.extend(contacts(evidence));
    checks.push(files(evidence));
    checks.extend(on_phones(evidence, &shown));
    checks.extend(replied(evidence, &shown, &mut replies));
    checks.push(states(evidence));
    checks.push(completed(evidence));
    Findings { checks, replies }
}

/// What came from the business on each phone, in order: from the simulator, or from the gateway's record.
fn shown_on_phones(evidence: &Evidence<'_>) -> BTreeMap<String, Vec<Vec<String>>> {
    if evidence.exit != Exit::Gateway {
        return evidence.phones.shown.clone();
    }
    let mut shown: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut sent: Vec<_> = evidence
        .book
        .sent
        .values()
        .filter(|sent| !sent.failed)
        .collect();
    sent.sort_by_key(|sent| sent.n);
    for one in sent {
        let key = one.to.trim_start_matches('+').to_owned();
        shown.entry(key).or_default().push(tokens(&one.text));
    }
    shown
}

fn of_session<'a>(evidence: &'a Evidence<'_>, target: &str, session: &str) -> Vec<&'a Record> {
    let all = evidence.records.get(target).into_iter().flatten();
    all.filter(|record| record.sessions.iter().any(|name| name == session))
        .collect()
}

/// Every message that was issued is shown once in every CRM of its session, in order.
fn messages(evidence: &Evidence<'_>) -> [Check; 4] {
    let mut lost = Check::new("messages: none lost", true);
    let mut doubled = Check::new("messages: none doubled", false);
    let mut order = Check::new("messages: in order", false);
    let mut one = Check::new("one record per session and CRM", false);
    for story in evidence.stories {
        let Some(issued) = evidence.book.messages.get(&story.session) else {
            continue;
        };
        for target in &story.targets {
            let records = of_session(evidence, target, &story.session);
            let place = format!("{} in {target}", story.session);
            // What was ended for good is followed by a new record.
            one.that(records.len() <= 1 + story.endings(), || {
                format!("{place}: {} records", records.len())
            });
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            for record in &records {
                let mut last = 0;
                for entry in &record.entries {
                    for token in entry
                        .tokens
                        .iter()
                        .filter(|token| number(token, 'M').is_some())
                    {
                        *counts.entry(token).or_default() += 1;
                        let n = number(token, 'M').unwrap_or_default();
                        order.that(n > last || counts[token.as_str()] > 1, || {
                            format!("{place}: {token} after M{last}")
                        });
                        last = last.max(n);
                    }
                }
            }
            for token in issued {
                let count = counts.get(token.as_str()).copied().unwrap_or(0);
                lost.that(count > 0, || format!("{place}: {token}"));
                doubled.that(count <= 1, || format!("{place}: {token} {count} times"));
            }
        }
    }
    [lost, doubled, order, one]
}

/// Nothing stands in a record that does not belong there.
fn records(evidence: &Evidence<'_>) -> [Check; 3] {
    let mut misdirected = Check::new("records: nothing of another session", false);
    let mut echoed = Check::new("replies: never echoed into a CRM", false);
    let mut unwanted = Check::new("records: only where the handoff was to go", false);
    for target in CRMS {
        for record in evidence.records.get(target).into_iter().flatten() {
            let place = format!("{target} {}", record.id);
            misdirected.that(record.sessions.len() <= 1, || {
                format!("{place}: {:?}", record.sessions)
            });
            let own = record.sessions.first().map_or("", String::as_str);
            let story = evidence.stories.iter().find(|story| story.session == own);
            unwanted.that(
                story.is_some_and(|story| story.targets.contains(&target)),
                || format!("{place} shows {own}"),
            );
            for entry in &record.entries {
                for token in &entry.tokens {
                    misdirected.that(token.starts_with(own), || {
                        format!("{place} of {own} shows {token}")
                    });
                    let spoken = number(token, 'R').is_some() || number(token, 'N').is_some();
                    if spoken {
                        // What a rep wrote in another CRM is shown; an internal note and what was written
                        // here are not.
                        let elsewhere = evidence
                            .book
                            .replies
                            .iter()
                            .any(|reply| reply.token == *token && reply.target != target);
                        let ours = entry.by == By::App && !entry.notice && !elsewhere;
                        echoed.that(!ours, || format!("{place}: {token} comes back"));
                    }
                }
            }
        }
    }
    [misdirected, echoed, unwanted]
}

/// Reps are asked when they should be, and not when the assistant has the conversation.
fn asked(evidence: &Evidence<'_>) -> [Check; 2] {
    let mut rings = Check::new("nobody is asked after a return", false);
    let mut done = Check::new("no handoff ends on a record that counts as done", true);
    for story in evidence.stories {
        let unasked = evidence.book.unasked.get(&story.session);
        for target in &story.targets {
            let records = of_session(evidence, target, &story.session);
            let place = format!("{} in {target}", story.session);
            let shown = |token: &String| {
                let mut entries = records.iter().flat_map(|record| &record.entries);
                entries.any(|entry| entry.tokens.contains(token))
            };
            for token in unasked.into_iter().flatten() {
                rings.that(!shown(token), || format!("{place}: {token}"));
            }
            if story.is_with_people() {
                let open = records.iter().any(|record| !record.done);
                done.that(open, || format!("{place}: {} records", records.len()));
            }
        }
    }
    [rings, done]
}

/// Every customer is one contact, and nobody is on a contact that is somebody else.
fn contacts(evidence: &Evidence<'_>) -> [Check; 2] {
    let mut one = Check::new("contacts: one per customer", false);
    let mut right = Check::new("contacts: nobody's record is on somebody else's", false);
    for (target, people) in &evidence.people {
        let mut theirs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut whose: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let stories = evidence.stories.iter();
        for story in stories.filter(|story| story.targets.contains(target)) {
            let key = story.customer.key.as_str();
            let named = people.iter().filter(|person| person.keys.contains(key));
            let records = of_session(evidence, target, &story.session);
            let linked = records.iter().flat_map(|record| &record.contacts);
            for id in linked.chain(named.map(|person| &person.id)) {
                theirs.entry(key).or_default().insert(id);
                whose.entry(id).or_default().insert(key);
            }
        }
        for (key, ids) in theirs {
            one.that(ids.len() == 1, || format!("{key} in {target}: {ids:?}"));
        }
        for (id, keys) in whose {
            right.that(keys.len() == 1, || format!("{id} in {target}: {keys:?}"));
        }
    }
    [one, right]
}

/// Every file of a customer is shown once.
fn files(evidence: &Evidence<'_>) -> Check {
    let mut check = Check::new("files: none lost, none doubled", true);
    for (session, stem) in &evidence.book.files {
        let Some(story) = evidence
            .stories
            .iter()
            .find(|story| story.session == *session)
        else {
            continue;
        };
        for target in &story.targets {
            let mut count = 0;
            for record in of_session(evidence, target, session) {
                let ours = |name: &&String| {
                    name.strip_prefix(stem.as_str())
                        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
                };
                count += record.files.iter().filter(ours).count();
            }
            check.that(count == 1, || {
                format!("{session} in {target}: {stem} {count} times")
            });
        }
    }
    check
}

/// What is on the phones: only replies, to the right customer, in order, inside the window.
fn on_phones(evidence: &Evidence<'_>, shown: &BTreeMap<String, Vec<Vec<String>>>) -> [Check; 5] {
    let mut misdirected = Check::new("replies: only to their customer", false);
    let mut notes = Check::new("internal notes: never on a phone", false);
    let mut echoed = Check::new("customers: never their own words back", false);
    let mut order = Check::new("replies: in order", false);
    let mut window = Check::new("no free text outside the window", false);
    let customers: BTreeMap<&str, &str> = evidence
        .stories
        .iter()
        .map(|story| (story.session.as_str(), story.customer.key.as_str()))
        .collect();
    let mut leaked: BTreeSet<&str> = BTreeSet::new();
    for (phone, messages) in shown {
        let mut last: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        for token in messages.iter().flatten() {
            let session = token.split('-').next().unwrap_or_default();
            let right = customers
                .get(session)
                .is_some_and(|customer| customer == phone);
            misdirected.that(right, || format!("{token} on the phone of {phone}"));
            echoed.that(number(token, 'M').is_none(), || {
                format!("{token} on the phone of {phone}")
            });
            if number(token, 'N').is_some() {
                leaked.insert(token);
            }
            if let Some(n) = number(token, 'R') {
                // Replies of one CRM are numbered in one hundred.
                let before = last.entry((session, n / 100)).or_default();
                order.that(n >= *before, || {
                    format!("{token} after R{before} on the phone of {phone}")
                });
                *before = n.max(*before);
            }
        }
        let outgoing = messages.len() as u64;
        window.checked += outgoing;
    }
    for (_, _, token) in &evidence.book.notes {
        notes.that(!leaked.contains(token.as_str()), || token.clone());
    }
    for token in leaked.iter().filter(|token| {
        !evidence
            .book
            .notes
            .iter()
            .any(|(_, _, note)| note == *token)
    }) {
        notes.that(false, || (*token).to_owned());
    }
    let outside = evidence.phones.outside.iter().cloned();
    let sent = evidence
        .book
        .sent
        .values()
        .filter(|sent| sent.outside)
        .map(|sent| tokens(&sent.text).join(","));
    for token in outside.chain(sent) {
        window.that(false, || token);
    }
    [misdirected, notes, echoed, order, window]
}

/// Every reply is on its customer's phone once, or its rep was told why not.
fn replied(
    evidence: &Evidence<'_>,
    shown: &BTreeMap<String, Vec<Vec<String>>>,
    counted: &mut BTreeMap<&'static str, u64>,
) -> [Check; 2] {
    let mut lost = Check::new("replies: on the phone, or the rep is told", true);
    let mut doubled = Check::new("replies: none doubled", false);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for token in shown.values().flatten().flatten() {
        *counts.entry(token).or_default() += 1;
    }
    let mut untold: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for reply in &evidence.book.replies {
        let count = counts.get(reply.token.as_str()).copied().unwrap_or(0);
        doubled.that(count <= 1, || format!("{} {count} times", reply.token));
        let fate = if count > 0 {
            "delivered"
        } else {
            let missing = untold.entry((&reply.session, reply.target)).or_default();
            *missing += 1;
            told(evidence, reply, *missing).unwrap_or("neither delivered nor told")
        };
        *counted.entry(fate).or_default() += 1;
        lost.that(fate != "neither delivered nor told", || {
            format!("{} ({}, {})", reply.token, reply.target, reply.id)
        });
    }
    [lost, doubled]
}

/// Whether the rep was told of so many replies that did not arrive, and how.
fn told(evidence: &Evidence<'_>, reply: &Reply, missing: u64) -> Option<&'static str> {
    let story = evidence
        .stories
        .iter()
        .find(|story| story.session == reply.session)?;
    let wrote = evidence.book.wrote.contains_key(&story.customer.key);
    let (mut failed, mut held) = (0, 0);
    for record in of_session(evidence, reply.target, &reply.session) {
        for entry in record.entries.iter().filter(|entry| entry.notice) {
            let yet = [
                "Not yet delivered to WhatsApp",
                "Not delivered to WhatsApp yet",
            ];
            if yet.iter().any(|words| entry.text.contains(words)) {
                held += 1;
            } else if entry.text.contains("Not delivered to WhatsApp") {
                failed += 1;
            }
        }
    }
    if failed >= missing {
        return Some("failed, and the rep was told");
    }
    // A reply may wait only for a customer who has not written.
    (!wrote && held >= missing).then_some("waits for the customer, and the rep was told")
}

/// What became of a reply in the end stands in the record of its rep: in HubSpot of the last one, in
/// Creatio of each. Salesforce has receipts for that, of what arrived alone.
fn states(evidence: &Evidence<'_>) -> Check {
    let mut check = Check::new("replies: their state is on the record", true);
    for reply in &evidence.book.replies {
        let records = of_session(evidence, reply.target, &reply.session);
        let is_told = match reply.target {
            "hubspot" => records.iter().any(|record| {
                let state = record.reply_state.as_deref().unwrap_or_default();
                !state.is_empty() && !state.starts_with("accepted")
            }),
            "creatio" => records
                .iter()
                .flat_map(|record| &record.entries)
                .any(|entry| {
                    let is_its = entry.by == By::App && entry.tokens.contains(&reply.token);
                    is_its && entry.notice && !entry.text.contains("On its way to WhatsApp")
                }),
            _ => continue,
        };
        check.that(is_told, || format!("{} in {}", reply.token, reply.target));
    }
    check
}

/// The gateway was told of every record.
fn completed(evidence: &Evidence<'_>) -> Check {
    let mut check = Check::new("the gateway is told of every record", true);
    for story in evidence.stories {
        for target in &story.targets {
            let told = evidence.book.told.iter().any(|(kind, session, crm)| {
                kind == "handoff.completed" && *session == story.session && crm == target
            });
            check.that(told, || format!("{} in {target}", story.session));
        }
    }
    check
}

/// The number in a token of this letter.
fn number(token: &str, letter: char) -> Option<u64> {
    token.split_once('-')?.1.strip_prefix(letter)?.parse().ok()
}
