//! The gateway's side of the broker: publishes until the broker has it, and takes what handoffd
//! publishes, each message once by its id.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};
use tokio::sync::{Mutex, RwLock, RwLockWriteGuard};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::book::{Book, Sent};
use crate::rng::Rng;

/// Where the gateway publishes.
pub const EVENTS: &str = "gateway.events";
/// Where handoffd publishes.
pub const OUT: &str = "handoffd.out";
/// The daemons' queue.
pub const QUEUE: &str = "handoffd.events";
/// The gateway's queue of what handoffd publishes.
pub const TAKEN: &str = "gateway.taken";

/// The routing key of what is published as WAHA writes it, and not as a CloudEvent.
pub const FOREIGN: &str = "waha.message";

/// So much of what was published is kept, for when a queue is deleted with it.
const SAID: usize = 3_000;
const PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(200);

/// A publisher that goes on after every loss of its connection. An event that may have arrived is
/// published again, as gateways do.
pub struct Line {
    url: String,
    open: Mutex<Option<(Connection, Channel)>>,
    /// Held by everybody who publishes, and alone by who wants silence.
    speaking: RwLock<()>,
    /// What was confirmed last, oldest first.
    said: std::sync::Mutex<VecDeque<(String, Vec<u8>)>>,
    book: Arc<Book>,
}

impl Line {
    pub fn new(url: String, book: Arc<Book>) -> Line {
        Line {
            url,
            open: Mutex::new(None),
            speaking: RwLock::new(()),
            said: std::sync::Mutex::default(),
            book,
        }
    }

    /// Declares the exchanges and the gateway's queue.
    pub async fn declare(&self) {
        loop {
            let declared = async {
                let (connection, channel) = connect(&self.url).await?;
                let durable = ExchangeDeclareOptions {
                    durable: true,
                    ..ExchangeDeclareOptions::default()
                };
                for exchange in [EVENTS, OUT] {
                    let table = FieldTable::default();
                    channel
                        .exchange_declare(exchange.into(), ExchangeKind::Topic, durable, table)
                        .await?;
                }
                let durable = QueueDeclareOptions {
                    durable: true,
                    ..QueueDeclareOptions::default()
                };
                let mut quorum = FieldTable::default();
                quorum.insert(
                    "x-queue-type".into(),
                    AMQPValue::LongString("quorum".into()),
                );
                channel.queue_declare(TAKEN.into(), durable, quorum).await?;
                let options = QueueBindOptions::default();
                channel
                    .queue_bind(
                        TAKEN.into(),
                        OUT.into(),
                        "#".into(),
                        options,
                        FieldTable::default(),
                    )
                    .await?;
                Ok::<_, lapin::Error>((connection, channel))
            };
            if let Ok(Ok(open)) = timeout(PATIENCE, declared).await {
                *self.open.lock().await = Some(open);
                return;
            }
            sleep(PAUSE).await;
        }
    }

    /// Nothing is being published, nor will be while this is held.
    pub async fn silence(&self) -> Silence<'_> {
        Silence {
            line: self,
            _alone: self.speaking.write().await,
        }
    }

    /// Publishes an event until the broker has confirmed it.
    pub async fn publish(&self, kind: &str, body: &[u8]) {
        loop {
            let speaking = self.speaking.read().await;
            if self.attempt(kind, body).await {
                let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_back((kind.to_owned(), body.to_vec()));
                if said.len() > SAID {
                    said.pop_front();
                }
                return;
            }
            drop(speaking);
            sleep(PAUSE).await;
        }
    }

    /// Publishes an event once; whether the broker has confirmed it.
    async fn attempt(&self, kind: &str, body: &[u8]) -> bool {
        let mut open = self.open.lock().await;
        if open.is_none() {
            *open = timeout(PATIENCE, connect(&self.url))
                .await
                .ok()
                .and_then(Result::ok);
        }
        let Some(channel) = open.as_ref().map(|(_, channel)| channel.clone()) else {
            return false;
        };
        drop(open);
        if let Ok(Ok(true)) = timeout(PATIENCE, publish(&channel, kind, body)).await {
            self.book.count("events published");
            return true;
        }
        self.book.count("events published again after a doubt");
        *self.open.lock().await = None;
        false
    }
}

/// Nobody publishes while this lives.
pub struct Silence<'a> {
    line: &'a Line,
    _alone: RwLockWriteGuard<'a, ()>,
}

