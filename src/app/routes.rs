//! Which targets events are for, as the configuration says: those that are worked on, and those that
//! are disabled.

use std::sync::Arc;

use handoffd_contract::Connector;

use super::connect::{Connected, disabled_connector};
use crate::config::Config;
use crate::intake::{Route, Router};

/// The router over every configured target, in the configuration's order.
#[must_use]
pub fn router(config: &Config, connected: &[Connected]) -> Router {
    let routes = config.targets.iter().map(|target| {
        let made = connected.iter().find(|one| one.config.name == target.name);
        let connector = match made {
            Some(one) => Some(Arc::clone(&one.connector)),
            None => disabled_connector(config, target).map(Arc::<dyn Connector>::from),
        };
        Route {
            name: target.name.clone(),
            kind: target.kind.clone(),
            numbers: target.numbers.clone(),
            connector,
            disabled: (!target.enabled).then_some(target.when_disabled),
            beside: target.beside.clone(),
        }
    });
    Router::new(routes.collect())
}
