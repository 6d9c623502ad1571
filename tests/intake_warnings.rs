//! What of an event could not be read as it came is answered, logged, counted and kept with it; the
//! value itself is nowhere.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use handoffd::config::Limits;
use handoffd::intake::{Gate, Incoming, Origin, Router};
use handoffd::ledger::{self, Admitted};
use handoffd::operate;
use handoffd_test_support::unique;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};

const HANDOFF: &str = include_str!("events/handoff.requested.json");

/// What a customer wrote; must not be told.
const PRIVATE: &str = "GEHEIM at example";

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Whether it can be removed decides no test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("a lock")).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn odd() -> Incoming {
    let mut event: Value = serde_json::from_str(HANDOFF).expect("JSON");
    event["data"]["contact"]["email"] = json!(PRIVATE);
    event["data"]["transcript"][1]["text"] = json!("");
    event["data"]["transcript"][3]["time"] = json!(PRIVATE);
    event["data"]["fields"]["a\u{1}b"] = json!(1);
    event["data"]["targets"] = json!([PRIVATE]);
    Incoming {
        origin: Origin::Amqp,
        content_type: None,
        headers: BTreeMap::new(),
        body: event.to_string().into_bytes(),
    }
}

#[tokio::test]
async fn a_warning_is_answered_logged_counted_and_kept() {
    let folder = Folder(std::env::temp_dir().join(unique("warnings")));
    std::fs::create_dir_all(&folder.0).expect("a folder");
    let url = format!("sqlite:{}", folder.0.join("ledger.db").display());
    let ledger = ledger::open(&url).await.expect("a ledger");
    let gate = Gate {
        ledger: ledger.clone(),
        router: Arc::new(Router::default()),
        dialects: Arc::default(),
        limits: Limits::default(),
    };
    let recorder = PrometheusBuilder::new().build_recorder();
    let counted = recorder.handle();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let taken = {
        let _recorder = metrics::set_default_local_recorder(&recorder);
        let _subscriber = tracing::subscriber::set_default(subscriber);
        gate.take(&[odd(), odd()]).await.expect("the ledger works")
    };
    let first = taken[0].as_ref().expect("an event");
    assert!(matches!(first.admitted, Admitted::New(_)));
    let places = [
        "data.contact.email is a text of 17 characters; it was left out: write one e-mail address",
        "data.transcript[3].time is a text of 17 characters; it could not be read: write an RFC 3339 time \
         such as 2026-01-31T12:00:00Z",
        "data.transcript[1].text is an empty text; a line stands for it: a message without attachments or \
         location needs a text",
        "data.fields.a?b is a number; its name was changed: write at most 200 characters, none of them a \
         control character",
        "data.targets[0] names no target and was left out; write one of ",
    ];
    assert_eq!(first.warnings, places);
    assert_eq!(first.source, "/gateway/eu-1");
    let again = taken[1].as_ref().expect("an event");
    assert_eq!(
        (again.admitted, again.warnings.len()),
        (Admitted::Duplicate, 5)
    );

    let log = log.text();
    assert!(log.contains("source=/gateway/eu-1"), "{log}");
    assert!(log.contains(places[0]), "{log}");
    assert_eq!(
        log.matches("not all of it could be read").count(),
        1,
        "{log}"
    );

    let counted = counted.render();
    for field in [
        "data.contact.email",
        "data.transcript[].time",
        "data.transcript[].text",
        "data.fields.*",
        "data.targets[]",
    ] {
        let line = format!(
            "handoffd_event_warnings_total{{source=\"/gateway/eu-1\",field=\"{field}\"}} 1"
        );
        assert!(counted.contains(&line), "{line} is not in {counted}");
    }

    let shown = operate::show(ledger.as_ref(), "ses_7Qm2kd", &[]).await;
    let shown = shown.expect("the ledger works").expect("a session");
    let rows = operate::show_json(ledger.as_ref(), "ses_7Qm2kd", &[]).await;
    let rows = rows.expect("the ledger works").expect("a session");
    for place in places {
        assert!(shown.contains(&format!("          ! {place}\n")), "{shown}");
    }
    assert_eq!(rows["events"][0]["warnings"], json!(places));
    for told in [&log, &counted, &shown, &rows.to_string()] {
        assert!(!told.contains("GEHEIM"), "{told}");
    }
}
