//! What the pages read: how things are, conversations found and listed, and what happened in one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use handoffd_contract::Controller;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::Admin;
use super::operate::{failed, refuse, sources};
use crate::access::Person;
use crate::connectors;
use crate::ledger::LedgerError;
use crate::ledger::view::{ConversationFilter, Standing, WindowState};
use crate::operate::listing::{self, Page};
use crate::operate::overview::{self, Live, Overview, Range};
use crate::operate::search::{self, MAX_SEARCH, Remembered, Search};
use crate::operate::status::gather;
use crate::operate::timeline::{self, Asked, Timeline};
use crate::operate::unmask::MAX_REASON;

/// Over which time the overview's figures are.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverviewQuery {
    /// `1h`, `24h` (as when it is left out) or `7d`.
    range: Option<String>,
}

/// How things are: what needs a person, each target, and how much flows.
#[utoipa::path(
    get, path = "/v1/overview", tag = "overview", params(OverviewQuery),
    responses(
        (status = 200, body = Overview),
        (status = 400, description = "The range is none of 1h, 24h, 7d."),
        (status = 503, description = "The ledger cannot be read."),
    )
)]
pub(crate) async fn overview(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<OverviewQuery>,
) -> Response {
    let range = match query.range.as_deref().map(Range::parse) {
        None => Range::default(),
        Some(Some(range)) => range,
        Some(None) => return refuse("range must be 1h, 24h or 7d"),
    };
    answer(admin.overview(range).await)
}

impl Admin {
    /// How things are, with figures over this time.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn overview(&self, range: Range) -> Result<Overview, LedgerError> {
        let now = Timestamp::now();
        let (status, stats) = tokio::join!(gather(sources(self)), self.ledger.stats(now));
        let live: BTreeMap<String, Live> = self
            .engine
            .targets
            .iter()
            .map(|(name, target)| {
                let rate = target.budgets.in_use().map(Into::into);
                let kind = target.kind.to_owned();
                (name.clone(), Live { kind, rate })
            })
            .collect();
        overview::gather(&status?, &stats?, &*self.view, &live, range).await
    }

    /// The session that an address means: by its id, or by its number where the id is not to be shown.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn session_called(&self, key: &str) -> Result<Option<String>, LedgerError> {
        match key
            .strip_prefix('~')
            .map(|hex| i64::from_str_radix(hex, 16))
        {
            Some(Ok(number)) => self.view.session_numbered(number).await,
            _ => Ok(Some(key.to_owned())),
        }
    }

    /// The session that is meant by a name that may be its number; what is not known stays as it is.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub(super) async fn named(
        &self,
        session: Option<String>,
    ) -> Result<Option<String>, LedgerError> {
        let Some(key) = session else { return Ok(None) };
        Ok(Some(self.session_called(&key).await?.unwrap_or(key)))
    }

    /// A page of conversations, as this person may see them.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn listed(
        &self,
        person: &Person,
        filter: ConversationFilter,
    ) -> Result<Page, LedgerError> {
        let shown = self.unmasked.of(&person.name);
        listing::page(&*self.view, filter, &shown).await
    }

    /// A conversation's timeline, as this person may see it; `None` when the ledger knows nothing of it.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn timeline(
        &self,
        person: &Person,
        session: &str,
        asked: Asked,
    ) -> Result<Option<Timeline>, LedgerError> {
        let ways_back: Vec<String> = self
            .engine
            .targets
            .values()
            .filter(|target| connectors::is_way_back(target.kind))
            .map(|target| target.name.clone())
            .collect();
        let sources = timeline::Sources {
            operator: &*self.ledger,
            view: &*self.view,
            targets: &self.configured,
            ways_back: &ways_back,
        };
        let unmasked_until = self
            .unmasked
            .of(&person.name)
            .until(session, Timestamp::now());
        let asked = Asked {
            unmasked_until,
            ..asked
        };
        timeline::of(&sources, session, &asked).await
    }
}

