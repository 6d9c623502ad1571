//! The shipped mappings, wrong mappings with the exact problem each gets, values that do not fit, and
//! what the commands print.

use std::path::{Path, PathBuf};

use handoffd::mapping::{Input, Mapping, MappingProblem, bare, commands, sample};
use handoffd_contract::{Data, Event, Rendered};
use serde_json::{Value, json};

const KINDS: [&str; 4] = ["salesforce", "hubspot", "creatio", "whatsapp"];

fn shipped(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("mappings")
        .join(format!("{kind}.toml"))
}

fn render(mapping: &Mapping, event: &Event) -> Result<Rendered, MappingProblem> {
    let Data::HandoffRequested(handoff) = &event.data else {
        panic!("a handoff")
    };
    mapping.render(
        7,
        &Input {
            event,
            session: &handoff.session,
            contact: &handoff.contact,
            target: "hub",
        },
    )
}

#[test]
fn the_shipped_mappings_are_right_and_pass_their_tests() {
    let files = KINDS.map(shipped);
    let checked = commands::check(&files);
    assert!(checked.ok, "{}", checked.text);
    let tested = commands::test(&files);
    assert!(tested.ok, "{}", tested.text);
    for kind in KINDS {
        let text = std::fs::read_to_string(shipped(kind)).expect("a file");
        let mapping = Mapping::parse(kind, &text).expect("a mapping");
        assert_eq!(mapping.kind(), kind);
        assert!(mapping.run_tests().len() >= 2, "{kind} has its tests");
        assert!(
            render(&mapping, &sample())
                .expect("rendered")
                .notes
                .is_empty()
        );
        assert_eq!(render(&mapping, &bare()).expect("rendered").version, 7);
    }
}

