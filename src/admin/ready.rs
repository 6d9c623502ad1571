//! `/readyz`: broker, ledger and each target, separately and honestly.
//!
//! 200 means: what the gateway gives us is taken and kept. A target that is down does not make the
//! daemon unready, because its work waits in the ledger; it is named all the same.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use handoffd_contract::Reason;
use serde_json::{Map, Value, json};

use super::Admin;
use crate::wire::breaker::{Breaker, Gate};

pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, Json<Value>) {
    let ledger = admin.gate.ledger.ping().await;
    let mut ready = ledger.is_ok();
    let ledger = match ledger {
        Ok(()) => json!({"ok": true}),
        Err(error) => json!({"ok": false, "message": error.to_string()}),
    };
    let broker = match &admin.broker {
        None => json!({"ok": true, "message": "none is configured; events come over HTTP"}),
        Some(state) => {
            let state = state.borrow().clone();
            let ok = state.connected && !state.blocked;
            ready &= ok;
            json!({
                "ok": ok, "connected": state.connected, "blocked": state.blocked, "message": state.message,
                "last_event_at": state.last_event_at,
            })
        }
    };
    let mut targets = Map::new();
    for (name, target) in &admin.engine.targets {
        targets.insert(name.clone(), target_json(&target.breaker));
    }
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({"ready": ready, "ledger": ledger, "broker": broker, "targets": targets})),
    )
}

/// A target is well while its circuit is closed and its credential is accepted. A rejected credential
/// counts from the first time, long before it opens the circuit.
fn target_json(breaker: &Breaker) -> Value {
    let rejected = breaker.rejected();
    let message = match breaker.gate() {
        Gate::Closed => None,
        Gate::Probe => Some("it failed repeatedly; one lane is trying it now".to_owned()),
        Gate::Open(left) => Some(format!(
            "it failed repeatedly; it is tried again in {} s",
            left.as_secs() + 1
        )),
    };
    let stop = rejected.or_else(|| breaker.why());
    let message = match &stop {
        Some(stop) if stop.reason == Reason::EndpointGone => {
            Some("nothing is sent until a person says that it takes events again".to_owned())
        }
        _ => message,
    };
    let Some(stop) = stop else {
        return json!({"ok": message.is_none(), "message": message});
    };
    let message = match message {
        Some(state) => format!("{}: {}; {state}", stop.reason.title(), stop.message),
        None => format!("{}: {}", stop.reason.title(), stop.message),
    };
    json!({"ok": false, "reason": stop.reason.label(), "message": message})
}
