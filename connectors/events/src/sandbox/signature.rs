//! Verifies a call as the specification says: header by header, over the bytes that came, within five
//! minutes of the time that it names.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#verifying-webhook-authenticity>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::sandbox::Request;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// A call that is older or younger is taken for a replay.
const TOLERANCE: i64 = 5 * 60;

const BLOCK: usize = 64;

/// HMAC-SHA256, RFC 2104.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

/// Whether a call was signed with the secret.
pub(super) fn verify(secret: &str, now: Timestamp, request: &Request) -> Result<(), &'static str> {
    let header = |name: &str| request.header(name).filter(|value| !value.is_empty());
    let id = header("webhook-id").ok_or("no webhook-id")?;
    let time = header("webhook-timestamp").ok_or("no webhook-timestamp")?;
    let given = header("webhook-signature").ok_or("no webhook-signature")?;
    let seconds: i64 = time.parse().map_err(|_| "webhook-timestamp is no number")?;
    if (now.as_second() - seconds).abs() > TOLERANCE {
        return Err("webhook-timestamp is more than five minutes away");
    }
    let key = secret.strip_prefix("whsec_").unwrap_or(secret);
    let key = STANDARD
        .decode(key)
        .map_err(|_| "the secret is no base64")?;
    let mut signed = format!("{id}.{time}.").into_bytes();
    signed.extend_from_slice(&request.body);
    let wanted = format!("v1,{}", STANDARD.encode(hmac(&key, &signed)));
    match given.split(' ').any(|one| one == wanted) {
        true => Ok(()),
        false => Err("no signature fits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    fn example() -> Request {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Request {
            method: "POST".into(),
            headers: vec![
                header("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                header("webhook-timestamp", "1614265330"),
                header(
                    "webhook-signature",
                    "v1,bm9ldHUxYm9yNG5v v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,x",
                ),
            ],
            body: br#"{"test": 2432232314}"#.to_vec(),
            ..Request::default()
        }
    }

    #[test]
    fn the_published_example_fits_and_nothing_else_does() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let then = Timestamp::from_second(1_614_265_330).expect("a time");
        assert_eq!(verify(secret, then, &example()), Ok(()));
        let mut other = example();
        other.body.push(b' ');
        assert!(verify(secret, then, &other).is_err());
        let late = Timestamp::from_second(1_614_265_330 + 301).expect("a time");
        assert!(verify(secret, late, &example()).is_err());
        assert!(verify("whsec_c2VjcmV0", then, &example()).is_err());
    }
}
