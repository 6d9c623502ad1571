//! Where the site is, and how handoffd signs in to it.

use handoffd_contract::Secret;
use handoffd_contract::settings::Table;

use super::SignIn;

pub(super) fn sign_in(top: &mut Table<'_>, site: &str, plain_http: bool) -> SignIn {
    let fallback = SignIn::Forms {
        user: String::new(),
        password: Secret(String::new()),
    };
    top.missing(
        "auth",
        "write a table: { kind = \"oauth\", client_id, client_secret } or { kind = \"forms\", user, password }",
    );
    let Some(mut auth) = top.table("auth") else {
        return fallback;
    };
    let is_oauth = auth.choice("kind", &[("oauth", true), ("forms", false)], true);
    let sign_in = if is_oauth {
        let client_id = auth.required(
            "client_id",
            "write the client id of the OAuth 2.0 integrated application",
        );
        let client_secret = auth.required_secret(
            "client_secret",
            "name the secret that holds the client secret",
        );
        let token_urls = match auth.text("token_url") {
            Some(url) => {
                check_address(&auth, "token_url", &url, plain_http);
                vec![url]
            }
            None => token_urls(site),
        };
        SignIn::OAuth {
            client_id: client_id.unwrap_or_default(),
            client_secret,
            token_urls,
        }
    } else {
        let user = auth.required("user", "write the integration user's name");
        let password = auth.required_secret("password", "name the secret that holds the password");
        SignIn::Forms {
            user: user.unwrap_or_default(),
            password,
        }
    };
    auth.finish();
    sign_in
}

/// The two conventions for the identity service's address: a host of its own whose first label ends
/// in `-is`, and the site's own.
/// <https://academy.creatio.com/docs/8.x/dev/development-on-creatio-platform/integrations-and-api/authentication/oauth-2-0-authorization/identity-service-overview>
fn token_urls(site: &str) -> Vec<String> {
    let mut urls = Vec::new();
    if let Some((scheme, rest)) = site.split_once("://") {
        let host = rest.split('/').next().unwrap_or(rest);
        let name = host.split(':').next().unwrap_or(host);
        let is_address =
            name.starts_with('[') || name.chars().all(|c| c.is_ascii_digit() || c == '.');
        if let Some((label, domain)) = host.split_once('.').filter(|_| !is_address) {
            urls.push(format!("{scheme}://{label}-is.{domain}/connect/token"));
        }
    }
    urls.push(format!("{site}/0/connect/token"));
    urls
}

/// The site's root: what people paste, without white space, trailing slashes, `/0`, or the shell's
/// own path.
pub(super) fn site_root(raw: &str) -> String {
    let mut site = raw.trim().trim_end_matches('/');
    for end in ["/odata", "/shell", "/Shell", "/0"] {
        site = site.strip_suffix(end).unwrap_or(site).trim_end_matches('/');
    }
    site.to_owned()
}

pub(super) fn check_address(table: &Table<'_>, key: &str, address: &str, plain_http: bool) {
    let Some((scheme, rest)) = address.split_once("://") else {
        table.problem(key, "is not an address; begin with https://");
        return;
    };
    let host = rest.split('/').next().unwrap_or("");
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
        .map_or(host, |(name, _)| name);
    let loopback = name == "localhost" || name.starts_with("127.") || name == "[::1]";
    match scheme {
        "https" => {}
        "http" if loopback || plain_http => {}
        "http" => table.problem(
            key,
            "is plain http, which would show the credential to the network; use https, or set allow_plain_http = true",
        ),
        _ => table.problem(key, "must begin with https://"),
    }
    if rest.contains(['?', '#', '@', ' ']) {
        table.problem(key, "must hold neither user, query, fragment nor spaces");
    } else if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':' | '_'))
    {
        table.problem(key, "has no valid host name");
    }
}
