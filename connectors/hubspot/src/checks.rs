//! What the portal must have, and how to add what is missing.

use handoffd_contract::{Check, Credential, Finding, HttpCall, HttpReply, Step};
use serde_json::{Value, json};

use crate::errors::words;
use crate::settings::{Field, Settings, is_id};

const MAY_CREATE_CONTACTS: &str = "right to create contacts";
const MAY_CREATE_TICKETS: &str = "right to create tickets";
const ACCOUNT: &str = "HubSpot account";
const CONTACTS: &str = "scope crm.objects.contacts.read";
const NOTES: &str = "reading notes";
const PIPELINES: &str = "ticket pipeline and stages";
const OWNER: &str = "ticket owner";
const WA_ID: &str = "contact property for the wa_id";
const USER_ID: &str = "contact property for the WhatsApp user id";
const HANDOFF_ID: &str = "ticket property for the handoff id";
const SESSION_URL: &str = "ticket property for the session's address";

/// A property that no portal has.
const NO_PROPERTY: &str = "handoffd_check_no_such_property";

/// What is verified, in order.
pub fn checks(settings: &Settings) -> Vec<Check> {
    let paths = &settings.paths;
    let property =
        |kind: &str, name: &str| HttpCall::get(format!("{}/{name}", paths.properties(kind)));
    let mut checks = vec![
        Check {
            what: ACCOUNT,
            call: HttpCall::get(paths.account()),
        },
        Check {
            what: CONTACTS,
            call: HttpCall::get(paths.object("contacts")).query("limit", "1"),
        },
        Check {
            what: NOTES,
            call: HttpCall::get(paths.object("notes")).query("limit", "1"),
        },
        Check {
            what: PIPELINES,
            call: HttpCall::get(paths.pipelines()),
        },
        Check {
            what: WA_ID,
            call: property("contacts", &settings.wa_id_property),
        },
        Check {
            what: USER_ID,
            call: property("contacts", &settings.user_id_property),
        },
        Check {
            what: HANDOFF_ID,
            call: property("tickets", &settings.handoff_id_property),
        },
    ];
    // Each names a property that there is not, so that HubSpot refuses it whatever the key may do.
    for (what, kind) in [
        (MAY_CREATE_CONTACTS, "contacts"),
        (MAY_CREATE_TICKETS, "tickets"),
    ] {
        let body = json!({"properties": {NO_PROPERTY: "check"}});
        let call = HttpCall::post(paths.object(kind), body);
        checks.push(Check { what, call });
    }
    if let Some(owner) = &settings.owner {
        let call = if is_id(owner) {
            HttpCall::get(format!("{}/{owner}", paths.owners()))
        } else {
            HttpCall::get(paths.owners())
                .query("email", owner)
                .query("limit", "100")
        };
        checks.push(Check { what: OWNER, call });
    }
    if let Some(name) = &settings.session_url_property {
        checks.push(Check {
            what: SESSION_URL,
            call: property("tickets", name),
        });
    }
    checks.extend(settings.standing.all().map(|(field, name)| Check {
        what: field.check(),
        call: property("tickets", name),
    }));
    checks
}

/// What the answer to a check means.
pub fn checked(settings: &Settings, check: &Check, reply: &HttpReply) -> Vec<Finding> {
    let body = reply.json().unwrap_or_default();
    let said = words(&Step::look("check", check.call.clone()), reply);
    match (check.what, reply.status) {
        (_, 401) => {
            return vec![Finding::missing(
                check.what,
                format!("{}; {said}", credential_remedy(settings)),
            )];
        }
        // Whether every kind of token may read the account is not documented.
        (ACCOUNT, 403 | 404) => {
            return vec![Finding::ok(
                "HubSpot account (this token may not read it; nothing depends on it)",
            )];
        }
        (_, 403) => {
            return vec![Finding::missing(
                check.what,
                format!("{said}; add the scope to the key or app and connect again"),
            )];
        }
        _ => {}
    }
    let property = |kind: &str, name: &str, label: &str, unique: bool, date: bool| match reply
        .status
    {
        404 => missing_property(settings, check.what, kind, name, label, unique, date),
        _ if reply.ok() && unique && body["hasUniqueValue"] != json!(true) => Finding::missing(
            check.what,
            format!(
                "{kind} property {name} is there but without unique values, which cannot be added later; choose another name"
            ),
        ),
        _ if reply.ok() => Finding::ok(format!("{}: {name}", check.what)),
        _ => Finding::missing(check.what, said.clone()),
    };
    if let Some((field, name)) = standing(settings, check.what) {
        let (label, is_time) = (field.label(), field.is_time());
        return vec![property("tickets", name, label, false, is_time)];
    }
    vec![match check.what {
        WA_ID => property(
            "contacts",
            &settings.wa_id_property,
            "WhatsApp id",
            true,
            false,
        ),
        USER_ID => property(
            "contacts",
            &settings.user_id_property,
            "WhatsApp user id",
            true,
            false,
        ),
        HANDOFF_ID => property(
            "tickets",
            &settings.handoff_id_property,
            "WhatsApp handoff id",
            true,
            false,
        ),
        SESSION_URL => property(
            "tickets",
            settings.session_url_property.as_deref().unwrap_or_default(),
            "WhatsApp session",
            false,
            false,
        ),
        // A key that may not create is refused with 403, which is told above.
        MAY_CREATE_CONTACTS | MAY_CREATE_TICKETS if reply.status == 400 => Finding::ok(check.what),
        _ if !reply.ok() => Finding::missing(check.what, said),
        ACCOUNT => Finding::ok(format!(
            "HubSpot account {} ({}){}",
            body["portalId"],
            body["accountType"].as_str().unwrap_or("?"),
            zone(settings, &body)
        )),
        PIPELINES => return pipelines(settings, &body),
        OWNER if body["results"].is_array() && body["results"][0].is_null() => {
            let owner = settings.owner.as_deref().unwrap_or_default();
            Finding::missing(
                OWNER,
                format!("nobody in HubSpot has the address {owner}; mend `owner`"),
            )
        }
        what => Finding::ok(what),
    }]
}

