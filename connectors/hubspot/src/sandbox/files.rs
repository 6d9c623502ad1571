//! The file manager: private files, and addresses at which they can be read for a while.
//! <https://developers.hubspot.com/docs/api-reference/files-files-v3/guide>

use handoffd_contract::sandbox::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Portal;
use super::answer::{Answer, error, invalid, no_route, not_found, only, wrong_method};
use super::store::iso;

/// A file.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub id: u64,
    pub name: String,
    pub folder: String,
    pub access: String,
    pub mime: String,
    pub bytes: Vec<u8>,
    pub size: usize,
    pub created: Timestamp,
}

/// How many bytes of files are kept; the oldest lose theirs.
const MAX_BYTES: usize = 256 << 20;

impl File {
    fn extension(&self) -> &str {
        self.name
            .rsplit_once('.')
            .map_or("", |(_, extension)| extension)
    }

    fn kind(&self) -> &'static str {
        match self.mime.split('/').next() {
            Some("image") => "IMG",
            Some("audio") => "AUDIO",
            Some("video") => "MOVIE",
            _ if ["application/pdf", "text/plain"].contains(&self.mime.as_str()) => "DOCUMENT",
            _ => "OTHER",
        }
    }

    fn json(&self) -> Value {
        let stem = self
            .name
            .rsplit_once('.')
            .map_or(self.name.as_str(), |(stem, _)| stem);
        json!({
            "id": self.id.to_string(), "name": stem, "extension": self.extension(), "type": self.kind(), "access": self.access,
            "size": self.size, "path": format!("{}/{}", self.folder, self.name), "parentFolderId": "1",
            "url": format!("https://{}.fs1.hubspotusercontent-na1.net/hubfs{}/{}", super::PORTAL_ID, self.folder, self.name),
            "isUsableInContent": true, "archived": false, "createdAt": iso(self.created), "updatedAt": iso(self.created),
        })
    }
}

impl Portal {
    /// Everything below `/files/…/files`.
    pub(super) fn file_calls(
        &mut self,
        now: Timestamp,
        request: &Request,
        rest: &[&str],
    ) -> Answer {
        self.scope("files")?;
        match (request.method.as_str(), rest) {
            ("POST", []) => {
                self.params(request, &[])?;
                self.upload(now, request)
            }
            ("GET", ["search"]) => self.file_search(request),
            ("GET", [id]) => {
                self.params(request, &["properties"])?;
                Ok(Response::json(200, &self.file(id)?.json()))
            }
            ("GET", [id, "signed-url"]) => {
                self.params(request, &["size", "expirationSeconds", "upscale"])?;
                let seconds: i64 = request
                    .param("expirationSeconds")
                    .unwrap_or("300")
                    .parse()
                    .map_err(|_| invalid("expirationSeconds is not a number"))?;
                let file = self.file(id)?;
                let until = now + SignedDuration::from_secs(seconds.clamp(1, 604_800));
                let host = request.header("host").unwrap_or("files.hubspot.invalid");
                let (id, expires) = (file.id, until.as_millisecond());
                let mut answer = file.json();
                answer["url"] = json!(format!(
                    "http://{host}/_signed/{id}?expires={expires}&signature={}",
                    seal(id, expires)
                ));
                let shown: Value = ["url", "name", "extension", "size", "type"]
                    .iter()
                    .map(|n| ((*n).to_owned(), answer[*n].clone()))
                    .collect();
                let mut shown = shown;
                shown["expiresAt"] = json!(iso(until));
                Ok(Response::json(200, &shown))
            }
            ("DELETE", [id]) => {
                let id = self.file(id)?.id;
                self.files.remove(&id);
                Ok(Response::empty(204))
            }
            (_, [] | [_] | [_, "signed-url"]) => Err(wrong_method()),
            _ => Err(no_route()),
        }
    }

    /// `GET …/files/search`, which is no file's id.
    fn file_search(&self, request: &Request) -> Answer {
        self.params(
            request,
            &[
                "name",
                "path",
                "ids",
                "type",
                "extension",
                "limit",
                "after",
                "properties",
                "sort",
            ],
        )?;
        let limit: usize = request
            .param("limit")
            .unwrap_or("100")
            .parse()
            .map_err(|_| invalid("limit is not a number"))?;
        if !(1..=100).contains(&limit) {
            return Err(invalid("limit must be between 1 and 100"));
        }
        let after: u64 = request
            .param("after")
            .unwrap_or("0")
            .parse()
            .map_err(|_| invalid("after is not valid"))?;
        let is_found = |file: &&File| {
            let fits = |name: &str, held: &str| {
                request
                    .param(name)
                    .is_none_or(|wanted| held.eq_ignore_ascii_case(wanted))
            };
            let stem = file.name.rsplit_once('.').map_or("", |(stem, _)| stem);
            let named = fits("name", stem) || fits("name", &file.name);
            let by_id = request.param("ids");
            file.id > after
                && named
                && fits("path", &format!("{}/{}", file.folder, file.name))
                && fits("extension", file.extension())
                && fits("type", file.kind())
                && by_id.is_none_or(|ids| ids.split(',').any(|id| id == file.id.to_string()))
        };
        let mut found = self.files.values().filter(is_found);
        let page: Vec<&File> = found.by_ref().take(limit).collect();
        let results: Vec<Value> = page.iter().map(|file| file.json()).collect();
        let mut answer = json!({"results": results});
        if let Some(last) = page.last().filter(|_| found.next().is_some()) {
            answer["paging"] = json!({"next": {"after": last.id.to_string()}});
        }
        Ok(Response::json(200, &answer))
    }

