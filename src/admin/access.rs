//! The admin API's people: who asks, who may sign in, tokens, and the audit log.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::Admin;
use super::operate::{failed, refuse};
use crate::access::tokens::{NotMade, Wanted};
use crate::access::{Person, Role};
use crate::ledger::LedgerError;
use crate::ledger::access::{AuditFilter, TokenRow};
use crate::operate::mask;

/// Entries of the audit log in one answer, where nothing else is asked for; and at most.
const PAGE: usize = 50;
const MAX_PAGE: usize = 200;

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    /// Their name in the audit log.
    name: String,
    /// What they may.
    role: Role,
    /// Whether they may see names and texts of customers.
    unmask: bool,
    /// How they are known: `password`, `openid`, `link`, `proxy`, `admin token`, `token: NAME` or
    /// `this machine`.
    by: String,
    /// What a form repeats as `csrf`, and a script as `X-CSRF-Token`; null where nothing must be.
    csrf: Option<String>,
    /// The ways to sign in that are configured.
    sign_in: Ways,
}

/// The ways to sign in that are configured.
#[derive(Serialize, ToSchema)]
struct Ways {
    /// At a provider.
    openid: bool,
    /// With a name and a password.
    password: bool,
}

/// Who asks, and what they may.
#[utoipa::path(get, path = "/v1/me", tag = "access", responses((status = 200, body = Me)))]
pub(super) async fn me(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
) -> Json<Me> {
    let ways = admin.access.ways();
    Json(Me {
        by: person.by.shown(),
        name: person.name,
        role: person.role,
        unmask: person.may_unmask,
        csrf: person.csrf,
        sign_in: Ways {
            openid: ways.openid,
            password: ways.password,
        },
    })
}

/// Everybody who may sign in or has.
#[derive(Serialize, ToSchema)]
pub(super) struct Users {
    /// By name.
    users: Vec<User>,
}

/// Somebody who may sign in or has.
#[derive(Serialize, ToSchema)]
struct User {
    /// Their name in the audit log.
    name: String,
    /// What they may, or might when they were last seen.
    role: Role,
    /// `file` for those of the configuration, else how they signed in: `openid` or `link`.
    from: String,
    /// When they were last seen, to the minute; null where they never were.
    last_seen: Option<Timestamp>,
}

/// Who may sign in, and who did.
#[utoipa::path(get, path = "/v1/users", tag = "access", responses((status = 200, body = Users)))]
pub(super) async fn users(State(admin): State<Arc<Admin>>) -> Response {
    let seen = match admin.access.ledger().people("").await {
        Ok(seen) => seen,
        Err(error) => return failed(&error),
    };
    let mut users: BTreeMap<(String, String), User> = BTreeMap::new();
    for (name, role) in admin.access.users() {
        let user = User {
            name: name.to_owned(),
            role,
            from: "file".into(),
            last_seen: None,
        };
        users.insert((name.to_owned(), "password".into()), user);
    }
    for row in seen {
        let key = (row.name, row.way);
        if let Some(user) = users.get_mut(&key) {
            user.last_seen = Some(row.seen_at);
            continue;
        }
        // Who was taken out of the file signs in no more.
        let (Some(role), false) = (Role::parse(&row.role), key.1 == "password") else {
            continue;
        };
        let user = User {
            name: key.0.clone(),
            role,
            from: key.1.clone(),
            last_seen: Some(row.seen_at),
        };
        users.insert(key, user);
    }
    let users = users.into_values().collect();
    Json(Users { users }).into_response()
}

/// The tokens that there are.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    /// In the order in which they were made.
    tokens: Vec<Token>,
}

/// A token of a script, without the token itself.
#[derive(Serialize, ToSchema)]
struct Token {
    /// Its id, which is no secret.
    id: String,
    /// What it is for.
    name: String,
    /// Who made it.
    owner: String,
    /// What it may, as long as its maker may it too.
    role: Role,
    /// Whether it may see names and texts of customers.
    unmask: bool,
    /// When it was made.
    made_at: Timestamp,
    /// When it ends; null for never.
    until: Option<Timestamp>,
    /// When it was last used, to the minute; null where it never was.
    last_used: Option<Timestamp>,
}

impl Token {
    fn of(row: TokenRow) -> Option<Token> {
        Some(Token {
            role: Role::parse(&row.role)?,
            id: row.id,
            name: row.name,
            owner: row.owner,
            unmask: row.unmask,
            made_at: row.made_at,
            until: row.until,
            last_used: row.used_at,
        })
    }
}

/// The tokens that there are.
#[utoipa::path(get, path = "/v1/tokens", tag = "access", responses((status = 200, body = Tokens)))]
pub(super) async fn tokens(State(admin): State<Arc<Admin>>) -> Response {
    match admin.access.ledger().tokens("").await {
        Ok(rows) => {
            let tokens = rows.into_iter().filter_map(Token::of).collect();
            Json(Tokens { tokens }).into_response()
        }
        Err(error) => failed(&error),
    }
}

