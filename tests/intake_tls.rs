//! `amqps` is really encrypted, and only towards a broker whose certificate is trusted.

mod intake;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use handoffd::intake::amqp::probe;
use handoffd_test_support::{Broker, unique};
use intake::{File, Running, arrive, config, event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the client sent through a tap: its bytes as they were on the wire.
type Inbound = Arc<Mutex<Vec<u8>>>;

/// A listener that passes everything on to `port` and remembers what the client said.
async fn tap(port: u16) -> (u16, Inbound) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let here = listener.local_addr().expect("an address").port();
    let heard = Inbound::default();
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let broker = TcpStream::connect(("127.0.0.1", port))
                .await
                .expect("the broker");
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_broker, mut to_broker) = broker.into_split();
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                    kept.lock()
                        .expect("no panic")
                        .extend_from_slice(&buffer[..read]);
                    if to_broker.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
            });
            tokio::spawn(async move {
                // It ends when either side does.
                let _ = tokio::io::copy(&mut from_broker, &mut to_client).await;
            });
        }
    });
    (here, heard)
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqps_is_encrypted_from_the_first_byte() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let tls_port = broker.tls_port();
    let (port, heard) = tap(tls_port).await;
    let url = broker
        .tls_url()
        .replace(&tls_port.to_string(), &port.to_string());
    assert!(url.starts_with("amqps://"));
    let mut settings = config(&url);
    settings.ca_file = Some(handoffd_test_support::ca_file());
    let mut intake = Running::start(file.gate(), settings);
    intake.until(|state| state.ready()).await;
    broker
        .gateway()
        .await
        .publish("gateway", "event.new", &event("s", 0))
        .await;
    arrive(&file, "s", 1).await;
    intake.stop().await;
    let heard = heard.lock().unwrap();
    assert_eq!(
        &heard[..2],
        [0x16, 0x03],
        "a TLS handshake record comes first"
    );
    for plain in [b"AMQP".as_slice(), b"PLAIN", b"guest", b"handoffd.events"] {
        assert!(
            !contains(&heard, plain),
            "{}",
            String::from_utf8_lossy(plain)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tap_would_see_what_is_not_encrypted() {
    let broker = Broker::shared().await;
    let (port, heard) = tap(broker.port()).await;
    let url = broker
        .url()
        .replace(&broker.port().to_string(), &port.to_string());
    assert_eq!(probe(&config(&url)).await, Ok(()));
    let heard = heard.lock().unwrap();
    assert_eq!(&heard[..4], b"AMQP");
    assert!(contains(&heard, b"PLAIN") && contains(&heard, b"guest"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_nobody_vouches_for_is_refused() {
    let broker = Broker::shared().await;
    let mut settings = config(&broker.tls_url());
    let words = probe(&settings).await.unwrap_err();
    assert!(
        words.contains("invalid peer certificate: UnknownIssuer"),
        "{words}"
    );
    assert!(
        words.ends_with("check ca_file, and that the certificate names this host"),
        "{words}"
    );

    // The name must fit, too: the certificate is for localhost and 127.0.0.1.
    settings.ca_file = Some(handoffd_test_support::ca_file());
    assert_eq!(probe(&settings).await, Ok(()));
    settings.url = broker.tls_url().replace("127.0.0.1", "127.0.0.2").into();
    let words = probe(&settings).await.unwrap_err();
    assert!(
        words.contains("certificate") || words.contains("refused"),
        "{words}"
    );

    settings.ca_file = Some(PathBuf::from("/nowhere").join(unique("ca")));
    let words = probe(&settings).await.unwrap_err();
    assert!(words.starts_with("ca_file cannot be read: "), "{words}");
}
