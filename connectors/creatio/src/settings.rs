//! The settings of a Creatio target: read from JSON into a value that cannot be wrong.
//!
//! Reading goes key by key, so that every problem is reported at once, each with its path, the
//! shape of what was found and what to do.

mod sign_in;

use std::time::Duration;

use handoffd_contract::phone::Country;
use handoffd_contract::settings::shape;
use handoffd_contract::{Problem, Secret};
use serde_json::{Map, Value};

use sign_in::{check_address, sign_in, site_root};

use crate::reader::Reader;
use crate::{standard, wire};

/// How the site is hosted; decides whether data paths begin with `/0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// .NET Framework: cloud sites of the classic kind, and on-premises under IIS. Paths begin with `/0`.
    Framework,
    /// .NET (Core, 6, 8): no prefix.
    Net,
}

/// How handoffd signs in.
#[derive(Debug, Clone, PartialEq)]
pub enum SignIn {
    /// OAuth 2.0 client credentials of an application in "OAuth 2.0 integrated applications".
    OAuth {
        /// The client id.
        client_id: String,
        /// The client secret's name.
        client_secret: Secret,
        /// Token addresses in the order to try.
        token_urls: Vec<String>,
    },
    /// A user's name and password, for sites without an identity service.
    Forms {
        /// The user.
        user: String,
        /// The password's name.
        password: Secret,
    },
}

/// When a case is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// When the assistant hands over.
    HandoffOnly,
    /// When a customer first writes.
    EveryConversation,
}

/// Which activities of a rep are replies to the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// Every activity of a reply type on the case that we did not write.
    All,
    /// Only those whose text or title begins with this.
    Prefix(String),
}

/// Validated settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The site's root, without a trailing slash and without `/0`.
    pub site: String,
    /// The kind of hosting.
    pub runtime: Runtime,
    /// The sign-in.
    pub sign_in: SignIn,
    /// When a case is opened.
    pub mode: Mode,
    /// `Case.OwnerId` of a handoff: a contact.
    pub owner: Option<String>,
    /// `Case.GroupId` of a handoff: an organisational role.
    pub group: Option<String>,
    /// `Case.PriorityId` of a handoff.
    pub priority: Option<String>,
    /// `Case.OriginId`.
    pub origin: String,
    /// `Contact.TypeId` of a contact that we create; left out when absent.
    pub contact_type: Option<String>,
    /// The country whose numbers are written without country code in this site.
    pub default_country: Option<Country>,
    /// `CommunicationType` under which a contact keeps a WhatsApp user id; not kept when absent.
    pub user_id_type: Option<String>,
    /// `CaseStatus` that a closed session gives its case; nothing is written when absent.
    pub resolved_status: Option<String>,
    /// `CaseStatus` that a resolved case gets when the customer writes again; a new case when absent.
    pub reopened_status: Option<String>,
    /// `ActivityType` of what we write.
    pub activity_type: String,
    /// `ActivityStatus` of what we write.
    pub activity_status: String,
    /// Columns that the mapping fills, for the live check.
    pub case_columns: Vec<String>,
    /// Whether an open case of the same contact is used instead of a new one.
    pub append_to_open_case: bool,
    /// Whether rows are written through `$batch`.
    pub batch: bool,
    /// Rows in one `$batch`, 1 to 100.
    pub batch_size: usize,
    /// The site's `MaxFileSize`, in bytes.
    pub max_file_bytes: u64,
    /// Whether the session's link is also put among the case's attachments.
    pub session_link_file: bool,
    /// The case's page for people, with `{site}` and `{id}`.
    pub case_url: String,
    /// The contact of the integration user, whose own rows are never replies.
    pub integration_contact: Option<String>,
    /// The name of the secret at the end of the webhook's path; no webhooks when absent.
    pub webhook_token: Option<Secret>,
    /// How often a case is read while the conversation is warm; zero switches it off.
    pub poll: Duration,
    /// Which activities are replies.
    pub reply_marker: Marker,
    /// Activity types that can be replies.
    pub reply_types: Vec<String>,
    /// Whether an activity is a reply only once its status is [`Settings::activity_status`], so
    /// that what a rep has saved half-written stays in Creatio.
    pub reply_when_completed: bool,
    /// Whether files that a rep attaches to an activity are sent.
    pub reply_files: bool,
    /// Whether feed posts on the case are replies; they are internal otherwise.
    pub feed_replies: bool,
}

