//! Inboxes, channels, channel accounts and actors: read, never made.
//! <https://developers.hubspot.com/docs/api-reference/latest/conversations/guide>

use handoffd_contract::sandbox::{Request, Response};
use serde_json::{Value, json};

use super::answer::{Answer, malformed, no_route, not_found, only, wrong_method};
use super::schema::OWNERS;
use super::{APP_ID, Portal};

/// The portal's inbox.
pub(super) const INBOX: &str = "1431487401";
/// Its live chat.
pub(super) const ACCOUNT: &str = "7788";
/// HubSpot's own number of live chat.
pub(super) const LIVE_CHAT: &str = "1000";

impl Portal {
    /// Everything beside `…/threads`.
    pub(super) fn conversation_meta(&self, request: &Request, rest: &[&str]) -> Answer {
        self.scope("conversations.read")?;
        let one_or_all = |all: Vec<Value>, id: Option<&str>| match id {
            None => Ok(Response::json(
                200,
                &json!({"total": all.len(), "results": all}),
            )),
            Some(id) => all
                .iter()
                .find(|one| one["id"] == json!(id))
                .map(|one| Response::json(200, one))
                .ok_or_else(|| not_found("resource not found")),
        };
        let listed = ["limit", "after", "sort", "archived"];
        match (request.method.as_str(), rest) {
            ("POST", ["actors", "batch", "read"]) => {
                self.params(request, &["property"])?;
                let body = self.body(request)?;
                only(&body, &["inputs"])?;
                let inputs = body["inputs"]
                    .as_array()
                    .ok_or_else(|| malformed("inputs are required"))?;
                let found = inputs.iter().filter_map(Value::as_str);
                let found: Vec<Value> = found.filter_map(|id| self.actor(id)).collect();
                Ok(Response::json(
                    200,
                    &json!({"status": "COMPLETE", "results": found}),
                ))
            }
            ("GET", ["actors", id]) => {
                self.params(request, &["property"])?;
                let actor = self.actor(id);
                let actor = actor.ok_or_else(|| not_found("No actor with this id"))?;
                Ok(Response::json(200, &actor))
            }
            ("GET", ["inboxes", id @ ..]) if id.len() < 2 => {
                self.params(request, &listed)?;
                let inbox = json!({
                    "id": INBOX, "name": "Support", "type": "HELP_DESK", "archived": false,
                    "createdAt": "2026-01-05T09:00:00.000Z", "updatedAt": "2026-01-05T09:00:00.000Z",
                });
                one_or_all(vec![inbox], id.first().copied())
            }
            ("GET", ["channels", id @ ..]) if id.len() < 2 => {
                self.params(request, &listed)?;
                let channels = [
                    (LIVE_CHAT, "Live chat"),
                    ("1002", "Email"),
                    ("1007", "WhatsApp"),
                ];
                let channels = channels.map(|(id, name)| json!({"id": id, "name": name}));
                one_or_all(channels.to_vec(), id.first().copied())
            }
            ("GET", ["channel-accounts", id @ ..]) if id.len() < 2 => {
                self.params(
                    request,
                    &["limit", "after", "sort", "archived", "channelId", "inboxId"],
                )?;
                let account = json!({
                    "id": ACCOUNT, "name": "Chat", "inboxId": INBOX, "channelId": LIVE_CHAT, "active": true, "authorized": true,
                    "archived": false, "createdAt": "2026-01-05T09:00:00.000Z",
                });
                let fits = |name: &str| {
                    request
                        .param(name)
                        .is_none_or(|wanted| account[name] == json!(wanted))
                };
                let shown = fits("channelId") && fits("inboxId");
                let all = if shown {
                    vec![account.clone()]
                } else {
                    Vec::new()
                };
                one_or_all(all, id.first().copied())
            }
            (_, ["actors" | "inboxes" | "channels" | "channel-accounts", ..]) => {
                Err(wrong_method())
            }
            _ => Err(no_route()),
        }
    }

    /// `A-` a user, `I-` an app, `V-` a visitor who is a contact.
    fn actor(&self, id: &str) -> Option<Value> {
        let (kind, number) = id.split_once('-')?;
        let number: u64 = number.parse().ok()?;
        match kind {
            "A" => OWNERS
                .iter()
                .find(|owner| owner.1 == number)
                .map(|owner| json!({"id": id, "type": "AGENT", "name": format!("{} {}", owner.2, owner.3), "email": owner.4})),
            "I" => (number == APP_ID).then(|| json!({"id": id, "type": "INTEGRATOR", "name": "App"})),
            "V" => {
                let kind = super::schema::Kind::Contact;
                let contact = self.store.get(kind, number, false)?;
                Some(json!({"id": id, "type": "VISITOR", "name": contact.get("firstname"), "email": contact.get("email")}))
            }
            _ => None,
        }
    }
}
