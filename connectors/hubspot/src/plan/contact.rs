//! The contact: by what identifies the customer, then by telephone number and e-mail address, else
//! created; and where no contact can be had, the ticket goes on without one.
//!
//! The looks leave what they found as facts, and the choice is made from all of them. HubSpot keeps
//! contacts apart by e-mail only, so creating goes by an upsert on one of our properties with unique
//! values: two handoffs in the same second make one contact.

use std::collections::BTreeSet;

use handoffd_contract::{
    Call, Contact, HttpCall, Item, Method, Reason, Record, Refusal, Repeat, Step,
};
use serde_json::{Map, Value, json};

use super::Plan;
use crate::facts;
use crate::settings::ContactFields;
use crate::whose::{self, Candidate, Customer, Numbers};

/// Results of a search; the most that HubSpot gives at once.
const RESULTS: usize = 200;

/// A value under which this customer may be kept, and the property that holds it.
struct Key<'a> {
    property: &'a str,
    value: String,
}

impl Plan<'_> {
    /// The next steps towards the contact; none when it is known.
    pub(super) fn contact(&self, item: &Item, contact: &Contact) -> Result<Vec<Step>, Refusal> {
        if self.known.is(facts::CONTACT) {
            return Ok(Vec::new());
        }
        let customer = Customer::of(contact);
        let keys = self.keys(&customer);
        if keys.is_empty() {
            return Err(Refusal::park(
                Reason::NoCustomer,
                "the handoff has neither wa_id nor phone nor business-scoped user id",
            ));
        }
        if self.known.unsure(facts::CONTACT) {
            return Ok(vec![self.contact_create(item, contact, &customer)]);
        }
        let open = self.contact_looks(&customer, &keys);
        if !open.is_empty() {
            return Ok(open);
        }
        let by_key: Vec<Candidate> = (0..keys.len())
            .filter_map(|n| self.candidate(&facts::look_key(n)))
            .collect();
        if let Some(found) = by_key.iter().find(|found| found.clash.is_none()) {
            let alike = told(&by_key, &found.id, "is kept under this customer's id too");
            return Ok(vec![choose(found, "key", alike)]);
        }
        let open: Vec<Step> = [
            self.contact_search(&customer),
            self.contact_email(&customer),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !open.is_empty() {
            return Ok(open);
        }
        let by_phone: Vec<Candidate> = self
            .known
            .get(facts::LOOK_PHONE)
            .and_then(|found| serde_json::from_str(found).ok())
            .unwrap_or_default();
        let by_email = self.candidate(facts::LOOK_EMAIL);
        let whole = !self.known.is(facts::LOOK_PHONE_MORE);
        let taken = by_number(&by_phone).filter(|_| whole).or_else(|| {
            let found = by_email.as_ref()?;
            (found.clash_by_email().is_none() && by_phone.iter().all(|other| other.id == found.id))
                .then(|| (found.clone(), "email"))
        });
        let taken_id = taken.as_ref().map_or("", |(found, _)| found.id.as_str());
        let mut alike = told(&by_key, taken_id, "is kept under this customer's id");
        for found in &by_phone {
            let how = match found.numbers {
                Numbers::Same => "has this telephone number",
                Numbers::OtherForm => "has this telephone number in another national form",
                _ => "has a telephone number that ends alike, and nothing says in which country",
            };
            alike.extend(told(std::slice::from_ref(found), taken_id, how));
        }
        if !whole {
            alike.push("more than 200 contacts have a number that ends alike".to_owned());
        }
        if let Some(found) = &by_email
            && found.id != taken_id
        {
            let how = "has the e-mail address that the customer gave";
            let mut found = found.clone();
            found.clash = found.clash_by_email().map(str::to_owned);
            alike.extend(told(&[found], taken_id, how));
        }
        if let Some((found, way)) = taken {
            return Ok(vec![choose(&found, way, alike)]);
        }
        // What is looked alike must be known before the contact is there.
        if !alike.is_empty() && !self.known.is(facts::CONTACT_ALIKE) {
            let mut facts = vec![(facts::CONTACT_ALIKE.to_owned(), alike_text(&alike))];
            if by_email.is_some() {
                let why = "another contact has it".to_owned();
                facts.push((facts::drop("contact", "email"), why));
            }
            return Ok(vec![record("contact.alike", facts)]);
        }
        if self.key_for_new(&customer).is_none() {
            let why = "another record, perhaps in the recycle bin, holds this customer's id";
            let facts = vec![
                (facts::CONTACT.to_owned(), facts::NO_CONTACT.to_owned()),
                (facts::CONTACT_WAY.to_owned(), "none".to_owned()),
                (facts::CONTACT_GONE.to_owned(), why.to_owned()),
            ];
            return Ok(vec![record("contact.none", facts)]);
        }
        Ok(vec![self.contact_create(item, contact, &customer)])
    }

    /// The contact that records are attached to.
    pub(super) fn contact_id(&self) -> Option<&str> {
        self.known
            .get(facts::CONTACT)
            .filter(|id| *id != facts::NO_CONTACT && !self.known.is(facts::CONTACT_GONE))
    }

    /// Values of our unique properties under which this customer may be kept: the number's forms, the
    /// user id, and the user id where a portal has no property of its own for it.
    fn keys(&self, customer: &Customer) -> Vec<Key<'_>> {
        let wa = self.settings.wa_id_property.as_str();
        let user = self.settings.user_id_property.as_str();
        let of = |property, value: &String| Key {
            property,
            value: value.clone(),
        };
        let by_user = customer
            .user_id
            .iter()
            .flat_map(|id| [of(user, id), of(wa, id)]);
        let by_number = customer.forms();
        by_number
            .iter()
            .map(|form| of(wa, form))
            .chain(by_user)
            .collect()
    }

    fn contact_looks(&self, customer: &Customer, keys: &[Key<'_>]) -> Vec<Step> {
        let look = |(n, key): (usize, &Key<'_>)| {
            let fact = facts::look_key(n);
            let own = key.property == self.settings.user_id_property;
            if self.known.is(&fact) || own && !self.has_property(key.property) {
                return None;
            }
            let call = HttpCall::get(self.settings.paths.one("contacts", &key.value))
                .query("idProperty", key.property)
                .query("properties", whose::judged(self.settings).join(","));
            let context = json!({"fact": fact, "property": key.property, "customer": customer});
            Some(Step::look("contact.key", call).context(context))
        };
        keys.iter().enumerate().filter_map(look).collect()
    }

    fn candidate(&self, fact: &str) -> Option<Candidate> {
        serde_json::from_str(self.known.get(fact)?).ok()
    }

    /// Whether this portal has the property, as far as we know.
    fn has_property(&self, name: &str) -> bool {
        !self.known.is(&facts::drop("contact", name))
    }

    /// At most five groups of filters; the search is wide, and every result is compared.
    /// <https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>
    fn contact_search(&self, customer: &Customer) -> Option<Step> {
        let number = customer.number()?;
        if self.known.is(facts::LOOK_PHONE) {
            return None;
        }
        let is_plain = self.known.is(facts::PLAIN_SEARCH);
        let whole: Vec<String> = number.e164().collect();
        let end = format!("*{}*", number.national());
        let is_one_of =
            |name: &str| json!({"propertyName": name, "operator": "IN", "values": whole});
        let holds =
            |name: &str| json!({"propertyName": name, "operator": "CONTAINS_TOKEN", "value": end});
        let mut filters = vec![is_one_of("phone"), is_one_of("mobilephone")];
        if is_plain {
            filters.extend([holds("phone"), holds("mobilephone")]);
        } else {
            filters.extend([
                holds("hs_searchable_calculated_phone_number"),
                holds("hs_searchable_calculated_mobile_number"),
                is_one_of("hs_whatsapp_phone_number"),
            ]);
        }
        let groups: Vec<Value> = filters
            .iter()
            .map(|filter| json!({"filters": [filter]}))
            .collect();
        let body = json!({
            "filterGroups": groups,
            "properties": whose::judged(self.settings),
            "sorts": ["createdate"],
            "limit": RESULTS,
            "after": "0",
        });
        let path = format!("{}/search", self.settings.paths.object("contacts"));
        let step = Step::look("contact.search", HttpCall::post(path, body))
            .spend("search", "")
            .context(json!({"customer": customer, "plain": is_plain}));
        Some(step)
    }

    fn contact_email(&self, customer: &Customer) -> Option<Step> {
        let email = customer.email.as_ref()?;
        if self.known.is(facts::LOOK_EMAIL) {
            return None;
        }
        let call = HttpCall::get(self.settings.paths.one("contacts", email))
            .query("idProperty", "email")
            .query("properties", whose::judged(self.settings).join(","));
        let context = json!({"fact": facts::LOOK_EMAIL, "property": "email", "customer": customer});
        Some(Step::look("contact.email", call).context(context))
    }

    /// Whether another record holds this customer's value of a property: HubSpot said so, or a look
    /// found a contact that is somebody else's.
    fn is_taken(&self, customer: &Customer, property: &str) -> bool {
        let own = [&customer.number, &customer.user_id];
        let keys = self.keys(customer);
        let mut held = keys
            .iter()
            .enumerate()
            .filter(|(_, key)| key.property == property && own.contains(&&Some(key.value.clone())));
        self.known.is(&facts::taken(property))
            || held.any(|(n, _)| self.candidate(&facts::look_key(n)).is_some())
    }

    /// The key of a new contact: one that no other record holds.
    fn key_for_new(&self, customer: &Customer) -> Option<(&str, String)> {
        let (wa, user) = (
            &self.settings.wa_id_property,
            &self.settings.user_id_property,
        );
        let is_free = |name: &String| !self.is_taken(customer, name);
        let number = customer.number.clone().filter(|_| is_free(wa));
        if let Some(number) = number {
            return Some((wa, number));
        }
        let user_id = customer.user_id.clone()?;
        if self.has_property(user) {
            is_free(user).then_some((user, user_id))
        } else {
            is_free(wa).then_some((wa, user_id))
        }
    }

    fn contact_create(&self, item: &Item, contact: &Contact, customer: &Customer) -> Step {
        let (key, value) = self.key_for_new(customer).unwrap_or_default();
        let name = contact.name.clone().or_else(|| contact.username.clone());
        let mut properties = Map::new();
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
                properties.insert(name.to_owned(), Value::String(value));
            }
        };
        set(
            "phone",
            customer
                .number()
                .map(|number| format!("+{}", number.digits())),
        );
        set("firstname", name);
        set("email", customer.email.clone());
        self.overlay(item, "contact", &mut properties);
        let user = &self.settings.user_id_property;
        if let Some(id) = &customer.user_id
            && self.has_property(user)
            && !self.is_taken(customer, user)
        {
            properties.insert(user.clone(), Value::String(id.clone()));
        }
        properties.insert(key.to_owned(), Value::String(value.clone()));
        let body = json!({"inputs": [{"idProperty": key, "id": value, "properties": properties}]});
        let path = format!("{}/batch/upsert", self.settings.paths.object("contacts"));
        let looks: Vec<String> = (0..self.keys(customer).len())
            .map(facts::look_key)
            .collect();
        Step::new("contact.upsert", Repeat::Keyed, HttpCall::post(path, body))
            .claim(facts::CONTACT)
            .context(json!({"key": key, "looks": looks}))
    }

    /// Lets a contact that was found learn what it does not hold of this customer, and gives it the
    /// mapping's fields where the settings want them on every handoff. What it holds stays.
    pub(super) fn contact_update(&self, item: &Item, contact: &Contact) -> Option<Step> {
        let id = self.contact_id()?;
        let fact = facts::contact_updated(&item.id);
        if self.known.is(&fact) {
            return None;
        }
        let way = self.known.get(facts::CONTACT_WAY).unwrap_or("created");
        let has: BTreeSet<&str> = self
            .known
            .get(facts::CONTACT_HAS)
            .unwrap_or("wa user phone email")
            .split(' ')
            .collect();
        let mut properties = Map::new();
        if self.settings.contact_fields == ContactFields::Always && way != "created" {
            self.overlay(item, "contact", &mut properties);
            // Who somebody is, is not the mapping's to replace.
            for (held, name) in [
                ("phone", "phone"),
                ("phone", "mobilephone"),
                ("phone", "hs_whatsapp_phone_number"),
                ("email", "email"),
            ] {
                if has.contains(held) || way == "email" {
                    properties.remove(name);
                }
            }
        }
        let opened = self.known.get(facts::TICKET_BY);
        // An e-mail address that somebody gave is no proof: nothing is written down for good.
        if opened.is_none_or(|by| by == item.id) && way != "email" {
            let customer = Customer::of(contact);
            self.learned(&customer, &has, &mut properties);
        }
        if properties.is_empty() {
            return None;
        }
        let call = HttpCall::new(Method::Patch, self.settings.paths.one("contacts", id))
            .json(json!({"properties": properties}));
        Some(Step::new("contact.update", Repeat::Keyed, call).claim_as(fact, "done"))
    }

    pub(super) fn learned(
        &self,
        customer: &Customer,
        has: &BTreeSet<&str>,
        properties: &mut Map<String, Value>,
    ) {
        let (wa, user) = (
            &self.settings.wa_id_property,
            &self.settings.user_id_property,
        );
        let is_open =
            |name: &String| self.has_property(name) && !self.known.is(&facts::taken(name));
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|_| self.has_property(name)) {
                properties.entry(name).or_insert(Value::String(value));
            }
        };
        if !has.contains("user") && is_open(user) {
            set(user, customer.user_id.clone());
        }
        // The user id moves to the property of its own, where there is one.
        let moves = has.contains("keeps-user-id") && is_open(user) && !has.contains("user");
        if (!has.contains("wa") || moves) && is_open(wa) {
            let alone = customer
                .user_id
                .clone()
                .filter(|_| !self.has_property(user) && !has.contains("wa"));
            set(wa, customer.number.clone().or(alone));
        }
        if !has.contains("phone") {
            set(
                "phone",
                customer
                    .number()
                    .map(|number| format!("+{}", number.digits())),
            );
        }
        if !has.contains("email") {
            set("email", customer.email.clone());
        }
    }

    /// Lays the mapping's fields of a section over our own, but for what this portal does not take.
    /// Our unique properties are not the mapping's to choose.
    pub(super) fn overlay(&self, item: &Item, section: &str, properties: &mut Map<String, Value>) {
        let keys = [
            &self.settings.wa_id_property,
            &self.settings.user_id_property,
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

/// The one contact whose number is the customer's: as WhatsApp writes it, else in its other national
/// form. Where several fit equally well, none is certain.
fn by_number(found: &[Candidate]) -> Option<(Candidate, &'static str)> {
    for (numbers, way) in [(Numbers::Same, "phone"), (Numbers::OtherForm, "form")] {
        let mut fitting = found
            .iter()
            .filter(|found| found.numbers == numbers && found.clash.is_none());
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => return Some((one.clone(), way)),
            (Some(_), Some(_)) => return None,
            (None, _) => {}
        }
    }
    None
}

/// Contacts that were left alone, each with what speaks for it and what against.
fn told(found: &[Candidate], taken: &str, how: &str) -> Vec<String> {
    let left = found.iter().filter(|found| found.id != taken);
    left.map(|found| match &found.clash {
        Some(clash) => format!("contact {} {how}, but {clash}", found.id),
        None => format!("contact {} {how}", found.id),
    })
    .collect()
}

/// At most five contacts are named.
fn alike_text(alike: &[String]) -> String {
    let mut seen = BTreeSet::new();
    let each: Vec<&str> = alike
        .iter()
        .map(String::as_str)
        .filter(|line| seen.insert(*line))
        .collect();
    let mut text = each[..each.len().min(5)].join("; ");
    if each.len() > 5 {
        text.push_str(&format!("; and {} more", each.len() - 5));
    }
    text
}

fn choose(found: &Candidate, way: &str, alike: Vec<String>) -> Step {
    let mut has: Vec<&str> = found.has.iter().map(String::as_str).collect();
    if found.keeps_user_id {
        has.push("keeps-user-id");
    }
    let mut facts = vec![
        (facts::CONTACT.to_owned(), found.id.clone()),
        (facts::CONTACT_WAY.to_owned(), way.to_owned()),
        (facts::CONTACT_HAS.to_owned(), has.join(" ")),
    ];
    if !alike.is_empty() {
        facts.push((facts::CONTACT_ALIKE.to_owned(), alike_text(&alike)));
    }
    record("contact.choose", facts)
}

fn record(name: &'static str, facts: Vec<(String, String)>) -> Step {
    let facts = facts.into_iter();
    let record = Record {
        facts: facts.map(|(fact, value)| (fact, value.into())).collect(),
        events: Vec::new(),
    };
    Step::new(name, Repeat::Keyed, Call::Record(record))
}
