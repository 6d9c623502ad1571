//! The other side: a simulator of HubSpot's documented API.
//!
//! It follows HubSpot's documentation, not our client, and refuses what is not documented: unknown
//! members, query parameters, properties, ids of the wrong kind, values that are not text, texts that
//! are too long. What the documentation leaves open is a switch. The crate's README lists acts and
//! switches.

mod answer;
mod association_batches;
mod associations;
mod batch;
mod definitions;
mod files;
mod hmac;
mod hooks;
mod inboxes;
mod meta;
mod objects;
mod phones;
mod rep;
mod schema;
mod search;
mod store;
mod switches;
mod threads;
mod values;
mod view;

use std::collections::BTreeMap;

use handoffd_contract::Auth;
use handoffd_contract::sandbox::{Delivery, Limit, Request, Response, Sandbox};
use jiff::Timestamp;
use serde_json::{Value, json};

use answer::{Answer, invalid, malformed, missing_scope, no_route, too_many, wrong_method};
use files::File;
use hooks::Hooks;
use schema::{Kind, Schema};
use store::{By, Store};
use switches::Switches;
use threads::Thread;

/// The portal's number.
const PORTAL_ID: u64 = 12_345_678;
/// The app's number.
const APP_ID: u64 = 36_900_466;
/// The static token that is accepted.
const TOKEN: &str = "pat-sandbox-0001";
const CLIENT_ID: &str = "sandbox-client-id";
/// The app's secret: for OAuth, and for signatures.
const CLIENT_SECRET: &str = "sandbox-client-secret";
const REFRESH_TOKEN: &str = "sandbox-refresh-token";
const PATH_TOKEN: &str = "sandbox-path-token";

/// A portal: everything that HubSpot keeps, and how strict it is.
pub struct Portal {
    switches: Switches,
    schema: Schema,
    store: Store,
    files: BTreeMap<u64, File>,
    file_count: u64,
    threads: BTreeMap<u64, Thread>,
    message_count: u64,
    tokens: BTreeMap<String, Timestamp>,
    issued: u64,
    hooks: Hooks,
    api: Limit,
    searches: Limit,
    today: (i64, u64),
}

impl Default for Portal {
    fn default() -> Portal {
        Portal::new()
    }
}

impl Portal {
    /// A portal with everything as documented.
    #[must_use]
    pub fn new() -> Portal {
        let switches = Switches::default();
        Portal {
            schema: Schema::new(),
            store: Store::default(),
            files: BTreeMap::new(),
            file_count: 0,
            threads: BTreeMap::new(),
            message_count: 0,
            tokens: BTreeMap::new(),
            issued: 0,
            hooks: Hooks::new(),
            api: Limit::new(switches.api_per_10s, 10_000),
            searches: Limit::new(switches.search_per_second, 1_000),
            today: (0, 0),
            switches,
        }
    }

