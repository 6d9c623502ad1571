//! What an administrator writes about a Salesforce organisation, and the type that cannot be wrong.
//!
//! The settings are read key by key rather than by a derived type, because a derived type stops at
//! its first problem and an administrator wants to see all of them at once.

use std::time::Duration;

use handoffd_contract::{Problem, Secret};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Hosts of the content-delivery links under which reps' files are fetched.
/// <https://github.com/salesforce-misc/interaction-service-apis> shows one on `documentforce.com`.
pub const FILE_HOSTS: &[&str] = &[
    ".documentforce.com",
    ".force.com",
    ".salesforce.com",
    ".salesforce-scrt.com",
];

/// How a transcript is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transcript {
    /// As texts in the thread.
    Messages,
    /// As a text file.
    File,
    /// As texts when it fits into so few, else as a file.
    Auto {
        /// The most texts.
        max_parts: usize,
    },
}

/// What becomes of the messaging session when the platform closes the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnClose {
    /// It is ended; the conversation stays, and a later message begins a new session in it.
    EndSession,
    /// Nothing. Open sessions count against the organisation's 11,000.
    Keep,
}

/// The settings of a Salesforce target, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The messaging service's address, without a trailing slash.
    pub base: String,
    /// My Domain's address, for links; absent when only `api_base` was given.
    pub instance: Option<String>,
    /// The organisation's id, 15 characters.
    pub org_id: String,
    /// The developer name of the Embedded Service Deployment of type *Custom Client*.
    pub es_developer_name: String,
    /// The JWK's `kid`.
    pub key_id: String,
    /// The keyset's issuer, to the letter.
    pub issuer: String,
    /// The name of the secret that holds the RSA key.
    pub private_key: Secret,
    /// `aud` of the identity token, where an organisation wants one.
    pub audience: Option<String>,
    /// `capabilitiesVersion` of the token request.
    pub capabilities_version: String,
    /// How long an identity token is valid.
    pub identity_lifetime: Duration,
    /// What stands before the customer's key in the identity token's `sub`.
    pub subject_prefix: String,
    /// Access tokens per minute that we take; Salesforce gives an organisation 200.
    pub tokens_per_minute: u32,
    /// The language of a session whose language is not known.
    pub language: String,
    /// How a transcript is shown.
    pub transcript: Transcript,
    /// The most UTF-16 units of one text. Salesforce does not document its limit.
    pub message_limit: usize,
    /// The most UTF-16 units of a routing attribute's value: the shortest *maximum length* among
    /// the channel's custom parameters.
    pub attribute_limit: usize,
    /// The most bytes of a file.
    pub max_file_bytes: u64,
    /// Hosts from which reps' files may be fetched.
    pub file_hosts: Vec<String>,
    /// Whether a Salesforce bot's messages go to the customer, like a rep's.
    pub relay_chatbot: bool,
    /// Whether automated responses (greetings, "no agents") go to the customer.
    pub relay_automated: bool,
    /// What becomes of the messaging session when the platform closes the session.
    pub on_close: OnClose,
    /// An event stream that is silent for longer is taken for dead.
    pub idle: Duration,
}

