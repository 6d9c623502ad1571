//! Bytes of files: the stream property of a file's row, and the file service that writes row and
//! bytes in one call.

use std::collections::BTreeMap;

use handoffd_contract::sandbox::{Request, Response};
use handoffd_contract::text;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Site;
use super::fault::Fault;
use crate::wire;

/// Bytes that are kept in all; then the oldest files keep only their size and fingerprint.
const MAX_TOTAL: usize = 256 * 1024 * 1024;

#[derive(Clone)]
struct File {
    size: usize,
    print: String,
    bytes: Option<Vec<u8>>,
}

/// Files by their row's id.
#[derive(Clone)]
pub(super) struct Files {
    /// The system setting `MaxFileSize`, in bytes.
    pub max: u64,
    files: BTreeMap<String, File>,
    order: Vec<String>,
    kept: usize,
}

impl Files {
    pub(super) fn new() -> Files {
        Files {
            max: 10 * 1024 * 1024,
            files: BTreeMap::new(),
            order: Vec::new(),
            kept: 0,
        }
    }

    /// A file's bytes, while they are kept.
    pub(super) fn bytes(&self, id: &str) -> Option<&[u8]> {
        self.files.get(id)?.bytes.as_deref()
    }

    /// Size and fingerprint (the beginning of SHA-256).
    pub(super) fn about(&self, id: &str) -> Option<(usize, &str)> {
        self.files
            .get(id)
            .map(|file| (file.size, file.print.as_str()))
    }

    pub(super) fn put(&mut self, id: &str, bytes: Vec<u8>) {
        self.forget(id);
        let digest = Sha256::digest(&bytes);
        let print = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.kept += bytes.len();
        self.files.insert(
            id.to_owned(),
            File {
                size: bytes.len(),
                print,
                bytes: Some(bytes),
            },
        );
        self.order.push(id.to_owned());
        let mut oldest = 0;
        while self.kept > MAX_TOTAL && oldest < self.order.len() {
            if let Some(file) = self.files.get_mut(&self.order[oldest])
                && let Some(bytes) = file.bytes.take()
            {
                self.kept -= bytes.len();
            }
            oldest += 1;
        }
        self.order.drain(..oldest);
    }

    pub(super) fn forget(&mut self, id: &str) {
        if let Some(file) = self.files.remove(id) {
            self.kept -= file.bytes.map_or(0, |bytes| bytes.len());
            self.order.retain(|known| known != id);
        }
    }
}

impl Site {
    /// `PUT <set>(<id>)/Data`.
    pub(super) fn put_data(
        &mut self,
        now: Timestamp,
        set: &str,
        id: &str,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        self.store.get(set, id).ok_or_else(Fault::missing)?;
        if self.store.schema.column(set, "Data").is_none() {
            return Err(Fault::routing(&format!("{set}({id})/Data"), set));
        }
        if bytes.len() as u64 > self.files.max {
            return Err(Fault::odata(
                500,
                "MaxFileSizeExceededException: the file exceeds the maximum size",
            ));
        }
        self.files.put(id, bytes.to_vec());
        let size = Map::from_iter([("Size".to_owned(), Value::from(bytes.len()))]);
        self.store.update(now, &Site::user(), set, id, &size)
    }

    /// `POST …/rest/FileApiService/UploadFile`: a failure is a 200 as well.
    pub(super) fn upload(&mut self, now: Timestamp, request: &Request) -> Response {
        match self.try_upload(now, request) {
            Ok(()) => Response::json(200, &json!({ "success": true, "errorInfo": null })),
            Err((code, message)) => Response::json(
                200,
                &json!({ "success": false, "errorInfo": { "errorCode": code, "message": message, "stackTrace": null } }),
            ),
        }
    }

