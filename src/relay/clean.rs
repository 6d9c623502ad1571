//! What reps wrote, as far as phones, databases and JSON can carry it.

use handoffd_contract::event::RepReply;
use handoffd_contract::{InboundKind, text};
use serde_json::Value;

/// Leaves out of everything that people read what cannot be carried. Ids stay as they are: they are
/// compared, and shown to nobody.
pub(super) fn clean(kind: &mut InboundKind) {
    match kind {
        InboundKind::Replied(reply) => replied(reply),
        InboundKind::NotSent { detail, .. } => *detail = text::carried(detail),
        InboundKind::Ended { status } => some(status),
        InboundKind::Assigned { rep } => some(rep),
        InboundKind::Status { error, .. } => some(error),
        InboundKind::Routing { detail, .. } => some(detail),
        InboundKind::Updated {
            fields, changed_by, ..
        } => {
            some(changed_by);
            for value in fields.values_mut() {
                if let Value::String(text) = value {
                    *text = text::carried(text);
                }
            }
        }
        InboundKind::Queued { .. } | InboundKind::Activity { .. } | InboundKind::Facts(_) => {}
    }
}

fn replied(reply: &mut RepReply) {
    some(&mut reply.author);
    some(&mut reply.text);
    for file in &mut reply.attachments {
        some(&mut file.name);
        some(&mut file.caption);
        some(&mut file.transcript);
    }
    for option in &mut reply.options {
        option.title = text::carried(&option.title);
    }
    for parameter in reply.template.iter_mut().flat_map(|t| &mut t.parameters) {
        *parameter = text::carried(parameter);
    }
}

/// Nothing is left of a text that was nothing else.
fn some(words: &mut Option<String>) {
    if let Some(given) = words {
        let left = text::carried(given);
        *words = (!left.is_empty()).then_some(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_carried_is_left_out_everywhere_but_in_ids() {
        let reply = serde_json::json!({
            "target": "crm", "message_id": "a\0", "author": "Ro\0sa", "text": "On\0 its\u{7} way.\r\nSoon.",
            "attachments": [{"id": "f", "name": "b\0ox.jpg", "caption": "\0"}],
            "options": [{"id": "1", "title": "Y\0es"}],
            "template": {"name": "t", "language": "en", "parameters": ["\u{1b}8812"]},
        });
        let expected = serde_json::json!({
            "target": "crm", "message_id": "a\0", "author": "Rosa", "text": "On its way.\nSoon.",
            "attachments": [{"id": "f", "name": "box.jpg"}],
            "options": [{"id": "1", "title": "Yes"}],
            "template": {"name": "t", "language": "en", "parameters": ["8812"]},
        });
        let mut what = InboundKind::Replied(serde_json::from_value(reply).unwrap());
        clean(&mut what);
        let expected: RepReply = serde_json::from_value(expected).unwrap();
        assert_eq!(what, InboundKind::Replied(expected));
        let mut what = InboundKind::Assigned {
            rep: Some("\0".into()),
        };
        clean(&mut what);
        assert_eq!(what, InboundKind::Assigned { rep: None });
    }
}
