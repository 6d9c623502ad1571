//! `notify` of a target that answers customers: it stands for a target of its own by which the platform is
//! told, so that no reply waits for what cannot be told. The setting is older than such targets.

use std::cell::RefCell;

use handoffd_contract::Problem;
use handoffd_contract::settings::Table;
use serde_json::{Value, json};

use super::types::TargetConfig;
use crate::connectors::{self, EVENTS};

/// What the name of such a target ends in.
const ENDING: &str = "-notify";

/// The target that `notify` stands for. The setting is taken out of the target's own.
pub(super) fn translated(
    target: &mut TargetConfig,
    problems: &RefCell<Vec<Problem>>,
) -> Option<TargetConfig> {
    if !connectors::is_way_back(&target.kind) {
        return None;
    }
    let Value::Object(members) = &mut target.settings else {
        return None;
    };
    let path = format!("target.{}.settings", target.name);
    let handback = members.remove("handback");
    let handback = json!({ "handback": handback });
    let handback = Table::new(path.as_str(), &handback, problems)
        .is_some_and(|mut table| table.flag("handback", false));
    let notify = members.remove("notify").filter(|value| !value.is_null())?;
    let mut table = Table::new(format!("{path}.notify"), &notify, problems)?;
    table.missing(
        "exchange",
        "name the exchange for session events (\"\" is RabbitMQ's default one)",
    );
    let exchange = table.maybe_empty("exchange");
    let prefix = table.maybe_empty("prefix").unwrap_or_default();
    if prefix.len() > 200 {
        table.problem(
            "prefix",
            "is longer than 200 characters; a routing key may have 255",
        );
    }
    let told = [
        ("reply.status", table.flag("reply_status", true)),
        ("session.state", table.flag("state", true)),
        ("session.unattended", table.flag("unattended", true)),
    ];
    table.finish();
    let is_told = |kind: &&str| told.iter().all(|(name, on)| name != kind || *on);
    let mut types: Vec<&str> = connectors::usual_events().filter(is_told).collect();
    types.extend(handback.then_some("session.handback"));
    let mut settings = json!({"exchange": exchange?, "prefix": prefix, "types": types});
    if let Some(source) = members.get("source") {
        settings["source"] = source.clone();
    }
    Some(TargetConfig {
        name: format!("{}{ENDING}", target.name),
        kind: EVENTS.name.to_owned(),
        settings,
        mapping: None,
        beside: Some(target.name.clone()),
        ..target.clone()
    })
}
