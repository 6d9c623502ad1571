//! What a reply proves about its step's facts.

use handoffd_contract::{Effect, HttpReply, Learned, MediaProblem, Reason, Reply, Step, Stop, Verdict};
use serde_json::{Value, json};

use crate::answer::{existing_id, faults, is_conflict, otherwise, words};
use crate::facts;
use crate::phone::Phone;
use crate::plan::THREAD;
use crate::settings::Settings;

/// What a reply proves.
pub fn read(settings: &Settings, step: &Step, reply: &Reply) -> Verdict {
    let reply = match reply {
        Reply::Http(reply) => reply,
        Reply::Media(problem) => return media(step, *problem),
        Reply::Published(_) => return bug(step),
    };
    match step.name {
        "contact.key" | "contact.email" => contact_look(step, reply),
        "contact.search" => contact_search(step, reply),
        "contact.upsert" => contact_upsert(step, reply),
        "contact.update" => patched(settings, step, reply, "contact"),
        "ticket.pipelines" => pipelines(step, reply),
        "ticket.owner" => owner(step, reply),
        "ticket.create" => ticket_create(step, reply),
        "ticket.look" => ticket_look(step, reply),
        "ticket.thread" => ticket_thread(step, reply),
        "ticket.check" => ticket_check(step, reply),
        "ticket.close" | "ticket.touch" => patched(settings, step, reply, "ticket"),
        "note.create" | "communication.create" | "comment.create" => note_create(step, reply),
        "notes.list" => notes_list(step, reply),
        "notes.read" => notes_read(step, reply),
        "comments.look" => comments_look(step, reply),
        "file.upload" => file_upload(step, reply),
        _ => bug(step),
    }
}

fn bug(step: &Step) -> Verdict {
    Verdict::Never(Stop::new(Reason::Bug, format!("no reader for the answer to {}", step.name)))
}

/// The `id` of a successful answer.
fn id_of(reply: &HttpReply) -> Option<(String, Value)> {
    let body = reply.json().filter(|_| reply.ok())?;
    let id = id(&body["id"])?;
    Some((id, body))
}

/// An id, whether written as text or as a number.
pub fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

fn memo<'s>(step: &'s Step, name: &str) -> &'s str {
    step.memo[name].as_str().unwrap_or_default()
}

