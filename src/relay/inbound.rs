//! What was heard as an event of a session, or as facts of its lane.

use handoffd_contract::event::{
    MessageStatus, RepActivity, RepEnded, SessionAssigned, SessionQueued, SessionRouting,
    SessionUpdated,
};
use handoffd_contract::{Data, Event, InboundKind};
use jiff::Timestamp;

use super::addressee::not_sent;
use crate::ledger::{Admission, LaneRef};
use crate::target::Target;

/// The event that follows from what was heard, or the facts that it is.
pub(super) fn data(
    target: &Target,
    kind: InboundKind,
) -> Result<(&'static str, Data), Vec<(String, String)>> {
    Ok(match kind {
        InboundKind::Replied(mut reply) => {
            reply.target.clone_from(&target.name);
            ("reply", Data::RepReplied(reply))
        }
        InboundKind::NotSent { message_id, detail } => {
            ("not-sent", not_sent(&target.name, message_id, detail))
        }
        InboundKind::Ended { status } => (
            "ended",
            Data::RepEnded(RepEnded {
                target: target.name.clone(),
                status,
            }),
        ),
        InboundKind::Assigned { rep } => (
            "assigned",
            Data::SessionAssigned(SessionAssigned {
                target: target.name.clone(),
                rep,
            }),
        ),
        InboundKind::Queued {
            position,
            wait_seconds,
        } => (
            "queued",
            Data::SessionQueued(SessionQueued {
                target: target.name.clone(),
                position,
                wait_seconds,
            }),
        ),
        InboundKind::Routing { outcome, detail } => (
            "routing",
            Data::SessionRouting(SessionRouting {
                target: target.name.clone(),
                outcome,
                detail,
            }),
        ),
        InboundKind::Activity { activity, record } => (
            "activity",
            Data::RepActivity(RepActivity {
                target: target.name.clone(),
                activity,
                record,
                message_id: None,
            }),
        ),
        InboundKind::Updated {
            record,
            fields,
            changed_by,
        } => (
            "updated",
            Data::SessionUpdated(SessionUpdated {
                target: target.name.clone(),
                record,
                fields,
                changed_by,
            }),
        ),
        InboundKind::Status {
            message_id,
            reference,
            state,
            error_code,
            error,
        } => (
            "status",
            Data::MessageStatus(MessageStatus {
                message_id,
                reference,
                status: state,
                error_code,
                error,
            }),
        ),
        InboundKind::Facts(facts) => return Err(facts),
    })
}

/// The id of an event that was heard. Connectors know an event by its id alone, and two portals of
/// one kind may count alike.
pub(super) fn event_id(target: &Target, id: &str) -> String {
    format!("{}/{id}", target.name)
}

/// The source of everything that was heard from a target.
pub(super) fn source(target: &Target) -> String {
    format!("handoffd/heard/{}", target.name)
}

/// An event of the lane's session.
pub(super) fn event(
    target: &Target,
    lane: &LaneRef,
    id: String,
    time: Timestamp,
    data: Data,
) -> Admission {
    let event = Event {
        id: event_id(target, &id),
        source: source(target),
        session: lane.session.clone(),
        time,
        sequence: None,
        warnings: Vec::new(),
        data,
    };
    Admission {
        event,
        opens: Vec::new(),
        passes: Vec::new(),
        session: None,
        contact: None,
        inbound_at: None,
        find: None,
        files: Vec::new(),
    }
}
