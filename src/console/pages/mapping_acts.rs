//! What the forms of a mapping's page ask for. Each is one call of the admin API.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value, json};

use super::mappings::{address, changes};
use crate::console::{Answer, Console, Failure, Visit};

/// The keys of a field that a form holds as texts.
const TEXTS: [&str; 7] = [
    "when",
    "default",
    "map_default",
    "type",
    "too_long",
    "misfit",
    "value",
];

/// What a form of a mapping's page asks for.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Answer {
    match visit.field("act") {
        Some("save") => console.save_field(&visit, &name).await,
        Some("add") => console.add_field(&visit, &name).await,
        Some("remove") => console.remove_field(&visit, &name).await,
        Some("discard") => {
            console
                .api()
                .delete(&visit, &format!("/v1/mappings/{name}/draft"))
                .await?;
            Ok(back(&visit, &name, "", "discarded"))
        }
        Some("read-schema") => {
            let path = format!("/v1/targets/{name}/schema/read");
            let (status, body) = console
                .api()
                .answer(&visit, Method::POST, &path, None, Some(&json!({})))
                .await?;
            refused_on_page(&console, &visit, &name, status, &body, "read").await
        }
        Some("dry-run") => console.dry_run(&visit, &name).await,
        Some("keep") => console.keep_test(&visit, &name).await,
        Some("publish") => console.publish_asked(&visit, &name, Value::Null).await,
        Some("publish-it") => console.publish_it(&visit, &name).await,
        Some("rebase") => console.rebase(&visit, &name).await,
        Some("restore") => console.restore(&visit, &name).await,
        _ => Err(Failure::bad_form("act: there is no such button")),
    }
}

fn event(visit: &Visit) -> Option<i64> {
    let event = visit.field("event").or_else(|| visit.asked("event"));
    event.and_then(|event| event.parse().ok())
}

fn revision(visit: &Visit) -> i64 {
    let revision = visit
        .field("revision")
        .and_then(|revision| revision.parse().ok());
    revision.unwrap_or(0)
}

/// Back to the page, with what was done.
fn back(visit: &Visit, name: &str, field: &str, done: &str) -> Response {
    let address = address(name, event(visit), field, "gets");
    let sign = if address.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{address}{sign}done={done}")).into_response()
}

/// The page again, with what was refused; or back where nothing was.
async fn refused_on_page(
    console: &Console,
    visit: &Visit,
    name: &str,
    status: StatusCode,
    body: &Value,
    done: &str,
) -> Answer {
    if status.is_success() {
        let field = visit.field("field").unwrap_or_default();
        return Ok(back(visit, name, field, done));
    }
    if matches!(status.as_u16(), 401 | 403 | 404) {
        let message = body["error"].as_str().unwrap_or_default().to_owned();
        return Err(Failure { status, message });
    }
    let more = json!({"error": body["error"]});
    let mut page = console.mapping(visit, name, more).await?;
    *page.status_mut() = status;
    Ok(page)
}

impl Console {
    /// Saves changes of fields over the draft's revision.
    async fn save(&self, visit: &Visit, name: &str, fields: Value, done: &str) -> Answer {
        let path = format!("/v1/mappings/{name}/draft");
        let body = json!({"fields": fields});
        let (status, body) = self
            .api()
            .answer(
                visit,
                Method::PUT,
                &path,
                Some(revision(visit)),
                Some(&body),
            )
            .await?;
        refused_on_page(self, visit, name, status, &body, done).await
    }

    async fn save_field(&self, visit: &Visit, name: &str) -> Answer {
        let field = visit.field("field").unwrap_or_default().to_owned();
        let edit = edit(visit)?;
        self.save(visit, name, json!({ field: edit }), "saved")
            .await
    }

    async fn add_field(&self, visit: &Visit, name: &str) -> Answer {
        let field = visit.field("field").unwrap_or_default().to_owned();
        let value = visit.field("value").unwrap_or_default();
        self.save(visit, name, json!({ field: {"value": value} }), "added")
            .await
    }

