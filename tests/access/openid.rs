//! Signing in at a provider: a small one that speaks real HTTP and signs with real keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use handoffd_test_support::unique;
use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Response;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{Console, Where, cookie};

const CLIENT: &str = "handoffd-console";
const SECRET: &str = "what-the-provider-gave";

/// A provider of sign-ins, and what it says of whoever comes next.
#[derive(Clone)]
struct Provider {
    url: String,
    state: Arc<Mutex<Says>>,
}

struct Says {
    key: rcgen::KeyPair,
    kid: String,
    claims: Value,
    /// Codes that were given: nonce and PKCE challenge.
    codes: HashMap<String, (String, String)>,
}

fn key() -> rcgen::KeyPair {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap()
}

impl Provider {
    async fn start() -> Provider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Provider {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::new(Mutex::new(Says {
                key: key(),
                kid: "one".into(),
                claims: json!({}),
                codes: HashMap::new(),
            })),
        };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        provider
    }

    /// Whoever comes next is this.
    fn says(&self, claims: Value) {
        self.state.lock().unwrap().claims = claims;
    }

    async fn console(&self) -> Console {
        let openid = json!({
            "issuer": self.url, "client_id": CLIENT, "client_secret": "openid", "name": "email",
            "roles": {"admin": ["crm-admins"], "operator": ["desk"]},
        });
        // Where browsers reach us is named as itself: the test has no proxy.
        let over = json!({
            "secrets": {"openid": {"value": SECRET}},
            "access": {"openid": openid, "url": "http://console.localhost"},
        });
        Console::bare(Where::Sqlite, over).await
    }
}

