//! Webhooks on their way: signed, in one queue, tried again until they are answered with 200.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview>

use std::collections::VecDeque;

use base64::Engine as _;
use handoffd_contract::sandbox::Delivery;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest as _, Sha256, Sha512};

use super::sha1::sha1;

/// More than this are forgotten, the oldest first.
const MAX_PENDING: usize = 100_000;
/// A webhook that nobody takes is given up after seven days.
const PATIENCE: SignedDuration = SignedDuration::from_hours(7 * 24);

struct Pending {
    id: u64,
    first: Timestamp,
    due: Timestamp,
    tries: u32,
    away: bool,
    body: Vec<u8>,
    /// Elsewhere than to the usual address.
    to: Option<String>,
    signed: Signed,
}

/// How a webhook shows whose it is.
#[derive(Debug, Clone)]
pub(super) enum Signed {
    /// `X-Hub-Signature-256`.
    Meta,
    /// A fixed header that was set with the address (Evolution).
    Header,
    /// `X-Webhook-Hmac`. <https://waha.devlike.pro/docs/how-to/webhooks/>
    Waha,
    /// `X-Chatwoot-Signature` over time and body.
    /// <https://www.chatwoot.com/hc/user-guide/articles/1677693021-how-to-use-webhooks>
    Chatwoot,
    /// `X-Twilio-Signature` over the address and these parameters.
    /// <https://www.twilio.com/docs/usage/webhooks/webhooks-security>
    Twilio(Vec<(String, String)>),
}

