//! The pages and their forms. A page is one read of the admin API; a button is one call of it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `acts` | retry and skip by form: what it would do, then that it is done |
//! | `audit` | the audit log |
//! | `conversation` | one conversation: its timeline, and what to do next |
//! | `conversations` | conversations, found and listed |
//! | `dialects` | the words of gateways: a pasted payload judged, drafts |
//! | `field_rows` | a mapping's fields as rows, and the one that is open |
//! | `letter` | one dead letter: seen, changed, judged, dropped |
//! | `lines` | a JSON body as lines, with the one that is wrong |
//! | `mappings`, `mapping_acts` | mappings: seen, edited, published; their versions |
//! | `overview` | what needs a person, the targets, the flow |
//! | `parked` | parked work: groups, dead letters, webhooks |
//! | `people` | users and tokens |
//! | `playground` | a phone and three records beside each other |
//! | `problems` | what is not well as rows: what, why, and the way out |
//! | `reasons` | what each reason means |
//! | `small` | sign-in, keys, the navigation as a page, the theme |
//! | `tap` | what happens now |
//! | `target` | one target |

mod acts;
mod audit;
mod conversation;
mod conversations;
mod dialects;
mod field_rows;
mod letter;
mod lines;
mod mapping_acts;
mod mappings;
mod overview;
mod parked;
mod people;
mod playground;
mod problems;
mod reasons;
mod small;
mod tap;
mod target;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Console;

/// Every page's address, of those for whom somebody must be known.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/", get(overview::show))
        .route("/conversations", get(conversations::show))
        .route("/conversations/{key}", get(conversation::show))
        .route("/conversations/{key}/unmask", post(conversation::unmask))
        .route("/search", post(conversations::search))
        .route("/tap", get(tap::show))
        .route("/parked", get(parked::show))
        .route("/parked/ask", post(acts::ask))
        .route("/parked/do", post(acts::act))
        .route("/parked/{reason}/{target}", get(parked::group))
        .route("/dead-letters/{id}", get(letter::show).post(letter::act))
        .route("/reasons/{label}", get(reasons::show))
        .route("/targets/{name}", get(target::show))
        .route("/mappings", get(mappings::list))
        .route(
            "/mappings/{target}",
            get(mappings::show).post(mapping_acts::act),
        )
        .route("/mappings/{target}/versions", get(mappings::versions))
        .route("/dialects", get(dialects::list))
        .route("/dialects/{name}", get(dialects::show).post(dialects::act))
        .route("/audit", get(audit::show))
        .route("/access", get(people::show))
        .route("/access/tokens", post(people::make))
        .route("/access/tokens/{id}", post(people::revoke))
        .route("/playground", get(playground::show).post(playground::act))
        .route("/keys", get(small::keys))
        .route("/nav", get(small::navigation))
}

/// Pages that need nobody to be signed in.
pub(super) fn open_routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/sign-in", get(small::sign_in))
        .route("/theme", post(small::theme))
}
