//! The built-in events that previews, tests and checks use.

use handoffd_contract::Event;
use handoffd_contract::notice::Notice;
use serde_json::{Value, json};

/// A rich handoff: two reasons, AI-filled fields, text, image, voice note with transcript, document,
/// location; an emoji and a right-to-left name among the authors.
#[must_use]
pub fn sample() -> Event {
    event(json!({
        "id": "8f14e45f-sample", "source": "/gateway/whatsapp", "subject": "wa-4915112345678-2026-11-20",
        "time": "2026-11-20T09:59:30Z", "type": "handoff.requested",
        "data": {
            "session": {
                "id": "wa-4915112345678-2026-11-20", "url": "https://assistant.example.com/sessions/wa-4915112345678-2026-11-20",
                "channel": "whatsapp", "business_number": "+4930901820", "language": "es", "opened_at": "2026-11-20T09:57:02Z",
            },
            "contact": {
                "phone": "+4915112345678", "wa_id": "4915112345678", "username": "ana.maria",
                "name": "Ana María \"Anita\" <López> 🌸", "email": "ana@example.com", "external_ids": { "shop": "C-2041" },
            },
            "handoff": {
                "reasons": ["user_requested_human_assistance", "insufficient_tools"],
                "summary": "Ana's parcel (order 8812) arrived damaged. She sent a photo and the invoice and wants a refund, not a replacement.",
                "sentiment": "angry", "language": "es", "topic": "Refund for order 8812", "requested_at": "2026-11-20T09:59:29Z",
            },
            "transcript": [
                {
                    "id": "wamid.S1", "time": "2026-11-20T09:57:02Z", "author": { "kind": "customer" },
                    "text": "Hola 👋 mi paquete llegó roto 😡",
                },
                {
                    "id": "wamid.S2", "time": "2026-11-20T09:57:08Z", "author": { "kind": "assistant" },
                    "text": "Lo siento mucho. ¿Puede enviarme una foto y la factura?",
                },
                {
                    "id": "wamid.S3", "time": "2026-11-20T09:58:01Z", "author": { "kind": "customer" },
                    "attachments": [{
                        "id": "a1", "kind": "image", "mime": "image/jpeg", "name": "caja rota.jpg", "size": 48_213,
                        "caption": "así llegó", "source": { "from": "url", "url": "https://media.example.com/a1.jpg" },
                    }],
                },
                {
                    "id": "wamid.S4", "time": "2026-11-20T09:58:20Z", "author": { "kind": "customer", "name": "ليلى" },
                    "text": "أنا ابنتها، نريد استرداد المبلغ",
                    "attachments": [{
                        "id": "a2", "kind": "voice", "mime": "audio/ogg; codecs=opus", "size": 20_480,
                        "transcript": "Quiero que me devuelvan el dinero, por favor.",
                        "source": { "from": "whatsapp", "media_id": "1013859600285441" },
                    }],
                },
                {
                    "id": "wamid.S5", "time": "2026-11-20T09:58:55Z", "author": { "kind": "customer" },
                    "attachments": [{
                        "id": "a3", "kind": "document", "mime": "application/pdf", "name": "Factura 8812.pdf", "size": 91_002,
                        "source": { "from": "url", "url": "https://media.example.com/a3.pdf" },
                    }],
                },
                {
                    "id": "wamid.S6", "time": "2026-11-20T09:59:10Z", "author": { "kind": "customer" },
                    "location": { "latitude": 52.516_275, "longitude": 13.377_704, "name": "Casa", "address": "Pariser Platz 1, Berlin" },
                },
                {
                    "id": "wamid.S7", "time": "2026-11-20T09:59:28Z", "author": { "kind": "assistant" },
                    "text": "Le paso con una persona de nuestro equipo.",
                },
            ],
            "fields": { "order_id": 8812, "category": "refund", "vip": true, "purchase_date": "2026-11-12", "amount": 129.9 },
        },
    }))
}

/// A handoff with nothing that is optional: no phone, no name, no reasons, no transcript.
#[must_use]
pub fn bare() -> Event {
    event(json!({
        "id": "9bf31c7f-bare", "source": "/gateway/whatsapp", "subject": "wa-bare", "time": "2026-11-20T10:00:00Z",
        "type": "handoff.requested",
        "data": {
            "session": { "id": "wa-bare", "business_number": "+4930901820" },
            "contact": { "user_id": "US.13491208655302741918" },
        },
    }))
}

/// A notice to the customer about whom [`sample`] is, with everything that it may say.
#[must_use]
pub fn sample_notice(notice: Notice) -> Event {
    event(json!({
        "id": format!("sample-{}", notice.word()), "source": "handoffd/conversation",
        "subject": "wa-4915112345678-2026-11-20", "time": "2026-11-20T10:01:00Z", "type": "customer.notice",
        "data": {
            "notice": notice, "target": "crm", "rep": "Rita Vega", "position": 3, "wait_seconds": 240,
            "since": "2026-11-20T10:00:00Z",
        },
    }))
}

/// A notice with nothing that is optional.
#[must_use]
pub fn bare_notice(notice: Notice) -> Event {
    event(json!({
        "id": format!("bare-{}", notice.word()), "source": "handoffd/conversation", "subject": "wa-bare",
        "time": "2026-11-20T10:01:00Z", "type": "customer.notice",
        "data": { "notice": notice, "since": "2026-11-20T10:00:00Z" },
    }))
}

fn event(value: Value) -> Event {
    #[expect(
        clippy::expect_used,
        reason = "a constant of this file, which a test reads"
    )]
    serde_json::from_value(value).expect("a built-in event")
}

#[cfg(test)]
mod tests {
    use handoffd_contract::Data;

    use super::*;

    #[test]
    fn the_samples_are_handoffs_and_survive_the_wire() {
        for event in [sample(), bare()] {
            let wire = serde_json::to_string(&event).expect("JSON");
            assert_eq!(
                serde_json::from_str::<Event>(&wire).expect("an event"),
                event
            );
            assert!(matches!(event.data, Data::HandoffRequested(_)));
        }
        let Data::HandoffRequested(handoff) = sample().data else {
            panic!("a handoff")
        };
        assert_eq!(
            handoff
                .transcript
                .iter()
                .flat_map(|said| &said.attachments)
                .count(),
            3
        );
        assert_eq!(handoff.handoff.reasons.len(), 2);
    }
}
