//! The contact: by the unique property, then by phone, then by e-mail, else created.
//!
//! HubSpot keeps contacts apart by e-mail only, so creating goes by an upsert on the property with
//! unique values that holds the `wa_id`: two handoffs in the same second make one contact.

use handoffd_contract::{Contact, HttpCall, Item, Method, Reason, Refusal, Repeat, Step};
use serde_json::{Map, Value, json};

use super::Plan;
use crate::facts;
use crate::phone::{self, Phone};
use crate::settings::ContactFields;

/// The properties by which a search result is compared.
const COMPARED: [&str; 5] = [
    "phone",
    "mobilephone",
    "hs_calculated_phone_number",
    "hs_calculated_mobile_number",
    "hs_whatsapp_phone_number",
];

impl Plan<'_> {
    /// The next look for the contact, or its creation; none when it is known.
    pub(super) fn contact(&self, item: &Item, contact: &Contact) -> Result<Option<Step>, Refusal> {
        if self.known.is(facts::CONTACT) {
            return Ok(None);
        }
        let keys = keys(contact);
        let Some(key) = keys.first() else {
            return Err(Refusal::park(
                Reason::NoCustomer,
                "the handoff has neither wa_id nor phone nor business-scoped user id",
            ));
        };
        if self.known.unsure(facts::CONTACT) {
            return Ok(Some(self.contact_upsert(item, contact, key)));
        }
        let untried = keys
            .iter()
            .enumerate()
            .find(|(n, _)| !self.known.is(&facts::not_key(*n)));
        if let Some((n, key)) = untried {
            let call = HttpCall::get(self.settings.paths.one("contacts", key))
                .query("idProperty", &self.settings.wa_id_property)
                .query("properties", "firstname,lastname,phone");
            let memo = json!({"none": facts::not_key(n), "way": "key", "property": self.settings.wa_id_property});
            return Ok(Some(Step::look("contact.key", call).memo(memo)));
        }
        if let Some(phone) = number(contact).filter(|_| !self.known.is(facts::NOT_PHONE)) {
            return Ok(Some(self.contact_search(&phone)));
        }
        if let Some(email) = email(contact).filter(|_| !self.known.is(facts::NOT_EMAIL)) {
            let call = HttpCall::get(self.settings.paths.one("contacts", email))
                .query("idProperty", "email")
                .query("properties", "firstname,lastname,phone");
            let memo = json!({"none": facts::NOT_EMAIL, "way": "email"});
            return Ok(Some(Step::look("contact.email", call).memo(memo)));
        }
        Ok(Some(self.contact_upsert(item, contact, key)))
    }

    /// At most five groups of filters; results are compared by [`Phone::is_of`].
    /// <https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>
    fn contact_search(&self, phone: &Phone) -> Step {
        let forms: Vec<String> = phone.e164().collect();
        let first = forms.first().map_or("", String::as_str);
        let other = forms.get(1).map_or(first, String::as_str);
        let suffix = format!("*{}", phone.suffix());
        let mut filters = vec![("phone", "EQ", first), ("mobilephone", "EQ", other)];
        if !self.known.is(facts::PLAIN_SEARCH) {
            filters.splice(
                0..0,
                [
                    (
                        "hs_searchable_calculated_phone_number",
                        "CONTAINS_TOKEN",
                        suffix.as_str(),
                    ),
                    (
                        "hs_searchable_calculated_mobile_number",
                        "CONTAINS_TOKEN",
                        suffix.as_str(),
                    ),
                    ("hs_whatsapp_phone_number", "EQ", first),
                ],
            );
        }
        let groups: Vec<Value> = filters
            .iter()
            .map(|(name, operator, value)| {
                json!({"filters": [{"propertyName": name, "operator": operator, "value": value}]})
            })
            .collect();
        let body = json!({
            "filterGroups": groups,
            "properties": COMPARED,
            "sorts": [{"propertyName": "createdate", "direction": "ASCENDING"}],
            "limit": 100,
            "after": "0",
        });
        let call = HttpCall::post(
            format!("{}/search", self.settings.paths.object("contacts")),
            body,
        );
        Step::look("contact.search", call)
            .spend("search", "")
            .memo(json!({"phone": first, "plain": self.known.is(facts::PLAIN_SEARCH)}))
    }

    fn contact_upsert(&self, item: &Item, contact: &Contact, key: &str) -> Step {
        let mut properties = Map::new();
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
                properties.insert(name.to_owned(), Value::String(value));
            }
        };
        set(
            "phone",
            contact.e164().filter(|phone| Phone::parse(phone).is_some()),
        );
        set(
            "firstname",
            contact.name.clone().or_else(|| contact.username.clone()),
        );
        set("email", email(contact).map(str::to_owned));
        self.overlay(item, "contact", &mut properties);
        properties.insert(
            self.settings.wa_id_property.clone(),
            Value::String(key.to_owned()),
        );
        let body = json!({"inputs": [{
            "idProperty": self.settings.wa_id_property, "id": key, "properties": properties,
        }]});
        let call = HttpCall::post(
            format!("{}/batch/upsert", self.settings.paths.object("contacts")),
            body,
        );
        Step::new("contact.upsert", Repeat::Keyed, call)
            .claim(facts::CONTACT)
            .memo(json!({"key": self.settings.wa_id_property}))
    }

    /// Puts our key on a contact that was found otherwise, so that the next look-up is one read, and
    /// the mapping's fields where the settings want them on every handoff.
    pub(super) fn contact_update(&self, item: &Item, contact: &Contact) -> Option<Step> {
        let id = self.known.get(facts::CONTACT)?;
        let fact = facts::contact_updated(&item.id);
        if self.known.is(&fact) || self.known.is(facts::CONTACT_GONE) {
            return None;
        }
        let mut properties = Map::new();
        let way = self.known.get(facts::CONTACT_WAY).unwrap_or("created");
        if self.settings.contact_fields == ContactFields::Always && way != "created" {
            self.overlay(item, "contact", &mut properties);
        }
        let first = self
            .known
            .get(facts::TICKET_BY)
            .is_none_or(|by| by == item.id);
        let key = &self.settings.wa_id_property;
        if first
            && matches!(way, "phone" | "email" | "conflict")
            && !self.known.is(&facts::drop("contact", key))
        {
            let value = keys(contact).into_iter().next()?;
            properties.insert(key.clone(), Value::String(value));
        }
        if properties.is_empty() {
            return None;
        }
        let call = HttpCall::new(Method::Patch, self.settings.paths.one("contacts", id))
            .json(json!({"properties": properties}));
        Some(Step::new("contact.update", Repeat::Keyed, call).claim_as(fact, "done"))
    }

    /// Lays the mapping's fields of a section over our own, but for what this portal does not take.
    /// Our unique properties are not the mapping's to choose.
    pub(super) fn overlay(&self, item: &Item, section: &str, properties: &mut Map<String, Value>) {
        let keys = [
            &self.settings.wa_id_property,
            &self.settings.handoff_id_property,
        ];
        if let Some(rendered) = &item.rendered {
            for (name, value) in rendered.section(section) {
                let text = match value {
                    Value::Null => continue,
                    Value::String(text) => text.clone(),
                    // Several choices are one text: `a;b`.
                    Value::Array(values) => values
                        .iter()
                        .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
                        .collect::<Vec<_>>()
                        .join(";"),
                    other => other.to_string(),
                };
                if !keys.contains(&name) {
                    properties.insert(name.clone(), Value::String(text));
                }
            }
        }
        properties.retain(|name, _| !self.known.is(&facts::drop(section, name)));
    }
}

/// Values of the unique property under which this customer may be kept, the one for a new contact
/// first: the `wa_id`, else the phone's digits; and the business-scoped id.
fn keys(contact: &Contact) -> Vec<String> {
    let number = contact
        .wa_id
        .as_ref()
        .or(contact.phone.as_ref())
        .map(|number| phone::digits(number));
    number
        .into_iter()
        .chain(contact.user_id.clone())
        .filter(|key| !key.trim().is_empty())
        .collect()
}

fn number(contact: &Contact) -> Option<Phone> {
    contact
        .wa_id
        .as_deref()
        .and_then(Phone::parse)
        .or_else(|| contact.phone.as_deref().and_then(Phone::parse))
}

fn email(contact: &Contact) -> Option<&str> {
    contact
        .email
        .as_deref()
        .map(str::trim)
        .filter(|email| email.contains('@') && !email.contains(char::is_whitespace))
}
