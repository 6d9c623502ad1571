//! Webhooks: the body that a customer's "Call web service" element sends.
//!
//! Every site builds its own process, so keys are read in any case and with any separators, ids in
//! any spelling, and a text that is missing is fetched. Nothing is signed; the path's token is the
//! proof, and the record's id is what makes a repeat recognisable.

use handoffd_contract::feed::Read;
use handoffd_contract::{FrameContent, HttpCall, InboundKind, Reason, Refusal};
use serde_json::json;

use super::fields::{self, Fields, Said};
use super::reply::{humane, said};
use super::{ACTIVITY, heard, skipped};
use crate::facts::ended;
use crate::{Creatio, wire};

impl Creatio {
    pub(super) fn webhook_said(&self, body: &[u8]) -> Result<FrameContent, Refusal> {
        let park = |words: &str| Refusal::park(Reason::Undecodable, words);
        let sets = match fields::read(body) {
            Said::Whole(fields) => return self.fields_said(&fields),
            Said::Ids(sets) => sets,
            Said::Odd => return Err(park("the webhook's body is not a JSON object")),
            Said::Nothing => {
                return Err(park(
                    "the webhook's body is not JSON, and no record's id can be read in it",
                ));
            }
        };
        let mut all = FrameContent::default();
        for fields in &sets {
            let hearing = self.fields_said(fields)?;
            all.heard.extend(hearing.heard);
            all.fetch.extend(hearing.fetch);
            all.skipped = all.skipped.or(hearing.skipped);
        }
        Ok(all)
    }

    fn fields_said(&self, fields: &Fields) -> Result<FrameContent, Refusal> {
        match fields.kind().as_str() {
            "newactivity" | "activityadded" | "activitycreated" | "activitymodified"
            | "activitycompleted" => self.activity_webhook(fields),
            "" if fields.id(&["activityid", "recordid"]).is_some() => self.activity_webhook(fields),
            "newpost" | "newfeedpost" | "feedpost" | "newsocialmessage" | "socialmessageadded" => {
                self.post_webhook(fields)
            }
            "caseresolved" | "caseclosed" | "resolved" | "closed" | "casecanceled"
            | "casecancelled" => case_webhook(fields),
            "caseowner" | "caseownerchanged" | "ownerchanged" | "caseassigned" | "assigned" => {
                self.owner_webhook(fields)
            }
            "" => Err(Refusal::park(
                Reason::Undecodable,
                "the webhook has no event_type; expected new_activity, case_resolved, case_closed, case_owner or new_post",
            )),
            _ => Ok(skipped(
                "a webhook of an event_type that handoffd does not know",
            )),
        }
    }

    fn activity_webhook(&self, fields: &Fields) -> Result<FrameContent, Refusal> {
        let case = fields.id(&["caseid"]);
        let activity = fields.id(&["activityid", "recordid", "id"]);
        let author = fields.id(&["createdbyid", "createdby", "authorid"]);
        if author.is_some() && author == self.settings.integration_contact {
            return Ok(skipped("our own activity"));
        }
        let text = fields
            .text(&["text", "detailedresult", "message", "body"])
            .map(humane)
            .filter(|text| !text.is_empty());
        // On a case that several sessions share, another session's row is no echo of this lane, so
        // its author must be known. And whether the text is written to its end, its status tells.
        let sure = (author.is_some() || !self.settings.append_to_open_case)
            && self.is_finished(fields.id(&["statusid", "status"]).as_deref());
        // The marker may stand in the title, which the body does not hold.
        let text = text
            .filter(|_| sure)
            .and_then(|text| self.unmarked(&text))
            .filter(|text| !text.is_empty());
        match (activity, case, text) {
            (Some(activity), Some(case), Some(text)) => {
                let mut reply = said(&activity, Some(text), Vec::new());
                if let InboundKind::Replied(reply) = &mut reply {
                    reply.author = fields
                        .text(&["createdbyname", "authorname", "author"])
                        .map(str::to_owned)
                        .filter(|a| wire::guid(a).is_none());
                }
                let at = fields.text(&["createdon"]).and_then(|at| at.parse().ok());
                let heard = heard(&format!("activity/{activity}"), &case, &activity, at, reply);
                // Files go before the text; polls find both, else they are read now.
                if self.settings.reply_files && self.settings.poll.is_zero() {
                    return Ok(fetch(self.files_of(&case, &activity, Some(&heard))));
                }
                Ok(FrameContent {
                    heard: vec![heard],
                    ..FrameContent::default()
                })
            }
            // Often saved before its text is complete: the row itself is asked.
            (Some(activity), case, _) => {
                let call =
                    HttpCall::get(self.record("Activity", &activity)).query("$select", ACTIVITY);
                Ok(fetch(Read::new("activity", call, json!({ "case": case }))))
            }
            // Without the activity's id a repeat cannot be recognised by the text alone, so the
            // newest activity of the case is asked for, and is known by its own id.
            (None, Some(case), _) => {
                let call = HttpCall::get(self.path("Activity"))
                    .query("$filter", format!("Case/Id eq {case}"))
                    .query("$select", ACTIVITY)
                    .query("$orderby", "CreatedOn desc")
                    .query("$top", "1");
                Ok(fetch(Read::new("newest", call, json!({ "case": case }))))
            }
            (None, None, _) => Err(Refusal::park(
                Reason::Undecodable,
                "the webhook names neither caseId nor activityId, or they are no record ids",
            )),
        }
    }

