//! Whom a message goes to: exactly the id under which the customer wrote.

use handoffd_contract::Contact;
use serde_json::Value;

/// A customer as WhatsApp can address them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Recipient {
    /// E.164 with a leading `+`. Without the `+` WhatsApp would put the *business* number's country
    /// code in front.
    Phone(String),
    /// A business-scoped user id.
    User(String),
}

impl Recipient {
    /// The customer's `wa_id` exactly as received, else their business-scoped id, else their phone.
    ///
    /// No `wa_id` is taken for wrong: WhatsApp's own ids of Brazilian, Mexican and Argentine
    /// numbers are not always valid E.164 numbers, and only they reach the customer who wrote.
    pub(crate) fn of(contact: &Contact) -> Option<Recipient> {
        let wa_id = contact.wa_id.as_deref().map(str::trim);
        // Tested first: the digits of a business-scoped id look like a phone number.
        let user = [contact.user_id.as_deref().map(str::trim), wa_id]
            .into_iter()
            .flatten()
            .find(|id| is_user_id(id));
        let phone = wa_id
            .map(|id| id.strip_prefix('+').unwrap_or(id))
            .filter(|id| (5..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit()))
            .map(|id| Recipient::Phone(format!("+{id}")));
        phone
            .or_else(|| user.map(|id| Recipient::User(id.to_owned())))
            .or_else(|| {
                contact
                    .phone
                    .as_deref()
                    .map(str::trim)
                    .filter(|phone| is_e164(phone))
                    .map(|phone| Recipient::Phone(phone.to_owned()))
            })
    }

    /// Writes the address into a request of the Cloud API.
    pub(crate) fn address(&self, body: &mut Value) {
        match self {
            Recipient::Phone(phone) => {
                body["recipient_type"] = "individual".into();
                body["to"] = phone.as_str().into();
            }
            Recipient::User(id) => body["recipient"] = id.as_str().into(),
        }
    }

    /// The customer's key for budgets.
    pub(crate) fn key(&self) -> &str {
        match self {
            Recipient::Phone(id) | Recipient::User(id) => id,
        }
    }
}

/// Whether it is a business-scoped user id, such as `US.13491208655302741918` or `US.ENT.…`.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids>
pub(crate) fn is_user_id(text: &str) -> bool {
    // Somebody whose number is hidden, as gateways that are no business's write them: never a phone.
    if let Some(digits) = text.strip_suffix("@lid") {
        return (1..=30).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    }
    let Some((country, rest)) = text.split_once('.') else {
        return false;
    };
    let rest = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|b| b.is_ascii_uppercase())
        && (1..=128).contains(&rest.len())
        && rest.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether it is `+` and up to 15 digits.
fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (5..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(wa_id: Option<&str>, user_id: Option<&str>, phone: Option<&str>) -> Option<Recipient> {
        Recipient::of(&Contact {
            wa_id: wa_id.map(str::to_owned),
            user_id: user_id.map(str::to_owned),
            phone: phone.map(str::to_owned),
            ..Contact::default()
        })
    }

    #[test]
    fn the_wa_id_goes_out_as_it_came_in() {
        let phone = |text: &str| Some(Recipient::Phone(text.to_owned()));
        let user = |text: &str| Some(Recipient::User(text.to_owned()));
        assert_eq!(
            to(
                Some("551187654321"),
                Some("BR.1349"),
                Some("+5511987654321")
            ),
            phone("+551187654321")
        );
        assert_eq!(
            to(Some("5215512345678"), None, None),
            phone("+5215512345678")
        );
        assert_eq!(
            to(Some("+4915112345678"), None, None),
            phone("+4915112345678")
        );
        assert_eq!(
            to(
                None,
                Some("US.ENT.13491208655302741918"),
                Some("+16505551234")
            ),
            user("US.ENT.13491208655302741918")
        );
        assert_eq!(
            to(Some("US.13491208655302741918"), None, None),
            user("US.13491208655302741918")
        );
        assert_eq!(to(None, None, Some("+16505551234")), phone("+16505551234"));
        assert_eq!(to(None, Some("18765432@lid"), None), user("18765432@lid"));
        assert_eq!(to(None, None, Some("0151 12345678")), None);
        assert_eq!(to(Some("5511987654321@s.whatsapp.net"), None, None), None);
    }
}
