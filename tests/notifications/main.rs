//! People are told what is not well: by a signed webhook, a chat and a real mail server, once, and also
//! after a restart and beside another daemon.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod mail;
mod receiver;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use handoffd::config::{self, Config};
use handoffd::demo::world::Folder;
use handoffd::ledger::{self, Admission, DeadLetter, Ledger, Next, Release};
use handoffd::notifications::Notifier;
use handoffd::notifications::channels::Channels;
use handoffd::notifications::watched::Watched;
use handoffd::target::Target;
use handoffd::wire::breaker::Breaker;
use handoffd::wire::rate::Budgets;
use handoffd_contract::{Data, Event, Reason, Stop};
use handoffd_test_support::{eventually, postgres_url, unique};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use mail::MailServer;
use receiver::{Receiver, SECRET};

const SOON: Duration = Duration::from_secs(30);

/// What is told, to whom, and what is remembered.
struct World {
    ledger: Arc<dyn Ledger>,
    config: Config,
    folder: Folder,
    receiver: Receiver,
    mail: MailServer,
}

impl World {
    async fn sqlite() -> World {
        World::with(None, "").await
    }

    async fn with(ledger: Option<String>, more: &str) -> World {
        let (folder, receiver) = (Folder::new().unwrap(), Receiver::new().await);
        let mail = MailServer::new(false).await;
        let file = folder.path().join("handoffd.toml");
        std::fs::write(folder.path().join("ca.pem"), &mail.certificate).unwrap();
        let ledger = ledger.unwrap_or_else(|| "sqlite:ledger.db".to_owned());
        let text = format!(
            "ledger.url = \"{ledger}\"\n[secrets]\nsigning = {{ value = \"{SECRET}\" }}\n\
             chat = {{ value = \"{base}/slack\" }}\nmail = {{ value = \"geheim\" }}\n\
             [notifications]\ngroup = \"1s\"\n{more}\n\
             [[notifications.channel]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{base}/signed\"\nsecret = \"signing\"\n\
             [[notifications.channel]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"chat\"\n\
             [[notifications.channel]]\nname = \"mail\"\nkind = \"email\"\nhost = \"localhost\"\nport = {port}\n\
             ca_file = \"ca.pem\"\nuser = \"me\"\npassword = \"mail\"\n\
             from = \"handoffd@example.com\"\nto = [\"ops@example.com\", \"night@example.com\"]\n",
            base = receiver.base,
            port = mail.port,
        );
        std::fs::write(&file, text).unwrap();
        let config = config::load(Some(&file), std::iter::empty());
        let config = config.unwrap_or_else(|problems| panic!("{}", config::tidy(&problems)));
        let ledger = ledger::open(&config.ledger.url).await.unwrap();
        World {
            ledger,
            config,
            folder,
            receiver,
            mail,
        }
    }

    /// The enabled targets, as the daemon makes them.
    fn targets(&self) -> Vec<Arc<Target>> {
        let connected = handoffd::app::connect(&self.config).unwrap();
        let library = handoffd::app::library(&self.config, &connected).unwrap();
        let target = |one: &handoffd::app::Connected| Target {
            name: one.config.name.clone(),
            kind: one.kind,
            connector: Arc::clone(&one.connector),
            wire: Arc::new(handoffd::app::wire(&self.config, one, &library).unwrap()),
            permits: Arc::new(Semaphore::new(1)),
            concurrency: 1,
            last_heard: AtomicI64::new(0),
            breaker: Breaker::new(5, self.config.engine.backoff),
            budgets: Budgets::new(Vec::new()),
            schema: Default::default(),
        };
        connected.iter().map(|one| Arc::new(target(one))).collect()
    }

    /// A daemon's notifier, and what stops it.
    fn start(&self, daemon: &str) -> (JoinHandle<()>, CancellationToken) {
        let notifier = Notifier {
            ledger: self.ledger.clone(),
            config: self.config.notifications.clone(),
            channels: Channels::new(&self.config.notifications, &self.config.outbound).unwrap(),
            watched: Watched::new(self.targets()),
            daemon: daemon.to_owned(),
        };
        let stop = CancellationToken::new();
        (tokio::spawn(notifier.run(stop.clone())), stop)
    }

    /// A conversation that is parked in a target.
    async fn park(&self, session: &str, target: &str, reason: Reason) {
        let next = Next::Parked {
            stop: Stop::new(reason, "the CRM's own words about Ana"),
        };
        self.leave(session, target, next).await;
    }

