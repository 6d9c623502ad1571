//! Signing in, over real HTTP against the simulators: each kind of credential, one refresh at a
//! time, renewal before and after expiry, and what a refusal says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use handoffd::config::OutboundConfig;
use handoffd::connectors;
use handoffd::demo::world::simulators;
use handoffd::sandbox::{Running, Served};
use handoffd::wire::credential::{SignIn, signing_key};
use handoffd::wire::media::AttachmentFetcher;
use handoffd::wire::policy::Policy;
use handoffd::wire::streams::Sharing;
use handoffd::wire::token_budget::Priority;
use handoffd::wire::{Failure, Options, Wire};
use handoffd_contract::{Auth, Connector, HttpCall, Reason};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

struct Place {
    sims: Running,
    name: &'static str,
    settings: Value,
    secrets: Value,
}

impl Place {
    async fn of(name: &'static str) -> Place {
        let sims = simulators(CancellationToken::new()).await.unwrap();
        let given = sims.target(name).unwrap().credentials();
        let (settings, secrets) = (given["settings"].clone(), given["secrets"].clone());
        Place {
            sims,
            name,
            settings,
            secrets,
        }
    }

    fn served(&self) -> &Arc<Served> {
        self.sims.target(self.name).unwrap()
    }

    fn wire(&self) -> Result<(Arc<dyn Connector>, Wire), String> {
        let connector =
            (connectors::kind(self.name).unwrap().connector)(self.name, &self.settings).unwrap();
        let secret = |name: &str| {
            self.secrets[name]
                .as_str()
                .map(|value| SecretString::from(value.to_owned()))
        };
        let sign_in = SignIn::new(
            connector.credential(),
            Duration::from_secs(10),
            &OutboundConfig::default(),
            secret,
        )?;
        let policy = Policy {
            allow_hosts: Vec::new(),
            allow_private: true,
        };
        let second = Duration::from_secs(10);
        let library = Arc::new(
            AttachmentFetcher::new(policy, second, 1 << 20, &OutboundConfig::default()).unwrap(),
        );
        let base = Url::parse(connector.base()).unwrap();
        let options = Options {
            base,
            timeout: second,
            connect_timeout: second,
            outbound: OutboundConfig::default(),
            sharing: Sharing::default(),
        };
        let wire = Wire::new(options, sign_in, library).unwrap();
        Ok((Arc::from(connector), wire))
    }

    /// How many requests had a path with these words.
    fn asked(&self, words: &str) -> u64 {
        let counts = self.served().counts();
        let shapes = counts["shapes"].as_object().unwrap();
        let of = shapes.iter().filter(|(shape, _)| shape.contains(words));
        of.map(|(_, counted)| counted["count"].as_u64().unwrap())
            .sum()
    }
}

fn ana() -> Auth {
    Auth::Customer {
        subject: "handoffd:4915112345678".into(),
    }
}

