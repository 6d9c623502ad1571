//! What a poll asks: its parts with their filters, and where each list goes on.

use handoffd_contract::marker::Marker;
use jiff::Timestamp;
use serde_json::Value;

use super::cursor::Cursor;
use super::string;
use crate::{Creatio, standard, wire};

/// Rows of one page: few enough that a page of long messages stays below a reply's limit.
pub(super) const PAGE: usize = 40;
/// What a poll reads of an activity; the rich text of e-mails is not among it.
const POLLED: &str = "Id,Title,DetailedResult,CaseId,CreatedById,CreatedOn,ModifiedOn,TypeId,StatusId,GlobalActivityID";

/// Lists that go on by themselves: a site closes hundreds of cases in one moment while nobody replies.
const LISTS: [&str; 3] = ["activities", "ended", "posts"];

/// Where each of the lists goes on, as text with `;` between.
pub(super) struct Places(Vec<Cursor>);

impl Places {
    pub(super) fn parse(text: Option<&str>) -> Places {
        let mut parts = text.unwrap_or_default().split(';');
        Places(LISTS.iter().map(|_| Cursor::parse(parts.next())).collect())
    }

    pub(super) fn text(&self) -> String {
        let texts: Vec<String> = self.0.iter().map(Cursor::text).collect();
        texts.join(";")
    }

    /// From when on each list is wanted, and how many of its rows an earlier page gave.
    pub(super) fn spots(&self, first: i64) -> Vec<(i64, usize)> {
        let after = |cursor: &Cursor| cursor.newest.map_or(first, |_| cursor.after(i64::MIN));
        let spot = |cursor| (after(cursor), cursor.skip);
        self.0.iter().map(spot).collect()
    }

    /// Takes in a page of one list; its rows that were not seen before.
    pub(super) fn turn<'a>(&mut self, tag: &str, found: &'a [Value], time: &str) -> Vec<&'a Value> {
        let at = LISTS.iter().position(|list| *list == tag);
        let Some(cursor) = at.and_then(|at| self.0.get_mut(at)) else {
            return Vec::new();
        };
        cursor.turn(found.len(), PAGE, newest(found, time));
        found
            .iter()
            .filter(|row| cursor.is_new(string(row, "Id"), string(row, "ModifiedOn")))
            .collect()
    }
}

/// From when on a list is wanted, and from which row on.
fn from(spots: &[(i64, usize)], tag: &str) -> (String, usize) {
    let at = LISTS.iter().position(|list| *list == tag).unwrap_or(0);
    let (after, skip) = spots.get(at).copied().unwrap_or_default();
    (wire::millis(after), skip)
}

/// What a poll reads, besides the activities: its tag and `$filter`, `$select`, entity set.
pub(super) struct Part {
    pub tag: &'static str,
    pub set: &'static str,
    pub query: Vec<(&'static str, String)>,
}

fn list(filter: String, select: &str, order: &str, skip: usize) -> Vec<(&'static str, String)> {
    // The id makes the order of rows of one moment the same on every page.
    let order = format!("{order},Id");
    let mut query = vec![
        ("$filter", filter),
        ("$select", select.to_owned()),
        ("$orderby", order),
        ("$top", PAGE.to_string()),
    ];
    if skip > 0 {
        query.push(("$skip", skip.to_string()));
    }
    query
}

impl Creatio {
    /// The parts for these cases, or for all of the site when there are none.
    pub(super) fn parts(&self, cases: &[&str], spots: &[(i64, usize)]) -> Vec<Part> {
        let of_cases = |path: &str| {
            let terms: Vec<String> = cases
                .iter()
                .map(|case| format!("{path} eq {case}"))
                .collect();
            match terms.is_empty() {
                true => String::new(),
                false => format!("({}) and ", terms.join(" or ")),
            }
        };
        let (after, _) = from(spots, "activities");
        let time = self.time();
        let types: Vec<String> = self
            .settings
            .reply_types
            .iter()
            .map(|kind| format!("Type/Id eq {kind}"))
            .collect();
        let mut activities = format!(
            "{}{time} gt {after} and ({})",
            of_cases("Case/Id"),
            types.join(" or ")
        );
        if self.settings.reply_when_completed {
            activities.push_str(&format!(
                " and Status/Id eq {}",
                self.settings.activity_status
            ));
        }
        if let Some(contact) = &self.settings.integration_contact {
            activities.push_str(&format!(" and CreatedBy/Id ne {contact}"));
        }
        let (Marker::Prefix(prefix), []) = (&self.settings.reply_marker, cases) else {
            return self.all_parts(activities, cases, spots);
        };
        // Of all that a site's people complete, only what may be a reply is read. Whether `contains`
        // minds the case is up to the database. What is almost the marker is read too, for the hint.
        let mut spellings = vec![prefix.clone(), prefix.to_lowercase(), prefix.to_uppercase()];
        if let Some(word) = prefix.strip_prefix('/') {
            spellings.extend([format!("/ {word}"), format!("\\{word}")]);
        }
        spellings.sort_unstable();
        spellings.dedup();
        let terms: Vec<String> = spellings
            .iter()
            .flat_map(|word| ["DetailedResult", "Title"].map(|column| (column, word)))
            .map(|(column, word)| format!("contains({column},{})", wire::quoted(word)))
            .collect();
        activities.push_str(&format!(" and ({})", terms.join(" or ")));
        self.all_parts(activities, cases, spots)
    }

