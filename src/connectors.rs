//! The one table that names the connectors. A new one is a crate, an entry here, and its mapping.

#[cfg(feature = "simulators")]
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{Connector, Problem};
use serde_json::Value;

/// What a target is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reps see the conversation there.
    Desk,
    /// The customer is answered by it.
    WayBack,
    /// Others are told by it of what happens.
    Events,
}

/// Makes a connector of a target's settings, or says everything that is wrong with them.
pub type Connect = fn(&str, &Value) -> Result<Box<dyn Connector>, Vec<Problem>>;

/// How a kind of target is marked on pages: never by a maker's logo.
pub struct Mark {
    /// Two letters.
    pub letters: &'static str,
    /// Ground and letters in the light theme.
    pub light: (&'static str, &'static str),
    /// The same in the dark theme.
    pub dark: (&'static str, &'static str),
}

/// A kind of target.
pub struct Kind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What its product is called.
    pub title: &'static str,
    /// What its targets are for.
    pub role: Role,
    /// The sections of its mappings.
    pub sections: &'static [&'static str],
    /// Makes a connector.
    pub connector: Connect,
    /// A fresh simulator of its API.
    #[cfg(feature = "simulators")]
    pub sandbox: fn() -> Box<dyn Sandbox>,
    /// The shipped mapping; empty where nothing is mapped.
    pub mapping: &'static str,
    /// How it is marked on pages.
    pub mark: Mark,
}

/// Every kind of a product's API.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "salesforce",
        title: "Salesforce",
        role: Role::Desk,
        sections: &["routing"],
        connector: handoffd_salesforce::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_salesforce::sandbox,
        mapping: include_str!("../mappings/salesforce.toml"),
        mark: Mark {
            letters: "SF",
            light: ("#dcebfb", "#0b4f8a"),
            dark: ("#10304e", "#8ec5fb"),
        },
    },
    Kind {
        name: "hubspot",
        title: "HubSpot",
        role: Role::Desk,
        sections: &["ticket", "contact"],
        connector: handoffd_hubspot::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_hubspot::sandbox,
        mapping: include_str!("../mappings/hubspot.toml"),
        mark: Mark {
            letters: "HS",
            light: ("#fde6dc", "#97340c"),
            dark: ("#43210f", "#ffab86"),
        },
    },
    Kind {
        name: "creatio",
        title: "Creatio",
        role: Role::Desk,
        sections: &["case", "contact"],
        connector: handoffd_creatio::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_creatio::sandbox,
        mapping: include_str!("../mappings/creatio.toml"),
        mark: Mark {
            letters: "CR",
            light: ("#e4e3fb", "#43399e"),
            dark: ("#27245a", "#b9b3ff"),
        },
    },
    Kind {
        name: "whatsapp",
        title: "WhatsApp",
        role: Role::WayBack,
        sections: &["template", "notices"],
        connector: handoffd_whatsapp::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_whatsapp::sandbox,
        mapping: include_str!("../mappings/whatsapp.toml"),
        mark: Mark {
            letters: "WA",
            light: ("#d9f2e1", "#0d6436"),
            dark: ("#0f3320", "#79d9a2"),
        },
    },
];

/// The kind by which others are told of what happens. It is no product's: it has no mapping, and the demo
/// needs none of it.
pub const EVENTS: Kind = Kind {
    name: "events",
    title: "Events",
    role: Role::Events,
    sections: &[],
    connector: handoffd_events::connector,
    #[cfg(feature = "simulators")]
    sandbox: handoffd_events::sandbox,
    mapping: "",
    mark: Mark {
        letters: "EV",
        light: ("#e5e8ed", "#3a4352"),
        dark: ("#28303c", "#bcc5d2"),
    },
};

static ALL: &[&[Kind]] = &[KINDS, &[EVENTS]];

/// The marks of all kinds: the kind's name, and its mark.
pub fn marks() -> impl Iterator<Item = (&'static str, &'static Mark)> {
    let all = ALL.iter().flat_map(|kinds| kinds.iter());
    all.map(|kind| (kind.name, &kind.mark))
}

/// The names of all kinds of products' APIs.
pub fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}

/// The types of events that others are told of where they choose none.
pub fn usual_events() -> impl Iterator<Item = &'static str> {
    handoffd_events::usual()
}

/// Whether a target for events with these settings tells of this type.
#[must_use]
pub fn tells(settings: &Value, kind: &str) -> bool {
    handoffd_events::tells(settings, kind)
}

/// Whether the customer is answered by targets of this kind.
#[must_use]
pub fn is_way_back(name: &str) -> bool {
    has_role(name, Role::WayBack)
}

/// Whether reps see conversations in targets of this kind.
#[must_use]
pub fn is_desk(name: &str) -> bool {
    has_role(name, Role::Desk)
}

/// Whether others are told of what happens by targets of this kind.
#[must_use]
pub fn is_events(name: &str) -> bool {
    has_role(name, Role::Events)
}

fn has_role(name: &str, role: Role) -> bool {
    kind(name).is_some_and(|kind| kind.role == role)
}

/// The kind with this name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    let mut all = ALL.iter().flat_map(|some| some.iter());
    all.find(|kind| kind.name == name)
}
