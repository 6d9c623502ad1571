//! The story that the demo plays, and how it knows what arrived.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::gateway::{BUSINESS, Gateway, message};
use crate::ledger::{LaneState, OperatorLedger};
use crate::sandbox::{Running, Served};

/// The session of the story.
pub(super) const SESSION: &str = "demo-session";
const CUSTOMER: &str = "4915112345678";
const PHOTO: &[u8] = b"\xff\xd8\xff\xe0 a photo of a broken box";
const VOICE: &[u8] = b"OggS a voice note";
const INVOICE: &[u8] = b"%PDF-1.4 invoice 8812";
const PATIENCE: Duration = Duration::from_secs(30);

/// What arrived, and what did not.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) arrived: Vec<String>,
    pub(super) missing: Vec<String>,
}

/// The story.
pub(super) struct Story {
    salesforce: Arc<Served>,
    hubspot: Arc<Served>,
    creatio: Arc<Served>,
    phone: Arc<Served>,
    ledger: Arc<dyn OperatorLedger>,
    gateway: Gateway,
}

impl Story {
    pub(super) fn new(
        running: &Running,
        ledger: Arc<dyn OperatorLedger>,
        daemon: SocketAddr,
        token: &str,
    ) -> anyhow::Result<Story> {
        let served = |name: &str| {
            running
                .target(name)
                .cloned()
                .ok_or_else(|| anyhow!("no simulator of {name}"))
        };
        Ok(Story {
            salesforce: served("salesforce")?,
            hubspot: served("hubspot")?,
            creatio: served("creatio")?,
            phone: served("whatsapp")?,
            ledger,
            gateway: Gateway::new(running, daemon, token)?,
        })
    }

    /// Plays the story to its end, whatever does not arrive.
    pub(super) async fn play(&self) -> Told {
        let mut told = Told::default();
        if let Err(error) = self.scenes(&mut told).await {
            told.missing.push(format!("the story stopped: {error:#}"));
        }
        told
    }

    async fn scenes(&self, told: &mut Told) -> anyhow::Result<()> {
        let transcript = self.conversation().await?;
        self.post("handoff.requested", "handoff-1", handoff(transcript))
            .await?;
        let crms = [&self.salesforce, &self.hubspot, &self.creatio];
        for crm in crms {
            let what = format!("{}: the handoff with summary and transcript", crm.name());
            let words = ["llegó roto", "wants a refund", "Quiero que me devuelvan"];
            self.expect(told, what, || words.iter().all(|word| shows(crm, word)))
                .await;
            for (file, bytes) in [
                ("caja rota.jpg", PHOTO),
                ("voice.ogg", VOICE),
                ("Factura 8812.pdf", INVOICE),
            ] {
                let what = format!("{}: the file {file}, whole", crm.name());
                self.expect(told, what, || holds(&crm.view(), file, bytes.len()))
                    .await;
            }
        }
        for name in ["salesforce", "hubspot", "creatio"] {
            let what = format!("{name}: handoff.completed is on record");
            let done = self.eventually(async || self.completed(name).await).await;
            told.note(what, done);
        }

        let later = self.customer(json!({"act": "text", "text": "¿Hay alguien ahí? 🙏"}))?;
        self.received(&later, json!({"text": "¿Hay alguien ahí? 🙏"}))
            .await?;
        for crm in crms {
            let what = format!("{}: the customer's message after the handoff", crm.name());
            self.expect(told, what, || shows(crm, "¿Hay alguien ahí? 🙏"))
                .await;
        }

        let pdf = STANDARD.encode(b"%PDF-1.4 a return label for order 8812\n%%EOF\n");
        let act = |served: &Served, act: Value| {
            served
                .act(&act)
                .map_err(|words| anyhow!("{}: {words}", served.name()))
        };
        act(&self.salesforce, json!({"act": "accept", "rep": "Ana"}))?;
        act(
            &self.salesforce,
            json!({"act": "whisper", "text": "INTERNAL: offer a refund, not a voucher"}),
        )?;
        act(
            &self.salesforce,
            json!({"act": "file", "name": "return-label.pdf", "mime": "application/pdf", "base64": pdf, "text": "Your return label"}),
        )?;
        act(
            &self.salesforce,
            json!({"act": "text", "text": "Hello, this is Ana. Your refund is on its way."}),
        )?;
        self.expect(told, "salesforce: the rep's reply is on the phone", || {
            shows(&self.phone, "this is Ana")
        })
        .await;
        self.expect(told, "salesforce: the rep's file is on the phone", || {
            shows(&self.phone, "return-label.pdf")
        })
        .await;

        act(
            &self.hubspot,
            json!({"act": "note", "text": "INTERNAL: a regular customer"}),
        )?;
        act(
            &self.hubspot,
            json!({"act": "attach", "text": "HubSpot here: do you prefer cash or a voucher?",
            "name": "offer.pdf", "mime": "application/pdf", "data": pdf}),
        )?;
        self.expect(told, "hubspot: the rep's reply is on the phone", || {
            shows(&self.phone, "cash or a voucher")
        })
        .await;
        self.expect(told, "hubspot: the rep's file is on the phone", || {
            shows(&self.phone, "offer.pdf")
        })
        .await;

        act(
            &self.creatio,
            json!({"act": "note", "text": "INTERNAL: check the invoice"}),
        )?;
        let reply = act(
            &self.creatio,
            json!({"act": "reply", "text": "Creatio here: your case is with logistics."}),
        )?;
        act(
            &self.creatio,
            json!({"act": "attach", "activity": reply["activity"], "name": "case.pdf", "base64": pdf}),
        )?;
        self.expect(told, "creatio: the rep's reply is on the phone", || {
            shows(&self.phone, "is with logistics")
        })
        .await;

        self.expect(told, "creatio: the rep's file is on the phone", || {
            shows(&self.phone, "case.pdf")
        })
        .await;

        told.note(
            "no internal note is on the phone",
            !shows(&self.phone, "INTERNAL"),
        );
        let once = ["this is Ana", "cash or a voucher", "is with logistics"];
        told.note(
            "each reply is on the phone once",
            once.iter().all(|words| count(&self.phone, words) == 1),
        );

        self.customer(json!({"act": "read"}))?;
        self.expect(
            told,
            "the reps' messages are read, and Salesforce shows the receipt",
            || {
                let text = self.salesforce.view().to_string();
                text.contains("Read") || text.contains("read")
            },
        )
        .await;

        act(&self.salesforce, json!({"act": "end"}))?;
        let ended = self
            .eventually(async || self.has_event("rep.ended").await)
            .await;
        told.note("the rep's end of the chat is on record", ended);
        self.post(
            "session.closed",
            "closed-1",
            json!({"resolved": true, "reason": "refund paid"}),
        )
        .await?;
        let idle = self.eventually(async || self.all_idle().await).await;
        told.note("nothing is left to do in any lane", idle);
        Ok(())
    }

