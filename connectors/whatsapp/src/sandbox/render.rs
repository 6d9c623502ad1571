//! What the phone shows of a message.

use handoffd_contract::event::AttachmentKind;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::fault::Fault;
use super::shape::Send;
use super::{Meta, templates};
use crate::kinds::media_kind;

impl Meta {
    /// What the phone will show, and why it will not, when the content turns out to be unusable.
    pub(super) fn render(
        &self,
        now: Timestamp,
        send: &Send<'_>,
    ) -> Result<(Map<String, Value>, Option<Fault>), Fault> {
        let mut shown = Map::new();
        shown.insert("type".into(), send.kind.into());
        if let Some(context) = send.context {
            shown.insert("answers".into(), context.into());
        }
        let mut fails = None;
        match send.kind {
            "template" => {
                shown.insert("template".into(), send.object["name"].clone());
                shown.insert(
                    "text".into(),
                    templates::hydrate(&self.templates, send.object)?.into(),
                );
            }
            "text" => {
                shown.insert("text".into(), send.object["body"].clone());
            }
            "interactive" => interactive(send.object, &mut shown),
            "image" | "video" | "audio" | "document" | "sticker" => {
                fails = self.render_file(now, send, &mut shown)?;
            }
            _ => {
                shown.insert("content".into(), Value::Object(send.object.clone()));
            }
        }
        Ok((shown, fails))
    }

    fn render_file(
        &self,
        now: Timestamp,
        send: &Send<'_>,
        shown: &mut Map<String, Value>,
    ) -> Result<Option<Fault>, Fault> {
        let text = |name: &str| send.object.get(name).and_then(Value::as_str);
        for (field, value) in [("caption", text("caption")), ("link", text("link"))] {
            if let Some(value) = value {
                shown.insert(field.into(), value.into());
            }
        }
        if send.object.get("voice").and_then(Value::as_bool) == Some(true) {
            shown.insert("voice_note".into(), true.into());
        }
        let Some(id) = text("id") else {
            return Ok(None);
        };
        let file = self.files.get(now, id).ok_or_else(|| {
            Fault::invalid(format!(
                "Param {}['id'] is not a valid whatsapp business account media attachment ID",
                send.kind
            ))
        })?;
        let name = text("filename")
            .map(str::to_owned)
            .or_else(|| file.name.clone().filter(|_| send.kind == "document"));
        if let Some(name) = name {
            shown.insert("file_name".into(), name.into());
        }
        shown.insert("mime".into(), file.mime.as_str().into());
        shown.insert("bytes".into(), file.bytes.len().into());
        shown.insert("sha256".into(), file.hex().into());
        let kind = media_kind(&file.mime, AttachmentKind::Other);
        // A document may be of any type; the others must match.
        let fits = send.kind == "document" || kind.is_some_and(|kind| kind.word() == send.kind);
        Ok((!fits).then(|| {
            Fault::new(
                131053,
                format!("A {} cannot be sent as {}.", file.mime, send.kind),
            )
        }))
    }
}

/// What the phone shows of something to choose from.
pub(super) fn interactive(object: &Map<String, Value>, shown: &mut Map<String, Value>) {
    let object = Value::Object(object.clone());
    shown.insert("text".into(), object["body"]["text"].clone());
    let titles = |list: &Value, path: &str| -> Vec<Value> {
        list.as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item.pointer(path).cloned())
            .collect()
    };
    if object["type"] == "button" {
        shown.insert(
            "buttons".into(),
            titles(&object["action"]["buttons"], "/reply/title").into(),
        );
    }
    if object["type"] == "list" {
        let sections = object["action"]["sections"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let rows: Vec<Value> = sections
            .iter()
            .flat_map(|section| titles(&section["rows"], "/title"))
            .collect();
        shown.insert("list".into(), rows.into());
    }
}
