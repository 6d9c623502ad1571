//! What an administrator writes about a Salesforce organisation, and the type that cannot be wrong.
//!
//! The settings are read key by key rather than by a derived type, because a derived type stops at
//! its first problem and an administrator wants to see all of them at once.

mod reader;
mod values;

use std::time::Duration;

use handoffd_contract::settings::AfterEnd;
use handoffd_contract::{Problem, Secret};
use serde_json::Value;

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
    /// The channel's custom parameters, where an administrator lists them: Salesforce drops every other
    /// attribute without a word. Empty where they are not listed.
    pub parameters: Vec<String>,
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
    /// What becomes of what comes after the end of a messaging session: it begins a `New` one, or is kept
    /// for the next handoff (`Ignore`).
    pub after_end: AfterEnd,
    /// Whether it is heard that a rep types, and what a rep has read.
    pub activity: bool,
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
    pub fn read(value: &Value) -> Result<Settings, Vec<Problem>> {
        reader::read(value)
    }
}

#[cfg(test)]
mod tests;
