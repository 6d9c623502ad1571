//! The one table that names the connectors. A new one is a crate, a line here, its mapping, and its
//! name among the kinds of `config` and the sections of `mapping`.

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
        connector: handoffd_salesforce::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_salesforce::sandbox,
        mapping: include_str!("../mappings/salesforce.toml"),
    },
    Kind {
        name: "hubspot",
        connector: handoffd_hubspot::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_hubspot::sandbox,
        mapping: include_str!("../mappings/hubspot.toml"),
    },
    Kind {
        name: "creatio",
        connector: handoffd_creatio::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_creatio::sandbox,
        mapping: include_str!("../mappings/creatio.toml"),
    },
    Kind {
        name: "whatsapp",
        connector: handoffd_whatsapp::connector,
        #[cfg(feature = "simulators")]
        sandbox: handoffd_whatsapp::sandbox,
        mapping: include_str!("../mappings/whatsapp.toml"),
    },
];

/// The kind with this name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
