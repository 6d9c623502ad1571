//! Credentials: how each kind of sign-in becomes headers, with one refresh in flight at a time.
//!
//! Secrets live here and nowhere else after the configuration was read. Header values are marked
//! sensitive, so that no debug output of a request shows them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use handoffd_contract::{Auth, Credential, HttpReply, Reason, Secret, Stop};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::outbound::client_builder;
use super::redact;
use super::signature::{self, Signer};
use super::token_budget::{Priority, RateExhausted, TokenRateLimiter};
use super::{Failure, failure, read_reply};
use crate::config::OutboundConfig;

/// Headers that sign a request in.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// A customer's token is given up when so many others are newer.
const MAX_CUSTOMERS: usize = 20_000;

/// How a target is signed in to, with its state.
pub struct SignIn {
    credential: Credential,
    /// Every secret that the credential names, by name.
    secrets: HashMap<String, SecretString>,
    client: reqwest::Client,
    timeout: Duration,
    /// The target's own token. The lock is held during a refresh, so there is one at a time.
    own: Mutex<Option<Token>>,
    /// A token per customer, each with a lock of its own.
    customers: Mutex<HashMap<String, Arc<Mutex<Option<Token>>>>>,
    /// The organisation's budget of token requests.
    mint: TokenRateLimiter,
}

#[derive(Clone)]
struct Token {
    headers: Headers,
    issued_at: Instant,
    /// Renewed from here on.
    renew_at: Instant,
    /// Not used from here on.
    expires_at: Instant,
    /// Where the customer's event stream begins.
    first_event_id: Option<String>,
}

impl SignIn {
    /// A sign-in; `secret` gives the value of each secret that the credential names.
    ///
    /// # Errors
    /// The TLS library could not be set up, or a secret is missing or does not have its shape; the
    /// words name it.
    pub fn new(
        credential: Credential,
        timeout: Duration,
        outbound: &OutboundConfig,
        secret: impl Fn(&str) -> Option<SecretString>,
    ) -> Result<SignIn, String> {
        let mut secrets = HashMap::new();
        for name in names(&credential) {
            let value =
                secret(&name).ok_or_else(|| format!("the secret `{name}` is not configured"))?;
            secrets.insert(name, value);
        }
        if let Credential::Miaw { private_key, .. } = &credential {
            signing_key(&secrets[&private_key.0])
                .map_err(|why| format!("the secret `{}` {why}", private_key.0))?;
        }
        if let Credential::StandardWebhooks { secrets: signing } = &credential {
            for Secret(name) in signing {
                signature::check(&secrets[name])
                    .map_err(|why| format!("the secret `{name}` {why}"))?;
            }
        }
        let per_minute = match &credential {
            Credential::Miaw { per_minute, .. } => *per_minute,
            _ => 600,
        };
        Ok(SignIn {
            credential,
            secrets,
            client: client_builder(timeout, outbound)
                .and_then(reqwest::ClientBuilder::build)
                .map_err(|error| error.to_string())?,
            timeout,
            own: Mutex::new(None),
            customers: Mutex::new(HashMap::new()),
            mint: TokenRateLimiter::new(per_minute),
        })
    }

    /// The words without this target's secrets, and without anything that looks like a token.
    pub(super) fn conceal(&self, words: &str) -> String {
        let secrets = self.secrets.values().map(ExposeSecret::expose_secret);
        let words =
            secrets
                .filter(|secret| secret.len() >= 4)
                .fold(words.to_owned(), |words, secret| {
                    let words = words.replace(secret, "…");
                    // Words are cut to a length, perhaps in the middle of the secret.
                    let cut = (4..secret.len())
                        .rev()
                        .find_map(|len| words.strip_suffix(secret.get(..len)?));
                    cut.map_or(words.clone(), |rest| format!("{rest}…"))
                });
        redact::tokens(&words)
    }

    /// How many daemons share what the organisation allows.
    pub fn share_among(&self, living: u32) {
        self.mint.share_among(living);
    }

    /// When a feed that was refused a token should ask again.
    pub(super) fn turn_for_token(&self) -> Duration {
        self.mint.turn_for_feed()
    }

