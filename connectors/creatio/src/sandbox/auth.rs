//! Signing in: the identity service's tokens, the form's cookies, and how both end.

use std::collections::BTreeMap;

use handoffd_contract::ids;
use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::fault::Fault;

/// The OAuth application's id.
pub(super) const CLIENT_ID: &str = "3F4A9C0E17B24D55A1C7E0D2B6F8A9C1";
/// Its secret.
pub(super) const CLIENT_SECRET: &str = "9C77E1A04B6D48F2A35D0C9E7B1F6A2D";
/// The user of the form.
pub(super) const USER: &str = "handoffd";
/// Its password.
pub(super) const PASSWORD: &str = "Correct-Horse-9";
/// Switches of this part.
pub(super) const SWITCHES: &str =
    "token_style, token_seconds, session_minutes, expiry_style, end_sessions, locked";
/// Tokens and sessions that are kept.
const MAX: usize = 10_000;

/// How an ended session shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Status401,
    Redirect,
    Page,
}

struct Session {
    csrf: String,
    used: i64,
}

/// Tokens and sessions.
pub(super) struct Auth {
    tokens: BTreeMap<String, i64>,
    sessions: BTreeMap<String, Session>,
    issued: u64,
    own_host: bool,
    own_site: bool,
    token_seconds: i64,
    session_minutes: i64,
    ending: Ending,
    locked: bool,
}

impl Auth {
    pub(super) fn new() -> Auth {
        Auth {
            tokens: BTreeMap::new(),
            sessions: BTreeMap::new(),
            issued: 0,
            own_host: true,
            own_site: true,
            token_seconds: 3_600,
            session_minutes: 60,
            ending: Ending::Status401,
            locked: false,
        }
    }

