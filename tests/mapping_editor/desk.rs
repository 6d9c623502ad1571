//! A daemon, two admins, and what a test does with them.

use handoffd_test_support::eventually;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::alone::{Alone, SOON};

/// What the admin token is.
pub const ADMIN: &str = "the-admin-token-of-tests";

/// A daemon, and its admins.
pub struct Desk {
    pub daemon: Alone,
    client: Client,
}

/// Somebody who asks.
pub struct Admin<'d> {
    desk: &'d Desk,
    /// Their name and role as a proxy tells them; whoever shows the admin token where there are none.
    named: Option<(&'static str, &'static str)>,
}

impl Desk {
    pub async fn start() -> Desk {
        let daemon = Alone::under("exec \"$0\" \"$@\"", |plan| {
            plan.over = json!({
                "http": {"admin_token": "admin_token", "trusted_proxies": ["127.0.0.1"]},
                "secrets": {"admin_token": {"value": ADMIN}},
                "access": {"proxy": {
                    "user_header": "X-Forwarded-User", "roles_header": "X-Forwarded-Groups",
                    "roles": {"admin": ["admin"], "operator": ["operator"], "viewer": ["*"]},
                }},
                "engine": {"backoff": {"first": "200ms", "max": "2s"}},
            });
        })
        .await;
        let client = Client::builder().no_proxy().build().unwrap();
        Desk { daemon, client }
    }

    /// Whoever shows the admin token.
    pub fn first(&self) -> Admin<'_> {
        Admin {
            desk: self,
            named: None,
        }
    }

    /// Somebody else with this role.
    pub fn other(&self, name: &'static str, role: &'static str) -> Admin<'_> {
        Admin {
            desk: self,
            named: Some((name, role)),
        }
    }

    /// A handoff comes to HubSpot, with what the assistant filled in.
    pub async fn hands_over(&self, id: &str, fields: Value) {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/gateway/test", "type": "handoff.requested", "subject": format!("session-{id}"),
            "time": "2026-11-20T10:00:00Z", "datacontenttype": "application/json",
            "data": {
                "session": {"id": format!("session-{id}"), "business_number": "+15550783881", "language": "es"},
                "contact": {"wa_id": "4915112345678", "phone": "+4915112345678", "name": "Ana López", "email": "ana@example.com"},
                "handoff": {"reasons": ["asks for a person"], "summary": "Her parcel of the secret kind is broken", "sentiment": "angry",
                    "topic": "A broken secret parcel", "requested_at": "2026-11-20T10:00:00Z"},
                "transcript": [{"id": format!("wamid.{id}"), "time": "2026-11-20T09:59:00Z", "author": {"kind": "customer"}, "text": "secret words"}],
                "fields": fields,
                "targets": ["hubspot"],
            }
        });
        let headers = [
            ("authorization", format!("Bearer {}", self.daemon.token)),
            ("content-type", "application/cloudevents+json".to_owned()),
        ];
        let status = self
            .daemon
            .post("/v1/events", &headers, event.to_string().into_bytes())
            .await;
        assert!((200..300).contains(&status), "{status}");
    }

    /// What is seen in a simulator.
    pub fn view(&self, name: &str) -> Value {
        self.daemon.sims.target(name).unwrap().view()
    }
}

impl Admin<'_> {
    /// Status and answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        matches: Option<i64>,
        body: Option<Value>,
    ) -> (u16, Value) {
        let url = format!("http://{}{path}", self.desk.daemon.admin);
        let request = self.desk.client.request(method, url);
        let mut request = match self.named {
            None => request.bearer_auth(ADMIN),
            Some((name, role)) => request
                .header("x-forwarded-user", name)
                .header("x-forwarded-groups", role)
                .header("sec-fetch-site", "same-origin"),
        };
        if let Some(revision) = matches {
            request = request.header("if-match", format!("\"{revision}\""));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = request.send().await.unwrap();
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// What is answered to a call that is answered.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.ask(Method::POST, path, None, Some(body)).await;
        assert!((200..300).contains(&status), "{path}: {status} {body}");
        body
    }

    /// Saves changes of fields over a revision of the draft.
    pub async fn edits(&self, target: &str, revision: i64, fields: Value) -> (u16, Value) {
        let path = format!("/v1/mappings/{target}/draft");
        self.ask(
            Method::PUT,
            &path,
            Some(revision),
            Some(json!({"fields": fields})),
        )
        .await
    }

    /// Waits until the CRM's schema was read.
    pub async fn reads_schema(&self, target: &str) {
        self.post(&format!("/v1/targets/{target}/schema/read"), json!({}))
            .await;
    }

    /// Waits until so many handoffs of a target are parked.
    pub async fn waits_for_parked(&self, target: &str, count: usize) -> Value {
        let path = format!("/v1/handoffs?target={target}");
        eventually(SOON, || async {
            self.get(&path).await["parked"] == json!(count)
        })
        .await;
        self.get(&path).await
    }
}

/// The field of this path in a list.
pub fn field<'v>(list: &'v Value, path: &str) -> &'v Value {
    let (section, name) = path.split_once('.').unwrap();
    let all = list["fields"].as_array().unwrap();
    let found = all
        .iter()
        .find(|one| one["field"] == path || (one["section"] == section && one["name"] == name));
    found.unwrap_or_else(|| panic!("no {path} in {list:#}"))
}
