//! What a reply proves about a step's facts.

use std::time::Duration;

use handoffd_contract::{
    Effect, HttpReply, Learned, MediaProblem, Reason, Repeat, Reply, Step, Stop, Verdict,
};
use serde_json::Value;

use crate::answer::{Answer, named};
use crate::plan::{ADOPTED, NONE, dropped_fact, hollow_fact};
use crate::{Creatio, phone, wire};

/// Columns without which a row makes no sense; all others can be left out.
const ESSENTIAL: [&str; 12] = [
    "Id",
    "Name",
    "Title",
    "Subject",
    "StartDate",
    "DueDate",
    "CaseId",
    "DetailedResult",
    "ContactId",
    "RegisteredOn",
    "MobilePhone",
    "Data",
];

/// What became of one row.
enum End {
    /// These facts are settled.
    Settled(Vec<Learned>),
    /// Nothing happened; come back.
    Nothing(Stop, Option<Duration>),
    /// It may have happened; come back and look.
    Unsettled(Stop, Option<Duration>),
    /// A person is needed.
    Never(Stop),
}

impl Creatio {
    /// Reads a reply.
    pub(crate) fn judge(&self, step: &Step, reply: &Reply) -> Verdict {
        match self.verdict(step, reply) {
            // What only looks has no effect.
            Verdict::Later { stop, after, .. } if step.repeat == Repeat::Safe => Verdict::Later {
                stop,
                after,
                effect: Effect::None,
            },
            verdict => verdict,
        }
    }

    fn verdict(&self, step: &Step, reply: &Reply) -> Verdict {
        let reply = match reply {
            Reply::Http(reply) => reply,
            Reply::Media(problem) => return media(step, *problem),
            Reply::Published(_) => {
                return Verdict::Never(Stop::new(Reason::Bug, "Creatio publishes nothing"));
            }
        };
        match step.name {
            "contact.numbers" => search(reply, |rows| Verdict::Known(vec![by_number(step, rows)])),
            "contact.columns" => search(reply, |rows| Verdict::Known(vec![by_columns(step, rows)])),
            "case.open" => search(reply, |rows| Verdict::Known(open_case(step, rows))),
            "case.is_open" => search(reply, |rows| Verdict::Known(is_open(step, rows))),
            "rows.create" => batch(step, reply, created),
            "rows.look" => batch(step, reply, looked),
            name if name.ends_with(".create") => single(created(
                &step.memo,
                Answer::of(reply),
                reply.json().as_ref(),
            )),
            name if name.ends_with(".look") => {
                single(looked(&step.memo, Answer::of(reply), reply.json().as_ref()))
            }
            "file.upload" => uploaded(step, reply),
            "file.remove" => removed(step, reply),
            _ => updated(step, reply),
        }
    }
}

/// A batch is answered part by part: what is settled is learned, what is not stays unsure and is
/// looked for. Only when nothing at all was learned must the engine wait.
fn batch(
    step: &Step,
    reply: &HttpReply,
    row: fn(&Value, Answer, Option<&Value>) -> End,
) -> Verdict {
    let answer = Answer::of(reply);
    if answer != Answer::Ok {
        let words = "$batch is refused; if a firewall blocks it, set batch = false";
        return match outer(answer) {
            End::Never(stop) if stop.reason != Reason::Forbidden => {
                Verdict::Never(Stop::new(stop.reason, format!("{words}: {}", stop.words)))
            }
            other => single(other),
        };
    }
    let json = reply.json();
    let Some(parts) = json
        .as_ref()
        .and_then(|json| json.get("responses"))
        .and_then(Value::as_array)
    else {
        return Verdict::later(Answer::Ok.stop(), Effect::Possible);
    };
    let mut learned = Vec::new();
    let mut wait: Option<(Stop, Option<Duration>)> = None;
    for (at, memo) in step.memo.as_array().into_iter().flatten().enumerate() {
        let id = format!("r{at}");
        let part = parts
            .iter()
            .find(|part| part.get("id").and_then(Value::as_str) == Some(&id));
        let Some(part) = part else { continue };
        let status = part
            .get("status")
            .and_then(Value::as_u64)
            .and_then(|s| u16::try_from(s).ok())
            .unwrap_or(0);
        let body = part.get("body");
        match row(memo, Answer::of_part(status, body), body) {
            End::Settled(facts) => learned.extend(facts),
            End::Nothing(stop, after) => {
                learned.extend(
                    claims(memo)
                        .into_iter()
                        .map(|(fact, _)| Learned::absent(fact)),
                );
                wait = wait.or(Some((stop, after)));
            }
            End::Unsettled(stop, after) => wait = wait.or(Some((stop, after))),
            // One refusal parks the lane at once; the rest is looked for when it goes on.
            End::Never(stop) => return Verdict::Never(stop),
        }
    }
    let some = learned.iter().any(|fact| fact.value.is_some());
    match wait {
        Some((stop, after)) if !some => Verdict::Later {
            stop,
            after,
            effect: Effect::Possible,
        },
        None if learned.is_empty() => Verdict::later(
            Stop::new(
                Reason::ServerError,
                "the batch answered for none of its parts",
            ),
            Effect::Possible,
        ),
        _ => Verdict::Known(learned),
    }
}