impl Signed {
    fn headers(
        &self,
        now: Timestamp,
        url: &str,
        body: &[u8],
        secret: &str,
    ) -> Vec<(String, String)> {
        let secret = secret.as_bytes();
        let json = ("content-type", "application/json".to_owned());
        let headers = match self {
            Signed::Meta => vec![
                json,
                ("user-agent", "facebookexternalua".to_owned()),
                (
                    "x-hub-signature-256",
                    format!("sha256={}", sign(secret, body)),
                ),
            ],
            Signed::Header => {
                let secret = String::from_utf8_lossy(secret);
                vec![json, ("authorization", format!("Bearer {secret}"))]
            }
            Signed::Waha => {
                let digest = hex(&hmac::<128>(secret, body, &|all| {
                    Sha512::digest(all).to_vec()
                }));
                vec![
                    json,
                    ("x-webhook-hmac", digest),
                    ("x-webhook-hmac-algorithm", "sha512".to_owned()),
                    ("x-webhook-timestamp", now.as_millisecond().to_string()),
                ]
            }
            Signed::Chatwoot => {
                let time = now.as_second().to_string();
                let signed = [time.as_bytes(), b".", body].concat();
                vec![
                    json,
                    (
                        "x-chatwoot-signature",
                        format!("sha256={}", sign(secret, &signed)),
                    ),
                    ("x-chatwoot-timestamp", time),
                ]
            }
            Signed::Twilio(parameters) => {
                let mut parameters = parameters.clone();
                parameters.sort();
                let mut signed = url.to_owned();
                for (name, value) in &parameters {
                    signed.push_str(name);
                    signed.push_str(value);
                }
                let digest = hmac::<64>(secret, signed.as_bytes(), &|all| sha1(all).to_vec());
                let form = "application/x-www-form-urlencoded; charset=UTF-8".to_owned();
                let digest = base64::engine::general_purpose::STANDARD.encode(digest);
                vec![("content-type", form), ("x-twilio-signature", digest)]
            }
        };
        headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// The queue.
#[derive(Default)]
pub(super) struct Hooks {
    pub(super) url: Option<String>,
    pending: VecDeque<Pending>,
    made: u64,
    pub(super) given_up: u64,
}

impl Hooks {
    /// Queues a webhook, when there is somewhere to send it.
    pub(super) fn push(&mut self, due: Timestamp, body: &Value) {
        self.push_as(due, None, Signed::Meta, body.to_string().into_bytes());
    }

    /// Queues a webhook of another form, perhaps to an address of its own.
    pub(super) fn push_as(
        &mut self,
        due: Timestamp,
        to: Option<String>,
        signed: Signed,
        body: Vec<u8>,
    ) {
        if self.url.is_none() && to.is_none() {
            return;
        }
        self.made += 1;
        self.pending.push_back(Pending {
            id: self.made,
            first: due,
            due,
            tries: 0,
            away: false,
            body,
            to,
            signed,
        });
        if self.pending.len() > MAX_PENDING {
            self.pending.pop_front();
        }
    }

    /// When the earliest webhook that is not away becomes due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let goes = |hook: &&Pending| !hook.away && (self.url.is_some() || hook.to.is_some());
        let here = self.pending.iter().filter(goes);
        here.map(|hook| hook.due).min()
    }

    /// The webhooks that are due, the earliest first.
    pub(super) fn due(&mut self, now: Timestamp, secret: &str) -> Vec<Delivery> {
        let usual = self.url.clone();
        let mut due: Vec<&mut Pending> = self
            .pending
            .iter_mut()
            .filter(|hook| !hook.away && hook.due <= now)
            .collect();
        due.sort_by_key(|hook| (hook.due, hook.id));
        due.into_iter()
            .filter_map(|hook| {
                let url = hook.to.clone().or_else(|| usual.clone())?;
                hook.away = true;
                Some(Delivery {
                    id: hook.id,
                    headers: hook.signed.headers(now, &url, &hook.body, secret),
                    url,
                    body: hook.body.clone(),
                    timeout_ms: 5_000,
                })
            })
            .collect()
    }

    /// What became of a delivery. For Meta only 200 is an answer.
    pub(super) fn answered(&mut self, now: Timestamp, id: u64, status: Option<u16>) {
        let hook = self.pending.iter().find(|hook| hook.id == id);
        let is_meta = hook.is_some_and(|hook| matches!(hook.signed, Signed::Meta));
        let is_taken = |status: u16| status == 200 || !is_meta && (200..300).contains(&status);
        if status.is_some_and(is_taken) {
            self.pending.retain(|hook| hook.id != id);
            return;
        }
        for hook in self.pending.iter_mut().filter(|hook| hook.id == id) {
            hook.tries += 1;
            hook.away = false;
            let wait = SignedDuration::from_secs(1 << hook.tries.min(12));
            hook.due = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        }
        let before = self.pending.len();
        self.pending
            .retain(|hook| now.duration_since(hook.first) < PATIENCE);
        self.given_up += (before - self.pending.len()) as u64;
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len()
    }
}

/// HMAC-SHA256 in lower-case hexadecimal.
pub(super) fn sign(secret: &[u8], body: &[u8]) -> String {
    hex(&hmac::<64>(secret, body, &|all| {
        Sha256::digest(all).to_vec()
    }))
}

/// HMAC with a hash of this block size. <https://www.rfc-editor.org/rfc/rfc2104>
fn hmac<const BLOCK: usize>(
    secret: &[u8],
    body: &[u8],
    hash: &dyn Fn(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let mut key = [0u8; BLOCK];
    let short = match secret.len() > BLOCK {
        true => hash(secret),
        false => secret.to_vec(),
    };
    key[..short.len()].copy_from_slice(&short);
    let pass = |pad: u8, rest: &[u8]| hash(&[&key.map(|byte| byte ^ pad)[..], rest].concat());
    pass(0x5c, &pass(0x36, body))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn the_signature_is_hmac_sha256() {
        let short = sign(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(
            short,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let data = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let long = sign(&[0xaa; 131], data);
        assert_eq!(
            long,
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_webhook_is_tried_until_it_is_answered_with_200() {
        let mut hooks = Hooks {
            url: Some("http://h".into()),
            ..Hooks::default()
        };
        let start = Timestamp::UNIX_EPOCH;
        hooks.push(start, &Value::Null);
        assert_eq!(hooks.next(), Some(start));
        let first = hooks.due(start, "s");
        assert_eq!(hooks.next(), None, "it is on its way");
        assert_eq!(first.len(), 1);
        assert!(hooks.due(start, "s").is_empty(), "given out once");
        hooks.answered(start, first[0].id, Some(202));
        assert!(hooks.due(start, "s").is_empty(), "not at once");
        let again = hooks.due(start + SignedDuration::from_secs(2), "s");
        assert_eq!(again[0].body, first[0].body);
        hooks.answered(start, again[0].id, Some(200));
        assert_eq!(hooks.waiting(), 0);
    }
}
