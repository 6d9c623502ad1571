//! `GET /v1/openapi.json`: every operation under `/v1` of the admin listener, as OpenAPI 3.1.
//!
//! An operation stands with its handler (`#[utoipa::path]`); here is the list of them. A test compares it
//! with the routes. Two types of one name would be one schema: name them apart, or say
//! `#[schema(as = …)]`. The role that an operation needs, and what all of them answer alike, is added here.

use std::sync::OnceLock;

use axum::Json;
use axum::http::Method;
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{access, dead_letters, operate, streams, view};
use crate::access::needed;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "handoffd",
        description = "What operators, admins and their scripts ask a running handoffd. Served on http.admin_listen.",
        license(name = "Apache-2.0")
    ),
    paths(
        openapi,
        access::me,
        access::users,
        access::tokens,
        access::make_token,
        access::revoke_token,
        access::audit,
        operate::status,
        operate::lanes,
        operate::parked,
        operate::retry,
        operate::skip,
        view::overview,
        view::sessions,
        view::find,
        view::session_timeline,
        view::unmask,
        view::mask,
        streams::tap,
        streams::live,
        operate::session,
        dead_letters::list_dead_letters,
        dead_letters::dead_letter,
        dead_letters::edit,
        dead_letters::readmit,
        dead_letters::readmit_all,
        dead_letters::drop_dead_letter,
        dead_letters::drop_all,
        crate::availability::availability,
    ),
    components(schemas(super::Wrong))
)]
struct Operations;

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "document",
    responses((status = 200, body = serde_json::Value)))]
pub(super) async fn openapi() -> Json<&'static Value> {
    Json(document())
}

/// The document.
#[must_use]
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut all = Operations::openapi();
        all.merge(crate::editor::operations());
        let mut document = serde_json::to_value(all).unwrap_or_default();
        document["components"]["securitySchemes"] = json!({
            "token": {"type": "http", "scheme": "bearer",
                "description": "The admin token, or one that somebody made: hndf_…"},
            "cookie": {"type": "apiKey", "in": "cookie", "name": "handoffd",
                "description": "A browser that is signed in; what is changed needs X-CSRF-Token, too. Its name is __Host-handoffd where the connection is private"},
        });
        document["security"] = json!([{"token": []}, {"cookie": []}]);
        let paths = document["paths"].as_object_mut();
        for (path, operations) in paths.into_iter().flatten() {
            for (method, operation) in operations.as_object_mut().into_iter().flatten() {
                complete(path, method, operation);
            }
        }
        document
    })
}

/// What holds for every operation: the role that it needs, and how it is refused.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) else {
        return;
    };
    let role = needed(&method, path);
    operation["operationId"] = json!(name(&method, path));
    operation["x-role"] = json!(role.word());
    let wrong = |description: String| {
        json!({"description": description,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Wrong"}}}})
    };
    let mut answers = vec![
        ("401", "It is not known who asks".to_owned()),
        ("403", format!("It needs the role {}", role.word())),
        ("503", "The ledger cannot be reached".to_owned()),
    ];
    if path.contains('{') {
        answers.push(("404", "There is none".to_owned()));
    }
    if operation["parameters"].is_array() {
        answers.push(("400", "A parameter is wrong".to_owned()));
    }
    if operation["requestBody"].is_object() {
        answers.extend([
            (
                "400",
                "The body is no JSON, or what it says does not fit".to_owned(),
            ),
            ("413", "The body is too long".to_owned()),
            ("415", "The body is not called application/json".to_owned()),
            (
                "422",
                "The body is JSON and not what is described".to_owned(),
            ),
        ]);
    }
    for (status, description) in answers {
        let known = operation["responses"].get(status).is_some();
        if !known {
            operation["responses"][status] = wrong(description);
        }
    }
}

/// An operation's name, which no other has: `GET /v1/sessions/{id}/timeline` is `getSessionsIdTimeline`.
fn name(method: &Method, path: &str) -> String {
    let words = path
        .trim_start_matches("/v1")
        .split(|c: char| !c.is_ascii_alphanumeric());
    let mut name = method.as_str().to_ascii_lowercase();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.extend(letters);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_by_what_it_is() {
        assert_eq!(
            name(&Method::GET, "/v1/sessions/{id}/timeline"),
            "getSessionsIdTimeline"
        );
        assert_eq!(
            name(&Method::POST, "/v1/dead-letters/retry"),
            "postDeadLettersRetry"
        );
    }
}