#[test]
fn each_wrong_mapping_gets_its_problem() {
    let hub = |rest: &str| format!("kind = \"hubspot\"\n{rest}");
    let keys = "value, when, default, map, map_default, type, max, too_long, misfit, required, on";
    let contact = "name, first_name, last_name, display_name, phone, e164, wa_id, user_id, username, email, key, external_ids";
    let tests = "name, sample, event, change, without, expect, absent, parks, language";
    let test = |rest: &str| hub(&format!("ticket.subject = \"x\"\n[[test]]\n{rest}"));
    let table: Vec<(String, Vec<String>)> = vec![
        ("kind = \"hubspot".into(), vec!["m.toml:1: not TOML: invalid basic string, expected `\"`".into()]),
        ("x = 1\nx = 2".into(), vec!["m.toml:2: not TOML: duplicate key".into()]),
        (
            "[ticket]\nsubject = \"x\"".into(),
            vec!["m.toml:1: kind: not set; write one of salesforce, hubspot, creatio, whatsapp".into()],
        ),
        (
            "kind = \"hubspt\"".into(),
            vec!["m.toml:1: kind: unknown (did you mean `hubspot`?); write one of salesforce, hubspot, creatio, whatsapp".into()],
        ),
        (
            hub("\n[tickets]\nsubject = \"x\""),
            vec!["m.toml:3: tickets: unknown section (did you mean `ticket`?); hubspot has: ticket, contact, and [[test]]".into()],
        ),
        (
            hub("name = \"x\""),
            vec!["m.toml:2: name: unknown section; hubspot has: ticket, contact, and [[test]]".into()],
        ),
        (
            hub("[ticket.subject]\nmax = 5"),
            vec!["m.toml:2: ticket.subject: has no `value`; write value = \"{{ … }}\"".into()],
        ),
        (
            hub("[ticket.subject]\nvalue = \"x\"\nmaxx = 5\nwhem = \"x\""),
            vec![
                format!("m.toml:4: ticket.subject: unknown key `maxx` (did you mean `max`?); known are: {keys}"),
                format!("m.toml:5: ticket.subject: unknown key `whem` (did you mean `when`?); known are: {keys}"),
            ],
        ),
        (
            hub("[ticket]\n\"my subject\" = \"x\""),
            vec!["m.toml:3: ticket.(a key of 10 characters): not a field's name; use letters, digits and _".into()],
        ),
        (
            hub("[ticket]\nsubject = { value = {} }"),
            vec!["m.toml:3: ticket.subject: `value` has texts by language and none for the others; add default = \"…\"".into()],
        ),
        (
            hub("[ticket.subject]\nvalue = \"x\"\nmax = 0\ntoo_long = \"cut\"\nmisfit = \"truncate\"\nrequired = \"yes\"\ntype = \"txt\""),
            vec![
                "m.toml:4: ticket.subject: `max` must be from 1 to 131072".into(),
                "m.toml:5: ticket.subject: `too_long` must be one of truncate, drop, park".into(),
                "m.toml:6: ticket.subject: `misfit` must be one of drop, park".into(),
                "m.toml:7: ticket.subject: `required` must be true or false".into(),
                "m.toml:8: ticket.subject: `type` must be one of text, number, bool, date, datetime, id (did you mean `text`?)".into(),
            ],
        ),
        (
            hub("[ticket.owner]\nvalue = \"x\"\ntype = \"id\"\ntoo_long = \"truncate\""),
            vec!["m.toml:5: ticket.owner: `too_long` must be one of drop, park".into()],
        ),
        (
            hub("[ticket.p]\nvalue = \"x\"\nmap = [\"a\"]\nmap_default = []"),
            vec![
                "m.toml:4: ticket.p: `map` must be a table, such as { angry = \"HIGH\" }".into(),
                "m.toml:5: ticket.p: `map_default` must be a text, a number or a boolean".into(),
            ],
        ),
        (
            hub("[ticket.p]\nvalue = \"x\"\nmap_default = \"y\""),
            vec!["m.toml:2: ticket.p: `map_default` has no effect without `map`".into()],
        ),
        (
            hub("[ticket.subject]\nvalue = \"{{ contact.nmae }}\""),
            vec![format!("m.toml:3: ticket.subject: `contact.nmae` is unknown (did you mean `name`?); known are: {contact}")],
        ),
        (
            hub("[ticket.subject]\nvalue = \"\"\"\nfirst\n  {{ topic }}\n\"\"\""),
            vec!["m.toml:5: ticket.subject: `topic` is unknown; known are: session, contact, handoff, event, notice, counts, transcript, transcript_text, fields, target".into()],
        ),
        (
            hub("[ticket]\nsubject = \"\"\"{{ 1 }}\n{{ handoff.topic | shout }}\"\"\""),
            vec!["m.toml:4: ticket.subject: the filter `shout` is unknown; known are: capitalize, date, default, digits, first, float, html, int, items, join, last, length, lid, lower, moment, phone, plain, plus, replace, round, split, string, times, trim, truncate, upper".into()],
        ),
        (
            hub("[ticket]\nsubject = '{{ contact.name '"),
            vec!["m.toml:3: ticket.subject: is not a template: unexpected end of input, expected end of variable block".into()],
        ),
        (
            hub("[ticket]\nsubject = '''\na\n{% if contact.name %}\n'''"),
            vec!["m.toml:5: ticket.subject: is not a template: unexpected end of input, expected end of block".into()],
        ),
        (
            hub("[ticket]\nsubject = '{% set x = 1 %}'"),
            vec!["m.toml:3: ticket.subject: the statement `set` is not available; these are: if, elif, else, for".into()],
        ),
        (
            hub("[ticket]\nsubject = '{{ contact.name * 1000 }}'"),
            vec!["m.toml:3: ticket.subject: `*` is not available; write `| times(n)`".into()],
        ),
        (
            hub("[ticket.subject]\nvalue = 'x'\nwhen = '{{ handoff.topic }}'"),
            vec!["m.toml:4: ticket.subject: write the condition without delimiters, such as handoff.sentiment == \"angry\"".into()],
        ),
        (
            hub("[ticket.subject]\nvalue = 'x'\ndefault = '{{ a }}'"),
            vec!["m.toml:4: ticket.subject: `a` is unknown; known are: session, contact, handoff, event, notice, counts, transcript, transcript_text, fields, target".into()],
        ),
        (
            hub("[ticket]\nsubject = '{{ (transcript | last).text }}'"),
            vec!["m.toml:3: ticket.subject: fails for a handoff with no optional part: uses something that is not there; guard it, such as {% if handoff.topic %}…{% endif %}".into()],
        ),
        (
            hub("[ticket]\nsubject = '{% for m in transcript %}{{ m.txet }}{% endfor %}'"),
            vec!["m.toml:3: ticket.subject: fails for the full sample: `message.txet` is unknown (did you mean `text`?); known are: attachments, author, author_name, body, id, line, location, text, time".into()],
        ),
        (
            hub("[ticket]\nsubject = '{{ contact.name | int }}'"),
            vec!["m.toml:3: ticket.subject: fails for the full sample: a number is expected".into()],
        ),
        (
            hub("[ticket]\nsubject = '{{ event.time | date(\"%\") }}'"),
            vec!["m.toml:3: ticket.subject: fails for the full sample: the format of `date` is not one that strftime knows".into()],
        ),
        (
            hub("[ticket]\nsubject = '{{ contact }}'"),
            vec!["m.toml:3: ticket.subject: fails for the full sample: a table cannot be written as a text; write one of its entries".into()],
        ),
        (test("nme = \"a\""), vec![format!("m.toml:3: test \"test\": unknown key `nme` (did you mean `name`?); known are: {tests}")]),
        (test("name = \"a\""), vec!["m.toml:3: test \"a\": expects nothing; write `expect`, `absent` or `parks`".into()]),
        (
            test("name = \"a\"\nexpect.ticket.subjekt = \"x\""),
            vec!["m.toml:3: test \"a\": the mapping has no field ticket.subjekt (did you mean `ticket.subject`?)".into()],
        ),
        (
            test("name = \"a\"\nchange.contact.nmae = \"x\"\nexpect.ticket.subject = \"x\""),
            vec!["m.toml:3: test \"a\": `change`: an event has no contact.nmae".into()],
        ),
        (
            test("name = \"a\"\nwithout = [\"contact.fax\"]\nexpect.ticket.subject = \"x\""),
            vec!["m.toml:3: test \"a\": `without`: the event has no contact.fax".into()],
        ),
        (
            test("name = \"a\"\nevent.id = \"x\"\nexpect.ticket.subject = \"x\""),
            vec!["m.toml:3: test \"a\": not an event: missing field `source`".into()],
        ),
    ];
    assert!(table.len() >= 30);
    let mut wrong = String::new();
    for (text, expected) in table {
        let problems = Mapping::parse("m.toml", &text).err().unwrap_or_default();
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if found != expected {
            wrong.push_str(&format!(
                "{text}\n  found {found:#?}\n  expected {expected:#?}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The value, note or problem of `ticket.f` for the full sample.
fn outcome(field: &str) -> Result<(Option<Value>, Vec<String>), String> {
    let text = format!("kind = \"hubspot\"\n[ticket.f]\n{field}");
    let mapping =
        Mapping::parse("m.toml", &text).unwrap_or_else(|problems| panic!("{field}: {problems:?}"));
    let mut rendered = render(&mapping, &sample()).map_err(|problem| problem.to_string())?;
    let value = rendered
        .sections
        .remove("ticket")
        .and_then(|mut section| section.remove("f"));
    Ok((value, rendered.notes))
}

#[test]
fn values_fit_or_are_cut_dropped_or_parked() {
    let fits = |value: Value| Ok((Some(value), vec![]));
    let dropped = |note: &str| Ok((None, vec![note.to_owned()]));
    let out = || Ok((None, vec![]));
    let parks = |message: &str| Err(message.to_owned());
    for (field, expected) in [
        (
            "value = \"{{ handoff.topic }}\"",
            fits(json!("Refund for order 8812")),
        ),
        ("value = 5", fits(json!("5"))),
        ("value = \"{{ fields.nobody }}\"", out()),
        (
            "value = \"{{ fields.nobody }}\"\ndefault = \"{{ session.channel }}\"",
            fits(json!("whatsapp")),
        ),
        (
            "value = \"{{ fields.nobody }}\"\nrequired = true",
            parks("m.toml:3: ticket.f: is required, but its value is empty and it has no default"),
        ),
        (
            "value = \"x\"\nwhen = \"handoff.sentiment == 'happy'\"",
            out(),
        ),
        (
            "value = \"x\"\nwhen = \"handoff.sentiment == 'angry'\"",
            fits(json!("x")),
        ),
        (
            "value = \"{{ fields.category }}\"\nmap = { Refund = \"R\" }",
            fits(json!("R")),
        ),
        (
            "value = \"{{ fields.category }}\"\nmap = { a = \"A\" }",
            dropped("ticket.f was left out: \"refund\" is not among the values of `map`."),
        ),
        (
            "value = \"{{ fields.category }}\"\nmap = { a = \"A\" }\nmap_default = \"Z\"",
            fits(json!("Z")),
        ),
        (
            "value = \"{{ fields.category }}\"\nmap = { a = \"A\" }\nmisfit = \"park\"",
            parks("m.toml:3: ticket.f: its value is not among the values of `map`"),
        ),
        (
            "value = \"{{ fields.vip }}\"\nmap = { true = \"gold\" }",
            fits(json!("gold")),
        ),
        (
            "value = \"1234567890\"\nmax = 5",
            Ok((
                Some(json!("1234…")),
                vec!["ticket.f was shortened from 10 to 5 characters.".into()],
            )),
        ),
        (
            "value = \"😀😀😀\"\nmax = 5",
            Ok((
                Some(json!("😀😀…")),
                vec!["ticket.f was shortened from 6 to 5 characters.".into()],
            )),
        ),
        (
            "value = \"1234567890\"\nmax = 5\ntoo_long = \"drop\"",
            dropped("ticket.f was left out: 10 characters, 5 fit."),
        ),
        (
            "value = \"1234567890\"\nmax = 5\ntoo_long = \"park\"",
            parks("m.toml:3: ticket.f: has 10 characters, but only 5 fit"),
        ),
        (
            "value = \"{{ fields.amount }}\"\ntype = \"number\"",
            fits(json!(129.9)),
        ),
        (
            "value = \"{{ fields.order_id }}\"\ntype = \"number\"",
            fits(json!(8812)),
        ),
        (
            "value = \"{{ fields.category }}\"\ntype = \"number\"",
            dropped("ticket.f was left out: \"refund\" is not a number."),
        ),
        (
            "value = \"{{ fields.category }}\"\ntype = \"number\"\nmisfit = \"park\"",
            parks("m.toml:3: ticket.f: its value is not a number"),
        ),
        (
            "value = \"inf\"\ntype = \"number\"",
            dropped("ticket.f was left out: \"inf\" is not a number."),
        ),
        (
            "value = \"{{ fields.vip }}\"\ntype = \"bool\"",
            fits(json!(true)),
        ),
        (
            "value = \"perhaps\"\ntype = \"bool\"",
            dropped("ticket.f was left out: \"perhaps\" is not true or false."),
        ),
        (
            "value = \"{{ fields.purchase_date }}\"\ntype = \"date\"",
            fits(json!("2026-11-12")),
        ),
        (
            "value = \"{{ event.time }}\"\ntype = \"date\"",
            fits(json!("2026-11-20")),
        ),
        (
            "value = \"{{ fields.purchase_date }}\"\ntype = \"datetime\"",
            fits(json!("2026-11-12T00:00:00Z")),
        ),
        (
            "value = \"soon\"\ntype = \"date\"",
            dropped("ticket.f was left out: \"soon\" is not a date such as 2026-11-20."),
        ),
        (
            "value = \"a b\"\ntype = \"id\"",
            dropped("ticket.f was left out: \"a b\" is not an id (letters, digits and -_.:)."),
        ),
        (
            "value = [\"{{ contact.e164 }}\", \"{reply}\", \"{{ fields.nobody }}\"]",
            fits(json!(["+4915112345678", "{reply}", ""])),
        ),
        ("value = \"  a\\u0000\\u0007b\\r\\n \"", fits(json!("ab"))),
        (
            "value = \"{{ counts.messages }}/{{ counts.customer_messages }}/{{ counts.attachments }} {{ target }}\"",
            fits(json!("7/5/3 hub")),
        ),
        (
            "value = \"{% for m in transcript %}{% if m.author == 'customer' %}{{ m.attachments }};{% endif %}{% endfor %}\"",
            fits(json!(";caja rota.jpg;voice-note-a2.ogg;Factura 8812.pdf;;")),
        ),
        (
            "value = \"{{ contact.name | html }}\"",
            fits(json!("Ana María &quot;Anita&quot; &lt;López&gt; 🌸")),
        ),
    ] {
        assert_eq!(outcome(field), expected, "{field}");
    }
}

#[test]
fn a_first_message_is_rendered_with_what_is_known_of_session_and_contact() {
    let event: Event = serde_json::from_value(json!({
        "id": "1", "source": "s", "subject": "wa-1", "time": "2026-11-20T10:00:00Z", "type": "message.received",
        "data": { "message": { "id": "m", "time": "2026-11-20T10:00:00Z", "author": { "kind": "customer" }, "text": "hi" } },
    }))
    .expect("an event");
    let Data::HandoffRequested(handoff) = sample().data else {
        panic!("a handoff")
    };
    let text = "kind = \"creatio\"\n[case]\nSubject = \"{{ contact.display_name }}: {{ transcript_text }}{{ handoff.topic }}\"";
    let mapping = Mapping::parse("m.toml", text).expect("a mapping");
    let input = Input {
        event: &event,
        session: &handoff.session,
        contact: &handoff.contact,
        target: "t",
    };
    let rendered = mapping.render(1, &input).expect("rendered");
    assert_eq!(
        rendered.text("case", "Subject").as_deref(),
        Some(
            "Ana María \"Anita\" <López> 🌸: 2026-11-20 10:00:00Z Customer (Ana María \"Anita\" <López> 🌸): hi"
        )
    );
}

#[test]
fn tests_of_a_mapping_say_what_was_expected() {
    let text = "kind = \"hubspot\"\n[ticket]\nsubject = \"{{ handoff.topic }}\"\n[ticket.x]\nvalue = \"{{ fields.x }}\"\nrequired = true\n\
                [[test]]\nname = \"wrong\"\nchange.fields.x = \"1\"\nexpect.ticket.subject = \"y\"\nabsent = [\"ticket.x\"]\n\
                [[test]]\nname = \"parks\"\nparks = \"ticket.x\"\n\
                [[test]]\nname = \"does not park\"\nchange.fields.x = \"1\"\nparks = \"ticket.x\"\n";
    let mapping = Mapping::parse("m.toml", text).expect("a mapping");
    let outcomes: Vec<(String, usize, Vec<String>)> = mapping
        .run_tests()
        .into_iter()
        .map(|outcome| (outcome.name, outcome.line, outcome.failures))
        .collect();
    assert_eq!(
        outcomes,
        [
            (
                "wrong".into(),
                7,
                vec![
                    "ticket.subject: expected \"y\", found \"Refund for order 8812\"".into(),
                    "ticket.x: expected to be left out, found \"1\"".into(),
                ]
            ),
            ("parks".into(), 12, vec![]),
            (
                "does not park".into(),
                15,
                vec!["ticket.x was expected to stop the handoff, but did not".into()]
            ),
        ]
    );
}

#[test]
fn the_preview_shows_every_field_and_whether_it_fits() {
    let text = "kind = \"hubspot\"\n[ticket]\nsubject = \"{{ handoff.topic }}\"\nnone = \"\"\n\
                short = { value = \"123456\", max = 3 }\n[contact.date]\nvalue = \"soon\"\ntype = \"date\"\n\
                [contact.stop]\nvalue = \"\"\nrequired = true\n";
    let mapping = Mapping::parse("m.toml", text).expect("a mapping");
    let report = commands::shown(&mapping, &sample());
    assert!(!report.ok);
    assert_eq!(
        report.text,
        "ticket.subject  \"Refund for order 8812\"\n\
         ticket.none     - its value is empty\n\
         ticket.short    \"12…\"\n\
         \u{20}               ! ticket.short was shortened from 6 to 3 characters.\n\
         contact.date    ! contact.date was left out: \"soon\" is not a date such as 2026-11-20.\n\
         contact.stop    ! STOPS THE HANDOFF: m.toml:10: contact.stop: is required, but its value is empty and it has no default\n\
         does not fit: 2 set, 1 left out, 2 that do not fit\n"
    );
    let report = commands::preview(&shipped("hubspot"), None);
    assert!(report.ok, "{}", report.text);
    assert!(
        report
            .text
            .contains("fits: 5 set, 0 left out, 0 that do not fit"),
        "{}",
        report.text
    );
    assert!(!commands::preview(Path::new("/nowhere.toml"), None).ok);
}

/// A small generator, so that the same run makes the same files.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).expect("a small number")
    }
}

#[test]
fn no_file_makes_it_panic_or_work_without_end() {
    let pieces = [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "\"\"\"",
        "'",
        "\"",
        "\n",
        "[[test]]\n",
        "[ticket.x]\n",
        "|",
        " | first",
        "(",
        ")",
        ".",
        "-",
        "{% for m in transcript %}",
        "{% endfor %}",
        "{% if ",
        "é",
        "😀",
        "\u{0}",
        "1e999",
        "99999999999999999999",
        "=",
        "\\",
        "is not ",
        "change.a.b.c = 1\n",
        "event = {}\n",
        "value = []\n",
        "true",
        "2026-11-20",
    ];
    let mut dice = Dice(20_261_120);
    for kind in KINDS {
        let text = std::fs::read_to_string(shipped(kind)).expect("a file");
        for _ in 0..400 {
            let mut bent = text.clone();
            for _ in 0..=dice.roll(4) {
                let mut at = dice.roll(bent.len());
                while !bent.is_char_boundary(at) {
                    at -= 1;
                }
                if dice.roll(3) == 0 {
                    bent.truncate(at);
                    bent.push(' ');
                } else {
                    bent.insert_str(at, pieces[dice.roll(pieces.len())]);
                }
            }
            if let Ok(mapping) = Mapping::parse("bent.toml", &bent) {
                let _ = mapping.run_tests();
                let _ = commands::shown(&mapping, &sample());
            }
        }
    }
}

#[test]
fn deep_and_large_files_are_refused_not_followed() {
    let refused = |text: String, part: &str| {
        let problems = Mapping::parse("m.toml", &text).expect_err(part);
        assert!(
            problems
                .iter()
                .any(|problem| problem.message.contains(part)),
            "{:?}",
            &problems[..1]
        );
    };
    refused(
        format!("kind = \"hubspot\"\n# {}", "x".repeat(300_000)),
        "larger than 256 KiB",
    );
    refused(
        format!(
            "kind = \"hubspot\"\nticket.x = {}1{}",
            "[".repeat(50_000),
            "]".repeat(50_000)
        ),
        "not TOML",
    );
    refused(
        format!(
            "kind = \"hubspot\"\n[[test]]\nchange{} = 1",
            ".a".repeat(100_000)
        ),
        "not TOML",
    );
    refused(
        format!(
            "kind = \"hubspot\"\n[ticket]\nx = \"{}\"",
            "{{ 1 }}".repeat(1_000)
        ),
        "longer than 4000 bytes",
    );
    refused(
        format!(
            "kind = \"hubspot\"\n[ticket]\nx = [{}]",
            "\"a\",".repeat(51)
        ),
        "more than 50 templates",
    );
    let many: String = (0..301).map(|n| format!("f{n} = 1\n")).collect();
    refused(
        format!("kind = \"hubspot\"\n[ticket]\n{many}"),
        "more than 300 fields",
    );
}
