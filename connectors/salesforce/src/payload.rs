//! What a rep's message says, in what WhatsApp can show.
//!
//! Formats: <https://developer.salesforce.com/docs/service/messaging-api/references/about/message-types-format-types.html>

use handoffd_contract::event::{AttachmentKind, ReplyOption};
use handoffd_contract::{Attachment, Source, text};
use serde_json::Value;

use crate::pickers::{self, Picker};

/// Files of one message; more are not looked at.
const MAX_FILES: usize = 20;
/// Options, lines of a list, fields of a form.
pub(crate) const MAX_LINES: usize = 40;
/// UTF-16 units of one title.
const MAX_TITLE: usize = 500;

/// A rep's message.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Shown {
    pub(crate) text: Option<String>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) options: Vec<ReplyOption>,
    /// A file is still being uploaded; an update with its address follows.
    pub(crate) pending: bool,
}

impl Shown {
    fn choose(&mut self, picker: Picker) {
        self.text = picker.text();
        self.options = picker.options;
    }
}

/// Reads an `abstractMessage`; `id` is the entry's identifier.
pub(crate) fn shown(id: &str, message: &Value) -> Shown {
    let content = ["staticContent", "choices", "form"]
        .iter()
        .map(|name| &message[*name])
        .find(|content| content.is_object())
        .unwrap_or(&Value::Null);
    let mut out = Shown::default();
    match content["formatType"].as_str().unwrap_or("") {
        "Text" => out.text = string(content, "text"),
        "Attachments" => {
            out.text = string(content, "text");
            files(id, content, &mut out);
        }
        "RichLink" => {
            let item = &content["linkItem"];
            out.text = lines([string(&item["titleItem"], "title"), string(item, "url")]);
        }
        "WebView" => {
            out.text = lines([title(content), string(content, "url")]);
        }
        "Buttons" | "QuickReplies" => {
            out.text = string(content, "text");
            out.options = options(content);
        }
        "ListPicker" => out.choose(pickers::of_list(content)),
        "Carousel" => out.choose(pickers::of_carousel(content)),
        "TimePicker" => out.choose(pickers::of_times(content)),
        "Inputs" => out.text = form(content),
        _ => {}
    }
    if out.text.is_none() && out.attachments.is_empty() && out.options.is_empty() && !out.pending {
        // Whatever is new: its texts and addresses, a line each.
        let mut found = Vec::new();
        texts(content, 0, &mut found);
        out.text = Some(if found.is_empty() {
            "[The agent sent something that WhatsApp cannot show.]".to_owned()
        } else {
            found.join("\n")
        });
    }
    out
}

