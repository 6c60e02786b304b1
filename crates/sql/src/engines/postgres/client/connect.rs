//! The first words on a stream: TLS, login, and the second stream that cancels.

use std::{fmt, io, time::Duration};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::{backend::Message, frontend},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{ClientError, Connection, Duplex, connection::Wire};

/// Who logs in, where, and what holds for the session.
#[derive(Clone)]
pub struct Startup {
    /// The role.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database.
    pub database: String,
    /// Settings for the whole session, as the server names them. They are what `RESET` goes back to.
    pub settings: Vec<(String, String)>,
    /// Whether the stream is verified TLS or never leaves the machine: only then is a password sent that is not SCRAM's proof.
    pub confidential: bool,
}

impl fmt::Debug for Startup {
    /// INVARIANT: the password is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Startup")
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// What holds for a whole session, whatever its role or database says by default.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings<'a> {
    /// Where names without a schema are looked for, after `pg_catalog`.
    pub schemas: &'a [String],
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// How long it may wait for a lock.
    pub lock_timeout: Duration,
    /// Memory of one sort or hash, in kilobytes.
    pub work_mem_kb: u32,
    /// Whether transactions may write.
    pub writes: bool,
}

impl SessionSettings<'_> {
    /// The settings as the server names them.
    pub fn list(&self) -> Vec<(String, String)> {
        let milliseconds = |time: Duration| time.as_millis().max(1).to_string();
        let idle = self.statement_timeout.saturating_add(Duration::from_secs(5));
        // INVARIANT: `pg_catalog` comes first, so that no object of another schema takes the name of a built-in one.
        // MUTATE(A7-pg-search-path): other schemas come first
        let path = std::iter::once("pg_catalog".to_owned())
            .chain(self.schemas.iter().map(|schema| format!("\"{}\"", schema.replace('"', "\"\""))));
        let settings = [
            ("application_name", "countersign".to_owned()),
            // MUTATE(A7-pg-default-read-only): sessions write unless told otherwise
            ("default_transaction_read_only", if self.writes { "off" } else { "on" }.to_owned()),
            ("statement_timeout", milliseconds(self.statement_timeout)),
            ("lock_timeout", milliseconds(self.lock_timeout)),
            ("idle_in_transaction_session_timeout", milliseconds(idle)),
            ("work_mem", format!("{}kB", self.work_mem_kb)),
            ("search_path", path.collect::<Vec<_>>().join(", ")),
            ("standard_conforming_strings", "on".to_owned()),
            ("row_security", "on".to_owned()),
            ("DateStyle", "ISO, YMD".to_owned()),
            ("IntervalStyle", "iso_8601".to_owned()),
            ("bytea_output", "hex".to_owned()),
            ("extra_float_digits", "1".to_owned()),
            ("client_min_messages", "error".to_owned()),
        ];
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// What a second stream shows to have a statement cancelled.
#[derive(Clone, Copy, Debug)]
pub struct CancelKey {
    process: i32,
    secret: i32,
}

/// Asks the server for TLS. If it agrees, the next byte on the stream is the handshake's.
///
/// # Errors
/// If the stream fails or the server refuses.
pub async fn request_tls(stream: &mut (impl Duplex + ?Sized)) -> Result<(), ClientError> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    stream.flush().await?;
    // INVARIANT: one byte and no more is read in the clear (CVE-2021-23222).
    match stream.read_u8().await? {
        b'S' => Ok(()),
        // MUTATE(A21-tls-refused): a server without TLS is spoken to in the clear
        _ => Err(ClientError::Protocol("it offers no TLS")),
    }
}

/// Asks the server to cancel what the connection with this key runs. It answers nothing, and may be too late.
///
/// # Errors
/// If the stream fails.
pub async fn cancel(stream: &mut (impl Duplex + ?Sized), key: CancelKey) -> io::Result<()> {
    let mut request = BytesMut::new();
    frontend::cancel_request(key.process, key.secret, &mut request);
    stream.write_all(&request).await?;
    stream.flush().await?;
    // The server closes the stream when the signal is sent.
    let _ = stream.read_u8().await;
    Ok(())
}

impl Connection {
    /// Logs in and prepares what every call needs.
    ///
    /// # Errors
    /// If the stream fails, the server refuses the login, or asks for a password in a form that this stream must not carry.
    pub async fn open(stream: Box<dyn Duplex>, startup: &Startup) -> Result<Connection, ClientError> {
        let mut wire = Wire::new(stream);
        let fixed = [
            ("user", startup.user.as_str()),
            ("database", startup.database.as_str()),
            ("client_encoding", "UTF8"),
        ];
        let settings = startup.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        frontend::startup_message(fixed.into_iter().chain(settings), &mut wire.outbox)?;
        wire.flush().await?;
        authenticate(&mut wire, startup).await?;
        let mut key = None;
        loop {
            match wire.next().await? {
                Message::BackendKeyData(data) => {
                    key = Some(CancelKey { process: data.process_id(), secret: data.secret_key() });
                }
                Message::ReadyForQuery(_) => break,
                _ => return Err(ClientError::Protocol("an unexpected message after the login")),
            }
        }
        let key = key.ok_or(ClientError::Protocol("no key to cancel with"))?;
        let mut connection = Connection::over(wire, key);
        connection.prepare_own().await?;
        Ok(connection)
    }
}

async fn authenticate(wire: &mut Wire, startup: &Startup) -> Result<(), ClientError> {
    loop {
        match wire.next().await? {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationSasl(body) => {
                let mechanisms: Vec<String> = body.mechanisms().map(|name| Ok(name.to_owned())).collect()?;
                if !mechanisms.iter().any(|name| name == SCRAM_SHA_256) {
                    return Err(ClientError::Protocol("it offers no SCRAM-SHA-256"));
                }
                scram(wire, &startup.password).await?;
            }
            // MUTATE(A21-clear-password): the password is sent on any stream
            _ if !startup.confidential => {
                return Err(ClientError::Protocol(
                    "it asks for a password that only an encrypted stream may carry",
                ));
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(startup.user.as_bytes(), startup.password.as_bytes(), body.salt());
                frontend::password_message(hash.as_bytes(), &mut wire.outbox)?;
                wire.flush().await?;
            }
            Message::AuthenticationCleartextPassword => {
                frontend::password_message(startup.password.as_bytes(), &mut wire.outbox)?;
                wire.flush().await?;
            }
            _ => return Err(ClientError::Protocol("it asks for a login of an unknown kind")),
        }
    }
}

/// SPEC: RFC 5802. Both sides prove that they know the password; a false server learns nothing.
async fn scram(wire: &mut Wire, password: &str) -> Result<(), ClientError> {
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut wire.outbox)?;
    wire.flush().await?;
    let Message::AuthenticationSaslContinue(body) = wire.next().await? else {
        return Err(ClientError::Protocol("no SCRAM challenge"));
    };
    scram.update(body.data())?;
    frontend::sasl_response(scram.message(), &mut wire.outbox)?;
    wire.flush().await?;
    let Message::AuthenticationSaslFinal(body) = wire.next().await? else {
        return Err(ClientError::Protocol("no SCRAM proof"));
    };
    Ok(scram.finish(body.data())?)
}
