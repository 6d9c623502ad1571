//! Events as they come from a queue or over HTTP: headers, content type, body.

#![no_main]

use handoffd::intake::{Incoming, Origin, unbatch};
use handoffd_fuzz::{EVENTS, head, joined, judges, seed};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for text in EVENTS {
        let event: Value = serde_json::from_str(text).unwrap();
        let mime = ("content-type".into(), "application/cloudevents+json".into());
        seeds.push(joined(&[mime], text.as_bytes()));
        let mime = (
            "content-type".into(),
            "application/cloudevents-batch+json".into(),
        );
        seeds.push(joined(&[mime], format!("[{text},{text}]").as_bytes()));
        for prefix in ["cloudEvents:", "ce-"] {
            let members = event.as_object().unwrap().iter();
            let mut headers: Vec<(String, String)> = members
                .filter_map(|(name, value)| {
                    Some((format!("{prefix}{name}"), value.as_str()?.to_owned()))
                })
                .collect();
            headers.push(("content-type".into(), "application/json".into()));
            seeds.push(joined(&headers, event["data"].to_string().as_bytes()));
        }
    }
    seeds
}

fuzz_target!(init: seed("events", seeds()), |bytes: &[u8]| {
    let (headers, body) = head(bytes);
    let mime = headers.iter().position(|(name, _)| name == "content-type");
    for origin in [Origin::Amqp, Origin::Http] {
        let mut headers = headers.clone();
        let content_type = mime.map(|at| headers.remove(at).1);
        let incoming = Incoming {
            origin,
            content_type,
            headers: headers.into_iter().collect(),
            body: body.to_vec(),
        };
        let _ = judges::event(&incoming);
        // The same event with who and which conversation put in is taken, whatever else is in it.
        if let Ok(mut event) = serde_json::from_slice::<Value>(&incoming.body)
            && event["data"].is_object()
        {
            event["type"] = "handoff.requested".into();
            event["subject"] = "s".into();
            event["data"]["session"] = Value::Null;
            event["data"]["contact"] = serde_json::json!({ "wa_id": "4915112345678" });
            judges::taken(&Incoming {
                content_type: None,
                headers: Default::default(),
                body: event.to_string().into_bytes(),
                ..incoming.clone()
            });
        }
        if let Ok(events) = unbatch(&incoming) {
            for event in events.iter().take(5) {
                let _ = judges::event(event);
            }
        }
    }
});
