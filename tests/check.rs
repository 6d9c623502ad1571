//! `handoffd check` without a network: it names all that is wrong, and what it calls right is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

use handoffd::demo::world::Folder;

/// Runs the program on the folder's configuration: exit code, and what it said, with the folder
/// written as `DIR`.
fn handoffd(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_handoffd"))
        .args(arguments)
        .arg("--config")
        .arg(folder.join("handoffd.toml"))
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    (
        output.status.code(),
        said.replace(&folder.display().to_string(), "DIR"),
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// A daemon's targets that have nothing wrong with them, with a HubSpot webhook at this address.
fn right(public_url: &str) -> String {
    format!(
        "[secrets]\nt = {{ value = \"a-token-for-tests\" }}\n\
         [[target]]\nname = \"hub\"\nkind = \"hubspot\"\n[target.settings]\ntoken = \"t\"\n\
         webhook = {{ secret = \"t\", public_url = \"{public_url}\", token = \"t\" }}\n\
         [[target]]\nname = \"wa\"\nkind = \"whatsapp\"\n[target.settings]\nexit = \"cloud_api\"\n\
         phone_number_id = \"106540352242922\"\naccess_token = \"t\"\n"
    )
}

const HERE: &str = "https://handoff.example.com/webhooks/hub";

/// The problems that were printed.
fn listed(said: &str) -> Vec<&str> {
    said.lines()
        .filter_map(|line| line.strip_prefix("  "))
        .collect()
}

/// Two wrong things in each part; none hides another.
#[test]
fn one_run_names_what_is_wrong_in_every_part() {
    let folder = Folder::new().unwrap();
    write(
        folder.path(),
        "broken.toml",
        "kind = \"hubspot\"\n[ticket]\nsubject = { tmplate = \"x\" }\n",
    );
    write(
        folder.path(),
        "other.toml",
        include_str!("../mappings/creatio.toml"),
    );
    write(folder.path(), "key", "no key at all\n");
    write(folder.path(), "ca.pem", "no certificate at all\n");
    write(
        folder.path(),
        "handoffd.toml",
        "[engine]\nlease = \"1ms\"\n[http]\nlisen = 1\n\
         [intake.amqp]\nurl = \"amqps://me@mq\"\nca_file = \"ca.pem\"\npassword = \"nope\"\n\
         [secrets]\nt = { value = \"a-token-for-tests\" }\nkey = { file = \"key\" }\ngone = { file = \"gone\" }\nunset = { env = \"HANDOFFD_TEST_UNSET\" }\n\
         [[target]]\nname = \"hub\"\nkind = \"hubspot\"\nmapping = \"broken.toml\"\nconcurrency = 0\n[target.settings]\ntoken = \"tt\"\npiepline = \"0\"\n\
         [[target]]\nname = \"force\"\nkind = \"salesforce\"\nmapping = \"other.toml\"\n[target.settings]\n\
         instance_url = \"https://example.my.salesforce.com\"\norg_id = \"00D000000000001EAA\"\nes_developer_name = \"Handoff\"\n\
         private_key = \"key\"\nkey_id = \"k\"\nissuer = \"handoffd\"\nextra = 1\n\
         [[target]]\nname = \"site\"\nkind = \"creatio\"\n[target.settings]\nbase_url = \"nowhere\"\n",
    );
    let (code, said) = handoffd(folder.path(), &["check"]);
    assert_eq!(code, Some(1), "{said}");
    let found = listed(&said);
    let expected = [
        "http.lisen: unknown key",
        "intake.amqp.password: the secret `nope` is not declared",
        "intake.amqp.ca_file: DIR/ca.pem: holds no certificate",
        "engine.lease: found a text",
        "secrets.gone: (a path of 4 characters): no such file",
        "secrets.unset: the environment has no `HANDOFFD_TEST_UNSET`",
        "target.hub.concurrency: found a number",
        "target.hub.settings.piepline: unknown key",
        "target.hub.settings: the secret `tt` is not declared",
        "target.hub.mapping: DIR/broken.toml:3: ticket.subject: has no `value`",
        "target.hub.mapping: DIR/broken.toml:3: ticket.subject: unknown key `tmplate`",
        "target.hub: its reps' replies have no way to WhatsApp",
        "target.force.settings.extra: unknown key",
        "target.force: the secret `key` is not a whole PEM",
        "target.force.mapping: DIR/other.toml: it is a mapping for creatio",
        "target.force: its reps' replies have no way to WhatsApp",
        "target.site.settings.site: is missing",
        "target.site.settings.auth: is missing",
        "target.site.settings.base_url: unknown key",
        "target.site: its reps' replies have no way to WhatsApp",
    ];
    assert_eq!(found.len(), expected.len(), "{said}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{expected} is not {found}");
    }
    // The daemon says the same, but for what it starts with all the same.
    let (code, run) = handoffd(folder.path(), &["run"]);
    assert_eq!(code, Some(2), "{run}");
    let refused = found
        .iter()
        .filter(|line| !line.contains("no way to WhatsApp"));
    assert_eq!(listed(&run), refused.copied().collect::<Vec<_>>());
}

#[test]
fn a_way_back_to_whatsapp_is_wanted_for_every_number_of_a_crm() {
    let folder = Folder::new().unwrap();
    let right = right(HERE);
    write(folder.path(), "handoffd.toml", &right);
    let (code, said) = handoffd(folder.path(), &["check"]);
    assert_eq!(code, Some(0), "{said}");
    let off = right.replace(
        "kind = \"whatsapp\"",
        "kind = \"whatsapp\"\nenabled = false",
    );
    let numbers = |crm: &str, exit: &str| {
        right
            .replace(
                "kind = \"hubspot\"",
                &format!("kind = \"hubspot\"\nnumbers = [{crm}]"),
            )
            .replace(
                "kind = \"whatsapp\"",
                &format!("kind = \"whatsapp\"\nnumbers = [{exit}]"),
            )
    };
    let (one, two) = ("\"+4915112345678\"", "\"+4915112345678\", \"+4930111222\"");
    for (text, words) in [
        (
            off,
            "target.hub: its reps' replies have no way to WhatsApp: there is no enabled target of kind whatsapp; \
             add an enabled target of kind whatsapp that serves the same business numbers",
        ),
        (
            numbers(two, one),
            "target.hub: its reps' replies have no way to WhatsApp for 1 of its 2 business numbers; add",
        ),
    ] {
        write(folder.path(), "handoffd.toml", &text);
        let (code, said) = handoffd(folder.path(), &["check"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words), "{said}");
    }
    write(folder.path(), "handoffd.toml", &numbers(one, two));
    let (code, said) = handoffd(folder.path(), &["check"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn an_address_for_hubspot_is_https_and_leads_to_its_target() {
    let folder = Folder::new().unwrap();
    let path = "target.hub.settings.webhook.public_url";
    let http = format!(
        "{path}: not an https address; write the https address by which HubSpot reaches this daemon"
    );
    let astray = format!(
        "{path}: does not lead to this target; end it with /webhooks/hub; its path token comes behind that by itself"
    );
    for (address, wrong) in [
        (HERE, &[][..]),
        ("https://example.com/behind/a/proxy/webhooks/hub/", &[]),
        // A simulator on this machine.
        ("http://127.0.0.1:8080/webhooks/hub", &[]),
        ("http://handoff.example.com/webhooks/hub", &[&http]),
        ("https://handoff.example.com/webhooks/hubspot", &[&astray]),
        ("http://handoff.example.com", &[&http, &astray]),
    ] {
        write(folder.path(), "handoffd.toml", &right(address));
        let (code, said) = handoffd(folder.path(), &["check"]);
        assert_eq!(
            code,
            Some(i32::from(!wrong.is_empty())),
            "{address}: {said}"
        );
        for words in wrong {
            assert!(said.contains(*words), "{address}: {said}");
        }
        assert_eq!(said.matches(path).count(), wrong.len(), "{address}: {said}");
    }
}

#[test]
fn a_folder_for_the_ledger_is_there_and_can_be_written_to_or_is_made_on_request() {
    let folder = Folder::new().unwrap();
    let ledger = |at: &str| format!("[ledger]\nurl = \"sqlite:{at}\"\n{}", right(HERE));
    let check = |at: &str, arguments: &[&str]| {
        write(folder.path(), "handoffd.toml", &ledger(at));
        handoffd(folder.path(), arguments)
    };
    let (code, said) = check("state/deep/ledger.db", &["check"]);
    assert_eq!(code, Some(1), "{said}");
    let words = "ledger.url: the folder DIR/state/deep does not exist; create it, such as by `handoffd check --create`";
    assert!(said.contains(words), "{said}");
    assert!(
        !folder.path().join("state").exists(),
        "a check makes nothing"
    );

    // Nobody can write there, not even root.
    let (code, said) = check("/proc/ledger.db", &["check"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("ledger.url: the folder /proc cannot be written to: "),
        "{said}"
    );
    let (code, said) = check("/proc/state/ledger.db", &["check", "--create"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("ledger.url: the folder /proc/state cannot be created: "),
        "{said}"
    );

    let (code, said) = check("state/deep/ledger.db", &["check", "--create"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("created the folder DIR/state/deep"), "{said}");
    let (code, said) = check("state/deep/ledger.db", &["check"]);
    assert_eq!(code, Some(0), "{said}");
    let made = std::fs::read_dir(folder.path().join("state/deep"))
        .unwrap()
        .count();
    assert_eq!(
        made, 0,
        "the check leaves nothing behind, and makes no ledger"
    );
}

/// An endpoint is told over https, with a secret that has its form.
#[test]
fn an_endpoint_wants_https_and_a_secret_that_signs() {
    let folder = Folder::new().unwrap();
    let text = |settings: &str, secret: &str| {
        format!(
            "{}[[target]]\nname = \"flows\"\nkind = \"events\"\n[target.settings]\n{settings}\n",
            right(HERE).replace(
                "[secrets]\n",
                &format!("[secrets]\nf = {{ value = \"{secret}\" }}\n")
            )
        )
    };
    let good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let https = "url = \"https://flows.example.com/x\"\nsecret = \"f\"";
    for (settings, secret, wanted) in [
        (
            https,
            "short",
            "target.flows: the secret `f` does not begin with whsec_; make one with",
        ),
        (
            https,
            "whsec_c2hvcnQ=",
            "target.flows: the secret `f` holds 5 bytes and not 24 to 64; make one with",
        ),
        (
            "url = \"https://flows.example.com/x\"",
            good,
            "target.flows.settings.secret: is missing; name the secret",
        ),
        (
            "url = \"https://flows.example.com/x\"\nsecret = \"g\"",
            good,
            "target.flows.settings: the secret `g` is not declared; add",
        ),
        (
            "url = \"http://flows.example.com/x\"\nsecret = \"f\"",
            good,
            "target.flows.settings.url: begins with http://",
        ),
        (
            "exchange = \"news\"",
            good,
            "target.flows.settings.exchange: the session events are published to RabbitMQ, which is not configured; add",
        ),
    ] {
        write(folder.path(), "handoffd.toml", &text(settings, secret));
        let (code, said) = handoffd(folder.path(), &["check"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            listed(&said).iter().any(|line| line.starts_with(wanted)),
            "{settings}: {said}"
        );
    }
    write(folder.path(), "handoffd.toml", &text(https, good));
    let (code, said) = handoffd(folder.path(), &["check"]);
    assert_eq!(code, Some(0), "{said}");
}

/// A gateway without a queue: its name, its file, its key, and what is to be set for it.
#[test]
fn a_gateway_without_a_queue_is_checked_before_anything_runs() {
    let folder = Folder::new().unwrap();
    let own = "kind = \"exit\"\nname = \"mine\"\n[to]\nphone = \"{digits}\"\n[text]\npost = \"/send\"\n\
               json = { to = \"{to}\", text = \"{txt}\" }\n[answer]\nid = \"id\"\n";
    write(folder.path(), "mine.toml", own);
    write(folder.path(), "good.toml", &own.replace("{txt}", "{text}"));
    let check = |settings: &str| {
        let right = right(HERE);
        let (before, _) = right.split_once("exit = ").unwrap();
        write(
            folder.path(),
            "handoffd.toml",
            &format!("{before}exit = \"http\"\n{settings}"),
        );
        handoffd(folder.path(), &["check"])
    };
    let base = "base_url = \"https://gateway.example.com\"\n";
    let instance = "[target.settings.options]\ninstance = \"shop\"\n";
    for (settings, wanted) in [
        (
            format!("gateway = \"evolutoin\"\naccess_token = \"t\"\n{base}{instance}"),
            "target.wa.settings.gateway: no gateway of this name comes with handoffd (did you mean `evolution`?); write one of",
        ),
        (
            format!("gateway = \"evolution\"\naccess_token = \"nokey\"\n{base}{instance}"),
            "target.wa.settings: the secret `nokey` is not declared",
        ),
        (
            format!("gateway = \"evolution\"\naccess_token = \"t\"\n{base}"),
            "target.wa.settings.options.instance: is missing; write the instance's name",
        ),
        (
            format!("gateway_file = \"none.toml\"\naccess_token = \"t\"\n{base}"),
            "target.wa.settings.gateway_file: ",
        ),
        (
            format!("gateway_file = \"mine.toml\"\naccess_token = \"t\"\n{base}"),
            "target.wa.settings.gateway.text.json: has a name between { and } that is not known here",
        ),
    ] {
        let (code, said) = check(&settings);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(wanted), "{wanted} is not in:\n{said}");
    }
    for settings in [
        format!("gateway = \"evolution\"\naccess_token = \"t\"\n{base}{instance}"),
        format!("gateway_file = \"good.toml\"\naccess_token = \"t\"\n{base}"),
    ] {
        let (code, said) = check(&settings);
        assert_eq!(code, Some(0), "{said}");
    }
    let (code, said) = handoffd(folder.path(), &["mapping", "check", "good.toml"]);
    assert_eq!(
        (code, said.contains("fits exit, as mine")),
        (Some(0), true),
        "{said}"
    );
}