    async fn leave(&self, session: &str, target: &str, next: Next) {
        let now = Timestamp::now();
        let opened = admission(
            session,
            &[target],
            "message.received",
            json!({"message": {"id": "m", "time": now,
            "author": {"kind": "customer", "name": "Ana López"}, "text": "my secret matter"}}),
        );
        self.ledger.admit(now, vec![opened]).await.unwrap();
        let until = now + SignedDuration::from_secs(30);
        let claimed = self.ledger.claim(now, "d", target, 1, until).await.unwrap();
        let lease = claimed.into_iter().next().expect("a lane");
        let release = Release {
            head: 0,
            seen: i64::MAX,
            next,
            attempts: 1,
            events: Vec::new(),
        };
        self.ledger.release(lease, now, release).await.unwrap();
    }

    /// A webhook that names no record of ours.
    async fn park_webhook(&self, target: &str) {
        let now = Timestamp::now();
        let kept = self.ledger.keep_webhook(now, target, "[]", b"{}").await;
        assert!(kept.unwrap());
        let until = now + SignedDuration::from_secs(30);
        let claimed = self
            .ledger
            .claim_webhooks(now, "d", target, 1, until)
            .await
            .unwrap();
        let stop = Stop::new(Reason::Unmatched, "no lane has it");
        let parked = self.ledger.postpone_webhook(&claimed[0], None, stop);
        parked.await.unwrap();
    }

    async fn until_lines(&self, path: &str, count: usize) -> Vec<String> {
        eventually(SOON, || async { self.receiver.lines(path).len() >= count }).await;
        self.receiver.lines(path)
    }
}

fn admission(session: &str, opens: &[&str], kind: &str, data: Value) -> Admission {
    let data: Data = serde_json::from_value(json!({"type": kind, "data": data})).unwrap();
    Admission {
        event: Event {
            id: unique("event"),
            source: "/test".into(),
            session: session.into(),
            time: Timestamp::now(),
            sequence: None,
            warnings: Vec::new(),
            data,
        },
        opens: opens.iter().map(|name| (*name).to_owned()).collect(),
        passes: Vec::new(),
        session: None,
        contact: None,
        inbound_at: None,
        find: None,
        files: Vec::new(),
    }
}

