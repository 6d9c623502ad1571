//! Rows of the default configuration: lookups, and a few people.

use handoffd_contract::ids;

/// Rows of lookups: entity, id, name, flags that are true.
/// The ids are those of the default configuration; see the crate's `standard` module.
pub(super) const LOOKUPS: &[(&str, &str, &str, &[&str])] = &[
    (
        "ActivityType",
        "fbe0acdc-cfc0-df11-b00f-001d60e938c6",
        "Task",
        &[],
    ),
    (
        "ActivityType",
        "e2831dec-cfc0-df11-b00f-001d60e938c6",
        "Email",
        &[],
    ),
    (
        "ActivityType",
        "e1831dec-cfc0-df11-b00f-001d60e938c6",
        "Call",
        &[],
    ),
    (
        "ActivityType",
        "e3831dec-cfc0-df11-b00f-001d60e938c6",
        "Visit",
        &[],
    ),
    (
        "ActivityCategory",
        "f51c4643-58e6-df11-971b-001d60e938c6",
        "To do",
        &[],
    ),
    (
        "ActivityCategory",
        "42c74c49-58e6-df11-971b-001d60e938c6",
        "Meeting",
        &[],
    ),
    (
        "ActivityCategory",
        "8038a396-7825-e011-8165-00155d043204",
        "Email",
        &[],
    ),
    (
        "ActivityCategory",
        "03df85bf-6b19-4dea-8463-d5d49b80bb28",
        "Call",
        &[],
    ),
    (
        "ActivityStatus",
        "384d4b84-58e6-df11-971b-001d60e938c6",
        "Not started",
        &[],
    ),
    (
        "ActivityStatus",
        "394d4b84-58e6-df11-971b-001d60e938c6",
        "In progress",
        &[],
    ),
    (
        "ActivityStatus",
        "4bdbb88f-58e6-df11-971b-001d60e938c6",
        "Completed",
        &["Finish"],
    ),
    (
        "ActivityStatus",
        "201cfba8-58e6-df11-971b-001d60e938c6",
        "Canceled",
        &["Finish"],
    ),
    (
        "ActivityPriority",
        "ab96fa02-7fe6-df11-971b-001d60e938c6",
        "Medium",
        &[],
    ),
    (
        "CommunicationType",
        "d4a2dc80-30ca-df11-9b2a-001d60e938c6",
        "Mobile phone",
        &[],
    ),
    (
        "CommunicationType",
        "3dddb3cc-53ee-49c4-a71f-e9e257f59e49",
        "Work phone",
        &[],
    ),
    (
        "CommunicationType",
        "0da6a26b-d7bc-df11-b00f-001d60e938c6",
        "Home phone",
        &[],
    ),
    (
        "CommunicationType",
        "21c0d693-9a52-43fa-b7f1-c6d8b53975d4",
        "Other phone",
        &[],
    ),
    (
        "CommunicationType",
        "ee1c85c3-cfcb-df11-9b2a-001d60e938c6",
        "Email",
        &[],
    ),
    (
        "CaseStatus",
        "ae5f2f10-f46b-1410-fd9a-0050ba5d6c38",
        "New",
        &[],
    ),
    (
        "CaseStatus",
        "7e9f1204-f46b-1410-fb9a-0050ba5d6c38",
        "In progress",
        &[],
    ),
    (
        "CaseStatus",
        "3859c6e7-cbcb-486b-ba53-77808fe6e593",
        "Waiting for response",
        &["IsPaused"],
    ),
    (
        "CaseStatus",
        "ae7f411e-f46b-1410-009b-0050ba5d6c38",
        "Resolved",
        &["IsResolved"],
    ),
    (
        "CaseStatus",
        "3e7f420c-f46b-1410-fc9a-0050ba5d6c38",
        "Closed",
        &["IsFinal"],
    ),
    (
        "CaseStatus",
        "6e5f4218-f46b-1410-fe9a-0050ba5d6c38",
        "Canceled",
        &["IsFinal"],
    ),
    (
        "CaseStatus",
        "f063ebbe-fdc6-4982-8431-d8cfa52fedcf",
        "Reopened",
        &[],
    ),
    (
        "CasePriority",
        "afb33208-f46b-1410-ec8c-0050ba5d6c38",
        "Critical",
        &[],
    ),
    (
        "CasePriority",
        "8b700f24-f46b-1410-ee8c-0050ba5d6c38",
        "High",
        &[],
    ),
    (
        "CasePriority",
        "d9bd322c-f46b-1410-ee8c-0050ba5d6c38",
        "Medium",
        &[],
    ),
    (
        "CasePriority",
        "cbb93036-f46b-1410-ef8c-0050ba5d6c38",
        "Low",
        &[],
    ),
    (
        "CaseOrigin",
        "019259af-ec9c-4c87-9565-3c00700c7875",
        "Chat",
        &[],
    ),
    (
        "CaseOrigin",
        "5e5e202a-f46b-1410-3692-0050ba5d6c38",
        "Call",
        &[],
    ),
    (
        "CaseOrigin",
        "7f9e1f1e-f46b-1410-3492-0050ba5d6c38",
        "Email",
        &[],
    ),
    (
        "CaseOrigin",
        "debf4124-f46b-1410-3592-0050ba5d6c38",
        "Portal",
        &[],
    ),
    (
        "CaseCategory",
        "1b0bc159-150a-e111-a31b-00155d04c01d",
        "Incident",
        &[],
    ),
    (
        "CaseCategory",
        "1c0bc159-150a-e111-a31b-00155d04c01d",
        "Service request",
        &[],
    ),
    (
        "ContactType",
        "00783ef6-f36b-1410-a883-16d83cab0980",
        "Customer",
        &[],
    ),
    (
        "ContactType",
        "806732ee-f36b-1410-a883-16d83cab0980",
        "Contact person",
        &[],
    ),
    (
        "ContactType",
        "60733efc-f36b-1410-a883-16d83cab0980",
        "Employee",
        &[],
    ),
    (
        "FileType",
        "529bc2f8-0ee0-df11-971b-001d60e938c6",
        "File",
        &[],
    ),
    (
        "FileType",
        "539bc2f8-0ee0-df11-971b-001d60e938c6",
        "Link",
        &[],
    ),
    (
        "FileType",
        "549bc2f8-0ee0-df11-971b-001d60e938c6",
        "Entity link",
        &[],
    ),
    (
        "UsrTopic",
        "11111111-aaaa-4000-8000-000000000001",
        "Refund",
        &[],
    ),
    (
        "UsrTopic",
        "11111111-aaaa-4000-8000-000000000002",
        "Delivery",
        &[],
    ),
    (
        "SatisfactionLevel",
        "22222222-aaaa-4000-8000-000000000001",
        "Very dissatisfied",
        &[],
    ),
    (
        "SatisfactionLevel",
        "22222222-aaaa-4000-8000-000000000002",
        "Dissatisfied",
        &[],
    ),
    (
        "SatisfactionLevel",
        "22222222-aaaa-4000-8000-000000000003",
        "Neutral",
        &[],
    ),
    (
        "SatisfactionLevel",
        "22222222-aaaa-4000-8000-000000000004",
        "Satisfied",
        &[],
    ),
    (
        "SatisfactionLevel",
        "22222222-aaaa-4000-8000-000000000005",
        "Very satisfied",
        &[],
    ),
];

/// `ActivityStatus` Not started.
pub(super) const NOT_STARTED: &str = "384d4b84-58e6-df11-971b-001d60e938c6";
/// People of the site, who are contacts: the integration user first.
pub(super) const PEOPLE: [&str; 4] = [
    "handoffd integration",
    "Rosa Rep",
    "Sam Support",
    "Supervisor",
];
/// Roles of the site.
pub(super) const ROLES: [&str; 2] = ["Support team", "All employees"];

/// The contact id of a person, or the unit id of a role.
pub(super) fn person(name: &str) -> String {
    ids::uuid(&["creatio-sandbox", name])
}
