//! What `handoffd check --live` reads: the objects and columns that handoffd writes, every id of the
//! settings, and who it is signed in as.

mod columns;
mod inactive;

use handoffd_contract::{Check, Finding, HttpCall, HttpReply};
use serde_json::{Value, json};

use crate::errors::Answer;
use crate::plan::part_headers;
use crate::settings::SignIn;
use crate::{Creatio, wire};
pub(crate) use columns::entity_type;
use inactive::INACTIVE;

const METADATA: &str = "objects and columns";
const STATUSES: &str = "case statuses";
/// Creatio judges the right to add a row only when it is added.
const MAY_WRITE: &str = "whether this user may add and edit cannot be tried without leaving a record: it needs the permissions \
                         to add and edit on Case, Activity, CaseFile, Contact and ContactCommunication";
const USER: &str = "integration user";
const ROLE: &str = "case group";
const BATCH: &str = "$batch";

/// A configured id, and where it must be found.
struct Lookup {
    what: &'static str,
    setting: &'static str,
    set: &'static str,
    ids: Vec<String>,
}

impl Creatio {
    /// The reads, in order.
    pub(crate) fn live_checks(&self) -> Vec<Check> {
        let user = HttpCall::post(
            format!(
                "{}/ServiceModel/UserInfoService.svc/GetCurrentUserInfo",
                self.settings.prefix()
            ),
            json!({}),
        );
        let metadata = HttpCall::get(self.path("$metadata")).header("accept", "application/xml");
        let mut checks = vec![
            Check {
                what: USER,
                call: user,
            },
            Check {
                what: METADATA,
                call: metadata,
            },
        ];
        if self.settings.batch {
            let part = json!({ "id": "r0", "method": "GET", "url": "CaseStatus?$select=Id&$top=1", "headers": part_headers() });
            checks.push(Check {
                what: BATCH,
                call: self.batch(vec![part]),
            });
        }
        checks.push(self.inactive_check());
        for lookup in self.lookups() {
            let mut call = HttpCall::get(self.path(lookup.set))
                .query("$select", "Id,Name")
                .query("$top", "100");
            if matches!(lookup.set, "Contact" | "SysAdminUnit") {
                let filter: Vec<String> =
                    lookup.ids.iter().map(|id| format!("Id eq {id}")).collect();
                call = call.query("$filter", filter.join(" or "));
            }
            checks.push(Check {
                what: lookup.what,
                call,
            });
        }
        checks
    }

    fn lookups(&self) -> Vec<Lookup> {
        let settings = &self.settings;
        let one = |id: &Option<String>| id.iter().cloned().collect::<Vec<_>>();
        let all = [
            (
                STATUSES,
                "resolved_status_id or reopened_status_id",
                "CaseStatus",
                [&settings.resolved_status, &settings.reopened_status]
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect(),
            ),
            (
                "case priorities",
                "priority_id",
                "CasePriority",
                one(&settings.priority),
            ),
            (
                "case origins",
                "origin_id",
                "CaseOrigin",
                vec![settings.origin.clone()],
            ),
            (
                "contact types",
                "contact_type_id",
                "ContactType",
                one(&settings.contact_type),
            ),
            (
                "communication types",
                "user_id_type_id",
                "CommunicationType",
                one(&settings.user_id_type),
            ),
            (
                "activity types",
                "activity_type_id or reply_types",
                "ActivityType",
                {
                    let mut types = settings.reply_types.clone();
                    types.push(settings.activity_type.clone());
                    types
                },
            ),
            (
                "activity statuses",
                "activity_status_id",
                "ActivityStatus",
                vec![settings.activity_status.clone()],
            ),
            ("case owner", "owner_id", "Contact", one(&settings.owner)),
            (ROLE, "group_id", "SysAdminUnit", one(&settings.group)),
        ];
        // Without a status for closed sessions, the site's own are listed to choose from.
        let lookups = all
            .into_iter()
            .filter(|(what, _, _, ids)| !ids.is_empty() || *what == STATUSES);
        lookups
            .map(|(what, setting, set, ids)| Lookup {
                what,
                setting,
                set,
                ids,
            })
            .collect()
    }

