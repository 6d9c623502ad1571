//! What must be true of everything that parses, whatever it is given. The property tests ask with
//! cases that are nearly right, `tests/fuzz` with whatever reaches more of the code.

use std::collections::BTreeMap;
use std::net::IpAddr;

use handoffd::config::Limits;
use handoffd::intake::{Incoming, Warning, decode, read};
use handoffd::mapping::dialect::Dialect;
use handoffd::mapping::{Input, Mapping, exit};
use handoffd::relay::webhooks::Verifier;
use handoffd::wire::credential::signing_key;
use handoffd::wire::policy::{Policy, is_public};
use handoffd::wire::sse::{Found, Parser, TooLarge};
use handoffd_contract::{
    Data, Event, Frame, FrameContent, InboundKind, Reason, Refusal, Reply, Secret, Settled, Step,
    Stop, Verdict, WebhookAuth,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use url::Host;

use crate::played::Played;

/// Reads that one frame may ask for; the engine follows 200.
const MAX_FETCH: usize = 2_000;
/// Bytes of one field's value, whatever its template does.
const MAX_VALUE: usize = 1024 * 1024;

/// Either an event that is within every limit, or a reason that says where without repeating
/// anything.
pub fn event(incoming: &Incoming) -> Result<Event, Stop> {
    let limits = Limits::default();
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(500_000);
    let read = read(incoming, &limits, now);
    if let Ok(read) = &read {
        warned(&read.event, &read.warnings);
    }
    let outcome = read.map(|read| read.event);
    match &outcome {
        Ok(event) => {
            let text = serde_json::to_string(event).unwrap();
            assert!(text.len() <= 3 * limits.max_event_bytes);
            // What was admitted is read again from the ledger.
            assert_eq!(&serde_json::from_str::<Event>(&text).unwrap(), event);
        }
        Err(stop) => {
            bounded(stop);
            assert!(!stop.message.contains("<script>"), "{}", stop.message);
            assert!(
                !stop.message.contains(|c: char| c.is_control()),
                "{:?}",
                stop.message
            );
            // Kept as a dead letter and tried again, it is what it was.
            let again = Incoming::of_dead_letter(incoming.clone().dead_letter(stop.clone()));
            assert_eq!(decode(&again, &limits, now).as_ref(), Err(stop));
        }
    }
    outcome
}

/// Warnings are few, short, without what was written, and counted under a closed list of fields.
fn warned(event: &Event, warnings: &[Warning]) {
    assert_eq!(event.warnings.len(), warnings.len());
    assert!(warnings.len() <= 51, "{}", warnings.len());
    for one in warnings {
        assert!(one.text.chars().count() <= 2_000, "{}", one.text.len());
        assert!(!one.text.contains("<script>alert"), "{}", one.text);
        assert!(
            !one.text.contains(|c: char| c.is_control()),
            "{:?}",
            one.text
        );
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:[]*".contains(c);
        assert!(one.field.chars().all(plain), "{:?}", one.field);
        assert!(one.field.len() <= 80, "{:?}", one.field);
    }
}

/// An event that tells whom it is about and which session it belongs to is taken, whatever else is
/// in it.
pub fn taken(incoming: &Incoming) {
    if let Err(stop) = event(incoming) {
        let too_large = stop.reason == Reason::LimitExceeded;
        let is_json = serde_json::from_slice::<serde_json::Value>(&incoming.body).is_ok();
        assert!(too_large || !is_json, "{stop:?}");
    }
}

/// What a connector hears is a function of the frame, is bounded, and can be recognised again.
pub fn frame(played: &Played, frame: &Frame<'_>) {
    let heard = played.connector.hear(frame);
    assert_eq!(played.connector.hear(frame), heard, "a function");
    match heard {
        Ok(FrameContent {
            heard,
            fetch,
            skipped,
            ..
        }) => {
            assert!(fetch.len() <= MAX_FETCH, "{} reads", fetch.len());
            assert!(skipped.is_none_or(|why| why.chars().count() <= 1_000));
            for one in heard {
                assert!(!one.id.is_empty(), "a repeat could not be recognised");
                if let InboundKind::Replied(reply) = one.kind {
                    assert!(!reply.message_id.is_empty());
                }
            }
        }
        Err(Refusal::Park(stop)) => {
            assert!(
                matches!(
                    stop.reason,
                    Reason::Undecodable
                        | Reason::Unmatched
                        | Reason::Forbidden
                        | Reason::NotFound
                        | Reason::Invalid
                        | Reason::Bug
                ),
                "{stop:?}"
            );
            assert!(!stop.message.contains("<script>"), "{stop:?}");
        }
        Err(Refusal::Hold { .. }) => {}
    }
}

/// The statuses beside 2xx after which a claimed fact may be known, and why.
fn documented(kind: &str, status: u16) -> bool {
    match kind {
        // 409: the record that we asked for, under an id that only we derive, is there.
        "salesforce" => matches!(status, 400..=499),
        // 409 and a 500 whose text says `duplicate key`: the same.
        "creatio" => matches!(status, 400..=500),
        // An error proves that nothing was sent, or refuses it for good.
        "whatsapp" => false,
        _ => matches!(status, 400..=499),
    }
}

/// What a reply proves is a function of step and reply, is bounded, and is no more than its status
/// says.
pub fn reply(played: &Played, step: &Step, reply: &Reply) {
    let verdict = played.connector.read(step, reply);
    assert_eq!(played.connector.read(step, reply), verdict, "a function");
    match &verdict {
        Verdict::Known(learned) => {
            let Reply::Http(http) = reply else { return };
            let proven = learned.iter().any(|fact| {
                fact.value.as_ref().and_then(Settled::value).is_some()
                    && step.claims.iter().any(|claim| claim.fact == fact.fact)
            });
            assert!(
                !proven || http.ok() || documented(played.kind, http.status),
                "{} {} answered {}: {learned:?}",
                played.kind,
                step.name,
                http.status
            );
            let size: usize = learned
                .iter()
                .map(|fact| match &fact.value {
                    Some(Settled::Is(value)) => value.len(),
                    Some(Settled::Refused(stop)) => {
                        bounded(stop);
                        stop.message.len()
                    }
                    None => 0,
                })
                .sum();
            assert!(size <= 400_000, "{size} bytes of facts");
        }
        Verdict::Later { stop, after, .. } => {
            bounded(stop);
            assert!(
                after.is_none_or(|after| after.as_secs() <= 86_400),
                "{after:?}"
            );
        }
        Verdict::Never(stop) => bounded(stop),
        Verdict::Absent => {}
    }
}

fn bounded(stop: &Stop) {
    assert!(!stop.message.is_empty(), "{stop:?}");
    assert!(stop.message.chars().count() <= Stop::MAX_MESSAGE);
}

/// The same events however the bytes are cut.
pub fn cut_stream<'a>(bytes: &[u8], cut: impl IntoIterator<Item = &'a [u8]>) {
    const MAX: usize = 10_000;
    let expected = pieces([bytes], MAX);
    assert_eq!(pieces(bytes.chunks(1), MAX), expected, "byte by byte");
    assert_eq!(pieces(cut, MAX), expected, "cut elsewhere");
}