    fn post_webhook(&self, fields: &Fields) -> Result<FrameContent, Refusal> {
        if !self.settings.feed_replies {
            return Ok(skipped("a feed post, which is internal"));
        }
        let post = fields.id(&["socialmessageid", "postid", "recordid", "id"]);
        let case = fields.id(&["caseid", "entityid"]);
        let author = fields.id(&["createdbyid", "createdby", "authorid"]);
        if author.is_some() && author == self.settings.integration_contact {
            return Ok(skipped("our own post"));
        }
        let text = fields.text(&["text", "message", "body"]).map(humane);
        if let (Some(post), None) = (&post, &text) {
            let call = HttpCall::get(self.path("SocialMessage"))
                .query("$filter", format!("Id eq {post}"))
                .query("$select", "Id,Message,EntityId,CreatedById,CreatedOn")
                .query("$top", "1");
            return Ok(fetch(Read::new("post", call, json!({}))));
        }
        match (
            post,
            case,
            text.and_then(|text| self.unmarked(&text))
                .filter(|text| !text.is_empty()),
        ) {
            (Some(post), Some(case), Some(text)) => {
                let heard = heard(
                    &format!("post/{post}"),
                    &case,
                    &post,
                    None,
                    said(&post, Some(text), Vec::new()),
                );
                Ok(FrameContent {
                    heard: vec![heard],
                    ..FrameContent::default()
                })
            }
            (Some(_), Some(_), None) => Ok(skipped("a feed post without text or marker")),
            _ => Err(Refusal::park(
                Reason::Undecodable,
                "the webhook of a feed post must name socialMessageId and caseId",
            )),
        }
    }
}

impl Creatio {
    /// The case has another owner. What its own read sees of the same change is then no news.
    fn owner_webhook(&self, fields: &Fields) -> Result<FrameContent, Refusal> {
        let Some(case) = fields.id(&["caseid", "recordid", "id"]) else {
            return Err(Refusal::park(
                Reason::Undecodable,
                "the webhook names no caseId, or it is no record id",
            ));
        };
        let Some(modified) = fields.text(&["modifiedon"]) else {
            return Err(Refusal::park(
                Reason::Undecodable,
                "the webhook of an owner has no modifiedOn, by which a repeat is recognised",
            ));
        };
        let owner = fields.id(&["ownerid", "owner"]);
        let name = fields.text(&["ownername"]);
        let row = json!({ "OwnerId": owner, "OwnerName": name, "ModifiedOn": modified });
        // That nobody has it any more is news; that the settings' owner has it, as at every handoff, is
        // none.
        let before = match owner.is_some() {
            true => json!({}),
            false => json!({ "owner": "somebody" }),
        };
        let mut content = FrameContent::default();
        self.owner_said(&before, &case, &row, &mut content);
        Ok(content)
    }
}

fn case_webhook(fields: &Fields) -> Result<FrameContent, Refusal> {
    let Some(case) = fields.id(&["caseid", "recordid", "id"]) else {
        return Err(Refusal::park(
            Reason::Undecodable,
            "the webhook names no caseId, or it is no record id",
        ));
    };
    let modified = fields.text(&["modifiedon"]);
    // A case can be closed, opened again and closed again: with its time each closure is its own.
    let name = match modified {
        Some(at) => format!("{}/{at}", ended(&case)),
        None => ended(&case),
    };
    let kind = InboundKind::Ended {
        status: fields.id(&["statusid"]),
    };
    let heard = heard(
        &name,
        &case,
        &ended(&case),
        modified.and_then(|at| at.parse().ok()),
        kind,
    );
    Ok(FrameContent {
        heard: vec![heard],
        ..FrameContent::default()
    })
}

fn fetch(read: Read) -> FrameContent {
    FrameContent {
        fetch: vec![read],
        ..FrameContent::default()
    }
}