/// The portal's zone, where the settings have another.
fn zone(settings: &Settings, account: &Value) -> String {
    let of_portal = account["timeZone"].as_str().unwrap_or_default();
    let set = settings.zone.iana_name().unwrap_or("UTC");
    if of_portal.is_empty() || of_portal == set {
        return String::new();
    }
    format!(
        "; its time zone is {of_portal}, and reps read times of {set}: set `time_zone` if they shall be the portal's"
    )
}

/// The standing field whose property a check is about.
fn standing<'s>(settings: &'s Settings, what: &str) -> Option<(Field, &'s str)> {
    settings
        .standing
        .all()
        .find(|(field, _)| field.check() == what)
}

fn credential_remedy(settings: &Settings) -> &'static str {
    match settings.credential {
        Credential::RefreshToken { .. } => {
            "the access token was not accepted; connect the app again and store the new refresh token"
        }
        _ => {
            "the token was not accepted; make a new service key (Development > Keys) and store it as the secret"
        }
    }
}

fn missing_property(
    settings: &Settings,
    what: &str,
    kind: &str,
    name: &str,
    label: &str,
    unique: bool,
    date: bool,
) -> Finding {
    let at = settings.paths.properties(kind);
    let (kind_of, field) = if date {
        ("datetime", "date")
    } else {
        ("string", "text")
    };
    let mut property = json!({"name": name, "label": label, "groupName": "wa_handoff", "type": kind_of, "fieldType": field});
    if unique {
        property["hasUniqueValue"] = json!(true);
    }
    let unique = if unique { ", with unique values," } else { "" };
    let form = if date {
        "a date and time picker"
    } else {
        "single-line text"
    };
    Finding {
        what: what.to_owned(),
        problem: Some(format!(
            "{kind} have no property {name}; it can be added here, or in HubSpot under Settings > Properties{unique} as {form}"
        )),
        // The group may be there already: its 409 is no problem.
        fix: vec![
            HttpCall::post(
                format!("{at}/groups"),
                json!({"name": "wa_handoff", "label": "WhatsApp handoff"}),
            ),
            HttpCall::post(at, property),
        ],
    }
}

