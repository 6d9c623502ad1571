//! A case that is made to hear what Creatio says of its columns, and deleted again.

use handoffd_contract::{
    Body, Call, Complaint, HttpCall, HttpReply, Method, Step, Trial, Tried, ids, text,
};
use serde_json::{Map, Value};

use crate::errors::{Answer, named};
use crate::words::LONG;
use crate::{Creatio, wire};

/// What its subject begins with.
const MARK: &str = "[handoffd test, is removed again]";
/// Columns by which somebody would be told of it, or it would stand on a customer's page.
const TOLD: &[&str] = &["ContactId", "OwnerId", "GroupId", "AccountId"];

impl Creatio {
    /// The case of the plan, marked, of no contact and with nobody to work on it.
    pub(crate) fn trial_of(&self, steps: &[Step], mark: &str) -> Option<Trial> {
        let mut columns = steps.iter().find_map(|step| self.case_of(step))?;
        let id = ids::uuid(&["creatio", "trial", mark]);
        for told in TOLD {
            columns.remove(*told);
        }
        let subject = columns
            .get("Subject")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let subject = text::truncate(&format!("{MARK} {subject}"), LONG);
        columns.insert("Subject".into(), subject.into());
        columns.insert("Id".into(), id.clone().into());
        let make =
            HttpCall::post(self.path("Case"), columns.into()).header("accept", "application/json");
        Some(Trial {
            says: format!(
                "One case whose subject begins with “{MARK}”, without a contact, an owner and a group. It is deleted as soon \
                 as Creatio has answered; the next case gets the number after its own. Business processes that start when a \
                 case is added may run for it."
            ),
            section: "case",
            make,
            find: HttpCall::get(self.record("Case", &id)).query("$select", "Id"),
        })
    }

    /// The columns of the case that a step makes, alone or among others.
    fn case_of(&self, step: &Step) -> Option<Map<String, Value>> {
        let Call::Http(call) = &step.call else {
            return None;
        };
        let Body::Json(body) = &call.body else {
            return None;
        };
        if call.method == Method::Post && call.path == self.path("Case") {
            return body.as_object().cloned();
        }
        let parts = body["requests"].as_array()?;
        let is_case = |part: &&Value| part["url"] == "Case" && part["method"] == "POST";
        parts.iter().find(is_case)?["body"].as_object().cloned()
    }
}

/// What Creatio said to it.
pub(crate) fn tried(trial: &Trial, reply: &HttpReply) -> Tried {
    let body = reply.json().unwrap_or_default();
    let Body::Json(sent) = &trial.make.body else {
        return Tried::default();
    };
    let ours = sent["Id"].as_str().map(str::to_owned);
    match Answer::of(reply) {
        Answer::Ok => Tried {
            id: body["Id"].as_str().and_then(wire::guid).or(ours),
            complaints: Vec::new(),
        },
        // Its id is our own, so that only the trial itself can be there.
        Answer::Duplicate => Tried {
            id: ours,
            complaints: Vec::new(),
        },
        answer => {
            let message = answer.stop().message;
            let columns: Vec<String> = sent
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect();
            let field = named(&message, columns.iter()).cloned();
            Tried {
                id: None,
                complaints: vec![Complaint { field, message }],
            }
        }
    }
}
