//! How a source proves that what it sends is its own, as data: the usual ones by a word, others by parts.

use std::time::Duration;

use handoffd_contract::settings::Table;
use secrecy::SecretString;

use super::reader::Sections as _;
use super::secrets::Secrets;
use super::sections::secret;

/// A proof: a header with a digest of what was sent, or with a secret itself.
#[derive(Clone)]
pub struct Proof {
    /// The header, in lower case.
    pub header: String,
    /// What stands in it before the digest; where it is missing, the digest stands alone.
    pub prefix: String,
    /// What is held against the header.
    pub over: Over,
    /// The hash function.
    pub hash: Hash,
    /// Whether the digest is written in base64, else in hex.
    pub base64: bool,
    /// Secrets, any of which fits, so that one can be changed for another.
    pub secrets: Vec<SecretString>,
}

/// What a proof is made over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// Nothing: the header has the secret itself.
    Nothing,
    /// The body.
    Body,
    /// The time in a header, a point, and the body. Refused when it is older.
    TimeAndBody {
        /// The header, in lower case; its time is in seconds since 1970.
        time: String,
        /// The most age.
        max_age: Duration,
    },
    /// The time, a point, and the body; time and digest are named in one header, as in `t=1772443200,s=…`.
    StampedBody {
        /// The time's name; it is in seconds since 1970.
        time: String,
        /// The digest's name.
        digest: String,
        /// The most age.
        max_age: Duration,
    },
    /// The claims of a JSON Web Token (HS256), one of which is the SHA-256 of the body in hex. Refused when
    /// it was issued longer ago, or has expired.
    /// <https://www.rfc-editor.org/rfc/rfc7519>
    Claims {
        /// The claim with the body's hash.
        body: String,
        /// The most age.
        max_age: Duration,
    },
    /// The address as others see it, with every parameter of a form by name, name and value in a row.
    AddressAndParameters {
        /// The address without the token.
        address: String,
    },
}

/// A hash function for HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, which Twilio uses.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// The usual ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usual {
    Token,
    Meta,
    Dialog360,
    Chatwoot,
    Waha,
    Twilio,
    YCloud,
    Vonage,
    Header,
}

/// How old a proof may be that tells its time.
const MAX_AGE: Duration = Duration::from_secs(300);

/// Reads `proof` and what belongs to it; with the status by which such a source is answered.
pub(super) fn proof(
    section: &mut Table<'_>,
    name: &str,
    secrets: &Secrets,
    public_url: Option<&str>,
) -> (Option<Proof>, u64) {
    if section
        .value("proof")
        .is_some_and(serde_json::Value::is_object)
    {
        let inner = section.section("proof");
        return (parts(inner, name, secrets, public_url), 200);
    }
    let words = [
        ("token", Usual::Token),
        ("meta", Usual::Meta),
        ("360dialog", Usual::Dialog360),
        ("chatwoot", Usual::Chatwoot),
        ("waha", Usual::Waha),
        ("twilio", Usual::Twilio),
        ("ycloud", Usual::YCloud),
        ("vonage", Usual::Vonage),
        ("header", Usual::Header),
    ];
    let usual = section.choice("proof", &words, Usual::Token);
    let header = section
        .text("header")
        .map(|header| header.to_ascii_lowercase());
    if header.is_some() && usual != Usual::Header {
        section.complain("header", "is only for proof = \"header\"", "remove it");
    }
    if usual == Usual::Token {
        if section.has("secret") || section.has("old_secret") {
            section.complain(
                "secret",
                "is for a proof, and there is none",
                "set proof, or remove it",
            );
        }
        section.value("secret");
        section.value("old_secret");
        return (None, 200);
    }
    let keys = keys(section, secrets);
    let hmac = |header: &str, prefix: &str, over: Over, hash: Hash, base64: bool| Proof {
        header: header.to_owned(),
        prefix: prefix.to_owned(),
        over,
        hash,
        base64,
        secrets: keys.clone(),
    };
    let made = match usual {
        // https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads
        Usual::Meta => hmac(
            "x-hub-signature-256",
            "sha256=",
            Over::Body,
            Hash::Sha256,
            false,
        ),
        Usual::Dialog360 => hmac(
            "x-360dialog-signature",
            "sha256=",
            Over::Body,
            Hash::Sha256,
            false,
        ),
        // https://www.chatwoot.com/hc/user-guide/articles/1677693021-how-to-use-webhooks
        Usual::Chatwoot => hmac(
            "x-chatwoot-signature",
            "sha256=",
            Over::TimeAndBody {
                time: "x-chatwoot-timestamp".to_owned(),
                max_age: MAX_AGE,
            },
            Hash::Sha256,
            false,
        ),
        // https://docs.ycloud.com/reference/configure-webhooks
        Usual::YCloud => hmac(
            "ycloud-signature",
            "",
            Over::StampedBody {
                time: "t".to_owned(),
                digest: "s".to_owned(),
                max_age: MAX_AGE,
            },
            Hash::Sha256,
            false,
        ),
        // https://developer.vonage.com/en/messages/concepts/signed-webhooks
        Usual::Vonage => hmac(
            "authorization",
            "",
            Over::Claims {
                body: "payload_hash".to_owned(),
                max_age: MAX_AGE,
            },
            Hash::Sha256,
            false,
        ),
        // https://waha.devlike.pro/docs/how-to/webhooks/
        Usual::Waha => hmac("x-webhook-hmac", "", Over::Body, Hash::Sha512, false),
        // https://www.twilio.com/docs/usage/webhooks/webhooks-security
        Usual::Twilio => {
            let over = Over::AddressAndParameters {
                address: address(section, name, public_url),
            };
            return (
                Some(hmac("x-twilio-signature", "", over, Hash::Sha1, true)),
                204,
            );
        }
        Usual::Header | Usual::Token => {
            let header = header.unwrap_or_else(|| "authorization".to_owned());
            hmac(&header, "", Over::Nothing, Hash::Sha256, false)
        }
    };
    (Some(made), 200)
}

