//! `[outbound]`: by which proxy calls leave. What is written wins over the environment's
//! `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.

use std::collections::BTreeMap;

use handoffd_contract::Problem;
use handoffd_contract::settings::Table;
use secrecy::SecretString;
use url::Url;

use super::reader::Sections as _;
use super::secrets::Secrets;
use super::sections::{secret, with_password};

/// What never goes by a proxy unless `no_proxy` is written.
const OF_THIS_MACHINE: [&str; 3] = ["localhost", "127.0.0.0/8", "::1"];
/// What says that there is no proxy, whatever the environment says.
const NONE: &str = "none";

/// By which proxy calls leave.
#[derive(Debug, Clone, Default)]
pub struct OutboundConfig {
    /// For `https` addresses: an `http` or `https` address, with user and password in it.
    pub https: Option<SecretString>,
    /// For `http` addresses.
    pub http: Option<SecretString>,
    /// Hosts, domains, addresses and networks that are called directly.
    pub no_proxy: Vec<String>,
}

impl OutboundConfig {
    /// Whether nothing goes by a proxy.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.https.is_none() && self.http.is_none()
    }
}

pub(super) fn outbound(
    mut section: Table<'_>,
    secrets: &Secrets,
    env: &BTreeMap<String, String>,
    proxy_from_env: bool,
) -> OutboundConfig {
    let password = secret(&mut section, "proxy_password", secrets);
    let written = section.text("proxy");
    let no_proxy = section.texts("no_proxy");
    if password.is_some() && written.as_deref().is_none_or(|proxy| proxy == NONE) {
        section.complain(
            "proxy_password",
            "there is no proxy",
            "set proxy, or remove it",
        );
    }
    let mut config = OutboundConfig::default();
    if let Some(text) = written {
        config.no_proxy = no_proxy.unwrap_or_else(|| OF_THIS_MACHINE.map(str::to_owned).to_vec());
        if text != NONE {
            match proxy(&text) {
                Some(url) if url.password().is_some() && !proxy_from_env => section.complain(
                    "proxy",
                    "there is a password in the address",
                    "take it out, declare it under [secrets] and name it with `proxy_password`",
                ),
                Some(url) => {
                    let url = SecretString::from(with_password(url, password.as_ref()));
                    config.https = Some(url.clone());
                    config.http = Some(url);
                }
                None => section.complain(
                    "proxy",
                    "not the address of an http proxy",
                    "write \"http://proxy.example.com:3128\", or \"none\"",
                ),
            }
        }
    } else {
        let of_env = |name: &'static str| {
            // Small letters win, as with curl.
            let lower = name.to_lowercase();
            let (name, text) = [lower.as_str(), name].into_iter().find_map(|name| {
                let text = env.get(name)?.trim();
                (!text.is_empty()).then(|| (name.to_owned(), text.to_owned()))
            })?;
            let url = proxy(&text);
            if url.is_none() {
                section.report(Problem::with_remedy(
                    name,
                    "not the address of an http proxy (from the environment)",
                    "write http://proxy.example.com:3128 there, or outbound.proxy = \"none\"",
                ));
            }
            url.map(|url| SecretString::from(url.to_string()))
        };
        config.https = of_env("HTTPS_PROXY");
        config.http = of_env("HTTP_PROXY");
        config.no_proxy = no_proxy.unwrap_or_else(|| {
            let list = env.get("no_proxy").or_else(|| env.get("NO_PROXY"));
            let list = list.map(String::as_str).unwrap_or_default().split(',');
            let list = list.chain(OF_THIS_MACHINE).map(str::trim);
            list.filter(|entry| !entry.is_empty())
                .map(str::to_owned)
                .collect()
        });
    }
    section.finish();
    config
}

/// A proxy's address; one without a scheme speaks plain HTTP.
fn proxy(text: &str) -> Option<Url> {
    let url = if text.contains("://") {
        Url::parse(text)
    } else {
        Url::parse(&format!("http://{text}"))
    };
    url.ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
    })
}
