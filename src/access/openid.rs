//! Signing in at a provider: OpenID Connect, the code flow with PKCE, state and nonce.
//!
//! What must be remembered until the browser comes back is in a cookie of its own, which is shown when the
//! provider sends the browser back (`SameSite=Lax`), and which nobody but this browser has. So nothing
//! is kept here for somebody who never comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use openidconnect::core::{CoreClient, CoreProviderMetadata, CoreResponseType};
use openidconnect::{
    AccessTokenHash, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;
use url::Url;

use super::cookies::{self, IsPrivate};
use super::guard::{peer, see_other};
use super::sign_in::{Begin, Failed, next_path};
use super::{Access, By, Person, Role};
use crate::config::OpenIdConfig;
use crate::seldom::Seldom;
use crate::wire::provider::{NoAnswer, ProviderClient};

/// Where the provider sends the browser back to.
const CALLBACK: &str = "sign-in/openid/callback";

/// How long somebody may take at the provider, in seconds.
const PATIENCE: u64 = 600;

/// How long the provider's addresses and keys count.
const FRESH: Duration = Duration::from_secs(3_600);

/// Keys that do not fit a token are asked for again, at most so often.
const AGAIN: Duration = Duration::from_secs(30);

const COOKIE: &str = "handoffd-openid";
const PRIVATE_COOKIE: &str = "__Host-handoffd-openid";

fn cookie_name(private: IsPrivate) -> &'static str {
    if private.0 { PRIVATE_COOKIE } else { COOKIE }
}

/// The client for what is known of the provider. Its type has the state of a dozen settings in it, so it
/// is made where it is used.
macro_rules! client {
    ($self:ident, $metadata:expr) => {{
        let config = &$self.config;
        let secret = config.client_secret.as_ref();
        let secret = secret.map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let redirect = RedirectUrl::new($self.redirect.clone())
            .map_err(|_| Unknown::new("access.url is no address"))?;
        CoreClient::from_provider_metadata(
            $metadata,
            ClientId::new(config.client_id.clone()),
            secret,
        )
        .set_redirect_uri(redirect)
    }};
}

/// A provider of sign-ins.
pub(super) struct Provider {
    config: OpenIdConfig,
    redirect: String,
    http: Arc<ProviderClient>,
    known: Mutex<Option<(Instant, CoreProviderMetadata)>>,
}

/// What this browser must show again.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
}

/// Why it is not known who somebody is; never with what the provider said.
struct Unknown(String);

impl Unknown {
    fn new(words: impl Into<String>) -> Unknown {
        Unknown(words.into())
    }
}

impl Provider {
    pub fn new(config: OpenIdConfig, url: &Url, http: Arc<ProviderClient>) -> Provider {
        let origin = url.as_str().trim_end_matches('/');
        Provider {
            redirect: format!("{origin}/{CALLBACK}"),
            config,
            http,
            known: Mutex::new(None),
        }
    }

