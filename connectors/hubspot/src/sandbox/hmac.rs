//! HubSpot's v3 request signature.
//! <https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|b| b ^ 0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(block.map(|b| b ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

/// `X-HubSpot-Signature-v3`. HubSpot decodes these escapes of the query before it signs.
pub(super) fn v3(secret: &str, method: &str, url: &str, body: &[u8], timestamp: i64) -> String {
    let mut url = url.to_owned();
    if let Some(at) = url.find('?') {
        let mut query = url.split_off(at);
        for (escape, plain) in [
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
            query = query.replace(escape, plain);
        }
        url.push_str(&query);
    }
    let mut message = Vec::with_capacity(url.len() + body.len() + 24);
    message.extend_from_slice(method.as_bytes());
    message.extend_from_slice(url.as_bytes());
    message.extend_from_slice(body);
    message.extend_from_slice(timestamp.to_string().as_bytes());
    STANDARD.encode(hmac(secret.as_bytes(), &message))
}

/// `X-HubSpot-Signature`, version 1.
pub(super) fn v1(secret: &str, body: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update(secret)
        .chain_update(body)
        .finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_match_the_official_client() {
        let secret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
        let body = br#"[{"eventId":1,"subscriptionId":2,"portalId":3,"appId":4,"occurredAt":1763596800000,"subscriptionType":"conversation.newMessage","attemptNumber":0,"objectId":555,"messageId":"m-1","messageType":"MESSAGE","changeFlag":"NEW_MESSAGE"}]"#;
        let url = "https://connector.example.test/webhooks/hubspot?c=acme";
        assert_eq!(
            v1(secret, body),
            "d04be0e6226908bf6f43a0b29a1b651e1e915816739400b8fd17c4af1f7909c4"
        );
        assert_eq!(
            v3(secret, "POST", url, body, 1_763_596_800_123),
            "FjRtYVvtPUrfPF8jTR0I/sc+tDkJnQLE04onvEzjWMs="
        );
        assert_eq!(
            v3("s", "POST", "https://x.test/hook", b"[]", 1_700_000_000_000),
            "/oP6Y8E1P+hAoxs1dsAx66iIxGpnjOtfOt1thMA4KSg="
        );
    }

    #[test]
    fn a_long_key_is_hashed_first() {
        // RFC 4231, test case 6.
        let mac = hmac(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
        );
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
