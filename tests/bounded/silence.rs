//! A CRM accepts every call and never answers; another one is as quick as before.

use std::time::{Duration, Instant};

use handoffd_test_support::eventually;
use serde_json::json;

use crate::fleet::{Fleet, SOON};
use crate::memory::Memory;
use crate::options::Options;

/// How much slower the other CRM may become, beside a factor of three.
const SLACK: Duration = Duration::from_secs(2);
/// What nothing here may reach, in megabytes.
const BOUND: u64 = 112;

pub async fn run(options: &Options) {
    let fleet = Fleet::with(None, 1, |plan| {
        for crm in ["hubspot", "creatio"] {
            plan.settings
                .insert(crm.into(), json!({"poll_seconds": 60}));
        }
    })
    .await;
    let alone = times(&fleet, options.sessions, &["creatio"], "creatio").await;
    fleet.fault(json!({"target": "hubspot", "match": {}, "fault": {"kind": "hang"}}));
    let beside = times(&fleet, options.sessions, &["hubspot", "creatio"], "creatio").await;
    let hanging = fleet.crm("hubspot").counts()["in_flight"].clone();
    let memory = Memory::of(fleet.process(0)).below(BOUND);
    println!(
        "silence: Creatio shows a handoff after {alone:?} (median, longest); while {hanging} calls to HubSpot hang, after {beside:?}: {memory}"
    );
    as_quick(alone, beside);
}

/// Fails when the second median is far above the first.
pub fn as_quick(before: (Duration, Duration), after: (Duration, Duration)) {
    assert!(after.0 < before.0 * 3 + SLACK, "{before:?}, {after:?}");
}

/// The median and the longest time from a handoff to these CRMs until it is seen in `watched`.
pub async fn times(
    fleet: &Fleet,
    sessions: usize,
    crms: &[&str],
    watched: &str,
) -> (Duration, Duration) {
    let mut all = Vec::new();
    for _ in 0..sessions {
        let began = Instant::now();
        let session = fleet.hand_over(crms).await;
        let text = session.text("h");
        eventually(SOON, || async {
            fleet.crm(watched).view().to_string().contains(&text)
        })
        .await;
        all.push(began.elapsed());
    }
    all.sort();
    (all[all.len() / 2], all[all.len() - 1])
}
