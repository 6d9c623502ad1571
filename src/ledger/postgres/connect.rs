//! The way to PostgreSQL: the address, TLS, the pool.
//!
//! Encryption is on and verified unless the address says `sslmode=disable` or leads to this
//! machine. `sslrootcert=FILE` names the authority of a server whose certificate is not signed by
//! one that the system trusts.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::ledger::{LedgerError, Result};

/// Connections at most, beside the one that listens.
const CONNECTIONS: usize = 10;

/// How long connecting, or waiting for a free connection, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Set on every new connection. What takes longer has gone wrong; and nothing here relies on more
/// than the isolation that is named.
const SETTINGS: &str = "SET statement_timeout = '30s';
    SET lock_timeout = '20s';
    SET idle_in_transaction_session_timeout = '30s';
    SET default_transaction_isolation = 'read committed';
    SET synchronous_commit = on;";

/// Where the server is and how to get there.
#[derive(Clone)]
pub(super) struct Address {
    /// What the driver needs.
    pub config: Config,
    /// TLS, unless the way is plain.
    pub tls: Option<MakeRustlsConnect>,
}

impl Address {
    /// Reads an address such as `postgres://user:password@host/database?sslmode=verify-full`.
    pub fn parse(url: &str) -> Result<Address> {
        let wrong = |words: String| LedgerError::Failed(format!("ledger.url: {words}"));
        let (rest, own) = split(url);
        let mut config = Config::from_str(&rest).map_err(|error| wrong(error.to_string()))?;
        let encrypted = match own.mode.as_deref() {
            Some("require" | "verify-ca" | "verify-full") => true,
            Some("disable") => false,
            None => !local(&config),
            Some(other) => {
                return Err(wrong(format!(
                    "sslmode={other} is not known: say disable, require or verify-full"
                )));
            }
        };
        if config.get_application_name().is_none() {
            config.application_name("handoffd");
        }
        config.connect_timeout(PATIENCE);
        config.keepalives_idle(Duration::from_secs(30));
        config.ssl_mode(if encrypted {
            SslMode::Require
        } else {
            SslMode::Disable
        });
        let tls = encrypted
            .then(|| tls(own.authority.as_deref()))
            .transpose()?;
        Ok(Address { config, tls })
    }

    /// The connections. None is opened yet.
    pub fn pool(&self) -> Result<Pool> {
        let how = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let config = self.config.clone();
        let manager = match &self.tls {
            Some(tls) => Manager::from_config(config, tls.clone(), how),
            None => Manager::from_config(config, NoTls, how),
        };
        Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    client
                        .batch_execute(SETTINGS)
                        .await
                        .map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| LedgerError::Failed(error.to_string()))
    }
}

/// The parts of an address that the driver does not know.
#[derive(Default)]
struct Own {
    mode: Option<String>,
    authority: Option<String>,
}

/// Takes those parts out.
fn split(url: &str) -> (String, Own) {
    let Some((rest, query)) = url.split_once('?') else {
        return (url.to_owned(), Own::default());
    };
    let mut own = Own::default();
    let mut kept = Vec::new();
    for part in query.split('&') {
        match part.split_once('=') {
            Some(("sslmode", mode)) => own.mode = Some(mode.to_owned()),
            Some(("sslrootcert", _)) => {
                own.authority = url::form_urlencoded::parse(part.as_bytes())
                    .next()
                    .map(|(_, file)| file.into_owned());
            }
            _ => kept.push(part),
        }
    }
    (format!("{rest}?{}", kept.join("&")), own)
}

/// Whether every host is this machine.
fn local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    })
}

fn tls(authority: Option<&str>) -> Result<MakeRustlsConnect> {
    let failed = |words: String| LedgerError::Failed(format!("TLS to PostgreSQL: {words}"));
    let mut roots = RootCertStore::empty();
    match authority {
        Some(file) => {
            let unreadable = |error| failed(format!("sslrootcert {file}: {error}"));
            for cert in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
                let cert = cert.map_err(unreadable)?;
                roots
                    .add(cert)
                    .map_err(|error| failed(format!("sslrootcert {file}: {error}")))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(failed(
            "no certificate authority is known; name one by sslrootcert".into(),
        ));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encrypted(url: &str) -> Result<bool> {
        Address::parse(url).map(|address| {
            let required = address.config.get_ssl_mode() == SslMode::Require;
            assert_eq!(
                required,
                address.tls.is_some(),
                "never asked for without a way to do it"
            );
            required
        })
    }

    #[test]
    fn another_machine_is_reached_encrypted_unless_said_otherwise() {
        for (url, wanted) in [
            ("postgres://u@db.example/x", true),
            ("postgres://u@127.0.0.1:5433/x", false),
            ("postgres://u@[::1]/x", false),
            ("postgres://u@localhost/x?connect_timeout=3", false),
            ("postgres://u@%2Frun%2Fpostgresql/x", false),
            ("postgres://u@db.example/x?sslmode=disable", false),
            ("postgres://u@localhost/x?sslmode=require", true),
            (
                "postgresql://u@db.example/x?application_name=a&sslmode=verify-full",
                true,
            ),
            ("postgres://u@localhost,db.example/x", true),
        ] {
            assert_eq!(encrypted(url), Ok(wanted), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_the_password() {
        for url in [
            "postgres://u:hush@db.example/x?sslmode=prefer",
            "postgres://u:hush@db.example:port/x",
            "postgres://u:hush@db.example/x?sslrootcert=/no/such/file",
            "postgres://u:hush@db.example/x?no_such_setting=1",
        ] {
            let Err(LedgerError::Failed(words)) = encrypted(url) else {
                panic!("{url}")
            };
            assert!(!words.contains("hush"), "{words}");
        }
    }
}
