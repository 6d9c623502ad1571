//! What people see, read from the simulators' views: records by session, entries in order.

use std::collections::{BTreeMap, BTreeSet};

use handoffd::sandbox::Running;
use serde_json::Value;

use crate::book::tokens_within;

/// Where the session's page is; every record links to it.
pub const PAGE: &str = "https://assistant.example.com/s/";

/// Who wrote an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// handoffd.
    App,
    /// A rep, or anybody else.
    Person,
}

/// One entry of a record: a message, a note, a line of the thread.
#[derive(Debug, Clone)]
pub struct Entry {
    pub by: By,
    /// Each token once, in the order in which it stands there.
    pub tokens: Vec<String>,
    /// Says that a reply did not arrive, or has arrived after all.
    pub notice: bool,
    pub text: String,
}

/// One record of a CRM.
#[derive(Debug, Clone)]
pub struct Record {
    pub id: String,
    /// The sessions whose page it links to.
    pub sessions: Vec<String>,
    pub entries: Vec<Entry>,
    /// Names of files that are really there.
    pub files: Vec<String>,
    /// A rep can write here now (Salesforce: somebody has accepted).
    pub staffed: bool,
    /// The CRM counts it as done: nobody is asked to look at it.
    pub done: bool,
    /// The contacts that it is with, by their ids.
    pub contacts: Vec<String>,
    /// What HubSpot's ticket says of the last reply.
    pub reply_state: Option<String>,
}

/// A contact of a CRM.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: String,
    /// Everything on it that identifies somebody: numbers as digits, ids as they stand there.
    pub keys: BTreeSet<String>,
}

/// Every contact that a CRM has.
pub fn people(sims: &Running, target: &str) -> Vec<Person> {
    let Some(served) = sims.target(target) else {
        return Vec::new();
    };
    let view = served.view();
    let all = view["contacts"].as_array().cloned().unwrap_or_default();
    let living = all
        .iter()
        .filter(|one| one["deleted"] != true && one["merged_into"].is_null());
    living
        .map(|one| {
            let mut keys = BTreeSet::new();
            for text in texts(one) {
                let digits: String = text.chars().filter(char::is_ascii_digit).collect();
                let is_number = text.chars().all(|c| "+0123456789 ()-".contains(c));
                let key = if is_number { digits } else { text.to_owned() };
                keys.extend(Some(key).filter(|key| key.len() > 7));
            }
            Person {
                id: one["id"].as_str().unwrap_or_default().to_owned(),
                keys,
            }
        })
        .collect()
}

/// Every text in a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// What a rep sees in one CRM.
pub fn records(sims: &Running, target: &str) -> Vec<Record> {
    let Some(served) = sims.target(target) else {
        return Vec::new();
    };
    let view = served.view();
    let (list, entries) = match target {
        "salesforce" => ("conversations", "thread"),
        "hubspot" => ("tickets", "timeline"),
        _ => ("cases", "timeline"),
    };
    let all = view[list].as_array().cloned().unwrap_or_default();
    all.iter().map(|record| read(record, entries)).collect()
}

fn read(record: &Value, list: &str) -> Record {
    let id = record["conversation"]
        .as_str()
        .or(record["id"].as_str())
        .unwrap_or_default();
    let mut sessions = Vec::new();
    pages(record, &mut sessions);
    if let Some(session) = record["routing attributes"]["OpencxSessionId"].as_str() {
        sessions.push(session.to_owned());
    }
    sessions.sort();
    sessions.dedup();
    let mut entries = Vec::new();
    if record["content"].is_string() {
        entries.push(entry(&record["content"], By::App));
    }
    for one in record[list].as_array().into_iter().flatten() {
        let ours =
            one["by"] == "app" || one["by"] == "handoffd integration" || one["from"] == "EndUser";
        entries.push(entry(one, if ours { By::App } else { By::Person }));
    }
    for post in record["feed"].as_array().into_iter().flatten() {
        let ours = post["by"] == "handoffd integration";
        entries.push(entry(post, if ours { By::App } else { By::Person }));
    }
    let mut files = Vec::new();
    named(record, &mut files);
    Record {
        id: id.to_owned(),
        sessions,
        entries,
        files,
        staffed: !record["rep"].is_null(),
        done: is_done(record),
        contacts: contacts(record),
        reply_state: record["properties"]["wa_reply_state"]
            .as_str()
            .map(str::to_owned),
    }
}

