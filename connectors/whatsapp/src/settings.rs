//! What can be set, and a type of it that cannot be wrong.

use std::collections::BTreeMap;

use handoffd_contract::settings::{printable, shape};
use handoffd_contract::{Problem, Secret};
use jiff::SignedDuration;
use serde_json::Value;

use crate::exit::{Exit, exit, is_id};
use crate::fields::Fields;

/// Where session events for the gateway are published.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notify {
    /// The exchange; empty for the default one.
    pub(crate) exchange: String,
    /// Comes before the event's type in the routing key.
    pub(crate) prefix: String,
    /// Whether held and failed replies are published too.
    pub(crate) reply_status: bool,
}

/// The template that carries a rep's text when the window is closed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fallback {
    /// Its name.
    pub(crate) name: String,
    /// Its language where no other fits.
    pub(crate) language: String,
    /// Its language by the session's (`de`, `pt-BR`).
    pub(crate) languages: BTreeMap<String, String>,
    /// Body parameters; `{reply}` stands for the rep's text.
    pub(crate) parameters: Vec<String>,
}

impl Fallback {
    /// The template's language for a session's language.
    pub(crate) fn language(&self, session: Option<&str>) -> &str {
        let wanted = session
            .unwrap_or_default()
            .to_ascii_lowercase()
            .replace('_', "-");
        let primary = wanted.split('-').next().unwrap_or_default();
        self.languages
            .get(&wanted)
            .or_else(|| self.languages.get(primary))
            .unwrap_or(&self.language)
    }
}

/// How Meta's webhooks are authenticated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Webhooks {
    /// The app secret, and the previous one during a change.
    pub(crate) secrets: Vec<Secret>,
    /// The verify token.
    pub(crate) verify_token: Secret,
    /// The customers' messages in them also come as the gateway's events, so that nothing is lost
    /// when they are passed over here.
    pub(crate) ignore_messages: bool,
}

/// Everything that is set, valid by construction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) exit: Exit,
    /// The access token; always there for the Cloud API.
    pub(crate) token: Option<Secret>,
    /// Without a trailing slash.
    pub(crate) base: String,
    /// Such as `v25.0`.
    pub(crate) version: String,
    /// The WhatsApp business account, needed to look at templates.
    pub(crate) waba_id: Option<String>,
    /// CloudEvents `source` of what is published.
    pub(crate) source: String,
    pub(crate) notify: Option<Notify>,
    /// A rep's ending also hands the session back to the assistant.
    pub(crate) handback: bool,
    /// The window is taken for closed this much before it is.
    pub(crate) window_margin: SignedDuration,
    /// How long a status is awaited after a send whose outcome is not known.
    pub(crate) reconcile: SignedDuration,
    /// A message leaves only when the one before is on the phone.
    pub(crate) wait_delivered: bool,
    /// Text goes as a template when the window is closed.
    pub(crate) use_template: bool,
    pub(crate) fallback: Option<Fallback>,
    pub(crate) webhooks: Option<Webhooks>,
    /// WhatsApp shows a preview of the first link.
    pub(crate) preview_url: bool,
    /// A file that WhatsApp does not take goes as a link, where it has a public one.
    pub(crate) link_files: bool,
    /// The label that opens a list.
    pub(crate) list_button: String,
    /// The text above options that came without one.
    pub(crate) options_prompt: String,
    /// What the number may send, in messages per second.
    pub(crate) per_second: u32,
}

impl Settings {
    /// Reads settings.
    pub(crate) fn read(value: &Value) -> Result<Settings, Vec<Problem>> {
        let mut fields = Fields::of("", value);
        let token = fields.secret("access_token");
        let exit = exit(&mut fields, token.is_some());
        let base = fields
            .text("base_url")
            .unwrap_or_else(|| "https://graph.facebook.com".to_owned());
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("https://") && !base.starts_with("http://") {
            fields.problem(
                "base_url",
                "does not begin with https://; leave it out for Meta's own address",
            );
        } else if base.contains('@') {
            fields.problem("base_url", "must hold neither user nor password");
        } else if base.rsplit('/').next().is_some_and(is_version) {
            fields.problem("base_url", "ends in a version; put that into `version`");
        }
        let version = fields.text("version").unwrap_or_else(|| "v25.0".to_owned());
        if !is_version(&version) {
            fields.problem("version", "is not of the form v25.0");
        }
        let waba_id = fields.text("waba_id");
        if waba_id.as_deref().is_some_and(|id| !is_id(id)) {
            fields.problem(
                "waba_id",
                "is not an id of digits; it is shown in WhatsApp Manager",
            );
        }
        let notify = notify(&mut fields);
        let use_template =
            fields.word("fallback", &["hold", "template"], Some("hold")) == "template";
        let fallback = fallback(&mut fields);
        let webhooks = webhooks(&mut fields);
        let list_button = fields
            .text("list_button")
            .unwrap_or_else(|| "Options".to_owned());
        if handoffd_contract::text::utf16_len(&list_button) > 20 {
            fields.problem("list_button", "is longer than WhatsApp's 20 characters");
        }
        let seconds = |number: u32| SignedDuration::from_secs(i64::from(number));
        let settings = Settings {
            exit,
            token,
            base,
            version,
            waba_id,
            source: fields
                .text("source")
                .unwrap_or_else(|| "handoffd".to_owned()),
            notify,
            handback: fields.flag("handback", false),
            window_margin: seconds(fields.number("window_margin_seconds", 60, 0, 3_600)),
            reconcile: seconds(fields.number("reconcile_seconds", 120, 1, 86_400)),
            wait_delivered: fields.flag("wait_delivered", false),
            use_template,
            fallback,
            webhooks,
            preview_url: fields.flag("preview_url", true),
            link_files: fields.flag("link_files", true),
            list_button,
            options_prompt: fields
                .text("options_prompt")
                .unwrap_or_else(|| "Please choose:".to_owned()),
            per_second: fields.number("messages_per_second", 80, 1, 1_000),
        };
        let problems = fields.finish();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }
}

