//! Error bodies, in the shapes of the five layers that answer.

use handoffd_contract::sandbox::Response;
use serde_json::{Value, json};

/// A refusal: a status and a body.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Fault {
    /// An error of the OData layer.
    pub(super) fn odata(status: u16, text: impl Into<String>) -> Fault {
        Fault::typed(status, text, "Microsoft.OData.ODataException")
    }

    /// An error of the database, wrapped by the OData layer.
    pub(super) fn database(text: impl Into<String>) -> Fault {
        Fault::typed(500, text, "Terrasoft.Common.DbOperationException")
    }

    fn typed(status: u16, text: impl Into<String>, kind: &str) -> Fault {
        let text = text.into();
        let body = json!({ "error": { "code": "", "message": "An error has occurred.",
            "innererror": { "message": text, "type": kind, "stacktrace": "" } } });
        Fault { status, body }
    }

    /// The Web API layer's model error.
    pub(super) fn model(key: &str, text: &str) -> Fault {
        Fault {
            status: 400,
            body: json!({ "Message": "The request is invalid.", "ModelState": { key: [text] } }),
        }
    }

    /// Nothing is routed there.
    pub(super) fn routing(uri: &str, controller: &str) -> Fault {
        let body = json!({
            "Message": format!("No HTTP resource was found that matches the request URI '{uri}'."),
            "MessageDetail": format!("No type was found that matches the controller named '{controller}'."),
        });
        Fault { status: 404, body }
    }

    /// The request is not signed in.
    pub(super) fn denied() -> Fault {
        Fault {
            status: 401,
            body: json!({ "Message": "Authorization has been denied for this request." }),
        }
    }

    /// A right is missing.
    pub(super) fn forbidden(text: &str) -> Fault {
        Fault {
            status: 403,
            body: json!({ "Message": text }),
        }
    }

    /// A missing row: an empty body.
    pub(super) fn missing() -> Fault {
        Fault {
            status: 404,
            body: Value::Null,
        }
    }

    /// As a response.
    pub(super) fn response(&self) -> Response {
        if self.body.is_null() {
            Response::empty(self.status)
        } else {
            Response::json(self.status, &self.body)
        }
    }
}
