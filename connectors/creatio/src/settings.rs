//! The settings of a Creatio target: read from JSON into a value that cannot be wrong.
//!
//! Reading goes key by key, so that every problem is reported at once, each with its path, the
//! shape of what was found and what to do.

mod replies;
mod sign_in;
mod standing;

use std::cell::RefCell;
use std::time::Duration;

use handoffd_contract::marker::Marker;
use handoffd_contract::phone::Country;
use handoffd_contract::settings::{AfterEnd, Table, Ways, after_end};
use handoffd_contract::{Problem, Secret};
use serde_json::Value;

pub use replies::ReplyLine;
use replies::reply_types;
use sign_in::{check_address, sign_in, site_root};

use crate::plan::Standing;
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
    /// What becomes of a message that comes after the case was resolved or closed.
    pub after_end: AfterEnd,
    /// What becomes of a second handoff.
    pub after_end_handoff: AfterEnd,
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
    /// Which replies get an activity that shows how far they have come.
    pub reply_line: ReplyLine,
    /// The column of a rep's own activity that shows it as well.
    pub reply_column: Option<String>,
    /// Columns of a case whose changes are passed on.
    pub report: Vec<String>,
    /// Columns of a case that say what state its conversation is in.
    pub(crate) standing: Vec<(Standing, String)>,
    /// Records of the lookup for how satisfied the customer is, by score, the worst first.
    pub(crate) satisfaction_levels: Vec<String>,
}

