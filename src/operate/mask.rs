//! What of customers' and reps' data is shown to whom does not see it: the form, never the value.
//!
//! Used by the admin API and by the pages alike. Pure functions: a value goes in, what may be shown comes
//! out.

use std::collections::BTreeSet;

use handoffd_contract::{Contact, Data, Event};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Stands for what is hidden.
pub const DOT: char = '•';

/// A run of digits of this length may be a telephone number.
const NUMBER: usize = 9;

/// Values that are shorter than this are not looked for in the words of a CRM: they would hide ordinary words.
const SHORTEST: usize = 3;

/// A text that is hidden: how long it is, and in which language.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Text {
    /// How many characters it has.
    pub characters: usize,
    /// Its language in English, such as `Spanish`, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The text itself; for those alone who may see it and have said why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Text {
    /// A text, hidden unless `open`.
    #[must_use]
    pub fn of(text: &str, language: Option<&str>, open: bool) -> Text {
        Text {
            characters: text.chars().count(),
            language: language.and_then(self::language),
            text: open.then(|| text.to_owned()),
        }
    }

    /// What stands for it: `24 characters, Spanish`.
    #[must_use]
    pub fn shown(&self) -> String {
        let characters = match self.characters {
            1 => "1 character".to_owned(),
            n => format!("{n} characters"),
        };
        match &self.language {
            Some(language) => format!("{characters}, {language}"),
            None => characters,
        }
    }
}

/// A name: the first letter of each word. `Ana López` is `A•• L••`.
#[must_use]
pub fn name(name: &str) -> String {
    let words = name.split_whitespace().take(6);
    let hidden = words.filter_map(|word| {
        let first = word.chars().find(|c| c.is_alphabetic())?;
        Some(format!("{first}{DOT}{DOT}"))
    });
    let hidden: Vec<String> = hidden.collect();
    match hidden.is_empty() {
        true => format!("{DOT}{DOT}"),
        false => hidden.join(" "),
    }
}

/// A telephone number: the country and the last four digits. `+49 171 2345678` is `+49 ••• ••• 5678`.
#[must_use]
pub fn phone(number: &str) -> String {
    let digits = digits(number);
    let Some(last) = last_four(&digits) else {
        return format!("{DOT}{DOT}{DOT}");
    };
    let country = country_code(&digits);
    format!("+{country} {DOT}{DOT}{DOT} {DOT}{DOT}{DOT} {last}")
}

/// The same where there is little room: `•• 5678`.
#[must_use]
pub fn phone_short(number: &str) -> String {
    match last_four(&digits(number)) {
        Some(last) => format!("{DOT}{DOT} {last}"),
        None => format!("{DOT}{DOT}"),
    }
}

/// An e-mail address: `ana@example.com` is `a••@e••.com`.
#[must_use]
pub fn email(address: &str) -> String {
    let (local, domain) = address.trim().rsplit_once('@').unwrap_or((address, ""));
    let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
    let (site, country) = domain.rsplit_once('.').unwrap_or((domain, ""));
    let end = if country.is_empty() {
        String::new()
    } else {
        format!(".{country}")
    };
    format!("{}{DOT}{DOT}@{}{DOT}{DOT}{end}", first(local), first(site))
}

/// Each letter and digit a dot; spaces and punctuation stay, so that length and form can be seen.
#[must_use]
pub fn dotted(text: &str) -> String {
    let hide = |c: char| if c.is_alphanumeric() { DOT } else { c };
    text.chars().map(hide).collect()
}

/// A message's id on WhatsApp's side, which encodes the customer's number: its last six characters.
#[must_use]
pub fn message_id(id: &str) -> String {
    let rest = id.strip_prefix("wamid.").unwrap_or(id);
    let count = rest.chars().count();
    if rest.len() == id.len() && count <= 12 && longest_number(id) < NUMBER {
        // A CRM's own short id says nothing of the customer.
        return id.to_owned();
    }
    let last: String = rest.chars().skip(count.saturating_sub(6)).collect();
    let before = if rest.len() == id.len() { "" } else { "wamid." };
    format!("{before}…{last}")
}

/// A text without the ids of WhatsApp's messages that stand in it.
#[must_use]
pub fn wamids(text: &str) -> String {
    const BEGINS: &str = "wamid.";
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGINS) {
        let (before, id) = rest.split_at(at);
        let plain = |c: char| c.is_ascii_alphanumeric() || "+/=_-.".contains(c);
        let end = id.find(|c| !plain(c)).unwrap_or(id.len());
        shown.push_str(before);
        if end > BEGINS.len() + 20 {
            shown.push_str(&message_id(&id[..end]));
        } else {
            shown.push_str(&id[..end]);
        }
        rest = &id[end..];
    }
    shown.push_str(rest);
    shown
}