    pub(super) fn switch(&mut self, name: &str, value: &Value) -> Result<bool, String> {
        match name {
            "token_style" => {
                (self.own_host, self.own_site) = match value.as_str() {
                    Some("identity_host") => (true, false),
                    Some("site") => (false, true),
                    Some("both") => (true, true),
                    _ => {
                        return Err(
                            "token_style takes \"identity_host\", \"site\" or \"both\"".into()
                        );
                    }
                };
            }
            "token_seconds" => {
                self.token_seconds = value.as_i64().ok_or("token_seconds takes a whole number")?
            }
            "session_minutes" => {
                self.session_minutes = value
                    .as_i64()
                    .ok_or("session_minutes takes a whole number")?
            }
            "expiry_style" => {
                self.ending = match value.as_str() {
                    Some("401") => Ending::Status401,
                    Some("redirect") => Ending::Redirect,
                    Some("page") => Ending::Page,
                    _ => return Err("expiry_style takes \"401\", \"redirect\" or \"page\"".into()),
                };
            }
            "end_sessions" => {
                self.tokens.clear();
                self.sessions.clear();
            }
            "locked" => self.locked = value.as_bool().ok_or("locked takes true or false")?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A token that the proof suite uses without asking for one.
    pub(super) fn back_door(&mut self, now: Timestamp) -> String {
        let token = "proof".to_owned();
        self.tokens
            .insert(token.clone(), now.as_second() + 365 * 86_400);
        token
    }

    /// Paths that need no sign-in.
    pub(super) fn endpoint(
        &mut self,
        now: Timestamp,
        request: &Request,
        path: &str,
        framework: bool,
    ) -> Option<Response> {
        let post = request.method == "POST";
        match path {
            "/connect/token" if self.own_host => Some(if post {
                self.token(now, request)
            } else {
                Response::empty(405)
            }),
            "/0/connect/token" if self.own_site => Some(if post {
                self.token(now, request)
            } else {
                Response::empty(405)
            }),
            "/.well-known/openid-configuration" if self.own_host => Some(discovery(request, "")),
            "/0/.well-known/openid-configuration" if self.own_site => {
                Some(discovery(request, "/0"))
            }
            "/ServiceModel/AuthService.svc/Login" => Some(if post {
                self.login(now, request)
            } else {
                Response::empty(405)
            }),
            // Refused on .NET Framework: the form is at the site's root.
            "/0/ServiceModel/AuthService.svc/Login" if framework => Some(Response::empty(401)),
            _ => None,
        }
    }

    fn token(&mut self, now: Timestamp, request: &Request) -> Response {
        let refuse = |error: &str| Response::json(400, &json!({ "error": error }));
        let Some(form) = request.form() else {
            return refuse("invalid_request");
        };
        let field = |name: &str| {
            form.iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.as_str())
                .unwrap_or_default()
        };
        if field("client_id") != CLIENT_ID || field("client_secret") != CLIENT_SECRET {
            return refuse("invalid_client");
        }
        match field("grant_type") {
            "client_credentials" => {}
            "" => return refuse("unsupported_grant_type"),
            "password" | "authorization_code" => return refuse("unauthorized_client"),
            _ => return refuse("unsupported_grant_type"),
        }
        self.issued += 1;
        let number = self.issued.to_string();
        let token: String = (0..36)
            .map(|part| ids::short(&["token", &number, &part.to_string()]))
            .collect::<Vec<_>>()
            .join("");
        let token = format!("eyJhbGciOiJSUzI1NiJ9.{token}");
        self.tokens.retain(|_, until| *until > now.as_second());
        if self.tokens.len() < MAX {
            self.tokens
                .insert(token.clone(), now.as_second() + self.token_seconds);
        }
        Response::json(
            200,
            &json!({ "access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer",
                "scope": format!("ApplicationAccess_{}", CLIENT_ID.to_ascii_lowercase()) }),
        )
    }

    fn login(&mut self, now: Timestamp, request: &Request) -> Response {
        let Some(body) = request.json() else {
            return Response::empty(400);
        };
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("UserName") != USER || text("UserPassword") != PASSWORD || self.locked {
            let message = if self.locked {
                "The user account is locked."
            } else {
                "Invalid username or password specified"
            };
            // A refusal is a 200 as well.
            return Response::json(
                200,
                &json!({ "Code": 1, "Message": message,
                    "Exception": { "HelpLink": null, "InnerException": null, "Message": message, "StackTrace": null, "Type": "System.Security.SecurityException" },
                    "PasswordChangeUrl": null, "RedirectUrl": null }),
            );
        }
        self.issued += 1;
        let id = ids::short(&["session", &self.issued.to_string()]);
        let csrf = ids::short(&["csrf", &self.issued.to_string()]);
        let oldest = now.as_second() - self.session_minutes * 60;
        self.sessions.retain(|_, session| session.used > oldest);
        if self.sessions.len() < MAX {
            self.sessions.insert(
                id.clone(),
                Session {
                    csrf: csrf.clone(),
                    used: now.as_second(),
                },
            );
        }
        let name: Vec<String> = USER.bytes().map(|b| b.to_string()).collect();
        Response::json(200, &json!({ "Code": 0, "Message": "", "Exception": null, "PasswordChangeUrl": null, "RedirectUrl": null }))
            .with("set-cookie", format!("BPMLOADER={}; path=/; HttpOnly; SameSite=Lax", ids::short(&["loader", &id])))
            .with("set-cookie", format!(".ASPXAUTH={id}; path=/; HttpOnly; SameSite=Lax"))
            .with("set-cookie", format!("BPMCSRF={csrf}; path=/; SameSite=Lax"))
            .with("set-cookie", format!("UserName={}; path=/; SameSite=Lax", name.join("|")))
    }

    /// Whether a request is signed in.
    pub(super) fn check(&mut self, now: Timestamp, request: &Request) -> Result<(), Response> {
        if let Some(token) = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
        {
            return match self.tokens.get(token) {
                Some(until) if *until > now.as_second() => Ok(()),
                _ => Err(Fault::denied().response()),
            };
        }
        let cookies: Vec<(&str, &str)> = request
            .headers
            .iter()
            .filter(|(name, _)| name == "cookie")
            .flat_map(|(_, value)| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .collect();
        let cookie = |name: &str| {
            cookies
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| *v)
                .unwrap_or_default()
        };
        let oldest = now.as_second() - self.session_minutes * 60;
        match self
            .sessions
            .get_mut(cookie(".ASPXAUTH"))
            .filter(|session| session.used > oldest)
        {
            Some(session) => {
                session.used = now.as_second();
                let sent = request.header("bpmcsrf").unwrap_or_default();
                if request.method != "GET"
                    && (sent != session.csrf || cookie("BPMCSRF") != session.csrf)
                {
                    return Err(Response::empty(403));
                }
                Ok(())
            }
            None => Err(self.ended(request, !cookies.is_empty())),
        }
    }

    fn ended(&self, request: &Request, had_cookies: bool) -> Response {
        if request.path.contains(".svc/") {
            let body = json!({ "Message": "Authentication failed.", "StackTrace": null, "ExceptionType": "System.InvalidOperationException" });
            return Response::json(401, &body);
        }
        match self.ending {
            Ending::Redirect if had_cookies => Response::empty(302)
                .with("location", "/Login/NuiLogin.aspx?ReturnUrl=%2f0%2fodata")
                .with("content-type", "text/html"),
            Ending::Page if had_cookies => {
                let mut page = Response::text(
                    200,
                    "<!DOCTYPE html><html><head><script src=\"/Login/bootstrap.login.js\"></script></head></html>",
                );
                page.headers = vec![("content-type".into(), "text/html; charset=utf-8".into())];
                page
            }
            _ => Fault::denied().response(),
        }
    }
}

fn discovery(request: &Request, prefix: &str) -> Response {
    let base = super::odata::origin(request);
    Response::json(
        200,
        &json!({ "issuer": base, "token_endpoint": format!("{base}{prefix}/connect/token"), "grant_types_supported": ["client_credentials", "authorization_code"] }),
    )
}
