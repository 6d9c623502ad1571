//! The gateway's end of the exchange, as far as the proof needs it: a message that comes twice under
//! one id counts once; replies reach the phone; everything else is kept.
//!
//! A published message arrives here as method `PUBLISH`, path `/<exchange>/<routing key>`, header
//! `message-id`. 200 is a confirm, 404 a return, 400 a refusal.

use std::collections::BTreeSet;

use handoffd_contract::event::AttachmentKind;
use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Meta;
use super::fault::Fault;
use super::phones::Phone;
use super::render;
use super::send::Taken;

/// Message ids and events that are remembered, at most.
const MAX: usize = 100_000;

/// What came over the exchange.
#[derive(Debug, Default)]
pub(super) struct Gateway {
    seen: BTreeSet<String>,
    events: Vec<Value>,
    repeats: u64,
    wrong: Vec<String>,
}

impl Gateway {
    pub(super) fn view(&self) -> Value {
        json!({"events": self.events, "repeats": self.repeats, "wrong": self.wrong})
    }
}

impl Meta {
    /// Takes a published message.
    pub(super) fn publish(&mut self, now: Timestamp, request: &Request) -> Response {
        if !self.switches.gateway_bound {
            return Response::empty(404);
        }
        let id = request.header("message-id").unwrap_or_default().to_owned();
        let body = request.json().unwrap_or_default();
        if let Err(why) = cloud_event(&id, &body) {
            self.gateway.wrong.push(why.to_owned());
            return Response::empty(400);
        }
        if !self.gateway.seen.insert(id.clone()) {
            self.gateway.repeats += 1;
            return Response::empty(200);
        }
        if self.gateway.seen.len() > MAX {
            self.gateway.seen.pop_first();
        }
        if body["type"] == "reply.requested" {
            if let Err(why) = self.relay(now, &body["data"]) {
                self.gateway.wrong.push(why.to_owned());
            }
        } else {
            let key = request.segments().get(1).cloned().unwrap_or_default();
            self.gateway
                .events
                .push(json!({"routing_key": key, "type": body["type"], "data": body["data"]}));
            if self.gateway.events.len() > MAX {
                self.gateway.events.remove(0);
            }
        }
        Response::empty(200)
    }

    /// Sends what a reply asks for, as a gateway does.
    fn relay(&mut self, now: Timestamp, data: &Value) -> Result<(), &'static str> {
        let phone = match (data["to"].as_str(), data["user_id"].as_str()) {
            (Some(to), _) => self
                .phones
                .dial(to.strip_prefix('+').ok_or("`to` does not begin with +")?),
            (None, Some(user)) => self.phones.find(user).unwrap_or_else(|| {
                self.phones.0.push(Phone {
                    user_id: Some(user.to_owned()),
                    ..Phone::default()
                });
                self.phones.0.len() - 1
            }),
            (None, None) => return Err("neither `to` nor `user_id`"),
        };
        let reference = data["reference"]
            .as_str()
            .ok_or("no `reference`")?
            .to_owned();
        let message = &data["message"];
        let kind = message["type"].as_str().ok_or("no `message.type`")?;
        let object = message[kind]
            .as_object()
            .ok_or("no message object under its type")?;
        let mut fails = None;
        let shown = match kind {
            "template" => match super::templates::hydrate(&self.templates, object) {
                Ok(text) => shown(&[("template", object["name"].clone()), ("text", text.into())]),
                Err(fault) => {
                    fails = Some(fault);
                    Map::new()
                }
            },
            "text" => shown(&[("text", object["body"].clone())]),
            "interactive" => {
                let mut map = Map::new();
                render::interactive(object, &mut map);
                map
            }
            _ => file(object, &mut fails),
        };
        let mut shown = shown;
        shown.insert("type".into(), kind.into());
        let id = self.wamid();
        let free = kind != "template";
        self.take(
            now,
            Taken {
                phone,
                id,
                reference: Some(reference),
                free,
                shown,
                fails,
            },
        );
        Ok(())
    }
}

/// What the phone shows of a file. Its bytes are fetched by a real gateway; here only inline ones
/// are counted.
fn file(object: &Map<String, Value>, fails: &mut Option<Fault>) -> Map<String, Value> {
    let attachment = object.get("attachment").cloned().unwrap_or_default();
    let mime = attachment["mime"].as_str().unwrap_or_default();
    if crate::kinds::media_kind(mime, AttachmentKind::Other).is_none() {
        *fails = Some(Fault::new(
            131053,
            format!("Files of type {mime} cannot be sent."),
        ));
    }
    let mut fields = vec![
        (
            "file_name",
            object.get("filename").cloned().unwrap_or_default(),
        ),
        ("mime", mime.into()),
    ];
    fields.extend(
        object
            .get("caption")
            .map(|caption| ("caption", caption.clone())),
    );
    fields.extend(
        object
            .get("voice")
            .map(|voice| ("voice_note", voice.clone())),
    );
    fields.push(("source", attachment["source"]["from"].clone()));
    shown(&fields)
}

fn shown(fields: &[(&str, Value)]) -> Map<String, Value> {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

/// CloudEvents 1.0, structured: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
fn cloud_event(id: &str, body: &Value) -> Result<(), &'static str> {
    let text = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
    if id.is_empty() {
        return Err("no message id");
    }
    if body["specversion"] != "1.0"
        || !["id", "source", "type", "subject", "time"]
            .iter()
            .all(|name| text(name))
    {
        return Err("not a CloudEvent 1.0");
    }
    if body["id"] != id {
        return Err("the CloudEvent's id is not the message id");
    }
    if !body["data"].is_object() {
        return Err("no data");
    }
    Ok(())
}
