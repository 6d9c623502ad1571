//! The standing fields: ticket properties that always say how the conversation stands.

use handoffd_contract::settings::Table;

use super::reader::is_property;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The session's id.
    Session,
    /// The customer's language.
    Language,
    /// The customer's mood.
    Sentiment,
    /// The channel.
    Channel,
    /// When the last message was written.
    LastMessage,
    /// When WhatsApp's 24 hours for free text end.
    WindowEnd,
    /// What became of the last reply.
    ReplyState,
    /// How the customer has rated the conversation.
    Rating,
    /// Who is in charge of the conversation.
    Controller,
}

/// How a field is set, named and shown. A further field is one row here, and whoever writes it.
struct Row {
    field: Field,
    key: &'static str,
    property: &'static str,
    label: &'static str,
    check: &'static str,
}

const ROWS: [Row; 9] = [
    Row {
        field: Field::Session,
        key: "session",
        property: "wa_session_id",
        label: "WhatsApp session id",
        check: "ticket property for the session's id",
    },
    Row {
        field: Field::Language,
        key: "language",
        property: "wa_language",
        label: "WhatsApp language",
        check: "ticket property for the language",
    },
    Row {
        field: Field::Sentiment,
        key: "sentiment",
        property: "wa_sentiment",
        label: "WhatsApp sentiment",
        check: "ticket property for the sentiment",
    },
    Row {
        field: Field::Channel,
        key: "channel",
        property: "wa_channel",
        label: "Channel of the conversation",
        check: "ticket property for the channel",
    },
    Row {
        field: Field::LastMessage,
        key: "last_message",
        property: "wa_last_message",
        label: "Last WhatsApp message",
        check: "ticket property for the last message's time",
    },
    Row {
        field: Field::WindowEnd,
        key: "window_end",
        property: "wa_window_end",
        label: "WhatsApp free text until",
        check: "ticket property for the end of the 24-hour window",
    },
    Row {
        field: Field::ReplyState,
        key: "reply_state",
        property: "wa_reply_state",
        label: "State of the last WhatsApp reply",
        check: "ticket property for the last reply's state",
    },
    // Without a name until one is set: customers are asked only where the mapping says so.
    Row {
        field: Field::Rating,
        key: "rating",
        property: "",
        label: "WhatsApp rating",
        check: "ticket property for the rating",
    },
    Row {
        field: Field::Controller,
        key: "controller",
        property: "wa_controller",
        label: "Who has the WhatsApp conversation",
        check: "ticket property for who is in charge",
    },
];

impl Field {
    /// Whether it holds a time.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(self, Field::LastMessage | Field::WindowEnd)
    }

    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// What people read beside it.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.row().label
    }

    /// What the check of its property is called.
    #[must_use]
    pub fn check(self) -> &'static str {
        self.row().check
    }
}

/// The properties that are written, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing(Vec<(Field, String)>);

impl Standing {
    /// Reads `standing_fields` and the names in `standing`.
    pub(super) fn read(top: &mut Table<'_>) -> Standing {
        let is_on = top.flag("standing_fields", true);
        let mut table = top.section("standing");
        let mut fields = Vec::new();
        for row in &ROWS {
            let name = table.maybe_empty(row.key);
            let name = name.unwrap_or_else(|| row.property.to_owned());
            if !name.is_empty() && !is_property(&name) {
                table.problem(
                    row.key,
                    "is no property's internal name; write one (lower-case letters, digits, underscores, a letter first), or \"\" to leave the field out",
                );
            } else if !name.is_empty() && fields.iter().any(|(_, other)| *other == name) {
                table.problem(row.key, "names a property that another standing field has");
            } else if !name.is_empty() {
                fields.push((row.field, name));
            }
        }
        table.finish();
        Standing(if is_on { fields } else { Vec::new() })
    }

    /// The property of a field, if it is written.
    #[must_use]
    pub fn property(&self, field: Field) -> Option<&str> {
        let found = self.0.iter().find(|(of, _)| *of == field);
        found.map(|(_, name)| name.as_str())
    }

    /// Whether a ticket property is one of them.
    #[must_use]
    pub fn is_one(&self, property: &str) -> bool {
        self.0.iter().any(|(_, name)| name == property)
    }

    /// Every field that is written, with its property.
    pub fn all(&self) -> impl Iterator<Item = (Field, &str)> {
        self.0.iter().map(|(field, name)| (*field, name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Settings;

    fn read(more: serde_json::Value) -> Result<Standing, Vec<handoffd_contract::Problem>> {
        let mut all = json!({"token": "t"});
        for (key, value) in more.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        Settings::read(&all).map(|settings| settings.standing)
    }

    #[test]
    fn every_field_has_its_row() {
        for row in &ROWS {
            assert_eq!(row.field.row().key, row.key);
        }
    }

    #[test]
    fn standing_fields_are_written_by_default_and_can_be_named_or_left_out() {
        let all = read(json!({})).expect("sound");
        assert_eq!(all.all().count(), ROWS.len() - 1);
        assert_eq!(all.property(Field::Rating), None);
        let rated = read(json!({"standing": {"rating": "wa_rating"}})).expect("sound");
        assert_eq!(rated.property(Field::Rating), Some("wa_rating"));
        assert_eq!(all.property(Field::WindowEnd), Some("wa_window_end"));
        let some = read(json!({"standing": {"language": "lang", "channel": ""}})).expect("sound");
        assert_eq!(some.property(Field::Language), Some("lang"));
        assert_eq!(some.property(Field::Channel), None);
        assert!(some.is_one("lang") && !some.is_one("wa_channel"));
        let none = read(json!({"standing_fields": false})).expect("sound");
        assert_eq!(none.all().count(), 0);
    }

    #[test]
    fn wrong_standing_fields_are_told_by_path() {
        let told = read(
            json!({"standing": {"language": "My Lang", "sentiment": "wa_channel", "moood": "x"}}),
        )
        .expect_err("wrong");
        let mut paths: Vec<_> = told.iter().map(|p| p.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(
            paths,
            ["standing.channel", "standing.language", "standing.moood"]
        );
    }
}