/// Never more of a stream in memory than allowed.
pub fn bounded_stream(bytes: &[u8], max: usize) {
    let (found, end) = pieces(bytes.chunks(1), max);
    for found in found {
        let Found::Event(event) = found else { continue };
        // What is not UTF-8 is shown as a mark of three bytes.
        assert!(event.data.len() <= 3 * (max + 1), "{}", event.data.len());
        assert!(event.id.len() <= 3 * max && event.event.len() <= 3 * max.max(7));
    }
    if let Ok(rest) = end {
        assert!(rest.len() <= 3 * max);
    }
}

fn pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    max: usize,
) -> (Vec<Found>, Result<String, TooLarge>) {
    let mut parser = Parser::new(max);
    let mut found = Vec::new();
    for piece in pieces {
        match parser.feed(piece) {
            Ok(more) => found.extend(more),
            Err(error) => return (found, Err(error)),
        }
    }
    (found, Ok(parser.rest()))
}

/// Whatever is admitted is https, names no user, and is no private address in any form.
pub fn address(address: &str) {
    let policy = Policy {
        allow_hosts: Vec::new(),
        allow_private: false,
    };
    let Ok(url) = policy.check(address) else {
        return;
    };
    assert_eq!(url.scheme(), "https");
    assert!(url.username().is_empty() && url.password().is_none());
    match url.host().unwrap() {
        Host::Ipv4(ip) => assert!(is_public(ip.into()), "{url}"),
        Host::Ipv6(ip) => assert!(is_public(ip.into()), "{url}"),
        Host::Domain(name) => assert!(name.parse::<IpAddr>().is_err(), "{url}"),
    }
}

