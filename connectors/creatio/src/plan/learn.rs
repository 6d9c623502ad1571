//! What a contact learns of its customer where it has nothing: the number, the user id, the e-mail
//! address. What somebody typed is never overwritten, and one that only an e-mail address speaks for
//! learns nothing: anybody can claim an address.

use handoffd_contract::phone::Number;
use handoffd_contract::{HttpCall, Known, Method, Repeat, Step, Work, ids};
use serde_json::{Map, json};

use super::choice::found;
use super::contact::{Customer, customer, stored, user_row};
use super::rows::Row;
use crate::Creatio;

impl Creatio {
    /// What the contact learns where it has nothing, and the names of those that were not taken: beside
    /// the case's creation, so nobody waits for them.
    pub(super) fn contact_learns(&self, work: &Work, known: &Known) -> Vec<Step> {
        let mut steps = Vec::new();
        let (Some(contact), Some(how)) = (known.get("contact"), known.get("contact/how")) else {
            return steps;
        };
        let numberless = known.get("contact/numberless") == Some(contact);
        if numberless
            && !known.is("contact/learned")
            && let Some(number) = stored(work)
        {
            let call = HttpCall::new(Method::Patch, self.record("Contact", contact))
                .json(json!({ "MobilePhone": number }));
            steps.push(
                Step::new("contact.learn", Repeat::Keyed, call)
                    .claim_as("contact/learned", "number"),
            );
        }
        // A contact that is found by its number is found by the user id alone the next time.
        let is_held = found(known.get("contact/numbers")).any(|one| one.kind == "user");
        let learns = matches!(how, "number" | "form" | "ours" | "new")
            && work.contact.user_id.is_some()
            && !known.is("contact/user")
            && !is_held;
        if learns
            && let Some(kind) = &self.settings.user_id_type
            && let Customer {
                number: Some(_),
                user: Some(user),
                ..
            } = customer(work)
        {
            let columns =
                json!({ "ContactId": contact, "CommunicationTypeId": kind, "Number": user });
            let columns = columns.as_object().cloned().unwrap_or_default();
            let row = Row::new(
                "ContactCommunication",
                "contact/user",
                user_row(&user),
                columns,
            );
            steps.extend(self.ensure(vec![row], known, true));
        }
        let hinted: Vec<&str> = found(known.get("contact/hints"))
            .map(|one| one.id)
            .collect();
        if !hinted.is_empty() && !known.is("contact/names") {
            let terms: Vec<String> = hinted.iter().map(|id| format!("Id eq {id}")).collect();
            let call = HttpCall::get(self.path("Contact"))
                .query("$filter", terms.join(" or "))
                .query("$select", "Id,Name")
                .query("$top", "10");
            steps.push(Step::look("contact.names", call).claim("contact/names"));
        }
        steps
    }

    /// What came to be known of the customer later.
    pub(super) fn contact_updated(&self, work: &Work, known: &Known) -> Vec<Step> {
        let mut steps = self.contact_learns(work, known);
        steps.extend(self.contact_fills(work, known));
        steps
    }

    /// Number and e-mail address, when the contact has neither anything there nor somebody else's number.
    /// It is read first, once for all that is known of the customer.
    pub(super) fn contact_fills(&self, work: &Work, known: &Known) -> Vec<Step> {
        let (Some(contact), Some(how)) = (known.get("contact"), known.get("contact/how")) else {
            return Vec::new();
        };
        if how == "mail" {
            return Vec::new();
        }
        let customer = customer(work);
        let number = customer.number.as_ref().map(Number::digits);
        let mail = customer.mail.as_deref();
        let print = ids::short(&[number.unwrap_or_default(), mail.unwrap_or_default()]);
        let (looked, filled) = (
            format!("contact/lacks/{print}"),
            format!("contact/filled/{print}"),
        );
        if known.is(&filled) || (number.is_none() && mail.is_none()) {
            return Vec::new();
        }
        let Some(lacks) = known.get(&looked) else {
            let call = HttpCall::get(self.path("Contact"))
                .query("$filter", format!("Id eq {contact}"))
                .query("$select", "Id,MobilePhone,Phone,HomePhone,Email")
                .query("$top", "1");
            let context = json!({ "number": number });
            return vec![
                Step::look("contact.empty", call)
                    .claim(looked)
                    .context(context),
            ];
        };
        let mut columns = Map::new();
        for lack in lacks.split(' ') {
            match lack {
                "number" => {
                    let number = stored(work).map(|number| ("MobilePhone".into(), number.into()));
                    columns.extend(number);
                }
                "mail" => columns.extend(mail.map(|mail| ("Email".into(), mail.into()))),
                _ => {}
            }
        }
        if columns.is_empty() {
            return Vec::new();
        }
        let call =
            HttpCall::new(Method::Patch, self.record("Contact", contact)).json(columns.into());
        let step = Step::new("contact.learn", Repeat::Keyed, call);
        vec![step.claim_as(filled, "learned")]
    }
}
