//! The two token endpoints and the renewal.
//! <https://developer.salesforce.com/docs/service/messaging-api/references/miaw-api-reference?meta=generateAccessTokenForAuthenticatedUser>

use handoffd_contract::sandbox::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::switches::BadIdentity;
use super::{
    CHANNEL, DEPLOYMENT, ISSUER, KEY_ID, ORG_ID, Org, TEST_ONLY_PUBLIC_KEY, bad, body, error,
    is_v4, too_many, unknown,
};

/// Signs access tokens; like the key pair, it protects nothing.
const ACCESS_KEY: &[u8] = b"salesforce sandbox access tokens";

#[derive(Serialize, Deserialize)]
struct Access {
    sub: String,
    #[serde(rename = "orgId")]
    org_id: String,
    iat: i64,
    exp: i64,
    jti: String,
    revocations: u64,
}

#[derive(Deserialize)]
struct Identity {
    sub: String,
    iss: String,
    exp: i64,
    #[serde(default)]
    iat: i64,
}

/// The subject of a verified end user.
pub(super) fn verified(sub: &str) -> String {
    format!("v2/iamessage/AUTH/SandboxKeyset/uid:{sub}")
}

impl Org {
    /// An access token, and until when it is valid.
    pub(super) fn issue(&mut self, now: Timestamp, subject: &str) -> (String, Timestamp) {
        let until = now + SignedDuration::from_mins(self.switches.token_minutes);
        let access = Access {
            sub: subject.to_owned(),
            org_id: ORG_ID.into(),
            iat: now.as_second(),
            exp: until.as_second(),
            jti: self.uuid(),
            revocations: self.revocations,
        };
        let token = jsonwebtoken::encode(
            &Header::default(),
            &access,
            &EncodingKey::from_secret(ACCESS_KEY),
        );
        // Signing with a secret of our own cannot fail; an empty token would be refused everywhere.
        (token.unwrap_or_default(), until)
    }

    /// Whose token the request carries.
    pub(super) fn authenticate(
        &self,
        now: Timestamp,
        request: &Request,
    ) -> Result<String, Response> {
        let refuse = |words: &str| Err(Response::text(401, words));
        let Some(token) = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
        else {
            return refuse("Jwt is missing");
        };
        match access(token) {
            None => refuse("Jwt verification fails"),
            Some(access)
                if access.exp <= now.as_second() || access.revocations < self.revocations =>
            {
                refuse("Jwt is expired")
            }
            Some(access) => Ok(access.sub),
        }
    }

    /// Until when the request's token is valid.
    pub(super) fn valid_until(request: &Request) -> i64 {
        let token = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        token.and_then(access).map_or(0, |access| access.exp)
    }

    pub(super) fn mint(
        &mut self,
        now: Timestamp,
        request: &Request,
        authenticated: bool,
    ) -> Response {
        if let Err(wait) = self.token_limit.count("", now) {
            return too_many(wait);
        }
        let mut allowed = vec![
            "orgId",
            "esDeveloperName",
            "capabilitiesVersion",
            "platform",
            "deviceId",
            "context",
        ];
        if authenticated {
            allowed.extend(["authorizationType", "customerIdentityToken"]);
        }
        let asked = match body(request, &allowed) {
            Ok(asked) => asked,
            Err(response) => return response,
        };
        if let Err(message) = self.token_request(&asked) {
            return bad(message);
        }
        if authenticated != self.switches.user_verification {
            return bad(
                "The user verification setting of the messaging channel doesn't match this authorization type.",
            );
        }
        let subject = if authenticated {
            if asked["authorizationType"] != "JWT" {
                return bad("Set the authorizationType to JWT.");
            }
            let identity = asked["customerIdentityToken"].as_str().unwrap_or("");
            match (self.identity(now, identity), self.switches.bad_identity) {
                (Some(sub), _) => verified(&sub),
                (None, BadIdentity::Anon) => self.anonymous(),
                (None, BadIdentity::Refuse) => {
                    return error(
                        400,
                        "INVALID_JWT",
                        "The customer identity token isn't valid.",
                    );
                }
            }
        } else {
            self.anonymous()
        };
        let device = asked["deviceId"]
            .as_str()
            .map(str::to_owned)
            .unwrap_or_else(|| self.uuid());
        self.token_response(now, &subject, &device)
    }