fn contact_look(step: &Step, reply: &HttpReply) -> Verdict {
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

fn contact_search(step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = reply.json().filter(|body| reply.ok() && body["results"].is_array()) else {
        // A portal that lacks one of the newer properties; the old ones are everywhere.
        if reply.status == 400 && step.memo["plain"] == json!(false) {
            return Verdict::known(facts::PLAIN_SEARCH, "400");
        }
        return otherwise(step, reply);
    };
    let Some(phone) = Phone::parse(memo(step, "phone")) else { return bug(step) };
    let results = body["results"].as_array().into_iter().flatten();
    let mut same: Vec<(&str, u64, String)> = results
        .filter(|result| phone.is_of(&result["properties"]))
        .filter_map(|result| {
            let id = id(&result["id"])?;
            Some((result["createdAt"].as_str().unwrap_or("~"), id.parse().unwrap_or(u64::MAX), id))
        })
        .collect();
    same.sort();
    let mut ids = same.into_iter().map(|(_, _, id)| id);
    let Some(oldest) = ids.next() else { return Verdict::known(facts::NOT_PHONE, "none") };
    let mut learned = vec![Learned::is(facts::CONTACT, oldest), Learned::is(facts::CONTACT_WAY, "phone")];
    let others: Vec<String> = ids.take(5).collect();
    if !others.is_empty() {
        learned.push(Learned::is(facts::CONTACT_OTHERS, others.join(", ")));
    }
    Verdict::Known(learned)
}

fn contact_upsert(step: &Step, reply: &HttpReply) -> Verdict {
    let body = reply.json().unwrap_or_default();
    if let Some(id) = id(&body["results"][0]["id"]).filter(|_| reply.ok()) {
        return Verdict::Known(vec![Learned::is(facts::CONTACT, id), Learned::is(facts::CONTACT_WAY, "created")]);
    }
    // Somebody else has the e-mail address: that is the customer.
    if let Some(id) = existing_id(reply).filter(|_| matches!(reply.status, 207 | 400 | 409)) {
        return Verdict::Known(vec![Learned::is(facts::CONTACT, id), Learned::is(facts::CONTACT_WAY, "conflict")]);
    }
    match reply.status {
        207 | 400 => drop_fields(step, reply, "contact", &[memo(step, "key")]),
        _ => otherwise(step, reply),
    }
}

/// Optional fields that this portal refuses are left out the next time; anything else needs a person.
fn drop_fields(step: &Step, reply: &HttpReply, section: &str, required: &[&str]) -> Verdict {
    let refused = faults(&reply.json().unwrap_or_default());
    let droppable = !refused.is_empty() && refused.iter().all(|fault| !required.contains(&fault.field.as_str()) && sent(step, &fault.field));
    if !droppable {
        return Verdict::Never(Stop::new(Reason::Invalid, words(step, reply)));
    }
    let dropped = refused.iter().map(|fault| Learned::is(facts::drop(section, &fault.field), &fault.code));
    Verdict::Known(dropped.chain(absent(step)).collect())
}

/// Whether the request carried this property.
fn sent(step: &Step, field: &str) -> bool {
    let handoffd_contract::Call::Http(call) = &step.call else { return false };
    let handoffd_contract::Body::Json(body) = &call.body else { return false };
    [&body["properties"], &body["inputs"][0]["properties"]].iter().any(|properties| !properties[field].is_null())
}

/// Every fact of the step, as absent.
fn absent(step: &Step) -> impl Iterator<Item = Learned> + '_ {
    step.claims.iter().map(|claim| Learned::absent(&claim.fact))
}

/// An update that may be repeated, of the contact or the ticket.
fn patched(settings: &Settings, step: &Step, reply: &HttpReply, section: &str) -> Verdict {
    let done = |how: Option<&str>| {
        let value = |candidate: &Option<String>| how.map(str::to_owned).or_else(|| candidate.clone()).unwrap_or_default();
        Verdict::Known(step.claims.iter().map(|claim| Learned::is(&claim.fact, value(&claim.candidate))).collect())
    };
    if reply.ok() && reply.json().is_some() {
        return done(None);
    }
    match (step.name, reply.status) {
        // The record is gone: there is nothing left to be brought up to date.
        (_, 404) => done(Some("gone")),
        ("ticket.close", _) => otherwise(step, reply),
        // Another contact holds the key; it stays with that one.
        ("contact.update", 400 | 409) if is_conflict(reply, &settings.wa_id_property) => done(Some("taken")),
        (_, 400) => drop_fields(step, reply, section, &[]),
        _ => otherwise(step, reply),
    }
}

fn pipelines(step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = reply.json().filter(|body| reply.ok() && body["results"].is_array()) else {
        return otherwise(step, reply);
    };
    let is = |entry: &&Value, name: &str| {
        let same = |member: &str| entry[member].as_str().is_some_and(|text| text.trim().eq_ignore_ascii_case(name));
        same("id") || same("label")
    };
    let labels = |entries: &Value| {
        let one = |entry: &Value| format!("{} ({})", entry["label"].as_str().unwrap_or("?"), entry["id"].as_str().unwrap_or("?"));
        entries.as_array().into_iter().flatten().take(20).map(one).collect::<Vec<_>>().join(", ")
    };
    let never = |what: &str, name: &str, entries: &Value| {
        let words = format!("HubSpot has no {what} `{name}`; it has {}", labels(entries));
        Verdict::Never(Stop::new(Reason::NotFound, words))
    };
    let wanted = memo(step, "pipeline");
    let Some(pipeline) = body["results"].as_array().into_iter().flatten().find(|entry| is(entry, wanted)) else {
        return never("ticket pipeline", wanted, &body["results"]);
    };
    let mut learned: Vec<Learned> = id(&pipeline["id"]).map(|id| Learned::is(facts::PIPELINE, id)).into_iter().collect();
    for (name, fact) in [("stage", facts::STAGE), ("closed", facts::CLOSED_STAGE)] {
        let Some(wanted) = step.memo[name].as_str() else { continue };
        match pipeline["stages"].as_array().into_iter().flatten().find(|entry| is(entry, wanted)) {
            Some(stage) => learned.extend(id(&stage["id"]).map(|id| Learned::is(fact, id))),
            None => return never("ticket stage", wanted, &pipeline["stages"]),
        }
    }
    Verdict::Known(learned)
}

