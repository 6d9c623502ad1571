//! The trait, and the data that describes a target to the engine.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::availability::Availability;
use crate::controller::Controller;
use crate::event::Data;
use crate::feed::{Feed, Frame, FrameContent, Read};
use crate::known::Known;
use crate::schema::{Schema, SchemaRead};
use crate::step::{HttpCall, HttpReply, Record, Reply, Step};
use crate::trial::{Trial, Tried};
use crate::verdict::{Refusal, Stop, Verdict};
use crate::work::Work;

/// A CRM (or WhatsApp) written as pure functions.
///
/// Laws, which the proof suite checks:
///
/// 1. `next` and `read` are functions: the same arguments give the same answer.
/// 2. When every step of `next` has become known, `next` sooner or later answers with no steps.
/// 3. A fact that is unsure is never claimed again by a [`Repeat::Blind`](crate::Repeat::Blind) step.
/// 4. Crash, lost answer, 429 or 5xx at any place: the other side ends as in the quiet run.
pub trait Connector: Send + Sync {
    /// Every call that can be made now to bring the target closer to showing `work`; none when it
    /// already does.
    ///
    /// # Errors
    /// [`Refusal::Hold`] when it must wait for something to happen in the session,
    /// [`Refusal::Park`] when a person is needed.
    fn next(&self, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal>;

    /// Events of the session that the target showed already and that are work again, by their ids.
    /// Those that `work` does not hold are loaded and put before its items.
    fn recall(&self, work: &Work, known: &Known) -> Vec<String> {
        let _ = (work, known);
        Vec::new()
    }

    /// The field, as `section.name` of its mapping, that the CRM did not take and that is left out
    /// from now on, where the fact with this name says that.
    fn refused_field(&self, fact: &str) -> Option<String> {
        let _ = fact;
        None
    }

    /// What the target's reply to `step` proves about the step's facts.
    fn read(&self, step: &Step, reply: &Reply) -> Verdict;

    /// The lane is stopped, and this is why: what those whose replies wait are told now, each reply and
    /// cause once, and when to ask again. Asked whenever a lane was stopped, also while the target's
    /// circuit is open, and when a reply comes to a lane that is stopped; nothing is called for it.
    ///
    /// A record for facts that are known again is empty, so that nothing is told twice.
    fn waiting(&self, work: &Work, known: &Known, stop: &Stop) -> Waiting {
        let _ = (work, known, stop);
        Waiting::default()
    }

    /// Where to listen for this session's rep, if anywhere; `cursor` is what the last poll left.
    fn feed(&self, work: &Work, known: &Known, cursor: Option<&str>) -> Option<Feed> {
        let _ = (work, known, cursor);
        None
    }

    /// What to read of this session's record before a rep's reply there is taken from a webhook, a
    /// stream or a search: what was written earlier is then heard earlier, also where its webhook is
    /// late or lost and where no feed is asked. Its reply leaves no cursor.
    fn catch_up(&self, work: &Work, known: &Known) -> Option<Read> {
        match self.feed(work, known, None)? {
            Feed::Stream { backfill, .. } | Feed::Poll { backfill, .. } => backfill,
        }
    }

    /// What the target is telling us, each thing with the target's own id.
    ///
    /// # Errors
    /// [`Refusal::Park`] when the frame cannot be understood.
    fn hear(&self, frame: &Frame<'_>) -> Result<FrameContent, Refusal> {
        let _ = frame;
        Ok(FrameContent::default())
    }

    /// Names of the facts that hold where the message that this event tells of is one that we sent
    /// through this target, the surest first.
    fn sent_facts(&self, data: &Data) -> Vec<String> {
        let _ = data;
        Vec::new()
    }

    /// Whether this event opens a lane for a session that has none in this target.
    fn opens(&self, data: &Data) -> bool {
        matches!(data, Data::HandoffRequested(_))
    }

    /// Whether this event, whatever is known, may be work for a lane that has nothing else to do. Where it
    /// never is, the lane is not woken for it and never sees it.
    fn acts_on(&self, data: &Data) -> bool {
        let _ = data;
        true
    }

    /// Whether the target's mapping has something to say of this event, although it opens no record. What
    /// fails for such an event is left out and stops nothing.
    fn renders(&self, data: &Data) -> bool {
        let _ = data;
        false
    }

    /// Whether what the customer and the assistant say while this one is in charge is shown as it comes.
    /// What is not opens nothing and is no work: the next handoff's transcript holds it.
    fn shows(&self, controller: &Controller) -> bool {
        !controller.is_assistant()
    }

    /// The base address that relative paths are joined to, without a trailing slash.
    fn base(&self) -> &str;

    /// How the target is signed in to.
    fn credential(&self) -> Credential;

    /// The target's rate budgets. The one named `api`, if any, is drawn on by every HTTP call.
    fn budgets(&self) -> Vec<Budget> {
        Vec::new()
    }

    /// The exchanges that the target publishes to, each once.
    fn exchanges(&self) -> Vec<Exchange> {
        Vec::new()
    }

    /// How the target's webhooks prove that they are the target's; none are taken when `None`.
    fn webhook(&self) -> Option<WebhookAuth> {
        None
    }

    /// Hosts, beside the base address's own, from which this target's files may be fetched:
    /// exact names, or suffixes beginning with a dot.
    fn file_hosts(&self) -> Vec<String> {
        Vec::new()
    }

    /// How the bytes of a WhatsApp media id are found; only the WhatsApp connector knows.
    fn media_lookup(&self, media_id: &str) -> Option<MediaLookup> {
        let _ = media_id;
        None
    }

    /// What `handoffd check --live` verifies in the target, in order.
    fn checks(&self) -> Vec<Check> {
        Vec::new()
    }

    /// What the reply to a check means.
    fn checked(&self, check: &Check, reply: &HttpReply) -> Vec<Finding> {
        let _ = check;
        if reply.ok() {
            vec![Finding::ok(check.what)]
        } else {
            vec![Finding::missing(
                check.what,
                format!("answered {}", reply.status),
            )]
        }
    }

    /// The message of the conversation that this record of the target shows, by the lane's facts; `None`
    /// where it shows none.
    fn quoted(&self, known: &Known, record: &str) -> Option<String> {
        let _ = (known, record);
        None
    }

    /// A read that tells whether reps are there now; none where the CRM cannot be asked.
    fn availability(&self) -> Option<HttpCall> {
        None
    }

    /// What the reply to it says of this time.
    fn available(&self, reply: &HttpReply, now: Timestamp) -> Availability {
        let _ = (reply, now);
        Availability::unknown("the CRM does not tell")
    }

    /// What is known of the CRM's fields before anything is asked, from the settings alone.
    fn schema(&self) -> Schema {
        Schema::default()
    }

    /// What is left to be read of the CRM's fields, given what is known; none when everything is read, and
    /// where the CRM cannot be asked.
    fn schema_reads(&self, known: &Schema) -> Vec<SchemaRead> {
        let _ = known;
        Vec::new()
    }

    /// What the answer to such a read adds to what is known. The read is then among the answered ones.
    ///
    /// # Errors
    /// What the other side said instead of an answer, in words. Nothing is learned from it.
    fn schema_told(
        &self,
        read: &SchemaRead,
        reply: &HttpReply,
        known: Schema,
    ) -> Result<Schema, String> {
        let _ = (read, reply);
        Ok(known)
    }

    /// That the CRM lacks a field of the mapping, and what to do about it.
    fn lacks_field(&self, section: &str, field: &str) -> String {
        format!("the {section} has no field {field}; add it, or take it out of the mapping")
    }

    /// The field, as `section.name` of its mapping, of which a CRM's words complain, where they name one
    /// among these.
    fn field_named(&self, message: &str, fields: &[String]) -> Option<String> {
        let words: Vec<&str> = message
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .collect();
        let named = |field: &&String| {
            let name = field.rsplit('.').next().unwrap_or(field);
            // `Name` and `Id` are words of every message; they name no field.
            !matches!(name, "Id" | "Name") && words.contains(&name)
        };
        fields.iter().find(named).cloned()
    }

    /// Of planned steps, the one whose fields can be tried with a record that is removed again. `mark` is
    /// what the record is recognised by. `None` where nothing can be tried without leaving something behind.
    fn trial(&self, steps: &[Step], mark: &str) -> Option<Trial> {
        let _ = (steps, mark);
        None
    }

    /// What the CRM's answer to a trial says, or to the read that finds it.
    fn tried(&self, trial: &Trial, reply: &HttpReply) -> Tried {
        let _ = (trial, reply);
        Tried::default()
    }

    /// The call that removes a trial's record.
    fn trial_undo(&self, id: &str) -> Option<HttpCall> {
        let _ = id;
        None
    }
}

/// What is told of replies that wait.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Waiting {
    /// Facts and events, stored together.
    pub record: Record,
    /// When to look again even if nothing happens.
    pub again: Option<Timestamp>,
}

