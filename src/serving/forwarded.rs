//! Whom a request is from when it came by a proxy.
//!
//! A connection of a trusted proxy carries the requests of many clients, one after the other, so the
//! connection itself is nobody's. What is counted there are the requests that are under way: each
//! takes a seat of the client that the proxy names, among those of the connections that the same
//! address has without a proxy.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::peers::Peers;
use super::unread;
use crate::config::Network;
use crate::seldom::Seldom;

/// On a request that came by a trusted proxy.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByProxy;

/// Refuses a request by a proxy whose client has as much under way as it may.
pub(super) async fn seated(State(peers): State<Peers>, request: Request, next: Next) -> Response {
    static TOO_MANY: Seldom = Seldom::new();
    if request.extensions().get::<ByProxy>().is_none() {
        return next.run(request).await;
    }
    // Without a name it is the proxy's own, and only the bound for all connections holds.
    let Some(client) = client(request.headers(), peers.proxies()) else {
        return next.run(request).await;
    };
    let Some(_seat) = peers.seat(client) else {
        if let Some(more) = TOO_MANY.now() {
            tracing::warn!(
                address = %client, more,
                "an address has as many requests under way by a proxy as it may"
            );
        }
        let mut response = (StatusCode::TOO_MANY_REQUESTS, "too many at a time\n").into_response();
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return unread(response);
    };
    next.run(request).await
}

/// The right-most address of `X-Forwarded-For` that is no proxy of ours: everything left of it is
/// that client's own word.
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#selecting_an_ip_address>
pub(crate) fn client(headers: &HeaderMap, proxies: &[Network]) -> Option<IpAddr> {
    let lines: Vec<&HeaderValue> = headers.get_all("x-forwarded-for").iter().collect();
    for line in lines.into_iter().rev() {
        // What is not ASCII names nobody.
        for hop in line.to_str().ok()?.rsplit(',') {
            let address = address(hop.trim())?;
            if !proxies.iter().any(|network| network.holds(address)) {
                return Some(address);
            }
        }
    }
    None
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    bare.unwrap_or(hop)
        .parse()
        .or_else(|_| hop.parse::<SocketAddr>().map(|hop| hop.ip()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        let proxies = [
            Network::parse("10.0.0.0/8").unwrap(),
            Network::parse("fd00::/8").unwrap(),
        ];
        client(&headers, &proxies).map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_one_that_is_no_proxy_of_ours() {
        for (lines, expected) in [
            (vec!["192.0.2.1"], Some("192.0.2.1")),
            (vec!["192.0.2.9, 192.0.2.1"], Some("192.0.2.1")),
            (vec!["192.0.2.1, 10.1.1.1,10.1.1.2"], Some("192.0.2.1")),
            (vec!["192.0.2.9", "192.0.2.1, fd00::7"], Some("192.0.2.1")),
            (vec!["192.0.2.1", "10.1.1.1"], Some("192.0.2.1")),
            (vec!["192.0.2.1:4711"], Some("192.0.2.1")),
            (vec!["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (vec!["[2001:db8::1]"], Some("2001:db8::1")),
            (vec!["nonsense, 192.0.2.1"], Some("192.0.2.1")),
            // A client that is in the proxies' network cannot name somebody else by nonsense.
            (vec!["192.0.2.1, nonsense, 10.1.1.1"], None),
            (vec!["10.1.1.1"], None),
            (vec![""], None),
            (vec![], None),
        ] {
            assert_eq!(named(&lines).as_deref(), expected, "{lines:?}");
        }
    }
}
