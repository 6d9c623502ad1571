//! The fault proxy itself: each kind of weather, seen from both sides.

#[path = "support/proxy/mod.rs"]
mod proxy;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use proxy::{Cut, Direction, Proxy};

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing must happen for nothing to happen.
const QUIET: Duration = Duration::from_millis(80);

/// An upstream, a proxy before it, a client connected through it, and the upstream's end of that.
struct Line {
    upstream: TcpListener,
    proxy: Proxy,
}

impl Line {
    async fn new(seed: u64) -> Line {
        let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Proxy::start(upstream.local_addr().expect("bound"), seed).await;
        Line { upstream, proxy }
    }

    async fn connect(&self) -> (TcpStream, TcpStream) {
        let (client, server) = tokio::join!(
            TcpStream::connect(self.proxy.address()),
            self.upstream.accept()
        );
        (
            client.expect("the proxy takes it"),
            server.expect("the proxy connects").0,
        )
    }

    fn happened(&self, what: &str) -> u64 {
        self.proxy.happened().get(what).copied().unwrap_or(0)
    }
}

async fn expect(stream: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut bytes))
        .await
        .expect("in time")
        .expect("all of it");
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

/// What still comes, and how it ends.
async fn rest(stream: &mut TcpStream) -> (usize, Result<(), ErrorKind>) {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("in time");
    (bytes.len(), end.map(drop).map_err(|error| error.kind()))
}