    fn file(&self, id: &str) -> Result<&File, Response> {
        let id: Option<u64> = id.parse().ok();
        id.and_then(|id| self.files.get(&id))
            .ok_or_else(|| not_found("No file with this id"))
    }

    fn upload(&mut self, now: Timestamp, request: &Request) -> Answer {
        let parts = request
            .multipart()
            .ok_or_else(|| error(415, "VALIDATION_ERROR", "multipart/form-data is expected"))?;
        let known = [
            "file",
            "fileName",
            "folderPath",
            "folderId",
            "options",
            "charsetHunch",
        ];
        if let Some(part) = parts
            .iter()
            .find(|part| !known.contains(&part.name.as_str()))
        {
            return Err(invalid(format!("Unknown form field {}", part.name)));
        }
        let field = |name: &str| parts.iter().find(|part| part.name == name);
        let Some(file) = field("file").filter(|file| file.file_name.is_some()) else {
            return Err(invalid(
                "The form field file, with a file name, is required",
            ));
        };
        let folder = match (field("folderPath"), field("folderId")) {
            (Some(path), None) => format!("/{}", path.text().trim_matches('/')),
            (None, Some(id)) => format!("/folder-{}", id.text()),
            _ => {
                return Err(invalid(
                    "Exactly one of folderPath and folderId is required",
                ));
            }
        };
        let options: Value = field("options")
            .and_then(|options| serde_json::from_str(&options.text()).ok())
            .ok_or_else(|| invalid("The form field options must be JSON"))?;
        only(
            &options,
            &[
                "access",
                "overwrite",
                "duplicateValidationStrategy",
                "duplicateValidationScope",
                "ttl",
            ],
        )?;
        let access = options["access"].as_str().unwrap_or_default();
        let accesses = [
            "PUBLIC_INDEXABLE",
            "PUBLIC_NOT_INDEXABLE",
            "PRIVATE",
            "HIDDEN_INDEXABLE",
            "HIDDEN_NOT_INDEXABLE",
            "HIDDEN_PRIVATE",
            "HIDDEN_SENSITIVE",
            "SENSITIVE",
        ];
        if !accesses.contains(&access) {
            return Err(invalid("options.access is not one of the allowed values"));
        }
        let strategy = options["duplicateValidationStrategy"]
            .as_str()
            .unwrap_or("NONE");
        let scope = options["duplicateValidationScope"]
            .as_str()
            .unwrap_or("ENTIRE_PORTAL");
        if !["NONE", "REJECT", "RETURN_EXISTING"].contains(&strategy)
            || !["EXACT_FOLDER", "ENTIRE_PORTAL"].contains(&scope)
        {
            return Err(invalid(
                "options.duplicateValidation… is not one of the allowed values",
            ));
        }
        if file.bytes.len() as u64 > self.switches.max_file_bytes {
            return Err(error(
                413,
                "VALIDATION_ERROR",
                "The file is larger than this account allows",
            ));
        }
        let name = field("fileName")
            .map(|name| name.text())
            .or_else(|| file.file_name.clone())
            .unwrap_or_default();
        let same = |known: &&File| {
            known.name == name
                && known.bytes == file.bytes
                && (scope == "ENTIRE_PORTAL" || known.folder == folder)
        };
        if let Some(known) = self.files.values().find(same) {
            match strategy {
                "RETURN_EXISTING" => return Ok(Response::json(201, &known.json())),
                "REJECT" => return Err(error(409, "CONFLICT", "The file exists already")),
                _ => {}
            }
        }
        let mime = file
            .mime
            .clone()
            .unwrap_or_else(|| "application/octet-stream".into());
        let id = self.keep_file(now, &name, &folder, access, &mime, file.bytes.clone());
        Ok(Response::json(201, &self.files[&id].json()))
    }

    /// Keeps a file, also one of a rep.
    pub(super) fn keep_file(
        &mut self,
        now: Timestamp,
        name: &str,
        folder: &str,
        access: &str,
        mime: &str,
        bytes: Vec<u8>,
    ) -> u64 {
        self.file_count += 1;
        let id = 188_610_225_000 + self.file_count;
        let file = File {
            id,
            name: name.to_owned(),
            folder: folder.to_owned(),
            access: access.to_owned(),
            mime: mime.to_owned(),
            size: bytes.len(),
            bytes,
            created: now,
        };
        self.files.insert(id, file);
        let mut held: usize = self.files.values().map(|file| file.bytes.len()).sum();
        for file in self.files.values_mut() {
            if held <= MAX_BYTES {
                break;
            }
            held -= file.bytes.len();
            file.bytes = Vec::new();
        }
        id
    }

    /// A signed address: no sign-in, but only for a while.
    pub(super) fn download(&self, now: Timestamp, request: &Request, id: &str) -> Response {
        let expires: i64 = request
            .param("expires")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        match id.parse().ok().and_then(|id: u64| self.files.get(&id)) {
            Some(file)
                if request.param("signature") == Some(&seal(file.id, expires))
                    && now.as_millisecond() < expires =>
            {
                Response {
                    status: 200,
                    headers: vec![("content-type".into(), file.mime.clone())],
                    body: file.bytes.clone(),
                    stream: None,
                }
            }
            _ => Response::text(403, "AccessDenied"),
        }
    }
}

fn seal(id: u64, expires: i64) -> String {
    let digest = Sha256::digest(format!("{id}.{expires}.{}", super::CLIENT_SECRET));
    digest[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
