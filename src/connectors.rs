//! The one table that names the connectors. A new one is a crate, an entry here, and its mapping.

#[cfg(feature = "simulators")]
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{Connector, Problem};
use serde_json::Value;

/// Makes a connector of a target's settings, or says everything that is wrong with them.
pub type Connect = fn(&str, &Value) -> Result<Box<dyn Connector>, Vec<Problem>>;

/// A kind of target.
pub struct Kind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Whether the customer is answered by it. All others hold what reps see.
    pub is_way_back: bool,
    /// The sections of its mappings.
    pub sections: &'static [&'static str],
    /// Makes a connector.
    pub connector: Connect,
    /// A fresh simulator of its API.
    #[cfg(feature = "simulators")]
    pub sandbox: fn() -> Box<dyn Sandbox>,
    /// The shipped mapping.
    pub mapping: &'static str,
}

/// Every kind.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "salesforce",
        is_way_back: false,
        sections: &["routing"],
        connector: handoffd_salesforce::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_salesforce::sandbox,
        mapping: include_str!("../mappings/salesforce.toml"),
    },
    Kind {
        name: "hubspot",
        is_way_back: false,
        sections: &["ticket", "contact"],
        connector: handoffd_hubspot::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_hubspot::sandbox,
        mapping: include_str!("../mappings/hubspot.toml"),
    },
    Kind {
        name: "creatio",
        is_way_back: false,
        sections: &["case", "contact"],
        connector: handoffd_creatio::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_creatio::sandbox,
        mapping: include_str!("../mappings/creatio.toml"),
    },
    Kind {
        name: "whatsapp",
        is_way_back: true,
        sections: &["template", "notices"],
        connector: handoffd_whatsapp::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_whatsapp::sandbox,
        mapping: include_str!("../mappings/whatsapp.toml"),
    },
];

/// The names of all kinds.
pub fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}

/// Whether the customer is answered by targets of this kind.
#[must_use]
pub fn is_way_back(name: &str) -> bool {
    kind(name).is_some_and(|kind| kind.is_way_back)
}

/// The kind with this name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
