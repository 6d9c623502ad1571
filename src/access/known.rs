//! A cookie, a token or a header becomes a person.

use std::net::IpAddr;

use axum::http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::cookies::{self, IsPrivate};
use super::origin::{self, Asked};
use super::{Access, By, Person, Role, digest, password, tokens};
use crate::ledger::Result;
use crate::ledger::access::{Digest, SignInRow, TokenRow};
use crate::serving;

/// When something was last seen is written down so often.
const SEEN_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Somebody who asks, and the digest of their cookie if that is how they are known.
pub(super) struct Known {
    pub person: Person,
    pub cookie: Option<Digest>,
}

impl Known {
    fn without_cookie(person: Person) -> Known {
        Known {
            person,
            cookie: None,
        }
    }
}

impl Access {
    /// Whether a request came by a trusted proxy.
    pub(super) fn by_proxy(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.proxies.iter().any(|network| network.holds(peer)))
    }

    /// Whose request it is: of the peer, or of whom a trusted proxy names.
    pub(super) fn client(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        let named = self
            .by_proxy(peer)
            .then(|| serving::client(headers, &self.proxies))
            .flatten();
        named.or(peer)
    }

    /// Who asks with these headers.
    pub(super) async fn who(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Option<Known>> {
        let now = Timestamp::now();
        if let Some(shown) = serving::bearer(headers) {
            let known = self.by_token(shown, now).await?;
            if known.is_some() || !self.is_open {
                return Ok(known.map(Known::without_cookie));
            }
        }
        let by_proxy = self.by_proxy(peer);
        let private = self.is_private(headers, by_proxy);
        if let Some(known) = self.by_cookie(headers, private, now).await? {
            return Ok(Some(known));
        }
        if by_proxy && let Some(person) = self.by_header(headers) {
            return Ok(Some(Known::without_cookie(person)));
        }
        let here = self.is_open.then(Person::of_this_machine);
        Ok(here.map(Known::without_cookie))
    }

    async fn by_token(&self, shown: &[u8], now: Timestamp) -> Result<Option<Person>> {
        if let Some(token) = &self.token
            && bool::from(shown.ct_eq(token.expose_secret().as_bytes()))
        {
            return Ok(Some(Person::of_admin_token()));
        }
        let Some(shown) = std::str::from_utf8(shown).ok().filter(tokens::is_one) else {
            return Ok(None);
        };
        let Some(row) = self.ledger.token(&digest(shown)).await? else {
            return Ok(None);
        };
        if row.until.is_some_and(|until| until <= now) {
            return Ok(None);
        }
        let Some(person) = self.of_token(&row).await? else {
            return Ok(None);
        };
        if row
            .used_at
            .is_none_or(|used| now.duration_since(used) >= SEEN_EVERY)
        {
            // A ledger that cannot be written can still be read.
            let _ = self.ledger.touch_token(&row.id, now).await;
        }
        Ok(Some(person))
    }

    /// What a token makes of who shows it: never more than its maker is now.
    async fn of_token(&self, row: &TokenRow) -> Result<Option<Person>> {
        let Some(role) = Role::parse(&row.role) else {
            return Ok(None);
        };
        let owner = match row.owner_way.as_str() {
            "password" => {
                let users = &self.config.users;
                let user = users.iter().find(|user| user.name == row.owner);
                user.map(|user| (user.role, user.unmask))
            }
            "openid" if self.openid.is_some() => {
                let person = self.ledger.person(&row.owner, &row.owner_way).await?;
                let role = person.and_then(|person| Role::parse(&person.role));
                role.map(|role| (role, true))
            }
            "openid" => None,
            _ => Some((Role::Admin, true)),
        };
        Ok(owner.map(|(most, unmask)| Person {
            name: row.owner.clone(),
            role: role.min(most),
            may_unmask: row.unmask && unmask,
            csrf: None,
            by: By::Token {
                id: row.id.clone(),
                name: row.name.clone(),
            },
        }))
    }

    async fn by_cookie(
        &self,
        headers: &HeaderMap,
        private: IsPrivate,
        now: Timestamp,
    ) -> Result<Option<Known>> {
        let Some(shown) = cookies::shown(headers, private) else {
            return Ok(None);
        };
        let key = digest(&shown);
        let Some(row) = self.ledger.sign_in(&key).await? else {
            return Ok(None);
        };
        let idle = SignedDuration::try_from(self.config.idle).unwrap_or(SignedDuration::MAX);
        if row.until <= now || now.duration_since(row.seen_at) > idle {
            return Ok(None);
        }
        let Some(mut person) = self.of_sign_in(&row) else {
            return Ok(None);
        };
        if now.duration_since(row.seen_at) >= SEEN_EVERY {
            // As above.
            let _ = self.ledger.touch_sign_in(&key, now).await;
        }
        person.csrf = Some(cookies::csrf(&shown));
        Ok(Some(Known {
            person,
            cookie: Some(key),
        }))
    }

    /// Who is signed in; nobody where the configuration has changed beneath them.
    fn of_sign_in(&self, row: &SignInRow) -> Option<Person> {
        let (role, may_unmask, by) = match row.way.as_str() {
            "password" => {
                let users = &self.config.users;
                let user = users.iter().find(|user| user.name == row.name)?;
                let is_same = password::basis(user) == row.basis;
                is_same.then_some((user.role, user.unmask, By::Password))?
            }
            "openid" if self.openid.is_some() => (Role::parse(&row.role)?, row.unmask, By::OpenId),
            "link" => (Role::parse(&row.role)?, row.unmask, By::Link),
            _ => return None,
        };
        Some(Person {
            name: row.name.clone(),
            role,
            may_unmask,
            csrf: None,
            by,
        })
    }

    /// Whom a trusted proxy names. A page that made its name lead to this machine could name anybody,
    /// so the name that is asked for must be ours.
    fn by_header(&self, headers: &HeaderMap) -> Option<Person> {
        let proxy = self.config.proxy.as_ref()?;
        if origin::asked(headers, self.config.url.as_ref()) == Asked::Other {
            return None;
        }
        let mut named = headers.get_all(&proxy.user_header).iter();
        let name = named.next()?.to_str().ok()?.trim();
        // A second one would be somebody else's word.
        if name.is_empty() || name.chars().count() > 80 || named.next().is_some() {
            return None;
        }
        let said: Vec<&str> = match &proxy.roles_header {
            None => Vec::new(),
            Some(header) => {
                let lines = headers.get_all(header).iter();
                let words = lines.filter_map(|line| line.to_str().ok());
                words
                    .flat_map(|line| line.split(','))
                    .map(str::trim)
                    .collect()
            }
        };
        let (role, may_unmask) = proxy.roles.role(said.iter().copied())?;
        Some(Person {
            name: name.to_owned(),
            role,
            may_unmask,
            csrf: None,
            by: By::Proxy,
        })
    }
}
