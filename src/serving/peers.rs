//! How many connections each address has, or requests by a proxy, so that no single one takes all
//! that there are.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Network;

/// The connections of every address that has any.
#[derive(Clone)]
pub(super) struct Peers {
    most: usize,
    /// Their connections are other people's, so only the bound for all of them holds.
    proxies: Arc<[Network]>,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection of an address; given back when it is dropped.
pub(super) struct Seat {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: Option<IpAddr>,
}

impl Peers {
    pub fn new(most: usize, proxies: &[Network]) -> Peers {
        Peers {
            most,
            proxies: proxies.into(),
            counts: Arc::default(),
        }
    }

    /// Whose connections are other people's.
    pub fn proxies(&self) -> &Arc<[Network]> {
        &self.proxies
    }

    /// Whether connections from there are other people's.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.holds(address))
    }

    /// A seat for a connection from there; `None` when the address has as many as it may.
    pub fn seat(&self, address: IpAddr) -> Option<Seat> {
        if self.is_proxy(address) {
            return Some(self.given(None));
        }
        let address = owner(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(self.given(Some(address)))
    }

    fn given(&self, address: Option<IpAddr>) -> Seat {
        Seat {
            counts: Arc::clone(&self.counts),
            address,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// Whom an address belongs to: who has one IPv6 address has all that share its first 64 bits.
pub(crate) fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_no_more_than_its_share_and_gives_it_back() {
        let peers = Peers::new(2, &[]);
        let first = peers.seat(at("192.0.2.1")).unwrap();
        let _second = peers.seat(at("::ffff:192.0.2.1")).unwrap();
        assert!(peers.seat(at("192.0.2.1")).is_none());
        assert!(peers.seat(at("192.0.2.2")).is_some());
        drop(first);
        let _third = peers.seat(at("192.0.2.1")).unwrap();
        assert!(peers.seat(at("192.0.2.1")).is_none());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share() {
        let peers = Peers::new(1, &[]);
        let _first = peers.seat(at("2001:db8:1:2::1")).unwrap();
        assert!(peers.seat(at("2001:db8:1:2:ffff::9")).is_none());
        assert!(peers.seat(at("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn nothing_is_kept_of_an_address_that_left() {
        let peers = Peers::new(1, &[]);
        drop(peers.seat(at("192.0.2.1")));
        assert!(peers.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn a_proxy_speaks_for_many() {
        let peers = Peers::new(1, &[Network::parse("10.0.0.0/8").unwrap()]);
        let seats: Vec<Seat> = (0..50).filter_map(|_| peers.seat(at("10.1.2.3"))).collect();
        assert_eq!(seats.len(), 50);
    }
}
