//! What can be set, and a type of it that cannot be wrong.

use std::cell::RefCell;
use std::collections::BTreeMap;

use handoffd_contract::settings::{Table, printable};
use handoffd_contract::{Problem, Secret};
use jiff::SignedDuration;
use serde_json::Value;

use crate::exit::{Exit, Provider, exit, is_id};
use crate::parts;

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
    /// Somebody tells others of endings, once no reply stands before them any more.
    pub(crate) endings: bool,
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
    /// The customer sees what reps read, and that they type.
    pub(crate) show_activity: bool,
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
        let problems = RefCell::new(Vec::new());
        let Some(mut top) = Table::new("", value, &problems) else {
            return Err(problems.into_inner());
        };
        let token = top.secret("access_token");
        let exit = exit(&mut top, token.as_ref());
        let base = base(&mut top, &exit);
        let version = top.text_if("version", is_version, "write a version such as v25.0");
        let waba_id = top.text_if(
            "waba_id",
            is_id,
            "write the account's id of digits; WhatsApp Manager shows it",
        );
        let use_template = top.choice("fallback", &[("hold", false), ("template", true)], false);
        let fallback = fallback(&mut top, &exit);
        if let Exit::Http(gateway) = &exit
            && gateway.template.is_none()
            && use_template
        {
            let words = "is \"template\", and this gateway's file has no [template]; leave it out";
            top.problem("fallback", words);
        }
        let webhooks = webhooks(&mut top);
        if webhooks.is_some() && matches!(exit, Exit::Http(_)) {
            let words = "has no effect with exit = \"http\"; lead the gateway's webhooks to an [intake.source]";
            top.problem("webhooks", words);
        }
        let list_button = top.text_if(
            "list_button",
            |label| handoffd_contract::text::utf16_len(label) <= 20,
            "write at most WhatsApp's 20 characters",
        );
        let show_activity = top.flag("show_activity", false);
        match exit {
            Exit::Gateway { .. } if show_activity => top.problem(
                "show_activity",
                "has no effect with exit = \"gateway\"; leave it out: the gateway gets `rep.activity`",
            ),
            Exit::Http(_) if show_activity => top.problem(
                "show_activity",
                "has no effect with exit = \"http\"; leave it out",
            ),
            _ => {}
        }
        let usual = match &exit {
            Exit::Http(gateway) => gateway.per_second,
            _ => 80,
        };
        let seconds =
            |number: u64| SignedDuration::from_secs(i64::try_from(number).unwrap_or(i64::MAX));
        let settings = Settings {
            exit,
            token,
            base,
            version: version.unwrap_or_else(|| "v25.0".to_owned()),
            waba_id,
            source: top.text("source").unwrap_or_else(|| "handoffd".to_owned()),
            endings: top.flag("endings", false),
            window_margin: seconds(top.number("window_margin_seconds", 0..=3_600, 60)),
            reconcile: seconds(top.number("reconcile_seconds", 1..=86_400, 120)),
            wait_delivered: top.flag("wait_delivered", false),
            use_template,
            fallback,
            webhooks,
            show_activity,
            preview_url: top.flag("preview_url", true),
            link_files: top.flag("link_files", true),
            list_button: list_button.unwrap_or_else(|| "Options".to_owned()),
            options_prompt: top
                .text("options_prompt")
                .unwrap_or_else(|| "Please choose:".to_owned()),
            per_second: u32::try_from(top.number("messages_per_second", 1..=1_000, usual))
                .unwrap_or(u32::MAX),
        };
        top.finish();
        let problems = problems.into_inner();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }
}

impl Settings {
    /// Whether WhatsApp's 24-hour window holds.
    pub(crate) fn has_window(&self) -> bool {
        !matches!(&self.exit, Exit::Http(gateway) if !gateway.has_window)
    }

    /// The longest text of one message, in UTF-16 units.
    pub(crate) fn text_limit(&self) -> usize {
        match &self.exit {
            Exit::Http(gateway) => gateway.text_limit,
            _ => parts::TEXT,
        }
    }

    /// Whose Cloud API it is.
    pub(crate) fn provider(&self) -> Provider {
        match self.exit {
            Exit::CloudApi { provider, .. } => provider,
            Exit::Gateway { .. } | Exit::Http(_) => Provider::Meta,
        }
    }

