//! The records: objects with their history, and what is associated with what.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::phones::calculate;
use super::schema::{Kind, OWNERS, link_type};

/// Who changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A client of the API.
    App,
    /// A person in HubSpot.
    Rep,
}

impl By {
    /// The source as histories and webhooks name it.
    pub(super) fn source(self) -> &'static str {
        match self {
            By::App => "INTEGRATION",
            By::Rep => "CRM_UI",
        }
    }

    /// What of the source it was: the app, or the person.
    pub(super) fn source_id(self) -> String {
        match self {
            By::App => super::APP_ID.to_string(),
            By::Rep => format!("userId:{}", OWNERS[0].1),
        }
    }

    /// The person, if it was one.
    pub(super) fn user(self) -> Option<u64> {
        (self == By::Rep).then_some(OWNERS[0].1)
    }
}

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub id: u64,
    pub kind: Kind,
    pub properties: BTreeMap<String, String>,
    pub history: BTreeMap<String, Vec<(String, Timestamp, By)>>,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub archived: bool,
    pub merged_into: Option<u64>,
    pub by: By,
}

/// How many changes of a property are kept.
const MAX_HISTORY: usize = 20;

/// A time as HubSpot writes it.
pub(super) fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

impl Object {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// The record as an answer: the properties asked for, or those of a kind's default view; unset
    /// ones are null.
    pub(super) fn json(&self, portal: u64, asked: Option<&BTreeSet<String>>) -> Value {
        let mut properties = Map::new();
        for name in [self.kind.created(), self.kind.modified(), "hs_object_id"] {
            properties.insert(name.to_owned(), json!(self.get(name)));
        }
        match asked {
            Some(names) => properties.extend(
                names
                    .iter()
                    .map(|name| (name.clone(), json!(self.get(name)))),
            ),
            None => {
                properties.extend(
                    self.properties
                        .iter()
                        .map(|(name, value)| (name.clone(), json!(value))),
                );
            }
        }
        json!({
            "id": self.id.to_string(), "properties": properties, "createdAt": iso(self.created), "updatedAt": iso(self.updated),
            "archived": self.archived,
            "url": format!("https://app.hubspot.com/contacts/{portal}/record/{}/{}", self.kind.type_id(), self.id),
        })
    }

    /// When the record was written down for its timeline.
    /// Adds these properties' earlier values to an answer, the newest first.
    pub(super) fn with_history<'n>(
        &self,
        names: impl IntoIterator<Item = &'n String>,
        answer: &mut Value,
    ) {
        for name in names {
            let entries: Vec<Value> = self
                .history
                .get(name)
                .into_iter()
                .flatten()
                .map(|(value, at, by)| {
                    json!({
                        "value": value, "timestamp": iso(*at), "sourceType": by.source(), "sourceId": by.source_id(),
                        "updatedByUserId": by.user(),
                    })
                })
                .collect();
            answer["propertiesWithHistory"][name] = json!(entries);
            answer["properties"][name] = json!(self.get(name));
        }
    }

    pub(super) fn timestamp(&self) -> Timestamp {
        self.get("hs_timestamp")
            .and_then(time)
            .unwrap_or(self.created)
    }
}

/// ISO 8601 or milliseconds.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    match text.parse::<i64>() {
        Ok(milliseconds) => Timestamp::from_millisecond(milliseconds).ok(),
        Err(_) => text.parse().ok(),
    }
}

/// Everything that a portal keeps. The oldest activities go when there are too many.
#[derive(Default)]
pub(super) struct Store {
    pub objects: BTreeMap<(Kind, u64), Object>,
    /// The calling code that is assumed for numbers without one.
    pub phone_country: Option<String>,
    links: BTreeMap<(Kind, u64), BTreeSet<(Kind, u64)>>,
    made: BTreeMap<Kind, u64>,
}

/// How many records are kept in memory.
const MAX_OBJECTS: usize = 200_000;

impl Store {
    /// Adds a record with checked properties.
    pub(super) fn create(
        &mut self,
        now: Timestamp,
        kind: Kind,
        properties: BTreeMap<String, String>,
        by: By,
    ) -> u64 {
        let made = self.made.entry(kind).or_default();
        let id = kind.first_id() + *made;
        *made += 1;
        let object = Object {
            id,
            kind,
            properties: BTreeMap::new(),
            history: BTreeMap::new(),
            created: now,
            updated: now,
            archived: false,
            merged_into: None,
            by,
        };
        if self.objects.len() >= MAX_OBJECTS {
            self.objects.pop_first();
        }
        self.objects.insert((kind, id), object);
        self.update(now, kind, id, properties, by);
        id
    }

    /// Writes properties; an empty value unsets. Returns those that changed, with their new value.
    pub(super) fn update(
        &mut self,
        now: Timestamp,
        kind: Kind,
        id: u64,
        properties: BTreeMap<String, String>,
        by: By,
    ) -> Vec<(String, String)> {
        let Some(object) = self.objects.get_mut(&(kind, id)) else {
            return Vec::new();
        };
        let mut changed = Vec::new();
        for (name, value) in properties {
            if object.get(&name).unwrap_or_default() == value {
                continue;
            }
            let history = object.history.entry(name.clone()).or_default();
            history.insert(0, (value.clone(), now, by));
            history.truncate(MAX_HISTORY);
            changed.push((name.clone(), value.clone()));
            if value.is_empty() {
                object.properties.remove(&name);
            } else {
                object.properties.insert(name, value);
            }
        }
        object.updated = now;
        let fixed = [
            ("hs_object_id", id.to_string()),
            (kind.created(), iso(object.created)),
            (kind.modified(), iso(now)),
        ];
        object
            .properties
            .extend(fixed.map(|(name, value)| (name.to_owned(), value)));
        if kind == Kind::Contact {
            calculate(object, self.phone_country.as_deref());
        }
        changed
    }

