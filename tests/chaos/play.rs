//! Carries the stories out: customers write, the gateway tells, reps act in their CRMs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::book::{Book, Reply};
use crate::gateway::{FOREIGN, Line, event};
use crate::options::Exit;
use crate::rng::Rng;
use crate::story::{Act, CRMS, RepAct, Story, words};
use crate::views::{PAGE, records};
use crate::world::World;

/// The business's number, as the simulators know it.
const BUSINESS: &str = "+15550783881";

/// Which record shows which session, by CRM and session: the record's id, and whether a rep is there.
pub type Index = BTreeMap<(&'static str, String), (String, bool)>;

/// Everything that a story needs.
#[derive(Clone)]
pub struct Stage {
    pub world: Arc<World>,
    pub line: Arc<Line>,
    pub book: Arc<Book>,
    pub exit: Exit,
    pub seed: u64,
    pub index: watch::Receiver<Index>,
}

/// Looks at the CRMs from time to time, so that reps find their records.
pub async fn look(world: Arc<World>, index: watch::Sender<Index>) {
    loop {
        let began = Instant::now();
        let mut found = Index::new();
        for target in CRMS {
            for record in records(&world.sims, target) {
                for session in record.sessions {
                    found.insert((target, session), (record.id.clone(), record.staffed));
                }
            }
            tokio::task::yield_now().await;
        }
        index.send_replace(found);
        // Looking costs time that the simulators need.
        sleep((began.elapsed() * 5).max(Duration::from_millis(400))).await;
    }
}

/// Plays a story to its end.
pub async fn play(stage: Stage, story: Story, began: Instant) {
    sleep_until(began + story.begins).await;
    let mut reps = JoinSet::new();
    for (target, acts) in story.reps.clone() {
        let (stage, story) = (stage.clone(), story.clone());
        reps.spawn(async move { rep(&stage, &story, target, acts).await });
    }
    let mut teller = Teller {
        stage: &stage,
        story: &story,
        rng: Rng::new(stage.seed, &story.session),
        said: Vec::new(),
        told: 0,
        closed: false,
    };
    let transcript: Vec<Value> = (0..story.transcript)
        .map(|n| teller.says(n % 2 == 0, false))
        .collect();
    teller.hand_over(&transcript).await;
    for (after, act) in &story.events {
        sleep(*after).await;
        teller.act(*act).await;
    }
    while reps.join_next().await.is_some() {}
}

/// The gateway's side of one story.
struct Teller<'a> {
    stage: &'a Stage,
    story: &'a Story,
    rng: Rng,
    /// Every message until now.
    said: Vec<Value>,
    told: u64,
    /// It was closed and not handed over since: what the customer writes begins a conversation of its own,
    /// unless the event names this one.
    closed: bool,
}

