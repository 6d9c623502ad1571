//! What strangers send: everything that parses it, and the whole daemon in front of it.
//!
//! The property tests make the same cases at every run. `HANDOFFD_HOSTILE=<n>` makes n times as many, others
//! at every run. A case that takes longer than [`cases::SLOW`] fails like a panic does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cases;
mod events;
mod fetching;
mod hearing;
mod injection;
mod judges;
mod leaks;
mod mappings;
mod mutated;
mod played;
mod replies;
mod sources;
mod streams;
mod texts;
mod webhooks;
#[expect(dead_code, reason = "these tests need a part of it")]
#[path = "../daemon/world.rs"]
mod world;