/// A session's id without the customer's digits: `wa-491712345678-2026` is `wa-••••5678-2026`.
#[must_use]
pub fn session(id: &str, contact: Option<&Contact>) -> String {
    let known = contact.into_iter().flat_map(|contact| {
        let each = [&contact.wa_id, &contact.phone, &contact.user_id];
        each.into_iter().flatten().map(|one| digits(one))
    });
    let known: Vec<String> = known.filter(|digits| digits.len() >= 5).collect();
    // Digits between letters are a piece of something random, such as the ids that handoffd makes.
    let numbers: Vec<&str> = id
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() >= NUMBER && word.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    runs(id, |run| {
        let is_theirs = known.iter().any(|known| run.contains(known.as_str()));
        is_theirs || numbers.contains(&run)
    })
}

/// Whether a session's id shows the customer's digits, so that its address must not hold it.
#[must_use]
pub fn hides_session(id: &str, contact: Option<&Contact>) -> bool {
    session(id, contact) != id
}

/// What somebody writes in which values of a conversation may be repeated: such as a CRM's words of a refusal,
/// or the path of a call.
#[must_use]
pub fn words(words: &str, values: &Values) -> String {
    let shown = known(words, values);
    let shown = shown.split_inclusive(|c: char| c.is_whitespace() || "\"'<>(),;“”".contains(c));
    let shown: String = shown.map(address_hidden).collect();
    runs(&shown, |run| {
        run.len() >= 10 && run.len() <= 15 && !is_open_number(run)
    })
}

/// The same where other digits are ids, such as in the path of a call: only what is known of this conversation
/// is hidden.
#[must_use]
pub fn known(words: &str, values: &Values) -> String {
    let mut shown = words.to_owned();
    // The longest first, so that a part of it does not stand in its way.
    let mut all: Vec<&String> = values.0.iter().collect();
    all.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for value in all {
        shown = replaced(&shown, value);
    }
    wamids(&shown)
}

/// The values of a conversation that nobody is to read in other people's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeSet<String>);

impl Values {
    /// Those of a customer.
    #[must_use]
    pub fn of_contact(contact: Option<&Contact>) -> Values {
        let mut values = Values::default();
        if let Some(contact) = contact {
            let each = [
                &contact.name,
                &contact.username,
                &contact.phone,
                &contact.wa_id,
                &contact.user_id,
                &contact.email,
            ];
            for value in each.into_iter().flatten() {
                values.add(value);
            }
            // A name's parts are names.
            for part in contact.name.iter().flat_map(|name| name.split_whitespace()) {
                values.add(part.trim_matches(|c: char| !c.is_alphanumeric()));
            }
            for id in [&contact.phone, &contact.wa_id].into_iter().flatten() {
                values.add(&digits(id));
            }
        }
        values
    }

    /// Also those of an event.
    pub fn also_of(&mut self, event: &Event) {
        match &event.data {
            Data::HandoffRequested(handoff) => {
                self.0.extend(Values::of_contact(Some(&handoff.contact)).0);
                let said = &handoff.handoff;
                // A topic of one word is a category, which the CRM may name as well.
                let topic = said
                    .topic
                    .as_ref()
                    .filter(|topic| topic.trim().contains(' '));
                for text in said.summary.iter().chain(topic) {
                    self.add(text);
                }
                for text in handoff
                    .transcript
                    .iter()
                    .filter_map(|one| one.text.as_ref())
                {
                    self.add(text);
                }
                for value in handoff.fields.values() {
                    self.also_in(value);
                }
            }
            Data::MessageReceived(said) | Data::MessageSent(said) => {
                self.0.extend(Values::of_contact(said.contact.as_ref()).0);
                if let Some(text) = &said.message.text {
                    self.add(text);
                }
            }
            Data::RepReplied(reply) => {
                for text in [&reply.text, &reply.author].into_iter().flatten() {
                    self.add(text);
                }
            }
            Data::ContactUpdated(updated) => {
                self.0.extend(Values::of_contact(Some(&updated.contact)).0);
            }
            _ => {}
        }
    }

    fn also_in(&mut self, value: &Value) {
        match value {
            // A code, such as a key of a value map, is one word in small letters or capitals; a date is
            // open too.
            Value::String(text) if !is_code(text) => self.add(text),
            Value::Array(items) => items.iter().for_each(|item| self.also_in(item)),
            Value::Object(members) => members.values().for_each(|value| self.also_in(value)),
            _ => {}
        }
    }

    fn add(&mut self, value: &str) {
        let value = value.trim();
        if value.chars().count() >= SHORTEST {
            self.0.insert(value.to_owned());
        }
    }
}

/// A language in English, by its code.
#[must_use]
pub fn language(code: &str) -> Option<String> {
    let primary = code
        .split(['-', '_'])
        .next()
        .unwrap_or("")
        .to_ascii_lowercase();
    let known = LANGUAGES.iter().find(|(known, _)| *known == primary);
    known.map(|(_, name)| (*name).to_owned())
}

