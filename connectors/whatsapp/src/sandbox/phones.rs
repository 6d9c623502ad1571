//! The customers and what their phones show.

use handoffd_contract::ids;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The most messages that a phone keeps.
const MAX_ENTRIES: usize = 20_000;

/// A customer.
#[derive(Debug, Clone, Default)]
pub(super) struct Phone {
    /// Digits; what WhatsApp calls the customer.
    pub(super) wa_id: Option<String>,
    /// Business-scoped user id.
    pub(super) user_id: Option<String>,
    pub(super) username: Option<String>,
    pub(super) name: String,
    /// The customer has a username and hides the number: webhooks come without it.
    pub(super) hides_number: bool,
    /// The customer has blocked the business.
    pub(super) blocked: bool,
    /// The business has blocked the customer: nothing that they write comes.
    pub(super) shut_out: bool,
    /// When the customer last wrote: opens the window for 24 hours.
    pub(super) last_inbound: Option<Timestamp>,
    pub(super) entries: Vec<Entry>,
}

/// One message on the phone.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: String,
    /// From the business; how far it has come.
    pub(super) outbound: bool,
    pub(super) status: &'static str,
    pub(super) shown: Map<String, Value>,
}

impl Phone {
    /// The key in the view.
    pub(super) fn key(&self) -> &str {
        self.wa_id
            .as_deref()
            .or(self.user_id.as_deref())
            .unwrap_or("unknown")
    }

    /// Whether free text may be sent.
    pub(super) fn window_open(&self, now: Timestamp) -> bool {
        self.last_inbound.is_some_and(|last| now < window_end(last))
    }

    /// Shows a message.
    pub(super) fn show(&mut self, entry: Entry) {
        self.entries.push(entry);
        if self.entries.len() > MAX_ENTRIES {
            self.entries.remove(0);
        }
    }

    /// The newest message of the business that offers something to choose.
    pub(super) fn offered(&self) -> Option<&str> {
        let offers = |entry: &&Entry| {
            let kind = entry.shown.get("type").and_then(Value::as_str);
            entry.outbound && matches!(kind, Some("interactive" | "template"))
        };
        let entry = self.entries.iter().rev().find(offers)?;
        Some(&entry.id)
    }

    /// A message by its id.
    pub(super) fn entry(&mut self, id: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().rev().find(|entry| entry.id == id)
    }

    /// What a person holding the phone sees.
    pub(super) fn view(&self) -> Value {
        let conversation: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                let mut shown = entry.shown.clone();
                shown.insert(
                    "from".into(),
                    if entry.outbound {
                        "business"
                    } else {
                        "customer"
                    }
                    .into(),
                );
                shown.insert("id".into(), entry.id.as_str().into());
                if entry.outbound {
                    shown.insert("status".into(), entry.status.into());
                }
                Value::Object(shown)
            })
            .collect();
        json!({
            "name": self.name,
            "wa_id": self.wa_id,
            "user_id": self.user_id,
            "window_open_until": self.last_inbound.map(|last| window_end(last).to_string()),
            "blocked": self.blocked,
            "conversation": conversation,
        })
    }
}

/// When the window closes that a message opened.
pub(super) fn window_end(last: Timestamp) -> Timestamp {
    last.saturating_add(SignedDuration::from_hours(24))
        .unwrap_or(Timestamp::MAX)
}

/// The business-scoped id of a customer: everybody has one, whoever hides a number or not.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids>
fn user_id(wa_id: &str) -> String {
    let country = [
        ("49", "DE"),
        ("55", "BR"),
        ("52", "MX"),
        ("34", "ES"),
        ("44", "GB"),
    ]
    .into_iter()
    .find(|(code, _)| wa_id.starts_with(code))
    .map_or("US", |(_, country)| country);
    let digits = ids::short(&["sandbox", wa_id]);
    let digits = u64::from_str_radix(&digits[..15], 16).unwrap_or_default();
    format!("{country}.{digits:018}")
}

/// All customers.
#[derive(Debug, Default)]
pub(super) struct Phones(pub(super) Vec<Phone>);

impl Phones {
    /// The customer with this `wa_id` or business-scoped id.
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        self.0.iter().position(|phone| {
            phone.wa_id.as_deref() == Some(id) || phone.user_id.as_deref() == Some(id)
        })
    }

    /// The customer behind dialled digits. Brazil: WhatsApp may know the number without the ninth
    /// digit. Everybody has WhatsApp here unless a switch says otherwise.
    pub(super) fn dial(&mut self, digits: &str) -> usize {
        let brazil = digits
            .strip_prefix("55")
            .filter(|rest| rest.len() == 11 && rest.as_bytes()[2] == b'9');
        let without_ninth = brazil.map(|rest| format!("55{}{}", &rest[..2], &rest[3..]));
        self.find(digits)
            .or_else(|| without_ninth.and_then(|digits| self.find(&digits)))
            .unwrap_or_else(|| {
                self.0.push(Phone {
                    wa_id: Some(digits.to_owned()),
                    user_id: Some(user_id(digits)),
                    name: format!("+{digits}"),
                    ..Phone::default()
                });
                self.0.len() - 1
            })
    }

    /// The customer of an act, made when it is a new one.
    pub(super) fn actor(&mut self, id: &str) -> usize {
        self.find(id).unwrap_or_else(|| {
            let is_user = crate::recipient::is_user_id(id);
            let mut phone = Phone {
                name: format!("Customer {id}"),
                ..Phone::default()
            };
            if is_user {
                phone.user_id = Some(id.to_owned());
                phone.hides_number = true;
            } else {
                phone.wa_id = Some(id.to_owned());
                phone.user_id = Some(user_id(id));
            }
            self.0.push(phone);
            self.0.len() - 1
        })
    }
}
