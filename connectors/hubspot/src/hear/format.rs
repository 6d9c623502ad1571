//! A note's formatting as WhatsApp writes it: `*bold*`, `_italic_`, `~struck~`, `- item`, `1. item`.
//!
//! WhatsApp takes a mark for formatting only beside a word's end and inside one line; elsewhere it would
//! be read as an asterisk, so there the words stay plain. <https://faq.whatsapp.com/539178204879377>

use handoffd_contract::text::plain;

/// The longest run of words that is marked.
const LONGEST: usize = 4_000;
/// How deep formatting may be nested.
const DEEPEST: usize = 8;

/// Words between a tag and its end.
struct Run {
    mark: char,
    /// Where they begin in what is written.
    from: usize,
    /// What stands before them; nothing at the beginning of the note, where the prefix is.
    before: Option<char>,
    is_one_line: bool,
}

/// A list, and the number of its last item where items are numbered.
struct List(Option<usize>);

/// Rich text with WhatsApp's marks in it. The work is linear, but for what nesting repeats.
pub fn formatted(html: &str) -> String {
    let mut out = String::with_capacity(html.len() + 64);
    let mut runs: Vec<Run> = Vec::new();
    let mut lists: Vec<List> = Vec::new();
    let mut last: Option<char> = None;
    // An item's own paragraph begins on the item's line.
    let mut at_item = false;
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let words = &rest[..at];
        last = seen_last(words).or(last);
        out.push_str(words);
        at_item &= words.trim().is_empty();
        rest = &rest[at..];
        let Some(end) = rest.find('>') else { break };
        let tag = &rest[1..end];
        let is_end = tag.starts_with('/');
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .take(12)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let whole = &rest[..=end];
        rest = &rest[end + 1..];
        let mark = match name.as_str() {
            "b" | "strong" => Some('*'),
            "i" | "em" => Some('_'),
            "s" | "strike" | "del" => Some('~'),
            _ => None,
        };
        if let Some(mark) = mark {
            if !is_end && runs.len() < DEEPEST {
                let (from, before) = (out.len(), last);
                runs.push(Run {
                    mark,
                    from,
                    before,
                    is_one_line: true,
                });
            } else if is_end && let Some(n) = runs.iter().rposition(|run| run.mark == mark) {
                let run = runs.swap_remove(n);
                runs.truncate(n);
                close(&mut out, &run, rest);
            }
            continue;
        }
        let is_line = matches!(
            name.as_str(),
            "p" | "div"
                | "br"
                | "tr"
                | "td"
                | "th"
                | "li"
                | "ul"
                | "ol"
                | "blockquote"
                | "h1"
                | "h2"
                | "h3"
                | "h4"
        );
        if is_line {
            runs.iter_mut().for_each(|run| run.is_one_line = false);
            // A new line begins, before whose words nothing stands.
            last = last.map(|_| '\n');
        }
        match (name.as_str(), is_end) {
            ("ul", false) => lists.push(List(None)),
            ("ol", false) => lists.push(List(Some(0))),
            ("ul" | "ol", true) => {
                lists.pop();
            }
            ("li", false) => {
                let item = match lists.last_mut() {
                    Some(List(Some(n))) => {
                        *n += 1;
                        format!("<p>{n}. ")
                    }
                    _ => "<p>- ".to_owned(),
                };
                out.push_str(&item);
                at_item = true;
                continue;
            }
            ("p" | "div", false) if at_item => continue,
            ("li", true) => {
                out.push_str("</p>");
                continue;
            }
            _ => {}
        }
        out.push_str(whole);
    }
    out.push_str(rest);
    out
}

/// Marks the words of a run, where WhatsApp will see a mark in it.
fn close(out: &mut String, run: &Run, rest: &str) {
    let words = &out[run.from..];
    let begins = spaces(words.len() - words.trim_start().len(), words, true);
    let ends = spaces(words.trim_end().len(), words, false);
    let inner = words.get(begins..ends).unwrap_or_default();
    let is_apart = run.before.is_some_and(|before| !before.is_alphanumeric())
        && !rest.starts_with(char::is_alphanumeric);
    let fits = run.is_one_line && inner.len() <= LONGEST && !inner.contains(run.mark);
    if !is_apart || !fits || plain(inner).trim().is_empty() {
        return;
    }
    let (from, to) = (run.from + begins, run.from + ends);
    out.insert(to, run.mark);
    out.insert(from, run.mark);
}

/// Spaces that do not break count as spaces.
fn spaces(mut at: usize, words: &str, at_begin: bool) -> usize {
    const SPACE: &str = "&nbsp;";
    loop {
        let (rest, next) = match at_begin {
            true => (words[at..].strip_prefix(SPACE), at + SPACE.len()),
            false => (
                words[..at].strip_suffix(SPACE),
                at.saturating_sub(SPACE.len()),
            ),
        };
        match rest {
            Some(_) => at = next,
            None => return at,
        }
    }
}

/// The last character that people see of words without tags.
fn seen_last(words: &str) -> Option<char> {
    let entity = words.ends_with(';') && words.rfind('&').is_some_and(|at| words.len() - at < 12);
    match entity {
        true if words.ends_with("&nbsp;") => Some(' '),
        true => Some(';'),
        false => words.chars().last(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(html: &str) -> String {
        plain(&formatted(html))
    }

    #[test]
    fn bold_italic_and_struck_words_are_marked() {
        assert_eq!(
            said("<p>/wa Your <strong>new</strong> code is <em>ready</em>, not <s>lost</s>.</p>"),
            "/wa Your *new* code is _ready_, not ~lost~."
        );
        assert_eq!(said("/wa a <b><i>b</i></b> c"), "/wa a *_b_* c");
        assert_eq!(said("/wa a <b> b&nbsp;</b> c"), "/wa a  *b*  c");
        assert_eq!(said("/wa a<p><b>Total</b>: 5</p>"), "/wa a\n*Total*: 5");
    }

    #[test]
    fn lists_are_whatsapps() {
        assert_eq!(
            said(
                "<p>/wa Bring:</p><ul><li>passport</li><li><p>receipt</p></li></ul><ol><li>come</li><li>pay</li></ol><p>bye</p>"
            ),
            "/wa Bring:\n- passport\n- receipt\n1. come\n2. pay\nbye"
        );
    }

    #[test]
    fn words_stay_plain_where_a_mark_would_be_read_as_a_sign() {
        for (html, wanted) in [
            ("<b>/wa</b> hello", "/wa hello"),
            ("<p><strong>/wa hello</strong> you</p>", "/wa hello you"),
            ("/wa un<b>believ</b>able", "/wa unbelievable"),
            ("/wa x <b>a*b</b>", "/wa x a*b"),
            ("/wa x <b>one<br>two</b>", "/wa x one\ntwo"),
            ("/wa x <b> </b>y", "/wa x y"),
            ("/wa x <b>open", "/wa x open"),
            ("/wa x </b> y", "/wa x  y"),
        ] {
            let found = said(html);
            assert_eq!(
                found.split_whitespace().collect::<Vec<_>>(),
                wanted.split_whitespace().collect::<Vec<_>>(),
                "{html}"
            );
        }
        let deep = format!("/wa x {}y{}", "<b>".repeat(20_000), "</b>".repeat(20_000));
        assert!(said(&deep).contains('y'));
    }
}
