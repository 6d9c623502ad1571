//! Who may ask what of a daemon, and what is written down of it: against one that runs, over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../alone/mod.rs"]
#[expect(dead_code, reason = "its other parts are used by other tests")]
mod alone;
mod audit;
mod foreign;
mod openapi;
mod openid;
mod proxy;
mod roles;
mod sign_in;
mod tokens;
mod world;
