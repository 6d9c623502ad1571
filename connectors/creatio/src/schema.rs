//! The site's columns of Case and Contact, and the rows of the lookups that they name.
//!
//! `$metadata` tells names and types, not captions: a column's label is made of its code. Lookups are read
//! by pages, and no further than a person would choose from.
//! <https://academy.creatio.com/docs/8.x/dev/development-on-creatio-platform/integrations-and-api/data-services/odata/overview>

use std::collections::BTreeMap;

use handoffd_contract::schema::{Choice, Field, Holds, MAX_OPTIONS, Options};
use handoffd_contract::{HttpCall, HttpReply, Schema, SchemaRead};

use crate::checks::entity_type;
use crate::errors::Answer;
use crate::{Creatio, wire};

/// The mapping's sections, and the objects whose columns they fill.
const SECTIONS: [(&str, &str); 2] = [("case", "Case"), ("contact", "Contact")];
/// What the first read is called.
const METADATA: &str = "objects and columns";
/// Rows of one page of a lookup.
const PAGE: usize = 200;
/// Pages of one lookup.
const PAGES: usize = MAX_OPTIONS / PAGE;
/// The most lookups that are read.
const MAX_LOOKUPS: usize = 80;
/// Objects that grow with the business: nobody chooses from a list of their rows.
const LARGE: &[&str] = &[
    "Account",
    "Activity",
    "Case",
    "Contact",
    "Contract",
    "Document",
    "Invoice",
    "Lead",
    "Opportunity",
    "Order",
    "Product",
    "SysAdminUnit",
    "SysImage",
];
/// Whether a record is inactive.
/// <https://academy.creatio.com/documents/technic-sdk/7-13/record-deactivation>
const INACTIVE: &str = "RecordInactive";
/// Columns that the site fills by itself.
const READ_ONLY: &[&str] = &[
    "Id",
    "CreatedOn",
    "CreatedById",
    "ModifiedOn",
    "ModifiedById",
    "ProcessListeners",
    "Number",
];

impl Creatio {
    /// What is left to be read.
    pub(crate) fn left_of_schema(&self, known: &Schema) -> Vec<SchemaRead> {
        if !known.has(METADATA) {
            let call = HttpCall::get(self.path("$metadata")).header("accept", "application/xml");
            return vec![SchemaRead::new(METADATA, call)];
        }
        let lookups = known.lookups.iter();
        let pages = lookups.filter_map(|(entity, options)| {
            let page = options.list.len() / PAGE;
            let is_due = options.list.len() % PAGE == 0 && page < PAGES;
            let what = page_of(entity, page);
            let left = is_due && !options.whole && !known.has(&what);
            left.then(|| SchemaRead::new(what, self.rows(entity, page, options.tells_off)))
        });
        pages.collect()
    }

    fn rows(&self, entity: &str, page: usize, tells_off: bool) -> HttpCall {
        let select = if tells_off {
            format!("Id,Name,{INACTIVE}")
        } else {
            "Id,Name".to_owned()
        };
        HttpCall::get(self.path(entity))
            .query("$select", select)
            .query("$orderby", "Name")
            .query("$top", PAGE.to_string())
            .query("$skip", (page * PAGE).to_string())
    }
}

fn page_of(entity: &str, page: usize) -> String {
    format!("rows of {entity}, page {}", page + 1)
}

/// What an answer adds.
///
/// # Errors
/// What Creatio said instead.
pub(crate) fn told(
    read: &SchemaRead,
    reply: &HttpReply,
    mut known: Schema,
) -> Result<Schema, String> {
    if read.what == METADATA {
        match Answer::of(reply) {
            Answer::Ok => columns(&String::from_utf8_lossy(&reply.body), &mut known),
            other => return Err(other.stop().message),
        }
    } else {
        let Some(entity) = entity_of(&read.what).map(str::to_owned) else {
            return Err(format!("`{}` is no read of a schema", read.what));
        };
        match Answer::of(reply) {
            Answer::Ok => rows(&entity, reply, &mut known)?,
            // Without the right to one lookup the others can still be read.
            answer @ (Answer::Forbidden(_)
            | Answer::Missing(_)
            | Answer::NoSet(_)
            | Answer::Refused(_)) => {
                let words = answer.stop().message;
                known
                    .gaps
                    .push(format!("the rows of {entity} could not be read: {words}"));
                known.lookups.remove(&entity);
            }
            other => return Err(other.stop().message),
        }
    }
    known.answered.insert(read.what.clone());
    Ok(known)
}

