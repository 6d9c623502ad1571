//! The settings of a HubSpot target, which cannot be wrong.

mod reader;
mod standing;

use handoffd_contract::marker::Marker;
use handoffd_contract::phone::Country;
use handoffd_contract::settings::AfterEnd;
use handoffd_contract::{Credential, Problem, Secret};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::paths::Paths;
pub use standing::{Field, Standing};

/// When the mapping's `contact` fields are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactFields {
    /// Only on a contact that is created here: what people entered stays.
    Create,
    /// On every handoff, also over what is there.
    Always,
}

/// Where the transcript goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transcript {
    /// Into the ticket's description as far as it fits, the rest into notes.
    Content,
    /// Into notes.
    Notes,
}

/// Where the internal comment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    /// A note on ticket and contact.
    Note,
    /// A comment in the ticket's conversation thread where there is one, else a note.
    ThreadOrNote,
}

/// What a message after the handoff becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The contact property, with unique values, that holds the customer's business-scoped user id.
    pub user_id_property: String,
    /// The country whose numbers people type into this portal without a country code.
    pub default_country: Option<Country>,
    /// The zone of the times that reps read.
    pub zone: TimeZone,
    /// The ticket property, with unique values, that holds the handoff's id.
    pub handoff_id_property: String,
    /// The ticket property that holds the session's address.
    pub session_url_property: Option<String>,
    /// The ticket properties that say how the conversation stands.
    pub standing: Standing,
    /// What becomes of a message that comes after the ticket was closed.
    pub after_end: AfterEnd,
    /// What becomes of a second handoff.
    pub after_end_handoff: AfterEnd,
    /// The ticket properties whose changes are passed on.
    pub report: Vec<String>,
    /// A contact's open ticket takes the conversation.
    pub append_to_open_ticket: bool,
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
    /// Which notes are replies to the customer.
    pub reply_marker: Marker,
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
        reader::read(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(value: Value) -> Vec<String> {
        let problems = Settings::read(&value).expect_err("these settings are wrong");
        problems
            .into_iter()
            .map(|p| format!("{}: {}", p.path, p.message))
            .collect()
    }

    #[test]
    fn defaults_are_enough_with_a_token() {
        let settings = Settings::read(&json!({"token": " hubspot_token "})).expect("sound");
        assert_eq!(
            settings.credential,
            Credential::Bearer {
                token: Secret("hubspot_token".into())
            }
        );
        assert_eq!(settings.base, "https://api.hubapi.com");
        assert_eq!(
            settings.paths.object("tickets"),
            "/crm/objects/2026-03/tickets"
        );
        assert_eq!(
            (settings.reply_marker.prefix(), settings.poll_seconds),
            (Some("/wa"), 20)
        );
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
            "after_end": "close", "after_end_handoff": "append",
            "default_country": "Holland", "time_zone": "Amsterdam", "wa_id_property": "wa", "user_id_property": "wa",
        }));
        for path in [
            "tokn:",
            "base:",
            "api_version:",
            "closed_stages[1]:",
            "owner:",
            "reply_prefix:",
            "poll_seconds:",
            "later:",
            "handoff_id_property:",
            "search_per_second:",
            "channel_id:",
            "after_end: found a text of 5 characters; write one of reopen, new, append, ignore",
            "after_end_handoff: `append` cannot be done here: a handoff always becomes work that a rep sees; write reopen or new",
            "webhook.public_url:",
            "webhook.token:",
            "max_file_bytes:",
            "default_country:",
            "time_zone:",
            "user_id_property:",
            "token:",
        ] {
            assert!(
                told.iter().any(|line| line.starts_with(path)),
                "{path} is missing in {told:#?}"
            );
        }
        assert_eq!(told.len(), 20, "{told:#?}");
        let country = told.iter().find(|line| line.starts_with("default_country"));
        assert!(
            country.is_some_and(|line| line.contains("such as NL") && !line.contains("Holland"))
        );
    }

    #[test]
    fn a_pasted_secret_is_refused_and_not_repeated() {
        let told = problems(json!({"token": "pat-eu1-0000-1111"}));
        assert_eq!(told.len(), 1);
        assert!(!told[0].contains("0000"), "{told:?}");
        assert_eq!(
            problems(json!({"oauth": "pat-eu1-0000-1111"})),
            ["oauth: found a text of 17 characters; write a table of keys and values"]
        );
        assert_eq!(
            problems(json!("nonsense")),
            [": found a text of 8 characters; write a table of keys and values"]
        );
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
