//! A receiver written from the specification of Standard Webhooks, and the platform's end of an exchange.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
//!
//! An event that is published arrives as method `PUBLISH`, path `/<exchange>/<routing key>`, header
//! `message-id`. Everything that comes is kept once by its id, in the order in which it came.

mod signature;

use std::collections::BTreeSet;

use handoffd_contract::Auth;
use handoffd_contract::sandbox::{Request, Response, Sandbox};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Events that are remembered, at most.
const MAX: usize = 100_000;

/// What is signed with unless a switch says otherwise: the example of the specification's libraries.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A receiver.
#[derive(Debug)]
pub(super) struct Receiver {
    secret: String,
    status: u16,
    bound: bool,
    seen: BTreeSet<String>,
    events: Vec<Value>,
    repeats: u64,
    wrong: Vec<String>,
    /// What the proof suite is about to send: it has no wire, and nothing else can sign.
    vouched: BTreeSet<String>,
}

impl Default for Receiver {
    fn default() -> Receiver {
        Receiver {
            secret: SECRET.to_owned(),
            status: 204,
            bound: true,
            seen: BTreeSet::new(),
            events: Vec::new(),
            repeats: 0,
            wrong: Vec::new(),
            vouched: BTreeSet::new(),
        }
    }
}

impl Receiver {
    /// Keeps an event; a repeat is counted.
    fn keep(&mut self, id: &str, key: Value, body: &Value) -> Result<(), &'static str> {
        cloud_event(id, body)?;
        if !self.seen.insert(id.to_owned()) {
            self.repeats += 1;
            return Ok(());
        }
        if self.seen.len() > MAX {
            self.seen.pop_first();
        }
        self.events.push(
            json!({"id": id, "routing_key": key, "type": body["type"], "data": body["data"]}),
        );
        if self.events.len() > MAX {
            self.events.remove(0);
        }
        Ok(())
    }

    fn take(&mut self, now: Timestamp, request: &Request) -> Response {
        if request.method == "PUBLISH" {
            if !self.bound {
                return Response::empty(404);
            }
            let id = request.header("message-id").unwrap_or_default().to_owned();
            let key = request.segments().get(1).cloned();
            return match self.keep(&id, json!(key), &request.json().unwrap_or_default()) {
                Ok(()) => Response::empty(200),
                Err(why) => self.refuse(400, why),
            };
        }
        if request.method != "POST" {
            return self.refuse(405, "not a POST");
        }
        if !(200..300).contains(&self.status) {
            return Response::empty(self.status);
        }
        let id = request.header("webhook-id").unwrap_or_default().to_owned();
        if !self.vouched.contains(&id)
            && let Err(why) = signature::verify(&self.secret, now, request)
        {
            return self.refuse(401, why);
        }
        match self.keep(&id, Value::Null, &request.json().unwrap_or_default()) {
            Ok(()) => Response::empty(self.status),
            Err(why) => self.refuse(400, why),
        }
    }

    fn refuse(&mut self, status: u16, why: &str) -> Response {
        self.wrong.push(why.to_owned());
        Response::text(status, why)
    }
}

impl Sandbox for Receiver {
    fn handle(&mut self, now: Timestamp, request: &Request) -> Response {
        self.take(now, request)
    }

    fn view(&self) -> Value {
        json!({"events": self.events, "repeats": self.repeats, "wrong": self.wrong})
    }

    fn act(&mut self, _: Timestamp, _: &Value) -> Result<Value, String> {
        Err("a receiver does nothing by itself".to_owned())
    }

    fn switch(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match (name, value) {
            ("secret", Value::String(secret)) => self.secret.clone_from(secret),
            ("bound", Value::Bool(bound)) => self.bound = *bound,
            ("status", Value::Number(status)) => {
                let status = status
                    .as_u64()
                    .and_then(|status| u16::try_from(status).ok());
                self.status = status.ok_or("`status` is a number such as 503")?;
            }
            _ => return Err("the switches are: bound, secret, status".to_owned()),
        }
        Ok(())
    }

    fn switches(&self) -> Value {
        json!({"bound": self.bound, "status": self.status})
    }

    fn credentials(&self, base: &str) -> Value {
        json!({
            "settings": {"url": format!("{base}/hooks"), "secret": "events_secret"},
            "secrets": {"events_secret": self.secret},
        })
    }

    fn sign_in(&mut self, _: Timestamp, auth: &Auth) -> Vec<(String, String)> {
        let Auth::Signed { id } = auth else {
            return Vec::new();
        };
        self.vouched.insert(id.clone());
        vec![("webhook-id".to_owned(), id.clone())]
    }
}

/// CloudEvents 1.0, structured: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
fn cloud_event(id: &str, body: &Value) -> Result<(), &'static str> {
    let text = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
    if id.is_empty() {
        return Err("no id");
    }
    if body["specversion"] != "1.0"
        || !["id", "source", "type", "subject", "time"]
            .iter()
            .all(|name| text(name))
    {
        return Err("not a CloudEvent 1.0");
    }
    if body["id"] != id {
        return Err("the CloudEvent's id is not the message's id");
    }
    if !body["data"].is_object() {
        return Err("no data");
    }
    Ok(())
}
