//! A rep's note: whether it is a reply, whose it is, and its files. One small read after the other.

use handoffd_contract::event::{AttachmentKind, RepReply};
use handoffd_contract::feed::Read;
use handoffd_contract::marker::Marker;
use handoffd_contract::text::plain;
use handoffd_contract::{
    Attachment, FrameContent, HttpCall, HttpReply, Inbound, InboundKind, Refusal, Source, Subject,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::format::formatted;
use super::{about_ticket, broken, pace, rich, text, time};
use crate::facts;
use crate::read::id;
use crate::settings::Settings;
use crate::words;

/// Reads a note with its tickets.
pub const NOTE: &str = "note";
/// Reads the address of one of a reply's files.
pub const FILE: &str = "note.file";

/// How long a file's address is good for, in seconds.
const FILE_SECONDS: &str = "3600";

/// The read of a note; `then` holds what a poll still has to do after it.
pub fn read(settings: &Settings, note: &str, then: Value) -> Read {
    let call = HttpCall::get(settings.paths.one("notes", note))
        .query("properties", "hs_note_body,hs_timestamp,hs_attachment_ids")
        .query("associations", "tickets,contacts");
    let call = match settings.reply_marker {
        Marker::All => call.query("propertiesWithHistory", "hs_note_body"),
        Marker::Prefix(_) => call,
    };
    Read::new(NOTE, call, json!({"note": note, "then": then}))
}

/// The reply that a note is; `None` for every other note.
fn reply_text(marker: &Marker, note: &str) -> Option<String> {
    marker.reply(&plain(&formatted(note)))
}

/// Whether a person wrote the note in HubSpot, as the history of its text tells, and it is none of
/// ours. Asked where no word marks a reply.
fn is_by_person(note: &Value) -> bool {
    let written = text(&note["properties"]["hs_note_body"]);
    let history = note["propertiesWithHistory"]["hs_note_body"].as_array();
    let first = history.and_then(|entries| entries.last());
    let source = first.map_or("", |entry| text(&entry["sourceType"]));
    (source == "CRM_UI" || source.starts_with("MOBILE")) && !words::is_ours(&plain(written))
}

/// The ids of those notes that are replies, or were meant to be, as far as their texts tell.
pub fn replies(settings: &Settings, notes: &Value) -> Vec<Value> {
    let found = notes["results"].as_array().into_iter().flatten();
    found
        .filter(|note| {
            let body = text(&note["properties"]["hs_note_body"]);
            match &settings.reply_marker {
                Marker::All => !words::is_ours(&plain(body)),
                marker => reply_text(marker, body).is_some() || marker.is_near_miss(&plain(body)),
            }
        })
        .filter_map(|note| id(&note["id"]).map(Value::String))
        .collect()
}

/// A note's reply.
pub fn note(settings: &Settings, read: &Read, reply: &HttpReply) -> Result<FrameContent, Refusal> {
    let then = &read.context["then"];
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["properties"].is_object())
    else {
        return Ok(
            broken(read, reply)?.unwrap_or_else(|| proceed(settings, then, "a note that is gone"))
        );
    };
    let properties = &body["properties"];
    let note = text(&read.context["note"]);
    let marker = &settings.reply_marker;
    let written = text(&properties["hs_note_body"]);
    let Some(said) = reply_text(marker, written) else {
        if marker.is_near_miss(&plain(written)) {
            let prefix = marker.prefix().unwrap_or_default();
            let detail = format!(
                "A note begins almost like a reply to the customer, so nothing was sent. Write it again, and begin it with {prefix} and a space."
            );
            return Ok(hint(settings, read, &body, detail));
        }
        return Ok(proceed(settings, then, "an internal note"));
    };
    if *marker == Marker::All && !is_by_person(&body) {
        return Ok(proceed(settings, then, "a note that no person wrote"));
    }
    let files: Vec<&str> = text(&properties["hs_attachment_ids"])
        .split(';')
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .take(20)
        .collect();
    let pasted = rich::pasted(settings, text(&properties["hs_note_body"]));
    if said.is_empty() && files.is_empty() && pasted == rich::Pasted::default() {
        return Ok(proceed(settings, then, "a reply without text or file"));
    }
    let tickets = linked(&body, "tickets");
    let at = [&properties["hs_timestamp"], &body["createdAt"]]
        .into_iter()
        .find_map(time);
    // A note's own files are read for their addresses; what was pasted into it has one.
    let files = files.iter().map(|file| json!({"fileId": file}));
    let pictures = pasted.pictures.iter().enumerate().map(|(n, url)| {
        let name = rich::file_name(url, n);
        json!({"fileId": format!("pasted-{}", n + 1), "url": url, "name": name})
    });
    let pending = json!({
        "heard": format!("note/{note}"), "tickets": tickets, "message": note, "echo": facts::record("notes", note), "text": said, "at": at,
        "files": files.chain(pictures).collect::<Vec<_>>(), "lost": pasted.lost, "prefix": marker.prefix(), "then": then,
    });
    if tickets.is_empty() {
        let Some(prefix) = marker.prefix() else {
            return Ok(proceed(settings, then, "a note on no ticket"));
        };
        let detail = format!(
            "A note that begins with {prefix} stands on the contact and on no ticket, so nothing was sent. Write it on this ticket."
        );
        return Ok(hint(settings, read, &body, detail));
    }
    Ok(go_on(settings, pending))
}