/// Which conversations.
#[derive(Debug, Default, Clone, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    /// A session, a record's id or a link to it, or a word that `POST /v1/search` gave.
    pub q: Option<String>,
    /// Who is in charge: `assistant`, `queued`, `rep`, `returned` or `closed`.
    pub controller: Option<String>,
    /// A target that has taken it on.
    pub target: Option<String>,
    /// How it stands: `well`, `trying`, `held`, `unknown` or `parked`.
    pub state: Option<String>,
    /// WhatsApp's window: `open`, `closing` within two hours while people have it, or `closed`.
    pub window: Option<String>,
    /// The business number.
    pub number: Option<String>,
    /// In which something happened since then: a time, or `1h`, `24h`, `7d`, `30d`.
    pub since: Option<String>,
    /// Goes on where another page ended: its `next`.
    pub after: Option<i64>,
    /// At most so many, up to 200; 50 where it is left out.
    pub limit: usize,
}

/// Why a list cannot be had as it was asked for.
pub(crate) enum Unlisted {
    /// The question is not one.
    Refused(String),
    /// The word for a search is not known any more.
    Forgotten,
    /// The ledger failed.
    Failed(LedgerError),
}

impl ListQuery {
    /// The filter that is meant. A phone or an address in `q` is refused: it would stand in logs.
    pub(crate) async fn filter(&self, admin: &Admin) -> Result<ConversationFilter, Unlisted> {
        let refused = |words: &str| Err(Unlisted::Refused(words.to_owned()));
        let given = |word: &Option<String>| word.clone().filter(|word| !word.is_empty());
        let mut filter = ConversationFilter {
            controller: given(&self.controller),
            target: given(&self.target),
            number: given(&self.number),
            before: self.after,
            limit: self.limit.min(200),
            ..ConversationFilter::default()
        };
        if let Some(word) = &filter.controller
            && !Controller::WORDS.contains(&word.as_str())
        {
            return refused("controller must be assistant, queued, rep, returned or closed");
        }
        match given(&self.state).as_deref().map(Standing::parse) {
            Some(None) => return refused("state must be well, trying, held, unknown or parked"),
            other => filter.state = other.flatten(),
        }
        match given(&self.window).as_deref().map(WindowState::parse) {
            Some(None) => return refused("window must be open, closing or closed"),
            other => filter.window = other.flatten(),
        }
        match given(&self.since).as_deref().map(since) {
            Some(None) => return refused("since must be a time, or 1h, 24h, 7d or 30d"),
            other => filter.since = other.flatten(),
        }
        if let Some(q) = given(&self.q) {
            let search = if Remembered::is_word(&q) {
                admin.searches.recall(&q).ok_or(Unlisted::Forgotten)?
            } else {
                match Search::parse(&q) {
                    Some(search) if !search.is_personal() => search,
                    Some(_) => {
                        return refused(
                            "a telephone number, an e-mail address or a message's id does not belong into an \
                             address: send it by POST /v1/search",
                        );
                    }
                    None => return refused("q must have 1 to 500 characters"),
                }
            };
            let found = search::find(&*admin.view, &search).await;
            filter.sessions = Some(found.map_err(Unlisted::Failed)?);
        }
        Ok(filter)
    }
}

fn since(text: &str) -> Option<Timestamp> {
    let back = |hours| Some(Timestamp::now() - SignedDuration::from_hours(hours));
    match text {
        "1h" => back(1),
        "24h" => back(24),
        "7d" => back(7 * 24),
        "30d" => back(30 * 24),
        time => time.parse().ok(),
    }
}

/// Conversations, those in which something happened last first; names and numbers masked.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "conversations", params(ListQuery),
    responses(
        (status = 200, body = Page),
        (status = 400, description = "A parameter is not one of those that there are."),
        (status = 410, description = "The search is not remembered any more; send it again."),
        (status = 503, description = "The ledger cannot be read."),
    )
)]
pub(crate) async fn sessions(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Query(query): Query<ListQuery>,
) -> Response {
    match query.filter(&admin).await {
        Ok(filter) => answer(admin.listed(&person, filter).await),
        Err(why) => unlisted(why),
    }
}

fn unlisted(why: Unlisted) -> Response {
    match why {
        Unlisted::Refused(words) => refuse(&words),
        Unlisted::Forgotten => {
            let words = json!({"error": "this search is not remembered any more: send it again"});
            (StatusCode::GONE, Json(words)).into_response()
        }
        Unlisted::Failed(error) => failed(&error),
    }
}

