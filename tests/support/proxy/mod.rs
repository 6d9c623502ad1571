//! A TCP proxy that misbehaves on demand: slow, narrow, silent, cut, reset, or not there.
//!
//! What it does is its [`Weather`], which can change at any time and strikes open connections too.
//! Whatever it draws by lot follows from its seed, the connection's number and the direction.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use pump::Pump;

mod pump;

/// From the client to the upstream, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

/// What the network is like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weather {
    /// How late bytes arrive.
    pub delay: Duration,
    /// By how much more, at most.
    pub jitter: Duration,
    /// How much passes in each direction of each connection.
    pub bytes_per_second: Option<u64>,
    /// Nothing passes upwards, not even the end of a connection. It does once the hole is closed.
    pub hole_up: bool,
    /// Nothing passes downwards.
    pub hole_down: bool,
    /// Each connection ends after some more bytes.
    pub cut: Option<Cut>,
}

/// How connections are cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    pub direction: Direction,
    /// After how many bytes from now on, or from the connection's beginning: by lot for each connection.
    pub after: Range<u64>,
    /// By a reset, or by an end that looks orderly.
    pub reset: bool,
}

/// How a connection ends that does not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Reset,
}

/// A running proxy. It ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    sky: Arc<Sky>,
    _stop: DropGuard,
}

struct Sky {
    seed: u64,
    /// The weather, and the number of its last change.
    weather: watch::Sender<(u64, Weather)>,
    upstream: Mutex<SocketAddr>,
    wanted: watch::Sender<bool>,
    listening: watch::Sender<bool>,
    /// Ends all connections at each change.
    end: watch::Sender<End>,
    open: watch::Sender<usize>,
    happened: Mutex<BTreeMap<&'static str, u64>>,
}

impl Proxy {
    /// A proxy on a free loopback port, in fair weather.
    pub async fn start(upstream: SocketAddr, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("it is bound");
        let sky = Arc::new(Sky {
            seed,
            weather: watch::Sender::default(),
            upstream: Mutex::new(upstream),
            wanted: watch::Sender::new(true),
            listening: watch::Sender::new(true),
            end: watch::Sender::new(End::Close),
            open: watch::Sender::default(),
            happened: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let serving = Arc::clone(&sky).serve(listener, address, stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
        Proxy {
            address,
            sky,
            _stop: stop.drop_guard(),
        }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather; a cut counts its bytes from here.
    pub fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.sky.weather.send_modify(|(number, weather)| {
            *number += 1;
            change(weather);
        });
    }

    /// Fair weather again.
    pub fn calm(&self) {
        self.change(|weather| *weather = Weather::default());
    }

    /// Where new connections are led to.
    pub fn lead_to(&self, upstream: SocketAddr) {
        *self
            .sky
            .upstream
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// Refuses new connections from here on. Open ones stay.
    pub async fn refuse(&self) {
        self.sky.count("refuse");
        self.listen(false).await;
    }

    /// Takes new connections again.
    pub async fn accept(&self) {
        self.listen(true).await;
    }

    /// Ends every open connection on both sides, as if each side had closed it.
    pub fn close_all(&self) {
        self.sky.end.send_replace(End::Close);
    }

    /// Ends every open connection by a reset on both sides.
    pub fn reset_all(&self) {
        self.sky.end.send_replace(End::Reset);
    }

    /// Waits until so many connections are open.
    pub async fn until_open(&self, count: usize) {
        let mut open = self.sky.open.subscribe();
        open.wait_for(|open| *open == count)
            .await
            .expect("the proxy runs");
    }

    /// How often what really happened.
    pub fn happened(&self) -> BTreeMap<&'static str, u64> {
        self.sky
            .happened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn listen(&self, wanted: bool) {
        let mut listening = self.sky.listening.subscribe();
        self.sky.wanted.send_replace(wanted);
        listening
            .wait_for(|listening| *listening == wanted)
            .await
            .expect("the proxy runs");
    }
}

impl Sky {
    async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        address: SocketAddr,
        stop: CancellationToken,
    ) {
        let mut wanted = self.wanted.subscribe();
        let mut listener = Some(listener);
        let mut number = 0;
        loop {
            let Some(open) = &listener else {
                if wanted.wait_for(|wanted| *wanted).await.is_err() {
                    return;
                }
                listener = Some(
                    TcpListener::bind(address)
                        .await
                        .expect("the port is still ours"),
                );
                self.listening.send_replace(true);
                continue;
            };
            tokio::select! {
                Ok((client, _)) = open.accept() => {
                    number += 1;
                    let connection = Arc::clone(&self).connection(number, client);
                    tokio::spawn(stop.clone().run_until_cancelled_owned(connection));
                }
                Ok(_) = wanted.wait_for(|wanted| !wanted) => {
                    listener = None;
                    self.listening.send_replace(false);
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, number: u64, mut client: TcpStream) {
        let mut upstream = None;
        let mut ends = self.end.subscribe();
        self.open.send_modify(|open| *open += 1);
        let end = tokio::select! {
            end = self.carry(number, &mut client, &mut upstream) => end.err(),
            Ok(()) = ends.changed() => {
                let end = *ends.borrow();
                self.count(if end == End::Reset { "reset" } else { "close" });
                Some(end)
            }
        };
        if end == Some(End::Reset) {
            for stream in [Some(client), upstream].into_iter().flatten() {
                let _ = stream.set_zero_linger();
            }
        }
        self.open.send_modify(|open| *open -= 1);
    }

    /// Carries bytes both ways until both sides have ended.
    async fn carry(
        &self,
        number: u64,
        client: &mut TcpStream,
        upstream: &mut Option<TcpStream>,
    ) -> Result<(), End> {
        let address = *self.upstream.lock().unwrap_or_else(PoisonError::into_inner);
        let upstream = upstream.insert(TcpStream::connect(address).await.map_err(|_| End::Reset)?);
        for stream in [&*client, &*upstream] {
            let _ = stream.set_nodelay(true);
        }
        let (client_reads, client_writes) = client.split();
        let (upstream_reads, upstream_writes) = upstream.split();
        let up = Pump::new(self, number, Direction::Up);
        let down = Pump::new(self, number, Direction::Down);
        tokio::try_join!(
            up.run(client_reads, upstream_writes),
            down.run(upstream_reads, client_writes)
        )?;
        Ok(())
    }

    fn count(&self, what: &'static str) {
        let mut happened = self.happened.lock().unwrap_or_else(PoisonError::into_inner);
        *happened.entry(what).or_default() += 1;
    }
}
