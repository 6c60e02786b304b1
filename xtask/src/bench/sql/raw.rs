//! The limit: hyper and tokio-postgres with nothing between them. The statement goes to the server as it came, every value becomes a
//! JSON string, no identity, no policy, no record. What is slower than this is what the checks cost.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::rows::{DATABASE, Database};
use super::subject::{Subject, free_address};

const CONNECTIONS: usize = 8;

/// Starts the server in a process of its own.
pub(super) fn start(database: &Database) -> Result<Subject> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["raw-sql-server", &address]);
    let (login, port) = (&database.login, database.cluster.port());
    command.env(
        "RAW_SQL_URL",
        format!("postgres://{}:{}@127.0.0.1:{port}/{DATABASE}", login.user, login.password),
    );
    Subject::start("raw", address, &mut command, "query", "query")
}

/// `raw-sql-server ADDRESS`: serves the database of `RAW_SQL_URL` until it is killed.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let [address] = args else { anyhow::bail!("usage: raw-sql-server ADDRESS") };
    let url = std::env::var("RAW_SQL_URL").context("no RAW_SQL_URL")?;
    serve_until_killed(address, &url)
}

/// Serves for as long as the process lives.
pub(super) fn serve_until_killed(address: &str, url: &str) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(address, url))
}

struct Pool {
    clients: Vec<Client>,
    next: AtomicUsize,
}

async fn serve(address: &str, url: &str) -> Result<()> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        clients.push(client);
    }
    let pool: &'static Pool = Box::leak(Box::new(Pool { clients, next: AtomicUsize::new(0) }));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, pool));
            // A caller that leaves is not worth a word.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(request: Request<Incoming>, pool: &Pool) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match answer(request, pool).await {
        Ok(Some(text)) => Response::builder()
            .header("content-type", "application/json")
            .body(Full::from(text))
            .unwrap_or_default(),
        Ok(None) => status(StatusCode::ACCEPTED),
        Err(error) => {
            let mut response = status(StatusCode::INTERNAL_SERVER_ERROR);
            *response.body_mut() = Full::from(format!("{error:#}"));
            response
        }
    })
}

/// The answer to a message; `None` to a notification.
async fn answer(request: Request<Incoming>, pool: &Pool) -> Result<Option<String>> {
    let body = request.into_body().collect().await?.to_bytes();
    let message: Value = serde_json::from_slice(&body)?;
    let Some(id) = message.get("id") else { return Ok(None) };
    if message.get("method").and_then(Value::as_str) == Some("initialize") {
        return Ok(Some(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-11-25","capabilities":{{}},"serverInfo":{{"name":"raw","version":"1"}}}}}}"#
        )));
    }
    let query = message.pointer("/params/arguments/query").and_then(Value::as_str).context("no query")?;
    let index = pool.next.fetch_add(1, Ordering::Relaxed) % pool.clients.len().max(1);
    let client = pool.clients.get(index).context("no connection")?;
    let rows = rows_as_json(&client.simple_query(query).await?)?;
    let mut text = String::with_capacity(rows.len() * 5 / 4 + 100);
    write!(text, r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"#)?;
    text.push_str(&serde_json::to_string(&rows)?);
    text.push_str("}]}}");
    Ok(Some(text))
}

fn rows_as_json(messages: &[SimpleQueryMessage]) -> Result<String> {
    let mut text = String::from("[");
    for message in messages {
        let SimpleQueryMessage::Row(row) = message else { continue };
        text.push_str(if text.len() > 1 { ",{" } else { "{" });
        for (index, column) in row.columns().iter().enumerate() {
            text.push_str(if index > 0 { ",\"" } else { "\"" });
            text.push_str(column.name());
            text.push_str("\":");
            text.push_str(&serde_json::to_string(&row.get(index))?);
        }
        text.push('}');
    }
    text.push(']');
    Ok(text)
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}
