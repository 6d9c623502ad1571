//! Who a conversation is between: the checks of sessions and contacts.

use handoffd_contract::{Reason, Stop};
use serde_json::Value;

use super::payload::{named, text};
use super::shape::At;
use crate::config::Limits;

type Checked = Result<(), Stop>;

/// A conversation; its id is the event's subject.
pub(super) fn session(at: &At<'_, '_>, subject: &str, limits: &Limits) -> Checked {
    at.object("write an object with at least id and business_number")?;
    let id = at.field("id");
    if id.id(limits.max_id, "write the session's id, the same as subject")? != subject {
        return Err(id.wrong("write the same session id here and in subject"));
    }
    at.field("url").optional(|at| at.url(limits.max_text))?;
    at.field("channel")
        .optional(|at| at.id(limits.max_id, "write the channel's name").map(drop))?;
    let number = at.field("business_number");
    let remedy = "write the business number as + and digits, or the Cloud API's phone number id";
    let given = number.id(limits.max_id, remedy)?;
    if !digits(given.strip_prefix('+').unwrap_or(given), 3, 20) {
        return Err(number.wrong(remedy));
    }
    at.field("language").optional(|at| text(at, limits))?;
    at.field("opened_at").optional(|at| at.time().map(drop))
}

/// A customer. A `wa_id` is never held against a numbering plan: WhatsApp's own ids of Brazil, Mexico and
/// Argentina do not pass one. A phone must be strict E.164, because a CRM is searched by it.
pub(super) fn contact(at: &At<'_, '_>, limits: &Limits) -> Checked {
    at.object("write an object with at least wa_id, user_id or phone")?;
    if !["wa_id", "user_id", "phone"]
        .iter()
        .any(|name| at.field(name).given())
    {
        return Err(at.stop(
            Reason::NoCustomer,
            "without wa_id, user_id or phone nobody can be found or answered: write at least one",
        ));
    }
    at.field("phone").optional(|at| match at.value().and_then(Value::as_str) {
        Some(phone) if e164(phone) => Ok(()),
        _ => Err(at.wrong(
            "write E.164, + and 2 to 15 digits without spaces, such as +4915112345678, or leave it out",
        )),
    })?;
    at.field("wa_id")
        .optional(|at| match at.value().and_then(Value::as_str) {
            Some(id) if digits(wa_id(id), 1, 20) => Ok(()),
            Some(id) if business_scoped(id) => {
                Err(at.wrong("a business-scoped user id belongs into user_id"))
            }
            _ => Err(at.wrong("write the digits exactly as WhatsApp gave them, or leave it out")),
        })?;
    at.field("user_id").optional(|at| match at.value().and_then(Value::as_str) {
        Some(id) if business_scoped(id) => Ok(()),
        _ => Err(at.wrong(
            "write a business-scoped user id such as US.13491208655302741918; digits belong into wa_id",
        )),
    })?;
    for name in ["username", "name"] {
        at.field(name).optional(|at| text(at, limits))?;
    }
    at.field("email").optional(|at| {
        let remedy = "write one e-mail address, or leave it out";
        let email = at.id(limits.max_id, remedy)?;
        match email.split_once('@') {
            Some((local, domain))
                if !local.is_empty()
                    && !domain.is_empty()
                    && !domain.contains('@')
                    && !email.contains(char::is_whitespace) =>
            {
                Ok(())
            }
            _ => Err(at.wrong(remedy)),
        }
    })?;
    at.field("external_ids").optional(|at| {
        let members = at.members("write an object of system: id")?;
        if members.len() > limits.max_fields {
            return Err(at.beyond(limits.max_fields, "max_fields"));
        }
        for (name, id) in members {
            named(&id, name, limits)?;
            id.id(limits.max_id, "write the id as text")?;
        }
        Ok(())
    })
}

/// The digits of a `wa_id`: some gateways write `whatsapp:+4915…`. Nothing else is taken away.
pub(super) fn wa_id(id: &str) -> &str {
    let id = id.strip_prefix("whatsapp:").unwrap_or(id);
    id.strip_prefix('+').unwrap_or(id)
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
