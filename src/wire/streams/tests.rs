//! Streams on connections of a server that speaks HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::{FutureExt as _, StreamExt as _};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;

const SOON: Duration = Duration::from_secs(20);

/// A server of endless streams: `/flood` sends all that it may, `/bit` one byte whenever it is told.
#[derive(Default)]
struct Server {
    connections: AtomicUsize,
    /// The most streams on a connection; as many as there are when 0.
    most: u32,
    bit: Notify,
}

impl Server {
    async fn start(self, tls: Option<tokio_rustls::TlsAcceptor>) -> (SocketAddr, Arc<Server>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(self);
        let ours = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (Arc::clone(&server), tls.clone());
                server.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    match tls {
                        None => server.serve(stream).await,
                        Some(tls) => server.serve(tls.accept(stream).await.unwrap()).await,
                    }
                });
            }
        });
        (address, ours)
    }

    async fn serve(self: Arc<Server>, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let most = (self.most > 0).then_some(self.most);
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let server = Arc::clone(&self);
            async move {
                let is_flood = request.uri().path() == "/flood";
                let pieces = futures::stream::unfold(true, move |first| {
                    let server = Arc::clone(&server);
                    async move {
                        if !is_flood && !first {
                            server.bit.notified().await;
                        }
                        let size = if is_flood { 16 << 10 } else { 1 };
                        Some((Bytes::from(vec![b'x'; size]), false))
                    }
                });
                let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
                Ok::<_, Infallible>(hyper::Response::new(StreamBody::new(frames)))
            }
        });
        let _ = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(most)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn sharing(protocol: StreamProtocol, per_connection: usize) -> Sharing {
    Sharing {
        protocol,
        per_connection,
        ..Sharing::default()
    }
}

fn streams(sharing: Sharing) -> Streams {
    Streams::new(SOON, &OutboundConfig::default(), sharing).unwrap()
}

async fn opened(streams: &Streams, address: &str) -> EventStream {
    let place = streams.place().unwrap();
    let response = place.client.get(address).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    EventStream::new(response, place)
}

#[tokio::test]
async fn streams_share_connections_up_to_the_bound_and_give_their_places_back() {
    let (address, server) = Server::default().start(None).await;
    let url = format!("http://{address}/bit");
    let streams = streams(sharing(StreamProtocol::Http2, 3));
    let mut all = Vec::new();
    for _ in 0..7 {
        let mut stream = opened(&streams, &url).await;
        assert_eq!(stream.next().await.unwrap().len(), 1);
        all.push(stream);
    }
    assert_eq!(server.connections(), 3);
    all.truncate(2);
    all.push(opened(&streams, &url).await);
    assert_eq!(server.connections(), 3, "a place that was given back");
    drop(all);
    assert_eq!(streams.lock().all.len(), 1);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_does_not_stall_the_others() {
    let (address, server) = Server::default().start(None).await;
    let streams = streams(sharing(StreamProtocol::Http2, 4));
    let mut stuck = Vec::new();
    for _ in 0..3 {
        stuck.push(opened(&streams, &format!("http://{address}/flood")).await);
    }
    let mut live = opened(&streams, &format!("http://{address}/bit")).await;
    assert_eq!(server.connections(), 1);
    // More bytes than a window has, one by one, while the others have filled theirs.
    for at in 0..STREAM_WINDOW / 8 {
        server.bit.notify_one();
        let piece = tokio::time::timeout(SOON, live.next()).await;
        assert!(piece.is_ok_and(|piece| piece.is_some()), "stalled at {at}");
    }
    assert!(
        stuck[0].next().await.is_some(),
        "it goes on when it is read"
    );
}

#[tokio::test]
async fn a_server_that_allows_fewer_streams_gets_another_connection() {
    let server = Server {
        most: 2,
        ..Server::default()
    };
    let (address, server) = server.start(None).await;
    let url = format!("http://{address}/bit");
    let streams = streams(sharing(StreamProtocol::Http2, 100));
    let _held = [opened(&streams, &url).await, opened(&streams, &url).await];
    let third = streams.place().unwrap();
    assert!(third.is_shared());
    let sent = third.client.get(&url).send();
    let early = tokio::time::timeout(Duration::from_millis(200), sent).await;
    assert!(early.is_err(), "it is let wait");
    third.full();
    let third = opened(&streams, &url).await;
    assert_eq!(server.connections(), 2);
    drop(third);
}

#[tokio::test]
async fn http_2_is_spoken_where_the_handshake_offers_it() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (address, server) = Server::default().start(Some(Arc::new(config).into())).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let trusting = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let outbound = OutboundConfig::default();
    let auto = sharing(StreamProtocol::Auto, 100);
    let streams = Streams::with(SOON, &outbound, auto, trusting);
    let url = format!("https://{address}/bit");
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(opened(&streams, &url).await);
    }
    assert_eq!(server.connections(), 1);
}

/// Passes bytes on until it is told to swallow them, and never closes.
async fn swallowing(to: SocketAddr, swallows: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(to).await.unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(passed(from_client, to_server, Arc::clone(&swallows)));
            tokio::spawn(passed(from_server, to_client, Arc::clone(&swallows)));
        }
    });
    address
}

async fn passed(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    swallows: Arc<AtomicBool>,
) {
    let mut bytes = [0; 4096];
    while let Ok(read) = from.read(&mut bytes).await {
        if read == 0 {
            return;
        }
        if !swallows.load(Ordering::SeqCst) && to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_connection_that_died_without_a_word_is_noticed() {
    let (address, _server) = Server::default().start(None).await;
    let swallows = Arc::new(AtomicBool::new(false));
    let address = swallowing(address, Arc::clone(&swallows)).await;
    let quick = Sharing {
        ping_every: Duration::from_millis(100),
        ping_within: Duration::from_millis(300),
        ..sharing(StreamProtocol::Http2, 100)
    };
    let mut stream = opened(&streams(quick), &format!("http://{address}/bit")).await;
    assert!(stream.next().await.is_some());
    assert!(stream.next().now_or_never().is_none());
    swallows.store(true, Ordering::SeqCst);
    let end = tokio::time::timeout(SOON, stream.next()).await;
    assert_eq!(end, Ok(None));
}
