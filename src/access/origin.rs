//! Requests that a foreign page could have made in somebody's browser.
//!
//! Browsers say where a request comes from, and pages cannot change what they say.
//! <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site>
//! A page whose name is made to lead to this machine (DNS rebinding) is of the same origin, so the name
//! that is asked for must be one of ours.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, header};
use url::Url;

use super::cookies::own_authority;

/// The host and port that are asked for.
pub(super) fn authority(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    Some(host.trim().to_ascii_lowercase())
}

fn word<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    // What cannot be read is not ours.
    headers
        .get(name)
        .map(|value| value.to_str().unwrap_or("unreadable"))
}

/// Whether a request comes from a page of another origin, or could. `own` is where browsers reach us.
pub(super) fn is_foreign(method: &Method, headers: &HeaderMap, own: Option<&Url>) -> bool {
    let site = word(headers, "sec-fetch-site");
    let origin = word(headers, "origin");
    // A link on another page was followed: the answer is for the person, not for that page.
    let is_link = method.is_safe()
        && word(headers, "sec-fetch-mode") == Some("navigate")
        && word(headers, "sec-fetch-dest") == Some("document");
    let by_site = site.map(|site| !matches!(site, "same-origin" | "none"));
    match (by_site, origin) {
        (Some(true), _) => !is_link,
        // A page that sends no referrer sends no origin either.
        (Some(false), None | Some("null")) => false,
        (_, Some(origin)) => !is_own(origin, headers, own),
        (None, None) => false,
    }
}

/// Whether a request could be a form of a foreign page in a browser so old that it does not say so: nothing
/// else can be sent without a word.
pub(super) fn may_be_form(method: &Method, headers: &HeaderMap) -> bool {
    let says = word(headers, "sec-fetch-site").or(word(headers, "origin"));
    !method.is_safe() && says.is_none() && is_form(headers)
}

/// Whether an origin is the one that is asked for.
fn is_own(origin: &str, headers: &HeaderMap, own: Option<&Url>) -> bool {
    let Ok(origin) = Url::parse(origin) else {
        return false;
    };
    let named = own_authority(&origin);
    let is_asked = authority(headers).is_some_and(|asked| {
        let standard = match origin.scheme() {
            "https" => ":443",
            _ => ":80",
        };
        asked.strip_suffix(standard).unwrap_or(&asked) == named
    });
    is_asked || own.is_some_and(|own| own.origin() == origin.origin())
}

/// Whether a body is one that a form can send.
/// <https://fetch.spec.whatwg.org/#cors-safelisted-request-header>
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let Some(kind) = word(headers, "content-type") else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/plain",
    ]
    .iter()
    .any(|form| kind.eq_ignore_ascii_case(form))
}

/// Whose name is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// This machine's own.
    Here,
    /// One to which no stranger can make a name lead: an address, a name without a dot, or the
    /// configured one.
    Ours,
    /// Any other.
    Other,
}

/// Whose name is asked for; where none is, it is no browser.
pub(super) fn asked(headers: &HeaderMap, own: Option<&Url>) -> Asked {
    let Some(asked) = authority(headers) else {
        return Asked::Here;
    };
    let host = match asked.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => asked.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.');
    if let Ok(address) = host.parse::<IpAddr>() {
        return match address.to_canonical().is_loopback() {
            true => Asked::Here,
            false => Asked::Ours,
        };
    }
    if host == "localhost" || host.ends_with(".localhost") {
        return Asked::Here;
    }
    let is_own = own.and_then(Url::host_str) == Some(host);
    match is_own || !host.contains('.') {
        true => Asked::Ours,
        false => Asked::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let named = lines.iter().map(|(name, value)| {
            let name: axum::http::HeaderName = name.parse().unwrap();
            (name, value.parse().unwrap())
        });
        named.collect()
    }

    #[test]
    fn what_a_foreign_page_can_send_is_told_apart() {
        let own = Url::parse("https://console.example.com").unwrap();
        let form = ("content-type", "application/x-www-form-urlencoded");
        let json = ("content-type", "application/json");
        let host = ("host", "127.0.0.1:8081");
        for (method, lines, foreign) in [
            ("POST", vec![("sec-fetch-site", "same-origin"), form], false),
            ("POST", vec![("sec-fetch-site", "none"), form], false),
            ("POST", vec![("sec-fetch-site", "cross-site"), json], true),
            ("POST", vec![("sec-fetch-site", "same-site"), json], true),
            ("GET", vec![("sec-fetch-site", "cross-site")], true),
            (
                "GET",
                vec![
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                false,
            ),
            (
                "POST",
                vec![
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                true,
            ),
            (
                "GET",
                vec![
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "iframe"),
                ],
                true,
            ),
            (
                "POST",
                vec![("sec-fetch-site", "same-origin"), ("origin", "null"), host],
                false,
            ),
            ("POST", vec![("origin", "null"), host], true),
            (
                "POST",
                vec![("origin", "http://127.0.0.1:8081"), host],
                false,
            ),
            (
                "POST",
                vec![("origin", "http://127.0.0.1:9999"), host],
                true,
            ),
            ("POST", vec![("origin", "https://evil.example"), host], true),
            ("GET", vec![("origin", "https://evil.example"), host], true),
            (
                "POST",
                vec![("origin", "https://console.example.com"), host],
                false,
            ),
            ("POST", vec![form], false),
            ("GET", vec![], false),
        ] {
            let method: Method = method.parse().unwrap();
            assert_eq!(
                is_foreign(&method, &headers(&lines), Some(&own)),
                foreign,
                "{method} {lines:?}"
            );
        }
    }

    #[test]
    fn only_a_form_is_sent_without_a_word() {
        for (lines, may_be) in [
            (
                vec![("content-type", "application/x-www-form-urlencoded")],
                true,
            ),
            (vec![("content-type", "text/plain;charset=UTF-8")], true),
            (
                vec![("content-type", "Multipart/Form-Data; boundary=x")],
                true,
            ),
            (vec![("content-type", "application/json")], false),
            (vec![], false),
            (
                vec![("content-type", "text/plain"), ("sec-fetch-site", "none")],
                false,
            ),
        ] {
            let headers = headers(&lines);
            assert_eq!(may_be_form(&Method::POST, &headers), may_be, "{lines:?}");
            assert!(!may_be_form(&Method::GET, &headers));
        }
    }

    #[test]
    fn a_name_that_a_stranger_can_lead_here_is_told_apart() {
        let own = Url::parse("https://console.example.com").unwrap();
        for (host, expected) in [
            ("localhost:8081", Asked::Here),
            ("LOCALHOST", Asked::Here),
            ("127.0.0.1:8081", Asked::Here),
            ("[::1]:8081", Asked::Here),
            ("app.localhost:8081", Asked::Here),
            ("192.0.2.1", Asked::Ours),
            ("[2001:db8::1]:80", Asked::Ours),
            ("handoffd:8081", Asked::Ours),
            ("console.example.com", Asked::Ours),
            ("evil.example:8081", Asked::Other),
            ("127.0.0.1.evil.example", Asked::Other),
            ("localhost.evil.example", Asked::Other),
        ] {
            let headers = headers(&[("host", host)]);
            assert_eq!(asked(&headers, Some(&own)), expected, "{host}");
        }
        assert_eq!(asked(&HeaderMap::new(), None), Asked::Here);
    }
}
