//! From the settings as written to those that cannot be wrong.

use std::cell::RefCell;
use std::time::Duration;

use handoffd_contract::Problem;
use handoffd_contract::settings::{AfterEnd, Table, Ways, after_end};
use serde_json::Value;

use super::values::{is_authority, is_developer_name, is_host, org_id_15};
use super::{FILE_HOSTS, OnClose, Settings, Transcript};

/// What can become of messages.
const MESSAGES: Ways<'_> = Ways {
    key: "after_end",
    can: &[AfterEnd::New, AfterEnd::Ignore],
    older: &[("message", AfterEnd::New), ("handoff", AfterEnd::Ignore)],
    cannot: "a messaging session that has ended takes nothing any more",
};

/// What can become of a handoff.
const HANDOFFS: Ways<'_> = Ways {
    key: "after_end_handoff",
    can: &[AfterEnd::New],
    older: &[],
    cannot: "after an end each handoff begins a messaging session in the same conversation",
};

/// Reads every setting, and tells everything that is wrong.
pub(super) fn read(value: &Value) -> Result<Settings, Vec<Problem>> {
    let problems = RefCell::new(Vec::new());
    let Some(mut top) = Table::new("", value, &problems) else {
        return Err(problems.into_inner());
    };
    if !top.has("api_base") {
        top.missing("instance_url", MY_DOMAIN);
    }
    let instance = instance(&mut top);
    let api_base = api_base(&mut top);
    let base = api_base.or_else(|| instance.as_ref().map(|i| i.messaging.clone()));
    let org_id = org_id(&mut top);
    let es_developer_name = es_developer_name(&mut top);
    let key_id = top.required("key_id", "copy the kid inside the uploaded JSON Web Key");
    let issuer = top.required(
        "issuer",
        "copy the JSON Web Key Issuer of the keyset (Setup → User Verification)",
    );
    let private_key = top.required_secret(
        "private_key",
        "name the secret that holds the RSA private key",
    );
    let seconds = Duration::from_secs;
    let settings = Settings {
        base: base.unwrap_or_default(),
        instance: instance.map(|i| i.address),
        org_id: org_id.unwrap_or_default(),
        es_developer_name: es_developer_name.unwrap_or_default(),
        key_id: key_id.unwrap_or_default(),
        issuer: issuer.unwrap_or_default(),
        private_key,
        audience: top.text("audience"),
        capabilities_version: top
            .text("capabilities_version")
            .unwrap_or_else(|| "1".into()),
        identity_lifetime: seconds(top.number("identity_lifetime_seconds", 60..=86_400, 3_600)),
        subject_prefix: subject_prefix(&mut top),
        tokens_per_minute: small(top.number("tokens_per_minute", 1..=100_000, 180)),
        language: top.text("language").unwrap_or_else(|| "en_US".into()),
        transcript: transcript(&mut top),
        message_limit: size(top.number("message_limit", 200..=30_000, 3_000)),
        attribute_limit: size(top.number("attribute_limit", 20..=10_000, 255)),
        parameters: parameters(&mut top),
        max_file_bytes: top.number("max_file_bytes", 1_024..=25 * 1024 * 1024, 5 * 1024 * 1024),
        file_hosts: file_hosts(&mut top),
        relay_chatbot: top.flag("relay_chatbot", false),
        relay_automated: top.flag("relay_automated", false),
        on_close: top.choice(
            "on_close",
            &[
                ("end-session", OnClose::EndSession),
                ("keep", OnClose::Keep),
            ],
            OnClose::EndSession,
        ),
        after_end: after_end(&mut top, MESSAGES, AfterEnd::Ignore),
        activity: top.flag("activity", false),
        end_on_work_closed: top.flag("end_on_work_closed", false),
        idle: seconds(top.number("idle_seconds", 25..=600, 90)),
    };
    after_end(&mut top, HANDOFFS, AfterEnd::New);
    top.finish();
    let problems = problems.into_inner();
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems)
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const MY_DOMAIN: &str = "write My Domain's address, such as https://yourcompany.my.salesforce.com (Setup → My Domain → \
                         Current My Domain URL)";

/// My Domain's address and what follows from it.
struct Instance {
    address: String,
    messaging: String,
}