/// What somebody looks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchBody {
    /// A session, a telephone number in any spelling, an e-mail address, the id of a record in a CRM or a link
    /// to it, or a message's id on WhatsApp's side.
    q: String,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Found {
    /// The conversations by what they are called in addresses, at most 200.
    keys: Vec<String>,
    /// What stands for the search as `q` of `GET /v1/sessions`, for an hour.
    q: String,
}

/// Finds conversations by what a person is known by. Nothing of it gets into an address.
#[utoipa::path(
    post, path = "/v1/search", tag = "conversations", request_body = SearchBody,
    responses(
        (status = 200, body = Found),
        (status = 400, description = "The search is empty or too long."),
        (status = 503, description = "The ledger cannot be read."),
    )
)]
pub(crate) async fn find(
    State(admin): State<Arc<Admin>>,
    Json(body): Json<SearchBody>,
) -> Response {
    match admin.found(&body.q).await {
        Ok(Some((keys, q))) => Json(Found { keys, q }).into_response(),
        Ok(None) => refuse(&format!("q must have 1 to {MAX_SEARCH} characters")),
        Err(error) => failed(&error),
    }
}

impl Admin {
    /// The conversations that a search leads to, by what they are called in addresses, and the word that
    /// stands for it; `None` where it is no search.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn found(&self, text: &str) -> Result<Option<(Vec<String>, String)>, LedgerError> {
        let Some(search) = Search::parse(text) else {
            return Ok(None);
        };
        let sessions = search::find(&*self.view, &search).await?;
        let mut keys = Vec::with_capacity(sessions.len());
        for session in &sessions {
            // Where only the customer's data say that digits of it are theirs, it is called by its number
            // as well.
            let number = self.view.number_of(session).await?;
            keys.push(timeline::key(session, number, None));
        }
        let q = if search.is_personal() {
            self.searches.remember(&search)
        } else {
            text.trim().to_owned()
        };
        Ok(Some((keys, q)))
    }
}

/// What of a timeline.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TimelineQuery {
    /// Goes on where another page ended: its `next`.
    pub after: Option<i64>,
    /// `newest` first, as when it is left out, or `oldest` first.
    pub order: Option<String>,
    /// `messages`, or a target.
    pub only: Option<String>,
}

impl TimelineQuery {
    /// What is asked for; `None` where the order is none.
    pub(crate) fn asked(self) -> Option<Asked> {
        let oldest_first = match self.order.as_deref() {
            None | Some("" | "newest") => false,
            Some("oldest") => true,
            Some(_) => return None,
        };
        Some(Asked {
            after: self.after,
            oldest_first,
            only: self.only.filter(|only| !only.is_empty()),
            unmasked_until: None,
        })
    }
}

/// What happened in one conversation, across gateway, ledger, CRM and WhatsApp; 50 entries a page.
#[utoipa::path(
    get, path = "/v1/sessions/{id}/timeline", tag = "conversations",
    params(("id" = String, Path, description = "The session, or its `key`."), TimelineQuery),
    responses(
        (status = 200, body = Timeline),
        (status = 400, description = "The order is neither newest nor oldest."),
        (status = 404, description = "The ledger knows nothing of it."),
        (status = 503, description = "The ledger cannot be read."),
    )
)]
pub(crate) async fn session_timeline(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Path(id): Path<String>,
    Query(query): Query<TimelineQuery>,
) -> Response {
    let Some(asked) = query.asked() else {
        return refuse("order must be newest or oldest");
    };
    let found = async {
        let Some(session) = admin.session_called(&id).await? else {
            return Ok(None);
        };
        admin.timeline(&person, &session, asked).await
    };
    match found.await {
        Ok(Some(timeline)) => Json(timeline).into_response(),
        Ok(None) => unknown(),
        Err(error) => failed(&error),
    }
}

/// Why names and texts are to be shown.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnmaskBody {
    /// Why, in words; it stands in the audit log.
    reason: String,
}

