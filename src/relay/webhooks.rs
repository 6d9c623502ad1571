//! Webhooks: authenticated in constant time, stored as they came, then answered.
//!
//! The answer says only that the webhook is kept. What it means is found out afterwards
//! ([`super::inbox`]), so a slow CRM never times out on us and nothing depends on its retries.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use handoffd_contract::WebhookAuth;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::ledger::Ledger;

/// The most bytes of a webhook. Meta's limit is 3 MB.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// HubSpot: reject what was signed longer ago than five minutes.
const MAX_AGE_MS: i64 = 300_000;

/// How each target's webhooks authenticate, with the secrets' values.
#[derive(Clone)]
pub struct Webhooks {
    ledger: Arc<dyn Ledger>,
    targets: Arc<BTreeMap<String, Door>>,
}

/// How one target's webhooks authenticate.
pub struct Door {
    auth: WebhookAuth,
    secrets: HashMap<String, SecretString>,
}

impl Door {
    /// A door; `secret` gives the value of each secret that it needs.
    ///
    /// # Errors
    /// A secret is missing; the words name it.
    pub fn new(
        auth: WebhookAuth,
        secret: impl Fn(&str) -> Option<SecretString>,
    ) -> Result<Door, String> {
        let mut secrets = HashMap::new();
        for name in names(&auth) {
            let value =
                secret(&name).ok_or_else(|| format!("the secret `{name}` is not configured"))?;
            secrets.insert(name, value);
        }
        Ok(Door { auth, secrets })
    }

    fn secret(&self, secret: &handoffd_contract::Secret) -> &str {
        self.secrets
            .get(&secret.0)
            .map_or("", |value| value.expose_secret())
    }

    /// Whether the request is the target's.
    fn admits(&self, knock: &Knock<'_>) -> bool {
        match &self.auth {
            WebhookAuth::PathToken { token } => same(knock.token, self.secret(token)),
            WebhookAuth::HubSpotV3 {
                secret,
                public_url,
                token,
            } => {
                same(knock.token, self.secret(token))
                    && hubspot_v3(self.secret(secret), public_url, knock)
            }
            WebhookAuth::MetaSha256 { secrets, .. } => {
                let given = knock
                    .header("x-hub-signature-256")
                    .and_then(|value| value.strip_prefix("sha256="));
                let Some(given) = given.and_then(unhex) else {
                    return false;
                };
                // Every secret is tried, so that the time does not tell which one fits.
                secrets.iter().fold(false, |fits, secret| {
                    fits | bool::from(hmac(self.secret(secret), &[knock.body]).ct_eq(&given))
                })
            }
        }
    }
}

/// The names of the secrets that a door needs.
#[must_use]
pub fn names(auth: &WebhookAuth) -> Vec<String> {
    let secrets: Vec<&handoffd_contract::Secret> = match auth {
        WebhookAuth::PathToken { token } => vec![token],
        WebhookAuth::HubSpotV3 { secret, token, .. } => vec![secret, token],
        WebhookAuth::MetaSha256 {
            secrets,
            verify_token,
        } => secrets.iter().chain([verify_token]).collect(),
    };
    secrets.into_iter().map(|secret| secret.0.clone()).collect()
}

/// A request at the door.
struct Knock<'a> {
    method: &'a Method,
    query: &'a str,
    token: &'a str,
    headers: &'a HeaderMap,
    body: &'a [u8],
    now: Timestamp,
}

