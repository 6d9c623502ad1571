//! `handoffd check --live`: it fails for what would stop the daemon, says each cause once, and leaves
//! nothing behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use handoffd::backoff::Backoff;
use handoffd::config::{AmqpConfig, ExchangeKind, Limits};
use handoffd::demo::world::{Folder, Plan, free_port, simulators};
use handoffd::intake::amqp::rights::rights;
use handoffd::intake::amqp::{AmqpIntake, IntakeState};
use handoffd::intake::{Gate, Router};
use handoffd::ledger;
use handoffd::sandbox::Running;
use handoffd_test_support::{Broker, unique};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A user who may configure, write and read what these patterns name: the settings of a daemon that is
/// that user's.
async fn user(broker: &Broker, configure: &str, write: &str, read: &str) -> AmqpConfig {
    let name = unique("user");
    broker.ctl(&["add_user", &name, "pass"]).await;
    let set = ["set_permissions", "-p", broker.vhost(), &name];
    let set = [&set[..], &[configure, write, read]].concat();
    broker.ctl(&set).await;
    let url = broker.url().replace("guest:guest", &format!("{name}:pass"));
    AmqpConfig {
        url: SecretString::from(url),
        nodes: Vec::new(),
        ca_file: None,
        exchange: Some("gateway.events".to_owned()),
        exchange_kind: ExchangeKind::Topic,
        declare_exchange: false,
        queue: "handoffd.events".to_owned(),
        routing_keys: vec!["#".to_owned()],
        prefetch: 10,
        group: 10,
        delivery_limit: 20,
        dead_letter_exchange: None,
        reconnect: Backoff::new(Duration::from_millis(50), Duration::from_millis(500), 2.0),
        publish_exchange: "handoffd.out".to_owned(),
        confirm_timeout: Duration::from_secs(5),
    }
}

/// Declares and binds everything, as a daemon does when it starts.
async fn declared(config: &AmqpConfig) {
    let folder = Folder::new().unwrap();
    let file = folder.path().join("ledger.db");
    let gate = Gate {
        ledger: ledger::open(&format!("sqlite:{}", file.display()))
            .await
            .unwrap(),
        router: Arc::new(Router::default()),
        dialects: Arc::default(),
        limits: Limits::default(),
    };
    let intake = AmqpIntake::new(gate, config.clone());
    let mut state = intake.state();
    let stop = CancellationToken::new();
    let running = tokio::spawn(intake.run(stop.clone()));
    let ready = state.wait_for(IntakeState::ready);
    tokio::time::timeout(SOON, ready).await.unwrap().unwrap();
    stop.cancel();
    running.await.unwrap();
}

