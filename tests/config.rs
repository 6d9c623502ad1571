//! Wrong configurations, each with the exact problem it gets; and the example that is shipped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use handoffd::config::{
    Config, LogFormat, Network, Problem, load, missing_secrets, problems_of_target, tidy,
};
use secrecy::ExposeSecret;

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let folder = std::env::temp_dir().join(format!("handoffd-config-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        Folder(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn load(&self, text: &str, env: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
        let path = self.write("handoffd.toml", text);
        load(
            Some(&path),
            env.iter()
                .map(|(key, value)| ((*key).into(), (*value).into())),
        )
    }

    /// The problems as lines, with the folder written as `DIR`.
    fn problems(&self, text: &str, env: &[(&str, &str)]) -> Vec<String> {
        let problems = self.load(text, env).expect_err(text);
        problems
            .iter()
            .map(|problem| {
                problem
                    .to_string()
                    .replace(&self.0.display().to_string(), "DIR")
            })
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const TARGET: &str = "[[target]]\nname = \"hub\"\nkind = \"hubspot\"\n";

#[test]
fn each_wrong_configuration_gets_its_problem() {
    let folder = Folder::new();
    folder.write("empty", "\n\n");
    folder.write("large", &"x".repeat(70_000));
    let target = |rest: &str| format!("{TARGET}{rest}");
    let table: Vec<(String, &[&str])> = vec![
        (
            "[http]\nlisten = \"127.0.0.1:8080".into(),
            &["DIR/handoffd.toml:2:25: not TOML: invalid basic string, expected `\"`"],
        ),
        ("a = 1\na = 2".into(), &["DIR/handoffd.toml:2:1: not TOML: duplicate key"]),
        (
            "[htpp]\nlisten = 1".into(),
            &["htpp: unknown key (did you mean `http`?); known here: access, conversation, daemon, engine, http, intake, ledger, log, media, notifications, outbound, secrets, target"],
        ),
        (
            "[http]\nlisten = \"everywhere\"\nlisen = 2".into(),
            &[
                "http.listen: found a text of 10 characters; write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"",
                "http.lisen: unknown key (did you mean `listen`?); known here: admin_listen, admin_token, events_token, listen, max_body, public_url, tls, trusted_proxies",
            ],
        ),
        (
            "[http]\nlisten = \"0.0.0.0:80\"\nadmin_listen = \"0.0.0.0:81\"".into(),
            &[
                "http.events_token: not set, but the address in listen can be reached from other machines; name a secret, or listen on 127.0.0.1",
                "http.admin_token: not set, but the address in admin_listen can be reached from other machines; name a secret, or admin_listen on 127.0.0.1",
            ],
        ),
        (
            "[http]\nlisten = \"0.0.0.0:80\"".into(),
            &["http.events_token: not set, but the address in listen can be reached from other machines; name a secret, or listen on 127.0.0.1"],
        ),
        (
            "[http]\nlisten = \"127.0.0.1:8081\"".into(),
            &["http.admin_listen: the port is taken by listen; use another port: what strangers do to the one must not reach the other"],
        ),
        (
            "[http]\nadmin_listen = \"[::]:8080\"\nadmin_token = \"a\"\n[secrets]\na = { value = \"x\" }".into(),
            &["http.admin_listen: the port is taken by listen; use another port: what strangers do to the one must not reach the other"],
        ),
        (
            "[http]\nadmin_listen = \"here\"\ntrusted_proxies = [\"10.0.0.0/8\", \"10.0.0.0/40\", \"proxy\"]".into(),
            &[
                "http.admin_listen: found a text of 4 characters; write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"",
                "http.trusted_proxies: a text of 11 characters is no network; write such as \"10.0.0.0/8\", \"192.0.2.7\" or \"fd00::/8\"",
                "http.trusted_proxies: a text of 5 characters is no network; write such as \"10.0.0.0/8\", \"192.0.2.7\" or \"fd00::/8\"",
            ],
        ),
        (
            "[http]\nevents_token = \"evnts\"\n[secrets]\nevents = { value = \"x\" }".into(),
            &["http.events_token: the secret `evnts` is not declared; add `evnts = { env = \"…\" }` or `{ file = \"…\" }` under [secrets] (did you mean `events`?)"],
        ),
        (
            "[http]\nevents_token = \"S3cret-Token-Value\"".into(),
            &["http.events_token: a secret's name is expected, found a text of 18 characters; put the secret itself under [secrets] and its name (a-z, 0-9, _) here"],
        ),
        (
            "[access]\nurl = \"console.example.com\"\n[access.session]\nidle = \"1s\"\nlongest = \"1m\"\n\
             [[access.user]]\nname = \"link\"\nrole = \"boss\"\n\
             [[access.user]]\nname = \"ana\"\nrole = \"viewer\"\npassword = \"p\"\n\
             [[access.user]]\nname = \"bob\"\nrole = \"viewer\"\npassword = \"h\"\n\
             [[access.user]]\nname = \"bob\"\nrole = \"viewer\"\npassword = \"h\"\n\
             [secrets]\np = { value = \"hunter2\" }\n\
             h = { value = \"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaA\" }".into(),
            &[
                "access.url: not an http or https address without a path; write \"https://console.example.com\"",
                "access.user[0].name: found a text of 4 characters; use at most 80 characters, and none of: admin token, this machine, link, command",
                "access.user[0].role: found a text of 4 characters; write one of viewer, operator, admin",
                "access.user[0].password: is missing; name a secret that holds what `handoffd access hash` prints",
                "access.user[1].password: the secret is not an argon2id hash within bounds; put into it what `handoffd access hash` prints",
                "access.user[3].name: two users have this name; rename one",
                "access.session.longest: found a text of 2 characters; write a duration from 1h to 90d, such as \"30s\", \"5m\" or \"250ms\"",
                "access.session.idle: found a text of 2 characters; write a duration from 5m to 7d, such as \"30s\", \"5m\" or \"250ms\"",
            ],
        ),
        (
            "[access.openid]\nissuer = \"http://login.example.com\"\nscopes = [\"a b\"]\n[access.openid.roles]\n\
             [access.proxy]\nuser_header = \"X User\"\nroles = { viewer = \"*\" }".into(),
            &[
                "access.openid.issuer: not an https address; write \"https://login.example.com\"",
                "access.openid.client_id: is missing; write the id that the provider gave",
                "access.openid.scopes[0]: found a text of 3 characters; write such as [\"openid\", \"email\"]",
                "access.openid.roles.viewer: nobody has a role by it; write [\"*\"] for everybody",
                "access.proxy.user_header: found a text of 6 characters; write the name of a header, such as \"X-Forwarded-User\"",
                "access.proxy.user_header: it is not said whose header is believed; write http.trusted_proxies: the addresses of the proxy, and of nothing else",
                "access.proxy.roles.viewer: found a text of 1 character; write a list of texts",
                "access.proxy.roles.viewer: nobody has a role by it; write [\"*\"] for everybody",
            ],
        ),
        (
            "[http]\npublic_url = \"handoff.example.com\"".into(),
            &["http.public_url: not an http or https address without user and password; write \"https://handoff.example.com\""],
        ),
        ("http = 5".into(), &["http: found a number; write a table of keys and values"]),
        (
            "[http]\nmax_body = \"plenty\"".into(),
            &["http.max_body: found a text of 6 characters; write a size from 1 KiB to 1 GiB, such as \"8 MiB\""],
        ),
        (
            "[engine]\nlease = 30\ndrain = \"2 days\"\nload_events = 0".into(),
            &[
                "engine.lease: found a number; write a duration from 2s to 1h, such as \"30s\", \"5m\" or \"250ms\"",
                "engine.load_events: found a number; write a whole number from 1 to 10000",
                "engine.drain: found a text of 6 characters; write a duration from 0ms to 1h, such as \"30s\", \"5m\" or \"250ms\"",
            ],
        ),
        (
            "[engine.backoff]\nfirst = \"1m\"\nmax = \"30s\"\nfactor = 0.5".into(),
            &[
                "engine.backoff.max: found a text of 3 characters; write a duration from 1m to 1d, such as \"30s\", \"5m\" or \"250ms\"",
                "engine.backoff.factor: found a number; write a number from 1 to 10",
            ],
        ),
        (
            "[engine.breaker]\nfailures = -1".into(),
            &["engine.breaker.failures: found a number; write a whole number from 1 to 1000"],
        ),
        (
            "[conversation]\nunattended_after = \"2 days\"\nunattended = \"wait\"\nwindow_warning = 3\nidle_after = \"never\"\nrep_end = true\nunconfirmed_after = \"2d\"".into(),
            &[
                "conversation.unattended_after: found a text of 6 characters; write \"off\", or a duration from 1s to 1d, such as \"10m\"",
                "conversation.unattended: found a text of 4 characters; write one of stay, return",
                "conversation.window_warning: found a number; write \"off\", or a duration from 1m to 12h, such as \"10m\"",
                "conversation.idle_after: found a text of 5 characters; write \"off\", or a duration from 1m to 30d, such as \"10m\"",
                "conversation.rep_end: found a boolean; write one of close, return",
                "conversation.unconfirmed_after: found a text of 2 characters; write \"auto\", \"off\", or a duration from 1s to 1d, such as \"15m\"",
            ],
        ),
        (
            format!("{TARGET}[target.conversation]\nunattended = \"wait\"\nidle_after = \"1s\"\nunconfirmed = \"5m\""),
            &[
                "target.hub.conversation.unattended: found a text of 4 characters; write one of stay, return",
                "target.hub.conversation.idle_after: found a text of 2 characters; write \"off\", or a duration from 1m to 30d, such as \"10m\"",
                "target.hub.conversation.unconfirmed: unknown key; known here: idle_after, rep_end, unattended, unattended_after, unconfirmed_after, window_warning",
            ],
        ),
        (
            "[[target]]\nname = \"wa\"\nkind = \"whatsapp\"\n[target.conversation]\nrep_end = \"close\"".into(),
            &["target.wa.conversation: no rep works in a target that answers the customer; move it to the CRM's target"],
        ),
        (
            "[conversation]\nposition_every = \"1s\"\nrating_within = \"2d\"\ncancel_words = [\"\"]\nrating_scale = [\"1\", \"1\"]".into(),
            &[
                "conversation.position_every: found a text of 2 characters; write a duration from 10s to 1h, such as \"30s\", \"5m\" or \"250ms\"",
                "conversation.rating_within: found a text of 2 characters; write a duration from 1m to 1d, such as \"30s\", \"5m\" or \"250ms\"",
                "conversation.cancel_words: found a list of 1; write a list of words of up to 40 characters, or a table of such lists by language, such as { default = [\"/cancel\"], de = [\"/abbrechen\"] }; [] for none",
                "conversation.rating_scale: found a list of 2; write 2 to 10 scores, the worst first, each a word or a list of words of up to 40 characters, none twice, such as [[\"1\", \"👎\"], [\"2\", \"👍\"]]",
            ],
        ),
        ("[intake.amqp]".into(), &["intake.amqp.url: not set; write \"amqps://user@host/vhost\", or remove [intake.amqp]"]),
        (
            "[intake.amqp]\nurl = \"http://user:hunter2@host\"".into(),
            &["intake.amqp.url: there is a password in the address; take it out, declare it under [secrets] and name it with `password`", "intake.amqp.url: not an AMQP address; write \"amqp://user@host/vhost\" or \"amqps://…\""],
        ),
        (
            "[intake.amqp]\nurl = \"amqp://h\"\nnodes = [\"b:5673\", \"me@c\", \"d/v\"]".into(),
            &[
                "intake.amqp.nodes: an item is not a host; write \"host\" or \"host:port\"; user, password and vhost are those of url",
                "intake.amqp.nodes: an item is not a host; write \"host\" or \"host:port\"; user, password and vhost are those of url",
            ],
        ),
        (
            "[intake.amqp]\nurl = \"amqp://h\"\nca_file = \"ca.pem\"".into(),
            &[
                "intake.amqp.ca_file: the connection is not encrypted; write amqps:// in url, or remove ca_file",
                "intake.amqp.ca_file: DIR/ca.pem: no such file; name a readable PEM file",
            ],
        ),
        (
            "[intake.amqp]\nurl = \"amqp://h\"\nprefetch = 32\ngroup = 64\ndeclare_exchange = true\nexchange_kind = \"topics\"".into(),
            &[
                "intake.amqp.exchange_kind: found a text of 6 characters; write one of topic, direct, fanout, headers (did you mean `topic`?)",
                "intake.amqp.declare_exchange: there is no exchange to declare; set exchange",
                "intake.amqp.group: found a number; write a whole number from 1 to 32",
            ],
        ),
        (
            "[intake.amqp]\nurl = \"amqp://h\"\nprefetch = 1000\ngroup = 300\nrouting_keys = [1]".into(),
            &[
                "intake.amqp.routing_keys[0]: found a number; write a text in quotes",
                "intake.amqp.group: found a number; write a whole number from 1 to 256",
            ],
        ),
        (
            "[intake.limits]\nmax_messages = 1000000".into(),
            &["intake.limits.max_messages: found a number; write a whole number from 1 to 100000"],
        ),
        ("[ledger]\nurl = \"mysql://root:pw@db\"".into(), &["ledger.url: there is a password in the address; take it out, declare it under [secrets] and name it with `password`", "ledger.url: neither SQLite nor PostgreSQL; begin it with sqlite: or postgres://"]),
        ("[ledger]\nurl = \"sqlite:\"".into(), &["ledger.url: names no file; write \"sqlite:/var/lib/handoffd/ledger.db\""]),
        ("[ledger]\nurl = \"postgres://\"".into(), &["ledger.url: not an address; write \"postgres://user@host/database\""]),
        (
            "[media]\nallow_hosts = [\"https://x.test\", \"*.x.test\", \".x.test\"]\nallow_private = \"maybe\"".into(),
            &[
                "media.allow_hosts: item 0 is no host name; write \"files.example.com\", or \".example.com\" for all below; no scheme, port or *",
                "media.allow_hosts: item 1 is no host name; write \"files.example.com\", or \".example.com\" for all below; no scheme, port or *",
                "media.allow_private: found a text of 5 characters; write true or false",
            ],
        ),
        (
            "[log]\nformat = \"jason\"\nlevel = \"loud\"".into(),
            &[
                "log.format: found a text of 5 characters; write one of text, json (did you mean `json`?)",
                "log.level: not a level; write one of off, error, warn, info, debug, trace, or such as \"info,handoffd::engine=debug\"",
            ],
        ),
        ("[daemon]\nname = \"  \"".into(), &["daemon.name: is empty; fill it, or leave it out"]),
        (
            "[secrets]\na = \"plain\"\nb = { env = \"NOPE\" }\nc = { file = \"none\" }\nd = { file = \"empty\" }\ne = { file = \"large\" }\nf = { vault = \"x\" }\nG = { value = \"x\" }\nh = { env = \"X\", file = \"y\" }".into(),
            &[
                "secrets.G: not a name; use at most 60 of a-z, 0-9 and _",
                "secrets.a: not one source of a secret; write { env = \"VARIABLE\" }, { file = \"path\" } or, for a demo, { value = \"…\" }",
                "secrets.b: the environment has no `NOPE`; set it, or correct the name",
                "secrets.c: (a path of 4 characters): no such file; create the file and let only handoffd read it",
                "secrets.d: the secret is empty; fill what `file` names",
                "secrets.e: DIR/large: larger than 64 KiB; name the file that holds only the secret",
                "secrets.f: `vault` is no source of a secret; write { env = \"VARIABLE\" }, { file = \"path\" } or, for a demo, { value = \"…\" }",
                "secrets.h: not one source of a secret; write { env = \"VARIABLE\" }, { file = \"path\" } or, for a demo, { value = \"…\" }",
            ],
        ),
        ("target = 1".into(), &["target: found a number; begin each target with [[target]]"]),
        (
            "[[target]]\n[[target]]\nname = \"My CRM\"\nkind = \"hubspt\"".into(),
            &[
                "target[0].name: not set; use 1 to 40 of a-z, 0-9 and -",
                "target[0].kind: not set; write one of salesforce, hubspot, creatio, whatsapp, events",
                "target[1].name: found a text of 6 characters, which is no name; use 1 to 40 of a-z, 0-9 and -",
                "target[1].kind: found a text of 6 characters; write one of salesforce, hubspot, creatio, whatsapp, events (did you mean `hubspot`?)",
            ],
        ),
        (format!("{TARGET}{TARGET}"), &["target.hub.name: two targets have this name; rename one"]),
        (target("settings = \"x\""), &["target.hub.settings: found a text of 1 character; write a table of keys and values"]),
        (
            target("mapping = \"gone.toml\"\nnumbers = [\"abc\"]\nconcurency = 3"),
            &[
                "target.hub.mapping: DIR/gone.toml: no such file; name a readable mapping file, or remove the key",
                "target.hub.numbers: item 0 is neither a number nor an id, but a text of 3 characters; write it as events carry it: \"+4915112345678\", or the phone number id",
                "target.hub.concurency: unknown key (did you mean `concurrency`?); known here: concurrency, connect_timeout, conversation, enabled, kind, mapping, name, numbers, settings, stream_protocol, streams_per_connection, timeout, when_disabled",
            ],
        ),
        (
            "[[target]]\nname = \"a\"\nkind = \"whatsapp\"\nnumbers = [\"+491511111111\"]\n[[target]]\nname = \"b\"\nkind = \"whatsapp\"\nnumbers = [\"491511111111\"]".into(),
            &["target.b.numbers: `a` serves the same business numbers; list different numbers, so that a reply has one way out"],
        ),
    ];
    assert!(table.len() >= 30);
    let mut wrong = String::new();
    for (text, expected) in table {
        let found = folder.problems(&text, &[]);
        if found != expected {
            wrong.push_str(&format!(
                "{text}\n  found {found:#?}\n  expected {expected:#?}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_secret_that_its_source_does_not_give_is_one_problem() {
    let folder = Folder::new();
    let text = "[http]\nlisten = \"0.0.0.0:8080\"\nevents_token = \"events\"\nadmin_token = \"events\"\n\
        [ledger]\nurl = \"postgres://me@db/handoffd\"\npassword = \"events\"\n\
        [intake.amqp]\nurl = \"amqp://me@mq\"\npassword = \"events\"\n[secrets]\nevents = { env = \"NOPE\" }";
    assert_eq!(
        folder.problems(text, &[]),
        ["secrets.events: the environment has no `NOPE`; set it, or correct the name"]
    );
}

#[test]
fn problems_of_all_sections_come_together() {
    let folder = Folder::new();
    let text = "[http]\nlisten = 1\n[engine]\nlease = 1\n[log]\nformat = 1\n[extra]\n[[target]]\nname = \"x\"\nkind = \"y\"";
    let problems = folder.load(text, &[]).expect_err("problems");
    let paths: Vec<&str> = problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "http.listen",
            "engine.lease",
            "log.format",
            "extra",
            "target.x.kind"
        ]
    );
    assert!(
        tidy(&problems)
            .starts_with("5 problems:\n  http.listen: found a number; write an IP address")
    );
}

#[test]
fn postgres_addresses_of_every_form_are_taken() {
    let folder = Folder::new();
    for url in [
        "postgres://me@db/handoffd?sslmode=require",
        "postgresql://me@one:5432,two:5433/handoffd",
        "postgres:///handoffd?host=/run/postgresql",
    ] {
        let config = folder
            .load(&format!("[ledger]\nurl = \"{url}\""), &[])
            .expect(url);
        assert_eq!(config.ledger.url, url);
    }
    for (url, expected) in [
        (
            "postgres:///handoffd",
            "postgres:///handoffd?password=a%2B%26%20b",
        ),
        (
            "postgresql://me@one:1,two:2/db?sslmode=require",
            "postgresql://me@one:1,two:2/db?sslmode=require&password=a%2B%26%20b",
        ),
    ] {
        let text = format!(
            "[ledger]\nurl = \"{url}\"\npassword = \"p\"\n[secrets]\np = {{ value = \"a+& b\" }}"
        );
        let config = folder.load(&text, &[]).expect(url);
        assert_eq!(config.ledger.url, expected);
        let driver: tokio_postgres::Config = expected
            .replace("sslmode=require&", "")
            .parse()
            .expect("an address of the driver's");
        assert_eq!(driver.get_password(), Some(&b"a+& b"[..]));
    }
}

/// The file is no place for a secret in any form; the environment is one.
#[test]
fn a_password_in_an_address_is_refused_in_the_file() {
    let folder = Folder::new();
    let words = "there is a password in the address; take it out, declare it under [secrets] and name it with `password`";
    for url in [
        "postgres://me:hush@db/handoffd",
        "postgres://me:hu/sh@db/handoffd",
        "postgresql://me:hush@one,two/handoffd",
        "postgres:///handoffd?host=/run/postgresql&password=hush",
    ] {
        let text = format!("[ledger]\nurl = \"{url}\"");
        assert_eq!(
            folder.problems(&text, &[]),
            [format!("ledger.url: {words}")]
        );
        let config = folder
            .load("", &[("HANDOFFD__LEDGER__URL", url)])
            .expect(url);
        assert!(config.ledger.url.contains("hu"), "it is as it was given");
    }
    for url in ["amqp://me:hush@mq/%2f", "amqps://me:hush@mq"] {
        let text = format!("[intake.amqp]\nurl = \"{url}\"");
        assert_eq!(
            folder.problems(&text, &[]),
            [format!("intake.amqp.url: {words}")]
        );
        let given = [("HANDOFFD__INTAKE__AMQP__URL", url)];
        assert!(folder.load("", &given).expect(url).intake.amqp.is_some());
    }
    for url in ["amqp://me@mq/a:b@c", "amqp://mq", "amqp://me:@mq"] {
        let text = format!("[intake.amqp]\nurl = \"{url}\"");
        assert!(folder.load(&text, &[]).is_ok(), "{url} has no password");
    }
}

#[test]
fn a_missing_file_is_one_problem() {
    let problems = load(
        Some(Path::new("/nowhere/handoffd.toml")),
        std::iter::empty(),
    )
    .expect_err("no file");
    assert_eq!(
        problems[0].to_string(),
        "/nowhere/handoffd.toml: no such file; name a readable file with --config"
    );
}

#[test]
fn the_environment_overrides_the_file_and_is_named() {
    let folder = Folder::new();
    let text =
        format!("{TARGET}settings = {{ pipeline = \"0\", limit = 5 }}\n[log]\nlevel = \"warn\"");
    let config = folder
        .load(
            &text,
            &[
                ("HANDOFFD__LOG__LEVEL", "debug"),
                ("HANDOFFD__LOG__FORMAT", "json"),
                ("HANDOFFD__ENGINE__BACKOFF__FIRST", "250ms"),
                ("HANDOFFD__ENGINE__LOAD_EVENTS", "7"),
                ("HANDOFFD__MEDIA__ALLOW_HOSTS", "a.test, .b.test"),
                ("HANDOFFD__MEDIA__ALLOW_PRIVATE", "true"),
                ("HANDOFFD__TARGET__HUB__ENABLED", "false"),
                ("HANDOFFD__TARGET__HUB__SETTINGS__PIPELINE", "12345"),
                ("HANDOFFD__TARGET__HUB__SETTINGS__LIMIT", "6"),
                ("HANDOFFD__INTAKE__AMQP__URL", "amqp://guest@localhost"),
                ("HANDOFFD_CONFIG", "not a setting"),
            ],
        )
        .expect("a configuration");
    assert_eq!(
        (config.log.level.as_str(), config.log.format),
        ("debug", LogFormat::Json)
    );
    assert_eq!(
        config.engine.backoff.after(1, 0.0),
        Duration::from_millis(250)
    );
    assert_eq!(config.engine.load_events, 7);
    assert_eq!(config.media.allow_hosts, ["a.test", ".b.test"]);
    assert!(config.media.allow_private && !config.targets[0].enabled);
    assert_eq!(
        config.targets[0].settings,
        serde_json::json!({ "pipeline": "12345", "limit": 6 })
    );
    assert!(config.intake.amqp.is_some());

    assert_eq!(
        folder.problems(
            &text,
            &[
                ("HANDOFFD__HTTP__LISEN", "x"),
                ("HANDOFFD__LOG__FORMAT", "xml"),
                ("HANDOFFD__TARGET__HUB__CONCURRENCY", "0"),
                ("HANDOFFD__TARGET__NOBODY__ENABLED", "true"),
            ]
        ),
        [
            "http.lisen: unknown key (did you mean `listen`?) (from HANDOFFD__HTTP__LISEN); known here: admin_listen, admin_token, events_token, listen, max_body, public_url, tls, trusted_proxies",
            "log.format: found a text of 3 characters (from HANDOFFD__LOG__FORMAT); write one of text, json",
            "HANDOFFD__TARGET__NOBODY__ENABLED: names no setting of a target; write HANDOFFD__TARGET__<NAME>__<KEY> for a target of the file",
            "target.hub.concurrency: found a text of 1 character (from HANDOFFD__TARGET__HUB__CONCURRENCY); write a whole number from 1 to 1000",
        ]
    );
}

#[test]
fn secrets_are_read_trimmed_and_never_shown() {
    let folder = Folder::new();
    folder.write("token", "\u{feff} from-file \t\r\n\n");
    let text = "[secrets]\na = { file = \"token\" }\nb = { env = \"TOKEN\" }\nc = { value = \"from-value\" }\n\
                [http]\nevents_token = \"a\"\nadmin_token = \"a\"\n\
                [ledger]\nurl = \"postgres://me@db/handoffd\"\npassword = \"b\"\n\
                [intake.amqp]\nurl = \"amqp://me@host/%2f\"\npassword = \"c\"\n";
    let config = folder
        .load(text, &[("TOKEN", " p@ss/from-env \n")])
        .expect("a configuration");
    let secret = |name: &str| {
        config
            .secrets
            .get(name)
            .map(|secret| secret.expose_secret().to_owned())
    };
    assert_eq!(secret("a").as_deref(), Some("from-file"));
    assert_eq!(secret("b").as_deref(), Some("p@ss/from-env"));
    assert_eq!(secret("nobody"), None);
    assert_eq!(
        config.ledger.url,
        "postgres://me:p%40ss%2Ffrom-env@db/handoffd"
    );
    let amqp = config.intake.amqp.as_ref().expect("amqp");
    assert_eq!(amqp.url.expose_secret(), "amqp://me:from-value@host/%2f");
    let shown = format!("{config:?}");
    for secret in ["from-file", "from-env", "from-value"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let warned: Vec<&str> = config
        .warnings
        .iter()
        .map(|warning| warning.path.as_str())
        .collect();
    // A file that was just created may be read by everybody, depending on the umask.
    let warned: Vec<&str> = warned
        .into_iter()
        .filter(|path| *path != "secrets.a")
        .collect();
    assert_eq!(warned, ["secrets.c", "target", "http.admin_token"]);
}

#[cfg(unix)]
#[test]
fn a_secret_that_everybody_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.write("token", "x");
    for (mode, warned) in [(0o644, true), (0o640, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
            .expect("permissions");
        let config = folder
            .load("[secrets]\nt = { file = \"token\" }", &[])
            .expect("a configuration");
        let found = config
            .warnings
            .iter()
            .any(|warning| warning.message.contains("everybody may read the secret"));
        assert_eq!(found, warned, "{mode:o}");
    }
}

#[test]
fn what_customers_answer_is_read_in_every_form() {
    let folder = Folder::new();
    let read = |text: &str| {
        let config = folder.load(&format!("[conversation]\n{text}"), &[]);
        let config = config.unwrap_or_else(|problems| panic!("{}", tidy(&problems)));
        config.customer
    };
    let words = |of: &[&str]| of.iter().map(|word| (*word).to_owned()).collect();
    let languages =
        read("cancel_words = { default = [\"/Cancel\"], de = [\"/abbrechen\", \" Stopp \"] }");
    assert_eq!(
        languages.cancel_words,
        words(&["/abbrechen", "/cancel", "stopp"])
    );
    assert_eq!(
        read("cancel_words = \"/a, /b\"").cancel_words,
        words(&["/a", "/b"])
    );
    assert_eq!(read("cancel_words = []").cancel_words, words(&[]));
    let scale = read("rating_scale = [[1, \"👎\"], \"👍️\"]").rating_scale;
    assert_eq!(scale, [words(&["1", "👎"]), words(&["👍"])]);
    assert_eq!(
        read("position_every = \"5m\"").position_every.as_secs(),
        300
    );
}

#[test]
fn nothing_at_all_is_a_configuration_with_defaults() {
    let config = load(None, std::iter::empty()).expect("defaults");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.http.admin_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.http.trusted_proxies, Network::loopback());
    assert_eq!(config.engine.lease, Duration::from_secs(30));
    assert_eq!(
        config.conversation,
        handoffd::conversation::Terms::default()
    );
    assert_eq!(config.media.max_bytes, 100 << 20);
    assert_eq!(config.ledger.url, "sqlite:handoffd.db");
    assert!(config.intake.amqp.is_none());
    let other = load(None, std::iter::empty()).expect("defaults");
    assert_ne!(
        config.daemon.name, other.daemon.name,
        "two daemons of one host have two names"
    );
}

#[test]
fn a_target_has_terms_of_its_own_over_the_general_ones() {
    use handoffd::conversation::{RepEnd, Unattended, Unconfirmed};
    let folder = Folder::new();
    let text = format!(
        "[conversation]\nunattended_after = \"5m\"\nrep_end = \"return\"\n\
         {TARGET}[target.conversation]\nunattended = \"return\"\nidle_after = \"12h\"\nunconfirmed_after = \"2m\"\n\
         [[target]]\nname = \"crm\"\nkind = \"creatio\"\n\
         [[target]]\nname = \"wa\"\nkind = \"whatsapp\"\n"
    );
    let given = [("HANDOFFD__TARGET__HUB__CONVERSATION__WINDOW_WARNING", "2h")];
    let rules = handoffd::app::rules(&folder.load(&text, &given).expect("a configuration"));
    let (hub, crm) = (rules.at("hub"), rules.at("crm"));
    for terms in [hub, crm] {
        assert_eq!(
            terms.unattended_after,
            Some(jiff::SignedDuration::from_mins(5))
        );
        assert_eq!(terms.rep_end, RepEnd::Return);
    }
    assert_eq!(hub.unattended, Unattended::Return);
    assert_eq!(hub.idle_after, Some(jiff::SignedDuration::from_hours(12)));
    assert_eq!(
        hub.window_warning,
        Some(jiff::SignedDuration::from_hours(2))
    );
    assert_eq!(
        hub.unconfirmed,
        Unconfirmed::After(jiff::SignedDuration::from_mins(2))
    );
    assert_eq!(crm, &rules.general);
    assert_eq!((crm.idle_after, crm.unconfirmed), (None, Unconfirmed::Auto));
    assert_eq!(rules.at("elsewhere"), &rules.general);
    assert_eq!(rules.without_reps, ["wa".to_owned()].into());
}

/// `notify` is older than targets that tell others, and stands for one.
#[test]
fn notify_is_a_target_of_its_own() {
    let folder = Folder::new();
    let text = "[intake.amqp]\nurl = \"amqp://127.0.0.1\"\n\
        [[target]]\nname = \"wa\"\nkind = \"whatsapp\"\nnumbers = [\"+4930901820\"]\n\
        [target.settings]\nexit = \"gateway\"\nexchange = \"out\"\nrouting_key = \"r\"\nhandback = true\nsource = \"here\"\n\
        [target.settings.notify]\nexchange = \"news\"\nprefix = \"p.\"\nstate = false\n";
    let config = folder.load(text, &[]).expect("a configuration");
    let told = config.target("wa-notify").expect("a target");
    assert_eq!(
        (told.kind.as_str(), &told.numbers),
        ("events", &config.targets[0].numbers)
    );
    assert_eq!(told.beside.as_deref(), Some("wa"));
    assert_eq!(told.settings["exchange"], "news");
    assert_eq!(
        (&told.settings["prefix"], &told.settings["source"]),
        (&"p.".into(), &"here".into())
    );
    let types = told.settings["types"].as_array().expect("types");
    let has = |kind: &str| types.iter().any(|one| one == kind);
    assert!(has("session.handback") && has("reply.status") && !has("session.state"));
    assert!(!has("message.received") && !has("conversation.started"));
    for gone in ["notify", "handback"] {
        assert!(config.targets[0].settings.get(gone).is_none(), "{gone}");
    }
    let connected =
        handoffd::app::connect(&config).unwrap_or_else(|found| panic!("{}", tidy(&found)));
    assert_eq!(connected.len(), 2);
    for (wrong, words) in [
        (
            "notify = \"news\"\n",
            "target.wa.settings.notify: found a text of 4 characters; write a table of keys and values",
        ),
        (
            "notify = { prefix = \"p.\" }\n",
            "target.wa.settings.notify.exchange: is missing; name the exchange for session events (\"\" is RabbitMQ's default one)",
        ),
        (
            "handback = 3\n",
            "target.wa.settings.handback: found a number",
        ),
    ] {
        let text =
            format!("[[target]]\nname = \"wa\"\nkind = \"whatsapp\"\n[target.settings]\n{wrong}");
        let found = folder.load(&text, &[]).expect_err("refused");
        assert!(
            found.iter().any(|one| one.to_string().starts_with(words)),
            "{found:?}"
        );
    }
}

#[test]
fn backoff_grows_to_its_limit_and_no_further() {
    let config = load(None, std::iter::empty()).expect("defaults");
    let seconds: Vec<u64> = (1..12)
        .map(|failures| config.engine.backoff.after(failures, 0.0).as_secs())
        .collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    assert_eq!(
        config.engine.backoff.after(u32::MAX, 0.0),
        Duration::from_secs(300)
    );
}

/// The example in a folder that has what it names.
fn example(folder: &Folder) -> Config {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(folder.0.join("mappings")).expect("a folder");
    std::fs::create_dir_all(folder.0.join("secrets")).expect("a folder");
    for kind in handoffd::connectors::names() {
        let name = format!("mappings/{kind}.toml");
        std::fs::copy(root.join(&name), folder.0.join(&name)).expect("a shipped mapping");
    }
    folder.write("secrets/salesforce.pem", "-----BEGIN PRIVATE KEY-----\n…\n");
    let text = std::fs::read_to_string(root.join("deploy/handoffd.toml")).expect("the example");
    let names = [
        "EVENTS_TOKEN",
        "ADMIN_TOKEN",
        "RABBITMQ_PASSWORD",
        "HUBSPOT_TOKEN",
        "HUBSPOT_CLIENT_SECRET",
        "HUBSPOT_WEBHOOK_TOKEN",
        "CREATIO_CLIENT_SECRET",
        "CREATIO_WEBHOOK_TOKEN",
        "WHATSAPP_TOKEN",
        "WHATSAPP_APP_SECRET",
        "WHATSAPP_VERIFY_TOKEN",
        "FLOWS_SECRET",
    ];
    // Each secret has its own value, as it should be outside of tests.
    let env = names.map(|name| (name, name));
    folder
        .load(&text, &env)
        .unwrap_or_else(|problems| panic!("{}", tidy(&problems)))
}

#[test]
fn the_shipped_example_is_right() {
    let folder = Folder::new();
    let config = example(&folder);
    let kinds: Vec<&str> = config
        .enabled()
        .map(|target| target.kind.as_str())
        .collect();
    assert_eq!(kinds, handoffd::connectors::names().collect::<Vec<_>>());
    for target in &config.targets {
        let kind = handoffd::connectors::kind(&target.kind).expect("a kind of the table");
        let connector = match (kind.connector)(&target.name, &target.settings) {
            Ok(connector) => connector,
            Err(problems) => panic!("{}", tidy(&problems_of_target(&target.name, problems))),
        };
        let (credential, webhook) = (connector.credential(), connector.webhook());
        let missing = missing_secrets(&target.name, &config.secrets, &credential, webhook.as_ref());
        assert_eq!(missing, [], "{}", target.name);
    }
    let warned: Vec<&Problem> = config
        .warnings
        .iter()
        .filter(|warning| warning.path != "secrets.salesforce_key")
        .collect();
    assert!(warned.is_empty(), "{warned:?}");
}

/// What stands behind `# ` in the example is the default: with every such line the same comes out.
#[test]
fn the_defaults_in_the_example_are_the_defaults() {
    let folder = Folder::new();
    let config = example(&folder);
    let text = std::fs::read_to_string(folder.0.join("handoffd.toml")).expect("the example");
    let mut section = "";
    let mut said = String::new();
    for line in text.lines() {
        section = if line.starts_with('[') { line } else { section };
        let default = line.strip_prefix("# ").filter(|rest| rest.contains(" = "));
        let counts = section.starts_with("[intake.limits")
            || section.starts_with("[conversation")
            || section.starts_with("[engine")
            || section.contains("reconnect");
        said.push_str(default.filter(|_| counts).unwrap_or(line));
        said.push('\n');
    }
    assert_ne!(said, text);
    let other = {
        folder.write("with-defaults.toml", &said);
        let path = folder.0.join("with-defaults.toml");
        let names = text
            .match_indices("env = \"")
            .map(|(at, start)| &text[at + start.len()..]);
        let env = names
            .filter_map(|rest| rest.split('"').next())
            .map(|name| (name.to_owned(), name.to_owned()));
        load(Some(&path), env).unwrap_or_else(|problems| panic!("{}", tidy(&problems)))
    };
    assert_eq!(config.intake.limits, other.intake.limits);
    assert_eq!(config.engine, other.engine);
    assert_eq!(config.conversation, other.conversation);
    let reconnect = |config: &Config| config.intake.amqp.as_ref().map(|amqp| amqp.reconnect);
    assert_eq!(reconnect(&config), reconnect(&other));
}
