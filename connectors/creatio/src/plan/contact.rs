//! Who the customer is in Creatio: found by number, by user id, by e-mail where nothing contradicts
//! it, or created.
//!
//! A number counts with its country code, or as the site's own country dials it; anything less is a
//! hint for the rep. Where several contacts fit equally none is taken. What belongs to somebody else
//! is never overwritten: only an empty column learns.

use handoffd_contract::phone::{Number, digits};
use handoffd_contract::{
    HttpCall, Item, Known, Reason, Record, Refusal, Repeat, Step, Work, ids, text,
};
use serde_json::{Map, Value, json};

use super::choice::{Choice, Found, choose, found, hints, how_found};
use super::rows::Row;
use crate::facts::{NONE, check_fact};
use crate::words::{MEDIUM, mapped};
use crate::{Creatio, wire};

/// What is known of the customer.
pub(super) struct Customer {
    pub number: Option<Number>,
    pub user: Option<String>,
    pub mail: Option<String>,
}

pub(super) fn customer(work: &Work) -> Customer {
    let contact = &work.contact;
    let read = |text: &Option<String>| text.as_deref().and_then(Number::parse);
    Customer {
        // Replies go to the `wa_id`; a phone beside it may be anybody's.
        number: read(&contact.wa_id).or_else(|| read(&contact.phone)),
        user: contact
            .user_id
            .clone()
            .filter(|user| !user.trim().is_empty() && text::utf16_len(user) <= MEDIUM),
        mail: contact
            .email
            .as_deref()
            .map(str::trim)
            .filter(|mail| mail.contains('@') && text::utf16_len(mail) <= MEDIUM)
            .map(str::to_owned),
    }
}

/// The number as it is written into a contact.
pub(super) fn stored(work: &Work) -> Option<String> {
    let phone = work.contact.phone.as_deref();
    let number = customer(work).number;
    let digits = match (&number, phone) {
        (Some(number), Some(phone)) if is_number(number, phone) => digits(phone),
        (Some(number), _) => number.digits().to_owned(),
        (None, Some(phone)) => digits(phone),
        (None, None) => return None,
    };
    (!digits.is_empty()).then(|| text::truncate(&format!("+{digits}"), MEDIUM))
}

fn is_number(number: &Number, phone: &str) -> bool {
    let phone = digits(phone);
    number.forms().contains(&phone)
}

/// A name that cannot pass for a line of ours where a case shows it.
fn contact_name(name: &str) -> String {
    let name = text::quoted(&wire::one_line(name, MEDIUM - 2));
    text::truncate(&name, MEDIUM)
}

fn contact_id(key: &str) -> String {
    ids::uuid(&["creatio", "contact", key])
}

/// The id of the communication option that holds a user id.
pub(super) fn user_row(user: &str) -> String {
    ids::uuid(&["creatio", "user", user])
}

impl Creatio {
    /// The calls that find the contact, or create it.
    pub(super) fn contact_steps(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
    ) -> Result<Vec<Step>, Refusal> {
        let customer = customer(work);
        let key = customer
            .number
            .as_ref()
            .map(|number| number.digits().to_owned())
            .or_else(|| work.contact.key())
            .ok_or_else(|| {
                Refusal::park(
                    Reason::NoCustomer,
                    "neither wa_id, user id nor phone is in the event",
                )
            })?;
        let mut taken = None;
        if known.absent("contact") {
            let mut looks = Vec::new();
            if known.absent("contact/numbers") {
                looks.push(self.number_look(&customer));
            }
            if known.absent("contact/columns") {
                looks.push(self.column_look(&customer, &key));
            }
            if !looks.is_empty() {
                return Ok(looks);
            }
        }
        let all: Vec<Found<'_>> = found(known.get("contact/numbers"))
            .chain(found(known.get("contact/columns")))
            .collect();
        if known.absent("contact") {
            match choose(known, &all, customer.number.is_some()) {
                Choice::Check(id) => return Ok(vec![self.check_look(&customer, id)]),
                Choice::Take(id, how, empty) => taken = Some((id, how, empty)),
                Choice::Create => {}
            }
        }
        let hints = hints(known, &all, taken.map(|(id, _, _)| id));
        if let Some((id, how, empty)) = taken {
            let fact = |name: &str, value: &str| (name.to_owned(), value.into());
            let mut facts = vec![
                fact("contact", id),
                fact("contact/how", how),
                fact("contact/hints", &hints),
            ];
            if empty && customer.number.is_some() {
                facts.push(fact("contact/numberless", id));
            }
            let record = Record {
                facts,
                events: Vec::new(),
            };
            return Ok(vec![Step::new("contact.found", Repeat::Keyed, record)]);
        }
        let columns = self.contact_columns(work, item);
        let row = Row::new("Contact", "contact", contact_id(&key), columns)
            .claim("contact/how", "new")
            .claim("contact/hints", hints)
            .of_item(&item.id);
        Ok(self.ensure(vec![row], known, true))
    }

    /// Columns of a contact that we create.
    pub(super) fn contact_columns(&self, work: &Work, item: &Item) -> Map<String, Value> {
        let mut columns = Map::new();
        columns.insert(
            "Name".into(),
            contact_name(&work.contact.display_name()).into(),
        );
        if let Some(number) = stored(work) {
            // The server makes the matching ContactCommunication row itself.
            columns.insert("MobilePhone".into(), number.into());
        }
        if let Some(kind) = &self.settings.contact_type {
            columns.insert("TypeId".into(), kind.clone().into());
        }
        columns.extend(mapped("contact", item.rendered.as_ref()).0);
        columns
    }

