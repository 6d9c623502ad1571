//! Error bodies in the documented shapes.
//! <https://developers.hubspot.com/docs/api-reference/error-handling>

use handoffd_contract::sandbox::Response;
use serde_json::{Value, json};

/// An answer, or the error that is one.
pub(super) type Answer = Result<Response, Response>;

/// A property that is refused.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub name: String,
    pub code: &'static str,
    pub message: String,
}

impl Refused {
    pub(super) fn new(name: &str, code: &'static str, message: impl Into<String>) -> Refused {
        Refused {
            name: name.to_owned(),
            code,
            message: message.into(),
        }
    }
}

fn body(category: &str, message: &str) -> Value {
    json!({
        "status": "error", "message": message, "correlationId": "0a1b2c3d-0000-4000-8000-00000000cafe", "category": category,
    })
}

pub(super) fn error(status: u16, category: &str, message: &str) -> Response {
    Response::json(status, &body(category, message))
}

pub(super) fn invalid(message: impl AsRef<str>) -> Response {
    error(400, "VALIDATION_ERROR", message.as_ref())
}

/// JSON that does not have the documented members or types.
pub(super) fn malformed(what: impl AsRef<str>) -> Response {
    invalid(format!(
        "Invalid input JSON on line 1, column 1: {}",
        what.as_ref()
    ))
}

/// Refused properties, named both in `errors[]` and, as JSON, inside the message.
pub(super) fn refused(problems: &[Refused]) -> Response {
    let inside: Vec<Value> = problems
        .iter()
        .map(|p| json!({"isValid": false, "message": p.message, "error": p.code, "name": p.name, "localizedErrorMessage": p.message}))
        .collect();
    let mut body = body(
        "VALIDATION_ERROR",
        &format!("Property values were not valid: {}", Value::Array(inside)),
    );
    body["errors"] = problems
        .iter()
        .map(|p| json!({"message": p.message, "code": p.code, "context": {"propertyName": [p.name]}}))
        .collect();
    Response::json(400, &body)
}

pub(super) fn required(kind: &str, names: &[&str]) -> Response {
    let mut body = body(
        "VALIDATION_ERROR",
        &format!("Error creating {kind}. Some required properties were not set."),
    );
    body["errors"] = json!([{
        "message": format!("Error creating {kind}. Some required properties were not set."),
        "code": "REQUIRED_PROPERTIES_MISSING", "context": {"properties": names},
    }]);
    Response::json(400, &body)
}

pub(super) fn not_found(message: &str) -> Response {
    error(404, "OBJECT_NOT_FOUND", message)
}

/// A path that no API has.
pub(super) fn no_route() -> Response {
    Response {
        headers: vec![("content-type".into(), "text/html".into())],
        ..Response::text(404, "<html><body>resource not found</body></html>")
    }
}

pub(super) fn wrong_method() -> Response {
    Response::text(405, "")
}

pub(super) fn unauthorized(expired: bool) -> Response {
    let (category, message) = if expired {
        (
            "EXPIRED_AUTHENTICATION",
            "The OAuth token used to make this call expired 5 second(s) ago.",
        )
    } else {
        (
            "INVALID_AUTHENTICATION",
            "Authentication credentials not found. This API supports OAuth 2.0 authentication.",
        )
    };
    error(401, category, message)
}

pub(super) fn missing_scope(scope: &str) -> Response {
    let message = "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.";
    let mut body = body("MISSING_SCOPES", message);
    body["errors"] = json!([{
        "message": "One or more of the following scopes are required.", "context": {"requiredGranularScopes": [scope]},
    }]);
    Response::json(403, &body)
}

/// Over a limit, in the two shapes that are seen.
pub(super) fn too_many(policy: &str, message: &str, retry_after: Option<i64>) -> Response {
    let mut body = json!({
        "status": "error", "message": message, "errorType": "RATE_LIMIT", "correlationId": "0a1b2c3d-0000-4000-8000-0000000000ff",
    });
    if !policy.is_empty() {
        body["policyName"] = json!(policy);
    }
    let response = Response::json(429, &body);
    match retry_after {
        Some(milliseconds) => {
            response.with("retry-after", ((milliseconds + 999) / 1_000).to_string())
        }
        None => response,
    }
}

/// JSON with no other members than these.
pub(super) fn only(value: &Value, allowed: &[&str]) -> Result<(), Response> {
    let Some(map) = value.as_object() else {
        return Err(malformed("Cannot deserialize value: an object is expected"));
    };
    match map.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(malformed(format!("Unrecognized field \"{key}\""))),
        None => Ok(()),
    }
}
