//! The cookies, their flags, and what a form must repeat.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::Access;
use super::origin::authority;

/// The cookie of somebody who is signed in. Where the connection is private, its name is one that no
/// other host and no connection in the clear can set.
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes>
const NAME: &str = "handoffd";
const PRIVATE: &str = "__Host-handoffd";

/// Whether the browser's connection is private, as far as it can be told: TLS ends before us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IsPrivate(pub bool);

impl Access {
    /// Whether a browser that sends these headers is connected in private. `by_proxy` is whether they
    /// came by a trusted proxy.
    pub(super) fn is_private(&self, headers: &HeaderMap, by_proxy: bool) -> IsPrivate {
        let by_address = self.config.url.as_ref().is_some_and(|url| {
            url.scheme() == "https" && authority(headers).as_deref() == Some(&own_authority(url))
        });
        let said = headers
            .get("x-forwarded-proto")
            .and_then(|said| said.to_str().ok())
            .and_then(|said| said.rsplit(',').next());
        let by_word =
            by_proxy && said.is_some_and(|said| said.trim().eq_ignore_ascii_case("https"));
        IsPrivate(by_address || by_word)
    }
}

/// Host and port of an address as browsers write them in `Host`.
pub(super) fn own_authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// What the browser shows.
pub(super) fn shown(headers: &HeaderMap, private: IsPrivate) -> Option<String> {
    let name = if private.0 { PRIVATE } else { NAME };
    cookie(headers, name)
}

/// The value of a cookie; of several with the same name, the first.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
}

/// The header that makes the browser show this for so many seconds; none makes it forget.
pub(super) fn keep(value: &str, private: IsPrivate, seconds: u64) -> Option<HeaderValue> {
    let name = if private.0 { PRIVATE } else { NAME };
    set(name, value, "Strict", private, seconds)
}

/// A cookie that scripts cannot read.
pub(super) fn set(
    name: &str,
    value: &str,
    same_site: &str,
    private: IsPrivate,
    seconds: u64,
) -> Option<HeaderValue> {
    let secure = if private.0 { "; Secure" } else { "" };
    let cookie = format!(
        "{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={seconds}{secure}"
    );
    HeaderValue::from_str(&cookie).ok()
}

/// What a form must repeat of somebody with this cookie. It tells nothing of the cookie.
pub(super) fn csrf(cookie: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(b"what a form must repeat: ");
    digest.update(cookie.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            "xhandoffd=1; handoffd=two=2".parse().unwrap(),
        );
        headers.append(header::COOKIE, "__Host-handoffd=three".parse().unwrap());
        assert_eq!(shown(&headers, IsPrivate(false)).as_deref(), Some("two=2"));
        assert_eq!(shown(&headers, IsPrivate(true)).as_deref(), Some("three"));
        assert_eq!(cookie(&headers, "hand"), None);
    }

    #[test]
    fn the_flags_keep_others_away() {
        let cookie = keep("v", IsPrivate(true), 60).unwrap();
        assert_eq!(
            cookie,
            "__Host-handoffd=v; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure"
        );
        let cookie = keep("v", IsPrivate(false), 60).unwrap();
        assert_eq!(
            cookie,
            "handoffd=v; Path=/; HttpOnly; SameSite=Strict; Max-Age=60"
        );
    }

    #[test]
    fn what_a_form_repeats_is_of_its_cookie() {
        assert_eq!(csrf("a"), csrf("a"));
        assert_ne!(csrf("a"), csrf("b"));
        assert_eq!(csrf("a").len(), 43);
    }
}
