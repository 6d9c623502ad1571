//! The console's pages, over the admin API's routes.

use std::sync::Arc;

use axum::Router;
use url::Url;

use crate::access::Access;
use crate::config::Config;
use crate::console::{self, About, Console, Ways};

/// The admin API's routes with the console's pages beside them.
///
/// # Errors
/// A template or the texts are not well formed.
pub(super) fn over(
    config: &Config,
    access: Arc<Access>,
    api: Router,
    playground: bool,
) -> Result<Router, String> {
    let kinds = config.targets.iter();
    let kinds = kinds.map(|target| (target.name.clone(), target.kind.clone()));
    let provider = config.access.openid.as_ref();
    let provider = provider.and_then(|openid| {
        let issuer = Url::parse(&openid.issuer).ok()?;
        Some(issuer.host_str()?.to_owned())
    });
    let ways = access.ways();
    let about = About {
        daemon: config.daemon.name.clone(),
        kinds: kinds.collect(),
        playground,
        ways: Ways {
            password: ways.password,
            openid: provider.filter(|_| ways.openid),
        },
    };
    let console = Arc::new(Console::new(api.clone(), about)?);
    Ok(api.merge(console::routes(console, access)))
}
