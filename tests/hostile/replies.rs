//! What CRMs answer: any status, any headers, any body, to every call that a connector makes.

use handoffd_contract::{HttpReply, MediaProblem, Publication, Reply, Step};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::cases::check;
use crate::judges;
use crate::mutated::{self, bent_bytes};
use crate::played::{self, Played};

fn reply(played: &Played) -> impl Strategy<Value = (Step, Reply)> + use<> {
    let real: Vec<(Step, HttpReply)> = played
        .steps
        .iter()
        .filter_map(|(step, reply)| match reply {
            Reply::Http(reply) => Some((step.clone(), reply.clone())),
            _ => None,
        })
        .collect();
    let steps: Vec<Step> = played.steps.iter().map(|(step, _)| step.clone()).collect();
    let headers = vec(
        (
            select(vec![
                "retry-after",
                "content-type",
                "location",
                "x-business-use-case-usage",
                "sforce-limit-info",
                "odata-error",
            ]),
            mutated::text(),
        ),
        0..3,
    );
    let headers = headers.boxed();
    let status = prop_oneof![
        3 => select(vec![200_u16, 201, 204, 207, 301, 400, 401, 403, 404, 409, 412, 413, 415, 422, 423, 429, 477, 500, 502, 503]),
        1 => any::<u16>(),
    ];
    let status = status.boxed();
    let odd = select(vec![
        Reply::Media(MediaProblem::Gone),
        Reply::Media(MediaProblem::Unreachable),
        Reply::Published(Publication::Confirmed),
        Reply::Published(Publication::Refused),
        Reply::Published(Publication::Unroutable {
            words: "NO_ROUTE".into(),
        }),
    ]);
    let errors = json!({"error": {"code": 131_047, "message": "m", "error_data": {"details": "d"}, "innererror": {"message": "duplicate key"}},
        "message": "m", "category": "VALIDATION_ERROR", "errors": [{"code": "X", "context": {"propertyName": ["subject"]}}], "status": "error",
        "ModelState": {"Subject": ["too long"]}});
    let http = (select(real), any::<bool>()).prop_flat_map(move |((step, real), error)| {
        let body = if error {
            errors.clone()
        } else {
            played::body(&real)
        };
        let body = prop_oneof![4 => bent_bytes(body), 1 => vec(any::<u8>(), 0..60)];
        (Just(step), status.clone(), headers.clone(), body).prop_map(
            |(step, status, headers, body)| {
                let headers = headers
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect();
                (
                    step,
                    Reply::Http(HttpReply {
                        status,
                        headers,
                        body,
                    }),
                )
            },
        )
    });
    prop_oneof![12 => http, 1 => (select(steps), odd)]
}

#[test]
fn no_reply_panics_or_proves_what_it_does_not_say() {
    for played in played::all() {
        assert!(!played.steps.is_empty(), "{} planned nothing", played.kind);
        check(300, &reply(&played), |(step, reply)| {
            judges::reply(&played, &step, &reply);
        });
    }
}