impl Knock<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The routes `/webhooks/{target}` and `/webhooks/{target}/{token}`.
pub fn routes(ledger: Arc<dyn Ledger>, targets: BTreeMap<String, Door>) -> Router {
    let state = Webhooks {
        ledger,
        targets: Arc::new(targets),
    };
    Router::new()
        .route("/webhooks/{target}", get(challenge).post(bare))
        .route(
            "/webhooks/{target}/{token}",
            get(challenge_at).post(with_token),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}

async fn bare(
    State(state): State<Webhooks>,
    Path(target): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    store(&state, &target, "", &method, &uri, &headers, &body).await
}

async fn with_token(
    State(state): State<Webhooks>,
    Path((target, token)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    store(&state, &target, &token, &method, &uri, &headers, &body).await
}

async fn store(
    state: &Webhooks,
    target: &str,
    token: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let now = Timestamp::now();
    let knock = Knock {
        method,
        query: uri.query().unwrap_or(""),
        token,
        headers,
        body,
        now,
    };
    let admitted = state
        .targets
        .get(target)
        .is_some_and(|door| door.admits(&knock));
    if !admitted {
        // The same answer for an unknown target and a wrong signature; the log says which.
        tracing::warn!(target_name = %target, known = state.targets.contains_key(target), "a webhook was refused");
        return (StatusCode::UNAUTHORIZED, "not authenticated\n").into_response();
    }
    let kept: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "content-type" | "user-agent"))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let headers = serde_json::to_string(&kept).unwrap_or_else(|_| "[]".into());
    match state.ledger.inbox_put(now, target, &headers, body).await {
        Ok(new) => {
            tracing::debug!(target_name = %target, new, bytes = body.len(), "a webhook is kept");
            (StatusCode::OK, "kept\n").into_response()
        }
        Err(error) => {
            tracing::error!(target_name = %target, %error, "a webhook could not be kept");
            (StatusCode::SERVICE_UNAVAILABLE, "not kept; send it again\n").into_response()
        }
    }
}

async fn challenge(
    State(state): State<Webhooks>,
    Path(target): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    answer(&state, &target, &query)
}

