//! Where each operation is: the version is only a path segment, and bodies are the same.
//!
//! <https://developers.hubspot.com/docs/api-reference/legacy/migration-guide>

use handoffd_contract::text::encode;

/// An API version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// The v3 and v4 paths.
    Legacy,
    /// A dated path, such as `2026-03`.
    Dated(String),
}

impl Version {
    /// Reads `v3`, `v4` or a date such as `2026-03` or `2026-09-beta`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Version> {
        if text == "v3" || text == "v4" {
            return Some(Version::Legacy);
        }
        let date = text.strip_suffix("-beta").unwrap_or(text);
        let (year, month) = date.split_once('-')?;
        let digits =
            |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
        (digits(year, 4) && digits(month, 2)).then(|| Version::Dated(text.to_owned()))
    }
}

/// Paths of one portal's API. The conversations API has versions of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// CRM, files, owners, account and OAuth.
    pub crm: Version,
    /// Conversations.
    pub conversations: Version,
}

impl Paths {
    fn of(&self, dated: impl Fn(&str) -> String, legacy: &str) -> String {
        match &self.crm {
            Version::Dated(date) => dated(date),
            Version::Legacy => legacy.to_owned(),
        }
    }

    /// A type of objects: `tickets`, `contacts`, `notes`, `communications`.
    #[must_use]
    pub fn object(&self, kind: &str) -> String {
        self.of(
            |date| format!("/crm/objects/{date}/{kind}"),
            &format!("/crm/v3/objects/{kind}"),
        )
    }

    /// One object, by id or by the value of a unique property.
    #[must_use]
    pub fn one(&self, kind: &str, id: &str) -> String {
        format!("{}/{}", self.object(kind), encode(id))
    }

    /// What one object is associated with.
    #[must_use]
    pub fn links(&self, from: &str, id: &str, to: &str) -> String {
        let id = encode(id);
        self.of(
            |date| format!("/crm/objects/{date}/{from}/{id}/associations/{to}"),
            &format!("/crm/v4/objects/{from}/{id}/associations/{to}"),
        )
    }

    /// The properties of a type.
    #[must_use]
    pub fn properties(&self, kind: &str) -> String {
        self.of(
            |date| format!("/crm/properties/{date}/{kind}"),
            &format!("/crm/v3/properties/{kind}"),
        )
    }

    /// The ticket pipelines.
    #[must_use]
    pub fn pipelines(&self) -> String {
        self.of(
            |date| format!("/crm/pipelines/{date}/tickets"),
            "/crm/v3/pipelines/tickets",
        )
    }

    /// The owners.
    #[must_use]
    pub fn owners(&self) -> String {
        self.of(|date| format!("/crm/owners/{date}"), "/crm/v3/owners")
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> String {
        self.of(|date| format!("/files/{date}/files"), "/files/v3/files")
    }

    /// A private file's readable address.
    #[must_use]
    pub fn signed_url(&self, id: &str) -> String {
        format!("{}/{}/signed-url", self.files(), encode(id))
    }

    /// The account's details.
    #[must_use]
    pub fn account(&self) -> String {
        self.of(
            |date| format!("/account-info/{date}/details"),
            "/account-info/v3/details",
        )
    }

    /// The token endpoint.
    #[must_use]
    pub fn token(&self) -> String {
        self.of(|date| format!("/oauth/{date}/token"), "/oauth/v3/token")
    }

    /// A thread's messages and comments.
    #[must_use]
    pub fn thread_messages(&self, thread: &str) -> String {
        let thread = encode(thread);
        match &self.conversations {
            Version::Legacy => format!("/conversations/v3/conversations/threads/{thread}/messages"),
            Version::Dated(date) => {
                format!("/conversations/conversations/{date}/threads/{thread}/messages")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_follow_the_matrix() {
        let dated = Paths {
            crm: Version::Dated("2026-03".into()),
            conversations: Version::Dated("2026-09-beta".into()),
        };
        assert_eq!(
            dated.one("contacts", "49 151"),
            "/crm/objects/2026-03/contacts/49%20151"
        );
        assert_eq!(
            dated.links("tickets", "1", "notes"),
            "/crm/objects/2026-03/tickets/1/associations/notes"
        );
        assert_eq!(
            dated.thread_messages("7"),
            "/conversations/conversations/2026-09-beta/threads/7/messages"
        );
        assert_eq!(dated.account(), "/account-info/2026-03/details");
        let old = Paths {
            crm: Version::Legacy,
            conversations: Version::Legacy,
        };
        assert_eq!(
            old.links("tickets", "1", "notes"),
            "/crm/v4/objects/tickets/1/associations/notes"
        );
        assert_eq!(old.signed_url("9"), "/files/v3/files/9/signed-url");
        assert_eq!(
            old.thread_messages("7"),
            "/conversations/v3/conversations/threads/7/messages"
        );
        assert_eq!(
            (old.pipelines(), old.owners()),
            ("/crm/v3/pipelines/tickets".into(), "/crm/v3/owners".into())
        );
        assert_eq!(old.properties("tickets"), "/crm/v3/properties/tickets");
    }

    #[test]
    fn versions_are_dates_or_the_old_ones() {
        assert_eq!(Version::parse("v3"), Some(Version::Legacy));
        assert_eq!(
            Version::parse("2026-09-beta"),
            Some(Version::Dated("2026-09-beta".into()))
        );
        for wrong in ["", "v1", "2026", "26-03", "2026-3", "2026-03/x", "latest"] {
            assert_eq!(Version::parse(wrong), None, "{wrong}");
        }
    }
}