async fn a_schema() -> String {
    let (client, connection) = tokio_postgres::connect(&postgres_url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let name = unique("notifications").replace('-', "_");
    let sql = format!("CREATE SCHEMA {name}");
    client.batch_execute(&sql).await.unwrap();
    format!("{}?options=-csearch_path%3D{name}", postgres_url())
}

/// Two daemons, of which one is stopped and comes back: each line comes once by each channel.
async fn parked_work_is_told_once(ledger: Option<String>) {
    let world = World::with(ledger, "").await;
    let (first, stop) = world.start("one");
    let (second, stop_second) = world.start("two");
    world.park("s-1", "hubspot", Reason::Forbidden).await;
    let wanted = "handoffd: 1 conversation needs a person in hubspot: forbidden (The account may not do this). More: handoffd show s-1";
    for path in ["signed", "slack"] {
        assert_eq!(world.until_lines(path, 1).await, [wanted], "{path}");
    }
    eventually(SOON, || async { !world.mail.taken().is_empty() }).await;
    stop.cancel();
    first.await.unwrap();
    let (first, stop) = world.start("one");
    world.park("s-2", "hubspot", Reason::Forbidden).await;
    world.park("s-3", "hubspot", Reason::Forbidden).await;
    let lines = world.until_lines("signed", 2).await;
    eventually(SOON, || async { world.mail.taken().len() >= lines.len() }).await;
    let told: i64 = world
        .receiver
        .taken("signed")
        .iter()
        .map(|one| one["count"].as_i64().unwrap())
        .sum();
    assert!(told <= 3, "nothing is told twice: {lines:?}");
    let all = || async {
        let taken = world.receiver.taken("signed");
        taken
            .iter()
            .map(|one| one["count"].as_i64().unwrap())
            .sum::<i64>()
            == 3
    };
    eventually(SOON, all).await;
    let ids: std::collections::BTreeSet<String> = world
        .receiver
        .taken("signed")
        .iter()
        .map(|one| one["id"].to_string())
        .collect();
    assert_eq!(ids.len(), world.receiver.taken("signed").len());
    for one in world.receiver.taken("signed") {
        assert!(
            !one.to_string().contains("Ana") && !one.to_string().contains("secret"),
            "{one}"
        );
    }
    let mail = world.mail.taken().remove(0);
    assert!(mail.over_tls, "STARTTLS");
    // \0me\0geheim, RFC 4616.
    assert_eq!(mail.login, "AG1lAGdlaGVpbQ==");
    assert!(
        mail.from.starts_with("<handoffd@example.com>"),
        "{}",
        mail.from
    );
    assert_eq!(mail.to, ["<ops@example.com>", "<night@example.com>"]);
    assert!(
        mail.text.contains("More: handoffd show s-1"),
        "{}",
        mail.text
    );
    assert!(
        mail.text.contains("Message-ID: <notification-"),
        "{}",
        mail.text
    );
    stop.cancel();
    stop_second.cancel();
    first.await.unwrap();
    second.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_work_is_told_once_by_every_channel_with_sqlite() {
    parked_work_is_told_once(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_work_is_told_once_by_every_channel_with_postgresql() {
    parked_work_is_told_once(Some(a_schema().await)).await;
}

async fn everything_that_is_not_well_is_told(ledger: Option<String>) {
    let world = World::with(ledger, "").await;
    let letter = |raw: &str| DeadLetter {
        origin: "amqp".into(),
        stop: Stop::new(Reason::Undecodable, "data.session.id: missing"),
        headers: "{}".into(),
        raw: raw.as_bytes().to_vec(),
        session: None,
        source: None,
    };
    let keep = |raw: &'static str| world.ledger.keep_dead_letter(Timestamp::now(), letter(raw));
    let hour = SignedDuration::from_hours(1);
    let before = Timestamp::now() - hour;
    let old = world.ledger.keep_dead_letter(before, letter("old"));
    old.await.unwrap();
    let (running, stop) = world.start("one");
    world.park("s-0", "hubspot", Reason::Invalid).await;
    // From now on what was there before is known.
    world.until_lines("signed", 1).await;
    keep("new").await.unwrap();
    let rejected = Next::Due {
        at: Timestamp::now() + hour,
        stop: Some(Stop::new(Reason::Unauthorized, "401")),
    };
    world.leave("s-1", "creatio", rejected).await;
    let blocked = Next::Due {
        at: Timestamp::now() + hour,
        stop: Some(Stop::new(Reason::Account, "131031")),
    };
    world.leave("s-2", "whatsapp", blocked).await;
    let nobody = json!({"reason": "time", "targets": ["hubspot"], "since": Timestamp::now(), "waited_seconds": 600});
    let nobody = admission("s-3", &[], "session.unattended", nobody);
    world
        .ledger
        .admit(Timestamp::now(), vec![nobody])
        .await
        .unwrap();
    world.park_webhook("hubspot").await;
    let mut lines = world.until_lines("signed", 6).await;
    lines.sort_unstable();
    let wanted = [
        "handoffd: 1 conversation has nobody who has joined. More: handoffd show s-3",
        "handoffd: 1 conversation needs a person in hubspot: invalid (The other side refused a value). More: handoffd show s-0",
        "handoffd: 1 event by amqp could not be understood: undecodable (An event could not be understood). More: handoffd dead-letters list",
        "handoffd: 1 webhook of hubspot could not be taken: unmatched (A webhook names no record of ours). More: handoffd status",
        "handoffd: creatio does not accept the credential: unauthorized (The credential was rejected). More: handoffd check --live",
        "handoffd: whatsapp may not send: account (The WhatsApp account is blocked). More: handoffd show s-2",
    ];
    assert_eq!(lines, wanted);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_not_well_is_told_with_sqlite() {
    everything_that_is_not_well_is_told(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_not_well_is_told_with_postgresql() {
    everything_that_is_not_well_is_told(Some(a_schema().await)).await;
}

/// The chat answers 500: the others are told all the same, now and later.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_fails_stops_no_other() {
    let world = World::sqlite().await;
    world.receiver.slack_answers(500);
    let (running, stop) = world.start("one");
    world.park("s-1", "hubspot", Reason::Forbidden).await;
    world.until_lines("signed", 1).await;
    eventually(SOON, || async { world.mail.taken().len() == 1 }).await;
    world.park("s-2", "creatio", Reason::Forbidden).await;
    world.until_lines("signed", 2).await;
    eventually(SOON, || async { world.mail.taken().len() == 2 }).await;
    assert_eq!(world.receiver.lines("slack"), [""; 0]);
    stop.cancel();
    running.await.unwrap();
    assert!(!world.receiver.lines("signed").is_empty());
}

/// A number whose quality WhatsApp calls low is told once, without the number.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_low_quality_is_told_once() {
    let mut world = World::sqlite().await;
    let file = world.folder.path().join("handoffd.toml");
    let target = format!(
        "[[target]]\nname = \"whatsapp\"\nkind = \"whatsapp\"\n[target.settings]\nexit = \"cloud_api\"\n\
         phone_number_id = \"106540352242922\"\naccess_token = \"mail\"\nbase_url = \"{}\"\n",
        world.receiver.base
    );
    let text = std::fs::read_to_string(&file).unwrap() + &target;
    std::fs::write(&file, text).unwrap();
    world.config = config::load(Some(&file), std::iter::empty()).unwrap();
    let (running, stop) = world.start("one");
    let wanted = "handoffd: whatsapp is not as it must be: phone number and access token. More: handoffd check --live";
    assert_eq!(world.until_lines("signed", 1).await, [wanted]);
    stop.cancel();
    running.await.unwrap();
    let (running, stop) = world.start("one");
    world.park("s-1", "hubspot", Reason::Forbidden).await;
    let lines = world.until_lines("signed", 2).await;
    assert!(lines[1].contains("needs a person"), "{lines:?}");
    stop.cancel();
    running.await.unwrap();
}

fn notify(world: &World) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_handoffd"))
        .args(["notify", "--test", "--config"])
        .arg(world.folder.path().join("handoffd.toml"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (
        output.status.code(),
        text + &String::from_utf8_lossy(&output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_goes_by_every_channel_and_says_which_does_not_take_it() {
    let world = World::sqlite().await;
    let (code, text) = notify(&world);
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "chat: sent\nmail: sent\nops: sent\n")
    );
    for path in ["signed", "slack"] {
        let lines = world.receiver.lines(path);
        assert_eq!(lines, ["handoffd: this is a test. More: handoffd status"]);
    }
    world.receiver.slack_answers(404);
    let (code, text) = notify(&world);
    assert_eq!(code, Some(1));
    assert!(text.contains("chat: not sent: answered 404"), "{text}");
    assert!(
        !text.contains(&world.receiver.base),
        "an address may be a secret: {text}"
    );
}

/// A mail server that offers no TLS gets neither the password nor a line.
#[tokio::test(flavor = "multi_thread")]
async fn without_tls_nothing_is_mailed() {
    let world = World::sqlite().await;
    let plain = MailServer::new(true).await;
    let file = world.folder.path().join("handoffd.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace(
        &format!("port = {}", world.mail.port),
        &format!("port = {}", plain.port),
    );
    std::fs::write(&file, text).unwrap();
    let (code, text) = notify(&world);
    assert_eq!(code, Some(1));
    assert!(text.contains("mail: not sent"), "{text}");
    assert!(plain.taken().is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_notifications_is_said_with_the_remedy() {
    let folder = Folder::new().unwrap();
    let file = folder.path().join("handoffd.toml");
    for (text, wanted) in [
        ("group = \"0s\"", "notifications.group: "),
        (
            "quiet = \"late\"",
            "notifications.quiet: found a text of 4 characters; write such as \"22:00-07:00\"",
        ),
        (
            "quiet = \"22:00-07:00\"\ntime_zone = \"Mars/Base\"",
            "notifications.time_zone: names no time zone; write such as \"Europe/Berlin\"",
        ),
        (
            "quiet_passes = [\"fire\"]",
            "notifications.quiet_passes[0]: found a text of 4 characters; write some of parked, webhooks, credential, account, dead-letters, unattended",
        ),
        (
            "[[notifications.channel]]\nname = \"a\"",
            "notifications.channel[0].kind: is missing; write webhook, slack or email",
        ),
        (
            "[[notifications.channel]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"http://a.example/\"\nsecret = \"s\"",
            "notifications.channel[0].url: not an https address; write https://",
        ),
        (
            "[[notifications.channel]]\nname = \"a\"\nkind = \"slack\"\nurl = \"https://hooks.slack.com/x\"",
            "notifications.channel[0].url: a secret's name is expected",
        ),
        (
            "[[notifications.channel]]\nname = \"a\"\nkind = \"email\"\nhost = \"mail.example.com\"\ntls = \"none\"\nfrom = \"a@b.example\"\nto = [\"c@d.example\"]",
            "notifications.channel[0].tls: without TLS everybody on the way can read it",
        ),
        (
            "[[notifications.channel]]\nname = \"a\"\nkind = \"email\"\nhost = \"mail.example.com\"\nfrom = \"nobody\"\nto = [\"c@d.example\"]",
            "notifications.channel[0].from: found a text of 6 characters",
        ),
    ] {
        std::fs::write(&file, format!("[notifications]\n{text}\n")).unwrap();
        let problems = config::load(Some(&file), std::iter::empty()).expect_err(text);
        assert!(
            problems
                .iter()
                .any(|one| one.to_string().starts_with(wanted)),
            "{text}: {problems:?}"
        );
    }
    // The form of a signing secret is judged where everything is examined.
    let text = "[secrets]\ns = { value = \"short\" }\n[[notifications.channel]]\nname = \"a\"\nkind = \"webhook\"\n\
                url = \"https://a.example/\"\nsecret = \"s\"\n";
    std::fs::write(&file, text).unwrap();
    let examined = handoffd::app::examine(&file, std::iter::empty()).expect("a configuration");
    let told: Vec<String> = examined.problems.iter().map(ToString::to_string).collect();
    assert!(
        told[0].starts_with("notifications.channel.a: its secret does not begin with whsec_"),
        "{told:?}"
    );
}