async fn challenge_at(
    State(state): State<Webhooks>,
    Path((target, _)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    answer(&state, &target, &query)
}

/// Meta's verification request: the bare challenge comes back when the verify token fits.
/// <https://developers.facebook.com/docs/graph-api/webhooks/getting-started>
fn answer(state: &Webhooks, target: &str, query: &HashMap<String, String>) -> Response {
    let given = |name: &str| query.get(name).map_or("", String::as_str);
    if let Some(door) = state.targets.get(target)
        && let WebhookAuth::MetaSha256 { verify_token, .. } = &door.auth
        && given("hub.mode") == "subscribe"
        && same(given("hub.verify_token"), door.secret(verify_token))
    {
        return (StatusCode::OK, given("hub.challenge").to_owned()).into_response();
    }
    (StatusCode::UNAUTHORIZED, "not authenticated\n").into_response()
}

/// `base64(HMAC-SHA256(secret, method + address + body + timestamp))`, not older than five minutes.
/// The address is the public one, as HubSpot called it, in which it reads some escapes as their
/// characters before signing.
/// <https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests>
fn hubspot_v3(secret: &str, public_url: &str, knock: &Knock<'_>) -> bool {
    let timestamp = knock.header("x-hubspot-request-timestamp").unwrap_or("");
    let age = timestamp
        .parse::<i64>()
        .map(|at| knock.now.as_millisecond().saturating_sub(at));
    if !age.is_ok_and(|age| age.abs() <= MAX_AGE_MS) {
        return false;
    }
    let given = knock.header("x-hubspot-signature-v3").unwrap_or("");
    let Ok(given) = base64::engine::general_purpose::STANDARD.decode(given) else {
        return false;
    };
    let mut address = format!("{}/{}", public_url.trim_end_matches('/'), knock.token);
    if !knock.query.is_empty() {
        let mut query = knock.query.to_owned();
        for (escape, character) in [
            ("%3A", ":"),
            ("%2F", "/"),
            ("%3F", "?"),
            ("%40", "@"),
            ("%21", "!"),
            ("%24", "$"),
            ("%27", "'"),
            ("%28", "("),
            ("%29", ")"),
            ("%2A", "*"),
            ("%2C", ","),
            ("%3B", ";"),
        ] {
            query = query
                .replace(escape, character)
                .replace(&escape.to_lowercase(), character);
        }
        address = format!("{address}?{query}");
    }
    let signed = [
        knock.method.as_str().as_bytes(),
        address.as_bytes(),
        knock.body,
        timestamp.as_bytes(),
    ];
    hmac(secret, &signed).ct_eq(&given).into()
}

fn hmac(secret: &str, pieces: &[&[u8]]) -> Vec<u8> {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return Vec::new();
    };
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Whether two texts are the same, in a time that does not depend on where they differ; an empty
/// secret fits nothing.
fn same(given: &str, secret: &str) -> bool {
    !secret.is_empty() && bool::from(given.as_bytes().ct_eq(secret.as_bytes()))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoffd_contract::Secret;

    fn knock<'a>(headers: &'a HeaderMap, token: &'a str, body: &'a [u8], now: i64) -> Knock<'a> {
        Knock {
            method: &Method::POST,
            query: "c=acme",
            token,
            headers,
            body,
            now: Timestamp::from_millisecond(now).unwrap(),
        }
    }

    fn door(auth: WebhookAuth, secrets: &[(&str, &str)]) -> Door {
        let find = |name: &str| {
            secrets
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| SecretString::from((*value).to_owned()))
        };
        Door::new(auth, find).unwrap()
    }

    #[test]
    fn hubspot_signatures_are_checked_to_the_last_byte_and_minute() {
        let body = br#"[{"eventId":1}]"#;
        let at = 1_763_596_800_123i64;
        let address = "https://connector.example.test/webhooks/hubspot/tok?c=acme";
        let signature = base64::engine::general_purpose::STANDARD.encode(hmac(
            "client-secret",
            &[b"POST", address.as_bytes(), body, at.to_string().as_bytes()],
        ));
        let mut headers = HeaderMap::new();
        headers.insert("x-hubspot-signature-v3", signature.parse().unwrap());
        headers.insert(
            "x-hubspot-request-timestamp",
            at.to_string().parse().unwrap(),
        );
        let auth = WebhookAuth::HubSpotV3 {
            secret: Secret("s".into()),
            public_url: "https://connector.example.test/webhooks/hubspot".into(),
            token: Secret("t".into()),
        };
        let door = door(auth, &[("s", "client-secret"), ("t", "tok")]);
        assert!(door.admits(&knock(&headers, "tok", body, at + 1_000)));
        assert!(
            !door.admits(&knock(&headers, "tok", body, at + 300_001)),
            "too old"
        );
        assert!(
            !door.admits(&knock(&headers, "tok", body, at - 300_001)),
            "from the future"
        );
        assert!(
            !door.admits(&knock(&headers, "tok", br#"[{"eventId":2}]"#, at)),
            "another body"
        );
        assert!(
            !door.admits(&knock(&headers, "other", body, at)),
            "another path token"
        );
        assert!(
            !door.admits(&knock(&HeaderMap::new(), "tok", body, at)),
            "no signature"
        );
    }

    #[test]
    fn hmac_is_the_documented_one() {
        let signed: [&[u8]; 4] = [b"POST", b"https://x.test/hook", b"[]", b"1700000000000"];
        let signature = base64::engine::general_purpose::STANDARD.encode(hmac("s", &signed));
        assert_eq!(signature, "/oP6Y8E1P+hAoxs1dsAx66iIxGpnjOtfOt1thMA4KSg=");
    }

    #[test]
    fn meta_signatures_fit_either_secret_during_a_change() {
        let body = "{\"text\":\"é\"}".as_bytes();
        let auth = || WebhookAuth::MetaSha256 {
            secrets: vec![Secret("new".into()), Secret("old".into())],
            verify_token: Secret("verify".into()),
        };
        let door = door(auth(), &[("new", "n"), ("old", "o"), ("verify", "v")]);
        for (key, fits) in [("n", true), ("o", true), ("x", false)] {
            let hex: String = hmac(key, &[body])
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let mut headers = HeaderMap::new();
            headers.insert(
                "x-hub-signature-256",
                format!("sha256={hex}").parse().unwrap(),
            );
            assert_eq!(door.admits(&knock(&headers, "", body, 0)), fits, "{key}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-hub-signature-256", "sha256=zz".parse().unwrap());
        assert!(!door.admits(&knock(&headers, "", body, 0)));
    }

    #[test]
    fn an_empty_token_fits_nothing() {
        let door = door(
            WebhookAuth::PathToken {
                token: Secret("t".into()),
            },
            &[("t", "")],
        );
        assert!(!door.admits(&knock(&HeaderMap::new(), "", b"{}", 0)));
    }
}
