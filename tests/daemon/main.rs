//! The whole daemon: a real process, a real RabbitMQ, real HTTP to the simulators.

mod conversation;
mod kill;
mod operating;
mod replies;
mod window;
mod world;