/// How the bytes of a media id are found.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaLookup {
    /// The call whose JSON reply holds the address (`url`) and perhaps the size (`file_size`).
    pub call: HttpCall,
    /// The hosts, exact or as suffixes beginning with a dot, to which the target's own token may be
    /// shown in order to fetch from that address.
    pub hosts: Vec<String>,
    /// The host in that address gives way to the target's own.
    pub by_base: bool,
}

/// A secret's name in the configuration. Connectors never see the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret(pub String);

/// How a target is signed in to, as data.
#[derive(Debug, Clone, PartialEq)]
pub enum Credential {
    /// No sign-in.
    None,
    /// A static bearer token.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// A static key in a header of the API's own.
    Header {
        /// The header's name in lower case.
        name: String,
        /// What stands before the key, such as `Bearer `.
        prefix: String,
        /// The key.
        key: Secret,
    },
    /// HTTP's basic sign-in.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// OAuth 2.0 client credentials.
    ClientCredentials {
        /// Token addresses, tried in order until one is a token endpoint.
        token_urls: Vec<String>,
        /// The client id.
        client_id: String,
        /// The client secret.
        client_secret: Secret,
    },
    /// OAuth 2.0 refresh token.
    RefreshToken {
        /// The token address.
        token_url: String,
        /// The client id.
        client_id: String,
        /// The client secret.
        client_secret: Secret,
        /// The refresh token.
        refresh_token: Secret,
    },
    /// A token per customer: our identity JWT, exchanged at MIAW.
    Miaw {
        /// `…/authorization/authenticated/access-token`, absolute.
        token_url: String,
        /// `…/authorization/continuation-access-token`, absolute.
        continuation_url: String,
        /// The organisation's id, 15 characters.
        org_id: String,
        /// The deployment's developer name.
        es_developer_name: String,
        /// `capabilitiesVersion`.
        capabilities_version: String,
        /// JWT `kid`.
        key_id: String,
        /// JWT `iss`.
        issuer: String,
        /// JWT `aud`, where the organisation wants one.
        audience: Option<String>,
        /// The PEM of the RSA key.
        private_key: Secret,
        /// JWT lifetime.
        lifetime: Duration,
        /// Tokens per minute that the organisation allows.
        per_minute: u32,
    },
    /// A signature over each call, as Standard Webhooks have it.
    /// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
    StandardWebhooks {
        /// The signing secret, and the previous one during a change: each signs.
        secrets: Vec<Secret>,
    },
    /// Creatio's form sign-in with cookies and a CSRF header.
    Forms {
        /// `…/ServiceModel/AuthService.svc/Login`, absolute.
        login_url: String,
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// A token bucket; or, with a `refill` of 0, a sliding window: each call is given back `per` after it was
/// taken, so that no more than `burst` are taken in any `per`.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// The name.
    pub name: &'static str,
    /// How many calls may come at once.
    pub burst: u32,
    /// How many are given back per `per`; 0 for a sliding window.
    pub refill: u32,
    /// The refill's period.
    pub per: Duration,
    /// Whether the target counts for the whole account, so that several daemons share it. A bucket
    /// per conversation or customer is not shared, because a lane has one owner.
    pub shared: bool,
}

/// An exchange that a target publishes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Its name; empty for the broker's default one.
    pub name: String,
    /// What is published to it, such as `replies`.
    pub what: &'static str,
    /// Whether the target's messages leave by it, so that without a broker the target can do nothing.
    pub primary: bool,
}