/// HubSpot has a stage, Creatio a status, Salesforce sessions, of which the last one counts.
fn is_done(record: &Value) -> bool {
    let session = record["sessions"].as_array().and_then(|all| all.last());
    let words = [
        &record["stage"],
        &record["status"],
        session.map_or(&Value::Null, |session| &session["status"]),
    ];
    let done = ["Closed", "Done", "Resolved", "Canceled", "Ended", "closed"];
    record["deleted"] == true || words.iter().any(|word| done.iter().any(|one| *word == one))
}

fn contacts(record: &Value) -> Vec<String> {
    let one = record["contact_id"].as_str().filter(|id| !id.is_empty());
    let several = record["contact_ids"].as_array().into_iter().flatten();
    let several = several.filter_map(Value::as_str);
    one.into_iter().chain(several).map(str::to_owned).collect()
}

fn entry(value: &Value, by: By) -> Entry {
    let mut tokens: Vec<String> = Vec::new();
    for token in tokens_within(value) {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    let text = value["text"]
        .as_str()
        .or(value.as_str())
        .unwrap_or_default()
        .to_owned();
    let notice = [
        "Not delivered to WhatsApp",
        "Not yet delivered to WhatsApp",
        "Not known whether it reached WhatsApp",
        "Sent to WhatsApp",
        "Delivered to WhatsApp",
        "On its way to WhatsApp",
        "Read on WhatsApp",
    ]
    .iter()
    .any(|words| text.contains(words));
    Entry {
        by,
        tokens,
        notice,
        text,
    }
}

/// The sessions whose page stands anywhere in a record.
fn pages(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            for (at, _) in text.match_indices(PAGE) {
                let rest = &text[at + PAGE.len()..];
                found.push(
                    rest.chars()
                        .take_while(char::is_ascii_alphanumeric)
                        .collect(),
                );
            }
        }
        Value::Array(items) => items.iter().for_each(|item| pages(item, found)),
        Value::Object(members) => members.values().for_each(|item| pages(item, found)),
        _ => {}
    }
}

/// The names of everything that has a name and a size.
fn named(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| named(item, found)),
        Value::Object(members) => {
            let sized = ["size", "bytes"]
                .iter()
                .any(|key| members.get(*key).is_some_and(Value::is_u64));
            if let (true, Some(name)) = (sized, members.get("name").and_then(Value::as_str)) {
                found.push(name.to_owned());
            }
            members.values().for_each(|item| named(item, found));
        }
        _ => {}
    }
}

/// What came from the business on each phone: tokens per message, in order.
#[derive(Debug, Default)]
pub struct Phones {
    pub shown: BTreeMap<String, Vec<Vec<String>>>,
    /// Free text that WhatsApp did not take because the window was closed.
    pub outside: Vec<String>,
    /// Other messages that were accepted and did not arrive.
    pub undelivered: Vec<String>,
}

/// What customers see.
pub fn phones(sims: &Running) -> Phones {
    let mut phones = Phones::default();
    let Some(served) = sims.target("whatsapp") else {
        return phones;
    };
    let view = served.view();
    for (key, phone) in view["phones"].as_object().into_iter().flatten() {
        let all = phone["conversation"].as_array().into_iter().flatten();
        let ours = all
            .filter(|entry| entry["from"] == "business")
            .map(tokens_within)
            .collect();
        phones.shown.insert(key.clone(), ours);
    }
    for note in view["undelivered"].as_array().into_iter().flatten() {
        let list = if note["why"]["code"] == 131_047 {
            &mut phones.outside
        } else {
            &mut phones.undelivered
        };
        list.push(tokens_within(&note["message"]).join(","));
    }
    phones
}