fn notify(fields: &mut Fields<'_>) -> Option<Notify> {
    let value = fields.value("notify")?;
    let mut inner = Fields::of("notify", value);
    let exchange = inner.maybe_empty(
        "exchange",
        "name the exchange for session events (\"\" is RabbitMQ's default one)",
    );
    let prefix = inner.text("prefix").unwrap_or_default();
    if prefix.len() > 200 {
        inner.problem(
            "prefix",
            "is longer than 200 characters; a routing key may have 255",
        );
    }
    let reply_status = inner.flag("reply_status", true);
    fields.absorb(inner);
    Some(Notify {
        exchange,
        prefix,
        reply_status,
    })
}

fn fallback(fields: &mut Fields<'_>) -> Option<Fallback> {
    let value = fields.value("fallback_template")?;
    let mut inner = Fields::of("fallback_template", value);
    let name = inner.required("name", "give the approved template's name");
    if !name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    {
        inner.problem(
            "name",
            "holds other characters than a-z, 0-9 and _; no template has such a name",
        );
    }
    let language = inner.required(
        "language",
        "give the template's language code, such as en_US",
    );
    let mut languages = BTreeMap::new();
    match inner.value("languages") {
        None => {}
        Some(Value::Object(table)) => {
            for (session, code) in table {
                match code.as_str().map(str::trim).filter(|code| !code.is_empty()) {
                    Some(code) => {
                        languages.insert(
                            session.to_ascii_lowercase().replace('_', "-"),
                            code.to_owned(),
                        );
                    }
                    None => inner.problem(
                        &format!("languages.{}", printable(session)),
                        "is not a language code in quotes",
                    ),
                }
            }
        }
        Some(other) => {
            inner.problem(
                "languages",
                format!(
                    "is {}; expected a table of session language = template language",
                    shape(other)
                ),
            );
        }
    }
    let mut parameters = vec!["{reply}".to_owned()];
    match inner.value("parameters") {
        None => {}
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
            parameters = list
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
        }
        Some(other) => inner.problem(
            "parameters",
            format!("is {}; expected a list of texts", shape(other)),
        ),
    }
    if !parameters
        .iter()
        .any(|parameter| parameter.contains("{reply}"))
    {
        inner.problem(
            "parameters",
            "holds no {reply}, so the rep's text would be lost; put {reply} where it belongs",
        );
    }
    fields.absorb(inner);
    Some(Fallback {
        name,
        language,
        languages,
        parameters,
    })
}

fn webhooks(fields: &mut Fields<'_>) -> Option<Webhooks> {
    let value = fields.value("webhooks")?;
    let mut inner = Fields::of("webhooks", value);
    let secret = inner.secret("app_secret");
    let previous = inner.secret("previous_app_secret");
    let verify_token = inner.secret("verify_token");
    if secret.is_none() && inner.object_lacks("app_secret") {
        inner.problem(
            "app_secret",
            "is missing; name the secret that holds the Meta app's secret",
        );
    }
    if verify_token.is_none() && inner.object_lacks("verify_token") {
        inner.problem(
            "verify_token",
            "is missing; name the secret that holds the token you typed into Meta's webhook form",
        );
    }
    let messages = inner.word("messages", &["report", "ignore"], Some("report"));
    fields.absorb(inner);
    Some(Webhooks {
        ignore_messages: messages == "ignore",
        secrets: secret.into_iter().chain(previous).collect(),
        verify_token: verify_token.unwrap_or(Secret(String::new())),
    })
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v')
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(major, minor)| {
            !major.is_empty()
                && !minor.is_empty()
                && (major.to_owned() + minor)
                    .bytes()
                    .all(|b| b.is_ascii_digit())
        })
}
