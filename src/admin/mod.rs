//! What operators and their machines ask over HTTP: health, readiness, metrics, lanes. It has a
//! listener of its own, which whoever fills the public one cannot fill.
//!
//! | path | what |
//! | --- | --- |
//! | `GET /healthz` | the process answers; nothing more |
//! | `GET /readyz` | broker, ledger and each target, separately; 200 only when events can come in and be kept |
//! | `GET /metrics` | Prometheus |
//! | `GET /v1/lanes` | lanes: `?state=parked&target=…&reason=…&session=…&after=…` |
//! | `GET /v1/status` | everything that is not well, in order of weight |
//! | `GET /v1/parked` | parked lanes by reason, dead letters and webhooks |
//! | `GET /v1/overview` | how things are: what needs a person, each target, how much flows |
//! | `GET /v1/sessions` | conversations, found and listed: `?q=&controller=&target=&state=&window=&number=&since=&after=` |
//! | `POST /v1/search` | conversations by what a customer is known by, which belongs into no address |
//! | `GET /v1/sessions/{id}/timeline` | what happened to one conversation, entry by entry |
//! | `POST`, `DELETE /v1/sessions/{id}/unmask` | shows names and texts of one to who asks, for ten minutes; hides them again |
//! | `GET /v1/tap` | a stream of what happens: `?target=&type=&session=` |
//! | `GET /v1/live` | a stream of which parts of pages changed |
//! | `GET /v1/sessions/{id}` | what happened to one conversation |
//! | `GET /v1/targets/{name}/availability` | whether reps are there; see [`availability`](crate::availability) |
//! | `POST /v1/retry`, `POST /v1/skip` | `{"session": …}`, `{"reason": …}`, `{"target": …}` or `{"all": true}`, with `"dry_run": true` |
//! | `GET /v1/dead-letters` | what could not be understood: all by cause and source, and 200 after `?after=` |
//! | `GET /v1/dead-letters/{id}` | one of them with its body, without secrets |
//! | `POST /v1/dead-letters/{id}/retry`, `…/edit`, `…/drop` | judge one again, as it came or changed, or give it up |
//! | `POST /v1/dead-letters/retry`, `…/drop` | the same for all of one cause and source, or for all |
//!
//! | `GET /v1/openapi.json` | all of this as an OpenAPI 3.1 document |
//! | `GET /v1/me` | who asks, and what they may |
//! | `GET /v1/users` | who may sign in, and who did |
//! | `GET /v1/tokens`, `POST`, `DELETE /v1/tokens/{id}` | tokens of scripts: listed, made, taken away |
//! | `GET /v1/audit` | what was done by whom: `?who=…&what=…&after=…` |
//!
//! Everything under `/v1` wants to know who asks; see [`access`](crate::access).

mod access;
mod answers;
mod dead_letters;
pub(crate) mod openapi;
mod operate;
mod ready;
mod streams;
mod view;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use jiff::Timestamp;
use metrics::gauge;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::streams::Streams;
use crate::access::{Access, guard_api};
use crate::config::AmqpConfig;
use crate::editor::{self, Editor};
use crate::engine::Engine;
use crate::intake::Gate;
use crate::intake::amqp::IntakeState;
use crate::ledger::{LaneState, OperatorLedger, ViewLedger, WebhookLedger};
use crate::metrics as names;
use crate::operate::search::Remembered;
use crate::operate::unmask::Unmasked;

/// What the admin routes need.
pub struct Admin {
    /// What is remembered.
    pub ledger: Arc<dyn OperatorLedger>,
    /// The webhook queue.
    pub webhooks: Arc<dyn WebhookLedger>,
    /// What the pages read.
    pub view: Arc<dyn ViewLedger>,
    /// Searches that words stand for.
    pub searches: Remembered,
    /// Streams that are open.
    pub streams: Streams,
    /// Who sees names and texts of which conversation.
    pub unmasked: Unmasked,
    /// The engine, for the state of its targets.
    pub engine: Arc<Engine>,
    /// The intake's state; `None` when no broker is configured.
    pub broker: Option<watch::Receiver<IntakeState>>,
    /// Who asks, and what they may.
    pub access: Arc<Access>,
    /// For judging a dead letter again.
    pub gate: Gate,
    /// The metrics.
    pub prometheus: PrometheusHandle,
    /// RabbitMQ, to be asked how full its queues are.
    pub amqp: Option<AmqpConfig>,
    /// Every configured target, and whether it is enabled.
    pub configured: Vec<(String, bool)>,
    /// Mappings edited.
    pub editor: Arc<Editor>,
}

/// What is wrong with a request, in a sentence.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Wrong {
    /// What, and what to do.
    error: String,
}

/// The most bytes of a request: a selection of lanes is small.
const MAX_BODY: usize = 64 << 10;

/// The bounds of the histograms, in seconds.
const SECONDS: [f64; 12] = [
    0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0,
];

/// The process's metrics recorder; installed at the first call.
///
/// # Panics
/// When another recorder was installed before, which only a defect of `main` could do.
#[must_use]
pub fn prometheus() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            // Histograms rather than summaries, so that several daemons can be added up.
            let builder = PrometheusBuilder::new()
                .set_buckets(&SECONDS)
                .unwrap_or_default();
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_ok() {
                names::describe();
            }
            handle
        })
        .clone()
}

