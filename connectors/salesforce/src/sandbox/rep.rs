//! What reps, supervisors and Salesforce itself do; the crate's README lists the acts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::people::bot;
use super::switches::Capacity;
use super::thread::{NOTE, Sender, system};
use super::{MAX_FILES, Org, RepFile};

type Done = Result<Value, String>;

impl Org {
    pub(super) fn rep_acts(&mut self, now: Timestamp, act: &Value) -> Done {
        let name = act["act"].as_str().ok_or("an act is {\"act\": \"…\", …}")?;
        let at = self.meant(act)?;
        let text = || {
            act["text"]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let wanted = || text().ok_or_else(|| format!("{name} needs a text"));
        let entry = match name {
            "accept" => self.accept(now, at, act["rep"].as_str().unwrap_or("Ana"))?,
            "decline" => {
                self.work(now, at, "Declined");
                Value::Null
            }
            "no_agents" => {
                let session = self.conversations[at]
                    .session()
                    .map(|s| s.id.clone())
                    .ok_or("no messaging session is open")?;
                self.routed(now, at, &session, "Initial", "RoutingError");
                Value::Null
            }
            "typing" | "typing_stopped" => {
                let rep = self.rep(at)?;
                let (event, kind) = if name == "typing" {
                    (
                        "CONVERSATION_TYPING_STARTED_INDICATOR",
                        "TypingStartedIndicator",
                    )
                } else {
                    (
                        "CONVERSATION_TYPING_STOPPED_INDICATOR",
                        "TypingStoppedIndicator",
                    )
                };
                let payload = json!({ "entryType": kind, "id": self.uuid(), "timestamp": now.as_millisecond() });
                self.say(now, at, event, kind, rep, payload).into()
            }
            "text" => {
                let content =
                    json!({ "formatType": "Text", "text": wanted()?, "answers": act["answers"] });
                self.write(
                    now,
                    at,
                    None,
                    "StaticContentMessage",
                    "staticContent",
                    content,
                )?
            }
            "file" => self.attach(now, at, act)?,
            "link" => {
                let content = json!({ "formatType": "RichLink", "linkItem": { "itemType": "TitleLinkItem",
                    "titleItem": { "itemType": "TitleItem", "title": act["title"] }, "url": act["url"] },
                    "image": { "assetType": "ImageAsset", "id": self.uuid(), "mimeType": "image/png", "assetUrl": "https://example.com/preview.png" } });
                self.write(
                    now,
                    at,
                    None,
                    "StaticContentMessage",
                    "staticContent",
                    content,
                )?
            }
            "choices" => {
                let options = act["options"].as_array().ok_or("choices needs options")?;
                let items: Vec<Value> = options
                    .iter()
                    .enumerate()
                    .map(|(n, title)| json!({ "itemType": "TitleOptionItem", "optionIdentifier": format!("o{}", n + 1),
                        "titleItem": { "itemType": "TitleItem", "title": title, "subTitle": null } }))
                    .collect();
                let format = act["format"].as_str().unwrap_or("Buttons");
                let content =
                    json!({ "formatType": format, "text": wanted()?, "optionItems": items });
                self.write(now, at, None, "ChoicesMessage", "choices", content)?
            }
            "rich" => {
                let kind = act["messageType"]
                    .as_str()
                    .ok_or("rich needs a messageType")?
                    .to_owned();
                let field = match kind.as_str() {
                    "ChoicesMessage" => "choices",
                    "FormMessage" => "form",
                    _ => "staticContent",
                };
                self.write(now, at, None, &kind, field, act["content"].clone())?
            }
            "whisper" => {
                let content = json!({ "formatType": "Text", "text": wanted()? });
                let supervisor = Sender {
                    role: "Supervisor",
                    app: "agent",
                    subject: "005Hs0000000009".into(),
                    name: "Supervisor".into(),
                };
                self.write(
                    now,
                    at,
                    Some((supervisor, Value::Null)),
                    "StaticContentMessage",
                    "staticContent",
                    content,
                )?
            }
            "bot" => {
                let content = json!({ "formatType": "Text", "text": wanted()? });
                self.bot(now, at, true);
                self.write(
                    now,
                    at,
                    Some((bot(), Value::Null)),
                    "StaticContentMessage",
                    "staticContent",
                    content,
                )?
            }
            "automated" => {
                let content = json!({ "formatType": "Text", "text": wanted()? });
                let reason = "AutomatedResponse".into();
                self.write(
                    now,
                    at,
                    Some((system(), reason)),
                    "StaticContentMessage",
                    "staticContent",
                    content,
                )?
            }
            "note" => {
                let rep = self.rep(at)?;
                let payload = json!({ "id": self.uuid(), "text": wanted()? });
                self.say(now, at, "", NOTE, rep, payload).into()
            }
            "transfer" => self.transfer(now, at, act["to"].as_str())?,
            "end" => {
                self.conversations[at]
                    .session()
                    .ok_or("no messaging session is open")?;
                self.end(now, at, "Agent");
                Value::Null
            }
            "inactive" => {
                self.conversations[at]
                    .session()
                    .ok_or("no messaging session is open")?;
                // With tab-based capacity the rep closes the tab, and with it the work item.
                if self.switches.capacity == Capacity::Tab {
                    self.work(now, at, "Closed");
                }
                self.status(now, at, "Inactive", "Active", None);
                Value::Null
            }
            "bot_leaves" => {
                self.bot(now, at, false);
                Value::Null
            }
            "delivered" | "read" => {
                let rep = self.rep(at)?;
                self.receipt(now, at, rep, name == "read")?.into()
            }
            "close" => {
                self.close_for_good(now, at, "System");
                Value::Null
            }
            "leave" => {
                self.rep(at)?;
                self.requeue(now, at);
                Value::Null
            }
            other => {
                return Err(format!(
                    "no act {other:?}; there are: accept, decline, no_agents, typing, typing_stopped, text, file, link, choices, rich, whisper, bot, bot_leaves, automated, note, delivered, read, transfer, leave, end, inactive, close"
                ));
            }
        };
        Ok(json!({ "conversation": self.conversations[at].id, "entry": entry }))
    }

    /// The conversation that is meant: by its id, by the session that its attributes name, or the
    /// latest.
    fn meant(&self, act: &Value) -> Result<usize, String> {
        let open = |at: &usize| self.conversations[*at].closed.is_none();
        if let Some(id) = act["conversation"].as_str() {
            return self
                .conversations
                .iter()
                .position(|c| c.id == id)
                .ok_or_else(|| "no such conversation".into());
        }
        if let Some(session) = act["session"].as_str() {
            let of = |at: &usize| {
                self.conversations[*at]
                    .attributes
                    .get(crate::routing::SESSION)
                    .is_some_and(|s| s == session)
            };
            return (0..self.conversations.len())
                .rev()
                .filter(open)
                .find(of)
                .ok_or_else(|| "no open conversation of this session".into());
        }
        (0..self.conversations.len())
            .rev()
            .find(open)
            .ok_or_else(|| "there is no open conversation".into())
    }

    fn rep(&self, at: usize) -> Result<Sender, String> {
        let (name, user) = self.conversations[at]
            .agent
            .clone()
            .ok_or("no rep has accepted; act accept first")?;
        Ok(Sender {
            role: "Agent",
            app: "agent",
            subject: user,
            name,
        })
    }

    fn accept(&mut self, now: Timestamp, at: usize, rep: &str) -> Done {
        self.conversations[at]
            .session()
            .ok_or("no messaging session is open")?;
        let user = format!("005Hs{:010}", rep.bytes().map(u64::from).sum::<u64>());
        self.work(now, at, "Accepted");
        self.conversations[at].agent = Some((rep.to_owned(), user.clone()));
        self.conversations[at].routing = "ROUTED";
        self.participant(now, at, "add", rep, &user);
        let before = self.conversations[at]
            .session()
            .map_or("Waiting", |s| s.status);
        self.status(now, at, "Active", before, None);
        if self.switches.unknown_events {
            let payload = json!({ "entryType": "ProgressIndicator", "id": self.uuid() });
            self.say(
                now,
                at,
                "CONVERSATION_SOMETHING_NEW",
                "SomethingNew",
                system(),
                payload,
            );
        }
        Ok(Value::Null)
    }

    fn transfer(&mut self, now: Timestamp, at: usize, to: Option<&str>) -> Done {
        let session = self.conversations[at]
            .session()
            .map(|s| s.id.clone())
            .ok_or("no messaging session is open")?;
        let (name, user) = self.conversations[at]
            .agent
            .take()
            .ok_or("no rep has accepted; act accept first")?;
        self.work(now, at, "Transferred");
        self.conversations[at].routing = "TRANSFER";
        self.participant(now, at, "remove", &name, &user);
        self.routed(now, at, &session, "Transfer", "None");
        match to {
            Some(rep) => self.accept(now, at, rep),
            None => Ok(Value::Null),
        }
    }

    fn attach(&mut self, now: Timestamp, at: usize, act: &Value) -> Done {
        self.rep(at)?;
        let name = act["name"].as_str().unwrap_or("file.pdf").to_owned();
        let mime = act["mime"].as_str().unwrap_or("application/pdf").to_owned();
        let bytes = match act["base64"].as_str() {
            Some(data) => STANDARD
                .decode(data)
                .map_err(|error| format!("base64: {error}"))?,
            None => vec![b'x'; act["size"].as_u64().unwrap_or(64).min(32 * 1024 * 1024) as usize],
        };
        let id = self.record("068");
        self.files.push_back((
            id.clone(),
            RepFile {
                name: name.clone(),
                mime: mime.clone(),
                bytes,
            },
        ));
        if self.files.len() > MAX_FILES {
            self.files.pop_front();
        }
        let base = self.switches.public_url.as_deref().unwrap_or(&self.origin);
        let url = format!(
            "{base}/sfc/dist/version/download/?oid={}&ids={id}&d=%2Fa%2Fsandbox&asPdf=false",
            super::ORG_ID
        );
        let content = json!({ "formatType": "Attachments", "text": act["text"], "attachments": [{
            "name": name, "id": self.uuid(), "mimeType": mime, "url": url, "referenceId": id, "attachmentUploadResult": null }]});
        self.write(
            now,
            at,
            None,
            "StaticContentMessage",
            "staticContent",
            content,
        )
    }

    /// A message by the rep, or by somebody else with a reason.
    fn write(
        &mut self,
        now: Timestamp,
        at: usize,
        by: Option<(Sender, Value)>,
        kind: &str,
        field: &str,
        mut content: Value,
    ) -> Done {
        let (sender, reason) = match by {
            Some(by) => by,
            None => (self.rep(at)?, Value::Null),
        };
        let session = self.conversations[at].session();
        if session.ok_or("no messaging session is open")?.status == "Inactive" {
            return Err("the messaging session is inactive until the customer writes".into());
        }
        let id = self.uuid();
        let answers = content["answers"].as_str().map(str::to_owned);
        if let Some(fields) = content.as_object_mut() {
            fields.remove("answers");
        }
        let payload = json!({ "entryType": "Message", "id": id, "messageReason": reason, "abstractMessage": {
            "messageType": kind, "id": id, "inReplyToMessageId": answers, "references": [], (field): content } });
        Ok(self
            .say(now, at, "CONVERSATION_MESSAGE", "Message", sender, payload)
            .into())
    }
}