    /// The headers for one request.
    ///
    /// # Errors
    /// [`Failure::NotSent`] when no token can be had.
    pub async fn headers(&self, auth: &Auth, asker: Priority) -> Result<Headers, Failure> {
        match auth {
            // What is signed is signed with its body.
            Auth::None | Auth::Signed { .. } => Ok(Vec::new()),
            Auth::Target => self.own().await,
            Auth::Customer { subject } => Ok(self.customer(subject, asker).await?.headers),
        }
    }

    /// The headers that sign a request with this body, which leaves now.
    ///
    /// # Errors
    /// [`Failure::NotSent`] when this target does not sign.
    pub(super) fn sign(&self, id: &str, body: &[u8]) -> Result<Headers, Failure> {
        let Credential::StandardWebhooks { secrets } = &self.credential else {
            return Err(not_signed_in(Reason::Bug, "this target signs nothing"));
        };
        let secrets = secrets.iter();
        let secrets = secrets.map(|Secret(name)| self.secrets[name].clone());
        let headers = Signer::new(secrets.collect()).headers(id, Timestamp::now(), body);
        let headers = headers.ok_or_else(|| not_signed_in(Reason::Bug, "it cannot be signed"))?;
        Ok(headers.into())
    }

    /// Forgets the token that a request of that time was signed in with; a newer one stays.
    pub async fn reject(&self, auth: &Auth, sent_at: Instant) {
        let forget = |slot: &mut Option<Token>| {
            if slot
                .as_ref()
                .is_some_and(|token| token.issued_at <= sent_at)
            {
                *slot = None;
            }
        };
        match auth {
            Auth::None | Auth::Signed { .. } => {}
            Auth::Target => forget(&mut *self.own.lock().await),
            Auth::Customer { subject } => {
                let slot = self.customers.lock().await.get(subject).cloned();
                if let Some(slot) = slot {
                    forget(&mut *slot.lock().await);
                }
            }
        }
    }

    /// Where a customer's event stream begins; for the feed that is about to open it.
    pub async fn first_event_id(&self, auth: &Auth) -> Option<String> {
        let Auth::Customer { subject } = auth else {
            return None;
        };
        let token = self.customer(subject, Priority::Feed).await;
        token.ok()?.first_event_id
    }