    /// What sends requests. It borrows nothing, so that the futures of its callers can move between
    /// threads. <https://github.com/rust-lang/rust/issues/110338>
    fn sender(&self) -> impl Fn(HttpRequest) -> BoxFuture<'static, Result<HttpResponse, NoAnswer>> {
        let http = Arc::clone(&self.http);
        move |request| {
            let http = Arc::clone(&http);
            async move { http.send(request).await }.boxed()
        }
    }

    /// The provider's addresses and keys; asked for again when they are older than this.
    async fn metadata(&self, fresh: Duration) -> Result<CoreProviderMetadata, Unknown> {
        let mut known = self.known.lock().await;
        if let Some((at, metadata)) = &*known
            && at.elapsed() < fresh
        {
            return Ok(metadata.clone());
        }
        let issuer = IssuerUrl::new(self.config.issuer.clone())
            .map_err(|_| Unknown::new("the issuer is no address"))?;
        let send = self.sender();
        let found = CoreProviderMetadata::discover_async(issuer, &send).await;
        let metadata = found.map_err(|error| {
            Unknown::new(format!(
                "its discovery document cannot be used: {}",
                kind(&error)
            ))
        })?;
        *known = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }

    /// Where the browser goes, and what it must show again.
    async fn begin(&self, next: String) -> Result<(Url, Pending), Unknown> {
        let client = client!(self, self.metadata(FRESH).await?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let mut request = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge);
        for scope in self.config.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.url();
        let pending = Pending {
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            next,
        };
        Ok((url, pending))
    }

    /// The claims of whoever has this code.
    async fn finish(&self, code: String, pending: Pending) -> Result<Map<String, Value>, Unknown> {
        let client = client!(self, self.metadata(FRESH).await?);
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| Unknown::new("it names no address for tokens"))?
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier));
        let send = self.sender();
        let tokens = request.request_async(&send).await;
        let tokens = tokens.map_err(|error| {
            Unknown::new(format!("it gave no tokens for the code: {}", kind(&error)))
        })?;
        let Some(id_token) = tokens.id_token() else {
            return Err(Unknown::new("it gave no ID token"));
        };
        let nonce = Nonce::new(pending.nonce);
        let mut problem = String::new();
        // Providers change their keys: those that do not fit are asked for again once.
        for fresh in [FRESH, AGAIN] {
            let client = client!(self, self.metadata(fresh).await?);
            let verifier = client.id_token_verifier();
            match id_token.claims(&verifier, &nonce) {
                Ok(claims) => {
                    if let Some(claimed) = claims.access_token_hash() {
                        let other = || Unknown::new("the ID token is for another access token");
                        let own = AccessTokenHash::from_token(
                            tokens.access_token(),
                            id_token.signing_alg().map_err(|_| other())?,
                            id_token.signing_key(&verifier).map_err(|_| other())?,
                        );
                        if own.map_err(|_| other())? != *claimed {
                            return Err(other());
                        }
                    }
                    return payload(&id_token.to_string())
                        .ok_or_else(|| Unknown::new("the ID token cannot be read"));
                }
                Err(error) => problem = kind(&error),
            }
        }
        Err(Unknown::new(format!(
            "the ID token is not accepted: {problem}"
        )))
    }

    /// Who has these claims.
    fn person(&self, claims: &Map<String, Value>) -> Result<Option<Person>, Unknown> {
        let name = claims.get(&self.config.name).and_then(Value::as_str);
        // An address that nobody has proved could be anybody's.
        let is_unproved = self.config.name == "email"
            && claims.get("email_verified") == Some(&Value::Bool(false));
        let name = name.map(str::trim).filter(|name| {
            !name.is_empty()
                && !is_unproved
                && name.chars().count() <= 80
                && !name.chars().any(char::is_control)
        });
        let Some(name) = name else {
            let words = format!("the ID token has no usable claim {}", self.config.name);
            return Err(Unknown::new(words));
        };
        let said: Vec<&str> = match claims.get(&self.config.claim) {
            Some(Value::String(word)) => vec![word.as_str()],
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let found = self.config.roles.role(said.iter().copied());
        Ok(found.map(|(role, may_unmask)| Person {
            name: name.to_owned(),
            role,
            may_unmask,
            csrf: None,
            by: By::OpenId,
        }))
    }
}

