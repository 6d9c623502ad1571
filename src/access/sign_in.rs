//! Signing in and out.
//!
//! | path | what |
//! | --- | --- |
//! | `POST /sign-in` | a form: `name`, `password`, `next` |
//! | `GET /sign-in/link?token=…` | by a link that can be used once |
//! | `GET /sign-in/openid?next=…`, `GET /sign-in/openid/callback` | at a provider |
//! | `POST /sign-out` | ends it; a form repeats `csrf` |
//!
//! The page `GET /sign-in` is the console's. It is told by `?error=mismatch`, `throttled` with `&wait=48`
//! (seconds), `link`, `openid` or `role`, and `&next=`. A script that accepts JSON gets JSON in place
//! of a redirect.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::json;

use super::guard::{Refusal, peer, see_other, wants_json};
use super::{Access, By, Person, Role, cookies, digest, openid, origin, password, secret};
use crate::ledger::LedgerError;
use crate::ledger::access::SignInRow;

/// The longest form, in bytes.
const MAX_FORM: usize = 16 << 10;

/// The longest address to go on to, in bytes.
const MAX_NEXT: usize = 2_000;

/// The routes of signing in and out. They are guarded by nobody.
pub fn routes(access: Arc<Access>) -> Router {
    Router::new()
        .route("/sign-in", post(by_password))
        .route("/sign-in/link", get(by_link))
        .route("/sign-in/openid", get(openid::begin))
        .route("/sign-in/openid/callback", get(openid::finish))
        .route("/sign-out", post(out))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .with_state(access)
}

/// Why somebody is not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// The name and the password do not match.
    Mismatch,
    /// Too many tries; how long to wait.
    Throttled(Duration),
    /// The link was used, is too old, or never was.
    Link,
    /// The provider did not say who it is.
    OpenId,
    /// Who it is has no role here.
    Role,
}

impl Failed {
    fn status(self) -> StatusCode {
        match self {
            Failed::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Failed::Role => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Failed::Mismatch => "mismatch",
            Failed::Throttled(_) => "throttled",
            Failed::Link => "link",
            Failed::OpenId => "openid",
            Failed::Role => "role",
        }
    }

    fn message(self) -> String {
        match self {
            Failed::Mismatch => "That name and password do not match.".into(),
            Failed::Throttled(wait) => {
                format!("Too many tries. Try again in {} s.", seconds(wait))
            }
            Failed::Link => "This link was used already or is too old; make another one.".into(),
            Failed::OpenId => "The provider did not say who you are; try again.".into(),
            Failed::Role => "Nobody gave you a role here.".into(),
        }
    }

