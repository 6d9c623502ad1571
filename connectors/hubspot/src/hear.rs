//! What HubSpot tells us: webhooks, a poll that all tickets share, and each ticket's own read.
//!
//! A note on the ticket reaches the customer only when it begins with the reply prefix. The webhook
//! and the poll name the same note by the same id, so it is heard once. Neither a webhook nor a list
//! holds the text; it is read in a chain of small reads, and a poll's cursor moves on only at the end
//! of its chain, so that nothing is skipped when the chain breaks.

mod format;
mod note;
mod pace;
mod poll;
mod rich;
mod search;
mod webhook;

use handoffd_contract::desk::field_value;
use handoffd_contract::feed::Read;
use handoffd_contract::{
    Effect, Feed, Frame, FrameContent, HttpCall, HttpReply, Inbound, InboundKind, Known, Reason,
    Refusal, Step, Stop, Subject, Verdict, Work,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::errors::otherwise;
use crate::facts;
use crate::settings::Settings;

/// Where to listen: the poll that all tickets share, unless webhooks alone shall tell.
pub fn feed(settings: &Settings, work: &Work, known: &Known, cursor: Option<&str>) -> Option<Feed> {
    let ticket = known.get(facts::TICKET)?;
    if settings.poll_seconds == 0 {
        return None;
    }
    Some(Feed::Poll {
        key: search::KEY.to_owned(),
        read: search::read(settings, work.now, cursor),
        every: pace::every(settings, work, known)?,
        backfill: Some(poll::read(settings, work, known, ticket)),
    })
}

/// The ticket's own read, whether or not anything is polled: a note's webhook holds no order.
pub fn catch_up(settings: &Settings, work: &Work, known: &Known) -> Option<Read> {
    let ticket = known.get(facts::TICKET)?;
    Some(poll::read(settings, work, known, ticket))
}

/// What a frame says.
pub fn hear(settings: &Settings, frame: &Frame<'_>) -> Result<FrameContent, Refusal> {
    match frame {
        Frame::Webhook { body, .. } => webhook::hear(settings, body),
        Frame::Event { .. } => Ok(skipped("HubSpot has no event stream")),
        Frame::Reply { read, reply } => match read.tag {
            poll::TICKET => poll::ticket(settings, read, reply),
            poll::MORE => poll::more(settings, read, reply),
            poll::NOTES => poll::notes(settings, read, reply),
            pace::STAGES => pace::stages(read, reply),
            search::NOTES | search::TICKETS => search::found(settings, read, reply),
            search::TEXTS => search::texts(settings, read, reply),
            search::STAGES => search::stages(settings, read, reply),
            search::CHANGES => search::changes(settings, read, reply),
            note::NOTE => note::note(settings, read, reply),
            note::FILE => note::file(settings, read, reply),
            OWNER => owner(read, reply),
            other => Ok(skipped(format!("no reader for {other}"))),
        },
    }
}

/// The read that turns an owner's id into a name.
const OWNER: &str = "owner";

fn read_owner(
    settings: &Settings,
    ticket: &str,
    owner: &str,
    id: &str,
    at: Option<Timestamp>,
) -> Read {
    let call = HttpCall::get(format!(
        "{}/{}",
        settings.paths.owners(),
        handoffd_contract::text::encode(owner)
    ));
    let context = serde_json::json!({"ticket": ticket, "owner": owner, "id": id, "at": at});
    Read::new(OWNER, call, context)
}

fn owner(read: &Read, reply: &HttpReply) -> Result<FrameContent, Refusal> {
    let name = match reply.json().filter(|_| reply.ok()) {
        Some(body) => {
            let part = |name: &str| body[name].as_str().unwrap_or_default().trim().to_owned();
            let full = format!("{} {}", part("firstName"), part("lastName"))
                .trim()
                .to_owned();
            if full.is_empty() { part("email") } else { full }
        }
        None => match broken(read, reply)? {
            Some(hearing) => return Ok(hearing),
            None => String::new(),
        },
    };
    let rep = if name.is_empty() {
        format!("owner {}", text(&read.context["owner"]))
    } else {
        name
    };
    Ok(heard(assigned(
        text(&read.context["ticket"]),
        text(&read.context["id"]),
        time(&read.context["at"]),
        Some(rep),
    )))
}

fn assigned(ticket: &str, id: &str, at: Option<Timestamp>, rep: Option<String>) -> Inbound {
    Inbound {
        id: id.to_owned(),
        subject: about_ticket(ticket),
        echo: None,
        at,
        kind: InboundKind::Assigned { rep },
    }
}

/// The ticket entered a stage. Only a change that no person made in HubSpot can be our own.
fn stage_entered(
    settings: &Settings,
    ticket: &str,
    stage: &str,
    at: Option<Timestamp>,
    source: &str,
) -> Option<Inbound> {
    settings
        .closed_stages
        .iter()
        .any(|closed| closed == stage)
        .then(|| Inbound {
            id: format!(
                "stage/{ticket}/{stage}/{}",
                at.map_or(0, Timestamp::as_millisecond)
            ),
            subject: about_ticket(ticket),
            echo: (source != "CRM_UI")
                .then(|| facts::record("stage", &format!("{ticket}/{stage}"))),
            at,
            kind: InboundKind::Ended {
                status: Some(stage.to_owned()),
            },
        })
}

/// A property that is passed on was changed. A change that no person made in HubSpot can be our own.
fn updated(
    ticket: &str,
    property: &str,
    value: &str,
    at: Option<Timestamp>,
    source: &str,
    by: Option<String>,
) -> Inbound {
    let of = at.map_or(0, Timestamp::as_millisecond);
    let told = field_value(&Value::from(value));
    Inbound {
        id: format!("property/{ticket}/{property}/{of}"),
        subject: about_ticket(ticket),
        echo: (source != "CRM_UI").then(|| facts::own_value(property, value)),
        at,
        kind: InboundKind::Updated {
            record: ticket.to_owned(),
            fields: [(property.to_owned(), told)].into(),
            changed_by: by.or_else(|| Some(source.to_owned()).filter(|word| !word.is_empty())),
        },
    }
}

/// The user who made a change, as webhooks (`sourceId`) and histories name them.
fn user(change: &Value) -> Option<String> {
    let named = text(&change["sourceId"]);
    if named.starts_with("userId:") {
        return Some(named.to_owned());
    }
    let id = crate::read::id(&change["updatedByUserId"])?;
    Some(format!("userId:{id}"))
}

fn ticket_deleted(ticket: &str) -> Inbound {
    Inbound {
        id: format!("deleted/{ticket}"),
        subject: about_ticket(ticket),
        echo: None,
        at: None,
        kind: InboundKind::Ended {
            status: Some("ticket deleted".to_owned()),
        },
    }
}

/// The conversation of a merged ticket goes on in the one that is left.
fn merged(old: &str, left: &str, at: Option<Timestamp>) -> Inbound {
    Inbound {
        id: format!("merge/{old}/{left}"),
        subject: about_ticket(old),
        echo: None,
        at,
        kind: InboundKind::Facts(vec![(facts::TICKET.to_owned(), left.to_owned())]),
    }
}

fn about_ticket(ticket: &str) -> Subject {
    Subject::Fact {
        name: facts::TICKET.to_owned(),
        value: ticket.to_owned(),
    }
}

fn heard(heard: Inbound) -> FrameContent {
    FrameContent {
        heard: vec![heard],
        ..FrameContent::default()
    }
}

fn skipped(why: impl Into<String>) -> FrameContent {
    FrameContent {
        skipped: Some(why.into()),
        ..FrameContent::default()
    }
}

/// What a failed read means: the credential is out, or it must be tried again; `None` when the answer
/// is final, such as 404.
fn broken(read: &Read, reply: &HttpReply) -> Result<Option<FrameContent>, Refusal> {
    let step = Step::look("hear", read.call.clone());
    match otherwise(&step, reply) {
        Verdict::Later { stop, .. } if stop.reason == Reason::Unauthorized => {
            Ok(Some(FrameContent {
                unauthorized: true,
                ..skipped("the credential was rejected")
            }))
        }
        Verdict::Later {
            stop,
            effect: Effect::None | Effect::Possible,
            ..
        } => Err(Refusal::Hold { stop, until: None }),
        Verdict::Never(stop) if stop.reason == Reason::Forbidden => Err(Refusal::Park(stop)),
        _ => Ok(None),
    }
}

fn undecodable(words: &str) -> Refusal {
    Refusal::Park(Stop::new(Reason::Undecodable, words))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A time as HubSpot writes it: ISO 8601, or milliseconds as a number or text.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => Timestamp::from_millisecond(number.as_i64()?).ok(),
        Value::String(text) => match text.parse::<i64>() {
            Ok(milliseconds) => Timestamp::from_millisecond(milliseconds).ok(),
            Err(_) => text.parse().ok(),
        },
        _ => None,
    }
}
