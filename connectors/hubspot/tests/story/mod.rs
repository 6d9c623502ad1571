//! A customer, a session, and what happens in it.
#![expect(dead_code, reason = "each test binary uses its part of the story")]

pub mod played;

use std::collections::BTreeSet;

use handoffd_contract::event::{
    AttachmentKind, DeliveryState, Handoff, MessageEvent, Reasoning, RepReply, ReplyStatus,
    Session, SessionClosed,
};
use handoffd_contract::lane::{self, Progress};
use handoffd_contract::proof::encode;
use handoffd_contract::sandbox::{Request, Sandbox};
use handoffd_contract::{
    Attachment, Author, AuthorKind, Call, Connector, Contact, Data, Feed, Frame, HttpCall,
    HttpReply, Inbound, InboundKind, Item, Known, Location, MediaProblem, MediaRef, Message,
    Refusal, Reply, Source, Stop, Subject, Work,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Seconds after the story's begin.
pub fn at(seconds: i64) -> Timestamp {
    "2026-11-20T09:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

pub fn session() -> Session {
    Session {
        id: "session-1".into(),
        url: Some("https://assistant.test/s/1".into()),
        channel: "whatsapp".into(),
        business_number: "+31201234567".into(),
        language: Some("nl".into()),
        opened_at: Some(at(0)),
    }
}

pub fn contact() -> Contact {
    Contact {
        phone: Some("+31612345678".into()),
        wa_id: Some("31612345678".into()),
        name: Some("Ana".into()),
        ..Contact::default()
    }
}

pub fn said(id: &str, seconds: i64, text: &str, attachments: Vec<Attachment>) -> Message {
    Message {
        id: id.into(),
        time: at(seconds),
        author: Author {
            kind: AuthorKind::Customer,
            name: Some("Ana".into()),
        },
        text: Some(text.to_owned()).filter(|text| !text.is_empty() && text != "@"),
        attachments,
        location: (text == "@").then(|| Location {
            latitude: 52.370_216,
            longitude: 4.895_168,
            name: Some("Dam".into()),
            address: None,
            live: false,
        }),
        ..Message::default()
    }
}

pub fn short(n: usize) -> Message {
    said(
        &format!("m{n}"),
        i64::try_from(n).unwrap(),
        &format!("message number {n}"),
        Vec::new(),
    )
}

pub fn attachment(id: &str, mime: &str, name: &str) -> Attachment {
    let kind = match (id.chars().next(), mime) {
        (Some('s'), _) => AttachmentKind::Sticker,
        (Some('v'), _) => AttachmentKind::Voice,
        (_, mime) if mime.starts_with("image/") => AttachmentKind::Image,
        _ => AttachmentKind::Document,
    };
    Attachment {
        id: id.into(),
        kind,
        mime: Some(mime.into()),
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        size: None,
        caption: None,
        transcript: (kind == AttachmentKind::Voice).then(|| "where is it".into()),
        source: Some(Source::Url {
            url: format!("https://media.test/{id}"),
        }),
    }
}

pub fn handoff(transcript: Vec<Message>) -> Data {
    Data::HandoffRequested(Box::new(Handoff {
        session: session(),
        contact: contact(),
        handoff: Reasoning {
            reasons: vec!["asks for a person".into(), "VIP customer".into()],
            summary: Some("Ana's parcel is late.".into()),
            sentiment: Some("Frustrated".into()),
            language: Some("nl".into()),
            topic: Some("Late parcel".into()),
            requested_at: None,
        },
        transcript,
        ..Handoff::default()
    }))
}

pub fn event(message: Message) -> MessageEvent {
    MessageEvent {
        message,
        session: None,
        contact: None,
        reference: None,
    }
}

pub fn received(id: &str, seconds: i64, text: &str) -> Data {
    Data::MessageReceived(event(said(id, seconds, text, Vec::new())))
}

pub fn reply_status(message: &str, state: DeliveryState) -> Data {
    let detail = Some("The 24-hour window is closed.".to_owned());
    Data::ReplyStatus(ReplyStatus {
        cause: None,
        target: "crm".into(),
        message_id: message.into(),
        state,
        detail,
    })
}

/// A rep's reply in the portal, as it was heard.
pub fn replied(message: &str, text: &str) -> Data {
    Data::RepReplied(RepReply {
        target: "crm".into(),
        message_id: message.into(),
        author: None,
        text: Some(text.into()),
        attachments: Vec::new(),
        options: Vec::new(),
        template: None,
        quotes: None,
    })
}

pub fn closed(by: Option<&str>) -> Data {
    Data::SessionClosed(SessionClosed {
        resolved: Some(true),
        reason: Some("solved by the assistant".into()),
        closed_by: by.map(str::to_owned),
    })
}

pub fn item(id: &str, seconds: i64, data: Data) -> Item {
    Item {
        id: id.into(),
        time: at(seconds),
        data,
        rendered: None,
    }
}

/// An attachment's bytes.
pub fn bytes(wanted: &MediaRef) -> Result<Vec<u8>, MediaProblem> {
    match wanted.attachment.id.as_str() {
        "gone" => Err(MediaProblem::Gone),
        id => Ok(format!("bytes of {id}").into_bytes()),
    }
}

/// One lane, worked off against a portal in which something happens in between.
pub struct Desk {
    pub connector: Box<dyn Connector>,
    pub portal: Box<dyn Sandbox>,
    pub known: Known,
    pub now: Timestamp,
    pub calls: Vec<String>,
    pub cursor: Option<String>,
    pub session: Session,
    worked: Vec<Item>,
    polled: BTreeSet<String>,
}

impl Desk {
    pub fn new(settings: &Value, portal: Box<dyn Sandbox>) -> Desk {
        let connector = handoffd_hubspot::connector("crm", settings).unwrap();
        Desk {
            connector,
            portal,
            known: Known::default(),
            now: at(0),
            calls: Vec::new(),
            cursor: None,
            session: session(),
            worked: Vec::new(),
            polled: BTreeSet::new(),
        }
    }

    fn plan(&self, items: &[Item]) -> Work {
        Work {
            target: "crm".into(),
            session: self.session.clone(),
            contact: contact(),
            items: items.to_vec(),
            last_inbound: Some(self.now),
            now: self.now,
            controller: handoffd_contract::Controller::queued(None),
        }
    }

    pub fn call(&mut self, call: &HttpCall) -> HttpReply {
        // The engine waits for its share of the searches.
        let wait = if call.path.ends_with("/search") {
            250
        } else {
            40
        };
        self.now += SignedDuration::from_millis(wait);
        let mut request = encode(call, &mut *self.portal, self.now, &bytes).unwrap();
        request.headers.push(("host".into(), "hubspot.test".into()));
        self.calls
            .push(format!("{} {}", request.method, request.path));
        let answer = self.portal.handle(self.now, &request);
        HttpReply {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        }
    }

    /// Goes on with another session in the same portal.
    pub fn session(&mut self, id: &str) {
        self.session.id = id.to_owned();
        self.known = Known::default();
    }

    /// The replies that these items' statuses are about.
    pub fn recalled(&self, items: &[Item]) -> Vec<String> {
        self.connector.recall(&self.plan(items), &self.known)
    }

    /// Works items off, with those that they are about; the reason when the lane parks.
    pub fn work(&mut self, items: &[Item]) -> Result<(), Stop> {
        self.worked.extend(items.iter().cloned());
        let again = self.recalled(items);
        let again = self.worked.iter().filter(|item| again.contains(&item.id));
        let items: Vec<Item> = again.chain(items).cloned().collect();
        let items = items.as_slice();
        for _ in 0..200 {
            let steps = match self.connector.next(&self.plan(items), &self.known) {
                Ok(steps) if steps.is_empty() => return Ok(()),
                Ok(steps) => steps,
                Err(Refusal::Park(stop) | Refusal::Hold { stop, .. }) => return Err(stop),
            };
            for step in steps {
                let reply = match &step.call {
                    Call::Http(call) => {
                        let before = self.calls.len();
                        let missing = match &call.body {
                            handoffd_contract::Body::Multipart(parts) => {
                                parts.iter().find_map(|part| match &part.content {
                                    handoffd_contract::Content::Media(media) => bytes(media).err(),
                                    handoffd_contract::Content::Text(_) => None,
                                })
                            }
                            _ => None,
                        };
                        match missing {
                            Some(problem) => Reply::Media(problem),
                            None => {
                                let reply = self.call(call);
                                assert_eq!(self.calls.len(), before + 1);
                                Reply::Http(reply)
                            }
                        }
                    }
                    Call::Record(record) => {
                        record
                            .facts
                            .iter()
                            .for_each(|(name, value)| self.known.set(name, value));
                        continue;
                    }
                    Call::Publish(_) => unreachable!(),
                };
                let verdict = self.connector.read(&step, &reply);
                let before = self.known.clone();
                match lane::settle(&mut self.known, &before, &step, verdict) {
                    Progress::Moved | Progress::Still => {}
                    Progress::Later { after, .. } => {
                        self.now += SignedDuration::try_from(after.unwrap_or_default()).unwrap();
                    }
                    Progress::Never(stop) => return Err(stop),
                }
            }
        }
        panic!("no end: {:#?}", self.calls)
    }

    /// Takes a frame with everything that must be read for it, as the engine does.
    pub fn hear(&mut self, frame: &Frame<'_>) -> Vec<Inbound> {
        let mut hearing = self.connector.hear(frame).unwrap();
        let mut reads = std::collections::VecDeque::new();
        let mut heard = Vec::new();
        loop {
            heard.append(&mut hearing.heard);
            self.cursor = hearing.cursor.take().or(self.cursor.take());
            reads.extend(hearing.fetch.drain(..));
            let Some(read) = reads.pop_front() else { break };
            let reply = self.call(&read.call);
            hearing = self
                .connector
                .hear(&Frame::Reply {
                    read: &read,
                    reply: &reply,
                })
                .unwrap();
        }
        // Facts about the pace are the lane's own.
        heard.retain(|heard| match &heard.kind {
            InboundKind::Facts(facts)
                if facts.iter().all(|(name, _)| name != "ticket") && !self.is_about(heard) =>
            {
                false
            }
            InboundKind::Facts(facts) if facts.iter().all(|(name, _)| name != "ticket") => {
                facts
                    .iter()
                    .for_each(|(name, value)| self.known.set(name, value));
                false
            }
            _ => true,
        });
        heard.retain(|heard| {
            let ours = |record: &String| {
                self.known
                    .0
                    .values()
                    .any(|fact| *fact == handoffd_contract::Fact::Is(record.clone()))
            };
            !heard.echo.as_ref().is_some_and(ours)
        });
        heard
    }

    /// How long the poll pauses; none when it has ended.
    pub fn pace(&self) -> Option<u64> {
        self.feed().map(|feed| match feed {
            Feed::Poll { every, .. } => every.as_secs(),
            Feed::Stream { .. } => panic!("HubSpot has no stream"),
        })
    }

    fn is_about(&self, heard: &Inbound) -> bool {
        match &heard.subject {
            Subject::Fact { name, value } => self.known.get(name) == Some(value),
            _ => false,
        }
    }

    /// The poll that all tickets share, by itself.
    pub fn search(&mut self) -> Vec<Inbound> {
        let Some(Feed::Poll { read, .. }) = self.feed() else {
            panic!("no poll")
        };
        let reply = self.call(&read.call);
        self.hear(&Frame::Reply {
            read: &read,
            reply: &reply,
        })
    }

    pub fn feed(&self) -> Option<Feed> {
        let work = self.plan(&[]);
        self.connector
            .feed(&work, &self.known, self.cursor.as_deref())
    }

    /// The ticket's own read.
    pub fn own_read(&mut self) -> Vec<Inbound> {
        let Some(Feed::Poll {
            backfill: Some(read),
            ..
        }) = self.feed()
        else {
            panic!("no poll")
        };
        let reply = self.call(&read.call);
        self.hear(&Frame::Reply {
            read: &read,
            reply: &reply,
        })
    }

    /// One round of the poll while there are few tickets; what polls tell again counts once.
    pub fn poll(&mut self) -> Vec<Inbound> {
        let mut heard = self.search();
        heard.extend(self.own_read());
        heard.retain(|one| self.polled.insert(one.id.clone()));
        heard
    }

    /// Delivers the webhooks that are due.
    pub fn webhooks(&mut self) -> Vec<Inbound> {
        let mut heard = Vec::new();
        for delivery in self.portal.deliveries(self.now) {
            heard.extend(self.hear(&Frame::Webhook {
                headers: &delivery.headers,
                body: &delivery.body,
            }));
            self.portal.delivered(self.now, delivery.id, Some(200));
        }
        heard
    }

    pub fn act(&mut self, act: Value) -> Value {
        self.now += SignedDuration::from_secs(1);
        self.portal.act(self.now, &act).unwrap()
    }

    /// A plain request, signed in.
    pub fn request(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.now += SignedDuration::from_secs(1);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut request = Request {
            method: method.into(),
            path: path.into(),
            query: handoffd_contract::sandbox::parse_query(query),
            headers: self
                .portal
                .sign_in(self.now, &handoffd_contract::Auth::Target),
            body: if body.is_null() {
                Vec::new()
            } else {
                body.to_string().into_bytes()
            },
        };
        request
            .headers
            .push(("content-type".into(), "application/json".into()));
        request.headers.push(("host".into(), "hubspot.test".into()));
        let answer = self.portal.handle(self.now, &request);
        (
            answer.status,
            serde_json::from_slice(&answer.body).unwrap_or_default(),
        )
    }
}
