//! Which addresses may be fetched.
//!
//! Addresses come from events and from CRMs, so a stranger can choose them. A host must be on the
//! allow list, if there is one, and unless private addresses are allowed it must resolve to public ones only; the
//! check is made where the connection is opened, so a name that changes its address in between
//! gains nothing. Redirects are followed by hand, each under the same rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use handoffd_contract::MediaProblem;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The rules for addresses that others chose.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Exact host names, or suffixes beginning with a dot. Empty means every host.
    pub allow_hosts: Vec<String>,
    /// Whether loopback, private and link-local addresses and plain `http` are allowed: for a
    /// laptop and for tests.
    pub allow_private: bool,
}

impl Policy {
    /// The address, if it may be fetched.
    ///
    /// # Errors
    /// [`MediaProblem::Forbidden`].
    pub fn check(&self, address: &str) -> Result<Url, MediaProblem> {
        let url = Url::parse(address).map_err(|_| MediaProblem::Forbidden)?;
        let scheme_allowed =
            url.scheme() == "https" || (url.scheme() == "http" && self.allow_private);
        if !scheme_allowed || !url.username().is_empty() || url.password().is_some() {
            return Err(MediaProblem::Forbidden);
        }
        // `Url` has already read decimal, octal, hexadecimal and IPv6-mapped forms of an address.
        let address_allowed = match url.host() {
            Some(Host::Ipv4(ip)) => self.allow_private || is_public(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => self.allow_private || is_public(IpAddr::V6(ip)),
            Some(Host::Domain(_)) => true,
            None => false,
        };
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_end_matches('.')
            .to_ascii_lowercase();
        if address_allowed && self.lists(&host) {
            Ok(url)
        } else {
            Err(MediaProblem::Forbidden)
        }
    }

    fn lists(&self, host: &str) -> bool {
        self.allow_hosts.is_empty()
            || self.allow_hosts.iter().any(|allowed| {
                let allowed = allowed.to_ascii_lowercase();
                match allowed.strip_prefix('.') {
                    Some(_) => host.ends_with(&allowed),
                    None => host == allowed,
                }
            })
    }
}

/// Whether an address is on the public internet.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => public_v4(ip),
        IpAddr::V6(ip) => public_v6(ip),
    }
}

fn public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let embedded = match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => Some((high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = embedded {
        let bytes = [(high >> 8) as u8, high as u8, (low >> 8) as u8, low as u8];
        return public_v4(Ipv4Addr::from(bytes));
    }
    // Only global unicast is public, without documentation, Teredo and benchmarking.
    (segments[0] & 0xe000) == 0x2000
        && segments[0] != 0x3fff
        && !(segments[0] == 0x2001 && (segments[1] < 0x200 || segments[1] == 0xdb8))
}

/// Resolves names to public addresses only.
#[derive(Debug, Clone, Default)]
pub struct PublicOnly {
    /// Names that may lead anywhere: those of the proxies.
    pub but: Arc<[String]>,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let anywhere = self.but.iter().any(|but| but == name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = |at: &SocketAddr| anywhere || is_public(at.ip());
            let addresses: Vec<SocketAddr> = found.filter(allowed).collect();
            if addresses.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_private_address_is_refused() {
        let policy = Policy {
            allow_hosts: vec![".test".into()],
            allow_private: false,
        };
        let open = |host: &str| Policy {
            allow_hosts: vec![
                Url::parse(&format!("https://{host}/")).map_or(host.to_owned(), |u| {
                    u.host_str().unwrap_or_default().to_owned()
                }),
            ],
            allow_private: false,
        };
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[fe80::1]",
            "[fd00::1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[::127.0.0.1]",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "[2001:db8::1]",
            "[ff02::1]",
        ] {
            let address = format!("https://{host}/x");
            assert_eq!(
                open(host).check(&address),
                Err(MediaProblem::Forbidden),
                "{host}"
            );
        }
        for address in [
            "ftp://a.test/x",
            "http://a.test/x",
            "https://user:pw@a.test/x",
            "file:///etc/passwd",
            "nonsense",
            "https://b.example/x",
        ] {
            assert_eq!(
                policy.check(address),
                Err(MediaProblem::Forbidden),
                "{address}"
            );
        }
        assert!(policy.check("https://a.test/x").is_ok());
        assert!(
            open("93.184.216.34")
                .check("https://93.184.216.34/x")
                .is_ok()
        );
        assert!(
            open("[2606:2800:220:1::1]")
                .check("https://[2606:2800:220:1::1]/x")
                .is_ok()
        );
    }

    #[test]
    fn a_suffix_does_not_match_a_name_that_merely_ends_alike() {
        let policy = Policy {
            allow_hosts: vec![".force.com".into()],
            allow_private: false,
        };
        assert!(policy.check("https://a.documentforce.com/x").is_err());
        assert!(policy.check("https://a.force.com./x").is_ok());
    }
}
