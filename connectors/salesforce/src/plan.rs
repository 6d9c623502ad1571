//! The next step for the first thing that the thread does not show yet.
//!
//! Items are worked off strictly in order, and inside an item one text or file at a time. A text or
//! file whose outcome is unknown is looked for in the entries list before it leaves again, under the
//! same id: that Salesforce recognises the id is inferred, not documented.

use handoffd_contract::event::{HandoffCompleted, MessageEvent};
use handoffd_contract::settings::AfterEnd;
use handoffd_contract::work::is_reply_elsewhere;
use handoffd_contract::{
    Auth, Data, Feed, Handoff, HttpCall, Item, Known, Message, Method, Reason, Record, Refusal,
    Repeat, Step, Stop, Work,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::facts::{self, Lane};
use crate::pieces;
use crate::send::{Memo, path};
use crate::settings::OnClose;
use crate::{Salesforce, hear, kept, routing};

/// Before the newest relayed reply, so many milliseconds are read again after a reconnect.
const OVERLAP_MS: i64 = 5 * 60 * 1_000;
/// How long the event stream has to tell of an end that an answer told us of.
const STREAM_FIRST_MS: i64 = 2_000;
/// How long the event stream has to tell the id of a messaging session that was just begun, before it is
/// ended.
const STREAM_NAMES_MS: i64 = 10_000;

impl Salesforce {
    pub(crate) fn plan(&self, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
        let Some(lane) = Lane::new(&self.settings.subject_prefix, work, known) else {
            return Err(Refusal::park(
                Reason::NoCustomer,
                "neither wa_id, user_id nor phone: no Salesforce end user can be named",
            ));
        };
        for item in &work.items {
            let step = match &item.data {
                Data::HandoffRequested(handoff) => self.handoff(work, known, &lane, item, handoff),
                Data::MessageReceived(event) | Data::MessageSent(event) => {
                    self.message(work, known, &lane, item, event)?
                }
                Data::ReplyStatus(status) if status.target == work.target => {
                    self.told(work, known, &lane, item, status)?
                }
                Data::ReplyStatus(status) => self.lost_elsewhere(work, known, &lane, status),
                Data::RepActivity(done) if done.target == work.target => {
                    self.read_mark(known, &lane, item, done)
                }
                Data::SessionClosed(closed) => {
                    self.closed(work, known, &lane, item, closed.closed_by.as_ref())?
                }
                // Nobody shall be rung for what the assistant has again.
                Data::SessionReturned(returned) => {
                    self.closed(work, known, &lane, item, returned.returned_by.as_ref())?
                }
                Data::RepNotice(notice) if notice.target == work.target => {
                    self.notice(work, known, &lane, item, &notice.text)
                }
                _ => None,
            };
            if let Some(step) = step {
                return Ok(vec![step]);
            }
        }
        Ok(Vec::new())
    }

    /// The customer's event stream: open while a rep can still write, or when a step wants it open;
    /// after an end until the entries were read once more; and while the outcome of a call is not
    /// known, which may have begun a messaging session.
    pub(crate) fn stream(&self, work: &Work, known: &Known) -> Option<Feed> {
        let lane = Lane::new(&self.settings.subject_prefix, work, known)?;
        let began = known.is("conversation") || known.unsure("conversation");
        let unreconciled = lane.unreconciled();
        let open = began
            && (lane.ended().is_empty() || !unreconciled.is_empty() || lane.is_anything_unsure());
        if !open
            && !self
                .plan(&work.with_replies_of_others(), known)
                .is_ok_and(|steps| steps.iter().any(|step| step.listen))
        {
            return None;
        }
        let call = HttpCall::get("/eventrouter/v1/sse")
            .header("Accept", "text/event-stream")
            .header("Cache-Control", "no-cache")
            .header("X-Org-Id", &self.settings.org_id)
            .auth(Auth::Customer {
                subject: lane.subject.clone(),
            });
        let since = known
            .get("heard")
            .and_then(|at| at.parse::<i64>().ok())
            .map(|at| at - OVERLAP_MS);
        let backfill = known.get("conversation").map(|conversation| {
            hear::entries(conversation, &lane.subject, since, 0, &unreconciled)
        });
        Some(Feed::Stream {
            key: lane.subject,
            open: call,
            idle: self.settings.idle,
            backfill,
        })
    }

    fn handoff(
        &self,
        work: &Work,
        known: &Known,
        lane: &Lane<'_>,
        item: &Item,
        handoff: &Handoff,
    ) -> Option<Step> {
        let completed = format!("completed/{}", item.id);
        if known.is(&completed) {
            return None;
        }
        let attributes = routing::attributes(
            item,
            handoff,
            &work.session.id,
            known,
            self.settings.attribute_limit,
        );
        if !known.is("conversation") {
            return Some(self.create(work, lane, attributes));
        }
        let again = known.under("completed/").next().is_some();
        let language = handoff
            .handoff
            .language
            .as_deref()
            .or(handoff.session.language.as_deref());
        for mut piece in pieces::handoff(&self.settings, known, item, handoff, again) {
            if !known.is(&piece.fact) {
                let routing = Value::Object(attributes.clone()).to_string();
                if known.get("routing") != Some(routing.as_str()) {
                    piece.learn.push(("routing".into(), routing.into()));
                }
                return Some(self.send(known, lane, piece, &attributes, language));
            }
        }
        let mut record = Record {
            facts: vec![(completed.clone(), lane.conversation().into())],
            events: Vec::new(),
        };
        record.facts.extend(kept::done(known));
        let data = Data::HandoffCompleted(self.completed(work, known, lane, item, handoff));
        record.events.push((completed, data));
        Some(Step::new("handoff.complete", Repeat::Safe, record))
    }

    fn completed(
        &self,
        work: &Work,
        known: &Known,
        lane: &Lane<'_>,
        item: &Item,
        handoff: &Handoff,
    ) -> HandoffCompleted {
        let mut notes = item
            .rendered
            .as_ref()
            .map(|r| r.notes.clone())
            .unwrap_or_default();
        for (name, words) in known.under("refused/") {
            notes.push(format!(
                "Salesforce did not take the routing attribute {name}: {words}"
            ));
        }
        if known.is(&format!("transcript/{}", item.id)) {
            notes.push(
                "Salesforce did not take the transcript as a file; it is in the thread as text"
                    .into(),
            );
        }
        notes.extend(pieces::notes(known, item));
        match kept::lost(known, handoff) {
            0 => {}
            lost => notes.push(format!(
                "{lost} messages that came after the end of the session before are not shown"
            )),
        }
        for message in &kept::transcript(known, handoff) {
            for attachment in &message.attachments {
                let file = facts::file(&message.id, &attachment.id);
                if let Some((_, why)) = known.refused(&file) {
                    notes.push(format!(
                        "{} was not attached: {why}",
                        attachment.file_name()
                    ));
                }
            }
        }
        let session = known.get("session");
        let mut records =
            std::collections::BTreeMap::from([("conversation".to_owned(), lane.conversation())]);
        records.extend(session.map(|id| ("messagingSession".to_owned(), id.to_owned())));
        let url = session
            .zip(self.settings.instance.as_ref())
            .map(|(id, instance)| format!("{instance}/lightning/r/MessagingSession/{id}/view"));
        HandoffCompleted {
            target: work.target.clone(),
            handoff: item.id.clone(),
            records,
            url,
            notes,
        }
    }

    fn message(
        &self,
        work: &Work,
        known: &Known,
        lane: &Lane<'_>,
        item: &Item,
        event: &MessageEvent,
    ) -> Result<Option<Step>, Refusal> {
        let said = facts::said(&event.message.id);
        // Without a conversation there was no handoff yet; with a reference it is our own relayed
        // reply, which the thread shows already.
        if event.reference.is_some() && lane.begun() && !known.is(&said) {
            // No transcript shows it once more.
            let record = Record {
                facts: vec![(said, event.message.id.clone().into())],
                events: Vec::new(),
            };
            return Ok(Some(Step::new("reply.confirmed", Repeat::Safe, record)));
        }
        if !lane.begun()
            || event.reference.is_some()
            || known.is(&said)
            || known.is(&facts::kept(&event.message.id))
        {
            return Ok(None);
        }
        let row = pieces::message(&self.settings, known, &work.target, &event.message);
        if row.is_empty() {
            return Ok(None);
        }
        let Some(piece) = row.into_iter().find(|piece| !known.is(&piece.fact)) else {
            let mut facts = vec![(said, event.message.id.clone().into())];
            if is_reply_elsewhere(&event.message) {
                let fact = facts::elsewhere(&event.message.id);
                facts.push((fact, item.id.clone().into()));
            }
            let record = Record {
                facts,
                events: Vec::new(),
            };
            return Ok(Some(Step::new("message.complete", Repeat::Safe, record)));
        };
        // A remark about what was said rings nobody.
        let rings = event.message.asks();
        if self.is_kept(known, lane, &piece.fact, rings) {
            return self.keep(work, known, lane, &event.message).map(Some);
        }
        Ok(Some(self.open(work, known, lane, piece)))
    }

    /// Whether what this fact stands for waits for the next handoff. What may have arrived is looked
    /// for first.
    pub(crate) fn is_kept(&self, known: &Known, lane: &Lane<'_>, fact: &str, rings: bool) -> bool {
        let found_out = known.unsure(fact) && known.is("conversation");
        let waits = self.settings.after_end == AfterEnd::Ignore || !rings;
        waits && lane.is_over() && !found_out
    }

    pub(crate) fn keep(
        &self,
        work: &Work,
        known: &Known,
        lane: &Lane<'_>,
        message: &Message,
    ) -> Result<Step, Refusal> {
        // The event stream tells of the same end, usually a moment later: it goes first, so that one
        // end is not told twice.
        let told_by = lane
            .untold()
            .iter()
            .map(|(_, at)| at + STREAM_FIRST_MS)
            .max();
        match told_by.filter(|at| *at > lane.now()) {
            Some(at) => Err(Refusal::Hold {
                stop: Stop::new(Reason::Waiting, "the messaging session has ended"),
                until: Timestamp::from_millisecond(at).ok(),
            }),
            None => Ok(kept::keep(&work.target, known, lane, message)),
        }
    }

    fn closed(
        &self,
        work: &Work,
        known: &Known,
        lane: &Lane<'_>,
        item: &Item,
        by: Option<&String>,
    ) -> Result<Option<Step>, Refusal> {
        let fact = format!("closed/{}", item.id);
        let ours = by == Some(&work.target);
        if ours || self.settings.on_close == OnClose::Keep || known.is(&fact) {
            return Ok(None);
        }
        let Some(conversation) = known.get("conversation") else {
            return Ok(None);
        };
        if !lane.ended().is_empty() {
            if work.items.last().is_none_or(|last| last.id == item.id) {
                return Ok(None);
            }
            // On record, so that the session which something behind it begins is not ended for it.
            let record = Record {
                facts: vec![(fact, "-".into())],
                events: Vec::new(),
            };
            return Ok(Some(Step::new("session.over", Repeat::Safe, record)));
        }
        // The event of an end that we cause is told from a rep's by the messaging session's id.
        if let Some(at) = lane.unnamed_since().map(|at| at + STREAM_NAMES_MS)
            && at > lane.now()
        {
            let words = "the messaging session has just begun, and Salesforce has not told its id";
            return Err(Refusal::Hold {
                stop: Stop::new(Reason::Waiting, words),
                until: Timestamp::from_millisecond(at).ok(),
            });
        }
        let current = lane.current();
        let value = facts::ended_by_us(&current);
        let call = HttpCall::new(Method::Delete, format!("{}/session", path(conversation)))
            .query("esDeveloperName", &self.settings.es_developer_name);
        let context = Memo {
            fact: fact.clone(),
            value: value.clone(),
            current,
            ..Memo::default()
        };
        let step = self.step("session.end", Repeat::Keyed, call, lane, &context);
        Ok(Some(step.claim_as(fact, value)))
    }
}