/// What is wanted of a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// What it is for, in at most 80 characters.
    #[schema(min_length = 1, max_length = 80)]
    name: String,
    /// What it may: at most what its maker may.
    role: Role,
    /// Whether it may see names and texts of customers.
    #[serde(default)]
    unmask: bool,
    /// How many days it lasts; for ever where it is left out.
    #[schema(minimum = 1, maximum = 3650)]
    days: Option<i64>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    /// The token itself, which is shown now and never again.
    secret: String,
    /// What it is.
    token: Token,
}

/// Makes a token of a script.
#[utoipa::path(post, path = "/v1/tokens", tag = "access", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = 400, description = "It is not described well", body = super::Wrong)))]
pub(super) async fn make_token(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Json(wanted): Json<NewToken>,
) -> Response {
    let wanted = Wanted {
        name: wanted.name,
        role: wanted.role,
        unmask: wanted.unmask,
        days: wanted.days,
    };
    match admin.access.make_token(&person, wanted).await {
        Ok((secret, row)) => match Token::of(row) {
            Some(token) => {
                let made = Json(MadeToken { secret, token });
                (StatusCode::CREATED, made).into_response()
            }
            None => failed(&LedgerError::Failed("a token without a role".into())),
        },
        Err(NotMade::Wrong(words)) => refuse(&words),
        Err(NotMade::May(words)) => {
            (StatusCode::FORBIDDEN, Json(json!({"error": words}))).into_response()
        }
        Err(NotMade::Ledger(error)) => failed(&error),
    }
}

/// Takes a token away; it is of no use from now on.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "access", params(("id" = String, Path, description = "The token's id")),
    responses((status = 200, body = Revoked), (status = 404, description = "There is no such token", body = super::Wrong)))]
pub(super) async fn revoke_token(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Path(id): Path<String>,
) -> Response {
    match admin.access.revoke_token(&person, &id).await {
        Ok(Some(row)) => Json(Revoked { revoked: row.name }).into_response(),
        Ok(None) => {
            let words = json!({"error": "there is no token with this id"});
            (StatusCode::NOT_FOUND, Json(words)).into_response()
        }
        Err(error) => failed(&error),
    }
}

/// A token that was taken away.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    /// What it was for.
    revoked: String,
}

/// Which entries of the audit log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Only of this person.
    who: Option<String>,
    /// Only of this kind, such as `retry`.
    what: Option<String>,
    /// Only older than the entry with this number.
    after: Option<i64>,
    /// How many: 50 where it is left out, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// Entries of the audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    /// Newest first.
    entries: Vec<Entry>,
    /// What to give as `after` for older ones; null where there are none.
    next: Option<i64>,
}

/// What somebody did.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct Entry {
    /// Its number.
    id: i64,
    /// When.
    at: Timestamp,
    /// Who.
    who: String,
    /// How they were known, or by which token.
    by: String,
    /// What they did.
    what: String,
    /// To what.
    object: String,
    /// What was there before.
    before: Option<Value>,
    /// What was there afterwards.
    after: Option<Value>,
    /// `done`, or why not.
    outcome: String,
}

/// What was done by whom, newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "access", params(AuditQuery),
    responses((status = 200, body = AuditPage)))]
pub(super) async fn audit(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<AuditQuery>,
) -> Response {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return refuse(&format!("limit: the number {limit}; write 1 to {MAX_PAGE}"));
    }
    let filter = AuditFilter {
        who: query.who,
        what: query.what,
        after: query.after,
        // One more shows whether there are older ones.
        limit: limit + 1,
    };
    let mut rows = match admin.access.ledger().audit(&filter).await {
        Ok(rows) => rows,
        Err(error) => return failed(&error),
    };
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| is_more).map(|(id, _)| *id);
    let value = |text: Option<String>| {
        let mut value = serde_json::from_str(&text?).ok()?;
        hide_sessions(&mut value);
        Some(value)
    };
    let entries = rows.into_iter().map(|(id, entry)| Entry {
        id,
        at: entry.at,
        who: entry.who,
        by: entry.way,
        what: entry.what,
        object: mask::session(&entry.object, None),
        before: value(entry.before),
        after: value(entry.after),
        outcome: entry.outcome,
    });
    let entries = entries.collect();
    Json(AuditPage { entries, next }).into_response()
}

/// Hides the customers' digits in the ids of sessions that stand in a value.
fn hide_sessions(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide_sessions),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(id) if name == "session" => *id = mask::session(id, None),
                    other => hide_sessions(other),
                }
            }
        }
        _ => {}
    }
}
