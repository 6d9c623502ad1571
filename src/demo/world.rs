//! The simulators on loopback and a configuration that uses them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use handoffd_contract::WebhookAuth;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::connectors::{self, KINDS};
use crate::mapping;
use crate::sandbox::{self, Options, Running};

/// A folder that goes when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty folder among the system's temporary ones.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> std::io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("handoffd-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover in the temporary folder is harmless.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Serves a simulator of every kind on free ports of the loopback.
///
/// # Errors
/// A port cannot be bound.
pub async fn simulators(stop: CancellationToken) -> Result<Running, sandbox::Error> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = KINDS.iter().fold(Options::new(free), |options, kind| {
        options.target(kind.name, free, kind.sandbox)
    });
    sandbox::serve(options, stop).await
}

/// A port of the loopback that was free a moment ago.
///
/// # Errors
/// There is none.
pub fn free_port() -> std::io::Result<u16> {
    let bound = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    // Below those that the system gives to outgoing connections: nobody takes it between here and its use.
    let mut tried = (0..50).map(|_| rand::random_range(10_000..20_000));
    match tried.find(|port| bound(*port).is_ok()) {
        Some(port) => Ok(port),
        None => Ok(bound(0)?.local_addr()?.port()),
    }
}

/// What a daemon's configuration is made from.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `ledger.url`
    pub ledger: String,
    /// Where the daemon takes events and webhooks.
    pub listen: SocketAddr,
    /// Where it is asked for health, metrics and lanes.
    pub admin: SocketAddr,
    /// What producers show.
    pub events_token: String,
    /// What each simulator says its clients need, by kind.
    pub credentials: BTreeMap<String, Value>,
    /// Tables laid over the result, such as `{"intake": {"amqp": {…}}}`.
    pub over: Value,
    /// Settings laid over a kind's own, by kind.
    pub settings: BTreeMap<String, Value>,
    /// What holds at a kind's target when nothing happens, by kind.
    pub terms: BTreeMap<String, Value>,
    /// Further targets, as they stand in the file.
    pub targets: Vec<Value>,
}

impl Plan {
    /// A plan for these simulators.
    #[must_use]
    pub fn new(running: &Running, ledger: String, listen: SocketAddr) -> Plan {
        let mut credentials = BTreeMap::new();
        for served in running.targets() {
            // HubSpot's simulator gives webhook credentials once it knows where webhooks go. Where
            // its token is another, or there are no webhooks, the address is corrected later.
            let hook = format!(
                "http://{listen}/webhooks/{}/sandbox-path-token",
                served.name()
            );
            let _ = served.switch("webhook_url", &json!(hook));
            credentials.insert(served.name().to_owned(), served.credentials());
        }
        Plan {
            ledger,
            listen,
            // Without a free port, the daemon says which one it could not have.
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap_or(8081))),
            events_token: "demo-events-token".into(),
            credentials,
            over: json!({}),
            settings: BTreeMap::new(),
            terms: BTreeMap::new(),
            targets: Vec::new(),
        }
    }

    /// The configuration as TOML.
    ///
    /// # Errors
    /// A simulator's credentials are not what its connector takes: a defect.
    pub fn toml(&self) -> anyhow::Result<String> {
        let mut secrets = Map::new();
        secrets.insert("events_token".into(), json!({"value": self.events_token}));
        let mut targets = Vec::new();
        for kind in KINDS {
            let Some(given) = self.credentials.get(kind.name) else {
                continue;
            };
            let settings = self.settings_of(kind.name)?;
            let named = given["secrets"].as_object().into_iter().flatten();
            secrets.extend(named.map(|(name, value)| (name.clone(), json!({"value": value}))));
            let mut target = json!({"name": kind.name, "kind": kind.name, "settings": settings});
            if let Some(terms) = self.terms.get(kind.name) {
                target["conversation"] = terms.clone();
            }
            targets.push(target);
        }
        targets.extend(self.targets.iter().cloned());
        let mut config = json!({
            "daemon": {"name": "demo"},
            "ledger": {"url": self.ledger},
            "http": {"listen": self.listen.to_string(), "admin_listen": self.admin.to_string(),
                "events_token": "events_token"},
            "media": {"allow_private": true},
            "secrets": secrets,
            "target": targets,
        });
        lay_over(&mut config, &self.over);
        name_password(&mut config, "/ledger", "ledger_password")?;
        name_password(&mut config, "/intake/amqp", "broker_password")?;
        Ok(toml::to_string(&config)?)
    }

    /// Where a kind's simulator posts its webhooks.
    ///
    /// # Errors
    /// As for [`Plan::toml`].
    pub fn webhook_url(&self, kind: &str) -> anyhow::Result<Option<String>> {
        let mut settings = self.settings_of(kind)?;
        // The daemon makes a target of its own of these.
        for key in ["notify", "handback"] {
            settings.as_object_mut().and_then(|all| all.remove(key));
        }
        mapping::exit::describe(&mut settings, Path::new("."))
            .map_err(|wrong| anyhow!("{kind}: {wrong:?}"))?;
        let found = connectors::kind(kind).ok_or_else(|| anyhow!("no such kind: {kind}"))?;
        let connector = (found.connector)(kind, &settings)
            .map_err(|problems| anyhow!("{kind}: {problems:?}"))?;
        let address = format!("http://{}/webhooks/{kind}", self.listen);
        let token = match connector.webhook() {
            None => return Ok(None),
            Some(WebhookAuth::MetaSha256 { .. }) => return Ok(Some(address)),
            Some(WebhookAuth::PathToken { token } | WebhookAuth::HubSpotV3 { token, .. }) => {
                token.0
            }
        };
        let value = self
            .credentials
            .get(kind)
            .and_then(|given| given["secrets"][&token].as_str());
        let value =
            value.with_context(|| format!("{kind}: the simulator's credentials lack {token}"))?;
        Ok(Some(format!("{address}/{value}")))
    }

    /// A kind's settings: the simulator's, with the daemon's address where the CRM calls it.
    fn settings_of(&self, kind: &str) -> anyhow::Result<Value> {
        let given = self
            .credentials
            .get(kind)
            .with_context(|| format!("{kind}: no credentials"))?;
        let mut settings = given["settings"].clone();
        if let Some(url) = settings.pointer_mut("/webhook/public_url") {
            *url = json!(format!("http://{}/webhooks/{kind}", self.listen));
        }
        if let Some(over) = self.settings.get(kind) {
            lay_over(&mut settings, over);
        }
        Ok(settings)
    }
}

/// Moves the password of a section's address to the secrets, as a configuration must have it.
fn name_password(config: &mut Value, section: &str, name: &str) -> anyhow::Result<()> {
    let address = config
        .pointer(section)
        .and_then(|section| section["url"].as_str());
    let Some(mut url) = address.and_then(|url| Url::parse(url).ok()) else {
        return Ok(());
    };
    let Some(password) = url.password().map(str::to_owned) else {
        return Ok(());
    };
    url.set_password(None)
        .map_err(|()| anyhow!("{section}: an address without a host"))?;
    config["secrets"][name] = json!({"value": password});
    if let Some(section) = config.pointer_mut(section) {
        section["url"] = json!(url.to_string());
        section["password"] = json!(name);
    }
    Ok(())
}

/// Lays `over` over `under`: objects member by member, `null` takes a member away, anything else
/// replaces.
fn lay_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                if value.is_null() {
                    under.remove(name);
                } else {
                    lay_over(under.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (under, over) => under.clone_from(over),
    }
}
