//! Creatio: a case per conversation, an activity per message, written through OData 4.
//!
//! ```text
//! handoff ─► contact by phone ─► case ─► $batch of activities (note, messages, file rows) ─► bytes
//! rep's activity ─► webhook or poll ─► hear ─► reply to WhatsApp
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`settings`] | what a target is configured with, validated |
//! | `facts` | the names of the facts |
//! | `plan` | which calls bring Creatio closer to the work |
//! | `words` | what people read: subject, description, notes, activities |
//! | `read` | what a reply proves; `errors` sorts statuses and the texts of errors |
//! | `hear` | what webhooks and polls say |
//! | `checks` | what `handoffd check --live` reads |
//! | `schema` | the columns and lookups that there are |
//! | `trial` | a case that is made to hear the answer, and deleted again |
//! | `wire`, `standard` | literals, and ids of the default configuration |
//! | `sandbox` | a simulator of the documented API (feature `sandbox`) |
//!
//! Invariants: every row has an id derived from session, target and what it shows, so a repeat
//! cannot make a second one; a row whose outcome is unknown is looked for before it is written
//! again; lookups are filtered by navigation (`Case/Id`), and every read names its columns.

mod checks;
mod errors;
mod facts;
mod hear;
mod plan;
mod read;
#[cfg(feature = "sandbox")]
mod sandbox;
mod schema;
pub mod settings;
mod standard;
mod trial;
mod wire;
mod words;

use handoffd_contract::feed::Read;
use handoffd_contract::settings::AfterEnd;
use handoffd_contract::{
    Check, Connector, Controller, Credential, Data, Feed, Finding, Frame, FrameContent, HttpCall,
    HttpReply, Known, Method, Problem, Refusal, Reply, Schema, SchemaRead, Step, Trial, Tried,
    Verdict, WebhookAuth, Work,
};
use serde_json::Value;

use facts::elsewhere_fact;
use settings::{Mode, Settings, SignIn};

/// A Creatio target.
#[derive(Debug, Clone)]
pub(crate) struct Creatio {
    /// The target's name, under which the engine fetches files from it.
    name: String,
    settings: Settings,
}

/// A connector for the target called `name`.
///
/// # Errors
/// Every problem of the settings, each with its path and remedy.
pub fn connector(name: &str, settings: &Value) -> Result<Box<dyn Connector>, Vec<Problem>> {
    Ok(Box::new(Creatio {
        name: name.to_owned(),
        settings: Settings::read(settings)?,
    }))
}

/// A fresh simulator with strict defaults.
#[cfg(feature = "sandbox")]
#[must_use]
pub fn sandbox() -> Box<dyn handoffd_contract::sandbox::Sandbox> {
    Box::new(sandbox::Site::new())
}

impl Connector for Creatio {
    fn next(&self, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
        self.plan(&work.with_replies_of_others(), known)
    }

    fn recall(&self, work: &Work, known: &Known) -> Vec<String> {
        work.recalls_elsewhere(|message| Some(known.get(&elsewhere_fact(message))?.to_owned()))
    }

    fn read(&self, step: &Step, reply: &Reply) -> Verdict {
        self.judge(step, reply)
    }

    fn feed(&self, work: &Work, known: &Known, cursor: Option<&str>) -> Option<Feed> {
        self.poll(work, known, cursor)
    }

    fn catch_up(&self, work: &Work, known: &Known) -> Option<Read> {
        self.before_a_reply(work, known)
    }

    fn hear(&self, frame: &Frame<'_>) -> Result<FrameContent, Refusal> {
        self.listen(frame)
    }

    fn schema_reads(&self, known: &Schema) -> Vec<SchemaRead> {
        self.left_of_schema(known)
    }

    fn schema_told(
        &self,
        read: &SchemaRead,
        reply: &HttpReply,
        known: Schema,
    ) -> Result<Schema, String> {
        schema::told(read, reply, known)
    }

    fn lacks_field(&self, section: &str, field: &str) -> String {
        let entity = if section == "case" { "Case" } else { "Contact" };
        format!(
            "{entity} has no column {field} in OData; add it in the object designer and publish, or take it out of the mapping"
        )
    }

    fn trial(&self, steps: &[Step], mark: &str) -> Option<Trial> {
        self.trial_of(steps, mark)
    }

    fn tried(&self, trial: &Trial, reply: &HttpReply) -> Tried {
        trial::tried(trial, reply)
    }

    fn trial_undo(&self, id: &str) -> Option<HttpCall> {
        Some(HttpCall::new(Method::Delete, self.record("Case", id)))
    }

    fn refused_field(&self, fact: &str) -> Option<String> {
        facts::dropped_field(fact)
    }

    /// What became of a reply is told by the way back, as `reply.status`.
    fn acts_on(&self, data: &Data) -> bool {
        !matches!(data, Data::MessageStatus(_))
    }

    fn opens(&self, data: &Data) -> bool {
        match data {
            Data::HandoffRequested(_) => true,
            Data::MessageReceived(said) | Data::MessageSent(said) => {
                self.settings.mode == Mode::EveryConversation && said.message.asks()
            }
            _ => false,
        }
    }

    fn shows(&self, controller: &Controller) -> bool {
        let is_ignored = matches!(controller, Controller::Closed { .. })
            && self.settings.after_end == AfterEnd::Ignore;
        self.settings.mode == Mode::EveryConversation || !controller.is_assistant() && !is_ignored
    }

    fn base(&self) -> &str {
        &self.settings.site
    }

    fn credential(&self) -> Credential {
        match &self.settings.sign_in {
            SignIn::OAuth {
                client_id,
                client_secret,
                token_urls,
            } => Credential::ClientCredentials {
                token_urls: token_urls.clone(),
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
            },
            SignIn::Forms { user, password } => Credential::Forms {
                // The sign-in is at the site's root on both kinds of hosting.
                login_url: format!("{}/ServiceModel/AuthService.svc/Login", self.settings.site),
                user: user.clone(),
                password: password.clone(),
            },
        }
    }

    fn webhook(&self) -> Option<WebhookAuth> {
        self.settings
            .webhook_token
            .clone()
            .map(|token| WebhookAuth::PathToken { token })
    }

    fn checks(&self) -> Vec<Check> {
        self.live_checks()
    }

    fn checked(&self, check: &Check, reply: &HttpReply) -> Vec<Finding> {
        self.live_findings(check, reply)
    }
}
