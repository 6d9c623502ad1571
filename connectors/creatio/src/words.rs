//! What people read in Creatio: subject, description, notes, and a message as an activity.

use handoffd_contract::event::{Reasoning, RepReply, SessionReturned, sentiment};
use handoffd_contract::marker::Marker;
use handoffd_contract::{AuthorKind, Contact, Handoff, Message, Rendered, text};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::plan::Row;
use crate::standard::{CALL, TASK};
use crate::{Creatio, wire};

/// Width of `Case.Subject` and `Activity.Title`.
pub(crate) const LONG: usize = 500;
/// Width of `Contact.Name`, `CaseFile.Name`, `Activity.GlobalActivityID`.
pub(crate) const MEDIUM: usize = 250;
/// What `Activity.GlobalActivityID` begins with on every row of ours, so that a poll recognises
/// rows of another session on the same case.
pub(crate) const OURS: &str = "handoffd:";

/// The case's default subject.
pub(crate) fn subject(reasoning: Option<&Reasoning>, contact: &Contact) -> String {
    let about = reasoning.and_then(|r| {
        [r.topic.as_ref(), r.reasons.first(), r.summary.as_ref()]
            .into_iter()
            .flatten()
            .find(|text| !text.trim().is_empty())
    });
    let name = text::named(&contact.display_name());
    let subject = match about {
        Some(about) => format!(
            "WhatsApp: {} ({})",
            wire::one_line(about, 300),
            wire::one_line(&name, 120)
        ),
        None => format!("WhatsApp: {}", wire::one_line(&name, 300)),
    };
    text::truncate(&subject, LONG)
}

/// Values of a handoff's `fields` that a case shows, and how long one may be.
const MAX_FIELDS: usize = 30;
const MAX_FIELD: usize = 300;

/// What the assistant says about a handoff, as (label, value) lines.
fn lines(handoff: &Handoff, language: Option<&str>) -> Vec<(String, String)> {
    let reasoning = &handoff.handoff;
    let mut lines = Vec::new();
    let mut add = |label: &str, value: Option<String>| {
        if let Some(value) = value
            .map(|v| wire::clean(&v))
            .filter(|v| !v.trim().is_empty())
        {
            lines.push((label.to_owned(), value));
        }
    };
    add(
        if reasoning.reasons.len() > 1 {
            "Reasons"
        } else {
            "Reason"
        },
        Some(reasoning.reasons.join(", ")),
    );
    add("Topic", reasoning.topic.clone());
    add("Summary", reasoning.summary.clone());
    add(
        "Sentiment",
        reasoning
            .sentiment
            .as_ref()
            .map(|raw| match sentiment(raw) {
                // The word as given, and ours beside it where they differ.
                Some(word) if word != raw.trim() => format!("{raw} ({word})"),
                _ => raw.clone(),
            }),
    );
    add(
        "Language",
        reasoning
            .language
            .clone()
            .or_else(|| language.map(str::to_owned)),
    );
    add("Handed over at", reasoning.requested_at.map(wire::time));
    for (name, value) in handoff.fields.iter().take(MAX_FIELDS) {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let name = text::named(&wire::one_line(name, 80));
        add(&name, Some(text::truncate(&value, MAX_FIELD)));
    }
    lines
}

/// `Case.Symptoms`: rich text, so everything is escaped.
pub(crate) fn symptoms(
    handoff: Option<&Handoff>,
    url: Option<&str>,
    language: Option<&str>,
    session: &str,
) -> String {
    let mut html = String::new();
    for (label, value) in handoff.map(|h| lines(h, language)).unwrap_or_default() {
        // Further lines of what somebody else wrote are set off from ours.
        let value = text::html(&text::set_off(&value));
        let label = text::html(&label);
        html.push_str(&format!("<p><b>{label}:</b> {value}</p>"));
    }
    match url.filter(|url| wire::is_link(url)) {
        Some(url) => html.push_str(&format!(
            "<p><a href=\"{0}\">View session</a></p>",
            text::html(url)
        )),
        None => html.push_str(&format!("<p>Session {}</p>", text::html(session))),
    }
    html
}