    /// A record by id; `archived` chooses which of the two worlds is looked at.
    pub(super) fn get(&self, kind: Kind, id: u64, archived: bool) -> Option<&Object> {
        self.objects
            .get(&(kind, id))
            .filter(|object| object.archived == archived)
    }

    /// The records of a kind.
    pub(super) fn of(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Object> {
        self.objects
            .range((kind, 0)..=(kind, u64::MAX))
            .map(|(_, object)| object)
    }

    /// The record that holds a value of a property.
    pub(super) fn holder(
        &self,
        kind: Kind,
        name: &str,
        value: &str,
        archived: bool,
    ) -> Option<&Object> {
        let same = |object: &&Object| {
            object.archived == archived
                && object
                    .get(name)
                    .is_some_and(|held| held.eq_ignore_ascii_case(value))
        };
        self.of(kind).find(same)
    }

    /// The contact that has an address, as its first or as one of its others.
    pub(super) fn by_email(&self, address: &str, archived: bool) -> Option<&Object> {
        let address = address.trim();
        self.holder(Kind::Contact, "email", address, archived)
            .or_else(|| {
                let has = |object: &&Object| {
                    let others = object.get("hs_additional_emails").unwrap_or_default();
                    object.archived == archived
                        && others
                            .split(';')
                            .any(|other| other.trim().eq_ignore_ascii_case(address))
                };
                self.of(Kind::Contact).find(has)
            })
    }

    /// Associates two records, in both directions.
    pub(super) fn link(&mut self, from: (Kind, u64), to: (Kind, u64)) {
        self.links.entry(from).or_default().insert(to);
        self.links.entry(to).or_default().insert(from);
    }

    pub(super) fn unlink(&mut self, from: (Kind, u64), to: (Kind, u64)) {
        for (a, b) in [(from, to), (to, from)] {
            if let Some(links) = self.links.get_mut(&a) {
                links.remove(&b);
            }
        }
    }

    /// The ids of a kind that a record is associated with, without deleted ones.
    pub(super) fn linked(&self, from: (Kind, u64), to: Kind) -> Vec<u64> {
        let all = self.links.get(&from).into_iter().flatten();
        all.filter(|(kind, id)| *kind == to && self.get(*kind, *id, false).is_some())
            .map(|(_, id)| *id)
            .collect()
    }

    /// Merges one record into another: its associations move, its values fill what is empty there, its
    /// id stays known.
    pub(super) fn merge(&mut self, now: Timestamp, kind: Kind, from: u64, into: u64) {
        let moved: Vec<(Kind, u64)> = self
            .links
            .get(&(kind, from))
            .into_iter()
            .flatten()
            .copied()
            .collect();
        for other in moved {
            self.unlink((kind, from), other);
            self.link((kind, into), other);
        }
        let mut gone = BTreeMap::new();
        if let Some(object) = self.objects.get_mut(&(kind, from)) {
            object.archived = true;
            object.merged_into = Some(into);
            object.updated = now;
            gone = object.properties.clone();
        }
        let Some(object) = self.objects.get_mut(&(kind, into)) else {
            return;
        };
        let earlier = gone.remove("hs_merged_object_ids");
        if kind == Kind::Contact {
            further_addresses(object, &mut gone);
        }
        for (name, value) in gone {
            object.properties.entry(name).or_insert(value);
        }
        let ids = object.properties.entry("hs_merged_object_ids".into());
        let ids = ids.or_default();
        for id in earlier.into_iter().chain([from.to_string()]) {
            if !ids.is_empty() {
                ids.push(';');
            }
            ids.push_str(&id);
        }
        object.updated = now;
    }

    /// A record with the values and the history of another, as some merges make one.
    pub(super) fn successor(&mut self, now: Timestamp, kind: Kind, of: u64) -> Option<u64> {
        let properties = self.get(kind, of, false)?.properties.clone();
        let history = self.get(kind, of, false)?.history.clone();
        let id = self.create(now, kind, properties, By::Rep);
        self.objects.get_mut(&(kind, id))?.history = history;
        Some(id)
    }

    /// Whether the search index holds a record already.
    pub(super) fn indexed(object: &Object, now: Timestamp, lag: i64) -> bool {
        now.duration_since(object.created) >= SignedDuration::from_secs(lag)
    }
}

/// The addresses of a contact that is merged into another become further ones of that.
fn further_addresses(left: &mut Object, gone: &mut BTreeMap<String, String>) {
    let first = left.get("email").map(str::to_owned);
    let further = [
        left.get("hs_additional_emails").map(str::to_owned),
        gone.get("email").filter(|_| first.is_some()).cloned(),
        gone.remove("hs_additional_emails"),
    ];
    let mut all: Vec<String> = Vec::new();
    for address in further.iter().flatten().flat_map(|some| some.split(';')) {
        let address = address.trim().to_owned();
        if !address.is_empty() && Some(&address) != first.as_ref() && !all.contains(&address) {
            all.push(address);
        }
    }
    if !all.is_empty() {
        let all = all.join(";");
        left.properties.insert("hs_additional_emails".into(), all);
    }
}

/// The association's name in answers of the objects API.
pub(super) fn link_name(from: Kind, to: Kind) -> String {
    format!("{}_to_{}", from.singular(), to.singular())
}

/// An association's types as the associations API writes them.
pub(super) fn link_types(from: Kind, to: Kind) -> Value {
    json!([{"category": "HUBSPOT_DEFINED", "typeId": link_type(from, to), "label": null}])
}
