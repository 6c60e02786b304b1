//! stdio: one message a line. The writer belongs to the protocol alone; nothing else may write there.
//!
//! The process is the session: it has one operator, one run, and whatever `initialize` agreed on. Requests run at the same time.

use std::sync::Arc;

use countersign_core::{Principal, Transport};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::mpsc,
    task::JoinSet,
};

use crate::{
    envelope::{self, Message, Request},
    era::{self, RequestMeta, Revision},
    http::{notified, reacted},
    methods::{self, Context, dispatch},
    rpc::{INVALID_REQUEST, RpcError},
    running::{Running, Step},
    server::Server,
    session::Session,
};

/// Messages that may wait for a slow reader of our output.
const BACKLOG: usize = 256;

/// Serves one client until its end of file, then lets what runs finish within the configured time.
///
/// `principal` is the operator of this process, found out by the caller.
pub async fn serve_stdio<R, W>(
    reader: R,
    writer: W,
    server: Arc<Server>,
    principal: Arc<Principal>,
) -> std::io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (out, lines) = mpsc::channel(BACKLOG);
    let writing = tokio::spawn(write(writer, lines));
    // INVARIANT: each process is a run of its own; what one has read taints no other.
    let mut random = [0; 16];
    server.pipeline.environment.random(&mut random).map_err(std::io::Error::other)?;
    let digest = format!("stdio-{:032x}", u128::from_be_bytes(random));
    let session = Arc::new(Session::new(&digest, &principal));
    let peer = format!("pid {}", std::os::unix::process::parent_id()).into();
    let forwarding = JoinSet::new();
    let mut process = Process { server: Arc::clone(&server), principal, session, peer, out, forwarding };
    let read = process.read(BufReader::new(reader)).await;
    server.closing.cancel();
    let patience = server.config.drain;
    server.finish(patience).await;
    // A client that no longer reads does not keep the process alive.
    let forwarded = async { while process.forwarding.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(patience, forwarded).await;
    process.session.end();
    drop(process);
    let written = match tokio::time::timeout(patience, writing).await {
        Ok(written) => written.unwrap_or_else(|e| Err(std::io::Error::other(e))),
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    };
    read.and(written)
}

async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut lines: mpsc::Receiver<String>,
) -> std::io::Result<()> {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        writer.write_all(line.as_bytes()).await?;
        if lines.is_empty() {
            writer.flush().await?;
        }
    }
    writer.flush().await
}

struct Process {
    server: Arc<Server>,
    principal: Arc<Principal>,
    session: Arc<Session>,
    /// The process that started us.
    peer: Arc<str>,
    out: mpsc::Sender<String>,
    forwarding: JoinSet<()>,
}

impl Process {
    async fn read<R: AsyncRead + Unpin>(&mut self, mut reader: BufReader<R>) -> std::io::Result<()> {
        let limit = self.server.config.body_bytes;
        let mut line: Vec<u8> = Vec::new();
        loop {
            let mut over = false;
            let ended = loop {
                let chunk = reader.fill_buf().await?;
                if chunk.is_empty() {
                    break true;
                }
                let end = chunk.iter().position(|byte| *byte == b'\n');
                let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
                // INVARIANT: no more than the limit is ever held, however long the line is.
                over |= line.len() + part.len() > limit;
                if !over {
                    line.extend_from_slice(part);
                }
                let used = part.len() + usize::from(end.is_some());
                reader.consume(used);
                if end.is_some() {
                    break false;
                }
            };
            let blank = line.iter().all(u8::is_ascii_whitespace);
            if over {
                self.send(RpcError::new(INVALID_REQUEST, 413, "the message is too large").frame(None)).await;
            } else if !blank {
                self.message(&line).await;
            }
            if ended || self.out.is_closed() {
                return Ok(());
            }
            line.clear();
            while self.forwarding.try_join_next().is_some() {}
        }
    }

    async fn send(&self, text: String) {
        // The client has closed our output: reading will end as well.
        let _ = self.out.send(text).await;
    }

