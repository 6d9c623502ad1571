//! Who asks, and how they are known.

use super::Role;

/// Who asks. Every request that was let through carries one in its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their name in the audit log.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// Whether they may see names and texts of customers.
    pub may_unmask: bool,
    /// What a form that they send must repeat; nothing of those who show a token with each request.
    pub csrf: Option<String>,
    /// How they are known.
    pub by: By,
}

/// How somebody is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// They signed in with a password.
    Password,
    /// They signed in at a provider.
    OpenId,
    /// They signed in by a link that can be used once.
    Link,
    /// A proxy says who they are.
    Proxy,
    /// They show the admin token.
    AdminToken,
    /// They show a token that somebody made.
    Token {
        /// Its id.
        id: String,
        /// What it is for.
        name: String,
    },
    /// They ask on this machine, where nothing is configured.
    ThisMachine,
    /// They run a command.
    Command,
}

impl By {
    /// The word in the audit log, the API and the ledger.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            By::Password => "password",
            By::OpenId => "openid",
            By::Link => "link",
            By::Proxy => "proxy",
            By::AdminToken => "admin token",
            By::Token { .. } => "token",
            By::ThisMachine => "this machine",
            By::Command => "command",
        }
    }

    /// The same, with the token's name.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            By::Token { name, .. } => format!("token: {name}"),
            other => other.word().to_owned(),
        }
    }

    /// Whether a browser shows it by itself with each request, whichever page made it.
    #[must_use]
    pub fn is_ambient(&self) -> bool {
        !matches!(self, By::AdminToken | By::Token { .. } | By::Command)
    }
}

impl Person {
    /// Whoever shows the admin token.
    #[must_use]
    pub fn of_admin_token() -> Person {
        Person {
            name: "admin token".into(),
            role: Role::Admin,
            may_unmask: true,
            csrf: None,
            by: By::AdminToken,
        }
    }

    /// Whoever asks on this machine where nothing is configured.
    #[must_use]
    pub fn of_this_machine() -> Person {
        Person {
            name: "this machine".into(),
            by: By::ThisMachine,
            ..Person::of_admin_token()
        }
    }

    /// Whoever runs a command: they can read the configuration.
    #[must_use]
    pub fn of_command(user: &str) -> Person {
        let user: String = user.chars().filter(|c| !c.is_control()).take(80).collect();
        Person {
            name: if user.is_empty() {
                "command".into()
            } else {
                user
            },
            by: By::Command,
            ..Person::of_admin_token()
        }
    }
}
