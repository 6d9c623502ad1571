//! Calls that leave by a proxy: a small real one, which sends everything to one place.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use handoffd::config::OutboundConfig;
use handoffd::connectors;
use handoffd::demo::world::{Folder, Plan, free_port, simulators};
use handoffd::wire::credential::SignIn;
use handoffd::wire::media::AttachmentFetcher;
use handoffd::wire::policy::Policy;
use handoffd::wire::streams::Sharing;
use handoffd::wire::{Failure, Options, Wire};
use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{Attachment, Auth, HttpCall, MediaProblem, MediaRef, Reason, Source};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use url::Url;

const SECOND: Duration = Duration::from_secs(1);

/// A proxy, and the heads that it was sent.
struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// One that leads everything to this place; without one, it refuses everything.
    async fn to(place: Option<SocketAddr>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(led(stream, place, Arc::clone(&kept)));
            }
        });
        Proxy { port, heads }
    }

    fn config(&self) -> OutboundConfig {
        let url = format!("http://robot:pa%3Ass@127.0.0.1:{}", self.port);
        OutboundConfig {
            https: Some(SecretString::from(url.clone())),
            http: Some(SecretString::from(url)),
            no_proxy: Vec::new(),
        }
    }

    /// The first lines of what it was asked.
    fn asked(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        let first = |head: &String| head.lines().next().unwrap_or_default().to_owned();
        heads.iter().map(first).collect()
    }
}

