//! The whole daemon: a real process, a real RabbitMQ, real HTTP to the simulators.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod after_end;
mod cases;
mod conversation;
mod dialects;
mod disabled;
mod endpoint;
mod exits;
mod gateways;
mod kept_files;
mod kill;
mod kinds;
mod lost_fields;
mod merged;
mod notices;
mod operating;
mod replies;
mod salesforce_sessions;
mod silent_broker;
mod states;
mod status;
mod streams;
mod terms;
mod timeline;
mod waiting;
mod window;
mod world;
