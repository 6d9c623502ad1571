//! One reply on its way to the customer: the next thing to do for it.

use handoffd_contract::event::RepReply;
use handoffd_contract::{Attachment, Item, Reason, Refusal, Settled, Source, Step, Stop};
use jiff::{SignedDuration, Timestamp};

use crate::changed;
use crate::cloud::{self, File};
use crate::errors::codes;
use crate::exit::Exit;
use crate::facts::{self, Done, Lane, Sent, Window};
use crate::gateway;
use crate::http::{self, Gateway};
use crate::kinds::MediaKind;
use crate::parts::{Content, Part};
use crate::recipient::Recipient;
use crate::status::{self, Ledger};

/// With `wait_delivered`, how long a message waits for the one before it; a phone that is switched
/// off must not hold a reply back for good.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// Where a reply stands.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress {
    /// Everything that can be done was done.
    Done,
    /// These steps come next.
    Next(Vec<Step>),
    /// What is left is free text or files, and the window is closed.
    Held,
}

/// The next thing to do for a reply.
///
/// # Errors
/// It waits for a status, or needs a person.
pub(crate) fn advance(lane: Lane<'_>, item: &Item, reply: &RepReply) -> Result<Progress, Refusal> {
    if lane.is_done(&item.id) {
        return Ok(Progress::Done);
    }
    let window = lane.window();
    let parts = lane.parts(item, reply, window);
    if parts.is_empty() {
        return Ok(Progress::Done);
    }
    let reply = Reply {
        lane,
        item,
        reply,
        parts: &parts,
        window,
    };
    if let Some(step) = reply.references().or_else(|| reply.failures()) {
        return Ok(Progress::Next(vec![step]));
    }
    if let Some(step) = reply.look() {
        return Ok(Progress::Next(vec![step]));
    }
    reply.outcome_known()?;
    reply.walk()
}

/// A reply and what it consists of.
struct Reply<'a> {
    lane: Lane<'a>,
    item: &'a Item,
    reply: &'a RepReply,
    parts: &'a [Part],
    window: Window,
}

