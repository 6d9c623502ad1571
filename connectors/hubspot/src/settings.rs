//! The settings: what serde reads, and what cannot be wrong.

use handoffd_contract::{Credential, Problem, Secret};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::paths::{Paths, Version};

/// The settings as they are written. Every key is optional here, so that each can be judged by
/// itself and every problem is told at once.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    base: Option<String>,
    api_version: Option<String>,
    conversations_version: Option<String>,
    token: Option<String>,
    oauth: Option<RawOauth>,
    pipeline: Option<String>,
    stage: Option<String>,
    closed_stage: Option<String>,
    closed_stages: Option<Vec<String>>,
    owner: Option<String>,
    priority: Option<String>,
    wa_id_property: Option<String>,
    handoff_id_property: Option<String>,
    session_url_property: Option<String>,
    last_message_property: Option<String>,
    contact_fields: Option<ContactFields>,
    transcript: Option<Transcript>,
    comments: Option<Comments>,
    later: Option<Later>,
    folder: Option<String>,
    max_file_bytes: Option<u64>,
    reply_prefix: Option<String>,
    poll_seconds: Option<u64>,
    webhook: Option<RawWebhook>,
    channel_id: Option<String>,
    portal_id: Option<String>,
    ui_domain: Option<String>,
    api_per_10s: Option<u32>,
    search_per_second: Option<u32>,
    file_hosts: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOauth {
    client_id: String,
    client_secret: String,
    refresh_token: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    secret: String,
    public_url: String,
    token: String,
}

/// When the mapping's `contact` fields are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContactFields {
    /// Only on a contact that is created here: what people entered stays.
    Create,
    /// On every handoff, also over what is there.
    Always,
}

/// Where the transcript goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transcript {
    /// Into the ticket's description as far as it fits, the rest into notes.
    Content,
    /// Into notes.
    Notes,
}

/// Where the internal comment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comments {
    /// A note on ticket and contact.
    Note,
    /// A comment in the ticket's conversation thread where there is one, else a note.
    ThreadOrNote,
}

/// What a message after the handoff becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Later {
    /// A note.
    Note,
    /// A logged WhatsApp communication; one with a file becomes a note all the same.
    Communication,
}

/// Inbound webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The app's client secret.
    pub secret: Secret,
    /// The address as HubSpot calls it, without the path token.
    pub public_url: String,
    /// The path token.
    pub token: Secret,
}

/// Settings that cannot be wrong.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The base address, without a trailing slash.
    pub base: String,
    /// Where each operation is.
    pub paths: Paths,
    /// How it signs in.
    pub credential: Credential,
    /// The ticket pipeline: an id, or a label that is looked up.
    pub pipeline: String,
    /// The stage of new tickets: an id, or a label.
    pub stage: String,
    /// The stage that a closed session moves its ticket to.
    pub closed_stage: Option<String>,
    /// Ids of the stages by which a rep ends the conversation.
    pub closed_stages: Vec<String>,
    /// The owner of new tickets: an owner id, or an e-mail address that is looked up.
    pub owner: Option<String>,
    /// `hs_ticket_priority` of new tickets.
    pub priority: Option<String>,
    /// The contact property, with unique values, that holds the customer's `wa_id`.
    pub wa_id_property: String,
    /// The ticket property, with unique values, that holds the handoff's id.
    pub handoff_id_property: String,
    /// The ticket property that holds the session's address.
    pub session_url_property: Option<String>,
    /// The ticket property that holds the time of the last message.
    pub last_message_property: Option<String>,
    /// When the mapping's contact fields are written.
    pub contact_fields: ContactFields,
    /// Where the transcript goes.
    pub transcript: Transcript,
    /// Where the internal comment goes.
    pub comments: Comments,
    /// What a later message becomes.
    pub later: Later,
    /// The folder above the handoffs' folders.
    pub folder: String,
    /// The largest file that is uploaded, in bytes.
    pub max_file_bytes: u64,
    /// What a note must begin with to be a reply to the customer.
    pub reply_prefix: String,
    /// Seconds between two looks at a ticket's notes; 0 when only webhooks tell.
    pub poll_seconds: u64,
    /// Inbound webhooks, if any.
    pub webhook: Option<Webhook>,
    /// The Custom Channel whose outgoing messages are relayed, if any.
    pub channel_id: Option<String>,
    /// The portal's number, for links.
    pub portal_id: Option<String>,
    /// The host of HubSpot's pages, for links.
    pub ui_domain: String,
    /// Calls per ten seconds.
    pub api_per_10s: u32,
    /// Searches per second.
    pub search_per_second: u32,
    /// Further hosts that serve rep files.
    pub file_hosts: Vec<String>,
}

