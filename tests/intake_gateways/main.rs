//! What gateways send in their own words, from its bytes to the ledger: over RabbitMQ and over HTTP.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod amqp;
mod commands;
mod dialects;
mod door;
mod files;
mod hostile;
#[path = "../intake/mod.rs"]
mod intake;
mod simulated;

use std::collections::BTreeMap;
use std::sync::Arc;

use handoffd::config::{DialectConfig, GatewaysConfig, SourceConfig};
use handoffd::intake::{Dialects, Gate, Incoming, Origin, Router};
use handoffd::ledger::Admitted;
use handoffd::mapping::dialect::shipped;
use handoffd_contract::Event;
use intake::File;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Every shipped dialect on one way.
fn gateways() -> GatewaysConfig {
    let dialects = shipped::names().map(|name| {
        let dialect = shipped::shipped(name).unwrap();
        let options = BTreeMap::new();
        (name.to_owned(), DialectConfig { dialect, options })
    });
    let source = SourceConfig {
        name: "any".to_owned(),
        dialects: shipped::names().map(str::to_owned).collect(),
        token: Some("t".into()),
        proof: None,
        verify_token: None,
        answer: 200,
    };
    GatewaysConfig {
        dialects: dialects.collect(),
        amqp: vec!["evolution".to_owned()],
        sources: vec![source],
        ..GatewaysConfig::default()
    }
}

fn gate(file: &File, config: &GatewaysConfig) -> Gate {
    Gate {
        router: Arc::new(Router::default()),
        dialects: Arc::new(Dialects::new(config)),
        ..file.gate()
    }
}

/// A payload that came over HTTP.
fn came(body: &Value) -> Incoming {
    Incoming {
        origin: Origin::Http,
        content_type: Some("application/json".to_owned()),
        headers: [("handoffd.source".to_owned(), "any".to_owned())].into(),
        body: body.to_string().into_bytes(),
    }
}

fn evolution(id: &str, text: &str) -> Value {
    json!({"event": "messages.upsert", "instance": "shop", "apikey": "KEY-1", "sender": "5511900000000@s.whatsapp.net", "data": {
        "key": {"remoteJid": "5521970001122@s.whatsapp.net", "fromMe": false, "id": id}, "pushName": "Marina",
        "message": {"conversation": text}, "messageTimestamp": Timestamp::now().as_second()}})
}

/// Takes payloads one after the other; what became of each event and dead letter.
async fn take(gate: &Gate, bodies: &[Value]) -> Vec<Result<Admitted, String>> {
    let mut all = Vec::new();
    for body in bodies {
        let taken = gate.take(&[came(body)]).await.unwrap();
        let taken = taken.into_iter();
        all.extend(taken.map(|one| one.map(|one| one.admitted).map_err(|stop| stop.message)));
    }
    all
}

async fn stored(file: &File, admitted: &Result<Admitted, String>) -> Event {
    let Ok(Admitted::New(seq)) = admitted else {
        panic!("not stored: {admitted:?}")
    };
    file.ledger.event(*seq).await.unwrap().unwrap()
}
