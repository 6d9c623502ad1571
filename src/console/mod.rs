//! The console: pages for operators and admins, served where the admin API is.
//!
//! A page shows what one read of the admin API answers, and each of its buttons is one call of it; both
//! go through the API's own guard. Pages are templates that name texts by key; every value in them is
//! escaped. Nothing of a page is inline, and nothing comes from elsewhere. Without script every page
//! reads, and every button is a form.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `api` | the admin API, called from inside; why a page cannot be shown |
//! | `assets` | style, scripts and icons, under names that change with their content |
//! | `charts` | lines over time |
//! | `format` | numbers, sizes, durations and times |
//! | `pages` | the pages and their forms |
//! | `render` | templates, and the functions that they call |
//! | `shell` | what stands around every page: navigation, badges, headers |
//! | `texts` | every sentence, by key |
//! | `visit` | a request for a page, and what a form holds |

mod api;
mod assets;
mod charts;
mod format;
mod pages;
mod render;
mod shell;
mod texts;
mod visit;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::access::{Access, Refusal, guard_pages};

pub use self::api::{Answer, Api, Failure};
pub use self::assets::Assets;
use self::render::Renderer;
use self::shell::Badges;
pub use self::texts::Texts;
pub use self::visit::{Visit, local};

/// What the console says of the daemon.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The daemon's name.
    pub daemon: String,
    /// The kind of every configured target.
    pub kinds: BTreeMap<String, String>,
    /// Whether there is a playground.
    pub playground: bool,
    /// How people sign in.
    pub ways: Ways,
}

/// How people sign in.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// Whether users are configured who show a password.
    pub password: bool,
    /// The name of the OpenID provider, where one is configured.
    pub openid: Option<String>,
}

/// Everything that pages are made of.
pub struct Console {
    api: Api,
    assets: Arc<Assets>,
    renderer: Renderer,
    badges: Badges,
    about: About,
}

impl Console {
    /// A console over these routes of the admin API.
    ///
    /// # Errors
    /// A template or the texts are not well formed, which a test would have found.
    pub fn new(api: Router, about: About) -> Result<Console, String> {
        let texts = Arc::new(Texts::shipped()?);
        let assets = Arc::new(Assets::new());
        let renderer = Renderer::new(texts, Arc::clone(&assets));
        Ok(Console {
            api: Api::new(api),
            renderer: renderer.map_err(|error| format!("templates: {error:#}"))?,
            assets,
            badges: Badges::default(),
            about,
        })
    }

    /// The admin API.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The kind of a target, by its name; nothing where it is not configured.
    #[must_use]
    pub fn kind_of(&self, target: &str) -> Option<&str> {
        self.about.kinds.get(target).map(String::as_str)
    }

    /// The names of the configured targets.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.about.kinds.keys().map(String::as_str)
    }

    /// How people sign in, as the page reads it.
    fn ways(&self) -> Value {
        json!({"password": self.about.ways.password, "openid": self.about.ways.openid})
    }

    /// A page with its shell around it, or the part of it that is asked for. The value must be masked
    /// already.
    pub async fn page(&self, visit: &Visit, template: &str, value: Value) -> Answer {
        let shell = self.shell(visit).await;
        self.rendered(visit, template, json!({"shell": shell, "page": value}))
    }

    fn rendered(&self, visit: &Visit, template: &str, mut value: Value) -> Answer {
        value["shell"]["name"] = template.trim_end_matches(".html").into();
        let html = self
            .renderer
            .render(template, &value, visit.part())
            .map_err(|error| Failure::broken(&format!("{template}: {error:#}")))?;
        Ok(shell::html(html))
    }

    /// Why something cannot be shown, as a page.
    async fn failure(&self, visit: &Visit, failure: &Failure) -> Response {
        if failure.status == 401 && visit.part().is_none() {
            let next = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("next", &visit.address())
                .finish();
            return Redirect::to(&format!("/sign-in?{next}")).into_response();
        }
        let kind = match failure.status.as_u16() {
            400 | 422 => "bad_form",
            401 | 403 => "forbidden",
            404 => "not_found",
            409 => "conflict",
            503 => "ledger_away",
            _ => "broken",
        };
        let value = json!({"kind": kind, "message": failure.message, "back": visit.address()});
        let shell = self.shell_without_badges(visit);
        let page = self.rendered(visit, "error.html", json!({"shell": shell, "page": value}));
        let mut response = match page {
            Ok(page) => page,
            Err(_) => failure.status.into_response(),
        };
        *response.status_mut() = failure.status;
        if kind == "ledger_away" {
            // The page tries by itself.
            response
                .headers_mut()
                .insert(header::REFRESH, HeaderValue::from_static("10"));
        }
        response
    }
}

