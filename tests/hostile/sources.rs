//! Addresses that may be fetched, and keys.

use std::net::{Ipv4Addr, Ipv6Addr};

use handoffd::wire::credential::signing_key;
use handoffd::wire::policy::{PublicOnly, is_public};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use reqwest::dns::Resolve;
use secrecy::SecretString;

use crate::cases::check;
use crate::judges;
use crate::mutated;

fn address() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        6 => select(vec!["https:", "http:", "//", "/", "\\", "@", ":", "[", "]", "::", "ffff:", "127", "0x7f", "0177", "1", "2130706433", ".", "%2e", "169.254",
            "localhost", "a.test", "。", "①②⑦", "?", "#", "\t", "\n", "user:pw", "443", "65536", "fe80", "64:ff9b", "2002:7f00", "7f00:1", "xn--", "..", "%00"])
            .prop_map(str::to_owned),
        1 => mutated::text().prop_map(|text| text.chars().take(40).collect::<String>()),
    ];
    prop_oneof![
        vec(part.clone(), 0..12).prop_map(|parts| parts.concat()),
        vec(part, 0..8).prop_map(|parts| format!("https://{}", parts.concat())),
    ]
}

#[test]
fn no_spelling_of_an_address_gets_past_the_policy() {
    check(4_000, &address(), |address| judges::address(&address));
}

/// An IPv4 address that is not public does not become so inside an IPv6 one.
#[test]
fn a_private_address_stays_private_inside_another() {
    check(4_000, &any::<[u8; 4]>(), |octets| {
        let [a, b, c, d] = octets;
        let inner = Ipv4Addr::from(octets);
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let forms = [
            inner.to_ipv6_mapped(),
            inner.to_ipv6_compatible(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, 0x4136, 0xe378, 0x8000, 0x63bf, !high, !low),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        ];
        if !is_public(inner.into()) {
            for form in forms {
                assert!(!is_public(form.into()), "{inner} as {form}");
            }
        }
    });
}

/// A name is only as good as what it resolves to when the connection is opened.
#[tokio::test]
async fn a_name_with_only_private_addresses_does_not_resolve() {
    let name: reqwest::dns::Name = "localhost".parse().unwrap();
    let Err(error) = PublicOnly::default().resolve(name).await else {
        panic!("localhost has a public address");
    };
    assert_eq!(error.to_string(), "the name has no public address");
}

#[test]
fn no_text_panics_as_a_key_and_no_message_repeats_it() {
    const KEY: &str =
        include_str!("../../connectors/salesforce/src/sandbox/test_only_private_key.pem");
    signing_key(&SecretString::from(KEY)).unwrap();
    let edits = vec(
        (
            any::<prop::sample::Index>(),
            vec(any::<char>(), 0..3),
            0_usize..40,
        ),
        0..4,
    );
    let bent_key = edits.prop_map(|edits| {
        let mut key: Vec<char> = KEY.chars().collect();
        for (at, given, gone) in edits {
            let at = at.index(key.len() + 1);
            let to = (at + gone).min(key.len());
            key.splice(at..to, given);
        }
        key.into_iter().collect::<String>()
    });
    check(
        400,
        &prop_oneof![6 => bent_key, 1 => mutated::text()],
        |key| {
            judges::key(&key);
        },
    );
}
