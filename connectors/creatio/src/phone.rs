//! Finding a contact by phone: Creatio keeps numbers as free text, and beside them their digits
//! reversed (`SearchNumber`), so that the end of a number can be looked for by its beginning.

use handoffd_contract::text;

/// How many trailing digits a lookup asks for. All spellings of one number share them, with or
/// without country code, trunk zero, or the digits that Brazil, Mexico and Argentina add.
const TAIL: usize = 8;

/// The digits of a phone number.
#[must_use]
pub fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// The prefix of `SearchNumber` to look for, or `None` when the number is too short to identify
/// anybody.
#[must_use]
pub fn search_prefix(number: &str) -> Option<String> {
    let digits = digits(number);
    (digits.len() >= TAIL).then(|| digits.chars().rev().take(TAIL).collect())
}

/// The same number as WhatsApp and as people write it: itself first, then the variant with or
/// without the digit that Brazil (9), Mexico (1) and Argentina (9) put behind the country code.
#[must_use]
pub fn variants(number: &str) -> Vec<String> {
    let digits = digits(number);
    let mut all = vec![digits.clone()];
    let other = match (digits.get(..2), digits.len()) {
        (Some("55"), 13) if digits.as_bytes()[4] == b'9' => {
            Some(format!("{}{}", &digits[..4], &digits[5..]))
        }
        (Some("55"), 12) => Some(format!("{}9{}", &digits[..4], &digits[4..])),
        (Some("52"), 13) if digits.as_bytes()[2] == b'1' => Some(format!("52{}", &digits[3..])),
        (Some("52"), 12) => Some(format!("521{}", &digits[2..])),
        (Some("54"), 13) if digits.as_bytes()[2] == b'9' => Some(format!("54{}", &digits[3..])),
        (Some("54"), 12) => Some(format!("549{}", &digits[2..])),
        _ => None,
    };
    all.extend(other);
    all
}

/// How well a stored number fits; smaller is better, `None` when it is another number.
///
/// 0: the same digits. 1: a variant of them. 2: a national spelling, that is the end of the number
/// with at most three digits (a country code) missing in front.
#[must_use]
pub fn rank(wanted: &str, stored: &str) -> Option<u8> {
    let stored = digits(stored);
    let bare = stored.trim_start_matches('0');
    let variants = variants(wanted);
    match variants
        .iter()
        .position(|variant| *variant == stored || variant == bare)
    {
        Some(0) => return Some(0),
        Some(_) => return Some(1),
        None => {}
    }
    let national = |variant: &String| {
        variant
            .strip_suffix(bare)
            .is_some_and(|front| (1..=3).contains(&front.len()))
    };
    (bare.len() >= TAIL && variants.iter().any(national)).then_some(2)
}

/// Every way in which a contact's column may hold the number, for an exact comparison.
#[must_use]
pub fn spellings(number: &str) -> Vec<String> {
    variants(number)
        .iter()
        .flat_map(|digits| [format!("+{digits}"), digits.clone()])
        .collect()
}

/// The number as it is written into a new contact: `+` and digits, as given, at most 250 units.
#[must_use]
pub fn stored(number: &str) -> String {
    text::truncate(&format!("+{}", digits(number)), 250)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_match_across_spellings() {
        let table = [
            ("+34600111222", "+34 600 11-12 22", Some(0)),
            ("34600111222", "0034 600 111 222", Some(0)),
            ("+34600111222", "600 111 222", Some(2)),
            ("+491711234567", "0171 1234567", Some(2)),
            ("+5511987654321", "55 11 8765-4321", Some(1)),
            ("+551187654321", "+55 (11) 98765-4321", Some(1)),
            ("+5215512345678", "+52 55 1234 5678", Some(1)),
            ("+5491112345678", "54 11 1234 5678", Some(1)),
            ("+34600111222", "+351 600 111 222", None),
            ("+34600111222", "111222", None),
            ("+34600111222", "", None),
        ];
        for (wanted, stored, expected) in table {
            assert_eq!(rank(wanted, stored), expected, "{wanted} {stored}");
        }
    }

    #[test]
    fn a_lookup_asks_for_the_reversed_end_that_all_variants_share() {
        assert_eq!(search_prefix("+34600111222").as_deref(), Some("22211100"));
        for (a, b) in [
            ("5511987654321", "551187654321"),
            ("5215512345678", "525512345678"),
        ] {
            assert_eq!(search_prefix(a), search_prefix(b));
            assert!(variants(a).contains(&b.to_owned()) && variants(b).contains(&a.to_owned()));
        }
        assert_eq!(search_prefix("12345"), None);
    }
}
