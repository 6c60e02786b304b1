//! The limit: a hyper server that finds id and text in a request by searching, and sends the answer that Countersign would send.
//! No parsing, no checks, no record. What is slower than this is what the checks cost.

use std::convert::Infallible;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::question::{ID, TEXT};
use super::text;

/// The answer, cut at the places that change.
struct Template {
    head: Vec<(String, String)>,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Id,
    Echo,
}

/// `bare-server ADDRESS TEMPLATE`: serves until it is killed.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let [address, file] = args else { anyhow::bail!("usage: bare-server ADDRESS TEMPLATE") };
    let listener =
        std::net::TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    serve(listener, &std::fs::read_to_string(file)?)
}

/// Answers from a template for as long as the process lives.
pub(super) fn serve(listener: std::net::TcpListener, template: &str) -> Result<()> {
    let template: &'static Template = Box::leak(Box::new(load(template)?));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(request, template));
                // A caller that leaves is not worth a word.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}

fn load(json: &str) -> Result<Template> {
    let value: Value = serde_json::from_str(json)?;
    let pairs = value.get("head").and_then(Value::as_array).context("no head")?;
    let field =
        |pair: &Value, index: usize| pair.get(index).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut parts = Vec::new();
    for (index, with_text) in text(&value, "body").split(ID).enumerate() {
        if index > 0 {
            parts.push(Part::Id);
        }
        for (index, plain) in with_text.split(TEXT).enumerate() {
            if index > 0 {
                parts.push(Part::Echo);
            }
            parts.push(Part::Text(plain.to_owned()));
        }
    }
    Ok(Template { head: pairs.iter().map(|pair| (field(pair, 0), field(pair, 1))).collect(), parts })
}

async fn answer(
    request: Request<Incoming>,
    template: &Template,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let Ok(body) = request.into_body().collect().await.map(http_body_util::Collected::to_bytes) else {
        return Ok(status(StatusCode::BAD_REQUEST));
    };
    let Ok(message) = std::str::from_utf8(&body) else { return Ok(status(StatusCode::BAD_REQUEST)) };
    if message.contains("\"method\":\"initialize\"") {
        let result = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"bare","version":"1"}}}"#;
        return Ok(Response::new(Full::from(result)));
    }
    let Some(id) = after(message, "\"id\":", |c| c.is_ascii_digit()) else {
        return Ok(status(StatusCode::ACCEPTED));
    };
    let echo = after(message, "\"text\":\"", |c| c != '"').unwrap_or_default();
    let mut out = String::with_capacity(1024);
    for part in &template.parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Id => out.push_str(id),
            Part::Echo => out.push_str(echo),
        }
    }
    let mut response = Response::builder();
    for (name, value) in &template.head {
        response = response.header(name, value);
    }
    Ok(response.body(Full::from(out)).unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR)))
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}

fn after<'a>(text: &'a str, marker: &str, keep: impl Fn(char) -> bool) -> Option<&'a str> {
    let (_, rest) = text.split_once(marker)?;
    rest.split(|c| !keep(c)).next()
}
