//! The pages and their forms. A page is one read of the admin API; a button is one call of it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `overview` | what needs a person, the targets, the flow |
//! | `problems` | what is not well as rows: what, why, and the way out |
//! | `small` | sign-in, keys, the navigation as a page, the theme |

mod overview;
mod problems;
mod small;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Console;

/// Every page's address.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/", get(overview::show))
        .route("/keys", get(small::keys))
        .route("/nav", get(small::navigation))
        .route("/sign-in", get(small::sign_in))
        .route("/theme", post(small::theme))
}
