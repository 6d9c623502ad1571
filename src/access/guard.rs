//! The door before `/v1` and the pages: who asks, whether they may, and whether it is they who ask.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::known::Known;
use super::origin::{self, Asked};
use super::told::as_json;
use super::{Access, By, Person, Role, needed};
use crate::ledger::LedgerError;
use crate::serving::Peer;

/// The longest form of a page, in bytes.
const MAX_FORM: usize = 1 << 20;

/// Why a request was not let through. Stands in the answer's extensions, for who draws pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not known who asks.
    Nobody,
    /// They may not: the role that it needs.
    Role(Role),
    /// A page of somebody else could have sent it.
    Foreign,
    /// The form does not repeat what it must.
    Form,
    /// The form is longer than it may be.
    TooLong,
    /// The ledger failed.
    Ledger(LedgerError),
}

impl Refusal {
    /// As HTTP says it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Nobody => StatusCode::UNAUTHORIZED,
            Refusal::Role(_) | Refusal::Foreign | Refusal::Form => StatusCode::FORBIDDEN,
            Refusal::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Ledger(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// In a sentence.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Refusal::Nobody => {
                "show the admin token or one of yours (Authorization: Bearer …), or sign in".into()
            }
            Refusal::Role(role) => format!("this needs the role {}", role.word()),
            Refusal::Foreign => {
                "a page of another address could have sent this; open the console at its own address"
                    .into()
            }
            Refusal::Form => {
                "what the form must repeat is missing or too old; load the page again, a script sends \
                 X-CSRF-Token"
                    .into()
            }
            Refusal::TooLong => "the form is longer than it may be".into(),
            Refusal::Ledger(error) => error.to_string(),
        }
    }

    /// For a script.
    #[must_use]
    pub fn json(self) -> Response {
        let body = Json(json!({"error": self.message()}));
        let mut response = (self.status(), body).into_response();
        if self == Refusal::Nobody {
            let how = HeaderValue::from_static("Bearer realm=\"handoffd\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Lets requests to `/v1` through; a route's layer.
pub async fn guard_api(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    match access.admitted(request).await {
        Ok(request) => as_json(next.run(request).await).await,
        Err(refusal) => refusal.json(),
    }
}

/// Lets requests to pages through; a route's layer. Who is not known is sent to `/sign-in`; other
/// refusals are told by status and [`Refusal`], for who draws pages.
pub async fn guard_pages(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let is_page = request.method().is_safe() && !wants_json(request.headers());
    let wanted = request.uri().path_and_query().map(ToString::to_string);
    match access.admitted(request).await {
        Ok(request) => next.run(request).await,
        Err(Refusal::Nobody) if is_page => {
            let wanted = wanted.unwrap_or_default();
            let next: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
            see_other(&format!("/sign-in?next={next}"))
        }
        Err(refusal) => refusal.json(),
    }
}

/// The browser goes on there with a request that only reads.
pub(super) fn see_other(path: &str) -> Response {
    let to = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    let headers = [
        (header::LOCATION, to),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Whether a script asks that wants no page.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    accepted
        .and_then(|accepted| accepted.to_str().ok())
        .is_some_and(|accepted| accepted.contains("application/json"))
}

/// The other end of a request's connection.
pub(super) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|Peer(at)| *at)
}

impl Access {
    /// A request with the [`Person`] who asks, if they may.
    async fn admitted(&self, request: Request) -> Result<Request, Refusal> {
        let known = self.who(request.headers(), peer(&request)).await;
        let Some(known) = known.map_err(Refusal::Ledger)? else {
            return Err(Refusal::Nobody);
        };
        let (mut request, known) = self.really(request, known).await?;
        let path = request.extensions().get::<MatchedPath>();
        let path = path.map_or(request.uri().path(), MatchedPath::as_str);
        let role = needed(request.method(), path);
        if known.person.role < role {
            return Err(Refusal::Role(role));
        }
        request.extensions_mut().insert(known.person);
        Ok(request)
    }

    /// Whether it is really they who ask, and not a page of somebody else in their browser.
    pub(super) async fn really(
        &self,
        request: Request,
        known: Known,
    ) -> Result<(Request, Known), Refusal> {
        let person = &known.person;
        if !person.by.is_ambient() {
            return Ok((request, known));
        }
        let own = self.config.url.as_ref();
        let asked = origin::asked(request.headers(), own);
        if person.by == By::ThisMachine && asked != Asked::Here {
            return Err(Refusal::Foreign);
        }
        let changes = !request.method().is_safe();
        if (changes || person.csrf.is_none())
            && origin::is_foreign(request.method(), request.headers(), own)
        {
            return Err(Refusal::Foreign);
        }
        if person.csrf.is_none() && origin::may_be_form(request.method(), request.headers()) {
            return Err(Refusal::Foreign);
        }
        if !changes || person.csrf.is_none() {
            return Ok((request, known));
        }
        let request = repeats(request, person).await?;
        Ok((request, known))
    }
}

/// A request that repeats what it must, in `X-CSRF-Token` or in the form's field `csrf`.
async fn repeats(request: Request, person: &Person) -> Result<Request, Refusal> {
    let wanted = person.csrf.as_deref().unwrap_or_default().as_bytes();
    let fits = |given: &[u8]| bool::from(given.ct_eq(wanted));
    if let Some(given) = request.headers().get("x-csrf-token") {
        return match fits(given.as_bytes()) {
            true => Ok(request),
            false => Err(Refusal::Form),
        };
    }
    if !origin::is_form(request.headers()) {
        return Err(Refusal::Form);
    }
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, MAX_FORM)
        .await
        .map_err(|_| Refusal::TooLong)?;
    let given = url::form_urlencoded::parse(&body).find(|(key, _)| key == "csrf");
    match given.is_some_and(|(_, given)| fits(given.as_bytes())) {
        true => Ok(Request::from_parts(parts, Body::from(body))),
        false => Err(Refusal::Form),
    }
}