/// A proof that is none of the usual ones.
fn parts(
    mut section: Table<'_>,
    name: &str,
    secrets: &Secrets,
    public_url: Option<&str>,
) -> Option<Proof> {
    section.missing("header", "write the header with the digest");
    let header = section.text("header");
    let prefix = section.maybe_empty("prefix").unwrap_or_default();
    let hashes = [
        ("sha1", Hash::Sha1),
        ("sha256", Hash::Sha256),
        ("sha512", Hash::Sha512),
    ];
    let hash = section.choice("hash", &hashes, Hash::Sha256);
    let base64 = section.choice("encoding", &[("hex", false), ("base64", true)], false);
    let kinds = [
        ("body", 0),
        ("time-and-body", 1),
        ("address-and-parameters", 2),
        ("stamped-body", 3),
        ("claims", 4),
    ];
    let kind = section.choice("over", &kinds, 0);
    let time = section
        .text("time_header")
        .map(|time| time.to_ascii_lowercase());
    let mut named =
        |key: &'static str, usual: &str| section.text(key).unwrap_or_else(|| usual.to_owned());
    let (time_name, digest_name) = (named("time_name", "t"), named("digest_name", "s"));
    let body_claim = named("body_claim", "payload_hash");
    let minute = Duration::from_secs(60);
    let max_age = section.duration("max_age", minute..=1_440 * minute, MAX_AGE);
    let over = match kind {
        0 => Over::Body,
        1 => {
            section.missing("time_header", "write the header with the time");
            Over::TimeAndBody {
                time: time.unwrap_or_default(),
                max_age,
            }
        }
        3 => Over::StampedBody {
            time: time_name,
            digest: digest_name,
            max_age,
        },
        4 => Over::Claims {
            body: body_claim,
            max_age,
        },
        _ => Over::AddressAndParameters {
            address: address(&section, name, public_url),
        },
    };
    let secrets = keys(&mut section, secrets);
    section.finish();
    Some(Proof {
        header: header?.to_ascii_lowercase(),
        prefix,
        over,
        hash,
        base64,
        secrets,
    })
}

/// The secret, and the one that it takes the place of while it is changed.
fn keys(section: &mut Table<'_>, secrets: &Secrets) -> Vec<SecretString> {
    section.missing("secret", "name the secret that it is made with");
    let new = secret(section, "secret", secrets);
    let old = secret(section, "old_secret", secrets);
    new.into_iter().chain(old).collect()
}

fn address(section: &Table<'_>, name: &str, public_url: Option<&str>) -> String {
    let Some(public_url) = public_url else {
        section.complain(
            "proof",
            "is made over the address by which others reach us",
            "set http.public_url",
        );
        return String::new();
    };
    format!("{public_url}/intake/{name}")
}
