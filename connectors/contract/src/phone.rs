//! Telephone numbers: whether a number that somebody typed into a CRM is the customer's.
//!
//! WhatsApp knows a customer by the whole number, country code and all. CRM users type what they
//! dial: without the country code, with a trunk prefix, with an extension, two numbers in one field.
//! The same national digits exist in many countries, so a number without a country code is the
//! customer's only as read in the CRM's own country; without one it is a hint for the rep.
//!
//! How a country writes its numbers is libphonenumber's data. What it does not know stands here: in
//! three countries WhatsApp's id of a customer may differ from the number that is dialled.

use std::str::FromStr;

use rlibphonenumber::{PhoneNumber, Region};

/// The longest field that is looked at, in characters.
const MAX_FIELD: usize = 250;
/// The digits that a subscriber's number has at least.
const MIN_DIGITS: usize = 7;
/// The digits that E.164 allows at most.
const MAX_DIGITS: usize = 15;
/// Bare digits that are the customer's whole number are taken for it from this length on, where the
/// CRM's country is not known: shorter ones are national numbers elsewhere.
const MIN_WHOLE: usize = 11;

/// A country, by its ISO 3166-1 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country(Region);

impl Country {
    /// Reads a code of two letters, such as `NL`; `None` for one that has no telephone numbers.
    #[must_use]
    pub fn parse(code: &str) -> Option<Country> {
        let code = code.trim();
        if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphabetic()) {
            return None;
        }
        let region = Region::from_str(&code.to_ascii_uppercase()).ok()?;
        rlibphonenumber::PHONE_NUMBER_UTIL
            .get_country_code_for_region(region)
            .map(|_| Country(region))
    }
}

/// How a number in a CRM's field compares with the customer's. Greater is closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// It is another number, so it contradicts; or no number at all.
    Different,
    /// The same digits at the end, but nothing says in which country: a hint, never a match.
    LooksAlike,
    /// The customer's number in the form that WhatsApp or the country writes otherwise.
    OtherForm,
    /// The customer's number.
    Same,
}

/// A customer's number with its country code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    forms: Vec<String>,
    code: usize,
}

