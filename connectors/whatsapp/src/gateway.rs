//! The exit to a gateway: CloudEvents on its exchange.
//!
//! Every message carries an id that is derived from what it says, as AMQP `message_id` and as
//! CloudEvents `id`; the gateway takes it as its idempotency key.

use handoffd_contract::event::{CustomerNotice, RepReply};
use handoffd_contract::outgoing::{CLOUD_EVENT, cloud_event};
use handoffd_contract::{Item, Publish, Repeat, Step};
use serde_json::{Value, json};

use crate::cloud;
use crate::facts::{self, Lane, Window};
use crate::parts::{Content, Part};
use crate::recipient::Recipient;

/// Name of the step that publishes a message of a reply.
pub(crate) const PUBLISH: &str = "reply.publish";

/// The step that asks the gateway to send one message of a reply.
pub(crate) fn send(
    lane: Lane<'_>,
    keys: (&str, &str),
    item: &Item,
    reply: &RepReply,
    part: &Part,
    to: &Recipient,
) -> Step {
    let about = [
        ("target", Some(reply.target.clone())),
        ("reply_message_id", Some(reply.message_id.clone())),
        ("author", reply.author.clone()),
    ];
    request(lane, keys, item, part, to, about)
}

/// The step that asks the gateway to tell the customer something of the conversation itself.
pub(crate) fn tell(
    lane: Lane<'_>,
    keys: (&str, &str),
    item: &Item,
    notice: &CustomerNotice,
    part: &Part,
    to: &Recipient,
) -> Step {
    let about = [
        ("notice", Some(notice.notice.word().to_owned())),
        ("target", notice.target.clone()),
    ];
    request(lane, keys, item, part, to, about)
}

fn request<const N: usize>(
    lane: Lane<'_>,
    (exchange, routing_key): (&str, &str),
    item: &Item,
    part: &Part,
    to: &Recipient,
    about: [(&str, Option<String>); N],
) -> Step {
    let reference = lane.reference(&item.id, &part.slot);
    let mut data = json!({
        "session": lane.work.session.id,
        "business_number": lane.work.session.business_number,
        "reference": reference,
        "message": message(part, lane.settings.preview_url),
    });
    if let Some(id) = &part.quotes {
        data["message"]["context"] = json!({"message_id": id});
    }
    let phone = match to {
        Recipient::Phone(phone) => Some(phone.clone()),
        _ => None,
    };
    let optional = [
        ("to", phone),
        ("user_id", lane.work.contact.user_id.clone()),
        ("window_expires_at", expires(lane.window())),
    ];
    for (name, value) in about.into_iter().chain(optional) {
        if let Some(value) = value {
            data[name] = value.into();
        }
    }
    let body = cloud_event(
        &lane.settings.source,
        &lane.work.session.id,
        (&reference, "reply.requested"),
        item.time,
        data,
    );
    let publish = Publish {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        message_id: reference.clone(),
        content_type: CLOUD_EVENT,
        body,
    };
    let sent = facts::sent(&item.id, &part.slot);
    let context = json!({"fact": sent, "value": reference, "reference": reference, "at": lane.work.now.to_string()});
    Step::new(PUBLISH, Repeat::Keyed, publish)
        .claim_as(sent, reference)
        .context(context)
}

fn expires(window: Window) -> Option<String> {
    match window {
        Window::Open(until) => Some(until.to_string()),
        Window::Closed(end) => end.map(|end| end.to_string()),
    }
}

/// The message in the Cloud API's own form, except that a file comes with where its bytes are.
fn message(part: &Part, preview_url: bool) -> Value {
    if let Some(message) = cloud::plain(&part.content, preview_url) {
        return message;
    }
    let Content::File {
        file,
        kind,
        caption,
    } = &part.content
    else {
        return Value::Null;
    };
    let word = kind.map_or("document", crate::kinds::MediaKind::word);
    let mut object = json!({"attachment": file, "filename": file.file_name()});
    if let Some(caption) = caption {
        object["caption"] = caption.as_str().into();
    }
    if *kind == Some(crate::kinds::MediaKind::Voice) {
        object["voice"] = true.into();
    }
    cloud::typed(word, object)
}