/// What was refused, and why.
async fn refused(config: &AmqpConfig, published: &[(String, String)]) -> Vec<(String, String)> {
    let tried = rights(config, published).await.unwrap();
    assert!(tried.len() > 3, "{tried:?}");
    tried
        .into_iter()
        .filter_map(|(what, found)| Some((what, found.err()?)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_right_at_the_broker_is_tried_and_nothing_stays_behind() {
    let broker = Broker::shared().await;
    let gateway = broker.gateway().await;
    gateway.exchange("gateway.events").await;
    gateway.exchange("handoffd.out").await;
    gateway.queue("gateway.taken", "handoffd.out", "#").await;
    let published = [("handoffd.out".to_owned(), "replies of whatsapp".to_owned())];

    let all = user(&broker, "^handoffd\\.events", ".*", ".*").await;
    assert_eq!(refused(&all, &published).await, []);
    let there = broker
        .ctl(&["list_queues", "-p", broker.vhost(), "name"])
        .await;
    assert!(
        !there.contains("handoffd.events"),
        "nothing was declared: {there}"
    );

    for there_already in [false, true] {
        if there_already {
            declared(&all).await;
        }
        let nothing = user(&broker, "^$", ".*", ".*").await;
        let queues: Vec<String> = refused(&nothing, &published)
            .await
            .into_iter()
            .map(|(what, why)| {
                assert!(
                    why.contains("refused") && why.contains("permissions"),
                    "{why}"
                );
                what
            })
            .collect();
        assert_eq!(
            queues,
            [
                "dead-letter queue `handoffd.events.dead`, declared as handoffd does",
                "queue `handoffd.events`, declared as handoffd does"
            ]
        );
        let silent = user(&broker, ".*", "^handoffd\\.events|^$|^amq\\.default$", ".*").await;
        let found = refused(&silent, &published).await;
        assert_eq!(
            found[0].0, "right to publish the replies of whatsapp to exchange `handoffd.out`",
            "{found:?}"
        );
        assert_eq!(found.len(), 1, "{found:?}");
        let deaf = user(&broker, ".*", ".*", "^gateway\\.events$").await;
        let found = refused(&deaf, &published).await;
        assert!(
            found
                .iter()
                .any(|(what, _)| what == "right to consume from `handoffd.events`"),
            "{found:?}"
        );
        let apart = user(&broker, ".*", ".*", "^handoffd").await;
        let found = refused(&apart, &published).await;
        assert!(
            found.iter().any(|(what, _)| what
                == "right to bind `handoffd.events` to `gateway.events`"
                || what == "exchange `gateway.events`"),
            "{found:?}"
        );
    }
    assert_eq!(
        gateway.waiting("gateway.taken").await,
        0,
        "nothing was published"
    );

    let mut other = all.clone();
    other.delivery_limit += 1;
    let found = refused(&other, &published).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].0.starts_with("queue `handoffd.events`")
            && found[0].1.contains("other properties"),
        "{found:?}"
    );
    let nowhere = [("no.exchange".to_owned(), "replies".to_owned())];
    let found = refused(&all, &nowhere).await;
    assert!(found[0].1.contains("create it"), "{found:?}");
}

/// Simulators and a configuration for them; no daemon runs.
struct Place {
    sims: Running,
    folder: Folder,
    plan: Plan,
}

impl Place {
    async fn new(change: impl FnOnce(&mut Plan)) -> Place {
        let sims = simulators(CancellationToken::new()).await.unwrap();
        let folder = Folder::new().unwrap();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let ledger = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let mut plan = Plan::new(&sims, ledger, listen);
        change(&mut plan);
        Place { sims, folder, plan }
    }

    /// Exit code and what is said.
    fn check(&self) -> (Option<i32>, String) {
        let file = self.folder.path().join("handoffd.toml");
        std::fs::write(&file, self.plan.toml().unwrap()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_handoffd"))
            .args(["check", "--live", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    fn fault(&self, target: &str, fault: Value) {
        let rule = json!({"target": target, "match": {}, "fault": fault});
        self.sims
            .fault(serde_json::from_value(rule).unwrap())
            .unwrap();
    }
}

/// The lines that name a cause.
fn causes(said: &str) -> Vec<&str> {
    said.lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_all_there_is_called_so_and_no_ledger_is_made() {
    let place = Place::new(|_| {}).await;
    let (code, said) = place.check();
    assert_eq!((code, causes(&said)), (Some(0), Vec::new()), "{said}");
    assert!(said.contains("mapping in force: the shipped one"), "{said}");
    assert!(!place.folder.path().join("ledger.db").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_another_program_has_and_a_database_that_refuses_are_told() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let nobody = free_port().unwrap();
    let place = Place::new(|plan| {
        plan.admin = other.local_addr().unwrap();
        plan.ledger = format!("postgres://nobody@127.0.0.1:{nobody}/x");
    })
    .await;
    let (code, said) = place.check();
    assert_eq!(code, Some(1), "{said}");
    let causes = causes(&said);
    assert_eq!(causes.len(), 2, "{said}");
    assert!(
        causes[0].contains("http.admin_listen") && causes[0].contains("another program"),
        "{said}"
    );
    assert!(
        causes[1].contains("ledger") && causes[1].contains("refused"),
        "{said}"
    );
}

/// Unreachable, refused and rate-limited are three things, each told in one line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_does_not_answer_is_told_once_and_why() {
    let nobody = free_port().unwrap();
    let place = Place::new(|plan| {
        plan.settings.insert(
            "whatsapp".into(),
            json!({"base_url": format!("http://127.0.0.1:{nobody}")}),
        );
    })
    .await;
    place.fault(
        "hubspot",
        json!({"kind": "status", "status": 401, "body": {"category": "INVALID_AUTHENTICATION", "message": "no"}}),
    );
    place.fault(
        "creatio",
        json!({"kind": "status", "status": 429, "headers": {"retry-after": "1"}, "body": {}}),
    );
    let (code, said) = place.check();
    assert_eq!(code, Some(1), "{said}");
    let of = |target: &str| -> Vec<String> {
        let at = said.find(&format!("\n{target} (")).unwrap();
        let lines = said[at + 1..].lines().skip(1);
        let part: Vec<&str> = lines.take_while(|line| line.starts_with("  ")).collect();
        let part = part.join("\n");
        causes(&part).into_iter().map(str::to_owned).collect()
    };
    for (target, kind, words) in [
        ("hubspot", "REFUSED", "make a new service key"),
        ("creatio", "RATE-LIMITED", "asks for fewer requests"),
        ("whatsapp", "UNREACHABLE", "connection refused"),
    ] {
        let lines = of(target);
        assert_eq!(lines.len(), 1, "{target}: {said}");
        assert!(
            lines[0].starts_with(kind) && lines[0].contains(words),
            "{target}: {said}"
        );
        assert!(
            lines[0].contains(" not made"),
            "the rest is not asked: {said}"
        );
    }
}

/// A hiccup is no finding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_is_made_once_more() {
    let place = Place::new(|_| {}).await;
    for target in ["hubspot", "creatio"] {
        let rule = json!({"target": target, "match": {}, "times": 1, "fault": {"kind": "status", "status": 503, "body": {}}});
        let rule = serde_json::from_value(rule).unwrap();
        place.sims.fault(rule).unwrap();
    }
    let (code, said) = place.check();
    assert_eq!((code, causes(&said)), (Some(0), Vec::new()), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_may_read_but_not_create_is_told_and_nothing_is_created() {
    let place = Place::new(|_| {}).await;
    let hubspot = place.sims.target("hubspot").unwrap();
    let before = hubspot.view();
    assert_eq!(place.check().0, Some(0));
    assert_eq!(hubspot.view(), before, "nothing was created");
    let scopes = [
        "crm.objects.contacts.read",
        "tickets",
        "files",
        "crm.objects.owners.read",
        "conversations.read",
        "conversations.write",
        "crm.schemas.contacts.write",
    ];
    hubspot.switch("scopes", &json!(scopes)).unwrap();
    let (code, said) = place.check();
    assert_eq!(code, Some(1), "{said}");
    let causes = causes(&said);
    assert_eq!(causes.len(), 1, "{said}");
    assert!(
        causes[0].contains("right to create contacts")
            && causes[0].contains("crm.objects.contacts.write"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_for_closed_sessions_must_be_set() {
    let place = Place::new(|plan| {
        plan.settings
            .insert("creatio".into(), json!({"resolved_status_id": null}));
    })
    .await;
    let (code, said) = place.check();
    assert_eq!(code, Some(1), "{said}");
    let causes = causes(&said);
    assert_eq!(causes.len(), 1, "{said}");
    assert!(
        causes[0].contains("resolved_status_id is not set") && causes[0].contains("Resolved = "),
        "{said}"
    );
}

/// The version in force is the ledger's, whatever file the configuration names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_the_mapping_in_force_that_the_crm_does_not_have_are_told() {
    let place = Place::new(|_| {}).await;
    assert_eq!(place.check().0, Some(0));
    let file = place.folder.path().join("ledger.db");
    let ledger = handoffd::ledger::open(&format!("sqlite:{}", file.display()))
        .await
        .unwrap();
    let with = |shipped: &str, fields: &str| {
        let at = shipped.find("[[test]]").unwrap();
        format!("{}{fields}{}", &shipped[..at], &shipped[at..])
    };
    for (target, shipped, fields) in [
        (
            "hubspot",
            include_str!("../mappings/hubspot.toml"),
            "[ticket.no_ticket_property]\nvalue = \"x\"\n[contact.no_contact_property]\nvalue = \"x\"\n",
        ),
        (
            "creatio",
            include_str!("../mappings/creatio.toml"),
            "[case.UsrNoColumn]\nvalue = \"x\"\n[contact.UsrNone]\nvalue = \"x\"\n",
        ),
    ] {
        let text = with(shipped, fields);
        let now = jiff::Timestamp::now();
        ledger
            .mapping_put(now, target, &text, "test", "", None)
            .await
            .unwrap();
    }
    drop(ledger);
    let (code, said) = place.check();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("mapping in force: version 1"), "{said}");
    let causes = causes(&said);
    assert_eq!(causes.len(), 4, "{said}");
    for field in [
        "ticket.no_ticket_property",
        "contact.no_contact_property",
        "case.UsrNoColumn",
        "contact.UsrNone",
    ] {
        assert!(
            causes.iter().any(|line| line.contains(field)),
            "{field}: {said}"
        );
    }
}

/// Every gateway without a queue is asked one thing that changes nothing: whether it takes the key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_without_a_queue_is_asked_whether_it_takes_the_key() {
    let mut place = Place::new(|_| {}).await;
    // Every check asks all targets, and HubSpot counts.
    let hubspot = place.sims.target("hubspot").unwrap();
    hubspot.switch("api_per_10s", &json!(10_000)).unwrap();
    for api in ["evolution", "waha", "chatwoot", "twilio", "360dialog"] {
        let phones = place.sims.target("whatsapp").unwrap();
        phones.switch("gateway", &json!(api)).unwrap();
        let credentials = phones.credentials();
        place
            .plan
            .credentials
            .insert("whatsapp".into(), credentials);
        let (code, said) = place.check();
        assert_eq!(
            (code, causes(&said)),
            (Some(0), Vec::new()),
            "{api}: {said}"
        );
        let phones = place.sims.target("whatsapp").unwrap();
        phones.switch("token_expired", &json!(true)).unwrap();
        let (code, said) = place.check();
        assert_eq!(code, Some(1), "{api}: {said}");
        assert!(said.contains("gateway and key"), "{api}: {said}");
        let phones = place.sims.target("whatsapp").unwrap();
        phones.switch("token_expired", &json!(false)).unwrap();
    }
}
