//! The gateway of the demo: it knows the customer's phone, tells the daemon what the customer writes, and
//! sends what the assistant says.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sandbox::{Running, Served};

/// The business's number.
pub(super) const BUSINESS: &str = "+15550783881";

/// Between the customers' phones and the daemon.
pub(super) struct Gateway {
    phone: Arc<Served>,
    client: reqwest::Client,
    events: String,
    token: String,
}

impl Gateway {
    pub(super) fn new(
        running: &Running,
        daemon: SocketAddr,
        token: &str,
    ) -> anyhow::Result<Gateway> {
        let phone = running.target("whatsapp").cloned();
        Ok(Gateway {
            phone: phone.context("no simulator of whatsapp")?,
            client: reqwest::Client::builder().no_proxy().build()?,
            events: format!("http://{daemon}/v1/events"),
            token: token.to_owned(),
        })
    }

    /// The customer does something on their phone.
    pub(super) fn customer(&self, customer: &str, mut act: Value) -> anyhow::Result<Value> {
        act["from"] = json!(customer);
        self.phone
            .act(&act)
            .map_err(|words| anyhow!("the customer: {words}"))
    }

    /// The assistant writes through the Cloud API, as the platform does before the handoff; the message.
    pub(super) async fn assistant(&self, customer: &str, text: &str) -> anyhow::Result<Value> {
        let given = self.phone.credentials();
        let (settings, secrets) = (&given["settings"], &given["secrets"]);
        let part = |name: &str| settings[name].as_str().unwrap_or_default();
        let url = format!(
            "{}/{}/{}/messages",
            self.phone.base(),
            part("version"),
            part("phone_number_id")
        );
        let token = secrets[part("access_token")].as_str().unwrap_or_default();
        let body = json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": format!("+{customer}"),
            "type": "text", "text": {"body": text}});
        let reply = self
            .client
            .post(url)
            .bearer_auth(token)
            .json(&body)
            .send()
            .await?
            .error_for_status()?;
        let reply: Value = reply.json().await?;
        let id = reply
            .pointer("/messages/0/id")
            .and_then(Value::as_str)
            .context("the send has no id")?;
        Ok(
            json!({"id": id, "time": Timestamp::now(), "author": {"kind": "assistant"}, "text": text}),
        )
    }

    /// The daemon is told that the customer wrote.
    pub(super) async fn received(&self, session: &str, message: Value) -> anyhow::Result<()> {
        let id = format!("received-{}", message["id"].as_str().unwrap_or_default());
        let data = json!({"message": message});
        self.post(session, "message.received", &id, data).await
    }

    /// The daemon is told of something.
    pub(super) async fn post(
        &self,
        session: &str,
        kind: &str,
        id: &str,
        data: Value,
    ) -> anyhow::Result<()> {
        let event = json!({"specversion": "1.0", "id": id, "source": "/demo/gateway", "type": kind, "subject": session,
            "time": Timestamp::now(), "datacontenttype": "application/json", "data": data});
        let request = self.client.post(&self.events).bearer_auth(&self.token);
        let reply = request
            .header("content-type", "application/cloudevents+json")
            .body(event.to_string())
            .send()
            .await?;
        let status = reply.status().as_u16();
        let words = reply.text().await?;
        if status == 202 {
            Ok(())
        } else {
            Err(anyhow!("the daemon answered {status} to {kind}: {words}"))
        }
    }
}

/// A message of the customer's, from what their phone says of it.
pub(super) fn message(said: &Value, content: Value) -> Value {
    let mut message =
        json!({"id": said["id"], "time": said["timestamp"], "author": {"kind": "customer"}});
    if let (Value::Object(message), Value::Object(content)) = (&mut message, content) {
        message.extend(content);
    }
    message
}
