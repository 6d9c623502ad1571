//! How a target's webhooks prove that they are the target's. What the head shows is judged before a
//! byte of the body is read; all comparisons take a time that does not depend on what was given.

use std::collections::HashMap;

use aws_lc_rs::hmac;
use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use handoffd_contract::WebhookAuth;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::serving::unhex;

/// HubSpot: reject what was signed longer ago than five minutes.
const MAX_AGE_MS: i64 = 300_000;
/// Bytes of an HMAC-SHA256.
const MAC: usize = 32;

/// How one target's webhooks authenticate.
pub struct Verifier {
    auth: WebhookAuth,
    secrets: HashMap<String, SecretString>,
}

/// What a request's head shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It is not the target's, whatever its body is.
    Nothing,
    /// It may be the target's: the body's signature decides.
    Signature,
    /// It knows the path's secret; where there is a signature as well, the body is still to be
    /// compared with it.
    Secret,
}

impl Verifier {
    /// A verifier; `secret` gives the value of each secret that it needs.
    ///
    /// # Errors
    /// A secret is missing; the words name it.
    pub fn new(
        auth: WebhookAuth,
        secret: impl Fn(&str) -> Option<SecretString>,
    ) -> Result<Verifier, String> {
        let mut secrets = HashMap::new();
        for name in names(&auth) {
            let value =
                secret(&name).ok_or_else(|| format!("the secret `{name}` is not configured"))?;
            secrets.insert(name, value);
        }
        Ok(Verifier { auth, secrets })
    }

    fn secret(&self, secret: &handoffd_contract::Secret) -> &str {
        self.secrets
            .get(&secret.0)
            .map_or("", |value| value.expose_secret())
    }

    /// What the head shows.
    pub(super) fn shown(&self, webhook: &WebhookRequest<'_>) -> Shown {
        match &self.auth {
            WebhookAuth::PathToken { token } if same(webhook.token, self.secret(token)) => {
                Shown::Secret
            }
            WebhookAuth::HubSpotV3 { token, .. }
                if same(webhook.token, self.secret(token))
                    && hubspot_signature(webhook).is_some() =>
            {
                Shown::Secret
            }
            WebhookAuth::MetaSha256 { .. } if meta_signature(webhook).is_some() => Shown::Signature,
            _ => Shown::Nothing,
        }
    }

    /// Whether the request is the target's.
    pub(super) fn admits(&self, webhook: &WebhookRequest<'_>, body: &[u8]) -> bool {
        match &self.auth {
            WebhookAuth::PathToken { token } => same(webhook.token, self.secret(token)),
            WebhookAuth::HubSpotV3 {
                secret,
                public_url,
                token,
            } => {
                same(webhook.token, self.secret(token))
                    && hubspot_v3(self.secret(secret), public_url, webhook, body)
            }
            WebhookAuth::MetaSha256 { secrets, .. } => {
                let Some(given) = meta_signature(webhook) else {
                    return false;
                };
                // Every secret is tried, so that the time does not tell which one fits.
                secrets.iter().fold(false, |fits, secret| {
                    fits | bool::from(mac(self.secret(secret), &[body]).ct_eq(&given))
                })
            }
        }
    }

    /// Whether Meta's verification request shows the verify token.
    pub(super) fn verifies(&self, given: &str) -> bool {
        match &self.auth {
            WebhookAuth::MetaSha256 { verify_token, .. } => same(given, self.secret(verify_token)),
            WebhookAuth::PathToken { .. } | WebhookAuth::HubSpotV3 { .. } => false,
        }
    }
}

/// The names of the secrets that a verifier needs.
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

/// A request's head at the verifier.
pub(super) struct WebhookRequest<'a> {
    pub method: &'a Method,
    pub query: &'a str,
    pub token: &'a str,
    pub headers: &'a HeaderMap,
    pub now: Timestamp,
}

impl WebhookRequest<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn meta_signature(webhook: &WebhookRequest<'_>) -> Option<Vec<u8>> {
    let given = webhook
        .header("x-hub-signature-256")?
        .strip_prefix("sha256=")?;
    unhex(given).filter(|bytes| bytes.len() == MAC)
}

/// The signature and the time at which it was made, if that is not longer ago than it may be.
fn hubspot_signature<'a>(webhook: &WebhookRequest<'a>) -> Option<(Vec<u8>, &'a str)> {
    let timestamp = webhook
        .headers
        .get("x-hubspot-request-timestamp")?
        .to_str()
        .ok()?;
    let at: i64 = timestamp.parse().ok()?;
    // The difference of two times far apart may not fit.
    let age = webhook.now.as_millisecond().saturating_sub(at);
    if age.unsigned_abs() > MAX_AGE_MS.unsigned_abs() {
        return None;
    }
    let given = webhook.header("x-hubspot-signature-v3")?;
    let given = base64::engine::general_purpose::STANDARD
        .decode(given)
        .ok()?;
    (given.len() == MAC).then_some((given, timestamp))
}

