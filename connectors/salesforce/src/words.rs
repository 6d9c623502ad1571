//! What a rep reads: the head of a handoff, transcript lines, and notes.
//!
//! Everything that we send appears in the thread as written by the customer, because an end user's
//! client can write in no other name. Hence every line that the customer did not write says so.

use handoffd_contract::event::{AttachmentKind, DeliveryState, ReplyStatus, sentiment};
use handoffd_contract::{
    Attachment, AuthorKind, Contact, Handoff, Known, MediaProblem, Message, Reason, Source, Stop,
    text,
};
use serde_json::Value;

/// AI-filled values shown in the head; the rest is in the routing attributes alone.
const MAX_FIELDS: usize = 30;
/// UTF-16 units of one AI-filled value in the head.
const MAX_FIELD: usize = 300;

/// The head of a handoff: why it was handed over, and to whom it belongs.
pub(crate) fn head(handoff: &Handoff, again: bool, known: &Known) -> String {
    let title = if again {
        "=== Handed over again by the AI assistant (not written by the customer) ==="
    } else {
        "=== Handoff summary by the AI assistant (not written by the customer) ==="
    };
    let mut lines = vec![title.to_owned()];
    let mut add = |label: &str, value: &str| {
        // What a stranger wrote, or what was made of it, is in all of these.
        let value = text::set_off(value.trim());
        if !value.is_empty() {
            lines.push(format!("{label}: {value}"));
        }
    };
    add("Customer", &who(&handoff.contact));
    let h = &handoff.handoff;
    add(
        if h.reasons.len() > 1 {
            "Reasons"
        } else {
            "Reason"
        },
        &h.reasons.join(", "),
    );
    add("Summary", h.summary.as_deref().unwrap_or(""));
    add("Sentiment", &mood(h.sentiment.as_deref().unwrap_or("")));
    let language = h.language.as_ref().or(handoff.session.language.as_ref());
    add("Language", language.map_or("", String::as_str));
    add("Topic", h.topic.as_deref().unwrap_or(""));
    for (name, value) in handoff.fields.iter().take(MAX_FIELDS) {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        add(&text::named(name), &text::truncate(&value, MAX_FIELD));
    }
    add("Session", handoff.session.url.as_deref().unwrap_or(""));
    let left_out: Vec<&str> = known.under("refused/").map(|(name, _)| name).collect();
    if !left_out.is_empty() {
        lines.push(format!(
            "Left out, since Salesforce did not take it: {}",
            left_out.join(", ")
        ));
    }
    lines.join("\n")
}

fn who(contact: &Contact) -> String {
    let name = text::named(&contact.display_name());
    match contact.e164().filter(|phone| *phone != name) {
        Some(phone) => format!("{name}, {phone}"),
        None => name,
    }
}

/// The mood as given, with our word for it where that says more.
fn mood(raw: &str) -> String {
    match sentiment(raw) {
        Some(word) if !raw.trim().eq_ignore_ascii_case(word) => format!("{raw} ({word})"),
        _ => raw.to_owned(),
    }
}

/// The transcript, a line per message, under its own title.
pub(crate) fn transcript(messages: &[&Message], contact: &Contact) -> Vec<String> {
    if messages.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["=== WhatsApp conversation until now (times in UTC) ===".to_owned()];
    lines.extend(messages.iter().map(|message| text::line(message, contact)));
    lines
}

/// A later message as it is shown in the thread: the customer's own words as they are, anybody
/// else's with their name. Files follow on their own; a sticker is just a line.
pub(crate) fn message(message: &Message) -> String {
    let shown = Message {
        attachments: message
            .attachments
            .iter()
            .filter(|a| a.kind == AttachmentKind::Sticker)
            .cloned()
            .collect(),
        ..message.clone()
    };
    let body = text::body(&shown);
    match message.author.kind {
        AuthorKind::Customer => body,
        _ if body.trim().is_empty() => body,
        _ => format!("[{}] {body}", text::author(message, &Contact::default())),
    }
}

/// A file under a name that begins like none of our lines.
pub(crate) fn file(attachment: &Attachment) -> Attachment {
    let name = attachment.file_name();
    let quoted = text::quoted(&name);
    let mut file = attachment.clone();
    if quoted != name {
        file.name = Some(quoted);
    }
    file
}

/// What stands beside a file: its caption, and what a voice note says.
pub(crate) fn caption(attachment: &Attachment) -> Option<String> {
    let said = attachment
        .transcript
        .as_deref()
        .filter(|t| !t.trim().is_empty());
    let caption = attachment
        .caption
        .as_deref()
        .filter(|c| !c.trim().is_empty());
    let lines: Vec<String> = caption
        .map(text::quoted)
        .into_iter()
        .chain(said.map(|said| format!("Voice note says: {}", text::set_off(said))))
        .collect();
    Some(lines.join("\n")).filter(|text| !text.is_empty())
}

/// The line for a file that could not be put into the thread: a link where there is one.
pub(crate) fn missing_file(attachment: &Attachment, why: &Stop) -> String {
    let name = text::named(&attachment.file_name());
    let kind = attachment.kind.word();
    let link = match (&attachment.source, why.reason) {
        (_, Reason::MediaUnavailable | Reason::Forbidden) => None,
        (Some(Source::Url { url }), _) if url.starts_with("https://") => Some(url),
        _ => None,
    };
    let mut line = match link {
        Some(link) => format!(
            "[{kind}: {name}] could not be attached ({}), it is here: {link}",
            why.message
        ),
        None => format!("[{kind}: {name}] could not be attached: {}", why.message),
    };
    if let Some(caption) = caption(attachment) {
        line.push('\n');
        line.push_str(&caption);
    }
    line
}

/// Why a file whose bytes could not be had is not in the thread.
pub(crate) fn no_bytes(problem: MediaProblem) -> Stop {
    Stop::new(problem.reason(), problem.words())
}

/// Salesforce does not take this type of file.
pub(crate) fn type_refused() -> Stop {
    Stop::new(
        Reason::Unsupported,
        "Salesforce does not take files of this type",
    )
}

/// Salesforce refused a file otherwise, since attachments may not be switched on for the channel; or a
/// choice, which a text stands for then.
pub(crate) fn refused(fallback: Option<&str>) -> Stop {
    let what = match fallback {
        Some(fallback) if fallback.starts_with("choice/") => "choice",
        _ => "file",
    };
    Stop::new(Reason::Invalid, format!("Salesforce refused the {what}"))
}

/// What a rep reads when a reply did not reach the customer. MIAW has no acknowledgement for that,
/// so it comes as a message.
pub(crate) fn undelivered(status: &ReplyStatus, limit: usize) -> String {
    let title = match status.state {
        _ if status.may_have_arrived() => "⚠ Not known whether it reached WhatsApp",
        DeliveryState::Held => "⚠ Not yet delivered to WhatsApp",
        _ if status.is_unconfirmed() => "⚠ Sent, and not confirmed by WhatsApp",
        DeliveryState::Sent => "Sent to WhatsApp",
        _ => "⚠ Not delivered to WhatsApp",
    };
    let detail = status.detail.as_deref().map(str::trim);
    let detail = detail.filter(|detail| !detail.is_empty());
    let detail = detail.map(text::set_off);
    let text = match detail {
        Some(detail) => format!("{title}: {detail}"),
        None => format!("{title}."),
    };
    text::truncate(&text, limit)
}
