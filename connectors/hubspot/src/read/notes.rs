//! Notes, communications and comments: written, or found by their marker.

use handoffd_contract::{HttpReply, Learned, Reason, Settled, Step, Verdict};
use serde_json::{Value, json};

use super::{absent, context, id, id_of};
use crate::errors::faults;
use crate::errors::otherwise;
use crate::facts;

/// A fact that a record settles, with what settles it where we chose that.
type Claimed = (String, Option<Settled>);

/// A record that is looked for: its marker, and what it settles.
type Wanted = (String, Vec<Claimed>);

pub(super) fn create(step: &Step, reply: &HttpReply) -> Verdict {
    let kind = context(step, "kind");
    if let Some((id, _)) = id_of(reply) {
        let claims = claims(&step.context);
        let learned = shown(&claims, kind, &id);
        return Verdict::Known(learned.into_iter().chain([dated(step)]).collect());
    }
    // Something that the note is attached to is not there; HubSpot does not say which status it gives.
    let text = String::from_utf8_lossy(&reply.body);
    let named = faults(&reply.json().unwrap_or_default());
    let link = reply.status == 404
        || reply.status == 400
            && named.is_empty()
            && ["OBJECT_NOT_FOUND", "ssociation"]
                .iter()
                .any(|word| text.contains(word));
    if link {
        if step.context["linked"] != json!(true) && step.context["optional"] == json!(true) {
            let facts = step.claims.iter().map(|claim| claim.fact.as_str());
            return Verdict::Known(facts.map(gone).collect());
        }
        // The ticket or the contact: the ticket is looked at.
        return Verdict::Known(
            absent(step)
                .chain([Learned::is(facts::DOUBT, reply.status.to_string())])
                .collect(),
        );
    }
    if reply.status == 400 && named.iter().any(|fault| fault.field == "hs_attachment_ids") {
        let fact = facts::drop(context(step, "fact"), "hs_attachment_ids");
        return Verdict::Known(absent(step).chain([Learned::is(fact, "refused")]).collect());
    }
    otherwise(step, reply)
}

/// A reply's note was brought up to date; one that a rep has deleted is not there any more.
pub(super) fn update(step: &Step, reply: &HttpReply) -> Verdict {
    if id_of(reply).is_some() {
        let told = step.claims.iter();
        let told = told.map(|claim| Learned::is(&claim.fact, "done"));
        return Verdict::Known(told.chain([dated(step)]).collect());
    }
    match reply.status {
        404 => {
            let gone = Learned::absent(context(step, "note"));
            Verdict::Known(absent(step).chain([gone]).collect())
        }
        _ => otherwise(step, reply),
    }
}

/// What would have been shown on a record that is gone.
pub(super) fn gone(fact: &str) -> Learned {
    Learned::refused(
        fact,
        Reason::NotFound,
        "the record that it belongs to is gone",
    )
}

/// What a record shows: what we chose, else the record itself.
fn shown(claims: &[Claimed], kind: &str, id: &str) -> Vec<Learned> {
    let record = Settled::from(facts::record(kind, id));
    claims
        .iter()
        .map(|(fact, chosen)| Learned::is(fact, chosen.as_ref().unwrap_or(&record)))
        .collect()
}

/// What a record settles, as the plan wrote it down.
fn claims(entry: &Value) -> Vec<Claimed> {
    serde_json::from_value(entry["claims"].clone()).unwrap_or_default()
}

/// A record of ours was found, so the event's dates are in use.
fn dated(step: &Step) -> Learned {
    Learned::is(facts::CLOCK, context(step, "clock"))
}

/// The records that are looked for: marker, and what each settles.
fn wanted(step: &Step) -> Vec<Wanted> {
    let entries = step.context["wanted"].as_array().into_iter().flatten();
    entries
        .map(|entry| {
            let marker = entry["marker"].as_str().unwrap_or_default();
            (marker.to_owned(), claims(entry))
        })
        .collect()
}

/// Nothing that was looked for is there.
fn none_of(wanted: &[Wanted], listed: &str) -> Vec<Learned> {
    let claims = wanted.iter().flat_map(|(_, claims)| claims);
    claims
        .map(|(fact, _)| Learned::absent(fact))
        .chain([Learned::absent(listed)])
        .collect()
}

pub(super) fn list(step: &Step, reply: &HttpReply) -> Verdict {
    let listed = facts::listed(context(step, "kind"));
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    else {
        return match reply.status {
            404 => Verdict::Known(none_of(&wanted(step), &listed)),
            _ => otherwise(step, reply),
        };
    };
    let own: Vec<String> = serde_json::from_value(step.context["own"].clone()).unwrap_or_default();
    let mut ids: Vec<String> =
        serde_json::from_value(step.context["ids"].clone()).unwrap_or_default();
    let page = body["results"].as_array().into_iter().flatten();
    for found in page.filter_map(|entry| id(&entry["toObjectId"]).or_else(|| id(&entry["id"]))) {
        if own.binary_search(&found).is_err() && !ids.contains(&found) {
            ids.push(found);
        }
    }
    let after = body["paging"]["next"]["after"].as_str();
    if ids.is_empty() && after.is_none() {
        return Verdict::Known(none_of(&wanted(step), &listed));
    }
    let state = json!({"for": step.context["for"], "ids": ids, "after": after});
    Verdict::known(listed, state.to_string())
}

pub(super) fn texts(step: &Step, reply: &HttpReply) -> Verdict {
    let kind = context(step, "kind");
    let listed = facts::listed(kind);
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    else {
        return otherwise(step, reply);
    };
    let records = || body["results"].as_array().into_iter().flatten();
    let (mut learned, mut missing) = (Vec::new(), Vec::new());
    for (marker, claims) in wanted(step) {
        let holds = |record: &&Value| {
            record["properties"][context(step, "body")]
                .as_str()
                .is_some_and(|text| text.contains(&marker))
        };
        match records().find(holds).and_then(|record| id(&record["id"])) {
            Some(id) => learned.extend(shown(&claims, kind, &id).into_iter().chain([dated(step)])),
            None => missing.push((marker, claims)),
        }
    }
    let rest = step.context["rest"]
        .as_array()
        .is_some_and(|rest| !rest.is_empty());
    if missing.is_empty() {
        learned.push(Learned::absent(listed));
    } else if rest {
        let state = json!({"for": step.context["for"], "ids": step.context["rest"], "after": null});
        learned.push(Learned::is(listed, state.to_string()));
    } else {
        learned.extend(none_of(&missing, &listed));
    }
    Verdict::Known(learned)
}

pub(super) fn comments(step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    else {
        return otherwise(step, reply);
    };
    let mut learned = Vec::new();
    for (marker, claims) in wanted(step) {
        let holds = |message: &&Value| {
            ["text", "richText"].iter().any(|name| {
                message[*name]
                    .as_str()
                    .is_some_and(|text| text.contains(&marker))
            })
        };
        match body["results"]
            .as_array()
            .into_iter()
            .flatten()
            .find(holds)
            .and_then(|message| id(&message["id"]))
        {
            Some(id) => learned.extend(
                shown(&claims, "comments", &id)
                    .into_iter()
                    .chain([dated(step)]),
            ),
            None => learned.extend(claims.iter().map(|(fact, _)| Learned::absent(fact))),
        }
    }
    Verdict::Known(learned)
}
