//! What can be set, and a type of it that cannot be wrong.

use std::cell::RefCell;

use handoffd_contract::settings::Table;
use handoffd_contract::{Problem, Secret};
use serde_json::Value;

use crate::types::{self, Types};

/// By which way events leave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Way {
    /// To an exchange of RabbitMQ.
    Exchange {
        /// Its name; empty for the default one.
        name: String,
        /// Comes before the event's type in the routing key.
        prefix: String,
    },
    /// To an address, signed.
    Endpoint {
        /// The address.
        url: String,
        /// The signing secret, and the previous one during a change.
        secrets: Vec<Secret>,
    },
}

/// Everything that is set, valid by construction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) way: Way,
    /// CloudEvents `source` of what is told.
    pub(crate) source: String,
    pub(crate) types: Types,
    /// A target answers the customer, and says when no reply stands before an ending any more.
    pub(crate) endings: bool,
}

impl Settings {
    /// Reads settings.
    pub(crate) fn read(value: &Value) -> Result<Settings, Vec<Problem>> {
        let problems = RefCell::new(Vec::new());
        let Some(mut top) = Table::new("", value, &problems) else {
            return Err(problems.into_inner());
        };
        let way = way(&mut top);
        let source = top.text("source").unwrap_or_else(|| "handoffd".to_owned());
        let remedy = format!(
            "write types such as \"session.closed\", groups such as \"session.*\", or \"*\"; there are {}",
            types::all()
        );
        let types = top.texts_if("types", types::is_pattern, &remedy);
        if value["types"].as_array().is_some_and(Vec::is_empty) {
            top.problem(
                "types",
                "names no type, so nothing would be told; leave it out for the usual ones",
            );
        }
        let endings = top.flag("endings", false);
        top.finish();
        let problems = problems.into_inner();
        match way {
            Some(way) if problems.is_empty() => Ok(Settings {
                way,
                source,
                types: Types::of(types.as_deref()),
                endings,
            }),
            _ => Err(problems),
        }
    }
}

/// Keys of which each belongs to one way.
const OF_A_WAY: [&str; 6] = [
    "exchange",
    "prefix",
    "url",
    "allow_plain_http",
    "secret",
    "previous_secret",
];

fn way(top: &mut Table<'_>) -> Option<Way> {
    let problem = match (top.has("exchange"), top.has("url")) {
        (true, false) => return exchange(top),
        (false, true) => return endpoint(top),
        (true, true) => "there is an exchange, too; write another target for the other way",
        (false, false) => {
            "is missing; write the endpoint's https address, or `exchange` for RabbitMQ"
        }
    };
    top.problem("url", problem);
    // Which of them is meant is not known, so none of them is unknown.
    for key in OF_A_WAY {
        top.value(key);
    }
    None
}

fn exchange(top: &mut Table<'_>) -> Option<Way> {
    let name = top.maybe_empty("exchange");
    let prefix = top.maybe_empty("prefix").unwrap_or_default();
    if prefix.len() > 200 {
        top.problem(
            "prefix",
            "is longer than 200 characters; a routing key may have 255",
        );
    }
    Some(Way::Exchange {
        name: name?,
        prefix,
    })
}

fn endpoint(top: &mut Table<'_>) -> Option<Way> {
    let url = top.text("url");
    let may_be_plain = top.flag("allow_plain_http", false);
    if let Some(url) = &url {
        look_at(top, url, may_be_plain);
    }
    let secret = top.required_secret(
        "secret",
        "name the secret by which the receiver knows that it is us: whsec_ and base64, such as from \
         `echo whsec_$(openssl rand -base64 32)`",
    );
    let previous = top.secret("previous_secret");
    Some(Way::Endpoint {
        url: url?,
        secrets: std::iter::once(secret).chain(previous).collect(),
    })
}

fn look_at(top: &Table<'_>, url: &str, may_be_plain: bool) {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let Some(authority) = authority.filter(|authority| !authority.is_empty()) else {
        top.problem(
            "url",
            "is no https address; write such as \"https://flows.example.com/hooks/handoffd\"",
        );
        return;
    };
    if authority.contains('@') {
        top.problem(
            "url",
            "must hold neither user nor password; the signature says who sends",
        );
    }
    if url.starts_with("http://") && !may_be_plain && !is_loopback(authority) {
        top.problem(
            "url",
            "begins with http://, by which everybody on the way can read what is said; write https://, or allow_plain_http = true inside a network that nobody listens to",
        );
    }
}

/// Whether the host is this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let mut bytes = host.split('.');
    let is_v4 = bytes.next() == Some("127")
        && bytes.clone().count() == 3
        && bytes.all(|byte| byte.parse::<u8>().is_ok());
    is_v4 || host == "::1" || host.eq_ignore_ascii_case("localhost")
}
