//! Ids that we choose, derived so that a repeat is the same request.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A UUID that is the same for the same parts, shaped as version 4 in lower case.
///
/// MIAW checks version and variant of the ids that a client chooses, and Creatio takes any; hence
/// version 4 although nothing here is random.
#[must_use]
pub fn uuid(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .hyphenated()
        .to_string()
}

/// A short, stable, lower-case hexadecimal key for the same parts (20 characters).
#[must_use]
pub fn short(parts: &[&str]) -> String {
    let id = uuid(parts);
    id.chars().filter(|c| *c != '-').take(20).collect()
}

/// Whether `text` is a UUID in lower case with hyphens.
#[must_use]
pub fn is_lower_uuid(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|id| id.hyphenated().to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parts_give_the_same_lower_case_v4() {
        let id = uuid(&["session", "crm", "said/1"]);
        assert_eq!(id, uuid(&["session", "crm", "said/1"]));
        assert_ne!(id, uuid(&["session", "crm", "said/", "1"]));
        assert!(is_lower_uuid(&id));
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
