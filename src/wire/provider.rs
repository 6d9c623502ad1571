//! What a provider of sign-ins (OpenID Connect) is asked.

use std::time::Duration;

use axum::http::{Request, Response};

use super::outbound::client_builder;
use super::{failure, read_reply};
use crate::config::OutboundConfig;

/// A person waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a provider did not answer, without its address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(String);

/// Asks a provider. Redirects are not followed, and answers are bounded as those of CRMs are.
pub struct ProviderClient(reqwest::Client);

impl ProviderClient {
    /// A client that leaves as the configuration says.
    ///
    /// # Errors
    /// The TLS library could not be set up.
    pub fn new(outbound: &OutboundConfig) -> Result<ProviderClient, String> {
        let client = client_builder(PATIENCE, outbound)
            .and_then(|builder| builder.timeout(PATIENCE).build())
            .map_err(|error| error.to_string())?;
        Ok(ProviderClient(client))
    }

    /// Sends a request as it is.
    ///
    /// # Errors
    /// There was no answer in time.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, NoAnswer> {
        let request = reqwest::Request::try_from(request)
            .map_err(|_| NoAnswer("the request could not be built".into()))?;
        let sent = self.0.execute(request).await;
        let response = sent.map_err(|error| NoAnswer(failure(&error).stop().message))?;
        let kind = response.headers().get("content-type").cloned();
        let reply = read_reply(response).await;
        let reply = reply.map_err(|failure| NoAnswer(failure.stop().message))?;
        let mut answer = Response::builder().status(reply.status);
        if let Some(kind) = kind {
            answer = answer.header("content-type", kind);
        }
        answer
            .body(reply.body)
            .map_err(|_| NoAnswer("the answer is not HTTP".into()))
    }
}
