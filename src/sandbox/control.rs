//! The control API: what the module's documentation lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::clock::Clock;
use super::faults::Faults;
use super::rules::{Fault, Rule};
use super::served::Served;
use super::wait::{self, Wait};

/// Acts may carry files.
const MAX_BODY: usize = 32 << 20;

/// Everything that is controlled.
pub(super) struct Control {
    pub targets: BTreeMap<String, Arc<Served>>,
    pub faults: Arc<Faults>,
    pub clock: Clock,
}

type Site = State<Arc<Control>>;
type Answer = Result<Json, Refused>;

/// The service of the control port.
pub(super) fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/credentials", get(credentials))
        .route("/clock", get(read_clock).post(set_clock))
        .route(
            "/faults",
            get(read_faults).post(add_fault).delete(clear_faults),
        )
        .route("/{target}/credentials", get(target_credentials))
        .route("/{target}/view", get(view))
        .route("/{target}/act", post(act))
        .route("/{target}/switch", post(switch))
        .route("/{target}/requests", get(requests))
        .route("/{target}/reset", post(reset))
        .route("/{target}/wait", get(wait))
        .fallback(|| async {
            Refused(
                StatusCode::NOT_FOUND,
                json!({"error": "no such endpoint; GET / lists them"}),
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(control)
}

impl Control {
    /// Puts a rule in force, or carries out one that strikes at once.
    pub(super) fn add(&self, rule: Rule) -> Result<Value, String> {
        rule.check()?;
        if rule.target != "*" && !self.targets.contains_key(&rule.target) {
            return Err(format!("target: no simulator is named {:?}", rule.target));
        }
        if !rule.fault.at_once() {
            return Ok(json!({"id": self.faults.add(rule)?}));
        }
        let mut streams = 0;
        for served in self
            .targets
            .values()
            .filter(|t| rule.target == "*" || rule.target == t.name())
        {
            let struck = served.open.order(&rule.filter, |order| match rule.fault {
                Fault::SilenceStreams { ms, .. } => {
                    order.silent_until = Some(Instant::now() + Duration::from_millis(ms));
                }
                _ => order.cut = true,
            });
            (0..struck).for_each(|_| served.happened(rule.fault.kind()));
            streams += struck;
        }
        Ok(json!({"streams": streams}))
    }

    pub(super) fn credentials(&self) -> Value {
        self.targets
            .iter()
            .map(|(name, served)| (name.clone(), served.credentials()))
            .collect()
    }
}

async fn index(State(control): Site) -> Json {
    let targets: BTreeMap<&str, String> = control
        .targets
        .values()
        .map(|t| (t.name(), t.base()))
        .collect();
    let switches: BTreeMap<&str, Value> = control
        .targets
        .values()
        .map(|t| (t.name(), t.switches()))
        .collect();
    Json(json!({
        "targets": targets,
        "switches": switches,
        "endpoints": {
            "GET /credentials": "what a client of each simulator needs",
            "GET /{target}/credentials": "what a client of one simulator needs",
            "GET /{target}/view": "everything that a rep or the customer sees",
            "POST /{target}/act": "acts as a rep or a customer; the acts are in the connector's README",
            "POST /{target}/switch": {"name": "…", "value": "…"},
            "GET /{target}/wait": "pointer=/a/0, equals=…, at_least=…, of=view|requests|faults, timeout_ms=…",
            "GET /{target}/requests": "counts and the last requests; since=n, bodies=1, list=0",
            "POST /{target}/reset": {"keep_switches": false},
            "GET /faults": "rules and counters",
            "POST /faults": "a rule or an array of rules",
            "DELETE /faults": "lifts every rule; target=… of one simulator",
            "GET /clock": "the simulators' time",
            "POST /clock": {"offset_ms": 0},
        },
    }))
}

async fn credentials(State(control): Site) -> Json {
    Json(control.credentials())
}

async fn read_clock(State(control): Site) -> Json {
    Json(json!({"now": control.clock.now(), "offset_ms": control.clock.offset_ms()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetClock {
    offset_ms: i64,
}

async fn set_clock(State(control): Site, body: Bytes) -> Answer {
    let SetClock { offset_ms } = parse(&body)?;
    control.clock.set_offset_ms(offset_ms);
    Ok(read_clock(State(control)).await)
}

async fn read_faults(State(control): Site) -> Json {
    Json(control.faults.report())
}

async fn add_fault(State(control): Site, body: Bytes) -> Answer {
    // Not by an untagged enum: its errors do not say which field is wrong.
    let rules: Vec<Value> = match parse(&body)? {
        Value::Array(rules) => rules,
        rule => return add_one(&control, rule).map(Json),
    };
    rules
        .into_iter()
        .map(|rule| add_one(&control, rule))
        .collect::<Result<Vec<_>, _>>()
        .map(|all| Json(all.into()))
}

fn add_one(control: &Control, rule: Value) -> Result<Value, Refused> {
    let rule = serde_json::from_value(rule).map_err(|error| refused(error.to_string()))?;
    control.add(rule).map_err(refused)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    target: Option<String>,
}

async fn clear_faults(State(control): Site, Query(which): Query<Which>) -> Json {
    control.faults.clear(which.target.as_deref());
    Json(control.faults.report())
}

async fn target_credentials(State(control): Site, Path(target): Path<String>) -> Answer {
    Ok(Json(find(&control, &target)?.credentials()))
}

async fn view(State(control): Site, Path(target): Path<String>) -> Answer {
    Ok(Json(find(&control, &target)?.view()))
}

async fn act(State(control): Site, Path(target): Path<String>, body: Bytes) -> Answer {
    let served = find(&control, &target)?;
    served.act(&parse(&body)?).map(Json).map_err(refused)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    name: String,
    value: Value,
}

async fn switch(State(control): Site, Path(target): Path<String>, body: Bytes) -> Answer {
    let served = find(&control, &target)?;
    let Switch { name, value } = parse(&body)?;
    served.switch(&name, &value).map_err(refused)?;
    Ok(Json(json!({"name": name, "value": value})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    since: u64,
    #[serde(default)]
    bodies: u8,
    #[serde(default = "one")]
    list: u8,
}

fn one() -> u8 {
    1
}

async fn requests(
    State(control): Site,
    Path(target): Path<String>,
    Query(list): Query<List>,
) -> Answer {
    let served = find(&control, &target)?;
    let mut answer = json!({"counts": served.counts()});
    if list.list != 0 {
        answer["requests"] = served.requests(list.since, list.bodies != 0).into();
    }
    Ok(Json(answer))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Reset {
    keep_switches: bool,
}

async fn reset(State(control): Site, Path(target): Path<String>, body: Bytes) -> Answer {
    let served = find(&control, &target)?;
    let Reset { keep_switches } = if body.is_empty() {
        Reset::default()
    } else {
        parse(&body)?
    };
    served.reset(keep_switches);
    Ok(Json(json!({})))
}

async fn wait(
    State(control): Site,
    Path(target): Path<String>,
    Query(wait): Query<Wait>,
) -> Answer {
    let result = find(&control, &target)?.wait(&wait).await;
    let outcome = wait::outcome(&result);
    if result.is_ok() {
        Ok(Json(outcome))
    } else {
        Err(Refused(StatusCode::REQUEST_TIMEOUT, outcome))
    }
}

/// A JSON answer.
struct Json(Value);

/// A refusal, in JSON.
struct Refused(StatusCode, Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        (
            [(header::CONTENT_TYPE, "application/json")],
            format!("{}\n", self.0),
        )
            .into_response()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

fn refused(words: String) -> Refused {
    Refused(StatusCode::BAD_REQUEST, json!({"error": words}))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| refused(error.to_string()))
}

fn find<'a>(control: &'a Control, name: &str) -> Result<&'a Arc<Served>, Refused> {
    control.targets.get(name).ok_or_else(|| {
        let names: Vec<&String> = control.targets.keys().collect();
        Refused(
            StatusCode::NOT_FOUND,
            json!({"error": format!("no simulator is named {name:?}"), "targets": names}),
        )
    })
}
