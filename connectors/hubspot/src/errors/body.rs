//! What an error body names: properties, scopes, and records that are in the way.
//!
//! <https://developers.hubspot.com/docs/api-reference/error-handling>: every member may be missing, so
//! the body is searched rather than decoded.

use handoffd_contract::HttpReply;
use serde_json::Value;

/// A property that HubSpot refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The property's internal name.
    pub field: String,
    /// HubSpot's code, such as `INVALID_OPTION`.
    pub code: String,
}

/// The properties that an error body names, each once.
#[must_use]
pub fn faults(body: &Value) -> Vec<Fault> {
    let mut found: Vec<Fault> = Vec::new();
    let mut add = |field: &str, code: &str| {
        let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !field.is_empty()
            && field.len() <= 100
            && word(field)
            && word(code)
            && !found.iter().any(|f| f.field == field)
        {
            found.push(Fault {
                field: field.to_owned(),
                code: code.to_owned(),
            });
        }
    };
    let message = body["message"].as_str().unwrap_or_default();
    // Either `errors[]`, or the same as JSON inside the message.
    let inside = message
        .find('[')
        .and_then(|at| serde_json::from_str::<Value>(&message[at..]).ok());
    let listed = [
        body["errors"].as_array(),
        inside.as_ref().and_then(Value::as_array),
    ];
    for error in listed.into_iter().flatten().flatten().take(50) {
        let code = ["code", "error", "subCategory"]
            .iter()
            .find_map(|name| error[*name].as_str());
        let context = &error["context"];
        let field = ["propertyName", "name", "property"]
            .iter()
            .find_map(|name| {
                context[*name][0]
                    .as_str()
                    .or_else(|| context[*name].as_str())
            })
            .or_else(|| error["name"].as_str())
            .or_else(|| error["in"].as_str());
        if let (Some(field), Some(code)) = (field, code) {
            add(field, code);
        }
    }
    for (open, close) in [
        ("Property \"", "\" does not exist"),
        ("Property '", "' does not exist"),
    ] {
        for text in [message].into_iter().chain(
            body["errors"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|e| e["message"].as_str()),
        ) {
            if let Some(name) = text
                .split_once(open)
                .and_then(|(_, rest)| rest.split_once(close))
            {
                add(name.0, "PROPERTY_DOESNT_EXIST");
            }
        }
    }
    found
}

/// Whether a 400 or 409 says that somebody holds the unique value.
#[must_use]
pub fn is_conflict(reply: &HttpReply, key: &str) -> bool {
    let text = String::from_utf8_lossy(&reply.body);
    let named = faults(&reply.json().unwrap_or_default())
        .iter()
        .any(|fault| fault.field == key && !fault.code.contains("EXIST"));
    reply.status == 409
        || reply.status == 400
            && (named
                || [
                    "CONFLICTING_UNIQUE_VALUE",
                    "already has that value",
                    "already exists",
                ]
                .iter()
                .any(|w| text.contains(w)))
}

/// Whether a 400 or 409 names this property as one whose unique value somebody else holds.
#[must_use]
pub fn conflicts(reply: &HttpReply, property: &str) -> bool {
    let named = faults(&reply.json().unwrap_or_default());
    let is_held = |code: &str| code.contains("CONFLICT") || code.contains("UNIQUE");
    matches!(reply.status, 207 | 400 | 409)
        && named
            .iter()
            .any(|fault| fault.field == property && is_held(&fault.code))
}

/// `Existing ID: 37765128953`, as a 409 for a contact says.
/// <https://github.com/HubSpot/hubspot-api-nodejs/issues/545>
#[must_use]
pub fn existing_id(reply: &HttpReply) -> Option<String> {
    let text = String::from_utf8_lossy(&reply.body);
    let (_, rest) = text.split_once("Existing ID:")?;
    let id: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    (!id.is_empty()).then_some(id)
}

/// The scopes that a 403 names.
#[must_use]
pub fn scopes(body: &Value) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let contexts = std::iter::once(&body["context"]).chain(
        body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| &error["context"]),
    );
    for context in contexts {
        for name in ["requiredGranularScopes", "requiredScopes"] {
            for scope in context[name]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
            {
                if scope.len() <= 80 && !found.iter().any(|known| known == scope) && found.len() < 8
                {
                    found.push(scope.to_owned());
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reply(status: u16, body: &Value) -> HttpReply {
        HttpReply {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    #[test]
    fn faults_are_found_wherever_they_are() {
        let wanted = vec![Fault {
            field: "hs_ticket_priority".into(),
            code: "INVALID_OPTION".into(),
        }];
        let inside = "Property values were not valid: [{\"isValid\":false,\"message\":\"SOON was not one of the allowed options\",\
                      \"error\":\"INVALID_OPTION\",\"name\":\"hs_ticket_priority\"}]";
        assert_eq!(faults(&json!({"message": inside})), wanted);
        let listed = json!({"message": "x", "errors": [{"code": "INVALID_OPTION", "context": {"propertyName": ["hs_ticket_priority"]}}]});
        assert_eq!(faults(&listed), wanted);
        assert_eq!(
            faults(&json!({"message": "Property \"wa_mood\" does not exist"})),
            vec![Fault {
                field: "wa_mood".into(),
                code: "PROPERTY_DOESNT_EXIST".into()
            }]
        );
        assert_eq!(
            faults(&json!({"message": "[1,2", "errors": "none"})),
            vec![]
        );
    }

    #[test]
    fn conflicts_are_recognised_in_every_form() {
        let key = "wa_handoff_id";
        let nested = "Property values were not valid: [{\"isValid\":false,\"message\":\"Cannot set PropertyValueCoordinates{}. 456 already has that value.\",\"error\":\"CONFLICTING_UNIQUE_VALUE\",\"name\":\"wa_handoff_id\"}]";
        assert!(is_conflict(&reply(400, &json!({"message": nested})), key));
        assert!(is_conflict(
            &reply(409, &json!({"category": "CONFLICT"})),
            key
        ));
        assert!(!is_conflict(
            &reply(
                400,
                &json!({"message": "Property \"wa_handoff_id\" does not exist"})
            ),
            key
        ));
        let taken = reply(
            409,
            &json!({"message": "Contact already exists. Existing ID: 37765128953", "category": "CONFLICT"}),
        );
        assert_eq!(existing_id(&taken).as_deref(), Some("37765128953"));
    }
}