    async fn own(&self) -> Result<Headers, Failure> {
        if let Credential::Bearer { token } = &self.credential {
            return bearer(self.secrets[&token.0].expose_secret());
        }
        if let Credential::Header { name, prefix, key } = &self.credential {
            let value = format!("{prefix}{}", self.secrets[&key.0].expose_secret());
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                not_signed_in(
                    Reason::Bug,
                    "the name of the sign-in's header does not parse",
                )
            })?;
            return Ok(vec![(name, sensitive(&value)?)]);
        }
        if let Credential::Basic { user, password } = &self.credential {
            let pair = format!("{user}:{}", self.secrets[&password.0].expose_secret());
            let pair = base64::engine::general_purpose::STANDARD.encode(pair);
            return Ok(vec![(AUTHORIZATION, sensitive(&format!("Basic {pair}"))?)]);
        }
        let mut own = self.own.lock().await;
        if let Some(token) = own.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(token.headers.clone());
        }
        let token = match &self.credential {
            Credential::None
            | Credential::Bearer { .. }
            | Credential::Header { .. }
            | Credential::Basic { .. }
            | Credential::Miaw { .. }
            | Credential::StandardWebhooks { .. } => {
                return Ok(Vec::new());
            }
            Credential::ClientCredentials {
                token_urls,
                client_id,
                client_secret,
            } => {
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", client_id),
                    (
                        "client_secret",
                        self.secrets[&client_secret.0].expose_secret(),
                    ),
                ];
                self.oauth(token_urls, &form).await?
            }
            Credential::RefreshToken {
                token_url,
                client_id,
                client_secret,
                refresh_token,
            } => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id),
                    (
                        "client_secret",
                        self.secrets[&client_secret.0].expose_secret(),
                    ),
                    (
                        "refresh_token",
                        self.secrets[&refresh_token.0].expose_secret(),
                    ),
                ];
                self.oauth(std::slice::from_ref(token_url), &form).await?
            }
            Credential::Forms {
                login_url,
                user,
                password,
            } => {
                self.forms(login_url, user, self.secrets[&password.0].expose_secret())
                    .await?
            }
        };
        let headers = token.headers.clone();
        *own = Some(token);
        Ok(headers)
    }

    /// RFC 6749 §4.4 and §6. An address that is no token endpoint (404, or not JSON) gives way to
    /// the next.
    async fn oauth(&self, urls: &[String], form: &[(&str, &str)]) -> Result<Token, Failure> {
        let mut last = not_signed_in(Reason::Unauthorized, "no token address is configured");
        for url in urls {
            let reply = self.ask(self.client.post(url).form(form)).await?;
            let Some(json) = reply.json().filter(|_| reply.status != 404) else {
                last = refused(&reply, "the token address");
                continue;
            };
            let Some(access) = json["access_token"].as_str().filter(|_| reply.ok()) else {
                return Err(refused(&reply, "the token address"));
            };
            let lifetime =
                Duration::from_secs(json["expires_in"].as_u64().unwrap_or(600).clamp(30, 86_400));
            return Ok(Token {
                headers: bearer(access)?,
                issued_at: Instant::now(),
                renew_at: Instant::now() + margin(lifetime),
                expires_at: Instant::now() + lifetime,
                first_event_id: None,
            });
        }
        Err(last)
    }

    /// Creatio's form sign-in: always 200, `Code` 0 is success; every later request carries the
    /// cookies and the CSRF header.
    /// <https://academy.creatio.com/docs/8.x/dev/development-on-creatio-platform/integrations-and-api/authentication/authentication-basics/overview>
    async fn forms(&self, url: &str, user: &str, password: &str) -> Result<Token, Failure> {
        let body = json!({"UserName": user, "UserPassword": password});
        let request = self
            .client
            .post(url)
            .header("ForceUseSession", "true")
            .json(&body);
        let reply = self.ask(request).await?;
        let json = reply.json().unwrap_or(Value::Null);
        if !reply.ok() || json["Code"].as_i64() != Some(0) {
            let words = json["Message"]
                .as_str()
                .unwrap_or("the sign-in was refused")
                .to_owned();
            return Err(match reply.status {
                200 | 401 | 403 => not_signed_in(Reason::Unauthorized, &words),
                _ => refused(&reply, "the sign-in address"),
            });
        }
        let cookies: Vec<&str> = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .filter_map(|(_, value)| value.split(';').next())
            .collect();
        let mut headers = vec![
            (COOKIE, sensitive(&cookies.join("; "))?),
            (
                HeaderName::from_static("forceusesession"),
                HeaderValue::from_static("true"),
            ),
        ];
        let csrf = cookies
            .iter()
            .find_map(|cookie| cookie.strip_prefix("BPMCSRF="));
        if let Some(csrf) = csrf {
            headers.push((HeaderName::from_static("bpmcsrf"), sensitive(csrf)?));
        }
        // The session ends after an idle hour by default; the answer does not say when.
        let lifetime = Duration::from_secs(50 * 60);
        Ok(Token {
            headers,
            issued_at: Instant::now(),
            renew_at: Instant::now() + lifetime,
            expires_at: Instant::now() + lifetime,
            first_event_id: None,
        })
    }

    async fn customer(&self, subject: &str, asker: Priority) -> Result<Token, Failure> {
        let slot = {
            let mut customers = self.customers.lock().await;
            if customers.len() >= MAX_CUSTOMERS && !customers.contains_key(subject) {
                customers.retain(|_, slot| Arc::strong_count(slot) > 1);
            }
            customers.entry(subject.to_owned()).or_default().clone()
        };
        let mut slot = slot.lock().await;
        let now = Instant::now();
        let token = match slot.as_ref() {
            Some(token) if now < token.renew_at => return Ok(token.clone()),
            Some(old) if now < old.expires_at => match self.renewed(old, subject, asker).await {
                // It is good for a while yet; somebody else needs the request more.
                Err(failure) if failure.stop().reason == Reason::RateLimited => {
                    return Ok(old.clone());
                }
                renewed => renewed?,
            },
            _ => self.minted(subject, asker).await?,
        };
        *slot = Some(token.clone());
        Ok(token)
    }

    async fn renewed(&self, old: &Token, subject: &str, asker: Priority) -> Result<Token, Failure> {
        match self.continued(old, asker).await {
            Ok(token) => Ok(token),
            Err(failure) if failure.stop().reason == Reason::RateLimited => Err(failure),
            Err(_) => self.minted(subject, asker).await,
        }
    }

    /// Exchanges an identity JWT of ours for a messaging token.
    /// <https://developer.salesforce.com/docs/service/messaging-api/references/miaw-api-reference?meta=generateAccessTokenForAuthenticatedUser>
    async fn minted(&self, subject: &str, asker: Priority) -> Result<Token, Failure> {
        let Credential::Miaw {
            token_url,
            org_id,
            es_developer_name,
            capabilities_version,
            key_id,
            issuer,
            audience,
            private_key,
            lifetime,
            ..
        } = &self.credential
        else {
            return Err(not_signed_in(
                Reason::Bug,
                "this target has no customer tokens",
            ));
        };
        let now = Timestamp::now().as_second();
        let mut claims = json!({
            "sub": subject,
            "iss": issuer,
            // Clocks differ; a token from the future is refused.
            "iat": now - 30,
            "exp": now + i64::try_from(lifetime.as_secs()).unwrap_or(3_600),
        });
        if let Some(audience) = audience {
            claims["aud"] = json!(audience);
        }
        let key = signing_key(&self.secrets[&private_key.0])
            .map_err(|why| not_signed_in(Reason::IdentityRejected, &why))?;
        let header = Header {
            kid: Some(key_id.clone()),
            ..Header::new(Algorithm::RS256)
        };
        let identity = jsonwebtoken::encode(&header, &claims, &key).map_err(|_| {
            not_signed_in(
                Reason::IdentityRejected,
                "the identity token could not be signed",
            )
        })?;
        self.spend_mint(asker).await?;
        let body = json!({
            "orgId": org_id,
            "esDeveloperName": es_developer_name,
            "capabilitiesVersion": capabilities_version,
            "platform": "Web",
            "context": {"appName": "handoffd", "clientVersion": env!("CARGO_PKG_VERSION")},
            "authorizationType": "JWT",
            "customerIdentityToken": identity,
        });
        let reply = self.ask(self.client.post(token_url).json(&body)).await?;
        if !reply.ok() {
            let reason = match reply.status {
                400 | 401 | 403 => Reason::IdentityRejected,
                _ => return Err(refused(&reply, "the token address")),
            };
            return Err(not_signed_in(reason, &message_of(&reply)));
        }
        let json = reply.json().unwrap_or(Value::Null);
        // A rejected identity can come back as an anonymous one with status 200; the customer's
        // messages would then belong to nobody.
        let named = json["context"]["endUser"]["subject"].as_str();
        if named.is_some_and(|named| !named.contains("/AUTH/")) {
            return Err(not_signed_in(
                Reason::IdentityRejected,
                "Salesforce answered with an anonymous identity: check key id, issuer, key and the channel's user verification",
            ));
        }
        messaging_token(&json)
    }

    async fn continued(&self, old: &Token, asker: Priority) -> Result<Token, Failure> {
        let Credential::Miaw {
            continuation_url, ..
        } = &self.credential
        else {
            return Err(not_signed_in(
                Reason::Bug,
                "this target has no customer tokens",
            ));
        };
        self.spend_mint(asker).await?;
        let mut request = self.client.get(continuation_url);
        for (name, value) in &old.headers {
            request = request.header(name, value);
        }
        let reply = self.ask(request).await?;
        if !reply.ok() {
            return Err(refused(&reply, "the continuation address"));
        }
        messaging_token(&reply.json().unwrap_or(Value::Null))
    }

    async fn spend_mint(&self, asker: Priority) -> Result<(), Failure> {
        self.mint.take(asker).await.map_err(|RateExhausted| {
            not_signed_in(
                Reason::RateLimited,
                "the organisation's token requests per minute are used up",
            )
        })
    }

    /// A token request cannot have had an effect on the target's records, so its loss is harmless.
    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<HttpReply, Failure> {
        let asked = async {
            let response = request.send().await.map_err(|error| failure(&error))?;
            read_reply(response).await
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(failure)) => Err(Failure::NotSent(failure.stop())),
            Err(_) => Err(not_signed_in(
                Reason::TimedOut,
                "the sign-in did not answer in time",
            )),
        }
    }
}

