//! The ways by which people are told.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use super::mail::Mailer;
use super::state::Waiting;
use crate::config::{ChannelWay, NotificationsConfig, OutboundConfig};
use crate::wire::post::Poster;

/// How long a channel may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Every channel, by name.
pub struct Channels {
    ways: BTreeMap<String, Way>,
    poster: Poster,
}

enum Way {
    Webhook {
        url: Url,
        secrets: Vec<SecretString>,
    },
    Slack {
        url: SecretString,
    },
    Email(Mailer),
}

impl Channels {
    /// The channels of a configuration.
    ///
    /// # Errors
    /// What is wrong with one of them: its name, and why.
    pub fn new(
        config: &NotificationsConfig,
        outbound: &OutboundConfig,
    ) -> Result<Channels, (String, String)> {
        let poster = Poster::new(PATIENCE, outbound).map_err(|why| (String::new(), why))?;
        let mut ways = BTreeMap::new();
        for channel in &config.channels {
            let named = |why| (channel.name.clone(), why);
            let way = match &channel.way {
                ChannelWay::Webhook { url, secrets } => {
                    for secret in secrets {
                        crate::wire::signature::check(secret)
                            .map_err(|why| named(format!("its secret {why}")))?;
                    }
                    Way::Webhook {
                        url: url.clone(),
                        secrets: secrets.clone(),
                    }
                }
                ChannelWay::Slack { url } => Way::Slack { url: url.clone() },
                ChannelWay::Email(email) => {
                    Way::Email(Mailer::new(email, PATIENCE).map_err(named)?)
                }
            };
            ways.insert(channel.name.clone(), way);
        }
        Ok(Channels { ways, poster })
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.ways.keys().map(String::as_str)
    }

    /// Whether there is a channel of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.ways.contains_key(name)
    }

    /// Sends a message by its channel.
    ///
    /// # Errors
    /// Why it was not taken, in words that hold no address and no secret.
    pub async fn send(&self, message: &Waiting) -> Result<(), String> {
        let body = json!({
            "id": message.id, "text": message.text, "kind": message.kind, "target": message.target,
            "reason": message.reason, "count": message.count, "session": message.session,
            "time": message.made_at,
        });
        self.say(&message.channel, &message.id, &message.text, &body)
            .await
    }

    /// Sends a line that is about nothing.
    ///
    /// # Errors
    /// As for [`send`](Channels::send).
    pub async fn test(&self, channel: &str, id: &str, line: &str) -> Result<(), String> {
        let body = json!({"id": id, "text": line, "kind": "test"});
        self.say(channel, id, line, &body).await
    }

    async fn say(
        &self,
        channel: &str,
        id: &str,
        line: &str,
        body: &serde_json::Value,
    ) -> Result<(), String> {
        let sending = async {
            match self.ways.get(channel) {
                None => Err("there is no such channel".to_owned()),
                Some(Way::Webhook { url, secrets }) => {
                    self.poster.post(url, id, body, secrets).await
                }
                Some(Way::Slack { url }) => {
                    let url = Url::parse(url.expose_secret());
                    let url = url.map_err(|_| "the address does not parse".to_owned())?;
                    // Slack reads &, < and > as its own marks.
                    // https://docs.slack.dev/messaging/formatting-message-text/#escaping
                    let line = line
                        .replace('&', "&amp;")
                        .replace('<', "&lt;")
                        .replace('>', "&gt;");
                    let body = json!({ "text": line });
                    self.poster.post(&url, id, &body, &[]).await
                }
                Some(Way::Email(mailer)) => mailer.send(id, line).await,
            }
        };
        tokio::time::timeout(PATIENCE * 2, sending)
            .await
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}
