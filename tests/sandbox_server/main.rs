//! The simulators' server, with a small simulator behind it: faults, streams, webhooks, control API.

mod control;
mod fake;
mod faults;
mod http2;

mod requests;
mod streams;
mod webhooks;