    /// The answer: for a script as JSON, for a browser a page that leads back to the form.
    pub(super) fn answer(self, headers: &HeaderMap, next: &str) -> Response {
        let mut response = if wants_json(headers) {
            let body = Json(json!({"error": self.message(), "reason": self.word()}));
            (self.status(), body).into_response()
        } else {
            let wait = match self {
                Failed::Throttled(wait) => format!("&wait={}", seconds(wait)),
                _ => String::new(),
            };
            let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let to = format!("/sign-in?error={}{wait}&next={next}", self.word());
            onward(self.status(), &to)
        };
        if let Failed::Throttled(wait) = self {
            let wait = HeaderValue::from(seconds(wait));
            response.headers_mut().insert(header::RETRY_AFTER, wait);
        }
        response
    }
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// A page that leads on by itself. What follows is then asked for by a page of ours, so that the
/// browser shows its cookie, which it does not after a redirect that began elsewhere.
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#samesitesamesite-value>
pub(super) fn onward(status: StatusCode, to: &str) -> Response {
    let to = to
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>handoffd</title>\
         <meta http-equiv=\"refresh\" content=\"0;url={to}\"><p><a href=\"{to}\">Continue</a></p></html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ];
    (status, headers, page).into_response()
}

/// Where to go on: a path of this host, else the first page.
pub(super) fn next_path(given: Option<&str>) -> String {
    let fits = |path: &&str| {
        let rest = path.strip_prefix('/');
        path.len() <= MAX_NEXT
            && rest.is_some_and(|rest| !rest.starts_with(['/', '\\']))
            && !path.contains(|c: char| c == '\\' || c.is_control() || !c.is_ascii())
            && !path.starts_with("/sign-")
    };
    given.filter(fits).unwrap_or("/").to_owned()
}

fn field(form: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(form)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

async fn by_password(State(access): State<Arc<Access>>, request: Request) -> Response {
    let from = access.client(request.headers(), peer(&request));
    let by_proxy = access.by_proxy(peer(&request));
    if origin::is_foreign(
        request.method(),
        request.headers(),
        access.config.url.as_ref(),
    ) {
        return Refusal::Foreign.json();
    }
    let headers = request.headers().clone();
    let Ok(form) = axum::body::to_bytes(request.into_body(), MAX_FORM).await else {
        return Refusal::TooLong.json();
    };
    let next = next_path(field(&form, "next").as_deref());
    match access.judged(&form, from).await {
        Ok(Ok(person)) => {
            let begin = Begin {
                person,
                basis: String::new(),
            };
            access
                .begin(begin, &headers, by_proxy, &next, StatusCode::SEE_OTHER)
                .await
        }
        Ok(Err(failed)) => failed.answer(&headers, &next),
        Err(error) => Refusal::Ledger(error).json(),
    }
}

/// Somebody who has proved who they are.
pub(super) struct Begin {
    pub person: Person,
    /// What it rests on, where that is not the user's password.
    pub basis: String,
}

impl Access {
    /// Whose name and password stand in a form. Every try is noted.
    async fn judged(
        &self,
        form: &Bytes,
        from: Option<IpAddr>,
    ) -> Result<Result<Person, Failed>, LedgerError> {
        let name = field(form, "name").unwrap_or_default();
        let given = SecretString::from(field(form, "password").unwrap_or_default());
        let name = name.trim();
        if let Err(wait) = self.throttle.attempt(name, from, Instant::now()) {
            return Ok(Err(Failed::Throttled(wait)));
        }
        let Ok(matches) = self.passwords.verify(name, given).await else {
            return Ok(Err(Failed::Throttled(Duration::from_secs(1))));
        };
        let user = self.config.users.iter().find(|user| user.name == name);
        let person = |name: &str, role, may_unmask| Person {
            name: name.to_owned(),
            role,
            may_unmask,
            csrf: None,
            by: By::Password,
        };
        match user.filter(|_| matches) {
            Some(user) => {
                self.throttle.succeeded(name, from);
                Ok(Ok(person(&user.name, user.role, user.unmask)))
            }
            None => {
                // A name that is nobody's may be a password in the wrong field.
                let who = user.map_or("unknown", |user| &user.name);
                let who = person(who, Role::Viewer, false);
                let from = from.map(|from| from.to_string()).unwrap_or_default();
                let why = "the name and the password do not match";
                self.audit.refused(&who, "sign-in", &from, why).await?;
                Ok(Err(Failed::Mismatch))
            }
        }
    }

    /// Signs somebody in and sends the browser on, by a redirect or a page.
    pub(super) async fn begin(
        &self,
        begin: Begin,
        headers: &HeaderMap,
        by_proxy: bool,
        next: &str,
        how: StatusCode,
    ) -> Response {
        let Begin { mut person, basis } = begin;
        let private = self.is_private(headers, by_proxy);
        let value = secret();
        let stored = self.signed_in(&person, basis, &value).await;
        if let Err(error) = stored {
            return Refusal::Ledger(error).json();
        }
        // Whoever was signed in with this browser before is not any more.
        if let Some(before) = cookies::shown(headers, private)
            && let Err(error) = self.ledger.end_sign_in(&digest(&before)).await
        {
            return Refusal::Ledger(error).json();
        }
        person.csrf = Some(cookies::csrf(&value));
        let mut response = if wants_json(headers) {
            let role = person.role.word();
            let body = json!({"name": person.name, "role": role, "csrf": person.csrf});
            Json(body).into_response()
        } else if how == StatusCode::SEE_OTHER {
            see_other(next)
        } else {
            onward(how, next)
        };
        let longest = self.config.longest.as_secs();
        if let Some(cookie) = cookies::keep(&value, private, longest) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    async fn signed_in(
        &self,
        person: &Person,
        basis: String,
        value: &str,
    ) -> Result<(), LedgerError> {
        let now = Timestamp::now();
        let longest = SignedDuration::try_from(self.config.longest).unwrap_or(SignedDuration::ZERO);
        let user = self
            .config
            .users
            .iter()
            .find(|user| user.name == person.name);
        let basis = match (&person.by, user) {
            (By::Password, Some(user)) => password::basis(user),
            _ => basis,
        };
        let row = SignInRow {
            name: person.name.clone(),
            way: person.by.word().to_owned(),
            role: person.role.word().to_owned(),
            unmask: person.may_unmask,
            basis,
            made_at: now,
            seen_at: now,
            until: now.saturating_add(longest).unwrap_or(now),
        };
        self.audit.note(person, "sign-in", "", None, None).await?;
        self.ledger.put_sign_in(&digest(value), &row).await
    }
}

async fn by_link(State(access): State<Arc<Access>>, request: Request) -> Response {
    // Whoever only looks whether there is something uses nothing up.
    if request.method() != Method::GET {
        return StatusCode::NO_CONTENT.into_response();
    }
    let by_proxy = access.by_proxy(peer(&request));
    let headers = request.headers();
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let token = field(query, "token").unwrap_or_default();
    let next = next_path(field(query, "next").as_deref());
    let person = Person {
        name: "link".into(),
        by: By::Link,
        ..Person::of_admin_token()
    };
    let used = access
        .ledger
        .take_link(&digest(&token), Timestamp::now())
        .await;
    match used {
        Ok(true) => {
            let begin = Begin {
                person,
                basis: String::new(),
            };
            access
                .begin(begin, headers, by_proxy, &next, StatusCode::OK)
                .await
        }
        Ok(false) => Failed::Link.answer(headers, &next),
        Err(error) => Refusal::Ledger(error).json(),
    }
}

async fn out(State(access): State<Arc<Access>>, request: Request) -> Response {
    let by_proxy = access.by_proxy(peer(&request));
    let headers = request.headers().clone();
    let known = access.who(&headers, peer(&request)).await;
    let known = match known {
        Ok(Some(known)) => known,
        Ok(None) => return gone(&access, &headers, by_proxy),
        Err(error) => return Refusal::Ledger(error).json(),
    };
    let (_, known) = match access.really(request, known).await {
        Ok(passed) => passed,
        Err(refusal) => return refusal.json(),
    };
    if let Some(key) = known.cookie {
        let ended = async {
            access.ledger.end_sign_in(&key).await?;
            access
                .audit
                .note(&known.person, "sign-out", "", None, None)
                .await
        };
        if let Err(error) = ended.await {
            return Refusal::Ledger(error).json();
        }
    }
    gone(&access, &headers, by_proxy)
}

/// Back to the sign-in, with the cookie forgotten.
fn gone(access: &Access, headers: &HeaderMap, by_proxy: bool) -> Response {
    let mut response = match wants_json(headers) {
        true => Json(json!({"signed_out": true})).into_response(),
        false => see_other("/sign-in"),
    };
    let private = access.is_private(headers, by_proxy);
    if let Some(cookie) = cookies::keep("", private, 0) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_host_are_gone_on_to() {
        for (given, path) in [
            (Some("/parked?reason=invalid"), "/parked?reason=invalid"),
            (Some("/"), "/"),
            (None, "/"),
            (Some(""), "/"),
            (Some("https://evil.example"), "/"),
            (Some("//evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("/\t/evil.example"), "/"),
            (Some("/\n/evil.example"), "/"),
            (Some("javascript:alert(1)"), "/"),
            (Some("/sign-in?next=/"), "/"),
            (Some("/ä"), "/"),
        ] {
            assert_eq!(next_path(given), path, "{given:?}");
        }
        assert_eq!(next_path(Some(&format!("/{}", "x".repeat(MAX_NEXT)))), "/");
    }
}