impl Settings {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// Every problem, each with its path, the value's shape and the remedy.
    pub fn parse(value: &Value) -> Result<Settings, Vec<Problem>> {
        let Some(map) = value.as_object() else {
            return Err(vec![Problem::new("", "expected a table of settings")]);
        };
        let mut r = Reader {
            map: map.clone(),
            problems: Vec::new(),
        };
        let instance = r.text("instance_url").and_then(|url| r.instance(&url));
        let api_base = r.text("api_base").and_then(|url| r.api_base(&url));
        let base = api_base.or_else(|| instance.as_ref().map(|i| i.messaging.clone()));
        if base.is_none() && r.problems.is_empty() {
            r.problem("instance_url", "missing; write My Domain's address, such as https://yourcompany.my.salesforce.com (Setup → My Domain)");
        }
        let org_id = r.wanted("org_id", "Setup → Company Information → Organization ID");
        let org_id = r.check("org_id", org_id, org_id_15);
        let es = r.wanted(
            "es_developer_name",
            "the API name of the Custom Client deployment (Setup → Embedded Service Deployments)",
        );
        let es_developer_name = r.check("es_developer_name", es, developer_name);
        let key_id = r.wanted("key_id", "the kid inside the uploaded JSON Web Key");
        let issuer = r.wanted(
            "issuer",
            "the JSON Web Key Issuer of the keyset (Setup → User Verification)",
        );
        let key = r.wanted(
            "private_key",
            "the name of the secret that holds the RSA private key",
        );
        let private_key = r.check("private_key", key, secret_name).map(Secret);
        let transcript = r.text("transcript");
        let max_parts = r.number("transcript_max_parts", 1, 1, 20);
        let transcript = match transcript.as_deref() {
            None | Some("auto") => Transcript::Auto {
                max_parts: max_parts as usize,
            },
            Some("messages") => Transcript::Messages,
            Some("file") => Transcript::File,
            Some(_) => {
                r.problem(
                    "transcript",
                    "unknown word; write \"auto\", \"messages\" or \"file\"",
                );
                Transcript::Messages
            }
        };
        let on_close = match r.text("on_close").as_deref() {
            None | Some("end-session") => OnClose::EndSession,
            Some("keep") => OnClose::Keep,
            Some(_) => {
                r.problem(
                    "on_close",
                    "unknown word; write \"end-session\" or \"keep\"",
                );
                OnClose::Keep
            }
        };
        let settings = Settings {
            base: base.unwrap_or_default(),
            instance: instance.map(|i| i.address),
            org_id: org_id.unwrap_or_default(),
            es_developer_name: es_developer_name.unwrap_or_default(),
            key_id: key_id.unwrap_or_default(),
            issuer: issuer.unwrap_or_default(),
            private_key: private_key.unwrap_or(Secret(String::new())),
            audience: r.text("audience"),
            capabilities_version: r.text("capabilities_version").unwrap_or_else(|| "1".into()),
            identity_lifetime: Duration::from_secs(r.number(
                "identity_lifetime_seconds",
                3_600,
                60,
                86_400,
            )),
            // A prefix may be empty, so it is not read as a text that is absent when empty.
            subject_prefix: r
                .take::<String>("subject_prefix", "a text")
                .unwrap_or_else(|| "handoffd:".into()),
            tokens_per_minute: r.number("tokens_per_minute", 180, 1, 200) as u32,
            language: r.text("language").unwrap_or_else(|| "en_US".into()),
            transcript,
            message_limit: r.number("message_limit", 4_000, 200, 30_000) as usize,
            attribute_limit: r.number("attribute_limit", 255, 20, 10_000) as usize,
            max_file_bytes: r.number("max_file_bytes", 5 * 1024 * 1024, 1_024, 25 * 1024 * 1024),
            file_hosts: r.hosts(),
            relay_chatbot: r.flag("relay_chatbot"),
            relay_automated: r.flag("relay_automated"),
            on_close,
            idle: Duration::from_secs(r.number("idle_seconds", 90, 25, 600)),
        };
        r.finish().map(|()| settings)
    }
}

/// My Domain's address and what follows from it.
struct Instance {
    address: String,
    messaging: String,
}

