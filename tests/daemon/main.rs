//! The whole daemon: a real process, a real RabbitMQ, real HTTP to the simulators.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conversation;
mod kill;
mod operating;
mod replies;
mod waiting;
mod window;
mod world;
