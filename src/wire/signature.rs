//! Signatures as Standard Webhooks have them: HMAC-SHA256 over id, time and body.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

/// What a symmetric secret begins with.
const PREFIX: &str = "whsec_";

/// The bytes of a key: as many as the specification wants.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Signs with one secret, or with two during a change.
pub struct Signer {
    secrets: Vec<SecretString>,
}

impl Signer {
    /// A signer with secrets that have their [shape](check).
    #[must_use]
    pub fn new(secrets: Vec<SecretString>) -> Signer {
        Signer { secrets }
    }

    /// The headers of a call with this id that leaves now with this body; none where a secret does not
    /// have its shape.
    #[must_use]
    pub fn headers(
        &self,
        id: &str,
        now: Timestamp,
        body: &[u8],
    ) -> Option<[(HeaderName, HeaderValue); 3]> {
        let time = now.as_second().to_string();
        let signatures: Option<Vec<String>> = self
            .secrets
            .iter()
            .map(|secret| Some(sign(&key(secret)?, id, &time, body)))
            .collect();
        let signatures = signatures.filter(|all| !all.is_empty())?.join(" ");
        let mut signature = HeaderValue::from_str(&signatures).ok()?;
        signature.set_sensitive(true);
        Some([
            (
                HeaderName::from_static("webhook-id"),
                HeaderValue::from_str(id).ok()?,
            ),
            (
                HeaderName::from_static("webhook-timestamp"),
                HeaderValue::from_str(&time).ok()?,
            ),
            (HeaderName::from_static("webhook-signature"), signature),
        ])
    }
}

/// Whether a secret can sign.
///
/// # Errors
/// What is wrong with it, as the end of a sentence; never the secret.
pub fn check(secret: &SecretString) -> Result<(), String> {
    let remedy = "make one with `echo whsec_$(openssl rand -base64 32)`";
    let Some(rest) = secret.expose_secret().strip_prefix(PREFIX) else {
        return Err(format!("does not begin with {PREFIX}; {remedy}"));
    };
    match STANDARD.decode(rest) {
        Err(_) => Err(format!("has no base64 behind {PREFIX}; {remedy}")),
        Ok(bytes) if !BYTES.contains(&bytes.len()) => Err(format!(
            "holds {} bytes and not {} to {}; {remedy}",
            bytes.len(),
            BYTES.start(),
            BYTES.end()
        )),
        Ok(_) => Ok(()),
    }
}

fn key(secret: &SecretString) -> Option<Vec<u8>> {
    let rest = secret.expose_secret().strip_prefix(PREFIX)?;
    STANDARD.decode(rest).ok()
}

fn sign(key: &[u8], id: &str, time: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut mac = hmac::Context::with_key(&key);
    for piece in [id.as_bytes(), b".", time.as_bytes(), b".", body] {
        mac.update(piece);
    }
    format!("v1,{}", STANDARD.encode(mac.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signature(secrets: &[&str]) -> Option<String> {
        let secrets = secrets.iter().map(|one| SecretString::from(*one)).collect();
        let then = Timestamp::from_second(1_614_265_330).expect("a time");
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let headers = Signer::new(secrets).headers(id, then, br#"{"test": 2432232314}"#)?;
        assert_eq!(headers[0].1, id);
        assert_eq!(headers[1].1, "1614265330");
        Some(headers[2].1.to_str().expect("a text").to_owned())
    }

    /// The example of the specification's own libraries.
    #[test]
    fn the_signature_is_the_published_one() {
        let wanted = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature(&[EXAMPLE]).as_deref(), Some(wanted));
        let two = signature(&["whsec_bmV3IHNlY3JldCBvZiAyNCBieXRlcy4=", EXAMPLE]);
        let two = two.expect("signed");
        assert!(two.ends_with(&format!(" {wanted}")), "{two}");
        assert_eq!(two.matches("v1,").count(), 2);
        assert_eq!(signature(&[]), None);
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_it() {
        let told = |secret: &str| check(&SecretString::from(secret));
        assert_eq!(told(EXAMPLE), Ok(()));
        for (secret, wanted) in [
            (
                "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "does not begin with whsec_",
            ),
            ("whsec_geheim!", "has no base64 behind whsec_"),
            ("whsec_Z2VoZWlt", "holds 6 bytes and not 24 to 64"),
        ] {
            let words = told(secret).expect_err("refused");
            assert!(words.starts_with(wanted), "{words}");
            assert!(words.contains("openssl") && !words.contains("geheim"));
        }
    }
}
