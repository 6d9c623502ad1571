//! Objects' properties, pipelines and owners: what this portal knows.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The kinds of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Contact,
    Ticket,
    Note,
    Communication,
    Company,
    Task,
}

impl Kind {
    pub(super) const ALL: [Kind; 6] = [
        Kind::Contact,
        Kind::Ticket,
        Kind::Note,
        Kind::Communication,
        Kind::Company,
        Kind::Task,
    ];

    /// By its name in a path, or its type id.
    pub(super) fn parse(name: &str) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.plural() == name || kind.singular() == name || kind.type_id() == name)
    }

    pub(super) fn plural(self) -> &'static str {
        [
            "contacts",
            "tickets",
            "notes",
            "communications",
            "companies",
            "tasks",
        ][self as usize]
    }

    pub(super) fn singular(self) -> &'static str {
        [
            "contact",
            "ticket",
            "note",
            "communication",
            "company",
            "task",
        ][self as usize]
    }

    pub(super) fn type_id(self) -> &'static str {
        ["0-1", "0-5", "0-46", "0-18", "0-2", "0-27"][self as usize]
    }

    /// The first id; each kind is numbered by itself.
    pub(super) fn first_id(self) -> u64 {
        [
            2_451,
            8_842_310_021,
            77_120_000_001,
            66_120_000_001,
            9_410_000_001,
            55_120_000_001,
        ][self as usize]
    }

    /// The group of its standard properties.
    pub(super) fn group(self) -> &'static str {
        match self {
            Kind::Contact => "contactinformation",
            Kind::Ticket => "ticketinformation",
            Kind::Company => "companyinformation",
            Kind::Note | Kind::Communication | Kind::Task => "engagement",
        }
    }

    /// The property that holds the time of the last change.
    pub(super) fn modified(self) -> &'static str {
        if self == Kind::Contact {
            "lastmodifieddate"
        } else {
            "hs_lastmodifieddate"
        }
    }

    pub(super) fn created(self) -> &'static str {
        match self {
            Kind::Contact | Kind::Ticket | Kind::Company => "createdate",
            Kind::Note | Kind::Communication | Kind::Task => "hs_createdate",
        }
    }

    /// Properties without which nothing is created.
    pub(super) fn required(self) -> &'static [&'static str] {
        match self {
            Kind::Contact | Kind::Company => &[],
            // Without a pipeline it gets the default one.
            Kind::Ticket => &["subject", "hs_pipeline_stage"],
            Kind::Note | Kind::Task => &["hs_timestamp"],
            Kind::Communication => &["hs_communication_channel_type", "hs_timestamp"],
        }
    }

    pub(super) fn read_scope(self) -> &'static str {
        match self {
            Kind::Ticket => "tickets",
            Kind::Company => "crm.objects.companies.read",
            _ => "crm.objects.contacts.read",
        }
    }

    pub(super) fn write_scope(self) -> &'static str {
        match self {
            Kind::Ticket => "tickets",
            Kind::Company => "crm.objects.companies.write",
            _ => "crm.objects.contacts.write",
        }
    }
}

/// The type id of the default association, `from` to `to`.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>
pub(super) fn link_type(from: Kind, to: Kind) -> Option<u32> {
    Some(match (from, to) {
        (Kind::Ticket, Kind::Contact) => 16,
        (Kind::Contact, Kind::Ticket) => 15,
        (Kind::Note, Kind::Ticket) => 228,
        (Kind::Ticket, Kind::Note) => 227,
        (Kind::Note, Kind::Contact) => 202,
        (Kind::Contact, Kind::Note) => 201,
        (Kind::Communication, Kind::Ticket) => 83,
        (Kind::Ticket, Kind::Communication) => 84,
        (Kind::Communication, Kind::Contact) => 81,
        (Kind::Contact, Kind::Communication) => 82,
        (Kind::Ticket, Kind::Company) => 339,
        (Kind::Company, Kind::Ticket) => 340,
        (Kind::Contact, Kind::Company) => 279,
        (Kind::Company, Kind::Contact) => 280,
        (Kind::Note, Kind::Company) => 190,
        (Kind::Company, Kind::Note) => 189,
        (Kind::Communication, Kind::Company) => 87,
        (Kind::Company, Kind::Communication) => 88,
        (Kind::Task, Kind::Ticket) => 230,
        (Kind::Ticket, Kind::Task) => 229,
        (Kind::Task, Kind::Contact) => 204,
        (Kind::Contact, Kind::Task) => 203,
        (Kind::Task, Kind::Company) => 192,
        (Kind::Company, Kind::Task) => 191,
        _ => return None,
    })
}