impl Number {
    /// Reads a `wa_id` or E.164; `None` for what cannot be one, such as a business-scoped user id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Number> {
        let is_written = |c: char| c.is_ascii_digit() || "+-(). \u{a0}".contains(c);
        if !text.chars().all(is_written) {
            return None;
        }
        let digits = digits(text);
        if !(MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) || digits.starts_with('0') {
            return None;
        }
        let code = PhoneNumber::parse(format!("+{digits}"), None)
            .map_or(0, |number| number.country_code.to_string().len());
        let mut forms = vec![digits];
        forms.extend(other_form(&forms[0]));
        Some(Number { forms, code })
    }

    /// The digits, as given.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.forms[0]
    }

    /// The digits as given first, then the form that WhatsApp or the country writes otherwise.
    #[must_use]
    pub fn forms(&self) -> &[String] {
        &self.forms
    }

    /// E.164: as given first, then the other form.
    pub fn e164(&self) -> impl Iterator<Item = String> + '_ {
        self.forms.iter().map(|digits| format!("+{digits}"))
    }

    /// The end that every form and every national spelling shares, for wide searches.
    #[must_use]
    pub fn national(&self) -> &str {
        let digits = self.digits();
        let keep = match (&digits[..2], self.forms.len()) {
            ("55", 2..) => 8,
            ("52", 2..) => 10,
            // `15` stands between area code and subscriber, who has six digits at least.
            ("54", _) => 6,
            _ => digits.len() - self.code,
        };
        &digits[digits.len() - keep.min(digits.len())..]
    }

    /// How what somebody typed into a field compares with this number; `home` is the CRM's country.
    /// Where the field holds several numbers, the closest counts.
    #[must_use]
    pub fn compare(&self, typed: &str, home: Option<Country>) -> Likeness {
        let typed: String = typed.chars().take(MAX_FIELD).map(ascii_digit).collect();
        let parts = numbers(&typed);
        parts
            .into_iter()
            .chain([typed.as_str()])
            .map(|part| self.compare_one(part, home))
            .max()
            .unwrap_or(Likeness::Different)
    }

    fn compare_one(&self, typed: &str, home: Option<Country>) -> Likeness {
        let typed = without_extension(typed).trim();
        let bare = digits(typed);
        if bare.len() < MIN_DIGITS.min(self.national().len()) {
            return Likeness::Different;
        }
        if typed.starts_with('+') || typed.starts_with("tel:+") {
            return self.is_form(&read(typed, None).map_or(bare, |whole| whole.0));
        }
        if let Some(whole) = bare.strip_prefix("00") {
            return self.is_form(
                &read(&format!("+{whole}"), None).map_or_else(|| whole.to_owned(), |whole| whole.0),
            );
        }
        let at_home = home.and_then(|home| read(typed, Some(home)));
        if let Some((whole, _)) = &at_home {
            let likeness = self.is_form(whole);
            if likeness > Likeness::Different {
                return likeness;
            }
        }
        let whole = self.is_form(&bare);
        if whole > Likeness::Different {
            return match (home, &at_home) {
                (None, _) if bare.len() >= MIN_WHOLE => whole,
                // The country code is the CRM's own, or the digits are no number of its country.
                (Some(home), _) if self.is_of(home) => whole,
                (Some(_), None | Some((_, false))) => whole,
                _ => Likeness::LooksAlike,
            };
        }
        if at_home.is_some_and(|(_, valid)| valid) {
            // A number of the CRM's own country, and not the customer's.
            return Likeness::Different;
        }
        let end = self.national();
        let end = &end[end.len() - end.len().min(8)..];
        if bare.ends_with(end) {
            Likeness::LooksAlike
        } else {
            Likeness::Different
        }
    }

    fn is_form(&self, whole: &str) -> Likeness {
        match self.forms.iter().position(|form| form == whole) {
            Some(0) => Likeness::Same,
            Some(_) => Likeness::OtherForm,
            None => Likeness::Different,
        }
    }

    /// Whether the country code is that country's.
    fn is_of(&self, country: Country) -> bool {
        rlibphonenumber::PHONE_NUMBER_UTIL
            .get_country_code_for_region(country.0)
            .is_some_and(|code| code.to_string() == self.digits()[..self.code])
    }
}

/// Only the digits.
#[must_use]
pub fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The whole number that libphonenumber reads, as digits, and whether its country has such numbers.
fn read(typed: &str, home: Option<Country>) -> Option<(String, bool)> {
    let number = PhoneNumber::parse(typed, home.map(|home| home.0)).ok()?;
    Some((digits(&number.to_string()), number.is_valid()))
}

/// The numbers of a field that holds several; none when it holds one.
fn numbers(typed: &str) -> Vec<&str> {
    let parts: Vec<&str> = typed
        .split([';', ',', '|', '/', '\n', '&'])
        .flat_map(|part| part.split(" or "))
        .filter(|part| digits(part).len() >= MIN_DIGITS)
        .collect();
    if parts.len() > 1 { parts } else { Vec::new() }
}

/// The number before `ext.`, `x`, `#` and the like.
fn without_extension(typed: &str) -> &str {
    let typed = typed.trim_start();
    let start = typed
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(typed.len());
    let end = typed[start..]
        .find(|c: char| c.is_alphabetic() || c == '#' || c == ';')
        .map_or(typed.len(), |at| start + at);
    &typed[..end]
}

/// A digit of another script as the digit that it is.
fn ascii_digit(c: char) -> char {
    const ZEROS: [u32; 4] = [0x0660, 0x06f0, 0x0966, 0xff10];
    let code = u32::from(c);
    let digit = ZEROS
        .iter()
        .find(|zero| (**zero..**zero + 10).contains(&code))
        .and_then(|zero| char::from_digit(code - zero, 10));
    match c {
        '\u{ff0b}' => '+',
        _ => digit.unwrap_or(c),
    }
}

