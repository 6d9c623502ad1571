//! The connector against its simulator.
//!
//! | module | what it shows |
//! | --- | --- |
//! | `stories` | whole stories with up to two mishaps at every call |
//! | `relay` | window, templates, files, failures, limits, the gateway's messages |
//! | `edges` | tables: settings, webhooks, checks, verdicts |
//! | `simulator` | the simulator against the documentation |
//! | `world` | the engine in its smallest form, which the others play in |

mod edges;
mod relay;
mod simulator;
mod stories;
mod world;
