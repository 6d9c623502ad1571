//! What `handoffd check --live` reads: the sign-in as an end user, and the deployment.

use handoffd_contract::{Auth, Check, Finding, HttpCall, HttpReply};

use crate::availability;
use crate::errors;
use crate::settings::Settings;

const SIGN_IN: &str = "identity token, keyset and deployment";
const DEPLOYMENT: &str = "Embedded Service Deployment";
const HOURS: &str = "business hours";

pub(crate) fn checks(s: &Settings) -> Vec<Check> {
    vec![
        Check {
            what: SIGN_IN,
            call: HttpCall::get("/iamessage/api/v2/conversation/list")
                .query("inclClosedConvs", "false")
                .query("limit", "1")
                .auth(Auth::Customer {
                    subject: format!("{}check", s.subject_prefix),
                }),
        },
        Check {
            what: DEPLOYMENT,
            call: HttpCall::get("/embeddedservice/v1/embedded-service-config")
                .query("orgId", &s.org_id)
                .query("esConfigName", &s.es_developer_name)
                .query("language", &s.language)
                .auth(Auth::None),
        },
        Check {
            what: HOURS,
            call: availability::hours(s),
        },
    ]
}

pub(crate) fn checked(s: &Settings, check: &Check, reply: &HttpReply) -> Vec<Finding> {
    let said = errors::words(reply);
    let finding = match (check.what, reply.status) {
        (SIGN_IN, 200..=299) => Finding::ok(format!(
            "{SIGN_IN}: accepted. Whether a conversation reaches a queue depends on the channel's Omni-Channel flow and cannot be seen from here; if none appears in Salesforce, look at the flow of deployment {}",
            s.es_developer_name
        )),
        (SIGN_IN, 401 | 403) => Finding::missing(
            SIGN_IN,
            format!(
                "{said}. Setup → User Verification: the keyset's issuer must be \"{}\", a key with kid \"{}\" must belong to the private key, its certificate must be valid, and the channel must have user verification switched on",
                s.issuer, s.key_id
            ),
        ),
        (SIGN_IN, 400) => Finding::missing(
            SIGN_IN,
            format!(
                "{said}. Check that the organisation id is this organisation's (a refreshed sandbox has a new one), and that {} is a published deployment of type Custom Client",
                s.es_developer_name
            ),
        ),
        (SIGN_IN, 404) => Finding::missing(
            SIGN_IN,
            format!(
                "{said}. There is no messaging service at {}; check instance_url",
                s.base
            ),
        ),
        (SIGN_IN, _) => Finding::missing(SIGN_IN, said),
        (DEPLOYMENT, 200..=299) => {
            Finding::ok(format!("{DEPLOYMENT} {}: published", s.es_developer_name))
        }
        (DEPLOYMENT, 400..=499) => Finding::missing(
            DEPLOYMENT,
            format!(
                "{said}. Setup → Embedded Service Deployments: {} must exist under this API name, be of type Custom Client, and be published",
                s.es_developer_name
            ),
        ),
        (DEPLOYMENT, _) => Finding::missing(DEPLOYMENT, said),
        // Business hours are optional: without them the queue is always open.
        (HOURS, 200..=299) => {
            let active = reply
                .json()
                .and_then(|body| body["businessHoursInfo"]["isActive"].as_bool());
            Finding::ok(match active {
                Some(false) => {
                    format!("{HOURS}: closed now; handoffs wait in the queue until a rep is there")
                }
                Some(true) => format!("{HOURS}: open now"),
                None => format!("{HOURS}: none are set"),
            })
        }
        (HOURS, status) => Finding::ok(format!(
            "{HOURS}: not readable ({status}); handoffs do not depend on them"
        )),
        (what, _) if reply.ok() => Finding::ok(what),
        (what, _) => Finding::missing(what, said),
    };
    vec![finding]
}
