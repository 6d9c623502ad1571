//! From the settings as written to those that cannot be wrong.

use std::cell::RefCell;

use handoffd_contract::marker::Marker;
use handoffd_contract::settings::{AfterEnd, Table, Ways, after_end};
use handoffd_contract::{Credential, Problem};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::Value;

use super::{Comments, ContactFields, Later, Settings, Standing, Transcript, Webhook, is_id};
use crate::paths::{Paths, Version};

/// What to do about a missing secret.
const NAME: &str = "give the name of one of the daemon's secrets";

/// Reads every setting, and tells everything that is wrong.
pub(super) fn read(value: &Value) -> Result<Settings, Vec<Problem>> {
    let problems = RefCell::new(Vec::new());
    let Some(mut top) = Table::new("", value, &problems) else {
        return Err(problems.into_inner());
    };
    let base = address(&mut top, "base", "https://api.hubapi.com")
        .unwrap_or_else(|| "https://api.hubapi.com".to_owned());
    let paths = Paths {
        crm: version(&mut top, "api_version", "2026-03"),
        conversations: version(&mut top, "conversations_version", "v3"),
    };
    let credential = credential(&mut top, &base, &paths);
    let folder = top.text("folder").unwrap_or_else(|| "/handoffd".into());
    let wa_id_property = property(&mut top, "wa_id_property").unwrap_or_else(|| "wa_id".into());
    let user_id_property =
        property(&mut top, "user_id_property").unwrap_or_else(|| "wa_user_id".into());
    if user_id_property == wa_id_property {
        top.problem(
            "user_id_property",
            "is the same as `wa_id_property`; name a property of its own",
        );
    }
    let standing = Standing::read(&mut top);
    let handoff_id_property =
        property(&mut top, "handoff_id_property").unwrap_or_else(|| "wa_handoff_id".into());
    let session_url_property = property(&mut top, "session_url_property");
    let is_ours = |name: &str| {
        standing.is_one(name)
            || name == handoff_id_property
            || session_url_property.as_deref() == Some(name)
    };
    let report = reported(&mut top, is_ours);
    let settings = Settings {
        pipeline: top.text("pipeline").unwrap_or_else(|| "0".into()),
        stage: top.text("stage").unwrap_or_else(|| "1".into()),
        closed_stage: top.text("closed_stage"),
        closed_stages: closed_stages(&mut top),
        owner: top.text_if(
            "owner",
            |owner| is_id(owner) || owner.contains('@'),
            "write an owner id (digits) or an e-mail address",
        ),
        priority: top.text("priority"),
        wa_id_property,
        user_id_property,
        default_country: top.country("default_country"),
        zone: top
            .parsed(
                "time_zone",
                zone,
                "write a zone's name such as Europe/Amsterdam",
            )
            .unwrap_or(TimeZone::UTC),
        handoff_id_property,
        session_url_property,
        standing,
        report,
        after_end: after_end(&mut top, Ways::OF_MESSAGES, AfterEnd::Reopen),
        after_end_handoff: after_end(&mut top, Ways::OF_HANDOFFS, AfterEnd::Reopen),
        append_to_open_ticket: top.flag("append_to_open_ticket", false),
        contact_fields: top.choice(
            "contact_fields",
            &[
                ("create", ContactFields::Create),
                ("always", ContactFields::Always),
            ],
            ContactFields::Create,
        ),
        transcript: top.choice(
            "transcript",
            &[
                ("content", Transcript::Content),
                ("notes", Transcript::Notes),
            ],
            Transcript::Content,
        ),
        comments: top.choice(
            "comments",
            &[
                ("note", Comments::Note),
                ("thread-or-note", Comments::ThreadOrNote),
            ],
            Comments::Note,
        ),
        later: top.choice(
            "later",
            &[
                ("note", Later::Note),
                ("communication", Later::Communication),
            ],
            Later::Note,
        ),
        folder: format!("/{}", folder.trim_matches('/')),
        max_file_bytes: top.number("max_file_bytes", 1..=2_000_000_000, 100_000_000),
        reply_marker: Marker::read(&mut top),
        poll_seconds: top.number("poll_seconds", 0..=3_600, 20),
        webhook: webhook(&mut top),
        channel_id: digits(&mut top, "channel_id"),
        portal_id: digits(&mut top, "portal_id"),
        ui_domain: top
            .text("ui_domain")
            .unwrap_or_else(|| "app.hubspot.com".into()),
        api_per_10s: small(top.number("api_per_10s", 9..=10_000, 90)),
        search_per_second: small(top.number("search_per_second", 1..=4, 4)),
        file_hosts: top
            .texts("file_hosts")
            .unwrap_or_default()
            .iter()
            .map(|host| host.to_ascii_lowercase())
            .collect(),
        base,
        paths,
        credential,
    };
    top.finish();
    let problems = problems.into_inner();
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems)
    }
}

