//! The two exits, and which phone number id sends for which business number.

use std::collections::BTreeMap;

use serde_json::Value;

use handoffd_contract::settings::{printable, shape};

use crate::fields::Fields;

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
        /// Which phone number id sends for which business number.
        numbers: Numbers,
    },
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

/// Reads how messages leave.
pub(crate) fn exit(fields: &mut Fields<'_>, has_token: bool) -> Exit {
    let word = fields.word("exit", &["gateway", "cloud_api"], None);
    if word == "gateway" {
        let exchange = fields.maybe_empty(
            "exchange",
            "name the gateway's exchange (\"\" is RabbitMQ's default one)",
        );
        let routing_key = fields.required(
            "routing_key",
            "name the key with which the gateway's queue is bound",
        );
        return Exit::Gateway {
            exchange,
            routing_key,
        };
    }
    let one = fields.text("phone_number_id");
    let many = fields.value("phone_numbers");
    let numbers = match (one, many) {
        (Some(_), Some(_)) => {
            fields.problem(
                "phone_numbers",
                "is set beside `phone_number_id`; keep one of them",
            );
            Numbers::One(String::new())
        }
        (Some(id), None) => {
            if !is_id(&id) {
                fields.problem(
                    "phone_number_id",
                    "is not an id of digits; it is not the phone number but Meta's id of it",
                );
            }
            Numbers::One(id)
        }
        (None, Some(value)) => Numbers::Many(number_table(fields, value)),
        (None, None) => {
            if word == "cloud_api" {
                fields.problem(
                    "phone_number_id",
                    "is missing; WhatsApp Manager shows it under API setup",
                );
            }
            Numbers::One(String::new())
        }
    };
    if word == "cloud_api" && !has_token && fields.object_lacks("access_token") {
        fields.problem(
            "access_token",
            "is missing; name the secret that holds the system user's token",
        );
    }
    Exit::CloudApi { numbers }
}

fn number_table(fields: &mut Fields<'_>, value: &Value) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    let Some(table) = value.as_object().filter(|table| !table.is_empty()) else {
        fields.problem(
            "phone_numbers",
            format!(
                "is {}; expected a table of business number = phone number id",
                shape(value)
            ),
        );
        return ids;
    };
    for (number, id) in table {
        let id = id.as_str().map(str::trim).unwrap_or_default();
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
            fields.problem(
                &path,
                "is not a business number; write it as \"+15550783881\"",
            );
        }
        if !is_id(id) {
            fields.problem(&path, "is not set to a phone number id of digits in quotes");
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