    fn try_upload(
        &mut self,
        now: Timestamp,
        request: &Request,
    ) -> Result<(), (&'static str, String)> {
        let bad = |message: &str| ("ArgumentException", message.to_owned());
        let parameter = |name: &str| request.param(name).unwrap_or_default();
        let id = wire::guid(parameter("fileId")).ok_or_else(|| bad("fileId is no id"))?;
        let total: u64 = parameter("totalFileLength")
            .parse()
            .map_err(|_| bad("totalFileLength is no number"))?;
        let (set, parent) = (parameter("entitySchemaName"), parameter("parentColumnName"));
        if !matches!(
            (set, parent),
            ("CaseFile", "Case") | ("ActivityFile", "Activity")
        ) || parameter("columnName") != "Data"
        {
            return Err(bad(
                "entitySchemaName, parentColumnName or columnName is not known",
            ));
        }
        if total > self.files.max {
            return Err((
                "MaxFileSizeExceededException",
                "The file exceeds the maximum size".to_owned(),
            ));
        }
        // `bytes 0-122/123`, the end inclusive; without it the body is the whole file.
        let range = request.header("content-range").map(|range| {
            let (span, whole) = range.strip_prefix("bytes ")?.split_once('/')?;
            let (from, to) = span.split_once('-')?;
            Some((
                from.parse::<u64>().ok()?,
                to.parse::<u64>().ok()?,
                whole.parse::<u64>().ok()?,
            ))
        });
        let from = match range {
            None if request.body.len() as u64 == total => 0,
            None => {
                return Err(bad(
                    "the body is shorter than totalFileLength and there is no Content-Range",
                ));
            }
            Some(Some((from, to, whole)))
                if whole == total
                    && from <= to
                    && to - from + 1 == request.body.len() as u64
                    && to < total =>
            {
                from
            }
            Some(_) => return Err(bad("Content-Range does not fit the body")),
        };
        if self.store.get(set, &id).is_none() {
            let row = Map::from_iter([
                ("Id".to_owned(), Value::from(id.clone())),
                ("Name".to_owned(), parameter("fileName").into()),
                (format!("{parent}Id"), parameter("parentColumnValue").into()),
            ]);
            self.store
                .insert(now, &Site::user(), set, &row)
                .map_err(|_| bad("the row could not be saved"))?;
        }
        let mut bytes = if from == 0 {
            Vec::new()
        } else {
            self.files.bytes(&id).unwrap_or_default().to_vec()
        };
        if bytes.len() as u64 != from {
            return Err(bad("a chunk is missing"));
        }
        bytes.extend_from_slice(&request.body);
        let size = Map::from_iter([("Size".to_owned(), Value::from(bytes.len()))]);
        self.files.put(&id, bytes);
        self.store
            .update(now, &Site::user(), set, &id, &size)
            .map_err(|_| bad("the row could not be saved"))
    }

    /// A file's bytes under its row's name, as a browser saves it.
    pub(super) fn download(&self, set: &str, id: &str) -> Option<Response> {
        let bytes = self.files.bytes(id)?;
        let name = self.store.get(set, id).map_or("", |row| row.text("Name"));
        let plain: String = name
            .chars()
            .map(|c| match c {
                '"' | '\\' => '_',
                c if c.is_ascii_graphic() || c == ' ' => c,
                _ => '_',
            })
            .collect();
        let disposition = format!(
            "attachment; filename=\"{plain}\"; filename*=UTF-8''{}",
            text::encode(name)
        );
        let mut response = Response::empty(200)
            .with("content-type", "application/octet-stream")
            .with("content-disposition", disposition);
        response.body = bytes.to_vec();
        Some(response)
    }

    /// `GET …/rest/FileService/Download/<set>/<id>`.
    pub(super) fn service_download(&self, path: &str) -> Response {
        let mut parts = path.rsplit('/');
        let id = parts.next().and_then(wire::guid).unwrap_or_default();
        let set = parts.next().unwrap_or_default();
        self.download(set, &id)
            .unwrap_or_else(|| Response::empty(404))
    }
}
