//! `[access]`: who may ask for what, and how they say who they are.

mod read;

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

pub(super) use self::read::access;

/// What somebody may do. Each may what the one before may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Retries and skips, and works dead letters.
    Operator,
    /// Edits mappings, makes tokens: everything.
    Admin,
}

impl Role {
    /// All of them, from the least on.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// The word in the configuration, the API and the ledger.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// The one with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// `[access]`
#[derive(Clone)]
pub struct AccessConfig {
    /// Those who sign in with a name and a password.
    pub users: Vec<UserConfig>,
    /// A provider that says who somebody is.
    pub openid: Option<OpenIdConfig>,
    /// A proxy that says who somebody is.
    pub proxy: Option<ProxyConfig>,
    /// Where browsers reach the admin listener, without a trailing slash.
    pub url: Option<Url>,
    /// A sign-in ends when nothing was asked for so long.
    pub idle: Duration,
    /// A sign-in ends so long after its beginning, whatever is asked.
    pub longest: Duration,
}

impl AccessConfig {
    /// Whether anybody is named who may ask, beside the admin token.
    #[must_use]
    pub fn names_anybody(&self) -> bool {
        !self.users.is_empty() || self.openid.is_some() || self.proxy.is_some()
    }
}

impl Default for AccessConfig {
    fn default() -> AccessConfig {
        AccessConfig {
            users: Vec::new(),
            openid: None,
            proxy: None,
            url: None,
            idle: IDLE,
            longest: LONGEST,
        }
    }
}

/// `[[access.user]]`
#[derive(Clone)]
pub struct UserConfig {
    /// By which they sign in and stand in the audit log.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// Whether they may see names and texts of customers.
    pub unmask: bool,
    /// The argon2id hash of their password, as a PHC string.
    pub password: SecretString,
}

/// `[access.openid]`
#[derive(Clone)]
pub struct OpenIdConfig {
    /// The provider's address, to the letter as its discovery document names it.
    pub issuer: String,
    /// Our id there.
    pub client_id: String,
    /// Our secret there; none for a public client.
    pub client_secret: Option<SecretString>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The claim that names a person.
    pub name: String,
    /// The claim that tells what they are, and what that makes of them here.
    pub claim: String,
    /// Who may what.
    pub roles: RoleRules,
}

/// `[access.proxy]`
#[derive(Clone)]
pub struct ProxyConfig {
    /// The header that names a person.
    pub user_header: String,
    /// The header that tells what they are, parted by commas; none where all are alike.
    pub roles_header: Option<String>,
    /// Who may what.
    pub roles: RoleRules,
}

/// Which words of others make somebody what here; `*` is everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleRules {
    viewer: Vec<String>,
    operator: Vec<String>,
    admin: Vec<String>,
    unmask: Option<Vec<String>>,
}

impl RoleRules {
    /// What somebody is of whom these words are said, and whether they may see names and texts; none
    /// where no rule fits.
    #[must_use]
    pub fn role<'w>(&self, said: impl Iterator<Item = &'w str> + Clone) -> Option<(Role, bool)> {
        let fits = |rules: &[String]| {
            rules
                .iter()
                .any(|rule| rule == "*" || said.clone().any(|word| word == rule))
        };
        let named = [
            (Role::Admin, &self.admin),
            (Role::Operator, &self.operator),
            (Role::Viewer, &self.viewer),
        ];
        let (role, _) = named.into_iter().find(|(_, rules)| fits(rules))?;
        let unmask = match &self.unmask {
            Some(rules) => fits(rules),
            None => role == Role::Admin,
        };
        Some((role, unmask))
    }
}

const IDLE: Duration = Duration::from_secs(8 * 3_600);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_rule_that_fits_makes_the_role() {
        let rules = RoleRules {
            viewer: vec!["*".into()],
            operator: vec!["desk".into()],
            admin: vec!["crm-admins".into()],
            unmask: None,
        };
        let role = |said: &[&str]| rules.role(said.iter().copied());
        assert_eq!(role(&[]), Some((Role::Viewer, false)));
        assert_eq!(role(&["desk", "x"]), Some((Role::Operator, false)));
        assert_eq!(role(&["desk", "crm-admins"]), Some((Role::Admin, true)));
        let some = RoleRules {
            operator: vec!["desk".into()],
            unmask: Some(vec!["privacy".into()]),
            ..RoleRules::default()
        };
        assert_eq!(some.role(["crm-admins"].into_iter()), None);
        assert_eq!(
            some.role(["desk", "privacy"].into_iter()),
            Some((Role::Operator, true))
        );
    }
}