/// What an error is, without what the provider said: the first words of its form.
fn kind(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

/// The claims of a token that was verified.
fn payload(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn parameter(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Sends the browser to the provider.
pub(super) async fn begin(State(access): State<Arc<Access>>, request: Request) -> Response {
    let Some(provider) = &access.openid else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let by_proxy = access.by_proxy(peer(&request));
    let headers = request.headers();
    let query = request.uri().query().unwrap_or_default();
    let next = next_path(parameter(query, "next").as_deref());
    let (url, pending) = match provider.begin(next.clone()).await {
        Ok(begun) => begun,
        Err(why) => return failed(&why, headers, &next),
    };
    let private = access.is_private(headers, by_proxy);
    let mut response = see_other(url.as_str());
    let pending = serde_json::to_vec(&pending).unwrap_or_default();
    let value = URL_SAFE_NO_PAD.encode(pending);
    if let Some(cookie) = cookies::set(cookie_name(private), &value, "Lax", private, PATIENCE) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The browser comes back from the provider.
pub(super) async fn finish(State(access): State<Arc<Access>>, request: Request) -> Response {
    let Some(provider) = &access.openid else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // Whoever only looks whether there is something uses no code up.
    if request.method() != Method::GET {
        return StatusCode::NO_CONTENT.into_response();
    }
    let by_proxy = access.by_proxy(peer(&request));
    let headers = request.headers();
    let private = access.is_private(headers, by_proxy);
    let query = request.uri().query().unwrap_or_default();
    let Some(pending) = pending(headers, private, query) else {
        let why = Unknown::new("the answer does not belong to a sign-in of this browser");
        return failed(&why, headers, "/");
    };
    let next = next_path(Some(&pending.next));
    let Some(code) = parameter(query, "code") else {
        return failed(&Unknown::new("it gave no code"), headers, &next);
    };
    let claims = match provider.finish(code, pending).await {
        Ok(claims) => claims,
        Err(why) => return failed(&why, headers, &next),
    };
    let mut response = match provider.person(&claims) {
        Ok(Some(person)) => {
            let basis = String::new();
            let begin = Begin { person, basis };
            access
                .begin(begin, headers, by_proxy, &next, StatusCode::OK)
                .await
        }
        Ok(None) => {
            let name = claims.get(&provider.config.name).and_then(Value::as_str);
            let person = Person {
                name: name.unwrap_or("unknown").chars().take(80).collect(),
                role: Role::Viewer,
                may_unmask: false,
                csrf: None,
                by: By::OpenId,
            };
            let why = "nobody gave them a role here";
            match access.audit.refused(&person, "sign-in", "", why).await {
                Ok(()) => Failed::Role.answer(headers, &next),
                Err(error) => super::guard::Refusal::Ledger(error).json(),
            }
        }
        Err(why) => failed(&why, headers, &next),
    };
    if let Some(cookie) = cookies::set(cookie_name(private), "", "Lax", private, 0) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// What this browser began, if the answer belongs to it.
fn pending(headers: &HeaderMap, private: IsPrivate, query: &str) -> Option<Pending> {
    let cookie = cookies::cookie(headers, cookie_name(private))?;
    let pending = URL_SAFE_NO_PAD.decode(cookie).ok()?;
    let pending: Pending = serde_json::from_slice(&pending).ok()?;
    let state = parameter(query, "state")?;
    bool::from(state.as_bytes().ct_eq(pending.state.as_bytes())).then_some(pending)
}

fn failed(why: &Unknown, headers: &HeaderMap, next: &str) -> Response {
    static FAILED: Seldom = Seldom::new();
    if let Some(more) = FAILED.now() {
        tracing::warn!(why = %why.0, more, "somebody could not sign in at the OpenID provider");
    }
    Failed::OpenId.answer(headers, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RoleRules;
    use serde_json::json;

    fn provider(name: &str) -> Provider {
        let issuer = Url::parse("https://login.example.com").unwrap();
        let config = OpenIdConfig {
            issuer: issuer.to_string(),
            client_id: "handoffd".into(),
            client_secret: None,
            scopes: vec!["openid".into()],
            name: name.into(),
            claim: "groups".into(),
            roles: RoleRules::default(),
        };
        let http = ProviderClient::new(&crate::config::OutboundConfig::default()).unwrap();
        Provider::new(config, &issuer, Arc::new(http))
    }

    #[test]
    fn an_address_that_nobody_has_proved_names_nobody() {
        let claims = |verified: bool| {
            let claims = json!({"email": "ana@example.com", "email_verified": verified});
            claims.as_object().unwrap().clone()
        };
        assert!(provider("email").person(&claims(false)).is_err());
        assert!(provider("email").person(&claims(true)).is_ok());
        assert!(provider("sub").person(&claims(true)).is_err());
    }

    #[test]
    fn an_error_is_told_without_what_the_provider_said() {
        assert_eq!(kind(&Some("secret")), "Some");
    }
}