fn entity_of(what: &str) -> Option<&str> {
    Some(what.strip_prefix("rows of ")?.split_once(", page ")?.0)
}

/// The columns of both objects, and the lookups to read.
fn columns(xml: &str, known: &mut Schema) {
    for (section, entity) in SECTIONS {
        let Some(declared) = entity_type(xml, entity) else {
            // The document may be longer than what is read.
            known.sections.entry(section.to_owned()).or_default().open = true;
            known
                .gaps
                .push(format!("{entity} is not in the metadata that was read"));
            continue;
        };
        let lookups = navigations(declared);
        for attributes in tags(declared, "Property") {
            let (Some(name), Some(of)) = (attributes.get("Name"), attributes.get("Type")) else {
                continue;
            };
            let lookup = name
                .strip_suffix("Id")
                .and_then(|navigation| lookups.get(navigation));
            known.add(
                section,
                name,
                column(name, of, lookup, attributes.get("MaxLength")),
            );
            if let Some(target) = lookup {
                wanted(xml, target, known);
            }
        }
    }
}

/// Notes a lookup that is to be read: one that is not too large and whose rows have names.
fn wanted(xml: &str, target: &str, known: &mut Schema) {
    if LARGE.contains(&target)
        || known.lookups.len() >= MAX_LOOKUPS
        || known.lookups.contains_key(target)
    {
        return;
    }
    let declared = entity_type(xml, target).unwrap_or_default();
    let has = |column: &str| declared.contains(&format!("<Property Name=\"{column}\""));
    if has("Name") {
        let options = Options {
            tells_off: has(INACTIVE),
            ..Options::default()
        };
        known.lookups.insert(target.to_owned(), options);
    }
}

fn column(name: &str, of: &str, lookup: Option<&String>, max: Option<&String>) -> Field {
    let holds = match (lookup, of) {
        (Some(_), _) => Holds::Lookup,
        (None, "Edm.String" | "Edm.Guid") => Holds::Text,
        (None, "Edm.Boolean") => Holds::Bool,
        (None, "Edm.Date") => Holds::Date,
        (None, "Edm.DateTimeOffset") => Holds::Datetime,
        (
            None,
            "Edm.Int16" | "Edm.Int32" | "Edm.Int64" | "Edm.Decimal" | "Edm.Double" | "Edm.Single",
        ) => Holds::Number,
        _ => Holds::Other,
    };
    Field {
        label: label(name, lookup.is_some()),
        holds,
        max: max.and_then(|max| max.parse().ok()),
        read_only: READ_ONLY.contains(&name),
        lookup: lookup.cloned(),
        ..Field::default()
    }
}

/// A code as people read it: `UsrOrderNumber` is `Order number`, the lookup `PriorityId` is `Priority`.
fn label(code: &str, is_lookup: bool) -> String {
    let code = code
        .strip_prefix("Usr")
        .filter(|rest| !rest.is_empty())
        .unwrap_or(code);
    let code = if is_lookup {
        code.strip_suffix("Id").unwrap_or(code)
    } else {
        code
    };
    let mut words = String::new();
    for (at, c) in code.char_indices() {
        if at > 0 && c.is_ascii_uppercase() {
            words.push(' ');
            words.push(c.to_ascii_lowercase());
        } else {
            words.push(c);
        }
    }
    words
}

fn rows(entity: &str, reply: &HttpReply, known: &mut Schema) -> Result<(), String> {
    let body = reply.json().unwrap_or_default();
    let Some(list) = body["value"].as_array() else {
        return Err(format!("the answer for {entity} is no list of rows"));
    };
    let options = known.lookups.entry(entity.to_owned()).or_default();
    for row in list.iter().take(PAGE) {
        let Some(id) = row["Id"].as_str().and_then(wire::guid) else {
            continue;
        };
        let name = row["Name"].as_str().unwrap_or_default();
        options.push(Choice::new(&id, name, row[INACTIVE] == true));
    }
    options.whole = list.len() < PAGE;
    Ok(())
}

/// The navigation properties that lead to one row, and the objects that they lead to.
fn navigations(declared: &str) -> BTreeMap<String, String> {
    let each = tags(declared, "NavigationProperty").filter_map(|attributes| {
        let of = attributes.get("Type")?;
        let target = of.rsplit('.').next()?.to_owned();
        let is_one = !of.starts_with("Collection(");
        is_one.then(|| Some((attributes.get("Name")?.clone(), target)))?
    });
    each.collect()
}

