//! E-mails by SMTP. The one file that knows lettre.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;

use crate::config::{EmailConfig, MailTls};

/// Sends e-mails.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: String,
    to: Vec<String>,
}

impl Mailer {
    /// A mailer that gives up after this time.
    ///
    /// # Errors
    /// What is wrong with a certificate or an address.
    pub fn new(config: &EmailConfig, timeout: Duration) -> Result<Mailer, String> {
        let tls = match config.tls {
            MailTls::None => Tls::None,
            MailTls::StartTls => Tls::Required(parameters(config)?),
            MailTls::Implicit => Tls::Wrapper(parameters(config)?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls)
            .timeout(Some(timeout));
        if let Some((user, password)) = &config.login {
            let password = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        let mailer = Mailer {
            transport: builder.build(),
            from: config.from.clone(),
            to: config.to.clone(),
        };
        mailer.message("x", "x")?;
        Ok(mailer)
    }

    /// Sends one line. The `Message-ID` is the same at every try, so that a second arrival can be known.
    ///
    /// # Errors
    /// Why it was not taken, without address or password.
    pub async fn send(&self, id: &str, line: &str) -> Result<(), String> {
        let message = self.message(id, line)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.status() {
                Some(code) => format!("the mail server answered {code}"),
                None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
                None if error.is_tls() => "the mail server's TLS was not accepted".to_owned(),
                None => "the mail server could not be reached".to_owned(),
            }),
        }
    }

    fn message(&self, id: &str, line: &str) -> Result<Message, String> {
        let wrong = |_| "an address does not parse".to_owned();
        let domain = self.from.rsplit('@').next().unwrap_or("localhost");
        let mut builder = Message::builder()
            .from(self.from.parse().map_err(wrong)?)
            .message_id(Some(format!("<{id}@{domain}>")))
            .subject(line.chars().take(150).collect::<String>())
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            builder = builder.to(to.parse().map_err(wrong)?);
        }
        let built = builder.body(format!("{line}\n"));
        built.map_err(|_| "the message could not be built".to_owned())
    }
}

fn parameters(config: &EmailConfig) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(file) = &config.ca_file {
        let pem = std::fs::read(file)
            .map_err(|error| format!("{} cannot be read: {}", file.display(), error.kind()))?;
        let certificate = Certificate::from_pem(&pem)
            .map_err(|_| format!("{} holds no PEM certificate", file.display()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build()
        .map_err(|_| "the TLS library could not be set up".to_owned())
}
