//! The other side: a simulator of HubSpot's documented API.

use handoffd_contract::sandbox::{Request, Response, Sandbox};
use handoffd_contract::Auth;
use jiff::Timestamp;
use serde_json::Value;

/// A portal.
pub struct Portal;

impl Portal {
    /// A portal with everything as documented.
    #[must_use]
    pub fn new() -> Portal {
        Portal
    }
}

impl Sandbox for Portal {
    fn handle(&mut self, _: Timestamp, _: &Request) -> Response {
        Response::empty(503)
    }
    fn view(&self) -> Value {
        Value::Null
    }
    fn act(&mut self, _: Timestamp, _: &Value) -> Result<Value, String> {
        Err("none".into())
    }
    fn switch(&mut self, _: &str, _: &Value) -> Result<(), String> {
        Err("none".into())
    }
    fn credentials(&self, _: &str) -> Value {
        Value::Null
    }
    fn sign_in(&mut self, _: Timestamp, _: &Auth) -> Vec<(String, String)> {
        Vec::new()
    }
}
