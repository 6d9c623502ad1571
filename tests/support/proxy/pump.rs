//! One direction of one connection: reads, waits as the weather wants it, writes.

use std::io;
use std::ops::Range;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Direction, End, Sky, Weather};

/// The size of a read, and how many of them wait at a time in each direction.
const READ: usize = 16 << 10;
const WAITING: usize = 64;
/// A throttled connection gets its share this often.
const SHARE: Duration = Duration::from_millis(20);

/// One direction of one connection.
pub struct Pump<'a> {
    sky: &'a Sky,
    direction: Direction,
    weather: watch::Receiver<(u64, Weather)>,
    lot: u64,
    /// The weather's change that set the cut, and how many bytes may pass before it.
    cut: Option<(u64, u64)>,
}

/// What was read, and when it may arrive; an error is the other side's reset.
type Read = (Instant, io::Result<Vec<u8>>);

impl<'a> Pump<'a> {
    pub fn new(sky: &'a Sky, number: u64, direction: Direction) -> Pump<'a> {
        let lot = sky.seed ^ mix(number * 2 + u64::from(direction == Direction::Down));
        Pump {
            sky,
            direction,
            weather: sky.weather.subscribe(),
            lot,
            cut: None,
        }
    }

    /// Carries bytes until the end of `from` has arrived at `to`.
    pub async fn run(mut self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), End> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let reading = read(self.weather.clone(), self.lot, from, sender);
        let writing = self.write(to, receiver);
        tokio::pin!(writing);
        tokio::select! {
            end = &mut writing => end,
            () = reading => writing.await,
        }
    }

    async fn write(
        &mut self,
        mut to: WriteHalf<'_>,
        mut reads: mpsc::Receiver<Read>,
    ) -> Result<(), End> {
        while let Some((due, bytes)) = reads.recv().await {
            if due > Instant::now() {
                self.sky.count("delay");
                sleep_until(due).await;
            }
            let Ok(bytes) = bytes else {
                self.wait_for_no_hole().await;
                return Err(End::Reset);
            };
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                self.wait_for_no_hole().await;
                let (part, after) = rest.split_at(self.share(rest.len()));
                self.pass(&mut to, part).await?;
                rest = after;
            }
        }
        self.wait_for_no_hole().await;
        to.shutdown().await.map_err(|_| End::Reset)
    }

    /// How much may be written now.
    fn share(&self, length: usize) -> usize {
        let Some(rate) = self.weather.borrow().1.bytes_per_second else {
            return length;
        };
        let share = u128::from(rate) * SHARE.as_millis() / 1_000;
        usize::try_from(share)
            .unwrap_or(usize::MAX)
            .clamp(1, length)
    }

    /// Writes a part, or what a cut leaves of it.
    async fn pass(&mut self, to: &mut WriteHalf<'_>, part: &[u8]) -> Result<(), End> {
        let (number, weather) = self.weather.borrow().clone();
        let cut = weather.cut.filter(|cut| cut.direction == self.direction);
        let left = cut.as_ref().map_or(u64::MAX, |cut| match self.cut {
            Some((set, left)) if set == number => left,
            _ => within(&cut.after, mix(self.lot)),
        });
        let passing = part.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        to.write_all(&part[..passing])
            .await
            .map_err(|_| End::Reset)?;
        if let Some(cut) = cut {
            let left = left - passing as u64;
            self.cut = Some((number, left));
            if left == 0 {
                self.sky.count("cut");
                return Err(if cut.reset { End::Reset } else { End::Close });
            }
        }
        if let Some(rate) = weather.bytes_per_second {
            self.sky.count("throttle");
            sleep(Duration::from_secs_f64(passing as f64 / rate.max(1) as f64)).await;
        }
        Ok(())
    }

    async fn wait_for_no_hole(&mut self) {
        let direction = self.direction;
        let hole = |weather: &Weather| match direction {
            Direction::Up => weather.hole_up,
            Direction::Down => weather.hole_down,
        };
        if hole(&self.weather.borrow().1) {
            self.sky.count("hole");
            // The sender lives as long as this: it is the sky's.
            let _ = self.weather.wait_for(|(_, weather)| !hole(weather)).await;
        }
    }
}

/// Reads until the end, and says of each read when it may arrive: delay does not make a line narrower.
async fn read(
    weather: watch::Receiver<(u64, Weather)>,
    lot: u64,
    mut from: ReadHalf<'_>,
    to: mpsc::Sender<Read>,
) {
    for n in 0.. {
        let mut bytes = vec![0; READ];
        let read = from.read(&mut bytes).await;
        let late = {
            let weather = &weather.borrow().1;
            let jitter = u64::try_from(weather.jitter.as_micros()).unwrap_or(u64::MAX);
            weather.delay + Duration::from_micros(within(&(0..jitter), mix(lot ^ n)))
        };
        let last = !matches!(read, Ok(1..));
        let read = read.map(|length| {
            bytes.truncate(length);
            bytes
        });
        if to.send((Instant::now() + late, read)).await.is_err() || last {
            return;
        }
    }
}

/// A number in a range, by lot; the start of an empty one.
fn within(range: &Range<u64>, lot: u64) -> u64 {
    range.start + lot % range.end.saturating_sub(range.start).max(1)
}

/// SplitMix64 (<https://dl.acm.org/doi/10.1145/2714064.2660195>).
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