/// A handoff's note: title and text.
pub(crate) fn note(
    handoff: &Handoff,
    rendered: Option<&Rendered>,
    url: Option<&str>,
    language: Option<&str>,
    session: &str,
) -> (String, String) {
    let reasons = handoff.handoff.reasons.join(", ");
    let title = if reasons.trim().is_empty() {
        "Handoff from the AI assistant".to_owned()
    } else {
        format!("Handoff: {reasons}")
    };
    let mut text: Vec<String> = lines(handoff, language)
        .into_iter()
        .map(|(label, value)| format!("{label}: {}", text::set_off(&value)))
        .collect();
    text.push(link_line(url, session));
    for remark in rendered.iter().flat_map(|r| &r.notes) {
        text.push(format!("Note: {}", text::set_off(&wire::clean(remark))));
    }
    (title, text.join("\n"))
}

/// The line that leads to the session on the assistant's platform.
pub(crate) fn link_line(url: Option<&str>, session: &str) -> String {
    match url.filter(|url| wire::is_link(url)) {
        Some(url) => format!("View session: {url}"),
        None => format!("Session: {}", wire::one_line(session, MEDIUM)),
    }
}

/// Columns of a case section or contact section of a mapping, as they are written: texts cut to the
/// width of the columns that we know, ids normalised. What cannot be right is left out, with a line
/// that says so.
pub(crate) fn mapped(
    section: &str,
    rendered: Option<&Rendered>,
) -> (Map<String, Value>, Vec<String>) {
    let mut columns = Map::new();
    let mut remarks = Vec::new();
    for (column, value) in rendered.iter().flat_map(|r| r.section(section)) {
        if matches!(column.as_str(), "Id" | "ContactId" | "CaseId") {
            remarks.push(format!("{column} is decided by handoffd and was left out"));
            continue;
        }
        let value = match value {
            Value::Null => continue,
            Value::String(raw) if LOOKUPS.contains(&column.as_str()) => match wire::guid(raw) {
                Some(id) => Value::String(id),
                None => {
                    remarks.push(format!("{column} was left out: it takes a record id"));
                    continue;
                }
            },
            // The page shows it as HTML; a mapping's value holds what a customer wrote.
            Value::String(raw) if column == "Symptoms" => {
                Value::String(text::html(&wire::clean(raw)))
            }
            Value::String(raw) => match WIDTHS.iter().find(|(name, _)| name == column) {
                Some((_, width)) => Value::String(text::truncate(&wire::clean(raw), *width)),
                None => Value::String(wire::guid(raw).unwrap_or_else(|| wire::clean(raw))),
            },
            other => other.clone(),
        };
        columns.insert(column.clone(), value);
    }
    (columns, remarks)
}

/// Lookups of the default configuration that a mapping may fill.
const LOOKUPS: [&str; 12] = [
    "StatusId",
    "PriorityId",
    "OriginId",
    "CategoryId",
    "OwnerId",
    "GroupId",
    "AccountId",
    "ServiceItemId",
    "ServicePactId",
    "SupportLevelId",
    "ParentCaseId",
    "TypeId",
];

/// Widths of text columns of the default configuration.
const WIDTHS: [(&str, usize); 11] = [
    ("Subject", LONG),
    ("Name", MEDIUM),
    ("Surname", MEDIUM),
    ("GivenName", MEDIUM),
    ("MiddleName", MEDIUM),
    ("Email", MEDIUM),
    ("JobTitle", MEDIUM),
    ("MobilePhone", MEDIUM),
    ("Phone", MEDIUM),
    ("HomePhone", MEDIUM),
    ("Number", 50),
];

/// A time for people.
pub(crate) fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M UTC")
        .to_string()
}

/// What a rep knows a reply by: its first words, or its file's name, and when it was written.
pub(crate) fn reply_name(reply: &RepReply, at: Timestamp) -> String {
    let file = || {
        reply
            .attachments
            .first()
            .map(handoffd_contract::Attachment::file_name)
    };
    let said = reply.text.clone().filter(|text| !text.trim().is_empty());
    named(&said.or_else(file).unwrap_or_default(), at)
}

