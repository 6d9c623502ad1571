//! Takes settings out of a table, one by one, and collects every problem.

use handoffd_contract::Problem;
use handoffd_contract::settings::{printable, shape, unknown_key};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::FILE_HOSTS;
use super::values::{is_authority, is_host};

/// My Domain's address and what follows from it.
pub(super) struct Instance {
    pub(super) address: String,
    pub(super) messaging: String,
}

/// Takes keys out of the table; whatever is left at the end is unknown.
pub(super) struct Reader {
    pub(super) map: Map<String, Value>,
    pub(super) asked: Vec<&'static str>,
    pub(super) problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    pub(super) fn take<T: DeserializeOwned>(
        &mut self,
        path: &'static str,
        expected: &str,
    ) -> Option<T> {
        self.asked.push(path);
        let value = self.map.remove(path).filter(|value| !value.is_null())?;
        let found = shape(&value);
        serde_json::from_value(value)
            .map_err(|_| self.problem(path, format!("{found}; expected {expected}")))
            .ok()
    }

    /// A text without stray white space; absent when empty.
    pub(super) fn text(&mut self, path: &'static str) -> Option<String> {
        let text: String = self.take(path, "a text")?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    pub(super) fn wanted(&mut self, path: &'static str, whence: &str) -> Option<String> {
        let before = self.problems.len();
        let text = self.text(path);
        if text.is_none() && self.problems.len() == before {
            self.problem(path, format!("missing; it is {whence}"));
        }
        text
    }

    pub(super) fn check(
        &mut self,
        path: &str,
        value: Option<String>,
        check: fn(&str) -> Result<String, String>,
    ) -> Option<String> {
        check(&value?)
            .map_err(|message| self.problem(path, message))
            .ok()
    }

    pub(super) fn number(&mut self, path: &'static str, default: u64, min: u64, max: u64) -> u64 {
        let expected = format!("a whole number from {min} to {max}");
        let number = self.take::<u64>(path, &expected).unwrap_or(default);
        if !(min..=max).contains(&number) {
            self.problem(path, format!("a number; expected {expected}"));
        }
        number
    }

    pub(super) fn flag(&mut self, path: &'static str) -> bool {
        self.take(path, "true or false").unwrap_or(false)
    }

    pub(super) fn hosts(&mut self) -> Vec<String> {
        let Some(hosts) = self.take::<Vec<String>>("file_hosts", "a list of host names") else {
            return FILE_HOSTS.iter().map(|host| (*host).to_owned()).collect();
        };
        let hosts: Vec<String> = hosts
            .iter()
            .map(|host| host.trim().to_ascii_lowercase())
            .collect();
        for (at, host) in hosts.iter().enumerate() {
            let body = host.strip_prefix('.').unwrap_or(host);
            if !is_host(body) || !body.contains('.') {
                self.problem(
                    &format!("file_hosts[{at}]"),
                    "not a host name; write an exact name such as files.example.com, or a suffix that begins with a dot such as .force.com",
                );
            }
        }
        hosts
    }

    /// My Domain's address, and the messaging service's that belongs to it. The rule covers
    /// sandboxes too: `x--sbx.sandbox.my.salesforce.com`.
    pub(super) fn instance(&mut self, url: &str) -> Option<Instance> {
        const PATH: &str = "instance_url";
        const EXAMPLE: &str = "write My Domain's address, such as https://yourcompany.my.salesforce.com (Setup → My Domain → Current My Domain URL)";
        let Some(rest) = url.strip_prefix("https://") else {
            self.problem(PATH, format!("does not begin with https://; {EXAMPLE}"));
            return None;
        };
        let host = rest
            .split(['/', '?', '#'])
            .next()
            .unwrap_or("")
            .to_ascii_lowercase();
        if host.ends_with(".lightning.force.com") {
            self.problem(
                PATH,
                format!(
                    "this is the address of the Lightning pages, as copied from a browser; {EXAMPLE}"
                ),
            );
            return None;
        }
        let domain = host
            .strip_suffix(".my.salesforce.com")
            .or_else(|| host.strip_suffix(".my.salesforce-scrt.com"));
        match domain.filter(|domain| is_host(domain)) {
            Some(domain) => Some(Instance {
                address: format!("https://{domain}.my.salesforce.com"),
                messaging: format!("https://{domain}.my.salesforce-scrt.com"),
            }),
            None => {
                self.problem(
                    PATH,
                    format!("its host does not end with .my.salesforce.com; {EXAMPLE}"),
                );
                None
            }
        }
    }

    /// The messaging service's address, when it does not follow from My Domain's.
    pub(super) fn api_base(&mut self, url: &str) -> Option<String> {
        let url = url.trim_end_matches('/');
        let local = |host: &str| matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        let ok = match url.split_once("://") {
            Some(("https", rest)) => is_authority(rest),
            Some(("http", rest)) => {
                is_authority(rest) && local(rest.rsplit_once(':').map_or(rest, |(host, _)| host))
            }
            _ => false,
        };
        if !ok {
            self.problem(
                "api_base",
                "not an address of the form https://host[:port] without a path; usually it is left out, since it follows from instance_url (plain http only to this machine)",
            );
        }
        ok.then(|| url.to_owned())
    }

    pub(super) fn finish(mut self) -> Result<(), Vec<Problem>> {
        let unknown: Vec<String> = self.map.keys().cloned().collect();
        for key in unknown {
            let message = unknown_key(&key, &self.asked);
            self.problem(&printable(&key), message);
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(self.problems)
        }
    }
}