    /// The conversation with the assistant: the customer's side is really on the phone, and the
    /// files are really at WhatsApp.
    async fn conversation(&self) -> anyhow::Result<Vec<Value>> {
        let mut transcript = Vec::new();
        let said = self.customer(json!({"act": "text", "name": "Ana María \"Anita\" <López> 🌸", "text": "Hola 👋 mi paquete llegó roto 😡"}))?;
        transcript.push(message(
            &said,
            json!({"text": "Hola 👋 mi paquete llegó roto 😡"}),
        ));
        transcript.push(
            self.assistant("Lo siento mucho. ¿Puede enviarme una foto y la factura?")
                .await?,
        );
        let media = |kind: &str,
                     mime: &str,
                     content: &[u8],
                     name: Option<&str>,
                     caption: Option<&str>| {
            let mut act = json!({"act": "media", "kind": kind, "mime": mime, "base64": STANDARD.encode(content)});
            if let Some(name) = name {
                act["file_name"] = json!(name);
            }
            if let Some(caption) = caption {
                act["caption"] = json!(caption);
            }
            self.customer(act)
        };
        let photo = media("image", "image/jpeg", PHOTO, None, Some("así llegó"))?;
        transcript.push(message(&photo, json!({"attachments": [{
            "id": "photo", "kind": "image", "mime": "image/jpeg", "name": "caja rota.jpg", "caption": "así llegó",
            "source": {"from": "whatsapp", "media_id": photo["media_id"]}}]})));
        let voice = media("voice", "audio/ogg", VOICE, None, None)?;
        transcript.push(message(
            &voice,
            json!({"attachments": [{
            "id": "voice", "kind": "voice", "mime": "audio/ogg; codecs=opus", "name": "voice.ogg",
            "transcript": "Quiero que me devuelvan el dinero, por favor.",
            "source": {"from": "whatsapp", "media_id": voice["media_id"]}}]}),
        ));
        let invoice = media(
            "document",
            "application/pdf",
            INVOICE,
            Some("Factura 8812.pdf"),
            None,
        )?;
        transcript.push(message(&invoice, json!({"attachments": [{
            "id": "invoice", "kind": "document", "mime": "application/pdf", "name": "Factura 8812.pdf",
            "source": {"from": "whatsapp", "media_id": invoice["media_id"]}}]})));
        let place = json!({"latitude": 52.516_275, "longitude": 13.377_704, "name": "Casa", "address": "Pariser Platz 1, Berlin"});
        let mut pin = place.clone();
        pin["act"] = json!("location");
        let pin = self.customer(pin)?;
        transcript.push(message(&pin, json!({"location": place})));
        transcript.push(
            self.assistant("Le paso con una persona de nuestro equipo.")
                .await?,
        );
        Ok(transcript)
    }

