//! Stories that end well although something is in the way.
#![cfg(feature = "sandbox")]

mod after_end;
#[path = "../common/mod.rs"]
mod common;
mod content;
mod endings;
mod kinds;
mod limits;
mod marks;
mod others;
mod play;
mod returned;
