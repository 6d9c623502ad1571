//! Whose contact a record is: what HubSpot's contact says of itself against what is known of the
//! customer.
//!
//! Three things identify a customer: the number that WhatsApp knows, the business-scoped user id, and,
//! weakly, an e-mail address that somebody merely claims. A contact that contradicts one of the first
//! two is never taken, and nothing of it is overwritten.

use handoffd_contract::Contact;
use handoffd_contract::phone::{self, Country, Likeness, Number};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::settings::Settings;

/// The properties that hold numbers, each with the one in which HubSpot keeps it as E.164.
const NUMBERS: [(&str, Option<&str>); 3] = [
    ("phone", Some("hs_calculated_phone_number")),
    ("mobilephone", Some("hs_calculated_mobile_number")),
    ("hs_whatsapp_phone_number", None),
];

/// The properties by which a contact is judged.
pub fn judged(settings: &Settings) -> Vec<&str> {
    let numbers = NUMBERS
        .iter()
        .flat_map(|(raw, calculated)| std::iter::once(*raw).chain(*calculated));
    [
        settings.wa_id_property.as_str(),
        settings.user_id_property.as_str(),
        "email",
    ]
    .into_iter()
    .chain(numbers)
    .collect()
}

/// What identifies the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The `wa_id`, else the phone: digits with the country code.
    pub number: Option<String>,
    /// The business-scoped user id.
    pub user_id: Option<String>,
    /// The e-mail address that was given.
    pub email: Option<String>,
}

impl Customer {
    pub fn of(contact: &Contact) -> Customer {
        let some = |text: &Option<String>| {
            let text = text.as_deref().map(str::trim);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let digits = |text: String| {
            let digits = phone::digits(&text);
            (!digits.is_empty()).then_some(digits)
        };
        let email = some(&contact.email)
            .map(|email| email.to_lowercase())
            .filter(|email| email.contains('@') && !email.contains(char::is_whitespace));
        Customer {
            number: some(&contact.wa_id)
                .or_else(|| some(&contact.phone))
                .and_then(digits),
            user_id: some(&contact.user_id),
            email,
        }
    }

    pub fn number(&self) -> Option<Number> {
        Number::parse(self.number.as_deref()?)
    }

    /// The number in each of its forms, the one that WhatsApp gave first.
    pub fn forms(&self) -> Vec<String> {
        match (self.number(), &self.number) {
            (Some(number), _) => number.forms().to_vec(),
            (None, Some(digits)) => vec![digits.clone()],
            (None, None) => Vec::new(),
        }
    }
}

/// How a contact's numbers compare with the customer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numbers {
    /// It has none.
    None,
    /// Others only.
    Other,
    /// One that ends alike, in a country that is not known.
    Alike,
    /// The customer's in its other national form.
    OtherForm,
    /// The customer's.
    Same,
}

/// A contact that may be the customer's, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The contact's id.
    pub id: String,
    /// How its numbers compare.
    pub numbers: Numbers,
    /// Why it is somebody else's.
    pub clash: Option<String>,
    /// Which of our identifying properties are filled: `wa`, `user`, `phone`, `email`.
    pub has: Vec<String>,
    /// Whether the property for the `wa_id` holds this customer's user id.
    #[serde(default)]
    pub keeps_user_id: bool,
}

impl Candidate {
    /// Judges a contact by its properties.
    pub fn judge(
        settings: &Settings,
        customer: &Customer,
        id: String,
        properties: &Value,
    ) -> Candidate {
        let text = |name: &str| {
            properties[name]
                .as_str()
                .map(str::trim)
                .filter(|text| !text.is_empty())
        };
        let wa = text(&settings.wa_id_property);
        let user = text(&settings.user_id_property);
        let is_user_id = |text: &str| Number::parse(text).is_none() && text.contains('.');
        let forms = customer.forms();
        let same_user = |held: &str| {
            let own = customer.user_id.as_deref();
            own.is_none_or(|own| own.eq_ignore_ascii_case(held))
        };
        let clash = match (wa, user) {
            (Some(wa), _) if is_user_id(wa) && !same_user(wa) => {
                Some("it is kept for another WhatsApp user id")
            }
            (Some(wa), _)
                if !is_user_id(wa) && !forms.is_empty() && !forms.contains(&phone::digits(wa)) =>
            {
                Some("it is kept for another WhatsApp number")
            }
            (_, Some(user)) if !same_user(user) => Some("it is kept for another WhatsApp user id"),
            _ => None,
        };
        let has = [
            ("wa", wa.is_some()),
            ("user", user.is_some()),
            ("phone", NUMBERS.iter().any(|(raw, _)| text(raw).is_some())),
            ("email", text("email").is_some()),
        ];
        let has = has.iter().filter(|(_, is_filled)| *is_filled);
        Candidate {
            numbers: numbers(customer.number().as_ref(), settings.default_country, &text),
            clash: clash.map(str::to_owned),
            has: has.map(|(name, _)| (*name).to_owned()).collect(),
            keeps_user_id: wa.is_some_and(|wa| is_user_id(wa) && customer.user_id.is_some()),
            id,
        }
    }

    pub fn is_filled(&self, name: &str) -> bool {
        self.has.iter().any(|held| held == name)
    }

    /// Why an e-mail address is not enough to take this contact.
    pub fn clash_by_email(&self) -> Option<&str> {
        if let Some(clash) = &self.clash {
            return Some(clash);
        }
        match self.numbers {
            Numbers::Same | Numbers::OtherForm => None,
            Numbers::Other | Numbers::Alike => Some("it has another telephone number"),
            Numbers::None if self.is_filled("wa") || self.is_filled("user") => {
                Some("it is kept for another WhatsApp customer")
            }
            Numbers::None => None,
        }
    }
}

fn numbers<'p>(
    customer: Option<&Number>,
    home: Option<Country>,
    text: &impl Fn(&str) -> Option<&'p str>,
) -> Numbers {
    let mut best = Numbers::None;
    for (raw, calculated) in NUMBERS {
        let Some(typed) = text(raw) else { continue };
        let likeness = customer.map_or(Likeness::Different, |number| {
            field(number, home, typed, calculated.and_then(text))
        });
        best = best.max(match likeness {
            Likeness::Different => Numbers::Other,
            Likeness::LooksAlike => Numbers::Alike,
            Likeness::OtherForm => Numbers::OtherForm,
            Likeness::Same => Numbers::Same,
        });
    }
    best
}

/// One number as it was typed and as HubSpot reads it. HubSpot's reading gives a number its country,
/// but it may stand on an assumption, so it never outweighs what contradicts it: a typed number that is
/// another one, by its own country code or by the portal's.
/// <https://knowledge.hubspot.com/properties/phone-number-property-validation>
fn field(
    customer: &Number,
    home: Option<Country>,
    typed: &str,
    calculated: Option<&str>,
) -> Likeness {
    let as_typed = customer.compare(typed, home);
    match calculated.map(|calculated| customer.compare(calculated, None)) {
        Some(read) if as_typed > Likeness::Different => match read {
            Likeness::Same | Likeness::OtherForm => read,
            Likeness::Different | Likeness::LooksAlike => Likeness::LooksAlike,
        },
        _ => as_typed,
    }
}
