//! A conversation is found by whatever a person has at hand: its session, a telephone number in any spelling, an
//! e-mail address, the id of a record in a CRM or a link to it, a message's id on WhatsApp's side.
//!
//! What a person is known by does not belong into addresses, which browsers and proxies keep. Such a search
//! comes in a request's body, and an opaque word stands for it afterwards.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use handoffd_contract::{Contact, Data};

use super::mask;
use crate::ledger::view::{EventsWanted, words};
use crate::ledger::{LedgerError, ViewLedger};

/// The longest search.
pub const MAX_SEARCH: usize = 500;

/// So many conversations are found at the most.
pub const MAX_FOUND: usize = 200;

/// How long a word stands for a search.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// So many searches are remembered.
const MAX_REMEMBERED: usize = 1_000;

/// What a search begins with that was remembered.
const TOKEN: &str = "q-";

/// Of each of a customer's conversations, so many events are looked through for a message.
const LOOKED_THROUGH: usize = 400;

/// So many of a customer's conversations are looked through.
const LOOKED_INTO: usize = 10;

/// What somebody looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// A telephone number: its digits, without a leading zero.
    Phone(String),
    /// An e-mail address.
    Email(String),
    /// A message's id on WhatsApp's side.
    Message(String),
    /// A session by its number.
    Number(i64),
    /// A session's id, a record's id, or a link that holds one.
    Word(String),
}

impl Search {
    /// What a text looks for; `None` for an empty or overlong one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Search> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_SEARCH {
            return None;
        }
        if let Some(number) = text.strip_prefix('~') {
            return i64::from_str_radix(number, 16).ok().map(Search::Number);
        }
        if text.starts_with("wamid.") {
            return Some(Search::Message(text.to_owned()));
        }
        if is_link(text) {
            return Some(Search::Word(text.to_owned()));
        }
        if let Some((local, domain)) = text.split_once('@')
            && !local.is_empty()
            && domain.contains('.')
            && !text.contains(char::is_whitespace)
        {
            return Some(Search::Email(text.to_owned()));
        }
        Some(phone(text).map_or_else(|| Search::Word(text.to_owned()), Search::Phone))
    }

    /// Whether a person is known by it, so that it does not belong into an address.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        match self {
            Search::Phone(_) | Search::Email(_) | Search::Message(_) => true,
            Search::Word(text) => mask::hides_session(text, None),
            Search::Number(_) => false,
        }
    }
}

fn is_link(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// The digits of a telephone number in any spelling; `None` where it is none.
fn phone(text: &str) -> Option<String> {
    let spelt = |c: char| c.is_ascii_digit() || " +-()./\u{a0}".contains(c);
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let whole = text.starts_with('+') || text.starts_with("00");
    let spaced = text.contains(|c: char| " -()./\u{a0}".contains(c));
    // Bare digits of which few begin a number are more likely a record's id.
    let plausible = (words::DIGITS..=17).contains(&digits.len());
    let is_number = whole || spaced || text.starts_with('0') || (10..=15).contains(&digits.len());
    (plausible && is_number && text.chars().all(spelt))
        .then(|| digits.trim_start_matches('0').to_owned())
}

/// Searches that words stand for.
#[derive(Default)]
pub struct Remembered(Mutex<BTreeMap<String, (Instant, Search)>>);

impl Remembered {
    /// The word for a search.
    #[must_use]
    pub fn remember(&self, search: &Search) -> String {
        let word = format!("{TOKEN}{}", uuid::Uuid::new_v4().simple());
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (at, _)| now.duration_since(*at) < REMEMBERED);
        while all.len() >= MAX_REMEMBERED {
            let oldest = all.iter().min_by_key(|(_, (at, _))| *at);
            let Some(oldest) = oldest.map(|(word, _)| word.clone()) else {
                break;
            };
            all.remove(&oldest);
        }
        all.insert(word.clone(), (now, search.clone()));
        word
    }

    /// The search that a word stands for.
    #[must_use]
    pub fn recall(&self, word: &str) -> Option<Search> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, search) = all.get(word)?;
        (at.elapsed() < REMEMBERED).then(|| search.clone())
    }

    /// Whether a text is such a word.
    #[must_use]
    pub fn is_word(text: &str) -> bool {
        text.starts_with(TOKEN) && text.len() == TOKEN.len() + 32
    }
}

/// The sessions that a search leads to.
///
/// # Errors
/// The ledger cannot be read.
pub async fn find(ledger: &dyn ViewLedger, search: &Search) -> Result<Vec<String>, LedgerError> {
    match search {
        Search::Number(number) => Ok(ledger
            .session_numbered(*number)
            .await?
            .into_iter()
            .collect()),
        Search::Email(address) => {
            by_words(ledger, words::email(address).into_iter().collect()).await
        }
        Search::Phone(digits) => Ok(of_phone(ledger, digits).await?),
        Search::Message(id) => of_message(ledger, id).await,
        Search::Word(text) => of_word(ledger, text).await,
    }
}

async fn by_words(ledger: &dyn ViewLedger, words: Vec<String>) -> Result<Vec<String>, LedgerError> {
    let found = ledger.handled(&words, MAX_FOUND).await?;
    Ok(found.into_iter().map(|(session, _)| session).collect())
}

