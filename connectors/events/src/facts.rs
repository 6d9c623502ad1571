//! Names of the facts.

/// An event that the receiver has. The name is the one under which a target of kind `whatsapp` kept it
/// before there was this one, so that nothing is told twice.
pub(crate) fn out(event: &str, kind: &str) -> String {
    format!("out/{event}/{kind}")
}
