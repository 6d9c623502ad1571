//! Webhooks on their way: signed, in one queue, tried again until they are answered with 200.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview>

use std::collections::VecDeque;

use handoffd_contract::sandbox::Delivery;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

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
        if self.url.is_none() {
            return;
        }
        self.made += 1;
        let body = body.to_string().into_bytes();
        self.pending.push_back(Pending {
            id: self.made,
            first: due,
            due,
            tries: 0,
            away: false,
            body,
        });
        if self.pending.len() > MAX_PENDING {
            self.pending.pop_front();
        }
    }

    /// When the earliest webhook that is not away becomes due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.url.as_ref()?;
        let here = self.pending.iter().filter(|hook| !hook.away);
        here.map(|hook| hook.due).min()
    }

    /// The webhooks that are due, the earliest first.
    pub(super) fn due(&mut self, now: Timestamp, secret: &str) -> Vec<Delivery> {
        let Some(url) = self.url.clone() else {
            return Vec::new();
        };
        let mut due: Vec<&mut Pending> = self
            .pending
            .iter_mut()
            .filter(|hook| !hook.away && hook.due <= now)
            .collect();
        due.sort_by_key(|hook| (hook.due, hook.id));
        due.into_iter()
            .map(|hook| {
                hook.away = true;
                Delivery {
                    id: hook.id,
                    url: url.clone(),
                    headers: vec![
                        ("content-type".into(), "application/json".into()),
                        ("user-agent".into(), "facebookexternalua".into()),
                        (
                            "x-hub-signature-256".into(),
                            format!("sha256={}", sign(secret.as_bytes(), &hook.body)),
                        ),
                    ],
                    body: hook.body.clone(),
                    timeout_ms: 5_000,
                }
            })
            .collect()
    }

    /// What became of a delivery. Only 200 is an answer.
    pub(super) fn answered(&mut self, now: Timestamp, id: u64, status: Option<u16>) {
        if status == Some(200) {
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

/// HMAC-SHA256 in lower-case hexadecimal. <https://www.rfc-editor.org/rfc/rfc2104>
pub(super) fn sign(secret: &[u8], body: &[u8]) -> String {
    const BLOCK: usize = 64;
    let mut key = [0u8; BLOCK];
    if secret.len() > BLOCK {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let pass = |pad: u8, parts: &[&[u8]]| {
        let mut hash = Sha256::new();
        hash.update(key.map(|byte| byte ^ pad));
        for part in parts {
            hash.update(part);
        }
        hash.finalize()
    };
    let inner = pass(0x36, &[body]);
    pass(0x5c, &[&inner])
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
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
