//! Messages for the gateway, published so that we know what became of them.
//!
//! Every message is mandatory, persistent and confirmed. A returned message says nothing of the
//! publish that it belongs to but its own properties, and lapin hands it to whichever confirm
//! comes next; hence one message at a time on each channel, and several channels. A channel whose
//! answer did not come in time is thrown away: what still comes there belongs to nobody.

use std::sync::Arc;
use std::time::Instant;

use handoffd_contract::{Publication, Publish};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ErrorKind};
use tokio::sync::{Mutex, Semaphore};

use crate::backoff::Waits;
use crate::config::AmqpConfig;
use crate::intake::amqp::connect::{close, connect, explain};

/// Messages that may be on their way at once.
const IN_FLIGHT: usize = 8;
/// AMQP's mark of a message that outlives the broker.
const PERSISTENT: u8 = 2;
/// The largest frame, in bytes. lapin keeps two buffers of 32 frames for each connection, which with
/// the broker's 128 KiB would be 8 MiB; what is published here has no headers, and bodies are cut.
const FRAME: u32 = 16 << 10;

/// Why it is not known that a message was published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The configuration names no broker.
    #[error("no broker is configured: set [intake.amqp]")]
    NotConfigured,
    /// There is no connection, or the broker takes nothing now. Nothing was sent.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(String),
    /// It was sent and no answer came. It may have been published.
    #[error("the broker did not answer: {0}")]
    Lost(String),
}

/// Publishes messages; connects when there is something to publish.
#[derive(Clone)]
pub struct Publisher(Option<Arc<Broker>>);

struct Broker {
    config: AmqpConfig,
    permits: Semaphore,
    link: Mutex<Link>,
}

/// The connection, if there is one, and its idle channels.
struct Link {
    connection: Option<Arc<Connection>>,
    idle: Vec<Channel>,
    waits: Waits,
    /// Why the last attempt to connect failed, and when the next may be made.
    failed: Option<(String, Instant)>,
}

impl Publisher {
    /// A publisher to this broker, or to none.
    #[must_use]
    pub fn new(config: Option<AmqpConfig>) -> Publisher {
        Publisher(config.map(|config| {
            let link = Link {
                connection: None,
                idle: Vec::new(),
                waits: config.reconnect.waits(),
                failed: None,
            };
            Arc::new(Broker {
                config,
                permits: Semaphore::new(IN_FLIGHT),
                link: Mutex::new(link),
            })
        }))
    }

    /// Publishes one message and waits for the broker's word on it.
    ///
    /// # Errors
    /// Its outcome is not known ([`PublishError::Lost`]), or it was not sent.
    pub async fn publish(&self, publish: &Publish) -> Result<Publication, PublishError> {
        let broker = self.0.as_ref().ok_or(PublishError::NotConfigured)?;
        let _permit = broker
            .permits
            .acquire()
            .await
            .map_err(|_| PublishError::Unreachable("the publisher is closed".to_owned()))?;
        broker.publish(publish).await
    }

    /// Why the last attempt to connect failed, if it did and there was no better one since.
    pub async fn trouble(&self) -> Option<String> {
        let link = self.0.as_ref()?.link.lock().await;
        link.failed.as_ref().map(|(words, _)| words.clone())
    }

    /// Waits for what is on its way and closes the connection. What is published later is refused.
    pub async fn close(&self) {
        let Some(broker) = &self.0 else { return };
        let _all = broker.permits.acquire_many(IN_FLIGHT as u32).await;
        broker.permits.close();
        if let Some(connection) = broker.link.lock().await.connection.take() {
            close(&connection).await;
        }
    }
}

impl Broker {
    async fn publish(&self, publish: &Publish) -> Result<Publication, PublishError> {
        let (Ok(exchange), Ok(key), Ok(id)) = (
            ShortString::try_new(publish.exchange.as_str()),
            ShortString::try_new(publish.routing_key.as_str()),
            ShortString::try_new(publish.message_id.as_str()),
        ) else {
            // More than AMQP's 255 bytes: no broker would ever take it.
            return Ok(Publication::Refused);
        };
        let properties = BasicProperties::default()
            .with_message_id(id)
            .with_content_type(publish.content_type.into())
            .with_delivery_mode(PERSISTENT);
        let body = publish.body.to_string().into_bytes();
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };

        let channel = self.channel().await?;
        let answer = async {
            channel
                .basic_publish(exchange, key, mandatory, &body, properties)
                .await?
                .await
        };
        match tokio::time::timeout(self.config.confirm_timeout, answer).await {
            Ok(Ok(confirmation)) => {
                self.link.lock().await.idle.push(channel);
                Ok(outcome(confirmation))
            }
            Ok(Err(error)) => refused(&error),
            Err(_) => {
                let millis = self.config.confirm_timeout.as_millis();
                Err(PublishError::Lost(format!("no confirm within {millis} ms")))
            }
        }
    }

    /// A channel on which nothing is on its way.
    async fn channel(&self) -> Result<Channel, PublishError> {
        let mut link = self.link.lock().await;
        let connection = self.connection(&mut link).await?;
        if connection.status().blocked() {
            let words = "it is short of memory or disk and has blocked publishers";
            return Err(PublishError::Unreachable(words.to_owned()));
        }
        while let Some(channel) = link.idle.pop() {
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        drop(link);
        let open = async {
            let channel = connection.create_channel().await?;
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await?;
            Ok(channel)
        };
        match tokio::time::timeout(self.config.confirm_timeout, open).await {
            Ok(opened) => {
                opened.map_err(|error: lapin::Error| PublishError::Unreachable(explain(&error)))
            }
            Err(_) => Err(PublishError::Unreachable(
                "it does not open a channel".to_owned(),
            )),
        }
    }

    /// The connection, or a new one. A failed attempt is answered from memory until the next is due,
    /// so that many senders do not make many attempts.
    async fn connection(&self, link: &mut Link) -> Result<Arc<Connection>, PublishError> {
        if let Some(connection) = &link.connection {
            if connection.status().connected() {
                return Ok(Arc::clone(connection));
            }
            link.connection = None;
            link.idle.clear();
        }
        if let Some((words, next)) = &link.failed
            && Instant::now() < *next
        {
            return Err(PublishError::Unreachable(words.clone()));
        }
        match connect(&self.config, "handoffd publisher", Some(FRAME)).await {
            Ok(connection) => {
                link.waits.reset();
                link.failed = None;
                let connection = Arc::new(connection);
                link.connection = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(words) => {
                tracing::warn!(error = %words, "RabbitMQ: cannot publish");
                link.failed = Some((words.clone(), Instant::now() + link.waits.wait()));
                Err(PublishError::Unreachable(words))
            }
        }
    }
}

/// A message that nobody would get is confirmed, too; it comes back first.
/// <https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed>
fn outcome(confirmation: Confirmation) -> Publication {
    match confirmation {
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
            Publication::Unroutable {
                words: format!("{} {}", returned.reply_code, returned.reply_text),
            }
        }
        Confirmation::Ack(None) => Publication::Confirmed,
        Confirmation::Nack(None) | Confirmation::NotRequested => Publication::Refused,
    }
}

/// The broker closes the channel when the exchange is missing or may not be written to; then the
/// message went nowhere.
fn refused(error: &lapin::Error) -> Result<Publication, PublishError> {
    if let ErrorKind::ProtocolError(protocol) = error.kind() {
        match protocol.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
                return Ok(Publication::Unroutable {
                    words: explain(error),
                });
            }
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => return Ok(Publication::Refused),
            _ => {}
        }
    }
    Err(PublishError::Lost(explain(error)))
}