/// How webhooks authenticate, as data. All comparisons are in constant time.
#[derive(Debug, Clone, PartialEq)]
pub enum WebhookAuth {
    /// A secret at the end of the path (`/webhooks/<target>/<token>`).
    PathToken {
        /// The token.
        token: Secret,
    },
    /// HubSpot's v3 signature, and the path token.
    /// <https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests>
    HubSpotV3 {
        /// The app's client secret.
        secret: Secret,
        /// The webhook's public address as HubSpot calls it, without the path token.
        public_url: String,
        /// The path token.
        token: Secret,
    },
    /// Meta's `X-Hub-Signature-256`, and the challenge's verify token.
    MetaSha256 {
        /// The app secret, and the previous one during a change.
        secrets: Vec<Secret>,
        /// The verify token.
        verify_token: Secret,
    },
}

/// One thing that `check --live` reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What is verified, for people: `ticket pipeline "Support"`.
    pub what: &'static str,
    /// The call; it leaves nothing behind: it reads, or the other side must refuse it.
    pub call: HttpCall,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What was verified.
    pub what: String,
    /// `None` when it is as needed; otherwise what is missing and how to add it.
    pub problem: Option<String>,
    /// Calls that add what is missing, when asked to.
    pub fix: Vec<HttpCall>,
}

impl Finding {
    /// As needed.
    #[must_use]
    pub fn ok(what: impl Into<String>) -> Finding {
        Finding {
            what: what.into(),
            problem: None,
            fix: Vec::new(),
        }
    }

    /// Missing.
    #[must_use]
    pub fn missing(what: impl Into<String>, problem: impl Into<String>) -> Finding {
        Finding {
            what: what.into(),
            problem: Some(problem.into()),
            fix: Vec::new(),
        }
    }
}

/// A problem of a setting: where, what was found, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting's path, such as `org_id`; inside the settings of a target, without them.
    pub path: String,
    /// The value's shape and what was expected; never a secret.
    pub message: String,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem {
            path: path.into(),
            message: message.into(),
        }
    }

    /// A problem, and what to do about it unless that is said already.
    #[must_use]
    pub fn with_remedy(
        path: impl Into<String>,
        found: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Problem {
        let (mut message, remedy) = (found.to_string(), remedy.to_string());
        if !remedy.is_empty() {
            message.push_str("; ");
            message.push_str(&remedy);
        }
        Problem::new(path, message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
