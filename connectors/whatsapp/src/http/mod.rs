//! The exit to a gateway that is called over HTTP, as its file describes it.
//!
//! Most gateways have no idempotency key, so a send is never repeated while its outcome is unknown: an id
//! that was had before the send, our reference in the address of its statuses, or a look by that id
//! settles it; else a person does.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `description`, `options` | what a gateway's file says, and what is set for it |
//! | `request` | a request, as the file writes it |
//! | `template` | texts and bodies with names in them |
//! | `rules` | places in an answer; the table of errors |
//! | `call` | a message as a request |
//! | `answer` | what an answer proves |

mod answer;
mod call;
mod description;
mod options;
mod request;
mod rules;
mod template;

pub(crate) use answer::{checked, had, looked, read};
pub(crate) use call::{HttpMemo, LOOK, NEW_ID, SEND, check, file, look, new_id, send};
pub(crate) use description::{Gateway, gateway};
