//! The messaging channel's parameters, as far as the settings list them.
//!
//! The messaging API tells end users nothing of the channel's parameters, and the token that we have is an
//! end user's. So they come from the settings; where they are not listed, any name may be one.
//! <https://developer.salesforce.com/docs/service/messaging-web/references/m4w-reference/prechatAPI.html>

use handoffd_contract::Schema;
use handoffd_contract::schema::{Field, Holds};

use crate::routing::SESSION;
use crate::settings::Settings;

const SECTION: &str = "routing";

/// Standard pre-chat fields, and the attributes that are always sent.
const STANDARD: &[(&str, &str)] = &[
    ("_firstName", "First name"),
    ("_lastName", "Last name"),
    ("_email", "E-mail"),
    ("_subject", "Subject"),
    ("Chat_Consumer_Type", "Who writes"),
    ("channel", "Channel"),
    ("language", "Language"),
    (SESSION, "The session's id"),
];

/// The parameters that there are.
pub(crate) fn schema(settings: &Settings) -> Schema {
    let mut schema = Schema::default();
    let field = |label: &str, group: &str| Field {
        label: label.to_owned(),
        group: group.to_owned(),
        holds: Holds::Text,
        max: Some(settings.attribute_limit),
        ..Field::default()
    };
    for (name, label) in STANDARD {
        schema.add(SECTION, name, field(label, "Standard"));
    }
    for name in &settings.parameters {
        schema.add(SECTION, name, field(name, "Custom parameters"));
    }
    if let Some(section) = schema.sections.get_mut(SECTION) {
        section.open = settings.parameters.is_empty();
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_that_are_listed_are_all_that_there_are() {
        let mut settings = json!({"instance_url": "https://acme.my.salesforce.com", "org_id": "00D5g00000AbCdE",
            "es_developer_name": "Handoff", "key_id": "k", "issuer": "i", "private_key": "secret"});
        let read = |settings: &serde_json::Value| Settings::read(settings).expect("sound");
        let open = schema(&read(&settings));
        assert_eq!(open.lacks("routing", "anything"), None);
        settings["parameters"] = json!(["priority"]);
        let closed = schema(&read(&settings));
        assert_eq!(closed.lacks("routing", "priority"), Some(false));
        assert_eq!(closed.lacks("routing", "prioriti"), Some(true));
        assert_eq!(closed.lacks("routing", "_firstName"), Some(false));
    }
}
