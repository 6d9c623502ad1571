//! Whether reps are there: the business hours of the deployment, which are public. Whether anybody works
//! in a queue, the API for end users does not tell.
//!
//! The answer lists the hours of the next 24 h; a client looks whether the time is within one of them.
//! <https://developer.salesforce.com/docs/service/messaging-in-app/guide/ios-business-hours.html>

use handoffd_contract::availability::{Availability, Presence};
use handoffd_contract::{Auth, HttpCall, HttpReply};
use jiff::Timestamp;
use serde_json::Value;

use crate::settings::Settings;

/// Hours that are looked at, at most.
const MAX_HOURS: usize = 100;

/// The read of the business hours.
pub(crate) fn hours(s: &Settings) -> HttpCall {
    HttpCall::get("/embeddedservice/v1/businesshours")
        .query("orgId", &s.org_id)
        .query("esConfigName", &s.es_developer_name)
        .auth(Auth::None)
}

/// What the business hours say of this time.
pub(crate) fn read(reply: &HttpReply, now: Timestamp) -> Availability {
    if !reply.ok() {
        let words = format!(
            "Salesforce answered {} for its business hours",
            reply.status
        );
        return Availability::unknown(words);
    }
    let body = reply.json().unwrap_or_default();
    let info = &body["businessHoursInfo"];
    let Some(list) = info["businessHours"].as_array() else {
        return Availability::unknown("no business hours are set");
    };
    let hours: Vec<(Timestamp, Timestamp)> = list.iter().take(MAX_HOURS).filter_map(span).collect();
    if hours.len() < list.len().min(MAX_HOURS) {
        return Availability::unknown("the business hours cannot be read");
    }
    let is_in_force = info["isActive"].as_bool().unwrap_or(true);
    let open = hours.iter().find(|(from, to)| *from <= now && now < *to);
    match open {
        Some(_) if !is_in_force => Availability::unknown("the business hours are not in force"),
        Some((_, until)) => Availability {
            status: Presence::Available,
            reason: "within business hours; Salesforce does not tell whether a rep is there"
                .to_owned(),
            until: Some(*until),
        },
        None => Availability {
            status: Presence::Unavailable,
            reason: "outside business hours".to_owned(),
            until: hours
                .iter()
                .map(|(from, _)| *from)
                .filter(|from| *from > now)
                .min(),
        },
    }
}

/// From when to when, in milliseconds since 1970.
fn span(hours: &Value) -> Option<(Timestamp, Timestamp)> {
    let at = |name: &str| Timestamp::from_millisecond(hours[name].as_i64()?).ok();
    Some((at("startTime")?, at("endTime")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(status: u16, body: &Value) -> Availability {
        let reply = HttpReply {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        };
        read(&reply, Timestamp::from_second(1_000).unwrap())
    }

    fn info(is_active: Value, hours: &[(i64, i64)]) -> Value {
        let hours = hours
            .iter()
            .map(|(from, to)| json!({"startTime": from * 1_000, "endTime": to * 1_000}));
        json!({"businessHoursInfo": {"isActive": is_active, "businessHours": hours.collect::<Vec<_>>()}})
    }

    #[test]
    fn the_hours_decide_and_what_cannot_be_read_decides_nothing() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let table = [
            (
                200,
                info(json!(true), &[(900, 1_100)]),
                Some(true),
                at(1_100),
            ),
            (200, info(json!(true), &[(900, 1_000)]), Some(false), None),
            (
                200,
                info(json!(true), &[(2_000, 3_000), (1_500, 1_600)]),
                Some(false),
                at(1_500),
            ),
            (200, info(json!(true), &[]), Some(false), None),
            (
                200,
                info(Value::Null, &[(900, 1_100)]),
                Some(true),
                at(1_100),
            ),
            (200, info(json!(false), &[(900, 1_100)]), None, None),
            (
                200,
                info(json!(false), &[(1_500, 1_600)]),
                Some(false),
                at(1_500),
            ),
            (
                200,
                json!({"businessHoursInfo": {"businessHours": [{"startTime": "nine"}]}}),
                None,
                None,
            ),
            (200, json!({}), None, None),
            (404, json!({}), None, None),
            (503, json!("<html>"), None, None),
        ];
        for (status, body, available, until) in table {
            let said = said(status, &body);
            assert_eq!((said.available(), said.until), (available, until), "{body}");
            assert!(!said.reason.is_empty());
        }
    }
}