fn single(end: End) -> Verdict {
    match end {
        End::Settled(learned) => Verdict::Known(learned),
        End::Nothing(stop, after) => Verdict::Later {
            stop,
            after,
            effect: Effect::None,
        },
        End::Unsettled(stop, after) => Verdict::Later {
            stop,
            after,
            effect: Effect::Possible,
        },
        End::Never(stop) => Verdict::Never(stop),
    }
}

/// An answer that is no success, for a call that could have written.
fn outer(answer: Answer) -> End {
    let stop = answer.stop();
    match answer {
        Answer::SignedOut(_) => End::Nothing(stop, None),
        Answer::Slow(after, _) => End::Nothing(stop, after),
        Answer::Failed(after, _) => End::Unsettled(stop, after),
        Answer::Duplicate | Answer::Ok => End::Unsettled(stop, None),
        Answer::Forbidden(_)
        | Answer::Missing(_)
        | Answer::NoSet(_)
        | Answer::TooLarge(_)
        | Answer::Refused(_) => End::Never(stop),
    }
}

/// A row's facts, each with the value that it has once the row exists.
fn claims(memo: &Value) -> Vec<(String, String)> {
    let pair = |pair: &Value| {
        Some((
            pair.get(0)?.as_str()?.to_owned(),
            pair.get(1)?.as_str()?.to_owned(),
        ))
    };
    memo.get("claims")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(pair)
        .collect()
}

fn there(memo: &Value, body: Option<&Value>) -> Vec<Learned> {
    let mut learned: Vec<Learned> = claims(memo)
        .into_iter()
        .map(|(fact, value)| Learned::is(fact, value))
        .collect();
    let number = body
        .and_then(|body| body.get("Number"))
        .and_then(Value::as_str)
        .filter(|number| !number.is_empty());
    if let Some(number) = number.filter(|_| text(memo, "set") == "Case") {
        learned.push(Learned::is("case/number", number));
    }
    learned
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a body is the row itself. A proxy's page, or a routing error that comes with 200, is not.
fn is_row(memo: &Value, body: Option<&Value>) -> bool {
    let id = body
        .and_then(|body| body.get("Id"))
        .and_then(Value::as_str)
        .and_then(wire::guid);
    id.as_deref() == Some(text(memo, "id"))
}

fn created(memo: &Value, answer: Answer, body: Option<&Value>) -> End {
    if answer == Answer::Ok {
        return if is_row(memo, body) {
            End::Settled(there(memo, body))
        } else {
            End::Unsettled(answer.stop(), None)
        };
    }
    let set = text(memo, "set");
    match answer {
        Answer::Refused(words) => refused(memo, set, &words),
        Answer::Forbidden(words) => End::Never(Stop::new(
            Reason::Forbidden,
            format!(
                "the integration user may not create {set}: {words}. Grant the object and column permissions, and \"Access to OData\""
            ),
        )),
        Answer::NoSet(words) | Answer::Missing(words) => End::Never(Stop::new(
            Reason::NotFound,
            format!(
                "OData has no {set}: {words}. Case management is not installed, or OData is being rebuilt \
                 (a minute or two after a change of the configuration); then retry"
            ),
        )),
        Answer::TooLarge(words) => {
            End::Never(Stop::new(Reason::TooLarge, format!("{set}: {words}")))
        }
        other => outer(other),
    }
}

/// A value is refused. One optional thing does not stop a handoff: a column that the answer names is
/// left out from now on, a text that is refused is replaced, a file becomes a line.
fn refused(memo: &Value, set: &str, words: &str) -> End {
    let columns: Vec<String> = memo
        .get("columns")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|column| column.as_str().map(str::to_owned))
        .collect();
    let mut learned: Vec<Learned> = claims(memo)
        .into_iter()
        .map(|(fact, _)| Learned::absent(fact))
        .collect();
    let why = short(words);
    if let Some(column) = named(words, columns.iter()) {
        if !ESSENTIAL.contains(&column.as_str()) {
            learned.push(Learned::is(dropped_fact(set, column), why));
            return End::Settled(learned);
        }
        let replaceable = memo
            .get("hollow")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        if replaceable
            .filter_map(Value::as_str)
            .any(|name| name == column)
        {
            learned.push(Learned::is(hollow_fact(text(memo, "id")), why));
            return End::Settled(learned);
        }
    }
    if set == "CaseFile" {
        let fact = claims(memo)
            .into_iter()
            .map(|(fact, _)| fact)
            .next()
            .unwrap_or_default();
        return match fact.strip_prefix("filerow/") {
            Some(key) => {
                learned.push(Learned::is(
                    format!("file/{key}"),
                    format!("!Creatio refused it: {why}"),
                ));
                End::Settled(learned)
            }
            None => End::Settled(vec![Learned::is(fact, format!("!{why}"))]),
        };
    }
    End::Never(Stop::new(
        Reason::Invalid,
        format!("{set}: {words}. `handoffd check --live` looks up every configured id and column"),
    ))
}

