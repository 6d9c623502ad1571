//! The connector against its simulator, and the simulator against the documentation.
//!
//! | module | what it shows |
//! | --- | --- |
//! | `stories` | whole stories with up to two mishaps at every call |
//! | `relay`, `files` | what leaves, in which form and to whom |
//! | `window` | the 24-hour window |
//! | `failures` | failures and limits |
//! | `waiting` | what reps are told of replies whose lane is stopped |
//! | `unconfirmed` | what reps are told of replies of which WhatsApp says nothing |
//! | `activity` | what reps do that is no message, as the customer sees it |
//! | `notices` | what the customer is told of the conversation itself |
//! | `verdicts`, `webhooks`, `settings` | a table each |
//! | `gateways` | stories before gateways' own APIs, with every mishap |
//! | `exits` | what leaves by those, in which form and to whom, and what answers mean |
//! | `simulator`, `phones` | the simulator by itself |
//! | `world`, `cast` | the engine in its smallest form, which the others play in; settings, replies, files |

mod activity;
mod cast;
mod changed;
mod clients;
mod exits;
mod failures;
mod files;
mod gateways;
mod notices;
mod phones;
mod relay;
mod settings;
mod simulator;
mod stories;
mod unconfirmed;
mod verdicts;
mod waiting;
mod webhooks;
mod window;
mod world;