    fn all_parts(&self, activities: String, cases: &[&str], spots: &[(i64, usize)]) -> Vec<Part> {
        let (after, skip) = from(spots, "activities");
        let activities = list(activities, POLLED, self.time(), skip);
        let (ended_after, ended_skip) = from(spots, "ended");
        let (posts_after, posts_skip) = from(spots, "posts");
        let which = match cases.first() {
            Some(case) => format!("Id eq {case}"),
            None => format!("ModifiedOn gt {ended_after}"),
        };
        let ended = format!("{which} and (Status/IsFinal eq true or Status/IsResolved eq true)");
        let mut parts = vec![
            Part {
                tag: "activities",
                set: "Activity",
                query: activities,
            },
            Part {
                tag: "ended",
                set: "Case",
                query: list(ended, "Id,StatusId,ModifiedOn", "ModifiedOn", ended_skip),
            },
        ];
        let any = |path: &str| {
            let terms: Vec<String> = cases
                .iter()
                .map(|case| format!("{path} eq {case}"))
                .collect();
            terms.join(" or ")
        };
        if self.settings.feed_replies {
            let of = match cases.is_empty() {
                true => format!("EntitySchemaUId eq {}", standard::CASE_SCHEMA),
                false => format!("({})", any("EntityId")),
            };
            parts.push(Part {
                tag: "posts",
                set: "SocialMessage",
                query: list(
                    format!("{of} and CreatedOn gt {posts_after}"),
                    "Id,Message,EntityId,CreatedById,CreatedOn",
                    "CreatedOn",
                    posts_skip,
                ),
            });
        }
        if cases.is_empty() {
            return parts;
        }
        parts.push(Part {
            tag: "owner",
            set: "Case",
            query: list(which, "Id,OwnerId,CreatedById,ModifiedOn", "ModifiedOn", 0),
        });
        if !self.settings.report.is_empty() {
            // By itself: a column that the site lacks costs this part alone.
            let columns = self.settings.report.join(",");
            let which = format!("Id eq {}", cases.first().unwrap_or(&""));
            let select = format!("Id,ModifiedOn,ModifiedById,{columns}");
            parts.push(Part {
                tag: "columns",
                set: "Case",
                query: list(which, &select, "ModifiedOn", 0),
            });
        }
        if self.settings.reply_files {
            parts.push(Part {
                tag: "files",
                set: "ActivityFile",
                query: list(
                    format!("({}) and CreatedOn gt {after}", any("Activity/Case/Id")),
                    "Id,Name,Size,ActivityId,CreatedById,CreatedOn",
                    "CreatedOn",
                    0,
                ),
            });
        }
        parts
    }
}

/// When the newest of these rows is from.
pub(super) fn newest(rows: &[Value], column: &str) -> Option<i64> {
    rows.iter()
        .filter_map(|row| string(row, column).parse::<Timestamp>().ok())
        .map(Timestamp::as_millisecond)
        .max()
}
