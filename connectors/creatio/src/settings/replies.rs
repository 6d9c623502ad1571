//! What of a rep's activities is a reply, and where its state is shown.

use handoffd_contract::settings::Table;

use crate::{standard, wire};

/// Which replies get an activity that shows how far they have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyLine {
    /// Each.
    Always,
    /// Those that are held or have failed.
    Trouble,
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
