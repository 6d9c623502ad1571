//! Configured statuses that an admin has made inactive.
//!
//! The column is there where an object's records may be deactivated. Drop-down lists leave such records
//! out, and other reads do not. <https://academy.creatio.com/documents/technic-sdk/7-13/record-deactivation>

use handoffd_contract::{Check, Finding, HttpCall, HttpReply};

use super::rows_of;
use crate::Creatio;

pub(super) const INACTIVE: &str = "active case statuses";

impl Creatio {
    pub(super) fn inactive_check(&self) -> Check {
        let call = HttpCall::get(self.path("CaseStatus"))
            .query("$filter", "RecordInactive eq true")
            .query("$select", "Id,Name")
            .query("$top", "100");
        Check {
            what: INACTIVE,
            call,
        }
    }

    /// Configured statuses that nobody can choose any more. Of a site without inactive records, and of
    /// one that does not answer, nothing is said: another check does.
    pub(super) fn inactive(&self, reply: &HttpReply) -> Vec<Finding> {
        let body = reply.json().filter(|_| reply.ok());
        let settings = [
            ("resolved_status_id", &self.settings.resolved_status),
            ("reopened_status_id", &self.settings.reopened_status),
        ];
        let found = rows_of(body.as_ref()).into_iter().flat_map(|(id, name)| {
            let of = settings
                .iter()
                .filter(move |(_, set)| set.as_deref() == Some(id.as_str()));
            of.map(move |(setting, _)| {
                let problem = format!(
                    "{setting} is {name}, which is inactive, so that a case would get a status that nobody can choose; \
                     make it active again (lookup Case statuses), or name another"
                );
                Finding::missing(INACTIVE, problem)
            })
            .collect::<Vec<_>>()
        });
        found.collect()
    }
}
