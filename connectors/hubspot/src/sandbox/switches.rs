//! Switches: documented uncertainties, and faults.

use handoffd_contract::sandbox::Limit;
use serde_json::Value;

use super::Portal;

/// Everything that can be set otherwise; the defaults are as documented.
pub(super) struct Switches {
    pub api_per_10s: usize,
    pub search_per_second: usize,
    pub daily: u64,
    pub retry_after: bool,
    pub search_lag: i64,
    pub scopes: Vec<String>,
    pub subscribed: Vec<String>,
    pub token_valid: bool,
    pub grant_revoked: bool,
    pub conflict_409: bool,
    pub archived_keeps_unique: bool,
    pub merged_ids: bool,
    pub merge_new_id: bool,
    pub missing_association_400: bool,
    pub max_file_bytes: u64,
    pub required_property: Option<String>,
    pub phone_validation: bool,
    pub reply_prefix: String,
}

/// What the client may do when nothing is said.
const SCOPES: [&str; 11] = [
    "tickets",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.owners.read",
    "crm.schemas.contacts.write",
    "files",
    "conversations.read",
    "conversations.write",
    "oauth",
];

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            api_per_10s: 100,
            search_per_second: 5,
            daily: 250_000,
            retry_after: false,
            search_lag: 5,
            scopes: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            subscribed: Vec::new(),
            token_valid: true,
            grant_revoked: false,
            conflict_409: false,
            archived_keeps_unique: true,
            merged_ids: true,
            merge_new_id: false,
            missing_association_400: false,
            max_file_bytes: 100_000_000,
            required_property: None,
            phone_validation: false,
            reply_prefix: "/wa".to_owned(),
        }
    }
}

const NAMES: &str = "webhook_url, webhook_duplicates, webhook_reversed, webhook_retry_seconds, api_per_10s, search_per_second, daily, \
                     retry_after, search_lag, scopes, subscribed, token_valid, expire_tokens, grant_revoked, conflict_409, archived_keeps_unique, merged_ids, merge_new_id, \
                     missing_association_400, max_file_bytes, required_property, phone_country, phone_validation, reply_prefix, bare, old_phones, no_user_id, no_standing";

impl Portal {
    pub(super) fn set_switch(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let flag = || {
            value
                .as_bool()
                .ok_or_else(|| format!("{name} is true or false"))
        };
        let number = || {
            value
                .as_u64()
                .filter(|n| *n <= 10_000_000_000)
                .ok_or_else(|| format!("{name} is a number"))
        };
        let text = || match value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(format!("{name} is a text or null")),
        };
        let texts = || {
            let texts = value.as_array().into_iter().flatten();
            let texts: Vec<String> = texts.filter_map(|t| Some(t.as_str()?.to_owned())).collect();
            match value {
                Value::Array(all) if all.len() == texts.len() => Ok(texts),
                _ => Err(format!("{name} is a list of texts")),
            }
        };
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let switches = &mut self.switches;
        match name {
            "webhook_url" => self.hooks.url = text()?,
            "webhook_duplicates" => self.hooks.duplicates = flag()?,
            "webhook_reversed" => self.hooks.reversed = flag()?,
            "webhook_retry_seconds" => {
                self.hooks.retry_seconds = i64::try_from(number()?).unwrap_or(60)
            }
            "api_per_10s" => {
                switches.api_per_10s = size(number()?);
                self.api = Limit::new(switches.api_per_10s, 10_000);
            }
            "search_per_second" => {
                switches.search_per_second = size(number()?);
                self.searches = Limit::new(switches.search_per_second, 1_000);
            }
            "daily" => switches.daily = number()?,
            "retry_after" => switches.retry_after = flag()?,
            "search_lag" => switches.search_lag = i64::try_from(number()?).unwrap_or(0),
            "scopes" => switches.scopes = texts()?,
            "subscribed" => switches.subscribed = texts()?,
            "token_valid" => switches.token_valid = flag()?,
            "expire_tokens" => {
                if flag()? {
                    self.tokens
                        .values_mut()
                        .for_each(|until| *until = jiff::Timestamp::UNIX_EPOCH);
                }
            }
            "grant_revoked" => switches.grant_revoked = flag()?,
            "conflict_409" => switches.conflict_409 = flag()?,
            "archived_keeps_unique" => switches.archived_keeps_unique = flag()?,
            "merged_ids" => switches.merged_ids = flag()?,
            "merge_new_id" => switches.merge_new_id = flag()?,
            "missing_association_400" => switches.missing_association_400 = flag()?,
            "max_file_bytes" => switches.max_file_bytes = number()?,
            "required_property" => switches.required_property = text()?,
            "phone_country" => self.store.phone_country = text()?,
            "phone_validation" => switches.phone_validation = flag()?,
            "reply_prefix" => switches.reply_prefix = text()?.unwrap_or_default(),
            "bare" => {
                if flag()? {
                    self.schema.bare();
                }
            }
            "no_user_id" => {
                if flag()? {
                    self.schema.without_user_id();
                }
            }
            "no_standing" => {
                if flag()? {
                    self.schema.without_standing();
                }
            }
            "old_phones" => {
                if flag()? {
                    self.schema.without_new_phones();
                }
            }
            _ => return Err(format!("`{name}` is none of: {NAMES}")),
        }
        Ok(())
    }
}