impl Teller<'_> {
    /// A message is written; in the form that events carry.
    fn says(&mut self, customer: bool, file: bool) -> Value {
        let book = &self.stage.book;
        let token = book.message(&self.story.session);
        let text = words(&token, &mut self.rng);
        let mut message = json!({"text": text, "author": {"kind": if customer { "customer" } else { "assistant" }}});
        let silent = self.story.stale && self.said.len() < self.story.transcript;
        if customer && !silent {
            let act = json!({"act": "text", "from": self.story.customer.key, "name": self.story.customer.name, "text": text});
            let said = self
                .stage
                .world
                .sim("whatsapp")
                .act(&act)
                .expect("a customer can write");
            message["id"] = said["id"].clone();
            message["time"] = said["timestamp"].clone();
            book.open()
                .wrote
                .insert(self.story.customer.key.clone(), Timestamp::now());
        } else {
            let before = SignedDuration::from_hours(if silent { 48 } else { 0 });
            message["id"] = json!(format!("{}-{}", self.story.session, self.said.len()));
            message["time"] = json!(Timestamp::now() - before);
        }
        if file {
            let stem = token.replace("-M", "x").replace('S', "file");
            let content = format!("%PDF-1.4 {stem}");
            let source = match self.stage.exit {
                Exit::Cloud => {
                    let act = json!({"act": "media", "from": self.story.customer.key, "kind": "document",
                        "mime": "application/pdf", "content": content, "file_name": format!("{stem}.pdf")});
                    let kept = self.stage.world.sim("whatsapp").act(&act);
                    let kept = kept.expect("a customer can send a file");
                    json!({"from": "whatsapp", "media_id": kept["media_id"]})
                }
                Exit::Gateway | Exit::Http => {
                    json!({"from": "inline", "data": STANDARD.encode(content)})
                }
            };
            message["attachments"] = json!([{"id": "a", "kind": "document", "mime": "application/pdf",
                "name": format!("{stem}.pdf"), "source": source}]);
            book.open().files.push((self.story.session.clone(), stem));
        }
        self.said.push(message.clone());
        message
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Writes { file } => {
                let message = self.says(true, file);
                if self.is_foreign(file) {
                    self.tell_as_waha(&message).await;
                } else {
                    let data = json!({"message": message});
                    self.tell("message.received", data).await;
                }
            }
            Act::Platform => {
                let message = self.says(false, false);
                self.tell("message.sent", json!({"message": message})).await;
            }
            Act::Again { old, new } => {
                self.stage.book.hand_over(&self.story.session);
                let from = self.said.len().saturating_sub(old);
                let mut transcript = self.said[from..].to_vec();
                transcript.extend((0..new).map(|n| self.says(n % 2 == 0, false)));
                self.hand_over(&transcript).await;
            }
            Act::Reads => {
                let act = json!({"act": "read", "from": self.story.customer.key});
                let _ = self.stage.world.sim("whatsapp").act(&act);
            }
            Act::Returns => {
                self.stage.book.return_to_assistant(&self.story.session);
                let by = json!({"returned_by": "assistant", "reason": "answered"});
                self.tell("session.returned", by).await;
            }
            Act::Closes => {
                self.closed = true;
                self.tell(
                    "session.closed",
                    json!({"resolved": true, "reason": "done"}),
                )
                .await;
            }
        }
    }

    async fn hand_over(&mut self, transcript: &[Value]) {
        self.closed = false;
        self.stage.book.count("handoffs issued");
        let (story, customer) = (self.story, &self.story.customer);
        let mut contact = json!({"name": customer.name});
        if customer.hidden {
            contact["user_id"] = json!(customer.key);
            contact["username"] = json!(format!("user.{}", story.n));
        } else {
            contact["wa_id"] = json!(customer.key);
            contact["phone"] = json!(format!("+{}", customer.key));
        }
        let targets: Vec<&str> = story.targets.iter().copied().chain(["whatsapp"]).collect();
        let data = json!({
            "session": {"id": story.session, "url": format!("{PAGE}{}", story.session), "business_number": BUSINESS, "language": "en"},
            "contact": contact,
            "handoff": {"reasons": ["user_requested_human_assistance"], "summary": "They want <a refund> & an apology.",
                "sentiment": "angry", "language": "en", "topic": "Refund"},
            "transcript": transcript,
            "fields": {"order_id": story.n},
            "targets": targets,
        });
        self.tell("handoff.requested", data).await;
    }

    /// Whether a message of the customer's is told in the gateway's own words, which name no session.
    fn is_foreign(&self, file: bool) -> bool {
        self.stage.exit == Exit::Http && self.story.is_only && !self.closed && !file
    }

    /// What the customer wrote, as WAHA tells it.
    /// <https://waha.devlike.pro/docs/how-to/receive-messages/>
    async fn tell_as_waha(&mut self, message: &Value) {
        let key = &self.story.customer.key;
        let chat = match self.story.customer.hidden {
            true => key.clone(),
            false => format!("{key}@c.us"),
        };
        let business = format!("{}@c.us", BUSINESS.trim_start_matches('+'));
        let id = message["id"].as_str().unwrap_or_default();
        let at: Option<Timestamp> = message["time"].as_str().and_then(|at| at.parse().ok());
        let body = json!({
            "event": "message", "session": "default", "me": {"id": business},
            "payload": {
                "id": format!("false_{chat}_{id}"), "from": chat, "to": business, "fromMe": false,
                "timestamp": at.unwrap_or_else(Timestamp::now).as_second(),
                "body": message["text"], "hasMedia": false,
                "_data": {"notifyName": self.story.customer.name},
            },
        });
        self.stage.book.count("messages told in WAHA's words");
        self.publish(FOREIGN, body.to_string()).await;
    }

    /// Publishes an event, now and then twice.
    async fn tell(&mut self, kind: &str, data: Value) {
        self.told += 1;
        let id = format!("{}-{}", self.story.session, self.told);
        let body = event(&id, kind, &self.story.session, &data).to_string();
        self.publish(kind, body).await;
    }

    async fn publish(&mut self, kind: &str, body: String) {
        self.stage.line.publish(kind, body.as_bytes()).await;
        self.stage.book.count("events issued");
        if self.rng.chance(120) {
            self.stage.book.count("events published twice");
            self.stage.line.publish(kind, body.as_bytes()).await;
        }
        if self.rng.chance(60) {
            self.stage.book.count("events published again much later");
            let (line, kind) = (Arc::clone(&self.stage.line), kind.to_owned());
            let after = Duration::from_millis(self.rng.within(500..8_000));
            tokio::spawn(async move {
                sleep(after).await;
                line.publish(&kind, body.as_bytes()).await;
            });
        }
    }
}