/// A key is taken, or refused without a word of it.
pub fn key(text: &str) {
    if let Err(words) = signing_key(&SecretString::from(text)) {
        assert!(words.len() < 120 && !words.contains("MII"), "{words}");
    }
}

/// A file of a gateway's: what it sends, or how it is called. What is wrong is told by line or place, and a
/// dialect's own tests end.
pub fn gateway_file(text: &str) -> Result<(), String> {
    if exit::is_one(text) {
        return exit::judge(text).map(|_| ()).map_err(|problems| {
            assert!(problems.iter().all(|words| !words.is_empty()) && !problems.is_empty());
            problems.join("\n")
        });
    }
    let lines = text.lines().count() + 1;
    let dialect = Dialect::parse("d.toml", text).map_err(|problems| {
        assert!(!problems.is_empty());
        for problem in &problems {
            assert!(!problem.message.is_empty());
            assert!(problem.line <= lines, "{problem:?} of {lines} lines");
        }
        format!("{problems:?}")
    })?;
    let outcomes = dialect.run_tests();
    let failed: Vec<String> = outcomes.into_iter().flat_map(|one| one.failures).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n"))
    }
}

/// A mapping is read, or refused with lines that are there; one that was read renders every handoff
/// or says why not, without a value of the event.
pub fn mapping(text: &str, events: &[Event]) {
    let lines = text.lines().count() + 1;
    let mapping = match Mapping::parse("m.toml", text) {
        Ok(mapping) => mapping,
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(!problem.message.is_empty());
                assert!(problem.line <= lines, "{problem:?} of {lines} lines");
            }
            return;
        }
    };
    let _ = mapping.run_tests();
    for event in events {
        let Data::HandoffRequested(handoff) = &event.data else {
            continue;
        };
        let input = Input {
            event,
            session: &handoff.session,
            contact: &handoff.contact,
            target: "crm",
        };
        match mapping.render(1, &input) {
            Ok(rendered) => {
                let again = mapping.render(1, &input);
                assert_eq!(again.as_ref(), Ok(&rendered), "a function");
                for value in rendered
                    .sections
                    .values()
                    .flat_map(|fields| fields.values())
                {
                    let size = value.as_str().map_or(0, str::len);
                    assert!(size <= MAX_VALUE, "{size} bytes");
                }
            }
            Err(problem) => {
                assert!(!problem.message.is_empty());
                assert!(!problem.message.contains("<script>"), "{problem:?}");
            }
        }
    }
}

/// A door of each kind, with these secrets.
pub fn doors(secret: impl Fn(&str) -> Option<SecretString>) -> BTreeMap<String, Verifier> {
    let named = |name: &str| Secret(name.into());
    let token = named("token");
    let hubspot = WebhookAuth::HubSpotV3 {
        secret: named("client"),
        public_url: "https://hooks.example.test/webhooks/hubspot".into(),
        token: token.clone(),
    };
    let whatsapp = WebhookAuth::MetaSha256 {
        secrets: vec![named("app"), named("old")],
        verify_token: named("verify"),
    };
    [
        ("creatio", WebhookAuth::PathToken { token }),
        ("hubspot", hubspot),
        ("whatsapp", whatsapp),
    ]
    .into_iter()
    .map(|(name, auth)| (name.to_owned(), Verifier::new(auth, &secret).unwrap()))
    .collect()
}
