//! The objects of the site: entity sets, their columns, and the rows of the default configuration.

use std::collections::BTreeMap;

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text of at most so many UTF-16 units; unlimited when 0.
    Text(usize),
    /// A plain id, without a foreign key.
    Guid,
    /// A foreign key. The column's name ends in `Id`; without it, it is the navigation property.
    Lookup(String),
    /// A moment.
    Date,
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// Bytes.
    Stream,
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its code.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether a row without it is refused.
    pub required: bool,
}

/// The entity sets by name.
#[derive(Debug, Clone)]
pub(super) struct Schema(pub(super) BTreeMap<String, Vec<Column>>);

/// Columns of each entity set: `name:kind`, with `!` where it is required. Kinds: a number is a
/// text's width, `max`, `guid`, `date`, `bool`, `int`, `stream`, else the lookup's entity.
const ENTITIES: &[(&str, &str)] = &[
    (
        "Contact",
        "Name:250! Surname:250 GivenName:250 MiddleName:250 Phone:250 MobilePhone:250 HomePhone:250 Email:250 JobTitle:250 Notes:max \
         Confirmed:bool DoNotUseCall:bool DoNotUseEmail:bool TypeId:ContactType OwnerId:Contact AccountId:Account",
    ),
    ("Account", "Name:250!"),
    (
        "ContactCommunication",
        "ContactId:Contact! CommunicationTypeId:CommunicationType! Number:250! SearchNumber:250 Primary:bool NonActual:bool \
         Position:int SocialMediaId:250",
    ),
    (
        "Case",
        "Number:50 RegisteredOn:date Subject:500! Symptoms:max Solution:max Notes:max OwnerId:Contact StatusId:CaseStatus \
         PriorityId:CasePriority OriginId:CaseOrigin CategoryId:CaseCategory ContactId:Contact AccountId:Account GroupId:SysAdminUnit \
         ParentCaseId:Case ParentActivityId:Activity ResponseDate:date SolutionDate:date RespondedOn:date SolutionProvidedOn:date \
         ClosureDate:date SatisfactionLevelId:SatisfactionLevel SatisfactionLevelComment:max UsrCategory:250 UsrSentiment:250 UsrLanguage:50 UsrSessionId:250 \
         UsrSummary:max UsrOrderNumber:50 UsrTopicId:UsrTopic UsrEscalated:bool",
    ),
    ("UsrTopic", "Name:250!"),
    ("SatisfactionLevel", "Name:250!"),
    (
        "Activity",
        "Title:500! StartDate:date DueDate:date PriorityId:ActivityPriority AuthorId:Contact OwnerId:Contact OrganizerId:Contact \
         TypeId:ActivityType ActivityCategoryId:ActivityCategory StatusId:ActivityStatus DetailedResult:max Notes:max Body:max \
         IsHtmlBody:bool ShowInScheduler:bool AccountId:Account ContactId:Contact CaseId:Case Sender:250 Recepient:max CopyRecepient:max \
         SendDate:date Preview:250 GlobalActivityID:250 MailHash:50 IsNotPublished:bool ServiceProcessed:bool DurationInMinutes:int",
    ),
    (
        "CaseFile",
        "Name:250! CaseId:Case! TypeId:FileType Notes:max Version:int Size:int TotalSize:int Data:stream Tag:250 IsNeedToNotify:bool SysFileStorageId:guid",
    ),
    (
        "ActivityFile",
        "Name:250! ActivityId:Activity! TypeId:FileType Notes:max Version:int Size:int TotalSize:int Data:stream Tag:250 Uploaded:bool Inline:bool SysFileStorageId:guid",
    ),
    (
        "SocialMessage",
        "EntitySchemaUId:guid EntityId:guid Message:max! ParentId:SocialMessage LikeCount:int CommentCount:int LastActionOn:date",
    ),
    (
        "CaseStatus",
        "Name:250! IsFinal:bool IsResolved:bool IsPaused:bool IsDisplayed:bool IsCloseOnSave:bool ButtonCaption:50 StageNumber:int",
    ),
    ("CasePriority", "Name:250!"),
    ("CaseOrigin", "Name:250!"),
    ("CaseCategory", "Name:250!"),
    ("ContactType", "Name:250!"),
    ("CommunicationType", "Name:250!"),
    ("ActivityType", "Name:250!"),
    ("ActivityStatus", "Name:250! Finish:bool"),
    ("ActivityPriority", "Name:250!"),
    ("ActivityCategory", "Name:250!"),
    ("FileType", "Name:250!"),
    (
        "SysAdminUnit",
        "Name:250! ContactId:Contact SysAdminUnitTypeValue:int",
    ),
];

/// Whether a record is inactive.
/// <https://academy.creatio.com/documents/technic-sdk/7-13/record-deactivation>
pub(super) const INACTIVE: &str = "RecordInactive";

/// What every object has.
const BASE: &str = "Id:guid CreatedOn:date CreatedById:Contact ModifiedOn:date ModifiedById:Contact ProcessListeners:int";