fn conversations() -> HttpCall {
    HttpCall::get("/iamessage/api/v2/conversation/list")
        .query("inclClosedConvs", "false")
        .auth(ana())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_at_once_cost_one_token() {
    let place = Place::of("salesforce").await;
    let (_, wire) = place.wire().unwrap();
    let wire = Arc::new(wire);
    let calls = (0..50).map(|_| {
        let wire = Arc::clone(&wire);
        tokio::spawn(async move { wire.send(&conversations()).await.unwrap().status })
    });
    for call in futures::future::join_all(calls).await {
        assert_eq!(call.unwrap(), 200);
    }
    assert_eq!(place.asked("authenticated/access-token"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_token_is_minted_anew_once() {
    let place = Place::of("salesforce").await;
    let (_, wire) = place.wire().unwrap();
    assert_eq!(wire.send(&conversations()).await.unwrap().status, 200);
    let first = wire.first_event_id(&ana()).await;
    assert!(
        first.is_some_and(|id| id.bytes().all(|b| b.is_ascii_digit())),
        "where the stream begins"
    );
    // The organisation no longer knows the token: it is rejected, and the next call mints.
    wire.reject(&ana(), Instant::now()).await;
    assert_eq!(wire.send(&conversations()).await.unwrap().status, 200);
    assert_eq!(place.asked("authenticated/access-token"), 2);
    // A rejection of a call that left before the new token came does not cost it.
    wire.reject(&ana(), Instant::now() - Duration::from_secs(60))
        .await;
    assert_eq!(wire.send(&conversations()).await.unwrap().status, 200);
    assert_eq!(place.asked("authenticated/access-token"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_continued_before_it_expires() {
    let place = Place::of("salesforce").await;
    // A minute's token from a clock that is 57 seconds slow ends in three seconds.
    place.sims.clock().set_offset_ms(-57_000);
    place.served().switch("token_minutes", &json!(1)).unwrap();
    let (_, wire) = place.wire().unwrap();
    assert_eq!(wire.send(&conversations()).await.unwrap().status, 200);
    handoffd_test_support::eventually(Duration::from_secs(10), || async {
        assert_eq!(wire.send(&conversations()).await.unwrap().status, 200);
        place.asked("continuation-access-token") == 1
    })
    .await;
    assert_eq!(
        place.asked("authenticated/access-token"),
        1,
        "no second identity token was needed"
    );
}

/// After a restart every idle customer's stream wants a token; a handoff does not wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn feeds_leave_tokens_to_lanes_and_daemons_to_each_other() {
    let mut place = Place::of("salesforce").await;
    place.settings["tokens_per_minute"] = json!(32);
    let call = |n: usize| {
        conversations().auth(Auth::Customer {
            subject: format!("handoffd:491511234{n:04}"),
        })
    };
    for (living, feeds) in [(1, 13), (2, 7)] {
        let (_, wire) = place.wire().unwrap();
        wire.share_among(living);
        let mut given = 0;
        let refused = loop {
            match wire.send_for(&call(given), Priority::Feed).await {
                Ok(reply) => assert_eq!(reply.status, 200),
                Err(failure) => break failure,
            }
            given += 1;
        };
        assert_eq!(refused.stop().reason, Reason::RateLimited);
        assert_eq!(given, feeds, "of {living}");
        let asked = Instant::now();
        assert_eq!(wire.send(&call(9_999)).await.unwrap().status, 200);
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "a lane need not wait"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_identity_is_refused_and_named() {
    for mode in ["anon", "refuse"] {
        let mut place = Place::of("salesforce").await;
        place.served().switch("bad_identity", &json!(mode)).unwrap();
        place.settings["issuer"] = json!("somebody else");
        let (_, wire) = place.wire().unwrap();
        match wire.send(&conversations()).await {
            Err(Failure::NotSent(stop)) => {
                assert_eq!(stop.reason, Reason::IdentityRejected, "{mode}: {stop:?}")
            }
            other => panic!("{mode}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_may_have_literal_line_ends() {
    let mut place = Place::of("salesforce").await;
    let name = place.settings["private_key"].as_str().unwrap().to_owned();
    let literal = place.secrets[&name].as_str().unwrap().replace('\n', "\\n");
    place.secrets[&name] = json!(literal);
    let (_, wire) = place.wire().unwrap();
    assert_eq!(wire.send(&conversations()).await.unwrap().status, 200);
}

#[test]
fn a_wrong_key_says_what_is_wrong_and_never_the_key() {
    let wrong = [
        (
            "",
            "is not a whole PEM: both the BEGIN and the END line are needed",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIabc",
            "is not a whole PEM: both the BEGIN and the END line are needed",
        ),
        (
            "-----BEGIN PUBLIC KEY-----\nMII\n-----END PUBLIC KEY-----",
            "is a public key; the private key of the uploaded pair is needed",
        ),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII\n-----END ENCRYPTED PRIVATE KEY-----",
            "is encrypted; a key without a pass phrase is needed",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nsecretsecret\n-----END PRIVATE KEY-----",
            "is not an RSA private key in PKCS#1 or PKCS#8 PEM",
        ),
    ];
    for (pem, words) in wrong {
        let error = signing_key(&SecretString::from(pem.to_owned())).err();
        assert_eq!(error.as_deref(), Some(words), "{pem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn creatio_signs_in_by_client_credentials_and_again_when_the_token_ends() {
    let place = Place::of("creatio").await;
    let (connector, wire) = place.wire().unwrap();
    let check = connector.checks().into_iter().next().unwrap();
    assert_eq!(wire.send(&check.call).await.unwrap().status, 200);
    place.served().switch("end_sessions", &json!(true)).unwrap();
    let sent_at = Instant::now();
    assert_eq!(wire.send(&check.call).await.unwrap().status, 401);
    wire.reject(&Auth::Target, sent_at).await;
    assert_eq!(wire.send(&check.call).await.unwrap().status, 200);
    assert_eq!(place.asked("connect/token"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn creatio_signs_in_by_the_form_with_cookies_and_csrf() {
    let mut place = Place::of("creatio").await;
    place.settings["auth"] = json!({"kind": "forms", "user": "handoffd", "password": "password"});
    place.secrets["password"] = json!("Correct-Horse-9");
    let (_, wire) = place.wire().unwrap();
    // A POST is refused without the CSRF header, so this proves both.
    let call = HttpCall::post(
        "/0/ServiceModel/UserInfoService.svc/GetCurrentUserInfo",
        json!({}),
    );
    assert_eq!(wire.send(&call).await.unwrap().status, 200);
    place.secrets["password"] = json!("wrong");
    let (_, wire) = place.wire().unwrap();
    match wire.send(&call).await {
        Err(Failure::NotSent(stop)) => {
            assert_eq!(stop.reason, Reason::Unauthorized);
            assert_eq!(stop.message, "Invalid username or password specified");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hubspot_refreshes_its_token() {
    let mut place = Place::of("hubspot").await;
    let oauth = place.served().credentials()["oauth"].clone();
    place.settings.as_object_mut().unwrap().remove("token");
    place.settings["oauth"] = json!({"client_id": oauth["client_id"], "client_secret": "client_secret", "refresh_token": "refresh_token"});
    place.secrets =
        json!({"client_secret": oauth["client_secret"], "refresh_token": oauth["refresh_token"]});
    place.settings.as_object_mut().unwrap().remove("webhook");
    let (_, wire) = place.wire().unwrap();
    let call = HttpCall::get("/crm/pipelines/2026-03/tickets");
    assert_eq!(wire.send(&call).await.unwrap().status, 200);
    assert_eq!(wire.send(&call).await.unwrap().status, 200);
    assert_eq!(place.asked("oauth"), 1);
    place
        .served()
        .switch("grant_revoked", &json!(true))
        .unwrap();
    wire.reject(&Auth::Target, Instant::now()).await;
    match wire.send(&call).await {
        Err(Failure::NotSent(stop)) => assert_eq!(stop.reason, Reason::Unauthorized, "{stop:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_not_shown_to_another_origin() {
    let place = Place::of("hubspot").await;
    let (_, wire) = place.wire().unwrap();
    let other = place.sims.target("creatio").unwrap().base();
    match wire.send(&HttpCall::get(format!("{other}/steal"))).await {
        Err(Failure::NotSent(stop)) => assert_eq!(stop.reason, Reason::Bug),
        other => panic!("{other:?}"),
    }
    let redirect = json!({"target": "hubspot", "fault": {"kind": "status", "status": 302, "headers": {"location": format!("{other}/steal")}}});
    place
        .sims
        .fault(serde_json::from_value(redirect).unwrap())
        .unwrap();
    assert_eq!(
        wire.send(&HttpCall::get("/crm/owners/2026-03"))
            .await
            .unwrap()
            .status,
        302,
        "redirects are not followed"
    );
    let seen = place.sims.target("creatio").unwrap().counts();
    assert_eq!(seen["started"], 0);
}
