//! The floor: the least that a program does which takes events from RabbitMQ and calls a CRM. It
//! keeps no order, remembers no outcome and repeats nothing. Its storing variant makes each group
//! of events durable before it acknowledges them, as the daemon's intake does.

use std::path::PathBuf;
use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::load::STORED_ONLY;

/// The argument that makes this program a floor.
pub const FLAG: &str = "--floor";
/// As the daemon's `prefetch` and `group`.
const GROUP: usize = 64;
/// As the daemon's `concurrency` in the benchmark.
pub const IN_FLIGHT: usize = 256;

/// Where a floor takes events and brings them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Place {
    pub amqp: String,
    pub exchange: String,
    pub queue: String,
    pub sink: String,
    /// Where it stores events; nowhere without.
    pub file: Option<PathBuf>,
}

/// Works until it is killed.
pub async fn run(place: Place) {
    let mut store = place.file.as_deref().map(open);
    let connection = Connection::connect(&place.amqp, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    let prefetch = u16::try_from(GROUP).unwrap();
    channel
        .basic_qos(prefetch, BasicQosOptions::default())
        .await
        .unwrap();
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let mut kind = FieldTable::default();
    kind.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    let queue = place.queue.as_str();
    channel
        .queue_declare(queue.into(), durable, kind)
        .await
        .unwrap();
    let (bind, none) = (QueueBindOptions::default(), FieldTable::default());
    channel
        .queue_bind(
            queue.into(),
            place.exchange.as_str().into(),
            "#".into(),
            bind,
            none,
        )
        .await
        .unwrap();
    let (consume, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = channel
        .basic_consume(queue.into(), "floor".into(), consume, none)
        .await
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let free = Arc::new(Semaphore::new(IN_FLIGHT));
    while let Some(first) = deliveries.next().await {
        let mut group = vec![first.unwrap()];
        while group.len() < GROUP
            && let Some(Some(more)) = deliveries.next().now_or_never()
        {
            group.push(more.unwrap());
        }
        let events: Vec<Value> = group
            .iter()
            .map(|delivery| serde_json::from_slice(&delivery.data).unwrap())
            .collect();
        if let Some(store) = &mut store {
            tokio::task::block_in_place(|| keep(store, &events, &group));
        }
        let multiple = BasicAckOptions { multiple: true };
        group.last().unwrap().acker.ack(multiple).await.unwrap();
        for event in events {
            if event["subject"].as_str().unwrap().starts_with(STORED_ONLY) {
                continue;
            }
            let permit = Arc::clone(&free).acquire_owned().await.unwrap();
            let call = client
                .post(format!("{}/0/odata/Activity", place.sink))
                .bearer_auth("token")
                .json(&json!({"Title": "A message", "CaseId": event["subject"],
                    "DetailedResult": event["data"]["message"]["text"]}));
            tokio::spawn(async move {
                let reply = call.send().await.unwrap();
                reply.bytes().await.unwrap();
                drop(permit);
            });
        }
    }
}

fn open(file: &std::path::Path) -> rusqlite::Connection {
    let store = rusqlite::Connection::open(file).unwrap();
    store
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS event (
                 seq INTEGER PRIMARY KEY, id TEXT UNIQUE, session TEXT, body BLOB);
             CREATE INDEX IF NOT EXISTS of_session ON event (session, seq);",
        )
        .unwrap();
    store
}

fn keep(store: &mut rusqlite::Connection, events: &[Value], group: &[Delivery]) {
    let transaction = store.transaction().unwrap();
    {
        let mut insert = transaction
            .prepare_cached(
                "INSERT INTO event (id, session, body) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )
            .unwrap();
        for (event, delivery) in events.iter().zip(group) {
            let (id, session) = (event["id"].as_str(), event["subject"].as_str());
            insert.execute((id, session, &delivery.data)).unwrap();
        }
    }
    transaction.commit().unwrap();
}
