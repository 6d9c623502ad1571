//! Every status of every call.

use super::*;
use crate::errors::{LOOK_AGAIN, words};
use handoffd_contract::{HttpCall, Repeat, Settled};

fn step(name: &'static str, context: &Memo) -> Step {
    let context = serde_json::to_value(context).expect("context");
    Step::new(name, Repeat::Blind, HttpCall::get("/"))
        .claim("fact")
        .context(context)
}

fn context() -> Memo {
    Memo {
        fact: "fact".into(),
        value: "id-1".into(),
        current: "0Mw1".into(),
        optional: vec!["priority".into()],
        at: 7,
        ..Memo::default()
    }
}

fn reply(status: u16, body: &str) -> Reply {
    Reply::Http(HttpReply {
        status,
        headers: Vec::new(),
        body: body.into(),
    })
}

/// A verdict in one word, for tables.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Known(learned) => {
            let facts = learned.iter().map(|l| match &l.value {
                Some(Settled::Is(value)) if value == facts::FOR_SURE => format!("{}!", l.fact),
                Some(Settled::Is(value)) => format!("{}={value}", l.fact),
                Some(Settled::Refused(stop)) => format!("{} {}", l.fact, stop.reason.label()),
                None => format!("-{}", l.fact),
            });
            facts.collect::<Vec<_>>().join(" ")
        }
        Verdict::Absent => "absent".into(),
        Verdict::Later { stop, effect, .. } => {
            format!("later {} {effect:?}", stop.reason.label())
        }
        Verdict::Never(stop) => format!("never {}", stop.reason.label()),
    }
}

#[test]
fn every_status_of_a_send_is_classified() {
    for (status, body, expected) in [
        (202, "{}", "fact=id-1"),
        (200, "", "fact=id-1"),
        (202, "<html>login</html>", "later server-error Possible"),
        (
            202,
            "{\"conversationEntries\":[",
            "later server-error Possible",
        ),
        (302, "", "never invalid"),
        (400, "{\"message\":\"no\"}", "never invalid"),
        (401, "Jwt is expired", "later unauthorized None"),
        (403, "", "-fact ended/0Mw1! answered/0Mw1=7"),
        (404, "", "never not-found"),
        (408, "", "later server-error Possible"),
        (409, "", "fact=id-1"),
        (412, "", "later waiting None"),
        (413, "", "never too-large"),
        (415, "", "never invalid"),
        (417, "", "-fact ended/0Mw1! answered/0Mw1=7"),
        (422, "", "never invalid"),
        (423, "", "never invalid"),
        (429, "", "later conversation-limited None"),
        (500, "<html>", "later server-error Possible"),
        (503, "", "later server-error Possible"),
        (504, "", "later server-error Possible"),
        (0, "", "later server-error Possible"),
    ] {
        let verdict = read(&step("message.send", &context()), &reply(status, body));
        assert_eq!(word(&verdict), expected, "{status} {body}");
    }
}

#[test]
fn a_send_in_a_new_session_or_of_a_file_is_read_otherwise() {
    let new = Memo {
        new_session: true,
        ended: vec![("followed/0Mw1".into(), "7".into())],
        generation: 2,
        ..context()
    };
    let replaceable = Memo {
        may_replace: true,
        ..new.clone()
    };
    let file = Memo {
        fallback: Some("fact".into()),
        ..context()
    };
    let transcript = Memo {
        fallback: Some("transcript/h1".into()),
        ..context()
    };
    let new_file = Memo {
        new_session: true,
        ..file.clone()
    };
    for (context, status, expected) in [
        (&new, 417, "later session-ended None"),
        (&new, 403, "never forbidden"),
        (&new, 404, "never not-found"),
        (
            &replaceable,
            403,
            "-fact -conversation generation=3 followed/0Mw1=7",
        ),
        (
            &replaceable,
            404,
            "-fact -conversation generation=3 followed/0Mw1=7",
        ),
        (&file, 400, "fact invalid"),
        (&file, 413, "fact too-large"),
        (&file, 415, "fact unsupported"),
        (&file, 403, "-fact ended/0Mw1! answered/0Mw1=7"),
        (&file, 404, "never not-found"),
        (&new_file, 403, "fact invalid"),
        (&transcript, 415, "-fact transcript/h1 unsupported"),
    ] {
        let verdict = read(&step("file.send", context), &reply(status, ""));
        assert_eq!(word(&verdict), expected, "{status} of {context:?}");
    }
    for (problem, expected) in [
        (MediaProblem::Gone, "fact media-unavailable"),
        (MediaProblem::TooLarge, "fact too-large"),
        (MediaProblem::Forbidden, "fact forbidden"),
        (MediaProblem::Unreachable, "later media-unavailable None"),
    ] {
        assert_eq!(
            word(&read(&step("file.send", &file), &Reply::Media(problem))),
            expected
        );
    }
}