/// The records that a note stands on.
fn linked(note: &Value, kind: &str) -> Vec<String> {
    let found = note["associations"][kind]["results"].as_array();
    let mut ids: Vec<String> = found
        .into_iter()
        .flatten()
        .filter_map(|entry| id(&entry["id"]))
        .take(100)
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

/// A note that was meant for the customer and was not sent: its ticket says so, else the newest ticket
/// of its contact.
fn hint(settings: &Settings, read: &Read, body: &Value, detail: String) -> FrameContent {
    let then = &read.context["then"];
    let note = text(&read.context["note"]);
    let (tickets, contacts) = (linked(body, "tickets"), linked(body, "contacts"));
    let subject = match (tickets.is_empty(), contacts.as_slice()) {
        (false, _) => about_tickets(&json!(tickets)),
        (true, [contact]) => Subject::Fact {
            name: facts::CONTACT.to_owned(),
            value: contact.clone(),
        },
        (true, _) => return proceed(settings, then, "a reply on a note without a ticket"),
    };
    let hint = Inbound {
        id: format!("note/{note}/hint"),
        subject,
        echo: Some(facts::record("notes", note)),
        at: time(&body["createdAt"]),
        kind: InboundKind::NotSent {
            message_id: format!("{note}/hint"),
            detail,
        },
    };
    let mut content = proceed(settings, then, "");
    content.heard.insert(0, hint);
    content.skipped = None;
    content
}

/// A Custom Channel's message as a reply.
pub fn channel_reply(
    settings: &Settings,
    session: &str,
    message: &str,
    said: &str,
    at: Option<Timestamp>,
    author: &str,
    files: Vec<Value>,
) -> FrameContent {
    go_on(
        settings,
        json!({
            "heard": format!("channel/{message}"), "message": message, "session": session, "text": said, "at": at,
            "author": author, "files": files,
        }),
    )
}

/// The address of a reply's next file, then what is still to be done.
pub fn file(settings: &Settings, read: &Read, reply: &HttpReply) -> Result<FrameContent, Refusal> {
    let mut pending = read.context.clone();
    let body = match reply
        .json()
        .filter(|body| reply.ok() && body["url"].is_string())
    {
        Some(body) => body,
        None => match broken(read, reply)? {
            Some(hearing) => return Ok(hearing),
            // A file without an address: the customer's side says that it is missing.
            None => json!({}),
        },
    };
    let mut file = pending["files"][0].clone();
    for name in ["url", "name", "extension", "size", "type"] {
        if !body[name].is_null() {
            file[name] = body[name].clone();
        }
    }
    file["read"] = json!(true);
    pending["files"][0] = file;
    Ok(go_on(settings, pending))
}

/// Fetches the next file's address, or says the whole reply.
fn go_on(settings: &Settings, mut pending: Value) -> FrameContent {
    let (ready, open): (Vec<Value>, Vec<Value>) = pending["files"]
        .as_array()
        .into_iter()
        .flatten()
        .cloned()
        .partition(|file| file["url"].is_string() || file["read"] == json!(true));
    if let Some(next) = open.first().and_then(|file| id(&file["fileId"])) {
        // The one that is read stands first, so that its answer finds it.
        pending["files"] = Value::Array(open.into_iter().chain(ready).collect());
        let call = HttpCall::get(settings.paths.signed_url(&next))
            .query("expirationSeconds", FILE_SECONDS);
        return FrameContent {
            fetch: vec![Read::new(FILE, call, pending)],
            ..FrameContent::default()
        };
    }
    let mut attachments: Vec<Attachment> = ready.iter().map(attachment).collect();
    attachments.sort_by(|a, b| a.id.cmp(&b.id));
    let about = match pending["session"].as_str() {
        Some(session) => Subject::Session(session.to_owned()),
        None => about_tickets(&pending["tickets"]),
    };
    let some = |name: &str| Some(text(&pending[name]).to_owned()).filter(|text| !text.is_empty());
    let replied = RepReply {
        target: String::new(),
        message_id: text(&pending["message"]).to_owned(),
        author: some("author"),
        text: some("text"),
        attachments,
        options: Vec::new(),
        template: None,
        quotes: None,
    };
    let is_empty = replied.text.is_none() && replied.attachments.is_empty();
    let heard = |id: String, kind: InboundKind| Inbound {
        id,
        subject: about.clone(),
        echo: some("echo"),
        at: time(&pending["at"]),
        kind,
    };
    let id = text(&pending["heard"]);
    let lost = not_sent(&pending, is_empty).map(|detail| InboundKind::NotSent {
        message_id: format!("{}/not-sent", replied.message_id),
        detail,
    });
    let lost = lost.map(|what| heard(format!("{id}/not-sent"), what));
    let said = (!is_empty).then(|| heard(id.to_owned(), InboundKind::Replied(replied)));
    let rest = proceed(settings, &pending["then"], "");
    FrameContent {
        heard: said.into_iter().chain(lost).chain(rest.heard).collect(),
        skipped: None,
        cursor: rest.cursor,
        fetch: rest.fetch,
        ..FrameContent::default()
    }
}

/// What of a note cannot be sent, for the rep.
fn not_sent(pending: &Value, is_all: bool) -> Option<String> {
    let lost: Vec<&str> = pending["lost"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if lost.is_empty() {
        return None;
    }
    let rest = if is_all {
        ""
    } else {
        ", the rest of the note was taken"
    };
    let begins = match text(&pending["prefix"]) {
        "" => String::new(),
        prefix => format!(" that begins with {prefix}"),
    };
    Some(format!(
        "WhatsApp cannot be given {} that stands in the note{rest}. Attach it as a file to another note{begins}, or send a link.",
        lost.join(" and ")
    ))
}

/// The conversations of the tickets that a note is on. Whose reply it is, when there are several, is
/// not decided here.
fn about_tickets(tickets: &Value) -> Subject {
    let mut tickets: Vec<String> = serde_json::from_value(tickets.clone()).unwrap_or_default();
    match tickets.len() {
        1 => about_ticket(&tickets.remove(0)),
        _ => Subject::AnyFact {
            name: facts::TICKET.to_owned(),
            values: tickets,
        },
    }
}

/// After one note: the next of a poll's notes, or where the poll goes on, or what was seen of the
/// ticket.
pub fn proceed(settings: &Settings, then: &Value, why: &str) -> FrameContent {
    let mut hearing = FrameContent {
        skipped: Some(why.to_owned()),
        ..FrameContent::default()
    };
    let queue = then["queue"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    match queue.split_first() {
        Some((next, rest)) => {
            let mut then = then.clone();
            then["queue"] = json!(rest);
            hearing.fetch.push(read(settings, text(next), then));
        }
        None => {
            hearing.cursor = then["cursor"].as_str().map(str::to_owned);
            if let Some(seen) = then["seen"].as_str() {
                let seen = pace::fact(text(&then["ticket"]), facts::SEEN, seen.to_owned());
                hearing.heard.push(seen);
            }
        }
    }
    hearing
}

fn attachment(file: &Value) -> Attachment {
    let extension = text(&file["extension"]).to_ascii_lowercase();
    let name = text(&file["name"]);
    let name = match (name, extension.as_str()) {
        ("", _) => None,
        (name, "") => Some(name.to_owned()),
        (name, extension)
            if name
                .to_ascii_lowercase()
                .ends_with(&format!(".{extension}")) =>
        {
            Some(name.to_owned())
        }
        (name, extension) => Some(format!("{name}.{extension}")),
    };
    let ending = match (extension.as_str(), &name) {
        ("", Some(name)) => name
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_ascii_lowercase())
            .unwrap_or_default(),
        (extension, _) => extension.to_owned(),
    };
    let (kind, mime) = match ending.as_str() {
        "jpg" | "jpeg" => (AttachmentKind::Image, Some("image/jpeg")),
        "png" => (AttachmentKind::Image, Some("image/png")),
        "webp" => (AttachmentKind::Image, Some("image/webp")),
        "mp4" => (AttachmentKind::Video, Some("video/mp4")),
        "3gp" => (AttachmentKind::Video, Some("video/3gpp")),
        "mp3" => (AttachmentKind::Audio, Some("audio/mpeg")),
        "m4a" => (AttachmentKind::Audio, Some("audio/mp4")),
        "ogg" => (AttachmentKind::Audio, Some("audio/ogg")),
        "pdf" => (AttachmentKind::Document, Some("application/pdf")),
        "txt" => (AttachmentKind::Document, Some("text/plain")),
        "docx" => (
            AttachmentKind::Document,
            Some("application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ),
        "xlsx" => (
            AttachmentKind::Document,
            Some("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ),
        _ => (AttachmentKind::Document, None),
    };
    Attachment {
        id: id(&file["fileId"]).unwrap_or_else(|| "file".to_owned()),
        kind,
        mime: mime.map(str::to_owned),
        name,
        size: file["size"].as_u64(),
        caption: None,
        transcript: None,
        source: file["url"].as_str().map(|url| Source::Url {
            url: url.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_makes_a_reply_of_what_the_editor_wrote() {
        let marker = Marker::Prefix("/wa".into());
        let said = |note: &str| reply_text(&marker, note);
        assert_eq!(
            said("<div><p>/wa Hi Ana,</p><p>on its way</p></div>").as_deref(),
            Some("Hi Ana,\non its way")
        );
        assert_eq!(said("&nbsp;/wa&nbsp;hello").as_deref(), Some("hello"));
        assert_eq!(said("<p>/wa</p>").as_deref(), Some(""));
        assert_eq!(said("<b>/wasnt</b>"), None);
        assert!(marker.is_near_miss(&plain("<p>/&nbsp;wa: hello</p>")));
    }

    #[test]
    fn without_a_word_only_what_a_person_wrote_is_a_reply() {
        let note = |text: &str, source: &str| {
            json!({"properties": {"hs_note_body": text},
                "propertiesWithHistory": {"hs_note_body": [{"sourceType": "INTEGRATION"}, {"sourceType": source}]}})
        };
        assert!(is_by_person(&note("<p>hello</p>", "CRM_UI")));
        assert!(is_by_person(&note("hello", "MOBILE_IOS")));
        for (text, source) in [
            ("hello", "INTEGRATION"),
            ("hello", "AUTOMATION_PLATFORM"),
            ("hello", ""),
            ("quoted<br>ref: 0123456789abcdef0123", "CRM_UI"),
        ] {
            assert!(!is_by_person(&note(text, source)), "{text} by {source}");
        }
        assert!(!is_by_person(
            &json!({"properties": {"hs_note_body": "hello"}})
        ));
    }
}
