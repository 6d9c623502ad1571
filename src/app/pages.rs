//! The console's pages, over the admin API's routes.

use std::sync::Arc;

use axum::{Router, middleware};

use crate::admin::{self, Admin};
use crate::config::Config;
use crate::console::{self, About, Console, Ways};

/// The admin API's routes with the console's pages beside them.
///
/// # Errors
/// A template or the texts are not well formed.
pub(super) fn over(config: &Config, admin: Arc<Admin>, api: Router) -> Result<Router, String> {
    let kinds = config.targets.iter();
    let kinds = kinds.map(|target| (target.name.clone(), target.kind.clone()));
    let about = About {
        daemon: config.daemon.name.clone(),
        kinds: kinds.collect(),
        playground: false,
        ways: Ways::default(),
    };
    let console = Console::new(api.clone(), about)?;
    let pages = console::routes(Arc::new(console));
    Ok(api.merge(pages.layer(middleware::from_fn_with_state(admin, admin::know))))
}
