//! Who asks, and what they may: the people and scripts behind the admin API and the console.
//!
//! ```text
//! request ─► who asks? ─► may they? ─► handler ─► audit log
//!            │ Authorization: Bearer …   the admin token, or a token that somebody made
//!            │ cookie                    signed in: password, OpenID, link
//!            │ header of a proxy         believed of http.trusted_proxies alone
//!            └ this machine              where nothing is configured and the listener is loopback
//! ```
//!
//! Of what a browser or script shows, the ledger has a digest only, so that several daemons know it
//! and nobody who reads the ledger can use it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `person` | who asks, and how they are known |
//! | `roles` | which request needs which role |
//! | `guard` | the door before `/v1` and the pages |
//! | `origin` | requests that a foreign page could have made |
//! | `known` | a cookie, a token or a header becomes a person |
//! | `cookies` | the cookies, their flags, and what a form must repeat |
//! | `sign_in` | signing in and out |
//! | `password` | passwords: hashed, verified, off the threads that serve |
//! | `throttle` | tries by name and by address |
//! | `openid` | signing in at a provider |
//! | `told` | what is wrong with a request, told as JSON |
//! | `tokens` | tokens of scripts |
//! | `audit` | what was done by whom |

pub mod audit;
mod cookies;
mod guard;
mod known;
mod openid;
mod origin;
pub mod password;
mod person;
mod roles;
mod sign_in;
mod throttle;
pub mod tokens;
mod told;

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

pub use self::audit::Audit;
pub use self::guard::{Refusal, guard_api, guard_pages};
pub use self::person::{By, Person};
pub use self::roles::needed;
pub use self::sign_in::routes;
pub use crate::config::Role;
use crate::config::{AccessConfig, Config, Network};
use crate::ledger::AccessLedger;
use crate::ledger::access::Digest;
use crate::wire::provider::ProviderClient;

/// How long a link that signs in once can be used.
pub const LINK_LASTS: SignedDuration = SignedDuration::from_mins(10);

/// Everything that tells who asks.
pub struct Access {
    config: AccessConfig,
    /// The admin token, where there is one.
    token: Option<SecretString>,
    /// Nothing is configured, and only this machine can ask.
    is_open: bool,
    proxies: Vec<Network>,
    ledger: Arc<dyn AccessLedger>,
    audit: Audit,
    passwords: password::Passwords,
    throttle: throttle::Throttle,
    openid: Option<openid::Provider>,
}

/// By which ways somebody can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// At a provider: `/sign-in/openid`.
    pub openid: bool,
    /// With a name and a password.
    pub password: bool,
}

impl Access {
    /// As the configuration says. `admin` is where the admin listener listens.
    ///
    /// # Errors
    /// A password's hash is none, or the TLS library could not be set up.
    pub fn new(
        config: &Config,
        admin: SocketAddr,
        ledger: Arc<dyn AccessLedger>,
    ) -> Result<Access, String> {
        let access = config.access.clone();
        let token = config.http.admin_token.clone();
        let openid = match access.openid.clone().zip(access.url.as_ref()) {
            None => None,
            Some((openid, url)) => {
                let http = Arc::new(ProviderClient::new(&config.outbound)?);
                Some(openid::Provider::new(openid, url, http))
            }
        };
        Ok(Access {
            is_open: token.is_none() && !access.names_anybody() && admin.ip().is_loopback(),
            token,
            proxies: config.http.trusted_proxies.clone(),
            audit: Audit::new(Arc::clone(&ledger)),
            passwords: password::Passwords::new(&access.users)?,
            throttle: throttle::Throttle::default(),
            openid,
            config: access,
            ledger,
        })
    }

    /// By which ways somebody can sign in here.
    #[must_use]
    pub fn ways(&self) -> Ways {
        Ways {
            openid: self.openid.is_some(),
            password: !self.config.users.is_empty(),
        }
    }

    /// Where what was done is written down.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Who signs in and who has.
    #[must_use]
    pub fn ledger(&self) -> &dyn AccessLedger {
        &*self.ledger
    }

    /// The configured users: name and role.
    pub fn users(&self) -> impl Iterator<Item = (&str, Role)> {
        let users = self.config.users.iter();
        users.map(|user| (user.name.as_str(), user.role))
    }
}

/// Makes a link that signs in once, as admin, within [`LINK_LASTS`]. `console` is the address by which
/// browsers reach the admin listener.
///
/// # Errors
/// The ledger failed.
pub async fn link(ledger: &dyn AccessLedger, console: &str) -> crate::ledger::Result<String> {
    let token = secret();
    let now = Timestamp::now();
    let until = now.saturating_add(LINK_LASTS).unwrap_or(now);
    ledger.put_link(&digest(&token), now, until).await?;
    let console = console.trim_end_matches('/');
    Ok(format!("{console}/sign-in/link?token={token}"))
}

/// 256 random bits as 43 characters that need no quoting anywhere.
fn secret() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What the ledger has of a secret. It has 256 random bits, so that a digest without salt tells nothing.
fn digest(secret: &str) -> Digest {
    Sha256::digest(secret.as_bytes()).into()
}
