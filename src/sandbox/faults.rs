//! Fault rules: what goes wrong, where, how often; and how often it really did.
//!
//! A rule is looked at whenever something happens at its place: a request, a frame of an event
//! stream, a webhook delivery. Every rule that matches counts the occasion; the oldest rule that is
//! due strikes, alone. With a `rate`, whether a rule is due at its n-th occasion follows from the
//! rule, its `seed` and n only: the same sequence of occasions meets the same faults.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::rules::{Fault, Occasion, Rule};

/// The most rules at a time.
const MAX_RULES: usize = 1_000;

/// The rules in force and the counters.
#[derive(Default)]
pub(super) struct Faults(Mutex<Book>);

#[derive(Default)]
struct Book {
    last: u64,
    rules: Vec<Active>,
    happened: BTreeMap<String, BTreeMap<&'static str, u64>>,
}

struct Active {
    id: u64,
    rule: Rule,
    /// What `rate` draws from: the rule itself, so that its number does not matter.
    salt: u64,
    seen: u64,
    struck: u64,
}

impl Faults {
    /// Puts a rule in force; its number.
    pub(super) fn add(&self, rule: Rule) -> Result<u64, String> {
        let mut book = self.book();
        if book.rules.len() >= MAX_RULES {
            return Err(format!(
                "there are {MAX_RULES} rules already; DELETE /faults first"
            ));
        }
        book.last += 1;
        let id = book.last;
        let salt = salt(&rule);
        book.rules.push(Active {
            id,
            rule,
            salt,
            seen: 0,
            struck: 0,
        });
        Ok(id)
    }

    /// Lifts every rule, of one target or of all. The counters stay.
    pub(super) fn clear(&self, target: Option<&str>) {
        self.book()
            .rules
            .retain(|active| target.is_some_and(|target| active.rule.target != target));
    }

    /// The fault that strikes at this occasion.
    pub(super) fn strike(&self, occasion: &Occasion<'_>) -> Option<Fault> {
        let mut struck = None;
        for active in &mut self.book().rules {
            let rule = &active.rule;
            let concerns = rule.fault.place() == occasion.place
                && (rule.target == "*" || rule.target == occasion.target)
                && rule
                    .filter
                    .admits(occasion.method, occasion.path, occasion.body);
            if !concerns {
                continue;
            }
            active.seen += 1;
            if struck.is_none() && active.due() {
                active.struck += 1;
                struck = Some(active.rule.fault.clone());
            }
        }
        struck
    }

    /// Counts a fault that really happened.
    pub(super) fn happened(&self, target: &str, kind: &'static str) {
        *self
            .book()
            .happened
            .entry(target.to_owned())
            .or_default()
            .entry(kind)
            .or_default() += 1;
    }

    /// The rules, with how often each matched and struck, and how often each fault happened.
    pub(super) fn report(&self) -> Value {
        let book = self.book();
        let rules: Vec<Value> = book
            .rules
            .iter()
            .map(|a| json!({"id": a.id, "rule": a.rule, "seen": a.seen, "struck": a.struck}))
            .collect();
        json!({"rules": rules, "happened": book.happened})
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn due(&self) -> bool {
        self.seen > self.rule.skip
            && self.rule.times.is_none_or(|times| self.struck < times)
            && self
                .rule
                .rate
                .is_none_or(|rate| draw(self.salt ^ self.rule.seed, self.seen) < rate)
    }
}

fn salt(rule: &Rule) -> u64 {
    let place = json!([rule.target, rule.filter, rule.fault]).to_string();
    Sha256::digest(place.as_bytes())
        .iter()
        .take(8)
        .fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// A number in [0, 1) that follows from the seed and n: SplitMix64
/// (<https://dl.acm.org/doi/10.1145/2714064.2660195>).
fn draw(seed: u64, n: u64) -> f64 {
    let mut z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (((z ^ (z >> 31)) >> 11) as f64) / ((1_u64 << 53) as f64)
}
