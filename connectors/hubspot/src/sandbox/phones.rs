//! The properties that HubSpot calculates from telephone numbers: E.164 where it can tell the
//! country, and the number as it is dialled inside its country.
//! <https://knowledge.hubspot.com/properties/phone-number-property-validation>

use super::store::Object;

/// What is calculated from each telephone property.
const CALCULATED: [(&str, &str, &str); 2] = [
    (
        "phone",
        "hs_calculated_phone_number",
        "hs_searchable_calculated_phone_number",
    ),
    (
        "mobilephone",
        "hs_calculated_mobile_number",
        "hs_searchable_calculated_mobile_number",
    ),
];

/// Calculates anew; `country` is the calling code that the portal assumes, if it assumes one.
pub(super) fn calculate(object: &mut Object, country: Option<&str>) {
    for (raw, e164, local) in CALCULATED {
        object.properties.remove(e164);
        object.properties.remove(local);
        let Some(raw) = object.get(raw).map(str::to_owned) else {
            continue;
        };
        let digits: String = raw.chars().filter(char::is_ascii_digit).collect();
        let national = digits.trim_start_matches('0');
        if raw.trim_start().starts_with('+') && (8..=15).contains(&digits.len()) {
            object.properties.insert(e164.into(), format!("+{digits}"));
            let national = &digits[calling_code_len(&digits)..];
            object.properties.insert(local.into(), national.to_owned());
        } else if !national.is_empty() {
            object.properties.insert(local.into(), national.to_owned());
            if let Some(country) = country {
                let whole = format!("+{country}{national}");
                object.properties.insert(e164.into(), whole);
            }
        }
    }
}

/// The length of the country code. ITU-T E.164 assigns them prefix-free:
/// <https://www.itu.int/pub/T-SP-E.164D>
fn calling_code_len(digits: &str) -> usize {
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
