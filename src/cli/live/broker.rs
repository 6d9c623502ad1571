//! RabbitMQ: the way in, queue and exchanges, and each right.

use std::collections::BTreeMap;

use super::{MISSING, Page};
use crate::app::Connected;
use crate::config::AmqpConfig;
use crate::intake::amqp::rights::rights;

/// What is there and what is not.
pub(super) async fn verify(config: &AmqpConfig, connected: &[Connected]) -> Page {
    let mut page = Page::new("RabbitMQ".to_owned());
    let mut published: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in connected {
        for exchange in one.connector.exchanges() {
            let what = format!("{} of {}", exchange.what, one.config.name);
            published.entry(exchange.name).or_default().push(what);
        }
    }
    let published: Vec<(String, String)> = published
        .into_iter()
        .map(|(name, whats)| (name, whats.join(" and the ")))
        .collect();
    match rights(config, &published).await {
        Err(words) => page.bad(MISSING, "connection and sign-in", words),
        Ok(tried) => {
            page.well("ok", "connection and sign-in");
            for (what, found) in tried {
                match found {
                    Ok(()) => page.well("ok", what),
                    Err(words) => page.bad(MISSING, what, words),
                }
            }
            if !published.is_empty() {
                page.hints
                    .push("whether a queue is bound to what is published to cannot be asked");
            }
        }
    }
    page
}