fn zone(value: &Value) -> Option<TimeZone> {
    match value.as_str()?.trim() {
        "UTC" => Some(TimeZone::UTC),
        name => TimeZoneDatabase::bundled().get(name).ok(),
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn closed_stages(top: &mut Table<'_>) -> Vec<String> {
    let remedy = "write a stage's id; `handoffd check --live` lists them beside their labels";
    top.texts_if("closed_stages", is_id, remedy)
        .unwrap_or_default()
}

fn digits(top: &mut Table<'_>, key: &'static str) -> Option<String> {
    top.text_if(
        key,
        |text| text.bytes().all(|b| b.is_ascii_digit()),
        "write a number; copy it from the page's address in HubSpot",
    )
}

/// Internal names: <https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>
pub(super) fn is_property(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(word)
}

fn property(top: &mut Table<'_>, key: &'static str) -> Option<String> {
    top.text_if(
        key,
        is_property,
        "write a property's internal name (lower-case letters, digits, underscores, a letter first)",
    )
}

/// Properties of which changes are passed on at most.
const MAX_REPORTED: usize = 20;

/// The properties of which changes are passed on; what handoffd alone writes is none of them.
fn reported(top: &mut Table<'_>, is_ours: impl Fn(&str) -> bool) -> Vec<String> {
    let key = "report_properties";
    let remedy = "write a ticket property's internal name, such as hs_ticket_priority, and none that handoffd fills itself";
    let fits = |name: &str| is_property(name) && !is_ours(name);
    let mut names = top.texts_if(key, fits, remedy).unwrap_or_default();
    names.sort();
    names.dedup();
    if names.len() > MAX_REPORTED {
        let found = format!("names {} properties", names.len());
        top.problem(
            key,
            format!("{found}; at most {MAX_REPORTED} are passed on"),
        );
        names.truncate(MAX_REPORTED);
    }
    names
}

/// An address without the slash at its end.
fn address(table: &mut Table<'_>, key: &'static str, example: &str) -> Option<String> {
    let sound = |address: &str| {
        let rest = address
            .strip_prefix("https://")
            .or_else(|| address.strip_prefix("http://"));
        rest.is_some_and(|rest| {
            !rest.is_empty() && !rest.starts_with('/') && !rest.contains([' ', '?', '#', '@'])
        })
    };
    let remedy = format!("write an address such as {example}");
    let address = table.text_if(key, sound, &remedy)?;
    Some(address.trim_end_matches('/').to_owned())
}

fn version(top: &mut Table<'_>, key: &'static str, default: &str) -> Version {
    let text = top.text_if(
        key,
        |text| Version::parse(text).is_some(),
        "write an API version such as 2026-03, or v3 for the old paths",
    );
    Version::parse(text.as_deref().unwrap_or(default)).unwrap_or(Version::Legacy)
}

fn credential(top: &mut Table<'_>, base: &str, paths: &Paths) -> Credential {
    let both = top.has("token") && top.has("oauth");
    if both {
        top.problem(
            "oauth",
            "is given beside `token`; keep the one that HubSpot issued",
        );
    }
    if !top.has("oauth") {
        top.missing(
            "token",
            "name the secret that holds the service key or app token, or give `oauth`",
        );
    }
    let token = top.secret("token");
    let Some(mut oauth) = top.table("oauth") else {
        return token.map_or(Credential::None, |token| Credential::Bearer { token });
    };
    let client_id = oauth.required("client_id", "copy it from the app's Auth page");
    let client_secret = oauth.required_secret("client_secret", NAME);
    let refresh_token = oauth.required_secret("refresh_token", NAME);
    oauth.finish();
    Credential::RefreshToken {
        token_url: format!("{base}{}", paths.token()),
        client_id: client_id.unwrap_or_default(),
        client_secret,
        refresh_token,
    }
}

fn webhook(top: &mut Table<'_>) -> Option<Webhook> {
    let mut table = top.table("webhook")?;
    let example = "https://handoffd.example/webhooks/hubspot";
    table.missing("public_url", &format!("write it, such as {example}"));
    let webhook = Webhook {
        secret: table.required_secret("secret", NAME),
        public_url: address(&mut table, "public_url", example).unwrap_or_default(),
        token: table.required_secret("token", NAME),
    };
    table.finish();
    Some(webhook)
}
