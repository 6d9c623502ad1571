//! How `[access]` is read.

use std::time::Duration;

use handoffd_contract::Problem;
use handoffd_contract::settings::Table;
use secrecy::ExposeSecret;
use serde_json::Value;
use url::{Host, Url};

use super::{AccessConfig, IDLE, LONGEST, OpenIdConfig, ProxyConfig, Role, RoleRules, UserConfig};
use crate::config::reader::Sections as _;
use crate::config::secrets::Secrets;
use crate::config::sections::secret;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Names that stand in the audit log for something else than a user.
const TAKEN: [&str; 4] = ["admin token", "this machine", "link", "command"];

pub(in crate::config) fn access(
    mut section: Table<'_>,
    secrets: &Secrets,
    proxies_are_named: bool,
) -> AccessConfig {
    let url = section.text("url").and_then(|text| {
        let url = Url::parse(&text).ok().filter(is_origin);
        if url.is_none() {
            let found = "not an http or https address without a path";
            section.complain("url", found, "write \"https://console.example.com\"");
        }
        url
    });
    let users = users(&mut section, secrets);
    let openid = section.has("openid").then(|| section.section("openid"));
    let openid = openid.and_then(|table| self::openid(table, secrets));
    if openid.is_some() && url.is_none() {
        section.missing(
            "url",
            "write where browsers reach the admin listener: the provider sends them back there",
        );
    }
    let proxy = section.has("proxy").then(|| section.section("proxy"));
    let proxy = proxy.and_then(|table| self::proxy(table, proxies_are_named));
    let mut session = section.section("session");
    let longest = session.duration("longest", HOUR..=90 * DAY, LONGEST);
    let idle = session.duration("idle", 5 * MINUTE..=longest, IDLE.min(longest));
    session.finish();
    // Asked for also when they are absent, so that they are among the known keys.
    section.value("openid");
    section.value("proxy");
    section.finish();
    AccessConfig {
        users,
        openid,
        proxy,
        url,
        idle,
        longest,
    }
}

/// Whether an address is a scheme, a host and perhaps a port.
fn is_origin(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

fn users(section: &mut Table<'_>, secrets: &Secrets) -> Vec<UserConfig> {
    let items = match section.value("user") {
        None => &[][..],
        Some(Value::Array(items)) => items,
        Some(other) => {
            section.wrong("user", other, "begin each with [[access.user]]");
            &[]
        }
    };
    let mut users: Vec<UserConfig> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let path = section.path_of(&format!("user[{at}]"));
        let table = section.below(path.clone(), item);
        let Some(user) = table.and_then(|table| user(table, secrets)) else {
            continue;
        };
        if users.iter().any(|other| other.name == user.name) {
            let found = "two users have this name; rename one";
            section.report(Problem::new(format!("{path}.name"), found));
        }
        users.push(user);
    }
    users
}

fn user(mut table: Table<'_>, secrets: &Secrets) -> Option<UserConfig> {
    table.missing("name", "write the name by which they sign in");
    let name = table.text_if(
        "name",
        |name| is_name(name) && !TAKEN.contains(&name),
        "use at most 80 characters, and none of: admin token, this machine, link, command",
    );
    table.missing("role", "write \"viewer\", \"operator\" or \"admin\"");
    let words = Role::ALL.map(|role| (role.word(), role));
    let role = table.choice("role", &words, Role::Viewer);
    let unmask = table.flag("unmask", role == Role::Admin);
    table.missing(
        "password",
        "name a secret that holds what `handoffd access hash` prints",
    );
    let password = secret(&mut table, "password", secrets);
    let is_hash = password
        .as_ref()
        .is_none_or(|hash| is_argon2id(hash.expose_secret()));
    if !is_hash {
        table.complain(
            "password",
            "the secret is not an argon2id hash within bounds",
            "put into it what `handoffd access hash` prints",
        );
    }
    table.finish();
    Some(UserConfig {
        name: name?,
        role,
        unmask,
        password: password.filter(|_| is_hash)?,
    })
}

/// Whether a name can stand in lists and logs.
fn is_name(name: &str) -> bool {
    name.chars().count() <= 80 && !name.chars().any(char::is_control)
}