async fn of_phone(ledger: &dyn ViewLedger, digits: &str) -> Result<Vec<String>, LedgerError> {
    let Some(word) = words::phone(digits) else {
        return Ok(Vec::new());
    };
    let found = ledger.handled(&[word], MAX_FOUND).await?;
    let fits = |contact: &Contact| {
        let numbers = [&contact.phone, &contact.wa_id];
        numbers.into_iter().flatten().any(|number| {
            let known: String = number.chars().filter(char::is_ascii_digit).collect();
            // A number as it is dialled at home is the end of the whole one.
            known.ends_with(digits) || digits.ends_with(&known)
        })
    };
    let fitting = found
        .into_iter()
        .filter(|(_, contact)| contact.as_ref().is_some_and(fits));
    Ok(fitting.map(|(session, _)| session).collect())
}

/// A message of ours is a fact, others lead to their session. One from before that was so, or of before the
/// handoff, holds the customer's number in its id; their conversations are looked through for it.
async fn of_message(ledger: &dyn ViewLedger, id: &str) -> Result<Vec<String>, LedgerError> {
    let sent = ledger.session_with_fact(&[format!("wamid/{id}")]).await?;
    if sent.is_some() {
        return Ok(sent.into_iter().collect());
    }
    let said = by_words(ledger, vec![words::message(id)]).await?;
    if !said.is_empty() {
        return Ok(said);
    }
    let Some(digits) = digits_of(id) else {
        return Ok(Vec::new());
    };
    for session in of_phone(ledger, &digits)
        .await?
        .into_iter()
        .take(LOOKED_INTO)
    {
        let wanted = EventsWanted {
            newest: true,
            limit: LOOKED_THROUGH,
            bytes: 4 << 20,
            ..EventsWanted::default()
        };
        let events = ledger.session_events(&session, wanted).await?;
        if events.iter().any(|one| holds(&one.event.data, id)) {
            return Ok(vec![session]);
        }
    }
    Ok(Vec::new())
}

fn holds(data: &Data, id: &str) -> bool {
    match data {
        Data::MessageReceived(said) | Data::MessageSent(said) => said.message.id == id,
        Data::MessageStatus(status) => status.message_id.as_deref() == Some(id),
        Data::HandoffRequested(handoff) => handoff.transcript.iter().any(|said| said.id == id),
        _ => false,
    }
}

/// The customer's digits in a message's id: a length, then so many digits.
fn digits_of(id: &str) -> Option<String> {
    let encoded = id.strip_prefix("wamid.")?.trim_end_matches('=');
    // What stands behind the number does not matter, and need not be whole.
    let whole = encoded.get(..encoded.len().min(40) / 4 * 4)?;
    let bytes = STANDARD_NO_PAD
        .decode(whole)
        .or_else(|_| URL_SAFE_NO_PAD.decode(whole))
        .ok()?;
    let runs = bytes.split(|byte| !byte.is_ascii_digit());
    let longest = runs.max_by_key(|run| run.len())?;
    let digits = String::from_utf8(longest.to_vec()).ok()?;
    (digits.len() >= words::DIGITS).then_some(digits)
}

async fn of_word(ledger: &dyn ViewLedger, text: &str) -> Result<Vec<String>, LedgerError> {
    if ledger.number_of(text).await?.is_some() {
        return Ok(vec![text.to_owned()]);
    }
    let candidates: Vec<String> = if is_link(text) {
        let parts = text.split(|c: char| "/?&=#;".contains(c));
        let ids = parts.filter(|part| part.len() >= 3 && part.chars().any(|c| c.is_ascii_digit()));
        ids.map(words::record).collect()
    } else {
        vec![words::record(text)]
    };
    by_words(ledger, candidates).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_in_any_spelling() {
        for spelt in [
            "+49 171 2345678",
            "0049-171-2345678",
            "491712345678",
            "+49 (171) 234.56.78",
        ] {
            assert_eq!(
                Search::parse(spelt),
                Some(Search::Phone("491712345678".into())),
                "{spelt}"
            );
        }
        assert_eq!(
            Search::parse("0171/2345678"),
            Some(Search::Phone("1712345678".into()))
        );
        for other in [
            "4711",
            "12345678",
            "s-4711",
            "500xx0000012345",
            "2026-11-20a",
        ] {
            assert_eq!(
                Search::parse(other),
                Some(Search::Word(other.into())),
                "{other}"
            );
        }
    }

    #[test]
    fn what_a_person_is_known_by_does_not_belong_into_an_address() {
        let personal = |text: &str| Search::parse(text).map(|search| search.is_personal());
        for text in [
            "ana@example.com",
            "+49 171 2345678",
            "wamid.HBgMNDkxNzEyMzQ1Njc4",
        ] {
            assert_eq!(personal(text), Some(true), "{text}");
        }
        for text in [
            "s-4711",
            "~1f",
            "https://app.hubspot.com/contacts/1/ticket/22",
        ] {
            assert_eq!(personal(text), Some(false), "{text}");
        }
        assert_eq!((personal(" "), personal(&"x".repeat(501))), (None, None));
    }

    #[test]
    fn a_messages_id_holds_the_number() {
        let id = format!(
            "wamid.{}",
            STANDARD_NO_PAD.encode(b"\x1c\x18\x0c491712345678\x15\x02\x00\x12\x18\x20ABCDEF")
        );
        assert_eq!(digits_of(&id).as_deref(), Some("491712345678"));
        assert_eq!(digits_of("wamid.x"), None);
    }

    #[test]
    fn a_search_is_remembered_under_an_opaque_word() {
        let all = Remembered::default();
        let search = Search::Email("ana@example.com".into());
        let word = all.remember(&search);
        assert!(Remembered::is_word(&word) && !word.contains("ana"));
        assert_eq!(all.recall(&word), Some(search.clone()));
        for _ in 0..MAX_REMEMBERED {
            let _ = all.remember(&search);
        }
        assert_eq!(all.recall(&word), None, "the oldest are forgotten");
    }
}