impl Settings {
    /// Reads and validates.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn read(value: &Value) -> Result<Settings, Vec<Problem>> {
        let empty = Map::new();
        let mut top = Reader::new("", value.as_object().unwrap_or(&empty));
        if !value.is_object() {
            top.problem(
                "",
                format!("is {}; expected a table of settings", shape(value)),
            );
        }
        let plain_http = top.flag("allow_plain_http", false);
        let site = top.text("site").map(|raw| site_root(&raw));
        match &site {
            None => top.missing(
                "site",
                "the site's address, such as https://acme.creatio.com",
            ),
            Some(site) => check_address(&mut top, "site", site, plain_http),
        }
        let site = site.unwrap_or_default();
        let runtime = top.choice(
            "runtime",
            &[("framework", Runtime::Framework), ("net", Runtime::Net)],
            Runtime::Framework,
        );
        let sign_in = sign_in(&mut top, &site, plain_http);
        let mode = top.choice(
            "mode",
            &[
                ("handoff_only", Mode::HandoffOnly),
                ("every_conversation", Mode::EveryConversation),
            ],
            Mode::HandoffOnly,
        );
        let reply_marker = marker(&mut top);
        let settings = Settings {
            site,
            runtime,
            sign_in,
            mode,
            owner: top.guid("owner_id"),
            group: top.guid("group_id"),
            priority: top.guid("priority_id"),
            origin: top
                .guid("origin_id")
                .unwrap_or_else(|| standard::CHAT.to_owned()),
            contact_type: top.guid_or_none("contact_type_id", standard::CUSTOMER),
            default_country: country(&mut top),
            user_id_type: top.guid_or_none("user_id_type_id", standard::OTHER_PHONE),
            resolved_status: top.guid("resolved_status_id"),
            reopened_status: top.guid_or_none("reopened_status_id", standard::REOPENED),
            activity_type: top
                .guid("activity_type_id")
                .unwrap_or_else(|| standard::TASK.to_owned()),
            activity_status: top
                .guid("activity_status_id")
                .unwrap_or_else(|| standard::COMPLETED.to_owned()),
            case_columns: columns(&mut top),
            append_to_open_case: top.flag("append_to_open_case", false),
            batch: top.flag("batch", true),
            batch_size: usize::try_from(top.number("batch_size", 60, 1, 100)).unwrap_or(60),
            max_file_bytes: top.number("max_file_mb", 10, 1, 2_000) * 1024 * 1024,
            session_link_file: top.flag("session_link_file", true),
            case_url: case_url(&mut top, runtime),
            integration_contact: top.guid("integration_contact_id"),
            webhook_token: top.secret("webhook_token"),
            poll: Duration::from_secs(top.number("poll_seconds", 15, 0, 3_600)),
            reply_marker,
            reply_types: reply_types(&mut top),
            reply_when_completed: top.choice(
                "reply_when",
                &[("added", false), ("completed", true)],
                true,
            ),
            reply_files: top.flag("reply_files", true),
            feed_replies: top.choice("feed_posts", &[("internal", false), ("reply", true)], false),
        };
        if settings.append_to_open_case && settings.integration_contact.is_none() {
            // Two sessions on one case hear each other's rows; only their author tells them apart.
            top.missing(
                "integration_contact_id",
                "the contact of the integration user, because append_to_open_case = true; \
                 `handoffd check --live` prints it",
            );
        }
        top.done().map(|()| settings)
    }

    /// `/0` or nothing: what data and service paths begin with.
    #[must_use]
    pub fn prefix(&self) -> &'static str {
        match self.runtime {
            Runtime::Framework => "/0",
            Runtime::Net => "",
        }
    }
}

/// The site's own country. Its code is no secret, but a mistyped value may be anything.
fn country(top: &mut Reader<'_>) -> Option<Country> {
    let code = top.text("default_country")?;
    let country = Country::parse(&code);
    if country.is_none() {
        top.problem(
            "default_country",
            "expected the ISO code of a country in two letters, such as \"NL\"",
        );
    }
    country
}

/// What makes an activity a reply. The default protects: what a rep does not mark stays internal.
fn marker(top: &mut Reader<'_>) -> Marker {
    let marked = top.choice("reply_marker", &[("prefix", true), ("all", false)], true);
    let prefix = top.text("reply_prefix");
    if !marked {
        if prefix.is_some() {
            top.problem(
                "reply_prefix",
                "has no effect with reply_marker = \"all\"; leave one of the two out",
            );
        }
        return Marker::All;
    }
    let prefix = prefix.unwrap_or_else(|| standard::PREFIX.to_owned());
    if prefix.contains(char::is_whitespace) || prefix.contains(['<', '>', '&']) {
        top.problem(
            "reply_prefix",
            "must be one word without <, > and &, such as \"/wa\"",
        );
    }
    Marker::Prefix(prefix)
}

fn case_url(top: &mut Reader<'_>, runtime: Runtime) -> String {
    // The Freedom UI shell; the classic page is in the README.
    let shell = match runtime {
        Runtime::Framework => "{site}/0/Shell/#Card/Cases_FormPage/edit/{id}",
        Runtime::Net => "{site}/Shell/#Card/Cases_FormPage/edit/{id}",
    };
    match top.text("case_url") {
        None => shell.to_owned(),
        Some(url) => {
            if !url.contains("{id}") {
                top.problem("case_url", "must hold {id}, the place of the case's id");
            }
            url
        }
    }
}

fn columns(top: &mut Reader<'_>) -> Vec<String> {
    let columns = top.texts("case_columns");
    let wrong: Vec<usize> = columns
        .iter()
        .enumerate()
        .filter(|(_, c)| {
            !c.starts_with(|c: char| c.is_ascii_alphabetic())
                || !c.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
        .map(|(at, _)| at)
        .collect();
    for at in wrong {
        top.problem(
            &format!("case_columns[{at}]"),
            "is not a column's code, such as UsrCategory",
        );
    }
    columns
}

fn reply_types(top: &mut Reader<'_>) -> Vec<String> {
    let named = top.texts("reply_types");
    if named.is_empty() {
        return vec![standard::TASK.to_owned()];
    }
    let mut types = Vec::new();
    for (at, name) in named.iter().enumerate() {
        match name.to_ascii_lowercase().as_str() {
            "task" => types.push(standard::TASK.to_owned()),
            "call" => types.push(standard::CALL.to_owned()),
            _ => match wire::guid(name) {
                Some(id) => types.push(id),
                None => top.problem(
                    &format!("reply_types[{at}]"),
                    "expected \"task\", \"call\" or the id of an ActivityType",
                ),
            },
        }
    }
    types
}