impl Reply<'_> {
    fn reference(&self, part: &Part) -> String {
        self.lane.reference(&self.item.id, &part.slot)
    }

    fn sent(&self, part: &Part) -> String {
        facts::sent(&self.item.id, &part.slot)
    }

    /// Puts the references on record before anything leaves, so that a status that is faster than
    /// our answer finds its reply.
    fn references(&self) -> Option<Step> {
        let mut ledger = Ledger::new(self.lane.known);
        for part in self.parts {
            let fact = facts::reference(&self.reference(part));
            if ledger.get(&fact).is_none() {
                ledger.set(fact, facts::json(&self.describe(part)));
            }
        }
        ledger.into_step("reply.open")
    }

    fn describe(&self, part: &Part) -> Sent {
        Sent {
            target: self.reply.target.clone(),
            message: self.reply.message_id.clone(),
            item: self.item.id.clone(),
            slot: part.slot.clone(),
            label: part.label(),
            notice: false,
        }
    }

    /// Tells the rep about every message that was refused for good. When the customer cannot be
    /// reached at all, the messages that follow are not even tried.
    fn failures(&self) -> Option<Step> {
        let mut ledger = Ledger::new(self.lane.known);
        for part in self.parts {
            let reference = self.reference(part);
            let (known, sent) = (self.lane.known, self.sent(part));
            // What a person settled has not failed.
            if let Some((reason, words)) = known.refused(&sent)
                && reason != Reason::UnknownOutcome
                && !known.is(&facts::state(&reference))
            {
                let code = known.get(&facts::code(&sent));
                let code = code.and_then(|code| code.parse().ok());
                ledger.fail(&reference, &self.describe(part), code, words);
            }
        }
        let unreachable = self.parts.iter().any(|part| {
            let refused = self.lane.known.refused(&self.sent(part));
            refused.is_some_and(|(reason, _)| reason == Reason::Recipient)
                || status::failed(self.lane.known, &self.reference(part))
                    .is_some_and(codes::unreachable)
        });
        for part in self
            .parts
            .iter()
            .filter(|part| unreachable && self.lane.known.absent(&self.sent(part)))
        {
            let why = "not tried, because the customer cannot be reached";
            ledger.set(self.sent(part), Settled::refused(Reason::Recipient, why));
            ledger.set(facts::state(&self.reference(part)), "failed:0");
        }
        ledger.into_step("reply.failed")
    }

    /// Without an idempotency key a send whose outcome is unknown is never repeated: a status proves
    /// it, and where none comes in time a person decides.
    fn outcome_known(&self) -> Result<(), Refusal> {
        if matches!(self.lane.settings.exit, Exit::Gateway { .. }) {
            return Ok(());
        }
        let since = self
            .parts
            .iter()
            .filter_map(|part| self.lane.known.unsure_since(&self.sent(part)))
            .min();
        let Some(since) = since else { return Ok(()) };
        let until = later(since, self.lane.settings.reconcile);
        if self.lane.work.now < until {
            let words = "a send to WhatsApp got no clear answer; its status is awaited before anything else is sent";
            return Err(Refusal::Hold {
                stop: Stop::new(Reason::Waiting, words),
                until: Some(until),
            });
        }
        let words = format!(
            "a message for this customer left at {} without a clear answer, and no status came within {} s",
            facts::clock(since),
            self.lane.settings.reconcile.as_secs()
        );
        Err(Refusal::park(Reason::UnknownOutcome, words))
    }

    /// Looks for the message whose outcome is unknown, where the gateway can be asked for it.
    fn look(&self) -> Option<Step> {
        let Exit::Http(gateway) = &self.lane.settings.exit else {
            return None;
        };
        let unsure = |part: &&Part| self.lane.known.unsure(&self.sent(part));
        let part = self.parts.iter().find(unsure)?;
        let since = self.lane.known.unsure_since(&self.sent(part))?;
        if self.lane.work.now >= later(since, self.lane.settings.reconcile) {
            return None;
        }
        let to = Recipient::of(&self.lane.work.contact)?;
        http::look(gateway, self.lane, &self.item.id, part, &to)
    }

    /// The steps for the first message that has not left, or the end.
    fn walk(&self) -> Result<Progress, Refusal> {
        let left = || {
            self.parts
                .iter()
                .filter(|part| !self.lane.known.is(&self.sent(part)))
        };
        let open = match self.window {
            Window::Open(until) => Some(until),
            Window::Closed(_) => None,
        };
        let Some(part) = left().find(|part| open.is_some() || !part.is_free()) else {
            return Ok(if left().next().is_some() {
                Progress::Held
            } else {
                self.finish()
            });
        };
        self.predecessor_is_delivered()?;
        let to = Recipient::of(&self.lane.work.contact).ok_or_else(|| {
            Refusal::park(
                Reason::NoCustomer,
                "the contact has no usable wa_id, user id or phone to reply to",
            )
        })?;
        let number = match &self.lane.settings.exit {
            Exit::Gateway {
                exchange,
                routing_key,
            } => {
                let keys = (exchange.as_str(), routing_key.as_str());
                let mut step = gateway::send(self.lane, keys, self.item, self.reply, part, &to);
                step.not_after = open.filter(|_| part.is_free());
                return Ok(Progress::Next(vec![step]));
            }
            Exit::Http(gateway) => {
                let step = self.over_http(gateway, part, &to)?;
                return Ok(Progress::Next(vec![step]));
            }
            Exit::CloudApi { numbers, .. } => numbers
                .id(&self.lane.work.session.business_number)
                .ok_or_else(|| {
                Refusal::park(
                    Reason::Invalid,
                    "`phone_numbers` has no phone number id for the session's business number",
                )
            })?,
        };
        let mut steps = Vec::new();
        for part in left().filter(|_| open.is_some()) {
            if let Content::File { file, kind, .. } = &part.content
                && let File::Upload(step) =
                    cloud::file(self.lane, &self.item.id, part, number, file, *kind)
            {
                steps.push(*step);
            }
        }
        let message = match &part.content {
            Content::File {
                file,
                kind,
                caption,
            } => match cloud::file(self.lane, &self.item.id, part, number, file, *kind) {
                File::Upload(_) => return Ok(Progress::Next(steps)),
                File::Id(id) => cloud::uploaded(
                    id,
                    file,
                    kind.unwrap_or(MediaKind::Document),
                    caption.as_deref(),
                ),
                File::No(why) => match self.link(file, caption.as_deref()) {
                    Some(text) => cloud::text_message(&text, self.lane.settings.preview_url),
                    None => return Ok(Progress::Next(vec![self.unsendable(part, why)])),
                },
            },
            content => cloud::plain(content, self.lane.settings.preview_url).unwrap_or_default(),
        };
        let mut step = cloud::send(self.lane, &self.item.id, part, &to, number, message);
        step.not_after = open.filter(|_| part.is_free());
        steps.push(step);
        Ok(Progress::Next(steps))
    }

    /// The step for one message by a gateway's own API.
    fn over_http(&self, gateway: &Gateway, part: &Part, to: &Recipient) -> Result<Step, Refusal> {
        let mut as_link = None;
        let sendable = match &part.content {
            Content::Template(_) if gateway.template.is_none() => {
                return Ok(self.unsendable(part, "this gateway sends no templates"));
            }
            Content::File {
                file,
                kind,
                caption,
            } => match http::file(gateway, file, *kind) {
                Ok(sendable) => Some(sendable),
                Err(why) => match self.link(file, caption.as_deref()) {
                    Some(text) => {
                        as_link = Some(Part {
                            slot: part.slot.clone(),
                            content: Content::Text(text),
                            quotes: part.quotes.clone(),
                        });
                        None
                    }
                    None => return Ok(self.unsendable(part, why)),
                },
            },
            _ => None,
        };
        let part = as_link.as_ref().unwrap_or(part);
        let (lane, item) = (self.lane, self.item.id.as_str());
        if let Some(step) = http::new_id(gateway, lane, item, part, to)? {
            return Ok(step);
        }
        let mut step = http::send(gateway, lane, item, part, to, sendable)?;
        step.not_after = self.window.until().filter(|_| part.is_free());
        Ok(step)
    }

    /// A text with the file's public address, where it has one and that is allowed.
    fn link(&self, file: &Attachment, caption: Option<&str>) -> Option<String> {
        let url = public_address(file)?;
        let text = [
            caption.unwrap_or_default(),
            &format!("{}: {url}", file.file_name()),
        ]
        .join("\n");
        let text = text.trim().to_owned();
        (self.lane.settings.link_files
            && handoffd_contract::text::utf16_len(&text) <= self.lane.settings.text_limit())
        .then_some(text)
    }

    /// Says on record that a file cannot be sent; the rep is told from there.
    fn unsendable(&self, part: &Part, why: &str) -> Step {
        let why = format!("{why}. Attach it again in another form, or send a link.");
        facts::record(
            "reply.unsendable",
            vec![(self.sent(part), Settled::refused(Reason::Content, why))],
            Vec::new(),
        )
    }

    fn predecessor_is_delivered(&self) -> Result<(), Refusal> {
        let last = self
            .lane
            .known
            .get(facts::LAST)
            .filter(|_| self.lane.settings.wait_delivered);
        let Some((reference, at)) = last.and_then(|last| last.split_once(' ')) else {
            return Ok(());
        };
        let Ok(at) = at.parse::<Timestamp>() else {
            return Ok(());
        };
        let until = later(at, PATIENCE);
        if status::is_settled(self.lane.known, reference) || self.lane.work.now >= until {
            return Ok(());
        }
        let stop = Stop::new(
            Reason::Waiting,
            "the message before this one is not on the customer's phone yet",
        );
        Err(Refusal::Hold {
            stop,
            until: Some(until),
        })
    }

    /// Closes the reply's books, and tells the rep how far it has come.
    fn finish(&self) -> Progress {
        let mut ledger = Ledger::new(self.lane.known);
        let done = Done {
            target: self.reply.target.clone(),
            message: self.reply.message_id.clone(),
            refs: self.parts.iter().map(|part| self.reference(part)).collect(),
        };
        ledger.set(facts::done(&self.item.id), facts::json(&done));
        if self.lane.known.is(&facts::reopened(&self.item.id)) {
            ledger.set(facts::reopened(&self.item.id), "closed");
        }
        changed::tell(&mut ledger, self.lane, self.item, self.reply, self.parts);
        ledger.tell_reply(&self.item.id);
        Progress::Next(ledger.into_step("reply.done").into_iter().collect())
    }
}

/// The file's address, where everybody can fetch it: https, and a host with a name.
pub(crate) fn public_address(file: &Attachment) -> Option<&str> {
    let Some(Source::Url { url }) = &file.source else {
        return None;
    };
    let host = url.strip_prefix("https://")?;
    let host = host.split(['/', '?', '#']).next()?;
    let ending = host.rsplit('.').next()?;
    let is_name = host.contains('.') && ending.bytes().all(|b| b.is_ascii_alphabetic());
    is_name.then_some(url)
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