/// A property's definition.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub label: String,
    pub group: String,
    pub kind: String,
    pub field: String,
    pub unique: bool,
    pub read_only: bool,
    pub custom: bool,
    pub options: Vec<String>,
    /// Labels of options, where they are not the value in other letters.
    pub captions: BTreeMap<String, String>,
}

impl Property {
    fn new(kind: &str, group: &str) -> Property {
        Property {
            label: String::new(),
            group: group.into(),
            kind: kind.into(),
            field: "text".into(),
            unique: false,
            read_only: false,
            custom: false,
            options: Vec::new(),
            captions: BTreeMap::new(),
        }
    }

    /// An option's label: as it was given, else as HubSpot's own options have it, `Billing issue` for
    /// `BILLING_ISSUE`.
    fn caption(&self, value: &str) -> String {
        if let Some(caption) = self.captions.get(value) {
            return caption.clone();
        }
        let is_code = value.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        if self.custom || !is_code {
            return value.to_owned();
        }
        let words = value.to_lowercase().replace('_', " ");
        let (first, rest) = words.split_at(words.len().min(1));
        format!("{}{rest}", first.to_uppercase())
    }

    pub(super) fn json(&self, name: &str) -> Value {
        let options: Vec<Value> = self
            .options
            .iter()
            .enumerate()
            .map(|(n, value)| json!({"label": self.caption(value), "value": value, "displayOrder": n, "hidden": false}))
            .collect();
        json!({
            "name": name, "label": if self.label.is_empty() { name } else { &self.label }, "groupName": self.group, "type": self.kind,
            "fieldType": self.field, "hasUniqueValue": self.unique, "hubspotDefined": !self.custom, "calculated": self.read_only,
            "options": options, "archived": false, "hidden": false, "formField": false, "displayOrder": -1, "description": "",
            "modificationMetadata": {"archivable": self.custom, "readOnlyDefinition": !self.custom, "readOnlyValue": self.read_only},
        })
    }
}

/// A ticket pipeline: id, label, and stages as (id, label, open).
pub(super) struct Pipeline {
    pub id: &'static str,
    pub label: &'static str,
    pub stages: &'static [(&'static str, &'static str, bool)],
}

/// The portal's pipelines.
pub(super) const PIPELINES: [Pipeline; 2] = [
    Pipeline {
        id: "0",
        label: "Support Pipeline",
        stages: &[
            ("1", "New", true),
            ("2", "Waiting on contact", true),
            ("3", "Waiting on us", true),
            ("4", "Closed", false),
        ],
    },
    Pipeline {
        id: "96700042",
        label: "WhatsApp",
        stages: &[
            ("177000001", "Handed over", true),
            ("177000002", "Done", false),
        ],
    },
];

/// An owner: owner id, user id, first name, last name, e-mail.
pub(super) type Owner = (&'static str, u64, &'static str, &'static str, &'static str);

/// The portal's owners.
pub(super) const OWNERS: [Owner; 2] = [
    ("41629779", 9_586_504, "Riley", "Rep", "riley@acme.test"),
    ("41629780", 9_586_505, "Sam", "Service", "sam@acme.test"),
];

