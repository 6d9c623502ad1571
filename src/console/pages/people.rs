//! Users and tokens: who may sign in, and what scripts show.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use serde_json::{Value, json};

use crate::access::Role;
use crate::console::{Answer, Console, Failure, Visit};

/// So long tokens last that a form makes, in days; the first is chosen.
const DAYS: [u32; 4] = [90, 365, 30, 0];

/// Who may sign in, and which tokens there are.
pub(super) async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    console.people(&visit, json!({})).await
}

/// Makes a token, which the answer shows once.
pub(super) async fn make(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let mut wanted = json!({
        "name": visit.field("name").unwrap_or_default(), "role": visit.field("role").unwrap_or("viewer"),
    });
    if let Some(days) = visit
        .field("days")
        .and_then(|days| days.parse::<u32>().ok())
        && days > 0
    {
        wanted["days"] = days.into();
    }
    match console.api().post(&visit, "/v1/tokens", &wanted).await {
        Ok(made) => console.people(&visit, json!({"made": made})).await,
        Err(failure) if failure.status == 400 => {
            let value = json!({"error": failure.message, "wanted": wanted});
            console.people(&visit, value).await
        }
        Err(failure) => Err(failure),
    }
}

/// Takes a token away, once it was said what that does.
pub(super) async fn revoke(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    visit: Visit,
) -> Answer {
    let tokens = console.api().get(&visit, "/v1/tokens").await?;
    let found = tokens["tokens"].as_array().into_iter().flatten();
    let token = found.into_iter().find(|token| token["id"] == id.as_str());
    let token = token.ok_or_else(Failure::not_found)?;
    if visit.field("act") != Some("revoke-it") {
        return console
            .page(&visit, "token_revoke.html", json!({"token": token}))
            .await;
    }
    console
        .api()
        .delete(&visit, &format!("/v1/tokens/{id}"))
        .await?;
    Ok(Redirect::to("/access?done=revoked").into_response())
}

impl Console {
    async fn people(&self, visit: &Visit, more: Value) -> Answer {
        let users = self.api().get(visit, "/v1/users").await?;
        let tokens = self.api().get(visit, "/v1/tokens").await?;
        let roles = [Role::Viewer, Role::Operator, Role::Admin];
        let roles = roles.into_iter().filter(|role| visit.may(*role));
        let value = json!({
            "users": users["users"], "tokens": tokens["tokens"], "made": more["made"], "error": more["error"],
            "wanted": more["wanted"], "days": DAYS, "roles": roles.map(Role::word).collect::<Vec<_>>(),
            "is_revoked": visit.asked("done") == Some("revoked"),
        });
        self.page(visit, "access.html", value).await
    }
}
