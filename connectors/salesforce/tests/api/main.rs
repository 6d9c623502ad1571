//! The simulator as any client sees it, and what the connector hears from it.
#![cfg(feature = "sandbox")]

mod desk;
mod lifecycle;
mod scene;
mod stream;
mod strict;