    async fn message(&mut self, line: &[u8]) {
        let message = match envelope::parse(line, self.server.config.json_limits()) {
            Ok(message) => message,
            Err(malformed) => return self.send(malformed.error.frame(malformed.id.as_ref())).await,
        };
        match message {
            Message::Request(request) => {
                if let Err(error) = self.request(&request).await {
                    self.send(error.frame(Some(&request.id))).await;
                }
            }
            Message::Notification { method, params } => notified(&self.session, &method, params.as_ref()),
            Message::Response(response) => {
                reacted(&self.session, response);
            }
        }
    }

    async fn request(&mut self, request: &Request<'_>) -> Result<(), RpcError> {
        let context = self.context(request)?;
        if let Err(refused) = self.server.pipeline.admit(&self.principal).await {
            return Err(context.turned_away(&refused));
        }
        if !context.revision.is_modern() && request.method == "initialize" {
            let negotiated = methods::initialize(request.params.as_ref())?;
            if !self.session.negotiate(negotiated) {
                return Err(RpcError::invalid("this process is initialized already"));
            }
            self.send(methods::initialized(&self.server, &self.session, &request.id)).await;
            return Ok(());
        }
        match dispatch(context, request, None) {
            Step::Done(answer) => self.send(answer.text).await,
            Step::Running(running) => {
                self.forwarding.spawn(forward(running, self.out.clone(), Arc::clone(&self.server)));
            }
        }
        Ok(())
    }

    /// The circumstances of a request: from itself in the stateless era, from `initialize` before.
    fn context(&self, request: &Request<'_>) -> Result<Context, RpcError> {
        let params = request.params.as_ref();
        let negotiated = self.session.negotiated();
        let modern = match era::meta_version(params) {
            Some(name) => match Revision::parse(name) {
                Some(revision) => revision.is_modern(),
                None => return Err(era::unsupported(name)),
            },
            None => is_modern_only(&request.method),
        };
        let mut context = Context {
            server: Arc::clone(&self.server),
            principal: Arc::clone(&self.principal),
            revision: Revision::V2026_07_28,
            session: Some(Arc::clone(&self.session)),
            capabilities: era::Capabilities::default(),
            client: None,
            level: None,
            run: self.session.run.clone(),
            peer: Arc::clone(&self.peer),
            transport: Transport::Stdio,
            streams: true,
        };
        if modern {
            let meta = RequestMeta::read(params)?;
            context.capabilities = meta.capabilities;
            context.client = meta.client.map(Arc::from);
            context.level = meta.level;
            return Ok(context);
        }
        context.revision = negotiated.map_or(Revision::V2025_11_25, |negotiated| negotiated.revision);
        if let Some(negotiated) = negotiated {
            context.capabilities = negotiated.capabilities;
            context.client = negotiated.client.clone();
            context.level = self.session.level();
        } else if !matches!(request.method.as_str(), "initialize" | "ping") {
            return Err(RpcError::invalid(
                "send `initialize` first, or name the protocol version in `_meta`",
            ));
        }
        Ok(context)
    }
}

/// Methods that only the stateless era has: they need its `_meta`.
fn is_modern_only(method: &str) -> bool {
    matches!(method, "server/discover" | "subscriptions/listen")
}

/// Passes on what a request says, and its answer unless the client has cancelled it.
async fn forward(mut running: Running, out: mpsc::Sender<String>, server: Arc<Server>) {
    if let Some(events) = &mut running.events {
        while let Some(event) = events.recv().await {
            if running.cancel.is_cancelled() && !server.closing.is_cancelled() {
                break;
            }
            if out.send(event).await.is_err() {
                running.cancel.cancel();
                break;
            }
        }
    }
    let answer = running.answer.await;
    // SPEC: cancellation: nothing more is sent for a request that its client cancelled.
    if running.cancel.is_cancelled() && !server.closing.is_cancelled() {
        return;
    }
    if let Ok(answer) = answer
        && !answer.text.is_empty()
    {
        let _ = out.send(answer.text).await;
    }
}
