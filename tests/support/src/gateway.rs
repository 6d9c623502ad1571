//! The gateway's side of a broker.

use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};

use crate::eventually;

/// The gateway's side: publishes events and takes what handoffd publishes.
pub struct Gateway {
    /// Its connection.
    pub connection: Connection,
    /// Its channel, with confirms.
    pub channel: Channel,
}

/// A message that the gateway got.
pub struct Got {
    /// Its properties.
    pub properties: BasicProperties,
    /// Its routing key.
    pub routing_key: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Gateway {
    /// Connects, waiting for a broker that is still starting.
    pub async fn connect(url: &str) -> Gateway {
        let mut connection = None;
        for _ in 0..100 {
            match Connection::connect(url, ConnectionProperties::default()).await {
                Ok(opened) => {
                    connection = Some(opened);
                    break;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        let connection = connection.expect("the broker can be reached");
        let channel = connection.create_channel().await.expect("a channel");
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .expect("confirms");
        Gateway {
            connection,
            channel,
        }
    }

    /// Declares a durable topic exchange.
    pub async fn exchange(&self, name: &str) {
        let options = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let declared = self.channel.exchange_declare(
            name.into(),
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        );
        declared.await.expect("the exchange is declared");
    }

    /// Declares a durable queue, bound to the exchange by the key.
    pub async fn queue(&self, name: &str, exchange: &str, key: &str) {
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let declared = self
            .channel
            .queue_declare(name.into(), options, FieldTable::default());
        declared.await.expect("the queue is declared");
        let options = QueueBindOptions::default();
        let bound = self.channel.queue_bind(
            name.into(),
            exchange.into(),
            key.into(),
            options,
            FieldTable::default(),
        );
        bound.await.expect("the queue is bound");
    }

    /// Publishes a structured event and waits until the broker has it.
    pub async fn publish(&self, exchange: &str, key: &str, body: &[u8]) {
        self.publish_as(
            exchange,
            key,
            Some("application/cloudevents+json"),
            &[],
            body,
        )
        .await;
    }

    /// Publishes a message with this content type and these headers.
    pub async fn publish_as(
        &self,
        exchange: &str,
        key: &str,
        content_type: Option<&str>,
        headers: &[(&str, AMQPValue)],
        body: &[u8],
    ) {
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), value.clone());
        }
        let mut properties = BasicProperties::default()
            .with_headers(table)
            .with_delivery_mode(2);
        if let Some(content_type) = content_type {
            properties = properties.with_content_type(content_type.into());
        }
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let confirmed = self
            .channel
            .basic_publish(exchange.into(), key.into(), mandatory, body, properties)
            .await
            .expect("it is published")
            .await
            .expect("it is confirmed");
        assert!(
            confirmed.is_ack() && confirmed.take_message().is_none(),
            "nobody takes {key}"
        );
    }

    /// Takes the next message of a queue, waiting for it.
    pub async fn get(&self, queue: &str) -> Got {
        let mut got = None;
        for _ in 0..3_000 {
            got = self.try_get(queue).await;
            if got.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        got.unwrap_or_else(|| panic!("nothing came to {queue}"))
    }

    /// Takes the next message of a queue, if there is one.
    pub async fn try_get(&self, queue: &str) -> Option<Got> {
        let got = self
            .channel
            .basic_get(queue.into(), BasicGetOptions::default());
        let got = got.await.expect("the queue can be read")?;
        let Delivery {
            properties,
            routing_key,
            data,
            acker,
            ..
        } = got.delivery;
        acker
            .ack(BasicAckOptions::default())
            .await
            .expect("it is acknowledged");
        Some(Got {
            properties,
            routing_key: routing_key.to_string(),
            body: data,
        })
    }

    /// How many messages are ready in a queue. Quorum queues count late; drain them instead.
    pub async fn waiting(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = self
            .channel
            .queue_declare(queue.into(), passive, FieldTable::default());
        queue.await.expect("the queue is there").message_count()
    }

    /// Waits until a queue is there.
    pub async fn queue_is_there(&self, queue: &str) {
        eventually(Duration::from_secs(30), || async {
            let Ok(channel) = self.connection.create_channel().await else {
                return false;
            };
            let passive = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            channel
                .queue_declare(queue.into(), passive, FieldTable::default())
                .await
                .is_ok()
        })
        .await;
    }
}

/// Header values.
pub mod header {
    use lapin::types::AMQPValue;

    /// A text.
    #[must_use]
    pub fn text(value: &str) -> AMQPValue {
        AMQPValue::LongString(value.into())
    }

    /// A whole number.
    #[must_use]
    pub fn number(value: i64) -> AMQPValue {
        AMQPValue::LongLongInt(value)
    }

    /// A time, in seconds since 1970.
    #[must_use]
    pub fn time(seconds: u64) -> AMQPValue {
        AMQPValue::Timestamp(seconds)
    }
}
