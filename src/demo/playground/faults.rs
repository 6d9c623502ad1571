//! What is broken on purpose. Whatever it is, it mends itself after ten minutes, so that nobody wonders the
//! next day.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;
use crate::sandbox::{Rule, Running};

/// So long something stays broken.
const LASTS: Duration = Duration::from_secs(600);

/// The CRMs' simulators.
const CRMS: [&str; 3] = ["salesforce", "hubspot", "creatio"];

/// WhatsApp's code for a text outside the window.
const WINDOW_CLOSED: u64 = 131_047;

/// Something to break or to mend.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    fault: Fault,
    on: bool,
}

/// What can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// HubSpot answers 503 to everything.
    HubspotDown,
    /// The next request of each CRM is done, and its answer lost.
    AnswerLost,
    /// HubSpot tells everything twice, and in another order.
    Twice,
    /// Every CRM takes five seconds.
    Slow,
    /// WhatsApp takes no free text until the customer writes.
    WindowClosed,
}

impl Fault {
    const ALL: [Fault; 5] = [
        Fault::HubspotDown,
        Fault::AnswerLost,
        Fault::Twice,
        Fault::Slow,
        Fault::WindowClosed,
    ];

    fn word(self) -> &'static str {
        match self {
            Fault::HubspotDown => "hubspot_down",
            Fault::AnswerLost => "answer_lost",
            Fault::Twice => "twice",
            Fault::Slow => "slow",
            Fault::WindowClosed => "window_closed",
        }
    }

    /// What it is in the simulators' words.
    fn rules(self) -> Vec<Value> {
        match self {
            Fault::HubspotDown => {
                vec![json!({"target": "hubspot", "fault": {"kind": "status", "status": 503}})]
            }
            Fault::AnswerLost => CRMS
                .iter()
                .map(|crm| json!({"target": crm, "times": 1, "match": {"method": "POST"}, "fault": {"kind": "drop_after"}}))
                .collect(),
            Fault::Slow => CRMS
                .iter()
                .map(|crm| json!({"target": crm, "fault": {"kind": "delay", "ms": 5_000}}))
                .collect(),
            Fault::Twice | Fault::WindowClosed => Vec::new(),
        }
    }

    /// The switch of a simulator that it is, broken and whole.
    fn switches(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Fault::Twice => &[
                ("hubspot", "webhook_duplicates"),
                ("hubspot", "webhook_reversed"),
            ],
            Fault::WindowClosed => &[("whatsapp", "fail_next")],
            _ => &[],
        }
    }

    fn value(self, on: bool) -> Value {
        match (self, on) {
            (Fault::WindowClosed, true) => json!({"code": WINDOW_CLOSED, "count": 1_000}),
            (Fault::WindowClosed, false) => Value::Null,
            (_, on) => json!(on),
        }
    }
}

/// What is broken, and since when.
#[derive(Default)]
pub(super) struct Broken(BTreeMap<Fault, Instant>);

impl Broken {
    pub(super) fn is(&self, fault: Fault) -> bool {
        self.0.contains_key(&fault)
    }

    /// Each fault, and whether it is pressed.
    pub(super) fn told(&self) -> Vec<Value> {
        let told = Fault::ALL.iter();
        told.map(|fault| json!({"name": fault.word(), "is_on": self.is(*fault)}))
            .collect()
    }

    /// Breaks something or mends it.
    pub(super) fn set(&mut self, running: &Running, wanted: &Wanted) -> Outcome {
        for (target, switch) in wanted.fault.switches() {
            let served = running.target(target);
            let served = served.ok_or_else(|| format!("there is no simulator of {target}"))?;
            served.switch(switch, &wanted.fault.value(wanted.on))?;
        }
        match wanted.on {
            true => self.0.insert(wanted.fault, Instant::now()),
            false => self.0.remove(&wanted.fault),
        };
        self.rule(running)
    }

    /// Mends one thing, if it is broken.
    pub(super) fn mend(&mut self, running: &Running, fault: Fault) -> Outcome {
        if !self.is(fault) {
            return Ok(());
        }
        self.set(running, &Wanted { fault, on: false })
    }

    pub(super) fn mend_all(&mut self, running: &Running) {
        for fault in Fault::ALL {
            // A simulator that is not there has nothing broken.
            let _ = self.mend(running, fault);
        }
    }

    pub(super) fn mend_what_is_old(&mut self, running: &Running) {
        let is_old = |since: &Instant| since.elapsed() > LASTS;
        let old: Vec<Fault> = self
            .0
            .iter()
            .filter(|(_, since)| is_old(since))
            .map(|(fault, _)| *fault)
            .collect();
        for fault in old {
            let _ = self.mend(running, fault);
        }
    }

    /// Puts the rules in force that there are now.
    fn rule(&self, running: &Running) -> Outcome {
        running.clear_faults(None);
        for rule in self.0.keys().flat_map(|fault| fault.rules()) {
            let rule: Rule = serde_json::from_value(rule).map_err(|error| error.to_string())?;
            running.fault(rule)?;
        }
        Ok(())
    }
}
