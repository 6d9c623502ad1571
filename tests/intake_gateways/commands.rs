//! `handoffd mapping check | test | preview` on dialects, and `handoffd check` on sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use handoffd_test_support::unique;

use crate::evolution;

fn handoffd(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_handoffd"))
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn shipped(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/intake");
    folder.join(format!("{name}.toml")).display().to_string()
}

struct File(PathBuf);

impl File {
    fn new(text: &str) -> File {
        let path = std::env::temp_dir()
            .join(unique("dialect"))
            .with_extension("toml");
        std::fs::write(&path, text).unwrap();
        File(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_shipped_dialects_are_right_and_pass_their_tests() {
    for name in handoffd::mapping::dialect::shipped::names() {
        let file = &shipped(name);
        let (code, said) = handoffd(&["mapping", "check", file]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("fits intake, as "), "{said}");
        let (code, said) = handoffd(&["mapping", "test", file]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(" passed, 0 failed"), "{said}");
    }
}

#[test]
fn a_payload_is_shown_as_the_events_that_it_becomes() {
    let payload = File::new(&evolution("E1", "Oi").to_string());
    let (code, said) = handoffd(&[
        "mapping",
        "preview",
        &shipped("evolution"),
        "--event",
        payload.name(),
    ]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("\"wa_id\": \"5521970001122\"") && said.contains("1 events"),
        "{said}"
    );
    assert!(!said.contains("KEY-1"), "{said}");
    let (code, said) = handoffd(&[
        "mapping",
        "preview",
        &shipped("waha"),
        "--event",
        payload.name(),
    ]);
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "waha does not take it: body.session\n")
    );
    let form = File::new(
        "MessageSid=SM1&AccountSid=AC1&From=whatsapp%3A%2B491&To=whatsapp%3A%2B4930&SmsStatus=received&Body=Hi",
    );
    let (code, said) = handoffd(&[
        "mapping",
        "preview",
        &shipped("twilio"),
        "--event",
        form.name(),
    ]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn what_is_wrong_in_a_file_is_told_by_its_line() {
    for (text, wanted) in [
        ("kind = \"intake\"\n", ":1: name: not set"),
        ("kind = \"intake\"\nname = \"x\"\n", "there is no [[event]]"),
        (
            "kind = \"intake\"\nname = \"x\"\n[[event]]\nskip = \"a\"\nwhen = \"bdy.x\"\n",
            ":5: event: `bdy` is unknown (did you mean `body`?)",
        ),
        (
            "kind = \"intake\"\nname = \"x\"\n[[event]]\ntype = \"message.received\"\nmessage.text = \"{{ a * b }}\"\n",
            ":5: event.message.text: `*` is not available",
        ),
        (
            "kind = \"intake\"\nname = \"x\"\n[[event]]\ntype = \"message.received\"\nlist = \"m of body.x\"\n",
            "is no list; write such as",
        ),
        (
            "kind = \"intake\"\nname = \"x\"\n[[event]]\nid = \"1\"\n",
            "write either type, or skip",
        ),
        (
            "kind = \"intake\"\nname = \"x\"\n[when]\nhold = \"body\"\n[[event]]\nskip = \"a\"\n",
            ":4: when: unknown key `hold`",
        ),
        (
            "kind = \"intake\"\nname = \"x\"\n[names]\na = \"{{ b }}\"\nb = \"1\"\n[[event]]\nskip = \"a\"\n",
            ":4: names.a: `b` is unknown",
        ),
        (
            "kind = \"intake\"\nname = \"x\"\n[names]\na = \"1\"\n[when]\nholds = \"a\"\n[[event]]\nskip = \"a\"\n",
            ":6: when.holds: `a` is unknown",
        ),
        (
            "kind = \"intake\"\nname = \"x\"\nsecrets = [\"apikey\"]\n[[event]]\nskip = \"a\"\n",
            "a secret's place begins with body",
        ),
        (
            "kind = \"intake\"\nname = \"x\"\n[[event]]\nskip = \"a\"\n[[test]]\nname = \"t\"\nbody = {}\n",
            "expects nothing",
        ),
    ] {
        let file = File::new(text);
        let (code, said) = handoffd(&["mapping", "check", file.name()]);
        assert_eq!(code, Some(1), "{text}\n{said}");
        assert!(said.contains(wanted), "{text}\n{said}");
    }
    let failing = "kind = \"intake\"\nname = \"x\"\n[[event]]\ntype = \"message.received\"\nid = \"{{ body.id }}\"\n[[test]]\nname = \"t\"\nbody = { id = \"1\" }\nexpect = [{ id = \"2\" }]\n";
    let (code, said) = handoffd(&["mapping", "test", File::new(failing).name()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("FAILED  t") && said.contains("event 0.id: expected \"2\", found \"1\""),
        "{said}"
    );
}

#[test]
fn a_sources_secret_that_can_be_guessed_is_a_doubt() {
    let text = "[ledger]\nurl = \"sqlite:ledger.db\"\n[secrets]\na = { value = \"short\" }\n[intake.source.shop]\ndialects = [\"evolution\"]\ntoken = \"a\"\n";
    let file = File::new(text);
    let (code, said) = handoffd(&["check", "--config", file.name()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("intake.source.shop: one of its secrets is shorter than 12 characters"),
        "{said}"
    );
}
