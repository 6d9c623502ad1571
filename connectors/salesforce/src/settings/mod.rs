//! What an administrator writes about a Salesforce organisation, and the type that cannot be wrong.
//!
//! The settings are read key by key rather than by a derived type, because a derived type stops at
//! its first problem and an administrator wants to see all of them at once.

mod reader;
mod values;

use std::time::Duration;

use handoffd_contract::settings::shape;
use handoffd_contract::{Problem, Secret};
use serde_json::Value;

use reader::Reader;
use values::{developer_name, org_id_15, secret_name};

/// Hosts of the content-delivery links under which reps' files are fetched.
/// <https://github.com/salesforce-misc/interaction-service-apis> shows one on `documentforce.com`.
pub const FILE_HOSTS: &[&str] = &[
    ".documentforce.com",
    ".force.com",
    ".salesforce.com",
    ".salesforce-scrt.com",
];

/// How a transcript is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transcript {
    /// As texts in the thread.
    Messages,
    /// As a text file.
    File,
    /// As texts when it fits into so few, else as a file.
    Auto {
        /// The most texts.
        max_parts: usize,
    },
}

/// What becomes of the messaging session when the platform closes the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnClose {
    /// It is ended; the conversation stays, and a later message begins a new session in it.
    EndSession,
    /// Nothing. Open sessions count against the organisation's 11,000.
    Keep,
}

/// What may begin a messaging session after one has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterEnd {
    /// A handoff. Until then the conversation is the assistant's, and messages are kept.
    Handoff,
    /// Whatever is to be shown, such as the customer's next message.
    Message,
}

/// The settings of a Salesforce target, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The messaging service's address, without a trailing slash.
    pub base: String,
    /// My Domain's address, for links; absent when only `api_base` was given.
    pub instance: Option<String>,
    /// The organisation's id, 15 characters.
    pub org_id: String,
    /// The developer name of the Embedded Service Deployment of type *Custom Client*.
    pub es_developer_name: String,
    /// The JWK's `kid`.
    pub key_id: String,
    /// The keyset's issuer, to the letter.
    pub issuer: String,
    /// The name of the secret that holds the RSA key.
    pub private_key: Secret,
    /// `aud` of the identity token, where an organisation wants one.
    pub audience: Option<String>,
    /// `capabilitiesVersion` of the token request.
    pub capabilities_version: String,
    /// How long an identity token is valid.
    pub identity_lifetime: Duration,
    /// What stands before the customer's key in the identity token's `sub`.
    pub subject_prefix: String,
    /// Access tokens per minute that we take; Salesforce gives an organisation 200.
    pub tokens_per_minute: u32,
    /// The language of a session whose language is not known.
    pub language: String,
    /// How a transcript is shown.
    pub transcript: Transcript,
    /// The most UTF-16 units of one text. Salesforce does not document its limit; Cognigy's client
    /// splits at 3,000 characters. A refused text is split smaller.
    pub message_limit: usize,
    /// The most UTF-16 units of a routing attribute's value: the shortest *maximum length* among
    /// the channel's custom parameters.
    pub attribute_limit: usize,
    /// The most bytes of a file.
    pub max_file_bytes: u64,
    /// Hosts from which reps' files may be fetched.
    pub file_hosts: Vec<String>,
    /// Whether a Salesforce bot's messages go to the customer, like a rep's.
    pub relay_chatbot: bool,
    /// Whether automated responses (greetings, "no agents") go to the customer.
    pub relay_automated: bool,
    /// What becomes of the messaging session when the platform closes the session.
    pub on_close: OnClose,
    /// What may begin a messaging session after one has ended.
    pub after_end: AfterEnd,
    /// Whether a rep's closed work item counts as the end of the messaging session.
    pub end_on_work_closed: bool,
    /// An event stream that is silent for longer is taken for dead.
    pub idle: Duration,
}

