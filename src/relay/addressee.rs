//! Whose reply it is, where a record holds more than one conversation.
//!
//! People merge records. When two customers' conversations end up in one, a reply in it is nobody's by
//! guess: nothing is sent, and the rep is told, in the record, how to say who is meant: a `#` and the
//! end of the customer's number before the text. Conversations of one customer are no such case, since
//! each leads to the same phone; there the newest is taken.

use std::collections::BTreeSet;

use handoffd_contract::event::{DeliveryState, RepReply, ReplyStatus, Session};
use handoffd_contract::feed::former;
use handoffd_contract::{Contact, Data, Inbound, InboundKind, Subject, text};
use jiff::Timestamp;

use super::Relay;
use super::hearing::RelayError;
use crate::engine::plan::who;
use crate::ledger::{LaneRef, Received};
use crate::target::Target;

/// The least that is written of a number.
const MIN_TAIL: usize = 4;

/// Conversations that are named to the rep.
const MAX_NAMED: usize = 10;

/// One conversation of a record.
#[derive(Debug, Clone)]
pub struct Conversation {
    id: String,
    name: String,
}

impl Conversation {
    /// A session and its customer.
    pub fn new(session: &Session, contact: &Contact) -> Conversation {
        let plain = |text: &str| -> String {
            let kept = text.chars().filter(char::is_ascii_alphanumeric);
            kept.map(|c| c.to_ascii_lowercase()).collect()
        };
        let customer = contact.e164().or_else(|| contact.user_id.clone());
        let name = text::truncate(&contact.display_name(), 60);
        Conversation {
            id: format!(
                "{}{}",
                plain(&session.business_number),
                plain(&customer.unwrap_or_default())
            ),
            name: text::named(&name).replace('#', ""),
        }
    }
}

impl Relay {
    /// Takes first what says which record a conversation is in now, such as a merge, when replies were
    /// heard together with it: whose they are depends on it. Gives back the rest.
    pub(super) async fn lead(
        &self,
        target: &Target,
        heard: Vec<Inbound>,
        now: Timestamp,
    ) -> Result<Vec<Inbound>, RelayError> {
        let leads: BTreeSet<String> = heard
            .iter()
            .filter(|heard| matches!(heard.kind, InboundKind::Replied(_)))
            .filter_map(|heard| match &heard.subject {
                Subject::Fact { name, .. } | Subject::AnyFact { name, .. } => Some(name.clone()),
                Subject::Session(_) | Subject::Customer { .. } => None,
            })
            .collect();
        let mut rest = Vec::new();
        for heard in heard {
            match &heard.kind {
                InboundKind::Facts(facts) if facts.iter().any(|(name, _)| leads.contains(name)) => {
                    let lanes = self.find(target, &heard.subject).await?;
                    let facts = lanes.iter().flat_map(|lane| {
                        let of = |(name, value): &(String, String)| {
                            (lane.lane, name.clone(), value.clone())
                        };
                        facts.iter().map(of).collect::<Vec<_>>()
                    });
                    let received = Received {
                        facts: facts.collect(),
                        ..Received::default()
                    };
                    if received != Received::default() {
                        self.ledger.store_received(now, received).await?;
                    }
                }
                _ => rest.push(heard),
            }
        }
        Ok(rest)
    }

    /// Whether one of the lanes wrote this record itself.
    pub(super) async fn is_ours(
        &self,
        lanes: &[LaneRef],
        record: &str,
    ) -> Result<bool, RelayError> {
        for lane in lanes {
            if self.ledger.is_ours(lane.lane, record).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts the message that a reply answers in the place of the record that shows it.
    pub(super) async fn find_quoted(
        &self,
        target: &Target,
        lane: i64,
        reply: &mut RepReply,
    ) -> Result<(), RelayError> {
        let Some(record) = reply.quotes.take() else {
            return Ok(());
        };
        let (_, loaded) = self.ledger.peek(lane).await?;
        reply.quotes = target.connector.quoted(&loaded.known, &record);
        Ok(())
    }

    /// Which of a record's conversations a reply is for, or what the rep is asked.
    pub(super) async fn addressee<'l>(
        &self,
        lanes: &'l [LaneRef],
        reply: &mut RepReply,
    ) -> Result<Result<&'l LaneRef, String>, RelayError> {
        let mut conversations = Vec::new();
        for lane in lanes {
            let (_, loaded) = self.ledger.peek(lane.lane).await?;
            let (session, contact) = who(&loaded);
            conversations.push(Conversation::new(&session, &contact));
        }
        Ok(choose(&conversations, &mut reply.text).map(|n| &lanes[n]))
    }

