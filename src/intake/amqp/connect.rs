//! A connection to RabbitMQ, or what stands in the way and what to do about it.
//!
//! lapin's own recovery is not used: it hides permanent errors (a wrong password, an unknown
//! certificate) behind its retries, and the consumer is not told that it was cut off.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::tcp::{AMQPUriTcpExt, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, ErrorKind};
use secrecy::ExposeSecret;

use crate::config::AmqpConfig;

/// How long the way from the first packet to an open connection may take, where the address names
/// no `connection_timeout`.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// The heartbeat that we propose, in seconds, where the address names none.
const HEARTBEAT: u16 = 20;
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(3);

/// Opens a connection to the first node that can be reached; RabbitMQ lists it under `name`.
/// `frame`: the largest frame to propose where the address names none, in bytes; the broker's own
/// otherwise. A body comes in several frames, but headers must fit into one, so whoever consumes
/// takes the broker's.
///
/// # Errors
/// What stands in the way, in the broker's words, and the remedy.
pub(crate) async fn connect(
    config: &AmqpConfig,
    name: &str,
    frame: Option<u32>,
) -> Result<Connection, String> {
    // The parser's complaint is not repeated: it may hold the password.
    let mut uri: AMQPUri = config
        .url
        .expose_secret()
        .parse()
        .map_err(|_| "intake.amqp.url is not an AMQP address".to_owned())?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT);
    uri.query.frame_max = uri.query.frame_max.or(frame);
    let first = (uri.authority.host.clone(), uri.authority.port);
    let mut failed = Vec::new();
    for (host, port) in std::iter::once(&first).chain(&config.nodes) {
        let mut uri = uri.clone();
        (uri.authority.host, uri.authority.port) = (host.clone(), *port);
        match connect_to(config, uri, name).await {
            Ok(connection) => {
                if !failed.is_empty() {
                    let words = failed.join("; ");
                    tracing::warn!(error = %words, node = %format_args!("{host}:{port}"), "RabbitMQ: another node");
                }
                return Ok(connection);
            }
            Err(words) if config.nodes.is_empty() => return Err(words),
            Err(words) => failed.push(format!("{host}:{port}: {words}")),
        }
    }
    Err(failed.join("; "))
}

async fn connect_to(config: &AmqpConfig, uri: AMQPUri, name: &str) -> Result<Connection, String> {
    let patience = uri
        .query
        .connection_timeout
        .map_or(HANDSHAKE, Duration::from_millis);
    let tls = tls(config).await?;
    let runtime = lapin::runtime::default_runtime().map_err(|error| explain(&error))?;
    let properties = ConnectionProperties::default().with_connection_name(name.into());

    // A peer that takes the connection and says nothing would hold lapin's thread for ever, so the
    // socket is kept at hand and shut down when the time is over.
    let socket: Arc<Mutex<Option<TcpStream>>> = Arc::default();
    let kept = Arc::clone(&socket);
    let ours = runtime.clone();
    let open = async move |uri: AMQPUri, _| {
        let plain = AMQPUri {
            scheme: AMQPScheme::AMQP,
            ..uri.clone()
        };
        let stream = plain.connect_with_config_async(tls.as_ref(), &ours).await?;
        if let AsyncTcpStream::Plain(stream) = &stream {
            let twin = stream.get_ref().as_fd().try_clone_to_owned()?;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(TcpStream::from(twin));
        }
        match uri.scheme {
            AMQPScheme::AMQP => Ok(stream),
            AMQPScheme::AMQPS => Ok(stream.into_tls(&uri.authority.host, tls.as_ref()).await?),
        }
    };
    let opening = Connection::connector(uri, runtime, open, properties);
    match tokio::time::timeout(patience, opening).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(explain(&error)),
        Err(_) => {
            if let Some(socket) = socket.lock().unwrap_or_else(PoisonError::into_inner).take() {
                // It may be closed already, which is as good.
                let _ = socket.shutdown(Shutdown::Both);
            }
            Err(format!("no answer within {} ms", patience.as_millis()))
        }
    }
}

/// Closes a connection, whatever state it is in.
pub(crate) async fn close(connection: &Connection) {
    let _ = tokio::time::timeout(GOODBYE, connection.close(200, "bye".into())).await;
}

/// What went wrong, in the broker's words, with a remedy where there is one.
pub(crate) fn explain(error: &lapin::Error) -> String {
    let remedy = match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => {
                "check the user, the password and the user's permissions"
            }
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => {
                "check the virtual host, and that the user may use it"
            }
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => {
                "it exists with other properties: delete it, or give the configuration another name"
            }
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
                "create it, or correct the configuration"
            }
            _ => "",
        },
        ErrorKind::IOError(error) if error.to_string().contains("certificate") => {
            "check ca_file, and that the certificate names this host"
        }
        _ => "",
    };
    let words = match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_message().to_string(),
        ErrorKind::IOError(error) => error.to_string(),
        _ => error.to_string(),
    };
    if remedy.is_empty() {
        words
    } else {
        format!("{words}; {remedy}")
    }
}

async fn tls(config: &AmqpConfig) -> Result<OwnedTLSConfig, String> {
    let mut tls = OwnedTLSConfig::default();
    if let Some(file) = &config.ca_file {
        let pem = tokio::fs::read_to_string(file)
            .await
            .map_err(|error| format!("ca_file cannot be read: {error}"))?;
        tls.cert_chain = Some(pem);
    }
    Ok(tls)
}