    /// Whether options can go as buttons or a list.
    pub(crate) fn has_choices(&self) -> bool {
        !matches!(self.exit, Exit::Http(_))
    }
}

/// Where the API is, without a trailing slash.
fn base(top: &mut Table<'_>, exit: &Exit) -> String {
    let usual = match exit {
        Exit::CloudApi {
            provider: Provider::Dialog360,
            ..
        } => "https://waba-v2.360dialog.io",
        _ => "https://graph.facebook.com",
    };
    let base = top.text("base_url").unwrap_or_else(|| usual.to_owned());
    let base = base.trim_end_matches('/').to_owned();
    let allow_plain_http = top.flag("allow_plain_http", false);
    if matches!(exit, Exit::Http(_))
        && base.starts_with("http://")
        && !allow_plain_http
        && !is_local(&base)
    {
        let words = "does not begin with https://, so that the key and every reply could be read on the way; \
                     where the network is your own, set `allow_plain_http = true`";
        top.problem("base_url", words);
    } else if !base.starts_with("https://") && !base.starts_with("http://") {
        top.problem(
            "base_url",
            "does not begin with https://; leave it out for Meta's own address",
        );
    } else if base.contains('@') {
        top.problem("base_url", "must hold neither user nor password");
    } else if base.rsplit('/').next().is_some_and(is_version) {
        top.problem("base_url", "ends in a version; put that into `version`");
    }
    base
}

/// Whether it is an address of this machine.
fn is_local(base: &str) -> bool {
    let host = base.trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "[::1]") || name.starts_with("127.")
}

fn fallback(top: &mut Table<'_>, exit: &Exit) -> Option<Fallback> {
    let mut table = top.table("fallback_template")?;
    table.missing("name", "write the approved template's name");
    // A gateway may have names of its own, such as Twilio's HX….
    let upper = matches!(exit, Exit::Http(_));
    let plain = |c: char| {
        c.is_ascii_lowercase()
            || c.is_ascii_digit()
            || c == '_'
            || (upper && c.is_ascii_uppercase())
    };
    let name = table.text_if(
        "name",
        |name| name.chars().all(plain),
        "write a template's name, which has only a-z, 0-9 and _",
    );
    let language = table.required(
        "language",
        "write the template's language code, such as en_US",
    );
    let languages = languages(&mut table);
    let parameters = parameters(&mut table);
    table.finish();
    Some(Fallback {
        name: name.unwrap_or_default(),
        language: language.unwrap_or_default(),
        languages,
        parameters,
    })
}

fn languages(table: &mut Table<'_>) -> BTreeMap<String, String> {
    let mut languages = BTreeMap::new();
    let remedy = "write a table of session language = template language";
    for (session, code) in table.entries("languages", remedy).into_iter().flatten() {
        match code.as_str().map(str::trim).filter(|code| !code.is_empty()) {
            Some(code) => {
                languages.insert(
                    session.to_ascii_lowercase().replace('_', "-"),
                    code.to_owned(),
                );
            }
            None => table.wrong(
                &format!("languages.{}", printable(session)),
                code,
                "write a language code in quotes",
            ),
        }
    }
    languages
}

fn parameters(table: &mut Table<'_>) -> Vec<String> {
    let reply = "{reply}";
    let parameters = table
        .sentences("parameters")
        .unwrap_or_else(|| vec![reply.to_owned()]);
    if !parameters.iter().any(|text| text.contains(reply)) {
        table.problem(
            "parameters",
            "holds no {reply}, so the rep's text would be lost; put {reply} where it belongs",
        );
    }
    parameters
}

fn webhooks(top: &mut Table<'_>) -> Option<Webhooks> {
    let mut table = top.table("webhooks")?;
    let secret = table.required_secret(
        "app_secret",
        "name the secret that holds the Meta app's secret",
    );
    let previous = table.secret("previous_app_secret");
    let verify_token = table.required_secret(
        "verify_token",
        "name the secret that holds the token you typed into Meta's webhook form",
    );
    let words = [("report", false), ("ignore", true)];
    let ignore_messages = table.choice("messages", &words, false);
    table.finish();
    Some(Webhooks {
        ignore_messages,
        secrets: std::iter::once(secret).chain(previous).collect(),
        verify_token,
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