    /// The lanes that something is about, the newest first. What a rep writes in a record that a
    /// conversation had before is still for its customer.
    pub(super) async fn find_for(
        &self,
        target: &Target,
        heard: &Inbound,
    ) -> Result<Vec<LaneRef>, RelayError> {
        let lanes = self.find(target, &heard.subject).await?;
        let is_written = matches!(
            heard.kind,
            InboundKind::Replied(_) | InboundKind::NotSent { .. }
        );
        let (name, values) = match &heard.subject {
            Subject::Fact { name, value } => (name, std::slice::from_ref(value)),
            Subject::AnyFact { name, values } => (name, values.as_slice()),
            Subject::Session(_) | Subject::Customer { .. } => return Ok(lanes),
        };
        if !lanes.is_empty() || !is_written {
            return Ok(lanes);
        }
        let facts = values
            .iter()
            .map(|value| (former(name, value), value.clone()))
            .collect();
        self.find_any(target, facts).await
    }

    /// The lanes in which one of these facts holds, the newest first.
    async fn find_any(
        &self,
        target: &Target,
        facts: Vec<(String, String)>,
    ) -> Result<Vec<LaneRef>, RelayError> {
        let mut lanes: Vec<LaneRef> = Vec::new();
        for (name, value) in facts {
            let found = self.ledger.lanes_by_fact(&target.name, &name, &value);
            lanes.extend(found.await?);
        }
        lanes.sort_by_key(|lane| std::cmp::Reverse(lane.lane));
        lanes.dedup_by_key(|lane| lane.lane);
        Ok(lanes)
    }

    /// The lanes that something is about, the newest first.
    pub(super) async fn find(
        &self,
        target: &Target,
        about: &Subject,
    ) -> Result<Vec<LaneRef>, RelayError> {
        let session = match about {
            Subject::Fact { name, value } => {
                return Ok(self.ledger.lanes_by_fact(&target.name, name, value).await?);
            }
            Subject::AnyFact { name, values } => {
                let facts = values.iter().map(|value| (name.clone(), value.clone()));
                return self.find_any(target, facts.collect()).await;
            }
            Subject::Session(session) => Some(session.clone()),
            Subject::Customer {
                business_number,
                customer,
            } => self.ledger.session_of(business_number, customer).await?,
        };
        let Some(session) = session else {
            return Ok(Vec::new());
        };
        let lane = self.ledger.lane_of(&session, &target.name).await?;
        Ok(lane.into_iter().collect())
    }
}

/// Which conversation a reply is for, with what chose it taken out of the text; else what the rep is
/// told. `conversations` are a record's, the newest first.
pub fn choose(conversations: &[Conversation], said: &mut Option<String>) -> Result<usize, String> {
    let mut parties: Vec<(usize, &Conversation)> = Vec::new();
    for (n, conversation) in conversations.iter().enumerate() {
        if !parties.iter().any(|(_, known)| known.id == conversation.id) {
            parties.push((n, conversation));
        }
    }
    if let [(n, _)] = parties.as_slice() {
        return Ok(*n);
    }
    let words = said.clone().unwrap_or_default();
    if let Some(rest) = words.trim_start().strip_prefix('#') {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (tail, rest) = (rest[..end].to_ascii_lowercase(), &rest[end..]);
        let meant: Vec<usize> = parties
            .iter()
            .filter(|(_, party)| tail.len() >= MIN_TAIL && party.id.ends_with(&tail))
            .map(|(n, _)| *n)
            .collect();
        if let [n] = meant.as_slice() {
            let rest = rest.trim_start_matches(':').trim();
            *said = (!rest.is_empty()).then(|| rest.to_owned());
            return Ok(*n);
        }
    }
    Err(question(&parties))
}

