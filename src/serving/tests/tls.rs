//! TLS, and who opens a connection and does not speak it.

use std::path::PathBuf;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use super::*;
use crate::config::TlsFiles;

/// A certificate for 127.0.0.1, signed by itself, in a folder that goes when it is dropped.
struct Signed {
    folder: PathBuf,
    files: TlsFiles,
}

impl Signed {
    fn new() -> Signed {
        let folder = std::env::temp_dir().join(format!("handoffd-tls-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
        let files = TlsFiles {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
        };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        Signed { folder, files }
    }

    /// What a client that trusts only this certificate is answered.
    async fn asked(&self, place: &Place) -> std::io::Result<String> {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&self.files.certificate).unwrap())
            .unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        let stream = TcpStream::connect(place.address).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?;
        stream.write_all(WHOLE.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

impl Drop for Signed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn a_client_that_does_not_finish_the_handshake_is_cut() {
    let signed = Signed::new();
    let bounds = Bounds {
        connections: 1,
        handshake: Duration::from_millis(100),
        ..Bounds::default()
    };
    let certificate = Certificate::read(&signed.files).unwrap();
    let place = place_with(bounds, Some(certificate)).await;
    // A record of a handshake that promises 512 bytes and sends none.
    let mut silent = TcpStream::connect(place.address).await.unwrap();
    silent
        .write_all(&[0x16, 0x03, 0x01, 0x02, 0x00])
        .await
        .unwrap();
    // There is one place, and it becomes free only when that client is cut.
    let answer = tokio::time::timeout(Duration::from_secs(20), signed.asked(&place)).await;
    assert!(answer.unwrap().unwrap().ends_with("alive\n"));
}

#[tokio::test]
async fn a_handshake_counts_for_its_address() {
    let signed = Signed::new();
    let bounds = Bounds {
        per_address: 1,
        proxies: Vec::new(),
        handshake: FOREVER,
        ..Bounds::default()
    };
    let certificate = Certificate::read(&signed.files).unwrap();
    let place = place_with(bounds, Some(certificate)).await;
    let _silent = TcpStream::connect(place.address).await.unwrap();
    let mut second = TcpStream::connect(place.address).await.unwrap();
    let mut byte = [0];
    let end = tokio::time::timeout(Duration::from_secs(20), second.read(&mut byte)).await;
    assert!(end.expect("cut").map_or(true, |read| read == 0));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_handshake() {
    let signed = Signed::new();
    let bounds = Bounds {
        handshake: FOREVER,
        ..Bounds::default()
    };
    let certificate = Certificate::read(&signed.files).unwrap();
    let place = place_with(bounds, Some(certificate)).await;
    let _silent = TcpStream::connect(place.address).await.unwrap();
    assert!(signed.asked(&place).await.unwrap().ends_with("alive\n"));
    place.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), place.server).await;
    assert!(ended.is_ok(), "it still waits");
}

#[test]
fn what_is_no_certificate_is_said_without_showing_it() {
    let signed = Signed::new();
    let other = Signed::new();
    let TlsFiles { certificate, key } = signed.files.clone();
    let files = |certificate: &PathBuf, key: &PathBuf| TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
    };
    for (files, expected) in [
        (files(&signed.folder.join("none"), &key), "cannot be read"),
        (files(&key, &key), "holds no certificate"),
        (files(&certificate, &certificate), "holds no unencrypted"),
        (files(&certificate, &other.files.key), "used together"),
    ] {
        let error = Certificate::read(&files).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("BEGIN"), "{error}");
    }
}
