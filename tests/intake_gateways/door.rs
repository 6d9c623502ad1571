//! `POST /intake/…`: what is proved is stored before it is answered, and nothing else is read.

use handoffd::config::{GatewaysConfig, Hash, Over, Proof, SourceConfig};
use handoffd::intake::door::routes;
use reqwest::{Client, RequestBuilder};
use secrecy::SecretString;
use serde_json::Value;

use crate::intake::File;
use crate::{evolution, gate, gateways};

struct Served {
    address: String,
    client: Client,
    file: File,
}

fn source(
    name: &str,
    dialects: &[&str],
    token: Option<&str>,
    proof: Option<Proof>,
) -> SourceConfig {
    SourceConfig {
        name: name.to_owned(),
        dialects: dialects.iter().map(|name| (*name).to_owned()).collect(),
        token: token.map(SecretString::from),
        proof,
        verify_token: (name == "meta").then(|| "verify".into()),
        answer: if name == "twilio" { 204 } else { 200 },
    }
}

fn proof(header: &str, prefix: &str, over: Over, hash: Hash, base64: bool) -> Proof {
    Proof {
        header: header.to_owned(),
        prefix: prefix.to_owned(),
        over,
        hash,
        base64,
        secrets: vec!["app-secret".into()],
    }
}

async fn served() -> Served {
    let file = File::new().await;
    let config = GatewaysConfig {
        sources: vec![
            source(
                "meta",
                &["cloudapi"],
                None,
                Some(proof(
                    "x-hub-signature-256",
                    "sha256=",
                    Over::Body,
                    Hash::Sha256,
                    false,
                )),
            ),
            source("shop", &["evolution"], Some("path-secret"), None),
            source(
                "twilio",
                &["twilio"],
                Some("path-secret"),
                Some(proof(
                    "x-twilio-signature",
                    "",
                    Over::AddressAndParameters {
                        address: "https://handoff.example.com/intake/twilio".to_owned(),
                    },
                    Hash::Sha1,
                    true,
                )),
            ),
        ],
        ..gateways()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/intake", listener.local_addr().unwrap());
    let routes = routes(gate(&file, &config), &config.sources);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap();
    Served {
        address,
        client,
        file,
    }
}

impl Served {
    fn post(&self, path: &str, body: impl Into<String>) -> RequestBuilder {
        let request = self.client.post(format!("{}/{path}", self.address));
        request
            .header("content-type", "application/json")
            .body(body.into())
    }

    async fn letters(&self) -> usize {
        self.file.ledger.dead_letters(0, 9).await.unwrap().len()
    }

    async fn events(&self) -> usize {
        let mut count = 0;
        while self.file.ledger.event(count + 1).await.unwrap().is_some() {
            count += 1;
        }
        usize::try_from(count).unwrap()
    }
}

async fn answer(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

const META: &str = r#"{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"metadata":{"display_phone_number":"4930","phone_number_id":"1"},
    "contacts":[{"profile":{"name":"Ana"},"wa_id":"491"}],"messages":[{"from":"491","id":"wamid.1","timestamp":"1772443200","type":"text","text":{"body":"Hi"}}]}}]}]}"#;

