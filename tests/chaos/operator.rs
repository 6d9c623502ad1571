//! The person who looks after parked lanes, by the rule that `handoffd explain` states.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::book::Book;
use crate::views::phones;
use crate::world::World;

/// Looks after every parked lane once. Only sends whose outcome nobody can know may be parked; for
/// anything else a person should not be needed, so it is written down as a breach and tried again.
pub async fn look_after(world: &World, book: &Book) {
    let Some(lanes) = world.open_lanes().await else {
        return;
    };
    for lane in lanes.iter().filter(|lane| lane["state"] == "parked") {
        let text = |name: &str| lane[name].as_str().unwrap_or_default().to_owned();
        let (session, target, reason) = (text("session"), text("target"), text("reason"));
        let verb = if reason == "unknown-outcome" {
            book.count("lanes parked because an outcome is unknown");
            if arrived(world, book, &session).await {
                "skip"
            } else {
                "retry"
            }
        } else {
            let words = format!(
                "{session} in {target}: parked as {reason}: {}",
                text("message")
            );
            let mut pages = book.open();
            if !pages.parked.contains(&words) {
                pages.parked.push(words);
            }
            drop(pages);
            "retry"
        };
        let (done, said) = world.command(&[verb, &session, "--target", &target]).await;
        book.count(&format!("operator: {verb}"));
        if !done {
            book.open().wrong.push(format!(
                "handoffd {verb} {session} --target {target}: {said}"
            ));
        }
    }
}

/// Whether the message in doubt is on the customer's phone.
async fn arrived(world: &World, book: &Book, session: &str) -> bool {
    let story = world
        .get(&format!("/v1/sessions/{session}"))
        .await
        .unwrap_or_default();
    let lanes = story["lanes"].as_array().into_iter().flatten();
    let facts = lanes
        .filter(|lane| lane["target"] == "whatsapp")
        .filter_map(|lane| lane["facts"].as_object());
    let unsure = facts
        .flatten()
        .filter(|(name, fact)| name.starts_with("sent/") && fact["unsure_since"].is_string());
    let names: Vec<String> = unsure.map(|(name, _)| name.clone()).collect();
    let on_phones: BTreeSet<String> = phones(&world.sims)
        .shown
        .into_values()
        .flatten()
        .flatten()
        .collect();
    let pages = book.open();
    let doubtful = pages
        .replies
        .iter()
        .filter(|reply| names.iter().any(|name| name.contains(&reply.id)));
    let found: Vec<bool> = doubtful
        .map(|reply| on_phones.contains(&reply.token))
        .collect();
    !found.is_empty() && found.iter().all(|found| *found)
}

/// The lanes that still have something to do, in words.
pub async fn unfinished(world: &World) -> Vec<String> {
    let Some(lanes) = world.open_lanes().await else {
        return vec!["no daemon answers".to_owned()];
    };
    let told = |lane: &Value| {
        let text = |name: &str| lane[name].as_str().unwrap_or_default().to_owned();
        format!(
            "{} in {}: {} ({}) {}",
            text("session"),
            text("target"),
            text("state"),
            text("reason"),
            text("message")
        )
    };
    lanes
        .iter()
        .filter(|lane| !(lane["state"] == "held" && lane["reason"] == "window-closed"))
        .map(told)
        .collect()
}
