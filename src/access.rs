//! Who asks, and what they may: the people and scripts behind the admin API and the console.

/// What somebody may do. Each may what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Retries and skips, and works dead letters.
    Operator,
    /// Edits mappings, makes tokens: everything.
    Admin,
}

/// Who asks. Every request that was let through carries one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their name in the audit log.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// Whether they may see names and texts of customers.
    pub may_unmask: bool,
    /// What a form that they send must repeat; nothing of those who show a token with each request.
    pub csrf: Option<String>,
}

impl Person {
    /// Whoever shows the admin token, or asks on this machine where none is set.
    #[must_use]
    pub fn of_admin_token() -> Person {
        Person {
            name: "admin token".into(),
            role: Role::Admin,
            may_unmask: true,
            csrf: None,
        }
    }
}
