//! The exits, and which phone number id sends for which business number.

use std::collections::BTreeMap;

use handoffd_contract::Secret;
use handoffd_contract::settings::{Table, printable};

use crate::http::{Gateway, gateway};

/// How messages leave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Exit {
    /// As `reply.requested` on the gateway's exchange.
    Gateway {
        /// The exchange; empty for the default one.
        exchange: String,
        /// The routing key.
        routing_key: String,
    },
    /// By `POST /messages`.
    CloudApi {
        /// Whose Cloud API it is.
        provider: Provider,
        /// Which phone number id sends for which business number.
        numbers: Numbers,
    },
    /// By a gateway's own API, as its file describes it.
    Http(Box<Gateway>),
}

/// Whose Cloud API it is: the same messages, at another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Meta's own.
    Meta,
    /// 360dialog's: a key in a header of its own, which stands for one number, and neither version nor
    /// phone number id in the path.
    /// <https://docs.360dialog.com/partner/messaging/sending-and-receiving-messages>
    Dialog360,
}

/// Phone number ids by business number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Numbers {
    /// One id, whatever the session's business number is.
    One(String),
    /// By the digits of the business number.
    Many(BTreeMap<String, String>),
}

impl Numbers {
    /// The phone number id that sends for a session's business number, which may be the id itself.
    pub(crate) fn id(&self, business_number: &str) -> Option<&str> {
        match self {
            Numbers::One(id) => Some(id),
            Numbers::Many(ids) => {
                let digits = digits(business_number);
                ids.get(&digits)
                    .or_else(|| ids.values().find(|id| **id == digits))
                    .map(String::as_str)
            }
        }
    }

    /// All ids.
    pub(crate) fn ids(&self) -> Vec<&str> {
        match self {
            Numbers::One(id) => vec![id],
            Numbers::Many(ids) => ids.values().map(String::as_str).collect(),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Gateway,
    CloudApi,
    Http,
}

/// Reads how messages leave; `key` names the secret that signs in.
pub(crate) fn exit(top: &mut Table<'_>, key: Option<&Secret>) -> Exit {
    top.missing("exit", "write \"gateway\", \"cloud_api\" or \"http\"");
    let kinds = [
        ("gateway", Some(Kind::Gateway)),
        ("cloud_api", Some(Kind::CloudApi)),
        ("http", Some(Kind::Http)),
    ];
    let kind = top.choice("exit", &kinds, None);
    if kind == Some(Kind::Http) {
        top.missing(
            "access_token",
            "name the secret that holds the gateway's key",
        );
        top.missing(
            "base_url",
            "write the gateway's address, such as https://evolution.example.com",
        );
        if let Some(gateway) = gateway(top, key.cloned()) {
            return Exit::Http(Box::new(gateway));
        }
    }
    if kind == Some(Kind::Gateway) {
        top.missing(
            "exchange",
            "name the gateway's exchange (\"\" is RabbitMQ's default one)",
        );
        let exchange = top.maybe_empty("exchange");
        let routing_key = top.required(
            "routing_key",
            "name the key with which the gateway's queue is bound",
        );
        return Exit::Gateway {
            exchange: exchange.unwrap_or_default(),
            routing_key: routing_key.unwrap_or_default(),
        };
    }
    let providers = [("meta", Provider::Meta), ("360dialog", Provider::Dialog360)];
    let provider = top.choice("provider", &providers, Provider::Meta);
    if kind == Some(Kind::CloudApi) {
        top.missing(
            "access_token",
            "name the secret that holds the system user's token",
        );
        if provider == Provider::Dialog360 {
            for key in ["phone_number_id", "phone_numbers"] {
                if top.has(key) {
                    top.problem(
                        key,
                        "has no effect: the key stands for one number; leave it out",
                    );
                }
            }
        } else if !top.has("phone_numbers") {
            top.missing(
                "phone_number_id",
                "WhatsApp Manager shows it under API setup",
            );
        }
    }
    if top.has("phone_number_id") && top.has("phone_numbers") {
        top.problem(
            "phone_numbers",
            "is set beside `phone_number_id`; keep one of them",
        );
    }
    let one = top.text_if(
        "phone_number_id",
        is_id,
        "write Meta's id of digits of the phone number, not the number itself",
    );
    let many = number_table(top);
    let numbers = match one {
        None if !many.is_empty() => Numbers::Many(many),
        one => Numbers::One(one.unwrap_or_default()),
    };
    Exit::CloudApi { provider, numbers }
}

fn number_table(top: &mut Table<'_>) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    let remedy = "write a table of business number = phone number id";
    let Some(table) = top.entries("phone_numbers", remedy) else {
        return ids;
    };
    if table.is_empty() {
        top.problem("phone_numbers", format!("is empty; {remedy}"));
    }
    for (number, value) in table {
        let id = value.as_str().map(str::trim).unwrap_or_default();
        // A key of digits alone is a number; anything else may be a secret in the wrong place.
        let is_number = number
            .chars()
            .all(|c| c.is_ascii_digit() || " +-().".contains(c));
        let shown = if is_number && number.len() <= 25 {
            number.clone()
        } else {
            printable(number)
        };
        let path = format!("phone_numbers.{shown}");
        if digits(number).is_empty() {
            top.problem(
                &path,
                "is not a business number; write it as \"+15550783881\"",
            );
        }
        if !is_id(id) {
            top.wrong(&path, value, "write a phone number id of digits in quotes");
        }
        ids.insert(digits(number), id.to_owned());
    }
    ids
}

/// The digits of a number.
pub(crate) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Whether it is an id of Meta's: digits.
pub(crate) fn is_id(text: &str) -> bool {
    (5..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}