/// The names of the secrets that a credential needs.
#[must_use]
pub fn names(credential: &Credential) -> Vec<String> {
    let secrets: Vec<&handoffd_contract::Secret> = match credential {
        Credential::None => vec![],
        Credential::Bearer { token } => vec![token],
        Credential::Header { key, .. } => vec![key],
        Credential::StandardWebhooks { secrets } => secrets.iter().collect(),
        Credential::ClientCredentials { client_secret, .. } => vec![client_secret],
        Credential::RefreshToken {
            client_secret,
            refresh_token,
            ..
        } => vec![client_secret, refresh_token],
        Credential::Miaw { private_key, .. } => vec![private_key],
        Credential::Basic { password, .. } | Credential::Forms { password, .. } => vec![password],
    };
    secrets.into_iter().map(|secret| secret.0.clone()).collect()
}

/// Reads an RSA private key: PKCS#1 or PKCS#8 PEM, with real or literal (`\n`) line ends.
///
/// # Errors
/// What is wrong with it, as the end of a sentence; never the key.
pub fn signing_key(pem: &SecretString) -> Result<EncodingKey, String> {
    let text = pem.expose_secret().replace("\\r", "").replace("\\n", "\n");
    let text = text.trim().trim_matches('"');
    if text.contains("PUBLIC KEY") {
        return Err("is a public key; the private key of the uploaded pair is needed".into());
    }
    if text.contains("ENCRYPTED") {
        return Err("is encrypted; a key without a pass phrase is needed".into());
    }
    if !text.contains("-----BEGIN") || !text.contains("-----END") {
        return Err("is not a whole PEM: both the BEGIN and the END line are needed".into());
    }
    let key = EncodingKey::from_rsa_pem(format!("{text}\n").as_bytes())
        .map_err(|_| "is not an RSA private key in PKCS#1 or PKCS#8 PEM".to_owned())?;
    let probe = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &json!({}), &key);
    let signature = probe.ok().and_then(|token| {
        let encoded = token.rsplit('.').next()?.to_owned();
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(encoded)
            .ok()
    });
    match signature {
        Some(bytes) if bytes.len() >= 256 => Ok(key),
        Some(_) => Err("is shorter than 2048 bits".into()),
        None => Err("cannot sign: it is not an RSA key of 2048 to 8192 bits".into()),
    }
}