/// Takes keys out of the table; whatever is left at the end is unknown.
struct Reader {
    map: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Reader {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    fn take<T: DeserializeOwned>(&mut self, path: &str, expected: &str) -> Option<T> {
        let value = self.map.remove(path).filter(|value| !value.is_null())?;
        let found = shape(&value);
        serde_json::from_value(value)
            .map_err(|_| self.problem(path, format!("{found}; expected {expected}")))
            .ok()
    }

    /// A text without stray white space; absent when empty.
    fn text(&mut self, path: &str) -> Option<String> {
        let text: String = self.take(path, "a text")?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn wanted(&mut self, path: &str, whence: &str) -> Option<String> {
        let before = self.problems.len();
        let text = self.text(path);
        if text.is_none() && self.problems.len() == before {
            self.problem(path, format!("missing; it is {whence}"));
        }
        text
    }

    fn check(
        &mut self,
        path: &str,
        value: Option<String>,
        check: fn(&str) -> Result<String, String>,
    ) -> Option<String> {
        check(&value?)
            .map_err(|message| self.problem(path, message))
            .ok()
    }

    fn number(&mut self, path: &str, default: u64, min: u64, max: u64) -> u64 {
        let expected = format!("a whole number from {min} to {max}");
        let number = self.take::<u64>(path, &expected).unwrap_or(default);
        if !(min..=max).contains(&number) {
            self.problem(path, format!("{number}; expected {expected}"));
        }
        number
    }

    fn flag(&mut self, path: &str) -> bool {
        self.take(path, "true or false").unwrap_or(false)
    }

    fn hosts(&mut self) -> Vec<String> {
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
    fn instance(&mut self, url: &str) -> Option<Instance> {
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
    fn api_base(&mut self, url: &str) -> Option<String> {
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

    fn finish(mut self) -> Result<(), Vec<Problem>> {
        let unknown: Vec<String> = self.map.keys().cloned().collect();
        for key in unknown {
            self.problem(&key, "unknown setting; look for a typing error, or remove it");
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(self.problems)
        }
    }
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
}

fn is_authority(rest: &str) -> bool {
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    (is_host(host) || host == "[::1]") && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// An organisation's id in its 15-character form. The 18-character form adds three characters that
/// say which of the 15 are upper case; they are checked, since a copy that lost its case is a
/// different organisation.
fn org_id_15(id: &str) -> Result<String, String> {
    let shape = format!("{} characters", id.chars().count());
    if !matches!(id.len(), 15 | 18) || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!(
            "{shape}; expected 15 or 18 letters and digits (Setup → Company Information → Organization ID)"
        ));
    }
    if !id.starts_with("00D") {
        return Err(format!(
            "{shape} that do not begin with 00D: the id of something else than an organisation (Setup → Company Information → Organization ID)"
        ));
    }
    let (short, suffix) = id.split_at(15);
    if !suffix.is_empty() && !suffix.eq_ignore_ascii_case(&case_suffix(short)) {
        return Err("18 characters of which the last three do not fit the first fifteen; copy it again, upper and lower case matter".into());
    }
    Ok(short.to_owned())
}

/// The three characters of the 18-character form: five bits each, set where a letter is upper case.
pub(crate) fn case_suffix(id: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    id.as_bytes()
        .chunks(5)
        .map(|chunk| {
            let bits = chunk.iter().enumerate().fold(0, |bits, (at, c)| {
                bits | usize::from(c.is_ascii_uppercase()) << at
            });
            char::from(LETTERS[bits])
        })
        .collect()
}

fn developer_name(name: &str) -> Result<String, String> {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && name.len() <= 80 && name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Ok(name.to_owned())
    } else {
        Err("not an API name (letters, digits and underscores); take the deployment's API Name, not its label".into())
    }
}

fn secret_name(name: &str) -> Result<String, String> {
    if name.contains("-----") || name.contains('\n') || name.len() > 128 {
        Err("looks like the key itself; put the key among the secrets and write the secret's name here".into())
    } else {
        Ok(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> Value {
        json!({
            "instance_url": " https://acme.my.salesforce.com/ ",
            "org_id": "00DHs000001abcD",
            "es_developer_name": "Handoffd_Custom_Client",
            "key_id": "key-1",
            "issuer": "acme",
            "private_key": "salesforce_private_key",
        })
    }

    fn with(path: &str, value: Value) -> Value {
        let mut settings = good();
        settings[path] = value;
        settings
    }

    #[test]
    fn the_six_fields_are_enough() {
        let settings = Settings::parse(&good()).expect("settings");
        assert_eq!(settings.base, "https://acme.my.salesforce-scrt.com");
        assert_eq!(settings.transcript, Transcript::Auto { max_parts: 1 });
        assert_eq!(settings.org_id, "00DHs000001abcD");
    }

    #[test]
    fn addresses_are_derived_and_overridden() {
        for (given, base) in [
            ("https://acme--sbx.sandbox.my.salesforce.com", "https://acme--sbx.sandbox.my.salesforce-scrt.com"),
            ("https://Acme.my.salesforce.com/lightning/page/home", "https://acme.my.salesforce-scrt.com"),
            ("https://acme.my.salesforce-scrt.com", "https://acme.my.salesforce-scrt.com"),
        ] {
            let settings = Settings::parse(&with("instance_url", json!(given))).expect(given);
            assert_eq!(settings.base, base);
        }
        let local = Settings::parse(&with("api_base", json!("http://127.0.0.1:9101/"))).expect("local");
        assert_eq!(local.base, "http://127.0.0.1:9101");
    }

    #[test]
    fn an_18_character_org_id_is_shortened() {
        let long = format!("00DHs000001abcD{}", case_suffix("00DHs000001abcD"));
        let settings = Settings::parse(&with("org_id", json!(long))).expect("settings");
        assert_eq!(settings.org_id, "00DHs000001abcD");
    }

    #[test]
    fn the_case_suffix_is_salesforces() {
        // The pair that Salesforce's own documentation of ids shows.
        assert_eq!(case_suffix("001D000000IqhSL"), "IAZ");
    }

    #[test]
    fn every_problem_names_its_path_and_its_remedy() {
        for (path, value, part) in [
            ("instance_url", json!("acme.my.salesforce.com"), "does not begin with https://"),
            ("instance_url", json!("https://acme.lightning.force.com"), "Lightning"),
            ("instance_url", json!("https://login.salesforce.com"), ".my.salesforce.com"),
            ("instance_url", json!(7), "a number; expected a text"),
            ("instance_url", json!(""), "missing"),
            ("api_base", json!("http://example.com"), "plain http only to this machine"),
            ("api_base", json!("https://example.com/x"), "without a path"),
            ("org_id", json!("00DHs000001abc"), "14 characters"),
            ("org_id", json!("001Hs000001abcD"), "00D"),
            ("org_id", json!("00DHs000001abcDXXX"), "do not fit"),
            ("org_id", json!(null), "missing"),
            ("es_developer_name", json!("My Client"), "API name"),
            ("es_developer_name", json!(""), "missing"),
            ("key_id", json!(""), "missing"),
            ("issuer", json!("  "), "missing"),
            ("private_key", json!("-----BEGIN PRIVATE KEY-----\nabc"), "secret's name"),
            ("transcript", json!("pdf"), "\"auto\""),
            ("transcript_max_parts", json!(0), "from 1 to 20"),
            ("message_limit", json!("4000"), "a text; expected a whole number"),
            ("message_limit", json!(10), "from 200 to 30000"),
            ("tokens_per_minute", json!(500), "from 1 to 200"),
            ("file_hosts", json!("x"), "a list of host names"),
            ("relay_chatbot", json!("yes"), "true or false"),
            ("on_close", json!("close"), "end-session"),
            ("idle_seconds", json!(1), "from 25 to 600"),
            ("instanceurl", json!("x"), "unknown setting"),
        ] {
            let problems = Settings::parse(&with(path, value.clone())).expect_err(path);
            assert_eq!(problems.len(), 1, "{path} = {value}: {problems:?}");
            assert_eq!(problems[0].path, path);
            assert!(problems[0].message.contains(part), "{path} = {value}: {problems:?}");
        }
        let hosts = Settings::parse(&with("file_hosts", json!([".force.com", "*"]))).expect_err("hosts");
        assert_eq!(hosts[0].path, "file_hosts[1]");
    }

    #[test]
    fn all_problems_come_at_once_and_show_no_secret() {
        let problems = Settings::parse(&json!({
            "org_id": "x", "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIsecret", "extra": 1
        }))
        .expect_err("problems");
        let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
        for path in ["instance_url", "org_id", "es_developer_name", "key_id", "issuer", "private_key", "extra"] {
            assert!(paths.contains(&path), "{path} is not in {paths:?}");
        }
        assert!(!format!("{problems:?}").contains("MIIsecret"));
    }
}