    async fn remove_field(&self, visit: &Visit, name: &str) -> Answer {
        let field = visit.field("field").unwrap_or_default().to_owned();
        self.save(visit, name, json!({ field: null }), "removed")
            .await
    }

    async fn dry_run(&self, visit: &Visit, name: &str) -> Answer {
        let path = format!("/v1/mappings/{name}/dry-run");
        let body = json!({"event": event(visit), "confirm": true});
        let (status, body) = self
            .api()
            .answer(visit, Method::POST, &path, None, Some(&body))
            .await?;
        if status.is_success() {
            return self.mapping(visit, name, json!({"dry": body})).await;
        }
        refused_on_page(self, visit, name, status, &body, "").await
    }

    async fn keep_test(&self, visit: &Visit, name: &str) -> Answer {
        let path = format!("/v1/mappings/{name}/tests/keep");
        let body = json!({"name": visit.field("name").unwrap_or_default(), "event": event(visit), "revision": revision(visit)});
        let (status, body) = self
            .api()
            .answer(visit, Method::POST, &path, None, Some(&body))
            .await?;
        refused_on_page(self, visit, name, status, &body, "kept").await
    }

    /// What publishing would do, and the form that does it.
    async fn publish_asked(&self, visit: &Visit, name: &str, error: Value) -> Answer {
        let view = self
            .api()
            .get(visit, &format!("/v1/mappings/{name}"))
            .await?;
        let expect = match view["draft"]["base"].as_i64() {
            Some(base) => base,
            None => return Err(Failure::bad_form("there is no draft to publish")),
        };
        let group = self.group_of(visit, name).await?;
        let path = format!("/v1/mappings/{name}/publish");
        let asked = json!({"expect": expect, "dry_run": true, "retry": !group.is_null(), "event": event(visit).filter(|_| !group.is_null())});
        let (status, body) = self
            .api()
            .answer(visit, Method::POST, &path, None, Some(&asked))
            .await?;
        if status == StatusCode::CONFLICT {
            return self.conflict(visit, name, &body).await;
        }
        let compared = self
            .api()
            .post(visit, &format!("/v1/mappings/{name}/compare"), &json!({}))
            .await;
        let compared = compared.unwrap_or(Value::Null);
        let blocked = if status.is_success() {
            Value::Null
        } else {
            body["error"].clone()
        };
        let value = json!({
            "target": name, "kind": view["kind"], "version": expect + 1, "expect": expect, "event": event(visit),
            "changes": changes(&body["changes"]), "tests": body["tests"], "blocked": blocked, "problems": body["problems"],
            "group": group, "retried": body["retried"].as_array().map_or(0, Vec::len), "error": error,
            "counts": compared["fields"], "of": compared["of"], "why": visit.field("why"),
            "stopped": compared["newly_stopped_count"], "passing": compared["newly_passing_count"],
        });
        self.page(visit, "mapping_publish.html", value).await
    }

    /// The parked group that the handoff which is looked at belongs to.
    async fn group_of(&self, visit: &Visit, name: &str) -> Result<Value, Failure> {
        let Some(event) = event(visit) else {
            return Ok(Value::Null);
        };
        let list = self
            .api()
            .get(visit, &format!("/v1/handoffs?target={name}&limit=200"))
            .await?;
        let mut all = list["handoffs"].as_array().into_iter().flatten();
        let one = all.find(|one| one["event"] == event && one["state"] == "parked");
        Ok(one.map_or(
            Value::Null,
            |one| json!({"reason": one["reason"], "message": one["message"]}),
        ))
    }