fn messaging_token(json: &Value) -> Result<Token, Failure> {
    let access = json["accessToken"]
        .as_str()
        .ok_or_else(|| not_signed_in(Reason::ServerError, "the answer holds no accessToken"))?;
    // At most a day is believed: a time must bear the addition.
    let lifetime = expiry(access)
        .map(|exp| exp.saturating_sub(Timestamp::now().as_second()))
        .map_or(Duration::from_secs(600), |left| {
            Duration::from_secs(u64::try_from(left.min(86_400)).unwrap_or(0))
        });
    let first = match &json["lastEventId"] {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    };
    Ok(Token {
        headers: bearer(access)?,
        issued_at: Instant::now(),
        renew_at: Instant::now() + lifetime.mul_f64(0.8),
        expires_at: Instant::now() + lifetime,
        first_event_id: first,
    })
}

/// A JWT's `exp`, read without verifying: it is the target's own token.
fn expiry(jwt: &str) -> Option<i64> {
    let payload = jwt.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload.trim_end_matches('='))
        .ok()?;
    serde_json::from_slice::<Value>(&bytes).ok()?["exp"].as_i64()
}

fn margin(lifetime: Duration) -> Duration {
    lifetime
        .saturating_sub(Duration::from_secs(30))
        .max(lifetime / 2)
}

fn bearer(token: &str) -> Result<Headers, Failure> {
    Ok(vec![(
        AUTHORIZATION,
        sensitive(&format!("Bearer {token}"))?,
    )])
}

fn sensitive(value: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        not_signed_in(
            Reason::Unauthorized,
            "the token holds characters that no header may have",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn not_signed_in(reason: Reason, words: &str) -> Failure {
    Failure::NotSent(Stop::new(reason, words))
}

fn refused(reply: &HttpReply, what: &str) -> Failure {
    let reason = match reply.status {
        429 => Reason::RateLimited,
        500.. => Reason::ServerError,
        _ => Reason::Unauthorized,
    };
    not_signed_in(
        reason,
        &format!("{what} answered {}: {}", reply.status, message_of(reply)),
    )
}

/// The sign-in's own words, from the members that are meant for people.
fn message_of(reply: &HttpReply) -> String {
    let json = reply.json().unwrap_or(Value::Null);
    ["error_description", "message", "error", "Message", "code"]
        .iter()
        .find_map(|name| json[*name].as_str())
        .unwrap_or("no further words")
        .chars()
        .take(200)
        .collect()
}
