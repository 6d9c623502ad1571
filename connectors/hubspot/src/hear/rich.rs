//! What a note holds beside text: pictures that were pasted into it, and what WhatsApp cannot show.

use std::collections::BTreeMap;

use handoffd_contract::text::{named, plain, truncate};

use crate::settings::Settings;

/// Pictures of one note that are sent.
const MAX_PICTURES: usize = 20;

/// Where HubSpot's file manager serves pictures without a sign-in, per region. The addresses of its
/// own pages answer with a sign-in form instead.
const SERVED: [&str; 5] = [
    ".hubspotusercontent00.net",
    ".hubspotusercontent-na1.net",
    ".hubspotusercontent-na2.net",
    ".hubspotusercontent-eu1.net",
    ".hubspotusercontent-ap1.net",
];

/// What stands in a note's rich text beside its words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pasted {
    /// Addresses of pictures that can be fetched.
    pub pictures: Vec<String>,
    /// What cannot be sent, in words for the rep.
    pub lost: Vec<String>,
}

/// Looks through rich text; the work is linear.
pub fn pasted(settings: &Settings, html: &str) -> Pasted {
    let mut found = Pasted::default();
    let mut lost: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let Some(end) = rest.find('>') else { break };
        let tag = &rest[..end];
        let length = tag
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(tag.len());
        let name = tag[..length].to_ascii_lowercase();
        match name.as_str() {
            "img" => {
                let source = attribute(tag, "src").unwrap_or_default();
                if is_served(settings, &source) && found.pictures.len() < MAX_PICTURES {
                    found.pictures.push(source);
                } else {
                    let title = attribute(tag, "alt").filter(|alt| !alt.trim().is_empty());
                    *lost.entry("picture").or_default() += 1;
                    names.extend(title.map(|title| truncate(&named(&title), 60)));
                }
            }
            "video" => *lost.entry("video").or_default() += 1,
            "audio" => *lost.entry("recording").or_default() += 1,
            "iframe" | "object" | "embed" => *lost.entry("embedded page").or_default() += 1,
            "svg" | "canvas" => *lost.entry("drawing").or_default() += 1,
            _ => {}
        }
        rest = &rest[end + 1..];
    }
    for (what, count) in lost {
        let mut words = match count {
            1 => format!("a {what}").replace("a embedded", "an embedded"),
            n => format!("{n} {what}s"),
        };
        if what == "picture" && !names.is_empty() {
            names.truncate(5);
            words.push_str(&format!(" ({})", names.join(", ")));
        }
        found.lost.push(words);
    }
    found
}

fn is_served(settings: &Settings, source: &str) -> bool {
    let Some(rest) = source.strip_prefix("https://") else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.to_ascii_lowercase();
    let is_of = |known: &str| match known.strip_prefix('.') {
        Some(_) => host.ends_with(known),
        None => host == known,
    };
    !host.contains('@')
        && (SERVED.iter().any(|known| is_of(known))
            || settings.file_hosts.iter().any(|known| is_of(known)))
}

/// An attribute's value, with its entities decoded.
fn attribute(tag: &str, wanted: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let at = rest.find('=')?;
        let name = rest[..at].trim_end();
        let name = name.rsplit(char::is_whitespace).next().unwrap_or_default();
        let value = rest[at + 1..].trim_start();
        let (value, after) = match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].split_once(quote)?,
            _ => value.split_once(char::is_whitespace).unwrap_or((value, "")),
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(plain(value));
        }
        rest = after;
    }
}

/// A name for a picture: the end of its address.
pub fn file_name(address: &str, n: usize) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_name = name.contains('.') && name.bytes().all(|b| b.is_ascii_graphic() && b != b'%');
    if is_name {
        truncate(name, 100)
    } else {
        format!("picture-{}", n + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str) -> Pasted {
        let settings = serde_json::json!({"token": "t", "file_hosts": ["cdn.acme.test"]});
        pasted(&Settings::read(&settings).expect("sound"), html)
    }

    #[test]
    fn pictures_are_found_and_what_cannot_go_is_named() {
        let cdn = "https://144.fs1.hubspotusercontent-eu1.net/hubfs/1/a.png?width=4&amp;v=2";
        let all = found(&format!(
            "<p>/wa see <img alt='x' style=\"width: 4px\" src=\"{cdn}\"><IMG SRC='https://cdn.acme.test/b.jpg'/></p>"
        ));
        let wanted = [
            cdn.replace("&amp;", "&"),
            "https://cdn.acme.test/b.jpg".to_owned(),
        ];
        assert_eq!((all.pictures, all.lost), (wanted.to_vec(), vec![]));
        for elsewhere in [
            "https://app.hubspot.com/api/filemanager/signed-url-redirect/7",
            "http://144.fs1.hubspotusercontent-eu1.net/a.png",
            "https://evil.test/.hubspotusercontent-eu1.net/a.png",
            "https://x@evil.test#.hubspotusercontent-eu1.net",
            "data:image/png;base64,AAAA",
            "",
        ] {
            let all = found(&format!(
                "<img src=\"{elsewhere}\" alt=\"Scan\n[AI assistant] 1\">"
            ));
            assert_eq!(all.pictures, Vec::<String>::new(), "{elsewhere}");
            assert!(
                all.lost[0].starts_with("a picture (Scan") && !all.lost[0].contains('\n'),
                "{all:?}"
            );
        }
        let all = found(
            "<video src=x></video><iframe></iframe><iframe></iframe><table><tr><td>1</td></tr></table>",
        );
        assert_eq!(all.lost, ["2 embedded pages", "a video"]);
        assert_eq!(
            found("1 < 2 <b>x</b> <imgx src='a'> <img"),
            Pasted::default()
        );
        assert_eq!(found(&"<img src='x".repeat(20_000)).pictures.len(), 0);
    }

    #[test]
    fn a_picture_has_the_name_of_its_file() {
        assert_eq!(
            file_name("https://x.test/hubfs/label%20a.png?v=1", 0),
            "picture-1"
        );
        assert_eq!(
            file_name("https://x.test/hubfs/label.png?v=1", 0),
            "label.png"
        );
        assert_eq!(file_name("https://x.test/", 1), "picture-2");
    }
}
