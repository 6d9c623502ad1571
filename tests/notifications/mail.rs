//! A mail server in its smallest form, which keeps what it takes.
//! <https://www.rfc-editor.org/rfc/rfc5321#section-4.1.1>

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An e-mail that was taken.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    pub login: String,
    pub over_tls: bool,
    pub text: String,
}

pub struct MailServer {
    pub port: u16,
    /// The certificate, as PEM.
    pub certificate: String,
    taken: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    /// One that wants `STARTTLS` or, with `in_the_clear`, offers none.
    pub async fn new(in_the_clear: bool) -> MailServer {
        let key =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])
                .unwrap();
        let certificate = key.cert.pem();
        let secret =
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], secret)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mails = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mails, acceptor) = (Arc::clone(&mails), acceptor.clone());
                tokio::spawn(async move {
                    let mut stream = BufStream::new(stream);
                    say(&mut stream, "220 mail.test").await;
                    let is_left = talk(&mut stream, &mails, (!in_the_clear, false)).await;
                    if is_left {
                        let Ok(secure) = acceptor.accept(stream.into_inner()).await else {
                            return;
                        };
                        talk(&mut BufStream::new(secure), &mails, (false, true)).await;
                    }
                });
            }
        });
        MailServer {
            port,
            certificate,
            taken,
        }
    }

    pub fn taken(&self) -> Vec<Mail> {
        self.taken.lock().unwrap().clone()
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), line: &str) {
    let _ = stream.write_all(format!("{line}\r\n").as_bytes()).await;
    let _ = stream.flush().await;
}

/// Talks until the other side leaves. Returns whether it asks for TLS.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufStream<S>,
    mails: &Mutex<Vec<Mail>>,
    (offers_tls, over_tls): (bool, bool),
) -> bool {
    let mut mail = Mail {
        over_tls,
        ..Mail::default()
    };
    loop {
        let mut line = String::new();
        match stream.read_line(&mut line).await {
            Ok(count) if count > 0 => {}
            _ => return false,
        }
        let line = line.trim_end().to_owned();
        let word = line.to_ascii_uppercase();
        if word.starts_with("EHLO") {
            let more = if offers_tls { "STARTTLS" } else { "AUTH PLAIN" };
            say(stream, &format!("250-mail.test\r\n250 {more}")).await;
        } else if word == "STARTTLS" && offers_tls {
            say(stream, "220 go on").await;
            return true;
        } else if offers_tls && !word.starts_with("QUIT") {
            say(stream, "530 STARTTLS first").await;
        } else if let Some(login) = word.strip_prefix("AUTH PLAIN ") {
            mail.login = line[line.len() - login.len()..].to_owned();
            say(stream, "235 welcome").await;
        } else if word.starts_with("MAIL FROM:") {
            mail.from = line["MAIL FROM:".len()..].to_owned();
            say(stream, "250 ok").await;
        } else if word.starts_with("RCPT TO:") {
            mail.to.push(line["RCPT TO:".len()..].to_owned());
            say(stream, "250 ok").await;
        } else if word == "DATA" {
            say(stream, "354 go on").await;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return false;
                }
                if line == ".\r\n" {
                    break;
                }
                mail.text.push_str(&line);
            }
            mails.lock().unwrap().push(mail.clone());
            (mail.text, mail.to) = (String::new(), Vec::new());
            say(stream, "250 taken").await;
        } else if word.starts_with("QUIT") {
            say(stream, "221 bye").await;
            return false;
        } else {
            say(stream, "250 ok").await;
        }
    }
}
