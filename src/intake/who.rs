//! Who a conversation is between: sessions and contacts.
//!
//! Only here is an event refused for what it says: where nothing tells which conversation it belongs
//! to, or whom it is about. A number is mended where its form alone was wrong, and never guessed.

use std::collections::BTreeMap;

use handoffd_contract::event::Session;
use handoffd_contract::{Contact, Reason, Stop};
use serde_json::Value;

use super::payload::Envelope;
use super::shape::At;

/// A conversation; its id is the event's subject.
pub(super) fn session(at: &At<'_, '_>, event: &Envelope<'_>) -> Result<Session, Stop> {
    let id = at.field("id");
    // Two different ids: nobody can say which conversation is meant.
    if let Some(given) = id.scalar()
        && !given.is_empty()
        && given != event.subject
    {
        return Err(id.wrong("write the same session id here and in subject"));
    }
    if at.object().is_none() {
        at.lost("write an object with at least id and business_number");
    }
    let channel = at.field("channel").label_text();
    Ok(Session {
        id: event.session.to_owned(),
        url: at.field("url").url(),
        channel: channel.unwrap_or_else(|| "whatsapp".to_owned()),
        business_number: if at.object().is_some() {
            business_number(&at.field("business_number"))
        } else {
            String::new()
        },
        language: at.field("language").text(),
        opened_at: at.field("opened_at").moment().map(super::time::Moment::at),
    })
}

/// Digits with or without `+`; empty when it cannot be read: the session may know it already, and the
/// targets that serve every number are still meant.
pub(super) fn business_number(at: &At<'_, '_>) -> String {
    let remedy = "write the business number as + and digits, or the Cloud API's phone number id";
    let text = at.scalar().unwrap_or_default();
    let bare = without_separators(&text);
    let number = bare.strip_prefix('+').unwrap_or(&bare);
    if !digits(number, 3, 20) {
        at.lost(remedy);
        return String::new();
    }
    if bare != text {
        at.read_as(&format!("spaces and signs were taken out: {remedy}"));
    }
    bare
}

/// A customer that something identifies.
pub(super) fn customer(at: &At<'_, '_>) -> Result<Contact, Stop> {
    let contact = contact(at);
    if contact.key().is_some() {
        return Ok(contact);
    }
    let mut stop = at.stop(
        Reason::NoCustomer,
        "without wa_id, user_id or phone nobody can be found or answered: write at least one",
    );
    for said in at.context().said_about(&at.path()) {
        stop = Stop::new(stop.reason, format!("{}; {said}", stop.message));
    }
    Err(stop)
}

/// What is said about a customer; nothing where it identifies nobody.
pub(super) fn known(at: &At<'_, '_>) -> Option<Contact> {
    if !at.given() {
        return None;
    }
    let contact = contact(at);
    if contact.key().is_none() {
        at.lost("write wa_id, user_id or phone");
        return None;
    }
    Some(contact)
}

/// A `wa_id` is never held against a numbering plan: WhatsApp's own ids of Brazil, Mexico and
/// Argentina do not pass one. A phone must be E.164, because a CRM is searched by it.
fn contact(at: &At<'_, '_>) -> Contact {
    let number = at.field("wa_id");
    let mut user_id = user_id(&at.field("user_id"));
    let wa_id = if number.scalar().is_some_and(|id| is_user_id(&id)) {
        const REMEDY: &str = "a business-scoped user id belongs into user_id";
        if user_id.is_none() {
            number.read_as(&format!("it was read as user_id: {REMEDY}"));
            user_id = number.scalar();
        } else {
            number.lost(REMEDY);
        }
        None
    } else {
        wa_id(&number)
    };
    Contact {
        phone: phone(&at.field("phone"), wa_id.as_deref()),
        wa_id,
        user_id,
        username: at.field("username").text().filter(|text| !text.is_empty()),
        name: at
            .field("name")
            .text()
            .filter(|text| !text.trim().is_empty()),
        email: email(&at.field("email")),
        external_ids: external_ids(&at.field("external_ids")),
    }
}

fn phone(at: &At<'_, '_>, wa_id: Option<&str>) -> Option<String> {
    if at.is_nothing() {
        return None;
    }
    let text = at.scalar().unwrap_or_default();
    let text = text.strip_prefix("whatsapp:").unwrap_or(&text);
    if e164(text) {
        return Some(text.to_owned());
    }
    let bare = without_separators(text);
    // A trunk prefix in brackets is no part of the number, and without a + nobody knows the country.
    let certain = !text.contains("(0)") && e164(&bare);
    let same = wa_id.is_some_and(|id| bare == id) && e164(&format!("+{bare}"));
    if certain || same {
        at.read_as("it was read as E.164: write + and digits without spaces");
        return Some(if certain { bare } else { format!("+{bare}") });
    }
    at.lost("write E.164, + and 2 to 15 digits without spaces, such as +4915112345678");
    None
}

