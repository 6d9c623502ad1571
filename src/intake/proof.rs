//! Whether what a source sends is its own. What the head shows is judged before a byte of the body is
//! read; all comparisons take a time that does not depend on what was given.

use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use crate::config::{Hash, Over, Proof};
use crate::mapping::dialect::FORM;
use crate::serving::unhex;

/// The most parameters of a form that a signature is made over.
const MAX_PARAMETERS: usize = 1_000;

/// A request, as far as proofs look at it.
pub(super) struct Head<'a> {
    /// What stands in the address behind the source's name; empty where nothing does.
    pub token: &'a str,
    /// The query, as it came.
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub now: Timestamp,
}

impl Head<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Whether the head shows a proof that the body may bear out.
pub(super) fn is_shown(proof: &Proof, head: &Head<'_>) -> bool {
    match &proof.over {
        Over::Nothing => fits_secret(proof, head),
        Over::TimeAndBody { .. } | Over::StampedBody { .. } => {
            given(proof, head).is_some() && is_fresh(proof, head)
        }
        Over::Claims { .. } => claims(proof, head).is_some(),
        Over::Body | Over::AddressAndParameters { .. } => given(proof, head).is_some(),
    }
}

/// Whether the request is the source's.
pub(super) fn is_proved(proof: &Proof, head: &Head<'_>, body: &[u8]) -> bool {
    match &proof.over {
        Over::Nothing => return fits_secret(proof, head),
        Over::Claims { body: name, .. } => {
            let ours = digest::digest(&digest::SHA256, body);
            let claims = claims(proof, head).unwrap_or_default();
            let hash = claims.get(name).and_then(|hash| unhex(hash.as_str()?));
            return hash.is_some_and(|hash| ours.as_ref().ct_eq(&hash).into());
        }
        _ => {}
    }
    let Some(given) = given(proof, head) else {
        return false;
    };
    let signed = match &proof.over {
        Over::Nothing | Over::Claims { .. } => return false,
        Over::Body => body.to_vec(),
        Over::TimeAndBody { .. } | Over::StampedBody { .. } => {
            if !is_fresh(proof, head) {
                return false;
            }
            let time = time(proof, head).unwrap_or_default();
            [time.as_bytes(), b".", body].concat()
        }
        Over::AddressAndParameters { address } => addressed(address, head, body),
    };
    // Every secret is tried, so that the time does not tell which one fits.
    proof.secrets.iter().fold(false, |fits, secret| {
        let key = hmac::Key::new(algorithm(proof.hash), secret.expose_secret().as_bytes());
        let ours = hmac::sign(&key, &signed);
        let is_secret = !secret.expose_secret().is_empty();
        fits | (is_secret & bool::from(ours.as_ref().ct_eq(&given)))
    })
}

/// Whether two texts are the same; an empty secret fits nothing.
pub(super) fn same(given: &str, secret: &SecretString) -> bool {
    let secret = secret.expose_secret();
    !secret.is_empty() && bool::from(given.as_bytes().ct_eq(secret.as_bytes()))
}

fn fits_secret(proof: &Proof, head: &Head<'_>) -> bool {
    let given = bearer(head.header(&proof.header).unwrap_or_default());
    let each = proof.secrets.iter();
    each.fold(false, |fits, secret| fits | same(given, secret))
}

/// What stands behind the scheme `Bearer`, or all where there is none.
fn bearer(given: &str) -> &str {
    let scheme = given
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    scheme.map_or(given, |scheme| &given[scheme.len()..])
}

/// The digest that the head shows, if it has one of the right length.
fn given(proof: &Proof, head: &Head<'_>) -> Option<Vec<u8>> {
    let text = match &proof.over {
        Over::StampedBody { digest, .. } => stamped(proof, head, digest)?,
        _ => head.header(&proof.header)?.trim(),
    };
    let text = text.strip_prefix(&proof.prefix).unwrap_or(text);
    let bytes = if proof.base64 {
        STANDARD.decode(text).ok()?
    } else {
        unhex(text)?
    };
    (bytes.len() == length(proof.hash)).then_some(bytes)
}

