//! Message templates and what they accept.
//! <https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account/message_templates>

use handoffd_contract::text::utf16_len;
use serde_json::{Map, Value, json};

use super::fault::Fault;

/// A template in one language.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) name: String,
    pub(super) language: String,
    pub(super) status: String,
    pub(super) category: String,
    pub(super) body: String,
}

/// What the account has from the start.
pub(super) fn shipped() -> Vec<Template> {
    let template =
        |name: &str, language: &str, status: &str, category: &str, body: &str| Template {
            name: name.into(),
            language: language.into(),
            status: status.into(),
            category: category.into(),
            body: body.into(),
        };
    vec![
        template(
            "handoff_reply",
            "en_US",
            "APPROVED",
            "UTILITY",
            "Our team has answered: {{1}}\nReply here to continue.",
        ),
        template(
            "handoff_reply",
            "de",
            "APPROVED",
            "UTILITY",
            "Unser Team hat geantwortet: {{1}}\nAntworten Sie hier.",
        ),
        template(
            "case_update",
            "en_US",
            "APPROVED",
            "UTILITY",
            "Hello {{1}}, there is news on your case {{2}}.",
        ),
        template(
            "reopen_chat",
            "en_US",
            "APPROVED",
            "UTILITY",
            "We have an answer for you. Reply to read it.",
        ),
        template("in_review", "en_US", "PENDING", "UTILITY", "Hello {{1}}."),
    ]
}

impl Template {
    /// As the templates edge shows it.
    pub(super) fn listed(&self, id: usize) -> Value {
        json!({
            "id": (594_425_479_261_596_u64 + id as u64).to_string(),
            "name": self.name,
            "language": self.language,
            "status": self.status,
            "category": self.category,
            "parameter_format": "POSITIONAL",
            "components": [self.component()],
        })
    }
}

impl Template {
    /// The body, with an example where it has parameters.
    fn component(&self) -> Value {
        let mut body = json!({"type": "BODY", "text": self.body});
        let count = self.body.matches("{{").count();
        if count > 0 {
            let example: Vec<String> = (1..=count).map(|n| format!("example {n}")).collect();
            body["example"] = json!({"body_text": [example]});
        }
        body
    }
}

/// The text that the customer reads, or why the template cannot be sent.
pub(super) fn hydrate(
    templates: &[Template],
    object: &Map<String, Value>,
) -> Result<String, Fault> {
    let name = object
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let language = object
        .get("language")
        .and_then(|l| l.get("code"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let template = templates
        .iter()
        .find(|template| template.name == name && template.language == language)
        .filter(|template| !["PENDING", "REJECTED"].contains(&template.status.as_str()))
        .ok_or_else(|| {
            Fault::new(
                132001,
                format!("template name ({name}) does not exist in {language}"),
            )
        })?;
    match template.status.as_str() {
        "PAUSED" => return Err(Fault::new(132015, "The template is paused.")),
        "DISABLED" => return Err(Fault::new(132016, "The template is disabled.")),
        _ => {}
    }
    let given = body_parameters(object)?;
    let wanted = template.body.matches("{{").count();
    if given.len() != wanted {
        let details = format!(
            "body: number of localizable_params ({}) does not match the expected number of params ({wanted})",
            given.len()
        );
        return Err(Fault::new(132000, details));
    }
    let mut text = template.body.clone();
    for (n, parameter) in given.iter().enumerate() {
        text = text.replacen(&format!("{{{{{}}}}}", n + 1), parameter, 1);
    }
    if utf16_len(&text) > 1_024 {
        return Err(Fault::new(132005, "Translated text too long"));
    }
    Ok(text)
}

fn body_parameters(object: &Map<String, Value>) -> Result<Vec<&str>, Fault> {
    let components = object
        .get("components")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let is_body = |c: &&Value| {
        let kind = c.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("body"))
    };
    let body = components.filter(is_body);
    let mut texts = Vec::new();
    for parameter in body
        .filter_map(|c| c.get("parameters").and_then(Value::as_array))
        .flatten()
    {
        let text = parameter
            .get("text")
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Fault::new(131008, "The parameter text is required."))?;
        if text.contains(['\n', '\r', '\t']) || text.contains("     ") {
            let details =
                "Param text cannot have new-line/tab characters or more than 4 consecutive spaces";
            return Err(Fault::new(132018, details));
        }
        texts.push(text);
    }
    Ok(texts)
}
