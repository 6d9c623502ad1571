//! `[outbound]`, and the environment's proxies.

use std::path::PathBuf;

use handoffd::config::{Config, OutboundConfig, Problem, load};
use secrecy::ExposeSecret;

fn read(text: &str, env: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
    let path: PathBuf =
        std::env::temp_dir().join(format!("handoffd-outbound-{}.toml", uuid::Uuid::new_v4()));
    std::fs::write(&path, text).expect("a file");
    let config = load(
        Some(&path),
        env.iter()
            .map(|(key, value)| ((*key).into(), (*value).into())),
    );
    let _ = std::fs::remove_file(&path);
    config
}

fn outbound(text: &str, env: &[(&str, &str)]) -> OutboundConfig {
    read(text, env).expect(text).outbound
}

fn https(config: &OutboundConfig) -> Option<&str> {
    config.https.as_ref().map(ExposeSecret::expose_secret)
}

fn http(config: &OutboundConfig) -> Option<&str> {
    config.http.as_ref().map(ExposeSecret::expose_secret)
}

#[test]
fn the_environments_proxies_are_taken_and_never_for_this_machine() {
    let env = [
        ("HTTPS_PROXY", "http://u:p@proxy.test:3128"),
        ("HTTP_PROXY", "other.test:8080"),
        ("NO_PROXY", "crm.internal, .example.com"),
    ];
    let config = outbound("", &env);
    assert_eq!(https(&config), Some("http://u:p@proxy.test:3128/"));
    assert_eq!(http(&config), Some("http://other.test:8080/"));
    assert_eq!(
        config.no_proxy,
        [
            "crm.internal",
            ".example.com",
            "localhost",
            "127.0.0.0/8",
            "::1"
        ]
    );
    assert!(outbound("", &[("HTTPS_PROXY", " ")]).is_direct());
    let small = outbound("", &[("https_proxy", "a.test"), ("HTTPS_PROXY", "b.test")]);
    assert_eq!(https(&small), Some("http://a.test/"));
}

#[test]
fn what_is_written_wins_over_the_environment() {
    let env = [("HTTPS_PROXY", "http://proxy.test"), ("NO_PROXY", "x.test")];
    let written = "[outbound]\nproxy = \"http://robot@mine.test:3128\"\nproxy_password = \"pw\"\n\
                   [secrets]\npw = { value = \"p@ss\" }";
    let config = outbound(written, &env);
    assert_eq!(https(&config), Some("http://robot:p%40ss@mine.test:3128/"));
    assert_eq!(http(&config), https(&config));
    assert_eq!(config.no_proxy, ["localhost", "127.0.0.0/8", "::1"]);
    assert!(!format!("{config:?}").contains("p%40ss"));
    let none = outbound("[outbound]\nproxy = \"none\"", &env);
    assert!(none.is_direct());
    let list = outbound("[outbound]\nno_proxy = [\"y.test\"]", &env);
    assert_eq!(https(&list), Some("http://proxy.test/"));
    assert_eq!(list.no_proxy, ["y.test"]);
    let over = [("HANDOFFD__OUTBOUND__PROXY", "http://u:pw@over.test")];
    assert_eq!(https(&outbound("", &over)), Some("http://u:pw@over.test/"));
}

#[test]
fn a_wrong_proxy_gets_its_problem_and_is_never_shown() {
    for (text, env, expected) in [
        (
            "proxy = \"http://u:planted@proxy.test\"",
            vec![],
            "outbound.proxy: there is a password in the address",
        ),
        (
            "proxy = \"socks5://planted\"",
            vec![],
            "outbound.proxy: not the address of an http proxy",
        ),
        (
            "proxy_password = \"pw\"",
            vec![],
            "outbound.proxy_password: there is no proxy",
        ),
        (
            "",
            vec![("HTTPS_PROXY", "socks5://planted")],
            "HTTPS_PROXY: not the address of an http proxy (from the environment)",
        ),
    ] {
        let text = format!("[secrets]\npw = {{ value = \"s\" }}\n[outbound]\n{text}");
        let Err(problems) = read(&text, &env) else {
            panic!("{text}")
        };
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(expected), "{said:?}");
        assert!(!said[0].contains("planted"), "{said:?}");
    }
}
