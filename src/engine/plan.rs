//! What a connector is asked: the work, with mappings rendered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use handoffd_contract::event::Session;
use handoffd_contract::lane::mapping_fact;
use handoffd_contract::{
    Connector, Contact, Data, Event, Item, Known, Reason, Refusal, Rendered, Schema, Stop, Work,
};
use jiff::Timestamp;

use super::lost;
use crate::ledger::{Change, LedgerError, Loaded, MappingLedger};
use crate::mapping::{Input, Mapping, captions};

/// The mappings of every target, compiled once per version.
#[derive(Default)]
pub struct Mappings {
    compiled: Mutex<HashMap<(String, i64), Arc<Mapping>>>,
}

impl Mappings {
    /// The version that new work is planned with, and the mapping; `None` when the target has none.
    async fn get(
        &self,
        ledger: &dyn MappingLedger,
        target: &str,
        version: Option<i64>,
    ) -> Result<Option<(i64, Arc<Mapping>)>, Refused> {
        if let Some(version) = version
            && let Some(mapping) = self.lock().get(&(target.to_owned(), version)).cloned()
        {
            return Ok(Some((version, mapping)));
        }
        let Some(row) = ledger.mapping_get(target, version).await? else {
            return Ok(None);
        };
        let key = (target.to_owned(), row.version);
        if let Some(mapping) = self.lock().get(&key).cloned() {
            return Ok(Some((row.version, mapping)));
        }
        let file = format!("{target}.toml (version {})", row.version);
        let mapping = Mapping::parse(&file, &row.text).map_err(|problems| {
            let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Refused::Connector(Refusal::park(Reason::Mapping, words.join("; ")))
        })?;
        let mapping = Arc::new(mapping);
        self.lock().insert(key, Arc::clone(&mapping));
        Ok(Some((row.version, mapping)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, i64), Arc<Mapping>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no work to plan with.
pub enum Refused {
    /// The mapping needs a person.
    Connector(Refusal),
    /// The ledger failed.
    Ledger(LedgerError),
}

impl From<LedgerError> for Refused {
    fn from(error: LedgerError) -> Refused {
        Refused::Ledger(error)
    }
}

/// Work, and the facts that fix which version of the mapping it is done with.
pub struct Planned {
    /// The work.
    pub work: Work,
    /// The sequence number of each item's event.
    pub seqs: Vec<i64>,
    /// Facts to be written before the first step.
    pub pinned: Vec<Change>,
}

/// The work without what mappings make of it, for what is only told.
#[must_use]
pub fn bare(target: &str, loaded: &Loaded) -> Work {
    let (session, contact) = who(loaded);
    let events = loaded.events.iter();
    let items = events
        .filter(|(_, event)| !elsewhere(&event.data, target))
        .map(|(_, event)| plain(event))
        .collect();
    Work {
        target: target.to_owned(),
        session,
        contact,
        items,
        last_inbound: loaded.last_inbound,
        now: Timestamp::now(),
        controller: loaded.controller.clone(),
    }
}

/// An event as an item, without what a mapping makes of it.
#[must_use]
pub fn plain(event: &Event) -> Item {
    Item {
        id: event.id.clone(),
        time: event.time,
        data: event.data.clone(),
        rendered: None,
    }
}

/// Makes the work of what was loaded.
///
/// # Errors
/// [`Refused`].
pub async fn assemble(
    mappings: &Mappings,
    ledger: &dyn MappingLedger,
    target: &str,
    loaded: &Loaded,
    connector: &dyn Connector,
    schema: Option<&Schema>,
) -> Result<Planned, Refused> {
    let (session, contact) = who(loaded);
    let mut pinned = Vec::new();
    let mut items = Vec::with_capacity(loaded.events.len());
    let mut seqs = Vec::with_capacity(loaded.events.len());
    for (seq, event) in &loaded.events {
        if elsewhere(&event.data, target) {
            continue;
        }
        let mut rendered = None;
        let carried = match &event.data {
            Data::HandoffRequested(handoff) => Some((&handoff.session, &handoff.contact)),
            data if connector.opens(data) || connector.renders(data) => Some((&session, &contact)),
            _ => None,
        };
        if let Some((session, contact)) = carried {
            let made = render(
                mappings,
                ledger,
                target,
                event,
                session,
                contact,
                &loaded.known,
                schema,
                &mut pinned,
            );
            rendered = match made.await {
                Err(Refused::Connector(refusal)) if connector.renders(&event.data) => {
                    tracing::warn!(target_name = %target, ?refusal, "the customer is not told: the mapping fails");
                    None
                }
                made => made?,
            };
        }
        seqs.push(*seq);
        items.push(Item {
            rendered,
            ..plain(event)
        });
    }
    let work = Work {
        target: target.to_owned(),
        session,
        contact,
        items,
        last_inbound: loaded.last_inbound,
        now: Timestamp::now(),
        controller: loaded.controller.clone(),
    };
    Ok(Planned { work, seqs, pinned })
}

/// The session and the customer: the ledger's latest, else what the loaded events say.
#[must_use]
pub fn who(loaded: &Loaded) -> (Session, Contact) {
    let session = loaded.session.clone().unwrap_or_default();
    let contact = loaded.contact.clone().unwrap_or_default();
    (session, contact)
}

/// A handoff that names its targets is nothing to the others.
fn elsewhere(data: &Data, target: &str) -> bool {
    match data {
        Data::HandoffRequested(handoff) => handoff
            .targets
            .as_ref()
            .is_some_and(|names| !names.iter().any(|name| name == target)),
        _ => false,
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is a different thing that the mapping sees; a struct would be used once"
)]
async fn render(
    mappings: &Mappings,
    ledger: &dyn MappingLedger,
    target: &str,
    event: &Event,
    session: &Session,
    contact: &Contact,
    known: &Known,
    schema: Option<&Schema>,
    pinned: &mut Vec<Change>,
) -> Result<Option<Rendered>, Refused> {
    let fact = mapping_fact(&event.id);
    let version = known.get(&fact).and_then(|version| version.parse().ok());
    let Some((used, mapping)) = mappings.get(ledger, target, version).await? else {
        return Ok(None);
    };
    let input = Input {
        event,
        session,
        contact,
        target,
    };
    let mut rendered = mapping.render(used, &input).map_err(|problem| {
        Refused::Connector(Refusal::Park(Stop::new(
            Reason::Mapping,
            problem.to_string(),
        )))
    })?;
    if let Some(schema) = schema {
        captions::resolve(&mut rendered, schema);
    }
    if version.is_none() {
        pinned.push(Change::Set(fact, used.to_string()));
        pinned.extend(lost::by_mapping(
            target,
            &event.session,
            &rendered.lost,
            known,
        ));
    }
    Ok(Some(rendered))
}
