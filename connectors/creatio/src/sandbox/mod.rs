//! A simulator of a Creatio site: its sign-in, OData 4, the file service, and the business
//! processes that call webhooks. It follows the documented behaviour, not our client; what is not
//! documented is a switch. Acts, switches and their sources are in the crate's README.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `schema`, `seed` | objects and columns, and the rows of the default configuration |
//! | `store`, `rules` | rows: keys and indexes; widths, defaults, and what objects do when saved |
//! | `filter`, `grammar`, `query` | reading |
//! | `odata`, `batch` | the entity sets over HTTP; several requests in one |
//! | `auth` | tokens, sessions, and how they end |
//! | `files` | bytes of files, and the file service |
//! | `process` | signals and webhooks |
//! | `people` | what a rep sees and does |
//! | `fault` | error bodies |

mod auth;
mod batch;
mod fault;
mod files;
mod filter;
mod grammar;
mod odata;
mod people;
mod process;
mod query;
mod rules;
mod schema;
mod seed;
mod store;

use handoffd_contract::sandbox::{Delivery, Limit, Request, Response, Sandbox};
use jiff::Timestamp;
use serde_json::{Value, json};

use auth::Auth;
use fault::Fault;
use files::Files;
use process::Processes;
use seed::{PEOPLE, person};
use store::{Engine, Store};

/// Bytes of a request's body that a site takes.
const MAX_BODY: usize = 30 * 1024 * 1024;

/// A site.
pub(crate) struct Site {
    store: Store,
    auth: Auth,
    files: Files,
    processes: Processes,
    /// Whether data paths begin with `/0`.
    framework: bool,
    /// Operations that the integration user may not do: entity and `read`, `create`, `update`, `delete`.
    denied: Vec<(String, String)>,
    /// Whether the integration user has the system operation "Access to OData".
    odata_right: bool,
    /// Whether `$batch` is let through.
    batch: bool,
    /// Whether a nested `$select` inside `$expand` and paths of two steps in `$filter` are taken.
    deep_queries: bool,
    /// So many creations still fail after the row was written.
    fail_after_insert: u64,
    rate: Option<Limit>,
    /// What the act `reply` writes in front of its text.
    reply_prefix: String,
}

impl Site {
    /// A fresh site with strict defaults.
    pub(crate) fn new() -> Site {
        Site {
            store: Store::new(),
            auth: Auth::new(),
            files: Files::new(),
            processes: Processes::default(),
            framework: true,
            denied: Vec::new(),
            odata_right: true,
            batch: true,
            deep_queries: true,
            fail_after_insert: 0,
            rate: None,
            reply_prefix: handoffd_contract::marker::PREFIX.to_owned(),
        }
    }

    /// The contact of the integration user.
    fn user() -> String {
        person(PEOPLE[0])
    }

    fn prefix(&self) -> &'static str {
        if self.framework { "/0" } else { "" }
    }

    fn data(&mut self, now: Timestamp, request: &Request, path: &str) -> Response {
        if let Err(response) = self.auth.check(now, request) {
            return response;
        }
        if let Some(Err(wait)) = self.rate.as_mut().map(|rate| rate.count("", now)) {
            return Response::text(429, "Too many requests")
                .with("retry-after", ((wait + 999) / 1_000).to_string());
        }
        if let Some(rest) = path
            .strip_prefix("/odata")
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            return self.odata(now, request, rest);
        }
        match (request.method.as_str(), path) {
            ("POST", "/rest/FileApiService/UploadFile") => self.upload(now, request),
            ("GET", _) if path.starts_with("/rest/FileService/Download/") => {
                self.service_download(path)
            }
            ("POST", _)
                if path.eq_ignore_ascii_case(
                    "/ServiceModel/UserInfoService.svc/GetCurrentUserInfo",
                ) =>
            {
                let info = json!({ "userId": person("user"), "userName": auth::USER, "contactId": Site::user(), "contactName": PEOPLE[0], "cultureName": "en-US" });
                Response::json(200, &json!({ "userInfo": info, "success": true }))
            }
            _ => Fault::routing(
                &request.path,
                path.trim_start_matches('/')
                    .split('/')
                    .next()
                    .unwrap_or_default(),
            )
            .response(),
        }
    }
}

/// The server's own page for a path that no application takes.
fn nothing_there() -> Response {
    let mut response = Response::text(
        404,
        "<!DOCTYPE html><html><head><title>404 - File or directory not found.</title></head></html>",
    );
    response.headers = vec![("content-type".into(), "text/html".into())];
    response
}

impl Sandbox for Site {
    fn handle(&mut self, now: Timestamp, request: &Request) -> Response {
        if request.body.len() > MAX_BODY {
            return nothing_there();
        }
        let path = format!("/{}", request.segments().join("/"));
        if let Some(response) = self.auth.endpoint(now, request, &path, self.framework) {
            return response;
        }
        // A client tells the kind of hosting by which of the two answers.
        if path == format!("{}/api/HealthCheck/Ping", self.prefix()) {
            return Response::text(200, "Pong");
        }
        // On .NET the prefix may stand there or not.
        let rest = match path.strip_prefix("/0").filter(|rest| rest.starts_with('/')) {
            None if self.framework => None,
            None => Some(path.clone()),
            rest => rest.map(str::to_owned),
        };
        match rest {
            Some(rest) => self.data(now, request, &rest),
            None => nothing_there(),
        }
    }

