//! The connectors of the targets, made of their settings.

use std::sync::Arc;

use handoffd_contract::Connector;
use serde_json::Value;

use super::broker::without_broker;
use crate::config::{Config, Problem, TargetConfig, missing_secrets, problems_at};
use crate::connectors;

/// A connector with its configuration.
pub struct Connected {
    /// The configuration.
    pub config: TargetConfig,
    /// The kind's name.
    pub kind: &'static str,
    /// The connector.
    pub connector: Arc<dyn Connector>,
}

/// Makes the connectors of every enabled target.
///
/// # Errors
/// Everything that is wrong with any target's settings, and every secret that is missing.
pub fn connect(config: &Config) -> Result<Vec<Connected>, Vec<Problem>> {
    let (connected, problems) = connect_all(config, false);
    if problems.is_empty() {
        Ok(connected)
    } else {
        Err(problems)
    }
}

/// The connectors that can be made, some only without the keys that have problems, and what is wrong. Whether a broker is
/// missing cannot be said when what was written of it is wrong.
pub(super) fn connect_all(
    config: &Config,
    broker_is_wrong: bool,
) -> (Vec<Connected>, Vec<Problem>) {
    let mut connected = Vec::new();
    let mut problems = Vec::new();
    for (at, target) in config.targets.iter().enumerate() {
        // One without a kind was reported where it was read.
        let Some(kind) = connectors::kind(&target.kind).filter(|_| target.enabled) else {
            continue;
        };
        let path = if target.name.is_empty() {
            format!("target[{at}]")
        } else {
            format!("target.{}", target.name)
        };
        let settings = settings(config, target);
        let (made, sound) = match (kind.connector)(&target.name, &settings) {
            Ok(connector) => (Some(connector), true),
            Err(found) => {
                // A wrong key must not hide a secret that is missing beside it.
                let rest = without(settings, &found);
                problems.extend(problems_at(&path, found));
                ((kind.connector)(&target.name, &rest).ok(), false)
            }
        };
        let Some(connector) = made else {
            continue;
        };
        let connector: Arc<dyn Connector> = Arc::from(connector);
        let webhook = connector.webhook();
        problems.extend(missing_secrets(
            &target.name,
            &config.secrets,
            &connector.credential(),
            webhook.as_ref(),
        ));
        if sound && !broker_is_wrong {
            problems.extend(without_broker(config, target, &*connector));
        }
        connected.push(Connected {
            config: target.clone(),
            kind: kind.name,
            connector,
        });
    }
    (connected, problems)
}

/// The settings without the keys that have problems.
fn without(mut settings: Value, problems: &[handoffd_contract::Problem]) -> Value {
    if let Value::Object(members) = &mut settings {
        for problem in problems {
            let key = problem.path.split(['.', '[']).next().unwrap_or_default();
            members.remove(key);
        }
    }
    settings
}

/// A target's settings; a WhatsApp target that leaves by the gateway publishes to the configured
/// exchange unless it names another. An ending is passed on by who answers the customer to who tells of
/// it, where there are both.
fn settings(config: &Config, target: &TargetConfig) -> Value {
    let mut settings = target.settings.clone();
    let is_back = connectors::is_way_back(&target.kind);
    let is_events = connectors::is_events(&target.kind);
    let mut enabled = config.enabled();
    let has_other = if is_back {
        enabled.any(|other| connectors::is_events(&other.kind))
    } else {
        is_events && enabled.any(|other| connectors::is_way_back(&other.kind))
    };
    if let (true, Value::Object(members)) = (has_other, &mut settings) {
        members.entry("endings").or_insert(true.into());
    }
    if let (Some(amqp), Value::Object(members)) = (&config.intake.amqp, &mut settings)
        && is_back
        && members.get("exit").is_some_and(|exit| exit == "gateway")
    {
        members
            .entry("exchange")
            .or_insert_with(|| amqp.publish_exchange.clone().into());
    }
    settings
}

/// The connector of a target that is disabled, if its settings make one: nothing is asked of it but which
/// events open a record.
pub(super) fn disabled_connector(
    config: &Config,
    target: &TargetConfig,
) -> Option<Box<dyn Connector>> {
    let kind = connectors::kind(&target.kind)?;
    (kind.connector)(&target.name, &settings(config, target)).ok()
}