/// Whether a text is an argon2id hash that costs enough and not too much: from 8 MiB to 1 GiB of
/// memory, 1 to 20 passes, 1 to 16 lanes. <https://github.com/P-H-C/phc-string-format>
fn is_argon2id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('$').collect();
    let ["", "argon2id", "v=19", costs, salt, hash] = parts[..] else {
        return false;
    };
    let cost = |name: &str| -> Option<u32> {
        let mut costs = costs.split(',');
        let given = costs.find_map(|cost| cost.strip_prefix(name)?.strip_prefix('='));
        given?.parse().ok()
    };
    let within =
        |name, range: std::ops::RangeInclusive<u32>| cost(name).is_some_and(|n| range.contains(&n));
    let is_base64 = |text: &str| {
        text.len() >= 11
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
    };
    within("m", 8 << 10..=1 << 20)
        && within("t", 1..=20)
        && within("p", 1..=16)
        && is_base64(salt)
        && is_base64(hash)
}

fn openid(mut table: Table<'_>, secrets: &Secrets) -> Option<OpenIdConfig> {
    table.missing("issuer", "write the provider's address");
    let issuer = table.text("issuer").filter(|text| {
        let fits = Url::parse(text).is_ok_and(|url| is_private(&url));
        if !fits {
            let found = "not an https address";
            table.complain("issuer", found, "write \"https://login.example.com\"");
        }
        fits
    });
    let client_id = table.required("client_id", "write the id that the provider gave");
    let client_secret = secret(&mut table, "client_secret", secrets);
    let is_word = |word: &str| !word.contains(|c: char| c.is_whitespace() || c.is_control());
    let scopes = table.texts_if("scopes", is_word, "write such as [\"openid\", \"email\"]");
    let mut scopes =
        scopes.unwrap_or_else(|| ["openid", "profile", "email"].map(str::to_owned).into());
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".into());
    }
    let name = table.text("name").unwrap_or_else(|| "email".into());
    let claim = table.text("claim").unwrap_or_else(|| "groups".into());
    let roles = roles(&mut table);
    table.finish();
    Some(OpenIdConfig {
        issuer: issuer?,
        client_id: client_id?,
        client_secret,
        scopes,
        name,
        claim,
        roles: roles?,
    })
}

/// Whether nobody on the way can read what is sent there.
fn is_private(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Ipv4(at)) => at.is_loopback(),
        Some(Host::Ipv6(at)) => at.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    (url.scheme() == "https" || (url.scheme() == "http" && is_here)) && url.query().is_none()
}

fn proxy(mut table: Table<'_>, proxies_are_named: bool) -> Option<ProxyConfig> {
    let remedy = "write the name of a header, such as \"X-Forwarded-User\"";
    table.missing("user_header", remedy);
    let user_header = table.text_if("user_header", is_header, remedy);
    let roles_header = table.text_if("roles_header", is_header, remedy);
    if !proxies_are_named {
        table.complain(
            "user_header",
            "it is not said whose header is believed",
            "write http.trusted_proxies: the addresses of the proxy, and of nothing else",
        );
    }
    let roles = roles(&mut table);
    table.finish();
    Some(ProxyConfig {
        user_header: user_header?.to_ascii_lowercase(),
        roles_header: roles_header.map(|name| name.to_ascii_lowercase()),
        roles: roles?,
    })
}

fn is_header(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= 80 && name.bytes().all(is_part)
}

/// `roles = { admin = […], operator = […], viewer = […], unmask = […] }`
fn roles(table: &mut Table<'_>) -> Option<RoleRules> {
    table.missing(
        "roles",
        "write who may what: { admin = [\"crm-admins\"], viewer = [\"*\"] }",
    );
    let mut roles = table.table("roles")?;
    let rules = RoleRules {
        viewer: roles.sentences("viewer").unwrap_or_default(),
        operator: roles.sentences("operator").unwrap_or_default(),
        admin: roles.sentences("admin").unwrap_or_default(),
        unmask: roles.sentences("unmask"),
    };
    if rules.viewer.is_empty() && rules.operator.is_empty() && rules.admin.is_empty() {
        let found = "nobody has a role by it";
        roles.complain("viewer", found, "write [\"*\"] for everybody");
    }
    roles.finish();
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_within_bounds_are_taken() {
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaA";
        assert!(is_argon2id(hash));
        for wrong in [
            "hunter2",
            "",
            "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNo",
            "$argon2id$v=19$m=16,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNo",
            "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNo",
            "$argon2id$v=19$m=19456,t=200,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNo",
            "$argon2id$v=19$m=19456,t=2,p=1$c29t",
        ] {
            assert!(!is_argon2id(wrong), "{wrong}");
        }
    }
}