/// Words for a fact's value.
fn short(words: &str) -> String {
    wire::one_line(words, 160)
}

fn looked(memo: &Value, answer: Answer, body: Option<&Value>) -> End {
    let absent = || {
        End::Settled(
            claims(memo)
                .into_iter()
                .map(|(fact, _)| Learned::absent(fact))
                .collect(),
        )
    };
    match answer {
        Answer::Ok if is_row(memo, body) => End::Settled(there(memo, body)),
        // Some builds answer a missing row with 200 and an empty list.
        Answer::Ok
            if body
                .and_then(|b| b.get("value"))
                .and_then(Value::as_array)
                .is_some_and(Vec::is_empty) =>
        {
            absent()
        }
        Answer::Missing(_) => absent(),
        // A look that did not succeed proves nothing, whatever stood in its way.
        other => match outer(other) {
            End::Nothing(stop, after) => End::Unsettled(stop, after),
            end => end,
        },
    }
}

/// A list of rows, or why there is none. Nothing was written.
fn search(reply: &HttpReply, found: impl FnOnce(&[Value]) -> Verdict) -> Verdict {
    match Answer::of(reply) {
        Answer::Ok => {
            let json = reply.json();
            match json
                .as_ref()
                .and_then(|json| json.get("value"))
                .and_then(Value::as_array)
            {
                Some(rows) => found(rows),
                None => Verdict::later(Answer::Ok.stop(), Effect::None),
            }
        }
        other => single(outer(other)),
    }
}

fn id(row: &Value, column: &str) -> Option<String> {
    row.get(column).and_then(Value::as_str).and_then(wire::guid)
}

/// The best row: the smallest rank, and among equals the most recent.
fn best(rows: &[Value], rank: impl Fn(&Value) -> Option<u8>) -> Option<&Value> {
    let mut ranked: Vec<(u8, &Value)> = rows
        .iter()
        .filter_map(|row| Some((rank(row)?, row)))
        .collect();
    ranked.sort_by(|(a, x), (b, y)| {
        a.cmp(b)
            .then_with(|| text(y, "CreatedOn").cmp(text(x, "CreatedOn")))
    });
    ranked.first().map(|(_, row)| *row)
}

fn by_number(step: &Step, rows: &[Value]) -> Learned {
    let wanted = text(&step.memo, "number");
    let rank = |row: &Value| {
        id(row, "ContactId")?;
        let live = row.get("NonActual").and_then(Value::as_bool) != Some(true);
        phone::rank(wanted, text(row, "Number")).filter(|_| live)
    };
    match best(rows, rank).and_then(|row| id(row, "ContactId")) {
        Some(contact) => Learned::is("contact", contact),
        None => Learned::is("contact/numbers", NONE),
    }
}

fn by_columns(step: &Step, rows: &[Value]) -> Learned {
    let wanted = text(&step.memo, "number");
    let rank = |row: &Value| {
        if id(row, "Id")? == text(&step.memo, "id") {
            return Some(0);
        }
        ["MobilePhone", "Phone"]
            .iter()
            .filter_map(|column| phone::rank(wanted, text(row, column)))
            .min()
            .map(|rank| rank + 1)
    };
    let found = best(rows, rank).and_then(|row| id(row, "Id"));
    Learned::is("contact/columns", found.unwrap_or_else(|| NONE.to_owned()))
}