fn files(id: &str, content: &Value, out: &mut Shown) {
    let files = content["attachments"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for (at, file) in files.iter().take(MAX_FILES).enumerate() {
        let result = file["attachmentUploadResult"]["resultType"]
            .as_str()
            .unwrap_or("");
        if result == "PendingAttachmentUploadResult" {
            out.pending = true;
            continue;
        }
        let url = string(file, "url")
            .filter(|url| url.starts_with("https://") || url.starts_with("http://"));
        let mime = string(file, "mimeType");
        out.attachments.push(Attachment {
            id: string(file, "id").unwrap_or_else(|| format!("{id}-{at}")),
            kind: kind(mime.as_deref().unwrap_or("")),
            mime,
            name: string(file, "name"),
            size: file["size"].as_u64(),
            caption: None,
            transcript: None,
            // Salesforce's links need no sign-in, and lead away from the messaging service.
            source: url
                .filter(|_| !result.starts_with("Error"))
                .map(|url| Source::Url { url }),
        });
    }
}

fn kind(mime: &str) -> AttachmentKind {
    match mime.split('/').next().unwrap_or("") {
        "image" => AttachmentKind::Image,
        "audio" => AttachmentKind::Audio,
        "video" => AttachmentKind::Video,
        _ => AttachmentKind::Document,
    }
}

fn options(content: &Value) -> Vec<ReplyOption> {
    let items = content["optionItems"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    items
        .iter()
        .take(MAX_LINES)
        .filter_map(|item| {
            let title = title(item)?;
            let id = string(item, "optionIdentifier").unwrap_or_else(|| title.clone());
            Some(ReplyOption { id, title })
        })
        .collect()
}

/// A form cannot be filled in on WhatsApp, so the customer is asked to answer in words.
fn form(content: &Value) -> Option<String> {
    let mut asked = Vec::new();
    for section in content["sections"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        let inputs = section["inputs"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        for input in std::iter::once(&section["input"]).chain(inputs) {
            let label = title(&input["label"]).or_else(|| string(input, "label"));
            asked.extend(label.map(|label| format!("• {label}")));
        }
    }
    asked.truncate(MAX_LINES);
    let name = string(content, "formTitle").or_else(|| title(&content["formTitle"]));
    let name = name.unwrap_or_else(|| "The agent asks for some details".to_owned());
    let tail = if asked.is_empty() {
        "Please answer in a message.".to_owned()
    } else {
        format!("Please answer in a message:\n{}", asked.join("\n"))
    };
    Some(format!("{name}\n{tail}"))
}

/// A title in any of the places where Salesforce puts it.
pub(crate) fn title(value: &Value) -> Option<String> {
    [&value["titleItem"], &value["title"], value]
        .into_iter()
        .find_map(|item| string(item, "title"))
        .or_else(|| value["title"].as_str().map(str::to_owned))
        .filter(|title| !title.is_empty())
}

/// Texts and addresses at any depth, in the order of the fields.
fn texts(value: &Value, depth: usize, found: &mut Vec<String>) {
    if depth > 8 || found.len() >= MAX_LINES {
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, depth + 1, found)),
        Value::Object(fields) => {
            for name in ["text", "title", "subTitle", "label", "url", "assetUrl"] {
                let new = string(value, name).filter(|text| !found.contains(text));
                if let Some(text) = new.filter(|_| found.len() < MAX_LINES) {
                    found.push(text);
                }
            }
            for field in fields
                .values()
                .filter(|field| field.is_object() || field.is_array())
            {
                texts(field, depth + 1, found);
            }
        }
        _ => {}
    }
}

fn lines<const N: usize>(parts: [Option<String>; N]) -> Option<String> {
    let lines: Vec<String> = parts.into_iter().flatten().collect();
    Some(lines.join("\n")).filter(|text| !text.is_empty())
}

pub(crate) fn string(value: &Value, name: &str) -> Option<String> {
    let said = value[name]
        .as_str()
        .filter(|text| !text.trim().is_empty())?;
    // Only a message's own text is as long as it is; it is split on its way to the customer.
    Some(if name == "text" {
        said.to_owned()
    } else if name.ends_with("rl") || name.ends_with("Url") {
        said.trim().to_owned()
    } else {
        text::truncate(said, MAX_TITLE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text_of(message: Value) -> Option<String> {
        shown("e", &message).text
    }

    #[test]
    fn every_documented_format_says_something() {
        let link = json!({"messageType": "StaticContentMessage", "staticContent": {"formatType": "RichLink", "linkItem": {
            "itemType": "TitleLinkItem", "titleItem": {"itemType": "TitleItem", "title": "Docs"}, "url": "https://x.test/d"},
            "image": {"assetUrl": "https://x.test/i.png"}}});
        assert_eq!(text_of(link).as_deref(), Some("Docs\nhttps://x.test/d"));
        let links = json!({"staticContent": {"formatType": "Links", "links": [{"linkItem": {"titleItem": {"title": "A"}, "url": "https://a.test"}}]}});
        assert_eq!(text_of(links).as_deref(), Some("https://a.test\nA"));
        let view = json!({"staticContent": {"formatType": "WebView", "title": {"title": "Pay"}, "url": "https://p.test"}});
        assert_eq!(text_of(view).as_deref(), Some("Pay\nhttps://p.test"));
        let carousel = json!({"choices": {"formatType": "Carousel", "items": [
            {"titleItem": {"itemType": "TitleImageItem", "title": "Red", "subTitle": "9 €", "imageId": "i1"},
             "interactionItems": [{"titleItem": {"title": "Buy"}}]},
            {"titleItem": {"title": "Blue"}}], "images": [{"id": "i1", "assetUrl": "https://x.test/r.png"}]}});
        let carousel = shown("e", &carousel);
        let text = carousel.text.expect("text");
        for part in ["Red", "9 €", "Blue", "https://x.test/r.png"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(carousel.options[0].title, "Buy");
        let form = json!({"form": {"formatType": "Inputs", "formTitle": "Address", "sections": [
            {"sectionType": "SingleInputSection", "input": {"inputType": "TextInput", "id": "f1", "label": {"title": "Street"}, "required": true}}]}});
        assert_eq!(
            text_of(form).as_deref(),
            Some("Address\nPlease answer in a message:\n• Street")
        );
        let unknown = json!({"staticContent": {"formatType": "Hologram", "beam": 1}});
        assert!(text_of(unknown).expect("text").contains("cannot show"));
        assert!(text_of(json!(null)).is_some());
    }

    #[test]
    fn choices_keep_their_ids() {
        let message = json!({"choices": {"formatType": "Buttons", "text": "Pick", "optionItems": [
            {"itemType": "TitleOptionItem", "titleItem": {"title": "Yes", "subTitle": null}, "optionIdentifier": "o1"}, {"bad": 1}]}});
        let shown = shown("e", &message);
        assert_eq!(shown.text.as_deref(), Some("Pick"));
        assert_eq!(
            shown.options,
            [ReplyOption {
                id: "o1".into(),
                title: "Yes".into()
            }]
        );
    }

    #[test]
    fn files_have_addresses_and_a_pending_one_waits() {
        let message = json!({"staticContent": {"formatType": "Attachments", "text": null, "attachments": [
            {"name": "a.pdf", "id": "f1", "mimeType": "application/pdf", "url": "https://x.documentforce.com/sfc/1", "attachmentUploadResult": null},
            {"name": "b.png", "mimeType": "image/png", "url": "javascript:alert(1)"},
            {"name": "c.png", "attachmentUploadResult": {"resultType": "PendingAttachmentUploadResult"}}]}});
        let shown = shown("e", &message);
        assert!(shown.pending);
        assert_eq!(shown.attachments.len(), 2);
        assert_eq!(
            shown.attachments[0].source,
            Some(Source::Url {
                url: "https://x.documentforce.com/sfc/1".into()
            })
        );
        assert_eq!(
            (
                shown.attachments[1].id.as_str(),
                &shown.attachments[1].source
            ),
            ("e-1", &None)
        );
    }
}
