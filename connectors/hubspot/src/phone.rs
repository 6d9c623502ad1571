//! Telephone numbers: the forms in which WhatsApp and a CRM write the same one.
//!
//! HubSpot indexes numbers as they are dialled inside the country, and its search answers with more
//! than was asked for; so the search is wide and every result is compared here.

use serde_json::Value;

/// A customer's number, as digits with the country code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    variants: Vec<String>,
}

/// The contact properties that hold numbers, each with the property in which HubSpot keeps the same
/// number as E.164.
const FIELDS: [(&str, Option<&str>); 3] = [
    ("phone", Some("hs_calculated_phone_number")),
    ("mobilephone", Some("hs_calculated_mobile_number")),
    ("hs_whatsapp_phone_number", None),
];

impl Phone {
    /// Reads a number; `None` when it has no plausible length for E.164.
    #[must_use]
    pub fn parse(text: &str) -> Option<Phone> {
        let digits = digits(text);
        if !(7..=15).contains(&digits.len()) {
            return None;
        }
        let mut variants = vec![digits.clone()];
        variants.extend(other_form(&digits));
        Some(Phone { variants })
    }

    /// E.164 forms: as given first, then the form that WhatsApp or the country writes otherwise.
    pub fn e164(&self) -> impl Iterator<Item = String> + '_ {
        self.variants.iter().map(|digits| format!("+{digits}"))
    }

    /// The end that every form shares, without the country code.
    #[must_use]
    pub fn suffix(&self) -> &str {
        let digits = &self.variants[0];
        let keep = match digits {
            d if d.starts_with("55") && self.variants.len() > 1 => 8,
            _ if self.variants.len() > 1 => 10,
            d => d.len() - calling_code_len(d),
        };
        &digits[digits.len() - keep..]
    }

    /// Whether a contact's properties hold this number.
    #[must_use]
    pub fn is_of(&self, properties: &Value) -> bool {
        let text = |name: &str| {
            properties
                .get(name)
                .and_then(Value::as_str)
                .filter(|t| !t.trim().is_empty())
        };
        FIELDS.iter().any(|(raw, calculated)| {
            // HubSpot's own reading knows the country that the portal assumes; it decides when given.
            match calculated.and_then(text) {
                Some(e164) => self.variants.contains(&digits(e164)),
                None => text(raw).is_some_and(|raw| self.written(raw)),
            }
        })
    }

    /// Whether a number as somebody typed it is this one.
    fn written(&self, raw: &str) -> bool {
        let typed = digits(raw);
        if raw.trim_start().starts_with('+') {
            return self.variants.contains(&typed);
        }
        if let Some(international) = typed.strip_prefix("00") {
            return self.variants.iter().any(|v| v == international);
        }
        let local = typed.trim_start_matches('0');
        self.variants.contains(&typed)
            || local.len() >= 8
                && self
                    .variants
                    .iter()
                    .any(|v| &v[calling_code_len(v)..] == local)
    }
}

/// Only the digits.
#[must_use]
pub fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The second form of a mobile number in the three countries whose WhatsApp ids differ from the
/// dialled number: Brazil's ninth digit, Mexico's 1, Argentina's 9.
fn other_form(digits: &str) -> Option<String> {
    let at = |n: usize| digits.as_bytes().get(n).copied();
    match digits.len() {
        13 if digits.starts_with("55") && at(4) == Some(b'9') => {
            Some(format!("{}{}", &digits[..4], &digits[5..]))
        }
        12 if digits.starts_with("55") && at(4).is_some_and(|d| (b'6'..=b'9').contains(&d)) => {
            Some(format!("{}9{}", &digits[..4], &digits[4..]))
        }
        13 if digits.starts_with("521") => Some(format!("52{}", &digits[3..])),
        12 if digits.starts_with("52") => Some(format!("521{}", &digits[2..])),
        13 if digits.starts_with("549") => Some(format!("54{}", &digits[3..])),
        12 if digits.starts_with("54") => Some(format!("549{}", &digits[2..])),
        _ => None,
    }
}

/// The length of the country code. ITU-T E.164 assigns them prefix-free:
/// <https://www.itu.int/pub/T-SP-E.164D>
#[must_use]
pub fn calling_code_len(digits: &str) -> usize {
    const TWO: [&str; 44] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46",
        "47", "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63",
        "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
    ];
    let two = digits.get(..2).unwrap_or("");
    let len = if digits.starts_with('1') || digits.starts_with('7') {
        1
    } else if TWO.contains(&two) {
        2
    } else {
        3
    };
    len.min(digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_shared_end_has_no_country_code() {
        for (number, suffix) in [
            ("+989123456789", "9123456789"),
            ("14155550123", "4155550123"),
            ("+351 912 345 678", "912345678"),
            ("5511987654321", "87654321"),
            ("551187654321", "87654321"),
            ("5215512345678", "5512345678"),
            ("525512345678", "5512345678"),
            ("5491123456789", "1123456789"),
        ] {
            assert_eq!(
                Phone::parse(number).expect("a number").suffix(),
                suffix,
                "{number}"
            );
        }
        assert_eq!(Phone::parse("US.13491208655302741918"), None);
    }

    #[test]
    fn a_number_is_known_in_every_form() {
        let same =
            |wa: &str, properties: Value| Phone::parse(wa).expect("a number").is_of(&properties);
        assert!(same("5511987654321", json!({"phone": "+55 11 8765-4321"})));
        assert!(same(
            "551187654321",
            json!({"mobilephone": "+5511987654321"})
        ));
        assert!(same(
            "5215512345678",
            json!({"hs_whatsapp_phone_number": "+525512345678"})
        ));
        assert!(same("5491123456789", json!({"phone": "0054 11 2345 6789"})));
        assert!(same("989123456789", json!({"phone": "0912 345 6789"})));
        assert!(same("989123456789", json!({"phone": "989123456789"})));
        // What HubSpot read outweighs what was typed.
        assert!(!same(
            "989123456789",
            json!({"phone": "0912 345 6789", "hs_calculated_phone_number": "+499123456789"})
        ));
        assert!(same(
            "989123456789",
            json!({"phone": "0912 345 6789", "hs_calculated_phone_number": "+989123456789"})
        ));
        assert!(!same("989123456789", json!({"phone": "+19123456789"})));
        assert!(!same(
            "989123456789",
            json!({"phone": null, "mobilephone": ""})
        ));
    }
}
