//! Whether the broker lets us do what the daemon will do: declare, bind, consume, publish. Nothing
//! stays behind, and no event is touched.
//!
//! A broker closes the channel on which something was refused, so every question has one of its own.
//! Which right an operation needs: <https://www.rabbitmq.com/docs/access-control#authorisation>

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ErrorKind, Result};

use super::connect::{self, explain};
use super::topology::{arguments, dead, kind, passive, short, text};
use crate::config::AmqpConfig;

/// A key that nobody binds.
const NOBODY: &str = "handoffd.check.nobody";

/// What was tried, and what stands in the way of it.
pub type Tried = (String, std::result::Result<(), String>);

/// Tries everything that the daemon will do; `published` are the exchanges that targets publish to,
/// and what for.
///
/// # Errors
/// The broker cannot be reached, or does not let us in.
pub async fn rights(
    config: &AmqpConfig,
    published: &[(String, String)],
) -> std::result::Result<Vec<Tried>, String> {
    let connection = connect::connect(config, "handoffd check", None).await?;
    let tried = Trial {
        connection: &connection,
        config,
        tried: Vec::new(),
    }
    .run(published)
    .await;
    connect::close(&connection).await;
    Ok(tried)
}

struct Trial<'a> {
    connection: &'a Connection,
    config: &'a AmqpConfig,
    tried: Vec<Tried>,
}

impl Trial<'_> {
    async fn run(mut self, published: &[(String, String)]) -> Vec<Tried> {
        let exchange = match &self.config.exchange {
            None => None,
            Some(name) => self.exchange(name).await.then(|| name.clone()),
        };
        match &self.config.dead_letter_exchange {
            None => {
                let mut quorum = FieldTable::default();
                quorum.insert("x-queue-type".into(), text("quorum"));
                self.queue(&dead(self.config), "dead-letter queue", quorum)
                    .await;
            }
            Some(name) => {
                let found = self.exists(name).await;
                self.note(format!("dead-letter exchange `{name}`"), found);
            }
        }
        let queue = self.config.queue.clone();
        self.queue(&queue, "queue", arguments(self.config)).await;
        if let Some(exchange) = exchange {
            let bound = self.bind(&queue, &exchange).await;
            self.note(format!("right to bind `{queue}` to `{exchange}`"), bound);
        }
        let consumed = self.bind(&queue, &queue).await;
        self.note(format!("right to consume from `{queue}`"), consumed);
        for (name, what) in published {
            let allowed = self.publish(name).await;
            let what = format!("right to publish the {what} to exchange `{name}`");
            self.note(what, allowed);
        }
        self.tried
    }

    fn note(&mut self, what: String, found: Result<()>) -> bool {
        let there = found.is_ok();
        self.tried
            .push((what, found.map_err(|error| explain(&error))));
        there
    }

    /// The exchange of events. One that is there is declared again as the daemon does, which changes
    /// nothing and says whether it is another.
    async fn exchange(&mut self, name: &str) -> bool {
        let what = format!("exchange `{name}`");
        let declare = async |trial: &Self| {
            let durable = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            let kind = kind(trial.config.exchange_kind);
            let channel = trial.channel().await?;
            channel
                .exchange_declare(short(name), kind, durable, FieldTable::default())
                .await
        };
        let found = match self.exists(name).await {
            Ok(()) if self.config.declare_exchange => declare(self).await,
            Err(error) if is(&error, AMQPSoftError::NOTFOUND) && self.config.declare_exchange => {
                let made = declare(self).await;
                if made.is_ok() {
                    self.remove(name).await;
                }
                made
            }
            found => found,
        };
        self.note(what, found)
    }

    /// A queue. Where it is there, it is declared as the daemon declares it, which changes nothing and
    /// says whether its arguments are others. Where it is not, it is declared with one argument that the broker
    /// refuses, which it looks at after our rights.
    async fn queue(&mut self, name: &str, what: &str, arguments: FieldTable) {
        let declare = async |passive: bool, arguments: FieldTable| {
            let options = QueueDeclareOptions {
                durable: !passive,
                passive,
                ..QueueDeclareOptions::default()
            };
            let channel = self.channel().await?;
            let declared = channel.queue_declare(short(name), options, arguments);
            declared.await.map(drop)
        };
        let found = match declare(true, FieldTable::default()).await {
            Ok(()) => declare(false, arguments).await,
            Err(error) if is(&error, AMQPSoftError::NOTFOUND) => {
                let mut refused = arguments;
                refused.insert("x-message-ttl".into(), AMQPValue::LongLongInt(-1));
                match declare(false, refused).await {
                    Err(error) if is(&error, AMQPSoftError::PRECONDITIONFAILED) => Ok(()),
                    other => other,
                }
            }
            Err(error) => Err(error),
        };
        self.note(format!("{what} `{name}`, declared as handoffd does"), found);
    }

    async fn exists(&self, exchange: &str) -> Result<()> {
        let channel = self.channel().await?;
        passive(&channel, exchange, kind(self.config.exchange_kind)).await
    }

    /// Binds by a key that nobody publishes with, and unbinds. Rights are looked at before whether both are
    /// there; the one that is not is told by itself.
    ///
    /// Consuming needs the right to read what has the queue's name. Events must not be taken from the
    /// queue to learn that, since the broker counts how often it delivered each; binding it from an exchange of
    /// its own name needs that right too.
    async fn bind(&self, queue: &str, exchange: &str) -> Result<()> {
        let channel = self.channel().await?;
        let (queue, exchange) = (short(queue), short(exchange));
        let (key, none) = (short(NOBODY), FieldTable::default());
        let bound = channel
            .queue_bind(
                queue.clone(),
                exchange.clone(),
                key.clone(),
                QueueBindOptions::default(),
                none.clone(),
            )
            .await;
        match bound {
            Err(error) if is(&error, AMQPSoftError::NOTFOUND) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => channel.queue_unbind(queue, exchange, key, none).await,
        }
    }

    /// Publishes a message that the broker refuses, because it names another user, and does so only after it
    /// has looked at rights and exchange. A user who may impersonate others publishes it to nobody.
    /// <https://www.rabbitmq.com/docs/validated-user-id>
    async fn publish(&self, exchange: &str) -> Result<()> {
        let channel = self.channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let properties = BasicProperties::default().with_user_id(short("handoffd-check-nobody"));
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let sent = channel
            .basic_publish(short(exchange), short(NOBODY), options, b"", properties)
            .await;
        let answer = match sent {
            Ok(confirm) => confirm.await.map(drop),
            Err(error) => Err(error),
        };
        match answer {
            Err(error) if is(&error, AMQPSoftError::PRECONDITIONFAILED) => Ok(()),
            other => other,
        }
    }

    /// Removes an exchange that was made to try it, unless somebody bound to it by now.
    async fn remove(&self, name: &str) {
        let unused = ExchangeDeleteOptions {
            if_unused: true,
            nowait: false,
        };
        let removed = async {
            let channel = self.channel().await?;
            channel.exchange_delete(short(name), unused).await
        };
        if let Err(error) = removed.await {
            tracing::debug!(error = %explain(&error), "the exchange that was made for the check stays");
        }
    }

    async fn channel(&self) -> Result<Channel> {
        self.connection.create_channel().await
    }
}

fn is(error: &lapin::Error, wanted: AMQPSoftError) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => *error.kind() == AMQPErrorKind::Soft(wanted),
        _ => false,
    }
}