const LANGUAGES: [(&str, &str); 32] = [
    ("ar", "Arabic"),
    ("bg", "Bulgarian"),
    ("ca", "Catalan"),
    ("cs", "Czech"),
    ("da", "Danish"),
    ("de", "German"),
    ("el", "Greek"),
    ("en", "English"),
    ("es", "Spanish"),
    ("et", "Estonian"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("he", "Hebrew"),
    ("hi", "Hindi"),
    ("hr", "Croatian"),
    ("hu", "Hungarian"),
    ("id", "Indonesian"),
    ("it", "Italian"),
    ("ja", "Japanese"),
    ("ko", "Korean"),
    ("lt", "Lithuanian"),
    ("nb", "Norwegian"),
    ("nl", "Dutch"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("ru", "Russian"),
    ("sk", "Slovak"),
    ("sv", "Swedish"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
    ("zh", "Chinese"),
];

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn last_four(digits: &str) -> Option<&str> {
    (digits.len() >= 7).then(|| &digits[digits.len() - 4..])
}

/// The country code at the beginning of a whole number. <https://www.itu.int/pub/T-SP-E.164D>
fn country_code(digits: &str) -> &str {
    const TWO: [&str; 44] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46",
        "47", "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63",
        "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
    ];
    let length = match digits.get(..2) {
        Some(two) if two.starts_with('1') || two.starts_with('7') => 1,
        Some(two) if TWO.contains(&two) => 2,
        _ => 3,
    };
    digits.get(..length).unwrap_or(digits)
}

fn longest_number(text: &str) -> usize {
    let runs = text.split(|c: char| !c.is_ascii_digit());
    runs.map(str::len).max().unwrap_or(0)
}

/// The text with those runs of digits hidden of which `hide` says so: dots and the last four.
fn runs(text: &str, hide: impl Fn(&str) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut run = String::new();
    let end = |run: &mut String, shown: &mut String| {
        match run.len().checked_sub(4) {
            Some(start) if hide(run) => {
                shown.extend([DOT; 4]);
                shown.push_str(&run[start..]);
            }
            _ => shown.push_str(run),
        }
        run.clear();
    };
    for c in text.chars() {
        if c.is_ascii_digit() {
            run.push(c);
        } else {
            end(&mut run, &mut shown);
            shown.push(c);
        }
    }
    end(&mut run, &mut shown);
    shown
}

/// Times in seconds or milliseconds of this century are no telephone numbers.
fn is_open_number(run: &str) -> bool {
    run.starts_with("17") && (run.len() == 10 || run.len() == 13)
}

/// Whether a value can be a code: one word, all of it small or all of it capital.
fn is_code(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let date = text.len() >= 8
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || "-:TZ.+".contains(c));
    let lower = !text.chars().any(|c| c.is_ascii_uppercase());
    let upper = !text.chars().any(|c| c.is_ascii_lowercase());
    date || (text.len() <= 40
        && text.chars().all(plain)
        && (lower || upper)
        && longest_number(text) < 5)
}

/// A word that is an e-mail address, hidden.
fn address_hidden(word: &str) -> String {
    let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric());
    match bare.split_once('@') {
        Some((local, domain)) if !local.is_empty() && domain.contains('.') => {
            format!("{}{}", email(bare), &word[bare.len()..])
        }
        _ => word.to_owned(),
    }
}

/// The words with every place of this value hidden, whatever the case of its letters.
fn replaced(words: &str, value: &str) -> String {
    let plain = |text: &str| -> Vec<char> { text.chars().map(lower).collect() };
    let (said, wanted) = (plain(words), plain(value));
    if wanted.is_empty() || wanted.len() > said.len() {
        return words.to_owned();
    }
    let mut shown: Vec<char> = words.chars().collect();
    let mut at = 0;
    while at + wanted.len() <= said.len() {
        let edge = |n: Option<usize>| {
            n.and_then(|n| said.get(n))
                .is_none_or(|c| !c.is_alphanumeric())
                || wanted.len() >= 6
        };
        if said[at..at + wanted.len()] == wanted[..]
            && edge(at.checked_sub(1))
            && edge(Some(at + wanted.len()))
        {
            for c in &mut shown[at..at + wanted.len()] {
                if c.is_alphanumeric() {
                    *c = DOT;
                }
            }
            at += wanted.len();
        } else {
            at += 1;
        }
    }
    shown.into_iter().collect()
}

