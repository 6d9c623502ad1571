//! Uploaded and received files.
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::event::AttachmentKind;
use handoffd_contract::sandbox::Request;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use crate::kinds::media_kind;

/// Addresses live five minutes.
const ADDRESS_SECONDS: i64 = 5 * 60;
/// All files together; the oldest are forgotten first.
const MAX_BYTES: usize = 256 << 20;

/// A file.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) mime: String,
    pub(super) name: Option<String>,
    pub(super) bytes: Vec<u8>,
    until: Timestamp,
}

impl File {
    /// Its hash, in hexadecimal.
    pub(super) fn hex(&self) -> String {
        hex(&self.bytes)
    }

    /// Its hash, as the API writes it.
    pub(super) fn sha256(&self) -> String {
        STANDARD.encode(Sha256::digest(&self.bytes))
    }
}

/// The hash of bytes, in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files, by media id.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: BTreeMap<String, File>,
    made: u64,
}

impl Files {
    /// Keeps a file for as long as WhatsApp does: 30 days after an upload, 7 days when received.
    pub(super) fn keep(
        &mut self,
        now: Timestamp,
        mime: &str,
        name: Option<String>,
        bytes: Vec<u8>,
        days: i64,
    ) -> String {
        self.made += 1;
        let id = format!("{}", 1_037_543_291_543_000 + self.made);
        let until = now
            .saturating_add(jiff::SignedDuration::from_hours(24 * days))
            .unwrap_or(Timestamp::MAX);
        self.files.insert(
            id.clone(),
            File {
                mime: mime.to_owned(),
                name,
                bytes,
                until,
            },
        );
        while self
            .files
            .values()
            .map(|file| file.bytes.len())
            .sum::<usize>()
            > MAX_BYTES
            && self.files.len() > 1
        {
            self.files.pop_first();
        }
        id
    }

    /// A file that is still there.
    pub(super) fn get(&self, now: Timestamp, id: &str) -> Option<&File> {
        self.files.get(id).filter(|file| now < file.until)
    }

    /// Forgets a file.
    pub(super) fn delete(&mut self, id: &str) -> bool {
        self.files.remove(id).is_some()
    }

    /// Takes an upload.
    pub(super) fn upload(&mut self, now: Timestamp, request: &Request) -> Result<String, Fault> {
        let parts = request
            .multipart()
            .ok_or_else(|| Fault::invalid("The body must be multipart/form-data."))?;
        if let Some(part) = parts
            .iter()
            .find(|part| !["messaging_product", "type", "file"].contains(&part.name.as_str()))
        {
            return Err(Fault::invalid(format!("Unexpected key \"{}\".", part.name)));
        }
        let part = |name: &str| parts.iter().find(|part| part.name == name);
        if part("messaging_product").map(|part| part.text()).as_deref() != Some("whatsapp") {
            return Err(Fault::invalid(
                "The parameter messaging_product is required.",
            ));
        }
        let file = part("file").ok_or_else(|| Fault::invalid("The parameter file is required."))?;
        let told = part("type")
            .map(|part| part.text())
            .ok_or_else(|| Fault::invalid("The parameter type is required."))?;
        let bare = |mime: &str| {
            mime.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        };
        let mime = bare(file.mime.as_deref().unwrap_or(&told));
        let kind = media_kind(&mime, AttachmentKind::Other).ok_or_else(|| {
            Fault::invalid(format!(
                "Param file must be a file with one of the supported types; got {mime}."
            ))
        })?;
        if bare(&told) != mime {
            return Err(Fault::new(
                131053,
                format!("The type {told} does not match the file's type {mime}."),
            ));
        }
        if file.file_name.as_deref().unwrap_or_default().is_empty() {
            return Err(Fault::invalid("The part file needs a filename."));
        }
        if file.bytes.is_empty() {
            return Err(Fault::invalid("The file is empty."));
        }
        if file.bytes.len() as u64 > kind.max_bytes() {
            return Err(Fault::invalid(format!(
                "The file is larger than {} bytes.",
                kind.max_bytes()
            )));
        }
        Ok(self.keep(now, &mime, file.file_name.clone(), file.bytes.clone(), 30))
    }

    /// What a media id says: above all an address that lives five minutes.
    pub(super) fn describe(&self, now: Timestamp, id: &str, base: &str) -> Option<Value> {
        let file = self.get(now, id)?;
        let until = now.as_second() + ADDRESS_SECONDS;
        Some(json!({
            "messaging_product": "whatsapp",
            "url": format!("{base}/whatsapp_business/attachments/?mid={id}&ext={until}&hash={}", seal(id, until)),
            "mime_type": file.mime,
            "sha256": file.sha256(),
            "file_size": file.bytes.len().to_string(),
            "id": id,
        }))
    }

    /// The file behind an address.
    pub(super) fn fetch(&self, now: Timestamp, request: &Request) -> Option<&File> {
        let id = request.param("mid")?;
        let until: i64 = request.param("ext")?.parse().ok()?;
        let sealed = request.param("hash")? == seal(id, until);
        (sealed && now.as_second() < until)
            .then(|| self.get(now, id))
            .flatten()
    }
}

fn seal(id: &str, until: i64) -> String {
    handoffd_contract::ids::short(&["media address", id, &until.to_string()])
}