/// The same, from the words alone.
pub(crate) fn named(said: &str, at: Timestamp) -> String {
    let first = wire::one_line(said, 60);
    if first.is_empty() {
        return format!("the reply of {}", clock(at));
    }
    format!("\"{first}\" of {}", clock(at))
}

/// Where an activity goes and when it sorts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The case.
    pub case: &'a str,
    /// The contact.
    pub contact: &'a str,
    /// `StartDate`, milliseconds since 1970.
    pub start: i64,
}

impl Creatio {
    /// How a rep answers, as the first activity says it.
    pub(crate) fn answering(&self) -> String {
        let kinds: Vec<&str> = self
            .settings
            .reply_types
            .iter()
            .map(|kind| match kind.as_str() {
                TASK => "a task",
                CALL => "a call",
                _ => "an activity of a reply type",
            })
            .collect();
        let kinds = kinds.join(" or ");
        let finish = if self.settings.reply_when_completed {
            "set it to Completed"
        } else {
            "save it"
        };
        match &self.settings.reply_marker {
            Marker::Prefix(prefix) => format!(
                "To answer the customer, add {kinds} to this case whose details begin with {prefix} and {finish}. \
                 Everything else on this case stays internal."
            ),
            Marker::All => format!(
                "To answer the customer, add {kinds} to this case and {finish}: every one that you add here by hand is sent to the customer."
            ),
        }
    }

    /// An activity that establishes `fact`; `key` tells it apart from every other of the session.
    pub(crate) fn activity(
        &self,
        fact: String,
        id: String,
        key: &str,
        title: &str,
        body: &str,
        place: Place<'_>,
    ) -> Row {
        let Place {
            case,
            contact,
            start,
        } = place;
        let columns = json!({
            "Title": wire::one_line(title, LONG),
            "DetailedResult": wire::clean(body),
            "StartDate": wire::millis(start),
            "DueDate": wire::millis(start),
            "CaseId": case,
            "ContactId": contact,
            "TypeId": self.settings.activity_type,
            "StatusId": self.settings.activity_status,
            "ShowInScheduler": false,
            "GlobalActivityID": text::truncate(&format!("{OURS}{}", wire::clean(key)), MEDIUM),
        });
        let columns = columns.as_object().cloned().unwrap_or_default();
        Row::new("Activity", fact, id, columns)
    }

    /// A message as an activity. `remarks` are lines about files that could not be attached.
    pub(crate) fn message_row(
        &self,
        fact: String,
        id: String,
        message: &Message,
        remarks: &[String],
        place: Place<'_>,
    ) -> Row {
        let body = message_text(message, remarks);
        let who = speaker(message);
        let mut row = self.activity(
            fact,
            id,
            &message.id,
            &format!("{who}: {}", wire::one_line(&body, LONG)),
            &body,
            place,
        );
        let excuse = "Creatio did not take this message's text; it is on the assistant's platform.";
        row.hollow = json!({ "Title": format!("{who}: [text not taken by Creatio]"), "DetailedResult": excuse }).as_object().cloned();
        row
    }
}

/// A message's whole text, and what became of its files.
pub(crate) fn message_text(message: &Message, remarks: &[String]) -> String {
    let mut body = text::body(message);
    for remark in remarks {
        body.push('\n');
        body.push_str(remark);
    }
    body
}

/// Who speaks, as the beginning of a title. Of a person of the business also the name, which says where
/// they wrote.
fn speaker(message: &Message) -> String {
    match message.author.kind {
        AuthorKind::Customer => "Customer".to_owned(),
        AuthorKind::Assistant => "AI".to_owned(),
        AuthorKind::Agent => text::author(message, &Contact::default()),
        AuthorKind::System => "System".to_owned(),
    }
}
/// What the case is told when the assistant has the conversation again.
pub(crate) fn returned(returned: &SessionReturned) -> String {
    let mut text = "The assistant has taken the conversation back. What is said from here on is \
                    shown when it hands over again."
        .to_owned();
    let reason = returned.reason.as_deref().unwrap_or_default().trim();
    if !reason.is_empty() {
        let reason = text::set_off(&text::truncate(reason, 1_000));
        text.push_str(&format!(" Reason: {reason}"));
    }
    text
}