fn question(parties: &[(usize, &Conversation)]) -> String {
    let mut size = MIN_TAIL;
    let longest = parties.iter().map(|(_, party)| party.id.len()).max();
    let tail = |party: &Conversation, size: usize| {
        party.id[party.id.len().saturating_sub(size)..].to_owned()
    };
    while size < longest.unwrap_or(0) {
        let tails: BTreeSet<String> = parties.iter().map(|(_, party)| tail(party, size)).collect();
        if tails.len() == parties.len() {
            break;
        }
        size += 1;
    }
    let each: Vec<String> = parties
        .iter()
        .take(MAX_NAMED)
        .map(|(_, party)| format!("#{} for {}", tail(party, size), party.name))
        .collect();
    format!(
        "This record holds the conversations of {} customers, so it is not known who shall get the reply, and nobody got it. \
         Write it again, and begin its text with {}.",
        parties.len(),
        each.join(", or ")
    )
}

/// What the record is told of a reply that was not sent.
pub fn not_sent(target: &str, message_id: String, detail: String) -> Data {
    Data::ReplyStatus(ReplyStatus {
        target: target.to_owned(),
        message_id,
        state: DeliveryState::Failed,
        detail: Some(detail),
        cause: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(business: &str, wa_id: &str, name: &str) -> Conversation {
        let session = Session {
            business_number: business.into(),
            ..Session::default()
        };
        let contact = Contact {
            wa_id: Some(wa_id.into()),
            name: Some(name.into()),
            ..Contact::default()
        };
        Conversation::new(&session, &contact)
    }

    fn chosen(of: &[Conversation], text: &str) -> (Result<usize, String>, Option<String>) {
        let mut said = Some(text.to_owned());
        (choose(of, &mut said), said)
    }

    #[test]
    fn a_reply_in_a_record_of_two_customers_is_nobodys_until_the_rep_says_whose() {
        let two = [
            conversation("+31201234567", "31612345678", "Ana"),
            conversation("+31201234567", "491719995678", "Bo #1\n[AI assistant] hi"),
        ];
        let (asked, said) = chosen(&two, "your parcel is there");
        assert_eq!(said.as_deref(), Some("your parcel is there"));
        let question = asked.unwrap_err();
        // The shortest end that tells them apart.
        assert!(
            question.contains("begin its text with #45678 for Ana, or #95678 for Bo 1"),
            "{question}"
        );
        assert!(!question.contains('\n'), "{question}");
        for (text, n, rest) in [
            ("#45678 hello", 0, Some("hello")),
            ("#95678: hello\nBo", 1, Some("hello\nBo")),
            (" #491719995678 hi", 1, Some("hi")),
            ("#45678", 0, None),
        ] {
            assert_eq!(
                chosen(&two, text),
                (Ok(n), rest.map(str::to_owned)),
                "{text}"
            );
        }
        for text in [
            "#5678 both end so",
            "#678 short",
            "#1 order",
            "hello #45678",
            "#99999 x",
            "",
        ] {
            let (asked, said) = chosen(&two, text);
            assert_eq!((asked.is_err(), said.as_deref()), (true, Some(text)));
        }
    }

    #[test]
    fn several_conversations_of_one_customer_are_no_question() {
        let same = [
            conversation("+31201234567", "31612345678", "Ana"),
            conversation("+31 20 1234567", "31612345678", "Ana B."),
        ];
        assert_eq!(
            chosen(&same, "#45678 is your order").1.as_deref(),
            Some("#45678 is your order")
        );
        assert_eq!(chosen(&same, "hi").0, Ok(0), "the newest");
        // One customer who wrote to two business numbers gets the reply from the right one.
        let two = [
            conversation("+31201234567", "31612345678", "Ana"),
            conversation("+31207654321", "31612345678", "Ana"),
        ];
        assert!(chosen(&two, "hi").0.is_err());
        assert_eq!(chosen(&two, "#3120765432131612345678 hi").0, Ok(1));
    }
}
