//! Each filter by example, and what each refuses.

use minijinja::context;

use super::*;

fn render(source: &str) -> Result<String, String> {
    let mut env = Environment::empty();
    add(&mut env);
    let values = context! {
        name => "Ana María <b>", list => vec!["a", "b"], empty => Vec::<String>::new(), nothing => (),
        time => "2026-11-20T23:58:12.5Z", score => "12.345", long => "x".repeat(700_000),
    };
    env.render_str(source, values)
        .map_err(|error| error.to_string())
}

#[test]
fn each_filter_does_what_its_name_says() {
    for (source, expected) in [
        ("{{ 'éa' | capitalize }}", "Éa"),
        ("{{ time | date }}", "2026-11-20"),
        (
            "{{ time | date('%d.%m.%Y %H:%M', tz='Europe/Berlin') }}",
            "21.11.2026 00:58",
        ),
        ("{{ '2026-01-31' | date('%d/%m') }}", "31/01"),
        ("{{ nothing | date }}", ""),
        (
            "{{ nothing | default('x') }}{{ ' ' | default('y') }}{{ 0 | default('z') }}",
            "xy0",
        ),
        ("{{ '+49 (0) 151' | digits }}", "490151"),
        (
            "{{ list | first }}{{ list | last }}{{ name | first }}",
            "abAna María <b>",
        ),
        ("{{ (empty | first) is none }}", "true"),
        (
            "{{ score | float }} {{ score | int }} {{ score | round }} {{ score | round(1) }}",
            "12.345 12 12 12.3",
        ),
        ("{{ name | html }}", "Ana María &lt;b&gt;"),
        ("{{ '<p>a</p>b' | plain }}", "a\nb"),
        (
            "{% for k, v in {'a': 1} | items %}{{ k }}={{ v }}{% endfor %}",
            "a=1",
        ),
        (
            "{{ list | join }} {{ list | join('/') }} {{ nothing | join }}",
            "a, b a/b ",
        ),
        (
            "{{ list | length }}{{ nothing | length }}{{ 'abc' | length }}",
            "203",
        ),
        (
            "{{ name | lower }} {{ name | upper }}",
            "ana maría <b> ANA MARÍA <B>",
        ),
        ("{{ 'a-b-c' | replace('-', '+') }}", "a+b+c"),
        (
            "{{ name | split | first }} {{ 'a;b' | split(';') | last }}",
            "Ana b",
        ),
        ("{{ list | string }}", "a, b"),
        (
            "{{ '2.5' | times(100) | round }} {{ 1 | plus('2') | int }}",
            "250 3",
        ),
        ("[{{ ' a ' | trim }}]", "[a]"),
        (
            "{{ 'whatsapp:+49151' | phone }} {{ '18@lid' | phone }}{{ '18:3@lid' | lid }}",
            "49151 18@lid",
        ),
        (
            "{{ '2026-11-20 10:00:00' | moment(tz='America/Sao_Paulo') }} {{ time | moment(tz='Asia/Tokyo') }} {{ 17 | moment }}",
            "2026-11-20T13:00:00Z 2026-11-20T23:58:12.5Z 17",
        ),
        ("{{ 'abcdef' | truncate(4) }}", "abc…"),
        (
            "{{ 'a' is in(list) }} {{ name is startingwith('Ana') }} {{ score is string }}",
            "true true true",
        ),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn what_would_grow_without_bound_is_refused() {
    for (source, part) in [
        ("{{ long | replace('x', long) }}", "more than 1 MiB"),
        ("{{ [long, long] | join }}", "more than 1 MiB"),
        (
            "{{ long | html | replace('x', '&amp;') }}",
            "more than 1 MiB",
        ),
        ("{{ {'a': 1} | string }}", "a table cannot be written"),
        ("{{ 'tomorrow' | date }}", "neither a time nor a date"),
        ("{{ time | date('%!') }}", "strftime"),
        ("{{ time | date(tz='Mars/Olympus') }}", "time zone"),
        ("{{ 'abc' | int }}", "a number is expected"),
        ("{{ '1e999' | float }}", "a number is expected"),
    ] {
        let error = render(source).expect_err(source);
        assert!(error.contains(part), "{source}: {error}");
    }
}

#[test]
fn the_lists_of_names_are_what_is_added() {
    let mut env = Environment::empty();
    add(&mut env);
    for name in FILTERS {
        let error = env
            .render_str(&format!("{{{{ 1 | {name} }}}}"), ())
            .err()
            .map(|error| error.kind());
        assert_ne!(error, Some(ErrorKind::UnknownFilter), "{name}");
    }
    for name in TESTS {
        let error = env
            .render_str(&format!("{{{{ 1 is {name} }}}}"), ())
            .err()
            .map(|error| error.kind());
        assert_ne!(error, Some(ErrorKind::UnknownTest), "{name}");
    }
}
