//! The way out: directly, or by a proxy.
//!
//! The environment is read where the configuration is, so that no client takes a proxy that nobody
//! configured, and the one that is configured holds for calls, sign-ins and files alike. A proxy
//! resolves names itself. Where strangers choose the address, its name is therefore judged here
//! first, and every address of it must be public; what remains is that the proxy resolves it again.

use std::time::Duration;

use handoffd_contract::MediaProblem;
use reqwest::{NoProxy, Proxy};
use secrecy::ExposeSecret as _;
use url::{Host, Url};

use super::policy::is_public;
use crate::config::OutboundConfig;

/// A client with the rules that hold everywhere, for calls.
///
/// # Errors
/// A proxy's address does not parse: a defect, since the configuration was read.
pub(crate) fn client_builder(
    connect_timeout: Duration,
    outbound: &OutboundConfig,
) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    Ok(any_version(connect_timeout, outbound)?.http1_only())
}

/// The same, without a say in the version of HTTP.
pub(super) fn any_version(
    connect_timeout: Duration,
    outbound: &OutboundConfig,
) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(Duration::from_secs(55))
        .tcp_nodelay(true)
        .user_agent(concat!("handoffd/", env!("CARGO_PKG_VERSION")));
    let direct = outbound.no_proxy.join(",");
    if let Some(proxy) = &outbound.https {
        let proxy = Proxy::https(proxy.expose_secret())?;
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&direct)));
    }
    if let Some(proxy) = &outbound.http {
        let proxy = Proxy::http(proxy.expose_secret())?;
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&direct)));
    }
    Ok(builder)
}

/// The hosts of the proxies, whose own names the operator chose.
pub(super) fn hosts(outbound: &OutboundConfig) -> Vec<String> {
    let proxies = [&outbound.https, &outbound.http].into_iter().flatten();
    proxies
        .filter_map(|proxy| Url::parse(proxy.expose_secret()).ok())
        .filter_map(|proxy| Some(proxy.host_str()?.to_owned()))
        .collect()
}

/// Whether all that this address's name leads to is public, before a proxy is asked for it.
///
/// # Errors
/// [`MediaProblem::Forbidden`] when it does not, [`MediaProblem::Unreachable`] when the name cannot
/// be resolved here.
pub(super) async fn judge(url: &Url) -> Result<(), MediaProblem> {
    // Addresses were judged as they were written.
    let Some(Host::Domain(name)) = url.host() else {
        return Ok(());
    };
    let found = tokio::net::lookup_host((name, 0)).await;
    let mut found = found.map_err(|_| MediaProblem::Unreachable)?.peekable();
    if found.peek().is_none() {
        return Err(MediaProblem::Unreachable);
    }
    if found.all(|at| is_public(at.ip())) {
        Ok(())
    } else {
        Err(MediaProblem::Forbidden)
    }
}
