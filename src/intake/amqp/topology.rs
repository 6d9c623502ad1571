//! The queue that events wait in, and what it is bound to.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind, Result};

use crate::config::{self, AmqpConfig};

/// Declares or verifies everything, and gives back the channel to consume on. A broker closes the
/// channel on which something was refused.
pub(super) async fn declare(connection: &Connection, config: &AmqpConfig) -> Result<Channel> {
    let channel = connection.create_channel().await?;
    if let Some(exchange) = &config.exchange {
        let kind = kind(config.exchange_kind);
        if config.declare_exchange {
            let durable = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            channel
                .exchange_declare(short(exchange), kind, durable, FieldTable::default())
                .await?;
        } else {
            passive(&channel, exchange, kind).await?;
        }
    }
    dead_letters(&channel, config).await?;
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(short(&config.queue), durable, arguments(config))
        .await?;
    if let Some(exchange) = &config.exchange {
        for key in &config.routing_keys {
            let (queue, exchange, key) = (short(&config.queue), short(exchange), short(key));
            let options = QueueBindOptions::default();
            channel
                .queue_bind(queue, exchange, key, options, FieldTable::default())
                .await?;
        }
    }
    Ok(channel)
}

/// How full a queue is.
pub(super) struct Waiting {
    /// Its name.
    pub name: String,
    /// Events that wait in it, without those that somebody has in hand.
    pub events: u32,
    /// Whether it is our queue of dead letters.
    pub is_dead: bool,
}

/// How full our queues are. Nothing is declared, and a broker that refuses closes only the channel
/// of this question.
pub(super) async fn waiting(connection: &Connection, config: &AmqpConfig) -> Result<Vec<Waiting>> {
    let channel = connection.create_channel().await?;
    let mut names = vec![(config.queue.clone(), false)];
    if config.dead_letter_exchange.is_none() {
        names.push((dead(config), true));
    }
    let mut queues = Vec::new();
    for (name, is_dead) in names {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare(short(&name), passive, FieldTable::default())
            .await?;
        queues.push(Waiting {
            name,
            events: queue.message_count(),
            is_dead,
        });
    }
    channel.close(200, "counted".into()).await?;
    Ok(queues)
}

/// Whether the exchange is there; nothing is declared.
pub(super) async fn verify(connection: &Connection, config: &AmqpConfig) -> Result<()> {
    let channel = connection.create_channel().await?;
    let exchange = config
        .exchange
        .as_deref()
        .filter(|_| !config.declare_exchange);
    for exchange in exchange
        .into_iter()
        .chain(config.dead_letter_exchange.as_deref())
    {
        passive(&channel, exchange, kind(config.exchange_kind)).await?;
    }
    Ok(())
}

/// Whether an exchange is there; the broker does not look at the kind.
pub(super) async fn passive(channel: &Channel, exchange: &str, kind: ExchangeKind) -> Result<()> {
    let options = ExchangeDeclareOptions {
        passive: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(short(exchange), kind, options, FieldTable::default())
        .await
}

/// Where the broker puts what it has delivered too often. Without a place it would throw the event
/// away, so that one of our own stands in when the configuration names none.
async fn dead_letters(channel: &Channel, config: &AmqpConfig) -> Result<()> {
    if let Some(exchange) = &config.dead_letter_exchange {
        passive(channel, exchange, ExchangeKind::Topic).await
    } else {
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), text("quorum"));
        channel
            .queue_declare(short(&dead(config)), durable, arguments)
            .await
            .map(drop)
    }
}

/// A quorum queue with one consumer at a time, so that order holds among several daemons. Dead
/// letters are moved at least once, which asks for reject-publish.
/// <https://www.rabbitmq.com/docs/quorum-queues#dead-lettering>
pub(super) fn arguments(config: &AmqpConfig) -> FieldTable {
    let mut arguments = FieldTable::default();
    let mut set = |name: &str, value| {
        arguments.insert(name.into(), value);
    };
    set("x-queue-type", text("quorum"));
    set("x-single-active-consumer", AMQPValue::Boolean(true));
    set(
        "x-delivery-limit",
        AMQPValue::LongLongInt(i64::from(config.delivery_limit)),
    );
    set("x-overflow", text("reject-publish"));
    set("x-dead-letter-strategy", text("at-least-once"));
    match &config.dead_letter_exchange {
        Some(exchange) => set("x-dead-letter-exchange", text(exchange)),
        None => {
            set("x-dead-letter-routing-key", text(&dead(config)));
            set("x-dead-letter-exchange", text(""));
        }
    }
    arguments
}

/// The name of our own queue of dead letters.
pub(super) fn dead(config: &AmqpConfig) -> String {
    let mut queue = config.queue.clone();
    while queue.len() > 250 {
        queue.pop();
    }
    format!("{queue}.dead")
}

pub(super) fn kind(kind: config::ExchangeKind) -> ExchangeKind {
    match kind {
        config::ExchangeKind::Topic => ExchangeKind::Topic,
        config::ExchangeKind::Direct => ExchangeKind::Direct,
        config::ExchangeKind::Fanout => ExchangeKind::Fanout,
        config::ExchangeKind::Headers => ExchangeKind::Headers,
    }
}

pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// AMQP's names have at most 255 bytes; a longer one is cut and the broker will not know it.
pub(super) fn short(name: &str) -> ShortString {
    ShortString::try_new(name).unwrap_or_else(|_| {
        let mut cut = name.to_owned();
        while cut.len() > 255 {
            cut.pop();
        }
        cut.into()
    })
}
