//! The objects and columns that handoffd reads and writes, in the site's metadata.

use handoffd_contract::Finding;

use crate::Creatio;
use crate::plan::Standing;

impl Creatio {
    pub(super) fn metadata(&self, xml: &str) -> Vec<Finding> {
        let mut needed: Vec<(&str, Vec<&str>)> = vec![
            (
                "Case",
                vec![
                    "Subject",
                    "Symptoms",
                    "ContactId",
                    "OriginId",
                    "StatusId",
                    "RegisteredOn",
                ],
            ),
            (
                "Activity",
                vec![
                    "Title",
                    "DetailedResult",
                    "StartDate",
                    "CaseId",
                    "ContactId",
                    "GlobalActivityID",
                    "ShowInScheduler",
                ],
            ),
            ("CaseFile", vec!["Name", "CaseId", "TypeId"]),
            ("Contact", vec!["Name", "MobilePhone"]),
            (
                "ContactCommunication",
                vec!["Number", "SearchNumber", "ContactId", "NonActual"],
            ),
        ];
        if self.settings.reply_files {
            needed.push(("ActivityFile", vec!["Name", "ActivityId"]));
        }
        if self.settings.feed_replies {
            needed.push(("SocialMessage", vec!["Message", "EntityId"]));
        }
        needed[0]
            .1
            .extend(self.settings.case_columns.iter().map(String::as_str));
        needed[0]
            .1
            .extend(self.settings.report.iter().map(String::as_str));
        let standing = self.settings.standing.iter();
        needed[0]
            .1
            .extend(standing.map(|(_, column)| column.as_str()));
        needed[1]
            .1
            .extend(self.settings.reply_column.iter().map(String::as_str));
        let whole = xml.trim_end().ends_with('>') && xml.contains("</edmx:Edmx>");
        let mut findings = Vec::new();
        for (entity, columns) in needed {
            let Some(declared) = entity_type(xml, entity) else {
                findings.push(match (whole, entity) {
                    (false, _) => Finding::ok(format!("{entity} (the metadata was longer than what is read; not verified)")),
                    (true, "Case") => Finding::missing("Case", "this site has no Case object: install Case management (Service) and grant the integration user access to it"),
                    (true, _) => Finding::missing(entity, "the object is not in OData"),
                });
                continue;
            };
            for column in columns {
                let there = declared.contains(&format!("Name=\"{column}\""));
                findings.push(if there {
                    Finding::ok(format!("{entity}.{column}"))
                } else {
                    Finding::missing(
                        format!("{entity}.{column}"),
                        "the column is not in OData: add it in the object designer, publish, and wait two minutes; \
                         mind the code's prefix (Usr) and a lookup's ending (Id)",
                    )
                });
            }
        }
        findings.extend(self.unused(xml));
        findings
    }

    /// Columns for the conversation's state that are there and are not filled.
    fn unused(&self, xml: &str) -> Vec<Finding> {
        let declared = entity_type(xml, "Case").unwrap_or_default();
        let set = |what| self.settings.standing.iter().any(|(set, _)| *set == what);
        Standing::ALL
            .iter()
            .filter(|(what, _, column)| {
                !set(*what) && declared.contains(&format!("Name=\"{column}\""))
            })
            .map(|(_, key, column)| {
                Finding::ok(format!(
                    "Case.{column} (not filled; standing.{key} = \"{column}\" fills it)"
                ))
            })
            .collect()
    }
}

/// The text of one entity type's declaration.
pub(crate) fn entity_type<'a>(xml: &'a str, entity: &str) -> Option<&'a str> {
    let from = xml.find(&format!("<EntityType Name=\"{entity}\""))?;
    let rest = &xml[from..];
    Some(&rest[..rest.find("</EntityType>").unwrap_or(rest.len())])
}
