//! Passwords: hashed for the configuration, and verified when somebody signs in.
//!
//! A hash costs tens of milliseconds and megabytes on purpose. So it is made on a thread of its own, two at a
//! time, and a few may wait.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::digest;
use crate::config::UserConfig;

/// At a time.
const AT_ONCE: usize = 2;

/// So many may wait for it; then others are sent away.
const WAITING: usize = 16;

/// The longest password, in bytes.
pub const LONGEST: usize = 1_024;

/// The hash of a password as a PHC string, with argon2id and its usual costs.
///
/// # Errors
/// The password is longer than [`LONGEST`], or there are no random numbers.
pub fn hash(password: &str) -> Result<String, String> {
    if password.len() > LONGEST {
        return Err(format!("a password has at most {LONGEST} bytes"));
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| error.to_string())
}

/// The passwords of the configured users.
pub(super) struct Passwords {
    users: Vec<(String, Arc<PasswordHash>)>,
    /// What is verified where there is no user of the name, so that it takes as long.
    nobody: Arc<PasswordHash>,
    room: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

/// Too many passwords are being verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

impl Passwords {
    pub fn new(users: &[UserConfig]) -> Result<Passwords, String> {
        let read = |user: &UserConfig| {
            let hash = PasswordHash::new(user.password.expose_secret());
            let hash = hash.map_err(|_| {
                format!(
                    "access.user: the password of user {} is not an argon2id hash",
                    user.name
                )
            })?;
            Ok((user.name.clone(), Arc::new(hash)))
        };
        let users: Vec<(String, Arc<PasswordHash>)> =
            users.iter().map(read).collect::<Result<_, String>>()?;
        let nobody = match users.first() {
            // The same costs as a user's.
            Some((_, hash)) => Arc::clone(hash),
            None => {
                let hash = hash("nobody")?;
                Arc::new(PasswordHash::new(&hash).map_err(|error| error.to_string())?)
            }
        };
        Ok(Passwords {
            users,
            nobody,
            room: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
        })
    }

    /// Whether this is the password of the user with this name.
    pub async fn verify(&self, name: &str, password: SecretString) -> Result<bool, Busy> {
        let Ok(_place) = self.queue.try_acquire() else {
            return Err(Busy);
        };
        let found = self.users.iter().find(|(user, _)| user == name);
        let (hash, is_user) = match found {
            Some((_, hash)) => (Arc::clone(hash), true),
            None => (Arc::clone(&self.nobody), false),
        };
        let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else {
            return Err(Busy);
        };
        let verify = move || {
            let password = password.expose_secret().as_bytes();
            // The permit goes with the work, also when nobody waits for it any more.
            let _permit = permit;
            password.len() <= LONGEST && Argon2::default().verify_password(password, &*hash).is_ok()
        };
        let matches = tokio::task::spawn_blocking(verify).await.unwrap_or(false);
        Ok(matches && is_user)
    }
}

/// What a sign-in with a password rests on: another hash ends it.
pub(super) fn basis(user: &UserConfig) -> String {
    let digest = digest(user.password.expose_secret());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;

    #[tokio::test]
    async fn the_right_password_of_the_right_user_is_taken() {
        let user = |name: &str, password: &str| UserConfig {
            name: name.into(),
            role: Role::Viewer,
            unmask: false,
            password: hash(password).unwrap().into(),
        };
        let users = [user("ana", "correct horse"), user("bob", "battery")];
        let passwords = Passwords::new(&users).unwrap();
        for (name, password, fits) in [
            ("ana", "correct horse", true),
            ("bob", "battery", true),
            ("ana", "battery", false),
            ("eve", "correct horse", false),
            ("", "", false),
        ] {
            let verified = passwords.verify(name, password.into()).await;
            assert_eq!(verified, Ok(fits), "{name}");
        }
        assert_ne!(basis(&users[0]), basis(&users[1]));
        assert!(hash(&"x".repeat(LONGEST + 1)).is_err());
    }
}