/// A letter in small, one for one.
fn lower(c: char) -> char {
    let mut small = c.to_lowercase();
    match (small.next(), small.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ana() -> Contact {
        Contact {
            name: Some("Ana López".into()),
            phone: Some("+491712345678".into()),
            wa_id: Some("491712345678".into()),
            email: Some("ana.lopez@example.com".into()),
            ..Contact::default()
        }
    }

    #[test]
    fn names_show_first_letters_and_no_length() {
        assert_eq!(name("Ana López"), "A•• L••");
        assert_eq!(name("José da Silva"), "J•• d•• S••");
        assert_eq!((name("  ").as_str(), name("🙂").as_str()), ("••", "••"));
    }

    #[test]
    fn numbers_show_country_and_last_four() {
        assert_eq!(phone("+49 171 2345678"), "+49 ••• ••• 5678");
        assert_eq!(phone("15550783881"), "+1 ••• ••• 3881");
        assert_eq!(phone("+351912345678"), "+351 ••• ••• 5678");
        assert_eq!(phone("12345"), "•••");
        assert_eq!(phone_short("+49 171 2345678"), "•• 5678");
    }

    #[test]
    fn addresses_show_two_letters_and_the_country() {
        assert_eq!(email("ana.lopez@example.com"), "a••@e••.com");
        assert_eq!(email("ana"), "a••@••");
    }

    #[test]
    fn texts_show_length_and_language() {
        let text = Text::of("¿Dónde está mi pedido?", Some("es-MX"), false);
        assert_eq!(text.shown(), "22 characters, Spanish");
        assert_eq!(
            (text.text, Text::of("x", None, true).text),
            (None, Some("x".into()))
        );
        assert_eq!(Text::of("x", None, false).shown(), "1 character");
        assert_eq!(dotted("Tue 3.12.2026, 14:05"), "••• •.••.••••, ••:••");
    }

    #[test]
    fn ids_do_not_show_the_number() {
        assert_eq!(
            message_id("wamid.HBgMNDkxNzEyMzQ1Njc4FQIAERgSIN5A2F"),
            "wamid.…IN5A2F"
        );
        assert_eq!(message_id("msg-17"), "msg-17");
        assert_eq!(
            session("wa-491712345678-2026-11-20", None),
            "wa-••••5678-2026-11-20"
        );
        assert_eq!(session("s-4711", Some(&ana())), "s-4711");
        let mut short = ana();
        (short.wa_id, short.phone) = (Some("12345678".into()), None);
        assert_eq!(session("wa-12345678", Some(&short)), "wa-••••5678");
        assert!(hides_session("wa-491712345678", None) && !hides_session("s-20261120", None));
        assert!(!hides_session("wa-83f5840571114bb9b3c1", Some(&ana())));
        let theirs = format!("user{}x", ana().wa_id.unwrap());
        assert!(hides_session(&theirs, Some(&ana())));
    }

    #[test]
    fn a_name_in_signs_is_hidden_part_by_part() {
        let contact = Contact {
            name: Some("Ana \"A\" <López>".into()),
            ..Contact::default()
        };
        let values = Values::of_contact(Some(&contact));
        assert_eq!(words("for López, REFUND", &values), "for •••••, REFUND");
    }

    #[test]
    fn a_crms_words_do_not_repeat_values() {
        let values = Values::of_contact(Some(&ana()));
        assert_eq!(
            words(
                "Contact \"Ana López\" <ANA.LOPEZ@example.com> exists, phone 491712345678",
                &values
            ),
            "Contact \"••• •••••\" <•••.•••••@•••••••.•••> exists, phone ••••••••••••"
        );
        assert_eq!(
            words(
                "Property \"hs_ticket_category\": \"REFUND\" was not one of 1,284 options",
                &values
            ),
            "Property \"hs_ticket_category\": \"REFUND\" was not one of 1,284 options"
        );
        // Whoever they are.
        assert_eq!(
            words("bob@corp.example, +4915112345678.", &values),
            "b••@c••.example, +••••5678."
        );
        // A short name is not hidden inside other words.
        assert_eq!(words("Banana of Ana", &values), "Banana of •••");
    }

    #[test]
    fn an_events_free_values_are_hidden_and_its_codes_are_not() {
        let event: Event = serde_json::from_value(serde_json::json!({
            "id": "1", "source": "/g", "subject": "s", "time": "2026-11-28T10:00:00Z",
            "type": "handoff.requested",
            "data": {
                "session": {"id": "s", "business_number": "+1"}, "contact": {"name": "Ana López"},
                "handoff": {"summary": "She wants her money back"},
                "fields": {"category": "refund", "note": "Order of Tuesday", "due": "2026-12-03"},
            },
        }))
        .expect("an event");
        let mut values = Values::default();
        values.also_of(&event);
        assert_eq!(
            words(
                "refund 2026-12-03: she wants her money back / Order of Tuesday / López",
                &values
            ),
            "refund 2026-12-03: ••• ••••• ••• ••••• •••• / ••••• •• ••••••• / •••••"
        );
    }
}
