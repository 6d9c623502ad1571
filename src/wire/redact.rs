//! Keeps what people wrote, and what signs us in, out of the other side's words.
//!
//! An error's words are for operators: they go to logs, attempts and the admin pages. Many an API
//! repeats the refused request in them. Every connector takes the part that names the problem; what
//! is still somebody's text there, or looks like a token, is replaced by `…` here, for all of them.

use std::collections::{HashMap, HashSet};

use handoffd_contract::{Data, Message, Work};
use serde_json::Value;

/// So many letters and digits in a row, the same as in a text, are not there by chance.
const RUN: usize = 12;

/// A text shorter than this is looked for as a whole only, and one shorter than [`WHOLE`] not at all.
const WHOLE: usize = 8;

/// So many letters and digits in a row, with some of both, are a token or a key. Record ids are
/// shorter, and the parts of a UUID are.
const TOKEN: usize = 24;

/// What stands instead.
const GONE: &str = "…";

/// The words without what anybody wrote in this conversation. Case, punctuation and white space are
/// passed over, so that escaping and reflowing hide nothing.
#[must_use]
pub fn message_texts(words: &str, work: &Work) -> String {
    let said = letters(words);
    let mut runs: HashMap<&[char], Vec<usize>> = HashMap::new();
    let plain: Vec<char> = said.iter().map(|(_, c)| *c).collect();
    for (at, run) in plain.windows(RUN).enumerate() {
        runs.entry(run).or_default().push(at);
    }
    let mut hidden: HashSet<usize> = HashSet::new();
    written(work, &mut |text| {
        let text: Vec<char> = letters(text).into_iter().map(|(_, c)| c).collect();
        for run in text.windows(RUN) {
            for at in runs.get(run).into_iter().flatten() {
                hidden.extend(*at..at + RUN);
            }
        }
        if (WHOLE..RUN).contains(&text.len()) {
            for (at, window) in plain.windows(text.len()).enumerate() {
                if window == text {
                    hidden.extend(at..at + text.len());
                }
            }
        }
    });
    let spans: Vec<(usize, char)> = said
        .into_iter()
        .enumerate()
        .map(|(n, (at, c))| (at, if hidden.contains(&n) { '\0' } else { c }))
        .collect();
    without(words, &spans)
}

/// The words without anything that looks like a token.
#[must_use]
pub fn tokens(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut rest = words;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let run = &rest[..end];
        let both =
            run.bytes().any(|b| b.is_ascii_digit()) && run.bytes().any(|b| b.is_ascii_alphabetic());
        out.push_str(if run.len() >= TOKEN && both {
            GONE
        } else {
            run
        });
        let next = rest[end..].chars().next();
        out.extend(next);
        rest = &rest[end + next.map_or(0, char::len_utf8)..];
    }
    out
}

/// Letters and digits in lower case, each with where it stands.
fn letters(text: &str) -> Vec<(usize, char)> {
    text.char_indices()
        .filter(|(_, c)| c.is_alphanumeric())
        .map(|(at, c)| (at, c.to_lowercase().next().unwrap_or(c)))
        .collect()
}

/// The words with one ellipsis for every row of hidden letters, and for what stands between them.
fn without(words: &str, letters: &[(usize, char)]) -> String {
    let mut out = String::with_capacity(words.len());
    let mut from = 0;
    let mut at = 0;
    while at < letters.len() {
        let row = letters[at..].iter().take_while(|(_, c)| *c == '\0').count();
        if row == 0 {
            at += 1;
            continue;
        }
        let (start, last) = (letters[at].0, letters[at + row - 1].0);
        out.push_str(&words[from..start]);
        out.push_str(GONE);
        from = last + words[last..].chars().next().map_or(0, char::len_utf8);
        at += row;
    }
    out.push_str(&words[from..]);
    out
}

/// Everything that people or the assistant wrote, one text after the other. Ids and picklist values
/// are not among it: an operator needs them.
fn written(work: &Work, tell: &mut dyn FnMut(&str)) {
    let mut some = |text: &Option<String>| text.iter().for_each(|text| tell(text));
    some(&work.contact.name);
    some(&work.contact.email);
    for item in &work.items {
        match &item.data {
            Data::HandoffRequested(handoff) => {
                some(&handoff.contact.name);
                some(&handoff.contact.email);
                some(&handoff.handoff.summary);
                some(&handoff.handoff.topic);
                handoff
                    .transcript
                    .iter()
                    .for_each(|said| message(said, &mut some));
                for value in handoff.fields.values() {
                    strings(value, &mut some);
                }
            }
            Data::MessageReceived(said) | Data::MessageSent(said) => {
                message(&said.message, &mut some);
            }
            Data::RepReplied(reply) => {
                some(&reply.text);
                some(&reply.author);
            }
            _ => {}
        }
    }
}

