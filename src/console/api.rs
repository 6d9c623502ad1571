//! The admin API, called from inside: a page reads and does nothing that a script could not.
//!
//! A call carries what the browser sent, so that the API's own guard judges it: who asks, what they
//! may, and whether a form was sent from one of our pages.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;

use super::visit::Visit;

/// The most bytes of an answer that a page reads.
const MAX_ANSWER: usize = 8 << 20;

/// What a script shows in place of a form's field.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// What the browser says about the body that it sent to us and about what it takes, which says nothing
/// of the call that a page makes.
const NOT_PASSED_ON: [HeaderName; 9] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::RANGE,
    header::CONNECTION,
];

/// Why a page cannot show what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the API answered with.
    pub status: StatusCode,
    /// Its words.
    pub message: String,
}

impl Failure {
    /// Nothing is there.
    #[must_use]
    pub fn not_found() -> Failure {
        Failure {
            status: StatusCode::NOT_FOUND,
            message: String::new(),
        }
    }

    /// A page could not be made. The log holds why, under the number that the page shows.
    #[must_use]
    pub fn broken(why: &dyn std::fmt::Display) -> Failure {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let id = id[..8].to_owned();
        tracing::error!(id, error = %why, "a page could not be made");
        Failure {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: id,
        }
    }

    /// A form holds what it may not, or lacks what it must have.
    #[must_use]
    pub fn bad_form(message: impl Into<String>) -> Failure {
        Failure {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
        }
    }
}

/// The answer is a bare status with the failure attached, which is dressed as a page on its way out.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What a page's handler gives.
pub type Answer = Result<Response, Failure>;

/// The admin API.
pub struct Api {
    routes: TowerToHyperService<Router>,
}

impl Api {
    /// The API with these routes.
    #[must_use]
    pub fn new(routes: Router) -> Api {
        Api {
            routes: TowerToHyperService::new(routes),
        }
    }

    /// What `GET path` answers to whoever visits.
    ///
    /// # Errors
    /// The API's refusal.
    pub async fn get(&self, visit: &Visit, path: &str) -> Result<Value, Failure> {
        self.call(visit, Method::GET, path, None).await
    }

    /// What `POST path` answers to whoever visits.
    ///
    /// # Errors
    /// The API's refusal.
    pub async fn post(&self, visit: &Visit, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(visit, Method::POST, path, Some(body)).await
    }

    /// What `DELETE path` answers to whoever visits.
    ///
    /// # Errors
    /// The API's refusal.
    pub async fn delete(&self, visit: &Visit, path: &str) -> Result<Value, Failure> {
        self.call(visit, Method::DELETE, path, None).await
    }

    async fn call(
        &self,
        visit: &Visit,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let (status, value) = self.answer(visit, method, path, None, body).await?;
        if status.is_success() {
            return Ok(value);
        }
        let message = match (&value, value["error"].as_str()) {
            (_, Some(message)) => message.to_owned(),
            (Value::String(words), None) => words.trim().to_owned(),
            _ => String::new(),
        };
        Err(Failure { status, message })
    }

    /// Status and body of what is answered, whatever it is. `revision` is what must be there, for a call that
    /// wants it named.
    ///
    /// # Errors
    /// The call could not be made.
    pub async fn answer(
        &self,
        visit: &Visit,
        method: Method,
        path: &str,
        revision: Option<i64>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Failure> {
        let body = body.map(Value::to_string);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(body.map_or_else(Body::empty, Body::from))
            .map_err(|error| Failure::broken(&error))?;
        *request.headers_mut() = passed_on(visit);
        if let Some(revision) = revision {
            request
                .headers_mut()
                .insert(header::IF_MATCH, HeaderValue::from(revision));
        }
        if let Some(peer) = visit.peer() {
            request.extensions_mut().insert(peer);
        }
        let Ok(response) = self.routes.call(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), MAX_ANSWER)
            .await
            .map_err(|error| Failure::broken(&error))?;
        let value = serde_json::from_slice(&body)
            .unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into());
        Ok((status, value))
    }
}

fn passed_on(visit: &Visit) -> HeaderMap {
    let mut headers = visit.headers().clone();
    for name in NOT_PASSED_ON {
        headers.remove(name);
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Some(given) = visit.field("csrf")
        && let Ok(given) = HeaderValue::from_str(given)
    {
        headers.insert(CSRF, given);
    }
    headers
}