/// What a rep does in one CRM, once the record is there.
async fn rep(stage: &Stage, story: &Story, target: &'static str, acts: Vec<(Duration, RepAct)>) {
    let mut rng = Rng::new(stage.seed, &format!("{} {target}", story.session));
    let key = (target, story.session.clone());
    let mut index = stage.index.clone();
    if index
        .wait_for(|index| index.contains_key(&key))
        .await
        .is_err()
    {
        return;
    }
    let base = CRMS.iter().position(|crm| *crm == target).unwrap_or(0) * 100;
    for (n, (after, act)) in acts.iter().enumerate() {
        sleep(*after).await;
        let Some((record, _)) = stage.index.borrow().get(&key).cloned() else {
            continue;
        };
        // A rep who writes in a conversation that the assistant has back takes it over.
        if stage.book.open().returned.contains(&story.session) {
            continue;
        }
        let letter = if *act == RepAct::Replies { 'R' } else { 'N' };
        let token = format!("{}-{letter}{}", story.session, base + n + 1);
        let text = words(&token, &mut rng);
        let done = write(stage, target, &record, *act, &text, rng.chance(500));
        let mut pages = stage.book.open();
        match (done, act) {
            (Ok(id), RepAct::Replies) => {
                pages.replies.push(Reply {
                    session: story.session.clone(),
                    target,
                    token,
                    id,
                });
            }
            (Ok(_), RepAct::Notes) => pages.notes.push((story.session.clone(), target, token)),
            (Err(why), _) => {
                *pages
                    .not_done
                    .entry(format!("{target}: {why}"))
                    .or_default() += 1
            }
        }
    }
}

/// Writes a reply or a note into a CRM; the CRM's id of it.
fn write(
    stage: &Stage,
    target: &str,
    record: &str,
    act: RepAct,
    text: &str,
    other: bool,
) -> Result<String, String> {
    let sim = stage.world.sim(target);
    let (wanted, record_key, id_key) = match (target, act) {
        ("salesforce", RepAct::Replies) => ("text", "conversation", "entry"),
        ("salesforce", RepAct::Notes) if other => ("whisper", "conversation", "entry"),
        ("salesforce", RepAct::Notes) => ("note", "conversation", "entry"),
        ("hubspot", RepAct::Replies) => ("reply", "ticket", "note"),
        ("hubspot", RepAct::Notes) => ("note", "ticket", "note"),
        (_, RepAct::Replies) => ("reply", "case", "activity"),
        (_, RepAct::Notes) => ("note", "case", "post"),
    };
    let act = json!({"act": wanted, (record_key): record, "text": text});
    let mut done = sim.act(&act);
    if target == "salesforce" && done.as_ref().is_err_and(|why| why.contains("accept")) {
        sim.act(&json!({"act": "accept", "conversation": record, "rep": "Rosa"}))?;
        done = sim.act(&act);
    }
    Ok(done?[id_key].as_str().unwrap_or_default().to_owned())
}