async fn discovery(State(provider): State<Provider>) -> Json<Value> {
    let url = &provider.url;
    Json(json!({
        "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let state = provider.state.lock().unwrap();
    let key = EncodingKey::from_rsa_pem(state.key.serialize_pem().as_bytes()).unwrap();
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
    jwk.common.key_id = Some(state.kid.clone());
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["use"] = json!("sig");
    Json(json!({"keys": [jwk]}))
}

/// The person signs in and is sent back.
async fn authorize(
    State(provider): State<Provider>,
    Query(asked): Query<HashMap<String, String>>,
) -> (StatusCode, HeaderMap) {
    assert_eq!(asked["client_id"], CLIENT);
    assert_eq!(asked["code_challenge_method"], "S256");
    let scopes: Vec<&str> = asked["scope"].split(' ').collect();
    assert_eq!(scopes, ["openid", "profile", "email"]);
    let code = unique("code");
    let known = (asked["nonce"].clone(), asked["code_challenge"].clone());
    provider
        .state
        .lock()
        .unwrap()
        .codes
        .insert(code.clone(), known);
    let back = format!(
        "{}?code={code}&state={}",
        asked["redirect_uri"], asked["state"]
    );
    let mut headers = HeaderMap::new();
    headers.insert("location", back.parse().unwrap());
    (StatusCode::FOUND, headers)
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    form: String,
) -> (StatusCode, Json<Value>) {
    let asked: HashMap<String, String> = url::form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect();
    let mut state = provider.state.lock().unwrap();
    let shown = headers["authorization"].to_str().unwrap();
    let own = STANDARD.encode(format!("{CLIENT}:{SECRET}"));
    assert_eq!(shown, format!("Basic {own}"));
    let digest = Sha256::digest(asked["code_verifier"].as_bytes());
    let (nonce, challenge) = match state.codes.remove(&asked["code"]) {
        Some(known) => known,
        None => {
            let wrong = Json(json!({"error": "invalid_grant"}));
            return (StatusCode::BAD_REQUEST, wrong);
        }
    };
    assert_eq!(URL_SAFE_NO_PAD.encode(digest), challenge);
    let now = Timestamp::now().as_second();
    let mut claims = json!({
        "iss": provider.url, "aud": CLIENT, "sub": "42", "iat": now, "exp": now + 300, "nonce": nonce,
    });
    for (name, value) in state.claims.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(state.kid.clone());
    let key = EncodingKey::from_rsa_pem(state.key.serialize_pem().as_bytes()).unwrap();
    let id_token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    let given = json!({
        "access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": id_token,
    });
    (StatusCode::OK, Json(given))
}

fn location(reply: &Response) -> String {
    let to = reply.headers()["location"].to_str().unwrap();
    to.to_owned()
}

/// As a browser does: to us, to the provider, and back with our cookie.
async fn sign_in(console: &Console, next: &str) -> Response {
    let (back, pending) = sent_back(console, next).await;
    let request = console.get(&back).header("cookie", pending);
    request.send().await.unwrap()
}

/// Where the provider sends the browser back to, and what the browser then shows.
async fn sent_back(console: &Console, next: &str) -> (String, String) {
    let begun = console
        .get(&format!("/sign-in/openid?next={next}"))
        .send()
        .await;
    let begun = begun.unwrap();
    assert_eq!(begun.status(), 303, "{:?}", begun.text().await);
    let set = begun.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Lax"),
        "{set}"
    );
    let pending = cookie(&begun).unwrap();
    let there = console.client.get(location(&begun)).send().await.unwrap();
    let back = location(&there);
    let back = back.strip_prefix("http://console.localhost").unwrap();
    (back.to_owned(), pending)
}

fn ana(groups: &[&str]) -> Value {
    json!({"email": "ana@example.com", "email_verified": true, "groups": groups})
}

#[tokio::test]
async fn whoever_the_provider_names_is_signed_in_with_their_role() {
    let provider = Provider::start().await;
    let console = provider.console().await;
    for (groups, role, unmask) in [
        (&["desk", "other"][..], "operator", false),
        (&["crm-admins"], "admin", true),
    ] {
        provider.says(ana(groups));
        let reply = sign_in(&console, "/parked").await;
        assert_eq!(reply.status(), 200);
        let set: Vec<_> = reply.headers().get_all("set-cookie").iter().collect();
        let set = set.iter().map(|set| set.to_str().unwrap().to_owned());
        let set: Vec<String> = set.collect();
        let own = set.iter().find(|set| set.starts_with("handoffd=")).unwrap();
        assert!(own.contains("SameSite=Strict"), "{own}");
        assert!(set.iter().any(|set| set.starts_with("handoffd-openid=;")));
        let own = own.split(';').next().unwrap().to_owned();
        let page = reply.text().await.unwrap();
        assert!(page.contains("0;url=/parked"), "{page}");
        let me = console.get("/v1/me").header("cookie", own).send().await;
        let me: Value = me.unwrap().json().await.unwrap();
        assert_eq!(
            (&me["name"], &me["by"]),
            (&json!("ana@example.com"), &json!("openid"))
        );
        assert_eq!((&me["role"], &me["unmask"]), (&json!(role), &json!(unmask)));
    }
}

async fn refused(reply: Response, status: u16, error: &str) {
    assert_eq!(reply.status(), status);
    let set = reply.headers().get_all("set-cookie").iter();
    let set: Vec<_> = set
        .filter(|set| set.as_bytes().starts_with(b"handoffd="))
        .collect();
    assert!(set.is_empty(), "{set:?}");
    let page = reply.text().await.unwrap();
    assert!(
        page.contains(&format!("/sign-in?error={error}&amp;")),
        "{page}"
    );
}

#[tokio::test]
async fn nobody_else_is_signed_in() {
    let provider = Provider::start().await;
    let console = provider.console().await;
    provider.says(ana(&["others"]));
    refused(sign_in(&console, "/").await, 403, "role").await;
    let past = Timestamp::now().as_second() - 3_600;
    for claims in [
        json!({"groups": ["desk"]}),
        json!({"email": "ana@example.com", "email_verified": false, "groups": ["desk"]}),
        json!({"email": "ana@example.com", "groups": ["desk"], "aud": "somebody-else"}),
        json!({"email": "ana@example.com", "groups": ["desk"], "iss": "https://evil.example"}),
        json!({"email": "ana@example.com", "groups": ["desk"], "nonce": "another"}),
        json!({"email": "ana@example.com", "groups": ["desk"], "exp": past}),
    ] {
        provider.says(claims.clone());
        let reply = sign_in(&console, "/").await;
        assert_eq!(reply.status(), 401, "{claims}");
        refused(reply, 401, "openid").await;
    }
}

/// What came back belongs to the browser that went, and is used once.
#[tokio::test]
async fn an_answer_is_for_the_browser_that_asked() {
    let provider = Provider::start().await;
    let console = provider.console().await;
    provider.says(ana(&["desk"]));
    let (back, pending) = sent_back(&console, "/").await;
    let without = console.get(&back).send().await.unwrap();
    refused(without, 401, "openid").await;
    let (_, other) = sent_back(&console, "/").await;
    let others = console.get(&back).header("cookie", other).send().await;
    refused(others.unwrap(), 401, "openid").await;
    let own = || console.get(&back).header("cookie", &pending);
    assert_eq!(own().send().await.unwrap().status(), 200);
    refused(own().send().await.unwrap(), 401, "openid").await;
}

#[tokio::test]
async fn keys_that_are_not_the_providers_are_not_taken() {
    let provider = Provider::start().await;
    let console = provider.console().await;
    provider.says(ana(&["desk"]));
    assert_eq!(sign_in(&console, "/").await.status(), 200);
    // The keys are known for a while, and these are others under the same name.
    provider.state.lock().unwrap().key = key();
    refused(sign_in(&console, "/").await, 401, "openid").await;
}

#[tokio::test]
async fn a_provider_that_is_away_signs_nobody_in() {
    let over = json!({
        "access": {"url": "http://console.localhost", "openid": {
            "issuer": "http://127.0.0.1:1", "client_id": CLIENT, "roles": {"viewer": ["*"]},
        }},
    });
    let console = Console::bare(Where::Sqlite, over).await;
    let reply = console.get("/sign-in/openid").send().await.unwrap();
    refused(reply, 401, "openid").await;
    assert!(!console.daemon.log().contains("127.0.0.1:1/"));
}