/// The second form of a number in the three countries whose WhatsApp ids may differ from the number
/// that is dialled; for look-ups only, never to send to.
///
/// - Brazil put a 9 before its mobile numbers from 2012 to 2016, and an account keeps the form in
///   which it was registered. Before the change mobile numbers began with 6 to 9 and fixed lines, which
///   WhatsApp takes too, with 2 to 5; so `55 11 3333 4444` is a fixed line and not the old form of
///   the mobile number `55 11 9 3333 4444`.
///   <https://docs.360dialog.com/docs/useful/number-registration-issues/number-formats>
/// - Mexico has a 1, and Argentina a 9, behind the country code.
///   <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages>
fn other_form(digits: &str) -> Option<String> {
    let at = |n: usize| digits.as_bytes().get(n).copied().unwrap_or(0);
    let was_mobile = |digit: u8| (b'6'..=b'9').contains(&digit);
    match (&digits[..2], digits.len()) {
        ("55", 13) if at(4) == b'9' && was_mobile(at(5)) => {
            Some(format!("{}{}", &digits[..4], &digits[5..]))
        }
        ("55", 12) if was_mobile(at(4)) => Some(format!("{}9{}", &digits[..4], &digits[4..])),
        ("52", 13) if at(2) == b'1' => Some(format!("52{}", &digits[3..])),
        ("52", 12) => Some(format!("521{}", &digits[2..])),
        ("54", 13) if at(2) == b'9' => Some(format!("54{}", &digits[3..])),
        ("54", 12) => Some(format!("549{}", &digits[2..])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Likeness::{Different, LooksAlike, OtherForm, Same};
    use super::*;

    fn likeness(customer: &str, typed: &str, home: &str) -> Likeness {
        let home = (!home.is_empty()).then(|| Country::parse(home).expect("a country"));
        Number::parse(customer)
            .expect("a number")
            .compare(typed, home)
    }

    #[test]
    fn a_number_without_country_code_counts_only_in_the_country_of_the_crm() {
        for (customer, typed, home, expected) in [
            // The same national digits, dialled in two countries.
            ("33623456789", "06 23456789", "", LooksAlike),
            ("33623456789", "06 23456789", "NL", Different),
            ("33623456789", "06 23 45 67 89", "FR", Same),
            ("31623456789", "06 23456789", "NL", Same),
            ("919123456789", "(912) 345-6789", "", LooksAlike),
            ("919123456789", "(912) 345-6789", "US", Different),
            ("919123456789", "09123456789", "IN", Same),
            ("19123456789", "(912) 345-6789", "US", Same),
            ("19123456789", "(912) 345-6789", "CA", Same),
            // Bare digits that are a whole number abroad are a national number at home.
            ("6592345678", "(659) 234-5678", "", LooksAlike),
            ("6592345678", "(659) 234-5678", "US", LooksAlike),
            ("6592345678", "92345678", "SG", Same),
            ("34600111222", "600 111 222", "", LooksAlike),
            ("34600111222", "111222", "", Different),
            ("34600111222", "", "ES", Different),
        ] {
            assert_eq!(
                likeness(customer, typed, home),
                expected,
                "{customer} {typed} {home}"
            );
        }
    }

    #[test]
    fn a_number_with_country_code_counts_everywhere() {
        for home in ["", "NL", "DE", "US"] {
            for (customer, typed, expected) in [
                ("34600111222", "+34 600 11-12 22", Same),
                ("34600111222", "0034 600 111 222", Same),
                ("34600111222", "＋３４ ６００ １１１ ２２２", Same),
                ("34600111222", "+351 600 111 222", Different),
                ("34600111222", "tel:+34600111222", Same),
                ("491711234567", "+49 (0) 171 1234567", Same),
                ("491711234567", "+49 171 1234567 ext. 12", Same),
                ("491711234567", "+49 171 1234567;ext=12", Same),
                ("491711234567", "+49 30 901820 / +49 171 1234567", Same),
                ("491711234567", "+49 30 901820, +49 171 7654321", Different),
                ("4915112345678", "4915112345678", Same),
                ("989123456789", "٩٨٩١٢٣٤٥٦٧٨٩", Same),
            ] {
                let found = likeness(customer, typed, home);
                if home.is_empty() || typed.contains(['+', '＋']) || typed.starts_with("00") {
                    assert_eq!(found, expected, "{customer} {typed} {home}");
                }
            }
        }
        assert_eq!(likeness("4915112345678", "4915112345678", "DE"), Same);
    }

    #[test]
    fn what_users_type_at_home_is_read_as_their_country_dials_it() {
        for (customer, typed, home) in [
            ("79123456789", "8 (912) 345-67-89", "RU"),
            ("79123456789", "+7 (8) 912 345-67-89", "RU"),
            ("77012345678", "8 701 234 56 78", "KZ"),
            ("5491123456790", "011 15 2345-6790", "AR"),
            ("5491123456790", "(011) 15-2345-6790", "AR"),
            ("5493511234567", "0351 15 123-4567", "AR"),
            ("491711234567", "0171/1234567", "DE"),
            ("491711234567", "0171 1234567 x12", "DE"),
            ("491711234567", "030 901820 / 0171 1234567", "DE"),
            ("36201234567", "06 20 123 4567", "HU"),
            ("393471234567", "347 123 4567", "IT"),
            ("5511987654321", "0 15 11 98765-4321", "BR"),
        ] {
            assert_eq!(
                likeness(customer, typed, home),
                Same,
                "{customer} {typed} {home}"
            );
            let elsewhere = likeness(customer, typed, "");
            assert!(
                matches!(elsewhere, LooksAlike) || typed.starts_with('+'),
                "{customer} {typed}: {elsewhere:?}"
            );
        }
    }

    #[test]
    fn second_national_forms_are_one_number_and_fixed_lines_are_not() {
        for (customer, typed, expected) in [
            ("5511987654321", "+55 11 8765-4321", OtherForm),
            ("551187654321", "+55 (11) 98765-4321", OtherForm),
            ("5215512345678", "+52 55 1234 5678", OtherForm),
            ("525512345678", "+52 1 55 1234 5678", OtherForm),
            ("5491123456789", "+54 11 2345 6789", OtherForm),
            ("541123456789", "+54 9 11 2345 6789", OtherForm),
            // A fixed line and a mobile number.
            ("551133334444", "+55 11 93333-4444", Different),
            ("5511933334444", "+55 11 3333-4444", Different),
            ("551133334444", "+55 11 3333-4444", Same),
        ] {
            assert_eq!(
                likeness(customer, typed, ""),
                expected,
                "{customer} {typed}"
            );
        }
    }

    #[test]
    fn a_wide_search_asks_for_what_every_spelling_ends_with() {
        for (number, national) in [
            ("+989123456789", "9123456789"),
            ("14155550123", "4155550123"),
            ("+351 912 345 678", "912345678"),
            ("5511987654321", "87654321"),
            ("551187654321", "87654321"),
            ("551133334444", "1133334444"),
            ("5215512345678", "5512345678"),
            ("525512345678", "5512345678"),
            ("5491123456789", "456789"),
        ] {
            let parsed = Number::parse(number).expect("a number");
            assert_eq!(parsed.national(), national, "{number}");
            assert!(parsed.forms().iter().all(|form| form.ends_with(national)));
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "US.13491208655302741918",
            "US.1349120",
            "",
            "12345",
            "+0123456789",
            "1234567890123456",
            "ana@example.com",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        for code in ["", "N", "NLD", "ZZ", "31", "n1", "001"] {
            assert_eq!(Country::parse(code), None, "{code}");
        }
        assert_eq!(Country::parse(" nl "), Country::parse("NL"));
        assert!(Country::parse("NL").is_some());
    }

    #[test]
    fn any_field_is_read_without_a_panic() {
        let number = Number::parse("5511987654321").expect("a number");
        for field in [
            "\u{0}",
            "+",
            "00",
            "ext.",
            "é1234567é",
            "++++1234567",
            "////",
            "１２３",
            "tel:",
            "\u{200b}+55 11 98765-4321",
        ] {
            let _ = number.compare(field, Country::parse("BR"));
        }
        assert_eq!(number.compare(&"9".repeat(100_000), None), Different);
    }
}