/// What HubSpot calls its own properties, as far as mappings fill them.
/// <https://knowledge.hubspot.com/properties/hubspots-default-ticket-properties>
const LABELS: &[(Kind, &str, &str)] = &[
    (Kind::Ticket, "subject", "Ticket name"),
    (Kind::Ticket, "content", "Ticket description"),
    (Kind::Ticket, "hs_ticket_priority", "Priority"),
    (Kind::Ticket, "hs_ticket_category", "Category"),
    (Kind::Ticket, "source_type", "Source"),
    (Kind::Ticket, "createdate", "Create date"),
    (Kind::Contact, "firstname", "First name"),
    (Kind::Contact, "lastname", "Last name"),
    (Kind::Contact, "email", "Email"),
    (Kind::Contact, "createdate", "Create date"),
];

/// All definitions, by kind and name.
pub(super) struct Schema {
    pub properties: BTreeMap<(Kind, String), Property>,
    pub groups: BTreeMap<(Kind, String), String>,
}

impl Schema {
    /// HubSpot's own properties that matter here, and those that handoffd's check adds.
    pub(super) fn new() -> Schema {
        let mut schema = Schema {
            properties: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        for kind in Kind::ALL {
            let label = format!("{} information", kind.singular());
            schema.groups.insert((kind, kind.group().into()), label);
            for name in ["hs_object_id", kind.created(), kind.modified()] {
                schema.add(kind, name, "datetime").read_only = true;
            }
            schema.add(kind, "hubspot_owner_id", "owner");
        }
        for name in [
            "firstname",
            "lastname",
            "company",
            "jobtitle",
            "city",
            "country",
            "hs_language",
            "website",
        ] {
            schema.add(Kind::Contact, name, "string");
        }
        schema.add(Kind::Contact, "email", "string");
        // Further addresses of the contact, parted by semicolons.
        schema.add(Kind::Contact, "hs_additional_emails", "string");
        for name in ["name", "domain", "phone", "city", "country", "industry"] {
            schema.add(Kind::Company, name, "string");
        }
        schema.add(Kind::Task, "hs_timestamp", "datetime");
        for name in ["hs_task_subject", "hs_task_body"] {
            schema.add(Kind::Task, name, "string");
        }
        schema.options(
            Kind::Task,
            "hs_task_status",
            &[
                "NOT_STARTED",
                "IN_PROGRESS",
                "WAITING",
                "DEFERRED",
                "COMPLETED",
            ],
        );
        schema.options(
            Kind::Task,
            "hs_task_priority",
            &["NONE", "LOW", "MEDIUM", "HIGH"],
        );
        schema.options(Kind::Task, "hs_task_type", &["TODO", "EMAIL", "CALL"]);
        for name in ["phone", "mobilephone", "hs_whatsapp_phone_number"] {
            schema.add(Kind::Contact, name, "phone_number");
        }
        for name in [
            "hs_calculated_phone_number",
            "hs_calculated_mobile_number",
            "hs_searchable_calculated_phone_number",
            "hs_searchable_calculated_mobile_number",
            "hs_merged_object_ids",
        ] {
            schema.add(Kind::Contact, name, "string").read_only = true;
        }
        schema.options(
            Kind::Contact,
            "lifecyclestage",
            &["subscriber", "lead", "opportunity", "customer", "other"],
        );
        for name in [
            "subject",
            "content",
            "hs_resolution",
            "hs_pipeline",
            "hs_pipeline_stage",
        ] {
            schema.add(Kind::Ticket, name, "string");
        }
        schema.options(
            Kind::Ticket,
            "hs_ticket_priority",
            &["LOW", "MEDIUM", "HIGH", "URGENT"],
        );
        schema.options(
            Kind::Ticket,
            "hs_ticket_category",
            &[
                "PRODUCT_ISSUE",
                "BILLING_ISSUE",
                "FEATURE_REQUEST",
                "GENERAL_INQUIRY",
            ],
        );
        schema.options(
            Kind::Ticket,
            "source_type",
            &["CHAT", "EMAIL", "FORM", "PHONE"],
        );
        schema
            .add(
                Kind::Ticket,
                "hs_conversations_originating_thread_id",
                "number",
            )
            .read_only = true;
        schema
            .add(Kind::Ticket, "hs_merged_object_ids", "string")
            .read_only = true;
        schema.add(Kind::Note, "hs_timestamp", "datetime");
        schema.add(Kind::Note, "hs_note_body", "string");
        schema.add(Kind::Note, "hs_attachment_ids", "string");
        schema
            .add(Kind::Note, "hs_created_by_user_id", "number")
            .read_only = true;
        schema.add(Kind::Communication, "hs_timestamp", "datetime");
        schema.add(Kind::Communication, "hs_communication_body", "string");
        schema.options(
            Kind::Communication,
            "hs_communication_channel_type",
            &["WHATS_APP", "LINKEDIN_MESSAGE", "SMS"],
        );
        schema.options(
            Kind::Communication,
            "hs_communication_logged_from",
            &["CRM"],
        );
        for (kind, name, label) in LABELS {
            if let Some(property) = schema.properties.get_mut(&(*kind, (*name).to_owned())) {
                property.label = (*label).to_owned();
            }
        }
        for (kind, name, unique, of) in [
            (Kind::Contact, "wa_id", true, "string"),
            (Kind::Contact, "wa_user_id", true, "string"),
            (Kind::Ticket, "wa_handoff_id", true, "string"),
            (Kind::Ticket, "wa_session_url", false, "string"),
            (Kind::Ticket, "wa_session_id", false, "string"),
            (Kind::Ticket, "wa_language", false, "string"),
            (Kind::Ticket, "wa_sentiment", false, "string"),
            (Kind::Ticket, "wa_channel", false, "string"),
            (Kind::Ticket, "wa_last_message", false, "datetime"),
            (Kind::Ticket, "wa_window_end", false, "datetime"),
            (Kind::Ticket, "wa_reply_state", false, "string"),
            (Kind::Ticket, "wa_rating", false, "number"),
            (Kind::Ticket, "wa_controller", false, "string"),
        ] {
            schema
                .groups
                .insert((kind, "wa_handoff".into()), "WhatsApp handoff".into());
            let property = schema.add(kind, name, of);
            (property.unique, property.custom, property.group) =
                (unique, true, "wa_handoff".into());
        }
        schema
    }

    fn add(&mut self, kind: Kind, name: &str, of: &str) -> &mut Property {
        self.properties
            .entry((kind, name.to_owned()))
            .or_insert_with(|| Property::new(of, kind.group()))
    }

    fn options(&mut self, kind: Kind, name: &str, options: &[&str]) {
        let property = self.add(kind, name, "enumeration");
        property.field = "select".into();
        property.options = options.iter().map(|option| (*option).to_owned()).collect();
    }

    pub(super) fn get(&self, kind: Kind, name: &str) -> Option<&Property> {
        self.properties.get(&(kind, name.to_owned()))
    }

    /// A portal in which nobody has prepared anything.
    pub(super) fn bare(&mut self) {
        self.properties.retain(|_, property| !property.custom);
        self.groups.retain(|(kind, name), _| name == kind.group());
    }

    /// A portal that was prepared before user ids had a property of their own.
    pub(super) fn without_user_id(&mut self) {
        self.properties
            .retain(|(kind, name), _| (*kind, name.as_str()) != (Kind::Contact, "wa_user_id"));
    }

    /// A portal that was prepared before its tickets had standing fields.
    pub(super) fn without_standing(&mut self) {
        self.properties.retain(|(kind, name), property| {
            let kept = ["wa_handoff_id", "wa_session_url"].contains(&name.as_str());
            *kind != Kind::Ticket || !property.custom || kept
        });
    }

    /// A portal without the newer telephone properties.
    pub(super) fn without_new_phones(&mut self) {
        self.properties.retain(|(_, name), _| {
            name != "hs_whatsapp_phone_number" && !name.starts_with("hs_searchable")
        });
    }
}
