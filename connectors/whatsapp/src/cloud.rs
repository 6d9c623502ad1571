//! The exit to the Cloud API: uploads and sends as requests.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages>

use handoffd_contract::text::encode;
use handoffd_contract::{
    Attachment, Body, HttpCall, MediaLookup, MediaRef, Method, Part as FormPart, Reason, Repeat,
    Step,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::activity::is_wamid;
use crate::exit::Provider;
use crate::facts::{self, Lane};
use crate::kinds::MediaKind;
use crate::parts::{Content, Part};
use crate::recipient::Recipient;
use crate::settings::Settings;

/// Name of the step that uploads a file.
pub(crate) const UPLOAD: &str = "media.upload";
/// Name of the step that sends a message.
pub(crate) const SEND: &str = "message.send";

/// Where Meta keeps files.
pub(crate) const MEDIA_HOST: &str = "lookaside.fbsbx.com";

/// What [`read`](crate::read) needs beside the reply to a send.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SendMemo {
    /// The fact of the message.
    pub(crate) sent: String,
    /// Our reference.
    pub(crate) reference: String,
    /// The file's fact, when one is sent by its id.
    pub(crate) media: Option<String>,
    /// Fact: the file was uploaded a second time. Present when it was.
    pub(crate) again: Option<String>,
    /// The customer's newest message, when it was planned.
    pub(crate) last_inbound: Option<String>,
    /// When it was planned.
    pub(crate) at: String,
}

/// How a file leaves.
pub(crate) enum File<'a> {
    /// It must be uploaded first.
    Upload(Box<Step>),
    /// By its media id.
    Id(&'a str),
    /// WhatsApp does not take it, for the reason given.
    No(&'a str),
}

/// The path of one of a number's edges.
pub(crate) fn path(settings: &Settings, number: &str, edge: &str) -> String {
    match settings.provider() {
        Provider::Meta => format!("/{}/{number}/{edge}", settings.version),
        Provider::Dialog360 => format!("/{edge}"),
    }
}

/// Fact: a file was refused once when it was sent and has been uploaded again.
pub(crate) fn again(media: &str) -> String {
    format!("again/{media}")
}

/// How the file of a part leaves.
pub(crate) fn file<'a>(
    lane: Lane<'a>,
    item: &str,
    part: &Part,
    number: &str,
    attachment: &Attachment,
    kind: Option<MediaKind>,
) -> File<'a> {
    let fact = facts::media(item, &part.slot);
    if let Some(id) = lane.known.get(&fact) {
        return File::Id(id);
    }
    // An upload whose outcome a person waved through is simply made again.
    if let Some((reason, why)) = lane.known.refused(&fact)
        && reason != Reason::UnknownOutcome
    {
        return File::No(why);
    }
    let Some(kind) = kind else {
        return File::No("WhatsApp does not take files of this type");
    };
    if attachment.source.is_none() {
        return File::No("the file is no longer at its source");
    }
    if attachment.size.is_some_and(|size| size > kind.max_bytes()) {
        return File::No("the file is larger than WhatsApp takes");
    }
    let media = MediaRef {
        attachment: attachment.clone(),
        max_bytes: kind.max_bytes(),
    };
    let mut call = HttpCall::new(Method::Post, path(lane.settings, number, "media"));
    call.body = Body::Multipart(vec![
        FormPart::text("messaging_product", "whatsapp"),
        FormPart::text("type", media.mime()),
        FormPart::file("file", media),
    ]);
    let context = json!({"media": fact});
    File::Upload(Box::new(
        Step::new(UPLOAD, Repeat::Keyed, call)
            .claim(fact)
            .context(context),
    ))
}