    fn deliveries(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.due_deliveries(now)
    }

    fn next_delivery(&self) -> Option<Timestamp> {
        self.next_due()
    }

    fn delivered(&mut self, now: Timestamp, id: u64, status: Option<u16>) {
        self.processes.answered(now, id, status);
    }

    fn view(&self) -> Value {
        self.seen()
    }

    fn act(&mut self, now: Timestamp, act: &Value) -> Result<Value, String> {
        self.acted(now, act)
    }

    fn switch(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let flag = || {
            value
                .as_bool()
                .ok_or_else(|| format!("{name} takes true or false"))
        };
        let number = || {
            value
                .as_u64()
                .ok_or_else(|| format!("{name} takes a whole number"))
        };
        let text = || value.as_str().ok_or_else(|| format!("{name} takes a text"));
        match name {
            "runtime" => {
                self.framework = match text()? {
                    "framework" => true,
                    "net" => false,
                    _ => return Err("runtime takes \"framework\" or \"net\"".into()),
                };
            }
            "database" => {
                self.store.engine = match text()? {
                    "postgres" => Engine::Postgres,
                    "mssql" => Engine::Mssql,
                    _ => return Err("database takes \"postgres\" or \"mssql\"".into()),
                };
            }
            "over_length" => {
                self.store.cuts = match text()? {
                    "error" => false,
                    "truncate" => true,
                    _ => return Err("over_length takes \"error\" or \"truncate\"".into()),
                };
            }
            "reply_prefix" => self.reply_prefix = text()?.to_owned(),
            "model_errors" => self.store.model_errors = flag()?,
            "enforce_required" => self.store.required = flag()?,
            "odata_right" => self.odata_right = flag()?,
            "batch" => self.batch = flag()?,
            "deep_queries" => self.deep_queries = flag()?,
            "fail_after_insert" => self.fail_after_insert = number()?,
            "max_file_mb" => self.files.max = number()? * 1024 * 1024,
            "requests_per_second" => {
                let max = usize::try_from(number()?).unwrap_or(usize::MAX);
                self.rate = (max > 0).then(|| Limit::new(max, 1_000));
            }
            "deny" => {
                let pairs = value
                    .as_array()
                    .ok_or("deny takes a list such as [\"Case:create\"]")?;
                let pair = |pair: &Value| {
                    pair.as_str()
                        .and_then(|p| p.split_once(':'))
                        .map(|(e, o)| (e.to_owned(), o.to_owned()))
                };
                self.denied = pairs
                    .iter()
                    .map(pair)
                    .collect::<Option<_>>()
                    .ok_or("each is \"Entity:operation\"")?;
            }
            "column" => {
                let part = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
                self.store
                    .schema
                    .add(part("entity"), part("name"), part("kind"))?;
            }
            "inactive" => {
                let ids = value.as_array().into_iter().flatten();
                let ids: Vec<&str> = ids.filter_map(Value::as_str).collect();
                self.store.deactivate("CaseStatus", &ids)?;
            }
            _ => {
                let known = self.auth.switch(name, value)? || self.processes.switch(name, value)?;
                if !known {
                    return Err(format!(
                        "unknown switch {name}; there are: runtime, database, over_length, model_errors, enforce_required, odata_right, \
                         batch, deep_queries, fail_after_insert, max_file_mb, requests_per_second, deny, column, inactive, reply_prefix, {}, {}",
                        auth::SWITCHES,
                        process::SWITCHES
                    ));
                }
            }
        }
        Ok(())
    }

    fn credentials(&self, base: &str) -> Value {
        let mut settings = json!({
            "site": base,
            "runtime": if self.framework { "framework" } else { "net" },
            "auth": { "kind": "oauth", "client_id": auth::CLIENT_ID, "client_secret": "creatio_client_secret",
                "token_url": format!("{}/connect/token", base.trim_end_matches('/')) },
            "integration_contact_id": Site::user(),
            "resolved_status_id": "ae7f411e-f46b-1410-009b-0050ba5d6c38",
            "owner_id": person("Rosa Rep"),
            "group_id": person("Support team"),
            "webhook_token": "creatio_webhook_token",
        });
        if base.starts_with("http://") {
            settings["allow_plain_http"] = true.into();
        }
        let secrets = json!({
            "creatio_client_secret": auth::CLIENT_SECRET,
            "creatio_password": auth::PASSWORD,
            "creatio_webhook_token": "hook-6f1d9a72c4",
        });
        // For `settings.auth`, in the place of the OAuth application.
        let forms = json!({ "kind": "forms", "user": auth::USER, "password": "creatio_password" });
        json!({ "settings": settings, "secrets": secrets, "forms": forms })
    }

    fn sign_in(&mut self, now: Timestamp, auth: &handoffd_contract::Auth) -> Vec<(String, String)> {
        match auth {
            handoffd_contract::Auth::None | handoffd_contract::Auth::Signed { .. } => Vec::new(),
            _ => vec![(
                "authorization".into(),
                format!("Bearer {}", self.auth.back_door(now)),
            )],
        }
    }
}
