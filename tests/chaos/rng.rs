//! Drawing by lot: the same seed draws the same, on every machine and in every version.

use std::ops::Range;

/// SplitMix64 (<https://dl.acm.org/doi/10.1145/2714064.2660195>).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A source of its own for each purpose, so that one more draw here changes nothing there.
    pub fn new(seed: u64, purpose: &str) -> Rng {
        let salt = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |all: u64, byte| {
                (all ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `range.start` up to, and without, `range.end`.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start).max(1)
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.within(0..length as u64)).unwrap_or(0)
    }

    /// Whether a thing happens that happens so often in a thousand times.
    pub fn chance(&mut self, in_thousand: u64) -> bool {
        self.within(0..1_000) < in_thousand
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }

    /// One of the choices, each as often as its weight says.
    pub fn weighted<'a, T>(&mut self, list: &'a [(u64, T)]) -> &'a T {
        let mut at = self.within(0..list.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in list {
            match at.checked_sub(*weight) {
                Some(left) => at = left,
                None => return choice,
            }
        }
        &list[0].1
    }
}
