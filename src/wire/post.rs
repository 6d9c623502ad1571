//! A message to people by HTTP: JSON to an address that the configuration names.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use super::outbound::client_builder;
use super::signature::Signer;
use super::{failure, read_reply};
use crate::config::OutboundConfig;

/// Posts messages.
pub struct Poster(reqwest::Client);

impl Poster {
    /// A poster that gives up a call after this time.
    ///
    /// # Errors
    /// The TLS library could not be set up.
    pub fn new(timeout: Duration, outbound: &OutboundConfig) -> Result<Poster, String> {
        let client = client_builder(timeout, outbound)
            .and_then(|builder| builder.timeout(timeout).build())
            .map_err(|error| error.to_string())?;
        Ok(Poster(client))
    }

    /// Posts a message, signed with these secrets if there are any. Redirects are not followed, and what
    /// the other side says is not kept.
    ///
    /// # Errors
    /// Why it was not taken, without the address.
    pub async fn post(
        &self,
        url: &Url,
        id: &str,
        body: &Value,
        secrets: &[SecretString],
    ) -> Result<(), String> {
        let body = body.to_string();
        let mut request = self
            .0
            .post(url.clone())
            .header(reqwest::header::CONTENT_TYPE, "application/json");
        if !secrets.is_empty() {
            let signer = Signer::new(secrets.to_vec());
            let signed = signer.headers(id, Timestamp::now(), body.as_bytes());
            for (name, value) in signed.ok_or("it cannot be signed")? {
                request = request.header(name, value);
            }
        }
        let sent = request.body(body).send().await;
        let response = sent.map_err(|error| failure(&error).stop().message)?;
        let reply = read_reply(response)
            .await
            .map_err(|failure| failure.stop().message)?;
        match reply.ok() {
            true => Ok(()),
            false => Err(format!("answered {}", reply.status)),
        }
    }
}