/// Every page, its forms, and the assets.
pub fn routes(console: Arc<Console>, access: Arc<Access>) -> Router {
    pages::routes()
        .route_layer(middleware::from_fn_with_state(access, guard_pages))
        .merge(pages::open_routes())
        .fallback(nothing_there)
        .layer(middleware::from_fn_with_state(Arc::clone(&console), dress))
        .route("/assets/{file}", get(asset))
        .with_state(console)
}

async fn asset(State(console): State<Arc<Console>>, Path(file): Path<String>) -> Response {
    console.assets.serve(&file)
}

async fn nothing_there() -> Failure {
    Failure::not_found()
}

/// Makes a page of a failure, and gives every page its headers.
async fn dress(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/v1/");
    let visit = Visit::of(&request);
    let mut response = next.run(request).await;
    if is_api {
        return response;
    }
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let (status, message) = (refusal.status(), refusal.message());
        response = console.failure(&visit, &Failure { status, message }).await;
    }
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = console.failure(&visit, &failure).await;
    }
    shell::protect(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::routing::get;

    use super::*;

    /// What a page answers whose read of the API fails like this.
    async fn failing(status: StatusCode, path: &str) -> (Response, String) {
        let words = r#"{"error": "<b>why</b>"}"#;
        let api = Router::new().fallback(get(move || async move { (status, words) }));
        let console = Arc::new(Console::new(api, About::default()).expect("well formed"));
        let pages = pages::routes()
            .merge(pages::open_routes())
            .fallback(nothing_there);
        let pages = pages
            .layer(middleware::from_fn_with_state(Arc::clone(&console), dress))
            .with_state(console);
        let service = hyper_util::service::TowerToHyperService::new(pages);
        let request = Request::get(path).body(axum::body::Body::empty());
        let request = request.expect("well formed");
        let Ok(response) = hyper::service::Service::call(&service, request).await;
        let (parts, body) = response.into_parts();
        let text = axum::body::to_bytes(body, 1 << 20)
            .await
            .expect("it was made");
        let text = String::from_utf8_lossy(&text).into_owned();
        (Response::from_parts(parts, axum::body::Body::empty()), text)
    }

    #[tokio::test]
    async fn what_fails_says_so_on_a_page_with_its_shell() {
        for (status, words) in [
            (503, "The ledger cannot be reached"),
            (500, "This page could not be made"),
            (404, "There is no such page"),
            (403, "Your role does not allow this"),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let (response, page) = failing(status, "/parked").await;
            assert_eq!(response.status(), status);
            assert!(page.contains(words) && page.contains("<nav"), "{page}");
            assert!(
                page.contains("&lt;b&gt;why"),
                "what others say is escaped: {page}"
            );
            let tries = response.headers().contains_key(header::REFRESH);
            assert_eq!(tries, status == 503, "{status}");
            assert!(
                response
                    .headers()
                    .contains_key(header::CONTENT_SECURITY_POLICY)
            );
        }
        let (response, _) = failing(StatusCode::UNAUTHORIZED, "/parked?a=b").await;
        assert_eq!(
            response.headers()[header::LOCATION],
            "/sign-in?next=%2Fparked%3Fa%3Db"
        );
    }

    #[tokio::test]
    async fn an_unknown_address_is_a_page_and_one_of_the_api_is_not() {
        let (response, page) = failing(StatusCode::OK, "/nowhere").await;
        assert_eq!(response.status(), 404);
        assert!(page.contains("There is no such page"), "{page}");
        let (response, page) = failing(StatusCode::OK, "/v1/nowhere").await;
        assert_eq!(
            (response.status(), page.as_str()),
            (StatusCode::NOT_FOUND, "")
        );
    }
}
