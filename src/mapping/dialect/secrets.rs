//! What of a payload nobody may keep: keys that gateways put into the payload itself.

use serde_json::Value;

/// Names whose values are secrets wherever they stand, without case and signs.
const SECRETS: &[&str] = &[
    "apikey",
    "apitoken",
    "accesstoken",
    "authorization",
    "password",
    "secret",
    "token",
    "pubsubtoken",
    "authtoken",
    "privatekey",
    "clientsecret",
    "webhooktoken",
    "bearer",
];

/// What stands where a secret stood.
const MASK: &str = "***";

/// Whether a member with this name is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SECRETS.contains(&plain.as_str())
}

/// Masks every member that is a secret by its name. Returns whether there was one.
pub(super) fn mask(value: &mut Value) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().fold(false, |any, item| mask(item) | any),
        Value::Object(map) => {
            let mut any = false;
            for (name, value) in map.iter_mut() {
                if is_secret(name) && !value.is_null() {
                    *value = Value::from(MASK);
                    any = true;
                } else {
                    any |= mask(value);
                }
            }
            any
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_at_every_depth_and_by_every_spelling() {
        let mut body = json!({"apikey": "a", "data": [{"apiKey": {"x": "b"}, "text": "token"}], "pubsub_token": null,
            "headers": {"Authorization": "c"}, "monkey": "d"});
        assert!(mask(&mut body));
        assert_eq!(
            body,
            json!({"apikey": "***", "data": [{"apiKey": "***", "text": "token"}], "pubsub_token": null,
                "headers": {"Authorization": "***"}, "monkey": "d"})
        );
        assert!(!mask(&mut json!({"text": "apikey"})));
    }
}