    fn answer(&mut self, now: Timestamp, request: &Request) -> Answer {
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["_signed", id] if request.method == "GET" => {
                return Ok(self.download(now, request, id));
            }
            ["oauth", "v3" | "2026-03" | "2026-09", rest @ ..] => {
                return self.oauth(now, request, rest);
            }
            _ => {}
        }
        self.authenticate(now, request)?;
        self.count(now, matches!(path.as_slice(), ["crm", .., "search"]))?;
        self.route(now, request, &path)
    }

    /// The version is only a path segment: both styles lead to the same place.
    fn route(&mut self, now: Timestamp, request: &Request, path: &[&str]) -> Answer {
        let kind = |name: &str| Kind::parse(name).ok_or_else(no_route);
        match path {
            [
                "crm",
                "objects",
                "2026-03" | "2026-09",
                from,
                id,
                "associations",
                rest @ ..,
            ]
            | ["crm", "v4", "objects", from, id, "associations", rest @ ..] => {
                self.associations(now, request, kind(from)?, id, rest)
            }
            ["crm", "objects", "2026-03" | "2026-09", of, rest @ ..]
            | ["crm", "v3", "objects", of, rest @ ..] => {
                self.objects(now, request, kind(of)?, rest)
            }
            ["crm", "properties", "2026-03" | "2026-09", of, rest @ ..]
            | ["crm", "v3", "properties", of, rest @ ..] => {
                self.properties(request, kind(of)?, rest)
            }
            [
                "crm",
                "pipelines",
                "2026-03" | "2026-09",
                "tickets",
                rest @ ..,
            ]
            | ["crm", "v3", "pipelines", "tickets", rest @ ..] => self.pipelines(request, rest),
            ["crm", "owners", "2026-03" | "2026-09", rest @ ..]
            | ["crm", "v3", "owners", rest @ ..] => self.owners(request, rest),
            [
                "crm",
                "associations",
                "2026-03" | "2026-09",
                from,
                to,
                "labels",
            ]
            | ["crm", "v4", "associations", from, to, "labels"] => {
                self.association_labels(request, from, to)
            }
            [
                "crm",
                "associations",
                "2026-03" | "2026-09",
                from,
                to,
                "batch",
                rest @ ..,
            ]
            | ["crm", "v4", "associations", from, to, "batch", rest @ ..] => {
                self.association_batch(now, request, (kind(from)?, kind(to)?), rest)
            }
            ["files", "v3" | "2026-03" | "2026-09", "files", rest @ ..] => {
                self.file_calls(now, request, rest)
            }
            ["account-info", "v3" | "2026-03" | "2026-09", "details"]
                if request.method == "GET" =>
            {
                self.account(request)
            }
            ["account-info", _, "details"] => Err(wrong_method()),
            ["conversations", "v3", "conversations", "threads", rest @ ..]
            | [
                "conversations",
                "conversations",
                "2026-09-beta" | "v3",
                "threads",
                rest @ ..,
            ] => self.thread_calls(now, request, rest),
            ["conversations", "v3", "conversations", rest @ ..]
            | [
                "conversations",
                "conversations",
                "2026-09-beta" | "v3",
                rest @ ..,
            ] => self.conversation_meta(request, rest),
            _ => Err(no_route()),
        }
    }

    /// Counts the call against the account's limits.
    /// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>
    fn count(&mut self, now: Timestamp, search: bool) -> Result<(), Response> {
        let told = |wait: i64| self.switches.retry_after.then_some(wait);
        let day = now.as_second().div_euclid(86_400);
        if self.today.0 != day {
            self.today = (day, 0);
        }
        if self.today.1 >= self.switches.daily {
            return Err(too_many(
                "DAILY",
                "You have reached your daily limit.",
                told(60_000),
            ));
        }
        if let Err(wait) = self.api.count("", now) {
            return Err(too_many(
                "TEN_SECONDLY_ROLLING",
                "You have reached your ten_secondly_rolling limit.",
                told(wait),
            ));
        }
        self.today.1 += 1;
        if search && let Err(wait) = self.searches.count("", now) {
            return Err(too_many(
                "",
                "You have reached your secondly limit.",
                told(wait),
            ));
        }
        Ok(())
    }

    fn scope(&self, scope: &str) -> Result<(), Response> {
        if self.switches.scopes.iter().any(|granted| granted == scope) {
            Ok(())
        } else {
            Err(missing_scope(scope))
        }
    }

    /// No other query parameters than the documented ones.
    fn params(&self, request: &Request, allowed: &[&str]) -> Result<(), Response> {
        match request
            .query
            .iter()
            .find(|(name, _)| !allowed.contains(&name.as_str()))
        {
            Some((name, _)) => Err(invalid(format!("Unknown query parameter {name}"))),
            None => Ok(()),
        }
    }

    fn body(&self, request: &Request) -> Result<Value, Response> {
        let json = request
            .header("content-type")
            .is_some_and(|mime| mime.starts_with("application/json"));
        if !json {
            return Err(answer::error(
                415,
                "VALIDATION_ERROR",
                "Content-Type must be application/json",
            ));
        }
        request
            .json()
            .ok_or_else(|| malformed("Unexpected character"))
    }

    /// Tells the webhooks of a new record.
    fn created(&mut self, now: Timestamp, kind: Kind, id: u64, by: By) {
        let event = json!({"objectTypeId": kind.type_id(), "changeSource": by.source(), "changeFlag": "CREATED"});
        self.hooks.push(now, "object.creation", id, event);
    }

    /// Writes properties and tells the webhooks of those that are subscribed to.
    fn change(
        &mut self,
        now: Timestamp,
        kind: Kind,
        id: u64,
        properties: BTreeMap<String, String>,
        by: By,
    ) {
        for (name, value) in self.store.update(now, kind, id, properties, by) {
            if kind == Kind::Ticket
                && (matches!(name.as_str(), "hs_pipeline_stage" | "hubspot_owner_id")
                    || self.switches.subscribed.contains(&name))
            {
                let event = json!({
                    "objectTypeId": kind.type_id(), "propertyName": name, "propertyValue": value, "changeSource": by.source(),
                    "sourceId": by.source_id(),
                });
                self.hooks.push(now, "object.propertyChange", id, event);
            }
        }
    }

    /// Puts a record into the recycle bin.
    fn archive(&mut self, now: Timestamp, kind: Kind, id: u64, by: By) {
        if let Some(object) = self.store.objects.get_mut(&(kind, id)) {
            object.archived = true;
            object.updated = now;
            let event = json!({"objectTypeId": kind.type_id(), "changeSource": by.source(), "changeFlag": "DELETED"});
            self.hooks.push(now, "object.deletion", id, event);
        }
    }
}