/// How the bytes behind a media id are found. The token is shown to Meta's media host, and to the
/// host of the API itself. 360dialog's files are behind its own host, with its own key.
/// <https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media>
/// <https://docs.360dialog.com/partner/messaging/media-messages>
pub(crate) fn lookup(settings: &Settings, media_id: &str) -> MediaLookup {
    let own = settings.base.split("://").nth(1).unwrap_or_default();
    let own = own.split(['/', ':']).next().unwrap_or_default();
    match settings.provider() {
        Provider::Meta => MediaLookup {
            call: HttpCall::get(format!("/{}/{}", settings.version, encode(media_id))),
            hosts: vec![MEDIA_HOST.to_owned(), own.to_owned()],
            by_base: false,
        },
        Provider::Dialog360 => MediaLookup {
            call: HttpCall::get(format!("/{}", encode(media_id))),
            hosts: vec![own.to_owned()],
            by_base: true,
        },
    }
}

/// The step that sends one message.
pub(crate) fn send(
    lane: Lane<'_>,
    item: &str,
    part: &Part,
    to: &Recipient,
    number: &str,
    message: Value,
) -> Step {
    let reference = lane.reference(item, &part.slot);
    let mut body = json!({"messaging_product": "whatsapp", "biz_opaque_callback_data": reference});
    to.address(&mut body);
    // A gateway's id says nothing to Meta, and would cost the reply.
    // <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/contextual-replies>
    if let Some(id) = part.quotes.as_deref().filter(|id| is_wamid(id)) {
        body["context"] = json!({"message_id": id});
    }
    merge(&mut body, message);
    let sent = facts::sent(item, &part.slot);
    let media = facts::media(item, &part.slot);
    let by_id = matches!(part.content, Content::File { .. }) && lane.known.get(&media).is_some();
    let context = SendMemo {
        sent: sent.clone(),
        reference,
        again: Some(again(&media)).filter(|fact| lane.known.is(fact)),
        media: Some(media).filter(|_| by_id),
        last_inbound: lane.work.last_inbound.map(|at| at.to_string()),
        at: lane.work.now.to_string(),
    };
    Step::new(
        SEND,
        Repeat::Blind,
        HttpCall::post(path(lane.settings, number, "messages"), body),
    )
    .claim(sent)
    .spend("number", number)
    .spend("pair", format!("{number}/{}", to.key()))
    .context(serde_json::to_value(&context).unwrap_or_default())
}

/// The API's object for a file that was uploaded.
pub(crate) fn uploaded(
    id: &str,
    attachment: &Attachment,
    kind: MediaKind,
    caption: Option<&str>,
) -> Value {
    let mut object = json!({"id": id});
    if let Some(caption) = caption {
        object["caption"] = caption.into();
    }
    match kind {
        MediaKind::Document => object["filename"] = attachment.file_name().into(),
        MediaKind::Voice => object["voice"] = true.into(),
        _ => {}
    }
    typed(kind.word(), object)
}

/// A message object of one type: `{"type": word, word: object}`.
pub(crate) fn typed(word: &str, object: Value) -> Value {
    let mut message = json!({"type": word});
    message[word] = object;
    message
}

/// The message objects that need no upload; they are the same for both exits.
pub(crate) fn plain(content: &Content, preview_url: bool) -> Option<Value> {
    match content {
        Content::Text(text) => Some(text_message(text, preview_url)),
        Content::Choice(choice) => Some(typed("interactive", choice.clone())),
        Content::Template(template) => {
            let parameters: Vec<Value> = template
                .parameters
                .iter()
                .map(|text| json!({"type": "text", "text": text}))
                .collect();
            let mut object =
                json!({"name": template.name, "language": {"code": template.language}});
            if !parameters.is_empty() {
                object["components"] = json!([{"type": "body", "parameters": parameters}]);
            }
            Some(typed("template", object))
        }
        Content::File { .. } => None,
    }
}

/// A text message object.
pub(crate) fn text_message(text: &str, preview_url: bool) -> Value {
    let link = text.contains("http://") || text.contains("https://");
    let mut object = json!({"body": text});
    if link && preview_url {
        object["preview_url"] = true.into();
    }
    typed("text", object)
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}
