//! The routing attributes of a handoff: a flat map of texts that Salesforce maps to fields of the
//! messaging session.
//! <https://developer.salesforce.com/docs/service/messaging-web/references/m4w-reference/prechatAPI.html>

use handoffd_contract::{Contact, Handoff, Item, Known, text};
use serde_json::{Map, Value};

/// The attribute by which anybody on Salesforce's side finds the session.
pub(crate) const SESSION: &str = "OpencxSessionId";

/// The section of the mapping that fills routing attributes.
const SECTION: &str = "routing";

/// The attributes of a handoff: our defaults, overridden by the mapping, without those that
/// Salesforce refused. The session's id is always among them.
pub(crate) fn attributes(
    item: &Item,
    handoff: &Handoff,
    session: &str,
    known: &Known,
    limit: usize,
) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |name: &str, value: &str| {
        // Attributes are fields of one line in Salesforce.
        let value = text::quoted(&value.split_whitespace().collect::<Vec<_>>().join(" "));
        if !value.is_empty() && !known.is(&refused(name)) {
            out.insert(name.to_owned(), text::truncate(&value, limit).into());
        }
    };
    put("Chat_Consumer_Type", "contact");
    put("channel", &handoff.session.channel);
    let language = handoff
        .handoff
        .language
        .as_ref()
        .or(handoff.session.language.as_ref());
    put("language", language.map_or("", String::as_str));
    let (first, last) = names(&handoff.contact);
    put("_firstName", &first);
    put("_lastName", &last);
    put("_email", handoff.contact.email.as_deref().unwrap_or(""));
    put("_subject", handoff.handoff.topic.as_deref().unwrap_or(""));
    if let Some(rendered) = &item.rendered {
        for (name, value) in rendered.section(SECTION) {
            match value {
                Value::Null => {}
                Value::String(text) => put(name, text),
                other => put(name, &other.to_string()),
            }
        }
    }
    out.insert(SESSION.to_owned(), text::truncate(session, limit).into());
    out
}

/// The fact that Salesforce did not take an attribute.
pub(crate) fn refused(name: &str) -> String {
    format!("refused/{name}")
}

/// What a person is called, as the two fields of a pre-chat form.
fn names(contact: &Contact) -> (String, String) {
    let name = contact.display_name();
    match name.trim().rsplit_once(char::is_whitespace) {
        Some((first, last)) => (first.trim().to_owned(), last.to_owned()),
        None => (name.trim().to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoffd_contract::{Data, Rendered};
    use serde_json::json;

    #[test]
    fn the_mapping_overrides_and_the_session_id_is_always_there() {
        let handoff = Handoff {
            contact: Contact {
                name: Some("Mona \"M\" K".into()),
                ..Contact::default()
            },
            ..Handoff::default()
        };
        let mut rendered = Rendered::default();
        let section = json!({
            "channel": "wa", "priority": 3, "urgent": true, "note": "é".repeat(300), "empty": "",
            "OpencxSessionId": "forged", "gone": null
        });
        rendered.sections.insert(
            SECTION.into(),
            section
                .as_object()
                .expect("object")
                .clone()
                .into_iter()
                .collect(),
        );
        let item = Item {
            id: "e1".into(),
            time: jiff::Timestamp::UNIX_EPOCH,
            data: Data::HandoffRequested(Box::new(handoff.clone())),
            rendered: Some(rendered),
        };
        let mut known = Known::default();
        known.set(refused("urgent"), "too long");
        let out = attributes(&item, &handoff, "s-1", &known, 255);
        assert_eq!(out["channel"], "wa");
        assert_eq!(out["priority"], "3");
        assert_eq!(out["OpencxSessionId"], "s-1");
        assert_eq!(out["_firstName"], "Mona \"M\"");
        assert_eq!(out["_lastName"], "K");
        assert_eq!(text::utf16_len(out["note"].as_str().expect("text")), 255);
        for absent in ["urgent", "empty", "gone", "_email"] {
            assert!(!out.contains_key(absent), "{absent}");
        }
    }
}