    /// What a reply means.
    pub(crate) fn live_findings(&self, check: &Check, reply: &HttpReply) -> Vec<Finding> {
        // A firewall answers in its own words, where Creatio names what is wrong.
        let names_it = reply.json().is_some_and(|body| body.is_object()) && !reply.ok();
        if check.what == BATCH && !names_it {
            return vec![batch(reply)];
        }
        if check.what == INACTIVE {
            return self.inactive(reply);
        }
        match Answer::of(reply) {
            Answer::Ok => {}
            Answer::SignedOut(words) => {
                let remedy = match self.settings.sign_in {
                    SignIn::OAuth { .. } => {
                        "check client id and secret, that the application's grant is client credentials, and that its \
                         system user is active and licensed"
                    }
                    SignIn::Forms { .. } => {
                        "check user and password, and that the user is active and licensed"
                    }
                };
                return vec![Finding::missing(
                    check.what,
                    format!("the sign-in was not accepted ({words}); {remedy}"),
                )];
            }
            Answer::Forbidden(words) => {
                let remedy = "grant the integration user the system operation \"Access to OData\" (CanUseODataService) and read \
                              permission on the object";
                return vec![Finding::missing(
                    check.what,
                    format!("not allowed ({words}); {remedy}"),
                )];
            }
            // Feature DisableODataSystemTablesAccess hides Sys* objects.
            _ if check.what == ROLE => {
                return vec![Finding::ok(format!(
                    "{} (could not be read: system objects are hidden from OData)",
                    check.what
                ))];
            }
            Answer::NoSet(_) | Answer::Missing(_) => {
                let remedy = match check.what {
                    METADATA | USER => {
                        "nothing is there; look at `site` and `runtime`: .NET Framework sites have /0 in their data paths, .NET sites do not"
                    }
                    _ => {
                        "the object is not in OData; Case management (Service) is not installed, or OData is being rebuilt"
                    }
                };
                return vec![Finding::missing(check.what, remedy)];
            }
            other => {
                return vec![Finding::missing(
                    check.what,
                    format!("answered {}: {}", reply.status, other.stop().message),
                )];
            }
        }
        match check.what {
            METADATA => self.metadata(&String::from_utf8_lossy(&reply.body)),
            USER => {
                let mut findings = self.user(reply.json().as_ref());
                findings.push(Finding::ok(MAY_WRITE));
                findings
            }
            what => match self
                .lookups()
                .into_iter()
                .find(|lookup| lookup.what == what)
            {
                Some(lookup) => {
                    let body = reply.json();
                    let mut findings = lookup_findings(&lookup, body.as_ref());
                    if what == STATUSES && self.settings.resolved_status.is_none() {
                        let problem = format!(
                            "resolved_status_id is not set, so that the case of a closed session stays open; {}",
                            there_are(&rows_of(body.as_ref()))
                        );
                        findings.push(Finding::missing(what, problem));
                    }
                    findings
                }
                None => vec![Finding::ok(what)],
            },
        }
    }

    fn user(&self, body: Option<&Value>) -> Vec<Finding> {
        let Some(contact) = body.and_then(|body| contact_id(body, 3)) else {
            return vec![Finding::ok(
                "integration user (signed in; its contact is not in the answer)",
            )];
        };
        match &self.settings.integration_contact {
            Some(set) if *set == contact => {
                vec![Finding::ok(format!("integration user's contact {contact}"))]
            }
            Some(set) => vec![Finding::missing(
                "integration_contact_id",
                format!(
                    "is {set}, but handoffd is signed in as the user of contact {contact}; set it to that"
                ),
            )],
            None => vec![Finding::ok(format!(
                "integration user's contact {contact} (set integration_contact_id to it, and filter your processes by it)"
            ))],
        }
    }
}

/// Whether `$batch` is let through. Firewalls in front of a site answer with their own page, or close
/// the way for this one path.
fn batch(reply: &HttpReply) -> Finding {
    let answered = reply
        .json()
        .is_some_and(|body| body.get("responses").is_some_and(Value::is_array));
    let answer = Answer::of(reply);
    match answer {
        Answer::Ok if answered => Finding::ok("$batch"),
        Answer::Slow(..) | Answer::Failed(..) => Finding::missing(
            BATCH,
            format!("answered {}: {}", reply.status, answer.stop().message),
        ),
        _ => Finding::missing(
            BATCH,
            format!(
                "answered {} and no list of answers ({}); if everything else here is well, a firewall in front of the site \
                 blocks it: let POST …/odata/$batch through, or set batch = false",
                reply.status,
                answer.stop().message
            ),
        ),
    }
}

/// `contactId` at any depth up to `depth`: the answer's outer shape differs between versions.
fn contact_id(body: &Value, depth: usize) -> Option<String> {
    let map = body.as_object()?;
    let direct = map
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case("contactId"))
        .and_then(|(_, v)| v.as_str())
        .and_then(wire::guid);
    direct.or_else(|| {
        if depth == 0 {
            None
        } else {
            map.values().find_map(|inner| contact_id(inner, depth - 1))
        }
    })
}

/// Ids and names.
fn rows_of(body: Option<&Value>) -> Vec<(String, String)> {
    let row = |row: &Value| {
        let name = row.get("Name").and_then(Value::as_str).unwrap_or("");
        Some((wire::guid(row.get("Id")?.as_str()?)?, name.to_owned()))
    };
    let rows = body.and_then(|body| body.get("value"));
    let rows = rows.and_then(Value::as_array).into_iter().flatten();
    rows.filter_map(row).collect()
}

fn there_are(rows: &[(String, String)]) -> String {
    let there: Vec<String> = rows
        .iter()
        .take(30)
        .map(|(id, name)| format!("{name} = {id}"))
        .collect();
    format!("there are: {}", there.join(", "))
}

fn lookup_findings(lookup: &Lookup, body: Option<&Value>) -> Vec<Finding> {
    let rows = rows_of(body);
    let finding = |id: &String| match rows.iter().find(|(there, _)| there == id) {
        Some((_, name)) => Finding::ok(format!("{}: {name}", lookup.what)),
        None => {
            let hint = match lookup.set {
                "Contact" => "an owner is a contact, not a user: open the employee's contact page and copy the id at the end of its address".to_owned(),
                "SysAdminUnit" => "a group is an organisational or functional role".to_owned(),
                _ => {
                    there_are(&rows)
                }
            };
            Finding::missing(
                lookup.what,
                format!("{} {id} is not in {}; {hint}", lookup.setting, lookup.set),
            )
        }
    };
    let mut ids = lookup.ids.clone();
    ids.dedup();
    ids.iter().map(finding).collect()
}