fn open_case(step: &Step, rows: &[Value]) -> Vec<Learned> {
    let Some((row, case)) = rows.iter().find_map(|row| Some((row, id(row, "Id")?))) else {
        return vec![Learned::is("case/open", NONE)];
    };
    let mut learned = vec![
        Learned::is("case/open", case.clone()),
        Learned::is("case", case),
        Learned::is("since", text(&step.memo, "since")),
        Learned::is("fields", ADOPTED),
    ];
    if !text(row, "Number").is_empty() {
        learned.push(Learned::is("case/number", text(row, "Number")));
    }
    learned
}

fn is_open(step: &Step, rows: &[Value]) -> Vec<Learned> {
    let closing = text(&step.memo, "closing");
    if rows.is_empty() {
        return vec![
            Learned::is(closing, "already"),
            Learned::is(text(&step.memo, "closed"), "already"),
        ];
    }
    vec![Learned::is(closing, "open")]
}

fn uploaded(step: &Step, reply: &HttpReply) -> Verdict {
    let attached = || {
        step.claims
            .iter()
            .map(|c| Learned::is(&c.fact, c.candidate.as_deref().unwrap_or_default()))
            .collect()
    };
    let refused = |why: String| {
        Verdict::Known(
            step.claims
                .iter()
                .map(|claim| Learned::is(&claim.fact, format!("!{why}")))
                .collect(),
        )
    };
    match Answer::of(reply) {
        Answer::Ok => Verdict::Known(attached()),
        Answer::TooLarge(_) => refused("it is larger than this Creatio takes (MaxFileSize)".into()),
        Answer::Refused(words) => refused(format!("Creatio refused it: {}", short(&words))),
        Answer::Missing(_) => refused("its row was removed in Creatio".into()),
        Answer::Forbidden(words) => Verdict::Never(Stop::new(
            Reason::Forbidden,
            format!("the integration user may not write CaseFile.Data: {words}"),
        )),
        other => single(outer(other)),
    }
}

fn removed(step: &Step, reply: &HttpReply) -> Verdict {
    match Answer::of(reply) {
        Answer::Ok | Answer::Missing(_) => all(step),
        // An empty row that may not be removed is a blemish, not a reason to stop.
        Answer::Forbidden(_) | Answer::Refused(_) | Answer::NoSet(_) | Answer::TooLarge(_) => {
            all(step)
        }
        other => single(outer(other)),
    }
}

fn all(step: &Step) -> Verdict {
    Verdict::Known(
        step.claims
            .iter()
            .map(|c| Learned::is(&c.fact, c.candidate.as_deref().unwrap_or("done")))
            .collect(),
    )
}

fn updated(step: &Step, reply: &HttpReply) -> Verdict {
    let answer = Answer::of(reply);
    let set = if step.name.starts_with("activity") {
        "Activity"
    } else {
        "Case"
    };
    match answer {
        Answer::Ok => all(step),
        Answer::Refused(words) => {
            if step.name == "activity.remark" {
                return all(step);
            }
            let columns: Vec<String> = step.memo["columns"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|c| c.as_str().map(str::to_owned))
                .collect();
            match named(&words, columns.iter()).filter(|column| {
                step.name == "case.update" && !ESSENTIAL.contains(&column.as_str())
            }) {
                Some(column) => {
                    let mut learned: Vec<Learned> = step
                        .claims
                        .iter()
                        .map(|claim| Learned::absent(&claim.fact))
                        .collect();
                    learned.push(Learned::is(dropped_fact(set, column), short(&words)));
                    Verdict::Known(learned)
                }
                None => Verdict::Never(Stop::new(Reason::Invalid, format!("{set}: {words}"))),
            }
        }
        Answer::Forbidden(words) => Verdict::Never(Stop::new(
            Reason::Forbidden,
            format!("the integration user may not change {set}: {words}"),
        )),
        Answer::Missing(words) => Verdict::Never(Stop::new(
            Reason::NotFound,
            format!("this session's {set} is gone from Creatio: {words}"),
        )),
        other => single(outer(other)),
    }
}

/// The attachment's bytes could not be had; nothing was sent.
fn media(step: &Step, problem: MediaProblem) -> Verdict {
    if problem == MediaProblem::Unreachable {
        return Verdict::later(
            Stop::new(Reason::MediaUnavailable, problem.words()),
            Effect::None,
        );
    }
    Verdict::Known(
        step.claims
            .iter()
            .map(|claim| Learned::is(&claim.fact, format!("!{}", problem.words())))
            .collect(),
    )
}