async fn silent(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(QUIET, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn fair_weather_changes_nothing() {
    let line = Line::new(1).await;
    let (mut client, mut server) = line.connect().await;
    client.write_all(b"question").await.expect("sent");
    expect(&mut server, "question").await;
    client.shutdown().await.expect("half-closed");
    assert_eq!(
        rest(&mut server).await,
        (0, Ok(())),
        "the half-close arrives"
    );
    let large = vec![7; 3 << 20];
    let (sent, came) = tokio::join!(
        async {
            server.write_all(&large).await.expect("sent");
            server.shutdown().await
        },
        rest(&mut client)
    );
    assert_eq!((sent.is_ok(), came), (true, (3 << 20, Ok(()))));
    line.proxy.until_open(0).await;
    assert!(line.proxy.happened().is_empty());
}

#[tokio::test]
async fn bytes_are_late_in_order_and_not_one_by_one() {
    let line = Line::new(1).await;
    let delay = Duration::from_millis(60);
    line.proxy
        .change(|weather| (weather.delay, weather.jitter) = (delay, delay));
    let (mut client, mut server) = line.connect().await;
    let started = Instant::now();
    for n in 0..20 {
        client
            .write_all(format!("{n:02}").as_bytes())
            .await
            .expect("sent");
        tokio::task::yield_now().await;
    }
    let all: String = (0..20).map(|n| format!("{n:02}")).collect();
    expect(&mut server, &all).await;
    let took = started.elapsed();
    assert!(took >= delay && took < 8 * delay, "{took:?}");
    server.write_all(b"back").await.expect("sent");
    expect(&mut client, "back").await;
    assert!(started.elapsed() >= 2 * delay, "both ways");
    assert!(line.happened("delay") >= 2);
}

#[tokio::test]
async fn a_line_is_narrow_until_it_is_not() {
    let line = Line::new(1).await;
    line.proxy
        .change(|weather| weather.bytes_per_second = Some(100_000));
    let (mut client, mut server) = line.connect().await;
    let started = Instant::now();
    client.write_all(&[7; 20_000]).await.expect("sent");
    let mut half = vec![0; 10_000];
    server.read_exact(&mut half).await.expect("the first half");
    assert!(
        started.elapsed() >= Duration::from_millis(70),
        "{:?}",
        started.elapsed()
    );
    line.proxy.calm();
    server.read_exact(&mut half).await.expect("the second half");
    assert!(line.happened("throttle") >= 4);
}

#[tokio::test]
async fn a_cut_comes_after_just_so_many_bytes() {
    for (reset, end) in [(false, Ok(())), (true, Err(ErrorKind::ConnectionReset))] {
        let line = Line::new(1).await;
        let (mut client, mut server) = line.connect().await;
        server.write_all(b"before").await.expect("sent");
        expect(&mut client, "before").await;
        line.proxy.change(|weather| {
            weather.cut = Some(Cut {
                direction: Direction::Down,
                after: 5..6,
                reset,
            })
        });
        client
            .write_all(b"upwards it does not count")
            .await
            .expect("sent");
        expect(&mut server, "upwards it does not count").await;
        server.write_all(b"abc").await.expect("sent");
        expect(&mut client, "abc").await;
        server.write_all(b"defgh").await.expect("sent");
        if reset {
            // A reset may overtake the bytes before it.
            let (length, ended) = rest(&mut client).await;
            assert!(length <= 2 && ended == end, "{length} {ended:?}");
        } else {
            assert_eq!(rest(&mut client).await, (2, end));
        }
        assert!(rest(&mut server).await.0 == 0, "the other side ends too");
        assert_eq!(line.happened("cut"), 1);
    }
}

#[tokio::test]
async fn the_same_seed_cuts_in_the_same_places() {
    let places = async |seed: u64| {
        let line = Line::new(seed).await;
        line.proxy.change(|weather| {
            weather.cut = Some(Cut {
                direction: Direction::Up,
                after: 1..1_000,
                reset: false,
            });
        });
        let mut places = Vec::new();
        for _ in 0..8 {
            let (mut client, mut server) = line.connect().await;
            client.write_all(&[7; 1_000]).await.expect("sent");
            places.push(rest(&mut server).await.0);
        }
        places
    };
    let (seven, again, eight) = (places(7).await, places(7).await, places(8).await);
    assert_eq!(seven, again);
    assert_ne!(seven, eight);
    assert!(seven.iter().any(|place| *place != seven[0]), "{seven:?}");
}

#[tokio::test]
async fn a_hole_swallows_bytes_and_ends_until_it_is_closed() {
    let line = Line::new(1).await;
    let (mut client, mut server) = line.connect().await;
    line.proxy.change(|weather| weather.hole_down = true);
    client.write_all(b"up").await.expect("sent");
    expect(&mut server, "up").await;
    server.write_all(b"down").await.expect("sent");
    drop(server);
    assert!(
        silent(&mut client).await,
        "the client neither hears nor learns that the other side is gone"
    );
    line.proxy.calm();
    expect(&mut client, "down").await;
    assert_eq!(rest(&mut client).await.0, 0, "and then the end");
    assert_eq!(line.happened("hole"), 1);

    let (mut client, mut server) = line.connect().await;
    line.proxy.change(|weather| weather.hole_up = true);
    client.write_all(b"up").await.expect("sent");
    server.write_all(b"down").await.expect("sent");
    expect(&mut client, "down").await;
    assert!(silent(&mut server).await);
    line.proxy.calm();
    expect(&mut server, "up").await;
}

#[tokio::test]
async fn open_connections_are_reset_or_closed_on_both_sides() {
    let line = Line::new(1).await;
    for (reset, end) in [(true, Err(ErrorKind::ConnectionReset)), (false, Ok(()))] {
        let mut pairs = vec![line.connect().await, line.connect().await];
        line.proxy.until_open(2).await;
        for (client, server) in &mut pairs {
            // Both pumps run once bytes have come through.
            client.write_all(b"x").await.expect("sent");
            expect(server, "x").await;
        }
        if reset {
            line.proxy.reset_all()
        } else {
            line.proxy.close_all()
        }
        for (client, server) in &mut pairs {
            assert_eq!(
                (rest(client).await, rest(server).await),
                ((0, end), (0, end))
            );
        }
        line.proxy.until_open(0).await;
        assert_eq!(line.happened(if reset { "reset" } else { "close" }), 2);
    }
}

#[tokio::test]
async fn connections_are_refused_and_taken_again() {
    let line = Line::new(1).await;
    let (mut client, mut server) = line.connect().await;
    line.proxy.refuse().await;
    let refused = TcpStream::connect(line.proxy.address())
        .await
        .expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    client.write_all(b"still open").await.expect("sent");
    expect(&mut server, "still open").await;
    line.proxy.accept().await;
    let (mut client, mut server) = line.connect().await;
    client.write_all(b"open again").await.expect("sent");
    expect(&mut server, "open again").await;
    assert_eq!(line.happened("refuse"), 1);
}

#[tokio::test]
async fn an_upstream_that_is_gone_or_moved() {
    let line = Line::new(1).await;
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    line.proxy.lead_to(nobody);
    let mut client = TcpStream::connect(line.proxy.address())
        .await
        .expect("the proxy takes it");
    assert_eq!(
        rest(&mut client).await,
        (0, Err(ErrorKind::ConnectionReset))
    );
    line.proxy
        .lead_to(line.upstream.local_addr().expect("bound"));
    let (mut client, mut server) = line.connect().await;
    client.write_all(b"found").await.expect("sent");
    expect(&mut server, "found").await;
}
