//! The console: its pages over plain HTTP, and in a real browser.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and says what the daemon wrote"
)]

mod browser;
mod contrast;
mod keyboard;
mod mappings;
mod people;
mod pictures;
mod plain;
mod playground;
mod texts;
mod world;