/// What stands under this name in the header.
fn stamped<'a>(proof: &Proof, head: &Head<'a>, name: &str) -> Option<&'a str> {
    let mut parts = head.headers.get(&proof.header)?.to_str().ok()?.split(',');
    parts.find_map(|part| {
        let (found, value) = part.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

/// The time as the head writes it.
fn time<'a>(proof: &Proof, head: &Head<'a>) -> Option<&'a str> {
    match &proof.over {
        Over::TimeAndBody { time, .. } => head.headers.get(time)?.to_str().ok(),
        Over::StampedBody { time, .. } => stamped(proof, head, time),
        _ => None,
    }
}

fn is_fresh(proof: &Proof, head: &Head<'_>) -> bool {
    let (Over::TimeAndBody { max_age, .. } | Over::StampedBody { max_age, .. }) = &proof.over
    else {
        return true;
    };
    let seconds = time(proof, head).and_then(|text| text.trim().parse().ok());
    seconds.is_some_and(|seconds| is_young(head, seconds, *max_age))
}

fn is_young(head: &Head<'_>, seconds: i64, max_age: Duration) -> bool {
    head.now.as_second().abs_diff(seconds) <= max_age.as_secs()
}

/// The claims of the head's token, where one of the secrets signed it and it is of now.
fn claims(proof: &Proof, head: &Head<'_>) -> Option<Map<String, Value>> {
    let Over::Claims { max_age, .. } = &proof.over else {
        return None;
    };
    let token = bearer(head.header(&proof.header)?);
    // Times are judged by the request's own, below.
    let mut rules = Validation::new(Algorithm::HS256);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    let secrets = proof.secrets.iter().map(ExposeSecret::expose_secret);
    let keys = secrets.filter(|secret| !secret.is_empty());
    let read = keys.filter_map(|secret| {
        let key = DecodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::decode::<Map<String, Value>>(token, &key, &rules).ok()
    });
    // Every secret is tried, so that the time does not tell which one fits.
    let claims = read.fold(None, |found, one| found.or(Some(one)))?.claims;
    let seconds = |name: &str| claims.get(name).and_then(Value::as_i64);
    let is_old = seconds("exp").is_some_and(|end| end < head.now.as_second());
    let is_of_now = seconds("iat").is_some_and(|at| is_young(head, at, *max_age));
    (is_of_now && !is_old).then_some(claims)
}

/// The address as the gateway knows it, with each parameter's name and value, sorted by name, in a row.
/// <https://www.twilio.com/docs/usage/webhooks/webhooks-security>
fn addressed(address: &str, head: &Head<'_>, body: &[u8]) -> Vec<u8> {
    let mut signed = address.to_owned();
    if !head.token.is_empty() {
        signed.push('/');
        signed.push_str(head.token);
    }
    if !head.query.is_empty() {
        signed.push('?');
        signed.push_str(head.query);
    }
    let content_type = head.header("content-type").unwrap_or_default();
    if content_type.to_ascii_lowercase().starts_with(FORM) {
        let pairs = url::form_urlencoded::parse(body).take(MAX_PARAMETERS);
        let mut pairs: Vec<(String, String)> = pairs
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        pairs.sort();
        pairs.dedup();
        for (name, value) in pairs {
            signed.push_str(&name);
            signed.push_str(&value);
        }
    }
    signed.into_bytes()
}

fn algorithm(hash: Hash) -> hmac::Algorithm {
    match hash {
        Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => hmac::HMAC_SHA256,
        Hash::Sha512 => hmac::HMAC_SHA512,
    }
}

