//! The mapping's section of what the customer is told: read, switched, rendered by language, previewed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;

use handoffd::mapping::{Input, Mapping, bare_notice, commands, sample, sample_notice};
use handoffd_contract::event::Session;
use handoffd_contract::notice::Notice;
use handoffd_contract::{Contact, Event, Rendered};

const SHIPPED: &str = include_str!("../mappings/whatsapp.toml");

fn mapping(text: &str) -> Mapping {
    Mapping::parse("m.toml", text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn render(mapping: &Mapping, event: &Event, language: Option<&str>) -> Rendered {
    let session = Session {
        language: language.map(str::to_owned),
        ..Session::default()
    };
    let input = Input {
        event,
        session: &session,
        contact: &Contact::default(),
        target: "whatsapp",
    };
    mapping.render(1, &input).unwrap()
}

#[test]
fn every_notice_is_shipped_in_six_languages_and_is_off() {
    let shipped = mapping(SHIPPED);
    assert_eq!(shipped.notices(), BTreeSet::new());
    let on = mapping(&SHIPPED.replace("on = false", "on = true"));
    assert_eq!(on.notices(), Notice::ALL.into());
    for notice in Notice::ALL {
        let mut texts = BTreeSet::new();
        for language in ["en", "de-AT", "es", "pt_BR", "fr", "it"] {
            for event in [sample_notice(notice), bare_notice(notice)] {
                let rendered = render(&on, &event, Some(language));
                let text = rendered.text("notices", notice.word()).unwrap();
                assert!(!text.contains("{{") && text.len() > 20, "{text}");
                texts.insert(text);
                assert_eq!(rendered.sections.len(), 1, "nothing else is of a notice");
                let off = render(&shipped, &event, Some(language));
                assert_eq!(off.sections.len(), 0);
            }
        }
        assert!(texts.len() >= 6, "{texts:?}");
    }
    let handoff = render(&on, &sample(), Some("de"));
    assert!(!handoff.sections.contains_key("notices"));
    assert!(handoff.sections.contains_key("template"));
}

#[test]
fn the_language_is_the_nearest_that_there_is() {
    let text =
        "kind = \"whatsapp\"\n[notices.joined.value]\ndefault = \"d\"\npt = \"p\"\npt_BR = \"b\"\n";
    let mapping = mapping(text);
    assert_eq!(
        mapping.notices(),
        BTreeSet::from([Notice::Joined]),
        "on, unless it says otherwise"
    );
    let of = |language: Option<&str>| {
        let rendered = render(&mapping, &sample_notice(Notice::Joined), language);
        rendered.text("notices", "joined").unwrap()
    };
    for (language, text) in [
        (Some("pt-br"), "b"),
        (Some("PT_BR"), "b"),
        (Some("pt-PT"), "p"),
        (Some("pt"), "p"),
        (Some("de"), "d"),
        (Some(""), "d"),
        (None, "d"),
    ] {
        assert_eq!(of(language), text, "{language:?}");
    }
    let joined = render(&mapping, &sample_notice(Notice::Left), None);
    assert_eq!(joined.sections.len(), 0, "another notice has no text");
}

#[test]
fn a_text_fits_a_message() {
    let long = format!(
        "kind = \"whatsapp\"\n[notices]\nended = \"{}\"\n",
        "word ".repeat(780)
    );
    let rendered = render(&mapping(&long), &sample_notice(Notice::Ended), None);
    assert_eq!(rendered.text("notices", "ended").unwrap().len(), 3_899);
    let rep = "{% for n in transcript_text %}{% endfor %}{{ 'x' * 3 }}";
    assert!(
        Mapping::parse(
            "m.toml",
            &format!("kind = \"whatsapp\"\n[notices]\nended = \"{rep}\"\n")
        )
        .is_err()
    );
}

#[test]
fn each_wrong_notice_gets_its_problem() {
    let table = [
        (
            "[notices]\njoind = \"x\"",
            "m.toml:3: notices.joind: no notice (did you mean `joined`?); there are: queued, position, joined, transferred, left, unattended, cancelled, ended, csat",
        ),
        (
            "[notices.joined.value]\nde = \"x\"",
            "m.toml:3: notices.joined: `value` has texts by language and none for the others; add default = \"…\"",
        ),
        (
            "[notices.joined.value]\ndefault = 1",
            "m.toml:4: notices.joined: `value` must have a text for each language",
        ),
        (
            "[notices.joined]\non = \"yes\"\nvalue = \"x\"",
            "m.toml:4: notices.joined: `on` must be true or false",
        ),
        (
            "[notices.joined]\nvalue = \"x\"\nmax = 5000",
            "m.toml:5: notices.joined: `max` must be from 1 to 4096",
        ),
        (
            "[notices.joined.value]\ndefault = \"{{ notice.name }}\"",
            "m.toml:4: notices.joined: `notice.name` is unknown; known are: kind, rep, position, wait_minutes, target",
        ),
        (
            "[notices.position]\non = false\nvalue = \"{{ notice.position | plus(1) }}\"",
            "m.toml:5: notices.position: fails for a notice with no optional part: a number is expected",
        ),
        (
            "[template]\nname = \"x\"\n[[test]]\nname = \"t\"\nlanguage = \"de\"\nexpect.template.name = \"x\"",
            "m.toml:5: test \"t\": `language` is for notices; write change.session.language",
        ),
        (
            "[template]\nname = \"x\"\n[[test]]\nname = \"t\"\nsample = \"join\"\nexpect.template.name = \"x\"",
            "m.toml:5: test \"t\": `sample` must be \"full\", \"bare\" or a notice such as \"joined\"",
        ),
    ];
    for (text, problem) in table {
        let text = format!("kind = \"whatsapp\"\n\n{text}\n").replacen("\n\n", "\n", 1);
        let problems = Mapping::parse("m.toml", &text).expect_err(&text);
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            lines
                .iter()
                .any(|line| line.split_once(": ").map(|(_, words)| words)
                    == problem.split_once(": ").map(|(_, words)| words)),
            "{lines:#?}\n{problem}"
        );
    }
}

#[test]
fn a_preview_shows_what_is_off_and_tests_have_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/whatsapp.toml");
    let report = commands::preview(&path, None);
    assert!(report.ok, "{}", report.text);
    assert!(
        report.text.contains("notices.joined       - it is switched off: \"Rita Vega se ha unido a la conversación.\""),
        "{}",
        report.text
    );
    let tested = commands::test(&[path]);
    assert!(
        tested.ok && tested.text.contains("7 passed, 0 failed"),
        "{}",
        tested.text
    );
    let wrong = SHIPPED.replace("Rita Vega ist jetzt", "Rita ist jetzt");
    let failed = mapping(&wrong).run_tests();
    assert_eq!(
        failed.iter().filter(|one| !one.failures.is_empty()).count(),
        1
    );
}
