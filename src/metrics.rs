//! The names of every metric, and what they mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Calls to targets, by target, step and outcome.
pub const ATTEMPTS: &str = "handoffd_attempts_total";
/// How long calls took, by target.
pub const ATTEMPT_SECONDS: &str = "handoffd_attempt_seconds";
/// From a handoff's arrival to its complete record, by target.
pub const HANDOFF_SECONDS: &str = "handoffd_handoff_seconds";
/// Parts of gateways' payloads that were left alone on purpose, by dialect and reason.
pub const SKIPPED: &str = "handoffd_intake_skipped_total";
/// Events admitted, by type and result (`new`, `duplicate`, `nobody`).
pub const EVENTS: &str = "handoffd_events_total";
/// Events that could not be understood, by origin.
pub const DEAD_LETTERED: &str = "handoffd_dead_letters_total";
/// Places of admitted events that could not be read as they came, by source and field.
pub const WARNINGS: &str = "handoffd_event_warnings_total";
/// Fields that did not get their value, or not all of it, by target and field.
pub const FIELDS_DROPPED: &str = "handoffd_fields_dropped_total";
/// Things heard from targets, by target and what (`reply`, `ended`, `skipped`, …).
pub const HEARD: &str = "handoffd_heard_total";
/// When each target was last heard, in seconds since 1970.
pub const LAST_HEARD: &str = "handoffd_last_heard_timestamp_seconds";
/// Lanes by target and state.
pub const LANES: &str = "handoffd_lanes";
/// Lanes that wait without being parked, by target and reason.
pub const WAITING: &str = "handoffd_lanes_waiting";
/// How long the oldest due lane has waited, by target.
pub const OLDEST_DUE: &str = "handoffd_oldest_due_seconds";
/// Conversations that people have, by controller (`queued`, `rep`).
pub const SESSIONS: &str = "handoffd_sessions";
/// How long the conversation that waits longest has waited for a rep.
pub const OLDEST_QUEUED: &str = "handoffd_oldest_queued_seconds";
/// Webhooks that wait, by target.
pub const WEBHOOK_QUEUE: &str = "handoffd_webhook_queue";
/// Webhooks that need a person, by target.
pub const WEBHOOKS_PARKED: &str = "handoffd_webhooks_parked";
/// Dead letters: events that could not be understood.
pub const DEAD_LETTERS: &str = "handoffd_dead_letters";
/// 1 while a target's circuit is open.
pub const CIRCUIT_OPEN: &str = "handoffd_circuit_open";
/// 1 from the first rejection of a target's credential until a call succeeds.
pub const CREDENTIAL_REJECTED: &str = "handoffd_credential_rejected";
/// Lanes being worked on, by target.
pub const WORKING: &str = "handoffd_working";
/// Feeds that are open, by target.
pub const FEEDS: &str = "handoffd_feeds_open";
/// Events that wait in RabbitMQ, by queue.
pub const QUEUED: &str = "handoffd_queue_events";
/// Messages to people, by channel and outcome (`sent`, `failed`, `dropped`).
pub const NOTIFICATIONS: &str = "handoffd_notifications_total";
/// Files that were to be fetched at once, by result (`kept`, `dropped` for newer ones, or why it failed).
pub const MEDIA_KEPT: &str = "handoffd_media_kept_total";
/// How many bytes the kept files take.
pub const MEDIA_KEPT_BYTES: &str = "handoffd_media_kept_bytes";
/// 1 while the intake is connected to RabbitMQ.
pub const BROKER_UP: &str = "handoffd_broker_up";

/// Describes every metric to the recorder.
pub fn describe() {
    describe_counter!(ATTEMPTS, "Calls to targets, by target, step and outcome");
    describe_histogram!(
        ATTEMPT_SECONDS,
        Unit::Seconds,
        "How long calls to targets took"
    );
    describe_histogram!(
        HANDOFF_SECONDS,
        Unit::Seconds,
        "From a handoff's arrival to its complete record"
    );
    describe_counter!(
        SKIPPED,
        "Parts of gateways' payloads that were left alone on purpose, by dialect and reason"
    );
    describe_counter!(EVENTS, "Events admitted, by type and result");
    describe_counter!(
        DEAD_LETTERED,
        "Events that could not be understood, by origin"
    );
    describe_counter!(
        WARNINGS,
        "Places of admitted events that could not be read as they came, by source and field"
    );
    describe_counter!(
        FIELDS_DROPPED,
        "Fields that did not get their value, or not all of it, by target and field"
    );
    describe_counter!(HEARD, "Things heard from targets, by target and what");
    describe_counter!(
        NOTIFICATIONS,
        "Messages to people, by channel and outcome (sent, failed, dropped)"
    );
    describe_gauge!(LAST_HEARD, Unit::Seconds, "When each target was last heard");
    describe_gauge!(LANES, "Lanes by target and state");
    describe_gauge!(
        WAITING,
        "Lanes that wait without being parked, by target and reason"
    );
    describe_gauge!(
        OLDEST_DUE,
        Unit::Seconds,
        "How long the oldest due lane has waited"
    );
    describe_gauge!(
        SESSIONS,
        "Conversations that people have, by controller (queued, rep)"
    );
    describe_gauge!(
        OLDEST_QUEUED,
        Unit::Seconds,
        "How long the conversation that waits longest has waited for a rep"
    );
    describe_gauge!(WEBHOOK_QUEUE, "Webhooks that wait, by target");
    describe_gauge!(
        WEBHOOKS_PARKED,
        "Webhooks that could not be understood or are not taken, by target"
    );
    describe_gauge!(
        DEAD_LETTERS,
        "Dead letters: events that could not be understood"
    );
    describe_gauge!(CIRCUIT_OPEN, "1 while a target's circuit is open");
    describe_gauge!(
        CREDENTIAL_REJECTED,
        "1 from the first rejection of a target's credential until a call succeeds"
    );
    describe_gauge!(WORKING, "Lanes being worked on");
    describe_gauge!(FEEDS, "Feeds that are open");
    describe_gauge!(QUEUED, "Events that wait in RabbitMQ, by queue");
    describe_counter!(
        MEDIA_KEPT,
        "Files that were to be fetched at once, by result (kept, dropped for newer ones, or why it failed)"
    );
    describe_gauge!(
        MEDIA_KEPT_BYTES,
        Unit::Bytes,
        "How many bytes the kept files take"
    );
    describe_gauge!(BROKER_UP, "1 while the intake is connected to RabbitMQ");
}
