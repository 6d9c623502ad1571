//! Delivers what a simulator wants delivered, and tells it what became of it.

use std::sync::Arc;
use std::time::Duration;

use handoffd_contract::sandbox::Delivery;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::rules::{Fault, Place};
use super::served::Served;

/// How often is looked at least: the simulators' clock may be set ahead meanwhile.
const TICK: Duration = Duration::from_secs(1);
/// How many deliveries of one simulator are under way at a time.
const AT_A_TIME: usize = 8;
/// How many are under way or put off by a fault.
const HELD: usize = 1_000;

/// Delivers until `stop`.
pub(super) async fn run(served: Arc<Served>, client: reqwest::Client, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    let places = Arc::new(Semaphore::new(HELD));
    let under_way = TaskTracker::new();
    let mut changes = served.changes();
    changes.mark_changed();
    loop {
        // A moment more than it is, since timestamps are compared in milliseconds.
        let due = served.until_next_delivery();
        let due = due.map_or(TICK, |due| (due + Duration::from_millis(1)).min(TICK));
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(due) => {}
            () = stop.cancelled() => break,
        }
        let (epoch, due) = served.deliveries();
        for delivery in due {
            let room = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, Arc::clone(&permits).acquire_owned().await)
            };
            let Some((place, permit)) = stop.run_until_cancelled(room).await else {
                break;
            };
            let (served, client, stop) = (Arc::clone(&served), client.clone(), stop.clone());
            under_way.spawn(async move {
                let _place = place;
                let work = deliver(&served, &client, epoch, &delivery, permit.ok());
                stop.run_until_cancelled(work).await;
            });
        }
    }
    under_way.close();
    under_way.wait().await;
}

async fn deliver(
    served: &Served,
    client: &reqwest::Client,
    epoch: u64,
    delivery: &Delivery,
    permit: Option<tokio::sync::OwnedSemaphorePermit>,
) {
    let fault = served.strike(Place::Delivery, "POST", &delivery.url, &delivery.body);
    if let Some(fault) = &fault {
        served.happened(fault.kind());
    }
    let status = match fault {
        Some(Fault::WebhookDrop) => None,
        Some(Fault::WebhookDelay { ms }) => {
            // Others may overtake it only if it does not stand in their way.
            drop(permit);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            post(served, client, delivery).await
        }
        Some(Fault::WebhookDuplicate) => {
            post(served, client, delivery).await;
            post(served, client, delivery).await
        }
        Some(Fault::WebhookLostAnswer) => {
            post(served, client, delivery).await;
            None
        }
        _ => post(served, client, delivery).await,
    };
    served.delivered(epoch, delivery.id, status);
}

/// Posts it once; the status, or none when there was no answer in time.
async fn post(served: &Served, client: &reqwest::Client, delivery: &Delivery) -> Option<u16> {
    let mut request = client
        .post(&delivery.url)
        .timeout(Duration::from_millis(delivery.timeout_ms.max(1)))
        .body(delivery.body.clone());
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    let status = match request.send().await {
        Ok(response) => Some(response.status().as_u16()),
        Err(_) => None,
    };
    served.webhook(status);
    status
}
