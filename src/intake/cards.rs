//! Contact cards: objects with names and numbers, and vCards.
//! <https://www.rfc-editor.org/rfc/rfc6350>

use handoffd_contract::event::ContactCard;
use handoffd_contract::text;
use serde_json::Value;

use super::kinds::texts;
use super::shape::At;

/// Phone numbers and addresses of one card.
const MAX_NUMBERS: usize = 20;
/// UTF-16 units of one value.
const MAX_VALUE: usize = 200;
/// Bytes of a vCard that are looked at; a picture may be in it.
const MAX_CARD: usize = 200_000;

/// A contact card; `None` where nothing is.
pub(super) fn card(at: &At<'_, '_>) -> Option<ContactCard> {
    if let Some(Value::String(written)) = at.value() {
        return Some(match is_vcard(written) {
            true => vcard(written),
            false => ContactCard {
                name: at.label_text(),
                ..ContactCard::default()
            },
        });
    }
    if at.object().is_none() {
        at.lost("write an object with name and phones");
        return None;
    }
    let name = at.field("name");
    // WhatsApp's own form of a name.
    let inner = ["formatted_name", "formattedName", "first_name", "firstName"];
    let name = match name.object() {
        Some(_) => inner.iter().find_map(|part| name.field(part).label_text()),
        None => name.label_text(),
    };
    let organization = at.field("organization");
    let organization = match organization.object() {
        Some(_) => organization.field("company").label_text(),
        None => organization.label_text(),
    };
    let written = at.field("vcard");
    let written = written.value().and_then(Value::as_str);
    let card = written.map(vcard).unwrap_or_default();
    let or = |mine: Vec<String>, cards: Vec<String>| if mine.is_empty() { cards } else { mine };
    Some(ContactCard {
        name: name.or(card.name),
        organization: organization.or(card.organization),
        phones: or(texts(&at.field("phones"), MAX_NUMBERS), card.phones),
        emails: or(texts(&at.field("emails"), MAX_NUMBERS), card.emails),
    })
}

fn is_vcard(text: &str) -> bool {
    let head = text.trim_start().get(..11);
    head.is_some_and(|head| head.eq_ignore_ascii_case("BEGIN:VCARD"))
}

/// What a vCard says of a person. Anything is taken; what is not understood is not there.
fn vcard(written: &str) -> ContactCard {
    let mut card = ContactCard::default();
    let mut parts = None;
    let end = (0..=MAX_CARD.min(written.len())).rev();
    let end = end.into_iter().find(|at| written.is_char_boundary(*at));
    for line in unfolded(&written[..end.unwrap_or(0)]) {
        let Some((head, value)) = line.split_once(':') else {
            continue;
        };
        let mut head = head.split(';');
        let name = head.next().unwrap_or_default();
        // `item1.TEL`: a group stands before the name.
        let name = name.rsplit('.').next().unwrap_or_default();
        let parameters: Vec<&str> = head.collect();
        let is_quoted = |one: &&str| one.to_ascii_uppercase().ends_with("QUOTED-PRINTABLE");
        let value = match parameters.iter().any(is_quoted) {
            true => printable(value),
            false => value.to_owned(),
        };
        match name.to_ascii_uppercase().as_str() {
            "FN" => card.name = card.name.or(kept(&unescaped(&value))),
            "N" => parts = parts.or(person(&value)),
            "ORG" => {
                let organization = value.split(';').next().unwrap_or_default();
                card.organization = card.organization.or(kept(&unescaped(organization)));
            }
            "TEL" if card.phones.len() < MAX_NUMBERS => {
                let number = value.trim();
                let number = number.strip_prefix("tel:").unwrap_or(number);
                let waid = parameters.iter().find_map(|one| {
                    let (name, id) = one.split_once('=')?;
                    name.eq_ignore_ascii_case("waid").then_some(id)
                });
                let own = kept(&unescaped(number));
                let number = own.or_else(|| kept(&format!("+{}", waid?)));
                card.phones.extend(number);
            }
            "EMAIL" if card.emails.len() < MAX_NUMBERS => {
                card.emails.extend(kept(&unescaped(&value)));
            }
            _ => {}
        }
    }
    card.name = card.name.or(parts);
    card
}

