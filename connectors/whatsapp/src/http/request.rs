//! A request, as a gateway's file writes it.

use std::collections::BTreeSet;

use handoffd_contract::Method;
use handoffd_contract::settings::{Table, printable};

use super::template::{FILE, Node, Text};

/// Names of what people write, and of what is no text.
const WRITTEN: [&str; 6] = ["text", "name", "caption", "url", "file", "components"];

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: Text,
    pub(crate) headers: Vec<(String, Text)>,
    pub(crate) body: Payload,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Payload {
    Nothing,
    Json(Node),
    Form(Vec<(String, Text)>),
    Multipart(Vec<(String, Text)>),
}

impl Request {
    /// Whether a name stands in what it carries.
    pub(crate) fn has(&self, name: &str) -> bool {
        match &self.body {
            Payload::Nothing => false,
            Payload::Json(node) => node.has(name),
            Payload::Form(fields) | Payload::Multipart(fields) => {
                fields.iter().any(|(_, text)| text.has(name))
            }
        }
    }
}

/// The request of a section that is nothing else, if there is one.
pub(super) fn request(
    table: &mut Table<'_>,
    key: &'static str,
    known: &BTreeSet<String>,
) -> Option<Request> {
    let mut section = table.table(key)?;
    let request = parts(&mut section, known);
    section.finish();
    request
}

/// The parts of a request in a section, which may be all of it.
pub(super) fn parts(section: &mut Table<'_>, known: &BTreeSet<String>) -> Option<Request> {
    // Asked for first, so that what is wrong with one makes no other unknown.
    for key in ["get", "post", "put", "headers", "json", "form", "multipart"] {
        section.value(key);
    }
    let ways = [
        ("get", Method::Get),
        ("post", Method::Post),
        ("put", Method::Put),
    ];
    let mut found = None;
    for (key, method) in ways {
        if let Some(path) = section.text_if(key, |path| path.starts_with('/'), "begin it with /") {
            found = Some((method, text(section, key, &path, known)?));
        }
    }
    // A header holds nothing that a rep or a customer wrote: not every text can be one.
    let plain = known
        .iter()
        .filter(|name| !WRITTEN.contains(&name.as_str()));
    let plain = plain.cloned().collect();
    let mut headers = Vec::new();
    for (name, value) in section
        .entries("headers", "write names and texts")
        .into_iter()
        .flatten()
    {
        let value = value.as_str().unwrap_or_default();
        headers.push((
            name.to_ascii_lowercase(),
            text(section, "headers", value, &plain)?,
        ));
    }
    let json = section.value("json").cloned();
    let form = fields(section, "form", known)?;
    let multipart = fields(section, "multipart", known)?;
    let body = match (json, form.is_empty(), multipart.is_empty()) {
        (None, true, true) => Payload::Nothing,
        (Some(json), true, true) => match Node::parse(&json, known) {
            Ok(node) => Payload::Json(node),
            Err(why) => {
                section.problem("json", why);
                return None;
            }
        },
        (None, false, true) => Payload::Form(form),
        (None, true, false) => Payload::Multipart(multipart),
        _ => {
            section.problem(
                "json",
                "stands beside another body; keep one of json, form, multipart",
            );
            return None;
        }
    };
    let Some((method, path)) = found else {
        section.problem(
            "post",
            "is missing; write the path behind `base_url`: get, post or put",
        );
        return None;
    };
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}

fn text(section: &Table<'_>, key: &str, written: &str, known: &BTreeSet<String>) -> Option<Text> {
    let text = Text::parse(written, known);
    if let Err(why) = &text {
        section.problem(key, why.as_str());
    }
    text.ok()
}

fn fields(
    section: &mut Table<'_>,
    key: &'static str,
    known: &BTreeSet<String>,
) -> Option<Vec<(String, Text)>> {
    let mut fields = Vec::new();
    let entries = section.entries(key, "write a table of names and texts");
    for (name, value) in entries.into_iter().flatten() {
        match value.as_str() {
            Some(value) => fields.push((name.clone(), text(section, key, value, known)?)),
            None => section.wrong(&format!("{key}.{}", printable(name)), value, "write a text"),
        }
    }
    // The file comes last, so that whoever reads it as a stream knows what it is.
    fields.sort_by_key(|(_, text)| text.has(FILE));
    Some(fields)
}
