//! What people read: what happened, whom it concerns, and the command that tells more. Never a text, a
//! number or a name of a customer.

use handoffd_contract::Reason;

use crate::config::Trouble;

/// At most so many characters of a name that others chose.
const LONGEST: usize = 120;

/// One line.
#[must_use]
pub fn line(
    trouble: Trouble,
    (target, reason): (&str, &str),
    count: i64,
    session: Option<&str>,
) -> String {
    let (target, reason) = (plain(target), plain(reason));
    let known = Reason::parse(&reason);
    let is_known = known.is_some();
    let why = match known {
        Some(known) => format!("{reason} ({})", known.title()),
        None => reason,
    };
    let show = session.map(plain).filter(|session| !session.is_empty());
    let show = match show {
        Some(session) if count == 1 => format!("handoffd show {}", quoted(&session)),
        Some(session) => format!(
            "handoffd show {} (one of them), handoffd status",
            quoted(&session)
        ),
        None => "handoffd status".to_owned(),
    };
    let happened = match trouble {
        Trouble::Parked => format!(
            "{} a person in {target}: {why}",
            many(count, "needs", "need")
        ),
        Trouble::Webhooks => {
            let webhooks = if count == 1 { "webhook" } else { "webhooks" };
            format!("{count} {webhooks} of {target} could not be taken: {why}")
        }
        Trouble::Credential => format!("{target} does not accept the credential: {why}"),
        Trouble::Account if is_known => format!("{target} may not send: {why}"),
        Trouble::Account => format!("{target} is not as it must be: {why}"),
        Trouble::DeadLetters => {
            let events = if count == 1 { "event" } else { "events" };
            format!("{count} {events} by {target} could not be understood: {why}")
        }
        Trouble::Unattended => format!("{} nobody who has joined", many(count, "has", "have")),
    };
    let more = match trouble {
        Trouble::Credential => "handoffd check --live".to_owned(),
        Trouble::Account if !is_known => "handoffd check --live".to_owned(),
        Trouble::DeadLetters => "handoffd dead-letters list".to_owned(),
        _ => show,
    };
    format!("handoffd: {happened}. More: {more}")
}

/// The line that `handoffd notify --test` sends.
pub const TEST: &str = "handoffd: this is a test. More: handoffd status";

fn many(count: i64, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 conversation {one}"),
        many => format!("{many} conversations {several}"),
    }
}

/// A name on one line.
fn plain(text: &str) -> String {
    let text = text.chars().filter(|c| !c.is_control());
    text.take(LONGEST).collect()
}

/// An id as a shell takes it.
fn quoted(id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@/+=,".contains(c);
    match id.chars().all(is_plain) && !id.starts_with('-') {
        true => id.to_owned(),
        false => format!("'{}'", id.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_happened_to_whom_and_how_to_learn_more() {
        assert_eq!(
            line(Trouble::Parked, ("hubspot", "forbidden"), 1, Some("s-1")),
            "handoffd: 1 conversation needs a person in hubspot: forbidden (The account may not do this). More: handoffd show s-1"
        );
        let three = line(
            Trouble::Parked,
            ("hubspot", "forbidden"),
            3,
            Some("it's\n1"),
        );
        assert!(three.starts_with("handoffd: 3 conversations need a person"));
        assert!(
            three.ends_with(r"handoffd show 'it'\''s1' (one of them), handoffd status"),
            "{three}"
        );
        let letters = line(Trouble::DeadLetters, ("amqp", "undecodable"), 2, Some("s"));
        assert!(letters.contains("2 events by amqp"), "{letters}");
        assert!(letters.ends_with("handoffd dead-letters list"));
        let nobody = line(Trouble::Unattended, ("", ""), 1, Some("s-9"));
        assert_eq!(
            nobody,
            "handoffd: 1 conversation has nobody who has joined. More: handoffd show s-9"
        );
    }
}
