//! Which columns of a case say what state its conversation is in.

use handoffd_contract::settings::Table;

use super::{CODE, is_code};
use crate::plan::Standing;
use crate::wire;

/// The columns that are named; none by default, since a site has none of them by itself.
pub(super) fn columns(top: &mut Table<'_>, levels: &[String]) -> Vec<(Standing, String)> {
    let mut section = top.section("standing");
    let mut named: Vec<(Standing, String)> = Standing::ALL
        .iter()
        .filter_map(|(what, key, _)| Some((*what, section.text_if(key, is_code, CODE)?)))
        .collect();
    section.finish();
    if !levels.is_empty() {
        named.push((Standing::Satisfaction, LEVEL.to_owned()));
    }
    named
}

/// The column of Case for how satisfied the customer is.
const LEVEL: &str = "SatisfactionLevelId";

/// The records of the lookup "Case satisfaction levels" for the scores, the worst first.
pub(super) fn levels(top: &mut Table<'_>) -> Vec<String> {
    let remedy = "write the lookup records' ids, the worst score's first, such as 7e9f1204-f46b-1410-fb9a-0050ba5d6c38";
    let is_guid = |text: &str| wire::guid(text).is_some();
    let ids = top.texts_if("satisfaction_level_ids", is_guid, remedy);
    let ids = ids.unwrap_or_default();
    ids.iter().filter_map(|id| wire::guid(id)).collect()
}
