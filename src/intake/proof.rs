//! Whether what a source sends is its own. What the head shows is judged before a byte of the body is
//! read; all comparisons take a time that does not depend on what was given.

use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
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
        Over::TimeAndBody { .. } => given(proof, head).is_some() && is_fresh(proof, head),
        Over::Body | Over::AddressAndParameters { .. } => given(proof, head).is_some(),
    }
}

/// Whether the request is the source's.
pub(super) fn is_proved(proof: &Proof, head: &Head<'_>, body: &[u8]) -> bool {
    if proof.over == Over::Nothing {
        return fits_secret(proof, head);
    }
    let Some(given) = given(proof, head) else {
        return false;
    };
    let signed = match &proof.over {
        Over::Nothing => return false,
        Over::Body => body.to_vec(),
        Over::TimeAndBody { time, .. } => {
            if !is_fresh(proof, head) {
                return false;
            }
            let time = head.header(time).unwrap_or_default();
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
    let given = head.header(&proof.header).unwrap_or_default();
    let bearer = given
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    let given = bearer.map_or(given, |scheme| &given[scheme.len()..]);
    let each = proof.secrets.iter();
    each.fold(false, |fits, secret| fits | same(given, secret))
}

/// The digest that the head shows, if it has one of the right length.
fn given(proof: &Proof, head: &Head<'_>) -> Option<Vec<u8>> {
    let text = head.header(&proof.header)?.trim();
    let text = text.strip_prefix(&proof.prefix).unwrap_or(text);
    let bytes = if proof.base64 {
        STANDARD.decode(text).ok()?
    } else {
        unhex(text)?
    };
    (bytes.len() == length(proof.hash)).then_some(bytes)
}

fn is_fresh(proof: &Proof, head: &Head<'_>) -> bool {
    let Over::TimeAndBody { time, max_age } = &proof.over else {
        return true;
    };
    let seconds = head
        .header(time)
        .and_then(|text| text.trim().parse::<i64>().ok());
    seconds.is_some_and(|seconds| head.now.as_second().abs_diff(seconds) <= max_age.as_secs())
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
    use std::time::Duration;

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
