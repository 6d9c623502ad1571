//! handoffd: when an AI assistant hands a WhatsApp conversation to people, handoffd puts it where
//! the reps already work (Salesforce, HubSpot, Creatio), keeps it up to date, and carries every
//! rep's reply back to the customer's WhatsApp.
//!
//! # The cast
//!
//! A **session** is one WhatsApp conversation: a customer and a business number. An **event** is what
//! happened in it, immutable, with its producer's unique id. A **target** is one configured
//! connector. A **lane** is session × target: its queue of work, and the unit of order, leasing,
//! retry and parking. A **fact** is what is known to be true in the target: absent, unsure, or a
//! value. A **step** is a call that tries to establish facts; a **verdict** is what its reply proves;
//! an **attempt** is the record of it. A **feed** is where a rep's side is heard. A lane that needs a
//! person is **parked**, with a reason in the CRM's own words.
//!
//! # The life of a handoff
//!
//! ```text
//! gateway ──AMQP──► intake ──► ledger ──► engine: claim a due lane ─► connector.next ─► wire ─► CRM
//!          (HTTP)      ack after commit      ▲                        connector.read ◄──┘
//!                                            └── facts, attempts, next due time
//! CRM ──SSE/webhook/poll──► relay ─► connector.hear ─► ledger (an event for the session's
//!                                    WhatsApp lane) ─► engine ─► WhatsApp
//! ```
//!
//! **Connectors decide, the engine acts.** A connector is pure: no socket, clock, randomness, secret
//! or row. The engine owns all of those and decides nothing. WhatsApp is one more connector: the way
//! back is the same engine pointed the other way.
//!
//! # The house
//!
//! | where | what | knows alone |
//! | --- | --- | --- |
//! | `connectors/contract` | the language that both sides speak; the proof suite | |
//! | `connectors/*` | one crate per target, and its simulator | its API |
//! | [`intake`] | events come in, by RabbitMQ and HTTP, as CloudEvents or in a gateway's own words | `intake::amqp`: lapin |
//! | [`conversation`] | who is in charge of a conversation, and what follows | |
//! | [`ledger`] | what is remembered: SQLite or PostgreSQL | SQL |
//! | [`engine`] | lanes: claimed, planned, called, left | |
//! | [`relay`] | streams, polls and webhooks become events | |
//! | [`wire`] | the way out: HTTP, credentials, attachments, rates, circuits | reqwest |
//! | [`target`], [`open_feeds`] | what engine and relay know together | |
//! | [`mapping`] | which CRM field gets which value; what a gateway's words mean | minijinja (with `console`) |
//! | [`crm_schema`] | what CRMs' records can hold, read and kept | |
//! | [`editor`] | mappings edited: drafts, previews, comparisons, dry runs, versions | |
//! | [`schema`] | the published JSON Schemas and AsyncAPI document | |
//! | [`publisher`] | messages to exchanges: replies, and what others are told | lapin |
//! | [`connectors`] | the table of kinds | the connectors' names |
//! | [`backoff`], [`metrics`] | waits between attempts; the metrics' names | the crate backoff |
//! | [`serving`], [`seldom`] | HTTP comes in, within bounds; warnings that strangers can cause | hyper |
//! | [`availability`] | whether reps are there, for a gateway that asks | |
//! | [`notifications`] | people are told what is not well: webhook, chat, e-mail | lettre |
//! | [`access`] | who asks, and what they may | argon2, openidconnect |
//! | [`console`] | pages for operators and admins | |
//! | [`config`], [`app`], [`admin`], [`operate`] | configured, put together, looked at | |
//! | [`cli`], [`log`], [`stdout`] | the commands, and what they print | |
//! | `sandbox`, `demo` | the simulators over HTTP; the whole loop on a laptop (feature `simulators`) | |
//!
//! # Invariants
//!
//! 1. An event that was acknowledged to the gateway is in the ledger.
//! 2. One handoff makes one record in each target, whatever is redelivered, retried, or killed.
//! 3. Inside a session, each target sees events in order.
//! 4. A rep's reply reaches the right customer once, or the rep is told why not. An internal note
//!    never reaches a customer. Our own messages are never echoed back.
//! 5. No free text leaves outside WhatsApp's 24-hour window.
//! 6. No bad event, field, file or CRM answer stops any other session. A permanent error costs one
//!    request, then a parked lane.
//! 7. Everything that could not be done has a row that says why, and a way to retry it.
//! 8. Secrets and message texts do not appear in logs, metrics or error pages.
//! 9. A repeat that could duplicate (no client id, no unique key) is preceded by a look; what remains
//!    uncertain is stated in the connector's README.
//! 10. Memory is bounded by configuration, not by backlog, transcript length or attachment size, nor
//!     by what strangers send.
//! 11. A conversation has exactly one controller. What is not a rep's business opens nothing in a CRM;
//!     a handoff always becomes work that a rep sees.
//! 12. A customer is one contact in each CRM, and nobody is put on a contact that may be somebody else.
//! 13. What became of a rep's reply stands on the rep's record; what waits or failed is told there.

pub mod access;
pub mod admin;
pub mod app;
pub mod availability;
pub mod backoff;
pub mod cli;
pub mod config;
pub mod connectors;
pub mod console;
pub mod conversation;
pub mod crm_schema;
#[cfg(feature = "simulators")]
pub mod demo;
pub mod editor;
pub mod engine;
pub mod intake;
pub mod ledger;
pub mod log;
pub mod mapping;
pub mod metrics;
pub mod notifications;
pub mod open_feeds;
pub mod operate;
pub mod publisher;
pub mod relay;
#[cfg(feature = "simulators")]
pub mod sandbox;
pub mod schema;
pub mod seldom;
pub mod serving;
pub mod stdout;
pub mod target;
pub mod wire;
