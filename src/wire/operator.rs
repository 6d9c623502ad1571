//! What an operator's command asks of a running daemon.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use super::outbound::client_builder;
use super::{Failure, read_reply};
use crate::config::OutboundConfig;

/// A daemon on this machine answers at once; one that does not has other troubles.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the daemon at this address of its admin API answers.
///
/// # Errors
/// What stands in the way, in plain words.
pub async fn ask<T: DeserializeOwned>(
    admin: &str,
    path: &str,
    token: Option<&SecretString>,
) -> Result<T, String> {
    let address = admin.trim_end_matches('/');
    let url = Url::parse(&format!("{address}{path}"))
        .map_err(|_| format!("{address} is not an address such as http://127.0.0.1:8081"))?;
    let client = client().map_err(|error| error.to_string())?;
    let mut request = client.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token.expose_secret());
    }
    let response = request
        .send()
        .await
        .map_err(|error| format!("{address}: {}", super::failure(&error).stop().message))?;
    let reply = read_reply(response)
        .await
        .map_err(|failure: Failure| format!("{address}: {}", failure.stop().message))?;
    match reply.status {
        200 => serde_json::from_slice(&reply.body)
            .map_err(|_| format!("{address}: the answer is not of this version of handoffd")),
        401 => Err(format!(
            "{address} does not accept the admin token; name it in http.admin_token"
        )),
        status => Err(format!("{address} answered {status}")),
    }
}

/// The admin API is not asked by the proxy that leads to the internet.
fn client() -> Result<reqwest::Client, reqwest::Error> {
    client_builder(Duration::from_secs(3), &OutboundConfig::default())?
        .timeout(PATIENCE)
        .build()
}

/// Whether a daemon answers at this address of its admin API.
pub async fn alive(admin: &str) -> bool {
    let Ok(client) = client() else {
        return false;
    };
    match client.get(format!("{admin}/healthz")).send().await {
        Ok(reply) => reply.text().await.is_ok_and(|said| said == "alive\n"),
        Err(_) => false,
    }
}
