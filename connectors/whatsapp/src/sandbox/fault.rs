//! Error answers of the Cloud API, in the documented shape.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>

use handoffd_contract::sandbox::Response;
use serde_json::{Value, json};

/// A refusal: a code and what is wrong in particular.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) code: i64,
    pub(super) details: String,
    pub(super) subcode: Option<i64>,
}

/// Code, HTTP status (of Meta's former table, where one is known), title.
const TITLES: &[(i64, u16, &str)] = &[
    (1, 400, "API Unknown"),
    (2, 503, "API Service"),
    (3, 500, "API Method"),
    (4, 400, "API Too Many Calls"),
    (10, 403, "Permission Denied"),
    (100, 400, "Invalid parameter"),
    (190, 401, "Access token has expired"),
    (200, 403, "API Permission"),
    (368, 403, "Temporarily blocked for policies violations"),
    (80007, 400, "Rate limit issues"),
    (130429, 400, "Rate limit hit"),
    (
        130497,
        403,
        "Business account is restricted from messaging users in this country.",
    ),
    (131000, 500, "Something went wrong"),
    (131005, 403, "Access denied"),
    (131008, 400, "Required parameter is missing"),
    (131009, 400, "Parameter value is not valid"),
    (131016, 500, "Service unavailable"),
    (131021, 400, "Recipient cannot be sender"),
    (131026, 400, "Message undeliverable"),
    (131030, 400, "Recipient phone number not in allowed list"),
    (131031, 403, "Account has been locked"),
    (131042, 400, "Business eligibility payment issue"),
    (131045, 500, "Incorrect certificate"),
    (131047, 400, "Re-engagement message"),
    (131048, 400, "Spam rate limit hit"),
    (
        131049,
        400,
        "This message was not delivered to maintain healthy ecosystem engagement.",
    ),
    (131050, 400, "User has stopped marketing messages"),
    (131051, 400, "Unsupported message type"),
    (131053, 400, "Media upload error"),
    (
        131056,
        400,
        "(Business Account, Consumer Account) pair rate limit hit",
    ),
    (131057, 500, "Account in maintenance mode"),
    (
        131062,
        400,
        "Business-scoped User ID (BSUID) recipients are not supported for this message.",
    ),
    (132000, 400, "Template Param Count Mismatch"),
    (132001, 404, "Template does not exist"),
    (132005, 400, "Template Hydrated Text Too Long"),
    (132015, 400, "Template is Paused"),
    (132016, 400, "Template is Disabled"),
    (132018, 400, "Template Parameter Validation Error"),
    (133004, 503, "Server Temporarily Unavailable"),
    (133010, 400, "Phone number Not Registered"),
];

impl Fault {
    /// A refusal.
    pub(super) fn new(code: i64, details: impl Into<String>) -> Fault {
        Fault {
            code,
            details: details.into(),
            subcode: None,
        }
    }

    /// A value that is not valid.
    pub(super) fn invalid(details: impl Into<String>) -> Fault {
        Fault::new(100, details)
    }

    /// An id in the path that does not exist, or that this token may not see.
    pub(super) fn unknown_object(id: &str) -> Fault {
        let details = format!(
            "Unsupported request. Object with ID '{id}' does not exist, cannot be loaded due to missing permissions, or \
             does not support this operation"
        );
        Fault {
            code: 100,
            details,
            subcode: Some(33),
        }
    }

    /// The code's title.
    pub(super) fn title(&self) -> &'static str {
        title(self.code)
    }

    /// The answer; `trace` is WhatsApp's id of the request.
    pub(super) fn response(&self, trace: u64) -> Response {
        let status = TITLES
            .iter()
            .find(|(code, ..)| *code == self.code)
            .map_or(400, |(_, status, _)| *status);
        let mut error = json!({
            "message": format!("(#{}) {}", self.code, self.title()),
            "type": "OAuthException",
            "code": self.code,
            "error_data": {"messaging_product": "whatsapp", "details": self.details},
            "fbtrace_id": format!("A{trace:022}"),
        });
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = subcode.into();
        }
        Response::json(status, &json!({"error": error}))
    }

    /// The form in a status webhook.
    pub(super) fn in_status(&self) -> Value {
        json!({
            "code": self.code,
            "title": self.title(),
            "message": self.title(),
            "error_data": {"details": self.details},
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        })
    }
}

/// A code's title.
pub(super) fn title(code: i64) -> &'static str {
    TITLES
        .iter()
        .find(|(known, ..)| *known == code)
        .map_or("Unknown error", |(_, _, title)| *title)
}