/// Every route.
pub fn routes(admin: Arc<Admin>) -> Router {
    let guarded = Router::new()
        .route("/v1/lanes", get(operate::lanes))
        .route("/v1/status", get(operate::status))
        .route("/v1/parked", get(operate::parked))
        .route("/v1/overview", get(view::overview))
        .route("/v1/search", post(view::find))
        .route("/v1/tap", get(streams::tap))
        .route("/v1/live", get(streams::live))
        .route("/v1/sessions", get(view::sessions))
        .route("/v1/sessions/{id}", get(operate::session))
        .route("/v1/sessions/{id}/timeline", get(view::session_timeline))
        .route(
            "/v1/sessions/{id}/unmask",
            post(view::unmask).delete(view::mask),
        )
        .route("/v1/retry", post(operate::retry))
        .route("/v1/skip", post(operate::skip))
        .route("/v1/dead-letters", get(dead_letters::list_dead_letters))
        .route("/v1/dead-letters/{id}", get(dead_letters::dead_letter))
        .route("/v1/dead-letters/retry", post(dead_letters::readmit_all))
        .route("/v1/dead-letters/drop", post(dead_letters::drop_all))
        .route("/v1/dead-letters/{id}/retry", post(dead_letters::readmit))
        .route("/v1/dead-letters/{id}/edit", post(dead_letters::edit))
        .route(
            "/v1/dead-letters/{id}/drop",
            post(dead_letters::drop_dead_letter),
        )
        .merge(editor::routes(Arc::clone(&admin.editor)))
        .route("/v1/openapi.json", get(openapi::openapi))
        .route("/v1/me", get(access::me))
        .route("/v1/users", get(access::users))
        .route("/v1/tokens", get(access::tokens).post(access::make_token))
        .route("/v1/tokens/{id}", delete(access::revoke_token))
        .route("/v1/audit", get(access::audit))
        .route_layer(middleware::from_fn_with_state(
            Arc::clone(&admin.access),
            guard_api,
        ));
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready::readyz))
        .route("/metrics", get(metrics_page))
        .merge(guarded)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(admin)
}

async fn metrics_page(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        admin.prometheus.render(),
    )
}

/// Keeps the gauges of the ledger current, and the recorder's histograms from growing.
pub async fn upkeep(
    ledger: Arc<dyn OperatorLedger>,
    targets: Vec<String>,
    disabled: Vec<String>,
    stop: CancellationToken,
) {
    let handle = prometheus();
    let mut reasons = std::collections::BTreeSet::new();
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        handle.run_upkeep();
        let now = Timestamp::now();
        let Ok(stats) = ledger.stats(now).await else {
            continue;
        };
        for (target, state, count) in &stats.lanes {
            gauge!(names::LANES, "target" => target.clone(), "state" => state.word())
                .set(*count as f64);
        }
        for (target, state) in missing(&stats.lanes) {
            gauge!(names::LANES, "target" => target, "state" => state.word()).set(0.0);
        }
        let due: std::collections::BTreeMap<_, _> = stats.oldest_due.iter().cloned().collect();
        for (target, _, _) in &stats.lanes {
            // What a disabled target has to do waits on purpose.
            let waited = due
                .get(target)
                .filter(|_| !disabled.contains(target))
                .map_or(0.0, |at| now.duration_since(*at).as_secs_f64().max(0.0));
            gauge!(names::OLDEST_DUE, "target" => target.clone()).set(waited);
        }
        for target in &targets {
            for (name, counts) in [
                (names::WEBHOOK_QUEUE, &stats.webhooks),
                (names::WEBHOOKS_PARKED, &stats.parked_webhooks),
            ] {
                let count = counts.iter().find(|(of, _)| of == target);
                gauge!(name, "target" => target.clone()).set(count.map_or(0, |(_, n)| *n) as f64);
            }
        }
        for (controller, count) in &stats.conversations {
            gauge!(names::SESSIONS, "controller" => controller.clone()).set(*count as f64);
        }
        let waited = stats
            .oldest_queued
            .map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
        gauge!(names::OLDEST_QUEUED).set(waited);
        for (target, reason, _) in &stats.waiting {
            reasons.insert((target.clone(), reason.clone()));
        }
        for (target, reason) in &reasons {
            let now = stats
                .waiting
                .iter()
                .find(|(t, r, _)| t == target && r == reason);
            gauge!(names::WAITING, "target" => target.clone(), "reason" => reason.clone())
                .set(now.map_or(0, |(_, _, count)| *count) as f64);
        }
        gauge!(names::DEAD_LETTERS).set(stats.dead_letters as f64);
    }
}

/// States in which a target has no lane now, so that their gauge falls back to zero.
fn missing(lanes: &[(String, LaneState, i64)]) -> Vec<(String, LaneState)> {
    let targets: std::collections::BTreeSet<&String> =
        lanes.iter().map(|(target, _, _)| target).collect();
    let mut missing = Vec::new();
    for target in targets {
        for state in [
            LaneState::Idle,
            LaneState::Due,
            LaneState::Held,
            LaneState::Parked,
        ] {
            if !lanes.iter().any(|(t, s, _)| t == target && *s == state) {
                missing.push((target.clone(), state));
            }
        }
    }
    missing
}
