//! The connector and its simulator, each against what is documented, and against each other.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod after_end;
mod answers;
mod bodies;
mod common;
mod contacts;
mod deleted;
mod drafts;
mod foreign;
mod marks;
mod odata;
mod others;
mod polls;
mod prove;
mod refused;
mod reopened;
mod reply_states;
mod reported;
mod returned;
mod schema;
mod settings;
mod shared;
mod site;
mod webhooks;
mod whole;