    /// Lines for the rep: how the contact was found, and who looked alike and was not taken.
    pub(super) fn contact_lines(&self, known: &Known) -> Vec<String> {
        let mut lines: Vec<String> = how_found(known).map(str::to_owned).into_iter().collect();
        for one in found(known.get("contact/hints")) {
            let name = found(known.get("contact/names"))
                .find(|named| named.kind == one.id)
                .map(|named| format!("{} {}", named.id, named.typed))
                .unwrap_or_else(|| "a contact".to_owned());
            let why = match one.kind {
                "same" => "has the same phone number".to_owned(),
                "form" => "has this phone number in another form".to_owned(),
                "alike" => format!(
                    "has a number that looks alike, without country code: {}",
                    text::named(one.typed)
                ),
                "user" => "has this WhatsApp user id".to_owned(),
                "user-no" => "has this WhatsApp user id, but another number".to_owned(),
                "mail" => "has this e-mail address".to_owned(),
                _ => "has this e-mail address, but another number".to_owned(),
            };
            lines.push(format!(
                "Contact not taken: {} {why}, {}{}/Shell/#Card/Contacts_FormPage/edit/{}",
                text::named(name.trim()),
                self.settings.site,
                self.settings.prefix(),
                one.id
            ));
        }
        lines
    }

    /// Communication options whose digits end as the number does, and the one that holds the user id.
    fn number_look(&self, customer: &Customer) -> Step {
        let mut terms = Vec::new();
        if let Some(number) = &customer.number {
            let end: String = number.national().chars().rev().collect();
            terms.push(format!("startswith(SearchNumber,{})", wire::quoted(&end)));
        }
        let user = customer.user.as_deref().map(user_row);
        if let Some(user) = &user {
            terms.push(format!("Id eq {user}"));
        }
        if terms.is_empty() {
            // Nothing to look for: the fact is a decision, not an answer.
            let record = Record {
                facts: vec![("contact/numbers".into(), NONE.into())],
                events: Vec::new(),
            };
            return Step::new("contact.no_number", Repeat::Keyed, record);
        }
        let call = HttpCall::get(self.path("ContactCommunication"))
            .query(
                "$filter",
                format!("({}) and NonActual eq false", terms.join(" or ")),
            )
            .query(
                "$select",
                "Id,ContactId,Number,SearchNumber,NonActual,CreatedOn",
            )
            .query("$orderby", "CreatedOn desc")
            .query("$top", "100");
        let number = customer.number.as_ref().map(Number::digits);
        Step::look("contact.numbers", call)
            .claim("contact/numbers")
            .context(json!({ "number": number, "user": user }))
    }

    /// Contacts by their own phone columns and e-mail, and by every id that we would have given: the
    /// one call also finds a contact that an earlier session created, with or without a phone.
    fn column_look(&self, customer: &Customer, key: &str) -> Step {
        let forms: &[String] = customer.number.as_ref().map_or(&[], Number::forms);
        let user = customer.user.as_deref().map(contact_id);
        let mut ours: Vec<String> = forms.iter().map(|form| contact_id(form)).collect();
        if user.is_none() && forms.is_empty() {
            ours.push(contact_id(key));
        }
        let mut terms: Vec<String> = ours
            .iter()
            .chain(&user)
            .map(|id| format!("Id eq {id}"))
            .collect();
        for form in forms {
            for spelling in [format!("+{form}"), form.clone()] {
                for column in ["MobilePhone", "Phone"] {
                    terms.push(format!("{column} eq {}", wire::quoted(&spelling)));
                }
            }
        }
        if let Some(mail) = &customer.mail {
            let mut spellings = vec![mail.clone(), mail.to_lowercase()];
            spellings.dedup();
            terms.extend(
                spellings
                    .iter()
                    .map(|mail| format!("Email eq {}", wire::quoted(mail))),
            );
        }
        let call = HttpCall::get(self.path("Contact"))
            .query("$filter", terms.join(" or "))
            .query("$select", "Id,MobilePhone,Phone,HomePhone,Email,CreatedOn")
            .query("$orderby", "CreatedOn desc")
            .query("$top", "20");
        let number = customer.number.as_ref().map(Number::digits);
        Step::look("contact.columns", call)
            .claim("contact/columns")
            .context(json!({ "number": number, "ours": ours, "user": user, "mail": customer.mail }))
    }

    /// All numbers of one contact, of which its own columns hold only the first of each kind.
    fn check_look(&self, customer: &Customer, id: &str) -> Step {
        let call = HttpCall::get(self.path("ContactCommunication"))
            .query(
                "$filter",
                format!("Contact/Id eq {id} and NonActual eq false"),
            )
            .query("$select", "Id,Number,NonActual")
            .query("$top", "100");
        let number = customer.number.as_ref().map(Number::digits);
        let user = customer.user.as_deref().map(user_row);
        Step::look("contact.check", call)
            .claim(check_fact(id))
            .context(json!({ "number": number, "user": user }))
    }
}