fn length(hash: Hash) -> usize {
    match hash {
        Hash::Sha1 => 20,
        Hash::Sha256 => 32,
        Hash::Sha512 => 64,
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    use super::*;

    fn proof(header: &str, prefix: &str, over: Over, hash: Hash, base64: bool) -> Proof {
        Proof {
            header: header.to_owned(),
            prefix: prefix.to_owned(),
            over,
            hash,
            base64,
            secrets: vec![SecretString::from("new"), SecretString::from("12345")],
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn head<'a>(headers: &'a HeaderMap, query: &'a str, at: i64) -> Head<'a> {
        Head {
            token: "",
            query,
            headers,
            now: Timestamp::from_second(at).unwrap(),
        }
    }

    fn hex(key: &str, hash: Hash, signed: &[u8]) -> String {
        let key = hmac::Key::new(algorithm(hash), key.as_bytes());
        hmac::sign(&key, signed)
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The example of the vendor's own libraries.
    /// <https://www.twilio.com/docs/usage/webhooks/webhooks-security>
    #[test]
    fn an_address_and_sorted_parameters_are_signed_as_twilio_signs_them() {
        let over = Over::AddressAndParameters {
            address: "https://mycompany.com/myapp.php".to_owned(),
        };
        let proof = proof("x-twilio-signature", "", over, Hash::Sha1, true);
        let body = b"To=%2B18005551212&CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309";
        let signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        let form = (
            "content-type",
            "application/x-www-form-urlencoded; charset=UTF-8",
        );
        let right = headers(&[("x-twilio-signature", signature), form]);
        assert!(is_shown(&proof, &head(&right, "foo=1&bar=2", 0)));
        assert!(is_proved(&proof, &head(&right, "foo=1&bar=2", 0), body));
        assert!(
            !is_proved(&proof, &head(&right, "foo=1", 0), body),
            "another address"
        );
        assert!(
            !is_proved(&proof, &head(&right, "foo=1&bar=2", 0), b"Digits=1"),
            "other parameters"
        );
        let cut = headers(&[("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93"), form]);
        assert!(!is_shown(&proof, &head(&cut, "", 0)));
    }

    #[test]
    fn time_and_body_are_signed_together_and_get_old() {
        let over = Over::TimeAndBody {
            time: "x-chatwoot-timestamp".to_owned(),
            max_age: Duration::from_secs(300),
        };
        let proof = proof("x-chatwoot-signature", "sha256=", over, Hash::Sha256, false);
        let digest = hex("new", Hash::Sha256, b"1772443200.{}");
        let signed = headers(&[
            ("x-chatwoot-signature", &format!("sha256={digest}")),
            ("x-chatwoot-timestamp", "1772443200"),
        ]);
        assert!(is_proved(&proof, &head(&signed, "", 1_772_443_500), b"{}"));
        assert!(!is_shown(&proof, &head(&signed, "", 1_772_443_501)), "old");
        assert!(
            !is_proved(&proof, &head(&signed, "", 1_772_442_899), b"{}"),
            "ahead"
        );
        assert!(
            !is_proved(&proof, &head(&signed, "", 1_772_443_200), b"[]"),
            "another body"
        );
    }

    /// <https://docs.ycloud.com/reference/configure-webhooks>
    #[test]
    fn time_and_digest_may_stand_in_one_header() {
        let over = Over::StampedBody {
            time: "t".to_owned(),
            digest: "s".to_owned(),
            max_age: Duration::from_secs(300),
        };
        let proof = proof("ycloud-signature", "", over, Hash::Sha256, false);
        let digest = hex("new", Hash::Sha256, b"1772443200.{}");
        for (written, at, fits) in [
            (format!("t=1772443200,s={digest}"), 1_772_443_500, true),
            (format!("s={digest}, t=1772443200"), 1_772_443_200, true),
            (format!("t=1772443200,s={digest}"), 1_772_443_501, false),
            (format!("t=1772443201,s={digest}"), 1_772_443_200, false),
            (format!("t=1772443200,v1={digest}"), 1_772_443_200, false),
            (format!("t=,s={digest}"), 1_772_443_200, false),
            (digest.clone(), 1_772_443_200, false),
        ] {
            let signed = headers(&[("ycloud-signature", &written)]);
            let head = head(&signed, "", at);
            let admitted = is_shown(&proof, &head) && is_proved(&proof, &head, b"{}");
            assert_eq!(admitted, fits, "{written} at {at}");
            assert!(!is_proved(&proof, &head, b"[]"), "{written} at {at}");
        }
    }

    /// <https://developer.vonage.com/en/messages/concepts/signed-webhooks>
    #[test]
    fn a_token_may_hold_the_hash_of_the_body() {
        let over = Over::Claims {
            body: "payload_hash".to_owned(),
            max_age: Duration::from_secs(300),
        };
        let proof = proof("authorization", "", over, Hash::Sha256, false);
        // sha256("{}")
        let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let now = 1_772_443_200;
        let right = json!({"iat": now, "iss": "Vonage", "payload_hash": hash});
        let with = |name: &str, value: Value| {
            let mut claims = right.clone();
            claims[name] = value;
            claims
        };
        let upper = with("payload_hash", json!(hash.to_uppercase()));
        for (claims, key, algorithm, fits) in [
            (right.clone(), "new", Algorithm::HS256, true),
            (right.clone(), "12345", Algorithm::HS256, true),
            (upper, "new", Algorithm::HS256, true),
            (with("exp", json!(now + 1)), "new", Algorithm::HS256, true),
            (right.clone(), "other", Algorithm::HS256, false),
            (right.clone(), "new", Algorithm::HS512, false),
            (
                with("iat", json!(now - 301)),
                "new",
                Algorithm::HS256,
                false,
            ),
            (with("iat", json!("now")), "new", Algorithm::HS256, false),
            (with("exp", json!(now - 1)), "new", Algorithm::HS256, false),
        ] {
            let key = EncodingKey::from_secret(key.as_bytes());
            let token = jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap();
            let signed = headers(&[("authorization", &format!("Bearer {token}"))]);
            let head = head(&signed, "", now);
            assert_eq!(is_shown(&proof, &head), fits, "{claims} {algorithm:?}");
            assert_eq!(is_proved(&proof, &head, b"{}"), fits, "{claims}");
            assert!(!is_proved(&proof, &head, b"[]"), "{claims}");
        }
        let key = EncodingKey::from_secret(b"new");
        let hashless = json!({"iat": now});
        let token = jsonwebtoken::encode(&Header::default(), &hashless, &key).unwrap();
        let signed = headers(&[("authorization", &token)]);
        assert!(!is_proved(&proof, &head(&signed, "", now), b"{}"));
        let unsigned = "eyJhbGciOiJub25lIn0.eyJpYXQiOjE3NzI0NDMyMDB9.";
        let unsigned = headers(&[("authorization", unsigned)]);
        assert!(!is_shown(&proof, &head(&unsigned, "", now)));
    }

    #[test]
    fn bodies_are_signed_with_either_secret_and_with_or_without_the_prefix() {
        let meta = proof(
            "x-hub-signature-256",
            "sha256=",
            Over::Body,
            Hash::Sha256,
            false,
        );
        let waha = proof("x-webhook-hmac", "", Over::Body, Hash::Sha512, false);
        for (key, fits) in [
            ("new", true),
            ("12345", true),
            ("other", false),
            ("", false),
        ] {
            let digest = hex(key, Hash::Sha256, b"{}");
            for written in [format!("sha256={digest}"), digest] {
                let headers = headers(&[("x-hub-signature-256", &written)]);
                assert_eq!(
                    is_proved(&meta, &head(&headers, "", 0), b"{}"),
                    fits,
                    "{key}"
                );
            }
            let headers = headers(&[("x-webhook-hmac", &hex(key, Hash::Sha512, b"{}"))]);
            assert_eq!(
                is_proved(&waha, &head(&headers, "", 0), b"{}"),
                fits,
                "{key}"
            );
        }
        for wrong in ["", "sha256=", "sha256=zz", "sha256=é", "00"] {
            let headers = HeaderMap::from_iter(wrong.parse().ok().map(|value| {
                (
                    axum::http::HeaderName::from_static("x-hub-signature-256"),
                    value,
                )
            }));
            assert!(!is_shown(&meta, &head(&headers, "", 0)), "{wrong}");
        }
    }

    #[test]
    fn a_header_may_have_the_secret_itself() {
        let proof = proof("authorization", "", Over::Nothing, Hash::Sha256, false);
        for (written, fits) in [
            ("Bearer new", true),
            ("bearer 12345", true),
            ("new", true),
            ("Bearer x", false),
            ("", false),
        ] {
            let headers = headers(&[("authorization", written)]);
            assert_eq!(is_shown(&proof, &head(&headers, "", 0)), fits, "{written}");
        }
        assert!(!is_shown(&proof, &head(&HeaderMap::new(), "", 0)));
    }
}