    fn customer(&self, act: Value) -> anyhow::Result<Value> {
        self.gateway.customer(CUSTOMER, act)
    }

    async fn assistant(&self, text: &str) -> anyhow::Result<Value> {
        self.gateway.assistant(CUSTOMER, text).await
    }

    /// The gateway tells that the customer wrote.
    async fn received(&self, said: &Value, content: Value) -> anyhow::Result<()> {
        self.gateway.received(SESSION, message(said, content)).await
    }

    async fn post(&self, kind: &str, id: &str, data: Value) -> anyhow::Result<()> {
        self.gateway.post(SESSION, kind, id, data).await
    }

    async fn expect(&self, told: &mut Told, what: impl Into<String>, condition: impl Fn() -> bool) {
        let came = self.eventually(async || condition()).await;
        told.note(what, came);
    }

    async fn eventually(&self, condition: impl AsyncFn() -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if condition().await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        condition().await
    }

    async fn completed(&self, target: &str) -> bool {
        self.ledger
            .session_report(SESSION)
            .await
            .is_ok_and(|story| {
                story.lanes.iter().any(|(lane, _, known)| {
                    lane.target == target && known.under("completed/").next().is_some()
                })
            })
    }

    async fn has_event(&self, kind: &str) -> bool {
        self.ledger
            .session_report(SESSION)
            .await
            .is_ok_and(|story| story.events.iter().any(|(_, found, ..)| found == kind))
    }

    async fn all_idle(&self) -> bool {
        self.ledger
            .session_report(SESSION)
            .await
            .is_ok_and(|story| {
                story.lanes.len() == 4
                    && story
                        .lanes
                        .iter()
                        .all(|(lane, ..)| lane.state == LaneState::Idle)
            })
    }
}

impl Told {
    fn note(&mut self, what: impl Into<String>, came: bool) {
        if came {
            self.arrived.push(what.into());
        } else {
            self.missing.push(what.into());
        }
    }
}

fn handoff(transcript: Vec<Value>) -> Value {
    json!({
        "session": {"id": SESSION, "url": "https://assistant.example.com/sessions/demo-session", "channel": "whatsapp",
            "business_number": BUSINESS, "language": "es", "opened_at": Timestamp::now()},
        "contact": {"phone": format!("+{CUSTOMER}"), "wa_id": CUSTOMER, "username": "ana.maria",
            "name": "Ana María \"Anita\" <López> 🌸", "email": "ana@example.com"},
        "handoff": {"reasons": ["user_requested_human_assistance", "insufficient_tools"],
            "summary": "Ana's parcel (order 8812) arrived damaged. She sent a photo and the invoice and wants a refund, not a replacement.",
            "sentiment": "angry", "language": "es", "topic": "Refund for order 8812", "requested_at": Timestamp::now()},
        "transcript": transcript,
        "fields": {"order_id": 8812, "category": "refund", "vip": true, "purchase_date": "2026-11-12", "amount": 129.9},
    })
}

/// Whether a file of that name and size is there.
fn holds(value: &Value, file: &str, size: usize) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds(item, file, size)),
        Value::Object(members) => {
            // A CRM may put something of its own between the name and its ending.
            let stem = file.split('.').next().unwrap_or(file);
            let named = ["name", "file_name"].iter().any(|key| {
                members
                    .get(*key)
                    .and_then(Value::as_str)
                    .is_some_and(|name| name.starts_with(stem))
            });
            let sized = ["size", "bytes"]
                .iter()
                .any(|key| members.get(*key).and_then(Value::as_u64) == Some(size as u64));
            (named && sized) || members.values().any(|value| holds(value, file, size))
        }
        _ => false,
    }
}

fn shows(served: &Served, words: &str) -> bool {
    count(served, words) > 0
}

/// How often words stand in what is seen; HTML is read as a rep reads it.
fn count(served: &Served, words: &str) -> usize {
    fn walk(value: &Value, words: &str) -> usize {
        match value {
            Value::String(text) => {
                let plain = handoffd_contract::text::plain(text);
                text.matches(words)
                    .count()
                    .max(plain.matches(words).count())
            }
            Value::Array(items) => items.iter().map(|item| walk(item, words)).sum(),
            Value::Object(members) => members.values().map(|value| walk(value, words)).sum(),
            _ => 0,
        }
    }
    walk(&served.view(), words)
}
