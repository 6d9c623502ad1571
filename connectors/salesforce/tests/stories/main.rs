//! Stories that end well although something is in the way.
#![cfg(feature = "sandbox")]

#[path = "../common/mod.rs"]
mod common;
mod content;
mod endings;
