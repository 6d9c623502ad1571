//! Which columns of a case say what state its conversation is in.

use handoffd_contract::settings::Table;

use super::{CODE, is_code};
use crate::plan::Standing;

/// The columns that are named; none by default, since a site has none of them by itself.
pub(super) fn columns(top: &mut Table<'_>) -> Vec<(Standing, String)> {
    let mut section = top.section("standing");
    let named = Standing::ALL
        .iter()
        .filter_map(|(what, key, _)| Some((*what, section.text_if(key, is_code, CODE)?)))
        .collect();
    section.finish();
    named
}
