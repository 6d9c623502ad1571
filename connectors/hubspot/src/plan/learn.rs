//! What the platform learns of a customer later, the contact learns too, where its fields are empty.

use std::collections::BTreeSet;

use handoffd_contract::{Contact, HttpCall, Item, Method, Repeat, Step};
use serde_json::{Map, json};

use super::Plan;
use crate::facts;
use crate::whose::{self, Customer};

impl Plan<'_> {
    /// The contact is read, because people may have filled its fields meanwhile, and learns what it
    /// does not hold. One that contradicts, or that only an e-mail address speaks for, learns nothing.
    pub(super) fn contact_learns(&self, item: &Item, contact: &Contact) -> Option<Step> {
        let id = self.contact_id()?;
        let done = facts::contact_updated(&item.id);
        if self.known.is(&done) || self.known.get(facts::CONTACT_WAY) == Some("email") {
            return None;
        }
        let customer = Customer::of(contact);
        let look = facts::look_update(&item.id);
        let Some(found) = self.known.get(&look) else {
            let call = HttpCall::get(self.settings.paths.one("contacts", id))
                .query("properties", whose::judged(self.settings).join(","));
            let context = json!({"fact": look, "property": "", "customer": customer});
            return Some(Step::look("contact.key", call).context(context));
        };
        let found: whose::Candidate = serde_json::from_str(found).ok()?;
        if found.clash.is_some() {
            return None;
        }
        let mut has: BTreeSet<&str> = found.has.iter().map(String::as_str).collect();
        if found.keeps_user_id {
            has.insert("keeps-user-id");
        }
        let mut properties = Map::new();
        self.learned(&customer, &has, &mut properties);
        properties.retain(|name, _| !self.known.is(&facts::drop("contact", name)));
        if properties.is_empty() {
            return None;
        }
        let call = HttpCall::new(Method::Patch, self.settings.paths.one("contacts", id))
            .json(json!({"properties": properties}));
        Some(Step::new("contact.update", Repeat::Keyed, call).claim_as(done, "done"))
    }
}