/// Ids and labels of pipeline and stages, resolved; or which there are.
fn pipelines(settings: &Settings, body: &Value) -> Vec<Finding> {
    let entries = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let named = |entry: &Value| {
        format!(
            "{} = {}",
            entry["id"].as_str().unwrap_or("?"),
            entry["label"].as_str().unwrap_or("?")
        )
    };
    let find = |list: &[Value], wanted: &str| {
        let is = |entry: &&Value| {
            ["id", "label"].iter().any(|n| {
                entry[*n]
                    .as_str()
                    .is_some_and(|t| t.trim().eq_ignore_ascii_case(wanted))
            })
        };
        list.iter().find(is).cloned()
    };
    let list = |entries: &[Value]| {
        entries
            .iter()
            .take(30)
            .map(named)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let all = entries(&body["results"]);
    let Some(pipeline) = find(&all, &settings.pipeline) else {
        let problem = format!(
            "there is no ticket pipeline `{}`; there are: {}",
            settings.pipeline,
            list(&all)
        );
        return vec![Finding::missing("ticket pipeline", problem)];
    };
    let stages = entries(&pipeline["stages"]);
    let mut findings = vec![Finding::ok(format!("ticket pipeline {}", named(&pipeline)))];
    for (setting, stage) in [
        ("stage", Some(&settings.stage)),
        ("closed_stage", settings.closed_stage.as_ref()),
    ] {
        let Some(wanted) = stage else { continue };
        findings.push(match find(&stages, wanted) {
            Some(stage) => Finding::ok(format!("{setting} {}", named(&stage))),
            None => Finding::missing(
                setting,
                format!(
                    "pipeline {} has no stage `{wanted}`; it has: {}",
                    named(&pipeline),
                    list(&stages)
                ),
            ),
        });
    }
    // A rep may move a ticket into another pipeline and end it there.
    let everywhere: Vec<Value> = all
        .iter()
        .flat_map(|pipeline| entries(&pipeline["stages"]))
        .collect();
    for wanted in &settings.closed_stages {
        findings.push(match find(&everywhere, wanted) {
            Some(stage) => Finding::ok(format!("closed_stages {}", named(&stage))),
            None => Finding::missing(
                "closed_stages",
                format!(
                    "no pipeline has a stage `{wanted}`; there are: {}",
                    list(&everywhere)
                ),
            ),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(more: Value) -> Settings {
        let mut all = json!({"token": "t"});
        for (key, value) in more.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        Settings::read(&all).expect("sound")
    }

    fn answer(settings: &Settings, what: &str, status: u16, body: Value) -> Vec<Finding> {
        let check = checks(settings)
            .into_iter()
            .find(|check| check.what == what)
            .expect("this check");
        checked(
            settings,
            &check,
            &HttpReply {
                status,
                headers: vec![],
                body: body.to_string().into_bytes(),
            },
        )
    }

    #[test]
    fn a_missing_property_comes_with_the_calls_that_add_it() {
        let settings = settings(json!({}));
        let found = answer(
            &settings,
            HANDOFF_ID,
            404,
            json!({"category": "OBJECT_NOT_FOUND"}),
        );
        assert!(
            found[0]
                .problem
                .as_deref()
                .is_some_and(|p| p.contains("wa_handoff_id"))
        );
        let paths: Vec<&str> = found[0].fix.iter().map(|call| call.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/crm/properties/2026-03/tickets/groups",
                "/crm/properties/2026-03/tickets"
            ]
        );
        let plain = answer(
            &settings,
            WA_ID,
            200,
            json!({"name": "wa_id", "hasUniqueValue": false}),
        );
        assert!(
            plain[0]
                .problem
                .as_deref()
                .is_some_and(|p| p.contains("unique"))
        );
        assert_eq!(
            answer(&settings, WA_ID, 200, json!({"hasUniqueValue": true}))[0].problem,
            None
        );
    }

    #[test]
    fn a_403_names_the_scope_and_a_401_the_remedy() {
        let settings = settings(json!({}));
        let body = json!({"category": "MISSING_SCOPES", "message": "no", "errors": [{"context": {"requiredGranularScopes": ["tickets"]}}]});
        let found = answer(&settings, PIPELINES, 403, body.clone());
        assert!(
            found[0]
                .problem
                .as_deref()
                .is_some_and(|p| p.contains("tickets")),
            "{found:?}"
        );
        assert_eq!(answer(&settings, ACCOUNT, 403, body)[0].problem, None);
        let found = answer(
            &settings,
            CONTACTS,
            401,
            json!({"category": "INVALID_AUTHENTICATION"}),
        );
        assert!(
            found[0]
                .problem
                .as_deref()
                .is_some_and(|p| p.contains("service key"))
        );
    }

    #[test]
    fn labels_and_ids_of_stages_are_resolved_or_listed() {
        let settings = settings(
            json!({"pipeline": "support pipeline", "stage": "new", "closed_stages": ["4", "9"], "owner": "a@b.test"}),
        );
        let body = json!({"results": [{"id": "0", "label": "Support Pipeline", "stages": [{"id": "1", "label": "New"}, {"id": "4", "label": "Closed"}]}]});
        let problems: Vec<_> = answer(&settings, PIPELINES, 200, body)
            .into_iter()
            .map(|f| f.problem.is_some())
            .collect();
        assert_eq!(problems, [false, false, false, true]);
        assert!(
            answer(&settings, OWNER, 200, json!({"results": []}))[0]
                .problem
                .is_some()
        );
        assert!(
            answer(&settings, PIPELINES, 200, json!({"results": []}))[0]
                .problem
                .is_some()
        );
    }
}
