//! Whether what is published has somewhere to go.

use handoffd_contract::{Connector, Exchange};

use crate::config::{Config, Problem, TargetConfig};
use crate::connectors;

/// What a target publishes although there is nowhere to publish it: it would wait for ever.
pub(super) fn without_broker(
    config: &Config,
    target: &TargetConfig,
    connector: &dyn Connector,
) -> Vec<Problem> {
    if config.intake.amqp.is_some() {
        return Vec::new();
    }
    let problem = |exchange: Exchange| {
        let (name, setting, remedy) = match &target.beside {
            Some(name) => (name, "notify", "add [intake.amqp], or remove the setting"),
            None if connectors::is_events(&target.kind) => {
                let remedy = "add [intake.amqp], or write a `url` in the place of `exchange`";
                (&target.name, "exchange", remedy)
            }
            None => {
                let remedy = "add [intake.amqp], or write exit = \"cloud_api\"";
                (&target.name, "exit", remedy)
            }
        };
        Problem::with_remedy(
            format!("target.{name}.settings.{setting}"),
            format!(
                "the {} are published to RabbitMQ, which is not configured",
                exchange.what
            ),
            remedy,
        )
    };
    connector.exchanges().into_iter().map(problem).collect()
}