    pub(super) fn renew(&mut self, now: Timestamp, subject: &str) -> Response {
        if let Err(wait) = self.renewal_limit.count("", now) {
            return too_many(wait);
        }
        let device = self.uuid();
        self.token_response(now, subject, &device)
    }

    fn anonymous(&mut self) -> String {
        format!("v2/iamessage/ANON/{ORG_ID}/uid:{}", self.uuid())
    }

    fn token_request(&self, asked: &Value) -> Result<(), String> {
        let text = |name: &str| asked[name].as_str().filter(|text| !text.is_empty());
        for name in [
            "orgId",
            "esDeveloperName",
            "capabilitiesVersion",
            "platform",
        ] {
            text(name).ok_or_else(|| format!("Specify the {name}."))?;
        }
        if text("orgId") != Some(ORG_ID) {
            return Err("Specify a valid 15-character orgId.".into());
        }
        if text("esDeveloperName") != Some(DEPLOYMENT) {
            return Err("Set the esDeveloperName to a deploymentType that's set to api".into());
        }
        if !matches!(text("platform"), Some("Web" | "Mobile")) {
            return Err("Set the platform to Web or Mobile.".into());
        }
        if text("deviceId").is_some_and(|id| !is_v4(id)) {
            return Err(
                "Specify the deviceId in UUID format. The UUID must be in lowercase.".into(),
            );
        }
        let context = &asked["context"];
        let whole = context["appName"].is_string() && context["clientVersion"].is_string();
        if !whole && (self.switches.context_required || !context.is_null()) {
            return Err("Specify the context with appName and clientVersion.".into());
        }
        match unknown(context, &["appName", "clientVersion"]) {
            Some(name) => Err(format!("Unrecognized property: context.{name}")),
            None => Ok(()),
        }
    }

    /// The `sub` of an identity token that our keyset vouches for.
    fn identity(&self, now: Timestamp, token: &str) -> Option<String> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.kid.as_deref() != Some(KEY_ID) {
            return None;
        }
        let key = DecodingKey::from_rsa_pem(TEST_ONLY_PUBLIC_KEY.as_bytes()).ok()?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.algorithms = vec![Algorithm::RS256, Algorithm::RS512];
        // Times are checked against the simulator's own clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Identity>(token, &key, &validation)
            .ok()?
            .claims;
        let now = now.as_second();
        let good = claims.iss == ISSUER
            && claims.exp > now
            && claims.iat <= now + 60
            && !claims.sub.is_empty();
        good.then_some(claims.sub)
    }

    fn token_response(&mut self, now: Timestamp, subject: &str, device: &str) -> Response {
        let (token, _) = self.issue(now, subject);
        Response::json(
            200,
            &json!({
                "accessToken": token,
                "lastEventId": self.position.to_string(),
                "context": {
                    "deviceId": device,
                    "configuration": { "embeddedServiceConfig": {
                        "name": DEPLOYMENT,
                        "deploymentType": "API",
                        "embeddedServiceMessagingChannel": {
                            "channelAddressIdentifier": CHANNEL,
                            "authMode": if self.switches.user_verification { "Auth" } else { "UnAuth" },
                        },
                        "forms": [],
                    }},
                    "endUser": { "appType": "iamessage", "role": "EndUser", "subject": subject },
                },
            }),
        )
    }
}

fn access(token: &str) -> Option<Access> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<Access>(token, &DecodingKey::from_secret(ACCESS_KEY), &validation)
        .ok()
        .map(|data| data.claims)
}
