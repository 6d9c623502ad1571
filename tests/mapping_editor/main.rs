//! Mappings edited over the API of a running daemon, between the simulators.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../alone/mod.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod alone;
mod desk;
mod published;
mod seen;
mod tried;
