//! What a person does in the playground: write as the customer, hand over, answer as a rep.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::gateway::{BUSINESS, message};
use super::faults::Fault;
use super::{Outcome, Playground, records};

/// The longest text, in characters.
const MAX_TEXT: usize = 2_000;
/// The most messages before a handoff.
const MAX_TRANSCRIPT: usize = 100;

const CUSTOMER: &str = "Ana López";
const REP: &str = "Rosa Rep";

/// Something that somebody does.
#[derive(Debug, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Act {
    /// The customer writes.
    Write {
        /// What.
        text: String,
    },
    /// The customer reads everything.
    Read,
    /// The assistant hands the conversation over to people.
    HandOver,
    /// A rep answers.
    Reply {
        /// In which CRM.
        target: String,
        /// What.
        text: String,
    },
    /// A rep writes something that the customer must never see.
    Note {
        /// In which CRM.
        target: String,
        /// What.
        text: String,
    },
    /// A rep is done.
    Close {
        /// In which CRM.
        target: String,
    },
}

impl Playground {
    /// Does it.
    ///
    /// # Errors
    /// Why it cannot be done now.
    pub(super) async fn act(&self, act: Act) -> Outcome {
        match act {
            Act::Write { text } => self.write(checked(&text)?).await,
            Act::Read => {
                let customer = self.play().customer.clone();
                let read = self.gateway.customer(&customer, json!({"act": "read"}));
                read.map(drop).map_err(|error| error.to_string())
            }
            Act::HandOver => self.hand_over().await,
            Act::Reply { target, text } => self.rep(&target, "reply", checked(&text)?),
            Act::Note { target, text } => self.rep(&target, "note", checked(&text)?),
            Act::Close { target } => self.rep(&target, "close", ""),
        }
    }

    async fn write(&self, text: &str) -> Outcome {
        // Whoever writes opens the window.
        self.broken().mend(&self.running, Fault::WindowClosed)?;
        let (session, customer, is_first, is_over, is_full) = {
            let play = self.play();
            let is_full = play.transcript.len() >= MAX_TRANSCRIPT;
            (
                play.session.clone(),
                play.customer.clone(),
                play.transcript.is_empty(),
                play.is_handed_over,
                is_full,
            )
        };
        if is_full && !is_over {
            return Err("the assistant has heard enough; hand over, or start over".into());
        }
        let act = json!({"act": "text", "name": CUSTOMER, "text": text});
        let said = self.gateway.customer(&customer, act).map_err(words)?;
        let said = message(&said, json!({"text": text}));
        if is_over {
            return self.gateway.received(&session, said).await.map_err(words);
        }
        self.play().transcript.push(said);
        let answer = match is_first {
            true => "Hello, this is the shop's assistant. What happened?",
            false => "I see. Shall a person of our team take over?",
        };
        let answer = self.gateway.assistant(&customer, answer).await;
        let answer = answer.map_err(words)?;
        self.play().transcript.push(answer);
        Ok(())
    }

    async fn hand_over(&self) -> Outcome {
        let (number, session, customer, transcript) = {
            let play = self.play();
            if play.is_handed_over {
                return Err("people have this conversation already".into());
            }
            if play.transcript.is_empty() {
                return Err(
                    "there is nothing to hand over yet: write as the customer first".into(),
                );
            }
            (
                play.number,
                play.session.clone(),
                play.customer.clone(),
                play.transcript.clone(),
            )
        };
        let said = transcript
            .iter()
            .filter(|one| one["author"]["kind"] == "customer");
        let said: Vec<&str> = said.filter_map(|one| one["text"].as_str()).collect();
        let summary = format!(
            "The customer wrote {} times. First: {}",
            said.len(),
            said[0]
        );
        let topic: String = said[0].chars().take(60).collect();
        let data = json!({
            "session": {"id": session, "url": records::session_url(&session), "channel": "whatsapp",
                "business_number": BUSINESS, "language": "en", "opened_at": transcript[0]["time"]},
            "contact": {"phone": format!("+{customer}"), "wa_id": customer, "name": CUSTOMER,
                "email": format!("ana.{number}@example.com")},
            "handoff": {"reasons": ["user_requested_human_assistance"], "summary": summary,
                "sentiment": "negative", "language": "en", "topic": topic, "requested_at": Timestamp::now()},
            "transcript": transcript,
            "fields": {"order_id": 8_812, "category": "refund"},
        });
        let id = format!("{session}-handoff");
        let posted = self
            .gateway
            .post(&session, "handoff.requested", &id, data)
            .await;
        posted.map_err(words)?;
        self.play().is_handed_over = true;
        Ok(())
    }

    /// A rep does something on the record of this conversation.
    fn rep(&self, target: &str, what: &str, text: &str) -> Outcome {
        let session = self.play().session.clone();
        let served = self.running.target(target);
        let served = served.ok_or("target: say salesforce, hubspot or creatio")?;
        let record = records::key(target, &served.view(), &session);
        let record = record.ok_or("there is no record yet: hand over first, or wait a moment")?;
        let act = |name: &str, more: Value| {
            let mut act = json!({"act": name, "text": text});
            let (key, value) = record.clone();
            act[key] = value;
            if let (Some(act), Value::Object(more)) = (act.as_object_mut(), more) {
                act.extend(more);
            }
            served.act(&act).map(drop)
        };
        match (target, what) {
            ("salesforce", "reply") => {
                if !self.play().is_accepted {
                    act("accept", json!({"rep": REP}))?;
                    self.play().is_accepted = true;
                }
                act("text", json!({}))
            }
            ("salesforce", "note") => act("whisper", json!({})),
            ("salesforce", _) => act("end", json!({})),
            ("creatio", "close") => act("resolve", json!({"rep": REP})),
            ("creatio", what) => act(what, json!({"rep": REP})),
            (_, what) => act(what, json!({})),
        }
    }
}

fn checked(text: &str) -> Outcome<&str> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("text: empty; write something".into()),
        length if length > MAX_TEXT => Err(format!(
            "text: {length} characters; write at most {MAX_TEXT}"
        )),
        _ => Ok(text),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn words(error: anyhow::Error) -> String {
    format!("{error:#}")
}
