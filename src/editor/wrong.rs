//! Why a call is not answered.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Editor;
use crate::access::Person;
use crate::ledger::LedgerError;

/// Why a call is not answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Wrong {
    /// There is no such thing.
    NotFound(String),
    /// The request is not one that can be answered: what, and what to do.
    Bad(String),
    /// Who asks may not.
    Forbidden(String),
    /// Somebody else was faster: what is there now.
    Conflict(Value),
    /// A precondition is not named.
    Unconditional(String),
    /// It cannot be done as it is: what stands in the way.
    Refused(Value),
    /// The CRM cannot be asked.
    Unreachable(String),
    /// The ledger failed.
    Ledger(LedgerError),
}

impl From<LedgerError> for Wrong {
    fn from(error: LedgerError) -> Wrong {
        Wrong::Ledger(error)
    }
}

impl Wrong {
    /// The status, and what is answered.
    #[must_use]
    pub fn parts(self) -> (StatusCode, Value) {
        let said = |words: String| json!({"error": words});
        match self {
            Wrong::NotFound(words) => (StatusCode::NOT_FOUND, said(words)),
            Wrong::Bad(words) => (StatusCode::BAD_REQUEST, said(words)),
            Wrong::Forbidden(words) => (StatusCode::FORBIDDEN, said(words)),
            Wrong::Conflict(body) => (StatusCode::CONFLICT, body),
            Wrong::Unconditional(words) => (StatusCode::PRECONDITION_REQUIRED, said(words)),
            Wrong::Refused(body) => (StatusCode::UNPROCESSABLE_ENTITY, body),
            Wrong::Unreachable(words) => (StatusCode::BAD_GATEWAY, said(words)),
            Wrong::Ledger(error) => (StatusCode::SERVICE_UNAVAILABLE, said(error.to_string())),
        }
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let (status, body) = self.parts();
        (status, Json(body)).into_response()
    }
}

impl Editor {
    /// Notes in the audit log what somebody did.
    pub(super) async fn note(
        &self,
        person: &Person,
        what: &str,
        object: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<(), Wrong> {
        self.audit.note(person, what, object, before, after).await?;
        Ok(())
    }

    /// Whether values are shown as they are: asked for, allowed, and noted before the answer leaves.
    pub(super) async fn unmasked(
        &self,
        person: &Person,
        wanted: bool,
        object: &str,
    ) -> Result<bool, Wrong> {
        if !wanted {
            return Ok(false);
        }
        if !person.may_unmask {
            return Err(Wrong::Forbidden("this needs the right to unmask".into()));
        }
        self.note(person, "unmask", object, None, None).await?;
        Ok(true)
    }
}
