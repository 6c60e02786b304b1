//! Runs the script as the server's administrator, over a connection that the egress crate dialled.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use countersign_egress::{AddressPolicy, Roots, Stream, Tls, TlsStream, dial};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, NoTls,
    config::SslMode,
    error::SqlState,
    tls::{ChannelBinding, TlsConnect},
};
use zeroize::Zeroizing;

use crate::{
    config::{self, DatabaseUrl, Host, Postgres, PostgresTarget, Target},
    engines,
    print::{Failure, line},
};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Who runs the script, and where.
pub(super) struct Administrator {
    target: PostgresTarget,
    user: String,
    password: Zeroizing<String>,
    tls: config::Tls,
}

impl Administrator {
    /// A role of the configured server, or a url of the same database by another way.
    ///
    /// # Errors
    /// A url that is none, holds a password, or names another database.
    pub(super) fn of(named: &str, postgres: &Postgres) -> Result<Administrator, Failure> {
        #[expect(clippy::disallowed_methods, reason = "the binary reads the environment")]
        let password = Zeroizing::new(std::env::var("PGPASSWORD").unwrap_or_default());
        if !named.contains("://") {
            let (user, target, tls) = (named.to_owned(), postgres.target.clone(), postgres.tls.clone());
            return Ok(Administrator { target, user, password, tls });
        }
        let url = DatabaseUrl::parse(named)
            .map_err(|(rule, help)| Failure::usage(format!("`--as` {rule}")).help(help))?;
        let target = match url.target() {
            Target::Postgres(target) if target.database == postgres.target.database => target.clone(),
            Target::Postgres(_) => {
                return Err(Failure::usage("`--as` names another database than the configuration"));
            }
            _ => return Err(Failure::usage("`--as` must be a role or a `postgres://` url")),
        };
        let user = target.user.clone().ok_or_else(|| {
            Failure::usage("`--as` names no role").help("write `postgres://admin@host:port/database`")
        })?;
        let ca = match &postgres.tls {
            config::Tls::Verify { ca } => ca.clone(),
            _ => None,
        };
        // INVARIANT: an administrator's password never crosses a network in the clear, whatever the configuration says.
        let tls = match &target.host {
            host if host.is_local() && ca.is_none() => config::Tls::UnlessLocal,
            Host::Unix(_) => config::Tls::UnlessLocal,
            Host::Tcp(_) => config::Tls::Verify { ca },
        };
        Ok(Administrator { target, user, password, tls })
    }

    /// Runs a script, and returns what it had to say.
    ///
    /// # Errors
    /// No connection, or the statement that failed; nothing of the script is in force then.
    pub(super) async fn run(&self, script: &str) -> Result<Vec<String>, Failure> {
        let unreachable = |e: &dyn std::fmt::Display| {
            Failure::unavailable(anyhow::anyhow!(
                "cannot connect to {}:{}: {e}",
                self.target.host,
                self.target.port
            ))
        };
        let endpoint = engines::endpoint(&self.target.host, self.target.port);
        let deadline = Instant::now() + CONNECT;
        let dialed = dial(&endpoint, &AddressPolicy::operator_named(), deadline).await;
        let dialed = dialed.map_err(|e| unreachable(&chain(&e)))?;
        let roots = match &self.tls {
            config::Tls::Verify { ca: Some(file) } => Some(Roots::File(file.clone())),
            config::Tls::Verify { ca: None } => Some(Roots::System),
            config::Tls::UnlessLocal | config::Tls::Plaintext if dialed.is_local() => None,
            config::Tls::UnlessLocal | config::Tls::Plaintext => Some(Roots::System),
        };
        let mut settings = Config::new();
        settings.user(&self.user).dbname(&self.target.database).application_name("countersign init");
        if !self.password.is_empty() {
            settings.password(self.password.as_bytes());
        }
        let notices = Notices::default();
        let client = match roots {
            None => {
                settings.ssl_mode(SslMode::Disable);
                let connected = settings.connect_raw(dialed.stream, NoTls).await;
                let (client, connection) = connected.map_err(|e| unreachable(&refused(&e)))?;
                tokio::spawn(notices.clone().collect(connection));
                client
            }
            Some(roots) => {
                settings.ssl_mode(SslMode::Require);
                let tls = Tls::new(&roots).map_err(|e| unreachable(&chain(&e)))?;
                let verified = Verified { tls, name: self.target.host.to_string() };
                let connected = settings.connect_raw(dialed.stream, verified).await;
                let (client, connection) = connected.map_err(|e| unreachable(&refused(&e)))?;
                tokio::spawn(notices.clone().collect(connection));
                client
            }
        };
        execute(&client, script).await?;
        Ok(notices.taken())
    }
}

/// INVARIANT: the one place that sends several statements at once, and they are a text of ours.
async fn execute(client: &Client, script: &str) -> Result<(), Failure> {
    client.batch_execute(script).await.map_err(|e| {
        let failure = Failure::unavailable(anyhow::anyhow!("nothing was changed: {}", refused(&e)));
        let refusal = e.as_db_error();
        match refusal.and_then(|refusal| refusal.hint()) {
            Some(hint) => failure.help(line(hint)),
            None if refusal
                .is_some_and(|refusal| *refusal.code() == SqlState::INVALID_TEXT_REPRESENTATION) =>
            {
                failure.help("`--tenant TENANT=VALUE` says what the tenant's rows hold in the tenant column")
            }
            None => failure,
        }
    })
}

/// The server's own words, for the administrator who asked.
fn refused(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => line(refusal.message()),
        None => chain(error),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    line(&text)
}

/// What the server says beside its answers.
#[derive(Clone, Default)]
struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    async fn collect<S, T>(self, mut connection: Connection<S, T>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        T: AsyncRead + AsyncWrite + Unpin,
    {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(notice.message().to_owned());
            }
        }
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Verified TLS for a connection to PostgreSQL.
struct Verified {
    tls: Tls,
    name: String,
}

impl TlsConnect<Stream> for Verified {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: Stream) -> Self::Future {
        Box::pin(async move {
            let stream = self.tls.connect(stream, &self.name).await;
            stream.map(Encrypted).map_err(|e| io::Error::other(chain(&e)))
        })
    }
}

/// A verified stream, in the terms of the client library.
struct Encrypted(TlsStream<Stream>);

impl tokio_postgres::tls::TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