/// Whether a pipeline, stage or owner setting is an id: digits, or the UUID of older pipelines.
/// Anything else is a label (or an e-mail address) and is looked up.
#[must_use]
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
        || handoffd_contract::ids::is_lower_uuid(text)
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// Every problem, each with its path, what was found, and the remedy.
    pub fn read(value: &Value) -> Result<Settings, Vec<Problem>> {
        let Value::Object(map) = value else {
            return Err(vec![Problem::new("", "settings must be a table of keys and values")]);
        };
        let mut problems = Vec::new();
        let mut sound = Map::new();
        for (key, value) in map {
            match serde_json::from_value::<Raw>(json!({ key: value })) {
                Ok(_) => {
                    sound.insert(key.clone(), value.clone());
                }
                Err(error) => problems.push(Problem::new(key, error.to_string())),
            }
        }
        let raw: Raw = serde_json::from_value(Value::Object(sound)).unwrap_or_default();
        let settings = Reader { problems: &mut problems, given: map }.settings(raw);
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }
}

struct Reader<'a> {
    problems: &'a mut Vec<Problem>,
    given: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn settings(mut self, raw: Raw) -> Settings {
        let base = self.address("base", raw.base.as_deref(), "https://api.hubapi.com");
        let crm = self.version("api_version", raw.api_version.as_deref(), "2026-03");
        let talk = self.version("conversations_version", raw.conversations_version.as_deref(), "v3");
        let paths = Paths { crm, conversations: talk };
        let credential = self.credential(raw.token, raw.oauth, &base, &paths);
        let closed_stages = raw.closed_stages.unwrap_or_default();
        for (n, stage) in closed_stages.iter().enumerate().filter(|(_, stage)| !is_id(stage.trim())) {
            self.problem(
                &format!("closed_stages[{n}]"),
                format!("`{stage}` is not a stage id; give ids here, `handoffd check --live` lists them beside their labels"),
            );
        }
        let reply_prefix = self.text("reply_prefix", raw.reply_prefix, "/wa");
        if reply_prefix.contains(char::is_whitespace) || reply_prefix.contains(['<', '>', '&']) {
            self.problem("reply_prefix", "must be one word without <, > or &, such as /wa".to_owned());
        }
        let folder = self.text("folder", raw.folder, "/handoffd");
        let poll_seconds = raw.poll_seconds.unwrap_or(20);
        self.within("poll_seconds", poll_seconds, 0, 3_600);
        let max_file_bytes = raw.max_file_bytes.unwrap_or(100_000_000);
        self.within("max_file_bytes", max_file_bytes, 1, 2_000_000_000);
        let api_per_10s = raw.api_per_10s.unwrap_or(90);
        self.within("api_per_10s", api_per_10s.into(), 9, 10_000);
        let search_per_second = raw.search_per_second.unwrap_or(4);
        self.within("search_per_second", search_per_second.into(), 1, 4);
        let wa_id_property = raw.wa_id_property.unwrap_or_else(|| "wa_id".into());
        let handoff_id_property = raw.handoff_id_property.unwrap_or_else(|| "wa_handoff_id".into());
        Settings {
            pipeline: self.text("pipeline", raw.pipeline, "0"),
            stage: self.text("stage", raw.stage, "1"),
            closed_stage: self.optional("closed_stage", raw.closed_stage),
            closed_stages: closed_stages.iter().map(|stage| stage.trim().to_owned()).collect(),
            owner: self.owner(raw.owner),
            priority: self.optional("priority", raw.priority),
            wa_id_property: self.property("wa_id_property", wa_id_property),
            handoff_id_property: self.property("handoff_id_property", handoff_id_property),
            session_url_property: raw.session_url_property.map(|name| self.property("session_url_property", name)),
            last_message_property: raw.last_message_property.map(|name| self.property("last_message_property", name)),
            contact_fields: raw.contact_fields.unwrap_or(ContactFields::Create),
            transcript: raw.transcript.unwrap_or(Transcript::Content),
            comments: raw.comments.unwrap_or(Comments::Note),
            later: raw.later.unwrap_or(Later::Note),
            folder: format!("/{}", folder.trim_matches('/')),
            max_file_bytes,
            reply_prefix,
            poll_seconds,
            webhook: raw.webhook.map(|webhook| self.webhook(webhook)),
            channel_id: self.digits("channel_id", raw.channel_id),
            portal_id: self.digits("portal_id", raw.portal_id),
            ui_domain: self.text("ui_domain", raw.ui_domain, "app.hubspot.com"),
            api_per_10s,
            search_per_second,
            file_hosts: raw.file_hosts.unwrap_or_default().iter().map(|host| host.trim().to_ascii_lowercase()).collect(),
            base,
            paths,
            credential,
        }
    }

    fn problem(&mut self, path: &str, message: String) {
        self.problems.push(Problem::new(path, message));
    }

    fn within(&mut self, path: &str, value: u64, low: u64, high: u64) {
        if !(low..=high).contains(&value) {
            self.problem(path, format!("{value} is not between {low} and {high}"));
        }
    }

    fn text(&mut self, path: &str, value: Option<String>, default: &str) -> String {
        let value = value.unwrap_or_else(|| default.to_owned());
        let value = value.trim();
        if value.is_empty() {
            self.problem(path, format!("is empty; leave it out for the default `{default}`"));
        }
        value.to_owned()
    }

    fn optional(&mut self, path: &str, value: Option<String>) -> Option<String> {
        let value = value?.trim().to_owned();
        if value.is_empty() {
            self.problem(path, "is empty; leave it out".to_owned());
        }
        Some(value)
    }

    fn digits(&mut self, path: &str, value: Option<String>) -> Option<String> {
        let value = self.optional(path, value)?;
        if !value.bytes().all(|b| b.is_ascii_digit()) {
            self.problem(path, format!("`{value}` is not a number; copy it from the page's address in HubSpot"));
        }
        Some(value)
    }

    fn owner(&mut self, value: Option<String>) -> Option<String> {
        let value = self.optional("owner", value)?;
        if !is_id(&value) && !value.contains('@') {
            self.problem("owner", format!("`{value}` is neither an owner id (digits) nor an e-mail address"));
        }
        Some(value)
    }

    /// Internal names: <https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>
    fn property(&mut self, path: &str, name: String) -> String {
        let name = name.trim().to_owned();
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if !name.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) || !name.bytes().all(word) {
            self.problem(
                path,
                format!("`{name}` is not a property's internal name (lower-case letters, digits, underscores, a letter first)"),
            );
        }
        name
    }

    fn address(&mut self, path: &str, value: Option<&str>, default: &str) -> String {
        let value = value.unwrap_or(default).trim().trim_end_matches('/').to_owned();
        let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
        let sound = rest.is_some_and(|rest| {
            !rest.is_empty() && !rest.starts_with('/') && !rest.contains([' ', '?', '#', '@'])
        });
        if !sound {
            self.problem(path, format!("`{value}` is not an address such as {default}"));
        }
        value
    }

    fn version(&mut self, path: &str, value: Option<&str>, default: &str) -> Version {
        let text = value.unwrap_or(default).trim();
        Version::parse(text).unwrap_or_else(|| {
            self.problem(path, format!("`{text}` is not an API version such as 2026-03, or v3 for the old paths"));
            Version::Legacy
        })
    }

    fn secret(&mut self, path: &str, name: &str) -> Secret {
        let name = name.trim();
        let pasted = name.starts_with("pat-") || name.len() > 64;
        if pasted {
            // Whatever it is, it is not repeated.
            self.problem(path, "looks like a secret's value; put it under the daemon's secrets and name it here".into());
        } else if name.is_empty() {
            self.problem(path, "is empty; give the name of one of the daemon's secrets".into());
        }
        Secret(name.to_owned())
    }

    fn credential(
        &mut self,
        token: Option<String>,
        oauth: Option<RawOauth>,
        base: &str,
        paths: &Paths,
    ) -> Credential {
        match (token, oauth) {
            (Some(_), Some(_)) => {
                self.problem("oauth", "is given beside `token`; keep the one that HubSpot issued".into());
                Credential::None
            }
            (None, None) => {
                // A key that is there but unreadable already has its own problem.
                if !self.given.contains_key("token") && !self.given.contains_key("oauth") {
                    self.problem(
                        "token",
                        "is missing; name the secret that holds the service key or app token, or give `oauth`".into(),
                    );
                }
                Credential::None
            }
            (Some(token), None) => Credential::Bearer { token: self.secret("token", &token) },
            (None, Some(oauth)) => {
                if oauth.client_id.trim().is_empty() {
                    self.problem("oauth.client_id", "is empty; copy it from the app's Auth page".into());
                }
                Credential::RefreshToken {
                    token_url: format!("{base}{}", paths.token()),
                    client_id: oauth.client_id.trim().to_owned(),
                    client_secret: self.secret("oauth.client_secret", &oauth.client_secret),
                    refresh_token: self.secret("oauth.refresh_token", &oauth.refresh_token),
                }
            }
        }
    }

    fn webhook(&mut self, raw: RawWebhook) -> Webhook {
        Webhook {
            secret: self.secret("webhook.secret", &raw.secret),
            public_url: self.address(
                "webhook.public_url",
                Some(&raw.public_url),
                "https://handoffd.example/webhooks/hubspot",
            ),
            token: self.secret("webhook.token", &raw.token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(value: Value) -> Vec<String> {
        let problems = Settings::read(&value).expect_err("these settings are wrong");
        problems.into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
    }

    #[test]
    fn defaults_are_enough_with_a_token() {
        let settings = Settings::read(&json!({"token": " hubspot_token "})).expect("sound");
        assert_eq!(settings.credential, Credential::Bearer { token: Secret("hubspot_token".into()) });
        assert_eq!(settings.base, "https://api.hubapi.com");
        assert_eq!(settings.paths.object("tickets"), "/crm/objects/2026-03/tickets");
        assert_eq!((settings.reply_prefix.as_str(), settings.poll_seconds), ("/wa", 20));
    }

    #[test]
    fn stray_spaces_and_slashes_are_trimmed() {
        let settings = Settings::read(&json!({
            "token": "t", "base": " https://api.hubapi.com/ ", "folder": "whatsapp/", "api_version": " v3 ",
        }))
        .expect("sound");
        assert_eq!(settings.base, "https://api.hubapi.com");
        assert_eq!(settings.folder, "/whatsapp");
        assert_eq!(settings.paths.object("tickets"), "/crm/v3/objects/tickets");
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let told = problems(json!({
            "tokn": "x", "base": "api.hubapi.com", "api_version": "latest", "closed_stages": ["4", "Closed"],
            "owner": "Sara", "reply_prefix": "to customer", "poll_seconds": "often", "later": "sms",
            "handoff_id_property": "WA Handoff", "search_per_second": 9, "channel_id": "abc",
            "webhook": {"secret": "s", "public_url": "nowhere", "token": ""}, "max_file_bytes": 0,
        }));
        for path in [
            "tokn:", "base:", "api_version:", "closed_stages[1]:", "owner:", "reply_prefix:", "poll_seconds:", "later:",
            "handoff_id_property:", "search_per_second:", "channel_id:", "webhook.public_url:", "webhook.token:",
            "max_file_bytes:", "token:",
        ] {
            assert!(told.iter().any(|line| line.starts_with(path)), "{path} is missing in {told:#?}");
        }
        assert_eq!(told.len(), 15, "{told:#?}");
    }

    #[test]
    fn a_pasted_secret_is_refused_and_not_repeated() {
        let told = problems(json!({"token": "pat-eu1-0000-1111"}));
        assert_eq!(told.len(), 1);
        assert!(!told[0].contains("0000"), "{told:?}");
        assert_eq!(problems(json!("nonsense")), [": settings must be a table of keys and values"]);
    }

    #[test]
    fn oauth_takes_the_token_address_of_its_version() {
        let oauth = json!({"client_id": "c", "client_secret": "cs", "refresh_token": "rt"});
        let of = |version: &str| {
            let value = json!({"oauth": oauth, "api_version": version});
            match Settings::read(&value).expect("sound").credential {
                Credential::RefreshToken { token_url, .. } => token_url,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of("2026-03"), "https://api.hubapi.com/oauth/2026-03/token");
        assert_eq!(of("v3"), "https://api.hubapi.com/oauth/v3/token");
        assert_eq!(problems(json!({"oauth": oauth, "token": "t"})).len(), 1);
    }
}
