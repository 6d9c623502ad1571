//! The engine in its smallest form around this connector and its simulator: webhooks are heard and
//! become items, events come back as items, the clock moves on when a lane holds, and an operator
//! decides about sends whose outcome stays unknown.

use std::collections::{BTreeMap, BTreeSet};

use handoffd_contract::event::{Contact, MessageStatus, Session};
use handoffd_contract::lane::{self, Progress};
use handoffd_contract::proof::{Mishap, encode};
use handoffd_contract::sandbox::{Request, Response, Sandbox};
use handoffd_contract::{
    Call, Connector, Data, Fact, Frame, HttpReply, InboundKind, Item, Known, Publication, Reason,
    Refusal, Repeat, Reply, Settled, Step, Stop, Subject, Verdict, Work,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cast::{CUSTOMER, item, media, start};

/// Where webhooks go.
const HOOK: &str = "http://127.0.0.1:1/webhooks/whatsapp";

/// One thing that happens in a story.
#[derive(Clone)]
pub enum Chapter {
    /// Events arrive.
    Items(Vec<Item>),
    /// The customer does something.
    Act(Value),
    /// Time passes.
    Pass(SignedDuration),
    /// A switch of the simulator.
    Switch(&'static str, Value),
}

/// Everything of one lane.
pub struct World<'a> {
    pub connector: &'a dyn Connector,
    pub sandbox: Box<dyn Sandbox>,
    pub known: Known,
    pub items: Vec<Item>,
    pub seen: BTreeSet<String>,
    pub all: Vec<Item>,
    pub events: BTreeMap<String, Data>,
    pub order: Vec<String>,
    pub contact: Contact,
    pub now: Timestamp,
    pub last_inbound: Option<Timestamp>,
    pub mishaps: BTreeMap<usize, Mishap>,
    pub calls: usize,
    pub operator: usize,
    pub held: Option<Refusal>,
    pub log: Vec<String>,
    /// The names of the steps of each plan.
    pub plans: Vec<String>,
    /// Whose API the simulator serves; empty for Meta's.
    pub api: &'static str,
    /// The session's id.
    pub session: &'static str,
    /// Nothing but the phone tells what became of a send without an answer: who looks and finds the
    /// message there takes it for sent.
    pub blind: bool,
    late: Option<Request>,
}

impl<'a> World<'a> {
    /// A fresh one.
    pub fn new(connector: &'a dyn Connector) -> World<'a> {
        let mut sandbox = handoffd_whatsapp::sandbox();
        sandbox
            .switch("webhook_url", &json!(HOOK))
            .expect("a switch");
        let contact = Contact {
            wa_id: Some(CUSTOMER.into()),
            name: Some("Ana".into()),
            ..Contact::default()
        };
        World {
            connector,
            sandbox,
            known: Known::default(),
            items: Vec::new(),
            seen: BTreeSet::new(),
            all: Vec::new(),
            events: BTreeMap::new(),
            order: Vec::new(),
            contact,
            now: start(),
            last_inbound: None,
            mishaps: BTreeMap::new(),
            calls: 0,
            operator: 0,
            held: None,
            log: Vec::new(),
            plans: Vec::new(),
            api: "",
            session: "s-1",
            blind: false,
            late: None,
        }
    }

    /// A fresh one before a gateway's own API.
    pub fn before(connector: &'a dyn Connector, api: &'static str) -> World<'a> {
        let mut world = World::new(connector);
        let switch = world.sandbox.switch("gateway", &json!(api));
        switch.expect("a switch");
        world.api = api;
        if api == "chatwoot" {
            world.session = "chatwoot-1-101";
        }
        world
    }

    /// Plays a story.
    pub fn play(&mut self, story: &[Chapter]) -> Result<(), String> {
        for chapter in story {
            match chapter {
                Chapter::Items(items) => {
                    for item in items.clone() {
                        self.arrive(item);
                    }
                }
                Chapter::Act(act) => {
                    self.sandbox.act(self.now, act)?;
                    if !matches!(act["act"].as_str(), Some("read" | "block" | "unblock")) {
                        self.last_inbound = Some(self.now);
                    }
                }
                Chapter::Pass(time) => self.now += *time,
                Chapter::Switch(name, value) => self.sandbox.switch(name, value)?,
            }
            self.settle()?;
        }
        if let Some(request) = self.late.take() {
            self.sandbox.handle(self.now, &request);
        }
        Ok(())
    }

    /// Whatever part of the work is looked at again asks for nothing: this is how the engine finds
    /// out how far a lane has come.
    pub fn rests(&self) {
        for end in 0..=self.all.len() {
            let work = Work {
                items: self.all[..end].to_vec(),
                ..self.work()
            };
            let next = self.connector.next(&work, &self.known);
            assert_eq!(
                next,
                Ok(Vec::new()),
                "the first {end} of {} items",
                self.all.len()
            );
        }
    }

    /// The ledger takes an event once.
    fn arrive(&mut self, mut item: Item) {
        if self.seen.insert(item.id.clone()) {
            item.time = self.now;
            self.all.push(item.clone());
            self.items.push(item);
        }
    }

    /// What the lane is given.
    pub fn work(&self) -> Work {
        Work {
            target: "whatsapp".into(),
            session: Session {
                id: self.session.into(),
                business_number: "+15550783881".into(),
                language: Some("de-DE".into()),
                ..Session::default()
            },
            contact: self.contact.clone(),
            items: self.items.clone(),
            last_inbound: self.last_inbound,
            now: self.now,
            controller: handoffd_contract::Controller::queued(None),
        }
    }

    /// Works until nothing moves any more.
    pub fn settle(&mut self) -> Result<(), String> {
        for _ in 0..3_000 {
            self.hear()?;
            self.recall();
            let work = self.work();
            let planned = self.connector.next(&work, &self.known);
            if self.connector.next(&work, &self.known) != planned {
                return Err("next is not a function".into());
            }
            self.held = planned.as_ref().err().cloned();
            match planned {
                Ok(steps) if steps.is_empty() => {
                    self.items.clear();
                    if !self.waiting() {
                        return Ok(());
                    }
                    self.now += SignedDuration::from_millis(300);
                }
                Ok(steps) => self.wave(steps)?,
                Err(Refusal::Hold { until, .. }) => match until {
                    _ if self.waiting() => self.now += SignedDuration::from_millis(300),
                    Some(until) => self.now = until.max(self.now + SignedDuration::from_millis(1)),
                    None => return Ok(()),
                },
                Err(Refusal::Park(stop)) if stop.reason == Reason::UnknownOutcome => {
                    self.decide()?
                }
                Err(Refusal::Park(stop)) => return Err(format!("parked: {stop:?}")),
            }
        }
        Err(format!("no end\n{}", self.tail()))
    }

    /// Events that were shown already and are work again come before the others.
    fn recall(&mut self) {
        for id in self.connector.recall(&self.work(), &self.known) {
            let item = self.all.iter().find(|item| item.id == id);
            let item = item.expect("an event of this session").clone();
            self.items.insert(0, item);
        }
    }

    /// Whether the simulator has webhooks to send.
    fn waiting(&self) -> bool {
        self.sandbox.view()["webhooks"]["waiting"] != 0
    }

    pub fn tail(&self) -> String {
        self.log[self.log.len().saturating_sub(40)..].join("\n")
    }

    /// Webhooks arrive, find their lane by a fact, and become events.
    fn hear(&mut self) -> Result<(), String> {
        for delivery in self.sandbox.deliveries(self.now) {
            if !self.api.is_empty() {
                let status = crate::gateways::status(self.api, &delivery);
                let status = status.map(|(id, status)| item(&id, Data::MessageStatus(status)));
                status.into_iter().for_each(|item| self.arrive(item));
                self.sandbox.delivered(self.now, delivery.id, Some(200));
                continue;
            }
            let frame = Frame::Webhook {
                headers: &delivery.headers,
                body: &delivery.body,
            };
            let hearing = self
                .connector
                .hear(&frame)
                .map_err(|refusal| format!("{refusal:?}"))?;
            for heard in hearing.heard {
                let Subject::Fact { name, value } = &heard.subject else {
                    return Err(format!("{heard:?} names no fact"));
                };
                if !value.is_empty() || !self.known.is(name) {
                    return Err(format!("no lane has the fact {name}\n{}", self.tail()));
                }
                let InboundKind::Status {
                    message_id,
                    reference,
                    state,
                    error_code,
                    error,
                } = heard.kind
                else {
                    return Err("not a status".into());
                };
                let status = MessageStatus {
                    message_id,
                    reference,
                    status: state,
                    error_code,
                    error,
                };
                self.arrive(Item {
                    time: heard.at.unwrap_or(self.now),
                    ..item(&heard.id, Data::MessageStatus(status))
                });
            }
            self.sandbox.delivered(self.now, delivery.id, Some(200));
        }
        Ok(())
    }

    /// A person looks at the customer's phone and says "try again"; had the message arrived, its
    /// status would have said so.
    fn decide(&mut self) -> Result<(), String> {
        self.operator += 1;
        let unsure: Vec<String> = self
            .known
            .0
            .iter()
            .filter(|(name, fact)| name.starts_with("sent/") && matches!(fact, Fact::Unsure { .. }))
            .map(|(name, _)| name.clone())
            .collect();
        for name in unsure {
            let there = match self.api {
                "" | "twilio" | "360dialog" => self.on_phone(&name),
                _ => self.shows(&name),
            };
            if there && self.blind {
                self.log.push(format!("operator: skip {name}"));
                let why = Settled::refused(Reason::UnknownOutcome, "a person has looked");
                self.known.set(name, why);
                continue;
            }
            if there {
                return Err(format!(
                    "{name} was parked although it is on the phone\n{}",
                    self.tail()
                ));
            }
            self.log.push(format!("operator: retry {name}"));
            self.known.0.remove(&name);
        }
        Ok(())
    }

    /// Whether the phone shows the message that a fact `sent/…` is about.
    pub fn on_phone(&self, fact: &str) -> bool {
        let references: Vec<String> = self
            .known
            .under("ref/")
            .filter(|(_, value)| {
                let sent: Value = serde_json::from_str(value).expect("JSON");
                let item = sent["item"].as_str().expect("an item");
                fact == format!("sent/{item}/{}", sent["slot"].as_str().expect("a slot"))
            })
            .map(|(reference, _)| reference.to_owned())
            .collect();
        let entries = self.conversation();
        entries
            .iter()
            .any(|e| references.iter().any(|r| e["reference"] == r.as_str()))
    }

    /// Whether the phone shows what a fact `sent/…` is about, by its words or its file's name.
    fn shows(&self, fact: &str) -> bool {
        let mut parts = fact.split('/').skip(1);
        let (id, slot) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let item = self
            .all
            .iter()
            .find(|item| item.id == id)
            .expect("an event");
        let Data::RepReplied(reply) = &item.data else {
            return false;
        };
        let slot: usize = slot.parse().expect("a number");
        let file = reply
            .attachments
            .get(slot)
            .and_then(|file| file.name.clone());
        let wanted = file.or_else(|| reply.text.clone()).unwrap_or_default();
        self.texts().contains(&wanted)
    }

    /// Carries out one plan.
    fn wave(&mut self, steps: Vec<Step>) -> Result<(), String> {
        let before = self.known.clone();
        let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
        self.plans.push(names.join(" "));
        let unsure = lane::intend(&before, &steps, self.now).map_err(|bad| bad.to_string())?;
        self.known.0.extend(unsure);
        let mut wait = SignedDuration::ZERO;
        for step in steps {
            if step.not_after.is_some_and(|until| self.now > until) {
                let undone = lane::undo(&before, &step);
                undone
                    .into_iter()
                    .for_each(|change| change.apply(&mut self.known));
                continue;
            }
            let request = match &step.call {
                Call::Record(record) => {
                    self.log.push(format!("record {}", step.name));
                    for (name, value) in &record.facts {
                        self.known.set(name.clone(), value.clone());
                    }
                    for (id, data) in &record.events {
                        if self.events.insert(id.clone(), data.clone()).is_none() {
                            self.order.push(id.clone());
                            self.arrive(item(id, data.clone()));
                        }
                    }
                    continue;
                }
                Call::Http(call) => encode(call, &mut *self.sandbox, self.now, &media),
                Call::Publish(publish) => Ok(Request {
                    method: "PUBLISH".into(),
                    path: format!("/{}/{}", publish.exchange, publish.routing_key),
                    headers: vec![("message-id".into(), publish.message_id.clone())],
                    body: publish.body.to_string().into_bytes(),
                    ..Request::default()
                }),
            };
            let request = match request {
                Ok(request) => request,
                Err(problem) => {
                    let verdict = self.connector.read(&step, &Reply::Media(problem));
                    self.learn(&before, &step, verdict, &mut wait)?;
                    continue;
                }
            };
            let mishap = self.mishaps.get(&self.calls).copied();
            let line = format!("{} {} {mishap:?}", self.calls, step.name);
            self.calls += 1;
            self.now += SignedDuration::from_millis(40);
            let late = self.late.take();
            let blind = step.repeat == Repeat::Blind;
            let status = |status: u16| Some(Response::empty(status).with("retry-after", "1"));
            let response = match mishap {
                None => Some(self.sandbox.handle(self.now, &request)),
                Some(Mishap::CrashBefore) => {
                    self.log.push(line);
                    self.now += SignedDuration::from_secs(2);
                    self.late = late;
                    return Ok(());
                }
                Some(Mishap::AnswerLost) => {
                    self.sandbox.handle(self.now, &request);
                    None
                }
                Some(Mishap::Late) if blind || late.is_some() => {
                    Some(self.sandbox.handle(self.now, &request))
                }
                Some(Mishap::Late) => {
                    self.late = Some(request);
                    None
                }
                Some(Mishap::TooMany) => status(429),
                Some(Mishap::Unavailable) => status(503),
                Some(Mishap::FailedAfter) => {
                    self.sandbox.handle(self.now, &request);
                    Some(Response::text(500, "Internal Server Error"))
                }
            };
            if let Some(request) = late {
                self.sandbox.handle(self.now, &request);
            }
            self.log.push(format!(
                "{line} -> {:?}",
                response.as_ref().map(|r| r.status)
            ));
            match response {
                None => {
                    let (changes, progress) =
                        lane::lost(&step, Stop::new(Reason::TimedOut, "no answer"));
                    changes
                        .into_iter()
                        .for_each(|change| change.apply(&mut self.known));
                    if progress != Progress::Moved {
                        wait = wait.max(SignedDuration::from_secs(2));
                    }
                }
                Some(response) => {
                    let verdict = self.connector.read(&step, &as_reply(&step, response));
                    self.learn(&before, &step, verdict, &mut wait)?;
                }
            }
        }
        self.now += wait;
        Ok(())
    }

    fn learn(
        &mut self,
        before: &Known,
        step: &Step,
        verdict: Verdict,
        wait: &mut SignedDuration,
    ) -> Result<(), String> {
        match lane::settle(&mut self.known, before, step, verdict) {
            Progress::Moved | Progress::Still => {}
            Progress::Later { after, .. } => {
                let after = after.and_then(|after| SignedDuration::try_from(after).ok());
                *wait = (*wait).max(after.unwrap_or(SignedDuration::from_secs(1)));
            }
            Progress::Never(stop) => return Err(format!("{} can never be: {stop:?}", step.name)),
        }
        Ok(())
    }

    /// How many sends were tried.
    pub fn sends(&self) -> usize {
        self.log
            .iter()
            .filter(|line| line.contains("message.send") || line.contains("reply.send"))
            .count()
    }

    /// What the customer's phone shows.
    pub fn conversation(&self) -> Vec<Value> {
        let view = self.sandbox.view();
        view["phones"][CUSTOMER]["conversation"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// The texts (or file names) that the business sent, in order.
    pub fn texts(&self) -> Vec<String> {
        let from_us = |entry: &&Value| entry["from"] == "business";
        let text = |entry: &Value| {
            let shown = [&entry["text"], &entry["file_name"], &entry["mime"]];
            shown
                .iter()
                .find_map(|shown| shown.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        self.conversation()
            .iter()
            .filter(from_us)
            .map(text)
            .collect()
    }

    /// What reps were told, in order: message id, state, detail.
    pub fn told(&self) -> Vec<(String, String, String)> {
        let status = |id: &String| match &self.events[id] {
            Data::ReplyStatus(status) => Some((
                status.message_id.clone(),
                format!("{:?}", status.state),
                status.detail.clone().unwrap_or_default(),
            )),
            _ => None,
        };
        self.order.iter().filter_map(status).collect()
    }
}

/// A simulator's answer as a step's reply.
pub fn as_reply(step: &Step, response: Response) -> Reply {
    if matches!(step.call, Call::Publish(_)) {
        return Reply::Published(match response.status {
            200 => Publication::Confirmed,
            404 => Publication::Unroutable {
                words: "NO_ROUTE".into(),
            },
            _ => Publication::Refused,
        });
    }
    Reply::Http(HttpReply {
        status: response.status,
        headers: response.headers,
        body: response.body,
    })
}

/// The customer writes.
pub fn hello() -> Chapter {
    Chapter::Act(json!({"act": "text", "from": CUSTOMER, "name": "Ana", "text": "Hi"}))
}

/// Events arrive.
pub fn items(items: Vec<Item>) -> Chapter {
    Chapter::Items(items)
}

/// Plays a story that must end well.
pub fn play<'a>(connector: &'a dyn Connector, story: &[Chapter]) -> World<'a> {
    let mut world = World::new(connector);
    if let Err(error) = world.play(story) {
        panic!("{error}\n{}", world.tail());
    }
    world
}

/// What reps were told, without the details.
pub fn states(world: &World<'_>) -> Vec<String> {
    world
        .told()
        .into_iter()
        .map(|(id, state, _)| format!("{id} {state}"))
        .collect()
}