/// The attributes of each tag with this name.
fn tags<'x>(xml: &'x str, name: &'x str) -> impl Iterator<Item = BTreeMap<String, String>> + 'x {
    let begin = format!("<{name} ");
    let mut rest = xml;
    std::iter::from_fn(move || {
        let at = rest.find(&begin)?;
        let inside = &rest[at + begin.len()..];
        let end = inside.find('>').unwrap_or(inside.len());
        rest = &inside[end..];
        Some(attributes(&inside[..end]))
    })
}

fn attributes(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let Some((value, next)) = after.split_once('"') else {
            break;
        };
        found.insert(name.trim().to_owned(), value.to_owned());
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const XML: &str = r#"<edmx:Edmx><EntityType Name="Case"><Property Name="Subject" Type="Edm.String" MaxLength="500" />
<Property Name="CreatedOn" Type="Edm.DateTimeOffset" /><Property Name="PriorityId" Type="Edm.Guid" />
<NavigationProperty Name="Priority" Type="Terrasoft.Configuration.OData.CasePriority" Partner="x" />
<Property Name="ContactId" Type="Edm.Guid" /><NavigationProperty Name="Contact" Type="Terrasoft.Configuration.OData.Contact" />
<NavigationProperty Name="CaseCollectionByX" Type="Collection(Terrasoft.Configuration.OData.Case)" />
<Property Name="UsrOrderNumber" Type="Edm.String" /></EntityType>
<EntityType Name="Contact"><Property Name="Name" Type="Edm.String" /></EntityType>
<EntityType Name="CasePriority"><Property Name="Name" Type="Edm.String" /></EntityType></edmx:Edmx>"#;

    fn answer(what: &str, status: u16, body: &str, known: Schema) -> Result<Schema, String> {
        let read = SchemaRead::new(what, HttpCall::get("/x"));
        let reply = HttpReply {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        told(&read, &reply, known)
    }

    #[test]
    fn columns_and_lookups_come_from_the_metadata() {
        let schema = answer(METADATA, 200, XML, Schema::default()).expect("is read");
        let field = |name: &str| schema.field("case", name).cloned().unwrap_or_default();
        assert_eq!(
            (field("Subject").max, field("Subject").holds),
            (Some(500), Holds::Text)
        );
        assert!(field("CreatedOn").read_only);
        let priority = field("PriorityId");
        assert_eq!(
            (priority.holds, priority.label.as_str()),
            (Holds::Lookup, "Priority")
        );
        assert_eq!(field("UsrOrderNumber").label, "Order number");
        assert_eq!(schema.lacks("case", "UsrNothing"), Some(true));
        // Contacts are too many to choose from.
        assert_eq!(schema.lookups.keys().collect::<Vec<_>>(), ["CasePriority"]);
        let cut = answer(METADATA, 200, "<edmx:Edmx>", Schema::default()).expect("is read");
        assert_eq!(cut.lacks("case", "Subject"), None, "nobody can tell");
    }

    #[test]
    fn a_lookup_is_read_page_by_page_until_its_end() {
        let row = |n: usize| json!({"Id": format!("11111111-aaaa-4000-8000-{n:012}"), "Name": format!("Row {n}")});
        let page = |from: usize, count: usize| {
            let rows: Vec<_> = (from..from + count).map(row).collect();
            json!({"value": rows}).to_string()
        };
        let schema = answer(METADATA, 200, XML, Schema::default()).expect("is read");
        let schema =
            answer(&page_of("CasePriority", 0), 200, &page(0, PAGE), schema).expect("is read");
        assert!(!schema.lookups["CasePriority"].whole);
        let schema =
            answer(&page_of("CasePriority", 1), 200, &page(PAGE, 3), schema).expect("is read");
        let options = &schema.lookups["CasePriority"];
        assert_eq!((options.list.len(), options.whole), (PAGE + 3, true));
    }

    #[test]
    fn a_lookup_that_may_not_be_read_is_a_gap_and_a_site_that_is_down_teaches_nothing() {
        let schema = answer(METADATA, 200, XML, Schema::default()).expect("is read");
        let page = page_of("CasePriority", 0);
        let without = answer(&page, 403, "", schema.clone()).expect("a gap");
        assert!(without.lookups.is_empty() && without.gaps.len() == 1 && without.has(&page));
        for status in [401, 429, 500] {
            assert!(
                answer(&page, status, "", schema.clone()).is_err(),
                "{status}"
            );
        }
    }
}