/// The digits of a `wa_id`. Some gateways write `whatsapp:+4915…`, others the address of WhatsApp's own
/// protocol, `4915…@s.whatsapp.net`.
fn wa_id(at: &At<'_, '_>) -> Option<String> {
    if at.is_nothing() {
        return None;
    }
    let text = at.scalar().unwrap_or_default();
    let id = text.strip_prefix("whatsapp:").unwrap_or(&text);
    let id = id.strip_prefix('+').unwrap_or(id);
    if digits(id, 1, 20) {
        return Some(id.to_owned());
    }
    let address = ["@s.whatsapp.net", "@c.us"]
        .iter()
        .find_map(|end| id.strip_suffix(end));
    // A number's device stands behind a colon.
    let address = address.map(|id| id.split_once(':').map_or(id, |(number, _)| number));
    let bare = address.map_or_else(|| without_separators(id), str::to_owned);
    if digits(&bare, 7, 20) && !id.contains("(0)") {
        at.read_as("it was read without signs: write the digits exactly as WhatsApp gave them");
        return Some(bare);
    }
    at.lost("write the digits exactly as WhatsApp gave them");
    None
}

fn user_id(at: &At<'_, '_>) -> Option<String> {
    if at.is_nothing() {
        return None;
    }
    let id = at.scalar().filter(|id| is_user_id(id));
    if id.is_none() {
        at.lost(
            "write a business-scoped user id such as US.13491208655302741918; digits belong into wa_id",
        );
    }
    id
}

fn email(at: &At<'_, '_>) -> Option<String> {
    if at.is_nothing() {
        return None;
    }
    let text = at.scalar().unwrap_or_default();
    let address = text.strip_prefix("mailto:").unwrap_or(&text);
    let sound = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    });
    let strange = |c: char| c.is_whitespace() || c.is_control();
    let max = at.context().limits.max_id;
    if sound && !address.contains(strange) && address.chars().count() <= max {
        return Some(address.to_owned());
    }
    at.lost("write one e-mail address");
    None
}

fn external_ids(at: &At<'_, '_>) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    if at.given() && at.object().is_none() {
        at.lost("write an object of system: id");
    }
    let max = at.context().limits.max_fields;
    for (index, (name, id)) in at.members().enumerate() {
        if index >= max {
            at.cut(&format!("only the first {max} were taken"));
            break;
        }
        match (named(&id, name), id.value()) {
            (_, Some(Value::Null)) | (None, _) => {}
            (Some(name), _) => match id.id() {
                Some(id) => drop(ids.insert(name, id)),
                None => id.lost("write the id as text"),
            },
        }
    }
    ids
}

/// The name that a producer chose for a value, as it can be kept.
pub(super) fn named(at: &At<'_, '_>, name: &str) -> Option<String> {
    let max = at.context().limits.max_id;
    let kept: String = name.chars().filter(|c| !c.is_control()).take(max).collect();
    if kept.trim().is_empty() {
        at.lost("give it a name without control characters");
        return None;
    }
    if kept != name {
        at.read_as(&format!(
            "its name was changed: write at most {max} characters, none of them a control character"
        ));
    }
    Some(kept)
}

/// Spaces and the signs that people put between digits.
fn without_separators(text: &str) -> String {
    let between = |c: char| c.is_whitespace() || "-.()/\u{2010}\u{2011}\u{2013}".contains(c);
    text.chars().filter(|c| !between(*c)).collect()
}

fn digits(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `^\+[1-9]\d{1,14}$`: ITU-T E.164 as CRMs and WhatsApp write it.
fn e164(phone: &str) -> bool {
    phone
        .strip_prefix('+')
        .is_some_and(|rest| digits(rest, 2, 15) && !rest.starts_with('0'))
}

/// What names a customer without their number.
fn is_user_id(id: &str) -> bool {
    business_scoped(id) || is_lid(id)
}

/// `123456789012345@lid`: somebody whose number WhatsApp hides from gateways that are no business's. The
/// digits look like a number's and are not one.
fn is_lid(id: &str) -> bool {
    id.strip_suffix("@lid")
        .is_some_and(|number| digits(number, 1, 30))
}

/// `^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$`
/// <https://developers.facebook.com/docs/whatsapp/business-scoped-user-ids>
fn business_scoped(id: &str) -> bool {
    let Some((country, rest)) = id.split_once('.') else {
        return false;
    };
    let rest = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=128).contains(&rest.len())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
