//! From the settings as written to those that cannot be wrong.

use handoffd_contract::phone::Country;
use handoffd_contract::{Credential, Problem, Secret};
use serde_json::{Map, Value};

use super::{
    Comments, ContactFields, Later, Raw, RawOauth, RawWebhook, Settings, Transcript, Webhook, is_id,
};
use crate::paths::{Paths, Version};

/// Judges every setting, and notes down what is wrong.
pub(super) struct Reader<'a> {
    pub(super) problems: &'a mut Vec<Problem>,
    pub(super) given: &'a Map<String, Value>,
}

impl Reader<'_> {
    pub(super) fn settings(mut self, raw: Raw) -> Settings {
        let base = self.address("base", raw.base.as_deref(), "https://api.hubapi.com");
        let crm = self.version("api_version", raw.api_version.as_deref(), "2026-03");
        let talk = self.version(
            "conversations_version",
            raw.conversations_version.as_deref(),
            "v3",
        );
        let paths = Paths {
            crm,
            conversations: talk,
        };
        let credential = self.credential(raw.token, raw.oauth, &base, &paths);
        let closed_stages = raw.closed_stages.unwrap_or_default();
        for (n, stage) in closed_stages
            .iter()
            .enumerate()
            .filter(|(_, stage)| !is_id(stage.trim()))
        {
            self.problem(
                &format!("closed_stages[{n}]"),
                format!("`{stage}` is not a stage id; give ids here, `handoffd check --live` lists them beside their labels"),
            );
        }
        let reply_prefix = self.text("reply_prefix", raw.reply_prefix, "/wa");
        if reply_prefix.contains(char::is_whitespace) || reply_prefix.contains(['<', '>', '&']) {
            self.problem(
                "reply_prefix",
                "must be one word without <, > or &, such as /wa".to_owned(),
            );
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
        let wa_id_property = self.property("wa_id_property", wa_id_property);
        let user_id_property = raw.user_id_property.unwrap_or_else(|| "wa_user_id".into());
        let user_id_property = self.property("user_id_property", user_id_property);
        if user_id_property == wa_id_property {
            self.problem(
                "user_id_property",
                "is the same as `wa_id_property`; name a property of its own".to_owned(),
            );
        }
        let default_country = self.country("default_country", raw.default_country.as_deref());
        let handoff_id_property = raw
            .handoff_id_property
            .unwrap_or_else(|| "wa_handoff_id".into());
        Settings {
            pipeline: self.text("pipeline", raw.pipeline, "0"),
            stage: self.text("stage", raw.stage, "1"),
            closed_stage: self.optional("closed_stage", raw.closed_stage),
            closed_stages: closed_stages
                .iter()
                .map(|stage| stage.trim().to_owned())
                .collect(),
            owner: self.owner(raw.owner),
            priority: self.optional("priority", raw.priority),
            wa_id_property,
            user_id_property,
            default_country,
            handoff_id_property: self.property("handoff_id_property", handoff_id_property),
            session_url_property: raw
                .session_url_property
                .map(|name| self.property("session_url_property", name)),
            last_message_property: raw
                .last_message_property
                .map(|name| self.property("last_message_property", name)),
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
            file_hosts: raw
                .file_hosts
                .unwrap_or_default()
                .iter()
                .map(|host| host.trim().to_ascii_lowercase())
                .collect(),
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
            self.problem(
                path,
                format!("is empty; leave it out for the default `{default}`"),
            );
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
            self.problem(
                path,
                format!("`{value}` is not a number; copy it from the page's address in HubSpot"),
            );
        }
        Some(value)
    }

    fn owner(&mut self, value: Option<String>) -> Option<String> {
        let value = self.optional("owner", value)?;
        if !is_id(&value) && !value.contains('@') {
            self.problem(
                "owner",
                format!("`{value}` is neither an owner id (digits) nor an e-mail address"),
            );
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

    fn country(&mut self, path: &str, code: Option<&str>) -> Option<Country> {
        let country = Country::parse(code?);
        if country.is_none() {
            let words = "is not the code of a country; give two letters of ISO 3166, such as NL";
            self.problem(path, words.to_owned());
        }
        country
    }

    fn address(&mut self, path: &str, value: Option<&str>, default: &str) -> String {
        let value = value
            .unwrap_or(default)
            .trim()
            .trim_end_matches('/')
            .to_owned();
        let rest = value
            .strip_prefix("https://")
            .or_else(|| value.strip_prefix("http://"));
        let sound = rest.is_some_and(|rest| {
            !rest.is_empty() && !rest.starts_with('/') && !rest.contains([' ', '?', '#', '@'])
        });
        if !sound {
            self.problem(
                path,
                format!("`{value}` is not an address such as {default}"),
            );
        }
        value
    }

    fn version(&mut self, path: &str, value: Option<&str>, default: &str) -> Version {
        let text = value.unwrap_or(default).trim();
        Version::parse(text).unwrap_or_else(|| {
            self.problem(
                path,
                format!("`{text}` is not an API version such as 2026-03, or v3 for the old paths"),
            );
            Version::Legacy
        })
    }

    fn secret(&mut self, path: &str, name: &str) -> Secret {
        let name = name.trim();
        let pasted = name.starts_with("pat-") || name.len() > 64;
        if pasted {
            // Whatever it is, it is not repeated.
            self.problem(
                path,
                "looks like a secret's value; put it under the daemon's secrets and name it here"
                    .into(),
            );
        } else if name.is_empty() {
            self.problem(
                path,
                "is empty; give the name of one of the daemon's secrets".into(),
            );
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
                self.problem(
                    "oauth",
                    "is given beside `token`; keep the one that HubSpot issued".into(),
                );
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
            (Some(token), None) => Credential::Bearer {
                token: self.secret("token", &token),
            },
            (None, Some(oauth)) => {
                if oauth.client_id.trim().is_empty() {
                    self.problem(
                        "oauth.client_id",
                        "is empty; copy it from the app's Auth page".into(),
                    );
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