impl Silence<'_> {
    /// Publishes again what was published last, in its order.
    pub async fn repeat(&self) {
        let said = self.line.said.lock();
        let said = said.unwrap_or_else(PoisonError::into_inner).clone();
        for (kind, body) in said {
            while !self.line.attempt(&kind, &body).await {
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connect(url: &str) -> Result<(Connection, Channel), lapin::Error> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    Ok((connection, channel))
}

async fn publish(channel: &Channel, kind: &str, body: &[u8]) -> Result<bool, lapin::Error> {
    let form = match kind {
        FOREIGN => "application/json",
        _ => "application/cloudevents+json",
    };
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type(form.into());
    let mandatory = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let confirm = channel
        .basic_publish(EVENTS.into(), kind.into(), mandatory, body, properties)
        .await?
        .await?;
    Ok(confirm.is_ack() && confirm.take_message().is_none())
}

/// The gateway as a consumer.
pub struct Gateway {
    pub url: String,
    pub line: Arc<Line>,
    pub book: Arc<Book>,
    pub seed: u64,
}

impl Gateway {
    /// Takes what comes until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut rng = Rng::new(self.seed, "gateway");
        while !stop.is_cancelled() {
            let _ = stop.run_until_cancelled(self.consume(&mut rng)).await;
            sleep(PAUSE).await;
        }
    }

    async fn consume(&self, rng: &mut Rng) -> Result<(), lapin::Error> {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(32, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let mut consumer = channel
            .basic_consume(
                TAKEN.into(),
                "gateway".into(),
                options,
                FieldTable::default(),
            )
            .await?;
        while let Some(delivery) = consumer.next().await {
            let delivery = delivery?;
            let statuses = self.take(
                &delivery.data,
                delivery
                    .properties
                    .message_id()
                    .as_ref()
                    .map(|id| id.as_str()),
                rng,
            );
            for (id, session, data) in statuses {
                let body = event(&id, "message.status", &session, &data);
                let line = Arc::clone(&self.line);
                let twice = rng.chance(100);
                tokio::spawn(async move {
                    for _ in 0..=u8::from(twice) {
                        line.publish("message.status", body.to_string().as_bytes())
                            .await;
                    }
                });
            }
            delivery.acker.ack(BasicAckOptions::default()).await?;
        }
        Ok(())
    }

    /// Takes one message; the statuses that it answers with.
    fn take(
        &self,
        body: &[u8],
        message_id: Option<&str>,
        rng: &mut Rng,
    ) -> Vec<(String, String, Value)> {
        let mut pages = self.book.open();
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        let (Some(id), true) = (message_id, event["specversion"] == "1.0") else {
            pages
                .wrong
                .push("a message without an id, or no CloudEvent".to_owned());
            return Vec::new();
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let session = text(&event["subject"]);
        if event["type"] != "reply.requested" {
            let told = (
                text(&event["type"]),
                session,
                text(&event["data"]["target"]),
            );
            if !pages.told.contains(&told) {
                pages.told.push(told);
            }
            return Vec::new();
        }
        if pages.sent.contains_key(id) {
            *pages
                .counts
                .entry("replies given to the gateway again".to_owned())
                .or_default() += 1;
            return Vec::new();
        }
        let data = &event["data"];
        let to = data["to"]
            .as_str()
            .or(data["user_id"].as_str())
            .unwrap_or_default()
            .to_owned();
        let key = to.trim_start_matches('+').to_owned();
        let day = SignedDuration::from_hours(24);
        let open = pages
            .wrote
            .get(&key)
            .is_some_and(|at| Timestamp::now().duration_since(*at) < day);
        let free = data["message"]["type"] != "template";
        let failed = rng.chance(40);
        let said = data["message"].to_string();
        let n = pages.sent.len();
        pages.sent.insert(
            id.to_owned(),
            Sent {
                n,
                to,
                text: said,
                outside: free && !open,
                failed,
            },
        );
        let reference = data["reference"].clone();
        let words: &[&str] = if failed {
            &["failed"]
        } else {
            &["sent", "delivered"]
        };
        words
            .iter()
            .map(|word| {
                let mut status = json!({"reference": reference, "message_id": format!("gw-{id}"), "status": word});
                if failed {
                    status["error_code"] = json!(131_026);
                    status["error"] = json!("Message undeliverable");
                }
                (format!("{id}-{word}"), session.clone(), status)
            })
            .collect()
    }
}

/// A CloudEvent of the gateway's.
pub fn event(id: &str, kind: &str, session: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/chaos/gateway", "type": kind, "subject": session,
        "time": Timestamp::now(), "datacontenttype": "application/json", "data": data})
}
