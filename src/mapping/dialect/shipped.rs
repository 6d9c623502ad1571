//! The dialects that come with the daemon.

use super::Dialect;

/// The files, by the dialects' names.
pub const FILES: &[(&str, &str)] = &[
    (
        "cloudapi",
        include_str!("../../../mappings/intake/cloudapi.toml"),
    ),
    (
        "evolution",
        include_str!("../../../mappings/intake/evolution.toml"),
    ),
    ("waha", include_str!("../../../mappings/intake/waha.toml")),
    (
        "twilio",
        include_str!("../../../mappings/intake/twilio.toml"),
    ),
    (
        "chatwoot",
        include_str!("../../../mappings/intake/chatwoot.toml"),
    ),
    (
        "ycloud",
        include_str!("../../../mappings/intake/ycloud.toml"),
    ),
    ("wati", include_str!("../../../mappings/intake/wati.toml")),
    (
        "gupshup",
        include_str!("../../../mappings/intake/gupshup.toml"),
    ),
];

/// The names of all of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The dialect with this name, if it is one of them.
#[must_use]
pub fn shipped(name: &str) -> Option<Dialect> {
    let (name, text) = FILES.iter().find(|(known, _)| *known == name)?;
    // A test reads all of them.
    Dialect::parse(&format!("{name}.toml"), text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_dialect_is_right_and_passes_its_tests() {
        for (name, text) in FILES {
            let dialect = match Dialect::parse(&format!("{name}.toml"), text) {
                Ok(dialect) => dialect,
                Err(problems) => panic!("{}", crate::mapping::commands::listed(&problems)),
            };
            assert_eq!(dialect.name(), *name);
            let outcomes = dialect.run_tests();
            assert!(outcomes.len() >= 8, "{name} has {} tests", outcomes.len());
            for outcome in outcomes {
                assert!(outcome.failures.is_empty(), "{name}: {outcome:#?}");
            }
        }
    }
}