    async fn publish_it(&self, visit: &Visit, name: &str) -> Answer {
        let number = |key: &str| {
            visit
                .field(key)
                .and_then(|number| number.parse::<i64>().ok())
        };
        let mut asked = json!({"why": visit.field("why").unwrap_or_default(), "expect": number("expect").unwrap_or(0)});
        if visit.field("retry").is_some() {
            asked["retry"] = true.into();
            asked["event"] = event(visit).into();
        }
        let path = format!("/v1/mappings/{name}/publish");
        let (status, body) = self
            .api()
            .answer(visit, Method::POST, &path, None, Some(&asked))
            .await?;
        match status.as_u16() {
            200 => Ok(back(visit, name, "", "published")),
            409 => self.conflict(visit, name, &body).await,
            400 | 422 => self.publish_asked(visit, name, body["error"].clone()).await,
            _ => refused_on_page(self, visit, name, status, &body, "").await,
        }
    }

    /// What two have changed; nothing is published here.
    async fn conflict(&self, visit: &Visit, name: &str, body: &Value) -> Answer {
        let both: Vec<&str> = body["both"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let value = json!({
            "target": name, "error": body["error"], "base": body["base"], "latest": body["latest"], "revision": body["revision"],
            "mine": changes(&body["mine"]), "theirs": changes(&body["theirs"]), "both": both, "event": event(visit),
        });
        let mut page = self.page(visit, "mapping_conflict.html", value).await?;
        *page.status_mut() = StatusCode::CONFLICT;
        Ok(page)
    }

    async fn rebase(&self, visit: &Visit, name: &str) -> Answer {
        let theirs: Vec<&str> = visit
            .fields("both")
            .filter(|field| visit.field(&format!("take-{field}")) == Some("theirs"))
            .collect();
        let path = format!("/v1/mappings/{name}/draft/rebase");
        let body = json!({"theirs": theirs});
        let (status, body) = self
            .api()
            .answer(
                visit,
                Method::POST,
                &path,
                Some(revision(visit)),
                Some(&body),
            )
            .await?;
        refused_on_page(self, visit, name, status, &body, "rebased").await
    }

    async fn restore(&self, visit: &Visit, name: &str) -> Answer {
        let version = visit
            .field("version")
            .and_then(|version| version.parse::<i64>().ok());
        let body = json!({"version": version.unwrap_or(0), "revision": revision(visit)});
        let path = format!("/v1/mappings/{name}/restore");
        let (status, body) = self
            .api()
            .answer(visit, Method::POST, &path, None, Some(&body))
            .await?;
        refused_on_page(self, visit, name, status, &body, "restored").await
    }
}

/// The keys of a field as the form holds them; one that is empty is taken out.
fn edit(visit: &Visit) -> Result<Value, Failure> {
    let mut edit = Map::new();
    for key in TEXTS {
        let is_value = key == "value";
        if is_value && visit.field("plain").is_none() {
            continue;
        }
        let text = visit.field(key).unwrap_or_default();
        let value = if text.is_empty() && !is_value {
            Value::Null
        } else {
            text.into()
        };
        edit.insert(key.to_owned(), value);
    }
    let max = match visit.field("max") {
        None => Value::Null,
        Some(max) => max
            .trim()
            .parse::<u32>()
            .map(Value::from)
            .map_err(|_| Failure::bad_form("max: write a whole number of characters"))?,
    };
    edit.insert("max".into(), max);
    let required = visit.field("required").map_or(Value::Null, |_| true.into());
    edit.insert("required".into(), required);
    let (from, to): (Vec<&str>, Vec<&str>) =
        (visit.fields("from").collect(), visit.fields("to").collect());
    let pairs = from.into_iter().zip(to);
    let map: Map<String, Value> = pairs
        .filter(|(from, to)| !from.trim().is_empty() && !to.is_empty())
        .map(|(from, to)| (from.trim().to_owned(), to.into()))
        .collect();
    let map_default_stays = !map.is_empty();
    edit.insert(
        "map".into(),
        if map.is_empty() {
            Value::Null
        } else {
            map.into()
        },
    );
    if !map_default_stays {
        edit.insert("map_default".into(), Value::Null);
    }
    Ok(edit.into())
}