/// `base64(HMAC-SHA256(secret, method + address + body + timestamp))`, not older than five minutes.
/// The address is the public one, as HubSpot called it, in which it reads some escapes as their
/// characters before signing.
/// <https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests>
fn hubspot_v3(secret: &str, public_url: &str, webhook: &WebhookRequest<'_>, body: &[u8]) -> bool {
    let Some((given, timestamp)) = hubspot_signature(webhook) else {
        return false;
    };
    let mut address = format!("{}/{}", public_url.trim_end_matches('/'), webhook.token);
    if !webhook.query.is_empty() {
        let mut query = webhook.query.to_owned();
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
        webhook.method.as_str().as_bytes(),
        address.as_bytes(),
        body,
        timestamp.as_bytes(),
    ];
    mac(secret, &signed).ct_eq(&given).into()
}

fn mac(secret: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut mac = hmac::Context::with_key(&key);
    for piece in pieces {
        mac.update(piece);
    }
    mac.sign().as_ref().to_vec()
}

/// Whether two texts are the same, in a time that does not depend on where they differ; an empty
/// secret fits nothing.
fn same(given: &str, secret: &str) -> bool {
    !secret.is_empty() && bool::from(given.as_bytes().ct_eq(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoffd_contract::Secret;

    fn webhook<'a>(headers: &'a HeaderMap, token: &'a str, now: i64) -> WebhookRequest<'a> {
        WebhookRequest {
            method: &Method::POST,
            query: "c=acme",
            token,
            headers,
            now: Timestamp::from_millisecond(now).unwrap(),
        }
    }

    fn verifier(auth: WebhookAuth, secrets: &[(&str, &str)]) -> Verifier {
        let find = |name: &str| {
            secrets
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| SecretString::from((*value).to_owned()))
        };
        Verifier::new(auth, find).unwrap()
    }

    #[test]
    fn hubspot_signatures_are_checked_to_the_last_byte_and_minute() {
        let body = br#"[{"eventId":1}]"#;
        let at = 1_763_596_800_123i64;
        let address = "https://connector.example.test/webhooks/hubspot/tok?c=acme";
        let signature = base64::engine::general_purpose::STANDARD.encode(mac(
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
        let verifier = verifier(auth, &[("s", "client-secret"), ("t", "tok")]);
        assert!(verifier.admits(&webhook(&headers, "tok", at + 1_000), body));
        assert!(
            !verifier.admits(&webhook(&headers, "tok", at + 300_001), body),
            "too old"
        );
        assert!(
            !verifier.admits(&webhook(&headers, "tok", at - 300_001), body),
            "from the future"
        );
        assert!(
            !verifier.admits(&webhook(&headers, "tok", at), br#"[{"eventId":2}]"#),
            "another body"
        );
        assert!(
            !verifier.admits(&webhook(&headers, "other", at), body),
            "another path token"
        );
        assert!(
            !verifier.admits(&webhook(&HeaderMap::new(), "tok", at), body),
            "no signature"
        );
    }

    #[test]
    fn hmac_is_the_documented_one() {
        let signed: [&[u8]; 4] = [b"POST", b"https://x.test/hook", b"[]", b"1700000000000"];
        let signature = base64::engine::general_purpose::STANDARD.encode(mac("s", &signed));
        assert_eq!(signature, "/oP6Y8E1P+hAoxs1dsAx66iIxGpnjOtfOt1thMA4KSg=");
    }

    #[test]
    fn meta_signatures_fit_either_secret_during_a_change() {
        let body = "{\"text\":\"é\"}".as_bytes();
        let auth = || WebhookAuth::MetaSha256 {
            secrets: vec![Secret("new".into()), Secret("old".into())],
            verify_token: Secret("verify".into()),
        };
        let verifier = verifier(auth(), &[("new", "n"), ("old", "o"), ("verify", "v")]);
        for (key, fits) in [("n", true), ("o", true), ("x", false)] {
            let hex: String = mac(key, &[body])
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let mut headers = HeaderMap::new();
            headers.insert(
                "x-hub-signature-256",
                format!("sha256={hex}").parse().unwrap(),
            );
            assert_eq!(
                verifier.admits(&webhook(&headers, "", 0), body),
                fits,
                "{key}"
            );
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-hub-signature-256", "sha256=zz".parse().unwrap());
        assert!(!verifier.admits(&webhook(&headers, "", 0), body));
    }

    #[test]
    fn an_empty_token_fits_nothing() {
        let verifier = verifier(
            WebhookAuth::PathToken {
                token: Secret("t".into()),
            },
            &[("t", "")],
        );
        assert!(!verifier.admits(&webhook(&HeaderMap::new(), "", 0), b"{}"));
    }
}
