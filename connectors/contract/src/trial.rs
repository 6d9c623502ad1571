//! A record that is made to hear what the CRM says of its fields, and that is removed again.

use crate::step::HttpCall;

/// A record that is made and removed again.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What is written and what remains of it, in words, to be shown before it happens.
    pub says: String,
    /// The section of the mapping whose fields it carries.
    pub section: &'static str,
    /// The call that makes it.
    pub make: HttpCall,
    /// A read that finds it where the answer to `make` was lost.
    pub find: HttpCall,
}

/// What the CRM said to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tried {
    /// The record's id, where there is one; it must be removed.
    pub id: Option<String>,
    /// What the CRM complains of; nothing when it took everything.
    pub complaints: Vec<Complaint>,
}

/// One thing of which a CRM complains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The field's code, where the CRM names one.
    pub field: Option<String>,
    /// The CRM's own words, without values.
    pub message: String,
}