fn owner(step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = reply.json().filter(|body| reply.ok() && body["results"].is_array()) else {
        return otherwise(step, reply);
    };
    // Without an owner the ticket is better than no ticket.
    let found = id(&body["results"][0]["id"]);
    Verdict::known(facts::OWNER, found.unwrap_or_else(|| format!("!No HubSpot owner has the address {}", memo(step, "email"))))
}

fn ticket_create(step: &Step, reply: &HttpReply) -> Verdict {
    if let Some((id, body)) = id_of(reply) {
        return Verdict::Known(opened(step, &id, &body, true));
    }
    let key = memo(step, "key");
    if is_conflict(reply, key) {
        // It is there already: read it by its key and adopt it.
        return Verdict::Known(absent(step).chain([Learned::is(facts::TICKET_CONFLICT, "said")]).collect());
    }
    if reply.status == 400 {
        let required: Vec<&str> = step.memo["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        return drop_fields(step, reply, "ticket", &required);
    }
    otherwise(step, reply)
}

/// Everything that a ticket of ours proves. `whole`: its description is the one of this handoff.
fn opened(step: &Step, id: &str, body: &Value, whole: bool) -> Vec<Learned> {
    let mut learned = vec![Learned::is(facts::TICKET, id), Learned::absent(facts::TICKET_CONFLICT)];
    if let Some(url) = body["url"].as_str().filter(|url| url.starts_with("https://") || url.starts_with("http://")) {
        learned.push(Learned::is(facts::TICKET_URL, url));
    }
    let thread = body["properties"][THREAD].as_str().filter(|thread| !thread.is_empty()).unwrap_or("-");
    for claim in step.claims.iter().filter(|claim| claim.fact != facts::TICKET) {
        let shown = facts::record("tickets", id);
        learned.push(match claim.fact.as_str() {
            fact if fact.starts_with("thread/") => Learned::is(fact, thread),
            fact if !whole => Learned::absent(fact),
            fact => Learned::is(fact, claim.candidate.clone().unwrap_or(shown)),
        });
    }
    learned
}

fn ticket_look(step: &Step, reply: &HttpReply) -> Verdict {
    if let Some((id, body)) = id_of(reply) {
        let content = body["properties"]["content"].as_str().unwrap_or_default();
        return Verdict::Known(opened(step, &id, &body, content.contains(memo(step, "marker"))));
    }
    match (reply.status, step.memo["conflict"].as_str()) {
        (404, None) => Verdict::Absent,
        (404, Some("archived")) => Verdict::Never(Stop::new(
            Reason::NotFound,
            "HubSpot says that this session has a ticket, but does not show it; was it deleted?",
        )),
        (404, Some(_)) => Verdict::Known(absent(step).chain([Learned::is(facts::TICKET_CONFLICT, "archived")]).collect()),
        _ => otherwise(step, reply),
    }
}

fn ticket_thread(step: &Step, reply: &HttpReply) -> Verdict {
    match (id_of(reply), reply.status) {
        (Some((_, body)), _) => {
            let thread = body["properties"][THREAD].as_str().filter(|thread| !thread.is_empty());
            Verdict::known(memo(step, "fact"), thread.unwrap_or("-"))
        }
        (None, 404) => Verdict::Known(vec![Learned::is(memo(step, "fact"), "-"), Learned::is(facts::DOUBT, "404")]),
        _ => otherwise(step, reply),
    }
}

fn deleted(ticket: &str) -> Verdict {
    Verdict::Never(Stop::new(
        Reason::NotFound,
        format!(
            "ticket {ticket} was deleted in HubSpot, so the conversation is not shown there any more; restore it and retry, or skip"
        ),
    ))
}

fn ticket_check(step: &Step, reply: &HttpReply) -> Verdict {
    match (id_of(reply), reply.status) {
        // The ticket is there, so it is the contact that is gone.
        (Some(_), _) => {
            Verdict::Known(vec![Learned::absent(facts::DOUBT), Learned::is(facts::CONTACT_GONE, "the contact was not found")])
        }
        (None, 404) => deleted(memo(step, "ticket")),
        _ => otherwise(step, reply),
    }
}

fn note_create(step: &Step, reply: &HttpReply) -> Verdict {
    let kind = memo(step, "kind");
    let learn = |id: &str| shown(step.claims.iter().map(|claim| (claim.fact.as_str(), claim.candidate.as_deref())), kind, id);
    if let Some((id, _)) = id_of(reply) {
        return Verdict::Known(learn(&id).into_iter().chain([dated(step)]).collect());
    }
    // Something that the note is attached to is not there; HubSpot does not say which status it gives.
    let text = String::from_utf8_lossy(&reply.body);
    let named = faults(&reply.json().unwrap_or_default());
    let link = reply.status == 404
        || reply.status == 400 && named.is_empty() && ["OBJECT_NOT_FOUND", "ssociation"].iter().any(|word| text.contains(word));
    if link {
        if step.memo["optional"] == json!(true) {
            return Verdict::Known(step.claims.iter().map(|claim| Learned::is(&claim.fact, "!gone")).collect());
        }
        if step.memo["linked"] == json!(true) {
            return Verdict::Known(absent(step).chain([Learned::is(facts::DOUBT, reply.status.to_string())]).collect());
        }
        return deleted(memo(step, "ticket"));
    }
    if reply.status == 400 && named.iter().any(|fault| fault.field == "hs_attachment_ids") {
        let fact = facts::drop(memo(step, "fact"), "hs_attachment_ids");
        return Verdict::Known(absent(step).chain([Learned::is(fact, "refused")]).collect());
    }
    otherwise(step, reply)
}

/// What a record shows: candidates where we chose the value, else the record itself.
fn shown<'c>(claims: impl Iterator<Item = (&'c str, Option<&'c str>)>, kind: &str, id: &str) -> Vec<Learned> {
    let record = facts::record(kind, id);
    claims.map(|(fact, value)| Learned::is(fact, value.unwrap_or(&record))).collect()
}

