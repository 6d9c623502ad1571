//! The simulators' server, with a small simulator behind it: faults, streams, webhooks, control API.

mod control;
mod fake;
mod faults;
mod requests;
mod streams;
mod webhooks;