fn message(message: &Message, tell: &mut dyn FnMut(&Option<String>)) {
    tell(&message.text);
    tell(&message.author.name);
    for file in &message.attachments {
        tell(&file.name);
        tell(&file.caption);
        tell(&file.transcript);
    }
    if let Some(place) = &message.location {
        tell(&place.name);
        tell(&place.address);
    }
    message.earlier().for_each(|earlier| tell(&earlier.text));
    for card in &message.contacts {
        tell(&card.name);
        tell(&card.organization);
        let reached = card.phones.iter().chain(&card.emails);
        reached.for_each(|text| tell(&Some(text.clone())));
    }
    if let Some(referral) = &message.referral {
        tell(&referral.headline);
        tell(&referral.body);
    }
    for item in message.order.iter().flat_map(|order| &order.items) {
        tell(&item.name);
    }
    if let Some(poll) = &message.poll {
        tell(&poll.question);
    }
    let options = message.poll.iter().flat_map(|poll| &poll.options);
    let votes = message.vote.iter().flat_map(|vote| &vote.options);
    options
        .chain(votes)
        .for_each(|text| tell(&Some(text.clone())));
}

fn strings(value: &Value, tell: &mut dyn FnMut(&Option<String>)) {
    match value {
        Value::String(text) => tell(&Some(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| strings(item, tell)),
        Value::Object(members) => members.values().for_each(|member| strings(member, tell)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use handoffd_contract::event::Session;
    use handoffd_contract::{Contact, Item};
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn work(text: &str, name: &str) -> Work {
        let said = json!({"type": "message.received", "data": {"message": {
            "id": "m", "time": "2026-01-01T00:00:00Z", "author": {"kind": "customer"}, "text": text,
        }}});
        Work {
            target: "crm".into(),
            session: Session::default(),
            contact: Contact {
                name: Some(name.into()),
                ..Contact::default()
            },
            items: vec![Item {
                id: "e".into(),
                time: Timestamp::UNIX_EPOCH,
                data: serde_json::from_value(said).expect("an event"),
                rendered: None,
            }],
            last_inbound: None,
            now: Timestamp::UNIX_EPOCH,
            controller: handoffd_contract::Controller::queued(None),
        }
    }

    #[test]
    fn what_people_wrote_is_gone_however_it_is_escaped() {
        let work = work(
            "My card is \"4000 1234\" & it's <lost>, please help",
            "Ana María López",
        );
        for (words, quiet) in [
            (
                "400: field Subject is too long",
                "400: field Subject is too long",
            ),
            (
                "bad value 'My card is \\\"4000 1234\\\" &amp; it&#39;s' for Subject",
                "bad value '…\\\" &amp; it&#39;s' for Subject",
            ),
            ("4000 1234 & it's <lost> is not a date", "…> is not a date"),
            (
                "for ANA MARÍA LÓPEZ there is no owner",
                "for … there is no owner",
            ),
            ("My card", "My card"),
        ] {
            assert_eq!(message_texts(words, &work), quiet);
        }
    }

    #[test]
    fn what_people_wrote_is_gone_whatever_kind_of_message_it_is_in() {
        for (field, value) in [
            ("quote", json!({"text": "my pin is 4711 for sure"})),
            (
                "reaction",
                json!({"emoji": "x", "text": "my pin is 4711 for sure"}),
            ),
            ("edit", json!({"text": "my pin is 4711 for sure"})),
            ("vote", json!({"options": ["my pin is 4711 for sure"]})),
            ("poll", json!({"question": "my pin is 4711 for sure"})),
            ("contacts", json!([{"name": "my pin is 4711 for sure"}])),
            ("contacts", json!([{"phones": ["my pin is 4711 for sure"]}])),
            (
                "order",
                json!({"items": [{"name": "my pin is 4711 for sure"}]}),
            ),
            ("referral", json!({"headline": "my pin is 4711 for sure"})),
        ] {
            let mut work = work("Hello", "Ana");
            let mut said =
                json!({"id": "m", "time": "2026-01-01T00:00:00Z", "author": {"kind": "customer"}});
            said[field] = value;
            let said = json!({"type": "message.received", "data": {"message": said}});
            work.items[0].data = serde_json::from_value(said).expect("an event");
            let words = "400: my pin is 4711 for sure is not a date";
            assert!(!message_texts(words, &work).contains("4711"), "{field}");
        }
    }

    #[test]
    fn tokens_are_gone_and_ids_stay() {
        for (words, quiet) in [
            (
                "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x is stale",
                "Bearer ….….x is stale",
            ),
            (
                "?access_token=EAAG0123456789abcdefABCDEF&x=1",
                "?access_token=…&x=1",
            ),
            (
                "case 5003000000D8cuIAAR of 123e4567-e89b-12d3-a456-426614174000",
                "case 5003000000D8cuIAAR of 123e4567-e89b-12d3-a456-426614174000",
            ),
            (
                "user_requested_human_assistance",
                "user_requested_human_assistance",
            ),
            ("ü", "ü"),
        ] {
            assert_eq!(tokens(words), quiet);
        }
    }
}