/// A record of ours was found, so the event's dates are in use.
fn dated(step: &Step) -> Learned {
    Learned::is(facts::CLOCK, memo(step, "clock"))
}

/// The records that are looked for: marker, and what each settles.
fn wanted(step: &Step) -> Vec<(String, Vec<(String, Option<String>)>)> {
    let entries = step.memo["wanted"].as_array().into_iter().flatten();
    entries
        .map(|entry| {
            let claims = serde_json::from_value(entry["claims"].clone()).unwrap_or_default();
            (entry["marker"].as_str().unwrap_or_default().to_owned(), claims)
        })
        .collect()
}

fn borrow(claims: &[(String, Option<String>)]) -> impl Iterator<Item = (&str, Option<&str>)> {
    claims.iter().map(|(fact, value)| (fact.as_str(), value.as_deref()))
}

/// Nothing that was looked for is there.
fn none_of(wanted: &[(String, Vec<(String, Option<String>)>)], listed: &str) -> Vec<Learned> {
    let claims = wanted.iter().flat_map(|(_, claims)| claims);
    claims.map(|(fact, _)| Learned::absent(fact)).chain([Learned::absent(listed)]).collect()
}

fn notes_list(step: &Step, reply: &HttpReply) -> Verdict {
    let listed = facts::listed(memo(step, "kind"));
    let Some(body) = reply.json().filter(|body| reply.ok() && body["results"].is_array()) else {
        return match reply.status {
            404 => Verdict::Known(none_of(&wanted(step), &listed)),
            _ => otherwise(step, reply),
        };
    };
    let own: Vec<String> = serde_json::from_value(step.memo["own"].clone()).unwrap_or_default();
    let mut ids: Vec<String> = serde_json::from_value(step.memo["ids"].clone()).unwrap_or_default();
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
    let state = json!({"for": step.memo["for"], "ids": ids, "after": after});
    Verdict::known(listed, state.to_string())
}

