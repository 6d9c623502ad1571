//! Whether what is published has somewhere to go.

use handoffd_contract::{Connector, Exchange};

use crate::config::{Config, Problem, TargetConfig};

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
        let (setting, remedy) = if exchange.primary {
            ("exit", "add [intake.amqp], or write exit = \"cloud_api\"")
        } else {
            ("notify", "add [intake.amqp], or remove the setting")
        };
        Problem::with_remedy(
            format!("target.{}.settings.{setting}", target.name),
            format!(
                "the {} are published to RabbitMQ, which is not configured",
                exchange.what
            ),
            remedy,
        )
    };
    connector.exchanges().into_iter().map(problem).collect()
}