/// One connection of the proxy.
async fn led(mut client: TcpStream, place: Option<SocketAddr>, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_exact(&mut byte).await.is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    heads.lock().unwrap().push(text.clone());
    let Some(place) = place else {
        let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        let _ = client.write_all(refusal).await;
        return;
    };
    let mut server = TcpStream::connect(place).await.unwrap();
    if text.starts_with("CONNECT ") {
        let open = b"HTTP/1.1 200 OK\r\n\r\n";
        client.write_all(open).await.unwrap();
    } else {
        server.write_all(&head).await.unwrap();
    }
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

/// A Creatio of this address, behind a proxy, as the daemon sees it.
fn wire(credentials: &Value, site: &str, outbound: &OutboundConfig) -> Wire {
    let mut settings = credentials["settings"].clone();
    settings["site"] = json!(site);
    settings["auth"]["token_url"] = json!(format!("{site}/connect/token"));
    let kind = connectors::kind("creatio").unwrap();
    let connector = (kind.connector)("creatio", &settings).unwrap();
    let secret = |name: &str| {
        let value = credentials["secrets"][name].as_str();
        value.map(|value| SecretString::from(value.to_owned()))
    };
    let sign_in = SignIn::new(connector.credential(), 10 * SECOND, outbound, secret).unwrap();
    let options = Options {
        base: Url::parse(connector.base()).unwrap(),
        timeout: 10 * SECOND,
        connect_timeout: 10 * SECOND,
        outbound: outbound.clone(),
        sharing: Sharing::default(),
    };
    Wire::new(options, sign_in, Arc::new(library(outbound))).unwrap()
}

fn library(outbound: &OutboundConfig) -> AttachmentFetcher {
    let policy = Policy {
        allow_hosts: Vec::new(),
        allow_private: false,
    };
    AttachmentFetcher::new(policy, 10 * SECOND, 1 << 20, outbound).unwrap()
}

fn call() -> HttpCall {
    HttpCall {
        auth: Auth::Target,
        ..HttpCall::get("odata/Case?$top=1".to_owned())
    }
}

#[tokio::test]
async fn calls_and_sign_ins_leave_by_the_proxy_with_its_password() {
    let sims = simulators(CancellationToken::new()).await.unwrap();
    let creatio = sims.target("creatio").unwrap();
    let place = Url::parse(&creatio.base()).unwrap().socket_addrs(|| None);
    let proxy = Proxy::to(Some(place.unwrap()[0])).await;
    let wire = wire(
        &creatio.credentials(),
        "http://crm.invalid",
        &proxy.config(),
    );
    let reply = wire.send(&call()).await.unwrap();
    assert_ne!(reply.status, 401, "{:?}", reply.json());
    let asked = proxy.asked();
    let to = |line: &str| asked.iter().any(|asked| asked.starts_with(line));
    assert!(to("POST http://crm.invalid/connect/token "), "{asked:?}");
    for head in proxy.heads.lock().unwrap().iter() {
        // robot:pa:ss
        let shown = "proxy-authorization: basic cm9ib3q6cge6c3m=";
        assert!(head.to_lowercase().contains(shown), "{head}");
    }
}

#[tokio::test]
async fn a_proxys_refusal_is_no_effect_and_tells_no_password() {
    let sims = simulators(CancellationToken::new()).await.unwrap();
    let creatio = sims.target("creatio").unwrap();
    let proxy = Proxy::to(None).await;
    let wire = wire(
        &creatio.credentials(),
        "https://crm.invalid",
        &proxy.config(),
    );
    let failure = wire.send(&call()).await.unwrap_err();
    assert!(matches!(failure, Failure::NotSent(_)), "{failure:?}");
    let stop = failure.stop();
    assert_eq!(stop.reason, Reason::Unreachable);
    assert!(!format!("{failure:?}").contains("robot"), "{failure:?}");
    assert_eq!(proxy.asked(), ["CONNECT crm.invalid:443 HTTP/1.1"]);
}

#[tokio::test]
async fn an_address_that_is_not_public_is_not_asked_of_the_proxy() {
    let proxy = Proxy::to(None).await;
    let library = library(&proxy.config());
    let fetched = async |url: &str| {
        let attachment = Attachment {
            id: "a".into(),
            kind: AttachmentKind::Image,
            mime: None,
            name: None,
            size: None,
            caption: None,
            transcript: None,
            source: Some(Source::Url { url: url.into() }),
        };
        let max_bytes = 1_000;
        library
            .inline(&MediaRef {
                attachment,
                max_bytes,
            })
            .await
    };
    for url in ["https://localhost/x", "https://10.0.0.1/x"] {
        assert_eq!(fetched(url).await, Err(MediaProblem::Forbidden), "{url}");
    }
    assert_eq!(proxy.asked(), Vec::<String>::new());
    let public = fetched("https://93.184.216.34/x").await;
    assert_eq!(public, Err(MediaProblem::Unreachable));
    assert_eq!(proxy.asked(), ["CONNECT 93.184.216.34:443 HTTP/1.1"]);
}

/// TLS in front of a simulator; the certificate's PEM.
async fn with_tls(place: SocketAddr, name: &str) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = made.signing_key.serialize_der();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.into()),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut server = TcpStream::connect(place).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    (address, made.cert.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_takes_the_proxy_of_its_environment_but_not_for_this_machine() {
    let sims = simulators(CancellationToken::new()).await.unwrap();
    let creatio = sims.target("creatio").unwrap();
    let place = Url::parse(&creatio.base()).unwrap().socket_addrs(|| None);
    let (place, pem) = with_tls(place.unwrap()[0], "crm.invalid").await;
    let proxy = Proxy::to(Some(place)).await;
    let folder = Folder::new().unwrap();
    std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
    let ledger = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let mut plan = Plan::new(&sims, ledger, listen);
    let site = json!({"site": "https://crm.invalid",
        "auth": {"token_url": "https://crm.invalid/connect/token"}});
    plan.settings.insert("creatio".into(), site);
    let file = folder.path().join("handoffd.toml");
    std::fs::write(&file, plan.toml().unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_handoffd"));
    command
        .args(["check", "--live", "--config"])
        .arg(&file)
        .env("SSL_CERT_FILE", folder.path().join("ca.pem"))
        .env(
            "HTTPS_PROXY",
            format!("http://robot:secret-of-the-proxy@127.0.0.1:{}", proxy.port),
        )
        .env("HTTP_PROXY", format!("127.0.0.1:{}", proxy.port))
        .env_remove("https_proxy")
        .env_remove("http_proxy")
        .env_remove("no_proxy")
        .env_remove("NO_PROXY");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let asked = proxy.asked();
    assert!(!asked.is_empty(), "{said}");
    for line in asked {
        assert_eq!(line, "CONNECT crm.invalid:443 HTTP/1.1");
    }
    assert!(!said.contains("secret-of-the-proxy"), "{said}");
    let counts = creatio.counts();
    assert!(
        counts["shapes"]
            .as_object()
            .is_some_and(|shapes| shapes.len() > 1)
    );
}
