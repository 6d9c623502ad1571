//! A daemon with people, and somebody who asks it things.

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use handoffd::ledger::access::Digest;
use handoffd::ledger::{self, Ledger};
use handoffd_test_support::{postgres_url, unique};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

use crate::alone::Alone;

/// What the admin token is.
pub const ADMIN: &str = "the-admin-token-of-tests";

/// The people, and what they may. The password of each is `NAME's password`.
pub const PEOPLE: [(&str, &str); 3] = [("vera", "viewer"), ("otto", "operator"), ("ana", "admin")];

/// Where a daemon remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    Sqlite,
    Postgres,
}

/// A daemon, and a client of it that follows nothing and keeps nothing.
pub struct Console {
    pub daemon: Alone,
    pub client: Client,
    url: String,
}

/// Somebody who is signed in.
pub struct SignedIn {
    pub cookie: String,
    pub csrf: String,
}

/// The cheapest hash that is taken.
pub fn hash(password: &str) -> String {
    let costs = Params::new(8 << 10, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, costs);
    argon2
        .hash_password(password.as_bytes())
        .unwrap()
        .to_string()
}

/// Lays `over` over `under`, member by member.
fn lay_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                lay_over(under.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => under.clone_from(over),
    }
}

impl Console {
    /// A daemon with the people and the admin token.
    pub async fn start() -> Console {
        Console::with(Where::Sqlite, &json!({})).await
    }

    /// The same there, with this laid over its configuration.
    pub async fn with(place: Where, over: &Value) -> Console {
        let mut whole = json!({
            "http": {"admin_token": "admin_token"},
            "secrets": {"admin_token": {"value": ADMIN}},
            "access": {"user": []},
        });
        for (name, role) in PEOPLE {
            whole["secrets"][name] = json!({"value": hash(&format!("{name}'s password"))});
            let user = json!({"name": name, "role": role, "password": name});
            whole["access"]["user"].as_array_mut().unwrap().push(user);
        }
        lay_over(&mut whole, over);
        Console::bare(place, whole).await
    }

    /// A daemon with nothing but this laid over the configuration of the demo.
    pub async fn bare(place: Where, over: Value) -> Console {
        let mut url = String::new();
        let schema = match place {
            Where::Sqlite => None,
            Where::Postgres => Some(schema().await),
        };
        let daemon = Alone::under("exec \"$0\" \"$@\"", |plan| {
            if let Some(schema) = schema {
                plan.ledger = schema;
            }
            url.clone_from(&plan.ledger);
            plan.over = over;
        })
        .await;
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Console {
            daemon,
            client,
            url,
        }
    }

    /// What the daemon remembers, as another process sees it.
    pub async fn ledger(&self) -> Arc<dyn Ledger> {
        ledger::open_existing(&self.url).await.unwrap()
    }

    /// A request, as nobody.
    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.daemon.admin);
        self.client.request(method, url)
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.ask(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.ask(Method::POST, path)
    }

    /// What whoever shows the admin token is told.
    pub async fn told(&self, path: &str) -> Value {
        let reply = self.get(path).bearer_auth(ADMIN).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK, "{path}");
        reply.json().await.unwrap()
    }

    /// A name and a password, as a script gives them.
    pub async fn try_sign_in(&self, name: &str, password: &str) -> Response {
        let form = [("name", name), ("password", password)];
        let request = self.post("/sign-in").header("accept", "application/json");
        request.form(&form).send().await.unwrap()
    }

    /// Signs one of the people in.
    pub async fn sign_in(&self, name: &str) -> SignedIn {
        let reply = self.try_sign_in(name, &format!("{name}'s password")).await;
        assert_eq!(reply.status(), StatusCode::OK, "{name}");
        let cookie = cookie(&reply).unwrap();
        let told: Value = reply.json().await.unwrap();
        let csrf = told["csrf"].as_str().unwrap().to_owned();
        SignedIn { cookie, csrf }
    }
}

impl SignedIn {
    /// A request of theirs, with what it must repeat.
    pub fn sends(&self, request: RequestBuilder) -> RequestBuilder {
        request
            .header("cookie", &self.cookie)
            .header("x-csrf-token", &self.csrf)
    }
}

/// What a reply makes a browser show from now on, as `name=value`.
pub fn cookie(reply: &Response) -> Option<String> {
    let set = reply.headers().get("set-cookie")?.to_str().unwrap();
    let pair = set.split(';').next().unwrap();
    Some(pair.to_owned())
}

/// What the ledger has of a cookie.
pub fn key(cookie: &str) -> Digest {
    let (_, value) = cookie.split_once('=').unwrap();
    Sha256::digest(value.as_bytes()).into()
}

/// The address of a ledger in a schema of its own.
async fn schema() -> String {
    let server = postgres_url();
    let (admin, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let name = unique("access").replace('-', "_");
    let make = format!("CREATE SCHEMA {name}");
    admin.batch_execute(&make).await.unwrap();
    let more = if server.contains('?') { '&' } else { '?' };
    format!("{server}{more}options=-csearch_path%3D{name}")
}