impl Sandbox for Portal {
    fn handle(&mut self, now: Timestamp, request: &Request) -> Response {
        let searched = request.path.ends_with("/search");
        let response = self.answer(now, request).unwrap_or_else(|failed| failed);
        if searched || response.status == 401 || request.path.starts_with("/_signed") {
            return response;
        }
        let max = self.switches.api_per_10s.to_string();
        response
            .with("x-hubspot-ratelimit-max", max)
            .with("x-hubspot-ratelimit-interval-milliseconds", "10000")
    }

    fn deliveries(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.hooks.deliveries(now)
    }

    fn next_delivery(&self) -> Option<Timestamp> {
        self.hooks.next()
    }

    fn delivered(&mut self, now: Timestamp, id: u64, status: Option<u16>) {
        self.hooks.delivered(now, id, status);
    }

    fn view(&self) -> Value {
        self.shown()
    }

    fn act(&mut self, now: Timestamp, act: &Value) -> Result<Value, String> {
        self.acted(now, act)
    }

    fn switch(&mut self, name: &str, value: &Value) -> Result<(), String> {
        self.set_switch(name, value)
    }

    fn credentials(&self, base: &str) -> Value {
        let mut settings = json!({
            "base": base, "token": "hubspot_token", "pipeline": "0", "stage": "1", "closed_stage": "4", "closed_stages": ["4", "177000002"],
            "session_url_property": "wa_session_url", "portal_id": PORTAL_ID.to_string(), "poll_seconds": 2,
        });
        // The path token is the last part of the address that webhooks go to.
        if let Some((public, token)) = self
            .hooks
            .url
            .as_deref()
            .and_then(|url| url.rsplit_once('/'))
            && token == PATH_TOKEN
        {
            settings["webhook"] = json!({"secret": "hubspot_client_secret", "public_url": public, "token": "hubspot_path_token"});
        }
        json!({
            "settings": settings,
            "secrets": {
                "hubspot_token": TOKEN, "hubspot_client_secret": CLIENT_SECRET, "hubspot_path_token": PATH_TOKEN,
                "hubspot_refresh_token": REFRESH_TOKEN,
            },
            "oauth": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN},
        })
    }

    fn sign_in(&mut self, _: Timestamp, auth: &Auth) -> Vec<(String, String)> {
        match auth {
            Auth::Target => vec![("authorization".to_owned(), format!("Bearer {TOKEN}"))],
            Auth::None | Auth::Customer { .. } | Auth::Signed { .. } => Vec::new(),
        }
    }
}