impl Settings {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// Every problem, each with its path, the value's shape and the remedy.
    pub fn parse(value: &Value) -> Result<Settings, Vec<Problem>> {
        let Some(map) = value.as_object() else {
            let message = format!("{}; expected a table of settings", shape(value));
            return Err(vec![Problem::new("", message)]);
        };
        let mut r = Reader {
            map: map.clone(),
            asked: Vec::new(),
            problems: Vec::new(),
        };
        let instance = r.text("instance_url").and_then(|url| r.instance(&url));
        let api_base = r.text("api_base").and_then(|url| r.api_base(&url));
        let base = api_base.or_else(|| instance.as_ref().map(|i| i.messaging.clone()));
        if base.is_none() && r.problems.is_empty() {
            r.problem("instance_url", "missing; write My Domain's address, such as https://yourcompany.my.salesforce.com (Setup → My Domain)");
        }
        let org_id = r.wanted("org_id", "Setup → Company Information → Organization ID");
        let org_id = r.check("org_id", org_id, org_id_15);
        let es = r.wanted(
            "es_developer_name",
            "the API name of the Custom Client deployment (Setup → Embedded Service Deployments)",
        );
        let es_developer_name = r.check("es_developer_name", es, developer_name);
        let key_id = r.wanted("key_id", "the kid inside the uploaded JSON Web Key");
        let issuer = r.wanted(
            "issuer",
            "the JSON Web Key Issuer of the keyset (Setup → User Verification)",
        );
        let key = r.wanted(
            "private_key",
            "the name of the secret that holds the RSA private key",
        );
        let private_key = r.check("private_key", key, secret_name).map(Secret);
        let transcript = r.text("transcript");
        let max_parts = r.number("transcript_max_parts", 1, 1, 20);
        let transcript = match transcript.as_deref() {
            None | Some("auto") => Transcript::Auto {
                max_parts: max_parts as usize,
            },
            Some("messages") => Transcript::Messages,
            Some("file") => Transcript::File,
            Some(_) => {
                r.problem(
                    "transcript",
                    "unknown word; write \"auto\", \"messages\" or \"file\"",
                );
                Transcript::Messages
            }
        };
        let on_close = match r.text("on_close").as_deref() {
            None | Some("end-session") => OnClose::EndSession,
            Some("keep") => OnClose::Keep,
            Some(_) => {
                r.problem(
                    "on_close",
                    "unknown word; write \"end-session\" or \"keep\"",
                );
                OnClose::Keep
            }
        };
        let after_end = match r.text("after_end").as_deref() {
            None | Some("handoff") => AfterEnd::Handoff,
            Some("message") => AfterEnd::Message,
            Some(_) => {
                r.problem(
                    "after_end",
                    "unknown word; write \"handoff\" or \"message\"",
                );
                AfterEnd::Handoff
            }
        };
        let settings = Settings {
            base: base.unwrap_or_default(),
            instance: instance.map(|i| i.address),
            org_id: org_id.unwrap_or_default(),
            es_developer_name: es_developer_name.unwrap_or_default(),
            key_id: key_id.unwrap_or_default(),
            issuer: issuer.unwrap_or_default(),
            private_key: private_key.unwrap_or(Secret(String::new())),
            audience: r.text("audience"),
            capabilities_version: r.text("capabilities_version").unwrap_or_else(|| "1".into()),
            identity_lifetime: Duration::from_secs(r.number(
                "identity_lifetime_seconds",
                3_600,
                60,
                86_400,
            )),
            // A prefix may be empty, so it is not read as a text that is absent when empty.
            subject_prefix: r
                .take::<String>("subject_prefix", "a text")
                .unwrap_or_else(|| "handoffd:".into()),
            tokens_per_minute: r.number("tokens_per_minute", 180, 1, 200) as u32,
            language: r.text("language").unwrap_or_else(|| "en_US".into()),
            transcript,
            message_limit: r.number("message_limit", 3_000, 200, 30_000) as usize,
            attribute_limit: r.number("attribute_limit", 255, 20, 10_000) as usize,
            max_file_bytes: r.number("max_file_bytes", 5 * 1024 * 1024, 1_024, 25 * 1024 * 1024),
            file_hosts: r.hosts(),
            relay_chatbot: r.flag("relay_chatbot"),
            relay_automated: r.flag("relay_automated"),
            on_close,
            after_end,
            end_on_work_closed: r.flag("end_on_work_closed"),
            idle: Duration::from_secs(r.number("idle_seconds", 90, 25, 600)),
        };
        r.finish().map(|()| settings)
    }
}

#[cfg(test)]
mod tests;
