//! The language that handoffd's engine and its connectors speak.
//!
//! A **connector** is a CRM (or WhatsApp) written as pure functions: given the work and what is
//! already known to be true on the other side, it names the calls that would bring the other side
//! closer; given a reply, it says what that reply proves. It owns no socket, clock, randomness,
//! secret or database row. The **engine**, in the daemon, owns all of those and decides nothing.
//!
//! ```text
//! events ─► Work ─┐                          ┌─► Verdict ─► facts
//!                 ├─► Connector::next ─► Step ─► (engine) ─► Reply ─► Connector::read
//! facts ─► Known ─┘
//! Connector::feed ─► Feed ─► (engine) ─► Frame ─► Connector::hear ─► events
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`event`] | what happened: the events that come in and that connectors cause |
//! | [`content`] | what a message can be beside text, files and a place |
//! | [`work`] | what a lane has to show: a session and its events since the last one shown |
//! | [`controller`] | who is in charge of a conversation |
//! | [`state`] | what is told of a conversation's state |
//! | [`notice`] | what the customer is told of the conversation itself, and how they rate it |
//! | [`outgoing`] | what goes out beside replies |
//! | [`known`] | facts: absent, unsure, or a value |
//! | [`step`] | a call, what it claims to establish and whether it may be repeated; and its reply |
//! | [`lane`] | what a plan and its answers do to the facts: the one transition |
//! | [`verdict`] | what a reply proves, and every reason why something can stop |
//! | [`desk`] | what happens at a CRM's desk beside assignments and replies |
//! | [`feed`] | where a rep's side is heard, and what was heard |
//! | [`availability`] | whether reps are there, as far as a CRM tells |
//! | [`schema`] | what a CRM's records can hold |
//! | [`rehearsal`] | the calls that some work would take, planned without one |
//! | [`trial`] | a record that is made to hear the CRM's answer, and removed again |
//! | [`connector`] | the trait, and the data that describes a target to the engine |
//! | [`marker`] | what of a rep's writing is a reply to the customer |
//! | [`settings`] | how settings are read, and how what is wrong is told without values |
//! | [`ids`] | ids that we choose, derived so that a repeat is the same request |
//! | [`phone`] | whether a number that somebody typed is the customer's |
//! | [`quote`] | strangers' words among our own |
//! | [`lines`] | a message's content as lines that people read |
//! | [`text`] | splitting, escaping and transcript lines that every connector shares |
//! | [`sandbox`] | the other side: a simulator of an API (feature `sandbox`) |
//! | [`proof`] | plays a connector against its simulator and enumerates mishaps (feature `proof`) |

pub mod availability;
pub mod connector;
pub mod content;
pub mod controller;
pub mod desk;
pub mod event;
pub mod feed;
pub mod ids;
pub mod known;
pub mod lane;
pub mod lines;
pub mod marker;
pub mod notice;
pub mod outgoing;
pub mod phone;
#[cfg(feature = "proof")]
pub mod proof;
pub mod quote;
pub mod rehearsal;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod schema;
pub mod settings;
pub mod state;
pub mod step;
pub mod text;
pub mod trial;
pub mod verdict;
pub mod work;

pub use availability::Availability;
pub use connector::{
    Budget, Check, Connector, Credential, Exchange, Finding, MediaLookup, Problem, Secret, Waiting,
    WebhookAuth,
};
pub use controller::Controller;
pub use event::{
    Attachment, Author, AuthorKind, Contact, Data, Event, Handoff, Location, Message, Source,
};
pub use feed::{Feed, Frame, FrameContent, Inbound, InboundKind, Subject};
pub use known::{Fact, Known, Settled};
pub use schema::{Schema, SchemaRead};
pub use step::{
    Auth, Body, Call, Claim, Content, HttpCall, HttpReply, JsonWithFile, MediaProblem, MediaRef,
    Method, Part, Publication, Publish, Record, Repeat, Reply, Spend, Step,
};
pub use trial::{Complaint, Trial, Tried};
pub use verdict::{Effect, Learned, Reason, Refusal, Stop, Verdict};
pub use work::{Item, LostField, Rendered, Work};
