//! The certificate of a listener, read again whenever its files change.
//!
//! A renewed certificate is in force for the next connection; those that are open keep theirs. What
//! cannot be used leaves the one before in force, and is said once.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::TlsFiles;

/// How often the files are looked at. Both are small, and what is compared is what they hold: a
/// changed date alone says little, and a folder that is switched over keeps dates.
const LOOK: Duration = Duration::from_secs(5);

/// What stands in the way of a certificate, without anything that its files hold.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A file cannot be read.
    #[error("{} cannot be read: {}", .0.display(), .1.kind())]
    Unread(PathBuf, io::Error),
    /// It holds no certificate in PEM.
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// It holds no key in PEM.
    #[error("{} holds no unencrypted private key in PEM", .0.display())]
    NoKey(PathBuf),
    /// The key is not the certificate's, or of a kind that TLS does not use.
    #[error("the certificate and the key cannot be used together: {0}")]
    Unfit(String),
}

/// The certificate in force.
pub struct Certificate {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
    /// What the files held when they were last read, also if it was of no use.
    seen: [u8; 32],
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn read(files: &TlsFiles) -> Result<Certificate, Unusable> {
        let held = Held::read(files)?;
        Ok(Certificate {
            current: ArcSwap::new(held.config(files)?),
            seen: held.digest(),
            files: files.clone(),
        })
    }

    /// What the next connection is answered with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Looks at the files until stopped.
    pub(super) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = self.seen;
        let mut unread = false;
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK))
            .await
            .is_some()
        {
            let files = self.files.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || Held::read(&files)).await else {
                continue;
            };
            let held = match read {
                Ok(held) => held,
                Err(error) => {
                    if !std::mem::replace(&mut unread, true) {
                        tracing::error!(%error, "http.tls: the certificate in force stays");
                    }
                    continue;
                }
            };
            unread = false;
            let digest = held.digest();
            if digest == seen {
                continue;
            }
            seen = digest;
            match held.config(&self.files) {
                Ok(config) => {
                    self.current.store(config);
                    tracing::info!("http.tls: a new certificate is in force");
                }
                Err(error) => {
                    tracing::error!(%error, "http.tls: the certificate in force stays");
                }
            }
        }
    }
}

/// What the files hold.
struct Held {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Held {
    fn read(files: &TlsFiles) -> Result<Held, Unusable> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| Unusable::Unread(path.clone(), error))
        };
        Ok(Held {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.certificate.len().to_le_bytes());
        digest.update(&self.certificate);
        digest.update(&self.key);
        digest.finalize().into()
    }

    fn config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, Unusable> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| Unusable::NoCertificate(files.certificate.clone()))?;
        if chain.is_empty() {
            return Err(Unusable::NoCertificate(files.certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| Unusable::NoKey(files.key.clone()))?;
        let unfit = |error: rustls::Error| Unusable::Unfit(error.to_string());
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(unfit)?
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .map_err(unfit)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
