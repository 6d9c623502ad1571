//! The messages that others are about: a gateway often tells an id alone, of which a rep knows nothing.
//!
//! What is known of them is put into quotes, reactions, edits, deletions and votes before a connector plans:
//! the words, who wrote them, and of a rep's reply also which one it was. It follows from what was stored
//! before the event, so that every plan sees the same.

use std::collections::BTreeMap;

use handoffd_contract::content::{Answered, Earlier};
use handoffd_contract::event::{MessageEvent, RepReply};
use handoffd_contract::{Author, AuthorKind, Data, Message, text};

use crate::ledger::{LaneLedger, LedgerError, Loaded, Mention};

/// UTF-16 units that are kept of an earlier message.
const MAX_TEXT: usize = 1_000;

/// Completes what was loaded for a lane.
///
/// # Errors
/// The ledger failed.
pub async fn complete(
    ledger: &dyn LaneLedger,
    session: &str,
    loaded: &mut Loaded,
) -> Result<(), LedgerError> {
    for (seq, event) in &mut loaded.events {
        match &mut event.data {
            Data::HandoffRequested(handoff) => within(&mut handoff.transcript),
            Data::MessageReceived(MessageEvent { message, .. })
            | Data::MessageSent(MessageEvent { message, .. }) => {
                one(ledger, session, *seq, message).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

async fn one(
    ledger: &dyn LaneLedger,
    session: &str,
    before: i64,
    message: &mut Message,
) -> Result<(), LedgerError> {
    for earlier in message.earlier_mut() {
        let Some(id) = earlier.message_id.clone() else {
            continue;
        };
        let mention = Mention::Message(id.clone());
        match ledger.mentioned(session, before, mention).await? {
            Some(event) => match event.data {
                Data::RepReplied(reply) => of_reply(earlier, &reply),
                Data::MessageReceived(said) | Data::MessageSent(said) => {
                    of_message(earlier, &said.message);
                }
                Data::HandoffRequested(handoff) => {
                    let said = handoff.transcript.iter().find(|said| said.id == id);
                    said.iter().for_each(|said| of_message(earlier, said));
                }
                _ => {}
            },
            None => continue,
        }
    }
    // An answer to buttons without what it answers: the newest reply that has offered this.
    let is_known = message
        .quote
        .as_ref()
        .is_some_and(|quote| quote.reply.is_some());
    if let (Some(choice), false) = (&message.choice, is_known) {
        let mention = Mention::Option(choice.id.clone());
        let found = ledger.mentioned(session, before, mention).await?;
        if let Some(Data::RepReplied(reply)) = found.map(|event| event.data) {
            let quote = message.quote.get_or_insert_default();
            of_reply(quote, &reply);
        }
    }
    Ok(())
}

/// Completes a transcript by itself.
fn within(transcript: &mut [Message]) {
    let is_about_another = |message: &Message| message.earlier().next().is_some();
    if !transcript.iter().any(is_about_another) {
        return;
    }
    let bare = |message: &Message| {
        let mut earlier = Earlier::default();
        of_message(&mut earlier, message);
        (message.id.clone(), earlier)
    };
    let known: BTreeMap<String, Earlier> = transcript.iter().map(bare).collect();
    for message in transcript {
        for earlier in message.earlier_mut() {
            let id = earlier.message_id.as_ref();
            if let Some(found) = id.and_then(|id| known.get(id)) {
                earlier.text = earlier.text.take().or_else(|| found.text.clone());
                earlier.author = earlier.author.take().or_else(|| found.author.clone());
            }
        }
    }
}

fn of_message(earlier: &mut Earlier, message: &Message) {
    let words = message.text.clone().filter(|text| !text.trim().is_empty());
    let words = words.unwrap_or_else(|| text::body(message));
    let words = Some(text::truncate(&words, MAX_TEXT)).filter(|words| !words.trim().is_empty());
    earlier.text = earlier.text.take().or(words);
    earlier.author = earlier
        .author
        .take()
        .or_else(|| Some(message.author.clone()));
}

fn of_reply(earlier: &mut Earlier, reply: &RepReply) {
    let files = reply
        .attachments
        .iter()
        .map(handoffd_contract::Attachment::file_name);
    let words = reply.text.clone().filter(|text| !text.trim().is_empty());
    let words = words.or_else(|| files.reduce(|all, one| format!("{all}, {one}")));
    earlier.text = earlier
        .text
        .take()
        .or(words.map(|words| text::truncate(&words, MAX_TEXT)));
    earlier.author = Some(Author {
        kind: AuthorKind::Agent,
        name: reply.author.clone(),
    });
    earlier.reply = Some(Box::new(Answered {
        target: reply.target.clone(),
        message_id: reply.message_id.clone(),
        options: reply
            .options
            .iter()
            .map(|option| option.id.clone())
            .collect(),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_tells_itself_what_is_quoted() {
        let message = |id: &str, rest: serde_json::Value| -> Message {
            let mut whole = serde_json::json!({"id": id, "time": "2026-11-20T09:58:12Z", "author": {"kind": "agent", "name": "Ben"}});
            whole
                .as_object_mut()
                .expect("an object")
                .extend(rest.as_object().expect("an object").clone());
            serde_json::from_value(whole).expect("a message")
        };
        let mut all = vec![
            message("1", serde_json::json!({"text": "Red or blue?"})),
            message(
                "2",
                serde_json::json!({"attachments": [{"id": "a", "kind": "image", "name": "box.jpg"}]}),
            ),
            message(
                "3",
                serde_json::json!({"text": "Red", "quote": {"message_id": "1"}}),
            ),
            message(
                "4",
                serde_json::json!({"reaction": {"emoji": "👍", "message_id": "2"}}),
            ),
            message(
                "5",
                serde_json::json!({"text": "x", "quote": {"message_id": "9"}}),
            ),
        ];
        within(&mut all);
        assert_eq!(text::body(&all[2]), "↩ Agent (Ben): “Red or blue?”\nRed");
        assert_eq!(
            text::body(&all[3]),
            "[reaction 👍] ↩ Agent (Ben): “[image: box.jpg]”"
        );
        assert_eq!(text::body(&all[4]), "↩ an earlier message\nx");
    }
}
