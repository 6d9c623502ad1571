//! What a template may contain, checked before it is compiled.
//!
//! Fuel bounds how many steps a template takes but not how much memory one step makes, so
//! everything by which a text can be multiplied is left out: variables, macros, captured blocks,
//! recursion, `+`, `*` and `~`, and every filter that is not ours. What remains grows with the template,
//! which is short, and with the event, which is bounded.

use handoffd_contract::settings::{did_you_mean, printable};

use super::filters::{FILTERS, TESTS};

/// The longest template, in bytes.
pub(super) const MAX_SOURCE: usize = 4_000;

/// The statements that may stand in `{% … %}`.
const STATEMENTS: &[&str] = &["if", "elif", "else", "endif", "for", "endfor"];

/// Words before which a parenthesis is not a call.
const OPERATORS: &[&str] = &["if", "elif", "else", "and", "or", "not", "in", "is"];

/// A piece of what stands between delimiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Literal,
    Sign(char),
}

/// Everything that is wrong with a template: how many lines down, and what.
pub(super) fn lint(source: &str) -> Vec<(usize, String)> {
    if source.len() > MAX_SOURCE {
        return vec![(
            0,
            format!("the template is longer than {MAX_SOURCE} bytes; split it into fields"),
        )];
    }
    let mut problems = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let line = |at: &str| source[..source.len() - at.len()].matches('\n').count();
        rest = &rest[at..];
        let Some(kind) = rest[1..]
            .chars()
            .next()
            .filter(|c| matches!(c, '{' | '%' | '#'))
        else {
            rest = &rest[1..];
            continue;
        };
        let start = line(rest);
        if kind == '#' {
            rest = rest.find("#}").map_or("", |end| &rest[end + 2..]);
            continue;
        }
        let (tokens, after) = tokens(&rest[2..], if kind == '{' { '}' } else { '%' });
        problems.extend(
            block(kind == '%', &tokens)
                .into_iter()
                .map(|message| (start, message)),
        );
        rest = after;
    }
    problems
}

/// The tokens up to the closing delimiter, and what comes after it.
fn tokens(source: &str, close: char) -> (Vec<Token<'_>>, &str) {
    let mut tokens = Vec::new();
    let mut rest = source.strip_prefix(['-', '+']).unwrap_or(source);
    while let Some(c) = rest.chars().next() {
        if c == close && rest[1..].starts_with('}') {
            return (tokens, &rest[2..]);
        }
        let end = if c == '"' || c == '\'' {
            tokens.push(Token::Literal);
            end_of_string(rest, c)
        } else if c.is_alphabetic() || c == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            tokens.push(Token::Word(&rest[..end]));
            end
        } else if c.is_ascii_digit() {
            tokens.push(Token::Literal);
            rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
                .unwrap_or(rest.len())
        } else {
            if !c.is_whitespace() {
                tokens.push(Token::Sign(c));
            }
            c.len_utf8()
        };
        rest = &rest[end..];
    }
    (tokens, "")
}

fn end_of_string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

fn block(statement: bool, tokens: &[Token<'_>]) -> Vec<String> {
    let mut problems = Vec::new();
    if statement {
        match tokens.first() {
            Some(Token::Word(word)) if STATEMENTS.contains(word) => {}
            Some(Token::Word(word)) => problems.push(format!(
                "the statement `{}` is not available; these are: if, elif, else, for",
                short(word)
            )),
            _ => problems.push("an empty statement".into()),
        }
    }
    for (at, token) in tokens.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        match token {
            Token::Sign('~') => problems
                .push("`~` is not available; write {{ a }}{{ b }} next to each other".into()),
            Token::Sign('+') => problems.push("`+` is not available; write `| plus(n)`".into()),
            Token::Sign('*') => problems.push("`*` is not available; write `| times(n)`".into()),
            Token::Word("recursive") if statement => {
                problems.push("`recursive` is not available".into())
            }
            Token::Word(word)
                if before(1) == Some(&Token::Sign('|')) && before(2) != Some(&Token::Sign('|')) =>
            {
                problems.extend(unknown("filter", word, FILTERS));
            }
            Token::Word(word) if is_test(word, before(1), before(2)) => {
                problems.extend(unknown("test", word, TESTS));
            }
            Token::Word(word)
                if tokens.get(at + 1) == Some(&Token::Sign('(')) && !OPERATORS.contains(word) =>
            {
                problems.push(format!(
                    "`{}()` is not available; use a filter: {}",
                    short(word),
                    FILTERS.join(", ")
                ));
            }
            _ => {}
        }
    }
    problems
}

fn is_test(word: &str, one: Option<&Token<'_>>, two: Option<&Token<'_>>) -> bool {
    let is = Some(&Token::Word("is"));
    word != "not" && (one == is || (one == Some(&Token::Word("not")) && two == is))
}

fn unknown(what: &str, word: &str, known: &[&str]) -> Option<String> {
    (!known.contains(&word)).then(|| {
        let hint = did_you_mean(word, known.iter().copied());
        format!(
            "the {what} `{}` is unknown{hint}; known are: {}",
            short(word),
            known.join(", ")
        )
    })
}

fn short(word: &str) -> String {
    printable(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_passes() {
        for source in [
            "plain { text } with 100 % and # and {",
            "{{ contact.name or (handoff.reasons | first) or 'a | b ~ c * d {{' }}",
            "{%- if fields.a is not none and (fields.b | lower) in ['x'] -%}y{% elif x is eq(1) %}{% else %}z{% endif %}",
            "{% for m in transcript %}{{ m.text | truncate(20) }}{% endfor %}{# set ~ #}",
            "{{ 'it\\'s' | upper }}{{ 1.5 - 2 }}",
        ] {
            assert_eq!(lint(source), [], "{source}");
        }
    }

    #[test]
    fn what_multiplies_is_refused() {
        for (source, line, part) in [
            ("{% set x = 1 %}", 0, "the statement `set` is not available"),
            (
                "a\n{% macro m() %}{% endmacro %}",
                1,
                "the statement `macro`",
            ),
            ("{% include 'x' %}", 0, "`include`"),
            ("{% raw %}{% endraw %}", 0, "`raw`"),
            ("{% for x in y recursive %}{% endfor %}", 0, "`recursive`"),
            ("{{ 'a' * 1000000 }}", 0, "`*` is not available"),
            ("{{ a + b }}", 0, "`+` is not available"),
            ("{{ a ~ b }}", 0, "`~` is not available"),
            ("{{ x | indent(9) }}", 0, "the filter `indent` is unknown"),
            ("{{ x | trunkate(9) }}", 0, "did you mean `truncate`?"),
            ("{{ x is odd }}", 0, "the test `odd` is unknown"),
            (
                "{{ x is not divisibleby(2) }}",
                0,
                "the test `divisibleby` is unknown",
            ),
            ("{{ range(10) }}", 0, "`range()` is not available"),
            ("{{ x.items() }}", 0, "`items()` is not available"),
            ("{% %}", 0, "an empty statement"),
        ] {
            let found = lint(source);
            assert!(
                found
                    .iter()
                    .any(|(at, message)| *at == line && message.contains(part)),
                "{source}: {found:?}"
            );
        }
        assert!(
            lint(&"x".repeat(MAX_SOURCE + 1))[0]
                .1
                .contains("longer than 4000 bytes")
        );
    }
}
