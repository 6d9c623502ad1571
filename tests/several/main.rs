//! Several daemons as real processes on one PostgreSQL database and one RabbitMQ queue; and how a
//! daemon starts, tells its supervisor, and stops.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod database;
mod fleet;
mod rates;
mod restart;
mod service;
mod takeover;
mod together;
