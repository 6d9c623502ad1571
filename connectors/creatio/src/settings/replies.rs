//! What of a rep's activities is a reply, and where its state is shown.

use handoffd_contract::settings::Table;

use crate::{standard, wire};

/// Which activities of a rep are replies to the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// Every activity of a reply type on the case that we did not write.
    All,
    /// Only those whose text or title begins with this.
    Prefix(String),
}

/// Which replies get an activity that shows how far they have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyLine {
    /// Each.
    Always,
    /// Those that are held or have failed.
    Trouble,
}

/// What makes an activity a reply. The default protects: what a rep does not mark stays internal.
pub(super) fn marker(top: &mut Table<'_>) -> Marker {
    let marked = top.choice("reply_marker", &[("prefix", true), ("all", false)], true);
    if !marked {
        if top.value("reply_prefix").is_some() {
            top.problem(
                "reply_prefix",
                "has no effect with reply_marker = \"all\"; leave one of the two out",
            );
        }
        return Marker::All;
    }
    let prefix = top.text_if(
        "reply_prefix",
        |prefix| !prefix.contains(char::is_whitespace) && !prefix.contains(['<', '>', '&']),
        "write one word without <, > or &, such as /wa",
    );
    Marker::Prefix(prefix.unwrap_or_else(|| standard::PREFIX.to_owned()))
}

pub(super) fn reply_types(top: &mut Table<'_>) -> Vec<String> {
    let id = |name: &str| match name.to_ascii_lowercase().as_str() {
        "task" => Some(standard::TASK.to_owned()),
        "call" => Some(standard::CALL.to_owned()),
        _ => wire::guid(name),
    };
    let remedy = "write \"task\", \"call\" or the id of an ActivityType";
    let named = top.texts_if("reply_types", |name| id(name).is_some(), remedy);
    let types: Vec<String> = named.iter().flatten().filter_map(|name| id(name)).collect();
    if types.is_empty() {
        return vec![standard::TASK.to_owned()];
    }
    types
}