/// `printf %s "$META" | openssl dgst -sha256 -hmac app-secret`, and the like.
fn signed(hash: Hash, text: &[u8]) -> Vec<u8> {
    use aws_lc_rs::hmac;
    let algorithm = match hash {
        Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        _ => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(algorithm, b"app-secret"), text)
        .as_ref()
        .to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn metas_messages_are_stored_when_they_are_signed() {
    let served = served().await;
    let signature = format!("sha256={}", hex(&signed(Hash::Sha256, META.as_bytes())));
    for wrong in ["", "sha256=00", &format!("sha256={}", "0".repeat(64))] {
        let post = served
            .post("meta", META)
            .header("x-hub-signature-256", wrong);
        assert_eq!(
            answer(post).await,
            (401, "not authenticated\n".to_owned()),
            "{wrong}"
        );
    }
    let other = served.post("meta", META.replace("Hi", "Ho"));
    assert_eq!(
        answer(other.header("x-hub-signature-256", &signature))
            .await
            .0,
        401
    );
    assert_eq!((served.events().await, served.letters().await), (0, 0));
    for _ in 0..2 {
        let post = served
            .post("meta", META)
            .header("x-hub-signature-256", &signature);
        assert_eq!(answer(post).await, (200, String::new()));
    }
    assert_eq!(served.events().await, 1);
}

#[tokio::test]
async fn what_is_proved_and_not_understood_is_kept_and_answered_all_the_same() {
    let served = served().await;
    for body in ["{}", "not json", r#"{"event":"x"}"#] {
        assert_eq!(
            answer(served.post("shop/path-secret", body)).await,
            (200, String::new()),
            "{body}"
        );
    }
    assert_eq!(served.letters().await, 3);
    let ok = served.post("shop/path-secret", evolution("1", "Oi").to_string());
    assert_eq!(answer(ok).await.0, 200);
    assert_eq!(served.events().await, 1);
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_nobody() {
    let served = served().await;
    let body = evolution("1", "Oi").to_string();
    for path in [
        "shop",
        "shop/",
        "shop/x",
        "shop/path-secre",
        "nobody/path-secret",
        "nobody",
        "meta/path-secret",
        "twilio/path-secret",
    ] {
        let (status, _) = answer(served.post(path, body.clone())).await;
        assert!(matches!(status, 401 | 404), "{path}: {status}");
    }
    assert_eq!((served.events().await, served.letters().await), (0, 0));
}

#[tokio::test]
async fn twilios_forms_are_signed_with_the_address_as_others_see_it() {
    let served = served().await;
    let form = "MessageSid=SM1&AccountSid=AC1&From=whatsapp%3A%2B491&To=whatsapp%3A%2B4930&SmsStatus=received&Body=Hallo+du";
    let address = "https://handoff.example.com/intake/twilio/path-secret";
    let parameters =
        "AccountSidAC1BodyHallo duFromwhatsapp:+491MessageSidSM1SmsStatusreceivedTowhatsapp:+4930";
    let signature = signed(Hash::Sha1, format!("{address}{parameters}").as_bytes());
    use base64::Engine as _;
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    let post = |form: &str| {
        let request = served
            .client
            .post(format!("{}/twilio/path-secret", served.address));
        let request = request.header(
            "content-type",
            "application/x-www-form-urlencoded; charset=UTF-8",
        );
        request
            .header("x-twilio-signature", &signature)
            .body(form.to_owned())
    };
    assert_eq!(answer(post("MessageSid=SM2")).await.0, 401);
    assert_eq!(
        answer(post(form)).await,
        (204, String::new()),
        "a text would go to the customer"
    );
    assert_eq!(served.events().await, 1);
}

#[tokio::test]
async fn metas_verification_request_gets_its_challenge_back() {
    let served = served().await;
    let ask = |path: &str, token: &str| {
        let address = format!("{}/{path}", served.address);
        let query = [
            ("hub.mode", "subscribe"),
            ("hub.verify_token", token),
            ("hub.challenge", "17"),
        ];
        served.client.get(address).query(&query)
    };
    assert_eq!(answer(ask("meta", "verify")).await, (200, "17".to_owned()));
    for (path, token) in [
        ("meta", "other"),
        ("meta", ""),
        ("shop", "verify"),
        ("nobody", "verify"),
    ] {
        assert_eq!(answer(ask(path, token)).await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let served = served().await;
    let long = Value::from("x".repeat(20 << 20)).to_string();
    let sent = served.post("shop/path-secret", long).send().await;
    // The connection may end before the whole of it is sent.
    assert!(sent.is_err() || sent.unwrap().status() == 413);
    assert_eq!((served.events().await, served.letters().await), (0, 0));
}
