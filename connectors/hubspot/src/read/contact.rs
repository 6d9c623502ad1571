//! The contact's look-ups and its creation.

use handoffd_contract::{HttpReply, Learned, Reason, Step, Stop, Verdict};
use serde_json::json;

use super::{bug, drop_fields, id, id_of, memo};
use crate::answer::{otherwise, words};
use crate::facts;
use crate::fault::existing_id;
use crate::phone::Phone;

pub(super) fn look(step: &Step, reply: &HttpReply) -> Verdict {
    if let Some((id, _)) = id_of(reply) {
        let way = Learned::is(facts::CONTACT_WAY, memo(step, "way"));
        return Verdict::Known(vec![Learned::is(facts::CONTACT, id), way]);
    }
    match reply.status {
        404 => Verdict::known(memo(step, "none"), "404"),
        // An address that HubSpot does not take for one is nobody's.
        400 if step.name == "contact.email" => Verdict::known(memo(step, "none"), "400"),
        400 => Verdict::Never(Stop::new(
            Reason::Invalid,
            format!(
                "contacts cannot be read by their property {} (does it exist, with unique values? `handoffd check --live` adds it): {}",
                memo(step, "property"),
                words(step, reply)
            ),
        )),
        _ => otherwise(step, reply),
    }
}

pub(super) fn search(step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    else {
        // A portal that lacks one of the newer properties; the old ones are everywhere.
        if reply.status == 400 && step.memo["plain"] == json!(false) {
            return Verdict::known(facts::PLAIN_SEARCH, "400");
        }
        return otherwise(step, reply);
    };
    let Some(phone) = Phone::parse(memo(step, "phone")) else {
        return bug(step);
    };
    let results = body["results"].as_array().into_iter().flatten();
    let mut same: Vec<(&str, u64, String)> = results
        .filter(|result| phone.is_of(&result["properties"]))
        .filter_map(|result| {
            let id = id(&result["id"])?;
            Some((
                result["createdAt"].as_str().unwrap_or("~"),
                id.parse().unwrap_or(u64::MAX),
                id,
            ))
        })
        .collect();
    same.sort();
    let mut ids = same.into_iter().map(|(_, _, id)| id);
    let Some(oldest) = ids.next() else {
        return Verdict::known(facts::NOT_PHONE, "none");
    };
    let mut learned = vec![
        Learned::is(facts::CONTACT, oldest),
        Learned::is(facts::CONTACT_WAY, "phone"),
    ];
    let others: Vec<String> = ids.take(5).collect();
    if !others.is_empty() {
        learned.push(Learned::is(facts::CONTACT_OTHERS, others.join(", ")));
    }
    Verdict::Known(learned)
}

pub(super) fn upsert(step: &Step, reply: &HttpReply) -> Verdict {
    let body = reply.json().unwrap_or_default();
    if let Some(id) = id(&body["results"][0]["id"]).filter(|_| reply.ok()) {
        return Verdict::Known(vec![
            Learned::is(facts::CONTACT, id),
            Learned::is(facts::CONTACT_WAY, "created"),
        ]);
    }
    // Somebody else has the e-mail address: that is the customer.
    if let Some(id) = existing_id(reply).filter(|_| matches!(reply.status, 207 | 400 | 409)) {
        return Verdict::Known(vec![
            Learned::is(facts::CONTACT, id),
            Learned::is(facts::CONTACT_WAY, "conflict"),
        ]);
    }
    match reply.status {
        207 | 400 => drop_fields(step, reply, "contact", &[memo(step, "key")]),
        _ => otherwise(step, reply),
    }
}