#[test]
fn the_other_calls_are_classified() {
    let found = r#"{"conversationEntries":[{"identifier":"id-0"},{"identifier":"id-1"}]}"#;
    for (name, status, body, expected) in [
        ("conversation.create", 201, "{}", "fact=id-1"),
        ("conversation.create", 409, "", "fact=id-1"),
        (
            "conversation.create",
            400,
            "{\"message\":\"wrong org\"}",
            "never invalid",
        ),
        (
            "conversation.create",
            400,
            "{\"message\":\"priority_x is wrong\"}",
            "never invalid",
        ),
        (
            "conversation.create",
            400,
            "{\"message\":\"value of priority too long\"}",
            "-fact refused/priority=400: value of priority too long",
        ),
        ("conversation.create", 403, "", "never forbidden"),
        ("conversation.create", 404, "", "never not-found"),
        (
            "conversation.create",
            503,
            "",
            "later server-error Possible",
        ),
        ("message.look", 200, found, "fact=id-1"),
        ("message.look", 200, "{\"conversationEntries\":[]}", "-fact"),
        ("message.look", 200, "{}", "later server-error None"),
        ("message.look", 200, "", "later server-error None"),
        ("message.look", 404, "", "-fact"),
        ("message.look", 400, "", "never invalid"),
        ("message.look", 429, "", "later conversation-limited None"),
        ("session.end", 429, "", "later conversation-limited None"),
        ("conversation.create", 429, "", "later rate-limited None"),
        ("session.end", 204, "", "fact=id-1 ended/0Mw1!"),
        ("session.end", 404, "", "fact=id-1 ended/0Mw1!"),
        ("session.end", 400, "", "never invalid"),
        ("reply.acknowledge", 202, "{}", "fact=id-1"),
        ("reply.acknowledge", 404, "", "fact invalid"),
        ("reply.acknowledge", 401, "", "later unauthorized None"),
        ("surprise", 200, "", "never bug"),
    ] {
        let verdict = read(&step(name, &context()), &reply(status, body));
        assert_eq!(word(&verdict), expected, "{name} {status} {body}");
    }
    let no_memo = Step::look("message.look", HttpCall::get("/"));
    assert_eq!(word(&read(&no_memo, &reply(200, ""))), "never bug");
}

#[test]
fn words_are_theirs_and_short() {
    let http = |status, body: &str| HttpReply {
        status,
        headers: Vec::new(),
        body: body.into(),
    };
    assert_eq!(
        words(&http(
            400,
            "{\"code\":\"BAD_REQUEST\",\"message\":\"Specify the language.\"}"
        )),
        "400: Specify the language."
    );
    assert_eq!(words(&http(401, "Jwt is expired")), "401: Jwt is expired");
    assert_eq!(
        words(&http(502, "<html><body>proxy</body></html>")),
        "answered 502"
    );
    assert!(words(&http(400, &"x".repeat(10_000))).len() <= Stop::MAX_MESSAGE);
    let Verdict::Later { after, .. } = read(
        &step("message.look", &context()),
        &Reply::Http(HttpReply {
            status: 429,
            headers: vec![("retry-after".into(), "1".into())],
            body: Vec::new(),
        }),
    ) else {
        panic!("a 429 is tried again")
    };
    assert_eq!(after, Some(LOOK_AGAIN));
}