fn notes_read(step: &Step, reply: &HttpReply) -> Verdict {
    let kind = memo(step, "kind");
    let listed = facts::listed(kind);
    let Some(body) = reply.json().filter(|body| reply.ok() && body["results"].is_array()) else {
        return otherwise(step, reply);
    };
    let records = || body["results"].as_array().into_iter().flatten();
    let (mut learned, mut missing) = (Vec::new(), Vec::new());
    for (marker, claims) in wanted(step) {
        let holds = |record: &&Value| record["properties"][memo(step, "body")].as_str().is_some_and(|text| text.contains(&marker));
        match records().find(holds).and_then(|record| id(&record["id"])) {
            Some(id) => learned.extend(shown(borrow(&claims), kind, &id).into_iter().chain([dated(step)])),
            None => missing.push((marker, claims)),
        }
    }
    let rest = step.memo["rest"].as_array().is_some_and(|rest| !rest.is_empty());
    if missing.is_empty() {
        learned.push(Learned::absent(listed));
    } else if rest {
        let state = json!({"for": step.memo["for"], "ids": step.memo["rest"], "after": null});
        learned.push(Learned::is(listed, state.to_string()));
    } else {
        learned.extend(none_of(&missing, &listed));
    }
    Verdict::Known(learned)
}

fn comments_look(step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = reply.json().filter(|body| reply.ok() && body["results"].is_array()) else {
        return otherwise(step, reply);
    };
    let mut learned = Vec::new();
    for (marker, claims) in wanted(step) {
        let holds = |message: &&Value| {
            ["text", "richText"].iter().any(|name| message[*name].as_str().is_some_and(|text| text.contains(&marker)))
        };
        match body["results"].as_array().into_iter().flatten().find(holds).and_then(|message| id(&message["id"])) {
            Some(id) => learned.extend(shown(borrow(&claims), "comments", &id).into_iter().chain([dated(step)])),
            None => learned.extend(claims.iter().map(|(fact, _)| Learned::absent(fact))),
        }
    }
    Verdict::Known(learned)
}

fn media(step: &Step, problem: MediaProblem) -> Verdict {
    match problem {
        MediaProblem::Unreachable => Verdict::later(Stop::new(Reason::MediaUnavailable, problem.words()), Effect::None),
        gone => Verdict::known(memo(step, "fact"), format!("!{}", gone.words())),
    }
}

fn file_upload(step: &Step, reply: &HttpReply) -> Verdict {
    let refused = |why: &str| Verdict::known(memo(step, "fact"), format!("!{why}"));
    match (id_of(reply), reply.status) {
        (Some((id, _)), _) => Verdict::known(memo(step, "fact"), id),
        // The plan decides what a portal takes; a file never holds up the conversation.
        (None, 413) => refused("the file is larger than HubSpot takes"),
        (None, 403) => refused("handoffd may not upload files to HubSpot (scope files)"),
        (None, 400 | 404 | 405 | 406 | 409 | 410..=415 | 422) => refused("HubSpot does not take this file"),
        _ => otherwise(step, reply),
    }
}