/// My Domain's address, and the messaging service's that belongs to it. The rule covers
/// sandboxes too: `x--sbx.sandbox.my.salesforce.com`.
fn instance(top: &mut Table<'_>) -> Option<Instance> {
    let url = top.text("instance_url")?;
    let wrong = |found: &str| top.problem("instance_url", format!("{found}; {MY_DOMAIN}"));
    let Some(rest) = url.strip_prefix("https://") else {
        wrong("does not begin with https://");
        return None;
    };
    let host = rest
        .split(['/', '?', '#'])
        .next()
        .unwrap_or("")
        .to_ascii_lowercase();
    if host.ends_with(".lightning.force.com") {
        wrong("is the address of the Lightning pages, as copied from a browser");
        return None;
    }
    let domain = host
        .strip_suffix(".my.salesforce.com")
        .or_else(|| host.strip_suffix(".my.salesforce-scrt.com"))
        .filter(|domain| is_host(domain));
    let Some(domain) = domain else {
        wrong("has a host that does not end with .my.salesforce.com");
        return None;
    };
    Some(Instance {
        address: format!("https://{domain}.my.salesforce.com"),
        messaging: format!("https://{domain}.my.salesforce-scrt.com"),
    })
}

/// The messaging service's address, when it does not follow from My Domain's.
fn api_base(top: &mut Table<'_>) -> Option<String> {
    let local = |host: &str| matches!(host, "127.0.0.1" | "localhost" | "[::1]");
    let sound = |url: &str| match url.trim_end_matches('/').split_once("://") {
        Some(("https", rest)) => is_authority(rest),
        Some(("http", rest)) => {
            is_authority(rest) && local(rest.rsplit_once(':').map_or(rest, |(host, _)| host))
        }
        _ => false,
    };
    let url = top.text_if(
        "api_base",
        sound,
        "write an address of the form https://host[:port] without a path, or leave it out, since it follows from \
         instance_url (plain http only to this machine)",
    )?;
    Some(url.trim_end_matches('/').to_owned())
}

fn org_id(top: &mut Table<'_>) -> Option<String> {
    let remedy = "copy it from Setup → Company Information → Organization ID";
    let id = top.required("org_id", remedy)?;
    match org_id_15(&id) {
        Ok(short) => Some(short),
        Err(found) => {
            top.problem("org_id", format!("{found}; {remedy}"));
            None
        }
    }
}

fn es_developer_name(top: &mut Table<'_>) -> Option<String> {
    let remedy = "copy the API name, not the label, of the Custom Client deployment (Setup → Embedded Service \
                  Deployments)";
    top.missing("es_developer_name", remedy);
    top.text_if("es_developer_name", is_developer_name, remedy)
}

/// Kept to the letter, white space and all, since it is part of the customers' identities.
fn subject_prefix(top: &mut Table<'_>) -> String {
    match top.value("subject_prefix") {
        Some(Value::String(prefix)) => prefix.clone(),
        _ => top
            .text("subject_prefix")
            .unwrap_or_else(|| "handoffd:".into()),
    }
}

fn transcript(top: &mut Table<'_>) -> Transcript {
    let max_parts = size(top.number("transcript_max_parts", 1..=20, 1));
    let auto = Transcript::Auto { max_parts };
    let words = [
        ("auto", auto),
        ("messages", Transcript::Messages),
        ("file", Transcript::File),
    ];
    top.choice("transcript", &words, auto)
}

fn parameters(top: &mut Table<'_>) -> Vec<String> {
    let remedy = "copy the API names of the channel's custom parameters (Setup → Messaging Settings → the channel → \
                  Custom Parameters)";
    top.texts_if("parameters", is_developer_name, remedy)
        .unwrap_or_default()
}

fn file_hosts(top: &mut Table<'_>) -> Vec<String> {
    let sound = |host: &str| {
        let host = host.to_ascii_lowercase();
        let body = host.strip_prefix('.').unwrap_or(&host);
        is_host(body) && body.contains('.')
    };
    let remedy = "write an exact name such as files.example.com, or a suffix that begins with a dot such as .force.com";
    match top.texts_if("file_hosts", sound, remedy) {
        Some(hosts) => hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        None => FILE_HOSTS.iter().map(|host| (*host).to_owned()).collect(),
    }
}