impl Settings {
    /// Reads and validates.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn read(value: &Value) -> Result<Settings, Vec<Problem>> {
        let problems = RefCell::new(Vec::new());
        let Some(mut top) = Table::new("", value, &problems) else {
            return Err(problems.into_inner());
        };
        let plain_http = top.flag("allow_plain_http", false);
        let remedy = "write the site's address, such as https://acme.creatio.com";
        let site = top.required("site", remedy).map(|raw| site_root(&raw));
        if let Some(site) = &site {
            check_address(&top, "site", site, plain_http);
        }
        let site = site.unwrap_or_default();
        let runtime = top.choice(
            "runtime",
            &[("framework", Runtime::Framework), ("net", Runtime::Net)],
            Runtime::Framework,
        );
        let sign_in = sign_in(&mut top, &site, plain_http);
        let satisfaction_levels = standing::levels(&mut top);
        let mode = top.choice(
            "mode",
            &[
                ("handoff_only", Mode::HandoffOnly),
                ("every_conversation", Mode::EveryConversation),
            ],
            Mode::HandoffOnly,
        );
        let reply_marker = Marker::read(&mut top);
        let standing = standing::columns(&mut top, &satisfaction_levels);
        let report = reported(&mut top, &standing);
        let settings = Settings {
            site,
            runtime,
            sign_in,
            mode,
            owner: guid(&mut top, "owner_id"),
            group: guid(&mut top, "group_id"),
            priority: guid(&mut top, "priority_id"),
            origin: guid(&mut top, "origin_id").unwrap_or_else(|| standard::CHAT.to_owned()),
            contact_type: guid_or_none(&mut top, "contact_type_id", standard::CUSTOMER),
            default_country: top.country("default_country"),
            user_id_type: guid_or_none(&mut top, "user_id_type_id", standard::OTHER_PHONE),
            resolved_status: guid(&mut top, "resolved_status_id"),
            reopened_status: guid_or_none(&mut top, "reopened_status_id", standard::REOPENED),
            after_end: after_end(&mut top, Ways::OF_MESSAGES, AfterEnd::Reopen),
            after_end_handoff: after_end(&mut top, Ways::OF_HANDOFFS, AfterEnd::Reopen),
            activity_type: guid(&mut top, "activity_type_id")
                .unwrap_or_else(|| standard::TASK.to_owned()),
            activity_status: guid(&mut top, "activity_status_id")
                .unwrap_or_else(|| standard::COMPLETED.to_owned()),
            case_columns: columns(&mut top),
            append_to_open_case: top.flag("append_to_open_case", false),
            batch: top.flag("batch", true),
            batch_size: usize::try_from(top.number("batch_size", 1..=100, 60)).unwrap_or(60),
            max_file_bytes: top.number("max_file_mb", 1..=2_000, 10) * 1024 * 1024,
            session_link_file: top.flag("session_link_file", true),
            case_url: case_url(&mut top, runtime),
            integration_contact: guid(&mut top, "integration_contact_id"),
            webhook_token: top.secret("webhook_token"),
            poll: Duration::from_secs(top.number("poll_seconds", 0..=3_600, 15)),
            reply_marker,
            reply_types: reply_types(&mut top),
            reply_when_completed: top.choice(
                "reply_when",
                &[("added", false), ("completed", true)],
                true,
            ),
            reply_files: top.flag("reply_files", true),
            feed_replies: top.choice("feed_posts", &[("internal", false), ("reply", true)], false),
            reply_line: top.choice(
                "reply_line",
                &[
                    ("always", ReplyLine::Always),
                    ("trouble", ReplyLine::Trouble),
                ],
                ReplyLine::Always,
            ),
            reply_column: top.text_if("reply_column", is_code, CODE),
            report,
            standing,
            satisfaction_levels,
        };
        if settings.append_to_open_case && settings.integration_contact.is_none() {
            // Two sessions on one case hear each other's rows; only their author tells them apart.
            top.missing(
                "integration_contact_id",
                "write the contact of the integration user, because append_to_open_case = true; \
                 `handoffd check --live` prints it",
            );
        }
        if settings.after_end == AfterEnd::Ignore && mode == Mode::EveryConversation {
            top.problem(
                "after_end",
                "`ignore` cannot be done with mode = \"every_conversation\", which shows every message; \
                 write append",
            );
        }
        top.finish();
        let problems = problems.into_inner();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
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

fn guid(top: &mut Table<'_>, key: &'static str) -> Option<String> {
    let remedy = "write a record id such as 7e9f1204-f46b-1410-fb9a-0050ba5d6c38 (the end of the record's address \
                  in Creatio)";
    let text = top.text_if(key, |text| wire::guid(text).is_some(), remedy)?;
    wire::guid(&text)
}

/// An id with a default that `"none"` switches off.
fn guid_or_none(top: &mut Table<'_>, key: &'static str, default: &str) -> Option<String> {
    let value = top.value(key).and_then(Value::as_str);
    if value.is_some_and(|text| text.trim() == "none") {
        return None;
    }
    guid(top, key).or_else(|| Some(default.to_owned()))
}

fn case_url(top: &mut Table<'_>, runtime: Runtime) -> String {
    // The Freedom UI shell; the classic page is in the README.
    let shell = match runtime {
        Runtime::Framework => "{site}/0/Shell/#Card/Cases_FormPage/edit/{id}",
        Runtime::Net => "{site}/Shell/#Card/Cases_FormPage/edit/{id}",
    };
    let holds_id = |url: &str| url.contains("{id}");
    let remedy = "write an address with {id} in the place of the case's id";
    top.text_if("case_url", holds_id, remedy)
        .unwrap_or_else(|| shell.to_owned())
}

fn columns(top: &mut Table<'_>) -> Vec<String> {
    top.texts_if("case_columns", is_code, CODE)
        .unwrap_or_default()
}

/// Columns of which changes are passed on at most.
const MAX_REPORTED: usize = 20;

/// The columns of which changes are passed on; what handoffd alone writes is none of them.
fn reported(top: &mut Table<'_>, standing: &[(Standing, String)]) -> Vec<String> {
    let key = "report_columns";
    let is_ours = |column: &str| standing.iter().any(|(_, ours)| ours == column);
    let remedy =
        "write the code of a column of Case, such as PriorityId, and none that `standing` names";
    let fits = |column: &str| is_code(column) && !is_ours(column);
    let mut columns = top.texts_if(key, fits, remedy).unwrap_or_default();
    columns.sort();
    columns.dedup();
    if columns.len() > MAX_REPORTED {
        let found = format!("names {} columns", columns.len());
        top.problem(
            key,
            format!("{found}; at most {MAX_REPORTED} are passed on"),
        );
        columns.truncate(MAX_REPORTED);
    }
    columns
}

/// What to do where a column's code is expected.
const CODE: &str = "write a column's code, such as UsrCategory";

fn is_code(column: &str) -> bool {
    column.starts_with(|c: char| c.is_ascii_alphabetic())
        && column
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_')
}
