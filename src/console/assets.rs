//! Style, scripts and icons, embedded and served under names that change with their content.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::connectors;

/// What is embedded: name and content. A module stands below those that it imports.
pub const FILES: &[(&str, &str)] = &[
    ("console.css", include_str!("assets/console.css")),
    ("playground.css", include_str!("assets/playground.css")),
    ("mappings.css", include_str!("assets/mappings.css")),
    ("icons.svg", include_str!("assets/icons.svg")),
    ("mark.svg", include_str!("assets/mark.svg")),
    ("times.js", include_str!("assets/times.js")),
    ("charts.js", include_str!("assets/charts.js")),
    ("dialogs.js", include_str!("assets/dialogs.js")),
    ("keys.js", include_str!("assets/keys.js")),
    ("live.js", include_str!("assets/live.js")),
    ("judge.js", include_str!("assets/judge.js")),
    ("playground.js", include_str!("assets/playground.js")),
    ("tap.js", include_str!("assets/tap.js")),
    ("editor.js", include_str!("assets/editor.js")),
    ("console.js", include_str!("assets/console.js")),
];

/// How long a browser keeps what never changes under its name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

struct Asset {
    body: String,
    media_type: &'static str,
}

/// The assets by the address under which they are served.
pub struct Assets {
    addresses: BTreeMap<&'static str, String>,
    served: BTreeMap<String, Asset>,
}

impl Default for Assets {
    fn default() -> Assets {
        Assets::new()
    }
}

impl Assets {
    /// All of them, named by their content.
    #[must_use]
    pub fn new() -> Assets {
        let mut assets = Assets {
            addresses: BTreeMap::new(),
            served: BTreeMap::new(),
        };
        for (name, text) in FILES {
            assets.add(name, text);
        }
        assets
    }

    fn add(&mut self, name: &'static str, text: &str) {
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let (media_type, body) = match ending {
            "css" if stem == "console" => ("text/css; charset=utf-8", format!("{text}{}", marks())),
            "css" => ("text/css; charset=utf-8", text.to_owned()),
            "svg" => ("image/svg+xml", text.to_owned()),
            _ => (
                "text/javascript; charset=utf-8",
                self.with_hashed_imports(text),
            ),
        };
        let digest = Sha256::digest(body.as_bytes());
        let hash = digest[..6].iter().fold(String::new(), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        let file = format!("{stem}.{hash}.{ending}");
        self.addresses.insert(name, format!("/assets/{file}"));
        self.served.insert(file, Asset { body, media_type });
    }

    /// A module's text, with what it imports under the name by which it is served.
    fn with_hashed_imports(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, address) in &self.addresses {
            text = text.replace(&format!("'./{name}'"), &format!("'{address}'"));
        }
        text
    }

    /// The address of an asset.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<&str> {
        self.addresses.get(name).map(String::as_str)
    }

    /// The answer to a request for a file.
    pub fn serve(&self, file: &str) -> Response {
        let Some(asset) = self.served.get(file) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let mut response = asset.body.clone().into_response();
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, asset.media_type),
            (header::CACHE_CONTROL, FOR_EVER),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// The tints of the targets' marks, from the table of kinds.
fn marks() -> String {
    connectors::marks().fold(String::new(), |mut out, (_, mark)| {
        let _ = writeln!(
            out,
            ".mark-{}{{background:light-dark({},{});color:light-dark({},{})}}",
            mark.letters.to_lowercase(),
            mark.light.0,
            mark.dark.0,
            mark.light.1,
            mark.dark.1
        );
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_import_what_is_served() {
        let assets = Assets::new();
        for (file, asset) in &assets.served {
            assert!(
                !asset.body.contains("'./"),
                "{file} imports an unhashed name"
            );
            for (_, rest) in asset
                .body
                .match_indices("'/assets/")
                .map(|(at, _)| asset.body[at + 9..].split_at(0))
            {
                let name = rest.split('\'').next().unwrap_or_default();
                assert!(assets.served.contains_key(name), "{file} imports {name}");
            }
        }
    }

    #[test]
    fn they_weigh_no_more_than_they_may() {
        let sizes = |ending: &'static str| {
            let all = FILES.iter().filter(move |(name, _)| name.ends_with(ending));
            all.map(|(name, text)| (*name, text.len()))
        };
        let scripts: usize = sizes(".js").map(|(_, size)| size).sum();
        assert!(scripts <= 80 << 10, "{scripts}");
        // A page has the style of all pages and at most one of its own.
        let own = sizes(".css").filter(|(name, _)| *name != "console.css");
        let largest = own.map(|(_, size)| size).max().unwrap_or(0);
        let common: usize = sizes("console.css").map(|(_, size)| size).sum();
        assert!(common + largest <= 40 << 10, "{common} and {largest}");
    }
}