/// Lines, those that were folded put together again.
fn unfolded(written: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in written.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            // A soft break of quoted-printable; nothing else that is looked at ends so.
            (None, Some(last)) if last.ends_with('=') && is_soft(last) => {
                last.pop();
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

fn is_soft(line: &str) -> bool {
    let head = line.split(':').next().unwrap_or_default();
    head.to_ascii_uppercase().contains("QUOTED-PRINTABLE")
}

/// `López;Ana;María;Dr.;` as people write it.
fn person(value: &str) -> Option<String> {
    let mut parts = value.split(';').map(unescaped);
    let (last, first) = (parts.next()?, parts.next().unwrap_or_default());
    kept(&format!("{first} {last}"))
}

/// Quoted-printable as text. <https://www.rfc-editor.org/rfc/rfc2045#section-6.7>
fn printable(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'=');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn unescaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') | None => out.push(' '),
                Some(other) => out.push(other),
            },
            c => out.push(c),
        }
    }
    out
}

/// A value on one line; `None` where nothing is.
fn kept(value: &str) -> Option<String> {
    let line: String = value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| text::truncate(&line, MAX_VALUE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_vcard_says_who_and_how_to_reach_them() {
        let card = vcard(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Gómez;Lucía;;;\r\nFN:Lucía Gó\r\n mez\r\nORG:ACME\\, Inc.;Sales\r\n\
             item1.TEL;type=CELL;waid=34600111222:+34 600 111 222\r\nTEL;waid=34600111333:\r\nEMAIL;type=WORK:l@x.test\r\n\
             PHOTO;ENCODING=b:AAAA\r\nEND:VCARD",
        );
        assert_eq!(card.name.as_deref(), Some("Lucía Gómez"));
        assert_eq!(card.organization.as_deref(), Some("ACME, Inc."));
        assert_eq!(card.phones, ["+34 600 111 222", "+34600111333"]);
        assert_eq!(card.emails, ["l@x.test"]);
    }

    #[test]
    fn old_vcards_are_read_too() {
        let card = vcard(
            "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:G=C3=B3mez;Luc=\n=C3=ADa;;;\nTEL;CELL:1\nEND:VCARD",
        );
        assert_eq!(card.name.as_deref(), Some("Lucía Gómez"));
        assert_eq!(card.phones, ["1"]);
        assert_eq!(vcard("BEGIN:VCARD"), ContactCard::default());
    }

    proptest! {
        #[test]
        fn any_text_is_a_card_of_bounded_values(written in "(BEGIN:VCARD\r?\n)?([A-Z.;=]{0,12}:?[^\u{0}]{0,30}=?\r?\n[ \t]?){0,40}") {
            let card = vcard(&written);
            let values = card.name.iter().chain(&card.organization).chain(&card.phones).chain(&card.emails);
            for value in values {
                prop_assert!(!value.is_empty() && text::utf16_len(value) <= MAX_VALUE);
                prop_assert!(!value.contains(char::is_control));
            }
            prop_assert!(card.phones.len() <= MAX_NUMBERS && card.emails.len() <= MAX_NUMBERS);
        }

        #[test]
        fn what_a_vcard_says_is_read_as_it_was_written(name in "[\\p{L}]{1,12}( [\\p{L}]{1,12})?", digits in "[0-9]{5,12}", wide in 20usize..70) {
            let line = format!("FN:{name}");
            let chars: Vec<char> = line.chars().collect();
            let folded: Vec<String> = chars.chunks(wide).map(|part| part.iter().collect()).collect();
            let card = vcard(&format!("BEGIN:VCARD\r\n{}\r\nTEL:+{digits}\r\nEND:VCARD", folded.join("\r\n ")));
            prop_assert_eq!(card.name, Some(name));
            prop_assert_eq!(card.phones, vec![format!("+{digits}")]);
        }
    }
}
