//! Tries to sign in, by name and by address. A try counts before it is judged, so that many at once are
//! many; one that succeeds is forgotten again.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::serving::owner;

/// Names, and addresses, that are remembered at a time.
const MOST: usize = 4_096;

/// What was not tried for so long begins anew.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// How many tries are free, and how long the wait grows at most.
struct Rule {
    free: u32,
    longest: Duration,
}

/// Whoever knows a name can make its owner wait, so they wait little.
const BY_NAME: Rule = Rule {
    free: 10,
    longest: Duration::from_secs(60),
};
const BY_ADDRESS: Rule = Rule {
    free: 10,
    longest: Duration::from_secs(15 * 60),
};

/// Who tried, and how often.
#[derive(Default)]
pub(super) struct Throttle {
    tries: Mutex<Tries>,
}

#[derive(Default)]
struct Tries {
    names: HashMap<String, Count>,
    addresses: HashMap<IpAddr, Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    tries: u32,
    last: Instant,
    free_at: Instant,
}

impl Count {
    /// Whether nothing was tried for long after it could have been.
    fn is_forgotten(&self, now: Instant) -> bool {
        let since = self.last.max(self.free_at);
        now.saturating_duration_since(since) >= FORGOTTEN
    }
}

impl Throttle {
    /// Counts a try of this name from this address.
    ///
    /// # Errors
    /// How long to wait before the next one; this one does not count.
    pub fn attempt(&self, name: &str, from: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let name = key(name);
        let from = from.map(owner);
        let by_name = wait(&tries.names, &name, now);
        let by_address = from.and_then(|from| wait(&tries.addresses, &from, now));
        if let Some(wait) = by_name.max(by_address) {
            return Err(wait);
        }
        count(&mut tries.names, name, &BY_NAME, now);
        if let Some(from) = from {
            count(&mut tries.addresses, from, &BY_ADDRESS, now);
        }
        Ok(())
    }

    /// Forgets the tries of this name, and one of this address: it was them.
    pub fn succeeded(&self, name: &str, from: Option<IpAddr>) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.names.remove(&key(name));
        if let Some(count) = from.and_then(|from| tries.addresses.get_mut(&owner(from))) {
            count.tries = count.tries.saturating_sub(1);
        }
    }
}

/// A name as it is counted: spelled alike, and bounded.
fn key(name: &str) -> String {
    name.trim().to_lowercase().chars().take(80).collect()
}

fn wait<K: Hash + Eq>(counts: &HashMap<K, Count>, key: &K, now: Instant) -> Option<Duration> {
    let count = counts.get(key)?;
    let left = count.free_at.saturating_duration_since(now);
    (!left.is_zero()).then_some(left)
}

fn count<K: Hash + Eq + Clone>(counts: &mut HashMap<K, Count>, key: K, rule: &Rule, now: Instant) {
    if counts.len() >= MOST && !counts.contains_key(&key) {
        counts.retain(|_, count| !count.is_forgotten(now));
        // Where all are new, the one that has the least to wait for goes.
        if counts.len() >= MOST {
            let least = counts.iter().min_by_key(|(_, count)| count.free_at);
            if let Some(least) = least.map(|(key, _)| key.clone()) {
                counts.remove(&least);
            }
        }
    }
    let known = counts.entry(key).or_insert(Count {
        tries: 0,
        last: now,
        free_at: now,
    });
    if known.is_forgotten(now) {
        known.tries = 0;
    }
    known.tries = known.tries.saturating_add(1);
    known.last = now;
    if known.tries >= rule.free {
        let doubled = 1_u64 << (known.tries - rule.free).min(20);
        known.free_at = now + Duration::from_secs(doubled).min(rule.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn ten_tries_are_free_and_then_each_waits_longer() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        for _ in 0..10 {
            assert_eq!(throttle.attempt("ana", at("192.0.2.1"), now), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = throttle.attempt("ANA ", at("192.0.2.1"), now).unwrap_err();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(throttle.attempt("ana", at("192.0.2.1"), now), Ok(()));
        }
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits[11], 900, "the address has the longer wait");
    }

    #[test]
    fn another_name_from_the_same_address_waits_and_from_another_does_not() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..10 {
            let name = format!("name-{n}");
            assert_eq!(throttle.attempt(&name, at("192.0.2.1"), now), Ok(()));
        }
        assert!(throttle.attempt("bob", at("192.0.2.1"), now).is_err());
        assert_eq!(throttle.attempt("bob", at("192.0.2.2"), now), Ok(()));
    }

    #[test]
    fn who_signed_in_begins_anew() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..50 {
            assert_eq!(throttle.attempt("ana", at("192.0.2.1"), now), Ok(()));
            throttle.succeeded("ana", at("192.0.2.1"));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_a_flood_frees_nobody_who_waits() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..15 {
            let _ = throttle.attempt("ana", None, now);
        }
        for n in 0..2 * MOST {
            let _ = throttle.attempt(&format!("name-{n}"), None, now);
        }
        assert!(throttle.tries.lock().unwrap().names.len() <= MOST);
        assert!(throttle.attempt("ana", None, now).is_err());
    }
}