impl Schema {
    /// The default configuration with Case management, and a few columns of a tenant's own (`Usr…`).
    pub(super) fn new() -> Schema {
        let mut schema = Schema(BTreeMap::new());
        for (entity, columns) in ENTITIES {
            let columns = BASE
                .split(' ')
                .chain(columns.split(' '))
                .filter_map(parse)
                .collect();
            schema.0.insert((*entity).to_owned(), columns);
        }
        schema
    }

    /// Adds a column, as an admin does: `Case`, `UsrCategory`, and a kind as in the table above.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn add(&mut self, entity: &str, name: &str, kind: &str) -> Result<(), String> {
        let column = parse(&format!("{name}:{kind}"))
            .filter(|c| c.name.starts_with("Usr"))
            .ok_or("a column's code begins with Usr")?;
        if let Kind::Lookup(target) = &column.kind {
            if !name.ends_with("Id") {
                return Err("a lookup's column ends in Id".into());
            }
            if !self.0.contains_key(target) {
                let columns = BASE
                    .split(' ')
                    .chain(["Name:250!"])
                    .filter_map(parse)
                    .collect();
                self.0.insert(target.clone(), columns);
            }
        }
        let columns = self.0.get_mut(entity).ok_or("no such entity")?;
        columns.retain(|known| known.name != column.name);
        columns.push(column);
        Ok(())
    }

    /// Lets records of an entity be deactivated, as an admin does in the object designer.
    pub(super) fn allow_inactive(&mut self, entity: &str) {
        let columns = self.0.entry(entity.to_owned()).or_default();
        if !columns.iter().any(|column| column.name == INACTIVE) {
            columns.extend(parse(&format!("{INACTIVE}:bool")));
        }
    }

    /// A column of an entity set.
    pub(super) fn column(&self, entity: &str, name: &str) -> Option<&Column> {
        self.0
            .get(entity)?
            .iter()
            .find(|column| column.name == name)
    }

    /// The entity that a navigation property leads to, and the column that it stands for.
    pub(super) fn navigate(&self, entity: &str, name: &str) -> Option<(&str, &str)> {
        let column = self
            .0
            .get(entity)?
            .iter()
            .find(|column| column.name.strip_suffix("Id") == Some(name))?;
        match &column.kind {
            Kind::Lookup(target) => Some((target, &column.name)),
            _ => None,
        }
    }

    /// The CSDL document.
    pub(super) fn metadata(&self) -> String {
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><edmx:Edmx Version=\"4.0\" xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\">\
             <edmx:DataServices><Schema Namespace=\"Terrasoft.Configuration.OData\" xmlns=\"http://docs.oasis-open.org/odata/ns/edm\">",
        );
        for (entity, columns) in &self.0 {
            xml.push_str(&format!(
                "<EntityType Name=\"{entity}\"><Key><PropertyRef Name=\"Id\" /></Key>"
            ));
            for column in columns {
                let edm = match column.kind {
                    Kind::Text(_) => "Edm.String",
                    Kind::Guid | Kind::Lookup(_) => "Edm.Guid",
                    Kind::Date => "Edm.DateTimeOffset",
                    Kind::Bool => "Edm.Boolean",
                    Kind::Int => "Edm.Int32",
                    Kind::Stream => "Edm.Stream",
                };
                xml.push_str(&format!(
                    "<Property Name=\"{}\" Type=\"{edm}\" Nullable=\"false\" />",
                    column.name
                ));
                if let (Kind::Lookup(target), Some(nav)) =
                    (&column.kind, column.name.strip_suffix("Id"))
                {
                    xml.push_str(&format!(
                        "<NavigationProperty Name=\"{nav}\" Type=\"Terrasoft.Configuration.OData.{target}\" Partner=\"{entity}CollectionBy{nav}\" />"
                    ));
                }
            }
            // The other end of every lookup that leads here.
            for (from, columns) in &self.0 {
                for column in columns {
                    if let (Kind::Lookup(target), Some(nav)) =
                        (&column.kind, column.name.strip_suffix("Id"))
                        && target == entity
                    {
                        xml.push_str(&format!(
                            "<NavigationProperty Name=\"{from}CollectionBy{nav}\" Type=\"Collection(Terrasoft.Configuration.OData.{from})\" Partner=\"{nav}\" />"
                        ));
                    }
                }
            }
            xml.push_str("</EntityType>");
        }
        xml.push_str("<EntityContainer Name=\"Container\">");
        for entity in self.0.keys() {
            xml.push_str(&format!("<EntitySet Name=\"{entity}\" EntityType=\"Terrasoft.Configuration.OData.{entity}\" />"));
        }
        xml.push_str("</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>");
        xml
    }
}

fn parse(text: &str) -> Option<Column> {
    let (name, kind) = text.trim().split_once(':')?;
    let required = kind.ends_with('!');
    let kind = match kind.trim_end_matches('!') {
        "max" => Kind::Text(0),
        "guid" => Kind::Guid,
        "date" => Kind::Date,
        "bool" => Kind::Bool,
        "int" => Kind::Int,
        "stream" => Kind::Stream,
        other => match other.parse() {
            Ok(width) => Kind::Text(width),
            Err(_) => Kind::Lookup(other.to_owned()),
        },
    };
    Some(Column {
        name: name.to_owned(),
        kind,
        required,
    })
}
