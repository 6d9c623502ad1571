//! Record ids of Creatio's default configuration, the same in every site that kept them.
//!
//! Tenants may change their lookups, so each id that can differ is a setting with one of these as
//! its default, and `checks` looks each of them up in the site.

/// `ActivityType` Task: what a message becomes. An e-mail would run participant parsing and drafts.
pub const TASK: &str = "fbe0acdc-cfc0-df11-b00f-001d60e938c6";
/// `ActivityType` Call.
pub const CALL: &str = "e1831dec-cfc0-df11-b00f-001d60e938c6";
/// `ActivityStatus` Completed, so that nobody is given an open task per message.
pub const COMPLETED: &str = "4bdbb88f-58e6-df11-971b-001d60e938c6";
/// `CaseOrigin` Chat.
pub const CHAT: &str = "019259af-ec9c-4c87-9565-3c00700c7875";
/// `ContactType` Customer.
pub const CUSTOMER: &str = "00783ef6-f36b-1410-a883-16d83cab0980";
/// `CommunicationType` Other phone, which no column of a contact mirrors.
pub const OTHER_PHONE: &str = "21c0d693-9a52-43fa-b7f1-c6d8b53975d4";
/// `FileType` File: bytes in the row's `Data`.
pub const FILE: &str = "529bc2f8-0ee0-df11-971b-001d60e938c6";
/// `FileType` Link: the row's `Name` is an address.
pub const LINK: &str = "539bc2f8-0ee0-df11-971b-001d60e938c6";
/// `CaseStatus` Resolved: not final, and nobody is alerted any more.
pub const RESOLVED: &str = "ae7f411e-f46b-1410-009b-0050ba5d6c38";
/// `CaseStatus` Closed.
pub const CLOSED: &str = "3e7f420c-f46b-1410-fc9a-0050ba5d6c38";
/// `CaseStatus` Canceled.
pub const CANCELED: &str = "6e5f4218-f46b-1410-fe9a-0050ba5d6c38";
/// `CaseStatus` Reopened.
pub const REOPENED: &str = "f063ebbe-fdc6-4982-8431-d8cfa52fedcf";
/// The object Case, as feed posts name it.
pub const CASE_SCHEMA: &str = "117d32f9-8275-4534-8411-1c66115ce9cd";
/// What an empty lookup reads as. Never written: it is refused as a foreign key.
pub const ZERO: &str = "00000000-0000-0000-0000-000000000000";
