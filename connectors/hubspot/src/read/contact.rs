//! The contact's look-ups and its creation.

use handoffd_contract::{HttpReply, Learned, Reason, Step, Stop, Verdict};
use serde_json::{Value, json};

use super::{absent, bug, context, drop_fields, id, id_of};
use crate::errors::{conflicts, existing_id, faults};
use crate::errors::{otherwise, words};
use crate::facts;
use crate::settings::Settings;
use crate::whose::{Candidate, Customer, Numbers};

/// How many contacts are kept of a search, the closest.
const MAX_ALIKE: usize = 10;

fn customer(step: &Step) -> Option<Customer> {
    serde_json::from_value(step.context["customer"].clone()).ok()
}

fn written<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn look(settings: &Settings, step: &Step, reply: &HttpReply) -> Verdict {
    let Some(customer) = customer(step) else {
        return bug(step);
    };
    let (fact, property) = (context(step, "fact"), context(step, "property"));
    if let Some((id, body)) = id_of(reply) {
        let found = Candidate::judge(settings, &customer, id, &body["properties"]);
        return Verdict::known(fact, written(&found));
    }
    match reply.status {
        404 => Verdict::known(fact, "-"),
        // An address that HubSpot does not take for one is nobody's.
        400 if step.name == "contact.email" => Verdict::known(fact, "-"),
        // A portal without this property keeps the user id where it keeps the number.
        400 if property == settings.user_id_property => Verdict::Known(vec![
            Learned::is(fact, "-"),
            Learned::is(facts::drop("contact", property), "PROPERTY_DOESNT_EXIST"),
        ]),
        400 => Verdict::Never(Stop::new(
            Reason::Invalid,
            format!(
                "contacts cannot be read by their property {property} (does it exist, with unique values? `handoffd check --live` adds it): {}",
                words(step, reply)
            ),
        )),
        _ => otherwise(step, reply),
    }
}

pub(super) fn search(settings: &Settings, step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    else {
        // A portal that lacks one of the newer properties; the old ones are everywhere.
        if reply.status == 400 && step.context["plain"] == json!(false) {
            return Verdict::known(facts::PLAIN_SEARCH, "400");
        }
        return otherwise(step, reply);
    };
    let Some(customer) = customer(step) else {
        return bug(step);
    };
    let results = body["results"].as_array().into_iter().flatten();
    let mut found: Vec<Candidate> = results
        .filter_map(|result| {
            let id = id(&result["id"])?;
            Some(Candidate::judge(
                settings,
                &customer,
                id,
                &result["properties"],
            ))
        })
        .filter(|found| found.numbers >= Numbers::Alike)
        .collect();
    // The closest first, and of those the oldest.
    found.sort_by_key(|found| {
        let id = found.id.parse::<u64>().unwrap_or(u64::MAX);
        (std::cmp::Reverse(found.numbers), found.clash.is_some(), id)
    });
    found.truncate(MAX_ALIKE);
    let mut learned = vec![Learned::is(facts::LOOK_PHONE, written(&found))];
    if body["paging"]["next"]["after"].is_string() {
        learned.push(Learned::is(facts::LOOK_PHONE_MORE, "more"));
    }
    Verdict::Known(learned)
}

/// The properties that identify, as far as a request wrote them.
fn identity(settings: &Settings, sent: &Value) -> Vec<&'static str> {
    [
        (settings.wa_id_property.as_str(), "wa"),
        (settings.user_id_property.as_str(), "user"),
        ("phone", "phone"),
        ("email", "email"),
    ]
    .into_iter()
    .filter(|(name, _)| sent[*name].is_string())
    .map(|(_, held)| held)
    .collect()
}

pub(super) fn upsert(settings: &Settings, step: &Step, reply: &HttpReply) -> Verdict {
    let body = reply.json().unwrap_or_default();
    let sent = super::request(step);
    let properties = &sent["inputs"][0]["properties"];
    if let Some(id) = id(&body["results"][0]["id"]).filter(|_| reply.ok()) {
        return Verdict::Known(vec![
            Learned::is(facts::CONTACT, id),
            Learned::is(facts::CONTACT_WAY, "created"),
            Learned::is(facts::CONTACT_HAS, identity(settings, properties).join(" ")),
        ]);
    }
    if let Some(learned) = refused_identity(settings, step, reply, properties) {
        return Verdict::Known(learned);
    }
    match reply.status {
        207 | 400 => drop_fields(step, reply, "contact", &[context(step, "key")]),
        _ => otherwise(step, reply),
    }
}

/// Another record holds a value that identifies: it stays with that one. Whether it is a contact that
/// can be seen is looked up again; one in the recycle bin cannot, and may hold its value all the same.
pub(super) fn refused_identity(
    settings: &Settings,
    step: &Step,
    reply: &HttpReply,
    sent: &Value,
) -> Option<Vec<Learned>> {
    if !matches!(reply.status, 207 | 400 | 409) {
        return None;
    }
    if sent["email"].is_string() {
        let named = faults(&reply.json().unwrap_or_default());
        let by_email = existing_id(reply).or_else(|| {
            let of_email = named
                .iter()
                .any(|fault| fault.field == "email" && fault.code.contains("CONFLICT"));
            of_email.then(String::new)
        });
        if let Some(id) = by_email {
            let whose = if id.is_empty() {
                "another contact".to_owned()
            } else {
                format!("contact {id}")
            };
            let fact = facts::drop("contact", "email");
            let drop = Learned::is(fact, format!("{whose} has it"));
            return Some(absent(step).chain([drop]).collect());
        }
    }
    let own = [&settings.user_id_property, &settings.wa_id_property];
    let named = own
        .into_iter()
        .find(|name| sent[name.as_str()].is_string() && conflicts(reply, name));
    let name = named.map(String::as_str).or_else(|| {
        let unnamed = crate::errors::is_conflict(reply, context(step, "key"));
        Some(context(step, "key")).filter(|key| unnamed && !key.is_empty())
    })?;
    let again: Vec<String> =
        serde_json::from_value(step.context["looks"].clone()).unwrap_or_default();
    let learned = absent(step)
        .chain(again.iter().map(Learned::absent))
        .chain([Learned::is(facts::taken(name), "conflict")]);
    Some(learned.collect())
}