/// Until when names and texts are shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Unmasking {
    /// Until then, to who asked and of this conversation alone.
    #[schema(value_type = String)]
    until: Timestamp,
}

/// Shows names and texts of one conversation to who asks, for ten minutes.
#[utoipa::path(
    post, path = "/v1/sessions/{id}/unmask", tag = "conversations", request_body = UnmaskBody,
    params(("id" = String, Path, description = "The session, or its `key`.")),
    responses(
        (status = 200, body = Unmasking),
        (status = 400, description = "There is no reason, or it is too long."),
        (status = 403, description = "Who asks may not unmask."),
        (status = 404, description = "The ledger knows nothing of it."),
        (status = 503, description = "The ledger cannot be read or written."),
    )
)]
pub(crate) async fn unmask(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Path(id): Path<String>,
    Json(body): Json<UnmaskBody>,
) -> Response {
    match admin.unmask(&person, &id, &body.reason).await {
        Ok(until) => Json(Unmasking { until }).into_response(),
        Err(why) => why.into_response(),
    }
}

/// Hides names and texts of a conversation from who asks again.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}/unmask", tag = "conversations",
    params(("id" = String, Path, description = "The session, or its `key`.")),
    responses(
        (status = 204, description = "They are hidden."),
        (status = 503, description = "The ledger cannot be read."),
    )
)]
pub(crate) async fn mask(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Path(id): Path<String>,
) -> Response {
    match admin.session_called(&id).await {
        Ok(session) => {
            admin.unmasked.end(&person.name, &session.unwrap_or(id));
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => failed(&error),
    }
}

/// Why names and texts are not shown.
pub enum StillMasked {
    /// Who asks may not.
    Forbidden,
    /// No reason was given.
    NoReason,
    /// The ledger knows nothing of the conversation.
    Unknown,
    /// The ledger failed.
    Failed(LedgerError),
}

impl IntoResponse for StillMasked {
    fn into_response(self) -> Response {
        match self {
            StillMasked::Forbidden => {
                let words = json!({"error": "this needs the right to unmask"});
                (StatusCode::FORBIDDEN, Json(words)).into_response()
            }
            StillMasked::NoReason => {
                refuse(&format!("reason must have 1 to {MAX_REASON} characters"))
            }
            StillMasked::Unknown => unknown(),
            StillMasked::Failed(error) => failed(&error),
        }
    }
}

impl Admin {
    /// From now on this person sees names and texts of this conversation. It is noted first.
    ///
    /// # Errors
    /// They may not, or say not why, or it is not known.
    pub async fn unmask(
        &self,
        person: &Person,
        key: &str,
        reason: &str,
    ) -> Result<Timestamp, StillMasked> {
        if !person.may_unmask {
            return Err(StillMasked::Forbidden);
        }
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > MAX_REASON {
            return Err(StillMasked::NoReason);
        }
        let called = self
            .session_called(key)
            .await
            .map_err(StillMasked::Failed)?;
        let session = called.ok_or(StillMasked::Unknown)?;
        let number = self
            .view
            .number_of(&session)
            .await
            .map_err(StillMasked::Failed)?;
        if number.is_none() {
            return Err(StillMasked::Unknown);
        }
        let called = timeline::key(&session, number, None);
        self.note_unmasking(person, &called, reason).await?;
        Ok(self
            .unmasked
            .begin(&person.name, &session, Timestamp::now()))
    }

    /// Notes in the audit log that somebody sees a conversation, before they do.
    async fn note_unmasking(
        &self,
        person: &Person,
        called: &str,
        reason: &str,
    ) -> Result<(), StillMasked> {
        let noted = self
            .access
            .audit()
            .note(
                person,
                "unmask",
                called,
                None,
                Some(json!({"reason": reason})),
            )
            .await;
        noted.map_err(StillMasked::Failed)
    }
}

fn unknown() -> Response {
    let words = json!({"error": "the ledger knows nothing of this session"});
    (StatusCode::NOT_FOUND, Json(words)).into_response()
}

fn answer<T: Serialize>(outcome: Result<T, LedgerError>) -> Response {
    match outcome {
        Ok(value) => Json(value).into_response(),
        Err(error) => failed(&error),
    }
}
